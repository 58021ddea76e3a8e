//! What a frame on the wire shows, compared with the pattern that plays.

use std::collections::{HashMap, HashSet};

use super::measure::Shown;
use crate::pattern::{FRAME_BYTES, numbered_frame};

/// How frames on the wire differ from the pattern's.
pub(super) struct Differences {
    /// Of each frame: colour bytes that differ from those of the pixel that it shows, wherever that
    /// pixel belongs. A frame of the pattern that never appeared differs in all of its bytes.
    pub(super) colours: Vec<f64>,
    /// Of each frame: pixels that do not stand where the pattern has them, whatever the order of
    /// their colours.
    pub(super) places: Vec<f64>,
}

/// Compares `shown` with a pattern of `count` [numbered](crate::pattern::numbered) frames.
pub(super) fn differences(shown: &[Shown], series: u8, count: usize) -> Differences {
    let pattern: Vec<Vec<u8>> = (0..count).map(|frame| numbered_frame(series, frame)).collect();
    let mut all = Differences { colours: Vec::new(), places: Vec::new() };
    let mut seen = HashSet::new();
    for frame in shown {
        let wire = frame.rgb_bytes();
        let likest = pattern.iter().position(|own| *own == wire).map(|index| (index, (0, 0))).or_else(|| {
            let compared = pattern.iter().map(|own| compare(&wire, own)).enumerate();
            compared.min_by_key(|(_, (colours, places))| colours + places)
        });
        if let Some((index, (colours, places))) = likest {
            seen.insert(index);
            all.colours.push(colours as f64);
            all.places.push(places as f64);
        }
    }
    all.colours.extend((seen.len()..count).map(|_| FRAME_BYTES as f64));
    all
}

/// Colour bytes unlike, and pixels out of place, of `wire` against one frame of the pattern.
///
/// A pixel is told by its three values in any order, so that swapped colours and swapped pixels do
/// not pass for each other.
fn compare(wire: &[u8], own: &[u8]) -> (usize, usize) {
    let own = own.as_chunks::<3>().0;
    let wire = wire.as_chunks::<3>().0;
    let by_values: HashMap<[u8; 3], [u8; 3]> = own.iter().map(|&pixel| (values(pixel), pixel)).collect();
    let (mut colours, mut places) = (0, 0);
    for position in 0..own.len().max(wire.len()) {
        let (wire, own) = (wire.get(position), own.get(position));
        places += usize::from(wire.copied().map(values) != own.copied().map(values));
        colours += match wire.and_then(|wire| by_values.get(&values(*wire)).zip(Some(wire))) {
            Some((pixel, wire)) => pixel.iter().zip(wire).filter(|(a, b)| a != b).count(),
            None => 3,
        };
    }
    (colours, places)
}

fn values(mut pixel: [u8; 3]) -> [u8; 3] {
    pixel.sort_unstable();
    pixel
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::pattern::PIXELS;

    const SERIES: u8 = 5;

    fn swapped(order: [usize; 3]) -> Vec<u8> {
        let frame = numbered_frame(SERIES, 7);
        frame.as_chunks::<3>().0.iter().flat_map(|pixel| order.map(|channel| pixel[channel])).collect()
    }

    #[test]
    fn the_frame_itself_has_no_differences() {
        assert_eq!(compare(&numbered_frame(SERIES, 7), &numbered_frame(SERIES, 7)), (0, 0));
    }

    #[rstest]
    #[case([1, 0, 2])]
    #[case([2, 1, 0])]
    #[case([1, 2, 0])]
    fn swapped_colours_are_in_place_but_wrong(#[case] order: [usize; 3]) {
        let (colours, places) = compare(&swapped(order), &numbered_frame(SERIES, 7));
        assert!(colours > PIXELS && places == 0, "{colours} bytes, {places} pixels");
    }

    #[test]
    fn swapped_and_mirrored_lanes_have_right_colours_in_wrong_places() {
        let own = numbered_frame(SERIES, 7);
        let (first, second) = own.split_at(FRAME_BYTES / 2);
        assert_eq!(compare(&[second, first].concat(), &own), (0, PIXELS));
        assert_eq!(compare(&[first, first].concat(), &own), (0, PIXELS / 2));
        let shifted = [&own[3..], &own[..3]].concat();
        assert_eq!(compare(&shifted, &own), (0, PIXELS));
    }

    #[test]
    fn noise_missing_and_surplus_pixels_are_both() {
        let own = numbered_frame(SERIES, 7);
        assert_eq!(compare(&vec![0; FRAME_BYTES], &own), (FRAME_BYTES, PIXELS));
        assert_eq!(compare(&own[..FRAME_BYTES - 3], &own), (3, 1));
        assert_eq!(compare(&[&own[..], &[0; 3]].concat(), &own), (3, 1));
    }
}
