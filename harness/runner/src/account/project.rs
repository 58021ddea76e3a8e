//! From a finished rig to its [`Account`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rigor_core::event::{
    AirEvent, ConnectionId, DeviceEvent, Direction, FlashBusy, FlashOperation, FlowKind,
};
use rigor_core::rig::Lane;
use rigor_core::task::TASK_LANES;
use rigor_core::{Event, Instant, Kind, Level, Rig, Source};
use rigor_decode::console::LineDecoder;
use rigor_decode::ws2812::{Config, LaneDecoder};

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
        let strip = rig.parts.leds.iter().find(|lane| lane.source == source);
        if let Some(lane) = strip {
            cut_off(&mut account, &name, &events);
            captured(&mut account, &name, lane, &events);
        }
        console(&mut account, &name, &events);
        flash(&mut account, &name, &events);
        bursts(&mut account, &name, &events);
        gauge(&mut account, &name, &events);
        for event in &events {
            match &event.kind {
                Kind::Flow(flow) => {
                    talks.entry(flow.connection).or_default();
                    if flow.what == FlowKind::Refused {
                        refused.insert(flow.connection);
                    }
                }
                Kind::Edge(_) if strip.is_some() => {}
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
        Kind::Serial(_)
        | Kind::Burst(_)
        | Kind::Phases(_)
        | Kind::Flow(_)
        | Kind::FlashBusy(_)
        | Kind::Gauge(_) => {}
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

/// The bursts of a lane.
fn bursts(account: &mut Account, name: &str, events: &[Event]) {
    let bursts = events.iter().filter_map(|event| match &event.kind {
        Kind::Burst(burst) => Some((event.at, &*burst.bytes)),
        _ => None,
    });
    frames(account, name, bursts);
}

/// What an instrument saw of a strip.
fn captured(account: &mut Account, name: &str, lane: &Lane, events: &[Event]) {
    if !events.iter().any(|event| matches!(event.kind, Kind::Phases(_))) {
        return;
    }
    let config = Config::strip(u32::try_from(lane.pixels).unwrap_or(u32::MAX));
    let decoded = LaneDecoder::decode(config, events);
    for frame in decoded.iter().filter(|frame| frame.body.incomplete_bits() > 0) {
        let what = format!("cut off after {} edges", frame.body.bits() * 2);
        account.did(name, Entry::text(frame.start.as_nanos(), what));
    }
    let whole = decoded.iter().filter(|frame| frame.body.incomplete_bits() == 0);
    frames(account, name, whole.map(|frame| (frame.start, &*frame.body.bytes)));
}

/// Frames of a strip, a repeated one once, and their rhythm.
fn frames<'a>(account: &mut Account, name: &str, frames: impl Iterator<Item = (Instant, &'a [u8])>) {
    let mut shown: Option<&[u8]> = None;
    let mut last: Option<Instant> = None;
    let mut periods: Vec<u64> = Vec::new();
    for (at, bytes) in frames {
        periods.extend(last.map(|last| at.as_nanos() - last.as_nanos()));
        last = Some(at);
        if shown == Some(bytes) {
            continue;
        }
        shown = Some(bytes);
        let lit = bytes.chunks(3).filter(|pixel| pixel.iter().any(|&byte| byte > 0)).count();
        let first: String = bytes.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
        let what = format!("frame, {} pixels, {lit} lit, first {first}", bytes.len() / 3);
        account.did(name, Entry::bytes(at.as_nanos(), what, bytes));
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

#[cfg(test)]
mod tests {
    use rigor_core::event::{Burst, BytesEncoding, Phases, Symbol};
    use rigor_core::rate::SampleRate;
    use rigor_core::rig::{Drive, Parts};
    use rigor_core::verdict::RigError;
    use rigor_core::{Fidelity, Timeline};

    use super::*;

    struct Still;

    impl Drive for Still {
        fn run(&mut self, _: Instant, _: &dyn Fn() -> bool) -> Result<(), RigError> {
            Ok(())
        }
        fn self_check(&self) -> Result<(), RigError> {
            Ok(())
        }
    }

    /// The account of a strip of two pixels that has these events.
    fn account(events: impl IntoIterator<Item = (u64, Kind)>) -> Account {
        let timeline = Timeline::new();
        let source = timeline.source("gpio9");
        for (ns, kind) in events {
            timeline.push(source, Instant::from_nanos(ns), Duration::ZERO, kind).expect("in order");
        }
        let leds = vec![Lane { signal: "leds.0".to_owned(), source, pixels: 2 }];
        let parts = Parts { leds, ..Parts::default() };
        of(&Rig {
            name: "toy".to_owned(),
            fidelity: Fidelity::Modelled,
            timeline,
            parts,
            drive: Box::new(Still),
        })
    }

    fn burst(bytes: &[u8]) -> Burst {
        let zero = Symbol { high_ns: 400, low_ns: 848 };
        let one = Symbol { high_ns: 800, low_ns: 448 };
        Burst { bytes: bytes.into(), encoding: BytesEncoding { zero, one }, idle: Level::Low }
    }

    fn phases(first: Level, lengths: Vec<u32>) -> Kind {
        let rate = SampleRate::hertz(125_000_000).expect("a rate");
        Kind::Phases(Phases { first, rate, lengths: lengths.into() })
    }

    /// What an instrument at 125 MHz sees of the burst's first `edges` edges.
    fn sampled(burst: &Burst, edges: usize) -> Kind {
        let times: Vec<u64> = burst.edges().map(|(at, _)| at).take(edges).collect();
        let lengths = times.windows(2).map(|pair| ((pair[1] - pair[0]) / 8) as u32).chain([9]);
        phases(Level::High, lengths.collect())
    }

    #[test]
    fn a_captured_strip_has_the_account_of_its_bursts() {
        const MS: u64 = 1_000_000;
        let (one, other) = (burst(&[0, 255, 0, 1, 2, 3]), burst(&[0; 6]));
        let plan = [(1, &one), (9, &one), (17, &other), (26, &one)];
        let sent = account(plan.map(|(ms, burst)| (ms * MS, Kind::Burst(burst.clone()))));
        let found = (0, phases(Level::Low, vec![1]));
        let seen = plan.map(|(ms, burst)| (ms * MS, sampled(burst, usize::MAX)));
        let seen = account([found.clone()].into_iter().chain(seen));
        assert_eq!((&seen.lanes, &seen.figures), (&sent.lanes, &sent.figures));
        assert_eq!(sent.lanes["leds.0"].entries.len(), 3);

        // Power that was lost in a frame leaves the edges up to there.
        let edges = one.edges().take(20).map(|(at, level)| (2 * MS + at, Kind::Edge(level)));
        let cut = account([found, (2 * MS, sampled(&one, 20))]);
        assert_eq!(cut.lanes["leds.0"].entries, account(edges).lanes["leds.0"].entries);
    }
}
