//! What the LEDs show: the handle that every task uses, and the task that drives the pins.
//!
//! The playback task sends a frame every 1/120 s at absolute times and never waits for anything
//! else. The storage task fills a queue of frames ahead of it; the queue covers the longest stretch
//! in which flash keeps the storage task busy.

use core::fmt;

use embassy_time::{Instant, Timer};
use firmware_platform::{Core, TaskSpec};
use portable_atomic_util::Arc;

use crate::defect::{self, Defect};
use crate::guarded::{Guarded, assert_shareable};
use crate::log::Log;
use crate::pattern::{FRAME_BYTES, PatternError, Tail};
use crate::storage::{FileId, PatternName, Storage, StoreError};
use crate::templates;

mod effects;
mod feeder;
mod gamma;
mod queue;
mod task;

use effects::Effects;
pub use effects::{GAMMA_MAX, GAMMA_MIN, MAX_RAMP_MS};
pub(crate) use feeder::Feeder;
pub use queue::DEPTH;
use queue::FrameQueue;
pub use task::task;

/// How the playback task is to run (seed section 3).
pub const TASK: TaskSpec = TaskSpec { name: "playback", priority: 10, stack_bytes: 8192, core: Core::Zero };

const TAG: &str = "playback";

/// Why a pattern does not play.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlayError {
    /// No pattern of that name, or no template of that id.
    NotFound,
    /// The file is stored, but is not a sound pattern.
    NotPlayable(PatternError),
    /// A stop came while the file was being checked.
    Stopped,
    /// The storage failed.
    Store(StoreError),
}

impl fmt::Display for PlayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::NotPlayable(error) => write!(f, "not playable: {error}"),
            Self::Stopped => f.write_str("stopped"),
            Self::Store(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for PlayError {}

impl From<StoreError> for PlayError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound,
            other => Self::Store(other),
        }
    }
}

impl From<PatternError> for PlayError {
    fn from(error: PatternError) -> Self {
        match error {
            PatternError::Memory => Self::Store(StoreError::NoMemory),
            other => Self::NotPlayable(other),
        }
    }
}

/// What has begun to play.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Started {
    /// Bytes of its file.
    pub size: u32,
    /// Its frames.
    pub frames: u32,
    /// Frames in a second, in 1/256.
    pub rate: u32,
}

/// How playback stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// What is shown: a pattern's name, or `template:` and an id. `None` for black.
    pub playing: Option<Shown>,
    /// Frames sent to the LEDs since the start.
    pub frames_sent: u64,
    /// Frames of a pattern that were due while the queue was empty; the frame before was sent in
    /// their place.
    pub underruns: u32,
    /// Frames that were not sent because they could not be on time.
    pub dropped: u32,
    /// Brightness now, 0..=255.
    pub brightness: u8,
    /// Gamma now, in 1/100, 100..=300.
    pub gamma_x100: u16,
}

/// What is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Shown {
    /// A stored pattern.
    Pattern(PatternName),
    /// A template, by its id.
    Template(&'static str),
}

/// A brightness or gamma change as it is carried out, after the limits were applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ramp<T> {
    /// The value at the end.
    pub target: T,
    /// Milliseconds until then, 0..=5000.
    pub duration_ms: u16,
}

/// A duration as it is carried out.
fn limited(duration_ms: u16) -> u16 {
    if defect::present(Defect::RampsUnlimited) { duration_ms } else { duration_ms.min(MAX_RAMP_MS) }
}

struct State {
    queue: FrameQueue,
    effects: Effects,
    playing: Option<FileId>,
    /// Counts stops: a start that was asked for before a stop does not survive it.
    stops: u32,
    frames_sent: u64,
    dropped: u32,
}

const _: () = assert_shareable::<Guarded<State>>();

struct Inner {
    state: Guarded<State>,
    storage: Storage,
    log: Log,
}

/// A handle to playback; clones share it. Shows black until something plays.
#[derive(Clone)]
pub struct Playback(Arc<Inner>);

impl Playback {
    /// Allocates the frame queue. Logs the lines of specification section 9 item 9.
    // Not `Send` because of the chip's handle in Storage; everything else is asserted to be shareable.
    #[must_use]
    pub fn new(storage: &Storage, log: &Log) -> Self {
        log.info(TAG, format_args!("Initializing playback subsystem (120 FPS target)..."));
        let state = State {
            queue: FrameQueue::new(),
            effects: Effects::new(),
            playing: None,
            stops: 0,
            frames_sent: 0,
            dropped: 0,
        };
        let capacity = DEPTH * FRAME_BYTES / 1024;
        log.info("pattern_cache", format_args!("initialized (capacity={capacity} KB)"));
        log.info(TAG, format_args!("Playback subsystem ready"));
        Self(Arc::new(Inner { state: Guarded::new(state), storage: storage.clone(), log: log.clone() }))
    }

