//! Making bytes readable without hiding anything but colours.

use std::fmt::Write;

/// The text of `bytes` without ANSI control sequences, with what cannot be shown written as
/// `\xNN`; and whether any of it was not UTF-8.
pub(super) fn visible(bytes: &[u8]) -> (String, bool) {
    let mut text = String::with_capacity(bytes.len());
    let mut invalid = false;
    let mut rest = bytes;
    while !rest.is_empty() {
        // A sequence may stand anywhere, even inside a broken character.
        if let Some(length) = control_sequence(rest) {
            rest = &rest[length..];
            continue;
        }
        let until = rest.iter().skip(1).position(|&byte| byte == 0x1B).map_or(rest.len(), |place| place + 1);
        let (part, after) = rest.split_at(until);
        for chunk in part.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() && character != '\t' {
                    escape(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
                } else {
                    text.push(character);
                }
            }
            invalid |= !chunk.invalid().is_empty();
            escape(&mut text, chunk.invalid());
        }
        rest = after;
    }
    (text, invalid)
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// Length of the control sequence that `bytes` begin with (ECMA-48 section 5.4): ESC `[`,
/// parameters, intermediates, one final byte.
fn control_sequence(bytes: &[u8]) -> Option<usize> {
    let body = bytes.strip_prefix(b"\x1b[")?;
    let parameters = body.iter().take_while(|byte| matches!(byte, 0x30..=0x3F)).count();
    let intermediates = body[parameters..].iter().take_while(|byte| matches!(byte, 0x20..=0x2F)).count();
    let last = body.get(parameters + intermediates)?;
    matches!(last, 0x40..=0x7E).then_some(2 + parameters + intermediates + 1)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(b"\x1b[0;32mgreen\x1b[0m", "green", false)]
    #[case(b"\x1b[2J\x1b[?25lx", "x", false)]
    #[case(b"\x1b[1 qx", "x", false)]
    #[case(b"\x1b[ 0m", "\\x1b[ 0m", false)]
    #[case(b"\x1b[31", "\\x1b[31", false)]
    #[case(b"\x1b", "\\x1b", false)]
    #[case(b"a\x1bMb", "a\\x1bMb", false)]
    #[case(b"\x1b[\x1b[0mx", "\\x1b[x", false)]
    #[case(b"nul\0 tab\t del\x7f", "nul\\x00 tab\t del\\x7f", false)]
    #[case(b"\xe2\x82\x1b[0m\xac", "\\xe2\\x82\\xac", true)]
    #[case("\u{85}".as_bytes(), "\\xc2\\x85", false)]
    fn shown(#[case] bytes: &[u8], #[case] text: &str, #[case] invalid: bool) {
        assert_eq!(visible(bytes), (text.to_owned(), invalid));
    }
}
