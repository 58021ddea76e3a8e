//! From the reset vector to the firmware's tasks.

use core::arch::asm;

use prism_k1::Options;
use rigor_agent::layout::{Command, Reason};

use crate::{agent, chip, clock, heap, kernel};

/// Bytes of the stack of the start, and then of interrupts.
pub const STACK_BYTES: usize = 16 * 1024;

/// Starts the device anew, from the reset vector.
pub fn again() -> ! {
    // SAFETY: the start sets up everything that it relies on.
    unsafe { asm!("j _start", options(noreturn)) }
}

/// What the reset vector calls.
pub extern "C" fn start() -> ! {
    agent::open();
    loop {
        match agent::meet_in_reset() {
            Some(Command::Run) => break,
            _ => wait_in_reset(),
        }
    }
    clock::start();
    heap::start();
    // The rig looks at the heap before anybody has any of it.
    agent::meet(Reason::Record);
    #[cfg(feature = "defects")]
    give_defect();
    // SAFETY: once a start.
    let peripherals = unsafe { chip::peripherals() };
    prism_k1::start(peripherals, Options::default());
    kernel::run()
}

/// The timer's interrupt need not be taken to end a wait, but it must be enabled.
fn wait_in_reset() {
    const MTIE: usize = 1 << 7;
    // SAFETY: interrupts as a whole are off.
    unsafe { asm!("csrs mie, {}", in(reg) MTIE) };
    clock::wait_alone_until(agent::until());
}

#[cfg(feature = "defects")]
fn give_defect() {
    use prism_k1::defect::{self, Defect};
    use rigor_agent::layout::boot;

    use crate::memory;

    let length = (memory::word(boot::DEFECT_LENGTH) as usize).min(boot::DEFECT_MAX);
    // SAFETY: the rig writes it before the machine starts.
    let name = unsafe { memory::bytes(boot::DEFECT, length) };
    defect::give(Defect::ALL.iter().copied().find(|defect| defect.name().as_bytes() == name));
}
