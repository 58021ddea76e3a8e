//! What it records of LEDs.

use rigor_controller::message::{Answer, Stream, Wanted};
use rigor_controller::packed::Pulse;
use rigor_controller::{Command, Ticks};

use crate::board::{Board, Event, MICRO, MILLI};
use crate::lines;

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
        let salt = frame as usize * 11 + usize::from(lane) * 101;
        let byte = |at: usize| (at * 37 + salt) as u8;
        Burst { lane, cycle, bytes: (0..3 * PIXELS).map(byte).collect() }
    }

    fn send(&self, board: &mut Board) {
        let times = TIMES[usize::from(self.lane)].map(|ticks| ticks.to_string()).join(" ");
        let digits: String = self.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        board.tell(&format!("ws2812 {} {} {times} {digits}", LANE + self.lane, self.cycle));
    }

    /// From the first rise to the last fall.
    fn ticks(&self) -> u64 {
        self.pulses().iter().map(|pulse| u64::from(pulse.active + pulse.idle)).sum()
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

/// The end of the last pulse that was told of a lane.
fn told_until(events: &[Event], wanted: u8) -> Ticks {
    let end = |event: &Event| match event {
        Event::Pulses { lane, at, pulses } if *lane == wanted => {
            Some(pulses.iter().fold(*at, |at, pulse| at + u64::from(pulse.active + pulse.idle)))
        }
        _ => None,
    };
    events.iter().rev().find_map(end).unwrap_or_default()
}

fn record(board: &mut Board, lanes: u8) {
    let wanted = Wanted { lanes, ..Wanted::default() };
    assert!(matches!(board.ask(Command::Record(wanted)), Answer::Done { .. }));
}

/// Two lanes of 160 pixels at 120 frames a second, for a second: each pulse and each burst to the tick, none lost, and
/// before each frame all of the one before it has been told. What holds from one frame to the next holds for any number.
/// Buttons are pressed meanwhile, to the tick as ever.
pub(crate) fn are_measured_to_the_tick(board: &mut Board) {
    const FRAMES: u64 = 120;
    record(board, 3);
    board.run(MILLI);
    board.take();
    let begin = board.cycle + 100 * MICRO;
    let (busy, packets, bytes) = (board.busy, board.packets, board.bytes);
    let (mut sent, mut events) = (Vec::new(), Vec::new());
    let mut pressed = Ticks(0);
    for frame in 0..FRAMES {
        let first = begin + frame * FRAME;
        for lane in [0, 1] {
            // The second lane begins 333 ticks later: edges of both fall anywhere.
            let burst = Burst::new(lane, first + u64::from(lane) * 333, frame);
            burst.send(board);
            sent.push(burst);
        }
        if frame == FRAMES / 2 {
            pressed = lines::press_two_buttons(board);
        }
        board.run(first + FRAME - 50 * MICRO - board.cycle);
        events.extend(board.take());
        for lane in [0, 1] {
            let ends = board.instant_of(first) + Burst::new(lane, 0, frame).ticks();
            let told = told_until(&events, lane);
            assert!(
                told >= ends,
                "frame {frame} of lane {lane} is not told when the next one begins: {told:?}, {ends:?}"
            );
        }
    }
    let pulses = (FRAMES * 2 * 24 * PIXELS as u64) as f64;
    let cycles = (FRAMES * FRAME) as f64;
    let (busy, packets, bytes) = (board.busy - busy, board.packets - packets, board.bytes - bytes);
    board.run(2 * MILLI);
    events.extend(board.take());
    assert!(!events.iter().any(|event| matches!(event, Event::Lost { .. })), "nothing is lost");
    for lane in [0, 1] {
        assert_eq!(
            accounted(board, &events, lane, &sent),
            FRAMES as usize * 24 * PIXELS,
            "all of lane {lane}"
        );
    }
    let latest = lines::compare_two_buttons(board, pressed, &events);
    println!("buttons pressed meanwhile: told to the tick, at most {latest} ticks late");
    println!(
        "{pulses} pulses in a second, each and its burst exact to the tick; {:.1} cycles and {:.3} bytes a pulse",
        busy as f64 / pulses,
        bytes as f64 / pulses
    );
    println!(
        "that is {:.0}% of the core, and {:.0}% of the bus's packets",
        100.0 * busy as f64 / cycles,
        100.0 * packets as f64 / (cycles / 125_000.0 * 19.0)
    );
}

/// LEDs that a chip drives by a clock of its own, 80 MHz and 20 ppm fast, of which edges fall a tick early or late: each
/// pulse as it was, and not much slower than others.
pub(crate) fn are_measured_by_whatever_clock(board: &mut Board) {
    const FRAMES: u64 = 4;
    /// T0H, T0L, T1H, T1L in ticks of 12.5 ns.
    const TIMES: [u64; 4] = [31, 69, 65, 35];
    board.take();
    let begin = board.cycle + 100 * MICRO;
    let mut sent: Vec<(u8, Ticks, Vec<Pulse>)> = Vec::new();
    for (frame, lane) in (0..FRAMES).flat_map(|frame| [(frame, 0), (frame, 1)]) {
        let start = begin + frame * FRAME + u64::from(lane) * 77;
        let bytes = Burst::new(lane, 0, frame).bytes;
        let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1));
        let halves = bits.flat_map(|one| if one { [TIMES[2], TIMES[3]] } else { [TIMES[0], TIMES[1]] });
        // In units of 10^-6 of their ticks.
        let edges = halves.scan(0, |ticks, half| {
            *ticks += half;
            Some(start + *ticks * 12_500 * 999_980 / 8_000 / 1_000_000)
        });
        let edges: Vec<u64> = std::iter::once(start).chain(edges).collect();
        let lengths: Vec<u32> = edges.windows(2).map(|pair| (pair[1] - pair[0]) as u32).collect();
        let mut pulses: Vec<Pulse> =
            lengths.chunks_exact(2).map(|pair| Pulse { active: pair[0], idle: pair[1] }).collect();
        pulses.last_mut().expect("there are some").idle = 0;
        let durations: String =
            lengths[..lengths.len() - 1].iter().map(|length| format!(" {length}")).collect();
        board.tell(&format!("level {} {start} 1{durations}", LANE + lane));
        sent.push((lane, board.instant_of(start), pulses));
    }
    let busy = board.busy;
    board.run(begin + FRAMES * FRAME - board.cycle);
    let busy = board.busy - busy;
    board.run(2 * MILLI);
    let events = board.take();
    for lane in [0, 1] {
        let got = bursts(&events, lane);
        let sent: Vec<_> = sent.iter().filter(|(of, ..)| *of == lane).collect();
        assert_eq!(got.len(), sent.len(), "bursts of lane {lane}");
        for ((at, got), (_, start, pulses)) in got.iter().zip(sent) {
            assert_eq!(at, start, "a burst of lane {lane}");
            let wrong = got.iter().zip(pulses).position(|(got, sent)| got != sent);
            assert!(wrong.is_none() && got.len() == pulses.len(), "pulse {wrong:?} of lane {lane} at {at:?}");
        }
    }
    let kinds: std::collections::HashSet<Pulse> =
        sent.iter().flat_map(|(.., pulses)| pulses).copied().collect();
    println!(
        "pulses of {} kinds, by a clock of 80 MHz: each exact; {:.0}% of the core",
        kinds.len(),
        100.0 * busy as f64 / (FRAMES * FRAME) as f64
    );
}

