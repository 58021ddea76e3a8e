//! From a capture to a session.

use std::io::{self, Seek, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{SAMPLES, metadata};
use crate::capture::samples::Packer;
use crate::capture::{Capture, SampleRate};

/// Bytes of an entry with samples. sigrok's own sessions have the same (`CHUNK_SIZE` in libsigrok's
/// `output/srzip.c`); readers take an entry at a time.
const CHUNK: usize = 4 << 20;

/// More than that is no help to anybody, and takes minutes: 16 GiB, which is what a reader takes by
/// default ([`Limits`](crate::capture::Limits)).
const MAX_BYTES: u64 = 16 << 30;

/// Writes `capture` as a session of `rate`.
///
/// An edge is at the sample that is nearest to it, so two that are closer than a sample vanish:
/// [`Capture::resolving_rate`] gives a rate at which none does. Line breaks and control characters in
/// names become `_`. The memory needed is that of one entry, 4 MiB, and of what compresses it.
///
/// # Errors
/// Those of `to`, and of kind [`io::ErrorKind::InvalidInput`] if the capture has no signal, because
/// sigrok knows no session without one, or has more than 16 GiB of samples.
pub fn write(capture: &Capture, rate: SampleRate, to: impl Write + Seek) -> io::Result<()> {
    if capture.signals().is_empty() {
        let what = "a capture of no signals; sigrok needs one";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let mut packer = Packer::new(capture, rate);
    let bytes = packer.samples().saturating_mul(packer.unit() as u64);
    if bytes > MAX_BYTES {
        let what = format!(
            "{} s of {} signals at {rate} are more than {MAX_BYTES} bytes; write a shorter slice, or fewer samples",
            capture.duration().as_secs(),
            capture.signals().len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let mut archive = ZipWriter::new(to);
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let deflated = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    archive.start_file("version", stored)?;
    archive.write_all(b"2")?;
    archive.start_file("metadata", deflated)?;
    archive.write_all(metadata::write(capture, rate, packer.unit()).as_bytes())?;
    // A sample is never cut in two.
    let chunk = CHUNK / packer.unit() * packer.unit();
    let mut piece = Vec::with_capacity(chunk);
    let mut number = 1;
    while packer.fill(&mut piece, chunk) {
        archive.start_file(format!("{SAMPLES}-{number}"), deflated)?;
        archive.write_all(&piece)?;
        piece.clear();
        number += 1;
    }
    archive.finish()?.flush()
}
