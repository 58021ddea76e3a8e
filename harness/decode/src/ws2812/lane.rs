//! From the events of a source to frames.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rigor_core::event::{Burst, BytesEncoding};
use rigor_core::time::nanos;
use rigor_core::{Event, Instant, Kind, Level};

use super::body::Body;
use super::decoder::{Config, Decoder};
use super::frame::Frame;
use crate::capture::PackedEdge;

/// Bursts whose decoded body a [`LaneDecoder`] keeps. When there are more it starts over.
pub const MEMO_BURSTS: usize = 512;

/// Longer bursts are decoded every time, so that the memo stays below 5 MB.
pub const MEMO_BYTES: usize = 4096;

/// Edges of a burst that are expanded at a time.
const BATCH: usize = 4096;

/// What the edges of a burst depend on, apart from its start.
#[derive(PartialEq, Eq, Hash)]
struct Pulses {
    bytes: Arc<[u8]>,
    encoding: BytesEncoding,
}

#[derive(Clone)]
struct Decoded {
    body: Arc<Body>,
    /// From the first rise to the last falling edge, in nanoseconds.
    length: u64,
}

/// What bursts were decoded to.
#[derive(Default)]
struct Memo {
    by_pulses: HashMap<Pulses, Decoded>,
    /// Who sends the same bytes again often sends them from the same memory: by its address, with what
    /// lies there. As long as it is kept here nobody else can have the address.
    by_address: HashMap<usize, (Pulses, Decoded)>,
}

impl Memo {
    fn find(&mut self, pulses: Pulses) -> Result<Decoded, Pulses> {
        let address = pulses.bytes.as_ptr().addr();
        if let Some((known, decoded)) = self.by_address.get(&address)
            && Arc::ptr_eq(&known.bytes, &pulses.bytes)
            && known.encoding == pulses.encoding
        {
            return Ok(decoded.clone());
        }
        let Some(decoded) = self.by_pulses.get(&pulses).cloned() else { return Err(pulses) };
        if self.by_address.len() >= MEMO_BURSTS {
            self.by_address.clear();
        }
        self.by_address.insert(address, (pulses, decoded.clone()));
        Ok(decoded)
    }

    fn keep(&mut self, pulses: Pulses, decoded: Decoded) {
        if self.by_pulses.len() >= MEMO_BURSTS {
            self.by_pulses.clear();
            self.by_address.clear();
        }
        self.by_pulses.insert(pulses, decoded);
    }
}

/// Decodes the events of one data pin: [`Kind::Edge`] and [`Kind::Burst`] alike, in any mixture.
///
/// A burst is expanded to its edges and these go through the same [`Decoder`] as anybody's. Two
/// bursts with the same bytes and encoding have the same edges but for their start, so the decoded
/// body is kept and used again, where the burst begins a frame; what is kept is bounded by
/// [`MEMO_BURSTS`] and [`MEMO_BYTES`] and never changes the result.
///
/// [`Kind::Gap`] cuts the frame under way; other kinds are ignored.
pub struct LaneDecoder {
    decoder: Decoder,
    memo: Option<Memo>,
    edges: Vec<PackedEdge>,
    /// The greatest uncertainty of an event of the frame under way.
    uncertainty: Duration,
}

impl LaneDecoder {
    /// A decoder that has seen nothing yet.
    pub fn new(config: Config) -> Self {
        LaneDecoder {
            decoder: Decoder::new(config),
            memo: Some(Memo::default()),
            edges: Vec::new(),
            uncertainty: Duration::ZERO,
        }
    }

    /// The same without a memo: every burst is decoded edge by edge.
    pub fn without_memo(config: Config) -> Self {
        LaneDecoder { memo: None, ..LaneDecoder::new(config) }
    }

    /// Decodes all of `events`, to the end of the trace.
    pub fn decode<'a>(config: Config, events: impl IntoIterator<Item = &'a Event>) -> Vec<Frame> {
        let mut lane = LaneDecoder::new(config);
        let mut frames = Vec::new();
        for event in events {
            lane.event(event, &mut frames);
        }
        frames.extend(lane.finish());
        frames
    }

    /// Takes the lane's next event and appends the frames that it ends to `frames`.
    pub fn event(&mut self, event: &Event, frames: &mut Vec<Frame>) {
        let before = frames.len();
        match &event.kind {
            Kind::Edge(level) => frames.extend(self.decoder.edge(event.at, *level)),
            Kind::Burst(burst) => self.burst(event.at.as_nanos(), burst, frames),
            Kind::Gap(_) => frames.extend(self.decoder.lost()),
            _ => return,
        }
        // The event that ends a frame belongs to the next one.
        for frame in &mut frames[before..] {
            frame.uncertainty = std::mem::replace(&mut self.uncertainty, event.uncertainty);
        }
        self.uncertainty = self.uncertainty.max(event.uncertainty);
    }

    /// The source is complete up to `until` (see [`rigor_core::timeline::Timeline::complete_until`]):
    /// gives the frame under way if the wire has been low for the latch time by then.
    pub fn quiet_until(&mut self, until: Instant) -> Option<Frame> {
        let frame = self.decoder.quiet_until(until)?;
        Some(Frame { uncertainty: std::mem::take(&mut self.uncertainty), ..frame })
    }

    /// The trace is over. Gives the frame under way.
    pub fn finish(self) -> Option<Frame> {
        let frame = self.decoder.finish()?;
        Some(Frame { uncertainty: self.uncertainty, ..frame })
    }

    fn burst(&mut self, at: u64, burst: &Burst, frames: &mut Vec<Frame>) {
        let longest = burst.encoding.zero.period_ns().max(burst.encoding.one.period_ns());
        let usable = burst.idle == Level::Low
            && (1..=MEMO_BYTES).contains(&burst.bytes.len())
            // Beyond that the edges saturate, and are no longer the same but for their start.
            && longest
                .checked_mul(burst.bytes.len() as u64 * 8)
                .and_then(|length| at.checked_add(length))
                .is_some_and(|end| end <= u64::MAX >> 1)
            && self.decoder.would_begin(at);
        let Some(memo) = self.memo.as_mut().filter(|_| usable) else {
            return self.expand(at, burst, frames);
        };
        let pulses = Pulses { bytes: burst.bytes.clone(), encoding: burst.encoding };
        let pulses = match memo.find(pulses) {
            Ok(known) => {
                frames.extend(self.decoder.begin_known(at, known.body, known.length));
                return;
            }
            Err(pulses) => pulses,
        };
        let ended = frames.len() + usize::from(self.decoder.has_open_frame());
        self.expand(at, burst, frames);
        if frames.len() != ended {
            return; // The burst holds more than one frame.
        }
        if let (Some((body, length)), Some(memo)) = (self.decoder.share_open(), &mut self.memo) {
            memo.keep(pulses, Decoded { body, length });
        }
    }

    fn expand(&mut self, at: u64, burst: &Burst, frames: &mut Vec<Frame>) {
        let LaneDecoder { decoder, edges: batch, .. } = self;
        burst.edges().for_each(|(offset, level)| {
            batch.push(PackedEdge::new(Instant::from_nanos(at.saturating_add(offset)), level));
            if batch.len() == BATCH {
                decoder.edges(batch, frames);
                batch.clear();
            }
        });
        decoder.edges(batch, frames);
        batch.clear();
        if burst.idle == Level::High {
            // The wire goes back to its idle level; `Burst::edges` has only the symbols.
            let end = Instant::from_nanos(at.saturating_add(nanos(burst.duration())));
            self.decoder.edges(&[PackedEdge::new(end, Level::High)], frames);
        }
    }
}
