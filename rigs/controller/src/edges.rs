//! Edges of the inputs and of the loop-back.
//!
//! A state machine looks at all of them at once every [`LOOK`] ticks and counts its looks; when a level has changed it says
//! the levels and the count, and takes [`TELL`] ticks more. So an edge is told up to 12 ticks (96 ns) after it was, and
//! two changes of one input within that time may go unseen.

use embassy_rp::pac;
use embassy_rp::pac::dma::vals::TreqSel;
use embassy_rp::pio::program::pio_asm;
use rigor_controller::Ticks;
use rigor_controller::message::{LOOP_BACK_INPUT, Level, Said, Stream};

use crate::outbox::Outbox;
use crate::ring::{self, Space, Tap};
use crate::{clock, wires};

/// Ticks of a look without a change.
const LOOK: u64 = 7;
/// Ticks that a change takes besides.
const TELL: u64 = 5;
/// Ticks from the start to where the first look sees the pins.
const FIRST: u64 = 4;
/// Looks that the machine may have done without a word before they have to be taken into account: it counts in 32 bits.
const FAR: u64 = 1 << 31;
/// Ticks by which a word may be late in memory.
const LAG: u64 = 100;
/// Words of the ring: two for each change.
const RING: usize = 1 << 13;
/// Changes that are told before somebody else gets his turn.
const SLICE: u32 = 32;

const BLOCK: pac::pio::Pio = pac::PIO1;
const MACHINE: usize = 0;
const CHANNEL: usize = 4;
/// The first of the pins that the machine sees; it has to be the loop-back's input.
const BASE: u8 = wires::LOOP_BACK[1];
/// `mov osr, ~null` and `mov y, ~null`; RP2040 datasheet, 3.4. No levels are all ones, so the first look is told.
const PREPARE: [u16; 2] = [0xA0EB, 0xA04B];

#[unsafe(link_section = ".rings")]
static SPACE: Space<RING> = Space::new();

/// What looks at the inputs. It always does; whether anybody is told is another thing.
pub(crate) struct Edges {
    tap: Tap,
    /// Inputs that are told.
    wanted: u8,
    began: Ticks,
    /// Looks before the one that saw the last change, and changes so far.
    looks: u64,
    changes: u64,
    /// Nothing before the first look.
    levels: Option<u32>,
    lost_from: Option<Ticks>,
    /// Everything before it was told.
    complete: Ticks,
}

impl Edges {
    /// Looks from now on, and tells of the loop-back only.
    pub(crate) fn new() -> Self {
        let assembled = pio_asm!(
            ".wrap_target",
            "look:",
            "    mov x, osr",
            "    jmp x-- counted",
            "counted:",
            "    mov osr, x",
            "    mov isr, null",
            "    in pins, 12",
            "    mov x, isr",
            "    jmp x!=y changed",
            ".wrap",
            "changed:",
            "    mov y, x",
            "    push block",
            "    mov isr, osr",
            "    push block",
            "    jmp look",
        );
        for (place, &instruction) in assembled.program.code.iter().enumerate() {
            BLOCK.instr_mem(place).write(|w| w.set_instr_mem(instruction));
        }
        let tap = Tap::new(BLOCK, MACHINE, CHANNEL, TreqSel::PIO1_RX0, &SPACE);
        let registers = tap.registers();
        registers.clkdiv().write(|w| w.set_int(1));
        registers.execctrl().write(|w| {
            w.set_wrap_top(assembled.program.wrap.source);
            w.set_wrap_bottom(assembled.program.wrap.target);
        });
        registers.pinctrl().write(|w| w.set_in_base(BASE));
        registers.shiftctrl().write(|w| w.set_fjoin_rx(true));
        let mut edges = Edges {
            tap,
            wanted: 0,
            began: Ticks(0),
            looks: 0,
            changes: 0,
            levels: None,
            lost_from: None,
            complete: Ticks(0),
        };
        edges.begin();
        edges
    }

    /// Tells of the inputs in `wanted` from now on, and of no others.
    pub(crate) fn record(&mut self, wanted: u8) {
        if wanted != self.wanted {
            self.wanted = wanted;
            wires::listen(wanted);
            self.begin();
        }
        self.lost_from = None;
    }

    fn begin(&mut self) {
        BLOCK.ctrl().modify(|w| w.set_sm_enable(w.sm_enable() & !self.tap.mask()));
        self.tap.begin();
        self.tap.execute(&PREPARE);
        // A jump to the beginning.
        self.tap.execute(&[0]);
        self.levels = None;
        self.began = ring::start(BLOCK, self.tap.mask());
        (self.looks, self.changes) = (0, 0);
        self.complete = self.began;
    }

    /// Tells some of the changes; whether there may be more.
    pub(crate) fn pump(&mut self, outbox: &mut Outbox) -> bool {
        for _ in 0..SLICE {
            let now = clock::now();
            let Some(words) = self.tap.waiting() else {
                self.lost_from.get_or_insert(self.complete);
                self.begin();
                return true;
            };
            if let Some(from) = self.lost_from {
                let until = self.began + FIRST;
                if !outbox.say(Said::Lost { stream: Stream::Edges, from, until }) {
                    return false;
                }
                self.lost_from = None;
            }
            if words < 2 {
                self.complete = self.complete.max(now - LAG);
                self.catch_up(now);
                return false;
            }
            if !self.tell(outbox) {
                return false;
            }
        }
        true
    }

    /// Tells one change; whether there was room for it.
    fn tell(&mut self, outbox: &mut Outbox) -> bool {
        let levels = self.tap.peek(0);
        // The count went down from all ones, once before the first look.
        let looks = self.looks + u64::from((u32::MAX - 1 - self.tap.peek(1)).wrapping_sub(self.looks as u32));
        let at = self.began + (FIRST + looks * LOOK + self.changes * TELL);
        let mut known = self.levels.unwrap_or(levels);
        while known != levels {
            let bit = (known ^ levels).trailing_zeros();
            let input = wires::input_of(BASE + bit as u8);
            let level = if levels >> bit & 1 == 1 { Level::High } else { Level::Low };
            let is_wanted =
                input.is_some_and(|input| input == LOOP_BACK_INPUT || self.wanted >> input & 1 == 1);
            if let Some(input) = input.filter(|_| is_wanted)
                && !outbox.say(Said::Edge { input, at, level })
            {
                return false;
            }
            known ^= 1 << bit;
            self.levels = Some(known);
        }
        self.levels = Some(levels);
        (self.looks, self.changes) = (looks, self.changes + 1);
        self.complete = at;
        self.tap.advance(2);
        true
    }

    /// Counts looks in which nothing happened, before the machine's count runs over.
    fn catch_up(&mut self, now: Ticks) {
        let ticks = now.since(self.began) - self.changes * TELL;
        if ticks - self.looks * LOOK > FAR * LOOK {
            self.looks = ticks / LOOK - FAR / 2;
        }
    }

    /// All before it has been told.
    pub(crate) fn complete(&self) -> Ticks {
        self.lost_from.map_or(self.complete, |lost| lost.min(self.complete))
    }
}
