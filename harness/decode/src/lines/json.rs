//! Everything that a timeline has, an event a line, as JSON.
//!
//! Each line is an object of its own (<https://jsonlines.org>) with the fields `at_ns`,
//! `uncertainty_ns`, `lane` and `kind`, and further ones that depend on `kind`:
//!
//! | `kind` | Fields |
//! |---|---|
//! | `serial` | `direction`, `byte_time_ns`, `bytes`, and `text` if they are UTF-8 |
//! | `edge` | `level` |
//! | `burst` | `bytes`, `zero_ns` and `one_ns` (high and low time of each bit), `idle`, `duration_ns` |
//! | `phases` | `level` of the first phase, `sample_rate_hz`, `samples` (how many each phase lasted), `duration_ns` |
//! | `bus` | `data` (whether the data/command line was high), `bytes` |
//! | `flow` | `connection`, `what` (`opened`, `refused`, `data`, `acknowledged`, `finished`, `reset`), `direction`, `bytes` or `count` |
//! | `air` | `what` (`appeared`, `vanished`, `joined`, `addressed`, `left`), and what it concerns |
//! | `flash-busy` | `operation` (`erase`, `program`), `address`, `length`, `duration_ns` |
//! | `gauge` | `value` |
//! | `action`, `note` | `text` |
//! | `device` | `what` (`power-on`, `power-off`, `started`, `crashed`), `cause` or `text` |
//! | `gap` | `length_ns`, `reason` |
//!
//! Bytes are hexadecimal, two lower-case digits each. Directions are `to-device` and `from-device`,
//! levels `low` and `high`.

use std::io::{self, Write};
use std::ops::Range;

use rigor_core::event::{
    AirEvent, BytesEncoding, DeviceEvent, Direction, FlashOperation, Flow, FlowKind, ResetCause, Symbol,
};
use rigor_core::time::nanos;
use rigor_core::{Event, Instant, Kind, Level, Source, Timeline};
use serde_json::{Map, Value, json};

/// Writes all events of `sources` that began in a slice of `timeline`, in the order of time; the number
/// of lines.
///
/// # Errors
/// Those of `to`.
///
/// # Panics
/// If a source is not one of the timeline.
pub fn write(
    timeline: &Timeline,
    sources: &[Source],
    slice: Range<Instant>,
    mut to: impl Write,
) -> io::Result<u64> {
    let names: Vec<String> = sources.iter().map(|&source| timeline.name(source)).collect();
    let mut events: Vec<(usize, Event)> = Vec::new();
    for (index, &source) in sources.iter().enumerate() {
        let lane = timeline.events(source, slice.start, slice.end);
        events.extend(lane.into_iter().map(|event| (index, event)));
    }
    events.sort_by_key(|(index, event)| (event.at, *index));
    for (index, event) in &events {
        serde_json::to_writer(&mut to, &line(&names[*index], event))?;
        to.write_all(b"\n")?;
    }
    to.flush()?;
    Ok(events.len() as u64)
}

/// The object of one event.
pub fn line(lane: &str, event: &Event) -> Value {
    let mut object = Map::new();
    object.insert("at_ns".to_owned(), event.at.as_nanos().into());
    object.insert("uncertainty_ns".to_owned(), nanos(event.uncertainty).into());
    object.insert("lane".to_owned(), lane.into());
    if let Value::Object(fields) = fields(&event.kind) {
        object.extend(fields);
    }
    Value::Object(object)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)].into());
        text.push(DIGITS[usize::from(byte & 0xF)].into());
    }
    text
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::ToDut => "to-device",
        Direction::FromDut => "from-device",
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Low => "low",
        Level::High => "high",
    }
}

fn symbol(Symbol { high_ns, low_ns }: Symbol) -> [u32; 2] {
    [high_ns, low_ns]
}

fn fields(kind: &Kind) -> Value {
    match kind {
        Kind::Serial(serial) => {
            let mut fields = json!({
                "kind": "serial",
                "direction": direction(serial.direction),
                "byte_time_ns": nanos(serial.byte_time),
                "bytes": hex(&serial.bytes),
            });
            if let Ok(text) = std::str::from_utf8(&serial.bytes) {
                fields["text"] = text.into();
            }
            fields
        }
        Kind::Edge(to) => json!({ "kind": "edge", "level": level(*to) }),
        Kind::Burst(burst) => {
            let BytesEncoding { zero, one } = burst.encoding;
            json!({
                "kind": "burst",
                "bytes": hex(&burst.bytes),
                "zero_ns": symbol(zero),
                "one_ns": symbol(one),
                "idle": level(burst.idle),
                "duration_ns": nanos(burst.duration()),
            })
        }
        Kind::Phases(phases) => json!({
            "kind": "phases",
            "level": level(phases.first),
            "sample_rate_hz": phases.rate.as_hertz(),
            "samples": &*phases.lengths,
            "duration_ns": nanos(phases.duration()),
        }),
        Kind::Bus(transfer) => {
            json!({ "kind": "bus", "data": transfer.data, "bytes": hex(&transfer.bytes) })
        }
        Kind::Flow(flow) => self::flow(flow),
        Kind::Air(event) => air(event),
        Kind::FlashBusy(busy) => json!({
            "kind": "flash-busy",
            "operation": match busy.operation {
                FlashOperation::Erase => "erase",
                FlashOperation::Program => "program",
            },
            "address": busy.address,
            "length": busy.length,
            "duration_ns": nanos(busy.duration),
        }),
        Kind::Gauge(value) => json!({ "kind": "gauge", "value": value }),
        Kind::Action(text) => json!({ "kind": "action", "text": &**text }),
        Kind::Note(text) => json!({ "kind": "note", "text": &**text }),
        Kind::Device(event) => device(event),
        Kind::Gap(gap) => {
            json!({ "kind": "gap", "length_ns": nanos(gap.length), "reason": &*gap.reason })
        }
    }
}

