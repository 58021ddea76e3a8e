//! What the harness itself costs: a case that asks nothing, on a virtual board whose firmware does
//! nothing, from taking the rig to the verdict.
//!
//! Target: at most 200 us.

use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use rigor_board::{Chip, Firmware};
use rigor_core::requirement::Catalogue;
use rigor_core::verdict::Verdict;
use rigor_rigs::{Firmwares, RigFile};
use rigor_runner::Findings;
use rigor_runner::case::Case;
use rigor_runner::trial::{self, Setup};

struct Idle;

impl Firmware for Idle {
    fn name(&self) -> &str {
        "idle"
    }
    fn version(&self) -> &str {
        "0"
    }
    fn flash_image(&self) -> Vec<(u32, Vec<u8>)> {
        Vec::new()
    }
    fn start(&self, _chip: Chip) {}
}

fn idle() -> Rc<dyn Firmware> {
    Rc::new(Idle)
}

const CATALOGUE: &str = r#"
schema = 1
system = "idle"
title = "Nothing"

[[requirement]]
id = "I-ONE"
title = "nothing"
clause = "0"
text = "It does nothing."
class = "must"
"#;

const RIG: &str = r#"
schema = 1
name = "virtual-idle"
dut = "idle"
back_end = "virtual"

[power]
[console]
baud = 115200
"#;

fn empty_case(criterion: &mut Criterion) {
    let catalogue = Arc::new(Catalogue::parse(CATALOGUE, "idle.toml").expect("a valid catalogue"));
    let rig = RigFile::parse("idle.toml", RIG).expect("a valid rig file");
    let setup = Arc::new(Setup::new(rig, Firmwares::new().with("idle", idle), 1));
    let case = Arc::new(Case::new("nothing", &["I-ONE"], || async {
        let mut findings = Findings::new();
        findings.observed("I-ONE", true, "nothing happened");
        Ok(findings)
    }));
    criterion.bench_function("empty case on a virtual board (target 200 us)", |bencher| {
        bencher.iter(|| {
            let trial = trial::run(&catalogue, &case, &setup);
            assert_eq!(trial.verdict(), Verdict::Pass);
            black_box(trial)
        });
    });
}

criterion_group!(benches, empty_case);
criterion_main!(benches);
