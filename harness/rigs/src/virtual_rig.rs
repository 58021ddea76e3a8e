//! The virtual rig: a [`Board`] with every wire of the rig file, on a clock that jumps.

use std::collections::BTreeMap;
use std::rc::Rc;

use rigor_board::{Board, BoardConfig, Firmware};
use rigor_core::rig::{Drive, Lane, Parts};
use rigor_core::verdict::RigError;
use rigor_core::{Instant, Rig, Timeline};

use crate::fault::Model;
use crate::file::{RigFile, VirtualBoard};
use crate::{Order, failing};

struct VirtualDrive(Rc<Board>);

impl Drive for VirtualDrive {
    fn run(&mut self, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), RigError> {
        self.0.run(until, woken);
        Ok(())
    }

    fn next_event(&self) -> Option<Instant> {
        self.0.next_event()
    }

    /// A modelled wire cannot be pulled.
    fn self_check(&self) -> Result<(), RigError> {
        Ok(())
    }

    fn reached_defects(&self) -> Option<Vec<&'static str>> {
        self.0.reached_defects()
    }
}

/// A board of its own for every call: without power if the rig has a switch, else switched on.
///
/// # Errors
/// [`RigError`] if no firmware of the device, or none with the wanted defect, is built in, or the
/// wanted fault is that the rig cannot be had.
pub fn take(order: &Order<'_>, board: &VirtualBoard) -> Result<Rig, RigError> {
    let file = order.file;
    if let Some(Model::Rig(fault)) = order.fault {
        fault.check_available(order.attempt)?;
    }
    let timeline = Timeline::new();
    let config = board.config(BoardConfig { seed: order.seed, ..BoardConfig::default() }, file);
    let board = Rc::new(Board::new(config, timeline.clone(), firmware(order)?));
    match order.fault {
        Some(Model::Board(fault)) => board.inject(*fault),
        Some(Model::Link(fault)) => board.inject_into_link(*fault),
        Some(Model::Firmware(_) | Model::Rig(_)) | None => {}
    }
    board.interrupt_by(order.interrupt.clone());
    let power = board.power();
    if file.power.is_none() {
        // Nobody can switch it, so it is on.
        power.on()?;
    }
    let parts = Parts {
        console: file.console.as_ref().map(|_| board.console()),
        power: file.power.as_ref().map(|_| power),
        reset: file.reset.as_ref().map(|_| board.reset()),
        flash: file.flash.as_ref().map(|_| board.flash()),
        net: file.net.as_ref().map(|net| board.net_via(net.via)),
        scheduler: file.scheduler.as_ref().map(|_| board.scheduler()),
        stress: file.stress.as_ref().map(|_| board.stress()),
        capture: None,
        air: file.air.as_ref().map(|_| board.air()),
        pins: file.pins.iter().map(|pin| (pin.signal.clone(), board.pin(pin.pin))).collect(),
        leds: file
            .leds
            .iter()
            .map(|lane| Lane {
                signal: lane.signal.clone(),
                source: board.pin_source(lane.pin),
                pixels: lane.pixels,
            })
            .collect(),
        gauges: ["heap.free", "heap.largest", "heap.allocations"]
            .map(|name| (name.to_owned(), timeline.source(name)))
            .into(),
        ports: file.net.iter().flat_map(|net| net.ports.clone()).collect(),
        forwards: BTreeMap::new(),
        lacking: BTreeMap::new(),
    };
    let rig = Rig {
        name: file.name.clone(),
        fidelity: file.fidelity(),
        timeline,
        parts,
        drive: Box::new(VirtualDrive(board.clone())),
    };
    Ok(match order.fault {
        Some(Model::Rig(fault)) => failing::fail(rig, board, *fault),
        _ => rig,
    })
}

/// The firmware of the rig's device, with the defect that is wanted.
fn firmware(order: &Order<'_>) -> Result<Rc<dyn Firmware>, RigError> {
    let RigFile { name, dut, path, .. } = order.file;
    let firmware = order.firmwares.get(dut).ok_or_else(|| {
        RigError(format!(
            "rig `{name}`: no firmware of `{dut}` is built into this suite (known: {}); correct `dut` in {path}",
            order.firmwares.names()
        ))
    })?;
    let Some(Model::Firmware(defect)) = order.fault else { return Ok(firmware) };
    firmware.with_defect(defect).ok_or_else(|| {
        RigError(format!(
            "the firmware of `{dut}` has no defect `{defect}`; it has: {}",
            firmware.defects().join(", ")
        ))
    })
}
