//! From addresses to lines of source, for backtraces.

use std::fmt;

use addr2line::Context;
use gimli::{Dwarf, EndianSlice, LittleEndian, SectionId};

use crate::elf::{Image, Symbol};
use crate::error::ImageError;
use crate::survey::survey;
use crate::trace::{Call, Trace};

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Frames of one address that are told: what is inlined counts each time.
const MAX_FRAMES: usize = 32;
/// Characters of a name that are told.
const MAX_NAME: usize = 200;

/// Who knows from which lines of source an image's addresses come.
pub struct Symboliser<'a> {
    lines: Context<Slice<'a>>,
    /// Functions by their addresses, for what has no debug information.
    functions: Vec<(Symbol, &'a str)>,
}

/// A place in the source that an address comes from.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Frame {
    /// The function, for people.
    pub function: Option<String>,
    /// The file, as the compiler called it.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
}

impl<'a> Symboliser<'a> {
    pub(crate) fn new(image: &'a Image) -> Result<Self, ImageError> {
        let unfit = |what| ImageError::Unfit {
            path: image.path().to_owned(),
            what,
            instead: "build it again: `cargo xtask firmware build`",
        };
        let load = |id: SectionId| -> Result<Slice<'a>, gimli::Error> {
            Ok(EndianSlice::new(image.contents(id.name()), LittleEndian))
        };
        let damaged = |error| unfit(format!("has damaged debug information ({error})"));
        let dwarf = Dwarf::load(load).map_err(damaged)?;
        survey(&dwarf).map_err(unfit)?;
        let lines = Context::from_dwarf(dwarf).map_err(damaged)?;
        let mut functions: Vec<(Symbol, &str)> = image
            .symbols()
            .filter(|(_, symbol)| symbol.function)
            .map(|(name, symbol)| (symbol, name))
            .collect();
        functions.sort_by_key(|(symbol, name)| (symbol.address, *name));
        Ok(Symboliser { lines, functions })
    }

    /// Where the instruction at `address` comes from: what is inlined first, then the function that it
    /// is inlined into. Empty if nobody knows.
    pub fn frames(&self, address: u32) -> Vec<Frame> {
        let mut found = Vec::new();
        if let Ok(mut frames) = self.lines.find_frames(address.into()).skip_all_loads() {
            // What is damaged ends the list; what was found remains.
            while found.len() < MAX_FRAMES
                && let Ok(Some(frame)) = frames.next()
            {
                let function = frame.function.and_then(|name| Some(clip(&name.demangle().ok()?)));
                let (file, line) =
                    frame.location.map_or((None, None), |place| (place.file.map(clip_path), place.line));
                found.push(Frame { function, file, line });
            }
        }
        // Line tables alone have the bare names of functions; the symbol of the outermost one tells where it
        // belongs.
        if let Some(function) = self.function(address) {
            match found.last_mut() {
                Some(frame) => frame.function = Some(function),
                None => found.push(Frame { function: Some(function), file: None, line: None }),
            }
        }
        found
    }

    /// The function that the symbols have at `address`.
    fn function(&self, address: u32) -> Option<String> {
        let after = self.functions.partition_point(|(symbol, _)| symbol.address <= address);
        let (symbol, name) = self.functions[..after].last()?;
        let within = address - symbol.address;
        (within < symbol.bytes.max(1)).then(|| clip(&format!("{:#}", rustc_demangle::demangle(name))))
    }

    /// The calls of `trace`, made readable: a line for each function that was called, innermost first, as in `at
    /// core::panicking::panic (core/src/panicking.rs:75)`. An address of which nothing is known stands for itself.
    pub fn explain(&self, trace: &Trace) -> Vec<String> {
        trace.calls.iter().flat_map(|call| self.explain_call(call)).collect()
    }

    /// A line for each function that `call` is in.
    fn explain_call(&self, call: &Call) -> Vec<String> {
        // Where a call returns to may belong to another line, or to another function.
        let within = if call.returned { call.address.wrapping_sub(1) } else { call.address };
        let frames = self.frames(within);
        if frames.is_empty() {
            return vec![format!("at {:#010x}", call.address)];
        }
        frames.iter().map(|frame| format!("at {frame}")).collect()
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.function.as_deref().unwrap_or("an unknown function"))?;
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, " ({}:{line})", short(file)),
            (Some(file), None) => write!(f, " ({})", short(file)),
            (None, _) => Ok(()),
        }
    }
}

/// A path without where this machine keeps such files: of a library its name with its version, of the
/// compiler's own the crate, and of ours the path in the repository.
fn short(path: &str) -> &str {
    let after = |mark: &str| path.rsplit_once(mark).map(|(_, rest)| rest);
    if let Some(library) = after("/registry/src/").and_then(|rest| rest.split_once('/')) {
        return library.1;
    }
    // `/rustc/<hash>/library/core`, `/usr/lib/rustlib/src/rust/library/core`, `/usr/src/rustc-1.96.0/library/core`.
    if let Some((before, standard)) = path.split_once("/library/")
        && (before.starts_with("/rustc/")
            || before.rsplit('/').next().is_some_and(|name| name.starts_with("rust")))
    {
        return standard;
    }
    ["/firmware-under-test/", "/harness/"]
        .iter()
        .find_map(|folder| path.find(folder))
        .map_or(path, |at| &path[at + 1..])
}

/// `name` for a terminal: printable, and short however long the image made it.
fn clip(name: &str) -> String {
    let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    name.chars().take(MAX_NAME).map(printable).collect()
}

/// The same for paths, of which the end says more.
fn clip_path(path: &str) -> String {
    let surplus = path.chars().count().saturating_sub(MAX_NAME);
    clip(path.char_indices().nth(surplus).map_or("", |(start, _)| &path[start..]))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "/home/x/.cargo/registry/src/index.crates.io-6f17/embassy-0.1.0/src/raw.rs",
        "embassy-0.1.0/src/raw.rs"
    )]
    #[case("/usr/lib/rustlib/src/rust/library/core/src/panicking.rs", "core/src/panicking.rs")]
    #[case("/usr/src/rustc-1.96.0/library/core/src/fmt/mod.rs", "core/src/fmt/mod.rs")]
    #[case("/w/library/src/main.rs", "/w/library/src/main.rs")]
    #[case("/rustc/59807616e1fa/library/alloc/src/vec/mod.rs", "alloc/src/vec/mod.rs")]
    #[case("/w/rigor/firmware-under-test/prism-k1/src/lib.rs", "firmware-under-test/prism-k1/src/lib.rs")]
    #[case("src/main.rs", "src/main.rs")]
    fn paths_do_not_tell_of_this_machine(#[case] path: &str, #[case] expected: &str) {
        assert_eq!(short(path), expected);
    }

    #[test]
    fn long_and_wild_names_are_tamed() {
        assert_eq!(clip("a\u{1b}[2J"), "a\u{fffd}[2J");
        assert_eq!(clip(&"x".repeat(5000)).len(), MAX_NAME);
        let path = format!("{}/end.rs", "é".repeat(5000));
        assert!(clip_path(&path).ends_with("/end.rs"));
        assert_eq!(clip_path(&path).chars().count(), MAX_NAME);
    }
}
