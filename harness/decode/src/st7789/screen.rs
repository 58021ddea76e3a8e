//! What the panel shows: its memory, and the registers between memory and glass.

use super::address::{Access, RAM_HEIGHT, RAM_WIDTH, Rect};
use super::memory::Memory;
use super::panel::{Panel, Rotation};
use crate::picture::Picture;

/// The registers that change what is seen without a pixel being written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ScanOut {
    pub(super) asleep: bool,
    pub(super) on: bool,
    pub(super) inverted: bool,
    pub(super) bgr: bool,
    /// ML: lines of PTLAR and VSCRDEF are counted from the last gate line.
    pub(super) upwards: bool,
    pub(super) idle: bool,
    /// First and last line of PTLAR, in partial mode.
    pub(super) partial: Option<(u16, u16)>,
    pub(super) scroll: Option<Scroll>,
}

/// Vertical scrolling (ST7789V datasheet, sections 9.1.25 and 9.1.29).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Scroll {
    /// Lines at the top that stand still (TFA).
    pub(super) top: u16,
    /// Lines that move (VSA), at least 1.
    pub(super) moving: u16,
    /// The line of the memory that is shown first of those that move.
    pub(super) start: u16,
}

impl ScanOut {
    /// After a reset (section 9.1.2 and "Default" of each command): asleep, off, nothing special.
    pub(super) const RESET: ScanOut = ScanOut {
        asleep: true,
        on: false,
        inverted: false,
        bgr: false,
        upwards: false,
        idle: false,
        partial: None,
        scroll: None,
    };

    pub(super) const fn lit(&self) -> bool {
        self.on && !self.asleep
    }

    /// The row of the memory that gate line `line` shows; `None` if that line shows nothing.
    fn row(&self, line: u16) -> Option<u16> {
        let counted = |line: u16| if self.upwards { RAM_HEIGHT - 1 - line } else { line };
        let mut line = counted(line);
        if let Some((first, last)) = self.partial {
            let within =
                if first <= last { (first..=last).contains(&line) } else { line >= first || line <= last };
            if !within {
                return None;
            }
        }
        if let Some(Scroll { top, moving, start }) = self.scroll
            && (top..top + moving).contains(&line)
        {
            let offset = i32::from(line) - i32::from(top) + i32::from(start) - i32::from(top);
            line = top + offset.rem_euclid(i32::from(moving)) as u16;
        }
        Some(counted(line))
    }
}

/// The panel as it is at one moment of the trace.
pub struct Screen {
    panel: Panel,
    pub(super) memory: Memory,
    pub(super) scan_out: ScanOut,
}

impl Screen {
    pub(super) fn new(panel: Panel, scan_out: ScanOut) -> Self {
        Screen { panel, memory: Memory::new(), scan_out }
    }

    /// The glass.
    pub fn panel(&self) -> Panel {
        self.panel
    }

    /// Whether anything is to be seen: sleep mode has been left and the display is on. The backlight is not
    /// on this bus.
    pub fn lit(&self) -> bool {
        self.scan_out.lit()
    }

    /// What people see, but for the backlight: all black unless the display is [lit](Self::lit).
    pub fn shown(&self) -> Picture {
        let (width, height) = self.panel.size();
        if self.lit() { self.picture() } else { Picture::black(u32::from(width), u32::from(height)) }
    }

