//! The clock of a board and the events that move it.
//!
//! One kernel a board. Peripherals schedule closures here; the [CPU](crate::cpu) runs firmware
//! between them. Everything happens on one thread, so the state lives in cells; no borrow is held
//! while firmware runs.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rigor_core::event::{DeviceEvent, Kind, ResetCause};
use rigor_core::time::nanos;
use rigor_core::{Instant, Source, Timeline};

use crate::board::{BoardConfig, Firmware};
use crate::clock::Rate;
use crate::cpu::Cpu;
use crate::fault::{BoardFault, Clock};
use crate::flash::FlashChip;
use crate::gpio::Pins;
use crate::heap::Heap;
use crate::net::Network;
use crate::radio::Radio;
use crate::uart::Uart;
use crate::watchdog::Watchdog;

/// Which start of the device an event belongs to. What an earlier life had scheduled inside the
/// chip does not happen in the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Life(u32);

type Action = Box<dyn FnOnce(&Rc<Kernel>)>;

struct Scheduled {
    at: u64,
    sequence: u64,
    life: Option<Life>,
    action: Action,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    /// Reversed, because [`BinaryHeap`] yields the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

/// The firmware's timers, one entry for each task that waits.
#[derive(Default)]
struct Timers {
    waiting: Vec<(u64, Waker)>,
}

impl Timers {
    /// A task that polls several timers keeps only the earliest; it arms the others again when it
    /// is polled.
    fn arm(&mut self, at: u64, waker: &Waker) {
        match self.waiting.iter_mut().find(|(_, waiting)| waiting.will_wake(waker)) {
            Some((earliest, _)) => *earliest = at.min(*earliest),
            None => self.waiting.push((at, waker.clone())),
        }
    }

    fn next(&self) -> u64 {
        self.waiting.iter().map(|&(at, _)| at).min().unwrap_or(u64::MAX)
    }

    fn fire(&mut self, now: u64) {
        self.waiting.retain(|(at, waker)| {
            let due = *at <= now;
            if due {
                waker.wake_by_ref();
            }
            !due
        });
    }
}

pub(crate) struct Kernel {
    pub(crate) config: BoardConfig,
    /// Replaced by an empty one when the board is gone, so that a leaked handle does not keep the
    /// record of a whole run.
    timeline: RefCell<Timeline>,
    pub(crate) cpu: Cpu,
    pub(crate) heap: Rc<Heap>,
    pub(crate) flash: RefCell<FlashChip>,
    pub(crate) uart: RefCell<Uart>,
    pub(crate) pins: RefCell<Pins>,
    pub(crate) bursts: RefCell<Vec<crate::pulse::InFlight>>,
    pub(crate) net: RefCell<Network>,
    pub(crate) radio: RefCell<Radio>,
    pub(crate) random: RefCell<ChaCha8Rng>,
    pub(crate) wires: RefCell<crate::pulse::Wires>,
    /// How the chip's crystal keeps time.
    crystal: Cell<Rate>,
    pub(crate) watchdog: Watchdog,
    pub(crate) device_source: Source,
    /// Nothing when the board is gone.
    firmware: RefCell<Option<Rc<dyn Firmware>>>,
    heap_free_source: Source,
    heap_largest_source: Source,
    heap_allocations_source: Source,
    now: Cell<u64>,
    /// When the firmware's own clock stood at zero.
    started: Cell<u64>,
    sequence: Cell<u64>,
    life: Cell<u32>,
    powered: Cell<bool>,
    /// The firmware of this life has begun.
    started_up: Cell<bool>,
    /// The firmware is being stopped.
    halting: Cell<bool>,
    /// The board is gone; only handles are left.
    gone: Cell<bool>,
    cause: Cell<ResetCause>,
    queue: RefCell<BinaryHeap<Scheduled>>,
    timers: RefCell<Timers>,
    /// Until when the board runs, and who may want it to stop before; only while it [runs](Self::run).
    errand: Cell<Option<Errand>>,
}

/// What [`Kernel::run`] was called with.
#[derive(Clone, Copy)]
struct Errand {
    until: u64,
    woken: NonNull<dyn Fn() -> bool>,
}

/// Takes the errand back at the end of the run, also of one that unwinds.
struct Returned<'a>(&'a Cell<Option<Errand>>);

