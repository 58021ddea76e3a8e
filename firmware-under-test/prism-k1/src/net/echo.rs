//! What conformance suites talk to: messages are sent back as they came.

use super::{Handler, Reaction, Reply};
use crate::pool::Block;

/// A connection whose messages are sent back.
pub struct Echo;

impl Handler for Echo {
    const TEXT: bool = true;
    /// Whoever tests a WebSocket knows nothing of our frames.
    const ERRORS: bool = false;

    async fn message(&mut self, _buffer: &mut Block, _len: usize) -> Reaction {
        Reaction::Continue(Reply::Same)
    }

    fn ended(&mut self) {}
}
