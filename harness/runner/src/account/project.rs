//! From a finished rig to its [`Account`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rigor_core::event::{
    AirEvent, ConnectionId, DeviceEvent, Direction, FlashBusy, FlashOperation, FlowKind,
};
use rigor_core::task::TASK_LANES;
use rigor_core::{Event, Instant, Kind, Level, Rig, Source};
use rigor_decode::console::LineDecoder;

use super::network::Talk;
use super::words::{skeleton, without_stamp};
use super::{Account, Entry};

/// Edges further apart are of different frames (WS2812B data sheet: a reset is 50 µs low or more).
const STRIP_RESET: Duration = Duration::from_micros(50);

/// The lane with the sizes of the first allocations.
const ALLOCATIONS: &str = "heap.allocations";

/// What happened on `rig`.
pub(crate) fn of(rig: &Rig) -> Account {
    let mut account = Account { ended_ns: rig.timeline.now().as_nanos(), ..Account::default() };
    let mut talks: BTreeMap<ConnectionId, Talk> = BTreeMap::new();
    let mut refused: BTreeSet<ConnectionId> = BTreeSet::new();
    for source in rig.timeline.sources() {
        let events = rig.timeline.events(source, Instant::ZERO, Instant::MAX);
        let name = name(rig, source);
        let strip = rig.parts.leds.iter().any(|lane| lane.source == source);
        if strip {
            cut_off(&mut account, &name, &events);
        }
        console(&mut account, &name, &events);
        flash(&mut account, &name, &events);
        frames(&mut account, &name, &events);
        gauge(&mut account, &name, &events);
        for event in &events {
            match &event.kind {
                Kind::Flow(flow) => {
                    talks.entry(flow.connection).or_default();
                    if flow.what == FlowKind::Refused {
                        refused.insert(flow.connection);
                    }
                }
                Kind::Edge(_) if strip => {}
                _ => plain(&mut account, &name, event),
            }
        }
    }
    // A case asks again until somebody listens, which is later on one rig than on the other: connections
    // that came to nothing have no number, so that the others have the same on both.
    let order: BTreeMap<ConnectionId, String> = talks
        .keys()
        .filter(|id| !refused.contains(id))
        .enumerate()
        .map(|(place, id)| (*id, format!("net {place}")))
        .chain(refused.iter().map(|id| (*id, "net refused".to_owned())))
        .collect();
    for source in rig.timeline.sources() {
        for event in rig.timeline.find_all(source, |event| matches!(event.kind, Kind::Flow(_))) {
            let Kind::Flow(flow) = &event.kind else { continue };
            let (Some(talk), Some(lane)) = (talks.get_mut(&flow.connection), order.get(&flow.connection))
            else {
                continue;
            };
            talk.hear(event.at, &flow.what, &mut |by, entry| told(&mut account, lane, by, entry));
        }
    }
    for (id, mut talk) in talks {
        let Some(lane) = order.get(&id) else { continue };
        talk.finish(&mut |by, entry| told(&mut account, lane, by, entry));
    }
    account.stimuli.entries.sort_by_key(|entry| entry.at_ns);
    for lane in account.lanes.values_mut() {
        lane.entries.sort_by_key(|entry| entry.at_ns);
    }
    account
}

/// What was said on the connection of `lane`.
fn told(account: &mut Account, lane: &str, by: Direction, entry: Entry) {
    match by {
        Direction::FromDut => account.did(lane, entry),
        Direction::ToDut => {
            let what = format!("{lane} → {}", entry.what);
            account.stimuli.push(Entry { what, ..entry });
        }
    }
}

/// The signal's name if the source is a strip's lane.
fn name(rig: &Rig, source: Source) -> String {
    let strip = rig.parts.leds.iter().find(|lane| lane.source == source);
    strip.map_or_else(|| rig.timeline.name(source), |lane| lane.signal.clone())
}

/// What needs only to be put into words.
fn plain(account: &mut Account, name: &str, event: &Event) {
    let at = event.at.as_nanos();
    match &event.kind {
        // Its figures are names of connections, which count those that were refused.
        Kind::Action(text) => account.stimuli.push(Entry::text(at, format!("{name}: {}", skeleton(text)))),
        Kind::Device(DeviceEvent::PowerOn) => account.stimuli.push(Entry::text(at, "power on")),
        Kind::Device(DeviceEvent::PowerOff) => account.stimuli.push(Entry::text(at, "power off")),
        Kind::Device(DeviceEvent::Started(cause)) => {
            account.did(name, Entry::text(at, format!("started: {cause:?}")));
        }
        Kind::Device(DeviceEvent::Crashed(text)) => {
            account.did(name, Entry::text(at, format!("crashed: {text}")));
        }
        Kind::Note(text) => account.did(name, Entry::text(at, text.to_string())),
        Kind::Gap(gap) => account.did(name, Entry::text(at, format!("lost data: {}", gap.reason))),
        Kind::Edge(level) => {
            let level = if *level == Level::High { "high" } else { "low" };
            account.did(name, Entry::text(at, level));
        }
        Kind::Bus(transfer) => {
            let what = if transfer.data { "data" } else { "command" };
            account.did(
                name,
                Entry::bytes(at, format!("{what}, {} bytes", transfer.bytes.len()), &transfer.bytes),
            );
        }
        Kind::Air(air) => account.did(name, Entry::text(at, on_air(air))),
        Kind::Serial(_) | Kind::Burst(_) | Kind::Flow(_) | Kind::FlashBusy(_) | Kind::Gauge(_) => {}
    }
}

