//! Passes that people see as one picture.

use std::time::Duration;

use rigor_core::{Event, Instant};
use serde::Serialize;

use super::address::Rect;
use super::config::Config;
use super::decoder::Decoder;
use super::finding::as_nanos;
use super::item::Item;
use super::pass::PassEnding;
use super::scan::Tear;
use super::screen::Screen;
use crate::picture::Picture;

/// A picture that the panel showed, or would have shown if it had been [lit](Frame::lit). What makes one:
/// see [the module](super).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Frame {
    /// The first byte of its first pass, or the register that brought it about.
    #[serde(rename = "start_ns")]
    pub start: Instant,
    /// The end of the last byte of its last pass; `start` if no pass belongs to it.
    #[serde(rename = "end_ns")]
    pub end: Instant,
    /// `start` and `end` are right within plus or minus this.
    #[serde(rename = "uncertainty_ns", serialize_with = "as_nanos")]
    pub uncertainty: Duration,
    /// The smallest rectangle of the picture with everything in it that changed, or may have.
    pub dirty: Rect,
    /// Passes of which something is seen.
    pub passes: u64,
    /// The first tear of one of them.
    pub tear: Option<Tear>,
    /// Whether the display was on and not asleep when the frame was over.
    pub lit: bool,
    /// All of the panel as it was then, lit or not.
    #[serde(skip)]
    pub picture: Picture,
}

impl std::fmt::Display for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let took = self.end.since(self.start).as_secs_f64() * 1e3;
        match self.passes {
            0 => f.write_str("shown otherwise by a command")?,
            1 => write!(f, "1 pass in {took:.3} ms, {} changed", self.dirty)?,
            passes => write!(f, "{passes} passes in {took:.3} ms, {} changed", self.dirty)?,
        }
        if !self.lit {
            f.write_str(", dark")?;
        }
        self.tear.map_or(Ok(()), |tear| write!(f, "; {tear}"))
    }
}

/// A frame under way.
#[derive(Clone, Copy)]
struct Open {
    start: Instant,
    end: Instant,
    uncertainty: Duration,
    dirty: Option<Rect>,
    passes: u64,
    tear: Option<Tear>,
}

/// Puts passes together.
pub(super) struct Grouping {
    pause: Duration,
    open: Option<Open>,
    /// A pass has begun and not ended. What happens to registers meanwhile does not end the frame.
    in_pass: bool,
}

impl Grouping {
    pub(super) fn new(pause: Duration) -> Self {
        Grouping { pause, open: None, in_pass: false }
    }

    /// Takes the decoder's next item, and gives the frame that it ends.
    pub(super) fn item(&mut self, screen: &Screen, item: &Item) -> Option<Frame> {
        match *item {
            Item::PassBegins { at, uncertainty, area } => {
                let repaints = area == Some(screen.panel().everything());
                let over = self.open.is_some_and(|open| repaints || at.since(open.end) >= self.pause);
                let frame = if over { self.close(screen) } else { None };
                self.in_pass = true;
                self.open(at, uncertainty);
                frame
            }
            Item::Pass(ref pass) => {
                self.in_pass = false;
                let open = self.open.as_mut()?;
                open.end = open.end.max(pass.end);
                open.uncertainty = open.uncertainty.max(pass.uncertainty);
                if let Some(dirty) = pass.dirty {
                    open.passes += 1;
                    open.dirty = Some(open.dirty.map_or(dirty, |known| known.joined(dirty)));
                    open.tear = open.tear.or(pass.tear);
                }
                // What comes after a gap may be anything.
                if pass.ending == PassEnding::Gap { self.close(screen) } else { None }
            }
            Item::ShowsOtherwise { at, uncertainty, lit } if !self.in_pass => {
                let frame = self.close(screen);
                if lit {
                    self.open(at, uncertainty).dirty = Some(screen.panel().everything());
                }
                frame
            }
            Item::ShowsOtherwise { .. } | Item::Command(_) | Item::Finding(_) => None,
        }
    }

    /// The frame under way, if the bus has been without pixels for the pause by then.
    pub(super) fn quiet_until(&mut self, screen: &Screen, until: Instant) -> Option<Frame> {
        let over = !self.in_pass && self.open.is_some_and(|open| until.since(open.end) >= self.pause);
        if over { self.close(screen) } else { None }
    }

    /// The frame under way, whatever comes; `None` if nothing of it is seen.
    pub(super) fn close(&mut self, screen: &Screen) -> Option<Frame> {
        let Open { start, end, uncertainty, dirty, passes, tear } = self.open.take()?;
        let (dirty, lit) = (dirty?, screen.lit());
        Some(Frame { start, end, uncertainty, dirty, passes, tear, lit, picture: screen.picture() })
    }

    fn open(&mut self, at: Instant, uncertainty: Duration) -> &mut Open {
        self.open.get_or_insert(Open { start: at, end: at, uncertainty, dirty: None, passes: 0, tear: None })
    }
}

/// Decodes the events of one panel's bus to [`Frame`]s, and leaves out everything else that a [`Decoder`]
/// says.
pub struct FrameDecoder {
    decoder: Decoder,
    grouping: Grouping,
}

impl FrameDecoder {
    /// A decoder that has seen nothing yet.
    pub fn new(config: &Config) -> Self {
        FrameDecoder { decoder: Decoder::new(config), grouping: Grouping::new(config.pause) }
    }

    /// Decodes all of `events`, to the end of the trace. Each frame holds a picture, so memory grows with
    /// their number; [`Record`](super::Record) is bounded.
    pub fn decode<'a>(config: &Config, events: impl IntoIterator<Item = &'a Event>) -> Vec<Frame> {
        let mut decoder = FrameDecoder::new(config);
        let mut frames = Vec::new();
        for event in events {
            decoder.event(event, &mut frames);
        }
        decoder.finish(&mut frames);
        frames
    }

    /// The panel as it is now.
    pub fn screen(&self) -> &Screen {
        self.decoder.screen()
    }

    /// Takes the next event of the bus and appends the frames that it ends to `frames`.
    pub fn event(&mut self, event: &Event, frames: &mut Vec<Frame>) {
        let grouping = &mut self.grouping;
        self.decoder.event(event, |screen, item| frames.extend(grouping.item(screen, &item)));
    }

    /// The source is complete up to `until` (see [`rigor_core::timeline::Timeline::complete_until`]): gives
    /// the frame under way if the bus has been without pixels for the pause by then.
    pub fn quiet_until(&mut self, until: Instant) -> Option<Frame> {
        self.grouping.quiet_until(self.decoder.screen(), until)
    }

    /// The trace is over. Appends the frame under way, and what it brings to an end, to `frames`.
    pub fn finish(self, frames: &mut Vec<Frame>) {
        let FrameDecoder { decoder, mut grouping } = self;
        let screen = decoder.finish(|screen, item| frames.extend(grouping.item(screen, &item)));
        frames.extend(grouping.close(&screen));
    }
}
