//! A case gets the word at the instants at which it had it, whatever the back end was.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rigor_core::Fidelity;
use rigor_core::event::Kind;
use rstest::rstest;

use super::*;
use crate::Firmwares;
use crate::recording::{Ending, Recordings};

const STEP: Duration = Duration::from_micros(7);

/// A device that the rig meets now and then: what it has done since comes at once, before the clock shows
/// it, and some of it while the clock moves on. Its clock never shows just what the case waits for.
struct Meets {
    timeline: Timeline,
    lane: Source,
    meetings: u64,
}

impl Drive for Meets {
    fn run(&mut self, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), RigError> {
        while !woken() && self.timeline.now() < until {
            self.meetings += 1;
            let (half, met) = (self.timeline.now() + STEP, self.timeline.now() + 2 * STEP);
            let tell = |at, what| {
                let _ = self.timeline.push(self.lane, at, Duration::ZERO, Kind::Gauge(what));
            };
            if self.meetings.is_multiple_of(3) {
                tell(half, self.meetings);
            }
            self.timeline.advance(half);
            if self.meetings.is_multiple_of(4) {
                tell(half, self.meetings);
            }
            self.timeline.advance(met);
        }
        Ok(())
    }

    fn self_check(&self) -> Result<(), RigError> {
        Ok(())
    }
}

/// What a case would see that looks whenever it gets the word: the instants and how much there was. It waits
/// for something to happen, at most for `patience` each time.
fn seen(rig: &mut Rig, lane: &str, patience: Duration) -> Vec<(Instant, usize)> {
    let (timeline, lane) = (rig.timeline.clone(), rig.timeline.source(lane));
    let count = || timeline.events(lane, Instant::ZERO, Instant::MAX).len();
    let known = Cell::new(0);
    let mut seen = Vec::new();
    let mut until = Instant::ZERO + patience;
    while seen.len() < 200 {
        rig.drive.run(until, &|| count() > known.get()).expect("the rig is well");
        known.set(count());
        seen.push((timeline.now(), known.get()));
        until = timeline.now() + patience;
    }
    seen
}

#[rstest]
#[case::for_less_than_a_meeting_takes(Duration::from_micros(5))]
#[case::for_a_few_meetings(Duration::from_micros(50))]
#[case::until_something_happens(Duration::from_secs(1))]
fn a_case_gets_the_word_when_it_had_it(#[case] patience: Duration) {
    let folder = tempfile::tempdir().expect("a folder");
    let file =
        RigFile::parse("toy.toml", "schema = 1\nname = \"toy\"\ndut = \"toy\"\nback_end = \"virtual\"\n");
    let (file, firmwares) = (file.expect("a valid rig file"), Firmwares::default());
    let interrupt = Arc::new(AtomicBool::new(false));
    let recordings = Recordings::new(folder.path());
    let recording = recordings.recording();
    let order = Order { case: "case", ..Order::new(&file, &firmwares, 1, &interrupt) };

    let timeline = Timeline::new();
    let lane = timeline.source("lane");
    let drive = Box::new(Meets { timeline: timeline.clone(), lane, meetings: 0 });
    let parts = Parts::default();
    let rig = Rig { name: "toy".to_owned(), fidelity: Fidelity::Measured, timeline, parts, drive };
    let mut rig = recording.of(&order, rig);
    let recorded = seen(&mut rig, "lane", patience);
    recording.finish(&Ending { stopped: None });
    assert_eq!(recordings.kept().complaints, Vec::<String>::new());

    let text = format!(
        "schema = 1\nname = \"toy\"\ndut = \"toy\"\nback_end = \"replay\"\n[replay]\nrecording = {:?}",
        folder.path()
    );
    let mut replay = RigFile::parse("replay.toml", &text).expect("a valid rig file");
    replay.look_up(Path::new("/"));
    let order = Order { case: "case", ..Order::new(&replay, &firmwares, 1, &interrupt) };
    let mut rig = crate::take(&order).unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!(seen(&mut rig, "lane", patience), recorded);
}
