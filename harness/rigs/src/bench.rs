//! The bench: a real board, with a bench controller beside it.
//!
//! In the flow (**action, event**, decode, measure) this is where cases meet hardware. The device is reached by its
//! console, by its network, and by the controller, which pulls its lines and records its wires
//! ([`rigor_controller`] is the language). One thread listens to each serial port (`listener.rs`); everything else
//! happens on the thread of the case.
//!
//! A board lives in one of two times (`time.rs`): a real one in the host's, and one that its controller simulates in its
//! own, so that no verdict on it depends on the host.

mod bell;
mod bootlog;
mod console;
mod controller;
mod desk;
mod device;
mod error;
pub mod examine;
pub mod hand;
mod health;
pub mod ladder;
mod lane;
pub mod lease;
mod line;
mod lines;
mod listener;
mod loader;
mod mapping;
mod net;
mod qualify;
mod stamps;
mod state;
mod supply;
mod time;
mod wait;
mod whereabouts;
mod wires;

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rigor_core::rig::{Lane, Parts};
use rigor_core::verdict::RigError;
use rigor_core::{Fidelity, Instant, Rig, Timeline};

use crate::file::bench::{FlashVia, NetAddress, PowerVia, ResetVia};
use crate::file::{Bench, RigFile};
use crate::ports::{Host, PortName};
use crate::{BackEnd, Order};

use bell::Bell;
use console::Console;
use controller::Controller;
use desk::{Desk, Ends, Handle, Programmer};
use device::Device;
pub use error::BenchError;
pub use lease::Lease;
use lines::Lines;
pub use loader::LoaderError;
use net::{Answers, Net, Unknown};
use qualify::Qualified;
use stamps::Stamps;
use supply::Supply;
use time::{HostTime, SteppedTime, Time};
use whereabouts::Lookup;
use wires::Wires;

/// How long the reset pin is held: longer than the 100 nF and 10 kOhm that boards have there need.
const RESET_PULSE: Duration = Duration::from_millis(10);

/// Waits until the bench of `file` is ours, for `why`; nothing to wait for on a rig that is made anew for every case.
///
/// # Errors
/// [`RigError`] with who has it, if that takes more than half an hour or `interrupt` is set.
pub fn lease(file: &RigFile, why: &str, interrupt: &AtomicBool) -> Result<Option<Lease>, RigError> {
    match &file.back_end {
        BackEnd::Bench(bench) => {
            Ok(Some(Lease::wait(&file.name, bench, why, lease::LEASED_WITHIN, interrupt)?))
        }
        BackEnd::Virtual(_) | BackEnd::Replay(_) | BackEnd::Qemu(_) => Ok(None),
    }
}

/// The same for a person, who is told to `waiting` whom it is waited for.
///
/// # Errors
/// As [`lease()`].
pub fn lease_told(
    file: &RigFile,
    bench: &Bench,
    why: &str,
    interrupt: &AtomicBool,
    waiting: &mut dyn FnMut(&str),
) -> Result<Lease, RigError> {
    Ok(Lease::wait_told(&file.name, bench, why, interrupt, waiting)?)
}

/// The bench that `order` describes: without power if the rig can switch it, else just reset, if it can do that.
///
/// # Errors
/// [`RigError`] with what is missing or does not answer, and what to do about it.
pub(crate) fn take(order: &Order<'_>, bench: &Bench) -> Result<Rig, RigError> {
    let file = order.file;
    check_supported(bench)?;
    let own = if order.leased { None } else { lease(file, order.case, order.interrupt)? };
    Ok(taken(order, bench, own)?)
}

