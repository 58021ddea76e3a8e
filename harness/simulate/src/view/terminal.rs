//! The live view in the terminal.

mod draw;
mod keys;
mod strips;

use std::io::{self, BufWriter, Stdout};
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event;

use super::screen::{Screen, is_writable};
use super::{Act, Shown};
use crate::wait::{Ready, Wanted};

pub(crate) use keys::Keys;

/// The terminal as a view.
pub(crate) struct Terminal {
    terminal: ratatui::Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    keys: Keys,
    input: io::Stdin,
    /// Last: it gives the terminal back when nothing is drawn any more.
    _screen: Screen,
}

impl Terminal {
    /// Takes the terminal that the command was started from.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn take() -> io::Result<Self> {
        let screen = Screen::take()?;
        let terminal = ratatui::Terminal::new(CrosstermBackend::new(BufWriter::new(io::stdout())))?;
        Ok(Terminal { terminal, keys: Keys::default(), input: io::stdin(), _screen: screen })
    }

    pub(super) fn wanted<'a>(&'a self, wanted: &mut Wanted<'a>) {
        wanted.readable(&self.input);
    }

    pub(super) fn attend(&mut self, ready: &Ready) -> io::Result<Vec<Act>> {
        let mut acts = Vec::new();
        if ready.broken(&self.input) || ready.hung_up(&self.input) {
            return Ok(vec![Act::Quit]);
        }
        if ready.readable(&self.input) {
            while event::poll(Duration::ZERO)? {
                acts.extend(self.keys.event(&event::read()?));
            }
        }
        Ok(acts)
    }

    pub(super) fn draw(&mut self, shown: &Shown<'_>) -> io::Result<()> {
        if !is_writable(&io::stdout()) {
            return Ok(()); // It shows a later picture.
        }
        let keys = &mut self.keys;
        self.terminal.draw(|frame| draw::draw(frame, shown, keys)).map(|_| ())
    }
}
