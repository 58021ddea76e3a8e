//! What it drives.

use heapless::Vec;
use rigor_controller::message::{Answer, Drive, Refusal, Step, Waveform, Wire};
use rigor_controller::{Command, Ticks};

use crate::board::{Board, Event, MILLI};

/// The pin of line 0; the others follow.
const LINE: u8 = 10;
const POWER: u8 = 1;
const RESET: u8 = 14;
const BOOT: u8 = 15;

fn drive(board: &mut Board, wire: Wire, drive: Drive) -> Answer {
    board.ask(Command::Drive { wire, drive })
}

/// Drives a wire, and compares the level of its pin, and when it came.
fn drives(board: &mut Board, wire: Wire, pin: u8, steps: &[(Drive, char)]) {
    for &(how, level) in steps {
        let Answer::Done { at } = drive(board, wire, how) else { panic!("{wire:?} is not driven") };
        let [change] = board.changes(pin)[..] else { panic!("{wire:?} changes once") };
        assert_eq!(change.level, level, "{wire:?}");
        board.happened_at(change.cycle, at);
    }
}

/// Ground or nothing; and only the supply's switch goes up.
pub(crate) fn are_driven_down_or_not_at_all(board: &mut Board) {
    board.pins.clear();
    for (wire, pin) in
        [(Wire::Line(0), LINE), (Wire::Line(3), LINE + 3), (Wire::Reset, RESET), (Wire::Boot, BOOT)]
    {
        assert_eq!(drive(board, wire, Drive::High), Answer::Refused(Refusal::NeverHigh));
        drives(board, wire, pin, &[(Drive::Low, '0'), (Drive::Release, 'z')]);
    }
    drives(board, Wire::Power, POWER, &[(Drive::High, '1'), (Drive::Low, '0'), (Drive::Release, 'z')]);
    assert_eq!(drive(board, Wire::Line(4), Drive::Low), Answer::Refused(Refusal::NoSuchWire));
}

/// Ticks by which a step may be late: what waits for it looks at the counter so often.
const LATE: u64 = 6;

/// Ticks for which the wire is down and up in turn.
type Ticked = &'static [u32];

/// A button that bounces when it is pressed and when it is let go.
const BOUNCE: Ticked = &[6_000, 4_000, 2_500, 2_600, 2_500_000, 3_001, 7_003, 10];
/// A press of 50 ms.
const PRESS: Ticked = &[50 * MILLI as u32, 10];

/// Two buttons at once, one of which bounces: each step is told at the tick at which the pin changed, and comes when
/// it is due.
pub(crate) fn play_waveforms_to_the_tick(board: &mut Board) {
    let begin = press_two_buttons(board);
    assert_eq!(board.ask(waveform(Wire::Line(1), PRESS, begin)), Answer::Refused(Refusal::Busy));
    board.run(58 * MILLI);
    let events = board.take();
    let latest = compare_two_buttons(board, begin, &events);
    println!("a press of 50 ms, and one that bounces: told to the tick, at most {latest} ticks late");
}

/// Has the controller press two buttons for some 50 ms; when it begins.
pub(crate) fn press_two_buttons(board: &mut Board) -> Ticks {
    let Answer::Clock { sent: now, .. } = board.ask(Command::ReadClock) else { panic!("no clock") };
    // Two questions and their answers take 2 ms and more while both lanes fill the line.
    let begin = now + 6 * MILLI;
    board.pins.clear();
    for (wire, ticks) in [(Wire::Line(1), BOUNCE), (Wire::Line(2), PRESS)] {
        assert!(matches!(board.ask(waveform(wire, ticks, begin)), Answer::Done { .. }));
    }
    begin
}

fn waveform(wire: Wire, ticks: Ticked, begin: Ticks) -> Command {
    let drives = [Drive::Low, Drive::Release].into_iter().cycle();
    let steps: Vec<Step, 32> =
        ticks.iter().zip(drives).map(|(&ticks, drive)| Step { drive, ticks }).collect();
    Command::Play(Waveform { wire, at: Some(begin), steps })
}

/// Compares what was told of that with the pins; the ticks by which the latest step was late.
pub(crate) fn compare_two_buttons(board: &mut Board, begin: Ticks, events: &[Event]) -> u64 {
    let mut latest = 0;
    for (line, ticks) in [(1, BOUNCE), (2, PRESS)] {
        let told: std::vec::Vec<(Ticks, Drive)> = events
            .iter()
            .filter_map(|event| match event {
                Event::Driven { wire, at, drive } if *wire == Wire::Line(line) => Some((*at, *drive)),
                _ => None,
            })
            .collect();
        let seen = board.changes(LINE + line);
        assert_eq!((told.len(), seen.len()), (ticks.len(), ticks.len()), "each step once");
        let mut due = begin;
        for (((told, drive), seen), ticks) in told.iter().zip(&seen).zip(ticks) {
            assert_eq!(seen.level, if *drive == Drive::Low { '0' } else { 'z' }, "as it was told");
            board.happened_at(seen.cycle, *told);
            assert!(*told >= due, "no step is early");
            latest = latest.max(told.since(due));
            due = due + u64::from(*ticks);
        }
    }
    assert!(latest <= LATE, "{latest} ticks late");
    latest
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
