//! How far an emulated device has come since it has power: the same in any time.

use rigor_agent::layout::Command;
use rigor_core::Instant;
use rigor_core::event::ResetCause;

use super::heap::SAMPLE_PERIOD;

/// How far it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Life {
    /// In reset until then, as long as ROM and loader take.
    Reset { until: Instant, cause: ResetCause },
    /// The firmware runs; its heap is looked at then.
    Running { heap_sample: Instant },
    /// The firmware has given up and says so on the console; it will reset itself.
    Dying,
    /// Nothing is to be expected any more until the supply is cut.
    Dead,
}

impl Life {
    pub(super) fn runs(&self) -> bool {
        matches!(self, Life::Running { .. })
    }

    /// When something about it is due.
    pub(super) fn next(&self) -> Option<Instant> {
        match *self {
            Life::Reset { until, .. } => Some(until),
            Life::Running { heap_sample } => Some(heap_sample),
            Life::Dying | Life::Dead => None,
        }
    }

    /// Whether the heap is to be looked at when the device has run until `until`.
    pub(super) fn samples_heap(&self, until: Instant) -> bool {
        matches!(*self, Life::Running { heap_sample } if heap_sample <= until)
    }

    /// Whether the heap is to be looked at now; if so, not again for a while.
    pub(super) fn heap_is_due(&mut self, now: Instant) -> bool {
        match self {
            Life::Running { heap_sample } if *heap_sample <= now => {
                *heap_sample = now + SAMPLE_PERIOD;
                true
            }
            _ => false,
        }
    }

    /// What a device is told that stands at `now`. One that has been in reset for long enough runs from then
    /// on, and is told why it starts.
    pub(super) fn command(&mut self, now: Instant) -> (Command, Option<ResetCause>) {
        match *self {
            Life::Reset { until, cause } if until <= now => {
                *self = Life::Running { heap_sample: now };
                (Command::Run, Some(cause))
            }
            _ => (Command::Continue, None),
        }
    }
}