impl Drop for Returned<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

impl Kernel {
    pub(crate) fn new(config: BoardConfig, timeline: Timeline, firmware: Rc<dyn Firmware>) -> Rc<Self> {
        let random = ChaCha8Rng::seed_from_u64(config.seed);
        Rc::new(Kernel {
            cpu: Cpu::new(config.cpu_hz, config.context_switch),
            heap: Rc::new(Heap::new(config.heap_bytes)),
            flash: RefCell::new(FlashChip::new(config.flash, timeline.source("flash"))),
            uart: RefCell::new(Uart::new(config.baud, &timeline)),
            pins: RefCell::default(),
            bursts: RefCell::default(),
            net: RefCell::new(Network::new(config.link, &timeline)),
            radio: RefCell::new(Radio::new(config.radio, &timeline)),
            random: RefCell::new(random),
            wires: RefCell::default(),
            crystal: Cell::new(Rate::EXACT),
            watchdog: Watchdog::default(),
            device_source: timeline.source("device"),
            heap_free_source: timeline.source("heap.free"),
            heap_largest_source: timeline.source("heap.largest"),
            heap_allocations_source: timeline.source("heap.allocations"),
            now: Cell::new(nanos(timeline.now().since(Instant::ZERO))),
            started: Cell::new(0),
            sequence: Cell::new(0),
            life: Cell::new(0),
            powered: Cell::new(false),
            started_up: Cell::new(false),
            halting: Cell::new(false),
            gone: Cell::new(false),
            cause: Cell::new(ResetCause::PowerOn),
            queue: RefCell::default(),
            timers: RefCell::default(),
            errand: Cell::new(None),
            config,
            timeline: RefCell::new(timeline),
            firmware: RefCell::new(Some(firmware)),
        })
    }

    /// The firmware, while the board exists.
    pub(crate) fn firmware(&self) -> Option<Rc<dyn Firmware>> {
        self.firmware.borrow().clone()
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(self.now.get())
    }

    /// Breaks the board for good.
    pub(crate) fn inject(&self, fault: BoardFault) {
        match fault {
            BoardFault::ClockDrift { clock: Clock::Crystal, ppm } => {
                let rate = Rate::fast_by(ppm);
                self.crystal.set(rate);
                self.cpu.run_at(rate);
                self.uart.borrow_mut().clock_at(rate);
                self.wires.borrow_mut().clock_at(rate);
                self.flash.borrow_mut().clock_at(rate);
            }
            BoardFault::ClockDrift { clock: Clock::Console, ppm } => {
                self.uart.borrow_mut().clock_at(Rate::fast_by(ppm));
            }
            BoardFault::ClockDrift { clock: Clock::Pulses, ppm } => {
                self.wires.borrow_mut().clock_at(Rate::fast_by(ppm));
            }
            BoardFault::ColoursSwapped {}
            | BoardFault::LaneLate { .. }
            | BoardFault::PulseLost { .. }
            | BoardFault::PulseWidth { .. }
            | BoardFault::TransmitterStarved {} => self.wires.borrow_mut().inject(fault),
            BoardFault::LaneStuck { pin, level } => self.pins.borrow_mut().short(pin, level.into()),
            BoardFault::LanesExchanged { pins } => self.pins.borrow_mut().exchange(pins),
            BoardFault::Bounce { pin, returns, within_us } => {
                let within = Duration::from_micros(within_us.into());
                self.pins.borrow_mut().let_bounce(pin, returns, within);
            }
            BoardFault::SlowFlash { factor } => self.flash.borrow_mut().slow_down(factor.get()),
            BoardFault::FlashBitStuck { address, every, bit, reads } => {
                self.flash.borrow_mut().stick(address, every, bit, reads);
            }
            BoardFault::ConsoleGarbled { direction, every } => {
                self.uart.borrow_mut().garble(direction, every);
            }
        }
    }

