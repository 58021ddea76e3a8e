//! Looks at a bench part by part: what is well, what is not, and what to do about it.
//!
//! A case that finds a bench broken says the first thing that is wrong. Here every part is looked at by itself first, so
//! that a cable and a rig file can be put right in one go; then, if all of them are well, the board is started as for
//! a case and looked at from outside (`alive.rs`).

mod alive;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rigor_core::Timeline;
use rigor_core::qualification::Qualification;
use rigor_core::verdict::RigError;

use super::bell::Bell;
use super::controller::Controller;
use super::error::BenchError;
use super::health::{Ledger, ago};
use super::lease::Lease;
use super::lines::{self, Lines};
use super::qualify::Qualified;
use super::wires::Wires;
use super::{check_supported, check_wires, find, taken};
use crate::file::bench::{NetAddress, PowerVia, ResetVia};
use crate::file::{Bench, RigFile};
use crate::instrument::hub::HubPort;
use crate::instrument::modem;
use crate::serial::{Port, SerialError};
use crate::{Firmwares, Order};

/// How long a bench may be somebody else's while somebody wants to look at it.
const LEASED_WITHIN: Duration = Duration::from_secs(3);

/// How a part is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// As it should be.
    Well,
    /// Cases would fail over it, by the rig's fault.
    Wrong,
    /// Nobody can tell from here, and cases run all the same.
    Unknown,
}

/// What was found of a part. Its texts may hold what a device said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The part: its table of the rig file, or a word for what is looked at.
    pub what: String,
    /// What it is good for.
    pub purpose: &'static str,
    /// How it is.
    pub standing: Standing,
    /// What was seen.
    pub found: String,
    /// What to do if it is not well.
    pub remedy: Option<String>,
}

/// What was found of a bench.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Examination {
    /// Part by part, in the order in which they depend on each other.
    pub findings: Vec<Finding>,
    /// How far its instruments can be trusted, as far as that came out.
    pub figures: Qualification,
}

impl Examination {
    /// Whether cases can run there.
    pub fn is_well(&self) -> bool {
        self.findings.iter().all(|finding| finding.standing != Standing::Wrong)
    }

    fn well(&mut self, what: impl Into<String>, purpose: &'static str, found: impl Into<String>) {
        let (what, found) = (what.into(), found.into());
        self.findings.push(Finding { what, purpose, standing: Standing::Well, found, remedy: None });
    }

    /// `told` is an error of the bench's: what it saw, a semicolon, and what to do.
    fn wrong(&mut self, what: impl Into<String>, purpose: &'static str, told: &str) {
        self.tell(what, purpose, Standing::Wrong, told);
    }

    fn unknown(&mut self, what: impl Into<String>, purpose: &'static str, told: &str) {
        self.tell(what, purpose, Standing::Unknown, told);
    }

    fn tell(&mut self, what: impl Into<String>, purpose: &'static str, standing: Standing, told: &str) {
        let (found, remedy) = match told.rsplit_once("; ") {
            Some((found, remedy)) => (found, Some(remedy.to_owned())),
            None => (told, None),
        };
        let (what, found) = (what.into(), found.to_owned());
        self.findings.push(Finding { what, purpose, standing, found, remedy });
    }
}

/// What is to become of a board that is out of service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Absent {
    /// It is told.
    StaysSo,
    /// If nothing is wrong with it now, everybody may use it again.
    ComesBack,
}

const LEASE: &str = "nobody else uses the bench meanwhile";
const CONTROLLER: &str = "drives and records the wires";
const WIRES: &str = "the lanes, lines and inputs of the rig file";
const LOOP_BACK: &str = "how well edges are seen";
const CLOCKS: &str = "where the host's stamps lie on the controller's clock";
const CONSOLE: &str = "what the board says";
const POWER: &str = "switches the board on and off";
const RESET: &str = "starts the board anew";
const FLASH: &str = "what is on the board's chip";
const NET: &str = "connections to the board";
const HEALTH: &str = "how the board has been on other days";
const BOARD: &str = "started as for a case";

/// Looks at the bench of `file`. Takes seconds; waits for nobody who has the bench for longer than 3 s. The board is
/// started, listened to, sent a few empty lines and connected to, unless something else is wrong already. `interrupt`
/// ends it.
pub fn examine(file: &RigFile, bench: &Bench, absent: Absent, interrupt: &Arc<AtomicBool>) -> Examination {
    let mut seen = Examination::default();
    let _lease = match Lease::wait(&file.name, bench, "rigor doctor", LEASED_WITHIN, interrupt) {
        Ok(lease) => {
            seen.well("lease", LEASE, "it is ours meanwhile");
            lease
        }
        Err(error) => {
            seen.wrong("lease", LEASE, &error.to_string());
            seen.unknown("the rest", BOARD, "nothing was touched, because the bench is not ours");
            return seen;
        }
    };
    look(file, bench, interrupt, &mut seen);
    health(file, Ledger::of(bench), absent, &mut seen);
    seen
}

