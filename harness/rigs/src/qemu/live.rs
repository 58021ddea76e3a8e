//! The QEMU rig in the host's time: for browsers and other people's clients, and not for figures.

pub(super) mod clock;
mod device;
pub(super) mod loopback;

use std::rc::Rc;

use rigor_core::rig::Parts;
use rigor_core::verdict::RigError;
use rigor_core::{Rig, Timeline};

use super::forward::ways;
use super::machine::{Prepared, gauges, lanes};
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
    let forwards = net.addresses();
    let (console, flash_source, device_source) =
        (device.wires.console(), device.wires.flash(), device.source);
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
        net: file.net.as_ref().map(|_| Rc::new(net) as Rc<_>),
        scheduler: file.scheduler.as_ref().map(|_| handle.scheduler()),
        stress: None,
        air: None,
        pins: Default::default(),
        leds: lanes(file, &timeline),
        gauges: gauges(&timeline),
        ports: file.net.iter().flat_map(|net| net.ports.clone()).collect(),
        forwards,
        lacking: file.lacking(),
    };
    Ok(Rig { name: file.name.clone(), fidelity: file.fidelity(), timeline, parts, drive: Box::new(handle) })
}
