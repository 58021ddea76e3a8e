//! From text to a capture.

use std::io::BufRead;

use rigor_core::{Instant, Level};

use super::header::{Header, Var};
use super::token::Words;
use crate::capture::limits::{EdgeBudget, Limits, ReadError, excerpt};
use crate::capture::{Capture, OutOfOrder};

/// Reads a value change dump.
///
/// - The capture begins with the first time stamp and ends with the last.
/// - Times are rounded down to nanoseconds.
/// - A vector becomes a signal for each bit, named `<name>[<bit>]`. What has no levels (real numbers,
///   strings, events) is left out.
/// - Names come without their scopes, unless several signals have the same.
/// - `x` and `z` are no levels: the signal keeps the one that it had. The first one that is known is
///   that of the time before, too.
///
/// # Errors
/// [`ReadError`] with the line, at the first thing that is not as the format has it.
pub fn read(from: impl BufRead, limits: &Limits) -> Result<Capture, ReadError> {
    let mut words = Words::new(from);
    let header = Header::read(&mut words, limits)?;
    let mut body = Body::new(header, limits);
    while let Some(word) = words.next()? {
        match word[0] {
            b'#' => {
                let stamp = number(&word[1..]);
                let Some(stamp) = stamp else {
                    let what = format!("`{}` is no time; write `#` and a whole number", excerpt(word));
                    return Err(words.error(what));
                };
                body.time(stamp).map_err(|what| words.error(what))?;
            }
            digit @ (b'0' | b'1' | b'x' | b'X' | b'z' | b'Z') => {
                let Some(var) = body.var(&word[1..]) else {
                    let what = format!(
                        "the value `{}` is of no declared variable; declare its code by `$var`",
                        excerpt(word)
                    );
                    return Err(words.error(what));
                };
                if var.width > 0 {
                    // A scalar value of a vector is that of its last bit.
                    let signal = var.first + var.width - 1;
                    body.value(signal, level(digit), || words.place())?;
                }
            }
            b'b' | b'B' => {
                let bits = word[1..].to_vec();
                let code = words.expect("the code of a vector")?;
                let Some(var) = body.var(code) else {
                    let what = format!("`{}` is the code of no declared variable", excerpt(code));
                    return Err(words.error(what));
                };
                body.vector(var, &bits, &words)?;
            }
            b'r' | b'R' | b's' | b'S' => {
                words.expect("the code of a number or string")?;
            }
            b'$' => {
                let keyword = word.to_vec();
                match keyword.as_slice() {
                    b"$dumpvars" | b"$dumpall" | b"$dumpon" | b"$dumpoff" | b"$end" => {}
                    section => words.skip_section(&excerpt(section))?,
                }
            }
            _ => {
                let what = format!(
                    "`{}` is no change of a value; expected 0, 1, x, z, b or r, or a time",
                    excerpt(word)
                );
                return Err(words.error(what));
            }
        }
    }
    Ok(body.finish())
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &digit| {
        let digit = digit.checked_sub(b'0').filter(|&digit| digit <= 9)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// The level of a value; `None` if it has none.
fn level(digit: u8) -> Option<Level> {
    match digit {
        b'0' => Some(Level::Low),
        b'1' => Some(Level::High),
        _ => None,
    }
}

/// The changes, as far as they were read.
struct Body {
    header: Header,
    /// The variables of codes of one character, which are nearly all.
    short: [Option<Var>; 256],
    capture: Option<Capture>,
    /// What was said before the first time stamp.
    early: Vec<Option<Level>>,
    /// Signals whose level is known.
    known: Vec<bool>,
    now: Instant,
    stamp: u64,
    budget: EdgeBudget,
}

impl Body {
    fn new(header: Header, limits: &Limits) -> Self {
        let mut short = [None; 256];
        for (code, var) in &header.vars {
            if let [code] = code.as_slice() {
                short[usize::from(*code)] = Some(*var);
            }
        }
        let signals = header.names.len();
        Body {
            header,
            short,
            capture: None,
            early: vec![None; signals],
            known: vec![false; signals],
            now: Instant::ZERO,
            stamp: 0,
            budget: EdgeBudget::new(limits),
        }
    }

    fn var(&self, code: &[u8]) -> Option<Var> {
        match code {
            [code] => self.short[usize::from(*code)],
            code => self.header.vars.get(code).copied(),
        }
    }

    fn begin(&self, start: Instant) -> Capture {
        let mut capture = Capture::new(start);
        for (name, early) in self.header.names.iter().zip(&self.early) {
            capture.add(name.as_str(), early.unwrap_or(Level::Low));
        }
        capture
    }

    fn time(&mut self, stamp: u64) -> Result<(), String> {
        let Some(nanos) = self.header.scale.nanos(stamp) else {
            return Err(format!("time {stamp} is beyond 292 years"));
        };
        if self.capture.is_some() && stamp < self.stamp {
            return Err(format!("time {stamp} comes after time {}; times must not go back", self.stamp));
        }
        self.stamp = stamp;
        self.now = Instant::from_nanos(nanos);
        if self.capture.is_none() {
            self.capture = Some(self.begin(self.now));
        }
        Ok(())
    }

    fn value(
        &mut self,
        signal: usize,
        level: Option<Level>,
        place: impl FnOnce() -> String,
    ) -> Result<(), ReadError> {
        let Some(level) = level else { return Ok(()) };
        let first = !std::mem::replace(&mut self.known[signal], true);
        let Some(capture) = &mut self.capture else {
            self.early[signal] = Some(level);
            return Ok(());
        };
        let signal = &mut capture.signals_mut()[signal];
        if first {
            signal.presume(level);
            return Ok(());
        }
        let before = signal.edges().len();
        // Never out of order: times do not go back.
        let _: Result<(), OutOfOrder> = signal.change(self.now, level);
        if signal.edges().len() > before { self.budget.take(place) } else { Ok(()) }
    }

    fn vector<R: BufRead>(&mut self, var: Var, bits: &[u8], words: &Words<R>) -> Result<(), ReadError> {
        if let Some(wrong) = bits.iter().find(|bit| !b"01xXzZ".contains(bit)) {
            return Err(words.error(format!("`{}` is no bit of a vector", wrong.escape_ascii())));
        }
        // What is missing on the left is filled with zeros, or with x or z if the value begins so
        // (clause 18.2.2).
        let fill = bits.first().filter(|bit| **bit != b'1').copied().unwrap_or(b'0');
        let missing = var.width.saturating_sub(bits.len());
        let surplus = bits.len().saturating_sub(var.width);
        for index in 0..var.width {
            let bit = if index < missing { fill } else { bits[surplus + index - missing] };
            self.value(var.first + index, level(bit), || words.place())?;
        }
        Ok(())
    }

    fn finish(mut self) -> Capture {
        let mut capture = self.capture.take().unwrap_or_else(|| self.begin(Instant::ZERO));
        capture.ends_at(self.now);
        capture
    }
}
