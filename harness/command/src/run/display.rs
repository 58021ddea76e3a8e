//! What a person sees while a run goes on: bars on a terminal, a line for each case elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as WallInstant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use rigor_core::Instant;
use rigor_core::verdict::Verdict;
use rigor_reports::visible;
use rigor_runner::engine::Seat;
use rigor_runner::progress::{Onlooker, clock};
use rigor_runner::trial::Trial;

use super::estimate::Estimate;
use crate::print::print;

/// Cases under way that have a line of their own; a machine with more cores shows the first.
const MAX_LINES: usize = 8;

/// How often a bar is drawn again when nothing happens, and a long case's clock.
const TICK: Duration = Duration::from_millis(250);

/// The bars of a run.
pub(super) struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    lines: Vec<ProgressBar>,
    /// The case on each line.
    names: Mutex<Vec<Option<String>>>,
}

impl Bars {
    /// For so many threads; on the standard error, and only if that is a terminal.
    pub(super) fn new(threads: usize) -> Option<Arc<Self>> {
        if !std::io::stderr().is_terminal() {
            return None;
        }
        Some(Self::on(ProgressDrawTarget::stderr(), threads))
    }

    fn on(target: ProgressDrawTarget, threads: usize) -> Arc<Self> {
        let all = MultiProgress::with_draw_target(target);
        let total = all.add(ProgressBar::no_length());
        let lines: Vec<ProgressBar> =
            (0..threads.min(MAX_LINES)).map(|_| all.add(ProgressBar::no_length())).collect();
        for line in &lines {
            line.set_style(style("  {wide_msg}"));
        }
        let names = Mutex::new(vec![None; lines.len()]);
        Arc::new(Bars { all, total, lines, names })
    }

    /// Shows the whole run.
    pub(super) fn begin(&self, cases: usize, estimate: Arc<Estimate>) {
        let left = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = match estimate.left(WallInstant::now()) {
                Some(left) => write!(out, "about {} left", duration(left)),
                None => Ok(()),
            };
        };
        let bar = style("{bar:30} {pos}/{len}  {msg}{left}").progress_chars("=> ").with_key("left", left);
        self.total.set_style(bar);
        self.total.set_length(cases as u64);
        self.total.enable_steady_tick(TICK);
    }

    /// What shows how far the clocks of long cases have come.
    pub(super) fn onlooker(self: &Arc<Self>) -> Onlooker {
        let bars = self.clone();
        Arc::new(move |name: &str| {
            let place = bars.names().iter().position(|known| known.as_deref() == Some(name));
            let line = place.and_then(|place| bars.lines.get(place)).cloned();
            let (title, mut told) =
                (line.as_ref().map(ProgressBar::message).unwrap_or_default(), WallInstant::now());
            Box::new(move |now: Instant| {
                if let Some(line) = line.as_ref().filter(|_| told.elapsed() >= TICK) {
                    told = WallInstant::now();
                    line.set_message(format!("{title}  {} on the rig's clock", clock(now)));
                }
            })
        })
    }

    fn names(&self) -> std::sync::MutexGuard<'_, Vec<Option<String>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begins(&self, thread: usize, seat: &Seat) {
        let Some(line) = self.lines.get(thread) else { return };
        self.names()[thread] = Some(seat.case().name().to_owned());
        line.set_message(title(seat));
    }

    fn ends(&self, thread: usize, amiss: usize) {
        if let Some(line) = self.lines.get(thread) {
            self.names()[thread] = None;
            line.set_message("");
        }
        if amiss > 0 {
            self.total.set_message(format!("{amiss} did not pass  "));
        }
        self.total.inc(1);
    }

    fn clear(&self) {
        self.total.finish_and_clear();
        self.lines.iter().for_each(ProgressBar::finish_and_clear);
        let _ = self.all.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// What is being decided: the first requirement and the case.
fn title(seat: &Seat) -> String {
    let first = seat.case().decides().first().map_or("", String::as_str);
    let title = seat.catalogue().get(first).map_or("", |requirement| requirement.title.as_str());
    format!("{first} {title}: {}", seat.case().name())
}

/// Tells of a run's cases as they begin and end.
pub(super) struct Display {
    bars: Option<Arc<Bars>>,
    /// Whether cases that pass have a line.
    every_case: bool,
    colours: bool,
    amiss: Mutex<usize>,
}

impl Display {
    pub(super) fn new(bars: Option<Arc<Bars>>, quiet: bool, colours: bool) -> Self {
        let every_case = !quiet && !std::io::stdout().is_terminal();
        Display { bars, every_case, colours, amiss: Mutex::new(0) }
    }

    /// The `thread` begins a case.
    pub(super) fn begins(&self, thread: usize, seat: &Seat) {
        if let Some(bars) = &self.bars {
            bars.begins(thread, seat);
        }
    }

    /// The case of `thread` has ended.
    pub(super) fn ends(&self, thread: usize, seat: &Seat, trial: &Trial) {
        let passed = trial.verdict() == Verdict::Pass;
        let amiss = {
            let mut amiss = self.amiss.lock().unwrap_or_else(PoisonError::into_inner);
            *amiss += usize::from(!passed);
            *amiss
        };
        let text = if passed && !self.every_case { String::new() } else { told(seat, trial, self.colours) };
        match &self.bars {
            Some(bars) => {
                if !text.is_empty() {
                    bars.all.suspend(|| print(&text));
                }
                bars.ends(thread, amiss);
            }
            None => print(&text),
        }
    }

    /// Nothing runs any more.
    pub(super) fn clear(&self) {
        if let Some(bars) = &self.bars {
            bars.clear();
        }
        let _ = std::io::stdout().flush();
    }
}

/// A case's line, and below it what was found amiss, the end of the device's log, and where it
/// crashed.
fn told(seat: &Seat, trial: &Trial, colours: bool) -> String {
    let verdict = trial.verdict();
    let word = rigor_reports::table::paint(&format!("{:<12}", verdict.to_string()), verdict, colours);
    let took = trial.wall_time.as_secs_f64();
    let mut text = format!("{word}  {}  {took:.2} s\n", seat.full_name());
    for line in trial.grievances() {
        text.push_str(&format!("    {line}\n"));
    }
    for line in trial.log_tail.iter().chain(&trial.backtrace) {
        text.push_str(&format!("    | {}\n", visible(line)));
    }
    text
}

/// `8 s`, `2 min 5 s`, `3 h 0 min`.
fn duration(left: Duration) -> String {
    let seconds = left.as_secs_f64().ceil() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_in_two_units_at_most() {
        assert_eq!(duration(Duration::from_millis(7_100)), "8 s");
        assert_eq!(duration(Duration::from_secs(125)), "2 min 5 s");
        assert_eq!(duration(Duration::from_secs(3 * 3600 + 59)), "3 h 0 min");
    }
}
