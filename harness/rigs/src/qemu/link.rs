//! The network between the harness and an emulated device: a TCP/IP stack at the rig's end, and a link
//! with latency and bandwidth, both on the rig's clock.
//!
//! The device speaks Ethernet. What it sends comes in by [`Link::sent_by_device`], what reaches it comes out
//! of [`Link::advance`]; between them the frames take their time on the link ([`channel`]), and the rig's end
//! ([`stack`], smoltcp) answers. What the rig's end sends and sees goes to the timeline as
//! [`Flow`]s, exactly as on a virtual board, so that a case cannot tell one rig from
//! the other:
//!
//! ```text
//! part::Net -> connection -> stack -> frame -> channel -> device
//!  timeline <- connection <- stack <- frame <- channel <- device
//! ```
//!
//! Whoever drives both ends may look ahead: what the device sends has no effect on it before two latencies
//! have passed, and what a case does reaches it after one.
//!
//! # What it takes over from the virtual board's link, and where it differs
//! - Latency, bandwidth, one frame at a time each way. A frame takes the air of all its bits; headers with
//!   options count as long as they are.
//! - Segments are of 1,440 bytes and the rig's end receives into 5,760, as with the device's lwIP, and as the
//!   board has it. A larger window at the rig's end would make no difference to a device that can have 5,760
//!   bytes on their way, but for a client that does not read: the device would feed 64 KiB to it first.
//! - The rig's end acknowledges each segment when it arrives and sends without Nagle's delay, so no
//!   figure contains a timer of the rig's stack. It never sends a silly little segment into a window
//!   that opens bit by bit, but waits for a whole one (RFC 9293, 3.8.6.2.1).
//! - A SYN that nobody answers is repeated after 1, 3, 7 and 15 s, and counts as refused one second later.
//!   The board says so when the last one arrives. Everything else is repeated for ever, as TCP does.
//! - A client that stops reading acknowledges until its 5,760 bytes are full. On the board it
//!   acknowledges nothing from then on, so the device's firmware has to wait 5,760 bytes earlier.
//! - Hardware addresses are known. A Wi-Fi client knows its access point's, so the rig's end asks nobody; the
//!   device hears the rig's ahead of whatever it may have to answer, by a frame that takes no air. So
//!   connections need no round trip more than on the board.

mod channel;
mod connection;
mod datagram;
mod frame;
mod part;
mod stack;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rigor_board::net::LinkConfig;
use rigor_core::event::{ConnectionId, Direction, Flow, FlowKind, Kind};
use rigor_core::part::Net;
use rigor_core::{Instant, Source, Timeline};

use channel::{Channel, Loss};
use connection::Connection;
use datagram::Endpoints;
use frame::{Arrival, Segment};
use stack::Stack;

/// The rig's hardware address: locally administered (IEEE 802, 8.4).
pub(crate) const RIG_MAC: [u8; 6] = [0x02, b'R', b'G', 0, 0, 2];
/// The device's hardware address. Its port has to use it: nobody asks for it.
pub(crate) const DEVICE_MAC: [u8; 6] = [0x02, b'R', b'G', 0, 0, 1];
/// The rig's address: the first client of ESP-IDF's access point, as on the virtual board.
pub(crate) const RIG_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 4, 2);
/// The device's address. Its port has to use it.
pub(crate) const DEVICE_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 4, 1);
/// Bits of the addresses' network.
pub(crate) const PREFIX_BITS: u8 = 24;
/// The longest frame of the link, without its checksum (IEEE 802.3, 3.2.7).
pub(crate) const LONGEST_FRAME: usize = 1514;

/// How long a stack is sure to remember a hardware address. smoltcp, and so embassy-net, forgets it
/// after 60 s without a frame from there, lwIP after 300 s.
const REMEMBERED_FOR: Duration = Duration::from_secs(30);

/// Both ends and the link between them. Clones are the same link.
#[derive(Clone)]
pub(crate) struct Link(Rc<RefCell<State>>);

impl Link {
    /// A link with an idle rig at its end and a device that is down. What happens on it is recorded by the
    /// source `net` of `timeline`.
    pub(crate) fn new(config: LinkConfig, timeline: &Timeline) -> Self {
        Link(Rc::new(RefCell::new(State {
            source: timeline.source("net"),
            timeline: timeline.clone(),
            clock: timeline.now(),
            to_device: Channel::new(config),
            from_device: Channel::new(config),
            stack: Stack::new(),
            connections: BTreeMap::new(),
            ports: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            endpoints: Endpoints::default(),
            next_id: 1,
            device_up: false,
            introduced: None,
            arrived: Vec::new(),
            told: BTreeSet::new(),
        })))
    }

