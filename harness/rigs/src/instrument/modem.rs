//! Reset by DTR and RTS, the two lines of a serial port that nearly every board leads to its reset and its strap.
//!
//! Two kinds of wiring are common. A **bridge** chip (CP210x, CH34x, FTDI) drives two transistors that look at both
//! lines, so that a terminal program that asserts both does no harm. The **USB port of the chip itself** (USB-Serial-JTAG)
//! has no wires: the chip looks at what the host says of the lines (ESP32-S3 technical reference manual, "USB
//! Serial/JTAG Controller"). What each combination means:
//!
//! | DTR | RTS | bridge | USB-Serial-JTAG |
//! |---|---|---|---|
//! | off | off | both released | the next reset starts the firmware |
//! | on | off | strap low | the next reset starts the loader |
//! | off | on | reset held | resets |
//! | on | on | both released | nothing |

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::ioctl::{Getter, Setter, ioctl};

use crate::ports::{Host, Kind};

/// What leads from the port's lines to the chip.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wiring {
    /// A bridge and two transistors.
    Bridge,
    /// The chip's own USB port.
    UsbSerialJtag,
}

impl Wiring {
    /// That of the port at `path`, by what its USB device is.
    pub fn of(path: &Path) -> Self {
        match Host::default().device_at(path).map(|device| device.kind) {
            Some(Kind::EspressifUsb) => Wiring::UsbSerialJtag,
            _ => Wiring::Bridge,
        }
    }
}

/// What a reset is to start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Start {
    /// The firmware in the flash.
    Firmware,
    /// The loader in the ROM.
    Loader,
}

/// Which lines are asserted (their pins are low then).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Asserted {
    /// Data terminal ready.
    pub dtr: bool,
    /// Request to send.
    pub rts: bool,
}

/// A step of a sequence: both lines change at once, and stay so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// The lines.
    pub lines: Asserted,
    /// For how long.
    pub hold: Duration,
}

/// Why a board cannot be reset by these lines.
#[derive(Debug, thiserror::Error)]
pub enum ModemError {
    /// The port has no such lines.
    #[error(
        "{}: this port has no DTR and RTS ({reason}), as is so of pseudo-terminals and of ports reached over a network; \
         write `via = \"controller\"` in [reset] and wire the Pico's GP14 and GP15, or name the board's own port", path.display()
    )]
    NoLines {
        /// The port.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The port is gone, or not ours.
    #[error("{}: DTR and RTS cannot be set: {reason}; is the board plugged in, and may you open its port?", path.display())]
    Port {
        /// The port.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
}

/// For a reset to be seen: the capacitor at EN, 1 uF behind 10 kilohms, takes some 10 ms to follow.
const HELD: Duration = Duration::from_millis(100);
/// For the ROM to have read the strap: EN rises by then.
const STRAPPED: Duration = Duration::from_millis(50);

const fn step(dtr: bool, rts: bool, hold: Duration) -> Step {
    Step { lines: Asserted { dtr, rts }, hold }
}

const IDLE: Step = step(false, false, Duration::ZERO);

/// What to do with the lines, one step after the other.
pub fn steps(wiring: Wiring, start: Start) -> &'static [Step] {
    match (wiring, start) {
        (Wiring::Bridge | Wiring::UsbSerialJtag, Start::Firmware) => {
            const { &[step(false, false, STRAPPED), step(false, true, HELD), IDLE] }
        }
        (Wiring::Bridge, Start::Loader) => {
            const { &[IDLE, step(false, true, HELD), step(true, false, STRAPPED), IDLE] }
        }
        // Past the combination that means nothing: past idle it would forget the loader again.
        (Wiring::UsbSerialJtag, Start::Loader) => {
            const {
                &[
                    step(false, false, HELD),
                    step(true, false, HELD),
                    step(true, true, Duration::ZERO),
                    step(false, true, HELD),
                    IDLE,
                ]
            }
        }
    }
}

/// Resets the board behind `port`, which was opened as `path`, into `start`. Takes up to 0.3 s.
///
/// # Errors
/// [`ModemError`] if the lines cannot be set; then nothing was reset, or the board is gone.
pub fn reset(port: &impl AsFd, path: &Path, wiring: Wiring, start: Start) -> Result<(), ModemError> {
    for step in steps(wiring, start) {
        set(port, step.lines).map_err(|reason| refused(path, reason))?;
        thread::sleep(step.hold);
    }
    Ok(())
}

/// Whether `port`, which was opened as `path`, has these lines. Changes none.
///
/// # Errors
/// [`ModemError`] if it has none, or is gone.
pub fn check(port: &impl AsFd, path: &Path) -> Result<(), ModemError> {
    read(port).map(|_| ()).map_err(|reason| refused(path, reason))
}

fn refused(path: &Path, reason: io::Error) -> ModemError {
    let path = path.to_owned();
    // Linux says ENOTTY where a driver has no such call; older kernels said EINVAL.
    match reason.raw_os_error() {
        Some(libc::ENOTTY | libc::EINVAL) => ModemError::NoLines { path, reason },
        _ => ModemError::Port { path, reason },
    }
}

