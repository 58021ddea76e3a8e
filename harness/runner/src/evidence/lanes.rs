//! What the sources of a timeline delivered, as lanes of marks.

use std::collections::BTreeMap;

use rigor_core::event::{AirEvent, DeviceEvent, Direction, FlashOperation, ResetCause};
use rigor_core::evidence::{Lane, LaneKind, MAX_LANES, Mark};
use rigor_core::task::TASK_LANES;
use rigor_core::unit::Amount;
use rigor_core::{Event, Instant, Kind, Level, Rig};
use rigor_decode::console::LineDecoder;

use super::conversation::Conversation;
use super::leds::Strips;
use super::tasks;

/// Operations of a flash chip that follow each other within this many nanoseconds share a mark.
const SAME_BURST_NS: u64 = 1_000_000;

/// Every lane that has something to show: the device first, then wires, console, network and chip.
pub(super) fn all(rig: &Rig, strips: &Strips, conversations: &[Conversation]) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    for source in rig.timeline.sources() {
        let name = rig.timeline.name(source);
        let shown_elsewhere = strips.lanes.iter().any(|strip| strip.source == source);
        if shown_elsewhere || name.starts_with(TASK_LANES) {
            continue;
        }
        let events = rig.timeline.events(source, Instant::ZERO, Instant::MAX);
        let mut by_kind: BTreeMap<LaneKind, Vec<Mark>> = BTreeMap::new();
        for event in &events {
            if let Some((kind, mark)) = plain(event) {
                by_kind.entry(kind).or_default().push(mark);
            }
        }
        for (kind, marks) in [
            (LaneKind::Level, spans(&events, rig.timeline.now(), is_high)),
            (LaneKind::Serial, lines(&events)),
            (LaneKind::Flash, flash(&events)),
        ] {
            by_kind.entry(kind).or_default().extend(marks);
        }
        let filled = by_kind.into_iter().filter(|(_, marks)| !marks.is_empty());
        lanes.extend(filled.map(|(kind, marks)| Lane { name: name.clone(), kind, marks, left_out: 0 }));
    }
    lanes.extend(strips.lanes.iter().map(|strip| Lane {
        name: strip.signal.clone(),
        kind: LaneKind::Burst,
        marks: strip.marks(),
        left_out: 0,
    }));
    lanes.extend(conversations.iter().map(|talk| Lane {
        name: talk.name(),
        kind: LaneKind::Network,
        marks: talk.marks(),
        left_out: 0,
    }));
    lanes.retain(|lane| !lane.marks.is_empty());
    lanes.sort_by(|a, b| (place(a.kind), &a.name).cmp(&(place(b.kind), &b.name)));
    // Last, because there are many of them.
    lanes.extend(tasks::all(rig).into_iter().filter(|lane| !lane.marks.is_empty()));
    lanes.truncate(MAX_LANES);
    lanes
}

/// Where on the page a kind of lane stands.
fn place(kind: LaneKind) -> u8 {
    match kind {
        LaneKind::Device => 0,
        LaneKind::Action => 1,
        LaneKind::Note => 2,
        LaneKind::Level => 3,
        LaneKind::Burst => 4,
        LaneKind::Bus => 5,
        LaneKind::Serial => 6,
        LaneKind::Network => 7,
        LaneKind::Air => 8,
        LaneKind::Flash => 9,
    }
}

/// Cuts `lanes` at one instant, such that the last `most` marks of all lanes stay, and gives that
/// instant: what is shown is complete from there on.
pub(super) fn keep_the_last(lanes: &mut Vec<Lane>, most: usize, until_ns: u64) -> u64 {
    let end = |mark: &Mark| mark.at_ns.saturating_add(mark.length_ns);
    let mut ends: Vec<u64> = lanes.iter().flat_map(|lane| &lane.marks).map(end).collect();
    if ends.len() <= most {
        return 0;
    }
    ends.sort_unstable();
    // Marks that end at the instant of the cut stay or go together.
    let cut = ends[ends.len() - most - 1];
    for lane in lanes.iter_mut() {
        let before = lane.marks.len();
        lane.marks.retain(|mark| end(mark) > cut);
        lane.left_out = (before - lane.marks.len()) as u64;
    }
    lanes.retain(|lane| !lane.marks.is_empty());
    let begin = lanes.iter().flat_map(|lane| &lane.marks).map(|mark| mark.at_ns).min();
    begin.unwrap_or(cut).min(until_ns)
}

fn mark(event: &Event, text: String) -> Mark {
    let at_ns = event.at.as_nanos();
    Mark { at_ns, length_ns: event.end().as_nanos().saturating_sub(at_ns), text }
}

