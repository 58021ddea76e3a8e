//! Waveforms: steps of a wire, each at its tick.
//!
//! A task of the highest priority wakes up shortly before a step is due, waits for the tick with the counter
//! itself, and notes when the wire was driven. Waiting is 80 us at most for each step, and interrupts are held
//! off for the last four of them. Steps of several wires that are due in the same tick are done in it.

use core::cell::RefCell;

use embassy_futures::select::select;
use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::signal::Signal;
use embassy_time::{Instant, Timer};
use heapless::Vec;
use rigor_controller::Ticks;
use rigor_controller::message::{Drive, MAX_STEPS, Refusal, Step, Waveform, Wire};

use crate::clock::{self, PER_MICRO};
use crate::wires::{Driven, Turn};

/// The task is awake so much earlier than it has to act: what wakes it may have to be read from the flash, of which
/// nothing is in its cache.
const EARLY: u64 = 80 * PER_MICRO as u64;
/// Wires on which waveforms play at once.
const PLAYS: usize = 8;
/// Steps that were done and not said yet.
const DONE: usize = 256;

/// A step that was done.
pub(crate) struct Done {
    pub(crate) wire: Wire,
    pub(crate) at: Ticks,
    pub(crate) drive: Drive,
}

/// Where steps are told.
pub(crate) static STEPS: Channel<CriticalSectionRawMutex, Done, DONE> = Channel::new();

static PLAYING: Mutex<CriticalSectionRawMutex, RefCell<Vec<Play, PLAYS>>> =
    Mutex::new(RefCell::new(Vec::new()));
static CHANGED: Signal<CriticalSectionRawMutex, ()> = Signal::new();

/// A waveform that is not over.
struct Play {
    wire: Wire,
    pin: Driven,
    steps: Steps,
    /// When the next one is due, or the last one ends.
    due: Ticks,
}

/// What is left of it.
#[expect(clippy::large_enum_variant, reason = "there is no heap to box it on")]
enum Steps {
    /// In order.
    Given { steps: Vec<Step, MAX_STEPS>, next: usize },
    /// Up and down, so many times.
    Square { left: u16, spacing: u32, level: Drive },
}

impl Steps {
    fn left(&self) -> usize {
        match self {
            Steps::Given { steps, next } => steps.len() - next,
            Steps::Square { left, .. } => usize::from(*left),
        }
    }

    fn take(&mut self) -> Option<Step> {
        match self {
            Steps::Given { steps, next } => {
                let step = *steps.get(*next)?;
                *next += 1;
                Some(step)
            }
            Steps::Square { left, spacing, level } => {
                *left = left.checked_sub(1)?;
                let drive = *level;
                *level = if drive == Drive::High { Drive::Low } else { Drive::High };
                Some(Step { drive, ticks: *spacing })
            }
        }
    }
}

/// Plays `waveform`; when it begins.
///
/// # Errors
/// [`Refusal`] if its wire cannot, or is busy, or if too much waits to be told.
pub(crate) fn play(waveform: Waveform) -> Result<Ticks, Refusal> {
    let Waveform { wire, at, steps } = waveform;
    let pin = Driven::of(wire)?;
    for step in &steps {
        pin.accepts(step.drive)?;
    }
    begin(wire, pin, at, Steps::Given { steps, next: 0 })
}

/// Edges in a steady distance, the first one that far from now; when that is. The wire goes on at the last level.
///
/// # Errors
/// As for [`play`].
pub(crate) fn square(wire: Wire, edges: u16, spacing: u32) -> Result<Ticks, Refusal> {
    let pin = Driven::of(wire)?;
    let level = if pin.is_high() { Drive::Low } else { Drive::High };
    let now = clock::now();
    let first = Some(now + u64::from(spacing));
    begin(wire, pin, first, Steps::Square { left: edges, spacing, level })?;
    Ok(now)
}

fn begin(wire: Wire, pin: Driven, at: Option<Ticks>, steps: Steps) -> Result<Ticks, Refusal> {
    let now = clock::now();
    let due = at.map_or(now, |at| at.max(now));
    PLAYING.lock(|playing| {
        let mut playing = playing.borrow_mut();
        if playing.iter().any(|play| play.wire == wire) {
            return Err(Refusal::Busy);
        }
        let waiting: usize = playing.iter().map(|play| play.steps.left()).sum();
        if waiting + steps.left() > STEPS.free_capacity() {
            return Err(Refusal::Busy);
        }
        playing.push(Play { wire, pin, steps, due }).map_err(|_| Refusal::Busy)
    })?;
    CHANGED.signal(());
    Ok(due)
}

/// Drives `wire`, and ends what plays on it; when.
pub(crate) fn drive(wire: Wire, pin: Driven, drive: Drive) -> Ticks {
    PLAYING.lock(|playing| {
        playing.borrow_mut().retain(|play| play.wire != wire);
        let mut turn = Turn::default();
        turn.add(pin, drive);
        turn.planned(Ticks(0)).done()
    })
}

/// Ends everything, and lets go of all wires.
pub(crate) fn stop_all() {
    PLAYING.lock(|playing| {
        playing.borrow_mut().clear();
        crate::wires::release_all();
    });
}

/// Does the steps as they are due. For the highest priority.
#[embassy_executor::task]
pub(crate) async fn run() -> ! {
    loop {
        let Some(due) = next() else {
            CHANGED.wait().await;
            continue;
        };
        let early = due - EARLY;
        if clock::now() < early {
            let instant = Instant::from_micros(early.0 / u64::from(PER_MICRO));
            select(Timer::at(instant), CHANGED.wait()).await;
            continue;
        }
        step(due);
    }
}

/// When the next step is due.
#[inline(never)]
#[unsafe(link_section = ".data.next")]
fn next() -> Option<Ticks> {
    PLAYING.lock(|playing| playing.borrow().iter().map(|play| play.due).min())
}

/// Does all steps that are due at `due`. In memory, because most waveforms are played when nothing of it is in the flash's
/// cache.
#[inline(never)]
#[unsafe(link_section = ".data.step")]
fn step(due: Ticks) {
    let mut turn = Turn::default();
    let mut done: Vec<(Wire, Drive), PLAYS> = Vec::new();
    PLAYING.lock(|playing| {
        for play in playing.borrow_mut().iter_mut().filter(|play| play.due == due) {
            if let Some(step) = play.steps.take() {
                turn.add(play.pin, step.drive);
                play.due = due + u64::from(step.ticks);
                // There are no more than those that play.
                let _ = done.push((play.wire, step.drive));
            }
        }
    });
    // Whoever else drives wires has a lower priority, and comes later.
    if !done.is_empty() {
        let at = turn.planned(due).done();
        for &(wire, drive) in &done {
            // There is room: it was asked for beforehand.
            let _ = STEPS.try_send(Done { wire, at, drive });
        }
    }
    PLAYING.lock(|playing| {
        playing.borrow_mut().retain(|play| play.due > due || play.steps.left() > 0);
    });
}
