//! From a session to a capture.

use std::io::{self, Read, Seek};

use rigor_core::Instant;
use zip::ZipArchive;
use zip::result::ZipError;

use super::metadata::Metadata;
use crate::capture::Capture;
use crate::capture::limits::{Limits, ReadError, excerpt};
use crate::capture::raw::drain;
use crate::capture::samples::Unpacker;

/// The longest `metadata` that is read. 512 names are less than a tenth of it.
const MAX_METADATA: u64 = 1 << 20;

fn refuse(entry: &str, offset: u64, what: impl Into<String>) -> ReadError {
    ReadError::Offset { entry: entry.to_owned(), offset, what: what.into() }
}

fn archive_error(error: ZipError) -> ReadError {
    match error {
        ZipError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => ReadError::Io(error),
        other => refuse("", 0, format!("it is no whole zip archive ({other}); is it a sigrok session?")),
    }
}

/// The text of a short entry.
fn text<R: Read + Seek>(archive: &mut ZipArchive<R>, name: &str, most: u64) -> Result<String, ReadError> {
    let entry = archive.by_name(name).map_err(|error| match error {
        ZipError::FileNotFound => {
            refuse("", 0, format!("the archive has no `{name}`; is it a sigrok session?"))
        }
        other => refuse(name, 0, format!("it cannot be read ({other})")),
    })?;
    let mut bytes = Vec::new();
    let read = entry.take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| refuse(name, bytes.len() as u64, format!("it cannot be read ({error})")))?;
    if bytes.len() as u64 > most {
        return Err(ReadError::TooLarge { place: format!("entry `{name}`"), of_what: "bytes", limit: most });
    }
    String::from_utf8(bytes)
        .map_err(|error| refuse(name, error.utf8_error().valid_up_to() as u64, "it is not UTF-8"))
}

/// Feeds the entry `name`; false if there is none.
fn samples<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    name: &str,
    unpacker: &mut Unpacker,
    capture: &mut Capture,
) -> Result<bool, ReadError> {
    let entry = match archive.by_name(name) {
        Ok(entry) => entry,
        Err(ZipError::FileNotFound) => return Ok(false),
        Err(other) => return Err(refuse(name, 0, format!("it cannot be read ({other})"))),
    };
    let mut entry = Counted { entry, count: 0 };
    match drain(&mut entry, unpacker, capture) {
        Ok(()) => Ok(true),
        Err(ReadError::Io(error)) => Err(refuse(name, entry.count, format!("it cannot be read ({error})"))),
        Err(other) => Err(other),
    }
}

/// Counts what was read.
struct Counted<R> {
    entry: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.entry.read(into)?;
        self.count += read as u64;
        Ok(read)
    }
}

/// Reads the digital signals of a session's first device. The capture begins at zero.
///
/// Both versions of the format are read: samples in one entry, and in numbered ones. Each is expanded
/// as it is looked at, and [`Limits::sample_bytes`] ends that, so an archive that expands without end is
/// refused.
///
/// # Errors
/// [`ReadError`] with the entry and the offset in it, or the line of `metadata`.
pub fn read(from: impl Read + Seek, limits: &Limits) -> Result<Capture, ReadError> {
    let mut archive = ZipArchive::new(from).map_err(archive_error)?;
    let version = text(&mut archive, "version", 16)?;
    if !matches!(version.trim(), "1" | "2") {
        let what = format!("version `{}` of the format; 1 and 2 can be read", excerpt(version.as_bytes()));
        return Err(refuse("version", 0, what));
    }
    let metadata = Metadata::parse(&text(&mut archive, "metadata", MAX_METADATA)?)?;
    let mut capture = Capture::new(Instant::ZERO);
    let mut unpacker = metadata.layout.unpacker(&mut capture, limits);
    let name = &metadata.samples;
    if !samples(&mut archive, name, &mut unpacker, &mut capture)? {
        let mut number = 1_u64;
        while samples(&mut archive, &format!("{name}-{number}"), &mut unpacker, &mut capture)? {
            number += 1;
        }
        if number == 1 {
            let what = format!(
                "the archive has neither `{0}` nor `{0}-1`, which should hold the samples",
                excerpt(name.as_bytes())
            );
            return Err(refuse("", 0, what));
        }
    }
    unpacker.finish(&mut capture);
    Ok(capture)
}
