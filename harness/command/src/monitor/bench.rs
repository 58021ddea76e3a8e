//! `rigor monitor --rig`: the console of a bench's board, in the rig's time.

use std::process::ExitCode;
use std::time::{Duration, Instant as HostInstant};

use rigor_core::event::DeviceEvent;
use rigor_core::result::{EXIT_OK, EXIT_UNDECIDED};
use rigor_core::timeline::Cursor;
use rigor_core::verdict::RigError;
use rigor_core::{Instant, Kind, Rig};
use rigor_decode::console::LineDecoder;
use rigor_image::Image;
use rigor_reports::visible;
use rigor_rigs::file::{BackEnd, Bench};
use rigor_rigs::{Firmwares, Order, RigFile};

use super::line::Reader;
use super::{Arguments, End, GoneAway, image, listen, reader, tell};
use crate::choices::one_rig;
use crate::error::CommandError;
use crate::print::complain;

/// How often it is looked whether somebody wants the end.
const SLICE: Duration = Duration::from_millis(50);
/// How often it is asked whether the bench is well.
const CHECK: Duration = Duration::from_secs(1);
/// What is older need not be kept.
const KEPT: Duration = Duration::from_secs(1);

/// Prints what the board of `rig` says until somebody wants the end.
pub(super) fn run(arguments: &Arguments, rig: &str) -> Result<ExitCode, CommandError> {
    let (file, _) = one_rig(rig)?;
    let (bench, console) = match (&file.back_end, &file.console) {
        (BackEnd::Bench(bench), Some(console)) => (bench, console),
        (BackEnd::Bench(_), None) => {
            return Err(refused(&file, "there is no [console] to listen to; add it"));
        }
        _ => return Err(refused(&file, "it is no bench; `rigor simulate` shows other boards")),
    };
    let image = match &arguments.elf {
        Some(path) => Some(image(path)?),
        None => elf_of(bench),
    };
    let reader = reader(image.as_ref())?;
    let mut end = End::listen(arguments.seconds)?;
    let mut waiting = |who: &str| complain(&format!("--- {}\n", visible(who)));
    let lease = rigor_rigs::bench::lease_told(&file, bench, "rigor monitor", end.asked(), &mut waiting);
    // To wait for others is none of it.
    end.begin();
    let listened = lease.and_then(|_lease| match (&bench.console, arguments.no_reset) {
        (Some(name), true) => Ok(listen(name.clone(), console.baud, &reader, &end)),
        _ => of_rig(&file, &reader, &end),
    });
    Ok(listened.unwrap_or_else(|RigError(error)| {
        complain(&format!("{}\n", visible(&error)));
        ExitCode::from(EXIT_UNDECIDED)
    }))
}

fn refused(file: &RigFile, what: &str) -> CommandError {
    CommandError::Refused(format!("{}: {what}", visible(&file.path)))
}

/// The image of the rig file, if it is one with names of functions in it.
fn elf_of(bench: &Bench) -> Option<Image> {
    Image::read_of_chip(bench.image.as_ref()?).ok()
}

/// Starts the board and listens to it.
fn of_rig(file: &RigFile, reader: &Reader<'_>, end: &End) -> Result<ExitCode, RigError> {
    let firmwares = Firmwares::new();
    let order = Order { leased: true, ..Order::new(file, &firmwares, 0, end.asked()) };
    let rig = rigor_rigs::take(&order).map_err(|refusal| RigError(refusal.to_string()))?;
    complain(&format!("--- {}; Ctrl-C ends\n", visible(&file.name)));
    let mut board = Listened::new(rig);
    if let Some(power) = board.rig.parts.power.clone() {
        power.on()?;
    }
    while !end.is_wanted() {
        board.turn()?;
        if board.tell(reader).is_err() {
            break;
        }
    }
    complain("--- end\n");
    Ok(ExitCode::from(EXIT_OK))
}

/// A board that runs, and what of it has been told.
struct Listened {
    rig: Rig,
    began: HostInstant,
    checked: HostInstant,
    /// What is wrong with the bench, as it was told last.
    wrong: Option<String>,
    console: Option<Cursor>,
    device: Option<Cursor>,
    decoder: LineDecoder,
}

impl Listened {
    fn new(rig: Rig) -> Self {
        let timeline = &rig.timeline;
        let console = rig.parts.console.as_ref().map(|console| timeline.cursor_at_start(console.source()));
        let device = timeline.sources().into_iter().find(|&source| timeline.name(source) == "device");
        let device = device.map(|source| timeline.cursor_at_start(source));
        let now = HostInstant::now();
        Listened {
            rig,
            began: now,
            checked: now,
            wrong: None,
            console,
            device,
            decoder: LineDecoder::default(),
        }
    }

    /// Lets a moment pass, for a simulated board as well.
    fn turn(&mut self) -> Result<(), RigError> {
        let until = self.rig.timeline.now() + SLICE;
        self.rig.drive.run(until, &|| false)?;
        let ahead = self.rig.timeline.now().since(Instant::ZERO).saturating_sub(self.began.elapsed());
        std::thread::sleep(ahead.min(SLICE));
        if self.checked.elapsed() >= CHECK {
            self.checked = HostInstant::now();
            let wrong = self.rig.drive.self_check().err().map(|RigError(error)| error);
            match (&wrong, &self.wrong) {
                (Some(error), None) => {
                    complain(&format!("--- {}; waiting for it to come back\n", visible(error)))
                }
                (None, Some(_)) => complain("--- back\n"),
                _ => {}
            }
            self.wrong = wrong;
        }
        Ok(())
    }

    /// Prints what has come since.
    fn tell(&mut self, reader: &Reader<'_>) -> Result<(), GoneAway> {
        for event in std::iter::from_fn(|| self.device.as_mut()?.try_next()) {
            if let Kind::Device(what) = &event.kind {
                complain(&format!("--- {} {}\n", event.at, words(what)));
            }
        }
        let mut lines = Vec::new();
        for event in std::iter::from_fn(|| self.console.as_mut()?.try_next()) {
            self.decoder.event(&event, &mut lines);
            if let Kind::Gap(gap) = &event.kind {
                let (length, reason) = (gap.length, visible(&gap.reason));
                complain(&format!("--- {} lost {length:?} of what it said: {reason}\n", event.at));
            }
        }
        for line in lines {
            tell(reader, &line.end.to_string(), &line.raw)?;
        }
        self.rig.timeline.forget_before(self.rig.timeline.now() - KEPT);
        Ok(())
    }
}

fn words(what: &DeviceEvent) -> String {
    match what {
        DeviceEvent::PowerOn => "switched on".to_owned(),
        DeviceEvent::PowerOff => "switched off".to_owned(),
        DeviceEvent::Started(cause) => format!("starts: {cause:?}"),
        DeviceEvent::Crashed(why) => format!("crashes: {}", visible(why)),
    }
}
