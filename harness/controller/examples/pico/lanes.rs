//! What it records of LEDs.

use rigor_controller::message::{Answer, Stream, Wanted};
use rigor_controller::packed::Pulse;
use rigor_controller::{Command, Ticks};

use crate::board::{Board, Event, MICRO, MILLI};

/// The pin of lane 0; the other one follows.
const LANE: u8 = 2;
/// A frame at 120 frames a second.
const FRAME: u64 = 125_000_000 / 120;
const PIXELS: usize = 160;

/// T0H, T0L, T1H, T1L in ticks of 8 ns: 0.39, 0.86, 0.81 and 0.44 us, of lane 0, and others of lane 1. Odd ones and even ones.
const TIMES: [[u32; 4]; 2] = [[49, 107, 101, 55], [50, 106, 98, 59]];

/// A burst on the wire: its lane, its first cycle, its bytes.
struct Burst {
    lane: u8,
    cycle: u64,
    bytes: Vec<u8>,
}

impl Burst {
    fn new(lane: u8, cycle: u64, frame: u64) -> Self {
        let byte = |at: usize| (at as u8).wrapping_mul(37).wrapping_add(frame as u8 * 11 + lane * 101);
        Burst { lane, cycle, bytes: (0..3 * PIXELS).map(byte).collect() }
    }

    fn send(&self, board: &mut Board) {
        let times = TIMES[usize::from(self.lane)].map(|ticks| ticks.to_string()).join(" ");
        let digits: String = self.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        board.tell(&format!("ws2812 {} {} {times} {digits}", LANE + self.lane, self.cycle));
    }

    fn pulses(&self) -> Vec<Pulse> {
        let [t0h, t0l, t1h, t1l] = TIMES[usize::from(self.lane)];
        let bits = self.bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1));
        let pulse =
            |one| if one { Pulse { active: t1h, idle: t1l } } else { Pulse { active: t0h, idle: t0l } };
        let mut pulses: Vec<Pulse> = bits.map(pulse).collect();
        pulses.last_mut().expect("there are some").idle = 0;
        pulses
    }
}

/// Pulses of one lane, with gaps between packets checked: each begins where the one before it ended.
fn bursts(events: &[Event], wanted: u8) -> Vec<(Ticks, Vec<Pulse>)> {
    let mut bursts: Vec<(Ticks, Vec<Pulse>, Ticks)> = Vec::new();
    for event in events {
        let Event::Pulses { lane, at, pulses } = event else { continue };
        if *lane != wanted {
            continue;
        }
        let end = pulses.iter().fold(*at, |at, pulse| at + u64::from(pulse.active + pulse.idle));
        match bursts.last_mut() {
            Some((_, known, until)) if *until == *at => {
                known.extend(pulses);
                *until = end;
            }
            _ => bursts.push((*at, pulses.clone(), end)),
        }
    }
    bursts.into_iter().map(|(at, pulses, _)| (at, pulses)).collect()
}

fn record(board: &mut Board, lanes: u8) {
    let wanted = Wanted { lanes, ..Wanted::default() };
    assert!(matches!(board.ask(Command::Record(wanted)), Answer::Done { .. }));
}

