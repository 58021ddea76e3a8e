//! What a frame comes through on its way from the interface to its stack.
//!
//! A client that asks for a connection while no socket listens would be refused by smoltcp. lwIP, which is what
//! the firmware's own stack is, lets a client ask again when the line is full: a SYN that is not answered is
//! repeated. So such frames are dropped here.

use core::cell::RefCell;
use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken};
use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use heapless::Vec;

/// Ports that are watched; what is asked of others is let through.
const PORTS: usize = 4;
/// Bytes of Ethernet's header.
const ETHERNET: usize = 14;
/// The type of IPv4 in it.
const IPV4: [u8; 2] = [0x08, 0x00];
/// TCP's number in IPv4's header, and where that is.
const TCP: (usize, u8) = (9, 6);
/// TCP's flags SYN and ACK, and what they are in the first segment of a connection.
const SYN_AND_NOT_ACK: (u8, u8) = (0x12, 0x02);

/// The sockets that wait for a client on one interface.
pub struct Gate {
    ports: Mutex<CriticalSectionRawMutex, RefCell<Vec<(u16, usize), PORTS>>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// Open: nobody listens anywhere, and what asks nevertheless is refused by the stack.
    #[must_use]
    pub const fn new() -> Self {
        Gate { ports: Mutex::new(RefCell::new(Vec::new())) }
    }

    /// From now on port `port` has room for `sockets` more clients.
    pub fn listen(&self, port: u16, sockets: usize) {
        self.ports.lock(|ports| {
            let mut ports = ports.borrow_mut();
            match ports.iter_mut().find(|(known, _)| *known == port) {
                Some((_, room)) => *room = sockets,
                // More ports than places are let through, as if all had room.
                None => drop(ports.push((port, sockets))),
            }
        });
    }

    /// Whether `frame` asks for a connection to a port that has no room. One that finds room takes it.
    #[must_use]
    pub fn refuses(&self, frame: &[u8]) -> bool {
        let Some(port) = asked_port(frame) else { return false };
        self.ports.lock(|ports| {
            let mut ports = ports.borrow_mut();
            match ports.iter_mut().find(|(known, _)| *known == port) {
                Some((_, 0)) => true,
                Some((_, room)) => {
                    *room -= 1;
                    false
                }
                None => false,
            }
        })
    }
}

/// The port that an Ethernet frame asks for a connection to, if it does.
fn asked_port(frame: &[u8]) -> Option<u16> {
    let is_tcp = frame.get(12..ETHERNET) == Some(&IPV4[..]) && frame.get(ETHERNET + TCP.0) == Some(&TCP.1);
    let header = usize::from(frame.get(ETHERNET)? & 0x0F) * 4;
    let tcp = frame.get(ETHERNET + header..).filter(|tcp| is_tcp && tcp.len() >= 20)?;
    let (mask, syn) = SYN_AND_NOT_ACK;
    (tcp[13] & mask == syn).then(|| u16::from_be_bytes([tcp[2], tcp[3]]))
}

/// An interface behind its gate, for interfaces that hand out frames and do not let them be looked at before.
pub struct Gated<D> {
    driver: D,
    gate: &'static Gate,
}

impl<D: Driver> Gated<D> {
    /// Puts `gate` before `driver`.
    pub fn new(driver: D, gate: &'static Gate) -> Self {
        Gated { driver, gate }
    }
}

/// The right to take a frame that the gate may refuse.
pub struct Received<T> {
    token: T,
    gate: &'static Gate,
}

impl<D: Driver> Driver for Gated<D> {
    type RxToken<'a>
        = Received<D::RxToken<'a>>
    where
        Self: 'a;
    type TxToken<'a>
        = D::TxToken<'a>
    where
        Self: 'a;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (token, answer) = self.driver.receive(context)?;
        Some((Received { token, gate: self.gate }, answer))
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        self.driver.transmit(context)
    }

    fn link_state(&mut self, context: &mut Context<'_>) -> LinkState {
        self.driver.link_state(context)
    }

    fn capabilities(&self) -> Capabilities {
        self.driver.capabilities()
    }

    fn hardware_address(&self) -> HardwareAddress {
        self.driver.hardware_address()
    }
}

impl<T: RxToken> RxToken for Received<T> {
    /// A refused frame is one without bytes, which the stack passes over.
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, consume: F) -> R {
        let Received { token, gate } = self;
        token.consume(|frame| if gate.refuses(frame) { consume(&mut []) } else { consume(frame) })
    }
}
