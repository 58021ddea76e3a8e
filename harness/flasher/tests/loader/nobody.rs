//! Ports where no loader is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rigor_flasher::{Chip, FlashError, Patience, SerialLoader, SerialSettings, flash};
use rigor_pty::Pty;

use crate::image;

/// Something else than a board, that sends `words` over and over.
struct Somebody {
    path: std::path::PathBuf,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Somebody {
    fn who_says(words: &'static [u8]) -> Self {
        let mut pty = Pty::open().expect("a pseudo-terminal");
        let path = pty.path().to_owned();
        let ends = Arc::new(AtomicBool::new(false));
        let ended = ends.clone();
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let soon = Instant::now() + Duration::from_millis(2);
                if pty.read(soon).is_err() {
                    break;
                }
                // Who does not listen misses it.
                let _ = pty.write(words, soon);
            }
        });
        Somebody { path, ends, thread: Some(thread) }
    }
}

impl Drop for Somebody {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn refused(words: &'static [u8]) -> FlashError {
    let somebody = Somebody::who_says(words);
    let mut settings = SerialSettings::new(&somebody.path);
    settings.patience = Patience { sync: Duration::from_secs(1), sign: Duration::from_secs(2) };
    let (_, image) = image(Chip::Esp32c3, 2, 20_000);
    flash(&mut SerialLoader::new(settings), &image, &mut |_| {}).expect_err("nobody is there")
}

#[test]
fn a_silent_port_is_told_from_one_where_a_firmware_talks() {
    let silent = refused(b"").to_string();
    assert!(silent.contains("no loader answers (nothing is heard there); hold BOOT"), "{silent}");
    let firmware = refused(b"I (31) main: frame 17\r\n").to_string();
    assert!(firmware.contains("a firmware talks there: `I (31) main: frame 17`"), "{firmware}");
    let noise = refused(b"\xFF\x00\xFE").to_string();
    assert!(noise.contains("no frames of the loader's"), "{noise}");
}

#[test]
fn who_answers_the_first_word_and_then_talks_without_end_is_given_up() {
    // The answer to the request to synchronise, over and over: no other request is ever answered.
    let error = refused(b"\xC0\x01\x08\x04\x00\x07\x07\x12\x20\x00\x00\x00\x00\xC0");
    assert!(matches!(error, FlashError::Stalled { .. } | FlashError::Rejected { .. }), "{error}");
    // A frame that never ends.
    let error = refused(b"\xC0\x01\x08\x04\x00\x07\x07\x12\x20\x00\x00\x00\x00");
    assert!(matches!(error, FlashError::Stalled { .. } | FlashError::Rejected { .. }), "{error}");
}

#[test]
fn a_port_that_is_not_there_is_named() {
    let (_, image) = image(Chip::Esp32c3, 2, 20_000);
    let mut loader = SerialLoader::new(SerialSettings::new("/dev/no-such-port"));
    let error = flash(&mut loader, &image, &mut |_| {}).expect_err("it is not there").to_string();
    assert!(error.starts_with("/dev/no-such-port: ") && error.contains("is the board plugged in"), "{error}");
    let mut loader = SerialLoader::new(SerialSettings::new("/dev/null"));
    let error = flash(&mut loader, &image, &mut |_| {}).expect_err("it is no port").to_string();
    assert!(error.starts_with("/dev/null: "), "{error}");
}
