//! The device's flash chip: its contents, and when it is busy.

use std::rc::Rc;

use rigor_core::event::{FlashBusy, Kind};
use rigor_core::part;
use rigor_core::verdict::Blame;
use rigor_core::{Instant, Source};

use super::{Bench, Missing, Need};

/// The flash chip as a programmer sees it.
pub struct Flash {
    bench: Bench,
    part: Rc<dyn part::Flash>,
}

impl Flash {
    /// Reads `length` bytes at `address`. Where that [interrupts](Self::interrupts) the firmware, the
    /// device begins anew, which is not counted as a start of its own.
    ///
    /// # Errors
    /// The rig's, if the range leaves the chip.
    pub fn read(&self, address: u32, length: u32) -> Result<Vec<u8>, Blame> {
        self.bench.act(format!("flash: read {length:#x} bytes at {address:#x}"))?;
        if self.interrupts()? {
            self.bench.expect_restart();
        }
        Ok(self.part.read(address, length)?)
    }

    /// Whether to read now resets the device: a bench's programmer needs the chip for itself.
    ///
    /// # Errors
    /// The rig's, if the programmer cannot tell.
    pub fn interrupts(&self) -> Result<bool, Blame> {
        Ok(self.part.interrupts()?)
    }

    /// Makes the chip hold `bytes` at `address`, as a programmer does while the device is off. One that
    /// [interrupts](Self::interrupts) a running device has it begin anew, which is not counted either.
    ///
    /// # Errors
    /// The rig's, if the range leaves the chip.
    pub fn write(&self, address: u32, bytes: &[u8]) -> Result<(), Blame> {
        self.bench.act(format!("flash: write {:#x} bytes at {address:#x}", bytes.len()))?;
        if self.interrupts()? {
            self.bench.expect_restart();
        }
        Ok(self.part.write(address, bytes)?)
    }

    /// Where the chip's busy times are recorded; `None` on a rig that cannot see them.
    pub fn busy_source(&self) -> Option<Source> {
        self.part.busy_source()
    }

    /// The operations that began in the given span.
    pub fn busy(&self, from: Instant, until: Instant) -> Vec<(Instant, FlashBusy)> {
        let Some(source) = self.part.busy_source() else { return Vec::new() };
        self.bench
            .timeline
            .events(source, from, until)
            .into_iter()
            .filter_map(|event| match event.kind {
                Kind::FlashBusy(busy) => Some((event.at, busy)),
                _ => None,
            })
            .collect()
    }
}

impl Need for Flash {
    fn take(bench: &Bench) -> Result<Self, Missing> {
        let part = bench.parts.flash.clone().ok_or_else(|| bench.missing("flash programmer", "[flash]"))?;
        Ok(Flash { bench: bench.clone(), part })
    }
}
