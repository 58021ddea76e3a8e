//! Why firmware cannot be, or was not, brought onto a chip.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::chip::Chip;

/// What is wrong with an image. Each says what, at which address, and what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ImageError {
    /// No firmware begins where the chip looks for it.
    #[error(
        "no image of {what} begins at {at:#x}: the first byte is {found}, not 0xe9; give an ELF file, or a merged \
         image from address 0 on (`espflash save-image --merge`, `esptool merge-bin`)"
    )]
    Absent {
        /// Of what: bootloader or partition.
        what: String,
        /// Where it should begin.
        at: u32,
        /// What is there, in words.
        found: String,
    },
    /// It ends before its own header says so.
    #[error(
        "{what} at {at:#x} is cut short: it needs {needed} bytes, and {left} are there; make the file again"
    )]
    Truncated {
        /// What.
        what: String,
        /// Where it begins.
        at: u32,
        /// Bytes that it says it has.
        needed: u64,
        /// Bytes that the file has of it.
        left: u64,
    },
    /// Its sums do not agree with its bytes.
    #[error("{what} at {at:#x} is damaged: {how}; make the file again")]
    Damaged {
        /// What.
        what: String,
        /// Where it begins.
        at: u32,
        /// Which sum.
        how: String,
    },
    /// It is for a chip that nobody flashes here, or its parts are for different ones.
    #[error("{what} at {at:#x} is for {chip}, {instead}")]
    OtherChip {
        /// What.
        what: String,
        /// Where it begins.
        at: u32,
        /// What it is for.
        chip: String,
        /// What would be right.
        instead: String,
    },
    /// The partition table is none, or the bootloader would not take it.
    #[error("the partition table at 0x8000: {0}; correct it, and make the image again")]
    Table(String),
    /// Something does not fit where it is.
    #[error("{what} takes {bytes} bytes, and {place} has {room}; {remedy}")]
    TooLarge {
        /// What.
        what: String,
        /// What it takes.
        bytes: u64,
        /// Where.
        place: String,
        /// What is there.
        room: u64,
        /// What to do.
        remedy: &'static str,
    },
    /// Code that would not lie where it was linked to.
    #[error(
        "{what} at {at:#x} is misaligned: its segment for {linked:#010x} lies at {lies:#x} of the flash, which differs \
         within a page of {page:#x} bytes; make the image with `espflash save-image --merge` or `esptool elf2image`"
    )]
    Misaligned {
        /// What.
        what: String,
        /// Where it begins.
        at: u32,
        /// Where the segment was linked to.
        linked: u32,
        /// Where it lies.
        lies: u32,
        /// Bytes of a page of the flash.
        page: u32,
    },
    /// An ELF file, and this build makes no images.
    #[error(
        "it is an ELF file, and only a build with the feature `espflash` makes a flash image of one; use such a \
         build, or give a merged image (`espflash save-image --merge`)"
    )]
    Elf,
    /// An ELF file that is no firmware for the chip.
    #[error("no flash image can be made of the ELF file: {0}; build it for the chip again")]
    UnfitElf(String),
    /// An ELF file does not say for which chip it is.
    #[error("the ELF file does not say for which chip it is; say it (`--chip`)")]
    WhichChip,
}

/// Why a board was not flashed. Whatever the reason, the same call later repairs what was left half done.
#[derive(Debug, thiserror::Error)]
pub enum FlashError {
    /// The image is not fit.
    #[error("{}: {reason}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: ImageError,
    },
    /// The file cannot be read.
    #[error("{}: {reason}; name an ELF file or a merged image", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The board has another chip.
    #[error("the image is for {image}, and the board has {board}; nothing was written")]
    NotForChip {
        /// What the image is for.
        image: Chip,
        /// What the board has.
        board: Chip,
    },
    /// The board has a chip that nobody flashes here.
    #[error(
        "the board has {found}; only esp32c3, esp32c6 and esp32s3 are flashed here, and nothing was written"
    )]
    UnknownChip {
        /// What its loader says.
        found: String,
    },
    /// The flash is too small.
    #[error("{what} takes {needed} bytes of flash, and the board has {has}; {remedy}. Nothing was written")]
    FlashTooSmall {
        /// What does not fit.
        what: &'static str,
        /// What it takes.
        needed: u64,
        /// What the board has.
        has: u32,
        /// What to do.
        remedy: &'static str,
    },
    /// A fuse of the chip makes plain images useless, or final.
    #[error(
        "the chip has {what}, which plain images do not survive; flash it with the tools that hold its keys. \
         Nothing was written"
    )]
    Locked {
        /// Which.
        what: &'static str,
    },
    /// The port cannot be opened.
    #[error("{}: {reason}; is the board plugged in, may you open it, and does nobody else hold it?", port.display())]
    Open {
        /// The port.
        port: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Nobody there speaks the loader's protocol.
    #[error(
        "{}: no loader answers ({heard}); hold BOOT, press RESET, release BOOT, and try again", port.display()
    )]
    NoLoader {
        /// The port.
        port: PathBuf,
        /// What came instead.
        heard: String,
    },
    /// The debug probe does not reach the chip.
    #[error("{reason}. Nothing was written")]
    Probe {
        /// What it says, and what to do.
        reason: String,
    },
    /// Somebody wanted the end of it.
    #[error("it was interrupted, while {doing}; try again, which goes on from there")]
    Interrupted {
        /// What was being done.
        doing: String,
    },
    /// The loader has stopped answering.
    #[error("the loader fell silent for {waited:?} while {doing}; try again, which goes on from there")]
    Stalled {
        /// What was being done.
        doing: String,
        /// For how long.
        waited: Duration,
    },
    /// The board has gone away.
    #[error(
        "the board is gone, while {doing} ({reason}); look at the cable and try again, which goes on from there"
    )]
    Gone {
        /// What was being done.
        doing: String,
        /// What the system says.
        reason: String,
    },
    /// The loader has refused.
    #[error("the loader did not do it, while {doing}: {reason}; reset the board and try again")]
    Rejected {
        /// What was being done.
        doing: String,
        /// What it says.
        reason: String,
    },
    /// What the flash holds is not what was written.
    #[error(
        "the flash differs from the image at {at:#x} (within {bytes} bytes) after it was written; nothing boots from \
         it. Try again; if it stays, lower the baud rate, then look at supply and flash"
    )]
    Differs {
        /// Where the region begins.
        at: u32,
        /// How long it is.
        bytes: u32,
    },
}
