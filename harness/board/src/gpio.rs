//! Pins: levels, edges, and who drives them.
//!
//! A pin is an output while the firmware drives it and an input otherwise; an input that nobody
//! drives shows its pull. Edges appear on the timeline as the source `gpio<N>`.

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
    kernel.timeline.source(&format!("gpio{number}"))
}

fn with<R>(kernel: &Rc<Kernel>, number: u8, f: impl FnOnce(&mut Pin) -> R) -> R {
    let source = source(kernel, number);
    let mut pins = kernel.pins.borrow_mut();
    let pin = pins.0.entry(number).or_insert(Pin {
        level: Level::Low,
        pull: Level::Low,
        source,
        waiting: Vec::new(),
        rises: 0,
        falls: 0,
    });
    f(pin)
}

fn set(kernel: &Rc<Kernel>, number: u8, level: Level) {
    let edge = with(kernel, number, |pin| {
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
        Some(pin.source)
    });
    if let Some(source) = edge {
        kernel.record(source, kernel.now(), Kind::Edge(level));
    }
}

/// The rig drives the pin from outside.
pub(crate) fn drive(kernel: &Rc<Kernel>, number: u8, drive: Drive) {
    let level = match drive {
        Drive::Low => Level::Low,
        Drive::High => Level::High,
        Drive::Release => with(kernel, number, |pin| pin.pull),
    };
    set(kernel, number, level);
}

/// A pin that the firmware drives.
pub struct OutputHandle {
    pub(crate) kernel: Rc<Kernel>,
    pub(crate) number: u8,
}

impl OutputHandle {
    fn put(&self, level: Level) {
        outside_firmware(|| {
            cpu::note_call(&self.kernel);
            set(&self.kernel, self.number, level);
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
        Ok(outside_firmware(|| with(&self.kernel, self.number, |pin| pin.level == Level::High)))
    }
    fn is_set_low(&mut self) -> Result<bool, Infallible> {
        self.is_set_high().map(|high| !high)
    }
}

/// A pin that the firmware reads.
pub struct InputHandle {
    pub(crate) kernel: Rc<Kernel>,
    pub(crate) number: u8,
}

impl InputHandle {
    /// The pin, pulled to `pull` while nobody drives it.
    pub(crate) fn new(kernel: Rc<Kernel>, number: u8, pull: Level) -> Self {
        with(&kernel, number, |pin| {
            pin.pull = pull;
            pin.level = pull;
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
                pin.waiting.push(context.waker().clone());
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
