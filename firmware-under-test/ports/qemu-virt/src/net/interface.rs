//! The network interface that the stack has: the one that the boot block says.

use core::cell::{Cell, RefCell, UnsafeCell};
use core::task::{Context, Waker};

use critical_section::{CriticalSection, Mutex};
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};

use super::virtio::{Held, Virtio};
use super::{FRAME_BYTES, GATE, MAC, carried};

struct Outgoing(UnsafeCell<[u8; FRAME_BYTES]>);
// SAFETY: one task sends, one frame at a time.
unsafe impl Sync for Outgoing {}
static OUTGOING: Outgoing = Outgoing(UnsafeCell::new([0; FRAME_BYTES]));

/// Whoever waits for a frame of the machine's own interface.
static READER: Mutex<Cell<Option<Waker>>> = Mutex::new(Cell::new(None));

/// Has the machine's own interface looked at, if somebody waits for it.
pub fn poll(cs: CriticalSection<'_>) {
    if let Some(waker) = READER.borrow(cs).take() {
        waker.wake();
    }
}

/// The end of the link inside the device.
pub enum Interface {
    /// The rig carries the frames.
    Carried,
    /// The machine's own interface.
    Own(&'static RefCell<Virtio>),
}

/// The right to take a frame.
pub enum Receive {
    /// The oldest that the rig has brought.
    Carried,
    /// One of the machine's own interface.
    Own(&'static RefCell<Virtio>, Held),
}

/// The right to send a frame, there.
pub enum Send {
    /// To the rig.
    Carried,
    /// By the machine's own interface.
    Own(&'static RefCell<Virtio>),
}

impl Driver for Interface {
    type RxToken<'a> = Receive;
    type TxToken<'a> = Send;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Receive, Send)> {
        match self {
            Interface::Carried => carried::waiting(context.waker(), |frame| GATE.refuses(frame))
                .then_some((Receive::Carried, Send::Carried)),
            Interface::Own(own) => {
                // Before the interface is looked at, so that nothing slips through.
                critical_section::with(|cs| READER.borrow(cs).set(Some(context.waker().clone())));
                loop {
                    let mut held = own.borrow_mut().waiting()?;
                    if !GATE.refuses(held.bytes()) {
                        return Some((Receive::Own(own, held), Send::Own(own)));
                    }
                    own.borrow_mut().let_go(held);
                }
            }
        }
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Send> {
        Some(match self {
            Interface::Carried => Send::Carried,
            Interface::Own(own) => Send::Own(own),
        })
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
        HardwareAddress::Ethernet(MAC)
    }
}

impl RxToken for Receive {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, consume: F) -> R {
        match self {
            Receive::Carried => carried::take(consume),
            Receive::Own(own, mut held) => {
                let result = consume(held.bytes());
                own.borrow_mut().let_go(held);
                result
            }
        }
    }
}

impl TxToken for Send {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        // SAFETY: one task sends, one frame at a time.
        let frame = unsafe { &mut *OUTGOING.0.get() };
        let frame = &mut frame[..length.min(FRAME_BYTES)];
        let result = fill(frame);
        match self {
            Send::Carried => carried::send(frame),
            Send::Own(own) => own.borrow_mut().send(frame),
        }
        result
    }
}
