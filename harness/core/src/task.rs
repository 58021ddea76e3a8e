//! Tasks of a device on the [timeline](crate::timeline), where a rig can see them.
//!
//! They are written as notes and gauges, so that whatever keeps and shows a timeline knows them
//! already. This module is both ends: the back end writes by it and the need reads by it.

use std::fmt;
use std::sync::Arc;

use crate::event::Kind;

/// What the names of the tasks' lanes begin with; the name of the task follows.
pub const TASK_LANES: &str = "task.";

/// A task began to live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskStart {
    /// The core that it runs on.
    pub core: usize,
    /// Higher runs first.
    pub priority: u8,
    /// Bytes reserved for its stack.
    pub stack_bytes: usize,
}

impl fmt::Display for TaskStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TaskStart { core, priority, stack_bytes } = self;
        write!(f, "started: core {core}, priority {priority}, stack {stack_bytes}")
    }
}

impl TaskStart {
    /// The event of the start.
    pub fn event(&self) -> Kind {
        Kind::Note(Arc::from(self.to_string()))
    }

    /// The start that an event of a task's lane tells of, if it does.
    pub fn of(event: &Kind) -> Option<TaskStart> {
        let Kind::Note(text) = event else { return None };
        let mut figures = text.strip_prefix("started: core ")?.split(", ");
        let core = figures.next()?.parse().ok()?;
        let priority = figures.next()?.strip_prefix("priority ")?.parse().ok()?;
        let stack_bytes = figures.next()?.strip_prefix("stack ")?.parse().ok()?;
        figures.next().is_none().then_some(TaskStart { core, priority, stack_bytes })
    }
}

/// What the scheduler does with a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskState {
    /// It wants nothing, or has ended.
    Waiting,
    /// It could run and does not have the core.
    Ready,
    /// It has the core.
    Running,
}

impl TaskState {
    /// The event of the change to this state.
    pub fn event(self) -> Kind {
        Kind::Gauge(match self {
            TaskState::Waiting => 0,
            TaskState::Ready => 1,
            TaskState::Running => 2,
        })
    }

    /// The state that an event of a task's lane tells of, if it does.
    pub fn of(event: &Kind) -> Option<TaskState> {
        match event {
            Kind::Gauge(0) => Some(TaskState::Waiting),
            Kind::Gauge(1) => Some(TaskState::Ready),
            Kind::Gauge(2) => Some(TaskState::Running),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let start = TaskStart { core: 1, priority: 10, stack_bytes: 8192 };
        assert_eq!(TaskStart::of(&start.event()), Some(start));
        for state in [TaskState::Waiting, TaskState::Ready, TaskState::Running] {
            assert_eq!(TaskState::of(&state.event()), Some(state));
            assert_eq!(TaskStart::of(&state.event()), None);
        }
    }

    #[test]
    fn other_notes_and_gauges_tell_of_no_task() {
        for text in ["", "started", "started: core 1, priority 300, stack 4", "started: core 1, priority 3"] {
            assert_eq!(TaskStart::of(&Kind::Note(Arc::from(text))), None, "{text}");
        }
        assert_eq!(TaskState::of(&Kind::Gauge(3)), None);
    }
}
