//! A board that was started, seen from outside: whether it says anything, whether it answers an empty line, and how
//! long the way to its services is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rigor_core::event::{ConnectionId, DeviceEvent, Direction, Flow, FlowKind};
use rigor_core::qualification::RoundTrip;
use rigor_core::verdict::RigError;
use rigor_core::{Instant, Kind, Rig, Source};

use super::{BOARD, CONSOLE, Examination, NET, Standing};
use crate::file::RigFile;

const ECHO: &str = "how soon what is typed is answered";

/// The ROM of a chip says something at once; a firmware that logs nothing else may take its time.
const SPEAKS_WITHIN: Duration = Duration::from_secs(10);
/// So long nothing is said when a board has started.
const QUIET: Duration = Duration::from_millis(300);
/// A board that never stops talking is asked all the same.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);
/// Empty lines that are typed, and for how long each answer is waited for.
const LINES: u32 = 3;
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// A board that joins a Wi-Fi network listens late.
const LISTENS_WITHIN: Duration = Duration::from_secs(20);
/// Between two attempts to connect to a board that refuses.
const PAUSE: Duration = Duration::from_millis(500);
/// Round trips to each service; the shortest one counts.
const TRIPS: u32 = 8;
/// A handshake over a network in the same room.
const OPENS_WITHIN: Duration = Duration::from_secs(3);
/// Who was left says that it leaves too.
const LEAVES_WITHIN: Duration = Duration::from_secs(1);

/// Looks at the board of `rig`, which is `file`'s.
pub(super) fn look(rig: Rig, file: &RigFile, interrupt: &Arc<AtomicBool>, seen: &mut Examination) {
    let mut board = Board { rig, interrupt: interrupt.clone() };
    seen.figures.console = board.rig.drive.qualification().and_then(|figures| figures.console);
    if let Err(RigError(error)) = board.look(file, seen) {
        seen.wrong("board", BOARD, &error);
    }
}

struct Board {
    rig: Rig,
    interrupt: Arc<AtomicBool>,
}

impl Board {
    fn look(&mut self, file: &RigFile, seen: &mut Examination) -> Result<(), RigError> {
        if let Some(power) = self.rig.parts.power.clone() {
            power.on()?;
        }
        if file.console.is_some() {
            self.listen(file, seen)?;
        }
        let ports = self.rig.parts.ports.clone();
        for (service, port) in &ports {
            self.reach(service, *port, seen)?;
        }
        self.rig.drive.self_check()?;
        let crashed = self.rig.timeline.sources().into_iter().find_map(|source| {
            self.rig
                .timeline
                .find(source, |event| matches!(event.kind, Kind::Device(DeviceEvent::Crashed(_))))
        });
        let is_mute = seen
            .findings
            .iter()
            .any(|finding| finding.what == "speech" && finding.standing == Standing::Wrong);
        match crashed.map(|event| event.kind) {
            Some(Kind::Device(DeviceEvent::Crashed(why))) => seen.wrong(
                "board",
                BOARD,
                &format!("its firmware crashes: {why}; `rigor monitor --rig` shows where, `rigor flash --rig` brings another"),
            ),
            _ if is_mute => seen.unknown("board", BOARD, "nobody knows whether it runs, because it says nothing"),
            _ => seen.well("board", BOARD, "it runs"),
        }
        Ok(())
    }

    /// Lets time pass until `done` or for `limit`; whether it is done.
    fn wait(&mut self, limit: Duration, done: &dyn Fn() -> bool) -> Result<bool, RigError> {
        let until = self.rig.timeline.now() + limit;
        loop {
            if done() {
                return Ok(true);
            }
            if self.interrupt.load(Ordering::Relaxed) {
                return Err(RigError("it was interrupted; nothing is known of the rest".to_owned()));
            }
            if self.rig.timeline.now() >= until {
                return Ok(false);
            }
            self.rig.drive.run(until, done)?;
        }
    }

