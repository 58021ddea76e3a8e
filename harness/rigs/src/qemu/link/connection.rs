//! What the rig's end knows of a TCP connection besides its socket, and what of it is worth an event.
//!
//! The events are read off the segments themselves, so that they tell what was on the link and when: bytes for
//! the device when they leave for the first time, bytes of the device when they arrive in order.

use std::collections::VecDeque;

use rigor_core::Instant;
use rigor_core::event::{Direction, FlowKind};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::wire::TcpControl;

use super::frame::Segment;
use super::stack::{SEGMENT_BYTES, Stack};

/// Payload of a segment for a device that does not say what it takes (RFC 9293, 3.7.1).
const SEGMENT_BYTES_UNTOLD: usize = 536;

/// A connection of the rig's end.
pub(super) struct Connection {
    socket: SocketHandle,
    port: u16,
    device_port: u16,
    gives_up_at: Instant,
    opened: bool,
    /// What the case has sent and the stack has not taken yet.
    queue: VecDeque<u8>,
    finishing: bool,
    /// The stack has been told that nothing follows.
    closed: bool,
    /// The sequence number of the SYN, once it has left.
    initial: Option<u32>,
    /// Bytes that the stack has taken, that have left, and that the device has acknowledged.
    taken: u64,
    sent: u64,
    acknowledged: u64,
    /// The device has room up to this byte, and how much it has had at most.
    window_edge: u64,
    widest_window: u64,
    window_scale: u8,
    segment_bytes: usize,
    fin_sent: bool,
    fin_received: bool,
    /// Bytes that have arrived and are not read, while the rig's end does not read.
    withheld: Option<usize>,
}

/// What became of a segment that the rig's end heard.
pub(super) struct Heard {
    pub(super) events: Vec<FlowKind>,
    /// Nothing is owed either way any more.
    pub(super) ended: bool,
}

/// What a segment says that the rig's end sends.
pub(super) struct Said {
    pub(super) events: Vec<FlowKind>,
    /// Something that was said before, so perhaps nobody heard it; or a SYN.
    pub(super) again: bool,
}

impl Connection {
    pub(super) fn new(socket: SocketHandle, port: u16, device_port: u16, gives_up_at: Instant) -> Self {
        Connection {
            socket,
            port,
            device_port,
            gives_up_at,
            opened: false,
            queue: VecDeque::new(),
            finishing: false,
            closed: false,
            initial: None,
            taken: 0,
            sent: 0,
            acknowledged: 0,
            window_edge: 0,
            widest_window: 0,
            window_scale: 0,
            segment_bytes: SEGMENT_BYTES_UNTOLD,
            fin_sent: false,
            fin_received: false,
            withheld: None,
        }
    }

    pub(super) fn socket(&self) -> SocketHandle {
        self.socket
    }

    /// The rig's port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Whether `segment`, to the rig's port, is of the device's end of this connection.
    pub(super) fn is_spoken_to_by(&self, segment: &Segment<'_>) -> bool {
        segment.from_port == self.device_port
    }

    /// When it counts as refused, if it is not open by then.
    pub(super) fn gives_up_at(&self) -> Instant {
        self.gives_up_at
    }

    pub(super) fn is_open(&self) -> bool {
        self.opened
    }

    /// Nothing is owed either way but the acknowledgement of the last FIN: for the case it is over.
    pub(super) fn is_over(&self) -> bool {
        self.fin_sent && self.fin_received && self.acknowledged == self.sent
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        if !self.finishing {
            self.queue.extend(bytes);
        }
    }

    pub(super) fn finish(&mut self) {
        self.finishing = true;
    }

    pub(super) fn stop_reading(&mut self) {
        self.withheld.get_or_insert(0);
    }

    pub(super) fn read_on(&mut self, stack: &mut Stack) {
        if self.withheld.take().is_some() {
            discard(stack.socket(self.socket));
        }
    }

    /// Hands the stack what the device has room for, in whole segments, and the end.
    ///
    /// smoltcp would fill a window byte by byte as it opens.
    pub(super) fn pump(&mut self, stack: &mut Stack) {
        let socket = stack.socket(self.socket);
        if !self.opened || self.closed {
            return;
        }
        loop {
            let room = self.window_edge.saturating_sub(self.taken).try_into().unwrap_or(usize::MAX);
            let free = socket.send_capacity() - socket.send_queue();
            let length = self.segment_bytes.min(self.queue.len()).min(room).min(free);
            // Sender-side silly window avoidance (RFC 9293, 3.8.6.2.1).
            let worthwhile = length == self.queue.len()
                || length == self.segment_bytes
                || length as u64 * 2 >= self.widest_window;
            if length == 0 || !worthwhile {
                break;
            }
            let bytes: Vec<u8> = self.queue.drain(..length).collect();
            // A socket that takes no more has been torn down; what it had to carry is lost with it.
            let taken = socket.send_slice(&bytes).unwrap_or_default();
            self.taken += taken as u64;
        }
        if self.finishing && self.queue.is_empty() {
            self.closed = true;
            socket.close();
        }
    }

