//! Frames of LED strips as pictures.
//!
//! Each LED is a square. A strip is a row of them, or is folded to rows of a matrix; several lanes lie one
//! above the other. Values are drawn as they were sent: a screen makes them darker than LEDs are, because
//! its pixels are not linear in light.

use std::num::NonZeroU32;
use std::time::Duration;

use rigor_core::Instant;

use super::png::{MAX_FRAMES, Still};
use super::{Picture, PictureError};
use crate::ws2812::{ColourOrder, Frame, Rgb};

/// Frames of several lanes that end within this time are one picture. Lanes are sent at the same time or one
/// after the other; the shortest frame period of anybody is longer (estimated).
pub const TOGETHER: Duration = Duration::from_millis(2);

/// How long the last picture of an animation is seen if there is no other to take it from.
const ALONE: Duration = Duration::from_secs(1);

/// Where the next row of a folded strip begins.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Fold {
    /// All rows run from left to right.
    #[default]
    SameWay,
    /// Every other row runs back.
    BackAndForth,
}

/// How LEDs become pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Order of the colours on the wire.
    pub order: ColourOrder,
    /// Side of a LED's square, in pixels.
    pub side: NonZeroU32,
    /// Pixels between LEDs, and twice as many between lanes.
    pub gap: u32,
    /// Colour of gaps, and of where there is no LED.
    pub ground: Rgb,
    /// LEDs of a row; `None` for the whole strip in one.
    pub row: Option<NonZeroU32>,
    /// Which way rows run.
    pub fold: Fold,
}

impl Default for Layout {
    /// Squares of 8 pixels with 1 between, on dark grey, in one row, green first.
    fn default() -> Self {
        Layout {
            order: ColourOrder::Grb,
            side: const { NonZeroU32::new(8).expect("8 is not 0") },
            gap: 1,
            ground: Rgb::new(0x20, 0x20, 0x20),
            row: None,
            fold: Fold::SameWay,
        }
    }
}

impl Layout {
    /// Columns and rows of a lane with this many LEDs.
    fn grid(&self, leds: u64) -> (u64, u64) {
        match self.row {
            Some(row) => (u64::from(row.get()), leds.div_ceil(u64::from(row.get())).max(1)),
            None => (leds.max(1), 1),
        }
    }

    fn place(&self, led: u64, columns: u64) -> (u64, u64) {
        let (column, row) = (led % columns, led / columns);
        match self.fold {
            Fold::BackAndForth if row % 2 == 1 => (columns - 1 - column, row),
            _ => (column, row),
        }
    }
}

/// Draws the LEDs of lanes, one above the other; a lane is given by its colours from the first LED on.
///
/// # Errors
/// [`PictureError`] if there is no lane, or the picture would be too large.
pub fn draw_colours(lanes: &[Vec<Rgb>], layout: &Layout) -> Result<Picture, PictureError> {
    let lengths: Vec<u64> = lanes.iter().map(|lane| lane.len() as u64).collect();
    let canvas = Canvas::of(&lengths, layout);
    canvas.draw(lanes.iter().map(|lane| lane.iter().copied()), layout)
}

/// Draws one frame of each lane, one above the other.
///
/// # Errors
/// [`PictureError`] if there is no lane, or the picture would be too large.
pub fn draw(lanes: &[&Frame], layout: &Layout) -> Result<Picture, PictureError> {
    let lengths: Vec<u64> = lanes.iter().map(|frame| frame.pixels(layout.order).len() as u64).collect();
    Canvas::of(&lengths, layout).draw(lanes.iter().map(|frame| frame.pixels(layout.order)), layout)
}