    /// What the rig's clock counts while the chip's counts `time`.
    pub(crate) fn chip_time(&self, time: Duration) -> Duration {
        Duration::from_nanos(self.crystal.get().true_nanos(nanos(time)))
    }

    /// Nanoseconds of the device's own clock, which every start sets to zero.
    pub(crate) fn uptime_nanos(&self) -> u64 {
        self.crystal.get().counted_nanos(self.now.get() - self.started.get())
    }

    pub(crate) fn life(&self) -> Life {
        Life(self.life.get())
    }

    pub(crate) fn powered(&self) -> bool {
        self.powered.get()
    }

    /// Whether the firmware runs: the supply is up and the boot ROM has handed over.
    pub(crate) fn is_up(&self) -> bool {
        self.powered() && self.started_up.get()
    }

    /// Whether what the firmware asks for has no effect: its destructors run while it is stopped or
    /// panics, which no chip would do.
    pub(crate) fn is_inert(&self) -> bool {
        self.halting.get() || self.gone.get() || std::thread::panicking()
    }

    pub(crate) fn cause(&self) -> ResetCause {
        self.cause.get()
    }

    /// Records what a peripheral did. The kernel's order is the timeline's order, so a refusal
    /// means a defect of the board model.
    pub(crate) fn record(&self, source: Source, at: Instant, kind: Kind) {
        if self.gone.get() {
            return;
        }
        if let Err(error) = self.timeline.borrow().push(source, at, Duration::ZERO, kind) {
            panic!("the virtual board broke its own order: {error}");
        }
    }

    /// The source of this name.
    pub(crate) fn source(&self, name: &str) -> Source {
        self.timeline.borrow().source(name)
    }

    /// From `from` on `source` owes what it will record later.
    pub(crate) fn hold(&self, source: Source, from: Instant) {
        if !self.gone.get() {
            self.timeline.borrow().hold(source, from);
        }
    }

    /// `source` has recorded all that it owed.
    pub(crate) fn release(&self, source: Source) {
        if !self.gone.get() {
            self.timeline.borrow().release(source);
        }
    }

    fn set_now(&self, now: u64) {
        self.now.set(now);
        self.timeline.borrow().advance(self.now());
    }

    fn schedule(&self, at: Instant, life: Option<Life>, action: Action) {
        if self.gone.get() {
            return;
        }
        let sequence = self.sequence.get();
        self.sequence.set(sequence + 1);
        let at = at.as_nanos().max(self.now.get());
        self.queue.borrow_mut().push(Scheduled { at, sequence, life, action });
    }

    /// Schedules what happens outside the device, such as on the link: a reset does not stop it.
    pub(crate) fn schedule_outside(&self, at: Instant, action: impl FnOnce(&Rc<Kernel>) + 'static) {
        self.schedule(at, None, Box::new(action));
    }

    /// Schedules what happens inside the device: it is forgotten when the device is reset.
    pub(crate) fn schedule_inside(&self, at: Instant, action: impl FnOnce(&Rc<Kernel>) + 'static) {
        self.schedule(at, Some(self.life()), Box::new(action));
    }

    /// Wakes `waker` when the device's own clock shows `uptime_nanos`.
    pub(crate) fn arm_timer(&self, uptime_nanos: u64, waker: &Waker) {
        let passes = self.crystal.get().true_nanos(uptime_nanos);
        self.timers.borrow_mut().arm(self.started.get().saturating_add(passes), waker);
    }

