//! The QEMU rig in exact time: a [`Device`] with the wires of the rig file.

use std::cell::RefCell;
use std::rc::Rc;

use rigor_agent::layout::{RAM_BYTES, flash};
use rigor_board::{BoardConfig, Firmware};
use rigor_core::part;
use rigor_core::rig::{Drive, Lane, Parts};
use rigor_core::verdict::RigError;
use rigor_core::{Instant, Rig, Source, Timeline};

use super::device::{Device, Machine};
use super::error::QemuError;
use super::image::load;
use super::version::installed;
use crate::Order;
use crate::fault::Model;
use crate::file::{Qemu, QemuBoard, VirtualBoard};

/// The device, by everybody who has a hand on it.
#[derive(Clone)]
struct Handle(Rc<RefCell<Device>>);

struct QemuDrive(Handle);

impl Drive for QemuDrive {
    fn run(&mut self, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), RigError> {
        Ok(self.0.0.borrow_mut().run(until, woken)?)
    }

    fn self_check(&self) -> Result<(), RigError> {
        Ok(self.0.0.borrow_mut().check()?)
    }
}

/// A machine of its own for every call: without power if the rig has a switch, else switched on.
///
/// # Errors
/// [`RigError`] if there is no emulator, no image, no firmware of the device with the wanted defect, or if
/// the wanted fault is none that an emulated device can have.
pub(crate) fn take(order: &Order<'_>, qemu: &Qemu) -> Result<Rig, RigError> {
    let file = order.file;
    let QemuBoard::Exact(exact) = qemu.board else {
        return Err(RigError(format!(
            "rig `{}`: only `mode = \"exact\"` of the machine `virt` can be had yet; correct {}",
            file.name, file.path
        )));
    };
    let firmware = order.firmwares.get(&file.dut).ok_or_else(|| {
        RigError(format!(
            "rig `{}`: nobody knows what a flashing tool writes for `{}`; correct `dut` in {}",
            file.name, file.dut, file.path
        ))
    })?;
    let defect = defect(order, &*firmware)?;
    load(&qemu.image)?;
    let memory_mib = qemu.memory_mib.unwrap_or((RAM_BYTES >> 20) as u32);
    if (memory_mib as usize) << 20 < RAM_BYTES {
        return Err(RigError(format!(
            "rig `{}`: the port needs {} MiB of memory; raise `memory_mib` in {}",
            file.name,
            RAM_BYTES >> 20,
            file.path
        )));
    }
    let timeline = Timeline::new();
    let config =
        VirtualBoard::default().config(BoardConfig { seed: order.seed, ..BoardConfig::default() }, file);
    let machine = Machine {
        binary: installed(&qemu.binary)?.path,
        name: qemu.machine.clone(),
        image: qemu.image.clone(),
        arguments: qemu.arguments.clone(),
        exact,
    };
    let interrupt = order.interrupt.clone();
    let device =
        Device::new(machine, config, defect, firmware.flash_image(), &timeline, interrupt, memory_mib)?;
    let (net, console, flash_source) = (device.link.part(), device.wires.console(), device.wires.flash());
    let device_source = device.device_source();
    let handle = Handle(Rc::new(RefCell::new(device)));
    if file.power.is_none() {
        // Nobody can switch it, so it is on.
        handle.0.borrow_mut().power_on()?;
    }
    let parts = Parts {
        console: file.console.as_ref().map(|_| Rc::new(Console(handle.clone(), console)) as Rc<_>),
        power: file.power.as_ref().map(|_| Rc::new(Power(handle.clone(), device_source)) as Rc<_>),
        reset: file.reset.as_ref().map(|_| Rc::new(handle.clone()) as Rc<_>),
        flash: file.flash.as_ref().map(|_| Rc::new(Programmer(handle.clone(), flash_source)) as Rc<_>),
        net: file.net.as_ref().map(|_| net),
        scheduler: file.scheduler.as_ref().map(|_| Rc::new(handle.clone()) as Rc<_>),
        stress: None,
        air: None,
        pins: Default::default(),
        leds: file
            .leds
            .iter()
            .map(|lane| Lane {
                signal: lane.signal.clone(),
                source: timeline.source(&format!("gpio{}", lane.pin)),
                pixels: lane.pixels,
            })
            .collect(),
        gauges: ["heap.free", "heap.largest", "heap.allocations"]
            .map(|name| (name.to_owned(), timeline.source(name)))
            .into(),
        ports: file.net.iter().flat_map(|net| net.ports.clone()).collect(),
        lacking: file.lacking(),
    };
    let fidelity = file.fidelity();
    Ok(Rig { name: file.name.clone(), fidelity, timeline, parts, drive: Box::new(QemuDrive(handle)) })
}

/// The defect that the firmware is to have.
fn defect(order: &Order<'_>, firmware: &dyn Firmware) -> Result<Option<String>, RigError> {
    match order.fault {
        None => Ok(None),
        Some(Model::Firmware(defect)) if firmware.defects().contains(&defect.as_str()) => {
            Ok(Some(defect.clone()))
        }
        Some(Model::Firmware(defect)) => {
            let (dut, known) = (&order.file.dut, firmware.defects().join(", "));
            Err(RigError(format!("the firmware of `{dut}` has no defect `{defect}`; it has: {known}")))
        }
        Some(other) => Err(RigError(format!(
            "an emulated device can have a firmware's defect and no fault of the {}; choose a virtual rig for it",
            other.family()
        ))),
    }
}

struct Console(Handle, Source);

impl part::Console for Console {
    fn write(&self, bytes: &[u8]) -> Result<(), RigError> {
        self.0.0.borrow_mut().type_in(bytes);
        Ok(())
    }
    fn source(&self) -> Source {
        self.1
    }
}

struct Power(Handle, Source);

impl part::Power for Power {
    fn on(&self) -> Result<(), RigError> {
        Ok(self.0.0.borrow_mut().power_on()?)
    }
    fn off(&self) -> Result<(), RigError> {
        Ok(self.0.0.borrow_mut().power_off()?)
    }
    fn source(&self) -> Source {
        self.1
    }
}

impl part::Reset for Handle {
    fn pulse(&self) -> Result<(), RigError> {
        self.0.borrow_mut().reset();
        Ok(())
    }
}

impl part::Scheduler for Handle {
    fn record(&self) -> Result<(), RigError> {
        Ok(self.0.borrow().record_tasks()?)
    }
}

/// The flash chip's cells, as a programmer sees them.
struct Programmer(Handle, Source);

/// Where a range of the chip lies in the machine's memory.
fn cells(address: u32, length: usize) -> Result<usize, RigError> {
    match (address as usize).checked_add(length) {
        Some(end) if end <= flash::BYTES => Ok(flash::OFFSET + address as usize),
        _ => Err(RigError(format!(
            "{length} bytes at {address:#x} leave the flash chip of {:#x} bytes; read within it",
            flash::BYTES
        ))),
    }
}

impl part::Flash for Programmer {
    fn read(&self, address: u32, length: u32) -> Result<Vec<u8>, RigError> {
        let from = cells(address, length as usize)?;
        let mut bytes = vec![0; length as usize];
        self.0.0.borrow().ram().read(from, &mut bytes).map_err(QemuError::from)?;
        Ok(bytes)
    }
    fn write(&self, address: u32, bytes: &[u8]) -> Result<(), RigError> {
        let to = cells(address, bytes.len())?;
        Ok(self.0.0.borrow().ram().write(to, bytes).map_err(QemuError::from)?)
    }
    fn busy_source(&self) -> Option<Source> {
        Some(self.1)
    }
}
