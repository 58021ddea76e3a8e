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
                BackEnd::Qemu(_) | BackEnd::Replay(_) | BackEnd::Bench(_) => None,
            },
            memory: BTreeMap::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::rc::Rc;
    use std::sync::Arc;

    use rigor_board::Chip;
    use rigor_core::requirement::Catalogue;
    use rigor_rigs::RigFile;

    use super::*;
    use crate::case::{Case, Findings};
    use crate::trial::{Setup, without_rig};

    struct Toy;

    impl rigor_board::Firmware for Toy {
        fn name(&self) -> &str {
            "toy"
        }
        fn version(&self) -> &str {
            "1.2.3"
        }
        fn flash_image(&self) -> Vec<(u32, Vec<u8>)> {
            Vec::new()
        }
        fn start(&self, _: Chip) {}
    }

    fn seat(back_end: &str) -> Seat {
        let catalogue = "schema = 1\nsystem = \"toy\"\ntitle = \"Toy\"\n[[requirement]]\nid = \"T-ONE\"\n\
                         title = \"it works\"\nclause = \"1\"\ntext = \"It works.\"\nclass = \"must\"";
        let rig = format!("schema = 1\nname = \"desk\"\ndut = \"toy\"\n{back_end}");
        let rig = RigFile::parse("desk.toml", &rig).expect("a valid rig file");
        let firmwares = rigor_rigs::Firmwares::new().with("toy", || Rc::new(Toy));
        Seat {
            catalogue: Arc::new(Catalogue::parse(catalogue, "toy.toml").expect("a valid catalogue")),
            case: Arc::new(Case::new("works", &["T-ONE"], || async { Ok(Findings::new()) })),
            setup: Arc::new(Setup::new(rig, firmwares, 1)),
            full_name: "toy::T-ONE::works".to_owned(),
        }
    }

    fn trial(stacks: &[(&str, u64)]) -> Trial {
        let stacks = stacks.iter().map(|(task, bytes)| ((*task).to_owned(), *bytes)).collect();
        Trial { stacks, ..without_rig(Vec::new()) }
    }

    #[test]
    fn an_image_has_sizes_and_tasks_their_largest_stacks() {
        let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("../image/tests/fixtures/panic.elf");
        let seat = seat(&format!("back_end = \"qemu\"\n[qemu]\nimage = \"{}\"", image.display()));
        let mut firmwares = Firmwares::default();
        firmwares.add(&seat, &trial(&[("idle", 512), ("net", 4096)]));
        firmwares.add(&seat, &trial(&[("idle", 1024)]));
        firmwares.add(&seat, &trial(&[("idle", 256)]));
        let limit = MemoryLimit { name: "stack".to_owned(), bytes: 1000, source: "T-ONE: 1".to_owned() };
        let limits = BTreeMap::from([(Memory::Stack("idle".to_owned()), limit.clone())]);
        let found = firmwares.with_limits(&BTreeMap::from([("toy".to_owned(), limits)]));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].version.as_str()), ("toy", "1.2.3"));
        assert!(found[0].image.is_some());
        let known = |of: Memory| found[0].memory.iter().find(|used| used.of == of).cloned();
        assert_eq!(known(Memory::Ram).map(|used| used.bytes), Some(1028));
        assert!(known(Memory::Flash).is_some_and(|used| used.bytes > 100));
        let idle = known(Memory::Stack("idle".to_owned())).expect("it ran");
        assert_eq!((idle.bytes, idle.limit.as_ref(), idle.holds()), (1024, Some(&limit), Some(false)));
        assert_eq!(known(Memory::Stack("net".to_owned())).and_then(|used| used.limit), None);
    }

    #[test]
    fn of_a_virtual_board_the_program_is_the_image() {
        let seat = seat("back_end = \"virtual\"");
        let mut firmwares = Firmwares::default();
        firmwares.add(&seat, &trial(&[]));
        let found = firmwares.with_limits(&BTreeMap::new());
        assert_eq!(found[0].image.as_deref(), image::of_this_program());
        assert_eq!(found[0].memory, []);
    }

    #[test]
    fn without_its_image_nobody_knows_what_ran() {
        let seat = seat("back_end = \"qemu\"\n[qemu]\nimage = \"/nowhere/k1.elf\"");
        let mut firmwares = Firmwares::default();
        firmwares.add(&seat, &trial(&[]));
        assert_eq!(firmwares.with_limits(&BTreeMap::new()), []);
    }
}
