//! The declarations at the beginning of a dump.

use std::collections::{HashMap, HashSet};
use std::io::BufRead;

use super::token::Words;
use crate::capture::limits::{Limits, ReadError, excerpt};

/// Scopes in each other. More are no design of anybody's.
const MAX_DEPTH: usize = 256;
/// The longest name that is kept of a signal, scopes included.
const MAX_NAME: usize = 1024;

/// What an identifier code stands for.
#[derive(Clone, Copy)]
pub(super) struct Var {
    /// Its first signal; the most significant bit of a vector.
    pub(super) first: usize,
    /// How many signals, one a bit; 0 for what has no levels, such as a real number.
    pub(super) width: usize,
}

/// How many nanoseconds a step of the file's clock is: `multiply / divide`.
#[derive(Clone, Copy)]
pub(super) struct TimeScale {
    multiply: u64,
    divide: u64,
}

impl TimeScale {
    /// The instant of a time stamp, in nanoseconds; `None` beyond what an edge can hold.
    pub(super) fn nanos(self, stamp: u64) -> Option<u64> {
        let nanos = u128::from(stamp) * u128::from(self.multiply) / u128::from(self.divide);
        u64::try_from(nanos).ok().filter(|&nanos| nanos <= u64::MAX >> 1)
    }

    fn parse(text: &str) -> Option<TimeScale> {
        let unit = text.find(|character: char| !character.is_ascii_digit())?;
        let (number, unit) = text.split_at(unit);
        let number = match number {
            "1" => 1,
            "10" => 10,
            "100" => 100,
            _ => return None,
        };
        let (multiply, divide) = match unit {
            "s" => (1_000_000_000, 1),
            "ms" => (1_000_000, 1),
            "us" => (1_000, 1),
            "ns" => (1, 1),
            "ps" => (1, 1_000),
            "fs" => (1, 1_000_000),
            _ => return None,
        };
        Some(TimeScale { multiply: multiply * number, divide })
    }
}

/// What the declarations say.
pub(super) struct Header {
    pub(super) scale: TimeScale,
    /// By identifier code. Two names with one code are one signal, which has the first of them.
    pub(super) vars: HashMap<Vec<u8>, Var>,
    pub(super) names: Vec<String>,
}

/// What has been declared so far.
struct Declared {
    scale: Option<TimeScale>,
    vars: HashMap<Vec<u8>, Var>,
    /// Path of scopes and name of each signal.
    names: Vec<(String, String)>,
    scopes: Vec<String>,
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).chars().take(MAX_NAME).collect()
}

impl Header {
    pub(super) fn read<R: BufRead>(words: &mut Words<R>, limits: &Limits) -> Result<Header, ReadError> {
        let mut declared =
            Declared { scale: None, vars: HashMap::new(), names: Vec::new(), scopes: Vec::new() };
        loop {
            let keyword = text(words.expect("`$enddefinitions`")?);
            match keyword.as_str() {
                "$timescale" => declared.scale(words)?,
                "$scope" => declared.scope(words)?,
                "$upscope" => {
                    declared.scopes.pop();
                    words.skip_section(&keyword)?;
                }
                "$var" => declared.var(words, limits)?,
                "$enddefinitions" => {
                    words.skip_section(&keyword)?;
                    break;
                }
                section if section.starts_with('$') => words.skip_section(section)?,
                other => {
                    let what = format!(
                        "`{}` among the declarations, where a keyword such as `$var` belongs; is this a VCD file?",
                        excerpt(other.as_bytes())
                    );
                    return Err(words.error(what));
                }
            }
        }
        let scale = declared.scale.ok_or_else(|| {
            words.error("no `$timescale` before this line; add one, such as `$timescale 1 ns $end`")
        })?;
        let names = unambiguous(declared.names);
        Ok(Header { scale, vars: declared.vars, names })
    }
}

