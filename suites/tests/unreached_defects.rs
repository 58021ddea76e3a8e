//! A defect whose place a case's code never comes by changes nothing in that case: what the kill matrix
//! relies on when it leaves such runs out.

use std::sync::Arc;
use std::time::Duration;

use rigor_rigs::RigFile;
use rigor_rigs::fault::Model;
use rigor_runner::trial::{self, Setup, Trial};

const RIG: &str = include_str!("../../rigs/virtual/prism-k1.toml");

#[test]
fn a_run_that_does_not_come_by_a_defect_goes_the_same_with_it() {
    let suites = rigor_suites::suites().expect("valid suites");
    let faults = suites[0].faults().clone().faults;
    let (catalogue, cases) = suites.into_iter().next().expect("a suite").into_parts();
    let rig = RigFile::parse("rigs/virtual/prism-k1.toml", RIG).expect("a valid rig file");
    let run = |case, fault| {
        let setup = Setup { fault, ..Setup::new(rig.clone(), rigor_suites::firmwares(), 1) };
        let trial = trial::run(&catalogue, case, &Arc::new(setup));
        Trial { wall_time: Duration::ZERO, ..trial }
    };
    let short: Vec<_> = cases.iter().filter(|case| !case.is_long()).collect();
    let mut compared = 0;
    // Some of each kind, spread over both lists.
    for case in short.iter().step_by(short.len().div_ceil(12)) {
        let healthy = run(case, None);
        let reached = healthy.reached_defects.as_ref().expect("the build keeps count");
        assert!(reached.len() > 20, "{}: {} defects", case.name(), reached.len());
        let unreached = faults.iter().filter(
            |fault| matches!(&fault.model, Model::Firmware(defect) if !reached.contains(&defect.as_str())),
        );
        for fault in unreached.step_by(9) {
            assert_eq!(run(case, Some(fault.model.clone())), healthy, "{} with {}", case.name(), fault.name);
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared} runs");
}