/// What was said to be lost of a lane.
fn lost(events: &[Event], lane: u8) -> Vec<(Ticks, Ticks)> {
    let lost = |event: &Event| match event {
        Event::Lost { stream, from, until } if *stream == Stream::Lane(lane) => Some((*from, *until)),
        _ => None,
    };
    events.iter().filter_map(lost).collect()
}

/// How many of the pulses of `sent` were told, if all others lie where something is said to be lost, and if nothing was told
/// that is of no burst.
fn accounted(board: &Board, events: &[Event], lane: u8, sent: &[Burst]) -> usize {
    let (mut got, lost) = (bursts(events, lane), lost(events, lane));
    let mut count = 0;
    for burst in sent.iter().filter(|burst| burst.lane == lane) {
        let mut at = board.instant_of(burst.cycle);
        let pulses = burst.pulses();
        // Of the burst in which it began to be lost there is the beginning.
        let told = match got.iter().position(|(began, _)| *began == at) {
            Some(place) => got.remove(place).1,
            None => Vec::new(),
        };
        count += told.len();
        for (number, pulse) in pulses.iter().enumerate() {
            match told.get(number) {
                Some(told) => assert_eq!(told, pulse, "pulse {number} of lane {lane} at {at:?}"),
                None => {
                    let is_lost = lost.iter().any(|(from, until)| *from <= at && at < *until);
                    assert!(
                        is_lost,
                        "pulse {number} of lane {lane} at {at:?} is neither told nor lost: {lost:?}"
                    );
                }
            }
            at = at + u64::from(pulse.active + pulse.idle);
        }
    }
    assert!(got.is_empty(), "{} bursts on lane {lane} are of nobody, one at {:?}", got.len(), got[0].0);
    count
}

