//! The console of the board: what it sends, stamped as it comes, and what is typed there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant as HostInstant};

use rigor_core::event::{Direction, Gap, Serial};
use rigor_core::{Instant, Kind, Source, Timeline};

use super::bell::Bell;
use super::bootlog::BootLog;
use super::error::BenchError;
use super::find;
use super::listener::{Find, Heard, Listener};
use super::loader::Line;
use super::wait::wait;
use crate::ports::{Host, PortName};
use crate::serial::{Port, SerialError};

/// Bytes that come together at most, as a rule: a line of a log.
const IN_FLIGHT: u32 = 256;
/// What is typed is taken so soon, or never.
const TAKEN_WITHIN: Duration = Duration::from_secs(2);

/// Something that came from the console, before it has an instant of the rig.
pub(super) enum Arrived {
    /// Bytes, which were there then.
    Bytes(HostInstant, Vec<u8>),
    /// The port vanished.
    Gone(HostInstant, String),
    /// It is there again.
    Back(HostInstant),
}

/// The console's line while the chip is in its loader.
pub(super) struct LoaderLine<'a> {
    console: &'a mut Console,
    bell: &'a Bell,
    /// Since when the port is away, if it went during this.
    away: Option<(HostInstant, String)>,
}

impl LoaderLine<'_> {
    /// What has come. A port that goes and comes back, as that of a chip with USB of its own does at its reset, is
    /// followed in silence.
    fn taken(&mut self) -> Vec<u8> {
        self.bell.hush();
        self.console.listen();
        let mut taken = Vec::new();
        for arrived in self.console.take() {
            match arrived {
                Arrived::Bytes(_, bytes) => taken.extend(bytes),
                Arrived::Gone(at, why) => self.away = Some((at, why)),
                Arrived::Back(_) => (self.away, self.console.gone) = (None, None),
            }
        }
        self.console.received -= taken.len() as u64;
        taken
    }
}

impl Line for LoaderLine<'_> {
    fn send(&mut self, bytes: &[u8]) {
        if let Some(writer) = &mut self.console.writer {
            // Without it no answer comes.
            let _ = writer.write(bytes, HostInstant::now() + TAKEN_WITHIN);
        }
    }

    fn receive(&mut self, deadline: HostInstant) -> Vec<u8> {
        loop {
            let taken = self.taken();
            let left = deadline.saturating_duration_since(HostInstant::now());
            if !taken.is_empty() || left.is_zero() {
                return taken;
            }
            wait(self.bell, &[], left);
        }
    }
}

impl Drop for LoaderLine<'_> {
    /// What nobody has taken was the loader's. What the firmware says while the port is still away is lost.
    fn drop(&mut self) {
        self.taken();
        let away = self.away.take().map(|(at, why)| Arrived::Gone(at, why));
        self.console.arrived.extend(away);
    }
}

/// Our end of the console.
pub(super) struct Console {
    timeline: Timeline,
    pub(super) source: Source,
    input: Source,
    pub(super) byte_time: Duration,
    path: PathBuf,
    /// How late a byte may be told after its stop bit.
    pub(super) latency: Duration,
    /// The board has no supply, by our own doing: a port that is gone then is none that is lost.
    excused: bool,
    writer: Option<Port>,
    listener: Listener,
    /// What has come and was not recorded yet.
    arrived: Vec<Arrived>,
    /// Bytes that came, and bytes that were typed.
    pub(super) received: u64,
    pub(super) typed: u64,
    /// Something came, also from the loader: the wire is what it should be.
    was_heard: bool,
    /// When the wire from the device was free again.
    free: Instant,
    /// Since when, if the port is gone, and what the system said.
    gone: Option<(Instant, String)>,
    pub(super) boot_log: BootLog,
}

