//! The command in the repository that it comes with.

use std::process::Command;

#[test]
fn every_rig_file_of_the_repository_is_one() {
    let listed =
        Command::new(env!("CARGO_BIN_EXE_rigor")).args(["list", "rigs"]).output().expect("it starts");
    let (said, complained) =
        (String::from_utf8_lossy(&listed.stdout), String::from_utf8_lossy(&listed.stderr));
    assert!(listed.status.success(), "{complained}");
    for rig in ["virtual", "qemu", "bench-in-a-box"] {
        assert!(said.lines().any(|line| line.starts_with(rig)), "no {rig} in:\n{said}");
    }
}

#[test]
fn the_workflow_gets_its_matrix_or_is_told_that_there_is_no_bench() {
    let matrix = ["list", "rigs", "--github-matrix"];
    let listed = Command::new(env!("CARGO_BIN_EXE_rigor")).args(matrix).output().expect("it starts");
    let complained = String::from_utf8_lossy(&listed.stderr);
    let is_empty = complained.contains("no rig file names `labels`");
    assert!(listed.status.success() || is_empty, "{complained}");
}
