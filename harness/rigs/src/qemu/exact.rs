//! The QEMU rig in exact time: a [`Device`] with the wires of the rig file.

use rigor_core::verdict::RigError;
use rigor_core::{Rig, Timeline};

use super::device::Device;
use super::machine::{Prepared, parts};
use super::parts::Handle;
use crate::Order;
use crate::file::{Exact, Qemu};

/// A machine of its own for every call: without power if the rig has a switch, else switched on.
///
/// # Errors
/// [`RigError`] if there is no emulator, no image, no firmware of the device with the wanted defect, or if
/// the wanted fault is none that an emulated device can have.
pub(super) fn take(order: &Order<'_>, qemu: &Qemu, exact: Exact) -> Result<Rig, RigError> {
    let file = order.file;
    let prepared = Prepared::new(order, qemu)?;
    let timeline = Timeline::new();
    let device = Device::new(prepared, exact, &timeline, order.interrupt.clone())?;
    let (net, lanes) = (device.link.part(), device.lanes());
    let handle = Handle::new(device, file)?;
    let parts = parts(file, &timeline, &handle, lanes, net);
    let fidelity = file.fidelity();
    Ok(Rig { name: file.name.clone(), fidelity, timeline, parts, drive: Box::new(handle) })
}
