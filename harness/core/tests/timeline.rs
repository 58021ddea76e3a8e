//! The promises of the timeline: order, completeness, cursors that take nothing from each other.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use rigor_core::event::{Burst, BytesEncoding, DeviceEvent, Gap, Symbol};
use rigor_core::timeline::{Cursor, Next, Tap, TimelineError, Told};
use rigor_core::{Instant, Kind, Level, Source, Timeline};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn at(ns: u64) -> Instant {
    Instant::from_nanos(ns)
}

fn push(timeline: &Timeline, source: Source, ns: u64, kind: Kind) {
    timeline.push(source, at(ns), Duration::ZERO, kind).expect("in order");
}

fn edge(timeline: &Timeline, source: Source, ns: u64) {
    push(timeline, source, ns, Kind::Edge(Level::High));
}

#[test]
fn a_lane_refuses_disorder_and_broken_promises_and_stays_as_it_was() {
    let timeline = Timeline::new();
    let pin = timeline.source("pin");
    edge(&timeline, pin, 10);
    edge(&timeline, pin, 10);
    let late = timeline.push(pin, at(9), Duration::ZERO, Kind::Edge(Level::Low));
    assert!(matches!(late, Err(TimelineError::OutOfOrder { .. })), "{late:?}");
    timeline.promise(pin, at(20));
    let broken = timeline.push(pin, at(19), Duration::ZERO, Kind::Edge(Level::Low));
    assert!(matches!(broken, Err(TimelineError::PromiseBroken { .. })), "{broken:?}");
    edge(&timeline, pin, 20);
    assert_eq!(timeline.events(pin, at(0), Instant::MAX).len(), 3);
}

#[test]
fn the_log_is_the_merge_of_its_lanes() {
    let timeline = Timeline::new();
    let (a, b) = (timeline.source("a"), timeline.source("b"));
    assert_eq!(timeline.source("a"), a, "a name is a source");
    for ns in [1, 5, 9] {
        edge(&timeline, a, ns);
    }
    // Delivered later, happened in between.
    for ns in [0, 5, 6] {
        edge(&timeline, b, ns);
    }
    let merged: Vec<(Source, u64)> = timeline
        .merged(at(0), at(9))
        .into_iter()
        .map(|(source, event)| (source, event.at.as_nanos()))
        .collect();
    assert_eq!(merged, [(b, 0), (a, 1), (a, 5), (b, 5), (b, 6)]);
}

#[test]
fn cursors_take_nothing_from_each_other() {
    let timeline = Timeline::new();
    let pin = timeline.source("pin");
    edge(&timeline, pin, 1);
    let mut late = timeline.cursor(pin);
    let (mut first, mut second) = (timeline.cursor_at_start(pin), timeline.cursor_at_start(pin));
    edge(&timeline, pin, 2);
    let read = |cursor: &mut Cursor| cursor.try_next().map(|event| event.at.as_nanos());
    assert_eq!([read(&mut first), read(&mut first), read(&mut first)], [Some(1), Some(2), None]);
    assert_eq!([read(&mut second), read(&mut late)], [Some(1), Some(2)]);
}

#[test]
fn absence_waits_for_the_source_s_promise() {
    let timeline = Timeline::new();
    let pin = timeline.source("pin");
    let mut context = Context::from_waker(Waker::noop());
    let mut cursor = timeline.cursor(pin);
    let mut next = pin!(cursor.next_before(at(100)));
    assert!(next.as_mut().poll(&mut context).is_pending());
    // A burst is under way: the clock alone proves nothing.
    timeline.hold(pin, at(40));
    timeline.advance(at(200));
    assert_eq!(timeline.complete_until(pin), at(40));
    assert!(next.as_mut().poll(&mut context).is_pending());
    timeline.release(pin);
    assert_eq!(next.as_mut().poll(&mut context), Poll::Ready(Next::Absent));
}

#[test]
fn an_event_at_the_deadline_stays_for_the_next_question() {
    let timeline = Timeline::new();
    let pin = timeline.source("pin");
    let mut context = Context::from_waker(Waker::noop());
    let mut cursor = timeline.cursor(pin);
    edge(&timeline, pin, 100);
    assert_eq!(pin!(cursor.next_before(at(100))).poll(&mut context), Poll::Ready(Next::Absent));
    let found = pin!(cursor.next_before(at(101))).poll(&mut context);
    assert!(matches!(found, Poll::Ready(Next::Event(event)) if event.at == at(100)));
}

