//! The air: the access points that are heard, and a Wi-Fi network of the rig's own.

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::event::{AccessPoint, AirEvent, Kind};
use rigor_core::part::{self, Network};
use rigor_core::timeline::{Cursor, Next};
use rigor_core::unit::Amount;
use rigor_core::verdict::{Blame, ProductError};

use super::{Bench, Missing, Need, Net};

/// A radio of the rig's own. Each one taken hears everything from the start.
pub struct Air {
    bench: Bench,
    part: Rc<dyn part::Air>,
    cursor: Cursor,
}

impl Air {
    /// Puts a network up, in place of one that is up.
    ///
    /// # Errors
    /// The rig's, if the radio does not answer.
    pub fn put_up(&self, network: &Network) -> Result<(), Blame> {
        let kind = if network.password.is_some() { "with a password" } else { "open" };
        self.bench.act(format!("air: put network {:?} up, {kind}", network.ssid))?;
        Ok(self.part.put_up(network)?)
    }

    /// Takes the rig's network down without a word to its stations.
    ///
    /// # Errors
    /// The rig's, if the radio does not answer.
    pub fn take_down(&self) -> Result<(), Blame> {
        self.bench.act("air: take the network down")?;
        Ok(self.part.take_down()?)
    }

    /// The way to a device that has joined the rig's network.
    pub fn net(&self) -> Net {
        Net { bench: self.bench.clone(), part: self.part.net() }
    }

    /// What is heard next, with its time; `None` if nothing is before `deadline`.
    pub async fn next(&mut self, deadline: Instant) -> Option<(Instant, AirEvent)> {
        loop {
            match self.cursor.next_before(deadline).await {
                Next::Absent => return None,
                Next::Event(event) => {
                    if let Kind::Air(heard) = event.kind {
                        return Some((event.at, heard));
                    }
                }
            }
        }
    }

    /// Everything that is heard until `deadline`.
    pub async fn rest(&mut self, deadline: Instant) -> Vec<(Instant, AirEvent)> {
        let mut all = Vec::new();
        while let Some(heard) = self.next(deadline).await {
            all.push(heard);
        }
        all
    }

    /// The next time that a station of the rig's network is given an address, within `limit`; when, and
    /// which. What was heard before is read over.
    ///
    /// # Errors
    /// The product's, if none is: the message says what was heard instead.
    pub async fn joined(&mut self, limit: Duration) -> Result<(Instant, Ipv4Addr), Blame> {
        let deadline = self.bench.timeline.now() + limit;
        let mut last = None;
        while let Some((at, heard)) = self.next(deadline).await {
            if let AirEvent::Addressed(address) = heard {
                return Ok((at, address));
            }
            last = Some(heard);
        }
        let last = last.map_or("nothing".to_owned(), |heard| format!("{heard:?}"));
        let limit = Amount::from(limit);
        Err(ProductError(format!(
            "the device did not join the network and get an address within {limit}; heard last: {last}"
        ))
        .into())
    }

    /// The access points of others that are heard now.
    pub fn heard(&self) -> Vec<AccessPoint> {
        let mut heard = Vec::new();
        let until = self.bench.timeline.now() + Duration::from_nanos(1);
        for event in self.bench.timeline.events(self.part.source(), Instant::ZERO, until) {
            match event.kind {
                Kind::Air(AirEvent::Appeared(access_point)) => heard.push(access_point),
                Kind::Air(AirEvent::Vanished(ssid)) => heard.retain(|known| known.ssid != ssid),
                _ => {}
            }
        }
        heard
    }
}

impl Need for Air {
    fn take(bench: &Bench) -> Result<Self, Missing> {
        let part = bench.parts.air.clone().ok_or_else(|| bench.missing("radio of its own", "[air]"))?;
        let cursor = bench.timeline.cursor_at_start(part.source());
        Ok(Air { bench: bench.clone(), part, cursor })
    }
}
