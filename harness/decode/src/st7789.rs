//! Decodes what is sent to a display controller of the ST7789 family, and shows what its panel shows.
//!
//! In the flow (action, event, **decode**, measure, verdict, report) this module takes the transfers on a
//! panel's bus ([`rigor_core::event::BusTransfer`]) and gives commands, passes over windows, pictures and
//! findings, each with its instants.
//!
//! | Type | What it gives |
//! |---|---|
//! | [`Decoder`] | one [`Item`] after the other, and the [`Screen`] as it is at that moment |
//! | [`FrameDecoder`] | [`Frame`]s: pictures, each with its start, end, dirty rectangle and tear |
//! | [`Record`] | all of it for a whole trace, in bounded memory: for `rigor decode` and evidence |
//!
//! # Source
//! Sitronix, ST7789V datasheet, version 1.3 (2014/03): section 8.4 (serial interface), 8.8.41 to 8.8.44 (pixel
//! data on the 4-line serial interface), 8.12 (address control), chapter 9 (commands; each constant of
//! [`opcode`] names its section). Where it is silent, and what is chosen here:
//!
//! | Matter | Chosen |
//! |---|---|
//! | fewer parameters than a command has | the command has no effect, and is a finding |
//! | more parameters than a command has | the rest is ignored, and is a finding |
//! | a window whose start is after its end | its pixels are ignored, and that is a finding |
//! | a window beyond the memory | the counters run over the whole window; what is outside is dropped |
//! | memory after power on | black |
//! | 16 to 24 bits | upper bits are repeated below, so that full scale is 255 |
//! | the BGR bit | acts between memory and glass, at once and on all of the picture |
//! | lines outside the partial area | black |
//!
//! # What is a pass, and what is a frame
//! A [`Pass`] is what one RAMWR (and the RAMWRC that continue it) writes to a window. User interfaces draw
//! hundreds of them for what people call a picture. A [`Frame`] is such a picture: consecutive passes,
//! until the bus has been without pixels for [`Config::pause`], or until a pass begins that will write all of
//! the panel, or until a register changes what is seen (inversion, scrolling, display on and so on). With a
//! pause of zero each pass is a frame.
//!
//! # What is a tear
//! Either of two things ([`Tear`]). A pass was **broken off**: its window was not full when another command
//! began something else. Or, if the panel's refresh is known ([`Config::scan`], [`Decoder::scan_began`]), one **scan** read
//! some lines before this pass wrote them and others after, or one between its first and its last pixel.

mod address;
mod config;
mod decoder;
pub mod encode;
mod finding;
mod frame;
mod instruction;
mod item;
mod memory;
mod panel;
mod pass;
mod record;
mod registers;
mod scan;
mod screen;

pub use address::{Access, RAM_HEIGHT, RAM_WIDTH, Rect, Window};
pub use config::{Config, Start};
pub use decoder::Decoder;
pub use finding::{Axis, Finding, FindingKind};
pub use frame::{Frame, FrameDecoder};
pub use instruction::{Opcode, name, opcode};
pub use item::{Command, Item, MAX_PARAMETERS};
pub use memory::PixelFormat;
pub use panel::{Panel, PanelError, Rotation};
pub use pass::{Pass, PassEnding};
pub use record::{LeftOut, Limits, Line, Record};
pub use scan::{Scan, Tear};
pub use screen::Screen;
