//! What rig files may say of a bench, and what they are told if they say anything else.

use rstest::rstest;

use super::*;
use crate::RigFile;
use crate::file::BackEnd;

const GOOD: &str = r#"schema = 1
name = "desk-k1"
dut = "prism-k1"
back_end = "bench"

[bench]
chip = "esp32s3"
image = "k1.elf"
labels = ["self-hosted", "rigor-k1"]

[controller]
port = "/dev/ttyACM0"

[console]
baud = 115200
usb_serial = "7C:DF:A1:00:00:01"

[power]

[reset]
via = "controller"

[flash]

[net]
address = "192.168.4.1"
ports = { n = 8080, f = 80 }
forward = { n = 18080 }

[[leds]]
signal = "leds.0"
pin = 9
pixels = 160
lane = 1

[[pins]]
signal = "button"
pin = 4
line = 2
input = 0
"#;

#[track_caller]
fn bench(text: &str) -> Bench {
    match RigFile::parse("desk.toml", text).unwrap_or_else(|error| panic!("{error}")).back_end {
        BackEnd::Bench(bench) => bench,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_wire_is_reached_as_the_file_says() {
    let file = RigFile::parse("desk.toml", GOOD).expect("valid");
    assert!(file.power.is_some() && file.reset.is_some() && file.flash.is_some());
    assert_eq!(file.net.as_ref().map(|net| net.forward["n"]), Some(18_080));
    let expected = Bench {
        chip: Chip::Esp32s3,
        image: Some("k1.elf".into()),
        labels: vec!["self-hosted".to_owned(), "rigor-k1".to_owned()],
        controller: Some(PortName::Path("/dev/ttyACM0".into())),
        console: Some(PortName::UsbSerial("7C:DF:A1:00:00:01".to_owned())),
        power: Some(PowerVia::Controller),
        reset: Some(ResetVia::Controller),
        flash: Some(FlashVia::Loader),
        address: Some(NetAddress::Ip(Ipv4Addr::new(192, 168, 4, 1))),
        lanes: [("leds.0".to_owned(), 1)].into(),
        lines: [("button".to_owned(), 2)].into(),
        inputs: [("button".to_owned(), 0)].into(),
    };
    assert_eq!(bench(GOOD), expected);
    let mut file = file;
    file.look_up(Path::new("/work"));
    let BackEnd::Bench(found) = file.back_end else { panic!("{file:?}") };
    assert_eq!(found.image.as_deref(), Some(Path::new("/work/k1.elf")));
}

#[test]
fn other_ways_to_the_same_parts() {
    let text = GOOD
        .replace("[power]", "[power]\nvia = \"hub\"\nhub = \"1-1.4\"\nport = 2")
        .replace("via = \"controller\"", "via = \"modem-lines\"")
        .replace("[flash]", "[flash]\nvia = \"probe\"");
    let other = bench(&text);
    assert_eq!(other.power, Some(PowerVia::Hub { hub: "1-1.4".to_owned(), port: 2 }));
    assert_eq!((other.reset, other.flash), (Some(ResetVia::ModemLines), Some(FlashVia::Probe)));
    let lines = "via = \"gpio\"\nline = \"gpiochip0:17\"\nboot = \"/dev/gpiochip1:4\"";
    let place = |chip: &str, line: u32| gpio::Place { chip: chip.into(), line };
    let expected =
        ResetVia::Gpio { reset: place("/dev/gpiochip0", 17), boot: Some(place("/dev/gpiochip1", 4)) };
    assert_eq!(bench(&GOOD.replace("via = \"controller\"", lines)).reset, Some(expected));
    let of = |address: &str| bench(&GOOD.replace("\"192.168.4.1\"", address)).address;
    assert_eq!(of("\"console\""), Some(NetAddress::Console));
    assert_eq!(of("\"prism-k1.local\""), Some(NetAddress::Name("prism-k1.local".to_owned())));
}

#[test]
fn a_board_and_a_cable_are_a_bench() {
    let text = "schema = 1\nname = \"desk\"\ndut = \"toy\"\nback_end = \"bench\"\n[bench]\nchip = \"esp32c6\"\n\
                [console]\nbaud = 115200\nport = \"/dev/ttyACM0\"\n[reset]\nvia = \"modem-lines\"\n[flash]\n";
    let bench = bench(text);
    assert_eq!((bench.chip, bench.controller, bench.power), (Chip::Esp32c6, None, None));
    assert_eq!(bench.flash, Some(FlashVia::Loader));
}

#[rstest]
#[case("\"esp32s3\"", "\"esp8266\"", 7, "`chip` is \"esp8266\"")]
#[case("image = \"k1.elf\"", "image = \"\"", 8, "`image` is empty")]
#[case("image = \"k1.elf\"", "image = \"\\u001b[2J\"", 8, "`image` holds a control character")]
#[case("\"rigor-k1\"]", "\"rigor k1\"]", 9, "a label is \"rigor k1\"")]
#[case("\"rigor-k1\"]", "\"self-hosted\"]", 9, "\"self-hosted\" is there twice")]
#[case("labels", "label", 9, "unknown field `label`")]
#[case("port = \"/dev/ttyACM0\"", "", 11, "[controller] names no port")]
#[case("port = \"/dev/ttyACM0\"", "port = \"a\"\nusb_serial = \"b\"", 13, "a `port` and a `usb_serial`")]
#[case("port = \"/dev/ttyACM0\"", "usb_serial = \"7C:DF:A1:00:00:01\"", 11, "have the same port")]
#[case("[controller]\nport = \"/dev/ttyACM0\"", "", 17, "[power] goes by the controller")]
#[case("usb_serial = \"7C:DF:A1:00:00:01\"", "", 15, "[console] names no port")]
#[case("[power]", "[power]\nvia = \"relay\"", 19, "`via` of [power] is \"relay\"")]
#[case("[power]", "[power]\nvia = \"hub\"\nhub = \"1-1\"", 18, "does not say which, or which port")]
#[case("[power]", "[power]\nvia = \"hub\"\nhub = \"x\"\nport = 1", 20, "`hub` is \"x\"")]
#[case("[power]", "[power]\nport = 1", 18, "names a hub")]
#[case("[power]", "[power]\nvia = \"hub\"\nhub = \"1-1\"\nport = 0", 21, "`port = 0` is out of range")]
#[case("via = \"controller\"", "via = \"dtr\"", 21, "`via` of [reset] is \"dtr\"")]
#[case("via = \"controller\"", "via = \"gpio\"", 20, "does not say which")]
#[case("via = \"controller\"", "via = \"gpio\"\nline = \"17\"", 22, "`line` is \"17\"")]
#[case("via = \"controller\"", "line = \"gpiochip0:17\"", 20, "does not go by it")]
#[case(
    "via = \"controller\"",
    "via = \"gpio\"\nline = \"gpiochip0:1\"\nboot = \"gpiochip0:1\"",
    20,
    "as `line` and as `boot`"
)]
#[case("[flash]", "[flash]\nvia = \"jtag\"", 24, "`via` of [flash] is \"jtag\"")]
#[case("address = \"192.168.4.1\"\n", "", 26, "does not say where the device is")]
#[case("\"192.168.4.1\"", "\"k1\"", 26, "`address` is \"k1\"")]
#[case("\"192.168.4.1\"", "\"-.local\"", 26, "`address` is \"-.local\"")]
#[case("forward =", "latency_us = 1\nforward =", 28, "a `latency_us`, but a real network")]
#[case("forward =", "via = \"wire\"\nforward =", 28, "a `via` in [net]")]
#[case("n = 18080", "x = 18080", 28, "none of the `ports`")]
#[case("lane = 1\n", "", 31, "signal `leds.0` has no `lane`")]
#[case("lane = 1", "lane = 8", 34, "`lane = 8` is out of range")]
#[case(
    "lane = 1",
    "lane = 1\n[[leds]]\nsignal = \"leds.1\"\npin = 10\npixels = 1\nlane = 1",
    39,
    "lane 1 is signal `leds.0` already"
)]
#[case("line = 2\n", "", 37, "signal `button` has no `line`")]
#[case("input = 0", "input = 9", 40, "`input = 9` is out of range")]
#[case("[flash]", "[flash]\n[stress]", 24, "a `[stress]`, but no instrument")]
#[case("[flash]", "[flash]\n[scheduler]", 24, "a `[scheduler]`, but nothing")]
#[case("[flash]", "[flash]\n[air]", 24, "a `[air]`, but")]
#[case("[flash]", "[flash]\n[virtual]", 24, "a `virtual` and the back end is `bench`")]
#[case(
    "[bench]\nchip = \"esp32s3\"\nimage = \"k1.elf\"\nlabels = [\"self-hosted\", \"rigor-k1\"]",
    "",
    4,
    "does not say which chip"
)]
fn an_error_names_its_line_and_the_remedy(
    #[case] from: &str,
    #[case] to: &str,
    #[case] line: usize,
    #[case] what: &str,
) {
    assert!(GOOD.contains(from), "{from}");
    let error = RigFile::parse("desk.toml", &GOOD.replacen(from, to, 1)).expect_err("invalid");
    assert!(error.what.contains(what), "{error}");
    assert_eq!(error.line, line, "{error}");
    assert!(!error.instead.is_empty());
}