/// Looks at all of it but what is known from other days.
fn look(file: &RigFile, bench: &Bench, interrupt: &Arc<AtomicBool>, seen: &mut Examination) {
    let stepped = controller(file, bench, seen);
    console(file, bench, stepped, seen);
    switches(file, bench, seen);
    if let Err(RigError(error)) = check_supported(bench) {
        seen.wrong("rig file", BOARD, &error);
    }
    if !seen.is_well() {
        return seen.unknown(
            "board",
            BOARD,
            "it was not started, because of what is wrong; put that right first",
        );
    }
    let firmwares = Firmwares::new();
    let order = Order { leased: true, ..Order::new(file, &firmwares, 0, interrupt) };
    match taken(&order, bench, None) {
        Ok(rig) => alive::look(rig, file, interrupt, seen),
        Err(error) => seen.wrong("board", BOARD, &error.to_string()),
    }
}

/// What is known of the board from other days, and whether it may be used.
fn health(file: &RigFile, mut ledger: Ledger, absent: Absent, seen: &mut Examination) {
    let past = match ledger.faults() {
        [] => "no fault of the rig is known".to_owned(),
        [.., last] => format!(
            "{} known, the last one {}, under `{}`: {}",
            match ledger.faults().len() {
                1 => "1 fault of the rig is".to_owned(),
                more => format!("{more} faults of the rig are"),
            },
            ago(last.at),
            last.case,
            last.what
        ),
    };
    let Some(absence) = ledger.absence().cloned() else {
        return seen.well("health", HEALTH, past);
    };
    let out = format!("out of service since {}: {}", ago(absence.since), absence.reason);
    match absent {
        Absent::StaysSo if absence.unplugged && seen.is_well() => match ledger.put_back() {
            Ok(()) => seen.well("health", HEALTH, format!("plugged in again; it was {out}")),
            Err(error) => seen.wrong("health", HEALTH, &error.to_string()),
        },
        Absent::StaysSo => {
            let remedy = format!("put that right, then `rigor doctor --rig {} --back-in-service`", file.path);
            seen.wrong("health", HEALTH, &format!("{out}; {remedy}"));
        }
        Absent::ComesBack if !seen.is_well() => {
            seen.wrong("health", HEALTH, &format!("{out}, and stays so; put right what is wrong first"));
        }
        Absent::ComesBack => match ledger.put_back() {
            Ok(()) => seen.well("health", HEALTH, format!("back in service; it was {out}")),
            Err(error) => seen.wrong("health", HEALTH, &error.to_string()),
        },
    }
}

/// What the bench of `file` finds out of itself with its board running. Whoever calls has the lease.
pub(crate) fn prove(
    file: &RigFile,
    bench: &Bench,
    interrupt: &Arc<AtomicBool>,
) -> Result<Qualification, RigError> {
    check_supported(bench)?;
    let firmwares = Firmwares::new();
    let order = Order { leased: true, ..Order::new(file, &firmwares, 0, interrupt) };
    let rig = taken(&order, bench, None)?;
    let figures = rig.drive.qualification().unwrap_or_default();
    let mut seen = Examination { figures, ..Examination::default() };
    alive::look(rig, file, interrupt, &mut seen);
    Ok(seen.figures)
}

/// Whether its board is a simulated one.
fn controller(file: &RigFile, bench: &Bench, seen: &mut Examination) -> bool {
    let Some(name) = &bench.controller else {
        let text = "the rig file names none; cases that need its wires are not run";
        seen.unknown("[controller]", CONTROLLER, text);
        return false;
    };
    let opened = Bell::new().and_then(|bell| Controller::open(&find(name, "controller")?, &bell));
    let mut controller = match opened {
        Ok(controller) => controller,
        Err(error) => {
            seen.wrong("[controller]", CONTROLLER, &error.to_string());
            return false;
        }
    };
    let identity = controller.identity().clone();
    let kind = if identity.stepped { ", with a simulated board" } else { "" };
    let text =
        format!("`{}` {:016x} at {}{kind}", identity.name, identity.serial, controller.path().display());
    seen.well("[controller]", CONTROLLER, text);
    let wires = check_wires(file, bench, Some(&controller))
        .and_then(|()| Wires::new(file, bench, Some(&identity), &Timeline::new()).map(|_| ()));
    match wires {
        Ok(()) => seen.well(
            "wires",
            WIRES,
            format!(
                "{} of {} lanes, {} of {} lines",
                bench.lanes.len(),
                identity.lanes,
                bench.lines.len(),
                identity.lines
            ),
        ),
        Err(error) => seen.wrong("wires", WIRES, &error.to_string()),
    }
    match Qualified::of(Some(&mut controller), None) {
        Ok(Qualified { figures, .. }) => {
            told_of(&figures, seen);
            seen.figures = figures;
        }
        Err(error) => seen.wrong("loop-back", LOOP_BACK, &error.to_string()),
    }
    identity.stepped
}