fn on_air(air: &AirEvent) -> String {
    match air {
        AirEvent::Appeared(point) => format!("`{}` appeared", point.ssid),
        AirEvent::Vanished(ssid) => format!("`{ssid}` vanished"),
        AirEvent::Joined => "the device joined".to_owned(),
        AirEvent::Addressed(address) => format!("the device has {address}"),
        AirEvent::Left => "the device left".to_owned(),
    }
}

/// Lines of the device, and each piece that it was sent.
fn console(account: &mut Account, name: &str, events: &[Event]) {
    for line in LineDecoder::decode(events) {
        account.did(name, Entry::text(line.start.as_nanos(), without_stamp(&line.text)));
    }
    for event in events {
        let Kind::Serial(serial) = &event.kind else { continue };
        if serial.direction == Direction::ToDut {
            let typed = String::from_utf8_lossy(&serial.bytes);
            account.stimuli.push(Entry::text(event.at.as_nanos(), format!("{name} → {typed:?}")));
        }
    }
}

/// Operations on the flash chip; what continues where the last one ended is one.
fn flash(account: &mut Account, name: &str, events: &[Event]) {
    let mut work: Option<(u64, FlashBusy, u32)> = None;
    let mut tell = |(at, busy, count): (u64, FlashBusy, u32)| {
        let what = match busy.operation {
            FlashOperation::Erase => "erase",
            FlashOperation::Program => "program",
        };
        let times = if count > 1 { format!(" in {count} operations") } else { String::new() };
        let what = format!("{what} {:#x}, {} bytes{times}", busy.address, busy.length);
        account.did(name, Entry::bytes(at, what.clone(), what.as_bytes()));
    };
    for event in events {
        let Kind::FlashBusy(busy) = &event.kind else { continue };
        match &mut work {
            Some((_, known, count))
                if known.operation == busy.operation
                    && known.address.saturating_add(known.length) == busy.address =>
            {
                known.length += busy.length;
                *count += 1;
            }
            _ => {
                if let Some(done) = work.replace((event.at.as_nanos(), *busy, 1)) {
                    tell(done);
                }
            }
        }
    }
    if let Some(done) = work {
        tell(done);
    }
}

/// Frames of a strip, a repeated one once, and their rhythm.
fn frames(account: &mut Account, name: &str, events: &[Event]) {
    let mut shown: Option<&[u8]> = None;
    let mut last: Option<Instant> = None;
    let mut periods: Vec<u64> = Vec::new();
    for event in events {
        let Kind::Burst(burst) = &event.kind else { continue };
        periods.extend(last.map(|last| event.at.as_nanos() - last.as_nanos()));
        last = Some(event.at);
        if shown == Some(&burst.bytes) {
            continue;
        }
        shown = Some(&burst.bytes);
        let lit = burst.bytes.chunks(3).filter(|pixel| pixel.iter().any(|&byte| byte > 0)).count();
        let first: String = burst.bytes.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
        let what = format!("frame, {} pixels, {lit} lit, first {first}", burst.bytes.len() / 3);
        account.did(name, Entry::bytes(event.at.as_nanos(), what, &burst.bytes));
    }
    periods.sort_unstable();
    let mut figure = |which: &str, part: usize| {
        // Nearest rank, of hundredths.
        let place = (periods.len() * part).div_ceil(100).saturating_sub(1);
        if let Some(&period) = periods.get(place) {
            account.figures.insert(format!("{name} period {which} (ms)"), period as f64 / 1e6);
        }
    };
    figure("min", 0);
    figure("p50", 50);
    figure("p99", 99);
    figure("max", 100);
}

/// What a strip was sent when its device lost power in a frame: edges instead of a burst.
fn cut_off(account: &mut Account, name: &str, events: &[Event]) {
    let edges: Vec<Instant> =
        events.iter().filter(|event| matches!(event.kind, Kind::Edge(_))).map(|event| event.at).collect();
    for burst in edges.chunk_by(|one, next| next.since(*one) < STRIP_RESET) {
        let what = format!("cut off after {} edges", burst.len());
        account.did(name, Entry::text(burst[0].as_nanos(), what));
    }
}

/// The range of a gauge. States of tasks are gauges too and tell nothing here, and a record of sizes has
/// no range.
fn gauge(account: &mut Account, name: &str, events: &[Event]) {
    if name.starts_with(TASK_LANES) || name == ALLOCATIONS {
        return;
    }
    let values = || {
        events.iter().filter_map(|event| match event.kind {
            Kind::Gauge(value) => Some(value),
            _ => None,
        })
    };
    if let (Some(low), Some(high)) = (values().min(), values().max()) {
        account.figures.insert(format!("{name} lowest"), low as f64);
        account.figures.insert(format!("{name} highest"), high as f64);
    }
}
