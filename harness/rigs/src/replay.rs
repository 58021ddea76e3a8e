//! The replay rig: a recording in place of a rig, so that yesterday's run can be judged by today's
//! assertions with no board.
//!
//! The clock, the timeline and the answers of parts are those of the recording, operation by
//! operation. The case is not bound to the recorded one: it may assert other things, wait for more and
//! end earlier. But what it does to the rig must be what was done to it when it was recorded, at the
//! same instants and in the same order, because nobody knows what the device would have done
//! otherwise. Where it acts differently, the rig [overrules](Drive::overrules) the case: nobody can
//! tell.

mod parts;
mod script;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rigor_core::rig::{Drive, Lane, Parts};
use rigor_core::verdict::{Blame, RigError};
use rigor_core::{Instant, Rig, Source, Timeline};

use crate::file::{RecordedRig, Replay, RigFile};
use crate::recording::{self, Header, ReadError, Reader};
use crate::{Order, Refusal};
use script::Script;

/// The recording of the wanted case.
///
/// # Errors
/// [`Refusal::NotRecorded`] if there is none; [`Refusal::Fault`] if there is one that cannot be read.
pub fn take(order: &Order<'_>, replay: &Replay) -> Result<Rig, Refusal> {
    if order.fault.is_some() {
        let text = "a recording cannot be broken on purpose; choose a virtual rig for faults";
        return Err(RigError(text.to_owned()).into());
    }
    let path = find(replay, order.case)?;
    let broken = |error: ReadError| RigError(format!("{}: {error}", path.display()));
    // Before anything is judged by the first half of it.
    recording::check(open(&path)?).map_err(broken)?;
    let reader = Reader::open(open(&path)?).map_err(broken)?;
    let header = reader.header().clone();
    if (header.system.as_str(), header.case.as_str()) != (order.file.dut.as_str(), order.case) {
        return Err(Refusal::NotRecorded(format!(
            "{} is a recording of `{}` of {}, not of this case",
            path.display(),
            header.case,
            header.system
        )));
    }
    let timeline = Timeline::new();
    let mut script = Script::new(reader, &path, timeline.clone(), order.interrupt.clone());
    script.begin()?;
    let script = Rc::new(RefCell::new(script));
    let parts = parts(&header, &script)?;
    Ok(Rig {
        name: order.file.name.clone(),
        fidelity: header.fidelity,
        timeline,
        parts,
        drive: Box::new(ReplayDrive(script)),
    })
}

fn open(path: &Path) -> Result<BufReader<File>, RigError> {
    let file = File::open(path).map_err(|error| RigError(format!("{}: {error}", path.display())))?;
    Ok(BufReader::new(file))
}

/// Where the recording of `case` is.
fn find(replay: &Replay, case: &str) -> Result<PathBuf, Refusal> {
    let here = &replay.recording;
    if here.is_file() {
        return Ok(here.clone());
    }
    let rig = only_rig(replay).map_err(|complaint| match complaint {
        NoRig::Nothing => Refusal::NotRecorded(format!(
            "there are no recordings in {}; make some with `cargo test --test hil -- --record`",
            here.display()
        )),
        NoRig::Several(rigs) => RigError(format!(
            "{} has recordings of {}; name one of them with `rig` in `[replay]`",
            here.display(),
            rigs.join(", ")
        ))
        .into(),
    })?;
    let path = recording::path_of(here, &rig, case);
    if path.is_file() {
        return Ok(path);
    }
    Err(Refusal::NotRecorded(format!("no recording of this case is in {}", here.join(rig).display())))
}

/// Why it is not known which rig's recordings are meant.
enum NoRig {
    Nothing,
    Several(Vec<String>),
}