    /// The device's interface sent `frame` at `at`, in the order of time. What no Ethernet carries, or
    /// more than the link holds, is lost, and a note says so once.
    ///
    /// A frame that is handed in late (after [`advance`](Self::advance) has passed `at`) still arrives when it
    /// should as long as that is ahead: `at` plus the latency.
    pub(crate) fn sent_by_device(&self, at: Instant, frame: &[u8]) {
        let mut state = self.0.borrow_mut();
        let carried = state.from_device.carry(at, frame.to_vec());
        state.note(carried, "device");
    }

    /// When something happens on the link next: a frame arrives at either end, or a timer of the rig's
    /// end ends. Never before the last [`advance`](Self::advance).
    pub(crate) fn next_event(&self) -> Option<Instant> {
        let state = self.0.borrow();
        let waiting = (!state.arrived.is_empty()).then_some(state.clock);
        state.next_event().into_iter().chain(waiting).min().map(|at| at.max(state.clock))
    }

    /// Does all that is due up to `now`, in order, and gives the frames that have arrived at the device,
    /// oldest first.
    ///
    /// A case that waits for an event can act on it no sooner than this returns. So whoever drives the rig
    /// goes from one [`next_event`](Self::next_event) to the next, and moves the timeline's clock to an instant
    /// after the link has reached it.
    pub(crate) fn advance(&self, now: Instant) -> Vec<(Instant, Vec<u8>)> {
        let mut state = self.0.borrow_mut();
        state.run_until(now);
        std::mem::take(&mut state.arrived)
    }

    /// Whether the device's interface is there from now on. What reaches one that is down is lost; what a
    /// device has sent still arrives.
    pub(crate) fn device_is_up(&self, up: bool) {
        let mut state = self.0.borrow_mut();
        state.catch_up();
        state.device_up = up;
        // A device that starts knows nobody.
        state.introduced = None;
    }

    /// The rig's end, for cases.
    pub(crate) fn part(&self) -> Rc<dyn Net> {
        Rc::new(self.clone())
    }
}

/// Who has a port of the rig's end.
#[derive(Clone, Copy)]
enum PortOwner {
    Connection(ConnectionId),
    /// Somebody who has vanished: nobody answers there.
    Ghost,
}

struct State {
    timeline: Timeline,
    source: Source,
    /// All that was due before has been done.
    clock: Instant,
    to_device: Channel,
    from_device: Channel,
    stack: Stack,
    connections: BTreeMap<ConnectionId, Connection>,
    ports: BTreeMap<u16, PortOwner>,
    /// Connections whose SYN waits for its answer, by when they are given up.
    unanswered: BTreeSet<(Instant, ConnectionId)>,
    endpoints: Endpoints,
    next_id: u32,
    device_up: bool,
    /// When the device was last told the rig's hardware address, of which it may know nothing yet.
    introduced: Option<Instant>,
    /// Frames for the device that nobody has fetched yet.
    arrived: Vec<(Instant, Vec<u8>)>,
    /// Losses that a note has told of.
    told: BTreeSet<(&'static str, Loss)>,
}

impl State {
    fn record(&mut self, connection: ConnectionId, what: FlowKind) {
        self.push(Kind::Flow(Flow { connection, what }));
    }

    fn push(&mut self, kind: Kind) {
        if let Err(error) = self.timeline.push(self.source, self.clock, Duration::ZERO, kind) {
            panic!("the link to the emulator broke its own order: {error}");
        }
    }

    /// Says that frames of `sender` are lost, the first time.
    fn note(&mut self, carried: Result<(), Loss>, sender: &'static str) {
        if let Err(loss) = carried
            && self.told.insert((sender, loss))
        {
            self.push(Kind::Note(format!("net: {loss} from the {sender} are lost").into()));
        }
    }

    fn next_event(&self) -> Option<Instant> {
        let given_up = self.unanswered.first().map(|(at, _)| *at);
        let due = [self.from_device.next(), self.stack.next_timer(), given_up, self.next_introduction()];
        due.into_iter().chain([self.to_device.next()]).flatten().min()
    }

    /// When a device that may have to say something to the rig would begin to forget how.
    fn next_introduction(&self) -> Option<Instant> {
        let expected = !(self.connections.is_empty() && self.endpoints.is_empty());
        self.introduced.filter(|_| expected).map(|at| at + REMEMBERED_FOR)
    }

    /// What the case does, it does now, after all that is due.
    fn catch_up(&mut self) {
        self.run_until(self.timeline.now());
    }

    fn run_until(&mut self, now: Instant) {
        while let Some(at) = self.next_event().filter(|&at| at <= now) {
            self.clock = self.clock.max(at);
            self.step();
        }
        self.clock = self.clock.max(now);
    }

