//! A program as the ROM and the bootloader load it: a header, segments, a checksum, a digest.
//!
//! The form is that of ESP-IDF's `esp_app_format.h` and of esptool's "Firmware Image Format".

use sha2::{Digest, Sha256};

use crate::chip::{Chip, name_of_id};
use crate::error::ImageError;
use crate::image::BLANK;

const MAGIC: u8 = 0xE9;
const HEADER_BYTES: usize = 24;
const SEGMENT_HEADER_BYTES: usize = 8;
/// `ESP_IMAGE_MAX_SEGMENTS` of ESP-IDF.
const MAX_SEGMENTS: u8 = 16;
/// What the checksum begins with.
const CHECKSUM_SEED: u8 = 0xEF;
const DIGEST_BYTES: usize = 32;
/// `ESP_APP_DESC_MAGIC_WORD` of ESP-IDF.
const DESCRIPTOR_MAGIC: [u8; 4] = 0xABCD_5432_u32.to_le_bytes();
/// Where in the descriptor the binary logarithm of the page's size is; 0 for the usual one.
const DESCRIPTOR_PAGE: usize = 180;
/// Bytes of flash that are mapped at once.
const PAGE: u32 = 0x1_0000;

/// A program that was looked at.
pub(crate) struct Program<'a> {
    what: &'a str,
    at: u32,
    chip: Chip,
    declared_flash: u32,
    /// Where each segment was linked to, and where in the flash its data begin.
    segments: Vec<(u32, u32)>,
    page: u32,
    bytes: u64,
}

impl<'a> Program<'a> {
    /// The program that `bytes` begins with, which is at address `at` of the flash.
    pub(crate) fn parse(what: &'a str, at: u32, bytes: &[u8]) -> Result<Self, ImageError> {
        let truncated = |needed: usize| ImageError::Truncated {
            what: what.to_owned(),
            at,
            needed: needed as u64,
            left: bytes.len() as u64,
        };
        let damaged = |how: String| ImageError::Damaged { what: what.to_owned(), at, how };
        let Some(&magic) = bytes.first() else {
            return Err(absent(what, at, "missing"));
        };
        if magic != MAGIC {
            let found = if magic == BLANK { "blank".to_owned() } else { format!("{magic:#04x}") };
            return Err(absent(what, at, &found));
        }
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or_else(|| truncated(HEADER_BYTES))?;
        let id = u16::from_le_bytes([header[12], header[13]]);
        let chip = Chip::of_id(id).ok_or_else(|| ImageError::OtherChip {
            what: what.to_owned(),
            at,
            chip: name_of_id(id),
            instead: "and only esp32c3, esp32c6 and esp32s3 are flashed here".to_owned(),
        })?;
        if header[1] == 0 || header[1] > MAX_SEGMENTS {
            return Err(damaged(format!("{} segments are none, or too many", header[1])));
        }

        let mut end = HEADER_BYTES;
        let mut checksum = CHECKSUM_SEED;
        let mut segments = Vec::new();
        let mut page = PAGE;
        for index in 0..header[1] {
            let begin = end + SEGMENT_HEADER_BYTES;
            let about = bytes.get(end..begin).ok_or_else(|| truncated(begin))?;
            let linked = u32::from_le_bytes([about[0], about[1], about[2], about[3]]);
            let length = u32::from_le_bytes([about[4], about[5], about[6], about[7]]) as usize;
            end = begin.saturating_add(length);
            let data = bytes.get(begin..end).ok_or_else(|| truncated(end))?;
            checksum = data.iter().fold(checksum, |sum, byte| sum ^ byte);
            if index == 0 && data.starts_with(&DESCRIPTOR_MAGIC) {
                page = page_of(data);
            }
            // Both are below 64 MiB.
            segments.push((linked, at.saturating_add(u32::try_from(begin).unwrap_or(u32::MAX))));
        }
        // The checksum is the last byte of a row of 16.
        let summed = (end + 1).next_multiple_of(16);
        let found = *bytes.get(summed - 1).ok_or_else(|| truncated(summed))?;
        // Nothing that a fuzzer invents would come past the sums.
        if found != checksum && !cfg!(fuzzing) {
            return Err(damaged(format!(
                "its checksum is {found:#04x}, and its segments give {checksum:#04x}"
            )));
        }
        let mut whole = summed;
        if header[23] == 1 {
            whole += DIGEST_BYTES;
            let digest = bytes.get(summed..whole).ok_or_else(|| truncated(whole))?;
            if digest != Sha256::digest(&bytes[..summed]).as_slice() && !cfg!(fuzzing) {
                return Err(damaged("its SHA-256 is not that of its bytes".to_owned()));
            }
        }
        let declared_flash = 1 << 20 << (header[3] >> 4).min(8);
        Ok(Program { what, at, chip, declared_flash, segments, page, bytes: whole as u64 })
    }

    /// The chip that it is for.
    pub(crate) fn chip(&self) -> Chip {
        self.chip
    }

    /// Bytes of flash that its header says there are.
    pub(crate) fn declared_flash(&self) -> u32 {
        self.declared_flash
    }

    /// Whether it fits into `place`, which has so many bytes.
    pub(crate) fn within(&self, place: &str, room: u32) -> Result<(), ImageError> {
        if self.bytes <= room.into() {
            return Ok(());
        }
        Err(ImageError::TooLarge {
            what: self.what.to_owned(),
            bytes: self.bytes,
            place: place.to_owned(),
            room: room.into(),
            remedy: "make it smaller, or its partition larger",
        })
    }

    /// Whether it is for the chip of `bootloader`.
    pub(crate) fn same_chip_as(&self, bootloader: &Program<'_>) -> Result<(), ImageError> {
        if self.chip == bootloader.chip {
            return Ok(());
        }
        Err(ImageError::OtherChip {
            what: self.what.to_owned(),
            at: self.at,
            chip: self.chip.to_string(),
            instead: format!("and its bootloader for {}; build both for one chip", bootloader.chip),
        })
    }

    /// Whether everything that is read in place lies in its page of the flash where it was linked to in its page of
    /// the address space: else the bootloader cannot map it.
    pub(crate) fn aligned(&self) -> Result<(), ImageError> {
        let windows = self.chip.flash_windows();
        let mapped =
            self.segments.iter().filter(|(linked, _)| windows.iter().any(|window| window.contains(linked)));
        match mapped.into_iter().find(|(linked, lies)| linked % self.page != lies % self.page) {
            None => Ok(()),
            Some(&(linked, lies)) => Err(ImageError::Misaligned {
                what: self.what.to_owned(),
                at: self.at,
                linked,
                lies,
                page: self.page,
            }),
        }
    }
}

/// Bytes of a page, by the descriptor that `data` begins with.
fn page_of(data: &[u8]) -> u32 {
    match data.get(DESCRIPTOR_PAGE) {
        // 8 to 64 KiB.
        Some(&logarithm @ 13..=16) => 1 << logarithm,
        _ => PAGE,
    }
}

fn absent(what: &str, at: u32, found: &str) -> ImageError {
    ImageError::Absent { what: what.to_owned(), at, found: found.to_owned() }
}
