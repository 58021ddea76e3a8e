//! What is written is read, and what was hurt is named.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rigor_core::event::{
    Burst, BusTransfer, BytesEncoding, ConnectionId, DeviceEvent, Direction, FlashBusy, FlashOperation, Flow,
    FlowKind, Gap, Phases, ResetCause, Serial, Symbol,
};
use rigor_core::rate::SampleRate;
use rigor_core::verdict::Verdict;
use rigor_core::{Event, Fidelity, Instant, Kind, Level};

use super::file::{BlockHead, BlockKind, HEAD_BYTES, MAGIC, OLDEST, PartsTable, VERSION, checksum};
use super::{Call, End, Ending, Header, Op, ReadError, Reader, Returned, Step, Stopped, Writer, check};

const LANES: u16 = 3;

fn header() -> Header {
    Header {
        system: "toy".to_owned(),
        case: "works".to_owned(),
        rig: "desk".to_owned(),
        seed: u64::MAX.to_string(),
        fidelity: Fidelity::Measured,
        firmware: None,
        rig_file: "schema = 1\n\"\"\"\n".to_owned(),
        parts: PartsTable { console: Some(2), ports: [("n".to_owned(), 80)].into(), ..PartsTable::default() },
    }
}

fn stopped() -> Ending {
    Ending { stopped: Some(Stopped { verdict: Verdict::Fail, reason: "it spins".to_owned() }) }
}

fn written(steps: &[Step], ending: &Ending) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &header()).expect("a valid header");
    for Step { op, by_case } in steps {
        writer.op(op, *by_case).expect("memory does not refuse");
    }
    let (file, size) = writer.finish(ending).expect("memory does not refuse");
    assert_eq!(size.bytes, file.len() as u64);
    file
}

/// All steps up to the end or the first damage.
fn read(file: &[u8]) -> (Vec<Step>, Result<End, ReadError>) {
    let mut reader = match Reader::open(file) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let mut steps = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(step)) => steps.push(step),
            Ok(None) => return (steps, Ok(reader.end().expect("it is at its end").clone())),
            Err(error) => return (steps, Err(error)),
        }
    }
}

fn bytes() -> impl Strategy<Value = Arc<[u8]>> {
    prop_oneof![
        // Few, so that they repeat.
        (0..4u8).prop_map(|byte| vec![byte; 480].into()),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Arc::from),
    ]
}

fn text() -> impl Strategy<Value = Arc<str>> {
    ".{0,12}".prop_map(Arc::from)
}

fn level() -> impl Strategy<Value = Level> {
    prop_oneof![Just(Level::Low), Just(Level::High)]
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::ToDut), Just(Direction::FromDut)]
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(0), Just(86_805), any::<u64>()].prop_map(Duration::from_nanos)
}

fn symbol() -> impl Strategy<Value = Symbol> {
    prop_oneof![Just((400, 850)), any::<(u32, u32)>()]
        .prop_map(|(high_ns, low_ns)| Symbol { high_ns, low_ns })
}

fn kind() -> impl Strategy<Value = Kind> {
    let serial = (direction(), bytes(), duration())
        .prop_map(|(direction, bytes, byte_time)| Kind::Serial(Serial { direction, bytes, byte_time }));
    let burst = (bytes(), symbol(), symbol(), level()).prop_map(|(bytes, zero, one, idle)| {
        Kind::Burst(Burst { bytes, encoding: BytesEncoding { zero, one }, idle })
    });
    let length = prop_oneof![0..300u32, any::<u32>()];
    let phases = (level(), 1..=1_000_000_000_000u64, proptest::collection::vec(length, 0..40));
    let phases = phases.prop_map(|(first, hertz, lengths)| {
        let rate = SampleRate::hertz(hertz).expect("a rate");
        Kind::Phases(Phases { first, rate, lengths: lengths.into() })
    });
    let bus = (any::<bool>(), bytes()).prop_map(|(data, bytes)| Kind::Bus(BusTransfer { data, bytes }));
    let what = prop_oneof![
        Just(FlowKind::Opened),
        Just(FlowKind::Refused),
        (direction(), bytes()).prop_map(|(direction, bytes)| FlowKind::Data(direction, bytes)),
        any::<u64>().prop_map(FlowKind::Acknowledged),
        direction().prop_map(FlowKind::Finished),
        direction().prop_map(FlowKind::Reset),
    ];
    let flow = (any::<u32>(), what)
        .prop_map(|(connection, what)| Kind::Flow(Flow { connection: ConnectionId(connection), what }));
    let operation = prop_oneof![Just(FlashOperation::Erase), Just(FlashOperation::Program)];
    let busy = (operation, any::<u32>(), any::<u32>(), duration()).prop_map(
        |(operation, address, length, duration)| {
            Kind::FlashBusy(FlashBusy { operation, address, length, duration })
        },
    );
    let cause = prop_oneof![
        Just(ResetCause::PowerOn),
        Just(ResetCause::Pin),
        Just(ResetCause::Software),
        Just(ResetCause::Panic),
        Just(ResetCause::Watchdog),
    ];
    let device = prop_oneof![
        Just(DeviceEvent::PowerOn),
        Just(DeviceEvent::PowerOff),
        cause.prop_map(DeviceEvent::Started),
        text().prop_map(DeviceEvent::Crashed),
    ];
    prop_oneof![
        serial,
        level().prop_map(Kind::Edge),
        burst,
        phases,
        bus,
        flow,
        busy,
        any::<u64>().prop_map(Kind::Gauge),
        text().prop_map(Kind::Action),
        device.prop_map(Kind::Device),
        text().prop_map(Kind::Note),
        (duration(), text()).prop_map(|(length, reason)| Kind::Gap(Gap { length, reason })),
    ]
}

