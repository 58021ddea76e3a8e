//! A NOR flash in memory for the host's unit tests: bits only fall, sectors are erased whole, and
//! the supply can be cut in the middle of an operation.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

type Hook = Box<dyn FnMut(u32)>;

struct Chip {
    bytes: RefCell<Vec<u8>>,
    /// Erases and programs until the supply fails; the one in which it fails is half done.
    budget: Cell<Option<u32>>,
    operations: Cell<u32>,
    erases: Cell<u32>,
    /// Is told how many microseconds each operation keeps its caller waiting.
    meanwhile: RefCell<Option<Hook>>,
}

/// Typical times of a serial NOR flash in microseconds.
const ERASE_US: u32 = 45_000;
const PROGRAM_US: u32 = 700;
const READ_US: u32 = 5;
const READ_US_PER_KIB: u32 = 50;

#[derive(Clone)]
pub(crate) struct RamFlash(Rc<Chip>);

impl RamFlash {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Rc::new(Chip {
            bytes: RefCell::new(alloc::vec![0xFF; capacity]),
            budget: Cell::new(None),
            operations: Cell::new(0),
            erases: Cell::new(0),
            meanwhile: RefCell::new(None),
        }))
    }

    /// Another chip with the same contents and a sound supply.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new(0);
        copy.0.bytes.replace(self.0.bytes.borrow().clone());
        copy
    }

    pub(crate) fn meanwhile(&self, hook: impl FnMut(u32) + 'static) {
        self.0.meanwhile.replace(Some(Box::new(hook)));
    }

    fn busy(&self, micros: u32) {
        if let Some(hook) = self.0.meanwhile.borrow_mut().as_mut() {
            hook(micros);
        }
    }

    pub(crate) fn cut_after(&self, operations: u32) {
        self.0.budget.set(Some(operations));
    }

    pub(crate) fn operations(&self) -> u32 {
        self.0.operations.get()
    }

    pub(crate) fn erases(&self) -> u32 {
        self.0.erases.get()
    }

    pub(crate) fn poke(&self, at: u32, bytes: &[u8]) {
        self.0.bytes.borrow_mut()[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn contents(&self) -> Vec<u8> {
        self.0.bytes.borrow().clone()
    }

    /// How much of an operation on `len` bytes still happens.
    fn spend(&self, len: usize) -> Result<usize, NorFlashErrorKind> {
        self.0.operations.set(self.0.operations.get() + 1);
        match self.0.budget.get() {
            None => Ok(len),
            Some(0) => Err(NorFlashErrorKind::Other),
            Some(left) => {
                self.0.budget.set(Some(left - 1));
                Ok(if left == 1 { len / 2 } else { len })
            }
        }
    }

    fn dead(&self) -> bool {
        self.0.budget.get() == Some(0)
    }
}

impl ErrorType for RamFlash {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for RamFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        if self.dead() {
            return Err(NorFlashErrorKind::Other);
        }
        let chip = self.0.bytes.borrow();
        let from = chip
            .get(offset as usize..)
            .and_then(|rest| rest.get(..bytes.len()))
            .ok_or(NorFlashErrorKind::OutOfBounds)?;
        bytes.copy_from_slice(from);
        self.busy(READ_US + bytes.len() as u32 * READ_US_PER_KIB / 1024);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.bytes.borrow().len()
    }
}

impl NorFlash for RamFlash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        assert!(from.is_multiple_of(4096) && to.is_multiple_of(4096) && from < to);
        let len = self.spend((to - from) as usize)?;
        self.busy(ERASE_US);
        self.0.erases.set(self.0.erases.get() + 1);
        self.0.bytes.borrow_mut()[from as usize..][..len].fill(0xFF);
        if self.dead() { Err(NorFlashErrorKind::Other) } else { Ok(()) }
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        assert!(offset.is_multiple_of(4) && bytes.len().is_multiple_of(4));
        assert!(offset / 256 == (offset + bytes.len() as u32 - 1) / 256, "one page at a time");
        let len = self.spend(bytes.len())?;
        self.busy(PROGRAM_US);
        for (cell, byte) in self.0.bytes.borrow_mut()[offset as usize..].iter_mut().zip(&bytes[..len]) {
            *cell &= *byte;
        }
        if self.dead() { Err(NorFlashErrorKind::Other) } else { Ok(()) }
    }
}
