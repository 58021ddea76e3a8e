//! The device's tasks and what its scheduler does with them.

use rigor_core::task::{TASK_LANES, TaskStart, TaskState};
use rigor_core::{Instant, Source, Timeline};

use super::{Bench, Missing, Need};

/// The tasks, as the rig sees them and not as the device lists them. Taking this need has the
/// scheduler's doing recorded from the device's start on, thousands of events in a second: for
/// short cases.
pub struct Tasks {
    timeline: Timeline,
}

/// A task that began to live.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Started {
    /// When.
    pub at: Instant,
    /// Its name.
    pub name: String,
    /// How it is to run.
    pub task: TaskStart,
}

impl Tasks {
    /// The starts from `from` to `until`, in the order of time.
    pub fn started(&self, from: Instant, until: Instant) -> Vec<Started> {
        let mut starts: Vec<Started> = self
            .lanes()
            .flat_map(|(source, name)| {
                self.timeline.events(source, from, until).into_iter().filter_map(move |event| {
                    let task = TaskStart::of(&event.kind)?;
                    Some(Started { at: event.at, name: name.clone(), task })
                })
            })
            .collect();
        starts.sort_by_key(|started| started.at);
        starts
    }

    /// When the tasks called `name` were in `state`: from and until. One that still is, is until
    /// `until`.
    pub fn spans(
        &self,
        name: &str,
        state: TaskState,
        from: Instant,
        until: Instant,
    ) -> Vec<(Instant, Instant)> {
        let mut spans = Vec::new();
        for (source, _) in self.lanes().filter(|(_, lane)| lane == name) {
            let mut since = None;
            for event in self.timeline.events(source, from, until) {
                let Some(now) = TaskState::of(&event.kind) else { continue };
                if now == state {
                    since = since.or(Some(event.at));
                } else if let Some(begin) = since.take() {
                    spans.push((begin, event.at));
                }
            }
            spans.extend(since.map(|begin| (begin, until)));
        }
        spans.sort();
        spans
    }

    /// The tasks' lanes with the tasks' names. Several tasks of one name have a lane each.
    fn lanes(&self) -> impl Iterator<Item = (Source, String)> {
        self.timeline.sources().into_iter().filter_map(|source| {
            let name = self.timeline.name(source);
            let task = name.strip_prefix(TASK_LANES)?;
            let name = task.split_once('#').map_or(task, |(name, _)| name);
            Some((source, name.to_owned()))
        })
    }
}

impl Need for Tasks {
    fn take(bench: &Bench) -> Result<Self, Missing> {
        let table = || bench.missing("view of the device's scheduler", "[scheduler]");
        let part = bench.parts.scheduler.as_ref().ok_or_else(table)?;
        part.record().map_err(|error| Missing { remedy: error.0, ..table() })?;
        Ok(Tasks { timeline: bench.timeline.clone() })
    }
}