fn read(port: &impl AsFd) -> io::Result<libc::c_int> {
    const GET: rustix::ioctl::Opcode = libc::TIOCMGET as rustix::ioctl::Opcode;
    // SAFETY: TIOCMGET writes one int (ioctl_tty(2)).
    Ok(unsafe { ioctl(port, Getter::<GET, libc::c_int>::new()) }?)
}

/// Asserts and releases both lines in one call, so that nothing between is seen. The others stay as they are.
fn set(port: &impl AsFd, lines: Asserted) -> io::Result<()> {
    const SET: rustix::ioctl::Opcode = libc::TIOCMSET as rustix::ioctl::Opcode;
    let before = read(port)?;
    let bit = |asserted: bool, bit: libc::c_int| if asserted { bit } else { 0 };
    let ours = libc::TIOCM_DTR | libc::TIOCM_RTS;
    let after = before & !ours | bit(lines.dtr, libc::TIOCM_DTR) | bit(lines.rts, libc::TIOCM_RTS);
    // SAFETY: TIOCMSET reads one int (ioctl_tty(2)).
    Ok(unsafe { ioctl(port, Setter::<SET, libc::c_int>::new(after)) }?)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rstest::rstest;
    use rustix::fs::{Mode, OFlags};

    use super::*;

    /// What a chip makes of its lines, and what it started last.
    #[derive(Default)]
    struct Chip {
        is_held: bool,
        next_is_loader: bool,
        started: Vec<Start>,
    }

    impl Chip {
        fn start(&mut self) {
            self.started.push(if self.next_is_loader { Start::Loader } else { Start::Firmware });
        }

        /// Two transistors: each conducts if its own line is asserted and the other is not. The strap counts when
        /// reset is let go.
        fn behind_a_bridge(&mut self, lines: Asserted) {
            let held = lines.rts && !lines.dtr;
            self.next_is_loader = lines.dtr && !lines.rts;
            if self.is_held && !held {
                self.start();
            }
            self.is_held = held;
        }

        fn with_its_own_port(&mut self, lines: Asserted) {
            match (lines.dtr, lines.rts) {
                (false, false) => self.next_is_loader = false,
                (true, false) => self.next_is_loader = true,
                (false, true) => self.start(),
                (true, true) => {}
            }
        }
    }

    #[rstest]
    #[case(Wiring::Bridge, Chip::behind_a_bridge)]
    #[case(Wiring::UsbSerialJtag, Chip::with_its_own_port)]
    fn each_sequence_starts_what_it_should_once_and_leaves_the_lines_alone(
        #[case] wiring: Wiring,
        #[case] sees: fn(&mut Chip, Asserted),
        #[values(Start::Firmware, Start::Loader)] start: Start,
        #[values((false, false), (true, true), (true, false), (false, true))] before: (bool, bool),
    ) {
        let mut chip = Chip::default();
        sees(&mut chip, Asserted { dtr: before.0, rts: before.1 });
        chip.started.clear();
        // A terminal program that held the reset lets go of it first; that start does not count.
        let steps = steps(wiring, start);
        sees(&mut chip, steps[0].lines);
        chip.started.clear();
        for step in &steps[1..] {
            sees(&mut chip, step.lines);
        }
        assert_eq!(chip.started, [start]);
        assert_eq!(steps.last(), Some(&IDLE), "a board that is held is a dead board");
    }

    #[rstest]
    fn reset_and_strap_are_held_long_enough(
        #[values(Wiring::Bridge, Wiring::UsbSerialJtag)] wiring: Wiring,
        #[values(Start::Firmware, Start::Loader)] start: Start,
    ) {
        let resets =
            steps(wiring, start).iter().filter(|step| step.lines == Asserted { dtr: false, rts: true });
        assert!(
            resets.clone().count() == 1 && resets.clone().all(|step| step.hold >= Duration::from_millis(50))
        );
        let all: Duration = steps(wiring, start).iter().map(|step| step.hold).sum();
        assert!(all <= Duration::from_millis(300), "{all:?}");
    }

    #[test]
    fn a_port_without_lines_is_told_with_the_other_way() {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let master = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR).expect("a pseudo-terminal");
        rustix::pty::grantpt(&master).and_then(|()| rustix::pty::unlockpt(&master)).expect("ours");
        let path =
            rustix::pty::ptsname(&master, Vec::new()).expect("it has a name").into_string().expect("UTF-8");
        let slave = rustix::fs::open(path.as_str(), flags, Mode::empty()).expect("its other end");
        let began = Instant::now();
        let error = reset(&slave, Path::new(&path), Wiring::Bridge, Start::Loader).expect_err("it has none");
        assert!(matches!(error, ModemError::NoLines { .. }), "{error}");
        assert!(matches!(check(&slave, Path::new(&path)), Err(ModemError::NoLines { .. })));
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("{path}: this port has no DTR"))
                && text.contains("via = \"controller\""),
            "{text}"
        );
        assert!(began.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn what_is_no_port_at_all_is_one_without_lines() {
        let null = std::fs::File::open("/dev/null").expect("it is there");
        let error =
            reset(&null, Path::new("/dev/null"), Wiring::Bridge, Start::Firmware).expect_err("it has none");
        assert!(matches!(error, ModemError::NoLines { .. }), "{error}");
    }
}
