//! The kill matrix as text for the terminal and as `faults.json`.
//!
//! ```text
//! prism-k1 on virtual-k1: 3 faults against 213 requirements
//!
//!    1  board     colours-swapped  claims 1 of 1  reddens 14
//!    2  firmware  crc-unchecked    claims 2 of 2  reddens 5
//!    3  firmware  silent-overrun   claims 0 of 1  SURVIVES
//!         K1-LED-029 stays green
//!
//!                       1
//!              1234567890
//!   K1-LED-005 #..+......
//! ```
//!
//! In the matrix, `#` is a claim that was kept, `+` a requirement that turned red without a claim,
//! `!` a claim that was not kept, `?` something undecided, and `.` a requirement that stayed green.
//! Under a fault of the rig, to notice is not to turn red: the line says which verdict is wanted, and
//! `X` is a requirement that blamed the device.

use std::fmt::Write;

use rigor_core::kill::{FaultsResult, KillMatrix, Subject, Tried};
use rigor_core::requirement::Class;
use rigor_core::result::{EXIT_OK, EXIT_PRODUCT};
use rigor_core::verdict::Verdict;

use crate::text::clip;

/// Characters of a line that stands alone.
const MAX_LINE: usize = 200;

/// Lines of requirements that turned red only by the way: a list to look into, not to read.
const MAX_UNCLAIMED_LINES: usize = 5;

/// The matrices of `result`, and last what is amiss.
pub fn render(result: &FaultsResult) -> String {
    let mut text = String::new();
    for matrix in &result.systems {
        system(&mut text, matrix);
    }
    let meaning = match result.exit_code {
        EXIT_OK if result.systems.iter().all(|matrix| matrix.complete) => {
            "every fault is noticed and every `must` is proven"
        }
        EXIT_OK => "what was tried is noticed; whether every `must` is proven was not asked",
        EXIT_PRODUCT => "the proof has holes",
        _ => "the harness is at fault, or nothing was tried",
    };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "seed {}, {:.1} s\nexit code {}: {meaning}",
        result.seed,
        result.wall_ms as f64 / 1000.0,
        result.exit_code
    );
    text
}

fn system(text: &mut String, matrix: &KillMatrix) {
    let _ = writeln!(
        text,
        "{} on {}: {} faults against {} requirements\n",
        matrix.system,
        clip(&matrix.rig, MAX_LINE),
        matrix.faults.len(),
        matrix.subjects.len()
    );
    let width = matrix.faults.iter().map(|fault| fault.name.len()).max().unwrap_or(0);
    for (index, fault) in matrix.faults.iter().enumerate() {
        line(text, index + 1, fault, width);
    }
    text.push('\n');
    cells(text, matrix);
    text.push('\n');
    amiss(text, matrix);
}

fn line(text: &mut String, number: usize, fault: &Tried, width: usize) {
    let kept = fault.claimed_by.len() - fault.broken_claims().count();
    let end = match (fault.survived(), fault.wanted) {
        (true, _) => "SURVIVES".to_owned(),
        (false, Verdict::Fail) => format!("reddens {}", fault.red().count()),
        (false, wanted) => format!("{wanted} of {}", fault.noticed().count()),
    };
    let _ = writeln!(
        text,
        "  {number:>3}  {:<8}  {:<width$}  claims {kept} of {}  {end}",
        fault.family,
        fault.name,
        fault.claimed_by.len()
    );
    for id in fault.broken_claims() {
        let what = match fault.found.get(id) {
            None => "stays green".to_owned(),
            Some(found) => format!("is {}: {}", found.verdict, found.reason),
        };
        let _ = writeln!(text, "           {}", clip(&format!("{id} {what}"), MAX_LINE));
    }
    for (id, found) in fault.troubles() {
        let what = format!("{id} {} in {}: {}", found.verdict, found.case, found.reason);
        let _ = writeln!(text, "           {}", clip(&what, MAX_LINE));
    }
}

/// One row a requirement, one column a fault.
fn cells(text: &mut String, matrix: &KillMatrix) {
    let width = matrix.subjects.iter().map(|subject| subject.id.as_str().len()).max().unwrap_or(0);
    for place in [100, 10, 1] {
        if matrix.faults.len() < place {
            continue;
        }
        let digits: String = (1..=matrix.faults.len())
            .map(|number| match (number / place % 10, place) {
                (digit, 1) => char::from(b'0' + digit as u8),
                // A tens digit stands above the column where it changes.
                (digit, _) if number % place == 0 => char::from(b'0' + digit as u8),
                _ => ' ',
            })
            .collect();
        let _ = writeln!(text, "  {:width$} {}", "", digits.trim_end());
    }
    for subject in &matrix.subjects {
        let row: String = matrix.faults.iter().map(|fault| character(cell(subject, fault))).collect();
        let _ = writeln!(text, "  {:<width$} {row}", subject.id.as_str());
    }
    text.push_str(
        "\n  # red as claimed   + red by the way   ! claimed and not red   ? undecided   . green\n",
    );
}

/// What a fault came to for a requirement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Cell {
    /// Claimed, and noticed.
    Kept,
    /// Noticed without a claim.
    ByTheWay,
    /// The device was blamed for the bench's fault.
    Blamed,
    /// Claimed, and not noticed.
    Broken,
    /// Nobody can tell.
    Undecided,
    /// Not noticed, and nobody said it would be.
    Green,
}

