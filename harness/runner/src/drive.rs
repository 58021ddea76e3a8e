//! Moves a rig's clock for as long as a case needs it.
//!
//! The case is polled when something that it waits for has happened; in between, the rig runs up
//! to the next instant that anybody waits for. The loop is the same on every rig: on a virtual one
//! waiting costs nothing, on a bench it takes the time that it takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use rigor_core::unit::Amount;
use rigor_core::verdict::{Blame, ProductError, RigError};
use rigor_core::{Fidelity, Rig};

use crate::case::{Outcome, Running};

/// Set when the case has something to do.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Runs `case` on `rig` to its end, but no longer than `rig_time` on the rig's clock and no longer
/// than until `interrupt` is set.
///
/// # Errors
/// What the case ended with. A case that takes too long is the product's fault: everything that a
/// case waits for has a deadline of its own, so it is the device that keeps it. The caller turns
/// that into a rig fault if the rig's self-check fails.
pub fn to_the_end(rig: &mut Rig, mut case: Running, rig_time: Duration, interrupt: &AtomicBool) -> Outcome {
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    let deadline = rig.timeline.now() + rig_time;
    let stopped = || woken.0.load(Ordering::Acquire) || interrupt.load(Ordering::Relaxed);
    loop {
        if woken.0.swap(false, Ordering::AcqRel)
            && let Poll::Ready(outcome) = case.as_mut().poll(&mut context)
        {
            return outcome;
        }
        if interrupt.load(Ordering::Relaxed) {
            let now = rig.timeline.now();
            return Err(match rig.fidelity {
                // How far an emulator gets is the host's doing.
                Fidelity::Emulated => Blame::Rig(RigError(format!(
                    "the emulator had come to {now} of rig time when the case had taken too long on the wall clock; run it on a host with less to do"
                ))),
                // The rig's own clock would have ended the case before.
                Fidelity::Measured => Blame::Rig(RigError(format!(
                    "the bench had come to {now} of its time when the case had taken too long on the wall clock; look what \
                     keeps its instruments"
                ))),
                Fidelity::Modelled => Blame::Product(ProductError(format!(
                    "the case was stopped at {now} of rig time because it took too long on the wall clock"
                ))),
            });
        }
        if rig.timeline.now() >= deadline {
            return Err(Blame::Product(ProductError(format!(
                "the case did not end within {} of rig time: what it waited for did not come; give it more time with `Case::within` if it needs more",
                Amount::from(rig_time)
            ))));
        }
        let until = rig.timeline.next_alarm().unwrap_or(deadline).min(deadline);
        rig.drive.run(until, &stopped)?;
    }
}
