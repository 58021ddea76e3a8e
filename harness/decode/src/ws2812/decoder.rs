//! From edges to frames.

use std::sync::Arc;
use std::time::Duration;

use rigor_core::time::nanos;
use rigor_core::{Instant, Level};

use super::body::{Body, Growing};
use super::frame::{Cut, Ending, Frame};
use super::whole_bytes;
use crate::capture::PackedEdge;

/// How frames are told apart. See the [module's table](super#how-a-frame-is-told-from-the-next).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// A low this long ends every frame. 50 us by default (WS2812B datasheet, RES).
    pub latch: Duration,
    /// The longest low that is surely part of a bit. 5 us by default (PRISM K1 specification, L9).
    pub longest_bit_low: Duration,
    /// Bits of a frame, if known: 24 a pixel.
    pub frame_bits: Option<u32>,
    /// A frame of this many bits is cut ([`Cut::TooLong`]), so that a wire that never rests cannot
    /// take all memory. 2^20 by default: 43,690 pixels, or 1.3 s.
    pub max_bits: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            latch: Duration::from_micros(50),
            longest_bit_low: Duration::from_micros(5),
            frame_bits: None,
            max_bits: 1 << 20,
        }
    }
}

impl Config {
    /// The defaults for a strip of `pixels` pixels of 24 bits.
    pub fn strip(pixels: u32) -> Self {
        Config { frame_bits: Some(pixels.saturating_mul(24)), ..Config::default() }
    }
}

/// A frame that has begun.
struct Open {
    start: u64,
    end: u64,
    low_before: Option<u64>,
    body: OpenBody,
}

enum OpenBody {
    Growing(Box<Growing>),
    /// Known already. Becomes `Growing` again should the frame go on.
    Known(Arc<Body>),
}

impl Open {
    fn bits(&self) -> u64 {
        match &self.body {
            OpenBody::Growing(body) => body.bits(),
            OpenBody::Known(body) => body.bits(),
        }
    }

    fn growing(&mut self) -> &mut Growing {
        if let OpenBody::Known(body) = &self.body {
            self.body = OpenBody::Growing(Box::new(Growing::thaw(body)));
        }
        match &mut self.body {
            OpenBody::Growing(body) => body,
            OpenBody::Known(_) => unreachable!("thawed above"),
        }
    }

    fn close(self, ending: Ending) -> Frame {
        Frame {
            start: Instant::from_nanos(self.start),
            end: Instant::from_nanos(self.end),
            low_before: self.low_before.map(Duration::from_nanos),
            uncertainty: Duration::ZERO,
            pulse_uncertainty: Duration::ZERO,
            ending,
            body: match self.body {
                OpenBody::Growing(body) => Arc::new(body.freeze()),
                OpenBody::Known(body) => body,
            },
        }
    }
}

/// Decodes the edges of one wire into [`Frame`]s, one edge at a time or by the slice.
///
/// The frame under way takes one byte for eight bits, up to [`Config::max_bits`]; nothing else
/// grows. Frames are without uncertainty; [`LaneDecoder`](super::LaneDecoder) knows better.
pub struct Decoder {
    latch: u64,
    longest_bit_low: u64,
    frame_bits: Option<u64>,
    max_bytes: u64,
    /// Level of the wire and the instant of its last edge; `None` before the first.
    wire: Option<(Level, u64)>,
    /// Since this instant an instrument watches the wire, and it has not rested for the latch time yet:
    /// what is on it may be the rest of a frame.
    adrift: Option<u64>,
    open: Option<Open>,
    /// Length of the last frame: the next is likely to be as long.
    expected_bytes: usize,
}

impl Decoder {
    /// A decoder that has seen nothing yet.
    ///
    /// `max_bits` is rounded up to a whole byte, and at least one.
    pub fn new(config: Config) -> Self {
        Decoder {
            latch: nanos(config.latch),
            longest_bit_low: nanos(config.longest_bit_low),
            frame_bits: config.frame_bits.map(u64::from),
            max_bytes: u64::from(config.max_bits.div_ceil(8).max(1)),
            wire: None,
            adrift: None,
            open: None,
            expected_bytes: 0,
        }
    }

