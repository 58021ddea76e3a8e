//! What can be wrong with a board or its link on purpose, so that a suite can be shown to notice.
//!
//! A fault is given to a [`Board`](crate::Board) before it runs and stays for good. Boards have
//! none by themselves.

use serde::Deserialize;

/// Something wrong with the board itself.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum BoardFault {
    /// The first two bytes of every pixel change places: a strip that takes red before green.
    ColoursSwapped,
}

/// Something wrong with the link between the rig and the board.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LinkFault {
    /// Every connection is torn down (RST) once it has carried this many bytes to the device.
    Reset {
        /// Bytes to the device before the reset.
        after_bytes: u64,
    },
}
