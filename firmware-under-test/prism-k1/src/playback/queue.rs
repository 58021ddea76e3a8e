//! The frames between the flash and the LEDs.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::defect::{self, Defect};
use crate::pattern::{FRAME_BYTES, Frame};

/// Frames that are prefetched at most: 400 ms of raw frames. The longest stretch in which flash
/// keeps the storage task from refilling is one file-system call that compacts and splits a
/// directory: with erases of 45 ms some 160 ms or 19 frames (a unit test of the storage counts
/// them), so erases may take twice their typical time.
pub const DEPTH: usize = 48;

/// When fewer than this many frames wait, the storage task is woken. Below the depth, so that it
/// is not woken for every single frame.
const WAKE_BELOW: usize = DEPTH - DEPTH / 4;

/// When the second frame of a pattern of one is due: it need not be read again and again.
pub(super) const NEVER: u64 = u64::MAX;

/// A frame and when it is due, in output frames since its sequence began.
struct Waiting {
    due: u64,
    frame: Box<Frame>,
}

/// What is to be sent now.
pub(super) struct Step<'q> {
    /// The colours; `None` for black.
    pub(super) frame: Option<&'q Frame>,
    /// The queue wants the storage task.
    pub(super) hungry: bool,
    /// The first frame of a row of frames that were due and are not here.
    pub(super) starved: bool,
}

/// A queue of frames, each with its time. The memory of the frames goes round and round: it is
/// allocated once.
pub(super) struct FrameQueue {
    waiting: VecDeque<Waiting>,
    shown: Option<Box<Frame>>,
    #[allow(clippy::vec_box, reason = "frames move between the lists without being copied")]
    free: Vec<Box<Frame>>,
    /// Counts sequences, so that a frame of an earlier one is not mixed into this one.
    sequence: u32,
    /// Whether somebody fills the queue.
    fed: bool,
    /// The output frame that was this sequence's first.
    origin: Option<u64>,
    /// When the frame is due that follows the last one in the queue.
    next_due: u64,
    starving: bool,
    underruns: u32,
}

impl FrameQueue {
    pub(super) fn new() -> Self {
        // One more is shown, and one more is being filled.
        let free = (0..DEPTH + 2).map(|_| Box::new([0; FRAME_BYTES])).collect();
        Self {
            waiting: VecDeque::with_capacity(DEPTH),
            shown: None,
            free,
            sequence: 0,
            fed: false,
            origin: None,
            next_due: 0,
            starving: false,
            underruns: 0,
        }
    }

    /// Memory for a frame to be filled; `None` while the queue wants no more.
    pub(super) fn take_free(&mut self) -> Option<Box<Frame>> {
        if self.waiting.len() >= DEPTH || self.next_due == NEVER { None } else { self.free.pop() }
    }

    /// Memory for a frame although the queue may be full: for the first frame of a new sequence.
    pub(super) fn take_spare(&mut self) -> Option<Box<Frame>> {
        self.free.pop().or_else(|| self.waiting.pop_back().map(|waiting| waiting.frame))
    }

    /// Takes memory back that was not filled.
    pub(super) fn give_back(&mut self, frame: Box<Frame>) {
        // The list has had room for all frames since the start: the push never allocates.
        self.free.push(frame);
    }

    /// Drops all frames: black from now on.
    pub(super) fn clear(&mut self) {
        let Self { waiting, free, shown, .. } = self;
        free.extend(waiting.drain(..).map(|waiting| waiting.frame));
        free.extend(shown.take());
        self.sequence = self.sequence.wrapping_add(1);
        self.fed = false;
        self.origin = None;
        self.starving = false;
    }

    /// Begins a new sequence with its first frame, which is due at once. What is shown now stays
    /// until then. Gives the number by which the sequence goes on.
    pub(super) fn begin(&mut self, first: Box<Frame>, next_due: u64) -> u32 {
        let shown = self.shown.take();
        self.clear();
        self.shown = shown;
        self.fed = true;
        self.waiting.push_back(Waiting { due: 0, frame: first });
        self.next_due = next_due;
        self.sequence
    }

    /// The sequence that is being fed.
    pub(super) fn sequence(&self) -> Option<u32> {
        self.fed.then_some(self.sequence)
    }

    /// Nobody fills the queue any more. What is in it is still shown, and its last frame stays.
    pub(super) fn starve(&mut self) {
        self.fed = false;
    }

