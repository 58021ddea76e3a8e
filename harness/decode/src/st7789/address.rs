//! Where a pixel goes: windows, and how addresses map to the memory.

use serde::Serialize;

/// Columns of the controller's memory (ST7789V datasheet, section 2: 240 x RGB x 320 frame memory).
pub const RAM_WIDTH: u16 = 240;
/// Rows of the controller's memory: one for each gate line.
pub const RAM_HEIGHT: u16 = 320;

/// What MADCTL says (ST7789V datasheet, section 9.1.28).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Access(pub u8);

impl Access {
    /// MY: rows of the memory are addressed from the last to the first.
    pub const fn mirrors_rows(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// MX: columns of the memory are addressed from the last to the first.
    pub const fn mirrors_columns(self) -> bool {
        self.0 & 0x40 != 0
    }

    /// MV: column addresses name rows of the memory, and row addresses its columns.
    pub const fn exchanges(self) -> bool {
        self.0 & 0x20 != 0
    }

    /// ML: the glass is refreshed from its last line to its first.
    pub const fn refreshes_upwards(self) -> bool {
        self.0 & 0x10 != 0
    }

    /// The sub-pixels are driven in the order blue, green, red.
    pub const fn is_bgr(self) -> bool {
        self.0 & 0x08 != 0
    }

    /// MH: each line is refreshed from right to left.
    pub const fn refreshes_leftwards(self) -> bool {
        self.0 & 0x04 != 0
    }

    /// The greatest column and row address plus one (sections 9.1.20 and 9.1.21, "Restriction").
    pub const fn limits(self) -> (u16, u16) {
        if self.exchanges() { (RAM_HEIGHT, RAM_WIDTH) } else { (RAM_WIDTH, RAM_HEIGHT) }
    }

    /// Column and row of the memory that an address within the [limits](Self::limits) names (section 8.12,
    /// "Address Control", table of MV, MX and MY).
    pub(super) const fn place(self, x: u16, y: u16) -> (u16, u16) {
        let (column, row) = if self.exchanges() { (y, x) } else { (x, y) };
        (
            if self.mirrors_columns() { RAM_WIDTH - 1 - column } else { column },
            if self.mirrors_rows() { RAM_HEIGHT - 1 - row } else { row },
        )
    }
}

/// The bits that are set, as in `MX MV BGR`; `none` if none is.
impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bits = [(0x80, "MY"), (0x40, "MX"), (0x20, "MV"), (0x10, "ML"), (0x08, "BGR"), (0x04, "MH")];
        let mut first = true;
        for (_, name) in bits.into_iter().filter(|(bit, _)| self.0 & bit != 0) {
            write!(f, "{}{name}", if first { "" } else { " " })?;
            first = false;
        }
        if first { f.write_str("none") } else { Ok(()) }
    }
}

/// The addresses that pixels are written to, as CASET and RASET gave them: all ends inclusive, and not
/// necessarily inside the memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Window {
    /// First and last column address.
    pub columns: (u16, u16),
    /// First and last row address.
    pub rows: (u16, u16),
}

impl Window {
    /// After a reset: all of the memory (sections 9.1.20 and 9.1.21, "Default").
    pub(super) const fn whole(access: Access) -> Self {
        let (columns, rows) = access.limits();
        Window { columns: (0, columns - 1), rows: (0, rows - 1) }
    }

    /// Whether no start is after its end.
    pub const fn is_ordered(self) -> bool {
        self.columns.0 <= self.columns.1 && self.rows.0 <= self.rows.1
    }

    /// Pixels from start to end; zero if a start is after its end.
    pub const fn pixels(self) -> u64 {
        if !self.is_ordered() {
            return 0;
        }
        ((self.columns.1 - self.columns.0) as u64 + 1) * ((self.rows.1 - self.rows.0) as u64 + 1)
    }

    /// Whether all of it is in the memory.
    pub(super) const fn fits(self, access: Access) -> bool {
        let (columns, rows) = access.limits();
        self.columns.1 < columns && self.rows.1 < rows
    }

