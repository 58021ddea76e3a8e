//! Flashing: compare, clear, write, verify, and the header at last.
//!
//! The chip's ROM boots whatever has a valid header in the first sector. So whenever anything is to be written, that
//! sector is **erased first and written last**, after everything else was verified. Whoever pulls the cable in between
//! leaves a board that boots nothing and waits in its loader, or comes there by BOOT and RESET as always; never one
//! that runs half of one firmware and half of another. The next run compares again, writes what is missing, and puts
//! the header in its place: there is no state of the flash that it could not begin with.

use crate::board::{Board, Programmer};
use crate::error::FlashError;
use crate::image::{BLANK, FlashImage, Part, SECTOR};

/// Bytes that are compared and written at once: what flash erases fastest, and what is written again if the cable is
/// pulled.
const BLOCK: u32 = 0x1_0000;

/// What is being done, for bars.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The flash is compared with the image.
    Comparing,
    /// What differs is written.
    Writing,
    /// What the flash holds now is compared again.
    Verifying,
}

/// How far a stage has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Which stage.
    pub stage: Stage,
    /// Bytes that are done.
    pub done: u32,
    /// Bytes of the whole stage.
    pub of: u32,
}

/// What flashing came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The board.
    pub board: Board,
    /// Bytes that were written, the header included.
    pub written: u32,
    /// Bytes that were there already.
    pub kept: u32,
}

/// A piece of the image that is compared and written at once.
struct Region {
    at: u32,
    bytes: Vec<u8>,
}

impl Region {
    /// A block at most, so that it always fits.
    fn len(&self) -> u32 {
        self.bytes.len() as u32
    }

    fn is_there(&self, programmer: &mut dyn Programmer) -> Result<bool, FlashError> {
        programmer.holds(self.at, &self.bytes)
    }
}

/// What is to be compared and written, in the order of addresses.
struct Plan {
    /// The first sector, with the header by which the ROM knows that there is something to boot.
    header: Region,
    rest: Vec<Region>,
}

impl Plan {
    fn of(image: &FlashImage) -> Self {
        let mut regions = image.parts().iter().flat_map(regions);
        // An image begins with its bootloader; see `FlashImage::of_parts`.
        let header = regions.next().unwrap_or_else(|| Region { at: 0, bytes: vec![BLANK; SECTOR as usize] });
        Plan { header, rest: regions.collect() }
    }

    fn bytes(&self) -> u32 {
        self.rest.iter().map(Region::len).sum::<u32>() + self.header.len()
    }
}

/// `part` in pieces that neither cross a block nor hold both the header and anything else, each of whole sectors.
fn regions(part: &Part) -> Vec<Region> {
    let mut found = Vec::new();
    let (mut at, mut rest) = (part.at, part.bytes.as_slice());
    while !rest.is_empty() {
        let room = if at < SECTOR { SECTOR - at } else { BLOCK - at % BLOCK };
        let (piece, others) = rest.split_at(rest.len().min(room as usize));
        let mut bytes = piece.to_vec();
        bytes.resize(piece.len().next_multiple_of(SECTOR as usize), BLANK);
        found.push(Region { at, bytes });
        (at, rest) = (at.saturating_add(room), others);
    }
    found
}

/// Brings `image` onto the board of `programmer`, and leaves the chip in its loader ([`Programmer::run`] starts it).
/// What is there already is not written again; in the end all of it has been verified. `onlooker` hears how far it is.
///
/// # Errors
/// [`FlashError`]. Before anything is erased if the board and the image do not fit together; else the board boots
/// nothing until the same call has succeeded.
pub fn flash(
    programmer: &mut dyn Programmer,
    image: &FlashImage,
    onlooker: &mut dyn FnMut(Progress),
) -> Result<Outcome, FlashError> {
    let board = programmer.connect()?;
    image.fits(&board)?;
    let plan = Plan::of(image);
    let all = plan.bytes();

    let mut tell = |stage, done, of| onlooker(Progress { stage, done, of });
    let mut compared = 0;
    let mut missing = Vec::new();
    tell(Stage::Comparing, 0, all);
    for region in &plan.rest {
        if !region.is_there(programmer)? {
            missing.push(region);
        }
        compared += region.len();
        tell(Stage::Comparing, compared, all);
    }
    let header_is_there = plan.header.is_there(programmer)?;
    tell(Stage::Comparing, all, all);
    if missing.is_empty() && header_is_there {
        return Ok(Outcome { board, written: 0, kept: all });
    }

    let to_write = missing.iter().map(|region| region.len()).sum::<u32>() + plan.header.len();
    if !missing.is_empty() {
        let blank = Region { at: plan.header.at, bytes: vec![BLANK; plan.header.bytes.len()] };
        if !blank.is_there(programmer)? {
            programmer.write(blank.at, &blank.bytes, &mut |_| {})?;
            verify(programmer, &blank)?;
        }
    }
    let mut written = 0;
    for region in &missing {
        programmer
            .write(region.at, &region.bytes, &mut |sent| tell(Stage::Writing, written + sent, to_write))?;
        written += region.len();
        tell(Stage::Writing, written, to_write);
    }
    let mut verified = 0;
    for region in &plan.rest {
        verify(programmer, region)?;
        verified += region.len();
        tell(Stage::Verifying, verified, all);
    }
    programmer.write(plan.header.at, &plan.header.bytes, &mut |_| {})?;
    verify(programmer, &plan.header)?;
    tell(Stage::Verifying, all, all);
    Ok(Outcome { board, written: to_write, kept: all - to_write })
}

fn verify(programmer: &mut dyn Programmer, region: &Region) -> Result<(), FlashError> {
    if region.is_there(programmer)? {
        return Ok(());
    }
    Err(FlashError::Differs { at: region.at, bytes: region.len() })
}
