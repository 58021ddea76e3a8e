//! The network interface that the stack has: the one that the boot block says.

use core::cell::{Cell, RefCell, UnsafeCell};
use core::task::{Context, Waker};

use critical_section::{CriticalSection, Mutex};
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use heapless::Vec;

use super::virtio::{Held, Virtio};
use super::{FRAME_BYTES, MAC, carried};

/// Ports that can listen.
const PORTS: usize = 4;

struct Outgoing(UnsafeCell<[u8; FRAME_BYTES]>);
// SAFETY: one task sends, one frame at a time.
unsafe impl Sync for Outgoing {}
static OUTGOING: Outgoing = Outgoing(UnsafeCell::new([0; FRAME_BYTES]));

/// Sockets that wait for a client, for each port that has any.
static LISTENING: Mutex<RefCell<Vec<(u16, usize), PORTS>>> = Mutex::new(RefCell::new(Vec::new()));

/// From now on port `port` has room for so many more clients.
pub fn listen(port: u16, sockets: usize) {
    critical_section::with(|cs| {
        let mut ports = LISTENING.borrow_ref_mut(cs);
        match ports.iter_mut().find(|(known, _)| *known == port) {
            Some((_, room)) => *room = sockets,
            // More ports than places are let through, as if all had room.
            None => drop(ports.push((port, sockets))),
        }
    });
}

/// Whether a frame asks for a connection to a port whose backlog is full. lwIP lets such a client ask again
/// (a SYN that is not answered is repeated); this stack would refuse it. One that finds room takes it.
fn comes_too_early(cs: CriticalSection<'_>, frame: &[u8]) -> bool {
    /// Ethernet's header; IPv4's type; TCP's number.
    const ETHERNET: usize = 14;
    const SYN_AND_NOT_ACK: (u8, u8) = (0x12, 0x02);
    let is_tcp = frame.get(12..14) == Some(&[0x08, 0x00]) && frame.get(ETHERNET + 9) == Some(&6);
    let header = frame.get(ETHERNET).map_or(0, |first| usize::from(first & 0x0F) * 4);
    let Some(tcp) = frame.get(ETHERNET + header..).filter(|tcp| is_tcp && tcp.len() >= 20) else {
        return false;
    };
    let (mask, syn) = SYN_AND_NOT_ACK;
    if tcp[13] & mask != syn {
        return false;
    }
    let port = u16::from_be_bytes([tcp[2], tcp[3]]);
    let mut ports = LISTENING.borrow_ref_mut(cs);
    match ports.iter_mut().find(|(known, _)| *known == port) {
        Some((_, 0)) => true,
        Some((_, room)) => {
            *room -= 1;
            false
        }
        None => false,
    }
}

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
            Interface::Carried => carried::waiting(context.waker(), comes_too_early)
                .then_some((Receive::Carried, Send::Carried)),
            Interface::Own(own) => {
                // Before the interface is looked at, so that nothing slips through.
                critical_section::with(|cs| READER.borrow(cs).set(Some(context.waker().clone())));
                loop {
                    let mut held = own.borrow_mut().waiting()?;
                    if !critical_section::with(|cs| comes_too_early(cs, held.bytes())) {
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
