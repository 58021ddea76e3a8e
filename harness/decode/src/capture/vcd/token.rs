//! Words of a text, with the line that they are in and no more memory than the longest may take.

use std::io::BufRead;

use crate::capture::limits::{ReadError, excerpt};

/// The longest word that means anything: a vector of so many bits, or a name.
pub(super) const MAX_WORD: usize = 4097;

pub(super) struct Words<R> {
    source: R,
    word: Vec<u8>,
    /// The word was longer than [`MAX_WORD`], and its rest was left out.
    too_long: bool,
    line: u64,
    /// Of the last word.
    word_line: u64,
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | 0x0b | 0x0c)
}

impl<R: BufRead> Words<R> {
    pub(super) fn new(source: R) -> Self {
        Words { source, word: Vec::new(), too_long: false, line: 1, word_line: 1 }
    }

    /// An error at the last word.
    pub(super) fn error(&self, what: impl Into<String>) -> ReadError {
        ReadError::Line { line: self.word_line, what: what.into() }
    }

    /// For limits: how far the text was read.
    pub(super) fn place(&self) -> String {
        format!("line {}", self.word_line)
    }

    /// The next word, cut off where it gets too long; false at the end of the text.
    fn advance(&mut self) -> Result<bool, ReadError> {
        self.word.clear();
        self.too_long = false;
        loop {
            let buffer = match self.source.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if buffer.is_empty() {
                return Ok(!self.word.is_empty());
            }
            let mut begin = 0;
            if self.word.is_empty() {
                begin = buffer.iter().position(|&byte| !is_blank(byte)).unwrap_or(buffer.len());
                self.line += buffer[..begin].iter().filter(|&&byte| byte == b'\n').count() as u64;
                self.word_line = self.line;
            }
            let rest = &buffer[begin..];
            let length = rest.iter().position(|&byte| is_blank(byte)).unwrap_or(rest.len());
            let room = MAX_WORD - self.word.len();
            self.too_long |= length > room;
            self.word.extend_from_slice(&rest[..length.min(room)]);
            // The blank after the word stays, so that its line break is counted once.
            let ended = length < rest.len() && !self.word.is_empty();
            self.source.consume(begin + length);
            if ended {
                return Ok(true);
            }
        }
    }

    /// The next word; `None` at the end of the text.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, ReadError> {
        if !self.advance()? {
            return Ok(None);
        }
        if self.too_long {
            let what = format!("the word `{}...` has more than {MAX_WORD} characters", excerpt(&self.word));
            return Err(self.error(what));
        }
        Ok(Some(&self.word))
    }

    /// The next word, which has to be there.
    pub(super) fn expect(&mut self, what: &str) -> Result<&[u8], ReadError> {
        if self.next()?.is_none() {
            return Err(ReadError::Line {
                line: self.line,
                what: format!("the file ends where {what} should be; copy it again"),
            });
        }
        Ok(&self.word)
    }

    /// Leaves out everything up to `$end`, however long.
    pub(super) fn skip_section(&mut self, name: &str) -> Result<(), ReadError> {
        let line = self.word_line;
        while self.advance()? {
            if self.word == b"$end" {
                return Ok(());
            }
        }
        Err(ReadError::Line { line, what: format!("`{name}` has no `$end`; the file may be cut short") })
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn words_know_their_lines_wherever_the_buffer_ends() {
        for capacity in 1..20 {
            let text = "one  two\r\n\n\tthree\nfour";
            let mut words = Words::new(BufReader::with_capacity(capacity, text.as_bytes()));
            let mut seen = Vec::new();
            while let Some(word) = words.next().unwrap() {
                let word = String::from_utf8(word.to_vec()).unwrap();
                seen.push((word, words.word_line));
            }
            let expected = [("one", 1), ("two", 1), ("three", 3), ("four", 4)];
            assert_eq!(seen, expected.map(|(word, line)| (word.to_owned(), line)), "{capacity}");
        }
    }

    #[test]
    fn what_is_too_long_is_refused_but_can_be_left_out() {
        let long = "x".repeat(MAX_WORD + 1);
        let text = format!("\n{long}");
        let mut words = Words::new(text.as_bytes());
        assert!(words.next().unwrap_err().to_string().starts_with("line 2: the word `xxxx"));
        let text = format!("{long} $end rest");
        let mut words = Words::new(text.as_bytes());
        words.skip_section("$comment").unwrap();
        assert_eq!(words.next().unwrap(), Some(&b"rest"[..]));
        assert!(words.word.capacity() <= 2 * MAX_WORD);
    }
}
