//! LED frames as lines of JSON, for programs.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use rigor_decode::ws2812::{ColourOrder, Frame};
use serde::Serialize;

#[derive(Serialize)]
struct Row<'a> {
    lane: &'a str,
    frame: u64,
    at_ns: u64,
    rgb: String,
}

/// A file of frames. Of frames that show the same as the one before on their lane there is no line; the
/// numbers tell how many.
pub struct FrameFile {
    file: BufWriter<File>,
    last: Vec<(String, Vec<u8>)>,
}

impl FrameFile {
    /// A new file in place of what was there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(FrameFile { file: BufWriter::new(File::create(path)?), last: Vec::new() })
    }

    /// Frame `number` of `lane`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn frame(&mut self, lane: &str, number: u64, frame: &Frame) -> io::Result<()> {
        let wire = &frame.body.bytes;
        let index = match self.last.iter().position(|(known, _)| known == lane) {
            Some(index) if self.last[index].1 == wire[..] => return Ok(()),
            Some(index) => index,
            None => {
                self.last.push((lane.to_owned(), Vec::new()));
                self.last.len() - 1
            }
        };
        self.last[index].1 = wire.to_vec();
        // As in CSS, without its first character.
        let rgb = frame.pixels(ColourOrder::Grb).map(|colour| colour.to_string()[1..].to_owned()).collect();
        let row = Row { lane, frame: number, at_ns: frame.start.as_nanos(), rgb };
        serde_json::to_writer(&mut self.file, &row)?;
        self.file.write_all(b"\n")
    }

    /// Hands everything to readers.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
