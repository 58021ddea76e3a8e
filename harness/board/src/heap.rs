//! The firmware's real allocations in a heap of the chip's size.
//!
//! [`DeviceAllocator`] is the process's allocator. While firmware runs it places every block in
//! the model of the board's heap as well, so that free bytes, fragmentation and exhaustion are
//! those of the code that really ran. The harness's own blocks are none of the device's business.
//!
//! The model is a best-fit free list like ESP-IDF's TLSF heap: four bytes of header a block, sizes
//! rounded up to four bytes, neighbours joined at once (ESP-IDF programming guide, "Heap Memory
//! Allocation"). Pointers on the host are twice as wide as the chip's, so sizes are upper bounds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::ptr::NonNull;
use std::rc::Rc;

/// Bytes that the heap keeps for itself with each block (TLSF: the size word).
const BLOCK_HEADER_BYTES: usize = 4;
/// Granularity of block sizes.
const BLOCK_ALIGN_BYTES: usize = 4;

/// What a heap knows about itself. All sizes in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct HeapStatus {
    /// Size of the heap.
    pub total: usize,
    /// Free now, in however many pieces.
    pub free: usize,
    /// The fewest that were ever free since the start.
    pub minimum_free: usize,
    /// The largest block that could be allocated now.
    pub largest_free_block: usize,
    /// Successful allocations since the start.
    pub allocations: u64,
    /// Blocks given back since the start.
    pub frees: u64,
    /// Allocations refused since the start.
    pub failures: u64,
}

#[derive(Default)]
struct FreeList {
    /// Offset to length.
    by_offset: BTreeMap<usize, usize>,
    /// The same, by length, for the best fit.
    by_length: BTreeSet<(usize, usize)>,
    free: usize,
}

impl FreeList {
    fn new(total: usize) -> Self {
        let mut list = FreeList::default();
        list.insert(0, total);
        list
    }

    fn insert(&mut self, offset: usize, length: usize) {
        self.by_offset.insert(offset, length);
        self.by_length.insert((length, offset));
        self.free += length;
    }

    fn remove(&mut self, offset: usize, length: usize) {
        self.by_offset.remove(&offset);
        self.by_length.remove(&(length, offset));
        self.free -= length;
    }

    fn take(&mut self, length: usize) -> Option<usize> {
        let &(found, offset) = self.by_length.range((length, 0)..).next()?;
        self.remove(offset, found);
        if found > length {
            self.insert(offset + length, found - length);
        }
        Some(offset)
    }

    fn give_back(&mut self, mut offset: usize, mut length: usize) {
        if let Some((&before, &before_length)) = self.by_offset.range(..offset).next_back()
            && before + before_length == offset
        {
            self.remove(before, before_length);
            offset = before;
            length += before_length;
        }
        if let Some(&after_length) = self.by_offset.get(&(offset + length)) {
            self.remove(offset + length, after_length);
            length += after_length;
        }
        self.insert(offset, length);
    }

    /// Lengthens the block that ends at `end` into the free piece behind it.
    fn extend(&mut self, end: usize, extra: usize) -> bool {
        let Some(&found) = self.by_offset.get(&end).filter(|&&found| found >= extra) else { return false };
        self.remove(end, found);
        if found > extra {
            self.insert(end + extra, found - extra);
        }
        true
    }

    /// Where the longest piece is, and how long.
    fn longest(&self) -> Option<(usize, usize)> {
        self.by_length.last().map(|&(length, offset)| (offset, length))
    }

    /// Where the shortest piece is, and how long.
    fn shortest(&self) -> Option<(usize, usize)> {
        self.by_length.first().map(|&(length, offset)| (offset, length))
    }

    /// Takes a part out of the piece at `offset`, of whole blocks' granularity.
    fn cut_out(&mut self, offset: usize, length: usize, from: usize, bytes: usize) {
        self.remove(offset, length);
        for (start, end) in [(offset, from), (from + bytes, offset + length)] {
            if end > start {
                self.insert(start, end - start);
            }
        }
    }

    fn largest(&self) -> usize {
        self.by_length.last().map_or(0, |&(length, _)| length.saturating_sub(BLOCK_HEADER_BYTES))
    }
}

struct State {
    list: FreeList,
    /// Places and lengths of what the rig has taken.
    taken: Vec<(usize, usize)>,
    minimum_free: usize,
    allocations: u64,
    frees: u64,
    failures: u64,
}

