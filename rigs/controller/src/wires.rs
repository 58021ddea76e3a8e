//! The pins, and how a wire of the device is driven: down or not at all.
//!
//! Pins are set by their registers, because what they do changes in several places: a request, a waveform,
//! and the end of the connection, each at another priority. A single write to a register of the block SIO
//! changes one pin and cannot disturb another.

use embassy_rp::pac;
use rigor_controller::Ticks;
use rigor_controller::message::{Drive, LOOP_BACK_INPUT, Refusal, Wire};

use crate::clock;

/// The pins of the lanes.
pub(crate) const LANES: [u8; 2] = [2, 3];
/// The pins of the display's bus: our own mark, data, data/command, chip select and clock. They follow one another.
pub(crate) const BUS_MARK: u8 = 5;
const BUS_DATA: u8 = 6;
const BUS_COMMAND: u8 = 7;
pub(crate) const BUS_SELECT: u8 = 8;
pub(crate) const BUS_CLOCK: u8 = 9;
/// The pins of the open-drain lines.
pub(crate) const LINES: [u8; 4] = [10, 11, 12, 13];
const RESET: u8 = 14;
const BOOT: u8 = 15;
const POWER: u8 = 1;
/// The controller's own pair, out and in.
pub(crate) const LOOP_BACK: [u8; 2] = [16, 17];
/// The pins of the inputs.
pub(crate) const INPUTS: [u8; 8] = [18, 19, 20, 21, 22, 26, 27, 28];
/// Pins between them that are the board's own, and whose levels are nobody's business; the LED's among them.
const INTERNAL: [u8; 3] = [23, 24, LED];
/// The LED on the board.
pub(crate) const LED: u8 = 25;

/// All pins that may ever be driven, but for the LED.
const DRIVEN: [u8; 8] = [POWER, LINES[0], LINES[1], LINES[2], LINES[3], RESET, BOOT, LOOP_BACK[0]];

/// The function "single-cycle I/O" of a pin; RP2040 datasheet, 2.19.2.
const SIO: u8 = 5;
/// The same of the second block of state machines.
const PIO1: u8 = 7;

/// What a pin stands for, through the resistor in its wire; see rigs/wiring.
const STRENGTH: pac::pads::vals::Drive = pac::pads::vals::Drive::_12M_A;

/// A pin that may be driven.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Driven {
    pin: u8,
    may_be_high: bool,
}

impl Driven {
    /// The pin of `wire`.
    ///
    /// # Errors
    /// [`Refusal::NoSuchWire`].
    pub(crate) fn of(wire: Wire) -> Result<Self, Refusal> {
        let pin = match wire {
            Wire::Line(line) => *LINES.get(usize::from(line)).ok_or(Refusal::NoSuchWire)?,
            Wire::Reset => RESET,
            Wire::Boot => BOOT,
            Wire::Power => POWER,
            Wire::LoopBack => LOOP_BACK[0],
        };
        Ok(Driven { pin, may_be_high: matches!(wire, Wire::Power | Wire::LoopBack) })
    }

    /// Whether it can be driven so.
    ///
    /// # Errors
    /// [`Refusal::NeverHigh`].
    pub(crate) fn accepts(self, drive: Drive) -> Result<(), Refusal> {
        if drive == Drive::High && !self.may_be_high { Err(Refusal::NeverHigh) } else { Ok(()) }
    }

    /// Whether it is driven high.
    pub(crate) fn is_high(self) -> bool {
        let driven_high = pac::SIO.gpio_oe(0).value().read() & pac::SIO.gpio_out(0).value().read();
        driven_high >> self.pin & 1 == 1
    }
}

/// What several pins do in the same tick.
#[derive(Clone, Copy, Default)]
pub(crate) struct Turn {
    low: u32,
    high: u32,
    release: u32,
}

/// A turn that waits for its tick.
pub(crate) struct Planned {
    /// What changes in the registers of the pins' levels, and of whether they are driven.
    levels: u32,
    driven: u32,
    /// The count at which they have to be written, as SysTick shows it.
    count: u32,
    /// When that is seen at the pins.
    at: Ticks,
}

/// Nobody may interrupt for so many ticks before.
const ALONE: u32 = 4 * clock::PER_MICRO;
/// Ticks from the look at SysTick that ends the wait to where the levels change: three instructions, and the store.
const LEVELS: u32 = 4;
/// The same to where pins begin or cease to be driven: a store later.
const DRIVEN_LATER: u32 = 1;

impl Turn {
    /// Has `pin` driven so, too. High does nothing where it is not [accepted](Driven::accepts).
    #[inline(always)]
    pub(crate) fn add(&mut self, pin: Driven, drive: Drive) {
        let mask = 1 << pin.pin;
        match drive {
            Drive::Low => self.low |= mask,
            Drive::High if pin.may_be_high => self.high |= mask,
            Drive::High | Drive::Release => self.release |= mask,
        }
    }

