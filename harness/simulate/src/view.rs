//! Showing the board to a person, and taking what the person does.

mod browser;
mod screen;
mod terminal;

use std::io;
use std::time::{Duration, Instant as HostInstant};

use rigor_core::Instant;

use crate::bridge::ClientView;
use crate::ready::Whereabouts;
use crate::scene::Scene;
use crate::wait::{Ready, Wanted};

pub(crate) use browser::Browser;
pub(crate) use screen::{restore, tell};
pub(crate) use terminal::Terminal;

/// Pictures a second: what an eye can follow, and a terminal behind a network can carry.
const PERIOD: Duration = Duration::from_millis(33);

/// What a person wants of the board.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// To end the simulation.
    Quit,
    /// A pulse on the reset line.
    Reset,
    /// The supply off, or on again.
    Power,
    /// The board's clock to stand still, or to go on.
    Pause,
    /// Twice as fast.
    Faster,
    /// Half as fast.
    Slower,
    /// The wire of this number in the rig's table of pins pulled to ground for a moment.
    Press(usize),
    /// Bytes on the console.
    Type(Vec<u8>),
}

/// How the board keeps up.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Keeping {
    /// Seconds of the board in a second of the host, as they were of late.
    pub measured: f64,
    /// The same as it is meant to be.
    pub wanted: f64,
    /// By how much the board is late.
    pub lag: Duration,
    /// What the host was too slow for, since the beginning.
    pub given_up: Duration,
    /// The board stands still.
    pub is_paused: bool,
    /// It has the host's clock, which nobody can stop or hurry.
    pub is_the_hosts: bool,
}

/// All that a view shows.
pub struct Shown<'a> {
    /// The board's clock.
    pub now: Instant,
    /// What is on it.
    pub scene: &'a Scene,
    /// Where it is reached.
    pub whereabouts: &'a Whereabouts,
    /// Who is connected; `None` where clients reach the board without coming by here.
    pub clients: Option<Vec<ClientView<'a>>>,
    /// The wires that can be pressed, by name.
    pub pins: &'a [String],
    /// How it keeps up.
    pub keeping: Keeping,
}

/// The view of one simulation.
pub(crate) enum View {
    Terminal(Box<Terminal>),
    Browser(Box<Browser>),
    None,
}

impl View {
    /// Whether the terminal is taken, and nothing else may write there.
    pub(crate) fn has_terminal(&self) -> bool {
        matches!(self, View::Terminal(_))
    }

    pub(crate) fn wanted<'a>(&'a self, wanted: &mut Wanted<'a>) {
        match self {
            View::Terminal(terminal) => terminal.wanted(wanted),
            View::Browser(browser) => browser.wanted(wanted),
            View::None => {}
        }
    }

    /// # Errors
    /// If what it is shown on is broken.
    pub(crate) fn attend(&mut self, ready: &Ready) -> io::Result<Vec<Act>> {
        match self {
            View::Terminal(terminal) => terminal.attend(ready),
            View::Browser(browser) => Ok(browser.attend(ready)),
            View::None => Ok(Vec::new()),
        }
    }

    /// How long until there is to be a new picture.
    pub(crate) fn until_due(&self, last: HostInstant, now: HostInstant) -> Option<Duration> {
        let watched = match self {
            View::Terminal(_) => true,
            View::Browser(browser) => browser.is_watched(),
            View::None => false,
        };
        watched.then(|| (last + PERIOD).saturating_duration_since(now))
    }

    /// # Errors
    /// If what it is shown on is broken.
    pub(crate) fn draw(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        match self {
            View::Terminal(terminal) => terminal.draw(shown),
            View::Browser(browser) => {
                browser.draw(shown);
                Ok(())
            }
            View::None => Ok(()),
        }
    }
}
