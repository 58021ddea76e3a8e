//! The model: named signals with their edges, and the span of time in which they were watched.

use std::time::Duration;

use rigor_core::{Instant, Level};

use super::edge::PackedEdge;

/// A signal changed before its last change.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "signal `{signal}` changes at {at} after a change at {last}; deliver its changes in the order of time"
)]
pub struct OutOfOrder {
    /// The signal's name.
    pub signal: String,
    /// The offered instant.
    pub at: Instant,
    /// The instant of its last change.
    pub last: Instant,
}

/// The capture has no signal of this name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the capture has no signal `{name}`; it has: {known}")]
pub struct UnknownSignal {
    /// The name that was asked for.
    pub name: String,
    /// The names that there are.
    pub known: String,
}

/// One digital signal of a [`Capture`].
///
/// Its edges are strictly ordered by time, lie after the capture's start, and each changes the level:
/// this type lets in nothing else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signal {
    name: String,
    start: Instant,
    initial: Level,
    edges: Vec<PackedEdge>,
}

impl Signal {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When watching began.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Its level at the start of the capture.
    pub fn initial(&self) -> Level {
        self.initial
    }

    /// Its changes.
    pub fn edges(&self) -> &[PackedEdge] {
        &self.edges
    }

    /// Its level at the end of the capture.
    pub fn last_level(&self) -> Level {
        self.edges.last().map_or(self.initial, |edge| edge.level())
    }

    /// Its level just after `at`.
    pub fn level_at(&self, at: Instant) -> Level {
        let passed = self.edges.partition_point(|edge| edge.at() <= at);
        passed.checked_sub(1).map_or(self.initial, |last| self.edges[last].level())
    }

    /// The shortest time between two edges; `None` if there are fewer.
    pub fn shortest_pulse(&self) -> Option<Duration> {
        self.edges.windows(2).map(|pair| pair[1].at().since(pair[0].at())).min()
    }

    /// The signal has `level` from `at` on.
    ///
    /// A change at or before the capture's start sets the initial level. A change to the level that the
    /// signal has already is none; one at the instant of the last edge takes that back, because a
    /// capture cannot show a pulse without a length.
    ///
    /// # Errors
    /// [`OutOfOrder`] if it is older than the last edge; the signal stays as it was.
    pub fn change(&mut self, at: Instant, level: Level) -> Result<(), OutOfOrder> {
        let edge = PackedEdge::new(at, level);
        let Some(&last) = self.edges.last() else {
            if at <= self.start {
                self.initial = level;
            } else if level != self.initial {
                self.edges.push(edge);
            }
            return Ok(());
        };
        if edge.at() < last.at() {
            return Err(OutOfOrder { signal: self.name.clone(), at, last: last.at() });
        }
        if level != last.level() {
            if edge.at() == last.at() {
                self.edges.pop();
            } else {
                self.edges.push(edge);
            }
        }
        Ok(())
    }

    /// Sets the level before everything, where nobody knew it when the signal was declared.
    pub(super) fn presume(&mut self, initial: Level) {
        debug_assert!(self.edges.is_empty(), "the level before an edge is known");
        self.initial = initial;
    }
}

/// Signals that were watched from one instant to another.
///
/// ```
/// use rigor_core::{Instant, Level};
/// use rigor_decode::capture::Capture;
///
/// let at = Instant::from_nanos;
/// let mut capture = Capture::new(at(1_000));
/// let button = capture.add("button", Level::High);
/// button.change(at(1_500), Level::Low)?;
/// button.change(at(2_500), Level::High)?;
/// capture.ends_at(at(4_000));
///
/// let button = capture.signal("button").expect("it was added");
/// assert_eq!(button.level_at(at(2_000)), Level::Low);
/// assert_eq!(button.edges().len(), 2);
/// # Ok::<(), rigor_decode::capture::OutOfOrder>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capture {
    start: Instant,
    end: Instant,
    signals: Vec<Signal>,
}

impl Capture {
    /// A capture of nothing yet, from `start` on.
    pub fn new(start: Instant) -> Self {
        Capture { start, end: start, signals: Vec::new() }
    }

    /// Adds a signal that has `initial` at the capture's start. Two signals may have one name; a look
    /// for it finds the first.
    pub fn add(&mut self, name: impl Into<String>, initial: Level) -> &mut Signal {
        let signal = Signal { name: name.into(), start: self.start, initial, edges: Vec::new() };
        self.signals.push(signal);
        self.signals.last_mut().expect("one was pushed just now")
    }

