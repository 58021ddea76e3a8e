use std::fs;

use super::*;
use crate::port::{Chip, Radio};

/// What an image says that counts two things.
const SAID: &str = "count crc 256 2573\ncount crc 4096 40973\ncount net-page 1 65725\n\
                    task network 1543146 1312000\ntask log 20927 0\nend 3 opt-level=s\n";

fn told(said: &str) -> Told {
    Told::read(said).unwrap()
}

fn table(said: &str) -> Table {
    Table::new(&told(said), "rustc 1.96.0", "QEMU 7.2.22")
}

/// An emulator that is a script.
struct StandIn(tempfile::TempDir);

impl StandIn {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("qemu");
        let version = "case \"$1\" in --version) echo 'QEMU emulator version 7.2.22 (Debian)'; exit;; esac";
        crate::stand_in::write(&program, &format!("{version}\n{script}"));
        StandIn(folder)
    }

    fn run(&self, patience: Duration) -> Result<String, TaskError> {
        Emulator::find(self.0.path().join("qemu")).unwrap().run(Path::new("image"), patience)
    }
}

#[test]
fn what_was_counted_becomes_the_table() {
    let text = table(SAID).to_string();
    assert!(
        text.contains("\npub(super) const CRC: [(u32, u32); 2] = [(256, 2_573), (4_096, 40_973)];\n"),
        "{text}"
    );
    assert!(text.contains("\npub(super) const NET_PAGE: [(u32, u32); 1] = [(1, 65_725)];\n"), "{text}");
    assert!(text.contains("rustc 1.96.0") && text.contains("`opt-level = \"s\"`") && text.contains("7.2.22"));
    assert_eq!(Table::read(&text).unwrap(), table(SAID));
    let coverage = told(SAID).coverage();
    assert!(coverage.contains("network            1543146     1025000"), "{coverage}");
    assert!(!coverage.contains("log"), "nothing is charged for it");
}

#[test]
fn the_table_is_what_would_be_written_for_its_own_counts() {
    let path = place(&Port::of_chip(Chip::QemuVirt, Radio::Absent).unwrap());
    let text = fs::read_to_string(&path).unwrap();
    let table = Table::read(&text).expect("no hand has touched it");
    assert_eq!(table.to_string(), text);
    assert_eq!(table.differences(&table), Vec::<String>::new());
}

#[test]
fn what_is_not_whole_is_no_count() {
    for (said, why) in [
        ("", "ended in the middle, after 0 counts"),
        ("count crc 256 2573\ncount crc 4096 40973\n", "ended in the middle, after 2 counts"),
        ("count crc 256 2573\nend 2 opt-level=s\n", "told 2 counts, and 1 arrived"),
        ("end 0 opt-level=s\n", "ended in the middle, after 0 counts"),
        ("count crc 256 2573\nend 1\n", "\"end 1\", which is nothing"),
        ("count crc 256 2573\nend 1 opt-level=s\nmore\n", "\"more\", which is nothing"),
        ("count crc 256 2573\nfailed exception 5 at 0x80000000\n", "failed: exception 5 at 0x80000000"),
        ("count crc 256\n", "\"count crc 256\", which is nothing"),
        ("count crc 256 -1\n", "\"count crc 256 -1\", which is nothing"),
        ("count crc 256 99999999999\n", "which is nothing"),
        ("count crc; 256 1\n", "names a count \"crc;\""),
        ("count Crc 256 1\n", "names a count \"Crc\""),
        ("count crc 256 0\n", "counted nothing for `crc`"),
        ("count crc 256 9\ncount crc 256 9\n", "`crc` do not grow"),
        ("count crc 1 9\ncount crc 2 8\n", "`crc` do not grow"),
        ("count crc 1 9\ncount crc 2 9\ncount crc 3 9\n", "`crc` do not grow"),
        ("\u{fffd}\u{0}\n", "which is nothing"),
    ] {
        let error = Told::read(said).expect_err(said);
        assert!(error.to_string().contains(why), "{said:?}: {error}");
        assert_eq!(error.exit_code(), 1);
    }
}