    /// Does one thing that is due. At one instant the rig's end hears first and speaks then, and the device
    /// hears last.
    fn step(&mut self) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= self.clock);
        let timer_is_due = is_due(self.stack.next_timer());
        let introduction_is_due = is_due(self.next_introduction());
        if let Some((_, frame)) = self.from_device.take_due(self.clock) {
            self.hear(&frame);
        } else if let Some(&(at, id)) = self.unanswered.first()
            && at <= self.clock
        {
            self.record(id, FlowKind::Refused);
            self.forget(id);
        } else if introduction_is_due {
            self.introduce();
        } else if !timer_is_due {
            let frame = self.to_device.take_due(self.clock).filter(|_| self.device_up);
            self.arrived.extend(frame);
            return;
        }
        self.flush();
    }

    /// A frame of the device arrives at the rig's end.
    fn hear(&mut self, frame: &[u8]) {
        match frame::read(frame) {
            Some(Arrival::Question { asker_mac, asker }) => {
                self.send_aside(frame::introduction(asker_mac, asker));
            }
            Some(Arrival::Datagram { to, bytes }) => {
                let bytes: Arc<[u8]> = bytes.into();
                for id in self.endpoints.listening(to) {
                    self.record(id, FlowKind::Data(Direction::FromDut, bytes.clone()));
                }
            }
            Some(Arrival::Segment { packet, segment }) => self.hear_segment(packet, &segment),
            None => {}
        }
    }

    fn hear_segment(&mut self, packet: &[u8], segment: &Segment<'_>) {
        let owner = match self.ports.get(&segment.to_port) {
            Some(PortOwner::Ghost) => return,
            Some(PortOwner::Connection(id)) => {
                self.connections.get_mut(id).map(|connection| (*id, connection))
            }
            None => None,
        };
        let Some((id, connection)) = owner.filter(|(_, connection)| connection.is_spoken_to_by(segment))
        else {
            // The stack tells whoever speaks to nobody (RFC 9293, 3.5.2).
            self.stack.hear(self.clock, packet.to_vec());
            return;
        };
        if connection.is_ahead(segment) {
            return;
        }
        let was = self.stack.socket(connection.socket()).state();
        self.stack.hear(self.clock, frame::with_window(packet, segment));
        let heard = connection.heard(self.stack.socket(connection.socket()), was, segment);
        if connection.is_open() {
            self.unanswered.remove(&(connection.gives_up_at(), id));
        }
        for what in heard.events {
            self.record(id, what);
        }
        if heard.ended {
            // What the stack has to say last, it says before it forgets.
            self.flush();
            self.forget(id);
        } else if let Some(connection) = self.connections.get_mut(&id) {
            connection.pump(&mut self.stack);
        }
    }

    /// Lets the rig's end say all that it has to say at this moment.
    fn flush(&mut self) {
        while !self.to_device.is_full()
            && let Some(packet) = self.stack.speak(self.clock)
        {
            let segment = frame::read_segment(&packet);
            let owner = segment.as_ref().and_then(|segment| self.ports.get(&segment.from_port));
            let mut may_be_forgotten = true;
            if let (Some(segment), Some(&PortOwner::Connection(id))) = (&segment, owner)
                && let Some(connection) = self.connections.get_mut(&id)
            {
                let said = connection.said(segment);
                may_be_forgotten = said.again;
                for what in said.events {
                    self.record(id, what);
                }
            }
            self.send(may_be_forgotten, frame::to_device(&packet));
        }
        self.stack.set_timer(self.clock);
        if self.to_device.is_full()
            && let Some(arrival) = self.to_device.next()
        {
            // What the stack still has to say waits for the link, and is not lost.
            self.stack.wait_until(arrival + Duration::from_nanos(1));
        }
    }

    /// Puts `frame` on the link, and the rig's hardware address ahead of it if the device may need it.
    fn send(&mut self, may_be_forgotten: bool, frame: Vec<u8>) {
        let remembered = self.introduced.is_some_and(|at| self.clock < at + REMEMBERED_FOR);
        if may_be_forgotten || !remembered {
            self.introduce();
        }
        let carried = self.to_device.carry(self.clock, frame);
        self.note(carried, "rig");
    }

    fn introduce(&mut self) {
        self.send_aside(frame::introduction(DEVICE_MAC, DEVICE_ADDRESS));
        self.introduced = Some(self.clock);
    }

    /// Sends what is none of the case's traffic.
    fn send_aside(&mut self, frame: Vec<u8>) {
        let carried = self.to_device.carry_aside(self.clock, frame);
        self.note(carried, "rig");
    }

    /// The rig's end knows nothing of the connection any more.
    fn forget(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.remove(&id) {
            self.stack.forget(connection.socket());
            self.ports.remove(&connection.port());
            self.unanswered.remove(&(connection.gives_up_at(), id));
        }
    }
}