    /// Gives every signal that is called `from` the name `to`: a rig's file may have a better one for a
    /// pin.
    pub fn rename(&mut self, from: &str, to: &str) {
        for signal in self.signals.iter_mut().filter(|signal| signal.name == from) {
            to.clone_into(&mut signal.name);
        }
    }

    /// The signals were watched until `end`, or until the last edge if that is later.
    pub fn ends_at(&mut self, end: Instant) {
        let last = self.signals.iter().filter_map(|signal| signal.edges.last()).map(|edge| edge.at()).max();
        self.end = end.max(last.unwrap_or(self.start)).max(self.start);
    }

    /// Forgets what came after `end`, if the capture is longer.
    pub fn cut_at(&mut self, end: Instant) {
        for signal in &mut self.signals {
            let kept = signal.edges.partition_point(|edge| edge.at() <= end);
            signal.edges.truncate(kept);
        }
        self.end = self.end.min(end).max(self.start);
    }

    /// When watching began.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// When watching ended.
    pub fn end(&self) -> Instant {
        self.end
    }

    /// For how long the signals were watched.
    pub fn duration(&self) -> Duration {
        self.end.since(self.start)
    }

    /// The signals in the order of their declaration.
    pub fn signals(&self) -> &[Signal] {
        &self.signals
    }

    pub(super) fn signals_mut(&mut self) -> &mut [Signal] {
        &mut self.signals
    }

    /// The signal of this name.
    ///
    /// # Errors
    /// [`UnknownSignal`] with the names that there are.
    pub fn signal(&self, name: &str) -> Result<&Signal, UnknownSignal> {
        self.signals.iter().find(|signal| signal.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.signals.iter().map(Signal::name).take(64).collect();
            UnknownSignal { name: name.chars().take(64).collect(), known: known.join(", ") }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> Instant {
        Instant::from_nanos(ns)
    }

    #[test]
    fn lets_in_edges_that_change_something_in_order() {
        let mut capture = Capture::new(at(10));
        let signal = capture.add("a", Level::Low);
        signal.change(at(5), Level::High).unwrap(); // before the start
        signal.change(at(20), Level::High).unwrap(); // no change
        signal.change(at(30), Level::Low).unwrap();
        signal.change(at(40), Level::High).unwrap();
        signal.change(at(40), Level::Low).unwrap(); // takes it back
        signal.change(at(40), Level::Low).unwrap();
        assert_eq!(signal.initial(), Level::High);
        assert_eq!(signal.edges(), [PackedEdge::new(at(30), Level::Low)]);
        let refused = signal.change(at(29), Level::High).unwrap_err();
        assert_eq!((refused.at, refused.last), (at(29), at(30)));
    }

    #[test]
    fn a_pulse_of_no_length_leaves_nothing() {
        let mut capture = Capture::new(at(0));
        let signal = capture.add("a", Level::Low);
        signal.change(at(7), Level::High).unwrap();
        signal.change(at(7), Level::Low).unwrap();
        assert_eq!((signal.edges().len(), signal.last_level()), (0, Level::Low));
    }

    #[test]
    fn levels_hold_from_their_edge_on() {
        let mut capture = Capture::new(at(0));
        let signal = capture.add("a", Level::Low);
        signal.change(at(7), Level::High).unwrap();
        signal.change(at(9), Level::Low).unwrap();
        let levels = [6, 7, 8, 9].map(|ns| signal.level_at(at(ns)));
        assert_eq!(levels, [Level::Low, Level::High, Level::High, Level::Low]);
        assert_eq!(signal.shortest_pulse(), Some(Duration::from_nanos(2)));
    }

    #[test]
    fn ends_with_its_last_edge_at_the_earliest_and_can_be_cut() {
        let mut capture = Capture::new(at(100));
        capture.add("a", Level::Low).change(at(300), Level::High).unwrap();
        capture.ends_at(at(200));
        assert_eq!(capture.end(), at(300));
        capture.cut_at(at(250));
        assert_eq!((capture.end(), capture.signals()[0].edges().len()), (at(250), 0));
        capture.cut_at(at(50));
        assert_eq!(capture.duration(), Duration::ZERO);
    }

    #[test]
    fn who_asks_for_another_name_learns_what_there_is() {
        let mut capture = Capture::new(at(0));
        capture.add("D0", Level::Low);
        capture.add("D1", Level::Low);
        assert_eq!(
            capture.signal("led").unwrap_err().to_string(),
            "the capture has no signal `led`; it has: D0, D1"
        );
    }
}
