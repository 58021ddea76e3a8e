//! The console on the terminal that the command was started from.

use std::io::{self, Write};

use super::{TYPED_BYTES, Visible};
use crate::wait::{Ready, Wanted};

/// Standard input and output. The terminal stays as it is: it edits and echoes lines, and what is typed
/// goes to the device with the line's end.
pub struct Terminal {
    input: io::Stdin,
    ended: bool,
    visible: Visible,
}

impl Terminal {
    pub(super) fn new() -> Self {
        Terminal { input: io::stdin(), ended: false, visible: Visible::default() }
    }

    pub(super) fn wanted<'a>(&'a self, takes_input: bool, wanted: &mut Wanted<'a>) {
        if takes_input && !self.ended {
            wanted.readable(&self.input);
        }
    }

    pub(super) fn attend(&mut self, ready: &Ready) -> io::Result<Vec<u8>> {
        if self.ended || !ready.readable(&self.input) {
            return Ok(Vec::new());
        }
        // Past the buffer of `Stdin`, which would hold back what `poll` then no longer tells of.
        let mut bytes = vec![0; TYPED_BYTES];
        match rustix::io::read(&self.input, &mut bytes) {
            Ok(count) => {
                bytes.truncate(count);
                self.ended = count == 0;
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => bytes.clear(),
            // A terminal that is gone types nothing.
            Err(_) => {
                bytes.clear();
                self.ended = true;
            }
        }
        Ok(bytes)
    }

    pub(super) fn print(&mut self, bytes: &[u8]) -> io::Result<()> {
        let text = self.visible.push(bytes);
        let mut output = io::stdout().lock();
        output.write_all(text.as_bytes())?;
        output.flush()
    }
}