impl State {
    fn new(total: usize) -> Self {
        State {
            list: FreeList::new(total),
            taken: Vec::new(),
            minimum_free: total,
            allocations: 0,
            frees: 0,
            failures: 0,
        }
    }
}

impl State {
    /// What the rig takes counts as the device's own.
    fn note_taken(&mut self, offset: usize, length: usize) {
        self.taken.push((offset, length));
        self.allocations += 1;
        self.minimum_free = self.minimum_free.min(self.list.free);
    }
}

/// Bytes of the blocks by which the rig cuts the heap up: the smallest that there are.
const CUT_BYTES: usize = BLOCK_HEADER_BYTES + BLOCK_ALIGN_BYTES;

/// What a block of `bytes` takes from the heap.
fn block_length(bytes: usize, align: usize) -> Option<usize> {
    // A stricter alignment than the block's costs the padding in the worst case.
    let padding = align.saturating_sub(8);
    bytes.checked_add(padding)?.checked_next_multiple_of(BLOCK_ALIGN_BYTES)?.checked_add(BLOCK_HEADER_BYTES)
}

/// The heap of one board.
pub(crate) struct Heap {
    total: usize,
    state: RefCell<State>,
    /// Counts resets: what was allocated before one is gone.
    generation: Cell<u32>,
    /// Bytes of the first allocations since the start that nobody has fetched yet.
    first: RefCell<Vec<usize>>,
    /// How many allocations may still be added there.
    first_left: Cell<usize>,
}

/// How many allocations of each start are kept one by one.
pub const FIRST_ALLOCATIONS: usize = 128;

impl Heap {
    pub(crate) fn new(total: usize) -> Self {
        Heap {
            total,
            state: RefCell::new(State::new(total)),
            generation: Cell::new(0),
            first: RefCell::default(),
            first_left: Cell::new(FIRST_ALLOCATIONS),
        }
    }

    /// Forgets every block, as a reset does.
    pub(crate) fn reset(&self) {
        outside_firmware(|| {
            let this = NonNull::from(self);
            let _ = BLOCKS.try_with(|blocks| {
                if let Some(blocks) = blocks.borrow_mut().as_mut() {
                    blocks.retain(|_, block| block.heap != this);
                }
            });
            self.generation.set(self.generation.get() + 1);
            *self.state.borrow_mut() = State::new(self.total);
            self.first.take();
            self.first_left.set(FIRST_ALLOCATIONS);
        });
    }

    pub(crate) fn status(&self) -> HeapStatus {
        outside_firmware(|| {
            let state = self.state.borrow();
            HeapStatus {
                total: self.total,
                free: state.list.free,
                minimum_free: state.minimum_free,
                largest_free_block: state.list.largest(),
                allocations: state.allocations,
                frees: state.frees,
                failures: state.failures,
            }
        })
    }

    /// Offset and length of a new block.
    fn take(&self, bytes: usize, align: usize) -> Option<(usize, usize)> {
        let mut state = self.state.borrow_mut();
        let place = block_length(bytes, align).and_then(|length| Some((state.list.take(length)?, length)));
        let Some((offset, length)) = place else {
            state.failures += 1;
            return None;
        };
        state.allocations += 1;
        state.minimum_free = state.minimum_free.min(state.list.free);
        if let Some(left) = self.first_left.get().checked_sub(1) {
            self.first_left.set(left);
            self.first.borrow_mut().push(bytes);
        }
        Some((offset, length))
    }

    /// Bytes of the first allocations since the start, in their order; each is handed out once.
    pub(crate) fn fetch_first(&self) -> Vec<usize> {
        self.first.take()
    }

    /// Takes the smallest pieces until at most `free` bytes are left, so that these are in one piece
    /// if any is as long.
    pub(crate) fn take_until(&self, free: usize) {
        let mut state = self.state.borrow_mut();
        while let Some(excess) = state.list.free.checked_sub(free).filter(|excess| *excess > 0)
            && let Some((offset, length)) = state.list.shortest()
        {
            let bytes = excess.next_multiple_of(BLOCK_ALIGN_BYTES).min(length);
            state.list.cut_out(offset, length, offset, bytes);
            state.note_taken(offset, bytes);
        }
    }

