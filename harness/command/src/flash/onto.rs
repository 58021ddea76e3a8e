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
    use rigor_flasher::{Entry, SerialLoader, SerialSettings, Software};

    let usb = rigor_rigs::ports::Host::default().device_at(port).and_then(|device| device.usb);
    let mut settings = SerialSettings::new(port);
    settings.usb = usb.map(|usb| (usb.vendor, usb.product));
    settings.software = if arguments.no_stub { Software::Rom } else { Software::Stub };
    settings.entry = if arguments.no_reset { Entry::ByHand } else { Entry::ModemLines };
    settings.baud = arguments.baud;
    through(&mut SerialLoader::new(settings), image, &rigor_reports::visible(&port.display().to_string()))
}

/// Brings `image` onto the board of `programmer`, which is at `place`, and starts it.
pub(crate) fn through(
    programmer: &mut dyn Programmer,
    image: &FlashImage,
    place: &str,
) -> Result<String, FlashError> {
    // Indicatif draws on the standard error, and only if that is a terminal.
    let bar = ProgressBar::no_length().with_style(style());
    bar.set_message("connecting");
    let outcome = flash(programmer, image, &mut |progress| show(&bar, progress));
    bar.finish_and_clear();
    let outcome = outcome?;
    let started = programmer.run()?;
    Ok(told(place, &outcome, started))
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
