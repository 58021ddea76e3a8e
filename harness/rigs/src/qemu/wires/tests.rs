//! From records to events, also of what is cut off.

use rand_chacha::rand_core::SeedableRng;

use super::*;

const AT: Instant = Instant::from_nanos(1_000_000);

struct Bench {
    timeline: Timeline,
    wires: Wires,
    ram: GuestRam,
}

fn bench() -> Bench {
    let timeline = Timeline::new();
    let wires = Wires::new(&timeline, 115_200, Duration::ZERO);
    let ram = GuestRam::new(rigor_agent::layout::RAM_BYTES).expect("memory");
    ram.write(OFFSET, &[0xFF; 2 * SECTOR_BYTES]).expect("cells");
    Bench { timeline, wires, ram }
}

impl Bench {
    fn take(&mut self, record: Record<'_>) {
        self.timeline.advance(AT);
        self.wires.take(AT, &record).expect("a record that means something");
    }

    fn end(&mut self, now: Instant) {
        self.timeline.advance(now);
        self.wires.end_what_is_due(now, &self.ram).expect("memory");
    }

    fn kinds(&self, lane: &str) -> Vec<(Instant, Kind)> {
        let source = self.timeline.source(lane);
        let events = self.timeline.events(source, Instant::ZERO, Instant::MAX);
        events.into_iter().map(|event| (event.at, event.kind)).collect()
    }

    fn cells(&self, address: usize, count: usize) -> Vec<u8> {
        let mut cells = vec![0; count];
        self.ram.read(OFFSET + address, &mut cells).expect("memory");
        cells
    }
}

/// A byte is 10 us: 1.25 us a bit.
const BURST: Record<'static> = Record::Burst { pin: 9, symbols: [400, 850, 800, 450], bytes: &[0xF0, 0x0F] };
const PROGRAM: Record<'static> =
    Record::Program { address: 0x100, duration: 400_000, bytes: &[0x0F, 0xF0, 0x55, 0xAA] };

fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

#[test]
fn a_burst_is_on_its_lane_when_it_is_over_and_holds_it_until_then() {
    let mut bench = bench();
    bench.take(BURST);
    let lane = bench.timeline.source("gpio9");
    bench.end(AT + micros(19));
    assert_eq!((bench.kinds("gpio9"), bench.timeline.complete_until(lane)), (Vec::new(), AT));
    assert_eq!(bench.wires.next_end(), Some(AT + micros(20)));
    bench.end(AT + micros(20));
    let [(AT, Kind::Burst(burst))] = &bench.kinds("gpio9")[..] else { panic!("{:?}", bench.kinds("gpio9")) };
    assert_eq!((&burst.bytes[..], burst.duration()), (&[0xF0, 0x0F][..], micros(20)));
    assert_eq!(bench.timeline.complete_until(lane), AT + micros(20));
}

#[test]
fn a_burst_that_is_cut_leaves_its_edges_and_the_fall_of_the_wire() {
    let mut bench = bench();
    bench.take(BURST);
    bench.timeline.advance(AT + Duration::from_nanos(1500));
    bench.wires.device_halted(AT + Duration::from_nanos(1500));
    let edge = |after: u64, level| (AT + Duration::from_nanos(after), Kind::Edge(level));
    let expected =
        [edge(0, Level::High), edge(800, Level::Low), edge(1250, Level::High), edge(1500, Level::Low)];
    assert_eq!(bench.kinds("gpio9"), expected);
}

#[test]
fn of_a_text_that_is_cut_whole_bytes_are_left() {
    let mut bench = bench();
    bench.take(Record::Console(b"hello"));
    let now = AT + bench.wires.byte_time() * 2 + micros(50);
    bench.timeline.advance(now);
    bench.wires.device_halted(now);
    let [(AT, Kind::Serial(serial))] = &bench.kinds("console")[..] else { panic!() };
    assert_eq!(&serial.bytes[..], b"he");
}

#[test]
fn cells_change_when_an_operation_ends_and_a_reset_does_not_stop_it() {
    let mut bench = bench();
    bench.take(PROGRAM);
    bench.end(AT + micros(399));
    bench.wires.device_halted(AT + micros(399));
    assert_eq!(bench.cells(0x100, 4), [0xFF; 4]);
    bench.end(AT + micros(400));
    assert_eq!(bench.cells(0x100, 4), [0x0F, 0xF0, 0x55, 0xAA]);
    let [(AT, Kind::FlashBusy(busy))] = &bench.kinds("flash")[..] else { panic!() };
    assert_eq!((busy.operation, busy.address, busy.length), (FlashOperation::Program, 0x100, 4));
    // Programming clears bits only; erasing sets all of a sector.
    let again = Instant::from_nanos(9_000_000);
    bench.timeline.advance(again);
    let zeros = Record::Program { address: 0x100, duration: 1, bytes: &[0xF0] };
    bench.wires.take(again, &zeros).expect("a record");
    bench.end(again + micros(1));
    assert_eq!(bench.cells(0x100, 1), [0]);
    bench.wires.take(again + micros(1), &Record::Erase { address: 0, duration: 1 }).expect("a record");
    bench.end(again + micros(2));
    assert_eq!(bench.cells(0x100, 4), [0xFF; 4]);
}

#[test]
fn a_power_cut_tears_what_is_in_flight() {
    let mut bench = bench();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    bench.take(PROGRAM);
    bench.timeline.advance(AT + micros(200));
    bench.wires.power_cut(AT + micros(200), &bench.ram, &mut random).expect("memory");
    let cells = bench.cells(0x100, 4);
    assert_eq!((&cells[..2], cells[3]), (&[0x0F, 0xF0][..], 0xFF), "half of it is written");
    assert_eq!(bench.wires.next_end(), None);
    let [(AT, Kind::FlashBusy(busy))] = &bench.kinds("flash")[..] else { panic!() };
    assert_eq!(busy.duration, micros(200));
}

#[test]
fn tasks_have_lanes_and_their_stacks_gauges() {
    let mut bench = bench();
    let start = Record::TaskStart { number: 3, core: 1, priority: 10, stack_bytes: 4096, name: b"playback" };
    bench.take(start);
    bench.take(Record::TaskState { number: 3, state: 2 });
    bench.take(Record::StackFree { number: 3, bytes: 1000 });
    // Of tasks that nobody has announced nothing is known.
    bench.take(Record::TaskState { number: 4, state: 2 });
    bench.wires.device_halted(AT);
    let started = TaskStart { core: 1, priority: 10, stack_bytes: 4096 }.event();
    let expected = [started, TaskState::Running.event(), TaskState::Waiting.event()].map(|kind| (AT, kind));
    assert_eq!(bench.kinds("task.playback"), expected);
    assert_eq!(bench.kinds("stack.playback"), [(AT, Kind::Gauge(1000))]);
}

#[test]
fn a_clock_that_goes_back_is_noticed() {
    let mut bench = bench();
    bench.take(Record::Edge { pin: 4, high: true });
    assert!(bench.wires.refused().is_none());
    bench.wires.take(Instant::ZERO, &Record::Edge { pin: 4, high: false }).expect("a record");
    assert!(bench.wires.refused().is_some());
}