fn flow(flow: &Flow) -> Value {
    let mut fields = match &flow.what {
        FlowKind::Opened => json!({ "what": "opened" }),
        FlowKind::Refused => json!({ "what": "refused" }),
        FlowKind::Data(way, bytes) => {
            json!({ "what": "data", "direction": direction(*way), "bytes": hex(bytes) })
        }
        FlowKind::Acknowledged(count) => json!({ "what": "acknowledged", "count": count }),
        FlowKind::Finished(way) => json!({ "what": "finished", "direction": direction(*way) }),
        FlowKind::Reset(way) => json!({ "what": "reset", "direction": direction(*way) }),
    };
    fields["kind"] = "flow".into();
    fields["connection"] = flow.connection.0.into();
    fields
}

fn air(event: &AirEvent) -> Value {
    let mut fields = match event {
        AirEvent::Appeared(point) => {
            json!({ "what": "appeared", "ssid": &*point.ssid, "open": point.open, "channel": point.channel })
        }
        AirEvent::Vanished(ssid) => json!({ "what": "vanished", "ssid": &**ssid }),
        AirEvent::Joined => json!({ "what": "joined" }),
        AirEvent::Addressed(address) => json!({ "what": "addressed", "address": address.to_string() }),
        AirEvent::Left => json!({ "what": "left" }),
    };
    fields["kind"] = "air".into();
    fields
}

