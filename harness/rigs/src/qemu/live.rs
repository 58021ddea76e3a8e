//! The QEMU rig in the host's time: for browsers and other people's clients, and not for figures.

pub(super) mod clock;
mod device;
pub(super) mod loopback;

use std::rc::Rc;

use rigor_core::rig::Parts;
use rigor_core::verdict::RigError;
use rigor_core::{Rig, Timeline};

use super::forward::ways;
use super::machine::{Prepared, parts};
use super::parts::Handle;
use crate::Order;
use crate::file::Qemu;
use device::LiveDevice;
use loopback::Loopback;

/// A machine of its own for every call: without power if the rig has a switch, else switched on.
///
/// # Errors
/// As for a machine in its own time, or if the host has no port for it.
pub(super) fn take(order: &Order<'_>, qemu: &Qemu) -> Result<Rig, RigError> {
    let file = order.file;
    let prepared = Prepared::new(order, qemu)?;
    let timeline = Timeline::new();
    let net = Loopback::new(ways(file)?, &timeline, file.uncertainty());
    let device =
        LiveDevice::new(prepared, net.clone(), &timeline, order.interrupt.clone(), file.uncertainty())?;
    let lanes = device.lanes();
    let handle = Handle::new(device, file)?;
    let forwards = net.addresses();
    let parts = Parts { forwards, ..parts(file, &timeline, &handle, lanes, Rc::new(net)) };
    Ok(Rig { name: file.name.clone(), fidelity: file.fidelity(), timeline, parts, drive: Box::new(handle) })
}
