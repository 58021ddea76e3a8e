//! What rig files may say of QEMU, and what they are told if they say anything else.

use rstest::rstest;

use super::*;
use crate::RigFile;
use crate::file::BackEnd;

const VIRT: &str = r#"schema = 1
name = "qemu-k1"
dut = "prism-k1"
back_end = "qemu"

[qemu]
mode = "exact"

[net]
ports = { n = 8080, f = 80 }
latency_us = 2000

[scheduler]

[[leds]]
signal = "leds.0"
pin = 9
pixels = 160
"#;

const S3: &str = r#"schema = 1
name = "qemu-s3"
dut = "prism-k1"
back_end = "qemu"

[qemu]
preset = "esp32s3"

[net]
ports = { n = 8080, f = 80 }

[console]
baud = 115200
"#;

#[track_caller]
fn parsed(text: &str) -> RigFile {
    RigFile::parse("qemu.toml", text).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn qemu(text: &str) -> Qemu {
    match parsed(text).back_end {
        BackEnd::Qemu(qemu) => qemu,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_table_is_the_port_in_exact_time() {
    let expected = Qemu {
        binary: "qemu-system-riscv32".into(),
        machine: "virt".to_owned(),
        memory_mib: Some(64),
        image: "target/firmware/images/prism-k1-qemu-virt.elf".into(),
        arguments: Vec::new(),
        board: QemuBoard::Exact(Exact { icount_shift: 3 }),
    };
    assert_eq!(qemu(&VIRT.replace("mode = \"exact\"", "")), expected);
    assert_eq!(qemu(VIRT), expected);
    assert_eq!(qemu(&VIRT.replace("[qemu]\nmode = \"exact\"\n", "")), expected);
    let file = parsed(VIRT);
    assert_eq!((file.back_end.name(), file.fidelity()), ("qemu", rigor_core::Fidelity::Emulated));
}

#[test]
fn every_key_reaches_the_rig() {
    let keys = "binary = \"tools/qemu\"\nmachine = \"virt,aclint=on\"\nmemory_mib = 16\nicount_shift = 0\n\
                image = \"firmware.elf\"\narguments = [\"-d\", \"int\"]";
    let mut file = parsed(&VIRT.replace("mode = \"exact\"", keys));
    file.look_up(Path::new("/workspace"));
    let expected = Qemu {
        binary: "/workspace/tools/qemu".into(),
        machine: "virt,aclint=on".to_owned(),
        memory_mib: Some(16),
        image: "/workspace/firmware.elf".into(),
        arguments: vec!["-d".to_owned(), "int".to_owned()],
        board: QemuBoard::Exact(Exact { icount_shift: 0 }),
    };
    assert_eq!(file.back_end, BackEnd::Qemu(expected));
}

#[test]
fn a_live_device_is_reached_through_ports_of_the_host() {
    let live = VIRT.replace("\"exact\"", "\"live\"").replace("latency_us = 2000", "forward = { n = 18080 }");
    let mut file = parsed(&live);
    file.look_up(Path::new("/workspace"));
    let BackEnd::Qemu(qemu) = &file.back_end else { panic!("{file:?}") };
    assert_eq!(qemu.board, QemuBoard::Live);
    // It is looked up in PATH.
    assert_eq!(qemu.binary, Path::new("qemu-system-riscv32"));
    assert_eq!(file.net.expect("a network").forward, [("n".to_owned(), 18_080)].into());
}

#[rstest]
#[case("esp32s3", "qemu-system-xtensa", Chip::Esp32s3)]
#[case("esp32c3", "qemu-system-riscv32", Chip::Esp32c3)]
fn a_preset_knows_its_chip(#[case] preset: &str, #[case] binary: &str, #[case] chip: Chip) {
    let qemu = qemu(&S3.replace("esp32s3", preset));
    assert_eq!(qemu.board, QemuBoard::Espressif(chip));
    assert_eq!((qemu.binary.to_str(), qemu.machine.as_str()), (Some(binary), preset));
    assert_eq!(qemu.image, Path::new(&format!("target/firmware/images/prism-k1-{preset}.bin")));
    assert_eq!(qemu.memory_mib, None);
}

#[test]
fn external_memory_has_the_sizes_that_the_fork_knows() {
    let with = |mib: u32| S3.replace("\"esp32s3\"", &format!("\"esp32s3\"\nmemory_mib = {mib}"));
    for mib in [2, 4, 8, 16, 32] {
        assert_eq!(qemu(&with(mib)).memory_mib, Some(mib));
    }
    let error = RigFile::parse("qemu.toml", &with(3)).expect_err("no such size");
    assert_eq!(error.line, 8, "{error}");
}

#[rstest]
#[case(VIRT, "\"exact\"", "\"dead\"", 7, "`mode` is \"dead\"", "`mode = \"live\"`")]
#[case(VIRT, "mode", "preset = \"esp8266\"\nmode", 7, "`preset` is \"esp8266\"", "`\"esp32c3\"`")]
#[case(VIRT, "mode", "icount_shift = 11\nmode", 7, "`icount_shift = 11` is out of", "0 to 10")]
#[case(VIRT, "mode", "icount_shift = -1\nmode", 7, "`icount_shift = -1` is out of", "0 to 10")]
#[case(VIRT, "mode", "memory_mib = 15\nmode", 7, "`memory_mib = 15` is out of", "16 to 1024")]
#[case(VIRT, "mode", "binary = \"\"\nmode", 7, "`binary` is empty", "qemu-system-riscv32")]
#[case(VIRT, "mode", "image = \"\"\nmode", 7, "`image` is empty", "prism-k1-qemu-virt.elf")]
#[case(VIRT, "mode", "machine = \"a\\u0000b\"\nmode", 7, "a control character", "remove")]
#[case(VIRT, "mode", "arguments = [\"-d\",\n\"\\u001b[2J\"]\nmode", 8, "a control character", "remove")]
#[case(VIRT, "mode", "arguments = [\"--daemonize\"]\nmode", 7, "leave QEMU behind", "remove")]
#[case(VIRT, "mode", "board = \"virt\"\nmode", 7, "unknown field `board`", "rigs/README.md")]
#[case(VIRT, "\"exact\"", "\"live\"\nicount_shift = 3", 8, "the host's time", "remove `icount_shift`")]
#[case(VIRT, "\"exact\"", "\"live\"", 11, "there is a `latency_us`", "remove `latency_us`")]
#[case(VIRT, "[net]", "[virtual]\n[net]", 9, "a `virtual` and the back end is `qemu`", "remove the table")]
#[case(VIRT, "[net]", "[replay]\nrecording = \"x\"\n[net]", 9, "a `replay` and the back", "remove")]
#[case(VIRT, "[net]", "[stress]\n[net]", 9, "there is a `[stress]`", "left to other rigs")]
#[case(VIRT, "[net]", "[air]\n[net]", 9, "there is a `[air]`, but QEMU emulates no radio", "other rigs")]
#[case(VIRT, "latency_us", "via = \"access-point\"\nlatency_us", 11, "no radio", "`via = \"wire\"`")]
#[case(VIRT, "latency_us = 2000", "forward = { n = 1 }", 11, "reached from the host", "remove `forward`")]
#[case(S3, "\"esp32s3\"", "\"esp32s3\"\nmode = \"exact\"", 8, "knows of no rig", "`mode = \"live\"`")]
#[case(S3, "\"esp32s3\"", "\"esp32s3\"\nicount_shift = 3", 8, "the host's time", "remove `icount_shift`")]
#[case(S3, "\"esp32s3\"", "\"esp32c3\"\nmemory_mib = 8", 8, "no external memory", "remove `memory_mib`")]
#[case(S3, "[console]", "[scheduler]\n[console]", 12, "there is a `[scheduler]`", "left to other rigs")]
#[case(
    S3,
    "[console]",
    "[[leds]]\nsignal = \"a\"\npin = 1\npixels = 9\n[console]",
    13,
    "the RMT",
    "other rigs"
)]
#[case(S3, "[console]", "[[pins]]\nsignal = \"a\"\npin = 1\n[console]", 13, "no GPIO matrix", "other rigs")]
#[case(S3, "f = 80 }", "f = 80 }\nforward = { x = 1 }", 11, "none of the `ports`", "one of them")]
#[case(S3, "f = 80 }", "f = 80 }\nforward = { n = 0 }", 11, "`n = 0` is out of range", "1 to 65535")]
#[case(S3, "f = 80 }", "f = 80 }\nforward = { n = 1, f = 1 }", 11, "another service", "of its own")]
fn an_error_names_its_line_and_the_remedy(
    #[case] text: &str,
    #[case] from: &str,
    #[case] to: &str,
    #[case] line: usize,
    #[case] what: &str,
    #[case] instead: &str,
) {
    let error = RigFile::parse("qemu.toml", &text.replacen(from, to, 1)).expect_err("invalid");
    assert!(error.what.contains(what) && error.instead.contains(instead), "{error}");
    assert_eq!(error.line, line, "{error}");
    assert!(!error.to_string().contains(char::is_control), "{error:?}");
}

#[test]
fn what_a_machine_lacks_has_a_reason() {
    let tables = |text: &str| qemu(text).lacking().map(|lacking| lacking.table).collect::<Vec<_>>();
    assert_eq!(tables(VIRT), ["[stress]", "[air]"]);
    assert_eq!(tables(S3), ["[stress]", "[air]", "[[leds]]", "[[pins]]", "[scheduler]"]);
}

#[test]
fn the_rigs_that_come_with_the_suite_hold_the_same_device() {
    let shipped = |path: &str| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let text = std::fs::read_to_string(root.join(path)).expect("a rig file");
        RigFile::parse(path, &text).unwrap_or_else(|error| panic!("{error}"))
    };
    let modelled = shipped("rigs/virtual/prism-k1.toml");
    let (exact, live) = (shipped("rigs/qemu/prism-k1.toml"), shipped("rigs/qemu-live/prism-k1.toml"));
    for emulated in [&exact, &live] {
        assert_eq!(emulated.dut, modelled.dut);
        assert_eq!(emulated.leds, modelled.leds);
        assert_eq!(emulated.console, modelled.console);
        let ports = |file: &RigFile| file.net.as_ref().map(|net| net.ports.clone());
        assert_eq!(ports(emulated), ports(&modelled));
        assert!(emulated.power.is_some() && emulated.reset.is_some() && emulated.flash.is_some());
        assert!(emulated.scheduler.is_some());
    }
    let link = |file: &RigFile| file.net.as_ref().map(|net| (net.latency_us, net.mbit_per_s));
    assert_eq!(link(&exact), link(&modelled));
}
