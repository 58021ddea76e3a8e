//! From the events of a source to frames.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rigor_core::event::{Burst, BytesEncoding, Phases};
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

/// How far figures of a frame may be off.
#[derive(Clone, Copy, Default)]
struct Doubt {
    /// Of its instants.
    instant: Duration,
    /// Of the times of its pulses.
    pulse: Duration,
}

impl Doubt {
    fn of(event: &Event) -> Self {
        match &event.kind {
            // One clock has counted the stretch, whatever is known of its place on the rig's.
            Kind::Phases(phases) => {
                let pulse = phases.resolution();
                Doubt { instant: event.uncertainty.max(pulse), pulse }
            }
            // A pulse lies between two instants.
            _ => Doubt { instant: event.uncertainty, pulse: event.uncertainty * 2 },
        }
    }

    fn max(self, other: Doubt) -> Doubt {
        Doubt { instant: self.instant.max(other.instant), pulse: self.pulse.max(other.pulse) }
    }

    fn about(self, frame: &mut Frame) {
        frame.uncertainty = self.instant;
        frame.pulse_uncertainty = self.pulse;
    }
}

/// Decodes the events of one data pin: [`Kind::Edge`], [`Kind::Burst`] and [`Kind::Phases`] alike, in any
/// mixture.
///
/// A burst is expanded to its edges and these go through the same [`Decoder`] as anybody's. Two
/// bursts with the same bytes and encoding have the same edges but for their start, so the decoded
/// body is kept and used again, where the burst begins a frame; what is kept is bounded by
/// [`MEMO_BURSTS`] and [`MEMO_BYTES`] and never changes the result.
///
/// The phases of an instrument are edges too. Where watching begins, at the first of them and after a
/// gap, the wire may be in the middle of a frame: nothing is a frame until it has rested for the latch
/// time.
///
/// [`Kind::Gap`] cuts the frame under way; other kinds are ignored.
pub struct LaneDecoder {
    decoder: Decoder,
    memo: Option<Memo>,
    edges: Vec<PackedEdge>,
    /// The greatest of an event of the frame under way.
    doubt: Doubt,
    /// Frames that ended up to here are somebody else's.
    known_until: Option<Instant>,
}

impl LaneDecoder {
    /// A decoder that has seen nothing yet.
    pub fn new(config: Config) -> Self {
        LaneDecoder {
            decoder: Decoder::new(config),
            memo: Some(Memo::default()),
            edges: Vec::new(),
            doubt: Doubt::default(),
            known_until: None,
        }
    }

    /// A decoder that begins after `event`, the last one of its pin before what is to be decoded. It knows
    /// what the wire did in it, and gives no frame that had its last edge there.
    pub fn after(config: Config, event: &Event) -> Self {
        let mut lane = LaneDecoder::new(config);
        lane.event(event, &mut Vec::new());
        lane.known_until = lane.decoder.last_edge();
        lane
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
        let doubt = Doubt::of(event);
        match &event.kind {
            Kind::Edge(level) => frames.extend(self.decoder.edge(event.at, *level)),
            Kind::Burst(burst) => self.burst(event.at.as_nanos(), burst, frames),
            Kind::Phases(phases) => self.phases(event.at, phases, doubt, frames),
            Kind::Gap(_) => {
                frames.extend(self.decoder.quiet_until(event.at));
                frames.extend(self.decoder.lost());
            }
            _ => return,
        }
        // The event that ends a frame belongs to the next one.
        for frame in &mut frames[before..] {
            std::mem::replace(&mut self.doubt, doubt).about(frame);
        }
        self.doubt = self.doubt.max(doubt);
        if frames.len() > before
            && let Some(known_until) = self.known_until.take()
            && frames[before].end <= known_until
        {
            // Of several only the first can be that old.
            frames.remove(before);
        }
    }

    /// The source is complete up to `until` (see [`rigor_core::timeline::Timeline::complete_until`]):
    /// gives the frame under way if the wire has been low for the latch time by then.
    pub fn quiet_until(&mut self, until: Instant) -> Option<Frame> {
        let mut frame = self.decoder.quiet_until(until)?;
        std::mem::take(&mut self.doubt).about(&mut frame);
        let known = self.known_until.take().is_some_and(|until| frame.end <= until);
        (!known).then_some(frame)
    }

    /// The trace is over. Gives the frame under way.
    pub fn finish(self) -> Option<Frame> {
        let mut frame = self.decoder.finish()?;
        self.doubt.about(&mut frame);
        let known = self.known_until.is_some_and(|until| frame.end <= until);
        (!known).then_some(frame)
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

    fn phases(&mut self, at: Instant, phases: &Phases, doubt: Doubt, frames: &mut Vec<Frame>) {
        let start = at.as_nanos();
        let LaneDecoder { decoder, edges: batch, doubt: known, .. } = self;
        if !decoder.has_open_frame() {
            *known = doubt;
        } else if !decoder.would_begin(start) {
            // A pulse that lies in two stretches is as uncertain as both of their places.
            let shared = Doubt { pulse: known.instant + doubt.instant, ..doubt };
            *known = known.max(doubt).max(shared);
        }
        if !phases.lengths.is_empty() {
            frames.extend(decoder.watched(start, phases.first));
        }
        phases.edges().skip(1).for_each(|(offset, level)| {
            batch.push(PackedEdge::new(Instant::from_nanos(start.saturating_add(offset)), level));
            if batch.len() == BATCH {
                decoder.edges(batch, frames);
                batch.clear();
            }
        });
        decoder.edges(batch, frames);
        batch.clear();
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
