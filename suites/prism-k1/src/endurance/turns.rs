//! Whether picture follows picture, for as long as one likes.
//!
//! Pictures are looked at as they come and not kept: a day of them would not fit in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rigor_core::Instant;
use rigor_decode::ws2812::Body;
use rigor_runner::need::Picture;

use crate::leds::LOGGED_WITHIN;
use crate::p11;
use crate::pattern::{self, FRAME_BYTES};
use crate::tlv::Profile;

/// Frames a second (seed, section 1).
const FPS: f64 = 120.0;
/// Known pictures of a pattern that are kept; the decoder gives the same picture the same body.
const KNOWN: usize = 4096;

/// A pattern and what it shows.
pub(super) struct Pattern {
    pub(super) file: Vec<u8>,
    /// One frame in each frame period, or only about that (specification, section 11, reading 1): a
    /// packaged pattern says when its frames are due.
    exact: bool,
    frames: usize,
    index: HashMap<Vec<u8>, usize>,
    /// By the addresses of the lanes' bodies.
    known: HashMap<Vec<usize>, Known>,
}

/// A picture that was looked at before.
struct Known {
    index: Option<usize>,
    /// Kept so that nobody else gets their addresses.
    _bodies: Vec<Arc<Body>>,
}

impl Pattern {
    /// A pattern of `frames` frames, up to 128, that all differ from each other and from those of
    /// another `series` (0 to 7), in the format of `profile`: raw or packaged.
    pub(super) fn of(profile: Profile, series: u8, frames: usize) -> Self {
        let (file, pictures): (Vec<u8>, Vec<Vec<u8>>) = match profile {
            Profile::N => {
                let file = pattern::numbered(series, frames);
                let pictures = file.chunks(FRAME_BYTES).map(<[u8]>::to_vec).collect();
                (file, pictures)
            }
            Profile::F => packaged(series, frames),
        };
        let index = pictures.into_iter().enumerate().map(|(index, picture)| (picture, index)).collect();
        Pattern { file, exact: profile == Profile::N, frames, index, known: HashMap::new() }
    }

    fn index_of(&mut self, picture: &Picture) -> Option<usize> {
        let key: Vec<usize> = picture.frames.iter().map(|frame| Arc::as_ptr(&frame.body).addr()).collect();
        if let Some(known) = self.known.get(&key) {
            return known.index;
        }
        let index = self.index.get(&picture.rgb_bytes()).copied();
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        let bodies = picture.frames.iter().map(|frame| frame.body.clone()).collect();
        self.known.insert(key, Known { index, _bodies: bodies });
        index
    }
}

/// A packaged pattern and its pictures: the same 160 pixels on both lanes (specification, section 7).
fn packaged(series: u8, frames: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    // As many as a palette may have (specification, section 6.1).
    const COLOURS: usize = 64;
    let palette: Vec<[u8; 3]> =
        (0..COLOURS as u8).map(|index| [index * 4, 255 - index, series << 4 | 7]).collect();
    // The first two pixels say which frame it is.
    let indices = |frame: usize| -> Vec<u8> {
        let pixels = (2..160).map(|pixel| (pixel * 3 + frame) % COLOURS);
        [frame % COLOURS, frame / COLOURS].into_iter().chain(pixels).map(|index| index as u8).collect()
    };
    let segments: Vec<(u8, Vec<u8>)> = (0..frames).map(|frame| (0, indices(frame))).collect();
    let picture = |frame| -> Vec<u8> {
        let lane: Vec<u8> =
            indices(frame).into_iter().flat_map(|index| palette[usize::from(index)]).collect();
        lane.repeat(2)
    };
    (p11::packaged(120 * 256, &palette, &segments), (0..frames).map(picture).collect())
}

/// A stretch of time without a picture that was due.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Hole {
    from: Instant,
    until: Instant,
    missing: u64,
}

