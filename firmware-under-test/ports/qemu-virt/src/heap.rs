//! The heap: 320 KiB, what ESP-IDF leaves of the ESP32-S3's SRAM, under a two-level segregated fit as in
//! ESP-IDF.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{RefCell, UnsafeCell};
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use critical_section::Mutex;
use firmware_platform::HeapStatus;
use rigor_agent::layout::report;
use rlsf::Tlsf;

use crate::{clock, memory};

/// Bytes of the heap (harness/board, the virtual board's default).
const HEAP_BYTES: usize = 320 * 1024;
/// Bytes in front of each block.
const OVERHEAD: usize = rlsf::GRANULARITY / 2;

/// First level: blocks of up to 16 << 16 bytes; second: sixteen sizes each.
type Blocks = Tlsf<'static, u32, u16, 16, 16>;

#[repr(align(16))]
struct Region(UnsafeCell<[MaybeUninit<u8>; HEAP_BYTES]>);
// SAFETY: only the allocator touches it.
unsafe impl Sync for Region {}
#[unsafe(link_section = ".heap")]
static REGION: Region = Region(UnsafeCell::new([MaybeUninit::uninit(); HEAP_BYTES]));

struct Heap {
    blocks: Blocks,
    total: usize,
    used: usize,
    most_used: usize,
    allocations: u32,
    frees: u32,
    failures: u32,
}

impl Heap {
    fn largest(&mut self) -> usize {
        // The allocator does not tell; what it would give does.
        let (mut fits, mut too_large) = (0, self.total - self.used + 1);
        while too_large - fits > rlsf::GRANULARITY {
            let size = fits.midpoint(too_large);
            match Layout::from_size_align(size, 4).ok().and_then(|layout| self.blocks.allocate(layout)) {
                Some(block) => {
                    // SAFETY: allocated above with this alignment.
                    unsafe { self.blocks.deallocate(block, 4) };
                    fits = size;
                }
                None => too_large = size,
            }
        }
        fits
    }
}

static HEAP: Mutex<RefCell<Heap>> = Mutex::new(RefCell::new(Heap {
    blocks: Tlsf::new(),
    total: 0,
    used: 0,
    most_used: 0,
    allocations: 0,
    frees: 0,
    failures: 0,
}));

/// Makes the region the heap. Once a start.
pub fn start() {
    critical_section::with(|cs| {
        let mut heap = HEAP.borrow_ref_mut(cs);
        // SAFETY: a start is the only one who has the region.
        let region = unsafe { &mut *REGION.0.get() };
        heap.blocks.insert_free_block(region);
        heap.total = HEAP_BYTES;
        memory::set_word(report::HEAP_FREE, heap.total as u32);
        memory::set_word(report::HEAP_FIRST_COUNT, 0);
        memory::set_word(report::HEAP_ALLOCATIONS, 0);
        let largest = heap.largest();
        memory::set_word(report::HEAP_LARGEST, largest as u32);
    });
}

/// Looks for the largest free piece, for the rig. Nothing while the allocator is at work.
pub fn sample() {
    critical_section::with(|cs| {
        if let Ok(mut heap) = HEAP.borrow(cs).try_borrow_mut() {
            let largest = heap.largest();
            memory::set_word(report::HEAP_LARGEST, largest as u32);
        }
    });
}

/// What the allocator knows now.
pub fn status() -> HeapStatus {
    critical_section::with(|cs| {
        let mut heap = HEAP.borrow_ref_mut(cs);
        let largest_free_block = heap.largest();
        memory::set_word(report::HEAP_LARGEST, largest_free_block as u32);
        HeapStatus {
            total: heap.total,
            free: heap.total - heap.used,
            minimum_free: heap.total - heap.most_used,
            largest_free_block,
            allocations: heap.allocations.into(),
            frees: heap.frees.into(),
            failures: heap.failures.into(),
        }
    })
}

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

// SAFETY: the blocks are rlsf's, each in a critical section.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        critical_section::with(|cs| {
            let mut heap = HEAP.borrow_ref_mut(cs);
            let Some(block) = heap.blocks.allocate(layout) else {
                heap.failures += 1;
                return core::ptr::null_mut();
            };
            let index = heap.allocations as usize;
            if index < report::HEAP_FIRST_MAX {
                memory::set_word(report::HEAP_FIRST + 4 * index, layout.size() as u32);
                memory::set_long(report::HEAP_FIRST_AT + 8 * index, clock::now());
                memory::set_word(report::HEAP_FIRST_COUNT, heap.allocations + 1);
            }
            heap.allocations += 1;
            // SAFETY: allocated above.
            heap.used += unsafe { Blocks::allocation_usable_size(block) } + OVERHEAD;
            heap.most_used = heap.most_used.max(heap.used);
            memory::set_word(report::HEAP_FREE, (heap.total - heap.used) as u32);
            memory::set_word(report::HEAP_ALLOCATIONS, heap.allocations);
            block.as_ptr()
        })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(block) = NonNull::new(block) else { return };
        critical_section::with(|cs| {
            let mut heap = HEAP.borrow_ref_mut(cs);
            heap.frees += 1;
            // SAFETY: by the caller's promise the block is one of ours.
            heap.used -= unsafe { Blocks::allocation_usable_size(block) } + OVERHEAD;
            // SAFETY: as above, with its alignment.
            unsafe { heap.blocks.deallocate(block, layout.align()) };
            memory::set_word(report::HEAP_FREE, (heap.total - heap.used) as u32);
        });
    }
}
