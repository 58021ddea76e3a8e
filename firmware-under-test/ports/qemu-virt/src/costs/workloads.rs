//! What happens to the device, and what it takes.
//!
//! Each count has a name, which is that of its place in the table, and is told with the number of items that
//! it is for. Where a cost has a fixed part and one for each item, the same is counted for few items and for
//! many.

mod computing;
mod device;
mod patterns;

use crate::report;

/// Two counts of the same work: the instructions for so many items, and those for more of them.
#[derive(Clone, Copy)]
pub struct Line {
    few: (u64, u64),
    many: (u64, u64),
}

impl Line {
    /// Counts `work` for `few` items and for `many`, and tells it as `name`.
    fn of(name: &str, [few, many]: [u64; 2], mut work: impl FnMut(u64) -> u64) -> Self {
        let line = Line { few: (few, work(few)), many: (many, work(many)) };
        for (items, instructions) in [line.few, line.many] {
            report::counted(name, items, instructions);
        }
        line
    }

    /// What `items` take, without the fixed part.
    fn each(&self, items: u64) -> u64 {
        items * (self.many.1 - self.few.1) / (self.many.0 - self.few.0)
    }
}

/// Counts everything.
pub fn count_all() {
    let inner = computing::count_all();
    patterns::count_all();
    device::count_all(&inner);
}
