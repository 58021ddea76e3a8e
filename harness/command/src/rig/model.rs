//! What the rig files that there are say of a device. Each table is of the file that knows most of it: a bench
//! without an instrument lacks tables that the device has all the same.

use std::collections::BTreeMap;

use rigor_rigs::RigFile;
use rigor_rigs::file::{BackEnd, LedLane, PinWire};

use super::prism_k1;

/// Who says on which pin of the chip a wire is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum PinsOf {
    /// The firmware in this repository.
    Firmware,
    /// The rig of this name.
    Rig(String),
}

/// A device as its rig files have it.
#[derive(Default)]
pub(super) struct Model {
    /// Bits per second of its console.
    pub(super) baud: Option<u32>,
    /// Its services, by name; none if no file has its network.
    pub(super) services: Option<BTreeMap<String, u16>>,
    /// Its LED lanes, and who says so.
    pub(super) lanes: Option<(PinsOf, Vec<LedLane>)>,
    /// Wires that a rig can drive, and who says so.
    pub(super) wires: Option<(PinsOf, Vec<PinWire>)>,
}

impl Model {
    /// Of `dut` on `chip`, by those of `files` that are of it.
    pub(super) fn of(files: &[RigFile], dut: &str, chip: &str) -> Self {
        let mut files: Vec<&RigFile> = files.iter().filter(|file| file.dut == dut).collect();
        files.sort_by_key(|file| worth(file, chip));
        let rig = |file: &RigFile| PinsOf::Rig(file.name.clone());
        let with_lanes = files.iter().find(|file| !file.leds.is_empty());
        let with_wires = files.iter().find(|file| !file.pins.is_empty());
        Model {
            baud: files.iter().find_map(|file| file.console.as_ref()).map(|console| console.baud),
            services: files.iter().find_map(|file| file.net.as_ref()).map(|net| net.ports.clone()),
            lanes: with_lanes.map(|file| {
                let mut lanes = file.leds.clone();
                let Some(pins) = prism_k1::lanes(dut, chip).filter(|pins| pins.len() == lanes.len()) else {
                    return (rig(file), lanes);
                };
                // Somebody's bench with this chip may have a board with other pins.
                if worth(file, chip) != SAME_CHIP {
                    lanes.iter_mut().zip(pins).for_each(|(lane, pin)| lane.pin = pin);
                }
                let as_built = lanes.iter().map(|lane| lane.pin).eq(pins);
                (if as_built { PinsOf::Firmware } else { rig(file) }, lanes)
            }),
            wires: with_wires.map(|file| (rig(file), file.pins.clone())),
        }
    }
}

/// Rank of a bench with the chip that is asked for.
const SAME_CHIP: u8 = 0;

/// The rank of a file: the lowest says most of the device on `chip`.
fn worth(file: &RigFile, chip: &str) -> u8 {
    match &file.back_end {
        BackEnd::Bench(bench) if bench.chip.name() == chip => SAME_CHIP,
        BackEnd::Virtual(_) => 1,
        BackEnd::Qemu(_) | BackEnd::Bench(_) => 2,
        // A recording's wires are in the recording.
        BackEnd::Replay(_) => 3,
    }
}
