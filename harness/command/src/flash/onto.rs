//! The part of `rigor flash` that reaches a board, whoever writes.

use indicatif::{ProgressBar, ProgressStyle};
use rigor_flasher::{FlashError, FlashImage, Outcome, Programmer, Progress, Stage, Start, flash};

use super::size;

/// Brings `image` onto the board at `port` by the loader of its chip, and starts it.
#[cfg(feature = "espflash")]
pub(super) fn board(
    arguments: &super::Arguments,
    image: &FlashImage,
    port: &std::path::Path,
) -> Result<String, FlashError> {
    let mut loader = loader(arguments, port, arguments.no_reset);
    through(&mut loader, image, &shown(port))
}

/// The same for a board that a bench has brought into its loader and will start, if it is `by_hand`. Ends between two
/// blocks once `interrupt` is set, so that the bench can let go of the board.
#[cfg(feature = "espflash")]
pub(super) fn bench(
    arguments: &super::Arguments,
    image: &FlashImage,
    port: &std::path::Path,
    by_hand: bool,
    interrupt: &std::sync::atomic::AtomicBool,
) -> Result<String, FlashError> {
    let mut loader = loader(arguments, port, by_hand);
    let (outcome, started) = written(&mut Stoppable { programmer: &mut loader, interrupt }, image)?;
    let started = if by_hand { Start::Started } else { started };
    Ok(told(&shown(port), &outcome, started))
}

/// A programmer that does no more once somebody wants the end.
#[cfg(feature = "espflash")]
struct Stoppable<'a> {
    programmer: &'a mut dyn Programmer,
    interrupt: &'a std::sync::atomic::AtomicBool,
}

#[cfg(feature = "espflash")]
impl Stoppable<'_> {
    fn goes_on(&mut self, doing: impl FnOnce() -> String) -> Result<&mut dyn Programmer, FlashError> {
        if self.interrupt.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(FlashError::Interrupted { doing: doing() });
        }
        Ok(self.programmer)
    }
}

#[cfg(feature = "espflash")]
impl Programmer for Stoppable<'_> {
    fn connect(&mut self) -> Result<rigor_flasher::Board, FlashError> {
        self.goes_on(|| "connecting".to_owned())?.connect()
    }
    fn holds(&mut self, at: u32, bytes: &[u8]) -> Result<bool, FlashError> {
        self.goes_on(|| format!("comparing {at:#x}"))?.holds(at, bytes)
    }
    fn write(&mut self, at: u32, bytes: &[u8], written: &mut dyn FnMut(u32)) -> Result<(), FlashError> {
        self.goes_on(|| format!("writing {at:#x}"))?.write(at, bytes, written)
    }
    fn run(&mut self) -> Result<Start, FlashError> {
        // All of it is there and verified: a board that waits in its loader would be worse.
        self.programmer.run()
    }
}

#[cfg(feature = "espflash")]
fn shown(port: &std::path::Path) -> String {
    rigor_reports::visible(&port.display().to_string())
}

#[cfg(feature = "espflash")]
fn loader(
    arguments: &super::Arguments,
    port: &std::path::Path,
    by_hand: bool,
) -> rigor_flasher::SerialLoader {
    use rigor_flasher::{Entry, SerialLoader, SerialSettings, Software};

    let usb = rigor_rigs::ports::Host::default().device_at(port).and_then(|device| device.usb);
    let mut settings = SerialSettings::new(port);
    settings.usb = usb.map(|usb| (usb.vendor, usb.product));
    settings.software = if arguments.no_stub { Software::Rom } else { Software::Stub };
    settings.entry = if by_hand { Entry::ByHand } else { Entry::ModemLines };
    settings.baud = arguments.baud;
    SerialLoader::new(settings)
}

/// Brings `image` onto the board of `programmer`, which is at `place`, and starts it.
pub(crate) fn through(
    programmer: &mut dyn Programmer,
    image: &FlashImage,
    place: &str,
) -> Result<String, FlashError> {
    let (outcome, started) = written(programmer, image)?;
    Ok(told(place, &outcome, started))
}

/// Brings `image` onto the board of `programmer`, shows how far it is, and starts it.
fn written(programmer: &mut dyn Programmer, image: &FlashImage) -> Result<(Outcome, Start), FlashError> {
    // Indicatif draws on the standard error, and only if that is a terminal.
    let bar = ProgressBar::no_length().with_style(style());
    bar.set_message("connecting");
    let outcome = flash(programmer, image, &mut |progress| show(&bar, progress));
    bar.finish_and_clear();
    Ok((outcome?, programmer.run()?))
}

fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{msg:10} {bar:30} {bytes}/{total_bytes}");
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_message(match progress.stage {
        Stage::Comparing => "comparing",
        Stage::Writing => "writing",
        Stage::Verifying => "verifying",
    });
    bar.set_length(progress.of.into());
    bar.set_position(progress.done.into());
}

fn told(place: &str, outcome: &Outcome, started: Start) -> String {
    let board = outcome.board;
    let mut text = format!("{place}: {} with {} of flash\n", board.chip, size(board.flash_bytes.into()));
    text.push_str(&match (outcome.written, outcome.kept) {
        (0, _) => "it holds the image already, all of it verified\n".to_owned(),
        (written, 0) => format!("{} written and verified\n", size(written.into())),
        (written, kept) => {
            format!("{} written, {} were there; all verified\n", size(written.into()), size(kept.into()))
        }
    });
    text.push_str(match started {
        Start::Started => "the board was reset and runs\n",
        Start::LeftToReset => "reset the board to start it\n",
    });
    text
}
