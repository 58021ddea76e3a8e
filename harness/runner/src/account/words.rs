//! Texts with their figures taken out, so that two of them can be known for the same.

/// `text` with every run of digits as `#`.
pub fn skeleton(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    for letter in text.chars() {
        if !letter.is_ascii_digit() {
            told.push(letter);
        } else if !told.ends_with('#') {
            told.push('#');
        }
    }
    told
}

/// The runs of digits in `text`, in order.
pub fn numbers(text: &str) -> Vec<f64> {
    text.split(|letter: char| !letter.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// FNV-1a with 64 bits: the same on every host and in every run, unlike the standard library's.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// `text` with at most so many characters.
pub(super) fn cut(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A line of the console without the time stamp of the log (`I (123) TAG: text`).
pub(super) fn without_stamp(line: &str) -> String {
    let stamped = line.get(1..).and_then(|rest| rest.strip_prefix(" (")).and_then(|rest| {
        let (stamp, rest) = rest.split_once(')')?;
        stamp.bytes().all(|byte| byte.is_ascii_digit()).then_some(rest)
    });
    match stamped {
        Some(rest) => format!("{}{rest}", &line[..1]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_time_stamps_are_taken_out() {
        assert_eq!(skeleton("heap 120 of 3.5 K"), "heap # of #.# K");
        assert_eq!(numbers("heap 120 of 3.5 K"), [120.0, 3.0, 5.0]);
        assert_eq!(without_stamp("I (1200) LED: 7 (9)"), "I LED: 7 (9)");
        assert_eq!(without_stamp("ü (12) x"), "ü (12) x");
        assert_eq!(cut("äöü".to_owned(), 2), "äö…");
    }
}