    /// The wire changed to `level` at `at`. Gives the frame that this ended, if it did.
    ///
    /// The first bit of a frame is known to end the one before it, so a frame is given when the
    /// next begins, or earlier by [`quiet_until`](Self::quiet_until).
    ///
    /// An edge to the level that the wire has already is a defect
    /// ([`RepeatedLevel`](super::DefectKind::RepeatedLevel)) and otherwise ignored. An edge older
    /// than the last one cuts the frame ([`Cut::TimeReversed`]); decoding starts anew with it.
    pub fn edge(&mut self, at: Instant, level: Level) -> Option<Frame> {
        self.step(at.as_nanos(), level)
    }

    fn step(&mut self, at: u64, level: Level) -> Option<Frame> {
        let Some((old, since)) = self.wire else {
            self.wire = Some((level, at));
            if level == Level::High {
                self.begin(at, None);
            }
            return None;
        };
        if at < since {
            let cut = self.cut(Cut::TimeReversed);
            self.step(at, level);
            return cut;
        }
        if old == level {
            if let Some(open) = &mut self.open {
                open.growing().repeated_level();
            }
            return None;
        }
        self.wire = Some((level, at));
        match level {
            Level::High => self.rise(at, at - since),
            Level::Low => self.fall(at, at - since),
        }
    }

    /// An instrument has watched the wire since `at` or longer, and it was at `level` then. Gives the
    /// frame that this ended, if it did.
    ///
    /// If it was not watched before, a frame begins only after a low of the latch time: until then the
    /// wire may be in the middle of one.
    pub(super) fn watched(&mut self, at: u64, level: Level) -> Option<Frame> {
        match self.wire {
            Some((known, since)) if at >= since => {
                if known == level {
                    None
                } else {
                    self.step(at, level)
                }
            }
            before => {
                let cut = before.and_then(|_| self.cut(Cut::TimeReversed));
                self.wire = Some((level, at));
                self.adrift = Some(at);
                cut
            }
        }
    }

    /// How the open frame ends if its last low was this long and the wire then rises.
    fn ending_by(&self, low: u64, bits: u64) -> Option<Ending> {
        if low >= self.latch {
            Some(Ending::Latched)
        } else if low > self.longest_bit_low && self.frame_bits == Some(bits) {
            Some(Ending::ShortReset)
        } else {
            None
        }
    }

    fn rise(&mut self, at: u64, low: u64) -> Option<Frame> {
        let Some(open) = &self.open else {
            match self.adrift {
                None => self.begin(at, Some(low)),
                Some(_) if low < self.latch => {}
                Some(watched) => {
                    self.adrift = None;
                    // Where watching began in the low, nobody knows how long it was.
                    self.begin(at, (at - low != watched).then_some(low));
                }
            }
            return None;
        };
        match self.ending_by(low, open.bits()) {
            Some(ending) => {
                let frame = self.close(ending);
                self.begin(at, Some(low));
                frame
            }
            None => {
                let longest = self.longest_bit_low;
                if let Some(open) = &mut self.open {
                    open.growing().low(low, longest);
                }
                None
            }
        }
    }

    fn fall(&mut self, at: u64, high: u64) -> Option<Frame> {
        let max_bytes = self.max_bytes;
        let open = self.open.as_mut()?;
        let body = open.growing();
        body.high(high);
        let full = body.bytes.len() as u64 >= max_bytes;
        open.end = at;
        if full { self.close(Ending::Cut(Cut::TooLong)) } else { None }
    }

    fn begin(&mut self, at: u64, low_before: Option<u64>) {
        let body = OpenBody::Growing(Box::new(Growing::with_capacity(self.expected_bytes)));
        self.open = Some(Open { start: at, end: at, low_before, body });
    }

    fn close(&mut self, ending: Ending) -> Option<Frame> {
        let frame = self.open.take()?.close(ending);
        self.expected_bytes = frame.body.bytes.len();
        Some(frame)
    }

    /// Decodes a slice of edges, as [`edge`](Self::edge) would one by one, and appends the frames
    /// that they end to `frames`.
    pub fn edges(&mut self, edges: &[PackedEdge], frames: &mut Vec<Frame>) {
        let mut rest = edges;
        while !rest.is_empty() {
            let done = self.whole_bytes(rest);
            rest = &rest[done..];
            // What the fast path left: the start or end of a frame, or something odd. At most one
            // byte of it, then the fast path has another try.
            let slow = rest.len().min(whole_bytes::EDGES);
            for (index, edge) in rest[..slow].iter().enumerate() {
                frames.extend(self.step(edge.nanos(), edge.level()));
                if index + 1 == slow || self.at_byte_start() {
                    rest = &rest[index + 1..];
                    break;
                }
            }
        }
    }

