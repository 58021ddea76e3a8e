//! A device's bytes as text that a terminal can be trusted with.
//!
//! Bytes come as they come, characters cut in two. What would move a cursor, change a title or answer back
//! is shown as `\xNN`; colours (ECMA-48 SGR and other CSI sequences) are dropped.

use std::fmt::Write;

/// A CSI sequence that is longer is none.
const MAX_SEQUENCE: usize = 32;
/// Bytes of the longest character.
const MAX_CHARACTER: usize = 4;

/// Turns a stream of bytes into printable text, piece by piece.
#[derive(Default)]
pub struct Visible {
    /// The begin of something that is not known yet: an escape sequence, or a character. At most
    /// [`MAX_SEQUENCE`] bytes.
    pending: Vec<u8>,
}

/// What some bytes begin with.
enum Head {
    /// A character of so many bytes.
    Character(char, usize),
    /// A control sequence of so many bytes.
    Sequence(usize),
    /// A byte that is neither.
    Stray,
    /// It depends on what follows.
    Open,
}

impl Visible {
    /// The text of what came before and is known now, and of `bytes` as far as it is known.
    ///
    /// CR is dropped before LF; LF and TAB stay. Everything else that is not printable is written as
    /// `\xNN`.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend(bytes);
        let mut text = String::with_capacity(self.pending.len());
        let mut at = 0;
        while at < self.pending.len() {
            let rest = &self.pending[at..];
            at += match head(rest) {
                Head::Open => break,
                Head::Sequence(length) => length,
                Head::Character(character, length) => {
                    show(character, &rest[..length], &mut text);
                    length
                }
                Head::Stray => {
                    escape(&rest[..1], &mut text);
                    1
                }
            };
        }
        self.pending.drain(..at);
        text
    }

    /// Nothing more comes: the text of what is left.
    pub fn finish(&mut self) -> String {
        let mut text = String::new();
        escape(&std::mem::take(&mut self.pending), &mut text);
        text
    }
}

fn head(bytes: &[u8]) -> Head {
    match bytes {
        [0x1B] | [b'\r'] => Head::Open,
        [b'\r', b'\n', ..] => Head::Character('\n', 2),
        [0x1B, b'[', body @ ..] => sequence(body),
        _ => character(bytes),
    }
}

/// After ESC `[`: parameters, intermediates, one final byte (ECMA-48, section 5.4).
fn sequence(body: &[u8]) -> Head {
    let parameters = body.iter().take_while(|byte| matches!(byte, 0x30..=0x3F)).count();
    let intermediates = body[parameters..].iter().take_while(|byte| matches!(byte, 0x20..=0x2F)).count();
    let length = 2 + parameters + intermediates;
    match body.get(parameters + intermediates) {
        Some(0x40..=0x7E) if length < MAX_SEQUENCE => Head::Sequence(length + 1),
        None if length < MAX_SEQUENCE => Head::Open,
        _ => Head::Stray,
    }
}

fn character(bytes: &[u8]) -> Head {
    let some = &bytes[..bytes.len().min(MAX_CHARACTER)];
    let valid = match std::str::from_utf8(some) {
        Ok(valid) => valid,
        Err(error) if error.valid_up_to() > 0 => {
            std::str::from_utf8(&some[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(error) if error.error_len().is_none() => return Head::Open,
        Err(_) => return Head::Stray,
    };
    match valid.chars().next() {
        Some(character) => Head::Character(character, character.len_utf8()),
        None => Head::Stray,
    }
}

/// Characters that change how others are shown, or in which direction (Unicode, general categories Cf and
/// Zl, Zp): a log line must not be able to hide what it says.
fn misleads(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn show(character: char, bytes: &[u8], text: &mut String) {
    match character {
        '\n' | '\t' => text.push(character),
        character if character.is_control() || misleads(character) => escape(bytes, text),
        character => text.push(character),
    }
}

fn escape(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn shown(pieces: &[&[u8]]) -> String {
        let mut visible = Visible::default();
        let mut text: String = pieces.iter().map(|piece| visible.push(piece)).collect();
        text += &visible.finish();
        text
    }

    #[rstest]
    #[case(b"plain\r\ntext\n", "plain\ntext\n")]
    #[case(b"\x1b[0;32mgreen\x1b[0m", "green")]
    #[case(b"\x1b]0;title\x07", "\\x1b]0;title\\x07")]
    #[case(b"\x1bcboom", "\\x1bcboom")]
    #[case(b"a\rb", "a\\x0db")]
    #[case(b"\x1b[\x1b[0mx", "\\x1b[x")]
    #[case(b"tab\tnul\0", "tab\tnul\\x00")]
    #[case(b"\xff\xfe", "\\xff\\xfe")]
    #[case("\u{9b}2J é €".as_bytes(), "\\xc2\\x9b2J é €")]
    #[case("\u{202e}txet".as_bytes(), "\\xe2\\x80\\xaetxet")]
    #[case(b"\xe2\x82", "\\xe2\\x82")]
    fn hostile_bytes_are_shown(#[case] bytes: &[u8], #[case] text: &str) {
        assert_eq!(shown(&[bytes]), text);
    }

    proptest! {
        #[test]
        fn no_piece_of_it_can_command_a_terminal(bytes: Vec<u8>, cuts: Vec<prop::sample::Index>) {
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for place in places {
                pieces.push(&bytes[from..place]);
                from = place;
            }
            pieces.push(&bytes[from..]);
            let text = shown(&pieces);
            prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
            prop_assert_eq!(text, shown(&[&bytes]), "wherever it is cut");
        }

        #[test]
        fn little_is_kept(bytes: Vec<u8>) {
            let mut visible = Visible::default();
            visible.push(b"\x1b[");
            visible.push(&bytes);
            prop_assert!(visible.pending.len() <= MAX_SEQUENCE);
        }
    }
}