/// Draws what lanes showed over time: a picture for each time at which one or more of them got a new frame,
/// of at most [`MAX_FRAMES`]. Before its first frame a lane is dark. Frames of each lane are in order of time.
///
/// # Errors
/// [`PictureError`] if there is no lane or no frame, or the pictures would be too large.
pub fn animate(lanes: &[&[Frame]], layout: &Layout) -> Result<Vec<Still>, PictureError> {
    let lengths: Vec<u64> = lanes
        .iter()
        .map(|frames| frames.iter().map(|frame| frame.pixels(layout.order).len() as u64).max().unwrap_or(0))
        .collect();
    let canvas = Canvas::of(&lengths, layout);
    let mut ends: Vec<Instant> =
        lanes.iter().flat_map(|frames| frames.iter().map(|frame| frame.end)).collect();
    ends.sort_unstable();
    let mut moments: Vec<(Instant, Instant)> = Vec::new();
    for end in ends {
        let full = moments.len() == MAX_FRAMES;
        match moments.last_mut() {
            Some((first, last)) if end.since(*first) <= TOGETHER => *last = end,
            _ if full => break,
            _ => moments.push((end, end)),
        }
    }
    if moments.is_empty() {
        return Err(PictureError::Empty { width: 0, height: 0 });
    }
    let mut stills = Vec::with_capacity(moments.len());
    let mut shown = ALONE;
    for (index, (first, last)) in moments.iter().enumerate() {
        let now = lanes.iter().zip(&lengths).map(|(frames, &length)| {
            let latest = frames.partition_point(|frame| frame.end <= *last).checked_sub(1);
            let frame = latest.map(|index| &frames[index]);
            let dark = length - frame.map_or(0, |frame| frame.pixels(layout.order).len() as u64);
            let pixels = frame.into_iter().flat_map(|frame| frame.pixels(layout.order));
            pixels.chain(std::iter::repeat_n(Rgb::default(), dark as usize))
        });
        let picture = canvas.draw(now, layout)?;
        shown = moments.get(index + 1).map_or(shown, |(next, _)| next.since(*first));
        stills.push(Still { picture, shown });
    }
    Ok(stills)
}

/// The place of lanes on a picture.
struct Canvas {
    width: u64,
    height: u64,
    /// Upper edge and columns of each lane.
    lanes: Vec<(u64, u64)>,
}

impl Canvas {
    fn of(lengths: &[u64], layout: &Layout) -> Self {
        let (pitch, gap) = (u64::from(layout.side.get()) + u64::from(layout.gap), u64::from(layout.gap));
        let (mut width, mut height) = (0, 0);
        let mut lanes = Vec::with_capacity(lengths.len());
        for &leds in lengths {
            let (columns, rows) = layout.grid(leds);
            if !lanes.is_empty() {
                height += gap;
            }
            lanes.push((height, columns));
            width = columns.saturating_mul(pitch).saturating_add(gap).max(width);
            height = rows.saturating_mul(pitch).saturating_add(height);
        }
        if !lanes.is_empty() {
            height = height.saturating_add(gap);
        }
        Canvas { width, height, lanes }
    }

