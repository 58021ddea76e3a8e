//! What display traffic should not have.

use std::time::Duration;

use rigor_core::Instant;
use serde::{Serialize, Serializer};

use super::address::Window;
use super::instruction::Opcode;

/// Something that display traffic should not have. Whether it matters is for a requirement to say.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// When it was seen.
    #[serde(rename = "at_ns")]
    pub at: Instant,
    /// `at` is right within plus or minus this.
    #[serde(rename = "uncertainty_ns", serialize_with = "as_nanos")]
    pub uncertainty: Duration,
    /// What.
    #[serde(flatten)]
    pub kind: FindingKind,
}

/// An axis of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axis {
    /// Set by CASET.
    Columns,
    /// Set by RASET.
    Rows,
}

/// What display traffic should not have. Sections are those of the ST7789V datasheet, version 1.3.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum FindingKind {
    /// A window's start is after its end, when its pixels were to come. "XS always must be equal to or less
    /// than XE" (9.1.20, 9.1.21). The decoder ignores its pixels.
    StartAfterEnd {
        /// Which addresses.
        axis: Axis,
        /// The start.
        start: u16,
        /// The end.
        end: u16,
    },
    /// Part of a window is outside the controller's memory. The chip ignores what goes there.
    OutsideMemory {
        /// The window.
        window: Window,
        /// Its pixels that are outside.
        pixels: u64,
    },
    /// Part of a window is inside the memory but not behind the glass: it is never seen.
    OutsidePanel {
        /// The window.
        window: Window,
        /// Its pixels in the memory that are not seen.
        pixels: u64,
    },
    /// Pixels were to come, and since the reset CASET or RASET never did. The window is all of the memory.
    WindowNotSet,
    /// A window was not filled before something else began.
    MissingPixels {
        /// How many did not come.
        missing: u64,
        /// Pixels of the window.
        of: u64,
        /// What came instead; `None` if the trace ended or the controller was reset.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<Opcode>,
    },
    /// Bytes that make no whole pixel were left when the next command came. The chip drops them.
    LeftoverBytes {
        /// How many: 1 or 2.
        bytes: u8,
        /// Bytes of a pixel.
        of: u8,
    },
    /// Data with no command before them.
    DataWithoutCommand {
        /// How many bytes.
        bytes: u64,
    },
    /// The next command came before all parameters. The decoder does as if it had not been sent.
    TooFewParameters {
        /// Which.
        command: Opcode,
        /// How many came.
        got: u64,
        /// How many it has.
        of: u8,
    },
    /// More data than the command has parameters. The decoder ignores them.
    TooManyParameters {
        /// Which.
        command: Opcode,
        /// How many came.
        got: u64,
        /// How many it has.
        of: u8,
    },
    /// No command of the ST7789V. The decoder skips it and its parameters.
    UnknownCommand {
        /// Its code.
        command: Opcode,
    },
    /// A pixel format that the decoder does not know; it ignores pixels until the next COLMOD.
    UnknownPixelFormat {
        /// The parameter of COLMOD.
        colmod: u8,
    },
    /// Pixels that the decoder ignored, because of a window or a format that was reported.
    PixelsIgnored {
        /// How many bytes.
        bytes: u64,
    },
    /// RAMWRC with no RAMWR to continue. The decoder begins at the window's start.
    NothingToContinue,
    /// The lines of VSCRDEF do not make 320 (9.1.25), or none of them moves. The decoder keeps the old ones.
    ScrollArea {
        /// Lines that stand still at the top.
        top: u16,
        /// Lines that move.
        moving: u16,
        /// Lines that stand still at the bottom.
        bottom: u16,
    },
    /// VSCSAD names a line that does not move, or PTLAR one that does not exist.
    LineOutside {
        /// Which command.
        command: Opcode,
        /// The line.
        line: u16,
    },
    /// A command came before the controller is ready: after SWRESET and SLPIN and SLPOUT it needs 5 ms, and
    /// 120 ms between sleep in and sleep out (9.1.2, 9.1.11, 9.1.12).
    TooSoon {
        /// What came.
        command: Opcode,
        /// After what.
        after: Opcode,
        /// How long after.
        #[serde(rename = "waited_ns", serialize_with = "as_nanos")]
        waited: Duration,
        /// How long it has to be.
        #[serde(rename = "needed_ns", serialize_with = "as_nanos")]
        needed: Duration,
    },
    /// The source lost data. Everything up to the next command is ignored.
    Gap,
}

impl std::fmt::Display for FindingKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FindingKind::StartAfterEnd { axis: Axis::Columns, start, end } => {
                write!(f, "columns from {start} to {end}: the start is after the end")
            }
            FindingKind::StartAfterEnd { axis: Axis::Rows, start, end } => {
                write!(f, "rows from {start} to {end}: the start is after the end")
            }
            FindingKind::OutsideMemory { window, pixels } => {
                write!(f, "{pixels} pixels of {window} are outside the memory")
            }
            FindingKind::OutsidePanel { window, pixels } => {
                write!(f, "{pixels} pixels of {window} are outside the panel")
            }
            FindingKind::WindowNotSet => f.write_str("pixels with no window set since the reset"),
            FindingKind::MissingPixels { missing, of, by: Some(by) } => {
                write!(f, "{missing} of {of} pixels missing when {by} came")
            }
            FindingKind::MissingPixels { missing, of, by: None } => {
                write!(f, "{missing} of {of} pixels missing at the end")
            }
            FindingKind::LeftoverBytes { bytes, of } => write!(f, "{bytes} of {of} bytes of a last pixel"),
            FindingKind::DataWithoutCommand { bytes } => {
                write!(f, "{bytes} bytes of data with no command before")
            }
            FindingKind::TooFewParameters { command, got, of } => {
                write!(f, "{got} of {of} parameters of {command}")
            }
            FindingKind::TooManyParameters { command, got, of } => {
                write!(f, "{got} parameters of {command}, which has {of}")
            }
            FindingKind::UnknownCommand { command } => write!(f, "unknown command {command}"),
            FindingKind::UnknownPixelFormat { colmod } => {
                write!(f, "unknown pixel format {colmod:02X}h; known are 16 (x5h) and 18 (x6h) bits")
            }
            FindingKind::PixelsIgnored { bytes } => write!(f, "{bytes} bytes of pixels ignored"),
            FindingKind::NothingToContinue => f.write_str("RAMWRC with nothing to continue"),
            FindingKind::ScrollArea { top, moving, bottom } => {
                write!(
                    f,
                    "scroll area of {top} + {moving} + {bottom} lines, of which some must move, not 320"
                )
            }
            FindingKind::LineOutside { command, line } => write!(f, "line {line} of {command} is outside"),
            FindingKind::TooSoon { command, after, waited, needed } => write!(
                f,
                "{command} came {:.3} ms after {after}, which needs {:.0} ms",
                waited.as_secs_f64() * 1e3,
                needed.as_secs_f64() * 1e3
            ),
            FindingKind::Gap => f.write_str("the source lost data"),
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.kind)
    }
}

/// A duration as whole nanoseconds, as everything in JSON is here.
pub(super) fn as_nanos<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(rigor_core::time::nanos(*duration))
}