    /// Appends a frame that is due `due` output frames after the sequence's first, with the one
    /// after it due at `next_due`.
    pub(super) fn push(&mut self, sequence: u32, due: u64, next_due: u64, frame: Box<Frame>) {
        if self.sequence() == Some(sequence) && self.waiting.len() < DEPTH {
            self.waiting.push_back(Waiting { due, frame });
            self.next_due = next_due;
        } else {
            self.give_back(frame);
        }
    }

    /// What output frame `tick` shows: the last frame that is due by then.
    pub(super) fn step(&mut self, tick: u64) -> Step<'_> {
        let origin = match self.origin {
            Some(origin) => origin,
            None if self.waiting.is_empty() => {
                return Step { frame: self.shown.as_deref(), hungry: self.fed, starved: false };
            }
            None => *self.origin.insert(tick),
        };
        let late = defect::present(Defect::FrameShownTwice) && tick % 100_000 == 99_999;
        let time = tick.saturating_sub(origin + u64::from(late));
        while let Some(due) = self.waiting.pop_front_if(|waiting| waiting.due <= time) {
            if let Some(old) = self.shown.replace(due.frame) {
                self.free.push(old);
            }
        }
        let missing = self.fed && self.waiting.is_empty() && self.next_due <= time;
        let starved = missing && !self.starving;
        self.starving = missing;
        if missing {
            self.underruns = self.underruns.saturating_add(1);
        }
        Step {
            frame: self.shown.as_deref(),
            hungry: self.fed && self.next_due != NEVER && self.waiting.len() < WAKE_BELOW,
            starved,
        }
    }

    /// Frames that wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn underruns(&self) -> u32 {
        self.underruns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(queue: &mut FrameQueue, value: u8) -> Box<Frame> {
        let mut frame = queue.take_spare().unwrap();
        frame.fill(value);
        frame
    }

    fn shown(queue: &mut FrameQueue, tick: u64) -> Option<u8> {
        queue.step(tick).frame.map(|frame| frame[0])
    }

    #[test]
    fn black_until_the_first_frame_then_each_at_its_time() {
        let mut queue = FrameQueue::new();
        assert_eq!(shown(&mut queue, 0), None);
        let first = filled(&mut queue, 1);
        let sequence = queue.begin(first, 5);
        let second = filled(&mut queue, 2);
        queue.push(sequence, 5, 10, second);
        let third = filled(&mut queue, 3);
        queue.push(sequence, 10, 15, third);
        for (tick, value) in [(100, 1), (104, 1), (105, 2), (109, 2), (110, 3), (114, 3)] {
            assert_eq!(shown(&mut queue, tick), Some(value), "{tick}");
        }
        assert_eq!(queue.underruns(), 0);
        assert_eq!(shown(&mut queue, 115), Some(3), "repeated");
        assert_eq!(queue.underruns(), 1);
    }

    #[test]
    fn late_frames_are_passed_over() {
        let mut queue = FrameQueue::new();
        let first = filled(&mut queue, 0);
        let sequence = queue.begin(first, 1);
        for value in 1..10 {
            let frame = filled(&mut queue, value);
            queue.push(sequence, u64::from(value), u64::from(value) + 1, frame);
        }
        assert_eq!(shown(&mut queue, 50), Some(0));
        assert_eq!(shown(&mut queue, 55), Some(5));
        assert_eq!(shown(&mut queue, 59), Some(9));
    }

    #[test]
    fn a_new_sequence_drops_the_old_frames_and_no_memory_is_lost() {
        let mut queue = FrameQueue::new();
        for round in 0..10u8 {
            let first = filled(&mut queue, round);
            let sequence = queue.begin(first, 1);
            for due in 1.. {
                let Some(frame) = queue.take_free() else {
                    break;
                };
                queue.push(sequence, due, due + 1, frame);
            }
            assert_eq!(queue.waiting.len(), DEPTH);
            assert_eq!(shown(&mut queue, u64::from(round) * 3), Some(round));
            let stale = queue.take_spare().unwrap();
            queue.push(sequence.wrapping_sub(1), 9, 10, stale);
        }
        queue.clear();
        assert_eq!(shown(&mut queue, 1000), None);
        assert_eq!(queue.free.len(), DEPTH + 2);
        assert_eq!(queue.sequence(), None);
    }

    #[test]
    fn the_last_frame_stays_when_nobody_feeds() {
        let mut queue = FrameQueue::new();
        let first = filled(&mut queue, 7);
        queue.begin(first, 1);
        queue.starve();
        for tick in 0..10 {
            assert_eq!(shown(&mut queue, tick), Some(7));
        }
        assert_eq!(queue.underruns(), 0);
    }
}
