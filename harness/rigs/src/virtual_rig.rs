//! The virtual rig: a [`Board`] with every wire of the rig file, on a clock that jumps.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rigor_board::{Board, BoardConfig, Firmware};
use rigor_core::rig::{Drive, Lane, Parts};
use rigor_core::verdict::RigError;
use rigor_core::{Instant, Rig, Timeline};

use crate::file::{RigFile, VirtualBoard};

struct VirtualDrive(Rc<Board>);

impl Drive for VirtualDrive {
    fn run(&mut self, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), RigError> {
        self.0.run(until, woken);
        Ok(())
    }

    /// A modelled wire cannot be pulled.
    fn self_check(&self) -> Result<(), RigError> {
        Ok(())
    }
}

/// A board of its own for every call: without power if the rig has a switch, else switched on.
///
/// # Errors
/// [`RigError`] if the supply cannot be switched; a virtual one can.
pub fn take(
    file: &RigFile,
    board: &VirtualBoard,
    firmware: Rc<dyn Firmware>,
    seed: u64,
    interrupt: &Arc<AtomicBool>,
) -> Result<Rig, RigError> {
    let timeline = Timeline::new();
    let config = board.config(BoardConfig { seed, ..BoardConfig::default() }, file);
    let board = Rc::new(Board::new(config, timeline.clone(), firmware));
    board.interrupt_by(interrupt.clone());
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
        net: file.net.as_ref().map(|_| board.net()),
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
        gauges: ["heap.free", "heap.largest"].map(|name| (name.to_owned(), timeline.source(name))).into(),
        ports: file.net.iter().flat_map(|net| net.ports.clone()).collect(),
    };
    Ok(Rig {
        name: file.name.clone(),
        fidelity: file.fidelity(),
        timeline,
        parts,
        drive: Box::new(VirtualDrive(board)),
    })
}
