//! Calls into the board: how many, how long a task waits in one, and time that it passes by itself.

use rigor_core::Instant;

use super::stack::{RUNNING, Suspend, die, suspend, yielder_for};
use crate::heap;
use crate::kernel::Kernel;

/// Calls into the board without any virtual time passing before a firmware counts as spinning. The
/// longest legitimate run, mounting a full file system, is below 10,000.
const CALLS_WITHOUT_TIME: u32 = 2_000_000;

/// Why a firmware was stopped whose case ran out of patience.
pub(crate) const INTERRUPTED: &str = "the firmware was stopped: its case ran out of wall-clock time";

/// Counts a call into the board at one instant of virtual time; the reason to stop the firmware if
/// there were too many or the harness ran out of patience.
pub(super) fn count_call(kernel: &Kernel) -> Option<String> {
    let calls = kernel.cpu.calls_without_time.get() + 1;
    kernel.cpu.calls_without_time.set(calls);
    if calls > CALLS_WITHOUT_TIME {
        return Some(format!("the firmware spins: {CALLS_WITHOUT_TIME} calls without time passing"));
    }
    kernel.cpu.interrupted().then(|| INTERRUPTED.to_owned())
}

/// Every call of firmware into a peripheral counts, so that a loop that only asks and never waits
/// is found.
pub(crate) fn note_call(kernel: &Kernel) {
    if let Some(reason) = count_call(kernel) {
        die(reason);
    }
}

/// Keeps the running task's core, against lower priorities, until a peripheral is ready.
pub(crate) fn poll_until(kernel: &Kernel, until: Instant) {
    let until_nanos = until.as_nanos();
    while kernel.now() < until && yielder_for(&Suspend::Polling(until_nanos)).is_some() {
        if !run_ahead(kernel, until_nanos) {
            suspend(Suspend::Polling(until_nanos));
        }
    }
}

/// Lets time pass up to `end` under the running task, if nothing else would happen until then; whether
/// it did. It comes to the same as [`suspend`] for work until `end`, but the task keeps the thread:
/// short computations and short reads of the flash are most of what a firmware does.
pub(super) fn run_ahead(kernel: &Kernel, end: u64) -> bool {
    let running = RUNNING.with(|running| {
        let running = running.borrow();
        running.as_ref().filter(|running| running.yielder.is_some()).and_then(|running| running.task)
    });
    let Some(index) = running else { return false };
    if std::thread::panicking() || kernel.cpu.recording.get() || !kernel.cpu.is_left_alone(index, end) {
        return false;
    }
    heap::outside_firmware(|| kernel.pass_quietly(end))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use rigor_core::Timeline;

    use super::super::TaskSpec;
    use super::*;
    use crate::board::{Board, BoardConfig, Chip, Firmware};

    /// One task, which says whether it may run ahead by a microsecond.
    struct Alone(Rc<RefCell<Vec<bool>>>);

    impl Firmware for Alone {
        fn name(&self) -> &str {
            "alone"
        }
        fn version(&self) -> &str {
            "0"
        }
        fn flash_image(&self) -> Vec<(u32, Vec<u8>)> {
            Vec::new()
        }
        fn start(&self, chip: Chip) {
            let (kernel, told) = (chip.cpu().0, self.0.clone());
            let spec = TaskSpec { name: "alone", priority: 1, stack_bytes: 1024, core: 0 };
            let body = Box::pin(async move {
                let soon = |by: u64| kernel.now().as_nanos() + by;
                let alone = run_ahead(&kernel, soon(1_000));
                kernel.schedule_inside(Instant::from_nanos(soon(500)), |_| {});
                let before_an_event = run_ahead(&kernel, soon(499));
                let with_it = run_ahead(&kernel, soon(1));
                *told.borrow_mut() = vec![alone, before_an_event, with_it];
            });
            chip.tasks().spawn(spec, body);
        }
    }

    #[test]
    fn a_task_runs_ahead_up_to_the_next_event_and_not_to_it() {
        let told = Rc::new(RefCell::default());
        let board = Board::new(BoardConfig::default(), Timeline::new(), Rc::new(Alone(told.clone())));
        board.power().on().expect("a virtual switch works");
        board.run(Instant::from_nanos(1_000_000_000), &|| false);
        assert_eq!(told.take(), [true, true, false]);
    }
}