/// A host that does not read for a while: each pulse is told, or lies where something is said to be lost; and then it
/// goes on.
pub(crate) fn say_what_a_host_that_does_not_read_has_lost(board: &mut Board) {
    const FRAMES: u64 = 10;
    record(board, 3);
    board.take();
    board.tell("read off");
    let begin = board.cycle + 100 * MICRO;
    // Hardly a pause: more than the rings and the queue together have room for.
    let spacing = 5 * MILLI;
    let mut sent: Vec<Burst> = (0..FRAMES)
        .flat_map(|frame| [0, 1].map(|lane| Burst::new(lane, begin + frame * spacing, frame)))
        .collect();
    for burst in &sent {
        burst.send(board);
    }
    board.run(FRAMES * spacing + MILLI);
    board.tell("read on");
    board.run(25 * MILLI);
    for lane in [0, 1] {
        let last = Burst::new(lane, board.cycle + 100 * MICRO, 0);
        last.send(board);
        sent.push(last);
    }
    board.run(12 * MILLI);
    let events = board.take();
    for lane in [0, 1] {
        assert!(!lost(&events, lane).is_empty(), "a loss on lane {lane} is told");
        let count = accounted(board, &events, lane, &sent);
        let all = (FRAMES as usize + 1) * 24 * PIXELS;
        println!(
            "lane {lane}: a host did not read for {} ms: {count} of {all} pulses, and the others as lost",
            FRAMES * 5
        );
        assert!(
            bursts(&events, lane).last().is_some_and(|(_, pulses)| pulses.len() == 24 * PIXELS),
            "it goes on whole"
        );
    }
}

/// A wire that rings a hundred times as fast as LEDs do, and one that is stuck: said to be lost, and the next burst is whole.
pub(crate) fn survive_noise(board: &mut Board) {
    record(board, 3);
    board.take();
    let begin = board.cycle + 100 * MICRO;
    let noise = " 6".repeat(59_999);
    board.tell(&format!("level {LANE} {begin} 1{noise}"));
    board.tell(&format!("level {} {begin} 1 {}", LANE + 1, 9 * MILLI));
    board.run(10 * MILLI);
    let mut sent = Vec::new();
    for lane in [0, 1] {
        let burst = Burst::new(lane, board.cycle + 200 * MICRO, 3);
        burst.send(board);
        sent.push(burst);
    }
    board.run(12 * MILLI);
    let events = board.take();
    // The long pulse is one, of 9 ms, or was lost.
    for lane in [0, 1] {
        let bursts = bursts(&events, lane);
        let (at, pulses) = bursts.last().expect("a burst");
        assert_eq!(*at, board.instant_of(sent[usize::from(lane)].cycle));
        assert_eq!(*pulses, sent[usize::from(lane)].pulses(), "the burst after it is whole");
        let lost = lost(&events, lane);
        println!(
            "lane {lane}: {} bursts and {} losses of noise, then a whole burst",
            bursts.len() - 1,
            lost.len()
        );
    }
    assert!(!lost(&events, 0).is_empty(), "noise is said to be lost");
    record(board, 0);
}
