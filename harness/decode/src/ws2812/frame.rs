//! A frame: a [`Body`] and when it was on the wire.

use std::sync::Arc;
use std::time::Duration;

use rigor_core::Instant;

use super::body::Body;
use super::colour::{ColourOrder, Rgb};

/// The bits between two resets, and when they were on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// The rise of the first bit.
    pub start: Instant,
    /// The last falling edge. The low of the last bit is not part of the frame: on the wire it is
    /// one with the reset. Equal to `start` if no bit was complete.
    pub end: Instant,
    /// How long the wire was low before `start`, from the falling edge before it: the whole low
    /// that the chips saw. `None` if that edge was not seen, as at the start of a trace.
    pub low_before: Option<Duration>,
    /// `start` and `end` are right within plus or minus this.
    pub uncertainty: Duration,
    /// Each time in the body's [`timing`](Body::timing) is right within plus or minus this.
    pub pulse_uncertainty: Duration,
    /// Why the frame ends where it ends.
    pub ending: Ending,
    /// What it says.
    pub body: Arc<Body>,
}

impl Frame {
    /// From the first rise to the last falling edge.
    pub fn duration(&self) -> Duration {
        self.end.since(self.start)
    }

    /// The whole pixels in wire order.
    pub fn pixels(&self, order: ColourOrder) -> impl ExactSizeIterator<Item = Rgb> + '_ {
        self.body.pixels(order)
    }

    /// Whether everything of the frame was seen: it began after a low and ended by one.
    pub fn is_whole(&self) -> bool {
        self.low_before.is_some() && matches!(self.ending, Ending::Latched | Ending::ShortReset)
    }
}

/// Why a frame ends where it ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ending {
    /// The wire stayed low for at least [`Config::latch`](super::Config::latch).
    Latched,
    /// All bits of the strip were sent and the next frame began before the latch time; its
    /// `low_before` is the length of the reset.
    ShortReset,
    /// The trace ended before the latch time.
    TraceEnded,
    /// The decoder lost the thread; bits may be missing.
    Cut(Cut),
}

/// Why a decoder lost the thread.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cut {
    /// The source lost data ([`rigor_core::event::Gap`]).
    Gap,
    /// An edge was older than the one before it: the source is not in order.
    TimeReversed,
    /// The frame reached [`Config::max_bits`](super::Config::max_bits).
    TooLong,
}
