//! Files of nothing but packed samples, as most analysers export them.
//!
//! Nothing in the file says how it is to be read, so the reader has to be told: how often was sampled,
//! how many bytes a sample has, and which bit is which signal. It is what sigrok's `binary` format is.

use std::io::{self, Read, Write};

use rigor_core::rate::SampleRate;
use rigor_core::{Instant, Level};

use super::limits::{Limits, ReadError};
use super::samples::{Packer, Unpacker, unit_of};
use super::signal::Capture;

/// The longest sample: 512 channels.
pub const MAX_UNIT: usize = 64;

/// Bytes that are read or written at a time.
const PIECE: usize = 1 << 16;

/// How a file of samples is to be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    rate: SampleRate,
    unit: usize,
    channels: Vec<(usize, String)>,
}

/// The description of a file of samples contradicts itself.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadLayout {
    /// A sample has no bytes, or too many.
    #[error("a sample of {0} bytes; write 1 to {MAX_UNIT}")]
    Unit(usize),
    /// A channel lies beyond the sample.
    #[error("channel `{name}` is bit {bit}, but a sample of {unit} bytes has bits 0 to {last}", last = .unit * 8 - 1)]
    Beyond {
        /// The channel's name.
        name: String,
        /// The bit that it should be.
        bit: usize,
        /// Bytes of a sample.
        unit: usize,
    },
    /// Two channels share a bit.
    #[error("channels `{first}` and `{second}` are both bit {bit}; give each a bit of its own")]
    Shared {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// Their bit.
        bit: usize,
    },
    /// There is nothing to read.
    #[error("there is no channel; name at least one, such as bit 0")]
    NoChannel,
}

impl Layout {
    /// Samples of `unit` bytes; each channel is a bit, 0 being the lowest of the first byte, and a name.
    ///
    /// # Errors
    /// [`BadLayout`] if the channels do not fit into the samples.
    pub fn new(
        rate: SampleRate,
        unit: usize,
        channels: impl IntoIterator<Item = (usize, String)>,
    ) -> Result<Self, BadLayout> {
        if !(1..=MAX_UNIT).contains(&unit) {
            return Err(BadLayout::Unit(unit));
        }
        let mut known: Vec<(usize, String)> = Vec::new();
        for (bit, name) in channels {
            if bit >= unit * 8 {
                return Err(BadLayout::Beyond { name, bit, unit });
            }
            if let Some((_, first)) = known.iter().find(|(other, _)| *other == bit) {
                return Err(BadLayout::Shared { first: first.clone(), second: name, bit });
            }
            known.push((bit, name));
        }
        if known.is_empty() {
            return Err(BadLayout::NoChannel);
        }
        Ok(Layout { rate, unit, channels: known })
    }

    /// Samples of as many bytes as the channels need, which are `D0`, `D1` and so on from bit 0 up.
    ///
    /// # Errors
    /// [`BadLayout`] for no channels or more than 512.
    pub fn plain(rate: SampleRate, channels: usize) -> Result<Self, BadLayout> {
        let names = (0..channels.min(MAX_UNIT * 8)).map(|bit| (bit, format!("D{bit}")));
        Layout::new(rate, unit_of(channels), names)
    }

    pub(super) fn unpacker(&self, capture: &mut Capture, limits: &Limits) -> Unpacker {
        let mut bits = vec![None; self.unit * 8];
        for (bit, name) in &self.channels {
            bits[*bit] = Some(capture.signals().len());
            capture.add(name.as_str(), Level::Low);
        }
        Unpacker::new(self.rate, self.unit, bits, limits)
    }
}

