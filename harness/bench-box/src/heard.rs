//! What the board has done since somebody looked: the box's probe on its timeline.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rigor_core::event::{Direction, Event, FlowKind, Kind};
use rigor_core::timeline::{Tap, Told};
use rigor_core::{Source, Timeline};

/// What was heard and not fetched.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Inner>);

#[derive(Default)]
struct Inner {
    any: AtomicBool,
    events: Mutex<VecDeque<(Source, Event)>>,
}

impl Heard {
    /// Hears what concerns a host on these sources of `timeline`.
    pub(crate) fn listen(timeline: &Timeline, sources: impl IntoIterator<Item = Source>) -> Self {
        let heard = Heard::default();
        timeline.set_tap(Box::new(Probe { sources: sources.into_iter().collect(), heard: heard.clone() }));
        heard
    }

    /// Whether there is anything.
    pub(crate) fn is_any(&self) -> bool {
        self.0.any.load(Ordering::Relaxed)
    }

    /// The first of it, in the order in which it came.
    pub(crate) fn fetch(&self) -> Option<(Source, Event)> {
        let mut events = self.events();
        let first = events.pop_front();
        self.0.any.store(!events.is_empty(), Ordering::Relaxed);
        first
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<(Source, Event)>> {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Probe {
    sources: BTreeSet<Source>,
    heard: Heard,
}

impl Tap for Probe {
    fn told(&mut self, what: Told<'_>) {
        let Told::Event(source, event) = what else { return };
        if crosses(&event.kind) && self.sources.contains(&source) {
            self.heard.events().push_back((source, event.clone()));
            self.heard.0.any.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether a host can see it: not what it did itself.
fn crosses(kind: &Kind) -> bool {
    match kind {
        Kind::Edge(_) | Kind::Burst(_) => true,
        Kind::Serial(serial) => serial.direction == Direction::FromDut,
        Kind::Flow(flow) => matches!(
            flow.what,
            FlowKind::Opened
                | FlowKind::Refused
                | FlowKind::Data(Direction::FromDut, _)
                | FlowKind::Finished(Direction::FromDut)
                | FlowKind::Reset(Direction::FromDut)
        ),
        _ => false,
    }
}
