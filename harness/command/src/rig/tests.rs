//! What is asked, what is answered, and the file that comes of it.

use std::path::Path;

use rigor_rigs::RigFile;
use rigor_rigs::file::bench::{FlashVia, NetAddress, PowerVia, ResetVia};
use rigor_rigs::file::{BackEnd, Bench};
use rigor_rigs::ports::{Device, Kind, PortName, PortPath, Usb};
use rstest::rstest;

use super::answers::{Given, Known};
use super::ask::{Asker, Nobody};
use super::plugged::{Plugged, PortAnswer, PortChoice};
use super::{prism_k1, text, write_new};

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
    told_beside(&[MODEL], given, lines)
}

/// The same, where the rig files that there are have these texts.
fn told_beside(models: &[&str], given: Given, lines: &str) -> (Result<RigFile, String>, String) {
    let models: Vec<RigFile> =
        models.iter().map(|text| RigFile::parse("rigs/strip.toml", text).expect("a rig file")).collect();
    let known = Known { duts: &["strip", "badge", "prism-k1"], models: &models, plugged: &plugged() };
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
    let shared = PortName::Path("/dev/serial/by-id/ttyUSB0".into());
    assert_eq!(bench.console, Some(shared), "serial number 0001 is that of many adapters: {screen}");
    assert_eq!(bench.controller, Some(PortName::UsbSerial("E6616407E3432B29".to_owned())));
    assert_eq!((&bench.reset, &bench.power), (&Some(ResetVia::Controller), &None));
    assert_eq!(bench.flash, Some(FlashVia::Loader), "the Pico has reset and boot pin");
    assert!(file.net.is_none(), "a network that nobody knows the address of is none");
    assert_eq!(file.console.as_ref().map(|console| console.baud), Some(9600), "as the model has it");
    assert_eq!(bench.lanes.get("leds.1"), Some(&1));
    assert_eq!((file.leds[1].pin, file.leds[1].pixels), (10, 150));
    assert_eq!(bench.lines.get("button \"up\""), Some(&0), "a name may hold anything");
    assert!(screen.contains("  1  /dev/ttyUSB0  ") && screen.contains("  2  /dev/ttyACM0  "), "{screen}");
    assert!(!screen.contains("ttyS0"), "a built-in port is nobody's board: {screen}");
}

#[test]
fn answers_can_be_others_than_what_is_proposed() {
    let lines =
        "toaster\nstrip\nesp99\nesp32c3\n7\n2\nttyACM7\n/dev/ttyACM7\ncontroller\n192.168.4.1\nmine\n";
    let (file, screen) = told(Given::default(), lines);
    let file = file.expect("a rig file");
    let bench = bench(&file);
    assert_eq!(file.name, "mine");
    assert_eq!(bench.console, Some(PortName::UsbSerial("7C:DF:A1:00:00:01".to_owned())));
    assert_eq!(bench.controller, Some(PortName::Path("/dev/ttyACM7".into())));
    assert_eq!(bench.power, Some(PowerVia::Controller));
    assert_eq!(bench.address, Some(NetAddress::Ip([192, 168, 4, 1].into())));
    assert_eq!(file.net.as_ref().map(|net| net.ports.len()), Some(2));
    assert!(screen.contains("There is no such number."), "{screen}");
    assert!(screen.contains("no serial number; write /dev/ttyACM7."), "{screen}");
}

#[test]
fn without_a_pico_there_is_what_a_cable_can_do() {
    let given = Given {
        dut: Some("strip".to_owned()),
        chip: Some("esp32c6".to_owned()),
        controller: Some(PortAnswer(None)),
        ..Given::default()
    };
    let (file, screen) = told(given, "1\n\n\n\n");
    let file = file.expect("a rig file");
    let bench = bench(&file);
    assert_eq!((&bench.controller, &bench.power, &bench.flash), (&None, &None, &None));
    assert_eq!(bench.reset, Some(ResetVia::ModemLines));
    assert!(file.leds.is_empty() && file.pins.is_empty(), "nobody listens to them");
    assert!(!screen.contains("Pico"), "what a flag says is not asked: {screen}");
}

#[test]
fn a_board_without_any_wire_is_a_rig_file_too() {
    let given = Given { board: Some(PortAnswer(None)), dut: Some("badge".to_owned()), ..Given::default() };
    let (file, _) = told(given, "esp32s3\nnone\n\n");
    let file = file.expect("a rig file");
    assert!(file.console.is_none() && file.reset.is_none() && file.net.is_none());
}

/// What a first `rig new` without a Pico may have written.
const BARE_BENCH: &str = r#"
schema = 1
name = "desk-strip"
dut = "strip"
back_end = "bench"
[bench]
chip = "esp32c6"
[console]
baud = 115200
port = "/dev/ttyUSB0"
"#;

/// Flags that leave nothing to be asked.
fn all_said(dut: &str, chip: &str, address: &str) -> Given {
    let text = |text: &str| Some(text.to_owned());
    Given {
        dut: text(dut),
        chip: text(chip),
        name: text("desk-pico"),
        board: Some(PortAnswer(Some(PortChoice::Path("/dev/ttyUSB0".to_owned())))),
        controller: Some(PortAnswer(Some(PortChoice::UsbSerial("E6616407E3432B29".to_owned())))),
        power: text("none"),
        address: text(address),
        ..Given::default()
    }
}

