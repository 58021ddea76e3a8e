//! Pins: levels, edges, and who drives them.
//!
//! A wire shows what the rig drives, else what the firmware drives, else the pull of the pin; the rig
//! wins, as a button's hard short to ground does. A reset turns every pin into an input without a
//! pull. Edges appear on the timeline as the source `gpio<N>`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use embedded_hal::digital::{ErrorType, InputPin, OutputPin, StatefulOutputPin};
use embedded_hal_async::digital::Wait;
use rigor_core::Source;
use rigor_core::event::{Kind, Level};
use rigor_core::part::Drive;

use crate::cpu;
use crate::heap::outside_firmware;
use crate::kernel::Kernel;

struct Pin {
    level: Level,
    /// What the firmware drives; nothing while the pin is an input.
    firmware: Option<Level>,
    /// What the rig drives.
    rig: Option<Level>,
    /// The level when nobody drives the pin.
    pull: Level,
    source: Source,
    waiting: Vec<Waker>,
    /// Edges since the start, so that a waiter sees one that is over already.
    rises: u64,
    falls: u64,
}

#[derive(Default)]
pub(crate) struct Pins(BTreeMap<u8, Pin>);

pub(crate) fn source(kernel: &Kernel, number: u8) -> Source {
    kernel.source(&format!("gpio{number}"))
}

fn with<R>(kernel: &Kernel, number: u8, f: impl FnOnce(&mut Pin) -> R) -> R {
    let mut pins = kernel.pins.borrow_mut();
    let pin = pins.0.entry(number).or_insert_with(|| Pin {
        level: Level::Low,
        firmware: None,
        rig: None,
        pull: Level::Low,
        source: source(kernel, number),
        waiting: Vec::new(),
        rises: 0,
        falls: 0,
    });
    f(pin)
}

/// Changes who drives the pin, and records the edge that follows from it.
fn change(kernel: &Kernel, number: u8, f: impl FnOnce(&mut Pin)) {
    let edge = with(kernel, number, |pin| {
        f(pin);
        let level = pin.rig.or(pin.firmware).unwrap_or(pin.pull);
        if pin.level == level {
            return None;
        }
        pin.level = level;
        match level {
            Level::High => pin.rises += 1,
            Level::Low => pin.falls += 1,
        }
        for waker in pin.waiting.drain(..) {
            waker.wake();
        }
        Some((pin.source, level))
    });
    if let Some((source, level)) = edge {
        kernel.record(source, kernel.now(), Kind::Edge(level));
    }
}

/// The rig drives the pin from outside.
pub(crate) fn drive(kernel: &Kernel, number: u8, drive: Drive) {
    change(kernel, number, |pin| {
        pin.rig = match drive {
            Drive::Low => Some(Level::Low),
            Drive::High => Some(Level::High),
            Drive::Release => None,
        };
    });
}

/// The device stops: its pins are inputs, and nobody waits for them.
pub(crate) fn device_halted(kernel: &Kernel) {
    let numbers: Vec<u8> = kernel.pins.borrow().0.keys().copied().collect();
    for number in numbers {
        change(kernel, number, |pin| {
            pin.firmware = None;
            pin.pull = Level::Low;
            pin.waiting.clear();
        });
    }
}

/// Gives the memory back.
pub(crate) fn forget(kernel: &Kernel) {
    kernel.pins.borrow_mut().0.clear();
}

/// A pin that the firmware drives.
pub struct OutputHandle {
    kernel: Rc<Kernel>,
    number: u8,
}

impl OutputHandle {
    /// The pin, an input until its level is set.
    pub(crate) fn new(kernel: Rc<Kernel>, number: u8) -> Self {
        OutputHandle { kernel, number }
    }

    fn put(&self, level: Level) {
        outside_firmware(|| {
            cpu::note_call(&self.kernel);
            if !self.kernel.is_inert() {
                change(&self.kernel, self.number, |pin| pin.firmware = Some(level));
            }
        });
    }
}

impl ErrorType for OutputHandle {
    type Error = Infallible;
}

impl OutputPin for OutputHandle {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.put(Level::Low);
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Infallible> {
        self.put(Level::High);
        Ok(())
    }
}

impl StatefulOutputPin for OutputHandle {
    fn is_set_high(&mut self) -> Result<bool, Infallible> {
        Ok(outside_firmware(|| {
            cpu::note_call(&self.kernel);
            with(&self.kernel, self.number, |pin| pin.firmware == Some(Level::High))
        }))
    }
    fn is_set_low(&mut self) -> Result<bool, Infallible> {
        self.is_set_high().map(|high| !high)
    }
}

/// A pin that the firmware reads.
pub struct InputHandle {
    kernel: Rc<Kernel>,
    number: u8,
}

impl InputHandle {
    /// The pin, pulled to `pull` while nobody drives it.
    pub(crate) fn new(kernel: Rc<Kernel>, number: u8, pull: Level) -> Self {
        change(&kernel, number, |pin| {
            pin.firmware = None;
            pin.pull = pull;
        });
        InputHandle { kernel, number }
    }

    fn look<R>(&self, f: impl FnOnce(&mut Pin) -> R) -> R {
        outside_firmware(|| {
            cpu::note_call(&self.kernel);
            with(&self.kernel, self.number, f)
        })
    }

    async fn until(&mut self, met: impl Fn(&Pin) -> bool) {
        poll_fn(|context| {
            self.look(|pin| {
                if met(pin) {
                    return Poll::Ready(());
                }
                if !pin.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                    pin.waiting.push(context.waker().clone());
                }
                Poll::Pending
            })
        })
        .await;
    }
}

impl ErrorType for InputHandle {
    type Error = Infallible;
}

impl InputPin for InputHandle {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok(self.look(|pin| pin.level == Level::High))
    }
    fn is_low(&mut self) -> Result<bool, Infallible> {
        Ok(self.look(|pin| pin.level == Level::Low))
    }
}

impl Wait for InputHandle {
    async fn wait_for_high(&mut self) -> Result<(), Infallible> {
        self.until(|pin| pin.level == Level::High).await;
        Ok(())
    }
    async fn wait_for_low(&mut self) -> Result<(), Infallible> {
        self.until(|pin| pin.level == Level::Low).await;
        Ok(())
    }
    async fn wait_for_rising_edge(&mut self) -> Result<(), Infallible> {
        let before = self.look(|pin| pin.rises);
        self.until(|pin| pin.rises != before).await;
        Ok(())
    }
    async fn wait_for_falling_edge(&mut self) -> Result<(), Infallible> {
        let before = self.look(|pin| pin.falls);
        self.until(|pin| pin.falls != before).await;
        Ok(())
    }
    async fn wait_for_any_edge(&mut self) -> Result<(), Infallible> {
        let before = self.look(|pin| pin.rises + pin.falls);
        self.until(|pin| pin.rises + pin.falls != before).await;
        Ok(())
    }
}
