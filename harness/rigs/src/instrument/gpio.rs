//! Pins of the host itself, such as those of a Raspberry Pi: reset, strap, buttons and edges by Linux's GPIO lines.
//!
//! Each line is pulled low or let go, and never driven high: the device's own pull-up does that, at the device's own
//! voltage, so a wire that two hands hold does no harm. The kernel lets a line belong to one process, and gives it back
//! when that ends.
//!
//! What the kernel does with a real pin, nothing here proves: the machines that build this have no GPIO chip. The tests
//! stand in for the wires, and ask the kernel only for chips that are none.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::{Drive, EdgeDetection, EdgeKind, EventClock, Value};
use rigor_core::event::Level;

/// What the kernel shows as the owner of a line (`gpioinfo`).
const CONSUMER: &str = "rigor";
/// Edges that the kernel keeps for who is late.
const KEPT: u32 = 4096;

/// A line: `gpiochip0:17`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    /// The chip's device file.
    pub chip: PathBuf,
    /// The line's number on it.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.chip.display(), self.line)
    }
}

/// A text that names no line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{}` names no GPIO line; write a chip and a number, as `gpiochip0:17` (`gpioinfo` lists them)", .0.escape_debug())]
pub struct NoPlace(pub String);

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let wrong = || NoPlace(text.chars().take(64).collect());
        let (chip, line) = text.rsplit_once(':').ok_or_else(wrong)?;
        let line = line.parse().map_err(|_| wrong())?;
        let name = chip.strip_prefix("/dev/").unwrap_or(chip);
        if name.is_empty() || name.contains(['/', '\0']) {
            return Err(wrong());
        }
        Ok(Place { chip: Path::new("/dev").join(name), line })
    }
}

/// Why a line does not do what it should.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GpioError {
    /// It cannot be had.
    #[error(
        "{place}: the kernel does not give this line ({reason}); `gpioinfo` shows which chips and lines there are and \
         who has them, and the chip's device file has to be yours (group `gpio`, or a udev rule)"
    )]
    Refused {
        /// Which.
        place: Place,
        /// What the library says.
        reason: String,
    },
    /// It was had, and is no more.
    #[error("{place}: the line fails ({reason}); was its adapter pulled?")]
    Lost {
        /// Which.
        place: Place,
        /// What the library says.
        reason: String,
    },
    /// Something else holds the wire.
    #[error(
        "{place}: it was pulled low, and the wire stays high; is it wired to the device, and does nothing drive it high?"
    )]
    HeldHigh {
        /// Which.
        place: Place,
    },
    /// Nothing pulls it up, or something pulls it down.
    #[error(
        "{place}: it was let go, and the wire stays low; is the device powered, and does nothing else pull it down?"
    )]
    HeldLow {
        /// Which.
        place: Place,
    },
}

/// A wire that can be pulled low, or let go.
pub trait Wire {
    /// Which.
    fn place(&self) -> &Place;

    /// Pulls it low, or lets it go.
    ///
    /// # Errors
    /// [`GpioError::Lost`].
    fn pull(&mut self, low: bool) -> Result<(), GpioError>;

    /// What the wire does now.
    ///
    /// # Errors
    /// [`GpioError::Lost`].
    fn level(&self) -> Result<Level, GpioError>;
}

/// A line of the kernel's, open-drain. It is let go when this is dropped.
pub struct OpenDrain {
    place: Place,
    request: Request,
}

impl OpenDrain {
    /// Takes the line at `place`; it is let go at first.
    ///
    /// # Errors
    /// [`GpioError::Refused`] if there is none, or somebody has it.
    pub fn take(place: Place) -> Result<Self, GpioError> {
        let request = Request::builder()
            .on_chip(&place.chip)
            .with_consumer(CONSUMER)
            .with_line(place.line)
            .as_output(Value::Active)
            .with_drive(Drive::OpenDrain)
            .request()
            .map_err(|error| GpioError::Refused { place: place.clone(), reason: words(&error) })?;
        Ok(OpenDrain { place, request })
    }

    fn lost(&self, error: gpiocdev::Error) -> GpioError {
        GpioError::Lost { place: self.place.clone(), reason: words(&error) }
    }
}

impl Wire for OpenDrain {
    fn place(&self) -> &Place {
        &self.place
    }

    fn pull(&mut self, low: bool) -> Result<(), GpioError> {
        let value = if low { Value::Inactive } else { Value::Active };
        self.request.set_lone_value(value).map_err(|error| self.lost(error))
    }

    fn level(&self) -> Result<Level, GpioError> {
        match self.request.lone_value().map_err(|error| self.lost(error))? {
            Value::Active => Ok(Level::High),
            Value::Inactive => Ok(Level::Low),
        }
    }
}

impl Drop for OpenDrain {
    fn drop(&mut self) {
        // What a driver makes of a line that nobody has is its own affair; a reset that stays low is a dead board.
        let _ = self.pull(false);
    }
}

