//! What it takes to start a machine of ours, whatever time it lives in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use rigor_agent::layout::RAM_BYTES;
use rigor_board::{BoardConfig, Firmware};
use rigor_core::part::Net;
use rigor_core::rig::{Lane, Parts};
use rigor_core::verdict::RigError;
use rigor_core::{Source, Timeline};

use super::command_line::{Launch, Time};
use super::ends::Lanes;
use super::image::load;
use super::parts::{Emulated, Handle};
use super::version::installed;
use crate::Order;
use crate::fault::Model;
use crate::file::{Qemu, RigFile, VirtualBoard};

/// The machine as QEMU is told of it.
pub(super) struct Machine {
    pub(super) binary: PathBuf,
    pub(super) name: String,
    pub(super) image: PathBuf,
    pub(super) arguments: Vec<String>,
}

impl Machine {
    /// How it is started, in `time`.
    pub(super) fn launch<'a>(&'a self, time: Time<'a>) -> Launch<'a> {
        Launch {
            binary: &self.binary,
            machine: &self.name,
            image: &self.image,
            arguments: &self.arguments,
            time,
        }
    }
}

/// A machine and what is to run on it.
pub(super) struct Prepared {
    pub(super) machine: Machine,
    pub(super) config: BoardConfig,
    pub(super) defect: Option<String>,
    pub(super) flash_image: Vec<(u32, Vec<u8>)>,
    pub(super) memory_mib: u32,
}

impl Prepared {
    /// What `order` asks for.
    ///
    /// # Errors
    /// [`RigError`] if there is no emulator, no image, no firmware of the device with the wanted defect, or
    /// if the wanted fault is none that an emulated device can have.
    pub(super) fn new(order: &Order<'_>, qemu: &Qemu) -> Result<Self, RigError> {
        let file = order.file;
        let firmware = order.firmwares.get(&file.dut).ok_or_else(|| {
            RigError(format!(
                "rig `{}`: nobody knows what a flashing tool writes for `{}`; correct `dut` in {}",
                file.name, file.dut, file.path
            ))
        })?;
        let defect = defect(order, &*firmware)?;
        load(&qemu.image)?;
        let memory_mib = qemu.memory_mib.unwrap_or((RAM_BYTES >> 20) as u32);
        if (memory_mib as usize) << 20 < RAM_BYTES {
            return Err(RigError(format!(
                "rig `{}`: the port needs {} MiB of memory; raise `memory_mib` in {}",
                file.name,
                RAM_BYTES >> 20,
                file.path
            )));
        }
        let board = BoardConfig { seed: order.seed, ..BoardConfig::default() };
        let machine = Machine {
            binary: installed(&qemu.binary)?.path,
            name: qemu.machine.clone(),
            image: qemu.image.clone(),
            arguments: qemu.arguments.clone(),
        };
        let config = VirtualBoard::default().config(board, file);
        Ok(Prepared { machine, config, defect, flash_image: firmware.flash_image(), memory_mib })
    }
}

/// The parts of a machine of ours on the rig of `file`: those that the file names.
pub(super) fn parts<D: Emulated + 'static>(
    file: &RigFile,
    timeline: &Timeline,
    handle: &Handle<D>,
    lanes: Lanes,
    net: Rc<dyn Net>,
) -> Parts {
    Parts {
        console: file.console.as_ref().map(|_| handle.console(lanes.console)),
        power: file.power.as_ref().map(|_| handle.power(lanes.device)),
        reset: file.reset.as_ref().map(|_| handle.pin()),
        flash: file.flash.as_ref().map(|_| handle.programmer(Some(lanes.flash))),
        net: file.net.as_ref().map(|_| net),
        scheduler: file.scheduler.as_ref().map(|_| handle.scheduler()),
        leds: leds(file, timeline),
        gauges: gauges(timeline),
        ports: file.net.iter().flat_map(|net| net.ports.clone()).collect(),
        lacking: file.lacking(),
        ..Parts::default()
    }
}

/// The LED lanes of `file`, where the device's pins are recorded.
fn leds(file: &RigFile, timeline: &Timeline) -> Vec<Lane> {
    let lane = |lane: &crate::file::LedLane| Lane {
        signal: lane.signal.clone(),
        source: timeline.source(&format!("gpio{}", lane.pin)),
        pixels: lane.pixels,
    };
    file.leds.iter().map(lane).collect()
}

/// The gauges that a machine of ours has.
fn gauges(timeline: &Timeline) -> BTreeMap<String, Source> {
    ["heap.free", "heap.largest", "heap.allocations"]
        .map(|name| (name.to_owned(), timeline.source(name)))
        .into()
}

/// The defect that the firmware is to have.
fn defect(order: &Order<'_>, firmware: &dyn Firmware) -> Result<Option<String>, RigError> {
    match order.fault {
        None => Ok(None),
        Some(Model::Firmware(defect)) if firmware.defects().contains(&defect.as_str()) => {
            Ok(Some(defect.clone()))
        }
        Some(Model::Firmware(defect)) => {
            let (dut, known) = (&order.file.dut, firmware.defects().join(", "));
            Err(RigError(format!("the firmware of `{dut}` has no defect `{defect}`; it has: {known}")))
        }
        Some(other) => Err(RigError(format!(
            "an emulated device can have a firmware's defect and no fault of the {}; choose a virtual rig for it",
            other.family()
        ))),
    }
}
