//! A simulated board lives in its own time, which its controller moves on as far as it is told to.
//!
//! Both say with every word what they have put on the channels beside it, and the other takes all of that in first:
//! no instant depends on the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as HostInstant};

use rigor_controller::Ticks;
use rigor_controller::stepped::{Crossed, Proceed, Stands};
use rigor_core::Instant;

use super::super::console::Arrived;
use super::super::desk::Ends;
use super::super::error::BenchError;
use super::super::mapping::{duration_of, ticks_in};
use super::super::net::Net;
use super::super::wait::wait;
use super::Time;

/// What the device has sent is there within this, or never.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);
/// While a socket takes no more, the device gets on by so much at a time.
const SLICE: Duration = Duration::from_millis(1);

/// The device's own time.
pub(in super::super) struct SteppedTime {
    clock_hz: u32,
    zero: Ticks,
    interrupt: Arc<AtomicBool>,
}

impl SteppedTime {
    /// Zero is where the clock of `clock_hz` shows `zero`.
    pub(in super::super) fn new(clock_hz: u32, zero: Ticks, interrupt: Arc<AtomicBool>) -> Self {
        SteppedTime { clock_hz, zero, interrupt }
    }

    fn ticks(&self, at: Instant) -> Ticks {
        self.zero + ticks_in(self.clock_hz, at.since(Instant::ZERO))
    }

    /// Lets the device run until `until`, or until it has something to tell.
    fn step(&mut self, ends: &mut Ends, until: Instant) -> Result<(), BenchError> {
        let crossed = sent(ends);
        if let Some(error) = ends.net.as_ref().and_then(Net::unreached) {
            return Err(error);
        }
        let until = self.ticks(until);
        let Some(controller) = &mut ends.controller else { return Ok(()) };
        let stands = controller
            .proceed(Proceed { until, crossed })
            .map_err(|error| ends.net.as_ref().and_then(Net::unanswered).unwrap_or(error))?;
        await_all(ends, &stands.crossed)?;
        self.take_in(ends, &stands)
    }

    fn take_in(&self, ends: &mut Ends, stands: &Stands) -> Result<(), BenchError> {
        let at = self.instant(stands.at).max(ends.timeline.now());
        if let Some(controller) = &mut ends.controller {
            for told in controller.told()? {
                ends.device.hear(&told, &ends.timeline, |ticks| self.instant(ticks));
                ends.wires.take(told, &|ticks| self.instant(ticks));
            }
        }
        if let Some(console) = &mut ends.console {
            for arrived in console.take() {
                match arrived {
                    Arrived::Bytes(_, bytes) => console.record(&bytes, at, Duration::ZERO),
                    Arrived::Gone(_, why) => console.record_gone(at, why),
                    Arrived::Back(_) => console.record_back(at),
                }
            }
            for (when, event) in console.boot_log.told() {
                ends.device.note(when, Duration::ZERO, event, &ends.timeline);
            }
            console.pass(at);
        }
        if let Some(net) = &mut ends.net {
            if let Some(number) = stands.opened {
                net.taken(number);
            }
            let happened = net.take();
            ends.record_net(happened, |_| (at, Duration::ZERO));
        }
        ends.timeline.advance(at);
        Ok(())
    }
}

/// What the rig has sent, once the host has taken what it takes.
fn sent(ends: &mut Ends) -> Crossed {
    let traffic = ends.net.as_mut().map(|net| {
        net.attend();
        net.sent
    });
    let traffic = traffic.unwrap_or_default();
    Crossed {
        console: ends.console.as_ref().map_or(0, |console| console.typed),
        opened: traffic.opened,
        network: traffic.bytes,
        ended: traffic.ended,
    }
}

/// Waits until all that the device says it has sent is there.
fn await_all(ends: &mut Ends, crossed: &Crossed) -> Result<(), BenchError> {
    let deadline = HostInstant::now() + ARRIVES_WITHIN;
    loop {
        ends.bell.hush();
        if let Some(console) = &mut ends.console {
            console.listen();
        }
        if let Some(net) = &mut ends.net {
            net.attend();
        }
        let arrived = ends.net.as_ref().map(|net| net.received).unwrap_or_default();
        let typed = ends.console.as_ref().map(|console| console.received);
        let counts = [
            ("bytes on the console", crossed.console, typed.unwrap_or(crossed.console)),
            ("bytes over the network", crossed.network, arrived.bytes),
            ("ends of connections", crossed.ended.into(), arrived.ended.into()),
        ];
        let Some((what, sent, arrived)) = counts.into_iter().find(|(_, sent, arrived)| arrived < sent) else {
            return Ok(());
        };
        let now = HostInstant::now();
        if now >= deadline {
            return Err(BenchError::Lost { what, sent, arrived, within: ARRIVES_WITHIN });
        }
        let sockets = ends.net.as_ref().map(|net| net.waits()).unwrap_or_default();
        // A socket that can be written to is ready all the time.
        let readable: Vec<_> = sockets
            .into_iter()
            .filter(|(_, wanted)| wanted.contains(rustix::event::PollFlags::IN))
            .map(|(socket, _)| (socket, rustix::event::PollFlags::IN))
            .collect();
        wait(&ends.bell, &readable, (deadline - now).min(Duration::from_millis(20)));
    }
}

impl Time for SteppedTime {
    fn run(&mut self, ends: &mut Ends, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), BenchError> {
        loop {
            let now = ends.timeline.now();
            if woken() || now >= until || self.interrupt.load(Ordering::Relaxed) {
                return Ok(());
            }
            let queued = ends.net.as_ref().is_some_and(|net| net.is_queued());
            self.step(ends, if queued { until.min(now + SLICE) } else { until })?;
        }
    }

    fn acted(&mut self, ends: &mut Ends) -> Result<(), BenchError> {
        let now = ends.timeline.now();
        self.step(ends, now)
    }

    fn instant(&self, ticks: Ticks) -> Instant {
        Instant::ZERO + duration_of(self.clock_hz, ticks.since(self.zero))
    }

    /// It stands still unless it is told to run.
    fn catch_up(&mut self, _: &mut Ends) -> Result<(), BenchError> {
        Ok(())
    }
}
