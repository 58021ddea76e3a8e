//! Where a case finds its device under test: rig files and the back ends that they name.
//!
//! A rig file ([`mod@file`]) says what is wired to which device. [`take`] turns it into a
//! [`Rig`] whose clock and parts are those of one back end. A new back end is a
//! module here and a line in [`take`].

#[cfg(target_os = "linux")]
pub mod backtrace;
#[cfg(target_os = "linux")]
pub mod bench;
pub mod failing;
pub mod fault;
pub mod file;
#[cfg(target_os = "linux")]
pub mod instrument;
pub mod ports;
#[cfg(target_os = "linux")]
pub mod qemu;
pub mod recording;
pub mod replay;
pub mod serial;
pub mod virtual_rig;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rigor_board::Firmware;
use rigor_core::Rig;
use rigor_core::qualification::Qualification;
use rigor_core::verdict::RigError;

use fault::Model;

pub use bench::ladder::Service;
pub use bench::{Lease, lease};
pub use fault::{Fault, FaultList};
pub use file::{BackEnd, RigFile, RigFileError};
pub use qemu::image::ImageFacts;
pub use recording::{Recording, Recordings};

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

/// Which rig is wanted, and what for.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// The rig.
    pub file: &'a RigFile,
    /// The firmware of virtual boards.
    pub firmwares: &'a Firmwares,
    /// Seed of everything random on the rig.
    pub seed: u64,
    /// What is to be wrong with it, to prove that a case can fail.
    pub fault: Option<&'a Model>,
    /// How often the bench has failed at the same case before.
    pub attempt: u32,
    /// Once set, stops a device that keeps the host's thread.
    pub interrupt: &'a Arc<AtomicBool>,
    /// The case that will run on it, for recordings and replays.
    pub case: &'a str,
    /// Where to record what happens on it.
    pub recording: Option<&'a Recording>,
    /// Whoever orders it holds its [`Lease`] already.
    pub leased: bool,
}

impl<'a> Order<'a> {
    /// The rig of `file` as it should be.
    pub fn new(
        file: &'a RigFile,
        firmwares: &'a Firmwares,
        seed: u64,
        interrupt: &'a Arc<AtomicBool>,
    ) -> Self {
        Order {
            file,
            firmwares,
            seed,
            fault: None,
            attempt: 0,
            interrupt,
            case: "",
            recording: None,
            leased: false,
        }
    }
}

/// Why a rig cannot be had.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The bench does not work.
    #[error(transparent)]
    Fault(#[from] RigError),
    /// The rig replays recordings, and there is none of the case.
    #[error("{0}")]
    NotRecorded(String),
}

/// How the rig of `file` is helped if it fails under a case; `None` for one that is made anew for every case. Whoever calls
/// has the [`Lease`].
///
/// # Errors
/// [`RigError`] if the bench is out of service, with what to do.
pub fn service<'a>(file: &'a RigFile, interrupt: &Arc<AtomicBool>) -> Result<Option<Service<'a>>, RigError> {
    match &file.back_end {
        file::BackEnd::Bench(bench) => Service::of(file, bench, interrupt).map(Some),
        file::BackEnd::Virtual(_) | file::BackEnd::Replay(_) | file::BackEnd::Qemu(_) => Ok(None),
    }
}

/// Lets the rig of `file` prove itself beyond what it does before each case: how soon its device answers over the console
/// and the network. Nothing for a rig without instruments. Whoever calls has the [`Lease`]; `interrupt` ends it.
///
/// # Errors
/// [`RigError`] if the bench does not work.
pub fn prove(file: &RigFile, interrupt: &Arc<AtomicBool>) -> Result<Qualification, RigError> {
    match &file.back_end {
        file::BackEnd::Bench(bench) => bench::examine::prove(file, bench, interrupt),
        file::BackEnd::Virtual(_) | file::BackEnd::Replay(_) | file::BackEnd::Qemu(_) => {
            Ok(Qualification::default())
        }
    }
}

/// Takes the rig that `order` describes.
///
/// # Errors
/// [`Refusal`] if the rig cannot be had, with what to do about it.
pub fn take(order: &Order<'_>) -> Result<Rig, Refusal> {
    let rig = match &order.file.back_end {
        file::BackEnd::Virtual(board) => virtual_rig::take(order, board)?,
        file::BackEnd::Replay(replay) => replay::take(order, replay)?,
        file::BackEnd::Qemu(emulated) => qemu::take(order, emulated)?,
        file::BackEnd::Bench(bench) => bench::take(order, bench)?,
    };
    Ok(match order.recording {
        Some(recording) => recording.of(order, rig),
        None => rig,
    })
}