    /// What people see or would see if the display were [lit](Self::lit).
    pub fn picture(&self) -> Picture {
        let Rect { x, y, width: columns, height: lines } = self.panel.glass();
        let lines: Vec<Option<&[u32]>> = (y..y + lines)
            .map(|line| {
                let row = self.memory.row(self.scan_out.row(line)?);
                Some(&row[usize::from(x)..usize::from(x + columns)])
            })
            .collect();
        let (width, height) = self.panel.size();
        let (tint, dark) = (self.tint(), [0; 3]);
        let mut rgb = vec![0; usize::from(width) * usize::from(height) * 3];
        let rows = rgb.as_chunks_mut::<3>().0.chunks_exact_mut(usize::from(width));
        for (y, pixels) in (0..height).zip(rows) {
            // The glass is read along its lines, or across them if the picture lies on its side.
            match self.panel.rotation() {
                Rotation::Upright => {
                    if let Some(line) = lines[usize::from(y)] {
                        tint.lay(pixels, line.iter());
                    }
                }
                Rotation::Half => {
                    if let Some(line) = lines[usize::from(height - 1 - y)] {
                        tint.lay(pixels, line.iter().rev());
                    }
                }
                Rotation::Quarter => {
                    let across = lines.iter().rev().map(|line| line.map(|line| line[usize::from(y)]));
                    for (pixel, seen) in pixels.iter_mut().zip(across) {
                        *pixel = seen.map_or(dark, |seen| tint.colour(seen));
                    }
                }
                Rotation::ThreeQuarters => {
                    let column = usize::from(height - 1 - y);
                    for (pixel, line) in pixels.iter_mut().zip(&lines) {
                        *pixel = line.map_or(dark, |line| tint.colour(line[column]));
                    }
                }
            }
        }
        Picture::of_rgb(u32::from(width), u32::from(height), rgb)
    }

    /// Red, green and blue of column and row of the memory, as they were written: before inversion, scrolling
    /// and the like. `None` outside the memory.
    pub fn memory_at(&self, column: u16, row: u16) -> Option<[u8; 3]> {
        if column >= RAM_WIDTH || row >= RAM_HEIGHT {
            return None;
        }
        let [_, red, green, blue] = self.memory.row(row)[usize::from(column)].to_be_bytes();
        Some([red, green, blue])
    }

    /// Where a part of the memory is seen; `None` if nowhere. If lines are scrolled or left out, it is
    /// everything between the first and the last line that is seen of it.
    pub(super) fn seen(&self, area: Rect) -> Option<Rect> {
        if self.scan_out.partial.is_none() && self.scan_out.scroll.is_none() {
            return self.panel.seen(area);
        }
        let shows = |line: &u16| {
            self.scan_out.row(*line).is_some_and(|row| (area.y..area.y + area.height).contains(&row))
        };
        let first = (0..RAM_HEIGHT).find(shows)?;
        let last = (0..RAM_HEIGHT).rfind(shows)?;
        self.panel.seen(Rect { y: first, height: last - first + 1, ..area })
    }

    fn tint(&self) -> Tint {
        Tint {
            swaps: self.scan_out.bgr != self.panel.needs_bgr(),
            idle: self.scan_out.idle,
            inverts: self.scan_out.inverted != self.panel.needs_inversion(),
        }
    }
}

/// What happens to all colours between memory and eye.
#[derive(Clone, Copy)]
struct Tint {
    swaps: bool,
    idle: bool,
    inverts: bool,
}

impl Tint {
    fn colour(self, pixel: u32) -> [u8; 3] {
        let [_, mut red, green, mut blue] = pixel.to_be_bytes();
        if self.swaps {
            std::mem::swap(&mut red, &mut blue);
        }
        let mut colour = [red, green, blue];
        if self.idle {
            // Section 9.1.31: of each colour the most significant bit.
            colour = colour.map(|value| if value & 0x80 != 0 { 0xFF } else { 0 });
        }
        if self.inverts {
            colour = colour.map(|value| !value);
        }
        colour
    }

    fn lay<'a>(self, pixels: &mut [[u8; 3]], line: impl Iterator<Item = &'a u32>) {
        pixels.iter_mut().zip(line).for_each(|(pixel, seen)| *pixel = self.colour(*seen));
    }
}

/// The bits of MADCTL that act between memory and glass.
impl ScanOut {
    pub(super) const fn with_access(self, access: Access) -> Self {
        ScanOut { bgr: access.is_bgr(), upwards: access.refreshes_upwards(), ..self }
    }
}