    /// When the next thing happens that is foreseen; `u64::MAX` if nothing is.
    fn next(&self) -> u64 {
        let next_event = self.queue.borrow().peek().map_or(u64::MAX, |event| event.at);
        next_event.min(self.timers.borrow().next()).min(self.cpu.next_completion())
    }

    pub(crate) fn next_event(&self) -> Option<Instant> {
        Some(self.next()).filter(|&next| next < u64::MAX).map(Instant::from_nanos)
    }

    /// Lets the board live until `woken` or `until`, or until the harness runs out of patience.
    pub(crate) fn run(self: &Rc<Self>, until: Instant, woken: &dyn Fn() -> bool) {
        type Woken<'a> = NonNull<dyn Fn() -> bool + 'a>;
        // SAFETY: only the lifetime changes. `Returned` takes the pointer back before this call, for
        // which `woken` is borrowed, ends.
        let woken_here = unsafe { std::mem::transmute::<Woken<'_>, Woken<'static>>(NonNull::from(woken)) };
        self.errand.set(Some(Errand { until: until.as_nanos(), woken: woken_here }));
        let _returned = Returned(&self.errand);
        loop {
            crate::cpu::dispatch(self);
            crate::cpu::record_states(self);
            self.record_allocations();
            // First: who waits may be woken by the same flag, and it is the device that kept it waiting.
            if self.cpu.interrupted() {
                if self.cpu.has_tasks() {
                    self.crash(crate::cpu::INTERRUPTED);
                }
                return;
            }
            if woken() {
                return;
            }
            let next = self.next();
            if next > until.as_nanos() {
                self.set_now(until.as_nanos().max(self.now.get()));
                return;
            }
            if next > self.now.get() {
                self.set_now(next);
                self.cpu.time_moved();
            }
            self.timers.borrow_mut().fire(next);
            self.cpu.complete(next);
            while let Some(action) = self.due(next) {
                action(self);
            }
        }
    }

    /// Moves the clock to `end` if nothing happens up to and including then and nobody wants the board to
    /// stop before; whether it did. What a turn of [`run`](Self::run) does when the only thing
    /// that goes on is a task's computing.
    pub(crate) fn pass_quietly(&self, end: u64) -> bool {
        let Some(errand) = self.errand.get().filter(|errand| end < errand.until) else { return false };
        let next_event = self.queue.borrow().peek().map_or(u64::MAX, |event| event.at);
        if next_event.min(self.timers.borrow().next()) <= end || end <= self.now.get() {
            return false;
        }
        self.record_allocations();
        // SAFETY: the errand is there, so the call that borrowed `woken` has not ended.
        if unsafe { errand.woken.as_ref() }() {
            return false;
        }
        self.set_now(end);
        self.cpu.time_moved();
        true
    }

    fn due(&self, now: u64) -> Option<Action> {
        let mut queue = self.queue.borrow_mut();
        while queue.peek().is_some_and(|event| event.at <= now) {
            let event = queue.pop()?;
            if event.life.is_none_or(|life| life == self.life()) {
                return Some(event.action);
            }
        }
        None
    }

    pub(crate) fn power_on(self: &Rc<Self>) {
        if !self.powered.replace(true) {
            self.record(self.device_source, self.now(), Kind::Device(DeviceEvent::PowerOn));
            crate::gpio::supply_changed(self);
            self.start_after_boot_rom(self.now(), ResetCause::PowerOn);
        }
    }

    pub(crate) fn power_off(self: &Rc<Self>) {
        if self.powered.replace(false) {
            self.halt();
            crate::flash::power_cut(self);
            crate::gpio::supply_changed(self);
            self.record(self.device_source, self.now(), Kind::Device(DeviceEvent::PowerOff));
        }
    }

    /// The flash chip has no reset line: an operation that it has begun goes on to its end.
    pub(crate) fn reset(self: &Rc<Self>, cause: ResetCause) {
        if self.powered() {
            self.halt();
            self.start_after_boot_rom(self.now(), cause);
        }
    }