    /// Whether the wire has risen for the first bit of a byte.
    fn at_byte_start(&self) -> bool {
        matches!(
            (&self.wire, &self.open),
            (Some((Level::High, _)), Some(Open { body: OpenBody::Growing(body), .. })) if body.tail.bits == 0
        )
    }

    /// Decodes as many plain bytes as there are at the beginning of `edges`; the number of edges
    /// taken.
    fn whole_bytes(&mut self, edges: &[PackedEdge]) -> usize {
        if !self.at_byte_start() {
            return 0;
        }
        let (Some((_, since)), Some(open)) = (&mut self.wire, &mut self.open) else {
            return 0;
        };
        let OpenBody::Growing(body) = &mut open.body else {
            return 0;
        };
        // The last byte before the limit takes the slow path, which looks at the limit.
        let room = (self.max_bytes - 1).saturating_sub(body.bytes.len() as u64);
        let limit_ns = self.longest_bit_low.min(self.latch.saturating_sub(1));
        let run = whole_bytes::decode(*since, edges, limit_ns, room, &mut body.bytes, &mut body.timing);
        *since = run.rise;
        if run.edges > 0 {
            open.end = run.fall;
        }
        run.edges
    }

    /// The source promises that there is no edge before `at` that it has not delivered. Gives the
    /// frame under way if the wire has been low for the latch time by then.
    pub fn quiet_until(&mut self, at: Instant) -> Option<Frame> {
        let (level, since) = self.wire?;
        let latched = level == Level::Low && at.as_nanos().saturating_sub(since) >= self.latch;
        if latched { self.close(Ending::Latched) } else { None }
    }

    /// The source lost edges: cuts the frame under way and forgets the level of the wire.
    pub fn lost(&mut self) -> Option<Frame> {
        self.cut(Cut::Gap)
    }

    /// The trace is over. Gives the frame under way.
    pub fn finish(mut self) -> Option<Frame> {
        self.close(Ending::TraceEnded)
    }

    fn cut(&mut self, cut: Cut) -> Option<Frame> {
        self.wire = None;
        self.adrift = None;
        self.close(Ending::Cut(cut))
    }

    /// The instant of the wire's last edge, or that at which watching began.
    pub(super) fn last_edge(&self) -> Option<Instant> {
        self.wire.map(|(_, since)| Instant::from_nanos(since))
    }

    pub(super) fn has_open_frame(&self) -> bool {
        self.open.is_some()
    }

    /// Whether a rise at `at` would surely be the first of a new frame.
    pub(super) fn would_begin(&self, at: u64) -> bool {
        match (&self.wire, &self.open) {
            (None, _) => true,
            (Some((Level::Low, since)), None) => at >= *since && self.adrift.is_none(),
            (Some((Level::Low, since)), Some(open)) => {
                at >= *since && self.ending_by(at - since, open.bits()).is_some()
            }
            (Some((Level::High, _)), _) => false,
        }
    }

    /// The wire rises at `at` for a frame whose body is known already; its last falling edge is
    /// `length` later. Gives the frame that this ended, if it did. Only where a rise
    /// [would begin](Self::would_begin) a frame.
    pub(super) fn begin_known(&mut self, at: u64, body: Arc<Body>, length: u64) -> Option<Frame> {
        let low_before = self.wire.map(|(_, since)| at - since);
        let ending =
            self.open.as_ref().zip(low_before).and_then(|(open, low)| self.ending_by(low, open.bits()));
        let ended = ending.and_then(|ending| self.close(ending));
        let end = at.saturating_add(length);
        self.open = Some(Open { start: at, end, low_before, body: OpenBody::Known(body) });
        self.wire = Some((Level::Low, end));
        ended
    }

    /// The body of the frame under way, which a later edge may still change for this decoder, and
    /// the distance of its last falling edge from its start. The wire must be low.
    pub(super) fn share_open(&mut self) -> Option<(Arc<Body>, u64)> {
        let open = self.open.as_mut()?;
        let body = match std::mem::replace(&mut open.body, OpenBody::Growing(Box::default())) {
            OpenBody::Growing(body) => Arc::new(body.freeze()),
            OpenBody::Known(body) => body,
        };
        open.body = OpenBody::Known(body.clone());
        Some((body, open.end - open.start))
    }
}
