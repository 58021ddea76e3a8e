//! A NOR flash chip: its rules, its times, and what a power cut leaves behind.
//!
//! Erasing sets whole sectors to ones, programming only clears bits, and the chip does one thing
//! at a time. A caller polls the chip until it is ready, as a driver without an interrupt does, so
//! it keeps its core against lower priorities while higher ones run. Contents change at the end of
//! an operation; a power cut in between leaves a torn sector or page.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;
use rigor_core::event::{FlashBusy, FlashOperation, Kind};
use rigor_core::time::nanos;
use rigor_core::{Instant, Source};

use crate::clock::Rate;
use crate::cpu;
use crate::fault::Bit;
use crate::heap::outside_firmware;
use crate::kernel::Kernel;

/// Bytes of an erase unit.
pub const SECTOR_BYTES: usize = 4096;
/// Bytes that one program operation can write, within one aligned page.
pub const PAGE_BYTES: usize = 256;

/// Size and times of a chip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlashConfig {
    /// Capacity in bytes, a multiple of [`SECTOR_BYTES`].
    pub bytes: usize,
    /// Time to erase one sector.
    pub erase_sector: Duration,
    /// Time to program one page, whole or in part.
    pub program_page: Duration,
    /// Time to transfer one byte.
    pub transfer_byte: Duration,
}

impl Default for FlashConfig {
    /// Typical times of the W25Q64JV (Winbond datasheet, AC characteristics: sector erase 45 ms,
    /// page program 0.4 ms), read at 80 MHz over four lines (25 ns a byte); 8 MiB as on the K1.
    fn default() -> Self {
        FlashConfig {
            bytes: 8 * 1024 * 1024,
            erase_sector: Duration::from_millis(45),
            program_page: Duration::from_micros(400),
            transfer_byte: Duration::from_nanos(25),
        }
    }
}

struct InFlight {
    operation: FlashOperation,
    address: usize,
    /// What is programmed; empty for an erase.
    data: Vec<u8>,
    started: Instant,
    duration: Duration,
}

type Sector = Box<[u8; SECTOR_BYTES]>;

/// Cells that always read the same.
struct StuckCells {
    address: usize,
    every: Option<usize>,
    mask: u8,
    reads: Bit,
}

impl StuckCells {
    /// What is read of `bytes`, which stand at `address`.
    fn distort(&self, address: usize, bytes: &mut [u8]) {
        let end = address + bytes.len();
        let skipped =
            self.every.map_or(0, |every| address.saturating_sub(self.address).div_ceil(every) * every);
        let mut at = self.address + skipped;
        while (address..end).contains(&at) {
            let byte = &mut bytes[at - address];
            *byte = match self.reads {
                Bit::Zero => *byte & !self.mask,
                Bit::One => *byte | self.mask,
            };
            let Some(every) = self.every else { return };
            at += every;
        }
    }
}

pub(crate) struct FlashChip {
    config: FlashConfig,
    stuck: Vec<StuckCells>,
    /// How the clock of the bus to the chip keeps time.
    bus_rate: Rate,
    /// A sector that is not here is erased.
    sectors: BTreeMap<usize, Sector>,
    in_flight: Option<InFlight>,
    busy_until: Instant,
    source: Source,
}

impl FlashChip {
    pub(crate) fn new(config: FlashConfig, source: Source) -> Self {
        FlashChip {
            config,
            stuck: Vec::new(),
            bus_rate: Rate::EXACT,
            sectors: BTreeMap::new(),
            in_flight: None,
            busy_until: Instant::ZERO,
            source,
        }
    }

    /// The bus to the chip is fast or slow.
    pub(crate) fn clock_at(&mut self, rate: Rate) {
        self.bus_rate = rate;
    }

    /// Erasing and programming take `factor` times as long.
    pub(crate) fn slow_down(&mut self, factor: u32) {
        self.config.erase_sector = self.config.erase_sector.saturating_mul(factor);
        self.config.program_page = self.config.program_page.saturating_mul(factor);
    }