/// Two lanes at once, as 120 frames a second of 160 pixels are: each pulse, and each distance of bursts, to the tick.
pub(crate) fn are_measured_to_the_tick(board: &mut Board) {
    const FRAMES: u64 = 3;
    record(board, 3);
    board.run(MILLI);
    board.take();
    let begin = board.cycle + 100 * MICRO;
    // The second lane begins 333 ticks later: edges of both fall anywhere.
    let sent: Vec<Burst> = (0..FRAMES)
        .flat_map(|frame| {
            [0, 1].map(|lane| Burst::new(lane, begin + frame * FRAME + u64::from(lane) * 333, frame))
        })
        .collect();
    for burst in &sent {
        burst.send(board);
    }
    let (busy, packets, bytes) = (board.busy, board.packets, board.bytes);
    board.run(FRAMES * FRAME + 2 * MILLI);
    let pulses = (FRAMES * 2 * 24 * PIXELS as u64) as f64;
    let (busy, packets, bytes) = (board.busy - busy, board.packets - packets, board.bytes - bytes);
    board.run(2 * MILLI);
    let events = board.take();
    assert!(!events.iter().any(|event| matches!(event, Event::Lost { .. })), "nothing is lost");
    for lane in [0, 1] {
        let got = bursts(&events, lane);
        let sent: Vec<&Burst> = sent.iter().filter(|burst| burst.lane == lane).collect();
        assert_eq!(got.len(), sent.len(), "bursts of lane {lane}");
        for ((at, pulses), sent) in got.iter().zip(sent) {
            let wanted = sent.pulses();
            let wrong = pulses.iter().zip(&wanted).position(|(got, wanted)| got != wanted);
            assert!(
                wrong.is_none() && pulses.len() == wanted.len(),
                "lane {lane}: {} of {} pulses, the first that differs is {wrong:?}: {:?}",
                pulses.len(),
                wanted.len(),
                wrong.map(|at| (pulses[at], wanted[at]))
            );
            board.happened_at(sent.cycle, *at);
        }
    }
    let per_second = 2.0 * 24.0 * PIXELS as f64 * 120.0;
    println!(
        "{pulses} pulses, each and its burst exact to the tick; {:.1} cycles and {:.3} bytes a pulse",
        busy as f64 / pulses,
        bytes as f64 / pulses
    );
    println!(
        "at 120 frames a second of 2 x {PIXELS} pixels: {:.0}% of the core, {:.0}% of the bus's packets",
        100.0 * busy as f64 / pulses * per_second / 125e6,
        100.0 * packets as f64 / pulses * per_second / 19_000.0
    );
}

/// It says from when to when there is nothing, and goes on with whole bursts.
pub(crate) fn say_what_a_host_that_does_not_read_has_lost(board: &mut Board) {
    const FRAMES: u64 = 8;
    board.take();
    board.tell("read off");
    let begin = board.cycle + 100 * MICRO;
    // Without a pause that lasts: more than the rings and the queue together have room for.
    let spacing = 5 * MILLI;
    let sent: Vec<Burst> = (0..FRAMES)
        .flat_map(|frame| [0, 1].map(|lane| Burst::new(lane, begin + frame * spacing, frame)))
        .collect();
    for burst in &sent {
        burst.send(board);
    }
    board.run(FRAMES * spacing + MILLI);
    board.tell("read on");
    board.run(25 * MILLI);
    let last = Burst::new(0, board.cycle + 100 * MICRO, 0);
    last.send(board);
    board.run(7 * MILLI);
    let events = board.take();
    let lost: Vec<(Stream, Ticks, Ticks)> = events
        .iter()
        .filter_map(|event| match event {
            Event::Lost { stream, from, until } => Some((*stream, *from, *until)),
            _ => None,
        })
        .collect();
    for lane in [0, 1] {
        let lost: Vec<_> = lost.iter().filter(|(stream, ..)| *stream == Stream::Lane(lane)).collect();
        assert!(!lost.is_empty(), "a loss on lane {lane} is told");
        let got = bursts(&events, lane);
        let missing: u64 = lost.iter().map(|(_, from, until)| until.since(*from)).sum();
        println!(
            "lane {lane}: of {FRAMES} bursts that nobody read, {} ms were told as lost",
            missing / MILLI
        );
        for (at, pulses) in &got {
            for (_, from, until) in &lost {
                assert!(at < from || at >= until, "nothing is told of what was lost");
            }
            // Of the burst in which it began to be lost there is the beginning.
            assert!(
                sent.iter()
                    .chain([&last])
                    .filter(|burst| burst.lane == lane)
                    .any(|burst| burst.pulses().starts_with(pulses)),
                "{} pulses at {at:?} are of no burst",
                pulses.len()
            );
        }
    }
    let got = bursts(&events, 0);
    assert_eq!(got.last().map(|(_, pulses)| pulses.len()), Some(24 * PIXELS), "and it goes on whole");
}