    /// Checks a stored pattern and shows it from its first frame on, for ever. Until the check is
    /// done, and when it fails, whatever was shown goes on.
    ///
    /// Raw frames must be whole, except in the file of profile n's uploads, which is raw frames by
    /// definition and may have a tail that is not played.
    ///
    /// # Errors
    /// See [`PlayError`].
    pub async fn play(&self, name: &PatternName) -> Result<(), PlayError> {
        let ticket = self.0.state.with(|state| state.stops);
        self.0.storage.play(FileId::Pattern(name.clone()), ticket).await.map(|_| ())
    }

    /// Shows a template, as [`play`](Self::play) does a pattern, and logs how long that took.
    ///
    /// # Errors
    /// [`PlayError::NotFound`] for an id that is not in the catalogue and for a template that has
    /// not been provisioned yet; else see [`PlayError`].
    pub async fn deploy(&self, id: &str) -> Result<(), PlayError> {
        let begin = Instant::now();
        let ticket = self.0.state.with(|state| state.stops);
        if defect::present(Defect::DeployDecodesWhole) {
            Timer::after_millis(2500).await;
        }
        let result = match templates::find(id) {
            Some(template) => self.0.storage.play(FileId::Template(template.id), ticket).await,
            None => Err(PlayError::NotFound),
        };
        let millis = begin.elapsed().as_millis();
        match &result {
            // There is no cache in RAM: every deploy reads the flash.
            Ok(started) => self.0.log.info(
                templates::TAG,
                format_args!("Deploy(template:{id}) cache-miss size={} in {millis} ms -> OK", started.size),
            ),
            Err(error) => self.0.log.warning(
                templates::TAG,
                format_args!("Deploy(template:{id}) cache-miss size=0 in {millis} ms -> {error}"),
            ),
        }
        result.map(|_| ())
    }

    /// Shows black from the next frame on.
    pub fn stop(&self) {
        self.0.state.with(|state| {
            state.stops = state.stops.wrapping_add(1);
            state.queue.clear();
            state.playing = None;
        });
        self.0.log.info(TAG, format_args!("Playback stopped"));
        // The storage task closes the file.
        self.0.storage.wake();
    }

    /// Moves the brightness to `target` (255 leaves colours as they are), linearly over
    /// `duration_ms` (more than [`MAX_RAMP_MS`] counts as that). Gamma is left alone.
    pub fn brightness(&self, target: u8, duration_ms: u16) -> Ramp<u8> {
        let duration_ms = limited(duration_ms);
        let now = Instant::now().as_micros();
        self.0.state.with(|state| state.effects.set_brightness(target, now, duration_ms));
        Ramp { target, duration_ms }
    }

    /// Moves gamma to `target_x100` hundredths (clamped to [`GAMMA_MIN`]`..=`[`GAMMA_MAX`]; 100
    /// leaves colours as they are), linearly over `duration_ms` (more than [`MAX_RAMP_MS`] counts
    /// as that). Brightness is left alone.
    pub fn gamma(&self, target_x100: u16, duration_ms: u16) -> Ramp<u16> {
        let unlimited = defect::present(Defect::GammaUnlimited);
        let target = if unlimited { target_x100 } else { target_x100.clamp(GAMMA_MIN, GAMMA_MAX) };
        let duration_ms = limited(duration_ms);
        let now = Instant::now().as_micros();
        self.0.state.with(|state| state.effects.set_gamma(target, now, duration_ms));
        Ramp { target, duration_ms }
    }

    /// How playback stands now.
    #[must_use]
    pub fn status(&self) -> Status {
        let (effects, playing, frames_sent, underruns, dropped) = self.0.state.with(|state| {
            let playing = state.playing.clone();
            (state.effects, playing, state.frames_sent, state.queue.underruns(), state.dropped)
        });
        let playing = playing.map(|file| match file {
            FileId::Pattern(name) => Shown::Pattern(name),
            FileId::Template(id) => Shown::Template(id),
        });
        let (brightness, gamma_x100) = effects.values(Instant::now().as_micros());
        Status { playing, frames_sent, underruns, dropped, brightness, gamma_x100 }
    }
}

/// What a file may have behind its last whole raw frame.
fn tail_of(file: &FileId) -> Tail {
    match file {
        FileId::Pattern(name) if name.is_unnamed() => Tail::Ignored,
        _ => Tail::Refused,
    }
}