    /// Bit `bit` of the byte at `address`, and of one each `every` bytes behind it, always reads as
    /// `reads`.
    pub(crate) fn stick(&mut self, address: u32, every: Option<NonZeroU32>, bit: u8, reads: Bit) {
        let every = every.map(|every| every.get() as usize);
        let mask = 1_u8.checked_shl(bit.into()).unwrap_or(0);
        self.stuck.push(StuckCells { address: address as usize, every, mask, reads });
    }

    /// Whether it erases or programs, and until when.
    pub(crate) fn changing_until(&self) -> Option<Instant> {
        self.in_flight.as_ref().map(|_| self.busy_until)
    }

    /// Time to move `bytes` bytes over the bus.
    fn transfer(&self, bytes: usize) -> Duration {
        let nominal = self.config.transfer_byte.saturating_mul(bytes as u32);
        Duration::from_nanos(self.bus_rate.true_nanos(nanos(nominal)))
    }

    pub(crate) fn source(&self) -> Source {
        self.source
    }

    pub(crate) fn capacity(&self) -> usize {
        self.config.bytes
    }

    /// Gives the memory back.
    pub(crate) fn forget(&mut self) {
        self.sectors.clear();
        self.in_flight = None;
    }

    fn check(&self, address: usize, length: usize, align: usize) -> Result<(), FlashError> {
        if !address.is_multiple_of(align) || !length.is_multiple_of(align) {
            return Err(FlashError::NotAligned { address, length, align });
        }
        if address.checked_add(length).is_none_or(|end| end > self.config.bytes) {
            return Err(FlashError::OutOfBounds { address, length, capacity: self.config.bytes });
        }
        Ok(())
    }

    pub(crate) fn read(&self, address: usize, buffer: &mut [u8]) {
        let mut at = address;
        let mut rest = &mut *buffer;
        while !rest.is_empty() {
            let within = at % SECTOR_BYTES;
            let (part, tail) = rest.split_at_mut((SECTOR_BYTES - within).min(rest.len()));
            match self.sectors.get(&(at / SECTOR_BYTES)) {
                Some(sector) => part.copy_from_slice(&sector[within..within + part.len()]),
                None => part.fill(0xFF),
            }
            at += part.len();
            rest = tail;
        }
        for cells in &self.stuck {
            cells.distort(address, buffer);
        }
    }

    fn sector(&mut self, index: usize) -> &mut Sector {
        self.sectors.entry(index).or_insert_with(|| Box::new([0xFF; SECTOR_BYTES]))
    }

    /// Sets the contents as a programmer does, in no time.
    pub(crate) fn load(&mut self, address: usize, bytes: &[u8]) {
        let mut at = address;
        let mut rest = bytes;
        while !rest.is_empty() {
            let within = at % SECTOR_BYTES;
            let (part, tail) = rest.split_at((SECTOR_BYTES - within).min(rest.len()));
            self.sector(at / SECTOR_BYTES)[within..within + part.len()].copy_from_slice(part);
            at += part.len();
            rest = tail;
        }
    }

    fn begin(&mut self, operation: FlashOperation, address: usize, data: &[u8], now: Instant) -> Instant {
        let duration = match operation {
            FlashOperation::Erase => self.config.erase_sector,
            FlashOperation::Program => self.config.program_page + self.transfer(data.len()),
        };
        self.busy_until = now + duration;
        self.in_flight = Some(InFlight { operation, address, data: data.to_vec(), started: now, duration });
        self.busy_until
    }