pub(crate) fn cell(subject: &Subject, fault: &Tried) -> Cell {
    let claimed = fault.claimed_by.contains(&subject.id);
    match fault.found.get(&subject.id).map(|found| found.verdict) {
        Some(verdict) if verdict == fault.wanted => {
            if claimed {
                Cell::Kept
            } else {
                Cell::ByTheWay
            }
        }
        Some(Verdict::Fail) => Cell::Blamed,
        _ if claimed => Cell::Broken,
        Some(Verdict::Pass) | None => Cell::Green,
        Some(_) => Cell::Undecided,
    }
}

fn character(cell: Cell) -> char {
    match cell {
        Cell::Kept => '#',
        Cell::ByTheWay => '+',
        Cell::Blamed => 'X',
        Cell::Broken => '!',
        Cell::Undecided => '?',
        Cell::Green => '.',
    }
}

fn amiss(text: &mut String, matrix: &KillMatrix) {
    let sick = |subject: &&Subject| {
        subject.class == Class::Must && !matches!(subject.without_fault, Verdict::Pass | Verdict::NotRun)
    };
    for subject in matrix.subjects.iter().filter(sick) {
        let _ = writeln!(text, "not green without a fault: {} {}", subject.id, subject.without_fault);
    }
    for fault in matrix.survivors() {
        let _ = writeln!(text, "survivor: {}: {}", fault.name, clip(&fault.models, MAX_LINE));
    }
    let broken: usize = matrix.faults.iter().map(|fault| fault.broken_claims().count()).sum();
    for subject in matrix.unproven() {
        let _ = writeln!(text, "unproven: {} {}", subject.id, clip(&subject.title, MAX_LINE));
    }
    let unclaimed = matrix.unclaimed();
    if !unclaimed.is_empty() {
        let ids: Vec<&str> = unclaimed.iter().map(|subject| subject.id.as_str()).collect();
        let _ = writeln!(text, "red only under faults that they do not claim ({}):", ids.len());
        for line in ids.chunks(8).take(MAX_UNCLAIMED_LINES) {
            let _ = writeln!(text, "  {}", line.join(" "));
        }
        if ids.len() > 8 * MAX_UNCLAIMED_LINES {
            let _ = writeln!(text, "  and {} more", ids.len() - 8 * MAX_UNCLAIMED_LINES);
        }
    }
    let musts = matrix.subjects.iter().filter(|subject| subject.class == Class::Must).count();
    let _ = writeln!(
        text,
        "faults: {}, surviving: {}; claims broken: {broken}; `must`: {musts}, unproven: {}",
        matrix.faults.len(),
        matrix.survivors().count(),
        if matrix.complete { matrix.unproven().len().to_string() } else { "not asked".to_owned() }
    );
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rigor_core::kill::Found;
    use rigor_core::requirement::RequirementId;

    use super::*;

    fn id(text: &str) -> RequirementId {
        RequirementId::new(text).expect("a valid id")
    }

    fn tried(name: &str, claims: &[&str], red: &[&str]) -> Tried {
        let found = Found { verdict: Verdict::Fail, case: "case".into(), reason: "seen".into() };
        Tried {
            name: name.into(),
            family: "link".into(),
            wanted: Verdict::Fail,
            models: "It breaks \u{1b}[2J.".into(),
            claimed_by: claims.iter().map(|name| id(name)).collect(),
            cases: 2,
            repeated: 0,
            found: red.iter().map(|name| (id(name), found.clone())).collect::<BTreeMap<_, _>>(),
            wall_ms: 1,
        }
    }

    #[test]
    fn the_matrix_shows_claims_kills_and_what_survives() {
        let subject = |name: &str| Subject {
            id: id(name),
            title: "title".into(),
            class: Class::Must,
            without_fault: Verdict::Pass,
        };
        let mut faults: Vec<Tried> =
            (0..10).map(|index| tried(&format!("f{index}"), &["T-ONE"], &["T-ONE", "T-TWO"])).collect();
        faults[3] = tried("dead", &["T-TWO"], &[]);
        faults[9] = Tried {
            family: "rig".into(),
            wanted: Verdict::RigFault,
            ..tried("bench", &["T-ONE"], &["T-ONE"])
        };
        if let Some(found) = faults[0].found.get(&id("T-TWO")).cloned() {
            faults[9].found.insert(id("T-TWO"), Found { verdict: Verdict::RigFault, ..found });
        }
        let matrix = KillMatrix {
            system: "toy".into(),
            rig: "desk".into(),
            subjects: ["T-ONE", "T-TWO", "T-LAST"].map(subject).into(),
            faults,
            complete: true,
        };
        let result = FaultsResult::new("run".into(), String::new(), 1500, 1, vec![matrix]);
        let text = render(&result);
        for line in [
            "   10  rig       bench  claims 0 of 1  RIG FAULT of 1",
            "           T-ONE is FAIL: seen",
            "    4  link      dead   claims 0 of 1  SURVIVES",
            "           T-TWO stays green",
            "                  1\n         1234567890\n  T-ONE  ###.#####X\n  T-TWO  +++!++++++\n  T-LAST ..........",
            "survivor: dead: It breaks \\u{1b}[2J.",
            "unproven: T-LAST title",
            "faults: 10, surviving: 1; claims broken: 2; `must`: 3, unproven: 1",
            "exit code 3: the harness is at fault, or nothing was tried",
        ] {
            assert!(text.contains(line), "{line:?} is not in\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
    }
}
