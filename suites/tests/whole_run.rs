//! Two whole runs of one seed leave the same record.

use serde_json::Value;

/// Every case on every rig, but for those that take long; the record without what `rigor_core::result`
/// says may differ.
fn record() -> Value {
    let result = rigor_runner::cli::run_short(rigor_suites::suites(), rigor_suites::firmwares())
        .expect("valid catalogues and rig files");
    let text = result.to_json().expect("a valid result");
    let mut record: Value = serde_json::from_str(&text).expect("JSON");
    let run = record["run"].as_object_mut().expect("a table");
    for field in ["id", "started", "wall_ms"] {
        run.remove(field).expect("the field is there");
    }
    let cases = record["cases"].as_array_mut().expect("a list");
    assert!(cases.len() > 50, "{} cases", cases.len());
    for case in cases {
        case.as_object_mut().and_then(|case| case.remove("wall_ms")).expect("the field is there");
    }
    record
}

/// At once, so that no run can lean on what another leaves in the process.
#[test]
fn two_whole_runs_of_one_seed_leave_the_same_record() {
    let elsewhere = std::thread::spawn(record);
    let here = record();
    let there = elsewhere.join().expect("no panic");
    for list in ["requirements", "cases"] {
        let pairs =
            here[list].as_array().into_iter().flatten().zip(there[list].as_array().into_iter().flatten());
        for (one, other) in pairs {
            assert_eq!(one, other, "one of the {list}");
        }
    }
    assert_eq!(here, there);
    stacks_have_their_limits(&here["firmware"][0]["memory"]);
}

/// What the rig's own hand on a core takes is not the firmware's.
fn stacks_have_their_limits(memory: &Value) {
    let memory = memory.as_array().expect("the tasks are seen");
    let playback = memory.iter().find(|used| used["of"]["stack"] == "playback").expect("it runs");
    assert_eq!((&playback["bytes"], &playback["limit"]["bytes"]), (&8192.into(), &8192.into()));
    let source = playback["limit"]["source"].as_str().unwrap_or_default();
    assert!(source.starts_with("K1-TSK-005: "), "{source}");
    assert!(memory.iter().all(|used| used["bytes"] != 0), "{memory:?}");
}
