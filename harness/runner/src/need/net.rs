//! The network: TCP connections to the device and datagrams, as the rig's end sees them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::connection::{Endpoint, Peer};
use rigor_core::event::{ConnectionId, Direction, FlowKind, Kind};
use rigor_core::part::{self, Recipient};
use rigor_core::timeline::{Cursor, Next};
use rigor_core::unit::Amount;
use rigor_core::verdict::{Blame, HarnessError, Inconclusive, ProductError};

use super::{Bench, Missing, Need};

/// The network to the device.
#[derive(Clone)]
pub struct Net {
    pub(super) bench: Bench,
    pub(super) part: Rc<dyn part::Net>,
}

/// What the rig's end of a connection received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Received {
    /// Bytes.
    Data(Arc<[u8]>),
    /// The device sends no more (FIN).
    Finished,
    /// The device tore the connection down (RST).
    Reset,
}

impl Net {
    /// The TCP port of the device's service `name`, from the rig file.
    ///
    /// # Errors
    /// The harness's, if the rig file does not name it.
    pub fn port(&self, name: &str) -> Result<u16, Blame> {
        self.bench.parts.ports.get(name).copied().ok_or_else(|| {
            HarnessError(format!("the rig file names no port `{name}`; add it to `ports` in [net]")).into()
        })
    }

    /// Connects to a TCP port.
    ///
    /// # Errors
    /// The product's, if the device refuses or does not answer within `limit`.
    pub async fn connect(&self, port: u16, limit: Duration) -> Result<Tcp, Blame> {
        self.bench.act(format!("net: connect to port {port}"))?;
        let cursor = self.bench.timeline.cursor(self.part.source());
        let id = self.part.connect(port)?;
        self.tell(id, Peer::Tcp { port })?;
        let deadline = self.bench.timeline.now() + limit;
        let mut tcp = Tcp { bench: self.bench.clone(), part: self.part.clone(), id, cursor };
        match tcp.next_flow(deadline).await {
            Some((_, FlowKind::Opened)) => {
                self.bench.talks.borrow_mut().insert(id);
                Ok(tcp)
            }
            Some((_, FlowKind::Refused)) => {
                Err(ProductError(format!("the device refused a connection to port {port}")).into())
            }
            Some((_, other)) => Err(HarnessError(format!("a connection began with {other:?}")).into()),
            None => {
                // Or it would be made later, with nobody at this end.
                self.part.reset(id)?;
                Err(ProductError(format!(
                    "the device did not accept a connection to port {port} within {}",
                    Amount::from(limit)
                ))
                .into())
            }
        }
    }

    /// An endpoint for datagrams (UDP) on the rig's port `port`, whose datagrams go to `to`.
    ///
    /// # Errors
    /// The rig's, if it carries none.
    pub fn datagrams(&self, port: u16, to: Recipient) -> Result<Datagrams, Blame> {
        self.bench.act(format!("net: datagrams from port {port} to {to:?}"))?;
        let cursor = self.bench.timeline.cursor(self.part.source());
        let id = self.part.datagrams(port, to)?;
        self.tell(id, Peer::Udp { from: port, to })?;
        Ok(Datagrams { part: self.part.clone(), id, cursor })
    }

    /// Says on the timeline what a connection goes to: its events have only its number.
    fn tell(&self, connection: ConnectionId, peer: Peer) -> Result<(), Blame> {
        self.bench.act(Endpoint { connection, peer }.to_string())
    }
}

impl Need for Net {
    fn take(bench: &Bench) -> Result<Self, Missing> {
        let part = bench.parts.net.clone().ok_or_else(|| bench.missing("network", "[net]"))?;
        Ok(Net { bench: bench.clone(), part })
    }
}

/// An endpoint for datagrams.
pub struct Datagrams {
    part: Rc<dyn part::Net>,
    id: ConnectionId,
    cursor: Cursor,
}

impl Datagrams {
    /// Sends a datagram.
    ///
    /// # Errors
    /// The rig's, if its own end is broken.
    pub fn send(&self, bytes: &[u8]) -> Result<(), Blame> {
        Ok(self.part.send(self.id, bytes)?)
    }

