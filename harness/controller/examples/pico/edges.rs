//! What it tells of its inputs, and of the pair by which it checks itself.

use rigor_controller::message::{Answer, LOOP_BACK_INPUT, Level, Refusal, Stream, Wanted, Wire};
use rigor_controller::{Command, Ticks};

use crate::board::{Board, Event, MICRO, MILLI};

/// The pins of the inputs.
const PINS: [u8; 8] = [18, 19, 20, 21, 22, 26, 27, 28];
/// The pins of the pair, out and in.
const PAIR: [u8; 2] = [16, 17];
/// Ticks by which an edge may be told late.
const LATE: u64 = 12;

struct Edge {
    at: Ticks,
    level: Level,
}

/// Edges of one input, in order.
fn edges(events: &[Event], wanted: u8) -> Vec<Edge> {
    let edge = |event: &Event| match *event {
        Event::Edge { input, at, level } if input == wanted => Some(Edge { at, level }),
        _ => None,
    };
    events.iter().filter_map(edge).collect()
}

/// Levels alternate, and the first edge is a rise.
fn alternate(edges: &[Edge]) -> bool {
    edges
        .iter()
        .enumerate()
        .all(|(number, edge)| edge.level == if number % 2 == 0 { Level::High } else { Level::Low })
}

fn record(board: &mut Board, edges: u8) {
    let wanted = Wanted { edges, ..Wanted::default() };
    assert!(matches!(board.ask(Command::Record(wanted)), Answer::Done { .. }));
}

/// Has the pin change at each of `cycles`.
fn toggle(board: &mut Board, pin: u8, cycles: &[u64], first: u8) {
    let durations: String = cycles.windows(2).map(|pair| format!(" {}", pair[1] - pair[0])).collect();
    board.tell(&format!("level {pin} {} {first}{durations}", cycles[0]));
}

/// All inputs, each in its own time, and together: every edge, once, and never before it was.
pub(crate) fn are_told_of_eight_inputs(board: &mut Board) {
    record(board, 0xFF);
    board.take();
    let begin = board.cycle + 100 * MICRO;
    // All rise together; then each has its own distance, some of them so short that they are hardly seen.
    let cycles = |input: usize| -> Vec<u64> {
        let spacing = [13, 14, 40, 333, 1_001, 12_345, 100_000, 250_007][input];
        (0..20).map(|edge| begin + edge * spacing).take_while(|at| *at < begin + 8 * MILLI).collect()
    };
    for (input, &pin) in PINS.iter().enumerate() {
        toggle(board, pin, &cycles(input), 1);
    }
    board.run(60 * MILLI);
    let events = board.take();
    let mut count = 0;
    for input in 0..PINS.len() {
        let (told, was) = (edges(&events, input as u8), cycles(input));
        assert_eq!(told.len(), was.len(), "edges of input {input}");
        assert!(alternate(&told), "levels of input {input}");
        for (told, was) in told.iter().zip(&was) {
            let late = told.at.0.checked_sub(board.instant_of(*was).0);
            assert!(late.is_some_and(|late| late <= LATE), "input {input}: {late:?} ticks late");
        }
        count += told.len();
    }
    assert!(!events.iter().any(|event| matches!(event, Event::Lost { .. })), "nothing is lost");
    // Those that nobody wants are not told.
    record(board, 0b10);
    let at = board.cycle + 100 * MICRO;
    for pin in [PINS[0], PINS[1], PINS[7]] {
        toggle(board, pin, &[at, at + 1_000, at + 2_000, at + 3_000], 1);
    }
    board.run(MILLI);
    let events = board.take();
    assert_eq!([0, 1, 7].map(|input| edges(&events, input).len()), [0, 4, 0]);
    record(board, 0);
    println!("{count} edges of eight inputs, each at most {LATE} ticks after it was");
}

/// Exactly as many edges as were asked for, in turns, from wherever the pair stands; and none without its jumper.
pub(crate) fn come_back_by_the_pair(board: &mut Board) {
    const SPACING: u32 = 100 * MICRO as u32;
    let run = |board: &mut Board, edges: u16| -> (Ticks, Vec<Edge>) {
        board.take();
        let answer = board.ask(Command::LoopBack { edges, spacing: SPACING });
        let Answer::Done { at } = answer else { panic!("{answer:?}") };
        board.run((u64::from(edges) + 2) * u64::from(SPACING) + MILLI);
        (at, self::edges(&board.take(), LOOP_BACK_INPUT))
    };
    assert!(run(board, 4).1.is_empty(), "no jumper, no edges");
    board.tell(&format!("jumper {} {}", PAIR[0], PAIR[1]));
    for out_of_range in [(0, SPACING), (1_000, SPACING), (1, 10)] {
        let command = Command::LoopBack { edges: out_of_range.0, spacing: out_of_range.1 };
        assert_eq!(board.ask(command), Answer::Refused(Refusal::OutOfRange));
    }
    let drive = Command::Drive { wire: Wire::LoopBack, drive: rigor_controller::message::Drive::Low };
    assert_eq!(board.ask(drive), Answer::Refused(Refusal::NoSuchWire));
    let mut lates = Vec::new();
    for count in [16, 5, 3] {
        let (began, edges) = run(board, count);
        assert_eq!(edges.len(), usize::from(count));
        assert!(edges.windows(2).all(|pair| pair[0].level != pair[1].level), "in turns");
        let due = |number: u64| began + (number + 1) * u64::from(SPACING);
        lates.extend((0..).zip(&edges).map(|(number, edge)| edge.at.0 as i64 - due(number).0 as i64));
    }
    let (least, most) = (lates.iter().min().copied(), lates.iter().max().copied());
    assert!(least >= Some(0) && most <= Some(LATE as i64 + 8), "{lates:?}");
    println!("24 edges came back by the pair, {least:?} to {most:?} ticks after they were due");
}

/// More edges than USB can carry: each one is told, or lies where something is said to be lost.
pub(crate) fn say_what_a_flood_has_lost(board: &mut Board) {
    const SPACING: u64 = 200;
    record(board, 1);
    board.take();
    let begin = board.cycle + 100 * MICRO;
    let was: Vec<u64> = (0..30_000).map(|edge| begin + edge * SPACING).collect();
    toggle(board, PINS[0], &was, 1);
    board.run(80 * MILLI);
    // And then it goes on as if nothing had been.
    let later = board.cycle + 100 * MICRO;
    toggle(board, PINS[0], &[later, later + 5_000], 1);
    board.run(5 * MILLI);
    let events = board.take();
    let told = edges(&events, 0);
    let lost: Vec<(Ticks, Ticks)> = events
        .iter()
        .filter_map(|event| match event {
            Event::Lost { stream: Stream::Edges, from, until } => Some((*from, *until)),
            _ => None,
        })
        .collect();
    assert!(!lost.is_empty(), "a loss is told");
    let mut next = told.iter().peekable();
    let mut missing = 0;
    for (number, &cycle) in was.iter().chain(&[later, later + 5_000]).enumerate() {
        let at = board.instant_of(cycle);
        if let Some(edge) = next.next_if(|edge| edge.at >= at && edge.at.since(at) <= LATE) {
            assert_eq!(edge.level == Level::High, number % 2 == 0, "level of edge {number}");
        } else {
            let is_lost = lost.iter().any(|(from, until)| at + LATE >= *from && at <= *until);
            assert!(is_lost, "edge {number} at {at:?} is neither told nor lost: {lost:?}");
            missing += 1;
        }
    }
    assert!(next.next().is_none(), "nothing else is told");
    record(board, 0);
    println!("of {} edges in a flood {missing} were told as lost, and no other", was.len());
}