fn instant() -> impl Strategy<Value = Instant> {
    prop_oneof![0..10_000_000_000u64, any::<u64>()].prop_map(Instant::from_nanos)
}

fn call() -> impl Strategy<Value = Call> {
    (text(), proptest::collection::vec(any::<u64>(), 0..4), proptest::option::of(bytes())).prop_map(
        |(name, numbers, bytes)| match bytes {
            None => Call::new(&name, &numbers),
            Some(bytes) => Call::with_bytes(&name, &numbers, &bytes),
        },
    )
}

fn returned() -> impl Strategy<Value = Returned> {
    prop_oneof![
        Just(Returned::Nothing),
        any::<u64>().prop_map(Returned::Number),
        (any::<u8>(), 0..10_000usize).prop_map(|(byte, length)| Returned::Bytes(vec![byte; length])),
        text().prop_map(Returned::Failed),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let lane = || 0..LANES;
    let event = (lane(), instant(), duration(), kind())
        .prop_map(|(lane, at, uncertainty, kind)| Op::Event(lane, Event { at, uncertainty, kind }));
    prop_oneof![
        1 => text().prop_map(Op::Source),
        1 => Just(Op::Ready),
        6 => event,
        2 => (lane(), instant()).prop_map(|(lane, from)| Op::Hold(lane, from)),
        2 => lane().prop_map(Op::Release),
        1 => (lane(), instant()).prop_map(|(lane, until)| Op::Promise(lane, until)),
        1 => call().prop_map(Op::Call),
        1 => returned().prop_map(Op::Returned),
        1 => Just(Op::Yielded),
        1 => instant().prop_map(Op::Overrun),
        1 => text().prop_map(Op::RunFailed),
        1 => proptest::option::of(text()).prop_map(Op::Checked),
        // By how much; see `steps`.
        4 => (0..5_000_000_000u64, any::<bool>())
            .prop_map(|(to, asked)| Op::Advance { to: Instant::from_nanos(to), asked }),
    ]
}

/// Three lanes are declared, and the clock goes forward.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec((op(), any::<bool>()), 0..60).prop_map(|ops| {
        let declared = (0..LANES).map(|lane| (Op::Source(format!("lane {lane}").into()), false));
        let mut now = Instant::ZERO;
        declared
            .chain(ops)
            .map(|(op, by_case)| {
                let op = match op {
                    Op::Advance { to, asked } => {
                        now += to.since(Instant::ZERO);
                        Op::Advance { to: now, asked }
                    }
                    op => op,
                };
                Step { op, by_case }
            })
            .collect()
    })
}

/// Half a minute of a device that plays, with a word of it now and then: several blocks.
fn playback() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut then = |op| steps.push(Step { op, by_case: false });
    then(Op::Source("pin9".into()));
    then(Op::Source("uart".into()));
    then(Op::Ready);
    let encoding = BytesEncoding {
        zero: Symbol { high_ns: 400, low_ns: 850 },
        one: Symbol { high_ns: 800, low_ns: 450 },
    };
    for frame in 0..120 * 30u64 {
        let at = Instant::from_nanos(frame * 8_333_333 / 1000 * 1000);
        then(Op::Advance { to: at, asked: true });
        then(Op::Hold(0, at));
        let to = at + Duration::from_nanos(4_800_000);
        then(Op::Advance { to, asked: true });
        let bytes = Arc::from(vec![(frame % 50) as u8; 480]);
        let kind = Kind::Burst(Burst { bytes, encoding, idle: Level::Low });
        then(Op::Event(0, Event { at, uncertainty: Duration::ZERO, kind }));
        then(Op::Release(0));
        if frame % 500 == 0 {
            let bytes = format!("frame {frame}\r\n").into_bytes().into();
            let byte_time = Duration::from_nanos(86_805);
            let kind = Kind::Serial(Serial { direction: Direction::FromDut, bytes, byte_time });
            then(Op::Event(1, Event { at: to, uncertainty: Duration::ZERO, kind }));
        }
    }
    steps
}

