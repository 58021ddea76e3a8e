//! The terminal, taken and given back.
//!
//! It is given back whatever happens: by the guard when it is dropped, by a hook before a panic is
//! reported, and by whoever ends the process by force. Ctrl-C stays a signal, so that a simulation whose
//! thread is stuck can still be ended.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use ratatui::crossterm::cursor::Hide;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{Clear, ClearType, EnterAlternateScreen};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use crate::wait::Wanted;

/// The settings of the terminal that is taken.
static TAKEN: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal is ours: keys come one by one, nothing is echoed, and what was on it comes back.
pub(crate) struct Screen(());

impl Screen {
    /// Takes it.
    ///
    /// To be called before a board runs: firmware that panics is none of the terminal's business, and the
    /// board keeps to itself what it has a hook for.
    ///
    /// # Errors
    /// If standard input or output is no terminal.
    pub(crate) fn take() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return Err(io::Error::other(
                "standard input and output are no terminal; use --view none or --view browser",
            ));
        }
        HOOK.call_once(|| {
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                report(info);
            }));
        });
        let settings = tcgetattr(io::stdin())?;
        let mut raw = settings.clone();
        raw.make_raw();
        raw.local_modes |= LocalModes::ISIG;
        // The shell's job control would show its prompt on our screen.
        raw.special_codes[SpecialCodeIndex::VSUSP] = 0;
        raw.special_codes[SpecialCodeIndex::VQUIT] = 0;
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(settings);
        let screen = Screen(());
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        // Not every terminal has a second screen, and what was on the first would shine through.
        execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All), Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Colours as they were, the first screen (DECRST 1049), the cursor visible (DECSET 25).
const GOODBYE: &[u8] = b"\x1b[0m\x1b[?1049l\x1b[?25h";

/// Gives the terminal back, if it is taken. It waits for nobody: a terminal that is not read would keep a
/// simulation that has to end, and so would a lock that the one that draws has.
pub(crate) fn restore() {
    let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(settings) = taken {
        tell(io::stdout(), GOODBYE);
        // A terminal that is gone cannot be restored.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &settings);
    }
}

/// Writes a few bytes, if there is room for them.
pub(crate) fn tell(to: impl AsFd, bytes: &[u8]) {
    if is_writable(&to) {
        let _ = rustix::io::write(&to, bytes);
    }
}

/// Whether there is room to write.
pub(super) fn is_writable(fd: &impl AsFd) -> bool {
    let mut wanted = Wanted::default();
    wanted.either(fd, false, true);
    wanted.wait(Duration::ZERO).is_ok_and(|ready| ready.writable(fd))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::process::{Command, Stdio};

    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    /// Not a test: what the one below runs in a terminal of its own.
    #[test]
    #[ignore = "it panics"]
    fn panics_with_the_screen_taken() {
        let _screen = Screen::take().expect("a terminal");
        panic!("the last words");
    }

    #[test]
    fn a_panic_is_reported_on_a_terminal_that_was_given_back() {
        let owner =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&owner).and_then(|()| unlockpt(&owner)).expect("a terminal");
        let name = ptsname(&owner, Vec::new()).expect("a terminal");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let user = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).expect("a terminal");
        let before = tcgetattr(&user).expect("a terminal").local_modes;
        let stdio = || Stdio::from(user.try_clone().expect("a descriptor"));
        let mut child = Command::new(std::env::current_exe().expect("a test"))
            .args([
                "--exact",
                "view::screen::tests::panics_with_the_screen_taken",
                "--ignored",
                "--nocapture",
            ])
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .expect("a process");
        assert_eq!(child.wait().expect("a process").code(), Some(101), "it panicked");
        assert_eq!(tcgetattr(&user).expect("a terminal").local_modes, before);

        drop(user);
        let mut seen = Vec::new();
        // Its end is an error on Linux, once all that was written has been read.
        let _ = File::from(owner).read_to_end(&mut seen);
        let seen = String::from_utf8_lossy(&seen).into_owned();
        let place = |what: &str| seen.find(what).unwrap_or_else(|| panic!("no {what:?} in {seen}"));
        assert!(place("\x1b[?1049h") < place("\x1b[?1049l"));
        assert!(place("\x1b[?1049l") < place("the last words"));
    }
}