#[test]
fn waiting_is_an_alarm_until_it_is_over() {
    let timeline = Timeline::new();
    let pin = timeline.source("pin");
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut context = Context::from_waker(&waker);
    {
        let mut sleep = pin!(timeline.sleep_until(at(50)));
        let mut cursor = timeline.cursor(pin);
        let mut next = pin!(cursor.next_before(at(30)));
        assert!(sleep.as_mut().poll(&mut context).is_pending());
        assert!(next.as_mut().poll(&mut context).is_pending());
        assert_eq!(timeline.next_alarm(), Some(at(30)));
        timeline.advance(at(30));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(timeline.next_alarm(), Some(at(50)));
        timeline.advance(at(20));
        assert_eq!(timeline.now(), at(30), "the clock never goes back");
    }
    assert_eq!(timeline.next_alarm(), None, "nobody waits any more");
}

/// A future may be polled by one task and then by another, as under `select` and `join`.
#[test]
fn of_several_that_poll_the_last_one_is_woken() {
    let timeline = Timeline::new();
    let pin = timeline.source("pin");
    let counts: [Arc<Count>; 2] = Default::default();
    let wakers = counts.clone().map(Waker::from);
    let woken = || counts.each_ref().map(|count| count.0.swap(0, Ordering::Relaxed));
    let mut sleep = pin!(timeline.sleep_until(at(10)));
    for waker in &wakers {
        assert!(sleep.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    }
    timeline.advance(at(10));
    assert_eq!(woken(), [0, 1], "a sleep");
    let mut cursor = timeline.cursor(pin);
    let mut next = pin!(cursor.next_before(at(20)));
    for waker in &wakers {
        assert!(next.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    }
    timeline.advance(at(20));
    assert_eq!(woken(), [0, 1], "an absence");
    assert_eq!(timeline.next_alarm(), None, "one future, one alarm");
}

#[test]
fn who_asks_often_is_woken_once() {
    let timeline = Timeline::new();
    let pin = timeline.source("pin");
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut cursor = timeline.cursor(pin);
    for _ in 0..1000 {
        let next = pin!(cursor.next_before(at(100)));
        assert!(next.poll(&mut Context::from_waker(&waker)).is_pending());
    }
    edge(&timeline, pin, 1);
    assert_eq!(count.0.load(Ordering::Relaxed), 1, "a lane that is silent for hours must not pile up wakers");
}

#[test]
fn a_push_wakes_only_who_waits_for_its_source() {
    let timeline = Timeline::new();
    let (a, b) = (timeline.source("a"), timeline.source("b"));
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut cursor = timeline.cursor(a);
    let mut next = pin!(cursor.next_before(at(100)));
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    edge(&timeline, b, 1);
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    edge(&timeline, a, 1);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
}

#[test]
fn what_is_forgotten_is_gone_and_cursors_go_on() {
    let timeline = Timeline::new();
    let pin = timeline.source("pin");
    for ns in [1, 2, 3] {
        edge(&timeline, pin, ns);
    }
    let hole = Gap { length: Duration::from_nanos(10), reason: "overrun".into() };
    push(&timeline, pin, 4, Kind::Gap(hole));
    let mut cursor = timeline.cursor_at_start(pin);
    timeline.forget_before(at(3));
    assert_eq!(cursor.try_next().map(|event| event.at), Some(at(3)));
    timeline.forget_before(at(14));
    assert_eq!(timeline.events(pin, at(0), Instant::MAX).len(), 1, "the gap lasts until 14");
    timeline.forget_before(at(15));
    edge(&timeline, pin, 20);
    assert_eq!(cursor.try_next().map(|event| event.at), Some(at(20)));
    let late = timeline.push(pin, at(19), Duration::ZERO, Kind::Edge(Level::Low));
    timeline.forget_before(at(100));
    assert!(matches!(late, Err(TimelineError::OutOfOrder { .. })));
    let late = timeline.push(pin, at(19), Duration::ZERO, Kind::Edge(Level::Low));
    assert!(matches!(late, Err(TimelineError::OutOfOrder { .. })), "also after what was forgotten");
}

#[test]
fn what_casts_doubt_on_everything_is_not_forgotten() {
    let timeline = Timeline::new();
    let pin = timeline.source("pin");
    edge(&timeline, pin, 1);
    push(&timeline, pin, 2, Kind::Gap(Gap { length: Duration::ZERO, reason: "overrun".into() }));
    push(&timeline, pin, 3, Kind::Device(DeviceEvent::Crashed("stack overflow".into())));
    edge(&timeline, pin, 4);
    let mut reader = timeline.cursor_at_start(pin);
    assert_eq!(reader.try_next().map(|event| event.at), Some(at(1)));
    reader.forget_read();
    let ends = |timeline: &Timeline| {
        let ends = timeline.events(pin, at(0), Instant::MAX);
        ends.iter().map(|event| event.at.as_nanos()).collect::<Vec<_>>()
    };
    assert_eq!(ends(&timeline), [2, 3, 4], "only what was read");
    timeline.forget_before(at(100));
    assert_eq!(ends(&timeline), [2, 3]);
    assert_eq!(timeline.events(pin, at(3), at(4)).len(), 1);
    assert!(timeline.find(pin, |event| matches!(event.kind, Kind::Gap(_))).is_some());
    assert_eq!(timeline.find_all(pin, |_| true).len(), 2);
    assert_eq!(timeline.merged(at(0), Instant::MAX).len(), 2);
    let mirror = Timeline::new();
    timeline.set_tap(Box::new(Mirror(mirror.clone())));
    assert_eq!(ends(&mirror), [2, 3], "nor kept from whoever listens from now on");
    assert_eq!(reader.try_next(), None, "a reader goes on behind it");
}

#[test]
fn a_burst_is_its_edges() {
    let encoding = BytesEncoding {
        zero: Symbol { high_ns: 400, low_ns: 850 },
        one: Symbol { high_ns: 800, low_ns: 450 },
    };
    let burst = Burst { bytes: Arc::from([0b1010_0000u8, 0xFF]), encoding, idle: Level::Low };
    let edges: Vec<(u64, Level)> = burst.edges().collect();
    assert_eq!(edges.len(), 32, "two a bit");
    assert_eq!(&edges[..4], [(0, Level::High), (800, Level::Low), (1250, Level::High), (1650, Level::Low)]);
    assert_eq!(burst.duration(), Duration::from_nanos(16 * 1250));
    assert_eq!(edges.last(), Some(&(15 * 1250 + 800, Level::Low)));
}

/// Tells another timeline what it hears.
struct Mirror(Timeline);

impl Tap for Mirror {
    fn told(&mut self, what: Told<'_>) {
        let sources = self.0.sources();
        let same = |source: Source| sources[source.index()];
        match what {
            Told::Source(_, name) => drop(self.0.source(name)),
            Told::Event(source, event) => {
                self.0.push(same(source), event.at, event.uncertainty, event.kind.clone()).expect("as told");
            }
            Told::Hold(source, from) => self.0.hold(same(source), from),
            Told::Release(source) => self.0.release(same(source)),
            Told::Promise(source, until) => self.0.promise(same(source), until),
            Told::Advance(to) => self.0.advance(to),
        }
    }
}

#[test]
fn told_what_a_tap_heard_a_timeline_is_the_same() {
    let state = |timeline: &Timeline| {
        let names: Vec<_> = timeline
            .sources()
            .into_iter()
            .map(|source| (timeline.name(source), timeline.complete_until(source)))
            .collect();
        (names, timeline.now(), timeline.merged(Instant::ZERO, Instant::MAX))
    };
    let (timeline, mirror) = (Timeline::new(), Timeline::new());
    let (a, b) = (timeline.source("a"), timeline.source("b"));
    edge(&timeline, b, 2);
    timeline.promise(a, at(9));
    timeline.hold(b, at(3));
    timeline.advance(at(5));
    timeline.set_tap(Box::new(Mirror(mirror.clone())));
    assert_eq!(state(&timeline), state(&mirror), "what was there before");
    edge(&timeline, b, 3);
    assert!(timeline.push(b, at(1), Duration::ZERO, Kind::Gauge(1)).is_err(), "too late");
    timeline.release(b);
    timeline.promise(b, at(30));
    let c = timeline.source("c");
    timeline.hold(c, at(6));
    timeline.advance(at(20));
    timeline.advance(at(10));
    assert_eq!(state(&timeline), state(&mirror));
    let kept = mirror.events(b, Instant::ZERO, Instant::MAX).len();
    timeline.forget_before(Instant::MAX);
    assert_eq!(mirror.events(b, Instant::ZERO, Instant::MAX).len(), kept, "who forgets has told it before");
    timeline.remove_tap();
    timeline.advance(at(40));
    assert_eq!(mirror.now(), at(20));
}

#[test]
fn the_last_event_before_an_instant_is_found_as_long_as_it_is_kept() {
    let timeline = Timeline::new();
    let pin = timeline.source("pin");
    let before = |ns| timeline.last_before(pin, at(ns)).map(|event| event.at.as_nanos());
    assert_eq!(before(100), None);
    push(&timeline, pin, 5, Kind::Gap(Gap { length: Duration::ZERO, reason: "overrun".into() }));
    edge(&timeline, pin, 10);
    edge(&timeline, pin, 20);
    assert_eq!([before(5), before(6), before(20), before(21)], [None, Some(5), Some(10), Some(20)]);
    timeline.forget_before(at(100));
    assert_eq!([before(5), before(21)], [None, Some(5)], "nobody may forget a gap");
}