    /// Ends the operation in flight; its record for the timeline.
    fn end(&mut self) -> Option<(Instant, FlashBusy)> {
        let done = self.in_flight.take()?;
        match done.operation {
            FlashOperation::Erase => {
                self.sectors.remove(&(done.address / SECTOR_BYTES));
            }
            FlashOperation::Program => {
                let mut at = done.address;
                let mut rest = &done.data[..];
                while !rest.is_empty() {
                    let within = at % SECTOR_BYTES;
                    let (part, tail) = rest.split_at((SECTOR_BYTES - within).min(rest.len()));
                    let cells = &mut self.sector(at / SECTOR_BYTES)[within..];
                    cells.iter_mut().zip(part).for_each(|(cell, byte)| *cell &= byte);
                    at += part.len();
                    rest = tail;
                }
            }
        }
        Some((done.started, done.record(done.duration)))
    }

    /// The supply goes away: what was in flight is torn. Its record for the timeline, with the time that
    /// it truly had.
    fn tear(&mut self, now: Instant, random: &mut ChaCha8Rng) -> Option<(Instant, FlashBusy)> {
        self.busy_until = self.busy_until.min(now);
        let torn = self.in_flight.take()?;
        let elapsed = now.since(torn.started);
        let progress = elapsed.as_nanos() as f64 / torn.duration.as_nanos().max(1) as f64;
        let within = torn.address % SECTOR_BYTES;
        let sector = self.sector(torn.address / SECTOR_BYTES);
        match torn.operation {
            FlashOperation::Erase => tear_erase(&mut sector[..], progress, random),
            FlashOperation::Program => tear_program(&mut sector[within..], &torn.data, progress, random),
        }
        Some((torn.started, torn.record(elapsed)))
    }
}

/// What erasing leaves in the `cells` of a sector when it stops at `progress` (0 to 1): a random part of the
/// bits is set, in proportion.
pub fn tear_erase(cells: &mut [u8], progress: f64, random: &mut impl RngCore) {
    // A cell of value v erases once the progress has passed its own threshold.
    let threshold = (progress * 256.0) as u32;
    for byte in cells {
        let thresholds = random.next_u64();
        let mut raised = 0;
        for bit in 0..8 {
            if ((thresholds >> (bit * 8)) as u32 & 0xFF) < threshold {
                raised |= 1 << bit;
            }
        }
        *byte |= raised;
    }
}

/// What programming `data` leaves in `cells`, the first of which is that of `data`, when it stops at
/// `progress` (0 to 1): the first bytes are written, and some bits of the next one.
pub fn tear_program(cells: &mut [u8], data: &[u8], progress: f64, random: &mut impl RngCore) {
    let written = (progress * data.len() as f64) as usize;
    for (offset, (cell, &byte)) in cells.iter_mut().zip(data).enumerate().take(written + 1) {
        let partial = if offset == written { random.next_u32() as u8 } else { 0 };
        *cell &= byte | partial;
    }
}

impl InFlight {
    fn record(&self, duration: Duration) -> FlashBusy {
        FlashBusy {
            operation: self.operation,
            address: self.address as u32,
            length: if self.operation == FlashOperation::Erase {
                SECTOR_BYTES as u32
            } else {
                self.data.len() as u32
            },
            duration,
        }
    }
}

/// Why the chip refused a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FlashError {
    /// The driver must align.
    #[error("{length} bytes at {address:#x} are not aligned to {align}; round address and length")]
    NotAligned {
        /// First byte.
        address: usize,
        /// Bytes.
        length: usize,
        /// What both must be multiples of.
        align: usize,
    },
    /// The range leaves the chip.
    #[error("{length} bytes at {address:#x} leave the chip of {capacity:#x} bytes")]
    OutOfBounds {
        /// First byte.
        address: usize,
        /// Bytes.
        length: usize,
        /// Size of the chip.
        capacity: usize,
    },
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            FlashError::NotAligned { .. } => NorFlashErrorKind::NotAligned,
            FlashError::OutOfBounds { .. } => NorFlashErrorKind::OutOfBounds,
        }
    }
}

/// The firmware's view of the chip. Clones share it and wait for each other. Calls block the task.
#[derive(Clone)]
pub struct FlashHandle(pub(crate) Rc<Kernel>);