/// Feeds all of `from` to `unpacker`.
pub(super) fn drain(
    mut from: impl Read,
    unpacker: &mut Unpacker,
    capture: &mut Capture,
) -> Result<(), ReadError> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => unpacker.feed(capture, &piece[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads packed samples. The capture begins at zero, with the first of them.
///
/// # Errors
/// [`ReadError`] if the last sample is not whole, or the limits are exceeded.
pub fn read(from: impl Read, layout: &Layout, limits: &Limits) -> Result<Capture, ReadError> {
    let mut capture = Capture::new(Instant::ZERO);
    let mut unpacker = layout.unpacker(&mut capture, limits);
    drain(from, &mut unpacker, &mut capture)?;
    if unpacker.incomplete() > 0 {
        return Err(ReadError::Offset {
            entry: String::new(),
            offset: unpacker.samples() * layout.unit as u64,
            what: format!(
                "the last sample has {} of {} bytes; the file is cut short, or its samples are not of this length",
                unpacker.incomplete(),
                layout.unit
            ),
        });
    }
    unpacker.finish(&mut capture);
    Ok(capture)
}

/// Writes `capture` as packed samples: signal `n` is bit `n`, in as many bytes as that takes.
///
/// An edge is at the sample that is nearest to it; see [`Capture::resolving_rate`]. The file has no room
/// for when the capture began.
///
/// # Errors
/// Those of `to`.
pub fn write(capture: &Capture, rate: SampleRate, mut to: impl Write) -> io::Result<()> {
    let mut packer = Packer::new(capture, rate);
    let mut piece = Vec::with_capacity(PIECE);
    while packer.fill(&mut piece, PIECE) {
        to.write_all(&piece)?;
        piece.clear();
    }
    to.flush()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn rate() -> SampleRate {
        SampleRate::hertz(10_000_000).unwrap()
    }

    #[test]
    fn reads_the_bits_that_have_a_name() {
        let channels = [(9, "data".to_owned()), (0, "clock".to_owned())];
        let layout = Layout::new(rate(), 2, channels).unwrap();
        let bytes = [0x00, 0x02, 0xFF, 0x00, 0xFE, 0x00];
        let capture = read(bytes.as_slice(), &layout, &Limits::default()).unwrap();
        let data = capture.signal("data").unwrap();
        let clock = capture.signal("clock").unwrap();
        assert_eq!((data.initial(), data.edges().len()), (Level::High, 1));
        assert_eq!((clock.initial(), clock.edges().len()), (Level::Low, 2));
        assert_eq!(clock.edges()[1].at().as_nanos(), 200);
        assert_eq!(capture.end().as_nanos(), 300);
    }

    #[test]
    fn a_cut_sample_is_named_by_its_offset() {
        let layout = Layout::plain(rate(), 12).unwrap();
        let refused = read([0_u8; 7].as_slice(), &layout, &Limits::default()).unwrap_err();
        assert!(refused.to_string().starts_with("offset 6: the last sample has 1 of 2 bytes"), "{refused}");
    }

    #[test]
    fn what_is_written_is_read() {
        let mut capture = Capture::new(Instant::ZERO);
        for index in 0..9 {
            let signal = capture.add(format!("D{index}"), Level::Low);
            signal.change(Instant::from_nanos(100 * (index + 1)), Level::High).unwrap();
        }
        capture.ends_at(Instant::from_nanos(10_000_000));
        let mut bytes = Vec::new();
        write(&capture, rate(), &mut bytes).unwrap();
        let again = read(bytes.as_slice(), &Layout::plain(rate(), 9).unwrap(), &Limits::default()).unwrap();
        assert_eq!(again.signals(), capture.signals());
        // The last level needs a sample, which has a length.
        assert_eq!(again.end().as_nanos(), 10_000_100);
    }

    #[rstest]
    #[case(0, vec![], "a sample of 0 bytes")]
    #[case(65, vec![], "a sample of 65 bytes")]
    #[case(1, vec![(8, "a")], "channel `a` is bit 8, but a sample of 1 bytes has bits 0 to 7")]
    #[case(1, vec![(1, "a"), (1, "b")], "channels `a` and `b` are both bit 1")]
    #[case(1, vec![], "there is no channel")]
    fn a_layout_must_hold(#[case] unit: usize, #[case] channels: Vec<(usize, &str)>, #[case] reason: &str) {
        let channels = channels.into_iter().map(|(bit, name)| (bit, name.to_owned()));
        let refused = Layout::new(rate(), unit, channels).unwrap_err().to_string();
        assert!(refused.starts_with(reason), "{refused}");
    }
}
