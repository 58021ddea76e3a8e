//! The live view in a browser: a page of our own, served on the loopback interface.
//!
//! The page asks for nothing but what is served here (its Content-Security-Policy allows nothing else), and
//! gets what it shows as server-sent events. A request has to be for this server by name (`Host`), so that
//! a name of somebody else's that leads here is refused (DNS rebinding), and what acts on the board has to
//! come from the page itself (`Origin`).

mod request;
mod shown;
mod visitor;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Instant as HostInstant;

use super::{Act, Shown};
use crate::wait::{Ready, Wanted};
use shown::Telling;
use visitor::Visitor;

/// Connections at a time. Further ones wait in the kernel's backlog.
const MAX_VISITORS: usize = 32;

/// The page, and who looks at it.
pub(crate) struct Browser {
    listener: TcpListener,
    address: SocketAddr,
    visitors: Vec<Visitor>,
    telling: Telling,
}

impl Browser {
    /// Serves the page at `address`, on any free port or the one that is wanted.
    ///
    /// # Errors
    /// If the port cannot be had.
    pub(crate) fn open(address: IpAddr, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((address, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Browser { listener, address, visitors: Vec::new(), telling: Telling::default() })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether somebody looks.
    pub(super) fn is_watched(&self) -> bool {
        self.visitors.iter().any(Visitor::watches)
    }

    pub(super) fn wanted<'a>(&'a self, wanted: &mut Wanted<'a>) {
        if self.visitors.len() < MAX_VISITORS {
            wanted.readable(&self.listener);
        }
        self.visitors.iter().for_each(|visitor| visitor.wanted(wanted));
    }

    pub(super) fn attend(&mut self, ready: &Ready) -> Vec<Act> {
        let now = HostInstant::now();
        if ready.readable(&self.listener) {
            while self.visitors.len() < MAX_VISITORS {
                // Whatever the reason, there is nobody to serve now.
                let Ok((socket, _)) = self.listener.accept() else { break };
                self.visitors.extend(Visitor::new(socket, now));
            }
        }
        let address = self.address;
        let acts = self.visitors.iter_mut().filter_map(|visitor| visitor.attend(ready, address)).collect();
        self.visitors.retain(|visitor| !visitor.is_over(now));
        acts
    }

    pub(super) fn draw(&mut self, shown: &Shown<'_>) {
        self.telling.begin(shown);
        for visitor in self.visitors.iter_mut().filter(|visitor| visitor.watches()) {
            visitor.tell(&self.telling, shown);
        }
    }
}

#[cfg(test)]
mod tests;
