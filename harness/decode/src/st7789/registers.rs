//! The registers that commands set, and what setting them does.

use std::time::Duration;

use rigor_core::Instant;

use super::address::{Access, RAM_HEIGHT, Window};
use super::finding::{Axis, FindingKind};
use super::instruction::{Opcode, opcode};
use super::memory::PixelFormat;
use super::panel::Panel;
use super::screen::{ScanOut, Scroll};

/// After SWRESET, SLPIN and SLPOUT (ST7789V datasheet, sections 9.1.2, 9.1.11 and 9.1.12).
const SETTLE: Duration = Duration::from_millis(5);
/// Between sleep in and sleep out, and after a reset in sleep mode before sleep out (the same sections).
const SLEEP: Duration = Duration::from_millis(120);

/// COLMOD after power on: 18 bits (section 9.1.32, "Default").
const COLMOD_RESET: u8 = 0x66;
/// The second parameter of RAMCTRL after a reset (section 9.2.1, "Default").
const RAMCTRL_RESET: u8 = 0xF0;

/// A command that the controller needs time after.
#[derive(Clone, Copy)]
struct Busy {
    command: Opcode,
    since: Instant,
    /// Longer than for others it needs before this one.
    before: Option<u8>,
}

/// Registers of addresses and formats. Those that act between memory and glass are in [`ScanOut`].
pub(super) struct Registers {
    pub(super) access: Access,
    colmod: u8,
    ramctrl: u8,
    pub(super) window: Window,
    columns_set: bool,
    rows_set: bool,
    /// TFA and VSA.
    scroll_area: (u16, u16),
    partial_area: (u16, u16),
    busy: Option<Busy>,
}

impl Registers {
    /// As after power on.
    pub(super) fn new() -> Self {
        Registers {
            access: Access(0),
            colmod: COLMOD_RESET,
            ramctrl: RAMCTRL_RESET,
            window: Window::whole(Access(0)),
            columns_set: false,
            rows_set: false,
            scroll_area: (0, RAM_HEIGHT),
            partial_area: (0, RAM_HEIGHT - 1),
            busy: None,
        }
    }

    /// Of a controller that somebody has set up already.
    pub(super) fn running(madctl: u8, colmod: u8) -> Self {
        let access = Access(madctl);
        Registers {
            access,
            colmod,
            window: Window::whole(access),
            columns_set: true,
            rows_set: true,
            ..Registers::new()
        }
    }

    /// What pixels are, if the decoder knows.
    pub(super) fn format(&self) -> Option<PixelFormat> {
        PixelFormat::of(self.colmod, self.ramctrl)
    }

    /// Whether the controller has had the time that it needs before this command.
    pub(super) fn too_soon(&self, command: u8, at: Instant) -> Option<FindingKind> {
        let busy = self.busy?;
        let needed = if busy.before == Some(command) { SLEEP } else { SETTLE };
        let waited = at.since(busy.since);
        (waited < needed).then_some(FindingKind::TooSoon {
            command: Opcode(command),
            after: busy.command,
            waited,
            needed,
        })
    }

    /// What is wrong with the window that pixels are to come to.
    pub(super) fn objections(&self, panel: Panel) -> Vec<FindingKind> {
        let mut found = Vec::new();
        if !(self.columns_set && self.rows_set) {
            found.push(FindingKind::WindowNotSet);
        }
        let window = self.window;
        for (axis, (start, end)) in [(Axis::Columns, window.columns), (Axis::Rows, window.rows)] {
            if start > end {
                found.push(FindingKind::StartAfterEnd { axis, start, end });
            }
        }
        if window.is_ordered() {
            let area = window.area(self.access);
            let inside = area.map_or(0, |area| area.pixels());
            if !window.fits(self.access) {
                found.push(FindingKind::OutsideMemory { window, pixels: window.pixels() - inside });
            }
            let seen = area.and_then(|area| area.common(panel.glass())).map_or(0, |area| area.pixels());
            if seen < inside {
                found.push(FindingKind::OutsidePanel { window, pixels: inside - seen });
            }
        }
        found
    }

