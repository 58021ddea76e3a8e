//! What a case asks of a rig, stated by the arguments of its function.
//!
//! A need acts through the rig's [parts](rigor_core::part) and reads from the rig's
//! [timeline](rigor_core::timeline): nothing is read from a part. What it does is noted on the
//! timeline as an action.

mod air;
mod chance;
mod clock;
mod console;
mod device;
mod flash;
mod heap;
mod leds;
mod net;
mod power;
mod stress;
mod tasks;
mod websocket;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rigor_core::event::{ConnectionId, Kind};
use rigor_core::rig::Parts;
use rigor_core::verdict::{Blame, HarnessError, RigError};
use rigor_core::{Fidelity, Instant, Source, Timeline};

pub use air::Air;
pub use chance::Chance;
pub use clock::Clock;
pub use console::Console;
pub use device::Device;
pub use flash::Flash;
pub use heap::Heap;
pub use leds::{Leds, Picture, Recording, Watch};
pub use net::{Datagrams, Net, Received, Tcp};
pub use power::Power;
pub use stress::Stress;
pub use tasks::{Started, Tasks};
pub use websocket::{Heard, WebSocket};

/// What a case's needs are taken from: the parts and the timeline of one rig.
#[derive(Clone)]
pub struct Bench {
    /// The rig's log.
    pub timeline: Timeline,
    /// The rig's parts.
    pub parts: Rc<Parts>,
    /// What the rig's clock is worth.
    pub fidelity: Fidelity,
    actions: Source,
    seed: u64,
    provoked: Rc<RefCell<Vec<Provoked>>>,
    restarts: Rc<RefCell<Vec<Instant>>>,
    talks: Rc<RefCell<BTreeSet<ConnectionId>>>,
    failed: Rc<RefCell<Option<RigError>>>,
}

/// A crash that a case brings about and waits for: at most one in this span of time.
#[derive(Clone, Copy)]
struct Provoked {
    from: Instant,
    until: Instant,
}

impl Bench {
    /// The bench of a rig.
    pub fn new(timeline: Timeline, parts: Parts, fidelity: Fidelity) -> Self {
        let actions = timeline.source("harness");
        Bench {
            timeline,
            parts: Rc::new(parts),
            fidelity,
            actions,
            seed: 0,
            provoked: Rc::default(),
            restarts: Rc::default(),
            talks: Rc::default(),
            failed: Rc::default(),
        }
    }

    /// The same with the seed of what a case chooses at random; 0 otherwise.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Does something to the rig that a need is no good without. If the rig fails, the case does not begin,
    /// and the rig is to blame: it has what was asked for.
    pub fn try_to(&self, act: impl FnOnce() -> Result<(), RigError>) {
        if let Err(error) = act() {
            self.failed.borrow_mut().get_or_insert(error);
        }
    }

    /// Whether the rig was able to give the needs that it has.
    ///
    /// # Errors
    /// Its first failure, if there was one.
    pub(crate) fn is_well(&self) -> Result<(), RigError> {
        self.failed.borrow().clone().map_or(Ok(()), Err)
    }

    /// Says that the case has brought a crash about that is to come before `until`. One crash from
    /// now to then does not fail the case by itself; any other one does.
    pub fn expect_crash(&self, until: Instant) {
        self.provoked.borrow_mut().push(Provoked { from: self.timeline.now(), until });
    }

    /// Of the `crashes` at these instants the first that the case has not brought about.
    pub(crate) fn first_unprovoked(&self, crashes: impl IntoIterator<Item = Instant>) -> Option<Instant> {
        let mut provoked = self.provoked.borrow().clone();
        crashes.into_iter().find(|&at| {
            let excuse = provoked.iter().position(|excuse| excuse.from <= at && at < excuse.until);
            excuse.map(|index| provoked.swap_remove(index)).is_none()
        })
    }

    /// Says that the rig itself restarts the device now: its next start is none of the device's own.
    pub(crate) fn expect_restart(&self) {
        self.restarts.borrow_mut().push(self.timeline.now());
    }