/// Refuses what this version cannot do, before anything is touched.
fn check_supported(bench: &Bench) -> Result<(), RigError> {
    let not_yet =
        |what: &str, instead: &str| Err(RigError(format!("{what}, which this version cannot do; {instead}")));
    match bench.flash {
        Some(FlashVia::Probe) => {
            not_yet("[flash] goes by a debug probe", "write `via = \"loader\"`, or remove the table")
        }
        Some(FlashVia::Loader) if !pulls_strap(bench) => not_yet(
            "[flash] goes by the loader in the chip's ROM, and nothing holds both its boot and its reset pin",
            "wire them to the controller or to lines of this host and add [reset], or remove [flash]",
        ),
        Some(FlashVia::Loader) if matches!(bench.power, Some(PowerVia::Hub { .. })) => not_yet(
            "[flash] goes by the loader in the chip's ROM, and [power] by a hub",
            "wire the controller's power switch, or remove one of both",
        ),
        Some(FlashVia::Loader) | None => Ok(()),
    }
}

/// Whether something holds the strap of the chip while its reset ends, and lets it go when the loader is done with.
fn pulls_strap(bench: &Bench) -> bool {
    matches!(bench.reset, Some(ResetVia::Controller | ResetVia::Gpio { boot: Some(_), .. }))
}

/// Where the port `name` of table `table` is.
fn find(name: &PortName, table: &'static str) -> Result<PathBuf, BenchError> {
    Host::default().resolve(name).map_err(|reason| BenchError::NotPluggedIn { table, reason })
}

fn taken(order: &Order<'_>, bench: &Bench, lease: Option<Lease>) -> Result<Rig, BenchError> {
    taken_by(order, bench, lease, &lines::of_the_kernel)
}

fn taken_by(
    order: &Order<'_>,
    bench: &Bench,
    lease: Option<Lease>,
    line: lines::Take<'_>,
) -> Result<Rig, BenchError> {
    let file = order.file;
    let timeline = Timeline::new();
    let bell = Bell::new()?;
    let mut controller = match &bench.controller {
        Some(name) => Some(Controller::open(&find(name, "controller")?, &bell)?),
        None => None,
    };
    let stepped = controller.as_ref().is_some_and(|controller| controller.identity().stepped);
    check_wires(file, bench, controller.as_ref())?;
    let lines = Lines::of(bench.reset.as_ref(), line)?;
    let supply = bench.power.as_ref().map(Supply::of);
    if let Some(hub @ Supply::Hub(_)) = &supply {
        // A case begins without power.
        hub.switch(false, None)?;
    }
    let console = match (&bench.console, &file.console) {
        (Some(name), Some(console)) => {
            // The port of many a board is its own, and gone without a supply.
            let may_be_away = file.power.is_some() && !stepped;
            Some(Console::open(name, console.baud, may_be_away, &timeline, &bell)?)
        }
        _ => None,
    };
    let qualified = Qualified::of(controller.as_mut(), console.as_ref())?;
    let time: Box<dyn Time> = match (&mut controller, &qualified.mapping) {
        (Some(controller), _) if stepped => {
            let (_, zero, _, _) = controller.read_clock()?;
            Box::new(SteppedTime::new(controller.identity().clock_hz, zero, order.interrupt.clone()))
        }
        (Some(controller), Some(mapping)) => {
            Box::new(HostTime::new(controller.identity().clock_hz, mapping.clone(), order.interrupt.clone()))
        }
        _ => Box::new(HostTime::without_controller(order.interrupt.clone())),
    };
    let wires = Wires::new(file, bench, controller.as_ref().map(Controller::identity), &timeline)?;
    if let Some(controller) = &mut controller {
        let since = controller.record(wires.wanted())?;
        wires.begin(time.instant(since));
    }
    qualified.tell(&timeline);
    let parts = Parts {
        ports: file.net.iter().flat_map(|net| net.ports.clone()).collect(),
        lacking: file.lacking(),
        ..Parts::default()
    };
    let answers = if stepped { Answers::Controller } else { Answers::Socket };
    let net = network(file, bench, answers);
    let lookup = match net.as_ref().and_then(Net::asks) {
        Some(Unknown::Name(name)) => Some(Lookup::start(name, bell.clone())?),
        Some(Unknown::Console) | None => None,
    };
    let mut ends = Ends {
        bell,
        lookup,
        console,
        net,
        net_source: timeline.source("net"),
        net_last: Instant::ZERO,
        wires,
        device: Device::new(&timeline, file.power.is_none()),
        controller,
        stamps: Stamps::default(),
        timeline: timeline.clone(),
    };
    ends.stamps.hear(qualified.figures.stamps().unwrap_or_default(), &timeline);
    let programmer = Programmer { chip: bench.chip, interrupt: order.interrupt.clone() };
    let figures = qualified.figures;
    let reset_via = bench.reset.clone();
    let mut desk = Desk { ends, time, programmer, supply, reset_via, lines, figures, _lease: lease };
    if file.power.is_none() && file.reset.is_some() {
        desk.reset()?;
    }
    let handle = Handle::new(desk);
    let parts = wired(parts, file, bench, &timeline, &handle);
    // What a simulated device does is what its model says.
    let fidelity = if stepped { Fidelity::Modelled } else { file.fidelity() };
    Ok(Rig { name: file.name.clone(), fidelity, timeline, parts, drive: Box::new(handle) })
}