/// Where each block begins, and where the file ends.
fn blocks(file: &[u8]) -> Vec<usize> {
    let mut at = 10;
    let mut found = vec![at];
    while at < file.len() {
        let length = u32::from_le_bytes(file[at + 5..at + 9].try_into().expect("four bytes"));
        at += HEAD_BYTES + length as usize;
        found.push(at);
    }
    found
}

proptest! {
    #[test]
    fn what_is_written_is_read(steps in steps()) {
        let file = written(&steps, &stopped());
        let (found, end) = read(&file);
        prop_assert_eq!(found, steps);
        prop_assert_eq!(end.expect("it is whole"), End::Whole(stopped()));
        prop_assert_eq!(check(file.as_slice()).expect("it is whole"), End::Whole(stopped()));
    }

    #[test]
    fn a_file_that_is_cut_is_read_up_to_its_last_whole_event(steps in steps(), cut in any::<prop::sample::Index>()) {
        let file = written(&steps, &Ending::default());
        let length = cut.index(file.len());
        let (found, end) = read(&file[..length]);
        prop_assert!(steps.starts_with(&found));
        match end {
            Ok(End::CutShort { length: told }) => prop_assert_eq!(told, length as u64),
            Err(ReadError::Headless(_)) => prop_assert!(length < blocks(&file)[1]),
            Err(ReadError::NoRecording) => prop_assert_eq!(length, 0),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn a_bit_that_is_flipped_is_noticed(steps in steps(), bit in any::<prop::sample::Index>()) {
        let mut file = written(&steps, &Ending::default());
        let bit = bit.index(file.len() * 8);
        file[bit / 8] ^= 1 << (bit % 8);
        let (found, end) = read(&file);
        let version = u16::from_le_bytes([file[MAGIC.len()], file[MAGIC.len() + 1]]);
        if version != VERSION && (OLDEST..=VERSION).contains(&version) {
            // Of an older version, whatever it says is the same.
            prop_assert_eq!(found, steps);
            prop_assert_eq!(end.expect("it is whole"), End::Whole(Ending::default()));
            return Ok(());
        }
        prop_assert!(steps.starts_with(&found));
        let at = bit / 8;
        let block = blocks(&written(&steps, &Ending::default())).into_iter().rfind(|&begin| begin <= at);
        match (end, block) {
            (Err(ReadError::NoRecording | ReadError::Version(_)), None) => {}
            (Err(ReadError::Damaged { offset, .. }), Some(begin)) => prop_assert_eq!(offset, begin as u64),
            (other, _) => prop_assert!(false, "{:?}", other),
        }
        prop_assert!(check(file.as_slice()).is_err());
    }

    /// Somebody who can compute checksums may write anything.
    #[test]
    fn any_payload_is_read_or_refused(
        payload in proptest::collection::vec(prop_oneof![any::<u8>(), 0..32u8, Just(0xFFu8)], 0..300),
        tokens in 0..70_000u32,
    ) {
        let whole = written(&playback()[..50], &Ending::default());
        let mut file = whole[..blocks(&whole)[2]].to_vec();
        let head = BlockHead { kind: BlockKind::Data, tokens, length: payload.len() as u32, crc: checksum(&payload) };
        file.extend(head.to_bytes(2));
        file.extend(&payload);
        let (found, _) = read(&file);
        prop_assert!(found.len() <= 50 + 65_536);
        for cut in 0..payload.len().min(20) {
            let _ = read(&file[..file.len() - cut]);
        }
    }

    #[test]
    fn any_file_is_refused(file in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(&file).1.is_err());
        prop_assert!(read(&[&b"\x89RIGREC\n\x03\0"[..], &file].concat()).1.is_err());
    }
}

#[test]
fn a_recording_is_cut_at_every_byte_and_loads_up_to_there() {
    let steps = playback();
    let file = written(&steps, &Ending::default());
    let blocks = blocks(&file);
    assert!(blocks.len() >= 6, "header, some data, end: {}", blocks.len());
    let mut before = 0;
    // Every byte of what is not the bulk, and some of the bulk.
    let interesting = (blocks[1]..file.len())
        .filter(|at| at % 97 == 0 || blocks.iter().any(|block| block.abs_diff(*at) < 20));
    for length in interesting {
        let (found, end) = read(&file[..length]);
        assert!(steps.starts_with(&found) && found.len() >= before, "cut at {length}");
        assert_eq!(end.expect("no damage"), End::CutShort { length: length as u64 });
        before = found.len();
    }
    assert_eq!(before, steps.len(), "only the ending is missing");
}

#[test]
fn a_device_that_plays_costs_next_to_nothing() {
    let steps = playback();
    let file = written(&steps, &Ending::default());
    let bursts = 120 * 30;
    let pictures = 50 * 480;
    let overhead = (file.len() - pictures) as f64 / f64::from(bursts);
    assert!(overhead < 2.0, "{overhead} bytes a burst");
}

#[test]
fn a_block_that_is_missing_or_twice_is_noticed() {
    let file = written(&playback(), &Ending::default());
    let at = blocks(&file);
    let missing = [&file[..at[2]], &file[at[3]..]].concat();
    let twice = [&file[..at[3]], &file[at[2]..]].concat();
    for (file, block) in [(missing, at[2]), (twice, at[3])] {
        match read(&file).1 {
            Err(ReadError::Damaged { offset, .. }) => assert_eq!(offset, block as u64),
            other => panic!("{other:?}"),
        }
    }
    let more = [file.as_slice(), b"more"].concat();
    let error = read(&more).1.expect_err("more than a recording");
    assert!(error.to_string().contains("after the end"), "{error}");
}

#[test]
fn a_damage_is_told_with_its_place_and_the_remedy() {
    let mut file = written(&playback(), &Ending::default());
    let second = blocks(&file)[2];
    file[second + HEAD_BYTES + 5] ^= 4;
    let error = read(&file).1.expect_err("damaged").to_string();
    let place = format!("block 2 at offset {second:#x} is damaged: the checksum of its payload differs");
    assert!(error.starts_with(&place) && error.contains("copy the file again"), "{error}");
}

#[test]
fn what_is_no_recording_is_told_what_it_is() {
    for (file, told) in [
        (&b""[..], "no recording"),
        (b"{\"schema_version\":1}", "no recording"),
        (b"\x89RIGREC\n", "cut short"),
        (b"\x89RIGREC\n\x01\0", "version 1"),
        (b"\x89RIGREC\n\x07\0", "version 7 of the format and this program reads versions 2 to 3"),
        (b"\x89RIGREC\n\x03\0H", "cut short"),
    ] {
        let error = read(file).1.expect_err("no recording").to_string();
        assert!(error.contains(told), "{error}");
    }
}

/// Version 3 says more and nothing else.
#[test]
fn what_the_version_before_has_recorded_is_read() {
    let steps = playback();
    let mut file = written(&steps, &stopped());
    assert_eq!(file[8..10], [3, 0]);
    file[8] = 2;
    let (found, end) = read(&file);
    assert!(found == steps, "{} steps of {}", found.len(), steps.len());
    assert_eq!(end.expect("it is whole"), End::Whole(stopped()));
}

#[test]
fn phases_that_no_writer_writes_are_refused() {
    let whole = written(&playback()[..50], &Ending::default());
    let read_with = |content: &[u8], rate: &[u8]| {
        // A content, and a token of tag 29 without a case, on lane 0: time, content 1, level, rate.
        let payload = [&[0, content.len() as u8][..], content, &[29, 0, 0, 1, 1], rate].concat();
        let mut file = whole[..blocks(&whole)[2]].to_vec();
        let head = BlockHead {
            kind: BlockKind::Data,
            tokens: 1,
            length: payload.len() as u32,
            crc: checksum(&payload),
        };
        file.extend(head.to_bytes(2));
        file.extend(&payload);
        read(&file)
    };
    let (found, _) = read_with(&[50, 0xEA, 1], &[100]);
    let Some(Step { op: Op::Event(0, Event { kind: Kind::Phases(phases), .. }), .. }) = found.last() else {
        panic!("{found:?}")
    };
    assert_eq!((phases.first, phases.rate.as_hertz(), &*phases.lengths), (Level::High, 100, &[50, 234][..]));
    for (content, rate, told) in [
        (&[50, 0x80][..], &[100][..], "cut short"),
        (&[0xFF, 0xFF, 0xFF, 0xFF, 0x10], &[100], "2^32 samples"),
        (&[50], &[0], "sample rate"),
    ] {
        let error = read_with(content, rate).1.expect_err("damaged").to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn what_a_recording_cannot_hold_is_refused_and_not_cut() {
    let mut writer = Writer::new(Vec::new(), &header()).expect("a valid header");
    writer.op(&Op::Source("panel".into()), false).expect("memory does not refuse");
    let kind = Kind::Bus(BusTransfer { data: true, bytes: vec![0; 2 << 20].into() });
    let event = Event { at: Instant::ZERO, uncertainty: Duration::ZERO, kind };
    let error = writer.event(0, &event, false).expect_err("too long").to_string();
    assert!(error.contains("2097152 bytes"), "{error}");
}
