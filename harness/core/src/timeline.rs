//! What happened: one append-only log of everything observed and done.
//!
//! Every source has a lane of its own, ordered by time, and states the instant up to which the
//! lane is complete; the log of the rig is the merge of its lanes ([`Timeline::merged`]). That is
//! what a bench is like too: instruments deliver late, and each knows what it still owes.
//!
//! Readers hold a [`Cursor`]: waiting for something never takes it away from anybody else, and an
//! absence is reported only when the source has promised that nothing more can come. All waits of
//! a case end here: the back end that drives the rig asks [`Timeline::next_alarm`] how far it may
//! move the clock and tells [`Timeline::advance`] that it did.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::event::{Event, Kind};
use crate::time::Instant;

/// Names a source of events on one timeline. Another timeline, asked about it, may panic or mean
/// another source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Source(u16);

impl Source {
    /// How many sources its timeline had before it.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Why a timeline refused what a source offered. Each is a defect of the back end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimelineError {
    /// A lane is ordered by time.
    #[error("source `{source_name}` delivered an event of {at} after one of {last}; sort it before delivery")]
    OutOfOrder {
        /// The source's name.
        source_name: String,
        /// The offered instant.
        at: Instant,
        /// The last one in the lane.
        last: Instant,
    },
    /// The source had promised that the lane was complete up to then.
    #[error(
        "source `{source_name}` delivered an event of {at} although it had promised to be complete up to {promised}; promise less"
    )]
    PromiseBroken {
        /// The source's name.
        source_name: String,
        /// The offered instant.
        at: Instant,
        /// The promise.
        promised: Instant,
    },
}

