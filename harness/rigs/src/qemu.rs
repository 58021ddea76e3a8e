//! Emulated devices: QEMU as a child process.
//!
//! The device's memory is a file without a name that both map (`ram`), and two pipes carry a byte each way
//! whenever the device wants to meet the harness: it rings, and stands still until it is answered
//! (`guest`). A process of it is told everything on its command line (`command_line`) and by inherited
//! descriptors (`process`), so nothing of it is on a disk, and it ends with whoever started it. The other end
//! of its network is in the harness (`link`).

mod boot;
mod command_line;
mod device;
mod ends;
mod error;
mod espressif;
mod exact;
mod forward;
mod guest;
mod heap;
pub mod image;
mod life;
pub(crate) mod link;
mod live;
mod machine;
mod mailbox;
mod parts;
mod process;
mod ram;
mod typing;
mod version;
mod wires;

use rigor_core::Rig;
use rigor_core::verdict::RigError;

use crate::Order;
use crate::file::{Qemu, QemuBoard};

pub use error::{Ending, LastWords, QemuError, When};
pub(crate) use process::end_with_this_thread;
pub use ram::OutsideRam;
pub use version::{Installed, Version, emulates, installed};

/// The rig of `order`, on the machine that its file describes.
pub(crate) fn take(order: &Order<'_>, qemu: &Qemu) -> Result<Rig, RigError> {
    match qemu.board {
        QemuBoard::Exact(exact) => exact::take(order, qemu, exact),
        QemuBoard::Live => live::take(order, qemu),
        QemuBoard::Espressif(chip) => espressif::take(order, qemu, chip),
    }
}

/// A program of `tests/stand-ins`, which behaves as some QEMU could.
#[cfg(test)]
fn stand_in(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand-ins").join(name)
}