#[rstest]
#[case("[controller]\nport = \"x\"", "a `[controller]` and the back end is `virtual`")]
#[case("[console]\nbaud = 9600\nport = \"x\"", "a `port` and the back end is `virtual`")]
#[case("[power]\nvia = \"hub\"", "a `via` and the back end is `virtual`")]
#[case("[reset]\nvia = \"controller\"", "a `via` and the back end is `virtual`")]
#[case("[flash]\nvia = \"loader\"", "a `via` and the back end is `virtual`")]
#[case("[net]\nports = { f = 80 }\naddress = \"console\"", "a `address` and the back end is `virtual`")]
#[case("[[leds]]\nsignal = \"a\"\npin = 1\npixels = 1\nlane = 0", "a `lane` and the back end is `virtual`")]
#[case("[[pins]]\nsignal = \"a\"\npin = 1\nline = 0", "a `line` and the back end is `virtual`")]
#[case("[bench]\nchip = \"esp32s3\"", "a `bench` and the back end is `virtual`")]
fn only_a_bench_has_them(#[case] table: &str, #[case] what: &str) {
    let text = format!("schema = 1\nname = \"v\"\ndut = \"toy\"\nback_end = \"virtual\"\n{table}\n");
    let error = RigFile::parse("v.toml", &text).expect_err("invalid");
    assert!(error.what.contains(what), "{error}");
    assert!(error.line >= 5 && error.instead.starts_with("remove"), "{error}");
}