/// What a timeline was told, as its [`Tap`] hears it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Told<'a> {
    /// A source was declared, with this name.
    Source(Source, &'a str),
    /// A source delivered an event, and it was accepted.
    Event(Source, &'a Event),
    /// A source owes what happens from this instant on.
    Hold(Source, Instant),
    /// A source owes nothing any more.
    Release(Source),
    /// A source delivers nothing older than this instant.
    Promise(Source, Instant),
    /// The clock moved forward to this instant.
    Advance(Instant),
}

/// Hears everything that a timeline is told, in that order: told again, it makes the same timeline.
///
/// It is called while the timeline is locked, so it must not call the timeline.
pub trait Tap: Send {
    /// The timeline was told something.
    fn told(&mut self, what: Told<'_>);
}

/// What a cursor found.
#[derive(Clone, PartialEq, Debug)]
pub enum Next {
    /// The next event of the lane.
    Event(Event),
    /// The source promised that there is none before the deadline.
    Absent,
}

#[derive(Default)]
struct Lane {
    name: String,
    events: VecDeque<Event>,
    /// Index of `events[0]` since the lane began; grows when events are forgotten.
    first: u64,
    /// What outlives being forgotten, older than all of `events`.
    kept: Vec<Event>,
    /// Of the last event, forgotten or not.
    last: Option<Instant>,
    promised: Instant,
    /// The source owes what happened from here on, whatever the clock says.
    held_from: Option<Instant>,
    waiting: Vec<Waker>,
}

impl Lane {
    /// Drops the oldest event, unless nobody may be left in ignorance of it.
    fn forget_one(&mut self) {
        let forgotten = self.events.pop_front();
        self.first += u64::from(forgotten.is_some());
        self.kept.extend(forgotten.filter(|event| matches!(event.kind, Kind::Gap(_) | Kind::Device(_))));
    }

    fn complete_until(&self, now: Instant) -> Instant {
        self.promised.max(match self.held_from {
            Some(from) => from.min(now),
            None => now,
        })
    }
}

#[derive(Default)]
struct Inner {
    lanes: Vec<Lane>,
    now: Instant,
    alarms: BTreeMap<(Instant, u64), Waker>,
    alarm_number: u64,
    tap: Option<Box<dyn Tap>>,
}

impl Inner {
    fn tell(&mut self, what: Told<'_>) {
        if let Some(tap) = &mut self.tap {
            tap.told(what);
        }
    }
}

/// A handle to the log of one rig. Clones share the log.
///
/// ```
/// use std::time::Duration;
/// use rigor_core::{Instant, Kind, Level, Timeline};
///
/// let timeline = Timeline::new();
/// let button = timeline.source("button");
/// let (mut one, mut other) = (timeline.cursor(button), timeline.cursor(button));
/// timeline.push(button, Instant::from_nanos(5), Duration::ZERO, Kind::Edge(Level::Low))?;
/// // Reading takes nothing from anybody else.
/// assert_eq!(one.try_next(), other.try_next());
/// // What comes late is refused, not sorted in.
/// assert!(timeline.push(button, Instant::ZERO, Duration::ZERO, Kind::Edge(Level::High)).is_err());
/// # Ok::<(), rigor_core::timeline::TimelineError>(())
/// ```
#[derive(Clone, Default)]
pub struct Timeline(Arc<Mutex<Inner>>);

impl Timeline {
    /// An empty log whose clock stands at zero.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while the lock is held cannot leave a lane half-written: every change is one
        // push or one assignment.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The source of this name, declared now if it is new.
    ///
    /// # Panics
    /// With more than 65,536 sources.
    pub fn source(&self, name: &str) -> Source {
        let mut inner = self.lock();
        if let Some(index) = inner.lanes.iter().position(|lane| lane.name == name) {
            return Source(index as u16);
        }
        let index = u16::try_from(inner.lanes.len()).expect("at most 65,536 sources");
        inner.lanes.push(Lane { name: name.to_owned(), ..Lane::default() });
        inner.tell(Told::Source(Source(index), name));
        Source(index)
    }

    /// Lets `tap` hear everything that the timeline is told from now on, in place of whoever heard it
    /// before. First it hears what makes a timeline such as this one is now.
    pub fn set_tap(&self, mut tap: Box<dyn Tap>) {
        let mut inner = self.lock();
        for (index, lane) in inner.lanes.iter().enumerate() {
            tap.told(Told::Source(Source(index as u16), &lane.name));
        }
        for (index, lane) in inner.lanes.iter().enumerate() {
            let source = Source(index as u16);
            for event in lane.kept.iter().chain(&lane.events) {
                tap.told(Told::Event(source, event));
            }
            if lane.promised > Instant::ZERO {
                tap.told(Told::Promise(source, lane.promised));
            }
            if let Some(from) = lane.held_from {
                tap.told(Told::Hold(source, from));
            }
        }
        if inner.now > Instant::ZERO {
            tap.told(Told::Advance(inner.now));
        }
        inner.tap = Some(tap);
    }

    /// Lets nobody hear any more what the timeline is told.
    pub fn remove_tap(&self) {
        // Dropped outside the lock, whatever its destructor does.
        let tap = self.lock().tap.take();
        drop(tap);
    }

    /// The name that `source` was declared with.
    pub fn name(&self, source: Source) -> String {
        self.lock().lanes[source.0 as usize].name.clone()
    }

    /// All sources in the order of their declaration.
    pub fn sources(&self) -> Vec<Source> {
        (0..self.lock().lanes.len()).map(|index| Source(index as u16)).collect()
    }

    /// The rig's clock.
    pub fn now(&self) -> Instant {
        self.lock().now
    }

    /// Appends what `source` saw.
    ///
    /// # Errors
    /// [`TimelineError`] if the event is older than the lane's last one or than its promise; the
    /// lane stays as it was.
    pub fn push(
        &self,
        source: Source,
        at: Instant,
        uncertainty: Duration,
        kind: Kind,
    ) -> Result<(), TimelineError> {
        let mut inner = self.lock();
        let lane = &mut inner.lanes[source.0 as usize];
        if at < lane.promised {
            return Err(TimelineError::PromiseBroken {
                source_name: lane.name.clone(),
                at,
                promised: lane.promised,
            });
        }
        if let Some(last) = lane.last.filter(|&last| at < last) {
            return Err(TimelineError::OutOfOrder { source_name: lane.name.clone(), at, last });
        }
        lane.last = Some(at);
        for waker in lane.waiting.drain(..) {
            waker.wake();
        }
        let event = Event { at, uncertainty, kind };
        if let Some(tap) = &mut inner.tap {
            tap.told(Told::Event(source, &event));
        }
        inner.lanes[source.0 as usize].events.push_back(event);
        Ok(())
    }

    /// `source` will deliver nothing that happened before `until`, wherever the clock stands.
    pub fn promise(&self, source: Source, until: Instant) {
        let mut inner = self.lock();
        let lane = &mut inner.lanes[source.0 as usize];
        lane.promised = lane.promised.max(until);
        for waker in lane.waiting.drain(..) {
            waker.wake();
        }
        inner.tell(Told::Promise(source, until));
    }

    /// From `from` on `source` owes what happens until it [`release`](Self::release)s the lane.
    ///
    /// A burst that is still being shifted out holds its lane; so does an instrument that delivers
    /// in blocks.
    pub fn hold(&self, source: Source, from: Instant) {
        let mut inner = self.lock();
        inner.lanes[source.0 as usize].held_from = Some(from);
        inner.tell(Told::Hold(source, from));
    }

    /// The lane is complete up to the clock again.
    pub fn release(&self, source: Source) {
        let mut inner = self.lock();
        let lane = &mut inner.lanes[source.0 as usize];
        lane.held_from = None;
        for waker in lane.waiting.drain(..) {
            waker.wake();
        }
        inner.tell(Told::Release(source));
    }

    /// The instant up to which `source` will add nothing.
    pub fn complete_until(&self, source: Source) -> Instant {
        let inner = self.lock();
        inner.lanes[source.0 as usize].complete_until(inner.now)
    }

    /// Moves the rig's clock to `to` (never backwards) and wakes everybody who waited for it.
    pub fn advance(&self, to: Instant) {
        let mut inner = self.lock();
        if to > inner.now {
            inner.now = to;
            inner.tell(Told::Advance(to));
        }
        while let Some(entry) = inner.alarms.first_entry() {
            if entry.key().0 > to {
                break;
            }
            entry.remove().wake();
        }
    }

    /// The earliest instant that somebody waits for. A rig that knows of nothing earlier may move
    /// its clock there.
    pub fn next_alarm(&self) -> Option<Instant> {
        self.lock().alarms.keys().next().map(|&(at, _)| at)
    }

    /// Sets an alarm at `at`, or hands the one that is `armed` already to `waker`: of a future that
    /// is polled by several tasks, the last one is woken.
    fn alarm(&self, at: Instant, armed: Option<u64>, waker: &Waker) -> u64 {
        let mut inner = self.lock();
        let number = armed.unwrap_or_else(|| {
            inner.alarm_number += 1;
            inner.alarm_number
        });
        inner.alarms.insert((at, number), waker.clone());
        number
    }

    fn disarm(&self, at: Instant, number: u64) {
        self.lock().alarms.remove(&(at, number));
    }

    /// Waits until the clock shows `at`.
    pub fn sleep_until(&self, at: Instant) -> Sleep<'_> {
        Sleep { timeline: self, at, armed: None }
    }

    /// A cursor at the end of what is known of `source` now.
    pub fn cursor(&self, source: Source) -> Cursor {
        let inner = self.lock();
        let lane = &inner.lanes[source.0 as usize];
        let next = lane.first + lane.events.len() as u64;
        drop(inner);
        Cursor { timeline: self.clone(), source, next }
    }

    /// A cursor at the first event of `source` that is still kept.
    pub fn cursor_at_start(&self, source: Source) -> Cursor {
        let next = self.lock().lanes[source.0 as usize].first;
        Cursor { timeline: self.clone(), source, next }
    }

    /// What `source` has delivered with `from <= at < until`.
    pub fn events(&self, source: Source, from: Instant, until: Instant) -> Vec<Event> {
        let inner = self.lock();
        let Lane { events, kept, .. } = &inner.lanes[source.0 as usize];
        let kept = kept.iter().filter(|event| event.at >= from && event.at < until);
        let start = events.partition_point(|event| event.at < from);
        let end = events.partition_point(|event| event.at < until);
        kept.chain(events.range(start..end.max(start))).cloned().collect()
    }

    /// The last event of `source` before `at` that is still kept.
    pub fn last_before(&self, source: Source, at: Instant) -> Option<Event> {
        let inner = self.lock();
        let Lane { events, kept, .. } = &inner.lanes[source.0 as usize];
        let before = events.partition_point(|event| event.at < at);
        let last = before.checked_sub(1).and_then(|index| events.get(index));
        last.or_else(|| kept.iter().rfind(|event| event.at < at)).cloned()
    }

    /// The first event of `source` that `matches`, without copying the others.
    pub fn find(&self, source: Source, matches: impl Fn(&Event) -> bool) -> Option<Event> {
        let inner = self.lock();
        let Lane { events, kept, .. } = &inner.lanes[source.0 as usize];
        kept.iter().chain(events).find(|event| matches(event)).cloned()
    }

    /// All events of `source` that `match`, without copying the others.
    pub fn find_all(&self, source: Source, matches: impl Fn(&Event) -> bool) -> Vec<Event> {
        let inner = self.lock();
        let Lane { events, kept, .. } = &inner.lanes[source.0 as usize];
        kept.iter().chain(events).filter(|event| matches(event)).cloned().collect()
    }

    /// What all sources have delivered with `from <= at < until`, ordered by time; at one instant
    /// in the order in which the sources were declared.
    pub fn merged(&self, from: Instant, until: Instant) -> Vec<(Source, Event)> {
        let mut all: Vec<(Source, Event)> = Vec::new();
        for source in self.sources() {
            all.extend(self.events(source, from, until).into_iter().map(|event| (source, event)));
        }
        all.sort_by_key(|(source, event)| (event.at, *source));
        all
    }

    /// Drops every event that ended before `before`, so that a run of days needs the memory of
    /// minutes. Cursors that stood there continue with what is left.
    ///
    /// What says that a source lost data ([`Kind::Gap`]), or what happened to the device as a whole
    /// ([`Kind::Device`]), is dropped for cursors only: it casts doubt on all that was found, so
    /// [`find`](Self::find), [`find_all`](Self::find_all), [`events`](Self::events) and
    /// [`merged`](Self::merged) still give it. A [`Tap`] has heard everything long before.
    pub fn forget_before(&self, before: Instant) {
        let mut inner = self.lock();
        for lane in &mut inner.lanes {
            while lane.events.front().is_some_and(|event| event.end() < before) {
                lane.forget_one();
            }
        }
    }
}

/// A place in one lane. Cheap to clone; independent of every other cursor.
#[derive(Clone)]
pub struct Cursor {
    timeline: Timeline,
    source: Source,
    next: u64,
}

impl Cursor {
    /// The lane this cursor stands in.
    pub fn source(&self) -> Source {
        self.source
    }

    /// The next event if it is there already.
    pub fn try_next(&mut self) -> Option<Event> {
        let inner = self.timeline.lock();
        let lane = &inner.lanes[self.source.0 as usize];
        let index = self.next.max(lane.first);
        let event = lane.events.get((index - lane.first) as usize)?.clone();
        self.next = index + 1;
        Some(event)
    }

    /// Drops from the log what this cursor has read, as [`Timeline::forget_before`] does. Other
    /// readers of the lane miss it unless they have read it too.
    pub fn forget_read(&self) {
        let mut inner = self.timeline.lock();
        let lane = &mut inner.lanes[self.source.0 as usize];
        while lane.first < self.next && !lane.events.is_empty() {
            lane.forget_one();
        }
    }

    /// The next event that began before `deadline`, or the source's promise that there is none.
    ///
    /// An event at or after the deadline stays where it is.
    pub fn next_before(&mut self, deadline: Instant) -> NextBefore<'_> {
        NextBefore { cursor: self, deadline, armed: None }
    }
}

