//! How frames relate: in time on one lane, and to those of another lane.

use std::time::Duration;

use rigor_core::Instant;

use super::frame::Frame;

/// How long both frames were on their wires at once; zero if never.
pub fn overlap(a: &Frame, b: &Frame) -> Duration {
    a.end.min(b.end).since(a.start.max(b.start))
}

/// How far the starts of the two frames are apart, whichever is first.
pub fn skew(a: &Frame, b: &Frame) -> Duration {
    distance(a.start, b.start)
}

fn distance(a: Instant, b: Instant) -> Duration {
    a.since(b).max(b.since(a))
}

/// From each frame's start to the next one's: one less than there are frames.
pub fn periods(frames: &[Frame]) -> impl ExactSizeIterator<Item = Duration> + '_ {
    frames.windows(2).map(|pair| pair[1].start.since(pair[0].start))
}

/// Which frames of two lanes belong together, by index.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Pairing {
    /// Frame of the first lane, frame of the second, in the order of time.
    pub pairs: Vec<(usize, usize)>,
    /// Frames of the first lane without a partner.
    pub only_first: Vec<usize>,
    /// Frames of the second lane without a partner.
    pub only_second: Vec<usize>,
}

/// Pairs the frames of two lanes whose starts are at most `within` apart: of two candidates the
/// nearer, and no frame twice. Both lanes must be in the order of time, as decoders give them.
///
/// Half a frame period is a good `within`: lanes that are sent one after the other, so that they
/// never overlap, still find their partners.
pub fn pair(first: &[Frame], second: &[Frame], within: Duration) -> Pairing {
    let mut pairing = Pairing::default();
    let (mut a, mut b) = (0, 0);
    while let (Some(one), Some(other)) = (first.get(a), second.get(b)) {
        let apart = skew(one, other);
        let nearer =
            |frame: Option<&Frame>, than: &Frame| frame.is_some_and(|frame| skew(frame, than) < apart);
        let earlier_is_first = one.start <= other.start;
        let partner_comes =
            if earlier_is_first { nearer(first.get(a + 1), other) } else { nearer(second.get(b + 1), one) };
        if apart <= within && !partner_comes {
            pairing.pairs.push((a, b));
            a += 1;
            b += 1;
        } else if earlier_is_first {
            pairing.only_first.push(a);
            a += 1;
        } else {
            pairing.only_second.push(b);
            b += 1;
        }
    }
    pairing.only_first.extend(a..first.len());
    pairing.only_second.extend(b..second.len());
    pairing
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::body::{Body, Tail};
    use super::super::{Ending, Timing};
    use super::*;

    fn frame(start_us: u64, end_us: u64) -> Frame {
        Frame {
            start: Instant::from_nanos(start_us * 1000),
            end: Instant::from_nanos(end_us * 1000),
            low_before: None,
            uncertainty: Duration::ZERO,
            pulse_uncertainty: Duration::ZERO,
            ending: Ending::Latched,
            body: Arc::new(Body {
                bytes: Box::default(),
                tail: Tail::default(),
                timing: Timing::default(),
                defects: Box::default(),
                defect_count: 0,
            }),
        }
    }

    #[test]
    fn overlap_and_skew_do_not_depend_on_the_order() {
        let (a, b, c) = (frame(0, 4800), frame(30, 4830), frame(4900, 9700));
        assert_eq!(overlap(&a, &b), Duration::from_micros(4770));
        assert_eq!(overlap(&b, &a), overlap(&a, &b));
        assert_eq!(overlap(&a, &c), Duration::ZERO);
        assert_eq!(skew(&b, &a), Duration::from_micros(30));
        assert_eq!(skew(&a, &c), Duration::from_micros(4900));
    }

    #[test]
    fn periods_are_one_less_than_frames() {
        let frames = [frame(0, 1), frame(8000, 8001), frame(17_000, 17_001)];
        let periods: Vec<u64> = periods(&frames).map(|period| period.as_micros() as u64).collect();
        assert_eq!(periods, [8000, 9000]);
        assert_eq!(super::periods(&[]).len(), 0);
    }

    #[test]
    fn pairs_nearest_and_names_the_lonely() {
        let within = Duration::from_millis(4);
        let first = [frame(0, 10), frame(8000, 8010), frame(16_000, 16_010)];
        let second = [frame(7900, 7910), frame(16_100, 16_110), frame(24_000, 24_010)];
        assert_eq!(
            pair(&first, &second, within),
            Pairing { pairs: vec![(1, 0), (2, 1)], only_first: vec![0], only_second: vec![2] }
        );
        // A frame within reach, but the next one is nearer.
        let crowd = [frame(5000, 5010), frame(8000, 8010)];
        assert_eq!(pair(&crowd, &[frame(7900, 7910)], within).pairs, [(1, 0)]);
    }
}
