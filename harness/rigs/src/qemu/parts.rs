//! The parts of a rig whose device QEMU emulates, whatever time it lives in.

use std::cell::RefCell;
use std::rc::Rc;

use rigor_core::part;
use rigor_core::rig::Drive;
use rigor_core::verdict::RigError;
use rigor_core::{Instant, Source};

use super::error::QemuError;
use super::ram::GuestRam;
use crate::file::RigFile;

/// An emulated device, as far as its parts have a hand on it.
pub(super) trait Emulated {
    /// Lets rig and device live until `woken` says so or the clock shows `until`.
    fn run(&mut self, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), QemuError>;
    /// Proves that the emulator is well.
    fn check(&mut self) -> Result<(), QemuError>;
    /// Switches the supply on. Nothing if it is on.
    fn power_on(&mut self) -> Result<(), QemuError>;
    /// Cuts the supply. Nothing if it is off.
    fn power_off(&mut self) -> Result<(), QemuError>;
    /// Pulses the reset pin. Nothing without a supply.
    fn reset(&mut self) -> Result<(), QemuError>;
    /// Sends `bytes` to the console, after what is being sent.
    fn type_in(&mut self, bytes: &[u8]);
    /// Has every change of a task's state recorded from now on.
    fn record_tasks(&self) -> Result<(), QemuError>;
    /// Where the flash chip's cells are: the memory, the offset of the first one, and how many.
    fn cells(&self) -> (&GuestRam, usize, usize);
}

/// The device, by everybody who has a hand on it.
pub(super) struct Handle<D>(Rc<RefCell<D>>);

impl<D> Clone for Handle<D> {
    fn clone(&self) -> Self {
        Handle(self.0.clone())
    }
}

impl<D: Emulated + 'static> Handle<D> {
    /// Without power if the rig of `file` has a switch, else switched on.
    pub(super) fn new(mut device: D, file: &RigFile) -> Result<Self, QemuError> {
        if file.power.is_none() {
            device.power_on()?;
        }
        Ok(Handle(Rc::new(RefCell::new(device))))
    }

    pub(super) fn console(&self, source: Source) -> Rc<dyn part::Console> {
        Rc::new(WithSource(self.clone(), source))
    }

    pub(super) fn power(&self, source: Source) -> Rc<dyn part::Power> {
        Rc::new(WithSource(self.clone(), source))
    }

    pub(super) fn programmer(&self, busy: Option<Source>) -> Rc<dyn part::Flash> {
        Rc::new(Programmer(self.clone(), busy))
    }

    pub(super) fn pin(&self) -> Rc<dyn part::Reset> {
        Rc::new(self.clone())
    }

    pub(super) fn scheduler(&self) -> Rc<dyn part::Scheduler> {
        Rc::new(self.clone())
    }
}

impl<D: Emulated> Drive for Handle<D> {
    fn run(&mut self, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), RigError> {
        Ok(self.0.borrow_mut().run(until, woken)?)
    }

    fn self_check(&self) -> Result<(), RigError> {
        Ok(self.0.borrow_mut().check()?)
    }
}

/// A hand on the device, and where is recorded what becomes of it.
struct WithSource<D>(Handle<D>, Source);

impl<D: Emulated> part::Console for WithSource<D> {
    fn write(&self, bytes: &[u8]) -> Result<(), RigError> {
        self.0.0.borrow_mut().type_in(bytes);
        Ok(())
    }
    fn source(&self) -> Source {
        self.1
    }
}

impl<D: Emulated> part::Power for WithSource<D> {
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

impl<D: Emulated> part::Reset for Handle<D> {
    fn pulse(&self) -> Result<(), RigError> {
        Ok(self.0.borrow_mut().reset()?)
    }
}

impl<D: Emulated> part::Scheduler for Handle<D> {
    fn record(&self) -> Result<(), RigError> {
        Ok(self.0.borrow().record_tasks()?)
    }
}

/// The flash chip's cells, as a programmer sees them.
struct Programmer<D>(Handle<D>, Option<Source>);

/// Where a range of a chip of `size` bytes lies in the machine's memory.
fn cells(first: usize, size: usize, address: u32, length: usize) -> Result<usize, RigError> {
    match (address as usize).checked_add(length) {
        Some(end) if end <= size => Ok(first + address as usize),
        _ => Err(RigError(format!(
            "{length} bytes at {address:#x} leave the flash chip of {size:#x} bytes; read within it"
        ))),
    }
}

impl<D: Emulated> part::Flash for Programmer<D> {
    fn read(&self, address: u32, length: u32) -> Result<Vec<u8>, RigError> {
        let device = self.0.0.borrow();
        let (ram, first, size) = device.cells();
        let from = cells(first, size, address, length as usize)?;
        let mut bytes = vec![0; length as usize];
        ram.read(from, &mut bytes).map_err(QemuError::from)?;
        Ok(bytes)
    }
    fn write(&self, address: u32, bytes: &[u8]) -> Result<(), RigError> {
        let device = self.0.0.borrow();
        let (ram, first, size) = device.cells();
        let to = cells(first, size, address, bytes.len())?;
        Ok(ram.write(to, bytes).map_err(QemuError::from)?)
    }
    fn busy_source(&self) -> Option<Source> {
        self.1
    }
}
