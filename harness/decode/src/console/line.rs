//! From bytes with times to lines with times.

use std::time::Duration;

use rigor_core::event::{Direction, Serial};
use rigor_core::{Event, Instant, Kind};

use super::log::LogLine;
use super::text;

/// Longest line in bytes, without its line end. A longer one is given in pieces.
pub const MAX_LINE: usize = 4096;

/// Why a line ends where it ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LineEnd {
    /// By a newline (LF, or any number of CRs and LF).
    Newline,
    /// It reached [`MAX_LINE`]; the next line is its [continuation](Line::continues).
    Split,
    /// The source lost data here.
    Gap,
    /// The trace ended.
    TraceEnded,
}

/// A line of a console.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// The start bit of its first byte; of the newline if the line is empty.
    pub start: Instant,
    /// The end of the last stop bit: of the newline's, or of the last byte's if there is none.
    pub end: Instant,
    /// `start` and `end` are right within plus or minus this.
    pub uncertainty: Duration,
    /// The bytes, without the line end.
    pub raw: Box<[u8]>,
    /// The bytes for people: without ANSI escape sequences (ECMA-48 CSI, such as colours), and
    /// what is not UTF-8 and control characters other than the tab written as `\xNN`.
    pub text: String,
    /// Whether bytes were not UTF-8.
    pub invalid_utf8: bool,
    /// Whether it is the rest of a line that was split.
    pub continues: bool,
    /// Why it ends.
    pub ending: LineEnd,
}

impl Line {
    /// The line as one of ESP-IDF's log; `None` if it is none, or a piece of a split line that
    /// does not begin it.
    pub fn log(&self) -> Option<LogLine<'_>> {
        if self.continues { None } else { LogLine::parse(&self.text) }
    }
}

/// Cuts what one side sends on a serial line into [`Line`]s.
///
/// Keeps at most [`MAX_LINE`] bytes and their trailing CRs' place; ignores other kinds of event and
/// the other direction. A CR that no LF follows does not end a line: it is shown as `\x0d`.
pub struct LineDecoder {
    direction: Direction,
    bytes: Vec<u8>,
    start: Instant,
    end: Instant,
    uncertainty: Duration,
    continues: bool,
}

impl Default for LineDecoder {
    /// Of what the device sends.
    fn default() -> Self {
        LineDecoder::new(Direction::FromDut)
    }
}

impl LineDecoder {
    /// Of what is sent in this direction.
    pub fn new(direction: Direction) -> Self {
        LineDecoder {
            direction,
            bytes: Vec::new(),
            start: Instant::ZERO,
            end: Instant::ZERO,
            uncertainty: Duration::ZERO,
            continues: false,
        }
    }

    /// All lines of `events` from the device, to the end of the trace.
    pub fn decode<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<Line> {
        let mut decoder = LineDecoder::default();
        let mut lines = Vec::new();
        for event in events {
            decoder.event(event, &mut lines);
        }
        lines.extend(decoder.finish());
        lines
    }

    /// Takes the source's next event and appends the lines that it ends to `lines`.
    pub fn event(&mut self, event: &Event, lines: &mut Vec<Line>) {
        match &event.kind {
            Kind::Serial(serial) if serial.direction == self.direction => {
                self.serial(event, serial, lines);
            }
            Kind::Gap(_) => {
                if !self.bytes.is_empty() {
                    lines.push(self.take(LineEnd::Gap));
                }
                self.continues = false;
            }
            _ => {}
        }
    }

    fn serial(&mut self, event: &Event, serial: &Serial, lines: &mut Vec<Line>) {
        // Event times are the sum of bytes before, not of rounded instants.
        let byte_end = |index: usize| {
            event.at + serial.byte_time.saturating_mul(u32::try_from(index + 1).unwrap_or(u32::MAX))
        };
        for (index, &byte) in serial.bytes.iter().enumerate() {
            let start = if index == 0 { event.at } else { byte_end(index - 1) };
            if byte != b'\n' && self.must_split(byte) {
                lines.push(self.take(LineEnd::Split));
                self.continues = true;
            }
            if self.bytes.is_empty() {
                self.start = start;
            }
            self.end = byte_end(index);
            self.uncertainty = self.uncertainty.max(event.uncertainty);
            if byte == b'\n' {
                lines.push(self.take(LineEnd::Newline));
                self.continues = false;
            } else {
                self.bytes.push(byte);
            }
        }
    }

    /// Whether the line is full before this byte. It may be up to three bytes early, so as not to
    /// cut a character in two: a byte that continues a character stays with it.
    fn must_split(&self, next: u8) -> bool {
        let inside_character = next & 0xC0 == 0x80;
        self.bytes.len() >= if inside_character { MAX_LINE } else { MAX_LINE - 3 }
    }

    fn take(&mut self, ending: LineEnd) -> Line {
        let mut raw = std::mem::take(&mut self.bytes);
        if ending == LineEnd::Newline {
            while raw.last() == Some(&b'\r') {
                raw.pop();
            }
        }
        let (text, invalid_utf8) = text::visible(&raw);
        Line {
            start: self.start,
            end: self.end,
            uncertainty: std::mem::take(&mut self.uncertainty),
            raw: raw.into_boxed_slice(),
            text,
            invalid_utf8,
            continues: self.continues,
            ending,
        }
    }

    /// The bytes since the last line end: a prompt, for example.
    pub fn pending(&self) -> &[u8] {
        &self.bytes
    }

