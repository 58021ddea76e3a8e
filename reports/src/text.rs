//! Text from a device, made safe to print.

use std::fmt::Write;

/// `text` with everything that could garble a terminal, a table or an XML file made visible:
/// control characters, including line breaks and the escape that begins a colour, as `\n` or
/// `\u{1b}`; so are characters that reorder or hide their neighbours, and the two that XML
/// forbids. What is left has one line and no effect beyond its own columns.
///
/// A backslash stays as it is, so the result is for reading, not for parsing back.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            hidden if is_hidden(hidden) => {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(hidden));
            }
            plain => shown.push(plain),
        }
    }
    shown
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' // soft hyphen, Arabic letter mark, vowel separator
            | '\u{200b}'..='\u{200f}' // zero width, left-to-right and right-to-left marks
            | '\u{2028}'..='\u{202e}' // line and paragraph separators, embeddings, overrides
            | '\u{2060}'..='\u{206f}' // joiners, isolates
            | '\u{fe00}'..='\u{fe0f}' // variation selectors
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            | '\u{e0000}'..='\u{e0fff}') // tags
}

/// `text`, made [`visible`], cut to `longest` characters with an ellipsis in the last place.
pub(crate) fn clip(text: &str, longest: usize) -> String {
    // One character becomes at most ten, so this bounds the work for hostile lengths.
    let shown = visible(text.get(..text.floor_char_boundary(longest * 4)).unwrap_or(text));
    let whole = text.len() <= longest * 4 && shown.chars().count() <= longest;
    if whole {
        return shown;
    }
    let mut cut: String = shown.chars().take(longest.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("frame period ±5 %", "frame period ±5 %")]
    #[case("\u{1b}[31mred\u{1b}[0m", "\\u{1b}[31mred\\u{1b}[0m")]
    #[case("a\r\nb\tc\0", "a\\r\\nb\\tc\\u{0}")]
    #[case("\u{9b}31m", "\\u{9b}31m")]
    #[case("\u{202e}drawkcab", "\\u{202e}drawkcab")]
    #[case("zero\u{200b}width", "zero\\u{200b}width")]
    #[case("\u{fffe}\u{ffff}\u{feff}", "\\u{fffe}\\u{ffff}\\u{feff}")]
    #[case("C:\\n", "C:\\n")]
    fn hostile_text_becomes_visible(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(visible(text), shown);
    }

    #[rstest]
    #[case("abc", 3, "abc")]
    #[case("abcd", 3, "ab…")]
    #[case("äöüß", 4, "äöüß")]
    #[case("äöüß!", 4, "äöü…")]
    #[case("\n\n", 3, "\\n…")]
    #[case("😀😀😀😀", 4, "😀😀😀😀")]
    #[case("", 3, "")]
    fn long_text_is_cut(#[case] text: &str, #[case] longest: usize, #[case] shown: &str) {
        assert_eq!(clip(text, longest), shown);
        assert!(clip(&text.repeat(100_000), longest).chars().count() <= longest);
    }
}
