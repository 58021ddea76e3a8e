//! One rig of a rig file, and above all a bench: part by part, and whether its instruments can be trusted.

use std::path::Path;

use rigor_flasher::{Chip, FlashImage};
use rigor_reports::visible;
use rigor_rigs::RigFile;
use rigor_rigs::bench::examine::{Absent, Finding, Standing, examine};
use rigor_rigs::file::{BackEnd, Bench};

use super::{Check, Status, emulated, rig};
use crate::Systems;
use crate::error::CommandError;
use crate::interrupt;

/// What is to be said of the rig of `file`.
pub(super) fn checks(
    file: &RigFile,
    root: &Path,
    systems: &Systems,
    absent: Absent,
) -> Result<Vec<Check>, CommandError> {
    let bench = match &file.back_end {
        BackEnd::Bench(bench) => bench,
        BackEnd::Virtual(_) | BackEnd::Replay(_) => {
            return Ok(vec![rig::check_of(file, &systems.firmwares)]);
        }
        BackEnd::Qemu(qemu) => return Ok(vec![emulated::check_of(file, qemu, root)]),
    };
    let interrupt = interrupt::wanted()?;
    let mut checks: Vec<Check> = image(bench).into_iter().collect();
    checks.extend(examine(file, bench, absent, &interrupt).findings.into_iter().map(check));
    Ok(checks)
}

fn check(finding: Finding) -> Check {
    let Finding { what, purpose, standing, found, remedy } = finding;
    let status = match standing {
        Standing::Well => Status::Ok,
        Standing::Wrong => Status::Wrong,
        Standing::Unknown => Status::Unknown,
    };
    let remedy = remedy.map(|remedy| visible(&remedy));
    Check { group: "bench", name: visible(&what), status, found: visible(&found), purpose, remedy }
}

/// Whether the firmware that is to be on the board is fit for it. Cases run with whatever is on it.
fn image(bench: &Bench) -> Option<Check> {
    let path = bench.image.as_ref()?;
    let shown = path.display();
    let (status, found, remedy) = match FlashImage::read(path, chip(bench)) {
        Ok(image) => (Status::Ok, format!("{shown}: fit for {}", image.chip()), None),
        Err(error) => {
            let remedy =
                "build it, or correct `image` in [bench]; `rigor flash --rig` needs it, cases do not";
            (Status::Unknown, error.to_string(), Some(remedy.to_owned()))
        }
    };
    let (name, purpose) = ("image".to_owned(), "the firmware that is to be on the board");
    Some(Check { group: "bench", name, status, found: visible(&found), purpose, remedy })
}

/// The chip of `bench`, as flashing knows it.
pub(crate) fn chip(bench: &Bench) -> Option<Chip> {
    bench.chip.name().parse().ok()
}
