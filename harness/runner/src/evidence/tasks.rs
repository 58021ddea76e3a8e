//! The device's tasks, where the rig can see them: when each began, and when it had its core.

use rigor_core::evidence::{Lane, LaneKind, Mark};
use rigor_core::task::{TASK_LANES, TaskStart, TaskState};
use rigor_core::{Instant, Kind, Rig};

use super::lanes::spans;

/// One lane for the starts of all tasks, and one for each task whose states the case asked for.
pub(super) fn all(rig: &Rig) -> Vec<Lane> {
    let mut starts = Vec::new();
    let mut running = Vec::new();
    for source in rig.timeline.sources() {
        let name = rig.timeline.name(source);
        let Some(task) = name.strip_prefix(TASK_LANES) else { continue };
        let events = rig.timeline.events(source, Instant::ZERO, Instant::MAX);
        starts.extend(events.iter().filter_map(|event| {
            let start = TaskStart::of(&event.kind)?;
            Some(Mark { at_ns: event.at.as_nanos(), length_ns: 0, text: format!("{task} {start}") })
        }));
        let has_core = |kind: &Kind| TaskState::of(kind).map(|state| state == TaskState::Running);
        let marks = spans(&events, rig.timeline.now(), has_core);
        running.push(Lane { name: format!("{task} runs"), kind: LaneKind::Level, marks, left_out: 0 });
    }
    starts.sort_by_key(|mark| mark.at_ns);
    running.insert(0, Lane { name: "tasks".to_owned(), kind: LaneKind::Note, marks: starts, left_out: 0 });
    running
}