/// Future of [`Cursor::next_before`].
pub struct NextBefore<'a> {
    cursor: &'a mut Cursor,
    deadline: Instant,
    armed: Option<u64>,
}

impl Future for NextBefore<'_> {
    type Output = Next;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Next> {
        let this = &mut *self;
        let mut inner = this.cursor.timeline.lock();
        let now = inner.now;
        let lane = &mut inner.lanes[this.cursor.source.0 as usize];
        let index = this.cursor.next.max(lane.first);
        match lane.events.get((index - lane.first) as usize) {
            Some(event) if event.at < this.deadline => {
                this.cursor.next = index + 1;
                return Poll::Ready(Next::Event(event.clone()));
            }
            Some(_) => return Poll::Ready(Next::Absent),
            None if lane.complete_until(now) >= this.deadline => return Poll::Ready(Next::Absent),
            // Polled again before the lane has moved, it needs no second entry.
            None if lane.waiting.iter().any(|waker| waker.will_wake(context.waker())) => {}
            None => lane.waiting.push(context.waker().clone()),
        }
        drop(inner);
        if now < this.deadline {
            this.armed = Some(this.cursor.timeline.alarm(this.deadline, this.armed, context.waker()));
        }
        Poll::Pending
    }
}

impl Drop for NextBefore<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.armed {
            self.cursor.timeline.disarm(self.deadline, number);
        }
    }
}

/// Future of [`Timeline::sleep_until`].
pub struct Sleep<'a> {
    timeline: &'a Timeline,
    at: Instant,
    armed: Option<u64>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.timeline.now() >= self.at {
            return Poll::Ready(());
        }
        self.armed = Some(self.timeline.alarm(self.at, self.armed, context.waker()));
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.armed {
            self.timeline.disarm(self.at, number);
        }
    }
}
