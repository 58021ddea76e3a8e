//! Rings in memory, to which DMA takes the words of a state machine.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;

use embassy_rp::pac;
use embassy_rp::pac::dma::vals::{DataSize, TreqSel};
use rigor_controller::Ticks;

use crate::clock;

/// Words until a transfer ends. At the fastest it takes hours.
const TRANSFER: u32 = u32::MAX;

/// Space for a ring of `WORDS`, for statics in the section `.rings`. The alignment is the largest that DMA's rings have: one starts over at an address that is
/// a multiple of its size; RP2040 datasheet, 2.5.7.
#[repr(C, align(32768))]
pub(crate) struct Space<const WORDS: usize>(UnsafeCell<MaybeUninit<[u32; WORDS]>>);

// SAFETY: DMA writes, and one `Tap` reads, each word as a whole.
unsafe impl<const WORDS: usize> Sync for Space<WORDS> {}

impl<const WORDS: usize> Space<WORDS> {
    pub(crate) const fn new() -> Self {
        assert!(WORDS.is_power_of_two() && WORDS <= 1 << 13);
        Space(UnsafeCell::new(MaybeUninit::uninit()))
    }
}

/// Starts the machines of a mask, all at the same tick, which is told. The others of the block run on.
pub(crate) fn start(block: pac::pio::Pio, machines: u8) -> Ticks {
    critical_section::with(|_| {
        let mut control = pac::pio::regs::Ctrl(0);
        control.set_sm_restart(machines);
        control.set_sm_enable(block.ctrl().read().sm_enable() | machines);
        // SAFETY: it is what the register is for.
        unsafe { clock::store(block.ctrl().as_ptr().cast(), control.0) }
    })
}

/// A state machine, and the ring to which its words go.
pub(crate) struct Tap {
    block: pac::pio::Pio,
    machine: usize,
    channel: usize,
    request: TreqSel,
    ring: *const u32,
    words: u32,
    /// Words that were read.
    read: u32,
}

// SAFETY: the pointer is to a static.
unsafe impl Send for Tap {}

impl Tap {
    /// Of machine `machine` of `block`, by a DMA channel that nobody else has.
    pub(crate) fn new<const WORDS: usize>(
        block: pac::pio::Pio,
        machine: usize,
        channel: usize,
        request: TreqSel,
        space: &'static Space<WORDS>,
    ) -> Self {
        Tap { block, machine, channel, request, ring: space.0.get().cast(), words: WORDS as u32, read: 0 }
    }

    /// The machine as the bit of a mask.
    pub(crate) fn mask(&self) -> u8 {
        1 << self.machine
    }

    /// The machine's registers.
    pub(crate) fn registers(&self) -> pac::pio::StateMachine {
        self.block.sm(self.machine)
    }

    /// Has the machine, which stands still, execute instructions.
    pub(crate) fn execute(&self, instructions: &[u16]) {
        for &instruction in instructions {
            self.registers().instr().write(|w| w.set_instr(instruction));
        }
    }

    /// Forgets all words, and begins to take new ones. The machine has to stand still.
    pub(crate) fn begin(&mut self) {
        pac::DMA.chan_abort().write(|w| w.set_chan_abort(1 << self.channel));
        while pac::DMA.ch(self.channel).ctrl_trig().read().busy() {}
        while self.block.fstat().read().rxempty() & self.mask() == 0 {
            self.block.rxf(self.machine).read();
        }
        self.block.fdebug().write(|w| w.set_rxstall(self.mask()));
        let channel = pac::DMA.ch(self.channel);
        channel.read_addr().write_value(self.block.rxf(self.machine).as_ptr() as u32);
        channel.write_addr().write_value(self.ring as u32);
        channel.trans_count().write_value(TRANSFER);
        channel.ctrl_trig().write(|w| {
            w.set_data_size(DataSize::SIZE_WORD);
            w.set_incr_write(true);
            w.set_ring_sel(true);
            w.set_ring_size(self.words.trailing_zeros() as u8 + 2);
            w.set_treq_sel(self.request);
            // To itself: to none.
            w.set_chain_to(self.channel as u8);
            w.set_irq_quiet(true);
            w.set_en(true);
        });
        self.read = 0;
    }

    /// Words that wait. `None` if DMA has run over what was not read, or came too late itself, or might run over it while it is
    /// read: whoever reads has asked not long before, as a quarter of the ring takes no longer to fill.
    pub(crate) fn waiting(&self) -> Option<u32> {
        let left = pac::DMA.ch(self.channel).trans_count().read();
        let waiting = (TRANSFER - left).wrapping_sub(self.read);
        let stalled = self.block.fdebug().read().rxstall() & self.mask() != 0;
        (waiting <= self.words - self.words / 4 && !stalled).then_some(waiting)
    }

    /// The transfer goes on for hours.
    pub(crate) fn is_fresh(&self) -> bool {
        self.read < 1 << 31
    }

    /// The word `ahead` words from where was read last; only if that is [waiting](Self::waiting).
    #[inline(always)]
    pub(crate) fn peek(&self, ahead: u32) -> u32 {
        let place = self.read.wrapping_add(ahead) & (self.words - 1);
        // SAFETY: within the ring, whose length is a power of two.
        unsafe { self.ring.add(place as usize).read_volatile() }
    }

    /// Where the words from here on stand, and how many of the `waiting` ones do before the ring starts over.
    pub(crate) fn stretch(&self, waiting: u32) -> (*const u32, u32) {
        let place = self.read & (self.words - 1);
        // Within the ring, whose length is a power of two.
        (self.ring.wrapping_add(place as usize), waiting.min(self.words - place))
    }

    /// So many words were read.
    #[inline(always)]
    pub(crate) fn advance(&mut self, words: u32) {
        self.read = self.read.wrapping_add(words);
    }
}
