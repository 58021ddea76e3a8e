//! The heap: esp-alloc's, with the counts that the firmware tells of.
//!
//! esp-rtos takes its threads' stacks from the same memory, and the radio its buffers. That is in what is
//! free, but not in the counts.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::RefCell;

use critical_section::Mutex;
use esp_alloc::HEAP;
use firmware_platform::HeapStatus;

use crate::board::{HEAP_BYTES, RECLAIMED_BYTES};

/// As fine as the largest free piece is told, in bytes.
const PRECISION: usize = 16;

struct Counts {
    minimum_free: usize,
    allocations: u64,
    frees: u64,
    failures: u64,
}

static COUNTS: Mutex<RefCell<Counts>> =
    Mutex::new(RefCell::new(Counts { minimum_free: usize::MAX, allocations: 0, frees: 0, failures: 0 }));

/// Gives the heap its memory. Once a start.
pub fn start() {
    esp_alloc::heap_allocator!(size: HEAP_BYTES);
    esp_alloc::heap_allocator!(#[esp_hal::ram(reclaimed)] size: RECLAIMED_BYTES);
}

/// The largest single piece that could be allocated now. The allocator does not tell; what it would give
/// does.
fn largest(free: usize) -> usize {
    let (mut fits, mut too_large) = (0, free + 1);
    while too_large - fits > PRECISION {
        let size = fits.midpoint(too_large);
        let Ok(layout) = Layout::from_size_align(size, align_of::<usize>()) else { return fits };
        // SAFETY: of a size above zero, and given back with the same layout.
        let block = unsafe { HEAP.alloc(layout) };
        if block.is_null() {
            too_large = size;
        } else {
            // SAFETY: as above.
            unsafe { GlobalAlloc::dealloc(&HEAP, block, layout) };
            fits = size;
        }
    }
    fits
}

/// What the allocator knows now.
pub fn status() -> HeapStatus {
    critical_section::with(|cs| {
        let (free, total) = (HEAP.free(), HEAP.free() + HEAP.used());
        let largest_free_block = largest(free);
        let mut counts = COUNTS.borrow_ref_mut(cs);
        counts.minimum_free = counts.minimum_free.min(free);
        HeapStatus {
            total,
            free,
            minimum_free: counts.minimum_free,
            largest_free_block,
            allocations: counts.allocations,
            frees: counts.frees,
            failures: counts.failures,
        }
    })
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: the blocks are esp-alloc's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        critical_section::with(|cs| {
            // SAFETY: by the caller's promise.
            let block = unsafe { HEAP.alloc(layout) };
            let mut counts = COUNTS.borrow_ref_mut(cs);
            if block.is_null() {
                counts.failures += 1;
            } else {
                counts.allocations += 1;
                counts.minimum_free = counts.minimum_free.min(HEAP.free());
            }
            block
        })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        critical_section::with(|cs| {
            // SAFETY: by the caller's promise.
            unsafe { GlobalAlloc::dealloc(&HEAP, block, layout) };
            COUNTS.borrow_ref_mut(cs).frees += 1;
        });
    }
}
