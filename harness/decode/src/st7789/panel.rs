//! Which part of the controller's memory is behind glass, and which way up.

use std::str::FromStr;

use super::address::{RAM_HEIGHT, RAM_WIDTH, Rect};

/// How far the picture of the glass has to be turned, clockwise, so that people see it upright.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Rotation {
    /// Not at all: the first gate line is at the top.
    #[default]
    Upright,
    /// By 90 degrees.
    Quarter,
    /// By 180 degrees.
    Half,
    /// By 270 degrees.
    ThreeQuarters,
}

impl Rotation {
    /// In degrees.
    pub const fn degrees(self) -> u16 {
        match self {
            Rotation::Upright => 0,
            Rotation::Quarter => 90,
            Rotation::Half => 180,
            Rotation::ThreeQuarters => 270,
        }
    }

    const fn lies(self) -> bool {
        matches!(self, Rotation::Quarter | Rotation::ThreeQuarters)
    }
}

/// A module with a controller of the ST7789 family: the glass that is bonded to part of its memory.
///
/// Its text form, for rig files and command lines, is `WIDTHxHEIGHT` in the orientation of the memory, then
/// `+COLUMN+ROW` of the first pixel that is seen, the rotation in degrees, `inverted` and `bgr`, with commas
/// between: `170x320+35+0,270,inverted`. What is left out is zero or absent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Panel {
    glass: Rect,
    rotation: Rotation,
    inverted: bool,
    bgr: bool,
}

/// A panel that cannot be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PanelError {
    /// The glass is not inside the memory, or is nothing.
    #[error(
        "a panel of {width} x {height} pixels at column {column}, row {row} does not fit the memory of \
         {RAM_WIDTH} x {RAM_HEIGHT}; width and height are those of the module held upright"
    )]
    Outside {
        /// Its width.
        width: u16,
        /// Its height.
        height: u16,
        /// Its first column.
        column: u16,
        /// Its first row.
        row: u16,
    },
    /// The text is none of a panel.
    #[error("`{0}` is no panel; write as in `240x320`, `240x240` or `170x320+35+0,270,inverted,bgr`")]
    Text(String),
}

impl Panel {
    /// All of the memory: 240 x 320, an IPS panel that is used with inversion on.
    pub const WHOLE: Panel = Panel {
        glass: Rect { x: 0, y: 0, width: RAM_WIDTH, height: RAM_HEIGHT },
        rotation: Rotation::Upright,
        inverted: true,
        bgr: false,
    };

    /// The square IPS modules of 240 x 240 pixels: the first 240 rows.
    pub const SQUARE_240: Panel =
        Panel { glass: Rect { x: 0, y: 0, width: 240, height: 240 }, ..Panel::WHOLE };

    /// The 1.9 inch IPS modules of 170 x 320 pixels lying on their side, as a badge has them: the middle 170
    /// columns. Upright for who sets MADCTL to MV and MX (60h) and adds 35 to each row address.
    pub const LANDSCAPE_320X170: Panel = Panel {
        glass: Rect { x: 35, y: 0, width: 170, height: RAM_HEIGHT },
        rotation: Rotation::ThreeQuarters,
        ..Panel::WHOLE
    };

    /// Glass of `width` times `height` pixels, of the module held with its first gate line at the top, whose
    /// first pixel is at `column`, `row` of the memory. Neither inverted nor BGR.
    ///
    /// # Errors
    /// [`PanelError::Outside`] if that is not inside the memory.
    pub fn new(width: u16, height: u16, column: u16, row: u16) -> Result<Self, PanelError> {
        let fits = |start: u16, length: u16, limit: u16| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= limit)
        };
        if !fits(column, width, RAM_WIDTH) || !fits(row, height, RAM_HEIGHT) {
            return Err(PanelError::Outside { width, height, column, row });
        }
        let glass = Rect { x: column, y: row, width, height };
        Ok(Panel { glass, rotation: Rotation::Upright, inverted: false, bgr: false })
    }

    /// The same, seen after a turn.
    #[must_use]
    pub const fn rotated(self, rotation: Rotation) -> Self {
        Panel { rotation, ..self }
    }

    /// The same with glass that shows true colours when inversion is on (INVON), as IPS panels do.
    #[must_use]
    pub const fn inverted(self) -> Self {
        Panel { inverted: true, ..self }
    }

    /// The same with sub-pixels in the order blue, green, red, so that it needs the BGR bit of MADCTL.
    #[must_use]
    pub const fn bgr(self) -> Self {
        Panel { bgr: true, ..self }
    }

    /// Width and height of the picture, after the turn.
    pub const fn size(&self) -> (u16, u16) {
        if self.rotation.lies() {
            (self.glass.height, self.glass.width)
        } else {
            (self.glass.width, self.glass.height)
        }
    }

    /// The part of the memory that is seen.
    pub const fn glass(&self) -> Rect {
        self.glass
    }

    /// How the picture is turned.
    pub const fn rotation(&self) -> Rotation {
        self.rotation
    }

    /// Whether true colours need INVON.
    pub(super) const fn needs_inversion(&self) -> bool {
        self.inverted
    }

    /// Whether true colours need the BGR bit.
    pub(super) const fn needs_bgr(&self) -> bool {
        self.bgr
    }

    /// The pixel of the picture that column and row of the glass, from 0, are.
    const fn seen_at(&self, column: u16, row: u16) -> (u16, u16) {
        let Rect { width, height, .. } = self.glass;
        match self.rotation {
            Rotation::Upright => (column, row),
            Rotation::Quarter => (height - 1 - row, column),
            Rotation::Half => (width - 1 - column, height - 1 - row),
            Rotation::ThreeQuarters => (row, width - 1 - column),
        }
    }

    /// Where part of the memory is in the picture; `None` if none of it is seen.
    pub(super) fn seen(&self, area: Rect) -> Option<Rect> {
        let area = area.common(self.glass)?;
        let (x, y) = (area.x - self.glass.x, area.y - self.glass.y);
        Some(Rect::between(self.seen_at(x, y), self.seen_at(x + area.width - 1, y + area.height - 1)))
    }

    /// All of the picture.
    pub(super) const fn everything(&self) -> Rect {
        let (width, height) = self.size();
        Rect { x: 0, y: 0, width, height }
    }
}

