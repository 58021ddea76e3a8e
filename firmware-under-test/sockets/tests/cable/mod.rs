//! A cable: two interfaces, and frames on their way from one to the other.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::task::{Context, Waker};

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};

/// Bytes of the longest frame.
const FRAME_BYTES: usize = 1514;

thread_local! {
    /// Frames that went to the far end of each cable.
    static FRAMES: RefCell<HashMap<u8, usize>> = RefCell::default();
}

/// How many frames the device has sent on the cable of this number.
pub(crate) fn frames_to(cable: u8) -> usize {
    FRAMES.with_borrow(|frames| frames.get(&cable).copied().unwrap_or(0))
}

/// One direction.
#[derive(Default)]
struct Way {
    frames: VecDeque<Vec<u8>>,
    reader: Option<Waker>,
}

/// One end.
pub(crate) struct Plug {
    hardware: [u8; 6],
    in_: Rc<RefCell<Way>>,
    out: Sender,
}

/// The right to send a frame.
#[derive(Clone)]
pub(crate) struct Sender {
    way: Rc<RefCell<Way>>,
    /// The cable, at the device's end.
    counted: Option<u8>,
}

/// A frame that was received.
pub(crate) struct Frame(Vec<u8>);

impl Plug {
    /// Both ends of a cable: the device's, and that of somebody else.
    pub(crate) fn pair(number: u8) -> (Plug, Plug) {
        let [there, back] = [(); 2].map(|()| Rc::new(RefCell::new(Way::default())));
        let plug = |end, in_: &Rc<RefCell<Way>>, out: &Rc<RefCell<Way>>, counted| Plug {
            hardware: [2, 0, 0, 0, number, end],
            in_: in_.clone(),
            out: Sender { way: out.clone(), counted },
        };
        (plug(1, &back, &there, Some(number)), plug(2, &there, &back, None))
    }
}

impl Driver for Plug {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Sender;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Frame, Sender)> {
        let mut way = self.in_.borrow_mut();
        match way.frames.pop_front() {
            Some(frame) => Some((Frame(frame), self.out.clone())),
            None => {
                way.reader = Some(context.waker().clone());
                None
            }
        }
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Sender> {
        Some(self.out.clone())
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
        HardwareAddress::Ethernet(self.hardware)
    }
}

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, consume: F) -> R {
        consume(&mut self.0)
    }
}

impl TxToken for Sender {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut frame = vec![0; length];
        let result = fill(&mut frame);
        if let Some(cable) = self.counted {
            FRAMES.with_borrow_mut(|frames| *frames.entry(cable).or_default() += 1);
        }
        let mut way = self.way.borrow_mut();
        way.frames.push_back(frame);
        if let Some(reader) = way.reader.take() {
            reader.wake();
        }
        result
    }
}
