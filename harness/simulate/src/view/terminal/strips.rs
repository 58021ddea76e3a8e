//! LED strips as cells of a terminal.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;
use rigor_decode::ws2812::Rgb;

/// What an LED without light looks like: there, and dark.
const DARK: Color = Color::Rgb(38, 38, 42);
/// What is between LEDs.
const BETWEEN: Color = Color::Rgb(12, 12, 14);

/// How a strip is folded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fold {
    /// LEDs in a row.
    pub(super) columns: usize,
    /// Rows.
    pub(super) rows: usize,
    /// Cells that an LED is wide.
    pub(super) wide: usize,
}

impl Fold {
    /// The largest LEDs of which `pixels` fit into `width` cells and at most `rows` rows. If none do, the
    /// smallest.
    pub(super) fn of(pixels: usize, width: usize, rows: usize) -> Self {
        let folded = |wide: usize| {
            let most = (width / wide).max(1);
            let rows = pixels.div_ceil(most).max(1);
            // Rows of the same length, as far as that goes.
            Fold { columns: pixels.div_ceil(rows).max(1), rows, wide }
        };
        (1..=3).rev().map(folded).find(|fold| fold.rows <= rows).unwrap_or_else(|| folded(1))
    }
}

/// Draws `colours` into `area`. LEDs that have no room are left out.
pub(super) fn draw(colours: &[Rgb], fold: Fold, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    for (index, colour) in colours.iter().enumerate() {
        let (column, row) = (index % fold.columns * fold.wide, index / fold.columns);
        if row >= area.height.into() {
            break;
        }
        for cell in 0..fold.wide {
            if column + cell >= area.width.into() {
                continue;
            }
            let place = (area.x + (column + cell) as u16, area.y + row as u16);
            // The last cell of an LED leaves a gap to the next.
            let symbol = if cell + 1 == fold.wide { "▊" } else { "█" };
            buffer[place].set_symbol(symbol).set_fg(shade(*colour)).set_bg(BETWEEN);
        }
    }
}

fn shade(colour: Rgb) -> Color {
    match colour {
        Rgb { r: 0, g: 0, b: 0 } => DARK,
        Rgb { r, g, b } => Color::Rgb(r, g, b),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(160, 500, 4, (160, 1, 3))]
    #[case(160, 325, 4, (80, 2, 3))]
    #[case(160, 98, 4, (40, 4, 2))]
    #[case(160, 98, 2, (80, 2, 1))]
    #[case(160, 78, 1, (54, 3, 1))]
    #[case(160, 0, 0, (1, 160, 1))]
    #[case(0, 10, 3, (1, 1, 3))]
    fn a_strip_is_folded_into_even_rows(
        #[case] pixels: usize,
        #[case] width: usize,
        #[case] rows: usize,
        #[case] (columns, folded, wide): (usize, usize, usize),
    ) {
        assert_eq!(Fold::of(pixels, width, rows), Fold { columns, rows: folded, wide });
    }

    #[test]
    fn each_led_has_its_colour_where_it_belongs() {
        let colours = [Rgb::new(1, 2, 3), Rgb::default(), Rgb::new(255, 0, 9)];
        let area = Rect::new(1, 1, 4, 2);
        let mut buffer = Buffer::empty(Rect::new(0, 0, 6, 4));
        draw(&colours, Fold { columns: 2, rows: 2, wide: 2 }, area, &mut buffer);
        let foreground = |x: u16, y: u16| buffer[(x, y)].fg;
        assert_eq!((foreground(1, 1), foreground(2, 1)), (Color::Rgb(1, 2, 3), Color::Rgb(1, 2, 3)));
        assert_eq!(foreground(3, 1), DARK);
        assert_eq!(foreground(1, 2), Color::Rgb(255, 0, 9));
        assert_eq!(buffer[(3, 2)].symbol(), " ", "there is no fourth");
    }
}
