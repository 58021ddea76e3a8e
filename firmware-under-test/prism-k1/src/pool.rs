//! The memory pools: every buffer that comes and goes while the firmware runs.
//!
//! Seed section 7: one allocation at the start, before anything else, so that buffers of changing
//! sizes never fragment the heap. Specification section 8: 8 x 4096 + 16 x 1024 + 32 x 256 bytes
//! = 57,344 B; memory is handed out zeroed; a request that its own class cannot serve falls back to
//! the next bigger one; more than 4096 bytes are refused.
//!
//! A [`Block`] owns its memory and returns it when dropped, so a double free or a foreign pointer
//! (which the specification wants logged) cannot be written down.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::Ordering;

use embassy_sync::blocking_mutex::raw::{CriticalSectionRawMutex, RawMutex};
use portable_atomic::AtomicU32;
use portable_atomic_util::Arc;

use crate::defect::{self, Defect};
use crate::guarded::{Guarded, assert_shareable};
use crate::log::Log;

/// Bytes in a block of each class, smallest first (specification section 8).
pub const CLASS_BYTES: [usize; 3] = [256, 1024, 4096];
/// Blocks in each class, in the order of [`CLASS_BYTES`] (specification section 8).
pub const CLASS_BLOCKS: [usize; 3] = [32, 16, 8];
/// Bytes that all pools hold together: 57,344 (specification section 8).
pub const TOTAL_BYTES: usize =
    CLASS_BYTES[0] * CLASS_BLOCKS[0] + CLASS_BYTES[1] * CLASS_BLOCKS[1] + CLASS_BYTES[2] * CLASS_BLOCKS[2];

const _: () = assert!(TOTAL_BYTES == 57_344);

/// What one class of blocks looks like now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClassStatus {
    /// Bytes in a block of this class.
    pub bytes: usize,
    /// Blocks that the class has.
    pub blocks: usize,
    /// Blocks that nobody holds now.
    pub free: usize,
    /// The most blocks that were ever held at once.
    pub peak: usize,
}

/// What the pools look like now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// The classes, smallest first.
    pub classes: [ClassStatus; 3],
    /// Requests served since the start.
    pub allocations: u32,
    /// Blocks returned since the start.
    pub frees: u32,
    /// Requests refused since the start: every fitting class was empty, or more than 4096 bytes.
    pub failures: u32,
}

struct Class {
    free: Vec<Box<[u8]>>,
    peak: usize,
}

impl Class {
    fn of<const COUNT: usize>(blocks: [Box<[u8]>; COUNT]) -> Guarded<Self> {
        Guarded::new(Self { free: blocks.into_iter().collect(), peak: 0 })
    }

    /// A block, if there is one. The class has `count` blocks.
    fn take(&mut self, count: usize) -> Option<Box<[u8]>> {
        let memory = self.free.pop()?;
        self.peak = self.peak.max(count - self.free.len());
        Some(memory)
    }
}

fn blocks<const COUNT: usize>(bytes: usize) -> [Box<[u8]>; COUNT] {
    core::array::from_fn(|_| alloc::vec![0; bytes].into_boxed_slice())
}

/// The counters wrap around, and are changed in the section that takes or returns the block, so that
/// they agree with the lists whenever somebody looks.
struct Inner {
    classes: [Guarded<Class>; 3],
    allocations: AtomicU32,
    frees: AtomicU32,
    failures: AtomicU32,
}

/// A handle to the pools; clones share them.
#[derive(Clone)]
pub struct Pools(Arc<Inner>);

const _: () = assert_shareable::<Pools>();

impl Pools {
    /// Allocates all blocks. The first allocation of the firmware (seed section 8, step 1).
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a default would hide 57,344 bytes of allocation")]
    pub fn new() -> Self {
        // Biggest first: on a heap that is filled from one end they then lie side by side. The
        // lists that hold them are allocated after all of them.
        let big = blocks::<{ CLASS_BLOCKS[2] }>(CLASS_BYTES[2]);
        let middle = blocks::<{ CLASS_BLOCKS[1] }>(CLASS_BYTES[1]);
        let small = blocks::<{ CLASS_BLOCKS[0] }>(CLASS_BYTES[0]);
        Self(Arc::new(Inner {
            classes: [Class::of(small), Class::of(middle), Class::of(big)],
            allocations: AtomicU32::new(0),
            frees: AtomicU32::new(0),
            failures: AtomicU32::new(0),
        }))
    }