impl Console {
    /// Opens the console's port; when it appears, if it `may_be_away` as long as the board has no supply.
    pub(super) fn open(
        address: &PortName,
        baud: u32,
        may_be_away: bool,
        timeline: &Timeline,
        bell: &Bell,
    ) -> Result<Self, BenchError> {
        let (path, port) = match ours(address, baud) {
            Ok(port) => (port.path().to_owned(), Some(port)),
            Err(BenchError::NotPluggedIn { .. } | BenchError::Serial(SerialError::Open { .. }))
                if may_be_away =>
            {
                let named = match address {
                    PortName::Path(path) => path.clone(),
                    PortName::UsbSerial(serial) => PathBuf::from(format!("USB {serial}")),
                };
                (named, None)
            }
            Err(error) => return Err(error),
        };
        let writer = port.as_ref().map(Port::again);
        let wanted = address.clone();
        let again: Find =
            Box::new(move || Port::open_alone(&Host::default().resolve(&wanted).ok()?, baud).ok());
        let listener = Listener::start("rigor-console", port, bell.clone(), Some(again));
        let listener = listener.map_err(|why| BenchError::Host {
            what: "a thread that listens to the console".to_owned(),
            why: why.to_string(),
            remedy: "end other programs",
        })?;
        let source = timeline.source("console");
        // What is on the wire is owed until it has come: `pass` says up to when.
        timeline.hold(source, timeline.now());
        Ok(Console {
            timeline: timeline.clone(),
            source,
            input: timeline.source("console.input"),
            byte_time: Duration::from_nanos(10_000_000_000 / u64::from(baud.max(1))),
            latency: latency(&path),
            path,
            excused: may_be_away,
            writer,
            listener,
            arrived: Vec::new(),
            received: 0,
            typed: 0,
            was_heard: false,
            free: Instant::ZERO,
            gone: None,
            boot_log: BootLog::default(),
        })
    }

    /// Takes in what has come. Never waits.
    pub(super) fn listen(&mut self) {
        while let Some(heard) = self.listener.try_next() {
            self.arrived.push(match heard {
                Heard::Bytes(chunk) => {
                    self.received += chunk.bytes.len() as u64;
                    self.was_heard = true;
                    Arrived::Bytes(chunk.at, chunk.bytes)
                }
                Heard::Gone(at, error) => {
                    self.writer = None;
                    Arrived::Gone(at, error.to_string())
                }
                Heard::Back(at, writer) => {
                    self.path = writer.path().to_owned();
                    self.latency = latency(&self.path);
                    self.writer = Some(writer);
                    Arrived::Back(at)
                }
            });
        }
    }

    /// The line as the chip's loader has it, until this goes: what it says is no word of the console's.
    pub(super) fn loader<'a>(&'a mut self, bell: &'a Bell) -> LoaderLine<'a> {
        LoaderLine { console: self, bell, away: None }
    }

    /// What has come since, in order.
    pub(super) fn take(&mut self) -> Vec<Arrived> {
        std::mem::take(&mut self.arrived)
    }

