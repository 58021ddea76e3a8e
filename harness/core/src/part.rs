//! The things on a rig that can act.
//!
//! A part only acts; what follows from it appears on the [timeline](crate::timeline). Every call
//! returns at once: it asks for the action, and the event of the action carries the instant at
//! which it took place.

use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use crate::event::ConnectionId;
use crate::timeline::Source;
use crate::verdict::RigError;

/// The serial console of the device.
pub trait Console {
    /// Sends `bytes` to the device, back to back, after what is still being sent.
    ///
    /// # Errors
    /// [`RigError`] if the line is gone.
    fn write(&self, bytes: &[u8]) -> Result<(), RigError>;
    /// Where what the device sends is recorded.
    fn source(&self) -> Source;
}

/// How a rig drives a wire. Buttons are open drain: low or released.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drive {
    /// Pulled to ground.
    Low,
    /// Pulled to the supply.
    High,
    /// Not driven.
    Release,
}

/// A wire that the rig can drive, such as a button's.
pub trait Pin {
    /// Drives the wire from now on.
    ///
    /// # Errors
    /// [`RigError`] if the instrument does not answer.
    fn drive(&self, drive: Drive) -> Result<(), RigError>;
    /// Where the wire's edges are recorded.
    fn source(&self) -> Source;
}

/// The supply of the device.
pub trait Power {
    /// Switches the supply on. A no-op if it is on.
    ///
    /// # Errors
    /// [`RigError`] if the switch does not answer.
    fn on(&self) -> Result<(), RigError>;
    /// Switches the supply off, in the middle of whatever the device does.
    ///
    /// # Errors
    /// [`RigError`] if the switch does not answer.
    fn off(&self) -> Result<(), RigError>;
    /// Where the device's [`DeviceEvent`](crate::event::DeviceEvent)s are recorded.
    fn source(&self) -> Source;
}

/// The reset pin of the device.
pub trait Reset {
    /// Pulses it: the device starts from its reset vector.
    ///
    /// # Errors
    /// [`RigError`] if the line cannot be driven.
    fn pulse(&self) -> Result<(), RigError>;
}

/// The flash chip of the device, seen by a programmer.
pub trait Flash {
    /// Reads `length` bytes at `address`.
    ///
    /// # Errors
    /// [`RigError`] if the range leaves the chip or the programmer fails.
    fn read(&self, address: u32, length: u32) -> Result<Vec<u8>, RigError>;
    /// Makes the chip hold `bytes` at `address`, erasing whole sectors as needed.
    ///
    /// # Errors
    /// [`RigError`] if the range leaves the chip or the programmer fails.
    fn write(&self, address: u32, bytes: &[u8]) -> Result<(), RigError>;
    /// Whether a [`read`](Flash::read) now stops the firmware, because the programmer needs the chip for
    /// itself: the device is reset then, and begins anew after it. Never while its supply is off.
    ///
    /// # Errors
    /// [`RigError`] if the programmer cannot tell.
    fn interrupts(&self) -> Result<bool, RigError> {
        Ok(false)
    }
    /// Where the chip's busy times are recorded, if the rig can see them.
    fn busy_source(&self) -> Option<Source>;
}

/// The network between the rig and the device. Results and received bytes are
/// [`Flow`](crate::event::Flow) events of [`Net::source`].
pub trait Net {
    /// Begins to connect to a TCP port of the device.
    ///
    /// # Errors
    /// [`RigError`] if the rig's own end of the link is broken.
    fn connect(&self, port: u16) -> Result<ConnectionId, RigError>;
    /// Queues bytes; the link carries them as its bandwidth and the device's window permit.
    ///
    /// # Errors
    /// [`RigError`] if the rig's own end of the link is broken. Bytes on a connection that the
    /// device has closed are dropped, as TCP would.
    fn send(&self, connection: ConnectionId, bytes: &[u8]) -> Result<(), RigError>;
    /// Sends no more after what is queued (FIN).
    ///
    /// # Errors
    /// As [`Net::send`].
    fn finish(&self, connection: ConnectionId) -> Result<(), RigError>;
    /// Tears the connection down now (RST); queued bytes are lost.
    ///
    /// # Errors
    /// As [`Net::send`].
    fn reset(&self, connection: ConnectionId) -> Result<(), RigError>;
    /// Why nobody vanishes from this rig's link, if that is so: who asks for it is not decided there.
    fn cannot_vanish(&self) -> Option<String> {
        None
    }
    /// Vanishes without a word, as a client that left the Wi-Fi: the device sees neither FIN nor
    /// RST, and nothing it sends is acknowledged.
    ///
    /// # Errors
    /// As [`Net::send`], and where it [cannot](Net::cannot_vanish) be done.
    fn vanish(&self, connection: ConnectionId) -> Result<(), RigError>;
    /// The rig's end reads no further, as a client that is busy elsewhere: what arrives from now on is
    /// not acknowledged, so that the device's send buffer fills and its firmware has to wait. What is on
    /// its way or fits that buffer still arrives. Until [`Net::read_on`].
    ///
    /// # Errors
    /// [`RigError`] if the rig cannot stop reading; few need to.
    fn stop_reading(&self, _connection: ConnectionId) -> Result<(), RigError> {
        Err(RigError("this rig's link always reads; use a virtual rig".to_owned()))
    }
    /// The rig's end reads again after [`Net::stop_reading`], and acknowledges what has arrived meanwhile.
    ///
    /// # Errors
    /// As [`Net::stop_reading`].
    fn read_on(&self, _connection: ConnectionId) -> Result<(), RigError> {
        Err(RigError("this rig's link always reads; use a virtual rig".to_owned()))
    }
    /// Opens an endpoint for datagrams (UDP) on the rig's port `port`. What is sent on it goes to
    /// `to`, each call of [`Net::send`] in a datagram of its own; what the device sends to the port,
    /// and to the group if `to` is one, is received on it. Nobody closes it.
    ///
    /// # Errors
    /// [`RigError`] if the rig's own end of the link is broken or carries no datagrams.
    fn datagrams(&self, port: u16, to: Recipient) -> Result<ConnectionId, RigError>;
    /// Where the connections' events are recorded.
    fn source(&self) -> Source;
}

