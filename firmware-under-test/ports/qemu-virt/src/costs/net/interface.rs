//! Both ends of a cable: what one sends, the other has.

use core::cell::{Cell, RefCell};
use core::task::{Context, Waker};

use critical_section::Mutex;
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};

/// Bytes of the longest frame: Ethernet's header and 1500 bytes.
const FRAME_BYTES: usize = 1514;
/// Frames on their way in one direction.
const FRAMES: usize = 16;

struct Frames {
    bytes: [[u8; FRAME_BYTES]; FRAMES],
    lengths: [usize; FRAMES],
    oldest: usize,
    count: usize,
}

/// One direction of the cable.
pub struct Direction {
    frames: Mutex<RefCell<Frames>>,
    reader: Mutex<Cell<Option<Waker>>>,
}

impl Direction {
    const fn new() -> Self {
        let frames = Frames { bytes: [[0; FRAME_BYTES]; FRAMES], lengths: [0; FRAMES], oldest: 0, count: 0 };
        Direction { frames: Mutex::new(RefCell::new(frames)), reader: Mutex::new(Cell::new(None)) }
    }
}

/// From the client to the device.
pub static TO_DEVICE: Direction = Direction::new();
/// From the device to the client.
pub static TO_CLIENT: Direction = Direction::new();

/// One end.
pub struct Interface {
    /// What it hears.
    pub receives: &'static Direction,
    /// What it says.
    pub sends: &'static Direction,
    /// The last byte of its hardware address.
    pub station: u8,
}

/// The right to take the oldest frame.
pub struct Receive(&'static Direction);
/// The right to send a frame.
pub struct Send(&'static Direction);

impl Driver for Interface {
    type RxToken<'a> = Receive;
    type TxToken<'a> = Send;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Receive, Send)> {
        critical_section::with(|cs| {
            if self.receives.frames.borrow_ref(cs).count == 0 {
                self.receives.reader.borrow(cs).set(Some(context.waker().clone()));
                return None;
            }
            Some((Receive(self.receives), Send(self.sends)))
        })
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Send> {
        Some(Send(self.sends))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = FRAME_BYTES;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet([0x02, b'R', b'G', 0, 0, self.station])
    }
}

impl RxToken for Receive {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, consume: F) -> R {
        critical_section::with(|cs| {
            let mut frames = self.0.frames.borrow_ref_mut(cs);
            let (index, length) = (frames.oldest, frames.lengths[frames.oldest]);
            let result = consume(&mut frames.bytes[index][..length]);
            frames.oldest = (index + 1) % FRAMES;
            frames.count -= 1;
            result
        })
    }
}

impl TxToken for Send {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        critical_section::with(|cs| {
            let mut frames = self.0.frames.borrow_ref_mut(cs);
            assert!(frames.count < FRAMES, "nobody takes the frames from the cable");
            let index = (frames.oldest + frames.count) % FRAMES;
            let result = fill(&mut frames.bytes[index][..length]);
            frames.lengths[index] = length;
            frames.count += 1;
            drop(frames);
            if let Some(waker) = self.0.reader.borrow(cs).take() {
                waker.wake();
            }
            result
        })
    }
}
