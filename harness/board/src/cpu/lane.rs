//! What the scheduler does, on the timeline: a lane for each task.

use rigor_core::Source;
use rigor_core::task::{TASK_LANES, TaskState};

use super::scheduler::State;
use crate::kernel::Kernel;

/// A task on the timeline.
pub(super) struct TaskLane {
    pub(super) source: Source,
    /// What was recorded last.
    pub(super) noted: TaskState,
}

impl TaskLane {
    pub(super) fn note(&mut self, kernel: &Kernel, state: TaskState) {
        if self.noted != state {
            self.noted = state;
            kernel.record(self.source, kernel.now(), state.event());
        }
    }
}

/// The lane of a task that begins to live. Of several that live under one name the second has the
/// lane `name#2`.
pub(super) fn task_lane(kernel: &Kernel, name: &str) -> Source {
    let tasks = kernel.cpu.tasks.borrow();
    let taken = |lane: Source| tasks.iter().any(|task| task.lane.source == lane);
    let lane = kernel.source(&format!("{TASK_LANES}{name}"));
    if !taken(lane) {
        return lane;
    }
    let others = (2..).map(|number| kernel.source(&format!("{TASK_LANES}{name}#{number}")));
    others.into_iter().find(|&other| !taken(other)).unwrap_or(lane)
}

/// What the scheduler does with each task from this instant on, where that is new. Called when
/// nobody has anything more to do at this instant.
pub(crate) fn record_states(kernel: &Kernel) {
    if !kernel.cpu.recording.get() {
        return;
    }
    let cores = kernel.cpu.cores.borrow();
    for (index, task) in kernel.cpu.tasks.borrow_mut().iter_mut().enumerate() {
        let state = if cores[task.spec.core].running == Some(index) {
            TaskState::Running
        } else if task.state == State::Waiting {
            TaskState::Waiting
        } else {
            TaskState::Ready
        };
        task.lane.note(kernel, state);
    }
}

/// All tasks are about to be stopped.
pub(crate) fn record_halt(kernel: &Kernel) {
    for task in kernel.cpu.tasks.borrow_mut().iter_mut() {
        task.lane.note(kernel, TaskState::Waiting);
    }
}