    /// The trace is over. Gives the line under way, if it has any byte.
    pub fn finish(mut self) -> Option<Line> {
        if self.bytes.is_empty() { None } else { Some(self.take(LineEnd::TraceEnded)) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use rigor_core::event::Gap;
    use rstest::rstest;

    use super::*;

    const BYTE: u64 = 86_805;

    fn sent(at: u64, bytes: &[u8]) -> Event {
        Event {
            at: Instant::from_nanos(at),
            uncertainty: Duration::ZERO,
            kind: Kind::Serial(Serial {
                direction: Direction::FromDut,
                bytes: bytes.into(),
                byte_time: Duration::from_nanos(BYTE),
            }),
        }
    }

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn times_are_those_of_start_and_stop_bits() {
        let lines = LineDecoder::decode(&[sent(1000, b"ab\ncd"), sent(9_000_000, b"e\r\n\n")]);
        assert_eq!(texts(&lines), ["ab", "cde", ""]);
        let times: Vec<(u64, u64)> =
            lines.iter().map(|line| (line.start.as_nanos(), line.end.as_nanos())).collect();
        assert_eq!(
            times,
            [
                (1000, 1000 + 3 * BYTE),
                (1000 + 3 * BYTE, 9_000_000 + 3 * BYTE),
                (9_000_000 + 3 * BYTE, 9_000_000 + 4 * BYTE),
            ]
        );
    }

    #[rstest]
    #[case(b"a\r\nb\r\r\nc\n", &["a", "b", "c"])]
    #[case(b"10%\r20%\r\n", &["10%\\x0d20%"])]
    #[case(b"\x1b[0;32mI (1) t: ok\x1b[0m\r\n", &["I (1) t: ok"])]
    #[case(b"\n\n", &["", ""])]
    fn line_ends(#[case] bytes: &[u8], #[case] expected: &[&str]) {
        assert_eq!(texts(&LineDecoder::decode(&[sent(0, bytes)])), expected);
    }

    #[test]
    fn invalid_utf8_is_shown_and_flagged() {
        let lines = LineDecoder::decode(&[sent(0, b"ok \xc3\xa9\nbad \xff\xc3\n")]);
        assert_eq!(texts(&lines), ["ok \u{e9}", "bad \\xff\\xc3"]);
        assert_eq!((lines[0].invalid_utf8, lines[1].invalid_utf8), (false, true));
    }

    #[test]
    fn other_direction_is_not_ours() {
        let mut event = sent(0, b"typed\n");
        if let Kind::Serial(serial) = &mut event.kind {
            serial.direction = Direction::ToDut;
        }
        assert_eq!(LineDecoder::decode([&event]), []);
        let mut lines = Vec::new();
        LineDecoder::new(Direction::ToDut).event(&event, &mut lines);
        assert_eq!(texts(&lines), ["typed"]);
    }

    #[test]
    fn a_gap_ends_a_line() {
        let gap = Event {
            at: Instant::from_nanos(1_000_000),
            uncertainty: Duration::ZERO,
            kind: Kind::Gap(Gap { length: Duration::from_millis(1), reason: Arc::from("overrun") }),
        };
        let lines = LineDecoder::decode(&[sent(0, b"half"), gap, sent(3_000_000, b"rest\n")]);
        assert_eq!(texts(&lines), ["half", "rest"]);
        assert_eq!((lines[0].ending, lines[1].ending), (LineEnd::Gap, LineEnd::Newline));
    }

    #[test]
    fn prompt_is_pending() {
        let mut decoder = LineDecoder::default();
        let mut lines = Vec::new();
        decoder.event(&sent(0, b"a\nprism> "), &mut lines);
        assert_eq!((lines.len(), decoder.pending()), (1, &b"prism> "[..]));
        let last = decoder.finish().unwrap();
        assert_eq!((last.text.as_str(), last.ending), ("prism> ", LineEnd::TraceEnded));
    }

    #[test]
    fn long_lines_come_in_pieces_and_whole_characters() {
        let long = "\u{20ac}".repeat(3000);
        let lines = LineDecoder::decode(&[sent(0, long.as_bytes()), sent(900_000_000, b"\nnext\n")]);
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|line| line.raw.len() <= MAX_LINE && !line.invalid_utf8));
        assert_eq!(texts(&lines[..3]).concat(), long);
        let flags: Vec<(bool, LineEnd)> = lines.iter().map(|line| (line.continues, line.ending)).collect();
        assert_eq!(
            flags,
            [
                (false, LineEnd::Split),
                (true, LineEnd::Split),
                (true, LineEnd::Newline),
                (false, LineEnd::Newline),
            ]
        );
        assert_eq!(lines[1].start, lines[0].end);
    }

    #[test]
    fn only_the_first_piece_is_a_log_line() {
        let mut bytes = b"I (5) t: ".to_vec();
        bytes.resize(MAX_LINE + 10, b'x');
        bytes.extend_from_slice(b"I (6) t: y\n");
        let lines = LineDecoder::decode(&[sent(0, &bytes)]);
        assert!(lines[0].log().is_some() && lines[1].log().is_none());
    }

    proptest! {
        /// However the bytes are cut into events, the lines are the same.
        #[test]
        fn cuts_do_not_matter(bytes in proptest::collection::vec(any::<u8>(), 0..6000), cuts in proptest::collection::vec(0usize..6000, 0..8)) {
            let whole = LineDecoder::decode(&[sent(0, &bytes)]);
            let mut places: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            places.extend([0, bytes.len()]);
            places.sort_unstable();
            let events: Vec<Event> =
                places.windows(2).map(|pair| sent(pair[0] as u64 * BYTE, &bytes[pair[0]..pair[1]])).collect();
            prop_assert_eq!(&LineDecoder::decode(&events), &whole);
            prop_assert!(whole.iter().all(|line| line.raw.len() <= MAX_LINE));
            for line in &whole {
                prop_assert!(!line.text.chars().any(|c| c.is_control() && c != '\t'));
            }
        }
    }
}
