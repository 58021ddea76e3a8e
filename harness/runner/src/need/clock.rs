//! The rig's clock.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use rigor_core::{Fidelity, Instant, Timeline};

use super::{Bench, Missing, Need};

/// The rig's clock: all waits of a case go through it.
#[derive(Clone)]
pub struct Clock {
    timeline: Timeline,
    fidelity: Fidelity,
}

impl Clock {
    /// The rig's time.
    pub fn now(&self) -> Instant {
        self.timeline.now()
    }

    /// What durations on this clock are worth.
    pub fn fidelity(&self) -> Fidelity {
        self.fidelity
    }

    /// Waits for `duration` of rig time.
    pub async fn sleep(&self, duration: Duration) {
        self.timeline.sleep_until(self.now() + duration).await;
    }

    /// Waits until the clock shows `at`.
    pub async fn sleep_until(&self, at: Instant) {
        self.timeline.sleep_until(at).await;
    }

    /// What `future` gives, or `None` if it takes longer than `limit` of rig time.
    pub async fn within<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let mut alarm = pin!(self.timeline.sleep_until(self.now() + limit));
        poll_fn(|context| {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                return Poll::Ready(Some(value));
            }
            alarm.as_mut().poll(context).map(|()| None)
        })
        .await
    }
}

impl Need for Clock {
    fn take(bench: &Bench) -> Result<Self, Missing> {
        Ok(Clock { timeline: bench.timeline.clone(), fidelity: bench.fidelity })
    }
}
