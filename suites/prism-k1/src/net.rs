//! Cases of group K1-NET: connections and the WebSocket transport.
//!
//! - [`slots`]: how many clients, and when a place is free again.
//! - [`idle`]: the idle rule, and what keeps a client.
//! - [`handshake`]: upgrade requests, right and wrong.
//! - [`messages`]: sizes, kinds and fragments of messages.
//! - [`control`]: ping and close.
//! - [`malformed`]: frames that RFC 6455 forbids.
//! - [`slow`]: frames that end late or never.
//! - [`thousand`]: a thousand clients, one after the other.
//!
//! What they share is in [`scene`]: a device at work, a client that has nothing to do with the
//! case, and a bait that shows whether something was obeyed that should not have been.

mod control;
mod handshake;
mod idle;
mod malformed;
mod messages;
mod scene;
mod slots;
mod slow;
mod thousand;

use rigor_core::requirement::CatalogueErrors;
use rigor_runner::Suite;
use suite_websocket::Endpoint;

use crate::tlv::Profile;

/// Where the instrumented firmware sends messages back, whatever they are. Release images have no
/// such path.
fn echo() -> Endpoint {
    Endpoint { port: Profile::F.service().to_owned(), path: "/echo".to_owned(), message_max: Some(4096) }
}

/// RFC 6455, which every WebSocket server is held to.
///
/// # Errors
/// If the catalogue has requirements of the same ids.
pub(crate) fn conform(suite: &mut Suite) -> Result<(), CatalogueErrors> {
    suite_websocket::add_to(suite, &echo())
}

pub(crate) fn add_to(suite: &mut Suite) {
    slots::add_to(suite);
    idle::add_to(suite);
    handshake::add_to(suite);
    messages::add_to(suite);
    control::add_to(suite);
    malformed::add_to(suite);
    slow::add_to(suite);
    thousand::add_to(suite);
}