/// Who watches the strip.
#[derive(Default)]
pub(super) struct Turns {
    playing: Option<Pattern>,
    /// What is to play soon, and from when on nothing else may.
    next: Option<(Pattern, Instant)>,
    /// When the last picture came, and which one of the pattern it was.
    last: Option<(Instant, Option<usize>)>,
    /// When the last picture came, while one that was due has not.
    silent_from: Option<Instant>,
    holes: Vec<Hole>,
    pictures: u64,
    out_of_turn: u64,
    first_out_of_turn: Option<String>,
}

impl Turns {
    /// From `deadline` on `pattern` must be on the strip, and until then it may be.
    pub(super) fn change_to(&mut self, pattern: Pattern, deadline: Instant) {
        self.next = Some((pattern, deadline));
    }

    /// Looks at the next picture.
    pub(super) fn take(&mut self, picture: &Picture) {
        let at = picture.start();
        let missing = self.hole_until(at);
        let shown = self.turn(picture, at, missing);
        if self.playing.is_some() {
            self.pictures += 1;
        }
        self.last = Some((at, shown));
    }

    /// No picture has begun between the last one and `now`.
    pub(super) fn nothing_until(&mut self, now: Instant) {
        // Pictures may just be on their way.
        let on_their_way = Duration::from_millis(25);
        if let Some((last, _)) = self.last.filter(|(last, _)| now.since(*last) > on_their_way) {
            if self.playing.is_some() {
                self.silent_from.get_or_insert(last);
            }
            self.last = Some((now, None));
        }
    }

    /// How many pictures are missing before one at `at`.
    fn hole_until(&mut self, at: Instant) -> u64 {
        let Some((last, _)) = self.last.filter(|_| self.playing.is_some()) else { return 0 };
        let from = self.silent_from.take().unwrap_or(last);
        let missing = missing(from, at);
        if missing > 0 {
            self.holes.push(Hole { from, until: at, missing });
        }
        missing
    }

    /// Which frame of the pattern `picture` shows, after `missing` that did not come.
    fn turn(&mut self, picture: &Picture, at: Instant, missing: u64) -> Option<usize> {
        let before = self.last.and_then(|(_, index)| index);
        if let Some((next, deadline)) = &mut self.next {
            if let Some(index) = next.index_of(picture) {
                self.playing = self.next.take().map(|(next, _)| next);
                return Some(index);
            }
            if at > *deadline {
                self.note(at, "the new pattern is not shown");
                return None;
            }
        }
        let changing = self.next.is_some();
        let playing = self.playing.as_mut()?;
        let frames = playing.frames;
        let Some(index) = playing.index_of(picture) else {
            self.note(at, "it shows no frame of the pattern");
            return None;
        };
        let Some(before) = before else { return Some(index) };
        let step = (index + frames - before) % frames;
        // Frames that were not sent may be left out or come later.
        let latest = 1 + missing as usize + usize::from(!playing.exact);
        let earliest = usize::from(playing.exact && !changing);
        let in_turn = (earliest..=latest).any(|allowed| allowed % frames == step);
        if !in_turn {
            self.note(at, &format!("frame {before} of {frames} was followed by {index}"));
        }
        Some(index)
    }

    fn note(&mut self, at: Instant, what: &str) {
        self.out_of_turn += 1;
        self.first_out_of_turn.get_or_insert_with(|| format!("{what} at {at}"));
    }

    /// Pictures looked at since the first pattern was shown.
    pub(super) fn pictures(&self) -> u64 {
        self.pictures
    }

    /// Pictures that showed something else than was due, and the first of them.
    pub(super) fn out_of_turn(&self) -> (u64, Option<&str>) {
        (self.out_of_turn, self.first_out_of_turn.as_deref())
    }

