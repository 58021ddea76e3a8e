//! `rigor flash --rig`: onto the board of a bench, by the wires of its rig file.

use std::path::PathBuf;
use std::process::ExitCode;

use rigor_core::result::EXIT_OK;
use rigor_flasher::Chip;
use rigor_reports::visible;
use rigor_rigs::RigFile;
use rigor_rigs::file::{BackEnd, Bench};

use super::{Arguments, fit};
use crate::choices::{here, one_rig};
use crate::error::CommandError;
use crate::print::print;

/// Brings the image that `arguments` or the rig file name onto the board of `rig`.
pub(super) fn run(arguments: &Arguments, rig: &str) -> Result<ExitCode, CommandError> {
    let (file, _) = one_rig(rig)?;
    let bench = of_bench(&file)?;
    let named: Option<PathBuf> = arguments.image.as_deref().map(here).transpose()?;
    let Some(path) = named.or_else(|| bench.image.clone()) else {
        let shown = visible(&file.path);
        let what = format!("{shown}: [bench] names no `image`, and neither does the command line");
        if arguments.if_named {
            print(&format!("{what}: what is on the board stays there\n"));
            return Ok(ExitCode::from(EXIT_OK));
        }
        return Err(CommandError::Refused(format!("{what}; name one")));
    };
    let chip: Option<Chip> = bench.chip.name().parse().ok();
    let image = fit(&path, chip)?;
    onto_bench(arguments, &image, &file, bench)
}

/// What `file` says of a bench.
fn of_bench(file: &RigFile) -> Result<&Bench, CommandError> {
    match &file.back_end {
        BackEnd::Bench(bench) => Ok(bench),
        BackEnd::Virtual(_) | BackEnd::Replay(_) | BackEnd::Qemu(_) => Err(CommandError::Refused(format!(
            "{}: there is no board to bring firmware onto; name a rig file with `back_end = \"bench\"`",
            visible(&file.path)
        ))),
    }
}

#[cfg(not(feature = "espflash"))]
fn onto_bench(
    _arguments: &Arguments,
    _image: &rigor_flasher::FlashImage,
    _file: &RigFile,
    _bench: &Bench,
) -> Result<ExitCode, CommandError> {
    Err(super::no_loader())
}

#[cfg(feature = "espflash")]
fn onto_bench(
    arguments: &Arguments,
    image: &rigor_flasher::FlashImage,
    file: &RigFile,
    bench: &Bench,
) -> Result<ExitCode, CommandError> {
    use rigor_core::result::EXIT_UNDECIDED;
    use rigor_rigs::bench::hand::{Entered, Hand};

    use super::{ended, onto};
    use crate::interrupt;
    use crate::print::complain;

    let interrupt = interrupt::wanted()?;
    let told = |error: rigor_rigs::bench::BenchError| {
        complain(&format!("{}\n", visible(&error.to_string())));
        Ok(ExitCode::from(EXIT_UNDECIDED))
    };
    let mut waiting = |who: &str| complain(&format!("--- {}\n", visible(who)));
    let mut hand = match Hand::take(file, bench, "rigor flash", &interrupt, &mut waiting) {
        Ok(hand) => hand,
        Err(error) => return told(error),
    };
    let entered = match hand.enter_loader(bench) {
        Ok(entered) => entered,
        Err(error) => return told(error),
    };
    let by_hand = entered == Entered::ByBench;
    let outcome = onto::bench(arguments, image, hand.port(), by_hand, &interrupt);
    // Also after a failure: a board that waits in its loader for ever is no help to anybody.
    if by_hand && let Err(error) = hand.start() {
        return told(error);
    }
    Ok(ended(outcome))
}
