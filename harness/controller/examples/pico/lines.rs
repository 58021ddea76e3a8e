//! What it drives.

use heapless::Vec;
use rigor_controller::message::{Answer, Drive, Refusal, Step, Waveform, Wire};
use rigor_controller::{Command, Ticks};

use crate::board::{Board, Event, MICRO, MILLI};

/// The pin of line 0; the others follow.
const LINE: u8 = 10;
const POWER: u8 = 1;
const RESET: u8 = 14;

fn drive(board: &mut Board, wire: Wire, drive: Drive) -> Answer {
    board.ask(Command::Drive { wire, drive })
}

/// Ground or nothing; and only the supply's switch goes up.
pub(crate) fn are_driven_down_or_not_at_all(board: &mut Board) {
    board.pins.clear();
    for (wire, pin) in [(Wire::Line(0), LINE), (Wire::Line(3), LINE + 3), (Wire::Reset, RESET)] {
        assert!(matches!(drive(board, wire, Drive::Low), Answer::Done { .. }));
        assert_eq!(drive(board, wire, Drive::High), Answer::Refused(Refusal::NeverHigh));
        assert!(matches!(drive(board, wire, Drive::Release), Answer::Done { .. }));
        let levels: String = board.changes(pin).iter().map(|change| change.level).collect();
        assert_eq!(levels, "0z", "{wire:?}");
    }
    assert!(matches!(drive(board, Wire::Power, Drive::High), Answer::Done { .. }));
    assert!(matches!(drive(board, Wire::Power, Drive::Release), Answer::Done { .. }));
    let levels: String = board.changes(POWER).iter().map(|change| change.level).collect();
    assert_eq!(levels, "1z");
    assert_eq!(drive(board, Wire::Line(4), Drive::Low), Answer::Refused(Refusal::NoSuchWire));
}

/// Ticks by which a step may be late: what waits for it looks at the counter so often.
const LATE: u64 = 24;

/// Two buttons at once, one of which bounces.
pub(crate) fn play_waveforms_to_the_tick(board: &mut Board) {
    let Answer::Clock { sent: now, .. } = board.ask(Command::ReadClock) else { panic!("no clock") };
    let begin = now + 2 * MILLI;
    let bounce: [u32; 6] = [3_000, 2_000, 700, 1_300, 60_000, 10].map(|ticks| ticks * 2);
    let press = [250_001, 10];
    let waveform = |wire, ticks: &[u32]| {
        let drives = [Drive::Low, Drive::Release].into_iter().cycle();
        let steps: Vec<Step, 32> =
            ticks.iter().zip(drives).map(|(&ticks, drive)| Step { drive, ticks }).collect();
        Command::Play(Waveform { wire, at: Some(begin), steps })
    };
    board.pins.clear();
    for (wire, ticks) in [(Wire::Line(1), &bounce[..]), (Wire::Line(2), &press[..])] {
        assert!(matches!(board.ask(waveform(wire, ticks)), Answer::Done { .. }));
    }
    assert_eq!(board.ask(waveform(Wire::Line(1), &press)), Answer::Refused(Refusal::Busy));
    board.run(6 * MILLI);
    let events = board.take();
    let mut latest = 0;
    let mut offsets = std::vec::Vec::new();
    for (line, ticks) in [(1, &bounce[..]), (2, &press[..])] {
        let told: std::vec::Vec<Ticks> = events
            .iter()
            .filter_map(|event| match event {
                Event::Driven { wire, at, .. } if *wire == Wire::Line(line) => Some(*at),
                _ => None,
            })
            .collect();
        let seen = board.changes(LINE + line);
        assert_eq!((told.len(), seen.len()), (ticks.len(), ticks.len()), "each step once");
        let mut due = begin;
        for ((told, seen), ticks) in told.iter().zip(&seen).zip(ticks) {
            assert!(*told >= due, "no step is early");
            latest = latest.max(told.since(due));
            offsets.push(seen.cycle as i64 - told.0 as i64);
            due = due + u64::from(*ticks);
        }
    }
    let spread = offsets.iter().max().unwrap_or(&0) - offsets.iter().min().unwrap_or(&0);
    println!("steps of waveforms: at most {latest} ticks late; told within {spread} ticks of the pin");
    // Two steps that are due together are done one after the other.
    assert!(latest <= LATE || latest < 4 * MICRO, "{latest} ticks late");
    assert!(spread <= 2, "told {spread} ticks apart from what the pin did: {offsets:?}");
}

/// A host that has gone holds no button.
pub(crate) fn are_let_go_when_the_port_is_closed(board: &mut Board) {
    drive(board, Wire::Line(0), Drive::Low);
    drive(board, Wire::Power, Drive::High);
    board.pins.clear();
    board.tell("open off");
    board.run(2 * MILLI);
    for pin in [LINE, POWER] {
        let levels: String = board.changes(pin).iter().map(|change| change.level).collect();
        assert_eq!(levels, "z", "pin {pin} is let go");
    }
    board.tell("open on");
    board.run(2 * MILLI);
    // What was on its way when the port was closed is cut; it ends where the next answer begins.
    board.forget();
    assert!(matches!(board.ask(Command::Identify), Answer::Identity(_)), "and it is there again");
    println!("all wires were let go when the port was closed");
}