/// The rig whose recordings are meant: the named one, or the only one.
fn only_rig(replay: &Replay) -> Result<String, NoRig> {
    if let Some(rig) = &replay.rig {
        return Ok(rig.clone());
    }
    let entries = fs::read_dir(&replay.recording).map_err(|_| NoRig::Nothing)?;
    let folders = entries.filter_map(Result::ok).filter(|entry| entry.path().is_dir());
    let mut rigs: Vec<String> = folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    rigs.sort();
    match (rigs.pop(), rigs.is_empty()) {
        (None, _) => Err(NoRig::Nothing),
        (Some(rig), true) => Ok(rig),
        (Some(last), false) => Err(NoRig::Several([rigs, vec![last]].concat())),
    }
}

/// What the first recording says of its rig.
pub(crate) fn recorded_rig(replay: &Replay) -> Option<RecordedRig> {
    let first = if replay.recording.is_file() {
        replay.recording.clone()
    } else {
        let folder = replay.recording.join(only_rig(replay).ok()?);
        let is_recording = |path: &PathBuf| path.extension().is_some_and(|end| end == recording::EXTENSION);
        let files = fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path());
        files.filter(is_recording).min()?
    };
    let reader = Reader::open(open(&first).ok()?).ok()?;
    let Header { fidelity, firmware, .. } = reader.header().clone();
    Some(RecordedRig { fidelity, firmware, seed: reader.header().seed().unwrap_or_default() })
}

fn parts(header: &Header, script: &Rc<RefCell<Script>>) -> Result<Parts, RigError> {
    let table = &header.parts;
    let lane = |lane: u16| script.borrow().source(lane);
    let optional = |lane: Option<u16>| lane.map(|number| script.borrow().source(number)).transpose();
    let by_name = |(name, number): (&String, &u16)| Ok::<_, RigError>((name.clone(), lane(*number)?));
    let part = |source: Option<Source>| parts::Replayed { script: script.clone(), source };
    let leds = table.leds.iter().map(|led| {
        let source = lane(led.lane)?;
        Ok(Lane { signal: led.signal.clone(), source, pixels: led.pixels as usize })
    });
    let pins = table.pins.iter().map(|(signal, number)| {
        let pin = parts::ReplayedPin::new(signal, script.clone(), lane(*number)?);
        Ok((signal.clone(), Rc::new(pin) as _))
    });
    let console = optional(table.console)?.map(|source| Rc::new(part(Some(source))) as _);
    let power = optional(table.power)?.map(|source| Rc::new(part(Some(source))) as _);
    let net =
        optional(table.net)?.map(|source| Rc::new(parts::ReplayedNet::link(script.clone(), source)) as _);
    let air = table.air.map(|(own, net)| {
        let air = parts::ReplayedAir { script: script.clone(), source: lane(own)?, net: lane(net)? };
        Ok::<_, RigError>(Rc::new(air) as _)
    });
    let busy = optional(table.flash_busy)?;
    Ok(Parts {
        console,
        power,
        reset: table.reset.then(|| Rc::new(part(None)) as _),
        flash: table.flash.then(|| Rc::new(part(busy)) as _),
        net,
        air: air.transpose()?,
        scheduler: table.scheduler.then(|| Rc::new(part(None)) as _),
        stress: table.stress.then(|| Rc::new(part(None)) as _),
        capture: table.capture.then(|| Rc::new(part(None)) as _),
        pins: pins.collect::<Result<_, RigError>>()?,
        leds: leds.collect::<Result<_, RigError>>()?,
        gauges: table.gauges.iter().map(by_name).collect::<Result<_, _>>()?,
        ports: table.ports.clone(),
        forwards: Default::default(),
        lacking: RigFile::parse("", &header.rig_file).map(|file| file.lacking()).unwrap_or_default(),
    })
}

struct ReplayDrive(Rc<RefCell<Script>>);

impl Drive for ReplayDrive {
    fn run(&mut self, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), RigError> {
        self.0.borrow_mut().run(until, woken)
    }

    /// As it was found when the run was recorded.
    fn self_check(&self) -> Result<(), RigError> {
        self.0.borrow_mut().self_check()
    }

    fn overrules(&self) -> Option<Blame> {
        self.0.borrow().overrules()
    }
}
