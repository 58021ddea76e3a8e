//! The agent: meets the rig.
//!
//! It rings and waits for the answer with two semihosting calls on pipes that the emulator has inherited.
//! The device's clock stands still in them. What both have to say lies in memory
//! ([`rigor_agent::layout`]).

use core::cell::Cell;

use critical_section::{CriticalSection, Mutex};
use rigor_agent::Record;
use rigor_agent::layout::{Command, Reason, boot, order, records, report};

use crate::{clock, console, heap, machine, memory, net};

/// What the emulator has inherited (harness/rigs, the launch of a guest).
const BELL: &core::ffi::CStr = c"/dev/fd/10";
const ANSWER: &core::ffi::CStr = c"/dev/fd/11";

/// Semihosting (RISC-V semihosting specification 0.4; the operations are Arm's).
mod semihosting {
    core::arch::global_asm!(
        ".attribute arch, \"rv32imac\"",
        ".section .text.semihosting",
        ".option push",
        ".option norvc",
        // The three must lie in one page.
        ".balign 16",
        ".global _semihosting_call",
        "_semihosting_call:",
        "slli x0, x0, 0x1f",
        "ebreak",
        "srai x0, x0, 7",
        "ret",
        ".option pop",
    );

    unsafe extern "C" {
        fn _semihosting_call(operation: usize, parameters: *const usize) -> usize;
    }

    const OPEN: usize = 0x01;
    const WRITE: usize = 0x05;
    const READ: usize = 0x06;
    const EXIT: usize = 0x18;
    pub const FOR_WRITING: usize = 5;
    pub const FOR_READING: usize = 1;

    pub fn open(path: &core::ffi::CStr, mode: usize) -> u32 {
        let parameters = [path.as_ptr() as usize, mode, path.count_bytes()];
        // SAFETY: the operation reads the parameters and the path.
        unsafe { _semihosting_call(OPEN, parameters.as_ptr()) as u32 }
    }

    pub fn write_byte(handle: u32) -> bool {
        let byte = 1_u8;
        let parameters = [handle as usize, &raw const byte as usize, 1];
        // SAFETY: the operation reads the parameters and the byte.
        unsafe { _semihosting_call(WRITE, parameters.as_ptr()) == 0 }
    }

    pub fn read_byte(handle: u32) -> bool {
        let mut byte = 0_u8;
        let parameters = [handle as usize, &raw mut byte as usize, 1];
        // SAFETY: the operation reads the parameters and writes the byte.
        unsafe { _semihosting_call(READ, parameters.as_ptr()) == 0 }
    }

    pub fn exit() -> ! {
        /// ADP_Stopped_ApplicationExit
        const APPLICATION_EXIT: usize = 0x20026;
        loop {
            // SAFETY: the operation ends the emulator.
            unsafe { _semihosting_call(EXIT, APPLICATION_EXIT as *const usize) };
        }
    }
}

/// Bytes of records since the last meeting.
static WRITTEN: Mutex<Cell<usize>> = Mutex::new(Cell::new(0));

/// Opens the pipes, unless an earlier life of the device has.
pub fn open() {
    if memory::word(boot::MAGIC) != boot::MAGIC_VALUE || memory::word(boot::VERSION) != boot::VERSION_VALUE {
        // Not one of our rigs: there is nobody to meet.
        semihosting::exit();
    }
    if memory::word(boot::BELL) == 0 {
        memory::set_word(boot::BELL, semihosting::open(BELL, semihosting::FOR_WRITING));
        memory::set_word(boot::ANSWER, semihosting::open(ANSWER, semihosting::FOR_READING));
    }
}

/// Keeps what happened at `at` for the rig. Who wants the rig to hear of it now [meets](meet) it.
pub fn record(at: u64, record: &Record<'_>) {
    critical_section::with(|cs| {
        if records::MAX - WRITTEN.borrow(cs).get() < record.length() {
            exchange(cs, Reason::Record);
        }
        let written = WRITTEN.borrow(cs).get();
        // SAFETY: the records' place, and the rig reads it only in an exchange.
        let place = unsafe { memory::bytes_mut(records::OFFSET + written, records::MAX - written) };
        // A record that is longer than any can be is left out: none of ours is.
        WRITTEN.borrow(cs).set(written + record.write(at, place).unwrap_or(0));
    });
}

/// Meets the rig now.
pub fn meet(reason: Reason) {
    critical_section::with(|cs| exchange(cs, reason));
}

/// When the rig wants to be met again.
pub fn until() -> u64 {
    memory::long(order::UNTIL)
}

fn exchange(cs: CriticalSection<'_>, reason: Reason) {
    if memory::word(order::SAMPLE_HEAP) == 1 {
        heap::sample();
    }
    memory::set_long(report::NOW, clock::now());
    memory::set_word(report::REASON, reason.word());
    memory::set_word(report::RECORDS, WRITTEN.borrow(cs).take() as u32);
    ring();
    match Command::from_word(memory::word(order::COMMAND)) {
        Some(Command::Reset) => machine::reset(),
        Some(Command::Continue | Command::Run) => {}
        None => semihosting::exit(),
    }
    let length = (memory::word(order::CONSOLE_LENGTH) as usize).min(order::CONSOLE_MAX);
    if length > 0 {
        // SAFETY: the console's place; the rig writes it only in an exchange.
        console::receive(cs, unsafe { memory::bytes(order::CONSOLE, length) });
    }
    let length = (memory::word(order::FRAMES_LENGTH) as usize).min(order::FRAMES_MAX);
    if length > 0 {
        // SAFETY: the frames' place; the rig writes it only in an exchange.
        net::receive(cs, unsafe { memory::bytes(order::FRAMES, length) });
    }
    net::poll(cs);
}

/// The meeting in reset, before anything of the firmware exists; what the rig orders.
pub fn meet_in_reset() -> Option<Command> {
    memory::set_long(report::NOW, clock::now());
    memory::set_word(report::REASON, Reason::Reset.word());
    memory::set_word(report::RECORDS, 0);
    ring();
    Command::from_word(memory::word(order::COMMAND))
}

fn ring() {
    // A rig that is gone needs no device.
    if !semihosting::write_byte(memory::word(boot::BELL))
        || !semihosting::read_byte(memory::word(boot::ANSWER))
    {
        semihosting::exit();
    }
}