    /// At `due`, which is 67 ms away at most, or at once. Until it is [done](Planned::done) nobody else may change pins.
    #[inline(always)]
    pub(crate) fn planned(self, due: Ticks) -> Planned {
        // Pins that begin to be driven do so with the right level, and others change theirs.
        let levels = (pac::SIO.gpio_out(0).value().read() ^ self.high) & (self.low | self.high);
        let driven = pac::SIO.gpio_oe(0).value().read();
        let driven = (!driven & (self.low | self.high)) | (driven & self.release);
        let later = if driven == 0 { LEVELS } else { LEVELS + DRIVEN_LATER };
        let now = clock::count();
        let then = clock::at(now);
        let left = due.since(then).saturating_sub(u64::from(later)) as u32;
        Planned {
            levels,
            driven,
            count: clock::shown(now.wrapping_add(left)),
            at: then + u64::from(left + later),
        }
    }
}

impl Planned {
    /// Waits for its tick, and does it; when it was done.
    #[inline(always)]
    pub(crate) fn done(self) -> Ticks {
        while clock::until(self.count) > ALONE as i32 {}
        let late = critical_section::with(|_| self.change());
        self.at + u64::from(late)
    }

    /// Waits for the rest of the time, and changes the registers, in steps of known length; ticks by which it was
    /// late. In memory, because a cache would make them longer at times.
    #[inline(never)]
    #[unsafe(link_section = ".data.change")]
    fn change(&self) -> u32 {
        // The difference is negative from the tick itself on.
        let before = self.count.wrapping_add(1);
        let mut late: u32;
        // SAFETY: SysTick is read, and two registers of SIO are written, as the functions of `pac` would do.
        unsafe {
            core::arch::asm!(
                "2:",
                "ldr {late}, [{systick}]",
                "subs {late}, {late}, {before}",
                "lsls {late}, {late}, #8",
                "bpl 2b",
                "str {levels}, [{sio}, #0x1C]",
                "str {driven}, [{sio}, #0x2C]",
                late = out(reg) late,
                before = in(reg) before,
                systick = in(reg) clock::CURRENT,
                sio = in(reg) pac::SIO.as_ptr(),
                levels = in(reg) self.levels,
                driven = in(reg) self.driven,
                options(nostack),
            );
        }
        // From -1 on.
        (late as i32 >> 8).unsigned_abs() - 1
    }
}

/// Makes all pins what they are. Nothing is driven.
pub(crate) fn start() {
    release_all();
    listen(0);
    listen_to_bus(false);
    for pin in DRIVEN {
        pad(pin, Pull::None);
        function(pin, SIO);
    }
    for pin in LANES.into_iter().chain([LOOP_BACK[1]]) {
        // A wire that nobody connected is idle, and does not hum.
        pad(pin, Pull::Down);
        function(pin, SIO);
    }
    for pin in INTERNAL {
        deafen(pin);
    }
    function(LED, SIO);
    pac::SIO.gpio_oe(0).value_set().write_value(1 << LED);
}

/// Listens to the inputs in `wanted`. The others are as if they were low: a wire that nobody connected may hum.
pub(crate) fn listen(wanted: u8) {
    for (input, pin) in INPUTS.into_iter().enumerate() {
        if wanted >> input & 1 == 1 {
            pad(pin, Pull::None);
            function(pin, SIO);
        } else {
            deafen(pin);
        }
    }
}

/// Listens to the bus of the display, or does not: then its wires are as if they were low, and the mark is not driven.
pub(crate) fn listen_to_bus(is_wanted: bool) {
    for pin in [BUS_DATA, BUS_COMMAND, BUS_SELECT, BUS_CLOCK] {
        if is_wanted {
            pad(pin, Pull::None);
            function(pin, SIO);
        } else {
            deafen(pin);
        }
    }
    if is_wanted {
        // Without a clock nothing is heard.
        pad(BUS_CLOCK, Pull::Down);
    }
    pad(BUS_MARK, Pull::Down);
    function(BUS_MARK, if is_wanted { PIO1 } else { SIO });
}

/// The number of the input at a pin.
pub(crate) fn input_of(pin: u8) -> Option<u8> {
    if pin == LOOP_BACK[1] {
        return Some(LOOP_BACK_INPUT);
    }
    INPUTS.iter().position(|&input| input == pin).map(|input| input as u8)
}

/// Lets go of everything at once.
pub(crate) fn release_all() {
    let all = DRIVEN.iter().fold(0, |mask, pin| mask | 1 << pin);
    pac::SIO.gpio_oe(0).value_clr().write_value(all);
}

/// Turns the LED over.
pub(crate) fn blink() {
    pac::SIO.gpio_out(0).value_xor().write_value(1 << LED);
}

enum Pull {
    None,
    Down,
}

fn pad(pin: u8, pull: Pull) {
    pac::PADS_BANK0.gpio(usize::from(pin)).write(|pad| {
        pad.set_ie(true);
        pad.set_od(false);
        pad.set_schmitt(true);
        pad.set_drive(STRENGTH);
        pad.set_pue(false);
        pad.set_pde(matches!(pull, Pull::Down));
    });
}

/// Nothing of the pin is heard. What it drives it drives on.
fn deafen(pin: u8) {
    pac::PADS_BANK0.gpio(usize::from(pin)).write(|pad| pad.set_ie(false));
}

fn function(pin: u8, function: u8) {
    pac::IO_BANK0.gpio(usize::from(pin)).ctrl().write(|ctrl| ctrl.set_funcsel(function));
}