/// What needs only to be put into words.
fn plain(event: &Event) -> Option<(LaneKind, Mark)> {
    let (kind, text) = match &event.kind {
        Kind::Bus(transfer) => {
            let what = if transfer.data { "data" } else { "command" };
            let first = transfer.bytes.first().map_or_else(String::new, |byte| format!(" {byte:02x}"));
            (LaneKind::Bus, format!("{what}{first}, {} bytes", transfer.bytes.len()))
        }
        Kind::Air(air) => (LaneKind::Air, on_air(air)),
        Kind::Action(text) => (LaneKind::Action, text.to_string()),
        Kind::Note(text) => (LaneKind::Note, text.to_string()),
        Kind::Gap(gap) => (LaneKind::Note, format!("lost {}: {}", Amount::from(gap.length), gap.reason)),
        Kind::Device(device) => (LaneKind::Device, of_device(device)),
        Kind::Phases(phases) => (LaneKind::Burst, format!("{} phases", phases.lengths.len())),
        Kind::Serial(_)
        | Kind::Edge(_)
        | Kind::Burst(_)
        | Kind::Flow(_)
        | Kind::FlashBusy(_)
        | Kind::Gauge(_) => {
            return None;
        }
    };
    Some((kind, mark(event, text)))
}

fn on_air(air: &AirEvent) -> String {
    match air {
        AirEvent::Appeared(point) => {
            let lock = if point.open { "open" } else { "locked" };
            format!("`{}` appeared, {lock}, channel {}", point.ssid, point.channel)
        }
        AirEvent::Vanished(ssid) => format!("`{ssid}` vanished"),
        AirEvent::Joined => "the device joined".to_owned(),
        AirEvent::Addressed(address) => format!("the device has {address}"),
        AirEvent::Left => "the device left".to_owned(),
    }
}

fn of_device(event: &DeviceEvent) -> String {
    match event {
        DeviceEvent::PowerOn => "power on".to_owned(),
        DeviceEvent::PowerOff => "power off".to_owned(),
        DeviceEvent::Started(cause) => format!(
            "started: {}",
            match cause {
                ResetCause::PowerOn => "power",
                ResetCause::Pin => "reset pin",
                ResetCause::Software => "by itself",
                ResetCause::Panic => "after a crash",
                ResetCause::Watchdog => "watchdog",
            }
        ),
        DeviceEvent::Crashed(message) => format!("crashed: {message}"),
    }
}

fn is_high(kind: &Kind) -> Option<bool> {
    match kind {
        Kind::Edge(level) => Some(*level == Level::High),
        _ => None,
    }
}

/// The times from an event that is `on` (high, running) to the next one that is off.
pub(super) fn spans(events: &[Event], now: Instant, on: impl Fn(&Kind) -> Option<bool>) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut rose: Option<Instant> = None;
    let mut span = |from: Instant, until: Instant| {
        let at_ns = from.as_nanos();
        let length_ns = until.as_nanos().saturating_sub(at_ns);
        marks.push(Mark { at_ns, length_ns, text: String::new() });
    };
    for event in events {
        match on(&event.kind) {
            Some(true) => {
                rose.get_or_insert(event.at);
            }
            Some(false) => {
                if let Some(from) = rose.take() {
                    span(from, event.at);
                }
            }
            None => {}
        }
    }
    if let Some(from) = rose {
        span(from, now);
    }
    marks
}

/// What was sent on a serial line, a line of text a mark.
fn lines(events: &[Event]) -> Vec<Mark> {
    let mut marks = Vec::new();
    for (direction, arrow) in [(Direction::FromDut, ""), (Direction::ToDut, "→ ")] {
        let mut decoder = LineDecoder::new(direction);
        let mut lines = Vec::new();
        for event in events {
            decoder.event(event, &mut lines);
        }
        lines.extend(decoder.finish());
        marks.extend(lines.into_iter().map(|line| Mark {
            at_ns: line.start.as_nanos(),
            length_ns: line.end.as_nanos().saturating_sub(line.start.as_nanos()),
            text: format!("{arrow}{}", line.text),
        }));
    }
    marks.sort_by_key(|mark| mark.at_ns);
    marks
}

/// The times that a flash chip was busy; what follows without a pause is one.
fn flash(events: &[Event]) -> Vec<Mark> {
    struct Work {
        operation: FlashOperation,
        at: u64,
        until: u64,
        count: u64,
        bytes: u64,
        address: u32,
    }
    impl Work {
        fn mark(&self) -> Mark {
            let what = match self.operation {
                FlashOperation::Erase => "erase",
                FlashOperation::Program => "program",
            };
            let times = if self.count > 1 { format!(" × {}", self.count) } else { String::new() };
            Mark {
                at_ns: self.at,
                length_ns: self.until - self.at,
                text: format!("{what}{times}, {} bytes at {:#x}", self.bytes, self.address),
            }
        }
    }
    let mut marks = Vec::new();
    let mut work: Option<Work> = None;
    for event in events {
        let Kind::FlashBusy(busy) = &event.kind else { continue };
        let (at, until) = (event.at.as_nanos(), event.end().as_nanos());
        match &mut work {
            Some(work)
                if work.operation == busy.operation && at <= work.until.saturating_add(SAME_BURST_NS) =>
            {
                work.until = work.until.max(until);
                work.count += 1;
                work.bytes += u64::from(busy.length);
            }
            _ => {
                let (operation, address) = (busy.operation, busy.address);
                let next = Work { operation, at, until, count: 1, bytes: u64::from(busy.length), address };
                marks.extend(work.replace(next).map(|work| work.mark()));
            }
        }
    }
    marks.extend(work.map(|work| work.mark()));
    marks
}
