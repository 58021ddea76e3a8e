//! A logic analyser that sigrok knows, by `sigrok-cli`.
//!
//! It captures so many samples at such a rate into a sigrok session (`.sr`), which `rigor decode` and PulseView read.
//! Nothing says when its first sample was taken, so what it saw is in order among itself and not against the rig's
//! clock.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tool::{Tool, ToolError};

/// For the program to start, to load a firmware into the analyser and to write the file.
const OVERHEAD: Duration = Duration::from_secs(20);

/// An analyser that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// What `-d` takes: `fx2lafw:conn=1.7`.
    pub driver: String,
    /// What it says of itself.
    pub what: String,
    /// Its channels.
    pub channels: Vec<String>,
}

/// What to capture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// The channels, by their names on the analyser.
    pub channels: Vec<String>,
    /// Samples a second.
    pub rate_hz: u64,
    /// How many.
    pub samples: u64,
}

impl Wanted {
    /// How long it takes to sample, in whole milliseconds, upwards.
    pub fn takes(&self) -> Duration {
        let millis = u128::from(self.samples) * 1000;
        Duration::from_millis(millis.div_ceil(self.rate_hz.max(1).into()).try_into().unwrap_or(u64::MAX))
    }
}

/// Why there is no capture.
#[derive(Debug, thiserror::Error)]
pub enum SigrokError {
    /// `sigrok-cli` could not.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// What was asked for is none.
    #[error("{what} is no capture; ask for a channel, and a rate and a number of samples above 0")]
    Nothing {
        /// What was asked for.
        what: String,
    },
    /// The file cannot be kept.
    #[error("{}: {reason}; name another file", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
}

/// An analyser.
#[derive(Clone, Debug)]
pub struct Analyser {
    program: OsString,
    driver: String,
}

impl Analyser {
    /// The one that sigrok reaches by `driver`: `demo`, `fx2lafw`, `fx2lafw:conn=1.7`.
    pub fn new(driver: &str) -> Self {
        Self::by("sigrok-cli", driver)
    }

    /// The same by another program of the same command line.
    pub fn by(program: impl Into<PathBuf>, driver: &str) -> Self {
        Analyser { program: program.into().into_os_string(), driver: driver.to_owned() }
    }

    fn tool(&self, limit: Duration) -> Tool {
        Tool {
            program: self.program.clone(),
            package: "sigrok-cli",
            remedy: "`sigrok-cli --scan` lists analysers with their channels; to use them without being root \
                     libsigrok has udev rules",
            limit,
        }
    }

    /// What is there. Nothing, if nothing is.
    ///
    /// # Errors
    /// [`ToolError`] if sigrok knows no such driver, or cannot look.
    pub fn scan(&self) -> Result<Vec<Found>, ToolError> {
        let said = self.tool(OVERHEAD).run(&["-d", &self.driver, "--scan"])?;
        Ok(said.lines().filter_map(found).collect())
    }

    /// Captures what is `wanted` into the file `to`, which is there afterwards, whole, or is not touched.
    ///
    /// # Errors
    /// [`SigrokError`] if there is no such analyser or channel, it does not come to an end in time, or the
    /// file cannot be written.
    pub fn capture(&self, wanted: &Wanted, to: &Path) -> Result<(), SigrokError> {
        if wanted.channels.is_empty() || wanted.rate_hz == 0 || wanted.samples == 0 {
            return Err(SigrokError::Nothing { what: format!("{wanted:?}") });
        }
        let mut unfinished = to.as_os_str().to_owned();
        unfinished.push(format!(".{}.unfinished", std::process::id()));
        let unfinished = Unfinished(unfinished.into());
        let (rate, samples) = (format!("samplerate={}", wanted.rate_hz), wanted.samples.to_string());
        let channels = wanted.channels.join(",");
        let mut arguments: Vec<OsString> = [
            "-d",
            &self.driver,
            "--config",
            &rate,
            "--samples",
            &samples,
            "-C",
            &channels,
            "-O",
            "srzip",
            "-o",
        ]
        .map(OsString::from)
        .into();
        arguments.push(unfinished.0.clone().into());
        let tool = self.tool(wanted.takes().saturating_mul(2).saturating_add(OVERHEAD));
        let said = tool.run(&arguments)?;
        // An analyser that is unplugged meanwhile ends it without a complaint and without a file.
        if !unfinished.0.is_file() {
            return Err(tool.refused(&arguments, &format!("it left no file {said}")).into());
        }
        fs::rename(&unfinished.0, to).map_err(|reason| SigrokError::File { path: to.to_owned(), reason })
    }
}