    /// Records bytes whose last stop bit was there at `at`, plus or minus `uncertainty`.
    pub(super) fn record(&mut self, bytes: &[u8], at: Instant, uncertainty: Duration) {
        let length = self.byte_time.saturating_mul(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        let started = (at - length).max(self.free).max(self.timeline.complete_until(self.source));
        self.free = started + length;
        let serial =
            Serial { direction: Direction::FromDut, bytes: Arc::from(bytes), byte_time: self.byte_time };
        self.push(started, uncertainty, Kind::Serial(serial));
        self.boot_log.take(bytes, at);
    }

    /// The port is gone since `at`.
    pub(super) fn record_gone(&mut self, at: Instant, why: String) {
        if !self.excused {
            self.gone = Some((at, why));
        }
    }

    /// The board loses its supply, or has it again: from now on the port may be gone, or may not.
    pub(super) fn excuse(&mut self, excused: bool) {
        self.excused = excused;
    }

    /// What it said from `from` until its port was there, at `until`, is lost.
    pub(super) fn record_late(&mut self, from: Instant, until: Instant) {
        let reason =
            Arc::from("its port was there only after the supply; a [reset] would let it begin once more");
        self.push(from.max(self.free), Duration::ZERO, Kind::Gap(Gap { length: until.since(from), reason }));
    }

    /// Why nothing works: its port is not there `within` so long after the supply.
    pub(super) fn never_appeared(&self, within: Duration) -> BenchError {
        BenchError::Other(format!(
            "the console {} is not there {within:?} after the supply was switched on; look at the cable, and at [power] and \
             [console] of the rig file",
            self.path.display()
        ))
    }

    /// Whether the port is open.
    pub(super) fn is_there(&self) -> bool {
        self.writer.is_some()
    }

    /// Its port, for what can be done with it besides.
    pub(super) fn port(&self) -> Result<&Port, BenchError> {
        self.writer.as_ref().ok_or_else(|| self.away())
    }

    /// The port is there again at `at`: what the device said meanwhile is lost.
    pub(super) fn record_back(&mut self, at: Instant) {
        if let Some((from, why)) = self.gone.take() {
            let from = from.max(self.free);
            let gap = Gap { length: at.since(from), reason: why.into() };
            self.push(from, Duration::ZERO, Kind::Gap(gap));
        }
    }

    /// All that had left the wire by `until` has come. What is on it still began before that.
    pub(super) fn pass(&mut self, until: Instant) {
        if self.gone.is_none() {
            self.timeline.promise(self.source, until - self.byte_time * IN_FLIGHT);
        }
    }

    /// Types `bytes` at the present moment.
    pub(super) fn type_in(&mut self, bytes: &[u8], uncertainty: Duration) -> Result<(), BenchError> {
        self.check()?;
        let Some(writer) = &mut self.writer else { return Err(self.away()) };
        writer.write(bytes, HostInstant::now() + TAKEN_WITHIN)?;
        self.typed += bytes.len() as u64;
        let serial =
            Serial { direction: Direction::ToDut, bytes: Arc::from(bytes), byte_time: self.byte_time };
        let now = self.timeline.now();
        // The clock only moves forward, and nobody else records here.
        let _ = self.timeline.push(self.input, now, uncertainty, Kind::Serial(serial));
        Ok(())
    }

    /// Whether the port is there.
    pub(super) fn check(&self) -> Result<(), BenchError> {
        let is_away = self.gone.is_some() || self.writer.is_none();
        if is_away && !self.excused { Err(self.away()) } else { Ok(()) }
    }

    /// Whether anything was ever heard of a board that was started: its firmware may be dead, but not the chip's ROM.
    pub(super) fn check_heard(&self) -> Result<(), BenchError> {
        if self.was_heard {
            return Ok(());
        }
        Err(BenchError::Mute { path: self.path.clone() })
    }

    fn away(&self) -> BenchError {
        let why = self.gone.as_ref().map_or("it vanished", |(_, why)| why.as_str());
        BenchError::Other(format!(
            "the console {} is gone: {why}; plug the board in again",
            self.path.display()
        ))
    }

    fn push(&self, at: Instant, uncertainty: Duration, kind: Kind) {
        // `at` is at least what was promised, and at least when the last one ended.
        let _ = self.timeline.push(self.source, at, uncertainty, kind);
    }
}

/// How late a byte may be told after its stop bit by the port at `path`: what the driver of an FTDI chip says of itself,
/// or else two polls of a USB host controller and a little for the host.
fn latency(path: &Path) -> Duration {
    const USB: Duration = Duration::from_millis(2);
    let name = std::fs::canonicalize(path).ok();
    let name = name.as_deref().and_then(|path| path.file_name());
    let timer = name.and_then(|name| {
        let path = Path::new("/sys/class/tty").join(name).join("device/latency_timer");
        std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok()
    });
    timer.map_or(USB, |millis| USB.max(Duration::from_millis(millis.min(255)) + Duration::from_millis(1)))
}

/// The port called `address`, ours alone, without what came before the rig was taken.
fn ours(address: &PortName, baud: u32) -> Result<Port, BenchError> {
    let mut port = Port::open_alone(&find(address, "console")?, baud)?;
    port.forget_input()?;
    Ok(port)
}
