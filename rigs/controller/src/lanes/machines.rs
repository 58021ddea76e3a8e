//! The two state machines of a lane: how they are set up, started and stopped.

use embassy_rp::pac;
use embassy_rp::pac::dma::vals::TreqSel;
use embassy_rp::pio::program::Wrap;
use rigor_controller::Ticks;

use super::program::{self, COUNT, Entries};
use crate::ring::{self, Space, Tap};
use crate::wires;

/// More than 10 ms of the fastest signal that WS2812 allows, 800,000 pulses a second.
const RING: usize = 1 << 13;
const BLOCK: pac::pio::Pio = pac::PIO0;
const REQUESTS: [TreqSel; 4] = [TreqSel::PIO0_RX0, TreqSel::PIO0_RX1, TreqSel::PIO0_RX2, TreqSel::PIO0_RX3];
/// `pull block` and `mov y, osr`; RP2040 datasheet, 3.4.
const TAKE_COUNT: [u16; 2] = [0x80A0, 0xA047];

#[unsafe(link_section = ".rings")]
static SPACES: [Space<RING>; 4] = [const { Space::new() }; 4];

/// A state machine, and where it begins.
pub(super) struct Machine {
    pub(super) tap: Tap,
    entry: u8,
}

/// The machines of a lane: the one that looks first, and the other, a tick behind.
pub(super) type Pair = [Machine; 2];

/// Those of all lanes, standing still.
pub(super) fn set_up() -> [Pair; 2] {
    let (program, Entries { first, second }) = program::load(BLOCK);
    let machine = |number: usize, entry: u8| {
        let tap = Tap::new(BLOCK, number, number, REQUESTS[number], &SPACES[number]);
        set_up_one(&tap, number, wires::LANES[number / 2], program.wrap);
        Machine { tap, entry }
    };
    [0, 2].map(|number| [machine(number, first), machine(number + 1, second)])
}

fn set_up_one(tap: &Tap, number: usize, pin: u8, wrap: Wrap) {
    let registers = tap.registers();
    registers.clkdiv().write(|w| w.set_int(1));
    registers.execctrl().write(|w| {
        w.set_jmp_pin(pin);
        w.set_wrap_top(wrap.source);
        w.set_wrap_bottom(wrap.target);
    });
    // The count comes in by the queue to the machine, before that is joined to the other one.
    registers.shiftctrl().write(|w| w.set_autopush(true));
    BLOCK.txf(number).write_value(COUNT);
    tap.execute(&TAKE_COUNT);
    registers.shiftctrl().write(|w| {
        w.set_autopush(true);
        w.set_fjoin_rx(true);
    });
}

/// Starts both machines of each of the `pairs` in one tick, which is told.
pub(super) fn start<'a>(pairs: impl Iterator<Item = &'a mut Pair>) -> Ticks {
    let mut mask = 0;
    for pair in pairs {
        stop(pair);
        for machine in pair {
            machine.tap.begin();
            // A jump.
            machine.tap.execute(&[u16::from(machine.entry)]);
            mask |= machine.tap.mask();
        }
    }
    ring::start(BLOCK, mask)
}

/// Stops both machines.
pub(super) fn stop(pair: &Pair) {
    let mask = pair[0].tap.mask() | pair[1].tap.mask();
    BLOCK.ctrl().modify(|w| w.set_sm_enable(w.sm_enable() & !mask));
}