    /// Takes the smallest blocks out of the longest pieces, until at least `percent` of what is free
    /// lie outside of the longest one. False if that cannot be.
    pub(crate) fn cut_up(&self, percent: u8) -> bool {
        let mut state = self.state.borrow_mut();
        loop {
            let free = state.list.free;
            // Less would not be a block any more.
            let wanted = free * usize::from(100_u8.saturating_sub(percent)) / 100 / BLOCK_ALIGN_BYTES
                * BLOCK_ALIGN_BYTES;
            let Some((offset, length)) = state.list.longest().filter(|_| wanted > CUT_BYTES) else {
                return false;
            };
            if length <= wanted {
                return true;
            }
            state.list.cut_out(offset, length, offset + wanted - CUT_BYTES, CUT_BYTES);
            state.note_taken(offset + wanted - CUT_BYTES, CUT_BYTES);
        }
    }

    /// Gives back what the rig has taken.
    pub(crate) fn give_taken_back(&self) {
        let mut state = self.state.borrow_mut();
        for (offset, length) in std::mem::take(&mut state.taken) {
            state.list.give_back(offset, length);
            state.frees += 1;
        }
    }

    /// Resizes a block where it is, as TLSF does if it can; its new length.
    fn resize(&self, offset: usize, length: usize, bytes: usize, align: usize) -> Option<usize> {
        let wanted = block_length(bytes, align)?;
        let mut state = self.state.borrow_mut();
        if wanted < length {
            state.list.give_back(offset + wanted, length - wanted);
        } else if wanted > length && !state.list.extend(offset + length, wanted - length) {
            return None;
        }
        state.minimum_free = state.minimum_free.min(state.list.free);
        Some(wanted)
    }

    fn give_back(&self, offset: usize, length: usize) {
        let mut state = self.state.borrow_mut();
        state.list.give_back(offset, length);
        state.frees += 1;
    }
}

/// A block without contents, such as a task's stack.
pub(crate) struct Reservation {
    heap: Rc<Heap>,
    generation: u32,
    offset: usize,
    length: usize,
}

pub(crate) fn reserve(heap: &Rc<Heap>, bytes: usize) -> Option<Reservation> {
    let (offset, length) = heap.take(bytes, BLOCK_ALIGN_BYTES)?;
    Some(Reservation { heap: heap.clone(), generation: heap.generation.get(), offset, length })
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.heap.generation.get() == self.generation {
            self.heap.give_back(self.offset, self.length);
        }
    }
}

#[derive(Clone, Copy)]
struct Block {
    heap: NonNull<Heap>,
    offset: usize,
    length: usize,
}

/// Pointers are spread well enough by one multiplication.
#[derive(Default)]
struct PointerHasher(u64);