/// `parts` with those of `file`.
fn wired(parts: Parts, file: &RigFile, bench: &Bench, timeline: &Timeline, handle: &Handle) -> Parts {
    let pin = |pin: u8| timeline.source(&format!("gpio{pin}"));
    Parts {
        console: file.console.as_ref().map(|_| Rc::new(handle.clone()) as Rc<_>),
        power: file.power.as_ref().map(|_| Rc::new(handle.clone()) as Rc<_>),
        reset: file.reset.as_ref().map(|_| Rc::new(handle.clone()) as Rc<_>),
        flash: bench.flash.map(|_| Rc::new(handle.clone()) as Rc<_>),
        capture: (!file.leds.is_empty()).then(|| Rc::new(handle.clone()) as Rc<_>),
        net: file.net.as_ref().map(|_| Rc::new(handle.clone()) as Rc<_>),
        pins: file
            .pins
            .iter()
            .filter_map(|wire| {
                let line = *bench.lines.get(&wire.signal)?;
                Some((wire.signal.clone(), handle.line(line, pin(wire.pin))))
            })
            .collect(),
        leds: file
            .leds
            .iter()
            .map(|lane| Lane { signal: lane.signal.clone(), source: pin(lane.pin), pixels: lane.pixels })
            .collect(),
        ..parts
    }
}

fn network(file: &RigFile, bench: &Bench, answers: Answers) -> Option<Net> {
    let net = file.net.as_ref()?;
    let address = match bench.address.as_ref()? {
        NetAddress::Ip(address) => Ok(*address),
        NetAddress::Console => Err(Unknown::Console),
        NetAddress::Name(name) => Err(Unknown::Name(name.clone())),
    };
    let forward = |(name, to): (&String, &u16)| Some((*net.ports.get(name)?, *to));
    Some(Net::new(address, net.forward.iter().filter_map(forward).collect(), answers))
}

/// Refuses a rig file that wants what its controller lacks.
fn check_wires(file: &RigFile, bench: &Bench, controller: Option<&Controller>) -> Result<(), BenchError> {
    let Some(identity) = controller.map(Controller::identity) else { return Ok(()) };
    let wants = [
        (
            file.power.is_some() && bench.power == Some(PowerVia::Controller),
            identity.has_power,
            "a power switch",
        ),
        (
            file.reset.is_some() && bench.reset == Some(ResetVia::Controller),
            identity.has_reset,
            "a reset wire",
        ),
    ];
    match wants.into_iter().find(|(wanted, has, _)| *wanted && !has) {
        None => Ok(()),
        Some((_, _, what)) => Err(BenchError::Lacks {
            wanted: what.to_owned(),
            name: identity.name.to_string(),
            has: "none".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests;
