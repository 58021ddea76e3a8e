//! What is asked, what is answered, and the file that comes of it.

use std::path::Path;

use rigor_rigs::RigFile;
use rigor_rigs::file::bench::{NetAddress, PowerVia, ResetVia};
use rigor_rigs::file::{BackEnd, Bench};
use rigor_rigs::ports::{Device, Kind, PortName, PortPath, Usb};
use rstest::rstest;

use super::answers::{Given, Known};
use super::ask::{Asker, Nobody};
use super::plugged::{Plugged, PortChoice};
use super::{text, write_new};

const MODEL: &str = r#"
schema = 1
name = "virtual-strip"
dut = "strip"
back_end = "virtual"
[console]
baud = 9600
[net]
ports = { http = 80, "dotted.name" = 81 }
[[leds]]
signal = "leds.0"
pin = 9
pixels = 160
[[leds]]
signal = "leds.1"
pin = 10
pixels = 150
[[pins]]
signal = "button \"up\""
pin = 4
"#;

fn device(path: &str, kind: Kind, serial: Option<&str>) -> Device {
    let usb = Usb { vendor: 1, product: 2, serial: serial.map(str::to_owned), maker: None, name: None };
    let stable = Some(format!("/dev/serial/by-id/{}", path.trim_start_matches("/dev/")).into());
    Device { port: Some(PortPath { path: path.into(), stable, interface: Some(0) }), usb: Some(usb), kind }
}

fn plugged() -> Plugged {
    Plugged::of(&[
        device("/dev/ttyS0", Kind::BuiltIn, None),
        device("/dev/ttyUSB0", Kind::Cp210x, Some("0001")),
        device("/dev/ttyACM1", Kind::Controller, Some("E6616407E3432B29")),
        device("/dev/ttyACM0", Kind::EspressifUsb, Some("7C:DF:A1:00:00:01")),
    ])
}

/// The file that comes of `given` and of `lines` said to its questions, and what was on the screen.
fn told(given: Given, lines: &str) -> (Result<RigFile, String>, String) {
    let models = [RigFile::parse("rigs/virtual/strip.toml", MODEL).expect("a rig file")];
    let known = Known { duts: &["strip", "badge"], models: &models, plugged: &plugged() };
    let mut screen = Vec::new();
    let answers = given.answers(&known, &mut Asker::new(lines.as_bytes(), &mut screen));
    let text =
        answers.and_then(|answers| text(&answers, Path::new("new.toml"))).map_err(|error| error.to_string());
    let file = text.map(|text| RigFile::parse("new.toml", &text).expect("it was read before"));
    (file, String::from_utf8(screen).expect("UTF-8"))
}

fn bench(file: &RigFile) -> &Bench {
    match &file.back_end {
        BackEnd::Bench(bench) => bench,
        other => panic!("{other:?} is no bench"),
    }
}

#[test]
fn who_presses_enter_gets_the_bench_that_is_plugged_in() {
    let (file, screen) = told(Given::default(), "strip\nesp32s3\n\n\n\n\n\n");
    let file = file.expect("a rig file");
    let bench = bench(&file);
    assert_eq!(file.name, "desk-strip");
    assert_eq!(bench.console, Some(PortName::UsbSerial("7C:DF:A1:00:00:01".to_owned())), "{screen}");
    assert_eq!(bench.controller, Some(PortName::UsbSerial("E6616407E3432B29".to_owned())));
    assert_eq!((&bench.reset, &bench.power), (&Some(ResetVia::Controller), &None));
    assert!(file.net.is_none(), "a network that nobody knows the address of is none");
    assert_eq!(file.console.as_ref().map(|console| console.baud), Some(9600), "as the model has it");
    assert_eq!(bench.lanes.get("leds.1"), Some(&1));
    assert_eq!((file.leds[1].pin, file.leds[1].pixels), (10, 150));
    assert_eq!(bench.lines.get("button \"up\""), Some(&0), "a name may hold anything");
    assert!(screen.contains("  1  /dev/ttyACM0  ") && screen.contains("  2  /dev/ttyUSB0  "), "{screen}");
    assert!(!screen.contains("ttyS0"), "a built-in port is nobody's board: {screen}");
}

