//! What can go wrong with an emulator, with what to do about it.

use std::path::PathBuf;
use std::time::Duration;

use rigor_core::verdict::RigError;

use super::ram::OutsideRam;
use super::version::Version;

/// How to get QEMU, on the systems that it is known of.
pub(super) const INSTALL: &str = "install it (Debian, Ubuntu: sudo apt-get install qemu-system-misc; Fedora: sudo dnf install \
                       qemu-system-riscv; Arch: sudo pacman -S qemu-system-riscv), or name another `binary` in \
                       the rig file";

/// An emulator that is not there, does not start, or does not do what it should.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QemuError {
    /// There is no such program.
    #[error("`{binary}` is not there, and a rig of `back_end = \"qemu\"` needs it; {INSTALL}")]
    NotFound {
        /// As the rig file names it.
        binary: PathBuf,
    },
    /// It is there, and nothing that it said is a version of QEMU's.
    #[error("`{binary} --version` {complaint}, so it is no QEMU; {INSTALL}")]
    NoVersion {
        /// Where it was found.
        binary: PathBuf,
        /// What it did instead.
        complaint: String,
    },
    /// It cannot do what a rig needs.
    #[error("`{binary}` is QEMU {version}, and rigs need {minimum} or newer; {INSTALL}")]
    TooOld {
        /// Where it was found.
        binary: PathBuf,
        /// What it says of itself.
        version: Version,
        /// What is needed.
        minimum: Version,
    },
    /// The host refused something that every emulator needs.
    #[error("QEMU cannot be started: {what}: {why}; {remedy}")]
    Host {
        /// What was asked for.
        what: &'static str,
        /// What the host said.
        why: String,
        /// What to do about it.
        remedy: &'static str,
    },
    /// It ended by itself.
    #[error("QEMU {how} {when}; {last_words}; {remedy}")]
    Died {
        /// Its exit code or its signal.
        how: Ending,
        /// How far it had come.
        when: When,
        /// The end of what it said on its standard error.
        last_words: LastWords,
        /// What to do about it.
        remedy: String,
    },
    /// It lives, and does not ring.
    #[error(
        "QEMU {when} has not rung within {within:?} of the host's time; {last_words}; the device hangs in a loop \
         or waits without a timer, or `image` is no image of the port"
    )]
    Silent {
        /// How long it was waited for.
        within: Duration,
        /// How far it had come.
        when: When,
        /// The end of what it said on its standard error.
        last_words: LastWords,
    },
    /// It has not read any of the last answers, which a device that rang always does.
    #[error(
        "the device rings and does not read what it is answered; its image is broken, or none of the port"
    )]
    Deaf,
    /// Its owner gave up.
    #[error("the wait for QEMU was interrupted")]
    Interrupted,
    /// Something of the device's memory was asked for that is not in it.
    #[error(transparent)]
    OutsideRam(#[from] OutsideRam),
    /// A flash image that no chip has the size of.
    #[error(
        "{image} has {bytes} bytes; a flash chip of the machine has exactly 2, 4, 8 or 16 MiB: write the image with `espflash save-image --merge`"
    )]
    FlashSize {
        /// The file.
        image: String,
        /// Its size.
        bytes: u64,
    },
    /// An image that cannot be read.
    #[error("{image}: {why}; build it, or name another `image` in the rig file")]
    Image {
        /// The file.
        image: String,
        /// What the host said.
        why: String,
    },
}

impl From<QemuError> for RigError {
    fn from(error: QemuError) -> Self {
        RigError(error.to_string())
    }
}

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ending::Code(code) => write!(f, "ended with exit code {code}"),
            Ending::Signal(9) => f.write_str("was killed (signal 9: by somebody, or for want of memory)"),
            Ending::Signal(signal) => write!(f, "was ended by signal {signal}"),
        }
    }
}

/// How far a process had come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// It has never rung.
    AtStart,
    /// It had rung this many times.
    AfterBells(u64),
    /// Nobody knows: it never rings.
    Sometime,
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            When::AtStart => f.write_str("at its start"),
            When::AfterBells(1) => f.write_str("after 1 exchange"),
            When::Sometime => f.write_str("by itself"),
            When::AfterBells(bells) => write!(f, "after {bells} exchanges"),
        }
    }
}

/// Lines of a message that quotes a process.
const QUOTED_LINES: usize = 3;
/// Characters of such a line.
const QUOTED_CHARACTERS: usize = 200;

/// The end of what a process said on its standard error, harmless on a terminal.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct LastWords(Vec<String>);

impl LastWords {
    /// The last lines of `said`, which may hold anything.
    pub(super) fn of(said: &[u8]) -> Self {
        let said = String::from_utf8_lossy(said);
        let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
        let lines = said.lines().map(str::trim).filter(|line| !line.is_empty() && !is_noise(line));
        let mut lines: Vec<String> =
            lines.map(|line| line.chars().take(QUOTED_CHARACTERS).map(printable).collect()).collect();
        lines.drain(..lines.len().saturating_sub(QUOTED_LINES));
        LastWords(lines)
    }