    /// Pictures that did not come, without those of a hole for which an overrun was logged; each log
    /// line excuses the longest hole that ended shortly before. Holes that ended after `until` do not
    /// count yet; of a silence that goes on, what lies before `until` does, as nothing excuses a
    /// picture that has not come at all. And the first of those that count.
    pub(super) fn unlogged(&self, overruns: &[Instant], until: Instant) -> (u64, Option<Instant>) {
        let mut holes: Vec<Hole> = self.holes.iter().filter(|hole| hole.until <= until).copied().collect();
        for &logged in overruns {
            let shortly_before =
                |hole: &Hole| hole.from <= logged && logged.since(hole.until) <= LOGGED_WITHIN;
            let excused = holes
                .iter()
                .enumerate()
                .filter(|(_, hole)| shortly_before(hole))
                .max_by_key(|(_, hole)| hole.missing)
                .map(|(index, _)| index);
            if let Some(index) = excused {
                holes.remove(index);
            }
        }
        if let (Some(from), Some((last, _))) = (self.silent_from, self.last) {
            let until = until.min(last);
            holes.push(Hole { from, until, missing: missing(from, until) });
        }
        holes.retain(|hole| hole.missing > 0);
        (holes.iter().map(|hole| hole.missing).sum(), holes.first().map(|hole| hole.from))
    }
}

