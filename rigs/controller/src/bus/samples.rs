//! Samples of the bus, and when they were taken.
//!
//! A state machine looks at the wires whenever the clock rises, and DMA takes each eight samples to a ring; a second
//! channel, which the first one starts, puts the timer's microseconds beside them. A second state machine turns over a pin of
//! ours, the mark, each time when the chip is selected. That is sampled with the rest, so that two transfers are told from
//! one though there is nothing to sample between them.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

use embassy_rp::pac;
use embassy_rp::pac::dma::vals::{DataSize, TreqSel};
use embassy_rp::pio::program::{Program, pio_asm};
use rigor_controller::Ticks;

use crate::{ring, wires};

const BLOCK: pac::pio::Pio = pac::PIO1;
const LOOKER: usize = 1;
const MARKER: usize = 2;
const MACHINES: u8 = 1 << LOOKER | 1 << MARKER;
/// DMA's channels.
const WORDS: usize = 5;
const STAMPS: usize = 6;
/// Where the programs are in the block; before them is that of the edges.
const LOOKER_AT: u8 = 16;
const MARKER_AT: u8 = 20;
/// `set pins, 0` and `set pindirs, 1`; RP2040 datasheet, 3.4.
const MARK_LOW: [u16; 2] = [0xE000, 0xE081];

/// Words in each of the rings: bytes of the bus.
const RING: u32 = 1 << 12;
/// A stamp becomes ambiguous after 2^31 microseconds; all of them are renewed long before.
const RENEWED_AFTER: u32 = 1 << 29;

/// A ring of samples, and one of stamps; both start over at multiples of their own length.
#[repr(C, align(16384))]
struct Rings {
    words: UnsafeCell<MaybeUninit<[u32; RING as usize]>>,
    stamps: UnsafeCell<MaybeUninit<[u32; RING as usize]>>,
}

// SAFETY: DMA and one `Samples` read and write them, each word as a whole.
unsafe impl Sync for Rings {}

#[unsafe(link_section = ".rings")]
static RINGS: Rings =
    Rings { words: UnsafeCell::new(MaybeUninit::uninit()), stamps: UnsafeCell::new(MaybeUninit::uninit()) };

fn word_at(place: u32) -> *mut u32 {
    RINGS.words.get().cast::<u32>().wrapping_add((place % RING) as usize)
}

fn stamp_at(place: u32) -> *mut u32 {
    RINGS.stamps.get().cast::<u32>().wrapping_add((place % RING) as usize)
}

/// What takes samples.
pub(super) struct Samples {
    /// Where was read last.
    place: u32,
    /// When it was looked at last how many there are, in microseconds.
    looked: u32,
    /// When the stamps were renewed last.
    renewed: u32,
}

/// The chip is not selected.
pub(super) fn is_deselected() -> bool {
    pac::SIO.gpio_in(0).read() >> wires::BUS_SELECT & 1 == 1
}

impl Samples {
    /// None are taken.
    pub(super) fn new() -> Self {
        let looker = pio_asm!(
            // Not from the middle of a transfer.
            "wait 1 gpio 8",
            ".wrap_target",
            "wait 0 gpio 9",
            "wait 1 gpio 9",
            "in pins, 4",
            ".wrap",
        );
        let marker = pio_asm!(
            ".wrap_target",
            "wait 0 gpio 8",
            "set pins, 1",
            "wait 1 gpio 8",
            "wait 0 gpio 8",
            "set pins, 0",
            "wait 1 gpio 8",
            ".wrap",
        );
        const { assert!(wires::BUS_SELECT == 8 && wires::BUS_CLOCK == 9) };
        set_up(LOOKER, LOOKER_AT, &looker.program);
        set_up(MARKER, MARKER_AT, &marker.program);
        let machine = BLOCK.sm(LOOKER);
        machine.pinctrl().write(|w| w.set_in_base(wires::BUS_MARK));
        machine.shiftctrl().write(|w| {
            w.set_autopush(true);
            // The first sample is the uppermost.
            w.set_in_shiftdir(false);
            w.set_fjoin_rx(true);
        });
        BLOCK.sm(MARKER).pinctrl().write(|w| {
            w.set_set_base(wires::BUS_MARK);
            w.set_set_count(1);
        });
        // The mark comes of the same clock, and needs no synchroniser, which would only hold it up.
        BLOCK.input_sync_bypass().write_value(1 << wires::BUS_MARK);
        Samples { place: 0, looked: 0, renewed: 0 }
    }