fn device(event: &DeviceEvent) -> Value {
    let mut fields = match event {
        DeviceEvent::PowerOn => json!({ "what": "power-on" }),
        DeviceEvent::PowerOff => json!({ "what": "power-off" }),
        DeviceEvent::Started(cause) => json!({ "what": "started", "cause": match cause {
            ResetCause::PowerOn => "power-on",
            ResetCause::Pin => "pin",
            ResetCause::Software => "software",
            ResetCause::Panic => "panic",
            ResetCause::Watchdog => "watchdog",
        }}),
        DeviceEvent::Crashed(text) => json!({ "what": "crashed", "text": &**text }),
    };
    fields["kind"] = "device".into();
    fields
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rigor_core::event::{AccessPoint, Burst, BusTransfer, ConnectionId, FlashBusy, Gap, Phases, Serial};
    use rigor_core::rate::SampleRate;

    use super::*;

    fn bytes(content: &[u8]) -> Arc<[u8]> {
        content.into()
    }

    /// One of each kind, with texts that want to break out.
    fn everything() -> Vec<(Kind, Value)> {
        let hostile: Arc<str> = Arc::from("\"}\n{\u{2028}\\ \0 é");
        let flow = |what| Kind::Flow(Flow { connection: ConnectionId(7), what });
        let encoding = BytesEncoding {
            zero: Symbol { high_ns: 400, low_ns: 850 },
            one: Symbol { high_ns: 800, low_ns: 450 },
        };
        let point = AccessPoint { ssid: hostile.clone(), open: true, channel: 6 };
        let byte_time = Duration::from_nanos(86_805);
        let length = Duration::from_nanos(5);
        vec![
            (
                Kind::Serial(Serial { direction: Direction::FromDut, bytes: bytes(b"a\n"), byte_time }),
                json!({ "kind": "serial", "direction": "from-device", "byte_time_ns": 86_805, "bytes": "610a", "text": "a\n" }),
            ),
            (
                Kind::Serial(Serial { direction: Direction::ToDut, bytes: bytes(&[0xFF]), byte_time }),
                json!({ "kind": "serial", "direction": "to-device", "byte_time_ns": 86_805, "bytes": "ff" }),
            ),
            (Kind::Edge(Level::High), json!({ "kind": "edge", "level": "high" })),
            (
                Kind::Burst(Burst { bytes: bytes(&[0x80]), encoding, idle: Level::Low }),
                json!({ "kind": "burst", "bytes": "80", "zero_ns": [400, 850], "one_ns": [800, 450], "idle": "low", "duration_ns": 10_000 }),
            ),
            (
                Kind::Phases(Phases {
                    first: Level::High,
                    rate: SampleRate::hertz(24_000_000).unwrap(),
                    lengths: Arc::from([12, 36]),
                }),
                json!({ "kind": "phases", "level": "high", "sample_rate_hz": 24_000_000, "samples": [12, 36], "duration_ns": 2_000 }),
            ),
            (
                Kind::Bus(BusTransfer { data: true, bytes: bytes(&[1, 2]) }),
                json!({ "kind": "bus", "data": true, "bytes": "0102" }),
            ),
            (flow(FlowKind::Opened), json!({ "kind": "flow", "connection": 7, "what": "opened" })),
            (flow(FlowKind::Refused), json!({ "kind": "flow", "connection": 7, "what": "refused" })),
            (
                flow(FlowKind::Data(Direction::ToDut, bytes(b"x"))),
                json!({ "kind": "flow", "connection": 7, "what": "data", "direction": "to-device", "bytes": "78" }),
            ),
            (
                flow(FlowKind::Acknowledged(9)),
                json!({ "kind": "flow", "connection": 7, "what": "acknowledged", "count": 9 }),
            ),
            (
                flow(FlowKind::Finished(Direction::FromDut)),
                json!({ "kind": "flow", "connection": 7, "what": "finished", "direction": "from-device" }),
            ),
            (
                flow(FlowKind::Reset(Direction::ToDut)),
                json!({ "kind": "flow", "connection": 7, "what": "reset", "direction": "to-device" }),
            ),
            (
                Kind::Air(AirEvent::Appeared(point)),
                json!({ "kind": "air", "what": "appeared", "ssid": &*hostile, "open": true, "channel": 6 }),
            ),
            (
                Kind::Air(AirEvent::Addressed([10, 42, 0, 23].into())),
                json!({ "kind": "air", "what": "addressed", "address": "10.42.0.23" }),
            ),
            (
                Kind::FlashBusy(FlashBusy {
                    operation: FlashOperation::Program,
                    address: 4096,
                    length: 256,
                    duration: length,
                }),
                json!({ "kind": "flash-busy", "operation": "program", "address": 4096, "length": 256, "duration_ns": 5 }),
            ),
            (Kind::Gauge(u64::MAX), json!({ "kind": "gauge", "value": u64::MAX })),
            (Kind::Action(hostile.clone()), json!({ "kind": "action", "text": &*hostile })),
            (Kind::Note(hostile.clone()), json!({ "kind": "note", "text": &*hostile })),
            (
                Kind::Device(DeviceEvent::Started(ResetCause::Watchdog)),
                json!({ "kind": "device", "what": "started", "cause": "watchdog" }),
            ),
            (
                Kind::Device(DeviceEvent::Crashed(hostile.clone())),
                json!({ "kind": "device", "what": "crashed", "text": &*hostile }),
            ),
            (
                Kind::Gap(Gap { length, reason: hostile.clone() }),
                json!({ "kind": "gap", "length_ns": 5, "reason": &*hostile }),
            ),
        ]
    }

    #[test]
    fn every_kind_is_a_line_that_is_what_it_says() {
        let timeline = Timeline::new();
        let lane = "a \"lane\"\n";
        let source = timeline.source(lane);
        let everything = everything();
        for (index, (kind, _)) in everything.iter().enumerate() {
            let at = Instant::from_nanos(index as u64);
            timeline.push(source, at, Duration::from_nanos(3), kind.clone()).unwrap();
        }
        let mut text = Vec::new();
        let count = write(&timeline, &[source], Instant::ZERO..Instant::MAX, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<&str> = text.split_terminator('\n').collect();
        assert_eq!((lines.len(), count), (everything.len(), everything.len() as u64));
        for (index, (line, (_, expected))) in lines.iter().zip(everything).enumerate() {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let object = line.as_object_mut().unwrap();
            assert_eq!(object.remove("at_ns"), Some(index.into()));
            assert_eq!(object.remove("uncertainty_ns"), Some(3.into()));
            assert_eq!(object.remove("lane"), Some(lane.into()));
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn lanes_are_merged_by_time_and_only_the_slice_is_written() {
        let timeline = Timeline::new();
        let (one, other) = (timeline.source("one"), timeline.source("other"));
        for (source, ns) in [(one, 5), (one, 20), (other, 10), (other, 20), (other, 30)] {
            timeline.push(source, Instant::from_nanos(ns), Duration::ZERO, Kind::Gauge(ns)).unwrap();
        }
        let mut text = Vec::new();
        let slice = Instant::from_nanos(10)..Instant::from_nanos(30);
        write(&timeline, &[one, other], slice, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let seen: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let seen: Vec<(u64, &str)> = seen
            .iter()
            .map(|line| (line["at_ns"].as_u64().unwrap(), line["lane"].as_str().unwrap()))
            .collect();
        assert_eq!(seen, [(10, "other"), (20, "one"), (20, "other")]);
    }
}