impl Hasher for PointerHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_usize(usize::from(byte));
        }
    }
    fn write_usize(&mut self, value: usize) {
        self.0 = (self.0 ^ value as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

type Blocks = HashMap<usize, Block, BuildHasherDefault<PointerHasher>>;

thread_local! {
    /// Whose code runs on this thread: a device's, if set.
    static DEVICE: Cell<Option<NonNull<Heap>>> = const { Cell::new(None) };
    /// The devices' blocks on this thread, by address.
    static BLOCKS: RefCell<Option<Blocks>> = const { RefCell::new(None) };
}

/// Restores whose code runs, on return and on unwinding alike.
struct Restore(Option<NonNull<Heap>>);

impl Drop for Restore {
    fn drop(&mut self) {
        let _ = DEVICE.try_with(|device| device.set(self.0));
    }
}

/// Runs `f` as the device's code: what it allocates is the device's.
pub(crate) fn inside_firmware<R>(heap: &Rc<Heap>, f: impl FnOnce() -> R) -> R {
    let _restore = Restore(DEVICE.replace(Some(NonNull::from(&**heap))));
    f()
}

/// Runs `f` as the harness's code, wherever it is called from.
pub(crate) fn outside_firmware<R>(f: impl FnOnce() -> R) -> R {
    let _restore = Restore(DEVICE.replace(None));
    f()
}

pub(crate) fn is_inside_firmware() -> bool {
    DEVICE.try_with(|device| device.get().is_some()).unwrap_or(false)
}

/// Gives the thread away within `f` and finds its own context again when it comes back. A task
/// that never comes back restores nothing: the context is its successor's.
pub(crate) fn suspended(f: impl FnOnce()) {
    let before = DEVICE.get();
    f();
    DEVICE.set(before);
}

/// The process's allocator, to be installed once by the binary that runs boards:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: rigor_board::DeviceAllocator = rigor_board::DeviceAllocator;
/// ```
///
/// Without it everything works but the device's heap seems untouched.
///
/// An allocation of firmware that finds no place crashes the device. It never gives a null pointer:
/// whether the caller could bear one cannot be told here, and for one that cannot the standard
/// library would abort the whole process.
pub struct DeviceAllocator;

impl DeviceAllocator {
    /// Records a block that firmware has just received.
    fn track(heap: NonNull<Heap>, pointer: *mut u8, offset: usize, length: usize) {
        let _ = BLOCKS.try_with(|blocks| {
            blocks
                .borrow_mut()
                .get_or_insert_default()
                .insert(pointer as usize, Block { heap, offset, length });
        });
    }

    fn untrack(pointer: *mut u8) {
        let _ = BLOCKS.try_with(|blocks| {
            // Borrowed: the map itself is growing, and its own tables are not tracked.
            let Ok(mut blocks) = blocks.try_borrow_mut() else { return };
            let Some(blocks) = blocks.as_mut().filter(|blocks| !blocks.is_empty()) else { return };
            if let Some(block) = blocks.remove(&(pointer as usize)) {
                // SAFETY: a heap forgets its blocks before it goes away (`Heap::drop`), so the
                // heap of a block that is still here lives.
                let heap = unsafe { block.heap.as_ref() };
                outside_firmware(|| heap.give_back(block.offset, block.length));
            }
        });
    }

    fn tracked(pointer: *mut u8) -> Option<Block> {
        BLOCKS
            .try_with(|blocks| blocks.try_borrow().ok()?.as_ref()?.get(&(pointer as usize)).copied())
            .ok()
            .flatten()
    }

    /// Resizes a block of the running device in its heap, if there is room behind it.
    fn resized(pointer: *mut u8, new_size: usize, align: usize) -> Option<Block> {
        let block = Self::tracked(pointer).filter(|block| DEVICE.get() == Some(block.heap))?;
        // SAFETY: `DEVICE` is set only while `inside_firmware` borrows the heap.
        let heap = unsafe { block.heap.as_ref() };
        let length = outside_firmware(|| heap.resize(block.offset, block.length, new_size, align))?;
        Some(Block { length, ..block })
    }
}

// SAFETY: every block comes from `System` and goes back to it with its own layout; the model only
// keeps accounts. Where the model is exhausted the firmware's task is suspended for good, which is
// no unwinding; where nothing can be suspended the block is granted unaccounted.
unsafe impl GlobalAlloc for DeviceAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let device = DEVICE.try_with(Cell::get).ok().flatten();
        let Some(heap) = device else {
            // SAFETY: the caller's layout, unchanged.
            return unsafe { System.alloc(layout) };
        };
        outside_firmware(|| {
            // SAFETY: `DEVICE` is set only while `inside_firmware` borrows the heap.
            let model = unsafe { heap.as_ref() };
            let place = model.take(layout.size(), layout.align());
            if place.is_none() {
                let largest = model.status().largest_free_block;
                crate::cpu::die(format!(
                    "out of memory: no block of {} bytes (largest free: {largest})",
                    layout.size()
                ));
            }
            // SAFETY: the caller's layout, unchanged.
            let pointer = unsafe { System.alloc(layout) };
            if let Some((offset, length)) = place {
                Self::track(heap, pointer, offset, length);
            }
            pointer
        })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::untrack(pointer);
        // SAFETY: the block came from `System` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !is_inside_firmware() && Self::tracked(pointer).is_none() {
            // SAFETY: the block came from `System` with this layout.
            return unsafe { System.realloc(pointer, layout, new_size) };
        }
        if let Some(block) = Self::resized(pointer, new_size, layout.align()) {
            outside_firmware(|| {
                let _ = BLOCKS.try_with(|blocks| blocks.borrow_mut().as_mut()?.remove(&(pointer as usize)));
                // SAFETY: the block came from `System` with this layout.
                let new_pointer = unsafe { System.realloc(pointer, layout, new_size) };
                Self::track(block.heap, new_pointer, block.offset, block.length);
                new_pointer
            })
        } else {
            // SAFETY: the caller's arguments, unchanged.
            unsafe { self.moved(pointer, layout, new_size) }
        }
    }
}

