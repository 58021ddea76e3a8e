//! A line of a console, for people.

use rigor_image::{Image, ImageError, Symboliser};
use rigor_reports::visible;

/// Addresses of a line that are explained; a backtrace of ESP-IDF has 100 at most.
const MAX_ADDRESSES: usize = 100;

/// Who explains the addresses in a line; without an image, nobody.
#[derive(Default)]
pub(super) struct Reader<'a>(Option<Symboliser<'a>>);

impl<'a> Reader<'a> {
    /// By the debug information of `image`.
    pub(super) fn of(image: &'a Image) -> Result<Self, ImageError> {
        Ok(Reader(Some(image.symboliser()?)))
    }

    /// A line for each call that leads to an address of the image's code in `line`, innermost first. Chips print
    /// such addresses in several ways: after `Backtrace:`, one on a line, or as registers. Others do not belong to any
    /// function, and nothing is said of them.
    pub(super) fn explain(&self, line: &str) -> Vec<String> {
        let Some(symboliser) = &self.0 else { return Vec::new() };
        let explained = addresses(line).take(MAX_ADDRESSES).flat_map(|(address, exact)| {
            // A return address belongs to what comes after the call.
            let frames = symboliser.frames(if exact { address } else { address.wrapping_sub(1) });
            let known = frames.iter().any(|frame| frame.function.is_some());
            frames.into_iter().filter(move |_| known).map(move |frame| format!("{address:#010x} at {frame}"))
        });
        explained.map(|line| visible(&line)).collect()
    }
}

/// The numbers of `0x` and eight digits in `line`, and whether each is where the processor was, and not where a call
/// returns to.
fn addresses(line: &str) -> impl Iterator<Item = (u32, bool)> {
    line.match_indices("0x").filter_map(|(at, _)| {
        let digits = line.get(at + 2..at + 10)?;
        let ends = line.as_bytes().get(at + 10).is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let address =
            digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16));
        let before = line[..at].trim_end_matches([' ', ':', '=', '\t']);
        Some((address.filter(|_| ends)?.ok()?, before.ends_with("PC")))
    })
}

/// `bytes` as text without the colours of logs, and with everything else that could do something to a terminal made
/// visible.
pub(super) fn harmless(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        let parameters = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        plain.push_str(before);
        match parameters.strip_prefix('m') {
            Some(behind) => rest = behind,
            None => {
                plain.push_str("\u{1b}[");
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    visible(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_left_away_and_the_rest_is_shown() {
        assert_eq!(harmless(b"\x1b[0;32mI (31) boot: go\x1b[0m"), "I (31) boot: go");
        assert_eq!(harmless(b"\x1b[2Jx\x1b["), "\\u{1b}[2Jx\\u{1b}[");
        assert_eq!(harmless(b"\xff\x07"), "\u{fffd}\\u{7}");
    }

    #[test]
    fn addresses_are_found_in_whatever_a_chip_prints() {
        let found = |line: &str| addresses(line).collect::<Vec<_>>();
        assert_eq!(found("Backtrace: 0x42001234:0x3fc94f60 0x42005678:0x3fc94f80").len(), 4);
        assert_eq!(
            found("MEPC    : 0x42001234  RA      : 0x42005678"),
            [(0x4200_1234, true), (0x4200_5678, false)]
        );
        assert_eq!(found("0x42001234"), [(0x4200_1234, false)]);
        assert_eq!(found("PC = 0x42001234"), [(0x4200_1234, true)]);
        assert_eq!(found("0x4200123 0x420012345 0xzz001234 0xé"), []);
    }

    #[test]
    fn without_an_image_nothing_is_explained() {
        assert_eq!(Reader::default().explain("Backtrace: 0x42001234"), Vec::<String>::new());
    }
}