    fn draw<C>(&self, lanes: impl Iterator<Item = C>, layout: &Layout) -> Result<Picture, PictureError>
    where
        C: Iterator<Item = Rgb>,
    {
        let (Ok(width), Ok(height)) = (u32::try_from(self.width), u32::try_from(self.height)) else {
            return Err(PictureError::TooLarge { width: self.width, height: self.height });
        };
        let Rgb { r, g, b } = layout.ground;
        let mut rgb = Picture::filled(width, height, [r, g, b])?.into_rgb();
        let (side, gap) = (u64::from(layout.side.get()), u64::from(layout.gap));
        for ((top, columns), lane) in self.lanes.iter().zip(lanes) {
            for (led, Rgb { r, g, b }) in (0..).zip(lane) {
                let (column, row) = layout.place(led, *columns);
                let x = gap + column * (side + gap);
                let y = top + gap + row * (side + gap);
                for line in y..y + side {
                    let start = (line * self.width + x) as usize * 3;
                    rgb[start..][..side as usize * 3]
                        .as_chunks_mut()
                        .0
                        .iter_mut()
                        .for_each(|pixel| *pixel = [r, g, b]);
                }
            }
        }
        Picture::new(width, height, rgb)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ws2812::{Body, Ending, Tail, Timing};

    const RED: Rgb = Rgb::new(255, 0, 0);
    const BLUE: Rgb = Rgb::new(0, 0, 255);

    fn layout() -> Layout {
        Layout { side: NonZeroU32::new(2).unwrap(), ..Layout::default() }
    }

    fn frame(end_ms: u64, colours: &[Rgb]) -> Frame {
        let bytes: Vec<u8> = colours.iter().flat_map(|colour| ColourOrder::Grb.to_wire(*colour)).collect();
        Frame {
            start: Instant::from_nanos(end_ms * 1_000_000 - 30_000),
            end: Instant::from_nanos(end_ms * 1_000_000),
            low_before: None,
            uncertainty: Duration::ZERO,
            pulse_uncertainty: Duration::ZERO,
            ending: Ending::Latched,
            body: Arc::new(Body {
                bytes: bytes.into(),
                tail: Tail::default(),
                timing: Timing::default(),
                defects: Box::default(),
                defect_count: 0,
            }),
        }
    }

    /// The colours in the middle of each LED.
    fn leds(picture: &Picture, places: &[(u32, u32)]) -> Vec<Option<[u8; 3]>> {
        places.iter().map(|&(x, y)| picture.pixel(x, y)).collect()
    }

    #[test]
    fn two_lanes_lie_one_above_the_other() {
        let picture = draw(&[&frame(1, &[RED, BLUE, RED]), &frame(1, &[BLUE])], &layout()).unwrap();
        // Three LEDs of 2 pixels with 4 gaps of 1; two lanes of 2 with gaps of 1, 2 and 1.
        assert_eq!((picture.width(), picture.height()), (10, 8));
        let (red, blue, ground) = (Some([255, 0, 0]), Some([0, 0, 255]), Some([0x20; 3]));
        assert_eq!(leds(&picture, &[(1, 1), (2, 2), (4, 1), (8, 2)]), [red, red, blue, red]);
        assert_eq!(leds(&picture, &[(0, 0), (3, 1), (9, 7), (1, 3), (1, 4)]), [ground; 5]);
        assert_eq!(leds(&picture, &[(1, 5), (2, 6), (4, 5)]), [blue, blue, ground]);
    }

    #[test]
    fn a_strip_is_folded_to_a_matrix() {
        let colours: Vec<Rgb> = (0..5).map(|n| Rgb::new(n * 10, 0, 0)).collect();
        let mut layout = Layout { row: NonZeroU32::new(2), gap: 0, ..layout() };
        let red = |picture: &Picture| -> Vec<u8> {
            (0..3).flat_map(|y| [(1, y), (3, y)]).map(|(x, y)| picture.pixel(x, y * 2).unwrap()[0]).collect()
        };
        let picture = draw_colours(std::slice::from_ref(&colours), &layout).unwrap();
        assert_eq!((picture.width(), picture.height()), (4, 6));
        assert_eq!(red(&picture), [0, 10, 20, 30, 40, 0x20]);
        layout.fold = Fold::BackAndForth;
        assert_eq!(red(&draw_colours(&[colours], &layout).unwrap()), [0, 10, 30, 20, 40, 0x20]);
    }

    #[test]
    fn lanes_that_change_together_are_one_picture_of_an_animation() {
        let upper = [frame(10, &[RED]), frame(20, &[BLUE]), frame(40, &[RED])];
        let lower = [frame(21, &[RED, RED]), frame(41, &[BLUE, BLUE])];
        let stills = animate(&[&upper, &lower], &layout()).unwrap();
        let shown: Vec<u128> = stills.iter().map(|still| still.shown.as_millis()).collect();
        assert_eq!(shown, [10, 20, 20]);
        let (red, blue, dark) = (Some([255, 0, 0]), Some([0, 0, 255]), Some([0; 3]));
        let seen = |index: usize| leds(&stills[index].picture, &[(1, 1), (1, 5), (4, 5)]);
        assert_eq!([seen(0), seen(1), seen(2)], [[red, dark, dark], [blue, red, red], [red, blue, blue]]);
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        assert!(matches!(draw(&[], &layout()), Err(PictureError::Empty { .. })));
        assert!(matches!(animate(&[], &layout()), Err(PictureError::Empty { .. })));
        assert!(matches!(animate(&[&[]], &layout()), Err(PictureError::Empty { .. })));
        let huge = Layout { side: NonZeroU32::MAX, ..layout() };
        assert!(matches!(draw(&[&frame(1, &[RED])], &huge), Err(PictureError::TooLarge { .. })));
        let gap = Layout { gap: u32::MAX, ..layout() };
        assert!(matches!(draw(&[&frame(1, &[RED, RED])], &gap), Err(PictureError::TooLarge { .. })));
    }
}