impl DeviceAllocator {
    /// Gives a block up for a new one of another size.
    ///
    /// # Safety
    /// As [`GlobalAlloc::realloc`].
    unsafe fn moved(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: `new_size` is not zero and, rounded up to the alignment, does not overflow
        // (contract of `GlobalAlloc::realloc`).
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: a valid layout of non-zero size.
        let new_pointer = unsafe { self.alloc(new_layout) };
        if !new_pointer.is_null() {
            // SAFETY: both blocks are at least this long and distinct.
            unsafe { std::ptr::copy_nonoverlapping(pointer, new_pointer, layout.size().min(new_size)) };
            // SAFETY: the caller gives the block up.
            unsafe { self.dealloc(pointer, layout) };
        }
        new_pointer
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        self.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_joined_and_the_best_fit_is_taken() {
        let heap = Heap::new(1000);
        let blocks: Vec<_> = (0..4).map(|_| heap.take(96, 4).expect("fits")).collect();
        assert_eq!(heap.status().free, 600);
        heap.give_back(blocks[0].0, blocks[0].1);
        heap.give_back(blocks[2].0, blocks[2].1);
        assert_eq!(heap.status().largest_free_block, 596);
        assert_eq!(heap.take(96, 4).expect("fits").0, blocks[0].0, "the exact hole, not the tail");
        heap.give_back(blocks[0].0, blocks[0].1);
        heap.give_back(blocks[1].0, blocks[1].1);
        heap.give_back(blocks[3].0, blocks[3].1);
        let status = heap.status();
        assert_eq!((status.free, status.largest_free_block, status.minimum_free), (1000, 996, 600));
    }

    #[test]
    fn the_rig_takes_and_gives_back() {
        let heap = Heap::new(100_000);
        let block = heap.take(996, 4).expect("fits");
        let between = (heap.take(4996, 4).expect("fits"), heap.take(996, 4).expect("fits"));
        heap.give_back(between.0.0, between.0.1);
        heap.take_until(49_996);
        assert_eq!((heap.status().free, heap.status().largest_free_block), (49_996, 49_992));
        heap.take_until(0);
        assert_eq!((heap.status().free, heap.status().largest_free_block), (0, 0));
        assert!(heap.take(1, 1).is_none());
        heap.give_taken_back();
        let status = heap.status();
        assert_eq!((status.free, status.allocations - status.frees), (98_000, 2));
        heap.give_back(block.0, block.1);
        heap.give_back(between.1.0, between.1.1);
        assert_eq!(heap.status().largest_free_block, 99_996);
    }

    #[test]
    fn the_rig_cuts_the_heap_up() {
        let percent = |heap: &Heap| 100 - heap.status().largest_free_block * 100 / heap.status().free;
        for wanted in [0, 31, 51, 80] {
            let heap = Heap::new(100_000);
            assert!(heap.cut_up(wanted));
            let found = percent(&heap);
            assert!((usize::from(wanted)..=usize::from(wanted) + 15).contains(&found), "{wanted}: {found}");
            assert!(heap.status().free > 99_000);
            heap.give_taken_back();
            assert_eq!(heap.status().largest_free_block, 99_996);
        }
        assert!(!Heap::new(100_000).cut_up(100));
    }

    #[test]
    fn the_first_allocations_are_kept_one_by_one() {
        let heap = Heap::new(100_000);
        let _ = (heap.take(5, 4), heap.take(4096, 4));
        assert_eq!(heap.fetch_first(), [5, 4096]);
        for _ in 0..FIRST_ALLOCATIONS {
            let _ = heap.take(1, 1);
        }
        assert_eq!(heap.fetch_first().len(), FIRST_ALLOCATIONS - 2);
        heap.reset();
        let _ = heap.take(7, 4);
        assert_eq!(heap.fetch_first(), [7]);
    }

    #[test]
    fn a_heap_refuses_what_it_cannot_place() {
        let heap = Heap::new(100);
        assert!(heap.take(97, 4).is_none());
        assert!(heap.take(96, 4).is_some());
        assert!(heap.take(usize::MAX, 4).is_none());
        assert_eq!(heap.status().failures, 2);
    }
}