    /// The columns and rows of the memory that it covers; `None` if there are none.
    pub(super) fn area(self, access: Access) -> Option<Rect> {
        let (columns, rows) = access.limits();
        if !self.is_ordered() || self.columns.0 >= columns || self.rows.0 >= rows {
            return None;
        }
        let from = access.place(self.columns.0, self.rows.0);
        let to = access.place(self.columns.1.min(columns - 1), self.rows.1.min(rows - 1));
        Some(Rect::between(from, to))
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Window { columns, rows } = self;
        write!(f, "columns {} to {}, rows {} to {}", columns.0, columns.1, rows.0, rows.1)
    }
}

/// A rectangle of pixels, never empty.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Rect {
    /// Left edge.
    pub x: u16,
    /// Upper edge.
    pub y: u16,
    /// Width, at least 1.
    pub width: u16,
    /// Height, at least 1.
    pub height: u16,
}

impl Rect {
    /// The smallest one with both corners in it.
    pub(super) fn between(a: (u16, u16), b: (u16, u16)) -> Self {
        let (x, y) = (a.0.min(b.0), a.1.min(b.1));
        Rect { x, y, width: a.0.max(b.0) - x + 1, height: a.1.max(b.1) - y + 1 }
    }

    /// The smallest one with both in it.
    pub(super) fn joined(self, other: Rect) -> Self {
        let corner = |rect: Rect| (rect.x + rect.width - 1, rect.y + rect.height - 1);
        let upper = Rect::between((self.x, self.y), (other.x, other.y));
        let (a, b) = (corner(self), corner(other));
        Rect::between((upper.x, upper.y), (a.0.max(b.0), a.1.max(b.1)))
    }

    /// What both have in common; `None` if nothing.
    pub(super) fn common(self, other: Rect) -> Option<Self> {
        let x = self.x.max(other.x);
        let y = self.y.max(other.y);
        let right = (self.x + self.width).min(other.x + other.width);
        let lower = (self.y + self.height).min(other.y + other.height);
        (x < right && y < lower).then(|| Rect { x, y, width: right - x, height: lower - y })
    }

    /// Its number of pixels.
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// As in `320x170 at 0,35`.
impl std::fmt::Display for Rect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{} at {},{}", self.width, self.height, self.x, self.y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ST7789V datasheet, section 8.12: of the eight combinations, the corner that address 0, 0 names, and
    /// the direction of the first axis.
    #[test]
    fn addresses_name_the_corner_of_the_datasheets_table() {
        let corner = |madctl: u8| {
            let access = Access(madctl);
            (access.place(0, 0), access.place(1, 0))
        };
        assert_eq!(corner(0x00), ((0, 0), (1, 0)));
        assert_eq!(corner(0x80), ((0, 319), (1, 319)));
        assert_eq!(corner(0x40), ((239, 0), (238, 0)));
        assert_eq!(corner(0xC0), ((239, 319), (238, 319)));
        assert_eq!(corner(0x20), ((0, 0), (0, 1)));
        assert_eq!(corner(0xA0), ((0, 319), (0, 318)));
        assert_eq!(corner(0x60), ((239, 0), (239, 1)));
        assert_eq!(corner(0xE0), ((239, 319), (239, 318)));
    }

    #[test]
    fn rectangles_meet_and_join() {
        let a = Rect { x: 2, y: 3, width: 4, height: 5 };
        let b = Rect { x: 5, y: 7, width: 10, height: 10 };
        assert_eq!(a.common(b), Some(Rect { x: 5, y: 7, width: 1, height: 1 }));
        assert_eq!(a.joined(b), Rect { x: 2, y: 3, width: 13, height: 14 });
        assert_eq!(a.common(Rect { x: 6, y: 3, width: 1, height: 1 }), None);
        assert_eq!(a.pixels(), 20);
    }

    #[test]
    fn a_window_outside_covers_what_is_inside() {
        let window = Window { columns: (318, 323), rows: (0, 0) };
        assert!(!window.fits(Access(0x20)));
        assert_eq!(window.area(Access(0x20)), Some(Rect { x: 0, y: 318, width: 1, height: 2 }));
        assert_eq!(window.area(Access(0)), None);
        assert_eq!(Window { columns: (3, 2), rows: (0, 0) }.pixels(), 0);
        assert_eq!(Window { columns: (0, 0xFFFF), rows: (0, 0xFFFF) }.pixels(), 1 << 32);
    }
}