    /// A zeroed block that shows exactly `len` bytes, from the smallest class that fits and has a
    /// free block. `None` when there is none or when `len` exceeds 4096; it counts as a failure.
    #[must_use]
    pub fn alloc(&self, len: usize) -> Option<Block> {
        for (index, class) in self.0.classes.iter().enumerate() {
            if len > CLASS_BYTES[index] {
                continue;
            }
            let taken = class.with(|class| {
                let memory = class.take(CLASS_BLOCKS[index])?;
                self.0.allocations.fetch_add(1, Ordering::Relaxed);
                Some(memory)
            });
            if let Some(mut memory) = taken {
                memory.fill(0);
                return Some(Block { memory, len, class: index, pools: self.clone() });
            }
        }
        self.0.failures.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// How the pools stand now.
    #[must_use]
    pub fn status(&self) -> Status {
        let class = |index: usize| {
            let (free, peak) = self.0.classes[index].with(|class| (class.free.len(), class.peak));
            ClassStatus { bytes: CLASS_BYTES[index], blocks: CLASS_BLOCKS[index], free, peak }
        };
        // One section around all of it: figures of one instant.
        CriticalSectionRawMutex::new().lock(|| Status {
            classes: [class(0), class(1), class(2)],
            allocations: self.0.allocations.load(Ordering::Relaxed),
            frees: self.0.frees.load(Ordering::Relaxed),
            failures: self.0.failures.load(Ordering::Relaxed),
        })
    }

    /// Logs the state in the lines of specification section 8, tag `POOL`.
    ///
    /// The reference's line of average allocation times is left out: popping a list takes no time
    /// that any clock of the firmware resolves.
    pub fn dump_state(&self, log: &Log) {
        let status = self.status();
        let share = if defect::present(Defect::HalfThePools) { 2 } else { 1 };
        log.info("POOL", format_args!("=== Memory Pool State ==="));
        for (name, class) in ["4K", "1K", "256B"].iter().zip(status.classes.iter().rev()) {
            log.info(
                "POOL",
                format_args!(
                    "{name} Pool: {}/{} free (peak usage: {})",
                    class.free / share,
                    class.blocks / share,
                    class.peak
                ),
            );
        }
        log.info(
            "POOL",
            format_args!(
                "Lifetime stats: {} allocs, {} frees, {} failed",
                status.allocations, status.frees, status.failures
            ),
        );
    }
}

/// Memory on loan from the pools. It goes back when this is dropped.
pub struct Block {
    memory: Box<[u8]>,
    len: usize,
    class: usize,
    pools: Pools,
}

impl Block {
    /// Shows only the first `len` bytes from now on. Does nothing when fewer are shown already.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Bytes of the memory behind the block, of which it shows the first `len()`.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.len()
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[..self.len]
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[..self.len]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let memory = core::mem::take(&mut self.memory);
        let inner = &self.pools.0;
        inner.classes[self.class].with(|class| {
            // The list has had this capacity since the start: the push never allocates.
            class.free.push(memory);
            inner.frees.fetch_add(1, Ordering::Relaxed);
        });
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} of {} bytes)", self.len, self.memory.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_gets_the_smallest_class_that_fits() {
        let pools = Pools::new();
        for (len, capacity) in
            [(0, 256), (1, 256), (256, 256), (257, 1024), (1024, 1024), (1025, 4096), (4096, 4096)]
        {
            let block = pools.alloc(len).unwrap();
            assert_eq!((block.len(), block.capacity()), (len, capacity));
        }
        assert!(pools.alloc(4097).is_none());
        assert_eq!(pools.status().failures, 1);
    }

    #[test]
    fn a_full_class_falls_back_to_the_next_bigger_one_until_nothing_is_left() {
        let pools = Pools::new();
        let held: Vec<Block> = core::iter::from_fn(|| pools.alloc(200)).collect();
        assert_eq!(held.len(), 32 + 16 + 8);
        assert_eq!(held.iter().map(|b| b.capacity()).sum::<usize>(), TOTAL_BYTES);
        assert_eq!(pools.status().failures, 1);
        drop(held);
        let status = pools.status();
        assert_eq!(status.classes.map(|c| c.free), CLASS_BLOCKS);
        assert_eq!(status.classes.map(|c| c.peak), CLASS_BLOCKS);
        assert_eq!((status.allocations, status.frees), (56, 56));
    }

    #[test]
    fn tasks_that_take_and_return_at_once_lose_nothing() {
        const ROUNDS: usize = 5000;
        // Three times as many are more than there are blocks, so that lists run empty.
        const AT_ONCE: usize = 25;
        let pools = Pools::new();
        let begin = std::sync::Barrier::new(3);
        let served: usize = std::thread::scope(|scope| {
            let takers = [100, 100, 600].map(|len| {
                let (pools, begin) = (pools.clone(), &begin);
                scope.spawn(move || {
                    begin.wait();
                    let round = || core::array::from_fn::<_, AT_ONCE, _>(|_| pools.alloc(len));
                    (0..ROUNDS).map(|_| round().iter().flatten().count()).sum::<usize>()
                })
            });
            takers.map(|taker| taker.join().unwrap()).iter().sum()
        });
        let served = served as u32;
        let status = pools.status();
        assert_eq!(status.classes.map(|class| class.free), CLASS_BLOCKS);
        assert_eq!((status.allocations, status.frees), (served, served));
        assert_eq!(status.allocations + status.failures, (3 * ROUNDS * AT_ONCE) as u32);
    }

    #[test]
    fn memory_is_zeroed_again_and_shown_only_as_far_as_asked() {
        let pools = Pools::new();
        let mut block = pools.alloc(4096).unwrap();
        block.fill(0xA5);
        block.truncate(7);
        block.truncate(100);
        assert_eq!(&block[..], [0xA5; 7]);
        drop(block);
        for _ in 0..8 {
            let block = pools.alloc(4096).unwrap();
            assert!(block.iter().all(|byte| *byte == 0));
        }
    }
}
