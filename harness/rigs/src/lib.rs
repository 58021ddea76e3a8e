//! Where a case finds its device under test: rig files and the back ends that they name.
//!
//! A rig file ([`mod@file`]) says what is wired to which device. [`take`] turns it into a
//! [`Rig`] whose clock and parts are those of one back end. A new back end is a
//! module here and a line in [`take`].

pub mod file;
pub mod virtual_rig;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rigor_board::Firmware;
use rigor_core::Rig;
use rigor_core::verdict::RigError;

pub use file::{RigFile, RigFileError};

/// Firmware that runs on virtual boards, by the name of its device. The harness knows no firmware:
/// a suite hands them in.
#[derive(Clone, Default)]
pub struct Firmwares(BTreeMap<&'static str, fn() -> Rc<dyn Firmware>>);

impl Firmwares {
    /// None at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the firmware of device `dut`.
    #[must_use]
    pub fn with(mut self, dut: &'static str, firmware: fn() -> Rc<dyn Firmware>) -> Self {
        self.0.insert(dut, firmware);
        self
    }

    /// The firmware of device `dut`.
    pub fn get(&self, dut: &str) -> Option<Rc<dyn Firmware>> {
        self.0.get(dut).map(|firmware| firmware())
    }

    fn names(&self) -> String {
        self.0.keys().copied().collect::<Vec<_>>().join(", ")
    }
}

/// Takes the rig that `file` describes. `interrupt`, once set, stops a device that keeps the
/// host's thread.
///
/// # Errors
/// [`RigError`] if the rig cannot be had, with what to do about it.
pub fn take(
    file: &RigFile,
    firmwares: &Firmwares,
    seed: u64,
    interrupt: &Arc<AtomicBool>,
) -> Result<Rig, RigError> {
    match &file.back_end {
        file::BackEnd::Virtual(board) => {
            let firmware = firmwares.get(&file.dut).ok_or_else(|| {
                RigError(format!(
                    "rig `{}`: no firmware of `{}` is built into this suite (known: {}); correct `dut` in {}",
                    file.name,
                    file.dut,
                    firmwares.names(),
                    file.path
                ))
            })?;
            virtual_rig::take(file, board, firmware, seed, interrupt)
        }
    }
}
