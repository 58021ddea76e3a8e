//! Records a rig while a case runs on it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rigor_core::qualification::Qualification;
use rigor_core::rig::{Drive, Lane, Parts};
use rigor_core::timeline::{Tap, Told};
use rigor_core::verdict::{Blame, RigError, Verdict};
use rigor_core::{Instant, Rig, Source};

use super::file::{Ending, FirmwareId, Header, LedTable, PartsTable, Stopped};
use super::op::{Op, Returned};
use super::parts::Recorded;
use super::writer::{Size, WriteError, Writer};
use crate::Order;

/// A recording that has grown to this is stopped, in bytes: a case that runs away must not fill the
/// disk. It covers weeks of playback.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Where the recordings of a run are kept: a folder for each rig, a file for each case.
#[derive(Debug)]
pub struct Recordings {
    folder: PathBuf,
    kept: Mutex<Kept>,
}

/// What was recorded.
#[derive(Clone, Default, Debug)]
pub struct Kept {
    /// Recordings that were brought to their end.
    pub files: u64,
    /// All of them together.
    pub size: Size,
    /// What could not be kept, and why.
    pub complaints: Vec<String>,
}

impl Recordings {
    /// Recordings below `folder`. Nothing is made before a case begins.
    pub fn new(folder: impl Into<PathBuf>) -> Arc<Self> {
        Arc::new(Recordings { folder: folder.into(), kept: Mutex::default() })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was recorded up to now.
    pub fn kept(&self) -> Kept {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A recording that begins when its rig is [taken](crate::take).
    pub fn recording(self: &Arc<Self>) -> Recording {
        Recording(Arc::new(Shared {
            recordings: self.clone(),
            state: Mutex::default(),
            clock: Clock::default(),
        }))
    }
}

/// The file of the case `case` on the rig `rig` below `folder`.
pub fn path_of(folder: &Path, rig: &str, case: &str) -> PathBuf {
    folder.join(rig).join(format!("{}.{EXTENSION}", file_name(case)))
}

/// What recordings end in.
pub const EXTENSION: &str = "rec";

/// A name that is one on every file system; different cases have different ones.
fn file_name(case: &str) -> String {
    let mut name = String::new();
    for byte in case.bytes() {
        // Upper-case letters too, where a file system takes them for lower-case ones.
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte) {
            name.push(byte.into());
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    if name.len() > 150 {
        name.truncate(150);
        name.push_str(&format!("%{:016x}", super::op::Digest::of(case.as_bytes()).hash));
    }
    name
}

/// The recording of one case. Clones are of the same one.
#[derive(Clone)]
pub struct Recording(Arc<Shared>);

struct Shared {
    recordings: Arc<Recordings>,
    state: Mutex<State>,
    clock: Clock,
}

/// How far the clock has moved since anything happened. All on one thread, and so often that a lock
/// would show.
struct Clock {
    /// In nanoseconds; zero if it has not.
    to: AtomicU64,
    /// Whether the back end had asked before whether the case has something to do.
    asked: AtomicBool,
    /// Whether it has asked since.
    asked_again: AtomicBool,
    /// How far the clock may go now, in nanoseconds; the greatest if it went further and that was told.
    limit: AtomicU64,
}

impl Default for Clock {
    fn default() -> Self {
        Clock {
            to: AtomicU64::new(0),
            asked: AtomicBool::new(false),
            asked_again: AtomicBool::new(false),
            // Nobody has said yet.
            limit: AtomicU64::new(u64::MAX),
        }
    }
}

impl Clock {
    fn ask(&self) {
        self.asked_again.store(true, Ordering::Relaxed);
    }

    fn begin(&self, until: Instant) {
        self.asked_again.store(false, Ordering::Relaxed);
        self.limit.store(until.as_nanos(), Ordering::Relaxed);
    }

    fn moved(&self, to: Instant) {
        // Nobody could tell the steps of one movement apart: nothing happens between them.
        if self.to.load(Ordering::Relaxed) == 0 {
            self.asked.store(self.asked_again.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.to.store(to.as_nanos(), Ordering::Relaxed);
        self.asked_again.store(false, Ordering::Relaxed);
    }

    /// What is to be written before anything else that happens: the movement, and the instant at which it
    /// should have stopped, if it has just gone beyond that.
    fn take(&self) -> Option<(Option<Op>, Op)> {
        // Of that, nobody has been asked yet.
        self.asked_again.store(false, Ordering::Relaxed);
        let to = self.to.load(Ordering::Relaxed);
        if to == 0 {
            return None;
        }
        self.to.store(0, Ordering::Relaxed);
        let limit = self.limit.load(Ordering::Relaxed);
        let overrun = (to > limit).then(|| {
            self.limit.store(u64::MAX, Ordering::Relaxed);
            Op::Overrun(Instant::from_nanos(limit))
        });
        let advance = Op::Advance { to: Instant::from_nanos(to), asked: self.asked.load(Ordering::Relaxed) };
        Some((overrun, advance))
    }
}

#[derive(Default)]
struct State {
    file: Option<Unfinished>,
    /// The rig acts now, and not the case.
    within: bool,
}

/// A file under its temporary name.
struct Unfinished {
    writer: Option<Writer<File>>,
    temporary: PathBuf,
    path: PathBuf,
}

impl Recording {
    /// `rig` as `order` describes it, with everything that happens on it recorded. If the file cannot
    /// be made, the rig as it was: the case runs, and [`Kept::complaints`] tells.
    pub(crate) fn of(&self, order: &Order<'_>, mut rig: Rig) -> Rig {
        let header = header(order, &rig);
        let path = path_of(&self.0.recordings.folder, &rig.name, order.case);
        let temporary = path.with_extension(format!("{EXTENSION}.part"));
        let begun = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| File::create(&temporary))
            .map_err(WriteError::from)
            .and_then(|file| Writer::new(file, &header));
        match begun {
            Ok(writer) => {
                let mut state = self.0.lock();
                state.within = true;
                state.file = Some(Unfinished { writer: Some(writer), temporary, path });
            }
            Err(error) => {
                self.0.complain(&path, &error);
                return rig;
            }
        }
        rig.timeline.set_tap(Box::new(Ear(self.0.clone())));
        self.0.note(&Op::Ready);
        self.0.lock().within = false;
        rig.parts = super::parts::recorded(rig.parts, self);
        rig.drive = Box::new(RecordedDrive { drive: rig.drive, recording: self.clone() });
        rig
    }

    /// Calls a part: `act` is the call, `returned` says what of its result is kept.
    pub(super) fn call<T>(
        &self,
        call: super::op::Call,
        act: impl FnOnce() -> Result<T, RigError>,
        reply: impl FnOnce(&T) -> Reply<'_>,
    ) -> Result<T, RigError> {
        self.0.note(&Op::Call(call));
        self.0.lock().within = true;
        let result = act();
        let returned = match result.as_ref().map(reply) {
            Ok(Reply::Nothing) => Some(Returned::Nothing),
            Ok(Reply::Number(number)) => Some(Returned::Number(number)),
            Ok(Reply::Bytes(bytes)) => {
                self.0.write(|writer| writer.returned_bytes(bytes, false));
                None
            }
            Err(RigError(text)) => Some(Returned::Failed(text.as_str().into())),
        };
        if let Some(returned) = returned {
            self.0.note(&Op::Returned(returned));
        }
        self.0.lock().within = false;
        result
    }

    /// Brings the recording to its end and gives the file its name. What happens on the rig later is
    /// not recorded. Nothing if it never began.
    pub fn finish(&self, ending: &Ending) {
        let mut state = self.0.lock();
        state.flush(&self.0);
        // A case that panics is wrong by itself: mended, it only waits for more than was recorded.
        let by_case = |stopped: &Stopped| stopped.verdict == Verdict::HarnessBug && !state.within;
        let stopped = ending.stopped.clone().filter(|stopped| !by_case(stopped));
        let ending = &Ending { stopped };
        let Some(Unfinished { writer, temporary, path }) = state.file.take() else { return };
        let finished = match writer {
            Some(writer) => writer.finish(ending).map(|(_, size)| size),
            // It was stopped for its size, and that was said. What there is of it can be read.
            None => Ok(Size::default()),
        };
        let renamed = finished.and_then(|size| {
            // Not forced to the disk: a recording that a power cut has hurt says so when it is read.
            fs::rename(&temporary, &path)?;
            Ok(size)
        });
        match renamed {
            Ok(size) => {
                let mut kept = self.0.recordings.lock();
                kept.files += 1;
                kept.size.bytes += size.bytes;
                kept.size.operations += size.operations;
                kept.size.bursts += size.bursts;
            }
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                self.0.complain(&path, &error);
            }
        }
    }
}

/// What came back from a call that went well.
pub(super) enum Reply<'a> {
    Nothing,
    Number(u64),
    Bytes(&'a [u8]),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complain(&self, path: &Path, why: &dyn std::fmt::Display) {
        self.recordings.lock().complaints.push(format!(
            "{}: {why}; check that the folder may be written and the disk has room",
            path.display()
        ));
    }

    /// Records what the rig did, or what was done to it.
    fn note(&self, op: &Op) {
        self.write(|writer| writer.op(op, false));
    }

    fn write(&self, write: impl FnOnce(&mut Writer<File>) -> Result<(), WriteError>) {
        let mut state = self.lock();
        state.flush(self);
        state.write(self, |writer, _| write(writer));
    }
}

impl State {
    fn write(
        &mut self,
        shared: &Shared,
        write: impl FnOnce(&mut Writer<File>, bool) -> Result<(), WriteError>,
    ) {
        let by_case = !self.within;
        let Some(file) = &mut self.file else { return };
        let Some(writer) = &mut file.writer else { return };
        match write(writer, by_case) {
            Ok(()) if writer.size().bytes <= MAX_FILE_BYTES => {}
            Ok(()) => {
                let why = format!("the recording was stopped at {MAX_FILE_BYTES} bytes, at {}", writer.now());
                shared.complain(&file.path, &why);
                file.writer = None;
            }
            Err(error) => {
                shared.complain(&file.path, &error);
                let _ = fs::remove_file(&file.temporary);
                self.file = None;
            }
        }
    }

    fn flush(&mut self, shared: &Shared) {
        let Some((overrun, advance)) = shared.clock.take() else { return };
        for op in overrun.iter().chain([&advance]) {
            self.write(shared, |writer, by_case| writer.op(op, by_case));
        }
    }
}

/// What the timeline tells.
struct Ear(Arc<Shared>);

impl Tap for Ear {
    fn told(&mut self, what: Told<'_>) {
        if let Told::Advance(to) = what {
            return self.0.clock.moved(to);
        }
        let mut state = self.0.lock();
        state.flush(&self.0);
        let lane = |source: Source| source.index() as u16;
        state.write(&self.0, |writer, by_case| match what {
            Told::Event(source, event) => writer.event(lane(source), event, by_case),
            Told::Source(_, name) => writer.op(&Op::Source(name.into()), by_case),
            Told::Hold(source, from) => writer.op(&Op::Hold(lane(source), from), by_case),
            Told::Release(source) => writer.op(&Op::Release(lane(source)), by_case),
            Told::Promise(source, until) => writer.op(&Op::Promise(lane(source), until), by_case),
            Told::Advance(_) => Ok(()),
        });
    }
}

struct RecordedDrive {
    drive: Box<dyn Drive>,
    recording: Recording,
}

impl Drive for RecordedDrive {
    fn run(&mut self, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), RigError> {
        let shared = &self.recording.0;
        shared.lock().within = true;
        shared.clock.begin(until);
        let result = self.drive.run(until, &|| {
            shared.clock.ask();
            woken()
        });
        let ended = match &result {
            Ok(()) => Op::Yielded,
            Err(RigError(text)) => Op::RunFailed(text.as_str().into()),
        };
        shared.note(&ended);
        // Outside, nobody has said how far it may go.
        shared.clock.begin(Instant::MAX);
        shared.lock().within = false;
        result
    }

    fn self_check(&self) -> Result<(), RigError> {
        let result = self.drive.self_check();
        let wrong = result.as_ref().err().map(|RigError(text)| text.as_str().into());
        self.recording.0.note(&Op::Checked(wrong));
        result
    }

    fn overrules(&self) -> Option<Blame> {
        self.drive.overrules()
    }

    fn qualification(&self) -> Option<Qualification> {
        self.drive.qualification()
    }
}

fn header(order: &Order<'_>, rig: &Rig) -> Header {
    let firmware = order.firmwares.get(&order.file.dut);
    Header {
        system: order.file.dut.clone(),
        case: order.case.to_owned(),
        rig: order.file.name.clone(),
        seed: order.seed.to_string(),
        fidelity: rig.fidelity,
        firmware: firmware.map(|firmware| FirmwareId {
            name: firmware.name().to_owned(),
            version: firmware.version().to_owned(),
        }),
        rig_file: order.file.text.clone(),
        parts: parts_table(&rig.parts),
    }
}

fn parts_table(parts: &Parts) -> PartsTable {
    // Every part is named, so that a new one cannot be forgotten.
    let Parts {
        console,
        power,
        reset,
        flash,
        net,
        air,
        scheduler,
        stress,
        capture,
        pins,
        leds,
        gauges,
        ports,
        // Of that run of the rig, and gone with it.
        forwards: _,
        // The rig file says it.
        lacking: _,
    } = parts;
    let lane = |source: Source| source.index() as u16;
    PartsTable {
        console: console.as_ref().map(|console| lane(console.source())),
        power: power.as_ref().map(|power| lane(power.source())),
        reset: reset.is_some(),
        flash: flash.is_some(),
        flash_busy: flash.as_ref().and_then(|flash| flash.busy_source()).map(lane),
        net: net.as_ref().map(|net| lane(net.source())),
        air: air.as_ref().map(|air| (lane(air.source()), lane(air.net().source()))),
        scheduler: scheduler.is_some(),
        stress: stress.is_some(),
        capture: capture.is_some(),
        pins: pins.iter().map(|(signal, pin)| (signal.clone(), lane(pin.source()))).collect(),
        leds: leds.iter().map(led_table).collect(),
        gauges: gauges.iter().map(|(name, source)| (name.clone(), lane(*source))).collect(),
        ports: ports.clone(),
    }
}

fn led_table(led: &Lane) -> LedTable {
    LedTable {
        signal: led.signal.clone(),
        lane: led.source.index() as u16,
        pixels: u32::try_from(led.pixels).unwrap_or(u32::MAX),
    }
}

/// A part with its recording.
pub(super) fn with_recording<P: ?Sized>(part: Rc<P>, recording: &Recording) -> Rc<Recorded<P>> {
    Rc::new(Recorded { part, recording: recording.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_file_of_its_own_wherever_files_are_kept() {
        assert_eq!(path_of(Path::new("r"), "k1", "boot_order"), Path::new("r/k1/boot_order.rec"));
        assert_eq!(file_name("a/b ../C"), "a%2fb%20%2e%2e%2f%43");
        let long = ["x", "y"].map(|end| file_name(&("w".repeat(300) + end)));
        assert!(long[0] != long[1] && long[0].len() < 200);
    }
}
