//! The rig's side of WebSocket (RFC 6455): sends anything, believes nothing.
//!
//! In the flow (action, event, **decode**, measure, verdict, report) this module stands at both
//! ends of a connection's bytes. A case that acts builds them: a [`Handshake`] and [`ClientFrame`]s
//! that are correct until told otherwise, because half of the cases need them wrong. What the
//! device answers, [`Kind::Flow`](rigor_core::Kind::Flow) data in the timeline, goes through
//! [`ServerStream`], which gives [`ServerEvent`]s and reports every breach of the RFC as a
//! [`Violation`] with its place.
//!
//! No extension and no subprotocol is offered by default and none is implemented, so reserved bits
//! in an answer are always a violation.

mod close;
mod frame;
mod handshake;
mod message;
mod response;
mod stream;
mod violation;

pub use close::{Close, CloseCode};
pub use frame::{ClientFrame, LengthField, Opcode};
pub use handshake::{Handshake, HandshakeFault, accept_for, key_of};
pub use message::Message;
pub use response::{BadHead, Response};
pub use stream::{Limits, ServerEvent, ServerFrame, ServerStream};
pub use violation::{Breach, Violation};