    /// How many of the `starts`, in the order of time, are the device's own and no
    /// [restart](Self::expect_restart) by the rig.
    pub(crate) fn own_starts(&self, from: Instant, starts: &[Instant]) -> usize {
        let mut own = starts.to_vec();
        for restart in self.restarts.borrow().iter().filter(|restart| **restart >= from) {
            if let Some(index) = own.iter().position(|start| start >= restart) {
                own.remove(index);
            }
        }
        own.len()
    }

    /// Whether the case holds connections that it has not ended.
    pub fn is_talking(&self) -> bool {
        !self.talks.borrow().is_empty()
    }

    /// That the rig has no `part`, which its file's `table` would provide if the rig could have one.
    pub fn missing(&self, part: &str, table: &str) -> Missing {
        let remedy = match self.parts.lacking.get(table) {
            Some(reason) => format!("{reason}, so no `{table}` could bring it; run the case on another rig"),
            None => format!("wire it and add `{table}` to the rig file"),
        };
        Missing { part: part.to_owned(), remedy }
    }

    /// Notes on the timeline what the harness does.
    ///
    /// # Errors
    /// [`HarnessError`] if the log refuses, which is a defect of the harness.
    pub fn act(&self, what: impl Into<Arc<str>>) -> Result<(), Blame> {
        self.timeline
            .push(self.actions, self.timeline.now(), Duration::ZERO, Kind::Action(what.into()))
            .map_err(|error| HarnessError(error.to_string()).into())
    }
}

/// A need that the rig does not meet.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the rig has no {part}; {remedy}")]
pub struct Missing {
    /// What is missing.
    pub part: String,
    /// What to add to the rig file, or why nothing would help.
    pub remedy: String,
}

/// Something that a case asks of a rig by an argument of its function.
pub trait Need: Sized + 'static {
    /// Takes it from the bench. It begins where the timeline begins, so that a case sees the
    /// device's start whenever the runner switched it on.
    ///
    /// # Errors
    /// [`Missing`] if the rig has not got it.
    fn take(bench: &Bench) -> Result<Self, Missing>;
}

/// The whole bench, for needs that a suite builds itself.
impl Need for Bench {
    fn take(bench: &Bench) -> Result<Self, Missing> {
        Ok(bench.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A restart by the rig excuses one start, the first after it, and none before.
    #[test]
    fn a_start_that_the_rig_has_brought_about_is_none_of_the_device_s_own() {
        let timeline = Timeline::new();
        let bench = Bench::new(timeline.clone(), Parts::default(), Fidelity::Measured);
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        assert_eq!(bench.own_starts(at(0), &[at(1), at(3)]), 2);
        timeline.advance(at(2));
        bench.expect_restart();
        assert_eq!(bench.own_starts(at(0), &[at(1)]), 1);
        assert_eq!(bench.own_starts(at(0), &[at(1), at(3)]), 1);
        assert_eq!(bench.own_starts(at(0), &[at(1), at(3), at(4)]), 2);
        assert_eq!(bench.own_starts(at(3), &[at(4)]), 1, "nobody asked about the start that it excuses");
    }

    #[test]
    fn what_no_table_could_bring_is_not_asked_for() {
        let lacking = [("[[leds]]", "QEMU emulates no RMT".to_owned())].into();
        let parts = Parts { lacking, ..Parts::default() };
        let bench = Bench::new(Timeline::new(), parts, Fidelity::Emulated);
        let told = |missing: Option<Missing>| missing.expect("it is missing").to_string();
        let expected = "the rig has no LED lanes; QEMU emulates no RMT, so no `[[leds]]` could bring it; run the \
                        case on another rig";
        assert_eq!(told(Leds::take(&bench).err()), expected);
        let expected = "the rig has no supply switch; wire it and add `[power]` to the rig file";
        assert_eq!(told(Power::take(&bench).err()), expected);
    }
}