/// Pulls `wire`, and looks whether it follows.
///
/// # Errors
/// [`GpioError::HeldHigh`], [`GpioError::HeldLow`], [`GpioError::Lost`].
pub fn pull(wire: &mut dyn Wire, low: bool) -> Result<(), GpioError> {
    wire.pull(low)?;
    let place = || wire.place().clone();
    match (low, wire.level()?) {
        (true, Level::High) => Err(GpioError::HeldHigh { place: place() }),
        (false, Level::Low) => Err(GpioError::HeldLow { place: place() }),
        _ => Ok(()),
    }
}

/// A change of a wire, as the kernel's interrupt saw it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The line.
    pub line: u32,
    /// What it became.
    pub level: Level,
    /// When the interrupt was served, on the host's monotonic clock: later than the edge by what the kernel takes, which
    /// nothing bounds.
    pub at: Duration,
    /// Changes that the kernel has thrown away before it, because nobody fetched them in time.
    pub lost: u32,
}

/// Lines of one chip whose changes are heard.
pub struct Listener {
    place: Place,
    request: Request,
    heard: u32,
}

impl Listener {
    /// Takes `lines` of `chip` as inputs.
    ///
    /// # Errors
    /// [`GpioError::Refused`] if there is no such line, somebody has it, or `lines` is empty.
    pub fn take(chip: &Path, lines: &[u32]) -> Result<Self, GpioError> {
        let place = Place { chip: chip.to_owned(), line: lines.first().copied().unwrap_or_default() };
        let request = Request::builder()
            .on_chip(chip)
            .with_consumer(CONSUMER)
            .with_lines(lines)
            .as_input()
            .with_edge_detection(EdgeDetection::BothEdges)
            .with_event_clock(EventClock::Monotonic)
            .with_kernel_event_buffer_size(KEPT)
            .request()
            .map_err(|error| GpioError::Refused { place: place.clone(), reason: words(&error) })?;
        Ok(Listener { place, request, heard: 0 })
    }

    /// The next change; `None` if there is none within `patience`.
    ///
    /// # Errors
    /// [`GpioError::Lost`].
    pub fn next(&mut self, patience: Duration) -> Result<Option<Seen>, GpioError> {
        let lost = |error| GpioError::Lost { place: self.place.clone(), reason: words(&error) };
        if !self.request.wait_edge_event(patience).map_err(lost)? {
            return Ok(None);
        }
        let event = self.request.read_edge_event().map_err(lost)?;
        let level = match event.kind {
            EdgeKind::Rising => Level::High,
            EdgeKind::Falling => Level::Low,
        };
        let seen = Seen {
            line: event.offset,
            level,
            at: Duration::from_nanos(event.timestamp_ns),
            lost: missing(self.heard, event.seqno),
        };
        self.heard = event.seqno;
        Ok(Some(seen))
    }
}

/// How many changes are missing between the one numbered `before` and `now`. The kernel counts from 1, all lines of a
/// request together, and begins again at 0 after 32 bits.
fn missing(before: u32, now: u32) -> u32 {
    now.wrapping_sub(before).saturating_sub(1)
}

fn words(error: &gpiocdev::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("gpiochip0:17", "/dev/gpiochip0", 17)]
    #[case("/dev/gpiochip3:0", "/dev/gpiochip3", 0)]
    fn lines_are_named_by_chip_and_number(#[case] text: &str, #[case] chip: &str, #[case] line: u32) {
        let place = Place { chip: chip.into(), line };
        assert_eq!(text.parse(), Ok(place.clone()));
        assert_eq!(place.to_string().parse(), Ok(place));
    }

    #[rstest]
    fn what_names_no_line_is_refused(
        #[values(
            "",
            "17",
            "gpiochip0",
            "gpiochip0:",
            "gpiochip0:-1",
            ":17",
            "/dev/../mem:1",
            "a\0:1",
            "/dev/:1"
        )]
        text: &str,
    ) {
        let error = text.parse::<Place>().expect_err("no line");
        assert!(
            error.to_string().contains("as `gpiochip0:17`") && !error.to_string().contains('\0'),
            "{error}"
        );
    }

    #[rstest]
    fn a_chip_that_is_none_is_told_with_the_remedy(
        #[values("/dev/null", "/dev/gpiochip-nowhere")] chip: &str,
    ) {
        let place = Place { chip: chip.into(), line: 0 };
        let Err(error) = OpenDrain::take(place) else { panic!("{chip} was taken for a GPIO chip") };
        assert!(
            error.to_string().starts_with(&format!("{chip}:0: the kernel does not give this line")),
            "{error}"
        );
        let Err(error) = Listener::take(Path::new(chip), &[0, 1]) else { panic!("{chip} was listened to") };
        assert!(error.to_string().contains("gpioinfo"), "{error}");
    }

    #[rstest]
    #[case(0, 1, 0)]
    #[case(7, 8, 0)]
    #[case(7, 11, 3)]
    #[case(u32::MAX, 0, 0)]
    #[case(u32::MAX - 1, 1, 2)]
    fn what_the_kernel_threw_away_is_counted(#[case] before: u32, #[case] now: u32, #[case] lost: u32) {
        assert_eq!(missing(before, now), lost);
    }
}
