//! What a run says of the firmware that it judged: which image it was, and what it takes of memory.

use std::collections::BTreeMap;

use rigor_core::result::{Firmware, Memory, MemoryLimit, MemoryUse};
use rigor_rigs::ImageFacts;
use rigor_rigs::file::BackEnd;
use rigor_rigs::recording::FirmwareId;

use super::image;
use super::plan::Seat;
use crate::trial::Trial;

/// The firmware on each rig, by system and rig.
#[derive(Default)]
pub(super) struct Firmwares<'a>(BTreeMap<(&'a str, &'a str), OnRig>);

/// The firmware on a rig, and what is known of the memory that it takes.
struct OnRig {
    firmware: Option<Firmware>,
    memory: BTreeMap<Memory, u64>,
}

impl<'a> Firmwares<'a> {
    /// Takes in what `trial` on `seat` shows.
    pub(super) fn add(&mut self, seat: &'a Seat, trial: &Trial) {
        let place = (seat.catalogue().system.as_str(), seat.rig().name.as_str());
        // The rig's file is looked at once, however many cases ran there.
        let on_rig = self.0.entry(place).or_insert_with(|| on_rig(seat));
        for (task, &bytes) in &trial.stacks {
            // A task of this name may be started anew with another stack; the largest has to fit.
            let most = on_rig.memory.entry(Memory::Stack(task.clone())).or_default();
            *most = bytes.max(*most);
        }
    }

    /// All of them, with what the requirements of each system allow.
    pub(super) fn with_limits(
        self,
        limits: &BTreeMap<String, BTreeMap<Memory, MemoryLimit>>,
    ) -> Vec<Firmware> {
        let complete = |((system, _), OnRig { firmware, memory }): ((&str, &str), OnRig)| {
            let limit = |of: &Memory| limits.get(system).and_then(|limits| limits.get(of)).cloned();
            let memory =
                memory.into_iter().map(|(of, bytes)| MemoryUse { limit: limit(&of), of, bytes }).collect();
            Some(Firmware { memory, ..firmware? })
        };
        self.0.into_iter().filter_map(complete).collect()
    }
}

/// What the rig knows of the firmware: a virtual board is handed it as a value, an emulator runs the image
/// of a file, a recording names it.
fn on_rig(seat: &Seat) -> OnRig {
    let rig = seat.rig();
    let firmware = |name: &str, version: &str, image: Option<String>| Firmware {
        system: seat.catalogue().system.clone(),
        name: name.to_owned(),
        version: version.to_owned(),
        image,
        memory: Vec::new(),
    };
    if matches!(rig.back_end, BackEnd::Replay(_)) {
        let recorded = rig.recorded().and_then(|recorded| recorded.firmware.as_ref());
        // Recordings do not keep which image it was.
        let named = recorded.map(|FirmwareId { name, version }| firmware(name, version, None));
        return OnRig { firmware: named, memory: BTreeMap::new() };
    }
    let built = seat.firmwares().get(&rig.dut);
    // An image is built of the sources of the value that virtual boards are handed, or the rig refuses it.
    let named = |image| built.as_ref().map(|built| firmware(built.name(), built.version(), image));
    match ImageFacts::of(rig) {
        Some(ImageFacts { sha256, flash, ram }) => OnRig {
            firmware: named(Some(sha256)),
            memory: [(Memory::Flash, flash), (Memory::Ram, ram)]
                .into_iter()
                .filter_map(|(of, bytes)| Some((of, bytes?)))
                .collect(),
        },
        None => OnRig {
            firmware: match rig.back_end {
                BackEnd::Virtual(_) => named(image::of_this_program().map(str::to_owned)),
                // Without its file nobody knows what ran.
                BackEnd::Qemu(_) | BackEnd::Replay(_) => None,
            },
            memory: BTreeMap::new(),
        },
    }
}