    fn listen(&mut self, file: &RigFile, seen: &mut Examination) -> Result<(), RigError> {
        let Some(console) = self.rig.parts.console.clone() else { return Ok(()) };
        let (timeline, source) = (self.rig.timeline.clone(), console.source());
        let said = move || timeline.events(source, Instant::ZERO, Instant::MAX).len();
        if !self.wait(SPEAKS_WITHIN, &|| said() > 0)? {
            let text = format!(
                "the board says nothing for {SPEAKS_WITHIN:?}; look at its supply, at the wire of its TX pin and at `baud`, and \
                 bring a firmware onto it (`rigor flash --rig`)"
            );
            // Nobody has started a board without either: it may have said all that it had to say.
            let started = file.power.is_some() || file.reset.is_some();
            if started {
                seen.wrong("speech", CONSOLE, &text)
            } else {
                seen.unknown("speech", CONSOLE, &text)
            }
            return Ok(());
        }
        seen.well("speech", CONSOLE, self.sample(source));
        let settled = self.rig.timeline.now() + SETTLES_WITHIN;
        while self.rig.timeline.now() < settled {
            let before = said();
            if !self.wait(QUIET, &|| said() > before)? {
                break;
            }
        }
        let mut best: Option<Duration> = None;
        for _ in 0..LINES {
            let (before, asked) = (said(), self.rig.timeline.now());
            console.write(b"\n")?;
            if !self.wait(ANSWERS_WITHIN, &|| said() > before)? {
                let text = "it does not answer an empty line, so nobody knows how soon it answers others";
                seen.unknown("echo", ECHO, text);
                return Ok(());
            }
            let events = self.rig.timeline.events(source, Instant::ZERO, Instant::MAX);
            let answer = events.get(before).map(|event| match &event.kind {
                Kind::Serial(serial) => (event.at + serial.byte_time).since(asked),
                _ => event.at.since(asked),
            });
            best = answer.into_iter().chain(best).min();
            // The rest of this answer is not the beginning of the next one.
            self.wait(QUIET, &|| false)?;
        }
        if let Some(best) = best {
            seen.figures.echo = Some(best);
            seen.well(
                "echo",
                ECHO,
                format!("{LINES} of {LINES} empty lines are answered, the first byte after {best:?}"),
            );
        }
        Ok(())
    }

    /// The beginning of what it said, for people to see whether the rate fits.
    fn sample(&self, source: Source) -> String {
        const SHOWN: usize = 40;
        let mut bytes = Vec::new();
        for event in self.rig.timeline.events(source, Instant::ZERO, Instant::MAX) {
            if let Kind::Serial(serial) = &event.kind {
                bytes.extend_from_slice(&serial.bytes);
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        format!("it says `{}`", line.trim().chars().take(SHOWN).collect::<String>())
    }

    fn reach(&mut self, service: &str, port: u16, seen: &mut Examination) -> Result<(), RigError> {
        let what = format!("service {service}");
        let deadline = self.rig.timeline.now() + LISTENS_WITHIN;
        let mut floor: Option<Duration> = None;
        let mut trips = 0;
        while trips < TRIPS {
            let asked = self.rig.timeline.now();
            match self.connect(port)? {
                Answer::Opened(at) => {
                    floor = floor.into_iter().chain([at.since(asked)]).min();
                    trips += 1;
                }
                Answer::Refused if self.rig.timeline.now() < deadline => {
                    self.wait(PAUSE, &|| false)?;
                }
                Answer::Refused => {
                    let text = format!(
                        "port {port} refuses connections for {LISTENS_WITHIN:?}; bring the firmware onto the board that listens \
                         there, or correct `ports` in [net]"
                    );
                    seen.wrong(what, NET, &text);
                    return Ok(());
                }
                Answer::None => {
                    let text = format!(
                        "nobody answers at port {port} within {OPENS_WITHIN:?}; look whether this host is in the board's \
                         network, and correct `address` in [net]"
                    );
                    seen.wrong(what, NET, &text);
                    return Ok(());
                }
            }
        }
        if let Some(floor) = floor {
            seen.figures.network.push(RoundTrip { service: service.to_owned(), trips, floor });
            seen.well(
                what,
                NET,
                format!("port {port} answers, at best after {floor:?}, in {trips} round trips"),
            );
        }
        Ok(())
    }

    /// Connects once, and leaves.
    fn connect(&mut self, port: u16) -> Result<Answer, RigError> {
        let Some(net) = self.rig.parts.net.clone() else { return Ok(Answer::None) };
        let connection = net.connect(port)?;
        let (timeline, source) = (self.rig.timeline.clone(), net.source());
        let seen = move |wanted: &dyn Fn(&FlowKind) -> bool| {
            timeline
                .find(source, |event| of(connection, &event.kind).is_some_and(wanted))
                .map(|event| event.at)
        };
        let is_over = |what: &FlowKind| matches!(what, FlowKind::Refused | FlowKind::Reset(_));
        let opened = |what: &FlowKind| matches!(what, FlowKind::Opened);
        self.wait(OPENS_WITHIN, &|| seen(&opened).is_some() || seen(&is_over).is_some())?;
        let answer = match (seen(&opened), seen(&is_over)) {
            (Some(at), _) => Answer::Opened(at),
            (None, Some(_)) => Answer::Refused,
            (None, None) => Answer::None,
        };
        if matches!(answer, Answer::Opened(_)) {
            net.finish(connection)?;
            let left = |what: &FlowKind| {
                matches!(what, FlowKind::Finished(Direction::FromDut) | FlowKind::Reset(Direction::FromDut))
            };
            if self.wait(LEAVES_WITHIN, &|| seen(&left).is_some())? {
                return Ok(answer);
            }
        }
        if !matches!(answer, Answer::Refused) {
            net.reset(connection)?;
        }
        Ok(answer)
    }
}

enum Answer {
    Opened(Instant),
    Refused,
    None,
}

/// What `kind` says of `connection`.
fn of(connection: ConnectionId, kind: &Kind) -> Option<&FlowKind> {
    match kind {
        Kind::Flow(Flow { connection: id, what }) if *id == connection => Some(what),
        _ => None,
    }
}