    /// The next datagram of the device, with its time; `None` if none comes before `deadline`.
    pub async fn receive(&mut self, deadline: Instant) -> Option<(Instant, Arc<[u8]>)> {
        loop {
            match self.cursor.next_before(deadline).await {
                Next::Absent => return None,
                Next::Event(event) => {
                    if let Kind::Flow(flow) = event.kind
                        && flow.connection == self.id
                        && let FlowKind::Data(Direction::FromDut, bytes) = flow.what
                    {
                        return Some((event.at, bytes));
                    }
                }
            }
        }
    }
}

/// A TCP connection to the device.
pub struct Tcp {
    bench: Bench,
    part: Rc<dyn part::Net>,
    id: ConnectionId,
    cursor: Cursor,
}

/// Nobody will speak on it any more.
impl Drop for Tcp {
    fn drop(&mut self) {
        self.bench.talks.borrow_mut().remove(&self.id);
    }
}

impl Tcp {
    /// The rig's time.
    pub fn now(&self) -> Instant {
        self.bench.timeline.now()
    }

    /// Queues bytes to the device.
    ///
    /// # Errors
    /// The rig's, if its own end is broken.
    pub fn send(&self, bytes: &[u8]) -> Result<(), Blame> {
        Ok(self.part.send(self.id, bytes)?)
    }

    /// Sends no more after what is queued (FIN).
    ///
    /// # Errors
    /// The rig's, if its own end is broken.
    pub fn finish(&self) -> Result<(), Blame> {
        self.bench.act(format!("net: finish connection {}", self.id.0))?;
        self.bench.talks.borrow_mut().remove(&self.id);
        Ok(self.part.finish(self.id)?)
    }

    /// Tears the connection down (RST).
    ///
    /// # Errors
    /// The rig's, if its own end is broken.
    pub fn reset(&self) -> Result<(), Blame> {
        self.bench.act(format!("net: reset connection {}", self.id.0))?;
        self.bench.talks.borrow_mut().remove(&self.id);
        Ok(self.part.reset(self.id)?)
    }

    /// Vanishes without a word.
    ///
    /// # Errors
    /// The rig's, if its own end is broken; that nothing can be concluded, if nobody vanishes from its link.
    pub fn vanish(&self) -> Result<(), Blame> {
        if let Some(why) = self.part.cannot_vanish() {
            return Err(Inconclusive(why).into());
        }
        self.bench.act(format!("net: vanish from connection {}", self.id.0))?;
        self.bench.talks.borrow_mut().remove(&self.id);
        Ok(self.part.vanish(self.id)?)
    }

    /// The next event of this connection before `deadline`.
    pub async fn next_flow(&mut self, deadline: Instant) -> Option<(Instant, FlowKind)> {
        loop {
            match self.cursor.next_before(deadline).await {
                Next::Absent => return None,
                Next::Event(event) => {
                    if let Kind::Flow(flow) = event.kind
                        && flow.connection == self.id
                    {
                        return Some((event.at, flow.what));
                    }
                }
            }
        }
    }

    /// What the device sends next, with its time; `None` if nothing comes before `deadline`.
    pub async fn receive(&mut self, deadline: Instant) -> Option<(Instant, Received)> {
        while let Some((at, what)) = self.next_flow(deadline).await {
            let received = match what {
                FlowKind::Data(Direction::FromDut, bytes) => Received::Data(bytes),
                FlowKind::Finished(Direction::FromDut) => Received::Finished,
                FlowKind::Reset(Direction::FromDut) => Received::Reset,
                _ => continue,
            };
            return Some((at, received));
        }
        None
    }

    /// What happened on this connection in the given span, both directions.
    pub fn history(&self, from: Instant, until: Instant) -> Vec<(Instant, FlowKind)> {
        self.bench
            .timeline
            .events(self.cursor.source(), from, until)
            .into_iter()
            .filter_map(|event| match event.kind {
                Kind::Flow(flow) if flow.connection == self.id => Some((event.at, flow.what)),
                _ => None,
            })
            .collect()
    }

    /// The bench, for needs built on this one.
    pub(crate) fn bench(&self) -> &Bench {
        &self.bench
    }
}
