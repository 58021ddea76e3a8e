//! From a capture to text.

use std::collections::BinaryHeap;
use std::io::{self, Write};

use rigor_core::Level;

use crate::capture::Capture;

/// The first and the number of the characters of an identifier code: the printable ones of ASCII.
const FIRST_CODE: u8 = b'!';
const CODES: usize = 94;

/// A short code for signal `index`.
fn code(mut index: usize) -> Vec<u8> {
    let mut code = Vec::new();
    loop {
        code.push(FIRST_CODE + (index % CODES) as u8);
        index /= CODES;
        if index == 0 {
            return code;
        }
        index -= 1;
    }
}

/// A name of a signal must be one word.
fn word(name: &str) -> String {
    let word: String = name
        .chars()
        .map(|character| if character.is_whitespace() || character.is_control() { '_' } else { character })
        .collect();
    // `$end` would end its own declaration.
    match word.strip_prefix('$') {
        Some(rest) => format!("_{rest}"),
        None if word.is_empty() => "_".to_owned(),
        None => word,
    }
}

fn digit(level: Level) -> u8 {
    match level {
        Level::Low => b'0',
        Level::High => b'1',
    }
}

/// Writes `capture` with its instants as they are, in nanoseconds since the rig was taken.
///
/// Blanks and control characters in names become `_`. The memory needed is that of a few words a
/// signal.
///
/// # Errors
/// Those of `to`.
pub fn write(capture: &Capture, mut to: impl Write) -> io::Result<()> {
    writeln!(to, "$version rigor $end")?;
    writeln!(to, "$timescale 1 ns $end")?;
    writeln!(to, "$scope module rig $end")?;
    let codes: Vec<Vec<u8>> = (0..capture.signals().len()).map(code).collect();
    for (signal, code) in capture.signals().iter().zip(&codes) {
        to.write_all(b"$var wire 1 ")?;
        to.write_all(code)?;
        writeln!(to, " {} $end", word(signal.name()))?;
    }
    writeln!(to, "$upscope $end")?;
    writeln!(to, "$enddefinitions $end")?;
    let mut now = capture.start().as_nanos();
    writeln!(to, "#{now}")?;
    writeln!(to, "$dumpvars")?;
    let change = |to: &mut dyn Write, signal: usize, level: Level| {
        to.write_all(&[digit(level)])?;
        to.write_all(&codes[signal])?;
        to.write_all(b"\n")
    };
    for (index, signal) in capture.signals().iter().enumerate() {
        change(&mut to, index, signal.initial())?;
    }
    writeln!(to, "$end")?;

    // The earliest edge of each signal that has one left; the heap gives the greatest.
    let edges: Vec<_> = capture.signals().iter().map(|signal| signal.edges()).collect();
    let key = |signal: usize, edge: usize| {
        edges[signal].get(edge).map(|next| std::cmp::Reverse((next.at().as_nanos(), signal, edge)))
    };
    let mut heads: BinaryHeap<_> = (0..edges.len()).filter_map(|signal| key(signal, 0)).collect();
    while let Some(std::cmp::Reverse((at, signal, edge))) = heads.pop() {
        if at > now {
            now = at;
            writeln!(to, "#{now}")?;
        }
        change(&mut to, signal, edges[signal][edge].level())?;
        heads.extend(key(signal, edge + 1));
    }
    if capture.end().as_nanos() > now {
        writeln!(to, "#{}", capture.end().as_nanos())?;
    }
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_short_and_differ() {
        let codes: std::collections::BTreeSet<Vec<u8>> = (0..20_000).map(code).collect();
        assert_eq!(codes.len(), 20_000);
        assert!(codes.iter().all(|code| code.len() <= 3 && code.iter().all(u8::is_ascii_graphic)));
        assert_eq!((code(0), code(93), code(94)), (b"!".to_vec(), b"~".to_vec(), b"!!".to_vec()));
    }

    #[test]
    fn names_become_words() {
        assert_eq!(word("leds.0"), "leds.0");
        assert_eq!(word("a b\tc\n$end"), "a_b_c_$end");
        assert_eq!(word("$end"), "_end");
        assert_eq!(word(""), "_");
    }
}
