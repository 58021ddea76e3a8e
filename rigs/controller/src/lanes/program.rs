//! The program of the state machines that measure a lane.
//!
//! A state machine looks at its pin every second tick. Two of them share a lane, and one looks while the
//! other counts: each edge is seen by one of them in its tick, and by the other one tick later, so that half the
//! sum of both is exact. For that to hold, every way through the program from one look to the next takes an even
//! number of ticks.
//!
//! Each pulse is a word: what was left of the count while the pin was high in the upper half, and while
//! it was low in the lower. A count that ran out leaves [`OUT`].

use embassy_rp::pac;
use embassy_rp::pio::program::{Program, pio_asm};

/// Where the counts begin. Two of them fit into 16 bits.
pub(super) const COUNT: u32 = 0x7FFE;
/// What is left of a count that ran out.
pub(super) const OUT: u32 = 0xFFFF;
/// The word of a count that ran out while the pin was low for longer than a pulse.
pub(super) const STILL_IDLE: u32 = u32::MAX;

/// Ticks from an edge to the look after it.
pub(super) const AFTER_EDGE: u32 = 4;
/// The same for a rise that ended a pause.
pub(super) const AFTER_PAUSE: u32 = 6;
/// Ticks from the last look of a count that ran out to the first of the next, at the low level.
pub(super) const SEAM: u32 = 4;
/// The same at the high level.
pub(super) const HIGH_SEAM: u32 = 8;
/// Ticks from the start to the first look.
pub(super) const FIRST_LOOK: u32 = 1;

/// Where the first machine of a lane begins, and its companion, a tick behind.
#[derive(Clone, Copy)]
pub(super) struct Entries {
    pub(super) first: u8,
    pub(super) second: u8,
}

/// Writes the program to the block, with the bounds of its loop.
pub(super) fn load(block: pac::pio::Pio) -> (Program<32>, Entries) {
    let assembled = pio_asm!(
        "public second:",
        "    jmp first",
        "low_again:",
        "    mov x, y",
        "low:",
        "    jmp pin rise",
        "    jmp x-- low",
        "    in x, 16",
        ".wrap_target",
        "public first:",
        "    mov x, y",
        "pause:",
        "    jmp pin rise_after_pause",
        "    jmp x-- pause",
        "    in x, 32",
        ".wrap",
        "rise_after_pause:",
        "    in null, 16",
        "    nop",
        "rise:",
        "    in x, 16",
        "high_again:",
        "    mov x, y",
        "    nop",
        "high:",
        "    jmp pin still_high",
        "    in x, 16",
        "    jmp low_again",
        "still_high:",
        "    jmp x-- high",
        "    in x, 16",
        "    in null, 16",
        "    nop",
        "    jmp high_again",
    );
    for (place, &instruction) in assembled.program.code.iter().enumerate() {
        block.instr_mem(place).write(|w| w.set_instr_mem(instruction));
    }
    let entries = Entries {
        first: assembled.public_defines.first as u8,
        second: assembled.public_defines.second as u8,
    };
    (assembled.program, entries)
}