/// How many pictures are missing between two that follow each other.
fn missing(from: Instant, until: Instant) -> u64 {
    let periods = (until.since(from).as_secs_f64() * FPS).round() as u64;
    periods.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use rigor_core::Event;
    use rigor_core::event::{Burst, BytesEncoding, Kind, Level, Symbol};
    use rigor_decode::ws2812::{Config, LaneDecoder};

    use super::*;

    const ENCODING: BytesEncoding = BytesEncoding {
        zero: Symbol { high_ns: 400, low_ns: 850 },
        one: Symbol { high_ns: 800, low_ns: 450 },
    };

    /// When frame number `tick` is due.
    fn due(tick: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(1) + Duration::from_nanos(tick * 1_000_000_000 / 120)
    }

    /// A picture of these colours, red, green, blue, that begins then.
    fn picture(at: Instant, rgb: &[u8]) -> Picture {
        let wire: Vec<u8> = rgb.chunks(3).flat_map(|pixel| [pixel[1], pixel[0], pixel[2]]).collect();
        let lane = |bytes: &[u8]| {
            let burst = Burst { bytes: Arc::from(bytes), encoding: ENCODING, idle: Level::Low };
            let event = Event { at, uncertainty: Duration::ZERO, kind: Kind::Burst(burst) };
            LaneDecoder::decode(Config::strip(160), &[event]).remove(0)
        };
        let (first, second) = wire.split_at(480);
        Picture { frames: vec![lane(first), lane(second)] }
    }

    /// A strip that shows `frames` of a raw pattern of seven, each at its tick.
    fn watched(shown: &[(u64, usize)]) -> Turns {
        let mut turns = Turns::default();
        turns.change_to(Pattern::of(Profile::N, 2, 7), due(10));
        for &(tick, frame) in shown {
            turns.take(&picture(due(tick), &pattern::numbered_frame(2, frame)));
        }
        turns
    }

    #[test]
    fn frames_in_turn_are_well() {
        let turns = watched(&[(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 0), (8, 1)]);
        assert_eq!((turns.pictures(), turns.out_of_turn(), turns.unlogged(&[], due(9)).0), (9, (0, None), 0));
    }

    #[test]
    fn a_missing_picture_counts_unless_an_overrun_was_logged() {
        // Two do not come: the pattern goes on, or goes on from where it was.
        for next in [2, 3, 4] {
            let turns = watched(&[(0, 0), (1, 1), (4, next)]);
            assert_eq!(
                (turns.out_of_turn().0, turns.unlogged(&[], due(9))),
                (0, (2, Some(due(1)))),
                "{next}"
            );
            assert_eq!(turns.unlogged(&[due(5)], due(9)), (0, None));
            assert_eq!(turns.unlogged(&[due(0)], due(9)).0, 2, "logged before it was");
            assert_eq!(
                turns.unlogged(&[due(4) + Duration::from_millis(501)], due(9)).0,
                2,
                "logged too late"
            );
            assert_eq!(turns.unlogged(&[], due(3)).0, 0, "its line may still come");
        }
        assert_eq!(
            watched(&[(0, 0), (1, 1), (4, 5)]).out_of_turn().0,
            1,
            "more was left out than did not come"
        );
    }

    #[test]
    fn a_log_line_excuses_one_hole() {
        let turns = watched(&[(0, 0), (2, 2), (5, 5), (6, 6)]);
        assert_eq!(turns.unlogged(&[due(6)], due(9)), (1, Some(due(0))));
    }

    #[test]
    fn a_frame_that_is_shown_twice_is_out_of_turn_though_none_is_missing() {
        let turns = watched(&[(0, 0), (1, 1), (2, 1), (3, 3)]);
        assert_eq!(turns.unlogged(&[], due(9)).0, 0);
        assert_eq!(turns.out_of_turn().0, 2);
        assert!(turns.out_of_turn().1.is_some_and(|told| told.contains("frame 1 of 7 was followed by 1")));
    }

    #[test]
    fn silence_counts_while_it_lasts() {
        let mut turns = watched(&[(0, 0), (1, 1)]);
        turns.nothing_until(due(3));
        assert_eq!(turns.unlogged(&[], due(3)).0, 0, "it may be on its way");
        turns.nothing_until(due(121));
        turns.nothing_until(due(241));
        assert_eq!(turns.unlogged(&[], due(241)), (239, Some(due(1))));
        assert_eq!(turns.unlogged(&[], due(181)).0, 179, "lines about the rest may still come");
        assert_eq!(turns.unlogged(&[], due(2)), (0, None));
        assert_eq!(turns.unlogged(&[due(2)], due(241)).0, 239, "a line about an earlier one");
    }

    #[test]
    fn a_silence_is_one_hole_however_often_one_looks() {
        let mut turns = watched(&[(0, 0), (1, 1)]);
        turns.nothing_until(due(121));
        turns.nothing_until(due(241));
        turns.take(&picture(due(244), &pattern::numbered_frame(2, 2)));
        turns.take(&picture(due(247), &pattern::numbered_frame(2, 5)));
        assert_eq!(turns.unlogged(&[], due(300)), (242 + 2, Some(due(1))));
        assert_eq!(turns.unlogged(&[due(245)], due(300)), (2, Some(due(244))), "one line, one hole");
        assert_eq!(turns.unlogged(&[due(245), due(248)], due(300)), (0, None));
    }

    #[test]
    fn a_new_pattern_may_come_until_its_deadline_and_must_then() {
        let mut turns = watched(&[(0, 0), (1, 1)]);
        turns.change_to(Pattern::of(Profile::F, 3, 5), due(4));
        // Nobody feeds the old one any more.
        turns.take(&picture(due(2), &pattern::numbered_frame(2, 1)));
        assert_eq!(turns.out_of_turn().0, 0);
        let packaged = packaged(3, 5).1;
        turns.take(&picture(due(3), &packaged[0]));
        turns.take(&picture(due(4), &packaged[1]));
        turns.take(&picture(due(5), &packaged[1]));
        turns.take(&picture(due(6), &packaged[3]));
        assert_eq!(turns.out_of_turn().0, 0, "a packaged frame may be shown twice or left out");
        turns.take(&picture(due(7), &pattern::numbered_frame(2, 2)));
        assert_eq!(turns.out_of_turn().0, 1, "the old pattern is over");
        turns.change_to(Pattern::of(Profile::N, 4, 3), due(8));
        turns.take(&picture(due(9), &packaged[4]));
        assert_eq!(turns.out_of_turn().0, 2, "the new pattern is due");
    }

    #[test]
    fn no_two_frames_of_patterns_are_alike() {
        let mut all = std::collections::HashSet::new();
        for series in 0..8 {
            for profile in Profile::ALL {
                let pattern = Pattern::of(profile, series, 128);
                assert_eq!(pattern.index.len(), 128);
                assert!(pattern.index.into_keys().all(|picture| all.insert(picture)));
            }
        }
    }
}