#[rstest]
#[case(&[BARE_BENCH, MODEL])]
#[case(&[MODEL, BARE_BENCH])]
fn a_bench_that_lacks_a_table_hides_it_from_no_other(#[case] models: &[&str]) {
    let (file, _) = told_beside(models, all_said("strip", "esp32c6", "192.168.4.1"), "");
    let file = file.expect("a rig file");
    assert_eq!((file.leds.len(), file.pins.len()), (2, 1));
    assert_eq!(file.net.as_ref().map(|net| net.ports.len()), Some(2));
    assert_eq!(
        file.console.as_ref().map(|console| console.baud),
        Some(115_200),
        "of the bench with this chip"
    );
}

#[rstest]
#[case("192.168.4.300", "write an IPv4 address")]
#[case("over there", "write an IPv4 address")]
fn an_address_that_is_none_is_refused(#[case] address: &str, #[case] expected: &str) {
    let (file, _) = told(all_said("strip", "esp32c6", address), "");
    let error = file.expect_err("no rig file");
    assert!(error.contains(expected) && error.contains(address), "{error}");
}

#[test]
fn an_address_that_leads_to_no_known_service_is_refused() {
    let (file, _) = told_beside(&[BARE_BENCH], all_said("strip", "esp32c6", "192.168.4.1"), "");
    let error = file.expect_err("no rig file");
    assert!(error.contains("leave it out, and add [net]"), "{error}");
}

#[rstest]
#[case("esp32s3", [9, 10], "prism-k1-esp32s3.elf")]
#[case("esp32c3", [3, 10], "prism-k1-esp32c3-wifi.elf")]
#[case("esp32c6", [2, 3], "prism-k1-esp32c6-wifi.elf")]
fn lanes_are_where_the_firmware_for_the_chip_has_them(
    #[case] chip: &str,
    #[case] pins: [u8; 2],
    #[case] image: &str,
) {
    let model = MODEL.replace("\"strip\"", "\"prism-k1\"");
    let (file, _) = told_beside(&[&model], all_said("prism-k1", chip, "192.168.4.1"), "");
    let file = file.expect("a rig file");
    assert!(file.leds.iter().map(|lane| lane.pin).eq(pins), "{}", file.text);
    assert!(
        file.text.contains(&format!("# The board's GPIO{} to the Pico's GP2.", pins[0])),
        "{}",
        file.text
    );
    assert!(file.text.contains(&format!("# image = \"target/firmware/images/{image}\"")), "{}", file.text);
    // The port itself, where this is built beside it.
    let board =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware-under-test/ports/esp32/src/board.rs");
    let source = std::fs::read_to_string(board).expect("the port has its pins there");
    let [first, second] = prism_k1::lanes("prism-k1", chip).expect("a chip of the port");
    let line = format!("pins!(\"{chip}\", leds: GPIO{first}, GPIO{second}, ");
    assert!(source.contains(&line), "{line}");
}

#[test]
fn a_bench_with_the_same_chip_knows_its_board_s_pins() {
    let wired = format!(
        "{}[controller]\nport = \"/dev/ttyACM0\"\n[[leds]]\nsignal = \"leds.0\"\npin = 6\npixels = 160\nlane = 0\n\
         [[leds]]\nsignal = \"leds.1\"\npin = 4\npixels = 150\nlane = 1\n",
        BARE_BENCH
    );
    let [model, wired] = [MODEL, &wired].map(|text| text.replace("\"strip\"", "\"prism-k1\""));
    let (file, _) = told_beside(&[&model, &wired], all_said("prism-k1", "esp32c6", "none"), "");
    let file = file.expect("a rig file");
    assert!(file.leds.iter().map(|lane| lane.pin).eq([6, 4]), "{}", file.text);
    assert!(file.pins.is_empty(), "GPIO4 is a lane there");
    assert!(file.text.contains("# Left out: \"button \\\"up\\\"\" on GPIO4"), "{}", file.text);
}

#[rstest]
#[case("ttyACM0", Err("write /dev/ttyACM0"))]
#[case("null", Err("write /dev/null"))]
#[case("none", Ok(None))]
#[case("./ttyACM0", Ok(Some(PortChoice::Path("./ttyACM0".to_owned()))))]
#[case("E6616407E3432B29", Ok(Some(PortChoice::UsbSerial("E6616407E3432B29".to_owned()))))]
fn half_a_path_is_no_serial_number(#[case] words: &str, #[case] expected: Result<Option<PortChoice>, &str>) {
    match (words.parse(), expected) {
        (Ok(PortAnswer(choice)), Ok(expected)) => assert_eq!(choice, expected),
        (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
        (said, expected) => panic!("{said:?}, not {expected:?}"),
    }
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
    assert!(error.contains("desk.toml is there already") && error.contains("--name"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), "one");
    assert_eq!(std::fs::read_dir(folder.join("deep")).expect("a folder").count(), 1, "nothing half-written");
    std::fs::remove_dir_all(&folder).expect("it is ours");
}
