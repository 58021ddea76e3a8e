//! The machine's own network interface: virtio, in real time.
//!
//! Buffers and queues lie in a place of their own that is no part of the image
//! ([`rigor_agent::layout::interface`]), so that what the firmware takes of memory is the same in any time. The
//! device is looked at whenever rig and device meet, a thousand times a second at least.

use core::cell::UnsafeCell;
use core::ptr::NonNull;

use rigor_agent::layout::RAM_BASE;
use rigor_agent::layout::interface::{BYTES, OFFSET};
use virtio_drivers::device::net::VirtIONetRaw;
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// The first virtio transport of `virt`.
const TRANSPORT: usize = 0x1000_1000;
/// Bytes of it.
const TRANSPORT_BYTES: usize = 0x1000;
/// Descriptors of each queue.
const QUEUE: usize = 16;
/// Frames that the interface can hold for the stack.
const BUFFERS: usize = 10;
/// Bytes of each: virtio's header (12 bytes) and a frame.
const BUFFER_BYTES: usize = 1536;
/// Pages for queues, behind the buffers.
const QUEUES_FROM: usize = (BUFFERS * BUFFER_BYTES).next_multiple_of(PAGE_SIZE);

/// Memory that the interface reaches.
struct Reachable;

/// How many bytes of the place queues have been given.
struct Given(UnsafeCell<usize>);
// SAFETY: only the start of a driver touches it, once a start, before any task runs.
unsafe impl Sync for Given {}
static GIVEN: Given = Given(UnsafeCell::new(QUEUES_FROM));

// SAFETY: pages are given once and are nobody else's; addresses are physical.
unsafe impl Hal for Reachable {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        // SAFETY: by `Given`.
        let given = unsafe { &mut *GIVEN.0.get() };
        let from = *given;
        *given += pages * PAGE_SIZE;
        assert!(*given <= BYTES, "the queues of the interface need more than {BYTES} bytes");
        let place = NonNull::without_provenance(
            core::num::NonZeroUsize::new(RAM_BASE + OFFSET + from).expect("RAM begins above zero"),
        );
        // SAFETY: in a place of the layout that nobody else has.
        unsafe { place.write_bytes(0, pages * PAGE_SIZE) };
        (place.as_ptr() as usize as PhysAddr, place)
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        // A start of the device is what gives it back.
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, _: usize) -> NonNull<u8> {
        NonNull::without_provenance(core::num::NonZeroUsize::new(address as usize).expect("an address"))
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr() as usize as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// The interface, with all its buffers in the hands of the machine.
pub struct Virtio {
    device: VirtIONetRaw<Reachable, MmioTransport<'static>, QUEUE>,
    /// Which buffer lies behind which descriptor.
    behind: [usize; QUEUE],
}

/// Buffer `index`.
fn buffer(index: usize) -> &'static mut [u8] {
    let place = RAM_BASE + OFFSET + index * BUFFER_BYTES;
    // SAFETY: in a place of the layout; each buffer is either the machine's or in one pair of hands.
    unsafe { core::slice::from_raw_parts_mut(place as *mut u8, BUFFER_BYTES) }
}

impl Virtio {
    /// Brings the interface up.
    ///
    /// # Panics
    /// If the machine has none: the rig has promised one.
    pub fn new() -> Self {
        let header = NonNull::<VirtIOHeader>::without_provenance(
            core::num::NonZeroUsize::new(TRANSPORT).expect("not zero"),
        );
        // SAFETY: `virt` has a transport there, and nobody else uses it.
        let transport = unsafe { MmioTransport::new(header, TRANSPORT_BYTES) };
        let transport = transport.expect("a virtio transport with an interface");
        let mut device = VirtIONetRaw::new(transport).expect("a virtio interface");
        let mut behind = [0; QUEUE];
        for index in 0..BUFFERS {
            // SAFETY: nobody touches it until it comes back.
            let token = unsafe { device.receive_begin(buffer(index)) }.expect("a descriptor for each buffer");
            behind[usize::from(token) % QUEUE] = index;
        }
        device.disable_interrupts();
        Virtio { device, behind }
    }

    /// The oldest frame that has arrived, which stays where it is until it is [let go](Self::let_go) of.
    pub fn waiting(&mut self) -> Option<Held> {
        let token = self.device.poll_receive()?;
        let index = self.behind[usize::from(token) % QUEUE];
        // SAFETY: the buffer that was handed over with this token.
        let (from, length) = unsafe { self.device.receive_complete(token, buffer(index)) }.ok()?;
        Some(Held { index, from, length: length.min(BUFFER_BYTES - from) })
    }

    /// Hands the buffer back to the machine.
    pub fn let_go(&mut self, held: Held) {
        // SAFETY: nobody touches it until it comes back.
        if let Ok(token) = unsafe { self.device.receive_begin(buffer(held.index)) } {
            self.behind[usize::from(token) % QUEUE] = held.index;
        }
    }

    /// Sends a frame, and waits until the machine has it.
    pub fn send(&mut self, frame: &[u8]) {
        // An interface that takes nothing loses the frame, as a cable does.
        let _ = self.device.send(frame);
    }
}

/// A frame that has arrived.
#[derive(Clone, Copy)]
pub struct Held {
    index: usize,
    from: usize,
    length: usize,
}

impl Held {
    /// Its bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut buffer(self.index)[self.from..self.from + self.length]
    }
}