impl FlashHandle {
    fn wait_until_ready(&self) {
        cpu::note_call(&self.0);
        loop {
            let busy_until = self.0.flash.borrow().busy_until;
            if busy_until <= self.0.now() {
                return;
            }
            cpu::poll_until(&self.0, busy_until);
            if self.0.now() < busy_until {
                // Outside of a task nobody can wait: the operation takes effect at once.
                finish(&self.0);
                return;
            }
        }
    }

    fn operate(&self, operation: FlashOperation, address: usize, data: &[u8]) {
        self.wait_until_ready();
        if self.0.is_inert() {
            return;
        }
        let started = self.0.now();
        let (end, source) = {
            let mut flash = self.0.flash.borrow_mut();
            (flash.begin(operation, address, data, started), flash.source)
        };
        self.0.hold(source, started);
        crate::pulse::flash_changes(&self.0, end);
        // The chip has no reset line: only a power cut stops it, and that takes `in_flight` away.
        self.0.schedule_outside(end, move |kernel| {
            let due = kernel.flash.borrow().busy_until == end;
            if due {
                finish(kernel);
            }
        });
        cpu::poll_until(&self.0, end);
    }
}

fn finish(kernel: &Kernel) {
    let done = kernel.flash.borrow_mut().end();
    deliver(kernel, done);
    let mut flash = kernel.flash.borrow_mut();
    flash.busy_until = flash.busy_until.min(kernel.now());
}

/// The supply goes away.
pub(crate) fn power_cut(kernel: &Kernel) {
    let torn = kernel.flash.borrow_mut().tear(kernel.now(), &mut kernel.random.borrow_mut());
    deliver(kernel, torn);
}

fn deliver(kernel: &Kernel, done: Option<(Instant, FlashBusy)>) {
    if let Some((started, record)) = done {
        let source = kernel.flash.borrow().source();
        kernel.record(source, started, Kind::FlashBusy(record));
        kernel.release(source);
    }
}

impl ErrorType for FlashHandle {
    type Error = FlashError;
}

impl ReadNorFlash for FlashHandle {
    // As esp-storage without its byte-wise option.
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        outside_firmware(|| {
            self.0.flash.borrow().check(offset as usize, bytes.len(), Self::READ_SIZE)?;
            self.wait_until_ready();
            let end = {
                let mut flash = self.0.flash.borrow_mut();
                flash.read(offset as usize, bytes);
                let end = self.0.now() + flash.transfer(bytes.len());
                flash.busy_until = end;
                end
            };
            cpu::poll_until(&self.0, end);
            Ok(())
        })
    }

    fn capacity(&self) -> usize {
        self.0.flash.borrow().config.bytes
    }
}

impl NorFlash for FlashHandle {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = SECTOR_BYTES;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        outside_firmware(|| {
            let Some(length) = (to as usize).checked_sub(from as usize) else {
                let capacity = self.capacity();
                return Err(FlashError::OutOfBounds { address: from as usize, length: 0, capacity });
            };
            self.0.flash.borrow().check(from as usize, length, Self::ERASE_SIZE)?;
            for address in (from as usize..to as usize).step_by(SECTOR_BYTES) {
                self.operate(FlashOperation::Erase, address, &[]);
            }
            Ok(())
        })
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        outside_firmware(|| {
            self.0.flash.borrow().check(offset as usize, bytes.len(), Self::WRITE_SIZE)?;
            let mut address = offset as usize;
            let mut rest = bytes;
            while !rest.is_empty() {
                let within_page = (PAGE_BYTES - address % PAGE_BYTES).min(rest.len());
                let (page, tail) = rest.split_at(within_page);
                self.operate(FlashOperation::Program, address, page);
                address += page.len();
                rest = tail;
            }
            Ok(())
        })
    }
}

impl MultiwriteNorFlash for FlashHandle {}