#[test]
fn a_table_by_other_hands_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.rs");
    let written = table(SAID).to_string();
    for strange in [
        written.replace("2_573", "2573"),
        written.replace("(u32, u32); 2", "(u32, u32); 3"),
        written.replace("//! Emulator", "//! With love"),
        written.clone() + "// by hand\n",
        "pub const CRC: u32 = 8;\n".to_owned(),
    ] {
        // A line on its source may say anything; it is kept as it is.
        if Table::read(&strange).is_ok() {
            assert!(strange.contains("With love"));
            continue;
        }
        fs::write(&path, &strange).unwrap();
        let error = settle(&table(SAID), &path, false).expect_err("it would be lost");
        assert!(error.to_string().contains("not as this command writes it"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), strange);
    }
}

#[test]
fn it_is_written_whole_and_only_if_nothing_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cost/table.rs");
    settle(&table(SAID), &path, false).expect("there was none");
    let less = table("count crc 256 9000\ncount crc 4096 40973\nend 2 opt-level=s\n");
    let error = settle(&less, &path, false).expect_err("a count is missing").to_string();
    assert!(error.contains("did not count what the table calls NET_PAGE"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), table(SAID).to_string());
    settle(&table(&SAID.replace("65725", "60000")), &path, false).unwrap();
    assert!(fs::read_to_string(&path).unwrap().contains("60_000"));
    assert_eq!(path.parent().unwrap().read_dir().unwrap().count(), 1, "nothing unfinished is left");
}

#[test]
fn a_check_says_what_differs_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.rs");
    assert!(settle(&table(SAID), &path, true).is_err(), "there is no table");
    let written = table(SAID).to_string();
    fs::write(&path, &written).unwrap();
    // 65725 and a tenth, and one more.
    for (now, differences) in [("65725", 0), ("72297", 0), ("72298", 1), ("59153", 0), ("59152", 1)] {
        let counted = table(&SAID.replace("65725", now));
        assert_eq!(Table::read(&written).unwrap().differences(&counted).len(), differences, "{now}");
        match settle(&counted, &path, true) {
            Ok(()) => assert_eq!(differences, 0, "{now}"),
            Err(error) => {
                assert_eq!((differences, error.exit_code()), (1, 1), "{now}");
                assert!(error.to_string().contains("1 counts differ"), "{error}");
            }
        }
    }
    let more = table(&SAID.replace("end 3", "count new 1 5\nend 4"));
    let lines = Table::read(&written).unwrap().differences(&more);
    assert_eq!(lines, ["  NEW            is new"]);
    let page = table(&SAID.replace("65725", "90000"));
    let lines = Table::read(&written).unwrap().differences(&page);
    assert_eq!(lines, ["  NET_PAGE       65_725 for 1             is now 90_000 for 1"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), written);
}

#[test]
fn an_emulator_that_is_none_is_told_with_what_to_do() {
    let error = Emulator::find("/nowhere/qemu-system-riscv32").expect_err("there is none");
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("apt-get install qemu-system-misc"), "{error}");
    let error = Emulator::find("/bin/echo").expect_err("it is another program");
    let error = error.to_string();
    assert!(error.starts_with("/bin/echo: says ") && error.contains("so it is no QEMU"), "{error}");
}

#[test]
fn an_emulator_is_ended_in_time_and_leaves_nobody() {
    // Long enough for a shell to begin, on a host that is busy.
    let patience = Duration::from_secs(2);
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let hangs = StandIn::new(&format!("echo $$ > {}\nwhile :; do sleep 0.01; done", pid.display()));
    let error = hangs.run(patience).expect_err("it never ends").to_string();
    assert!(error.contains("did not end within 2 s; try it by hand"), "{error}");
    let pid = fs::read_to_string(pid).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "it still runs");
    // It closes its output, and stays.
    let stays = StandIn::new("exec >&-\nwhile :; do sleep 0.01; done");
    assert!(stays.run(patience).expect_err("it never ends").to_string().contains("did not end within"));
    let talks = StandIn::new("while :; do echo count crc 1 1; done");
    let error = talks.run(Duration::from_secs(20)).expect_err("it says too much").to_string();
    assert!(error.contains("says more than 65536 bytes"), "{error}");
}

#[test]
fn the_image_is_run_with_a_clock_that_counts() {
    let says = StandIn::new("echo \"$@\"");
    let said = says.run(Duration::from_secs(20)).unwrap();
    assert!(said.contains("-icount shift=0 -bios image"), "{said}");
}