/// What sees the device's scheduler, such as a debug probe or the model of a virtual board.
///
/// Each task has a lane of its own, named [`TASK_LANES`](crate::task::TASK_LANES) and the task's
/// name. A start is always recorded there, as a [`TaskStart`](crate::task::TaskStart); what the
/// scheduler does with the task only while somebody wants to know it.
pub trait Scheduler {
    /// From now on each change of a task's [`TaskState`](crate::task::TaskState) is recorded as a
    /// gauge, thousands in a second.
    ///
    /// # Errors
    /// [`RigError`] if the probe does not answer.
    fn record(&self) -> Result<(), RigError>;
}

/// An instrument that watches a wire only while somebody wants to know of it: what it sees on all of its
/// wires at once may be more than its cable carries.
///
/// Each wire has a lane of its own. There is nothing on it before it is wanted, and a
/// [`Gap`](crate::event::Gap) where the instrument lost something of what was.
pub trait Capture {
    /// From now on, and for the life of the rig, what the wire of `source` does is recorded there. Where
    /// that is so already, or always, it stays so.
    ///
    /// # Errors
    /// [`RigError`] if the instrument does not answer or has no room for one more wire.
    fn begin(&self, source: Source) -> Result<(), RigError>;
}

/// What takes the device's resources away, as an error elsewhere in its firmware would. All of it
/// ends with the device's next start.
pub trait Stress {
    /// Keeps `core` busy for `duration`, against every task of a priority below `priority`.
    ///
    /// # Errors
    /// [`RigError`] if the chip has no such core or the probe does not answer.
    fn occupy(&self, core: usize, priority: u8, duration: Duration) -> Result<(), RigError>;
    /// Takes memory from the heap, the smallest free blocks first, until at most `free` bytes are
    /// left; these are in one piece as far as that can be.
    ///
    /// # Errors
    /// [`RigError`] if the probe does not answer.
    fn take_memory(&self, free: usize) -> Result<(), RigError>;
    /// Takes a few bytes here and there, until at least `percent` of the free heap lie outside of
    /// its largest block.
    ///
    /// # Errors
    /// [`RigError`] if the heap cannot be cut up so far, or the probe does not answer.
    fn cut_up_memory(&self, percent: u8) -> Result<(), RigError>;
    /// Gives all memory back that was taken since the device's start.
    ///
    /// # Errors
    /// [`RigError`] if the probe does not answer.
    fn give_memory_back(&self) -> Result<(), RigError>;
}

/// To whom datagrams go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recipient {
    /// To the device, at this port.
    Device(u16),
    /// To everybody in the group, at this port.
    Group(Ipv4Addr, u16),
}

/// A Wi-Fi network that the rig provides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Network {
    /// Its name: 1 to 32 bytes.
    pub ssid: String,
    /// What joining takes (WPA2-PSK); nothing for an open network.
    pub password: Option<String>,
}

/// A radio of the rig's own. It hears the access points around it, and it can be one itself, whose
/// network leads to the rig and gives out addresses.
pub trait Air {
    /// Puts `network` up, in place of one that is up.
    ///
    /// # Errors
    /// [`RigError`] if the radio does not answer.
    fn put_up(&self, network: &Network) -> Result<(), RigError>;
    /// Takes the rig's network down without a word to its stations. A no-op if none is up.
    ///
    /// # Errors
    /// [`RigError`] if the radio does not answer.
    fn take_down(&self) -> Result<(), RigError>;
    /// The way to a device that has joined the rig's network.
    fn net(&self) -> Rc<dyn Net>;
    /// Where what the radio hears is recorded.
    fn source(&self) -> Source;
}