    /// Does what the command with all its parameters does. Gives the registers between memory and glass as
    /// they are then, and what is wrong.
    pub(super) fn set(
        &mut self,
        command: u8,
        parameters: &[u8],
        at: Instant,
        old: ScanOut,
    ) -> (ScanOut, Option<FindingKind>) {
        let word = |index: usize| {
            let byte = |index: usize| parameters.get(index).copied().unwrap_or_default();
            u16::from_be_bytes([byte(index * 2), byte(index * 2 + 1)])
        };
        let first = parameters.first().copied().unwrap_or_default();
        let mut new = old;
        let mut wrong = None;
        match command {
            opcode::SWRESET => {
                self.busy_after(command, at, old.asleep.then_some(opcode::SLPOUT));
                self.software_reset();
                new = ScanOut::RESET.with_access(self.access);
            }
            opcode::SLPIN => {
                self.busy_after(command, at, Some(opcode::SLPOUT));
                new.asleep = true;
            }
            opcode::SLPOUT => {
                self.busy_after(command, at, Some(opcode::SLPIN));
                new.asleep = false;
            }
            opcode::PTLON => {
                new.partial = Some(self.partial_area);
                new.scroll = None;
            }
            opcode::NORON => {
                new.partial = None;
                new.scroll = None;
            }
            opcode::INVOFF => new.inverted = false,
            opcode::INVON => new.inverted = true,
            opcode::DISPOFF => new.on = false,
            opcode::DISPON => new.on = true,
            opcode::IDMOFF => new.idle = false,
            opcode::IDMON => new.idle = true,
            opcode::CASET => {
                self.window.columns = (word(0), word(1));
                self.columns_set = true;
            }
            opcode::RASET => {
                self.window.rows = (word(0), word(1));
                self.rows_set = true;
            }
            opcode::MADCTL => {
                self.access = Access(first);
                new = new.with_access(self.access);
            }
            opcode::COLMOD => {
                self.colmod = first;
                if self.format().is_none() {
                    wrong = Some(FindingKind::UnknownPixelFormat { colmod: first });
                }
            }
            opcode::RAMCTRL => self.ramctrl = parameters.get(1).copied().unwrap_or_default(),
            opcode::PTLAR => {
                let area = (word(0), word(1));
                match [area.0, area.1].into_iter().find(|line| *line >= RAM_HEIGHT) {
                    Some(line) => {
                        wrong = Some(FindingKind::LineOutside { command: Opcode(command), line });
                    }
                    None => {
                        self.partial_area = area;
                        new.partial = old.partial.map(|_| area);
                    }
                }
            }
            opcode::VSCRDEF => {
                let (top, moving, bottom) = (word(0), word(1), word(2));
                let lines = [top, moving, bottom].into_iter().map(u32::from).sum::<u32>();
                if lines != u32::from(RAM_HEIGHT) || moving == 0 {
                    wrong = Some(FindingKind::ScrollArea { top, moving, bottom });
                } else {
                    self.scroll_area = (top, moving);
                    new.scroll = old.scroll.map(|scroll| Scroll { top, moving, ..scroll });
                }
            }
            opcode::VSCSAD => {
                let (top, moving) = self.scroll_area;
                let start = word(0);
                if (top..top + moving).contains(&start) {
                    new.scroll = Some(Scroll { top, moving, start });
                } else {
                    wrong = Some(FindingKind::LineOutside { command: Opcode(command), line: start });
                }
            }
            _ => {}
        }
        (new, wrong)
    }

    /// MADCTL and COLMOD stay as they are (sections 9.1.28 and 9.1.32, "Default", row "S/W Reset").
    fn software_reset(&mut self) {
        *self = Registers {
            access: self.access,
            colmod: self.colmod,
            window: Window::whole(self.access),
            busy: self.busy,
            ..Registers::new()
        };
    }

    fn busy_after(&mut self, command: u8, since: Instant, before: Option<u8>) {
        self.busy = Some(Busy { command: Opcode(command), since, before });
    }
}
