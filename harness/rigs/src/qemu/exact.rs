//! The QEMU rig in exact time: a [`Device`] with the wires of the rig file.

use rigor_core::rig::Parts;
use rigor_core::verdict::RigError;
use rigor_core::{Rig, Timeline};

use super::device::Device;
use super::machine::{Prepared, gauges, lanes};
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
    let (net, console, flash_source) = (device.link.part(), device.wires.console(), device.wires.flash());
    let device_source = device.device_source();
    let handle = Handle::new(device);
    if file.power.is_none() {
        // Nobody can switch it, so it is on.
        handle.power_on()?;
    }
    let parts = Parts {
        console: file.console.as_ref().map(|_| handle.console(console)),
        power: file.power.as_ref().map(|_| handle.power(device_source)),
        reset: file.reset.as_ref().map(|_| handle.pin()),
        flash: file.flash.as_ref().map(|_| handle.programmer(Some(flash_source))),
        net: file.net.as_ref().map(|_| net),
        scheduler: file.scheduler.as_ref().map(|_| handle.scheduler()),
        stress: None,
        air: None,
        pins: Default::default(),
        leds: lanes(file, &timeline),
        gauges: gauges(&timeline),
        ports: file.net.iter().flat_map(|net| net.ports.clone()).collect(),
        forwards: Default::default(),
        lacking: file.lacking(),
    };
    let fidelity = file.fidelity();
    Ok(Rig { name: file.name.clone(), fidelity, timeline, parts, drive: Box::new(handle) })
}