    /// Whether `segment` acknowledges what has not left yet. It must not count (RFC 9293, 3.10.7.4), but smoltcp
    /// believes it if it has the bytes, and may then have the last of them to send for ever.
    pub(super) fn is_ahead(&self, segment: &Segment<'_>) -> bool {
        let (Some(number), Some(initial)) = (segment.acknowledges, self.initial) else { return false };
        let sent =
            initial.wrapping_add(1).wrapping_add(self.sent as u32).wrapping_add(u32::from(self.fin_sent));
        (number.wrapping_sub(sent) as i32) > 0
    }

    /// The rig's end sends `segment`.
    pub(super) fn said(&mut self, segment: &Segment<'_>) -> Said {
        if segment.control == TcpControl::Syn {
            self.initial = Some(segment.sequence);
            return Said { events: Vec::new(), again: true };
        }
        let mut events = Vec::new();
        let fin = segment.control == TcpControl::Fin;
        let begin = self.initial.unwrap_or_default().wrapping_add(1).wrapping_add(self.sent as u32);
        // A window is far smaller than half of all numbers, so the difference has a sign.
        let ahead = segment.sequence.wrapping_sub(begin) as i32;
        let known = usize::try_from(-i64::from(ahead)).unwrap_or_default();
        if let Some(new) = segment.payload.get(known..).filter(|new| !new.is_empty()) {
            self.sent += new.len() as u64;
            events.push(FlowKind::Data(Direction::ToDut, new.into()));
        }
        if fin && !self.fin_sent {
            self.fin_sent = true;
            events.push(FlowKind::Finished(Direction::ToDut));
        }
        let again = events.is_empty() && (fin || !segment.payload.is_empty());
        Said { events, again }
    }

    /// `segment` of the device has arrived, and `socket` has heard it in the state `was`.
    pub(super) fn heard(&mut self, socket: &mut Socket<'_>, was: State, segment: &Segment<'_>) -> Heard {
        let mut events = Vec::new();
        let state = socket.state();
        if !self.opened {
            match state {
                State::SynSent | State::SynReceived => return Heard { events, ended: false },
                State::Closed => {
                    events.push(FlowKind::Refused);
                    return Heard { events, ended: true };
                }
                _ => self.opened = true,
            }
            events.push(FlowKind::Opened);
        }
        if segment.control == TcpControl::Syn && was != state {
            let told = segment.segment_bytes.map_or(SEGMENT_BYTES_UNTOLD, usize::from);
            self.segment_bytes = told.min(SEGMENT_BYTES);
            self.window_scale = segment.window_scale.unwrap_or_default();
        }
        let is_reset = state == State::Closed && segment.control == TcpControl::Rst;
        if is_reset {
            if !self.is_over() {
                events.push(FlowKind::Reset(Direction::FromDut));
            }
            return Heard { events, ended: true };
        }
        self.hear_acknowledgement(socket, segment, &mut events);
        self.hear_data(socket, &mut events);
        let fin = matches!(state, State::CloseWait | State::LastAck | State::Closing | State::TimeWait);
        if fin && !self.fin_received {
            self.fin_received = true;
            events.push(FlowKind::Finished(Direction::FromDut));
        }
        // Nothing is lost on the link, so nobody asks twice for the last acknowledgement: a socket that waited
        // for that (RFC 9293, TIME-WAIT) would only keep its port.
        let ended = matches!(state, State::TimeWait | State::Closed);
        Heard { events, ended }
    }

    fn hear_acknowledgement(
        &mut self,
        socket: &Socket<'_>,
        segment: &Segment<'_>,
        events: &mut Vec<FlowKind>,
    ) {
        let acknowledged = self.taken - socket.send_queue() as u64;
        if acknowledged > self.acknowledged {
            self.acknowledged = acknowledged;
            events.push(FlowKind::Acknowledged(acknowledged));
        }
        let (Some(number), Some(initial)) = (segment.acknowledges, self.initial) else { return };
        let now = initial.wrapping_add(1).wrapping_add(self.acknowledged as u32);
        // Behind the last byte is the FIN. Any other number is an old one, and so is its window.
        if number == now || number == now.wrapping_add(1) {
            let scale = if segment.control == TcpControl::Syn { 0 } else { self.window_scale };
            let window = u64::from(segment.window) << scale;
            self.window_edge = self.window_edge.max(self.acknowledged + window);
            self.widest_window = self.widest_window.max(window);
        }
    }

    fn hear_data(&mut self, socket: &mut Socket<'_>, events: &mut Vec<FlowKind>) {
        let known = self.withheld.unwrap_or_default();
        let waiting = socket.recv_queue();
        if waiting > known {
            let mut bytes = vec![0; waiting];
            // It fails on no socket that holds something.
            let copied = socket.peek_slice(&mut bytes).unwrap_or_default();
            events.push(FlowKind::Data(Direction::FromDut, bytes[known.min(copied)..copied].into()));
        }
        match &mut self.withheld {
            Some(withheld) => *withheld = waiting,
            None => discard(socket),
        }
    }
}

/// Reads what has arrived, and is on the timeline already.
fn discard(socket: &mut Socket<'_>) {
    while socket.can_recv() && socket.recv(|bytes| (bytes.len(), ())).is_ok() {}
}
