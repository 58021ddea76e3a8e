//! The controller's serial port: requests come in, reports go out.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use rigor_controller::frame::{self, MAX_FRAME};
use rigor_controller::{Answer, Deframer, FrameError, Report, Request, Said};
use rigor_pty::PtyError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::line::Line;

/// Reports that nobody reads: no further request is heard before they are gone, in bytes.
const MAX_BACKLOG: usize = 1 << 20;
/// Requests that wait for the one before them.
const MAX_REQUESTS: usize = 64;

pub(crate) struct Talk {
    line: Line,
    deframer: Deframer,
    requests: VecDeque<Request>,
    /// Of the next report.
    sequence: u32,
    /// What the last complaint was about, so that one is made of each kind.
    complained: Option<FrameError>,
}

impl Talk {
    /// # Errors
    /// [`PtyError`].
    pub(crate) fn open(name: PathBuf) -> Result<Self, PtyError> {
        let line = Line::open(name)?;
        Ok(Talk { line, deframer: Deframer::new(), requests: VecDeque::new(), sequence: 0, complained: None })
    }

    pub(crate) fn line(&self) -> &Line {
        &self.line
    }

    pub(crate) fn wanted(&self) -> PollFlags {
        let wanted = self.line.wanted();
        if self.requests.len() < MAX_REQUESTS { wanted } else { wanted - PollFlags::IN }
    }

    /// Takes in what has come and lets go what can.
    ///
    /// # Errors
    /// [`PtyError`].
    pub(crate) fn attend(&mut self) -> Result<(), PtyError> {
        if !self.line.has_user()? {
            // Its reports are for nobody else.
            self.line.forget();
        }
        if self.requests.len() < MAX_REQUESTS {
            for byte in self.line.read()? {
                let Some(found) = self.deframer.take(byte) else { continue };
                match found.open::<Request>() {
                    Ok(request) => self.requests.push_back(request),
                    Err(error) => {
                        if self.complained.replace(error) != Some(error) {
                            eprintln!("the bench's controller: {error}");
                        }
                    }
                }
            }
        }
        self.flush()
    }

    /// Lets go what can, and takes nothing in.
    ///
    /// # Errors
    /// [`PtyError`].
    pub(crate) fn flush(&mut self) -> Result<(), PtyError> {
        self.line.flush()
    }

    /// Whether a request waits.
    pub(crate) fn has_request(&self) -> bool {
        !self.requests.is_empty()
    }

    /// The next request, if its answer will be read.
    pub(crate) fn next(&mut self) -> Option<Request> {
        if self.line.backlog() > MAX_BACKLOG { None } else { self.requests.pop_front() }
    }

    /// Whether somebody has said something that was not taken in, or has gone.
    pub(crate) fn is_called(&self) -> bool {
        let mut wanted = [PollFd::new(&self.line, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        !matches!(poll(&mut wanted, Some(&now)), Ok(0))
    }

    /// Begins with report 0 again; what was not sent yet never is.
    pub(crate) fn begin(&mut self) {
        self.line.forget();
        // Ends the frame of which a part may have gone.
        self.line.send(&[0]);
        self.sequence = 0;
    }

    pub(crate) fn say(&mut self, said: Said<'_>) {
        let report = Report { sequence: self.sequence, said };
        let mut out = [0; MAX_FRAME];
        let framed = frame::encode(&report, &mut out).expect("every report has room in a frame");
        self.line.send(framed);
        self.sequence = self.sequence.wrapping_add(1);
    }

    pub(crate) fn answer(&mut self, id: u16, answer: Answer) {
        self.say(Said::Answer { id, answer });
    }
}

impl AsFd for Talk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }
}