#[test]
fn answers_can_be_others_than_what_is_proposed() {
    let lines = "toaster\nstrip\nesp99\nesp32c3\n7\n2\n/dev/ttyACM7\ncontroller\n192.168.4.1\nmine\n";
    let (file, screen) = told(Given::default(), lines);
    let file = file.expect("a rig file");
    let bench = bench(&file);
    assert_eq!(file.name, "mine");
    let shared = PortName::Path("/dev/serial/by-id/ttyUSB0".into());
    assert_eq!(bench.console, Some(shared), "serial number 0001 is that of many adapters");
    assert_eq!(bench.controller, Some(PortName::Path("/dev/ttyACM7".into())));
    assert_eq!(bench.power, Some(PowerVia::Controller));
    assert_eq!(bench.address, Some(NetAddress::Ip([192, 168, 4, 1].into())));
    assert_eq!(file.net.as_ref().map(|net| net.ports.len()), Some(2));
    assert!(screen.contains("There is no such number."), "{screen}");
}

#[test]
fn without_a_pico_there_is_what_a_cable_can_do() {
    let given = Given {
        dut: Some("strip".to_owned()),
        chip: Some("esp32c6".to_owned()),
        controller: Some("none".to_owned()),
        ..Given::default()
    };
    let (file, screen) = told(given, "1\n\n\n");
    let file = file.expect("a rig file");
    let bench = bench(&file);
    assert_eq!((bench.controller.as_ref(), bench.reset.as_ref(), bench.power.as_ref()), (None, None, None));
    assert!(file.leds.is_empty() && file.pins.is_empty(), "nobody listens to them");
    assert!(!screen.contains("Pico"), "what a flag says is not asked: {screen}");
}

#[test]
fn a_board_without_any_wire_is_a_rig_file_too() {
    let given = Given { board: Some("none".to_owned()), dut: Some("badge".to_owned()), ..Given::default() };
    let (file, _) = told(given, "esp32s3\nnone\n\n");
    let file = file.expect("a rig file");
    assert!(file.console.is_none() && file.reset.is_none() && file.net.is_none());
}

#[rstest]
#[case("", "the answers have ended")]
#[case("strip\nesp32s3\n", "the answers have ended")]
#[case("strip\nesp32s3\n\n\nsome day\n\n\n", "these answers make no rig file")]
#[case("strip\nesp32s3\n\n\n\nover there\n\n", "these answers make no rig file")]
#[case("strip\nesp32s3\n\n\n\n\nmy desk\n", "these answers make no rig file")]
fn what_makes_no_bench_is_said(#[case] lines: &str, #[case] expected: &str) {
    let (file, _) = told(Given::default(), lines);
    let error = file.expect_err("no rig file");
    assert!(error.contains(expected), "{error}");
}

#[test]
fn an_endless_line_is_an_answer_of_bounded_length() {
    let (file, _) = told(Given::default(), &"x".repeat(1 << 20));
    assert!(file.expect_err("no rig file").contains("the answers have ended"));
}

#[test]
fn where_nobody_can_be_asked_all_missing_flags_are_named_at_once() {
    let known = Known { duts: &["strip", "badge"], models: &[], plugged: &plugged() };
    let error = Given::default()
        .answers(&known, &mut Nobody::default())
        .err()
        .expect("flags are missing")
        .to_string();
    assert!(error.contains("--dut, --chip, --board, --controller"), "{error}");
}

#[test]
fn a_serial_number_is_taken_only_if_it_is_a_device_s_own() {
    let twins = Plugged::of(&[
        device("/dev/ttyUSB0", Kind::Ch34x, Some("ABCDEF")),
        device("/dev/ttyUSB1", Kind::Ch34x, Some("ABCDEF")),
        device("/dev/ttyUSB2", Kind::Ftdi, Some("bad\u{1b}serial")),
    ]);
    let by_path = |found: &super::plugged::Found| matches!(&found.choice, PortChoice::Path(path) if path.starts_with("/dev/serial/by-id/"));
    assert!(twins.boards.len() == 3 && twins.boards.iter().all(by_path), "{twins:?}");
}

#[test]
fn a_file_that_is_there_stays_as_it_is() {
    let folder = std::env::temp_dir().join(format!("rigor-rig-new-{}", std::process::id()));
    let path = folder.join("deep/desk.toml");
    write_new(&path, "one").expect("nothing is there");
    let error = write_new(&path, "two").expect_err("it is there").to_string();
    assert!(error.contains("never overwritten"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), "one");
    assert_eq!(std::fs::read_dir(folder.join("deep")).expect("a folder").count(), 1, "nothing half-written");
    std::fs::remove_dir_all(&folder).expect("it is ours");
}