    fn contain(&self, text: &str) -> bool {
        self.0.iter().any(|line| line.contains(text))
    }

    /// What to do about it, as far as they tell.
    pub(super) fn remedy(&self, otherwise: &str) -> String {
        // The words of QEMU 7.2 to 10; what it says otherwise is quoted all the same.
        let known = [
            (
                "unsupported machine type",
                "correct `machine` in the rig file; machines of Espressif's are in their QEMU only \
                 (idf_tools.py install qemu-xtensa qemu-riscv32)",
            ),
            ("Could not set up host forwarding rule", "free the port, or name another in `forward`"),
            ("invalid option", "correct `arguments` in the rig file"),
            ("Cannot allocate memory", "free memory of the host, or lower `memory_mib` in the rig file"),
            (
                "Unable to load",
                "build the image, or correct `image` in the rig file: it is missing, or none that this machine loads",
            ),
        ];
        let found = known.iter().find(|(words, _)| self.contain(words));
        found.map_or(otherwise, |(_, remedy)| remedy).to_owned()
    }
}

/// What QEMU says at each start in exact time, when nothing is wrong.
fn is_noise(line: &str) -> bool {
    line.ends_with("icount sleep disabled and no active timers")
}

impl std::fmt::Display for LastWords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("it said nothing");
        }
        write!(f, "it said: {}", self.0.join(" / "))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn said(text: &str) -> LastWords {
        LastWords::of(text.as_bytes())
    }

    #[rstest]
    #[case(
        QemuError::NotFound { binary: "qemu-system-xtensa".into() },
        "`qemu-system-xtensa` is not there, and a rig of `back_end = \"qemu\"` needs it; install it (Debian, \
         Ubuntu: sudo apt-get install qemu-system-misc; Fedora: sudo dnf install qemu-system-riscv; Arch: sudo \
         pacman -S qemu-system-riscv), or name another `binary` in the rig file"
    )]
    #[case(
        QemuError::Host { what: "pipes to it", why: "Too many open files".to_owned(), remedy: "close some" },
        "QEMU cannot be started: pipes to it: Too many open files; close some"
    )]
    #[case(
        QemuError::Silent {
            within: Duration::from_secs(10),
            when: When::AfterBells(17),
            last_words: said("one\n\n two \nthree\nfour\nqemu: warning: icount sleep disabled and no active timers"),
        },
        "QEMU after 17 exchanges has not rung within 10s of the host's time; it said: two / three / four; the \
         device hangs in a loop or waits without a timer, or `image` is no image of the port"
    )]
    #[case(
        QemuError::Deaf,
        "the device rings and does not read what it is answered; its image is broken, or none of the port"
    )]
    #[case(QemuError::Interrupted, "the wait for QEMU was interrupted")]
    #[case(
        QemuError::OutsideRam(OutsideRam { offset: 16, bytes: 8, size: 20 }),
        "the device names 8 bytes at offset 0x10 of its memory, which has 0x14"
    )]
    #[case(
        QemuError::FlashSize { image: "k1.bin".to_owned(), bytes: 5 },
        "k1.bin has 5 bytes; a flash chip of the machine has exactly 2, 4, 8 or 16 MiB: write the image with \
         `espflash save-image --merge`"
    )]
    fn each_says_what_where_and_what_to_do(#[case] error: QemuError, #[case] expected: &str) {
        assert_eq!(RigError::from(error), RigError(expected.to_owned()));
    }

    #[rstest]
    #[case("qemu: unsupported machine type", "correct `machine`")]
    #[case("qemu: -netdev user: Could not set up host forwarding rule 'tcp:'", "free the port")]
    #[case("qemu: -x: invalid option", "correct `arguments`")]
    #[case("qemu: cannot set up guest memory 'ram': Cannot allocate memory", "lower `memory_mib`")]
    #[case("qemu: Unable to load the RISC-V firmware", "build the image")]
    #[case("qemu: of another kind", "otherwise")]
    #[case("", "otherwise")]
    fn what_it_said_tells_what_to_do(#[case] text: &str, #[case] remedy: &str) {
        assert!(said(text).remedy("otherwise").contains(remedy));
    }

    #[test]
    fn last_words_are_short_and_harmless() {
        let hostile = [&b"\xff\x1b]0;title\x07 "[..], &[b'!'; 4000]].concat();
        let told = LastWords::of(&hostile).to_string();
        assert!(!told.contains(char::is_control) && told.chars().count() < 220, "{told}");
        assert_eq!(LastWords::of(b" \n\r\n").to_string(), "it said nothing");
    }
}
