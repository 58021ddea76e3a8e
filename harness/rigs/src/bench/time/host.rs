//! A real board lives in the host's time.
//!
//! The rig's clock is the controller's, because that one stamps what is judged to the microsecond; what the host
//! stamps (console, network) is placed on it as well as both clocks are known ([`Mapping`]). Without a controller
//! it is the host's own clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as HostInstant};

use rigor_controller::Ticks;
use rigor_core::Instant;

use super::super::console::Arrived;
use super::super::desk::Ends;
use super::super::error::BenchError;
use super::super::mapping::{Mapping, duration_of};
use super::super::wait::wait;
use super::Time;

/// How long the bench sleeps at most if nothing comes.
const SLICE: Duration = Duration::from_millis(5);
/// How often both clocks are held against each other.
const REFRESH: Duration = Duration::from_millis(500);
/// A host that has nothing else to do wakes a thread within this.
pub(in super::super) const SCHEDULING: Duration = Duration::from_millis(1);

/// The host's time.
pub(in super::super) struct HostTime {
    epoch: HostInstant,
    controller: Option<Controlled>,
    interrupt: Arc<AtomicBool>,
}

struct Controlled {
    clock_hz: u32,
    zero: Ticks,
    mapping: Mapping,
    refreshed: HostInstant,
}

impl HostTime {
    /// Begins now, on the host's own clock.
    pub(in super::super) fn without_controller(interrupt: Arc<AtomicBool>) -> Self {
        HostTime { epoch: HostInstant::now(), controller: None, interrupt }
    }

    /// Begins now, on the clock of a controller of `clock_hz`.
    pub(in super::super) fn new(clock_hz: u32, mapping: Mapping, interrupt: Arc<AtomicBool>) -> Self {
        let epoch = HostInstant::now();
        let (zero, _) = mapping.ticks_at(epoch);
        let controller = Some(Controlled { clock_hz, zero, mapping, refreshed: epoch });
        HostTime { epoch, controller, interrupt }
    }

    /// When `host` was on the rig's clock, and how far from the truth that may be.
    fn place(&self, host: HostInstant) -> (Instant, Duration) {
        match &self.controller {
            None => (Instant::ZERO + host.saturating_duration_since(self.epoch), Duration::ZERO),
            Some(controlled) => {
                let (ticks, uncertainty) = controlled.mapping.ticks_at(host);
                (self.instant(ticks), uncertainty)
            }
        }
    }

    fn take_in(&mut self, ends: &mut Ends) -> Result<(), BenchError> {
        ends.bell.hush();
        if let Some(controller) = &mut ends.controller {
            for told in controller.told()? {
                ends.device.hear(&told, &ends.timeline, |ticks| self.instant(ticks));
                ends.wires.take(told, &|ticks| self.instant(ticks));
            }
        }
        self.hear(ends);
        ends.locate()?;
        if let Some(net) = &mut ends.net {
            net.attend();
            let happened = net.take();
            ends.record_net(happened, |host| {
                let (at, uncertainty) = self.place(host);
                (at, uncertainty + SCHEDULING)
            });
        }
        Ok(())
    }

    fn hear(&self, ends: &mut Ends) {
        let Some(console) = &mut ends.console else { return };
        console.listen();
        let latency = console.latency;
        for arrived in console.take() {
            match arrived {
                Arrived::Bytes(host, bytes) => {
                    let (at, uncertainty) = self.place(host);
                    let uncertainty = uncertainty + latency + SCHEDULING;
                    ends.stamps.hear(uncertainty, &ends.timeline);
                    console.record(&bytes, at, uncertainty);
                }
                Arrived::Gone(host, why) => console.record_gone(self.place(host).0, why),
                Arrived::Back(host) => console.record_back(self.place(host).0),
            }
        }
        for (at, event) in console.boot_log.told() {
            ends.device.note(at.max(ends.timeline.now()), latency, event, &ends.timeline);
        }
        let (now, _) = self.place(HostInstant::now());
        console.pass(now - (latency + SCHEDULING));
    }

    fn refresh(&mut self, ends: &mut Ends) -> Result<(), BenchError> {
        let Some(controlled) = &mut self.controller else { return Ok(()) };
        if controlled.refreshed.elapsed() < REFRESH {
            return Ok(());
        }
        if let Some(controller) = &mut ends.controller {
            controlled.mapping.refine(controller.read_clock()?);
        }
        controlled.refreshed = HostInstant::now();
        Ok(())
    }
}

impl Time for HostTime {
    fn run(&mut self, ends: &mut Ends, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), BenchError> {
        loop {
            self.catch_up(ends)?;
            let now = ends.timeline.now();
            if woken() || now >= until || self.interrupt.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.refresh(ends)?;
            let sockets = ends.net.as_ref().map(|net| net.waits()).unwrap_or_default();
            wait(&ends.bell, &sockets, SLICE.min(until.since(now)));
        }
    }

    /// What was sent is on its way, as on any desk.
    fn acted(&mut self, ends: &mut Ends) -> Result<(), BenchError> {
        self.catch_up(ends)
    }

    fn instant(&self, ticks: Ticks) -> Instant {
        let since = |controlled: &Controlled| duration_of(controlled.clock_hz, ticks.since(controlled.zero));
        Instant::ZERO + self.controller.as_ref().map_or(Duration::ZERO, since)
    }

    fn catch_up(&mut self, ends: &mut Ends) -> Result<(), BenchError> {
        let now = HostInstant::now();
        self.take_in(ends)?;
        ends.timeline.advance(self.place(now).0);
        Ok(())
    }
}