    /// Forgets all samples, and takes new ones; since when. Samples begin when the chip is not selected.
    pub(super) fn begin(&mut self) -> Ticks {
        self.stop();
        wires::listen_to_bus(true);
        pac::DMA.chan_abort().write(|w| w.set_chan_abort(1 << WORDS | 1 << STAMPS));
        while [WORDS, STAMPS].iter().any(|&channel| pac::DMA.ch(channel).ctrl_trig().read().busy()) {}
        while BLOCK.fstat().read().rxempty() & 1 << LOOKER == 0 {
            BLOCK.rxf(LOOKER).read();
        }
        BLOCK.fdebug().write(|w| w.set_rxstall(1 << LOOKER));
        self.renew(pac::TIMER.timerawl().read());

        let stamps = pac::DMA.ch(STAMPS);
        stamps.read_addr().write_value(pac::TIMER.timerawl().as_ptr() as u32);
        stamps.write_addr().write_value(stamp_at(0) as u32);
        stamps.trans_count().write_value(1);
        stamps.al1_ctrl().write_value(control(TreqSel::PERMANENT, WORDS).0);
        let words = pac::DMA.ch(WORDS);
        words.read_addr().write_value(BLOCK.rxf(LOOKER).as_ptr() as u32);
        words.write_addr().write_value(word_at(0) as u32);
        words.trans_count().write_value(1);
        words.ctrl_trig().write_value(control(TreqSel::PIO1_RX1, STAMPS));
        self.place = 0;

        // They may stand in a wait, which is not to be taken for one of the new beginning.
        BLOCK.ctrl().modify(|w| w.set_sm_restart(MACHINES));
        for instruction in MARK_LOW {
            BLOCK.sm(MARKER).instr().write(|w| w.set_instr(instruction));
        }
        for (machine, at) in [(LOOKER, LOOKER_AT), (MARKER, MARKER_AT)] {
            // A jump.
            BLOCK.sm(machine).instr().write(|w| w.set_instr(u16::from(at)));
        }
        ring::start(BLOCK, MACHINES)
    }

    /// The chip was deselected since then.
    pub(super) fn have_begun(&self) -> bool {
        BLOCK.sm(LOOKER).addr().read().addr() != LOOKER_AT
    }

    /// Takes none any more, and listens to nothing.
    pub(super) fn stop(&mut self) {
        BLOCK.ctrl().modify(|w| w.set_sm_enable(w.sm_enable() & !MACHINES));
        wires::listen_to_bus(false);
    }

    /// Words that wait. `None` if DMA has run over what was not read, or came too late itself, or might run over it while it is
    /// read.
    pub(super) fn waiting(&mut self) -> Option<u32> {
        let now = pac::TIMER.timerawl().read();
        let (written, oldest) = loop {
            let written = Self::written();
            // SAFETY: within the ring.
            let oldest = unsafe { stamp_at(written).read_volatile() };
            // Else it may have been written between the two.
            if Self::written() == written {
                break (written, oldest);
            }
        };
        let waiting = written.wrapping_sub(self.place) % RING;
        // What will be written over next is the oldest of all, so it was there when it was looked last; if it is newer, there was
        // a whole round since then.
        let is_lapped = oldest.wrapping_sub(self.looked) as i32 >= 0;
        let is_stalled = BLOCK.fdebug().read().rxstall() & 1 << LOOKER != 0;
        self.looked = now;
        (!is_lapped && !is_stalled && waiting <= RING - RING / 4).then_some(waiting)
    }

    /// Where DMA puts the next stamp, after the word that it is of.
    fn written() -> u32 {
        (pac::DMA.ch(STAMPS).write_addr().read() - stamp_at(0) as u32) / 4
    }

    /// The next eight samples, and the microsecond at which the last of them was there; only if there are
    /// [some](Self::waiting).
    pub(super) fn peek(&self) -> (u32, u32) {
        // SAFETY: within the rings.
        unsafe { (word_at(self.place).read_volatile(), stamp_at(self.place).read_volatile()) }
    }

    /// The samples of so many words, which [wait](Self::waiting).
    pub(super) fn words(&self, count: u32) -> impl Iterator<Item = u32> + use<> {
        let place = self.place;
        // SAFETY: within the ring.
        (0..count).map(move |ahead| unsafe { word_at(place.wrapping_add(ahead)).read_volatile() })
    }

    /// So many words were read.
    pub(super) fn advance(&mut self, words: u32) {
        self.place = self.place.wrapping_add(words);
    }

    /// Keeps stamps from becoming ambiguous. Only when nothing waits.
    pub(super) fn refresh(&mut self) {
        let now = pac::TIMER.timerawl().read();
        if now.wrapping_sub(self.renewed) > RENEWED_AFTER {
            self.renew(now);
        }
    }

    /// All stamps are older than now. One that DMA writes meanwhile is a microsecond off.
    fn renew(&mut self, now: u32) {
        for place in 0..RING {
            // SAFETY: within the ring.
            unsafe { stamp_at(place).write_volatile(now.wrapping_sub(1)) };
        }
        (self.renewed, self.looked) = (now, now);
    }
}

fn set_up(machine: usize, at: u8, program: &Program<32>) {
    // None of them has a jump, so they may be anywhere.
    for (place, &instruction) in program.code.iter().enumerate() {
        BLOCK.instr_mem(usize::from(at) + place).write(|w| w.set_instr_mem(instruction));
    }
    let registers = BLOCK.sm(machine);
    registers.clkdiv().write(|w| w.set_int(1));
    registers.execctrl().write(|w| {
        w.set_wrap_top(at + program.wrap.source);
        w.set_wrap_bottom(at + program.wrap.target);
    });
}

/// A channel that does one word, goes round its ring, and then starts the other.
fn control(request: TreqSel, next: usize) -> pac::dma::regs::CtrlTrig {
    let mut control = pac::dma::regs::CtrlTrig(0);
    control.set_data_size(DataSize::SIZE_WORD);
    control.set_incr_write(true);
    control.set_ring_sel(true);
    control.set_ring_size(RING.trailing_zeros() as u8 + 2);
    control.set_treq_sel(request);
    control.set_chain_to(next as u8);
    control.set_irq_quiet(true);
    control.set_en(true);
    control
}
