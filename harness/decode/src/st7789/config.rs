//! What a decoder has to know beforehand.

use std::time::Duration;

use super::panel::Panel;
use super::scan::Scan;

/// What the controller is when the trace begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// Just reset: asleep, off, 18 bits a pixel. A trace that begins with the device's start is this.
    Reset,
    /// Set up by what is not in the trace, and lit.
    Running {
        /// Parameter of MADCTL.
        madctl: u8,
        /// Parameter of COLMOD.
        colmod: u8,
        /// Whether INVON was sent.
        inverted: bool,
    },
}

/// What a decoder has to know.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Config {
    /// The module.
    pub panel: Panel,
    /// How long a byte is on the bus: 100 ns at 80 MHz. A transfer has one instant, and this places the bytes
    /// after its first. Zero if not known.
    pub byte_time: Duration,
    /// What the controller is when the trace begins.
    pub start: Start,
    /// The panel's refresh, if it is known.
    pub scan: Option<Scan>,
    /// How long the bus has to be without pixels between two [frames](super::Frame).
    pub pause: Duration,
}

impl Config {
    /// A trace from the reset on, with no times of bytes, no refresh, and a pause of 4 ms (estimated: a
    /// quarter of a refresh, and longer than drivers compute between two windows of one picture).
    pub const fn new(panel: Panel) -> Self {
        Config {
            panel,
            byte_time: Duration::ZERO,
            start: Start::Reset,
            scan: None,
            pause: Duration::from_millis(4),
        }
    }
}