fn told_of(figures: &Qualification, seen: &mut Examination) {
    match figures.loop_back {
        Some(found) if found.seen > 0 => seen.well("loop-back", LOOP_BACK, found.to_string()),
        Some(found) => {
            seen.unknown(
                "loop-back",
                LOOP_BACK,
                &format!("{found}; join the pair, see rigs/wiring/README.md"),
            );
        }
        None => seen.unknown("loop-back", LOOP_BACK, "this controller has no such pair"),
    }
    match figures.clocks {
        Some(within) => seen.well("clocks", CLOCKS, format!("within {within:?}")),
        None => seen.well("clocks", CLOCKS, "a simulated board has one clock, and nothing is uncertain"),
    }
}

fn console(file: &RigFile, bench: &Bench, stepped: bool, seen: &mut Examination) {
    let (Some(name), Some(console)) = (&bench.console, &file.console) else {
        return seen.unknown("[console]", CONSOLE, "the rig file has none; cases that need it are not run");
    };
    let opened = find(name, "console").and_then(|path| Ok(Port::open_alone(&path, console.baud)?));
    match opened {
        Ok(port) => {
            let text = format!("{} is ours, at {} baud", port.path().display(), console.baud);
            seen.well("[console]", CONSOLE, text);
            if bench.reset == Some(ResetVia::ModemLines)
                && let Err(error) = modem::check(&port, port.path())
            {
                seen.wrong("DTR and RTS", RESET, &error.to_string());
            }
        }
        Err(BenchError::NotPluggedIn { .. } | BenchError::Serial(SerialError::Open { .. }))
            if bench.power.is_some() && !stepped =>
        {
            seen.unknown("[console]", CONSOLE, "its port is not there while the board has no supply");
        }
        Err(error) => seen.wrong("[console]", CONSOLE, &error.to_string()),
    }
}

/// How the board is switched, started and reached. What the controller lacks for it has been said of its wires.
fn switches(file: &RigFile, bench: &Bench, seen: &mut Examination) {
    match &bench.power {
        Some(PowerVia::Controller) => seen.well("[power]", POWER, "by the controller's switch"),
        Some(PowerVia::Hub { hub, port }) => match HubPort::new(hub, *port).is_on() {
            Ok(_) => seen.well("[power]", POWER, format!("by port {port} of hub {hub}")),
            Err(error) => seen.wrong("[power]", POWER, &error.to_string()),
        },
        None => seen.unknown("[power]", POWER, "the rig file has none; the board is taken to be on"),
    }
    match &bench.reset {
        Some(via @ ResetVia::Gpio { reset, boot }) => match Lines::of(Some(via), &lines::of_the_kernel) {
            Ok(_) => {
                let strap = boot.as_ref().map_or_else(String::new, |boot| format!(", the strap by {boot}"));
                seen.well("[reset]", RESET, format!("by line {reset} of this host{strap}"));
            }
            Err(error) => seen.wrong("[reset]", RESET, &error.to_string()),
        },
        Some(ResetVia::Controller) => seen.well("[reset]", RESET, "by the controller"),
        Some(ResetVia::ModemLines) => seen.well("[reset]", RESET, "by DTR and RTS of the console's port"),
        None => seen.unknown("[reset]", RESET, "the rig file has none; a board that hangs is not helped"),
    }
    if bench.flash.is_some() {
        let text =
            "it is not read here, because that stops the firmware; `rigor flash --rig` does, and verifies";
        seen.unknown("[flash]", FLASH, text);
    }
    if file.net.is_some() {
        match &bench.address {
            Some(NetAddress::Ip(address)) => seen.well("[net]", NET, format!("at {address}")),
            Some(NetAddress::Console) => seen.well("[net]", NET, "where the console says"),
            Some(NetAddress::Name(name)) => seen.well("[net]", NET, format!("at {name}")),
            None => {}
        }
    }
}
