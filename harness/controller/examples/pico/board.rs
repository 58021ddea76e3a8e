//! The emulated board: a child that moves on by cycles, with bytes of its serial port and levels of its pins.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};

use rigor_controller::frame::{self, MAX_FRAME};
use rigor_controller::message::{Answer, Drive, Level, Said, Stream, Wire};
use rigor_controller::packed::{self, Pulse};
use rigor_controller::{Command, Deframer, Report, Request, Ticks};

/// Cycles in a microsecond.
pub(crate) const MICRO: u64 = 125;
/// Cycles in a millisecond.
pub(crate) const MILLI: u64 = 1000 * MICRO;

/// What was said, kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    Answer(u16, Answer),
    Pulses { lane: u8, at: Ticks, pulses: Vec<Pulse> },
    Edge { input: u8, at: Ticks, level: Level },
    Driven { wire: Wire, at: Ticks, drive: Drive },
    Transfer { at: Ticks, data: bool, bytes: Vec<u8> },
    Lost { stream: Stream, from: Ticks, until: Ticks },
    Complete(Ticks),
}

/// A pin was driven: high, low, or not any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PinChange {
    pub(crate) pin: u8,
    pub(crate) level: char,
    pub(crate) cycle: u64,
}

pub(crate) struct Board {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    deframer: Deframer,
    id: u16,
    sequence: Option<u32>,
    complete: Ticks,
    /// What the clock shows more than there were cycles.
    ahead: Option<i64>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) pins: Vec<PinChange>,
    /// Where the board is.
    pub(crate) cycle: u64,
    /// Cycles in which its core did something.
    pub(crate) busy: u64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Drop for Board {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Board {
    pub(crate) fn start(script: &str, image: &str) -> Self {
        let mut child = Program::new("node")
            .args([script, image])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        Board {
            child,
            stdin,
            stdout,
            deframer: Deframer::new(),
            id: 0,
            sequence: None,
            complete: Ticks(0),
            ahead: None,
            events: VecDeque::new(),
            pins: Vec::new(),
            cycle: 0,
            busy: 0,
            packets: 0,
            bytes: 0,
        }
    }

    /// Says `line` to the emulator.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").expect("the emulator lives");
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        assert!(self.stdout.read_line(&mut line).expect("the emulator lives") > 0, "the emulator ended");
        line.trim_end().to_owned()
    }

    /// A text of the USB descriptors.
    pub(crate) fn text(&mut self, index: u8) -> String {
        self.tell(&format!("text {index}"));
        self.hear().trim_start_matches("text ").to_owned()
    }

    /// Moves on by `cycles`, and takes in what the controller says.
    pub(crate) fn run(&mut self, cycles: u64) {
        self.tell(&format!("run {cycles}"));
        let line = self.hear();
        let parts: Vec<&str> = line.split(' ').collect();
        let [_, cycle, busy, packets, bytes, pins] = parts[..] else { panic!("{line}") };
        [self.cycle, self.busy, self.packets] =
            [cycle, busy, packets].map(|number| number.parse().expect("a number"));
        for change in pins.split(',').filter(|pins| *pins != "-") {
            let parts: Vec<&str> = change.split(':').collect();
            self.pins.push(PinChange {
                pin: parts[0].parse().expect("a pin"),
                level: parts[1].chars().next().expect("a level"),
                cycle: parts[2].parse().expect("a cycle"),
            });
        }
        for byte in bytes.as_bytes().chunks_exact(2) {
            let byte = u8::from_str_radix(str::from_utf8(byte).expect("digits"), 16).expect("digits");
            self.bytes += 1;
            if let Some(frame) = self.deframer.take(byte) {
                let report: Report<'_> = frame.open().expect("all that comes is whole");
                let expected = self.sequence.map_or(0, |sequence| sequence + 1);
                assert_eq!(report.sequence, expected, "nothing is missing: {report:?}");
                self.sequence = Some(report.sequence);
                let event = keep(report.said);
                self.check_order(&event);
                self.events.push_back(event);
            }
        }
    }

    /// Nothing is told that was said to be complete.
    fn check_order(&mut self, event: &Event) {
        let at = match event {
            Event::Pulses { at, .. } | Event::Edge { at, .. } | Event::Driven { at, .. } => *at,
            Event::Transfer { at, .. } => *at,
            Event::Lost { from, .. } => *from,
            Event::Complete(until) => {
                assert!(*until >= self.complete, "complete goes back to {until:?}");
                self.complete = *until;
                return;
            }
            Event::Answer(..) => return,
        };
        assert!(at >= self.complete, "{event:?} after all was complete until {:?}", self.complete);
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.tell(&format!("send {digits}"));
    }

    /// Sends a request; its number.
    pub(crate) fn request(&mut self, command: Command) -> u16 {
        self.id += 1;
        if command == Command::Identify {
            self.sequence = None;
            self.complete = Ticks(0);
        }
        let mut frame = [0; MAX_FRAME];
        let request = Request { id: self.id, command };
        let frame = frame::encode(&request, &mut frame).expect("it is short enough").to_vec();
        self.send(&frame);
        self.id
    }

    /// Sends a request, and waits for what becomes of it.
    pub(crate) fn ask(&mut self, command: Command) -> Answer {
        let id = self.request(command);
        for _ in 0..1000 {
            self.run(20 * MICRO);
            let is_it = |event: &Event| matches!(event, Event::Answer(answered, _) if *answered == id);
            if let Some(at) = self.events.iter().position(is_it)
                && let Some(Event::Answer(_, answer)) = self.events.remove(at)
            {
                return answer;
            }
        }
        panic!("no answer within 20 ms");
    }

    /// The controller begins anew in the middle of a frame, and of its numbers.
    pub(crate) fn forget(&mut self) {
        self.deframer = Deframer::new();
        self.events.clear();
    }

    /// Whether the controller told `at` of what happened in `cycle`, to the tick. Its clock was started by its firmware: by
    /// how much it is ahead of the cycles, the first instant says, and all others have to agree.
    #[track_caller]
    pub(crate) fn happened_at(&mut self, cycle: u64, at: Ticks) {
        let ahead = at.0.wrapping_sub(cycle) as i64;
        assert_eq!(ahead, *self.ahead.get_or_insert(ahead), "ticks off: {at:?} was told of cycle {cycle}");
    }

    /// What the clock showed in `cycle`; after something [happened](Self::happened_at).
    pub(crate) fn instant_of(&self, cycle: u64) -> Ticks {
        Ticks(cycle.wrapping_add_signed(self.ahead.expect("something has happened")))
    }

    /// What happened to a pin since this was asked last.
    pub(crate) fn changes(&mut self, pin: u8) -> Vec<PinChange> {
        let changes = self.pins.iter().copied().filter(|change| change.pin == pin).collect();
        self.pins.retain(|change| change.pin != pin);
        changes
    }

    /// All events since this was asked last.
    pub(crate) fn take(&mut self) -> Vec<Event> {
        self.events.drain(..).collect()
    }
}

fn keep(said: Said<'_>) -> Event {
    match said {
        Said::Answer { id, answer } => Event::Answer(id, answer),
        Said::Pulses { lane, at, packed } => {
            Event::Pulses { lane, at, pulses: packed::unpack(packed).expect("pulses").collect() }
        }
        Said::Edge { input, at, level } => Event::Edge { input, at, level },
        Said::Driven { wire, at, drive } => Event::Driven { wire, at, drive },
        Said::Transfer { at, data, bytes } => Event::Transfer { at, data, bytes: bytes.to_vec() },
        Said::Lost { stream, from, until } => Event::Lost { stream, from, until },
        Said::Complete { until } => Event::Complete(until),
    }
}
