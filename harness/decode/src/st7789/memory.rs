//! The controller's memory, and pixels on their way into it.

use super::address::{Access, RAM_HEIGHT, RAM_WIDTH};

const WIDTH: usize = RAM_WIDTH as usize;
const PIXELS: usize = WIDTH * RAM_HEIGHT as usize;

/// How pixels are coded on the bus (ST7789V datasheet, sections 8.8.41 and following, "4-line serial
/// interface", 9.1.32 COLMOD and 9.2.1 RAMCTRL).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PixelFormat {
    /// 5 bits of red, 6 of green, 5 of blue, in two bytes, the most significant first.
    Rgb565,
    /// The same, the least significant byte first (RAMCTRL, ENDIAN).
    Rgb565Little,
    /// A byte each for red, green and blue, of which the upper 6 bits count.
    Rgb666,
}

impl PixelFormat {
    /// Bytes of a pixel.
    pub const fn bytes(self) -> usize {
        match self {
            PixelFormat::Rgb565 | PixelFormat::Rgb565Little => 2,
            PixelFormat::Rgb666 => 3,
        }
    }

    /// What these parameters of COLMOD and of RAMCTRL (the second) mean for the serial interface; `None` if
    /// the decoder does not know the format.
    pub(super) const fn of(colmod: u8, ramctrl: u8) -> Option<Self> {
        match colmod & 0x07 {
            0b101 if ramctrl & 0x08 != 0 => Some(PixelFormat::Rgb565Little),
            0b101 => Some(PixelFormat::Rgb565),
            0b110 => Some(PixelFormat::Rgb666),
            _ => None,
        }
    }
}

/// `0x00RRGGBB`, 8 bits each. The upper bits are repeated below, so that full scale is 255. The chip's own
/// extension to 18 bits (RAMCTRL, EPF) differs from it in the last bits that it keeps, and is not modelled.
const fn rgb565(code: u16) -> u32 {
    let code = code as u32;
    let (red, green, blue) = (code >> 11, code >> 5 & 0x3F, code & 0x1F);
    (red << 3 | red >> 2) << 16 | (green << 2 | green >> 4) << 8 | (blue << 3 | blue >> 2)
}

const fn rgb666(code: [u8; 3]) -> u32 {
    let [red, green, blue] = code;
    let [red, green, blue] = [red & 0xFC | red >> 6, green & 0xFC | green >> 6, blue & 0xFC | blue >> 6];
    u32::from_be_bytes([0, red, green, blue])
}

/// 240 x 320 pixels as `0x00RRGGBB`, row by row.
///
/// After power on the chip's memory holds anything (section 9.1.22, "Default"); here it is black.
pub(super) struct Memory {
    pixels: Box<[u32]>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Memory { pixels: vec![0; PIXELS].into_boxed_slice() }
    }

    /// One row, 240 pixels.
    pub(super) fn row(&self, row: u16) -> &[u32] {
        &self.pixels[usize::from(row) * WIDTH..][..WIDTH]
    }

    /// Writes whole pixels along the first axis, from address `x`, `y` on. What is outside the memory is
    /// dropped ("data of out of range will be ignored", sections 9.1.20 and 9.1.21).
    pub(super) fn write(&mut self, access: Access, format: PixelFormat, x: u16, y: u16, bytes: &[u8]) {
        let (columns, rows) = access.limits();
        if x >= columns || y >= rows {
            return;
        }
        let inside = usize::from(columns - x) * format.bytes();
        let bytes = &bytes[..bytes.len().min(inside)];
        let (column, row) = access.place(x, y);
        let first = usize::from(row) * WIDTH + usize::from(column);
        let (step, backwards) =
            if access.exchanges() { (WIDTH, access.mirrors_rows()) } else { (1, access.mirrors_columns()) };
        match format {
            PixelFormat::Rgb565 => {
                let pixels = bytes.as_chunks().0.iter().map(|&code| rgb565(u16::from_be_bytes(code)));
                self.lay(first, step, backwards, pixels);
            }
            PixelFormat::Rgb565Little => {
                let pixels = bytes.as_chunks().0.iter().map(|&code| rgb565(u16::from_le_bytes(code)));
                self.lay(first, step, backwards, pixels);
            }
            PixelFormat::Rgb666 => {
                let pixels = bytes.as_chunks().0.iter().map(|&code| rgb666(code));
                self.lay(first, step, backwards, pixels);
            }
        }
    }

    /// A loop for each direction, so that the compiler sees one with a constant step.
    fn lay(&mut self, first: usize, step: usize, backwards: bool, pixels: impl Iterator<Item = u32>) {
        fn copy<'a>(to: impl Iterator<Item = &'a mut u32>, from: impl Iterator<Item = u32>) {
            to.zip(from).for_each(|(to, from)| *to = from);
        }
        match (step, backwards) {
            (1, false) => copy(self.pixels[first..].iter_mut(), pixels),
            (1, true) => copy(self.pixels[..=first].iter_mut().rev(), pixels),
            (_, false) => copy(self.pixels[first..].iter_mut().step_by(WIDTH), pixels),
            (_, true) => copy(self.pixels[..=first].iter_mut().rev().step_by(WIDTH), pixels),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_scale_is_white_and_each_colour_keeps_its_place() {
        assert_eq!(rgb565(0xFFFF), 0xFF_FF_FF);
        assert_eq!(rgb565(0xF800), 0xFF_00_00);
        assert_eq!(rgb565(0x07E0), 0x00_FF_00);
        assert_eq!(rgb565(0x001F), 0x00_00_FF);
        assert_eq!(rgb565(0x8410), 0x84_82_84);
        assert_eq!(rgb666([0xFC, 0x80, 0x07]), 0xFF_82_04);
    }

    #[test]
    fn a_run_follows_its_axis_and_stays_inside() {
        let white = [0xFF; 8];
        for (madctl, x, y, places) in [
            (0x00, 238, 5, vec![(238, 5), (239, 5)]),
            (0x40, 238, 5, vec![(1, 5), (0, 5)]),
            (0x80, 0, 0, vec![(0, 319), (1, 319), (2, 319), (3, 319)]),
            (0x20, 317, 7, vec![(7, 317), (7, 318), (7, 319)]),
            (0x60, 0, 35, vec![(204, 0), (204, 1), (204, 2), (204, 3)]),
            (0xA0, 318, 0, vec![(0, 1), (0, 0)]),
            (0x00, 240, 0, vec![]),
            (0x20, 0, 240, vec![]),
        ] {
            let mut memory = Memory::new();
            memory.write(Access(madctl), PixelFormat::Rgb565, x, y, &white);
            let lit: Vec<(u16, u16)> = (0..RAM_HEIGHT)
                .flat_map(|row| (0..RAM_WIDTH).map(move |column| (column, row)))
                .filter(|&(column, row)| memory.row(row)[usize::from(column)] != 0)
                .collect();
            let mut places = places;
            places.sort_by_key(|&(column, row)| (row, column));
            assert_eq!(lit, places, "{madctl:02x} {x} {y}");
        }
    }
}
