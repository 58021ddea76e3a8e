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
use std::time::Duration;

use embedded_hal::digital::{ErrorType, InputPin, OutputPin, StatefulOutputPin};
use embedded_hal_async::digital::Wait;
use rand_chacha::rand_core::RngCore;
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
    /// How often the rig has driven it: what is left of an earlier bounce is over then.
    drives: u64,
}

#[derive(Default)]
pub(crate) struct Pins {
    pins: BTreeMap<u8, Pin>,
    /// Wires with a short, and to what.
    shorts: BTreeMap<u8, Level>,
    /// Connectors that are swapped.
    exchanged: Vec<[u8; 2]>,
    /// Contacts that bounce: how often they return, and within what time.
    bouncing: BTreeMap<u8, (u8, Duration)>,
}

impl Pins {
    pub(crate) fn short(&mut self, pin: u8, level: Level) {
        self.shorts.insert(pin, level);
    }

    pub(crate) fn exchange(&mut self, pins: [u8; 2]) {
        self.exchanged.push(pins);
    }

    pub(crate) fn let_bounce(&mut self, pin: u8, returns: u8, within: Duration) {
        self.bouncing.insert(pin, (returns, within));
    }

    /// Whether nothing that the chip does can be seen on the wire.
    pub(crate) fn is_shorted(&self, pin: u8) -> bool {
        self.shorts.contains_key(&pin)
    }
}

/// The wire that hangs on pin `number` of the chip: its own, unless connectors are swapped.
pub(crate) fn wire_of(kernel: &Kernel, number: u8) -> u8 {
    kernel.pins.borrow().exchanged.iter().fold(number, |wire, &[one, other]| match wire {
        wire if wire == one => other,
        wire if wire == other => one,
        wire => wire,
    })
}

pub(crate) fn source(kernel: &Kernel, number: u8) -> Source {
    kernel.source(&format!("gpio{number}"))
}

fn with<R>(kernel: &Kernel, number: u8, f: impl FnOnce(&mut Pin) -> R) -> R {
    let mut pins = kernel.pins.borrow_mut();
    let pin = pins.pins.entry(number).or_insert_with(|| Pin {
        level: Level::Low,
        firmware: None,
        rig: None,
        pull: Level::Low,
        source: source(kernel, number),
        waiting: Vec::new(),
        rises: 0,
        falls: 0,
        drives: 0,
    });
    f(pin)
}

/// Changes who drives the pin, and records the edge that follows from it.
fn change(kernel: &Kernel, number: u8, f: impl FnOnce(&mut Pin)) {
    let short = kernel.pins.borrow().shorts.get(&number).copied();
    // The supply that a wire is shorted to may be off.
    let short = short.map(|level| if kernel.powered() { level } else { Level::Low });
    let edge = with(kernel, number, |pin| {
        f(pin);
        let level = short.or(pin.rig).or(pin.firmware).unwrap_or(pin.pull);
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
    let level = match drive {
        Drive::Low => Some(Level::Low),
        Drive::High => Some(Level::High),
        Drive::Release => None,
    };
    let (before, drives) = with(kernel, number, |pin| {
        pin.drives += 1;
        (pin.rig, pin.drives)
    });
    change(kernel, number, |pin| pin.rig = level);
    let bounce = kernel.pins.borrow().bouncing.get(&number).copied();
    if let Some((returns, within)) = bounce.filter(|_| before != level) {
        let mut instants: Vec<Duration> =
            (0..2 * usize::from(returns)).map(|_| part_of(kernel, within)).collect();
        instants.sort_unstable();
        for (index, after) in instants.into_iter().enumerate() {
            let to = if index % 2 == 0 { before } else { level };
            kernel.schedule_outside(kernel.now() + after, move |kernel| {
                if with(kernel, number, |pin| pin.drives == drives) {
                    change(kernel, number, |pin| pin.rig = to);
                }
            });
        }
    }
}

/// A random time up to `whole`.
fn part_of(kernel: &Kernel, whole: Duration) -> Duration {
    let share = f64::from(kernel.random.borrow_mut().next_u32()) / f64::from(u32::MAX);
    whole.mul_f64(share)
}

/// The supply came up or went away: a wire that is shorted to it follows.
pub(crate) fn supply_changed(kernel: &Kernel) {
    let shorted: Vec<u8> = kernel.pins.borrow().shorts.keys().copied().collect();
    for number in shorted {
        change(kernel, number, |_| {});
    }
}

/// The device stops: its pins are inputs, and nobody waits for them.
pub(crate) fn device_halted(kernel: &Kernel) {
    let numbers: Vec<u8> = kernel.pins.borrow().pins.keys().copied().collect();
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
    kernel.pins.borrow_mut().pins.clear();
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