/// The text form.
impl std::fmt::Display for Panel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Rect { x, y, width, height } = self.glass;
        write!(f, "{width}x{height}+{x}+{y},{}", self.rotation.degrees())?;
        f.write_str(if self.inverted { ",inverted" } else { "" })?;
        f.write_str(if self.bgr { ",bgr" } else { "" })
    }
}

/// Reads the text form.
///
/// # Errors
/// [`PanelError`], with what to write instead.
impl FromStr for Panel {
    type Err = PanelError;

    fn from_str(text: &str) -> Result<Self, PanelError> {
        let wrong = || PanelError::Text(text.chars().take(64).collect());
        let number = |text: &str| text.parse::<u16>().map_err(|_| wrong());
        let mut words = text.split(',').map(str::trim);
        let mut place = words.next().unwrap_or_default().split('+');
        let (width, height) = place.next().and_then(|size| size.split_once('x')).ok_or_else(wrong)?;
        let (column, row) = match (place.next(), place.next(), place.next()) {
            (None, ..) => (0, 0),
            (Some(column), Some(row), None) => (number(column)?, number(row)?),
            _ => return Err(wrong()),
        };
        let mut panel = Panel::new(number(width)?, number(height)?, column, row)?;
        for word in words {
            panel = match word {
                "0" => panel.rotated(Rotation::Upright),
                "90" => panel.rotated(Rotation::Quarter),
                "180" => panel.rotated(Rotation::Half),
                "270" => panel.rotated(Rotation::ThreeQuarters),
                "inverted" => panel.inverted(),
                "bgr" => panel.bgr(),
                _ => return Err(wrong()),
            };
        }
        Ok(panel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_panel_are_each_others_inverse() {
        for panel in [
            Panel::WHOLE,
            Panel::SQUARE_240,
            Panel::LANDSCAPE_320X170,
            Panel::new(135, 240, 52, 40).unwrap().rotated(Rotation::Quarter).bgr(),
        ] {
            assert_eq!(panel.to_string().parse(), Ok(panel));
        }
        assert_eq!("240x240".parse(), Panel::new(240, 240, 0, 0));
        for wrong in ["", "240", "240x", "x", "240x240+1", "240x240+1+2+3", "240x240,45", "99999x1"] {
            assert!(matches!(wrong.parse::<Panel>(), Err(PanelError::Text(_))), "{wrong}");
        }
        for outside in ["241x320", "240x0", "240x320+1+0", "240x240+0+81", "1x1+65535+0"] {
            assert!(matches!(outside.parse::<Panel>(), Err(PanelError::Outside { .. })), "{outside}");
        }
    }

    /// A glass of 3 x 2 pixels, whose pixels are numbered line by line, after each turn.
    #[test]
    fn a_turn_moves_pixels_clockwise() {
        let panel = Panel::new(3, 2, 10, 20).unwrap();
        let seen = |rotation: Rotation| {
            let panel = panel.rotated(rotation);
            let (width, height) = panel.size();
            let mut picture = vec![9; usize::from(width) * usize::from(height)];
            for number in 0..6_u16 {
                let place = Rect { x: 10 + number % 3, y: 20 + number / 3, width: 1, height: 1 };
                let Rect { x, y, .. } = panel.seen(place).unwrap();
                picture[usize::from(y * width + x)] = number;
            }
            picture
        };
        assert_eq!(seen(Rotation::Upright), [0, 1, 2, 3, 4, 5]);
        assert_eq!(seen(Rotation::Quarter), [3, 0, 4, 1, 5, 2]);
        assert_eq!(seen(Rotation::Half), [5, 4, 3, 2, 1, 0]);
        assert_eq!(seen(Rotation::ThreeQuarters), [2, 5, 1, 4, 0, 3]);
        assert_eq!(panel.seen(Rect { x: 0, y: 0, width: 10, height: 320 }), None);
        let part = Rect { x: 11, y: 0, width: 200, height: 21 };
        assert_eq!(
            panel.rotated(Rotation::Quarter).seen(part),
            Some(Rect { x: 1, y: 1, width: 1, height: 2 })
        );
    }
}
