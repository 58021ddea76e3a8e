//! The interface: frames go to the rig as records and come with its orders.

use core::cell::{Cell, RefCell, UnsafeCell};
use core::task::{Context, Waker};

use critical_section::{CriticalSection, Mutex};
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use heapless::Vec;
use rigor_agent::Record;
use rigor_agent::layout::Reason;

use super::MAC;
use crate::{agent, clock};

/// Bytes of the longest frame: Ethernet's header and 1500 bytes.
const FRAME_BYTES: usize = 1514;
/// Frames that wait for the stack, as many as ESP-IDF's driver keeps (`CONFIG_ESP_WIFI_STATIC_RX_BUFFER_NUM`
/// is 10). One that finds no place is lost.
const WAITING: usize = 10;
/// Ports that can listen.
const PORTS: usize = 4;

/// Frames' memory. None of it passes over the stack of the task, which is small.
struct Frames(UnsafeCell<[[u8; FRAME_BYTES]; WAITING]>);
// SAFETY: the oldest waiting frame is the stack's until it lets go of it, free places are the agent's, and
// which is which changes in critical sections only.
unsafe impl Sync for Frames {}
static FRAMES: Frames = Frames(UnsafeCell::new([[0; FRAME_BYTES]; WAITING]));

/// Which places hold frames: the oldest, how many, and their lengths.
struct Waiting {
    oldest: usize,
    count: usize,
    lengths: [usize; WAITING],
}

impl Waiting {
    fn let_go(&mut self) {
        self.oldest = (self.oldest + 1) % WAITING;
        self.count -= 1;
    }
}

static RECEIVED: Mutex<RefCell<Waiting>> =
    Mutex::new(RefCell::new(Waiting { oldest: 0, count: 0, lengths: [0; WAITING] }));
static READER: Mutex<Cell<Option<Waker>>> = Mutex::new(Cell::new(None));

struct Outgoing(UnsafeCell<[u8; FRAME_BYTES]>);
// SAFETY: one task sends, one frame at a time.
unsafe impl Sync for Outgoing {}
static OUTGOING: Outgoing = Outgoing(UnsafeCell::new([0; FRAME_BYTES]));

/// The place of frame `index`.
fn place(index: usize) -> *mut u8 {
    // The address of a field of the cell's array; nothing is read.
    FRAMES.0.get().cast::<[u8; FRAME_BYTES]>().wrapping_add(index).cast()
}

/// Frames have arrived, each behind its length.
pub fn receive(cs: CriticalSection<'_>, mut frames: &[u8]) {
    let mut waiting = RECEIVED.borrow_ref_mut(cs);
    while let Some((length, rest)) = frames.split_first_chunk::<2>() {
        let length = u16::from_le_bytes(*length) as usize;
        let Some((frame, rest)) = rest.split_at_checked(length) else { break };
        frames = rest;
        if length <= FRAME_BYTES && waiting.count < WAITING {
            let index = (waiting.oldest + waiting.count) % WAITING;
            // SAFETY: a free place, and it fits.
            unsafe { place(index).copy_from_nonoverlapping(frame.as_ptr(), length) };
            waiting.lengths[index] = length;
            waiting.count += 1;
        }
    }
    drop(waiting);
    if let Some(waker) = READER.borrow(cs).take() {
        waker.wake();
    }
}

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

/// The end of the link inside the device.
pub struct Interface;

/// The right to take the oldest frame.
pub struct Receive;
/// The right to send a frame.
pub struct Send;

impl Driver for Interface {
    type RxToken<'a> = Receive;
    type TxToken<'a> = Send;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Receive, Send)> {
        critical_section::with(|cs| {
            let mut waiting = RECEIVED.borrow_ref_mut(cs);
            while waiting.count > 0 {
                let (index, length) = (waiting.oldest, waiting.lengths[waiting.oldest]);
                // SAFETY: the oldest frame, which nobody has been given.
                if !comes_too_early(cs, unsafe { core::slice::from_raw_parts(place(index), length) }) {
                    return Some((Receive, Send));
                }
                waiting.let_go();
            }
            READER.borrow(cs).set(Some(context.waker().clone()));
            None
        })
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Send> {
        Some(Send)
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
        let (index, length) = critical_section::with(|cs| {
            let waiting = RECEIVED.borrow_ref(cs);
            (waiting.oldest, waiting.lengths[waiting.oldest])
        });
        // SAFETY: whoever has the token has the oldest frame, until it is let go of below.
        let result = consume(unsafe { core::slice::from_raw_parts_mut(place(index), length) });
        critical_section::with(|cs| {
            RECEIVED.borrow_ref_mut(cs).let_go();
        });
        result
    }
}

impl TxToken for Send {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        // SAFETY: one task sends, one frame at a time.
        let frame = unsafe { &mut *OUTGOING.0.get() };
        let frame = &mut frame[..length.min(FRAME_BYTES)];
        let result = fill(frame);
        agent::record(clock::now(), &Record::Frame(frame));
        agent::meet(Reason::Record);
        result
    }
}
