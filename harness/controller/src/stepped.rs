//! How a host moves the clock of a controller whose device is simulated.
//!
//! Such a controller says [`stepped`](crate::Identity::stepped). Its clock stands still until the host
//! lets it [`Proceed`], and it answers with where it [`Stands`]: at the instant that was asked for, or
//! before it, as soon as the device has sent a byte on a channel that is not the controller's. What goes
//! over those channels (a pseudo-terminal, TCP) may take the host's operating system any time, so both
//! messages count what the sender has put [across](Crossed) so far, and whoever reads one first waits for
//! all of it. So no instant, and no verdict, depends on the host.

use serde::{Deserialize, Serialize};

use crate::Ticks;

/// What one end has put on the channels beside the controller's, since the controller was identified.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Crossed {
    /// Bytes on the console.
    pub console: u64,
    /// Connections that this end has opened: the host. A device opens none, and [takes](Stands::opened) them.
    pub opened: u32,
    /// Bytes on all connections together.
    pub network: u64,
    /// Ends that this end has put on connections: each FIN is one, and each RST. A device's RST after its own
    /// FIN is none: a host that has seen the FIN need not look any further.
    pub ended: u32,
}

/// The host lets the device run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Proceed {
    /// At most so far. In the past: not at all.
    pub until: Ticks,
    /// What the host has sent, which the device has from now on.
    pub crossed: Crossed,
}

/// The device stands still again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stands {
    /// Where its clock stands.
    pub at: Ticks,
    /// What the device has sent until then.
    pub crossed: Crossed,
    /// The connection that the device has just taken, from 1 in the order in which the host opened them.
    /// What the host's operating system says of a connection is worth nothing here: it takes every one for
    /// the device. One that the device refuses is reset without ever being told here.
    pub opened: Option<u32>,
}