    /// The firmware gave up: as ESP-IDF's default, print and reboot.
    pub(crate) fn crash(self: &Rc<Self>, message: &str) {
        self.crash_by(ResetCause::Panic, message);
    }

    /// The same for another `cause`.
    pub(crate) fn crash_by(self: &Rc<Self>, cause: ResetCause, message: &str) {
        self.record(self.device_source, self.now(), Kind::Device(DeviceEvent::Crashed(Arc::from(message))));
        self.halt();
        let line = format!("\r\npanic: {message}\r\nRebooting...\r\n");
        let printed = crate::uart::print_from_rom(self, line.as_bytes());
        self.start_after_boot_rom(printed, cause);
    }

    /// The first allocations of this start that are not recorded yet.
    fn record_allocations(&self) {
        for bytes in self.heap.fetch_first() {
            self.record(self.heap_allocations_source, self.now(), Kind::Gauge(bytes as u64));
        }
    }

    fn halt(self: &Rc<Self>) {
        self.life.set(self.life.get() + 1);
        self.started_up.set(false);
        // First, so that a destructor finds its connections gone: the device says no farewell.
        crate::net::device_halted(self);
        crate::cpu::record_halt(self);
        crate::radio::device_halted(self);
        self.halting.set(true);
        self.cpu.halt(&self.heap);
        self.halting.set(false);
        self.watchdog.stop();
        *self.timers.borrow_mut() = Timers::default();
        crate::pulse::device_halted(self);
        crate::gpio::device_halted(self);
        crate::uart::device_halted(self);
        self.record_allocations();
        self.heap.reset();
    }

    fn start_after_boot_rom(self: &Rc<Self>, reset: Instant, cause: ResetCause) {
        // Never zero, so that a firmware that crashes or restarts at once cannot stop the clock.
        let boot_rom = self.chip_time(self.config.boot_rom).max(Duration::from_nanos(1));
        self.schedule_inside(reset + boot_rom, move |kernel| {
            kernel.cause.set(cause);
            kernel.started.set(kernel.now.get());
            kernel.started_up.set(true);
            kernel.record(kernel.device_source, kernel.now(), Kind::Device(DeviceEvent::Started(cause)));
            // Before the firmware's first instruction: the size of the heap.
            sample_heap(kernel);
            crate::cpu::boot(kernel);
        });
    }

    /// Ends all firmware and forgets everything scheduled, so that nothing outlives the board even
    /// if a task that was stopped in mid-call has leaked its handle.
    pub(crate) fn dismantle(&self) {
        self.gone.set(true);
        self.life.set(self.life.get() + 1);
        crate::net::device_halted(self);
        self.cpu.halt(&self.heap);
        drop(self.queue.take());
        *self.timers.borrow_mut() = Timers::default();
        drop(self.bursts.take());
        self.flash.borrow_mut().forget();
        crate::gpio::forget(self);
        crate::uart::forget(self);
        crate::net::forget(self);
        self.heap.reset();
        self.timeline.take();
        self.firmware.take();
    }
}

/// The rig's own accounts of the heap, so that nobody has to take the firmware's word.
fn sample_heap(kernel: &Rc<Kernel>) {
    record_heap(kernel);
    kernel.schedule_inside(kernel.now() + HEAP_SAMPLE_PERIOD, sample_heap);
}

pub(crate) fn record_heap(kernel: &Kernel) {
    let status = kernel.heap.status();
    let now = kernel.now();
    kernel.record(kernel.heap_free_source, now, Kind::Gauge(status.free as u64));
    kernel.record(kernel.heap_largest_source, now, Kind::Gauge(status.largest_free_block as u64));
}

/// As often as the firmware's own monitor looks.
const HEAP_SAMPLE_PERIOD: Duration = Duration::from_secs(1);
