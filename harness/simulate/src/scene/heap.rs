//! The device's heap, by the rig's own account.

use std::collections::VecDeque;

use rigor_core::Kind;
use rigor_core::rig::Rig;
use rigor_core::timeline::Cursor;

/// Samples that are kept: minutes, at one a second.
const MAX_HISTORY: usize = 300;

/// How much of it is free.
pub struct Heap {
    /// Bytes.
    pub free: Option<u64>,
    /// Bytes of the largest free block.
    pub largest: Option<u64>,
    /// The least that was ever free, in bytes.
    pub lowest: Option<u64>,
    /// The last samples of `free`, the newest last.
    pub history: VecDeque<u64>,
    free_cursor: Option<Cursor>,
    largest_cursor: Option<Cursor>,
}

impl Heap {
    pub(super) fn new(rig: &Rig) -> Self {
        let cursor =
            |name: &str| rig.parts.gauges.get(name).map(|source| rig.timeline.cursor_at_start(*source));
        Heap {
            free: None,
            largest: None,
            lowest: None,
            history: VecDeque::new(),
            free_cursor: cursor("heap.free"),
            largest_cursor: cursor("heap.largest"),
        }
    }

    pub(super) fn collect(&mut self) {
        while let Some(event) = self.free_cursor.as_mut().and_then(Cursor::try_next) {
            let Kind::Gauge(bytes) = event.kind else { continue };
            self.free = Some(bytes);
            self.lowest = Some(self.lowest.map_or(bytes, |lowest| lowest.min(bytes)));
            if self.history.len() == MAX_HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(bytes);
        }
        while let Some(event) = self.largest_cursor.as_mut().and_then(Cursor::try_next) {
            if let Kind::Gauge(bytes) = event.kind {
                self.largest = Some(bytes);
            }
        }
    }
}