/// The plain names, and with the path of their scopes those that several signals have.
fn unambiguous(names: Vec<(String, String)>) -> Vec<String> {
    let mut once = HashSet::new();
    let mut often = HashSet::new();
    for (_, name) in &names {
        if !once.insert(name.as_str()) {
            often.insert(name.clone());
        }
    }
    names
        .into_iter()
        .map(|(path, name)| if often.contains(&name) { format!("{path}{name}") } else { name })
        .map(|name| name.chars().take(MAX_NAME).collect())
        .collect()
}

impl Declared {
    fn scale<R: BufRead>(&mut self, words: &mut Words<R>) -> Result<(), ReadError> {
        let mut all = text(words.expect("a time scale")?);
        // Both `1ns` and `1 ns`.
        if all.bytes().all(|byte| byte.is_ascii_digit()) {
            all += &text(words.expect("the unit of the time scale")?);
        }
        let scale = TimeScale::parse(&all).ok_or_else(|| {
            let what = "is no time scale; write 1, 10 or 100 and s, ms, us, ns, ps or fs";
            words.error(format!("`{}` {what}", excerpt(all.as_bytes())))
        })?;
        self.scale = Some(scale);
        words.skip_section("$timescale")
    }

    fn scope<R: BufRead>(&mut self, words: &mut Words<R>) -> Result<(), ReadError> {
        words.expect("the kind of a scope")?;
        let name = text(words.expect("the name of a scope")?);
        if name == "$end" {
            return Err(words.error("a scope without a name; write `$scope module <name> $end`"));
        }
        if self.scopes.len() == MAX_DEPTH {
            return Err(words.error(format!("more than {MAX_DEPTH} scopes in each other")));
        }
        self.scopes.push(name);
        words.skip_section("$scope")
    }

    fn var<R: BufRead>(&mut self, words: &mut Words<R>, limits: &Limits) -> Result<(), ReadError> {
        let kind = text(words.expect("the kind of a variable")?);
        let size = text(words.expect("the size of a variable")?);
        let size: usize = size
            .parse()
            .map_err(|_| words.error(format!("`{}` is no number of bits", excerpt(size.as_bytes()))))?;
        let code = words.expect("the code of a variable")?.to_vec();
        let mut name = text(words.expect("the name of a variable")?);
        if code == b"$end" || name == "$end" {
            return Err(words.error("a variable without a name; write `$var wire 1 <code> <name> $end`"));
        }
        let mut range = String::new();
        loop {
            let word = words.expect("the `$end` of a variable")?;
            if word == b"$end" {
                break;
            }
            if range.len() < MAX_NAME {
                range += &text(word);
            }
        }
        if self.vars.contains_key(&code) {
            return Ok(());
        }
        let has_levels = !matches!(kind.as_str(), "real" | "realtime" | "string" | "event" | "parameter");
        let width = if has_levels { size } else { 0 };
        let too_many =
            |what| ReadError::TooLarge { place: words.place(), of_what: what, limit: limits.signals as u64 };
        if width > limits.signals.saturating_sub(self.names.len()) {
            return Err(too_many("signals"));
        }
        if self.vars.len() >= limits.signals {
            return Err(too_many("variables"));
        }
        self.vars.insert(code, Var { first: self.names.len(), width });
        let path: String = self.scopes.iter().flat_map(|scope| [scope.as_str(), "."]).collect();
        let path: String = path.chars().take(MAX_NAME).collect();
        if width == 1 {
            name += &range;
            self.names.push((path, name));
        } else {
            let (most, least) = bounds(&range).unwrap_or((width as u64 - u64::from(width > 0), 0));
            for bit in 0..width as u64 {
                let index = if most >= least { most.saturating_sub(bit) } else { most + bit };
                self.names.push((path.clone(), format!("{name}[{index}]")));
            }
        }
        Ok(())
    }
}

/// The numbers of the first and the last bit of a range such as `[7:0]`.
fn bounds(range: &str) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix('[')?.strip_suffix(']')?.split_once(':')?;
    let number = |text: &str| text.parse::<u32>().ok().map(u64::from);
    Some((number(first)?, number(last)?))
}