/// A file that is not whole yet. Removed unless it was given its name.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A line of `--scan`: `demo - Demo device with 13 channels: D0 D1 A0`.
fn found(line: &str) -> Option<Found> {
    let (driver, rest) = line.split_once(" - ")?;
    let (what, channels) = rest.rsplit_once(": ")?;
    let (what, _) = what.rsplit_once(" with ")?;
    let channels = channels.split_whitespace().map(str::to_owned).collect();
    Some(Found { driver: driver.to_owned(), what: what.to_owned(), channels })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn analyser(driver: &str) -> Analyser {
        Analyser::by(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand-ins/sigrok-cli"), driver)
    }

    fn wanted() -> Wanted {
        Wanted { channels: vec!["D0".to_owned(), "D1".to_owned()], rate_hz: 24_000_000, samples: 1000 }
    }

    #[test]
    fn what_is_found_has_a_driver_and_channels() {
        let found = analyser("fx2lafw").scan().expect("one is there");
        let channels = vec!["D0".to_owned(), "D1".to_owned()];
        let (driver, what) = ("fx2lafw:conn=1.7".to_owned(), "Saleae Logic: a clone".to_owned());
        assert_eq!(found, [Found { driver, what, channels }]);
    }

    #[test]
    fn a_capture_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let to = folder.path().join("wires.sr");
        fs::write(&to, "of yesterday").expect("a file");
        for (driver, told) in [("unplugged", "it left no file"), ("broken", "unknown channel 'D99'.")] {
            let error = analyser(driver).capture(&wanted(), &to).expect_err("there is none").to_string();
            assert!(error.contains(told) && error.contains("sigrok-cli --scan"), "{error}");
            assert_eq!(fs::read_to_string(&to).expect("a file"), "of yesterday");
        }
        analyser("here").capture(&wanted(), &to).expect("it is there");
        let asked = "-d here --config samplerate=24000000 --samples 1000 -C D0,D1 -O srzip -o ";
        assert!(fs::read_to_string(&to).expect("a file").starts_with(asked));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing half-written");
    }

    #[test]
    fn nothing_is_no_capture() {
        let analyser = Analyser::by("/nowhere/sigrok-cli", "demo");
        for nothing in [
            Wanted { channels: Vec::new(), ..wanted() },
            Wanted { rate_hz: 0, ..wanted() },
            Wanted { samples: 0, ..wanted() },
        ] {
            let error = analyser.capture(&nothing, Path::new("/nowhere/wires.sr")).expect_err("nothing");
            assert!(matches!(error, SigrokError::Nothing { .. }), "{error}");
        }
        let error =
            analyser.capture(&wanted(), Path::new("/nowhere/wires.sr")).expect_err("no sigrok").to_string();
        assert!(error.contains("install sigrok-cli"), "{error}");
    }

    #[test]
    fn the_deadline_leaves_time_for_all_samples() {
        assert_eq!(wanted().takes(), Duration::from_millis(1), "upwards");
        let endless = Wanted { rate_hz: 1, samples: u64::MAX, ..wanted() };
        assert_eq!(endless.takes(), Duration::from_millis(u64::MAX));
    }
}
