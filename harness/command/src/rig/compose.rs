//! The text of a rig file, with comments for whoever will change it.

use std::fmt::Write;

use rigor_rigs::RigFile;

use super::answers::Answers;
use super::plugged::PortChoice;

/// GPIO of the Pico that listens to a lane (`rigs/wiring/README.md`).
const LANES: [u8; 2] = [2, 3];
/// GPIO of the Pico that pulls a line.
const LINES: [u8; 4] = [10, 11, 12, 13];
/// Bits per second of nearly every ESP32's log.
const BAUD: u32 = 115_200;

/// `text` as a string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

pub(super) fn text(answers: &Answers) -> String {
    let mut file = String::new();
    head(&mut file, answers);
    instruments(&mut file, answers);
    if let Some(model) = &answers.model {
        network(&mut file, answers, model);
        wires(&mut file, answers, model);
    }
    file
}

macro_rules! lines {
    ($file:expr, $($line:literal),+ $(,)?) => {{ $( let _ = writeln!($file, $line); )+ }};
}

fn head(file: &mut String, answers: &Answers) {
    let [name, dut, chip] = [&answers.name, &answers.dut, &answers.chip].map(|text| quoted(text));
    lines!(
        file,
        "# A board on the desk. Every key: rigs/README.md. Every wire: rigs/wiring/README.md.",
        "# A part that has no table here does not exist: cases that need it are not run.",
        "schema = 1",
        "name = {name}",
        "dut = {dut}",
        "back_end = \"bench\"",
        "",
        "[bench]",
        "chip = {chip}",
        "# The firmware that is to be on the board: an ELF file, or a merged image. Without it, whatever is there.",
    );
    match &answers.image {
        Some(image) => {
            let image = quoted(image);
            lines!(file, "image = {image}");
        }
        None => lines!(file, "# image = \"target/firmware/images/firmware.elf\""),
    }
    lines!(file, "# A self-hosted runner of GitHub's that has these runs the suite here every night.");
    if answers.labels.is_empty() {
        lines!(file, "# labels = [\"self-hosted\", \"rigor-desk\"]");
    } else {
        let labels = answers.labels.iter().map(|label| quoted(label)).collect::<Vec<_>>().join(", ");
        lines!(file, "labels = [{labels}]");
    }
}

fn instruments(file: &mut String, answers: &Answers) {
    if let Some(controller) = &answers.controller {
        let port = port(controller);
        lines!(file, "", "# The Pico.", "[controller]", "{port}");
    }
    if let Some(board) = &answers.board {
        let port = port(board);
        let model = answers.model.as_ref().and_then(|model| model.console.as_ref());
        let baud = model.map_or(BAUD, |console| console.baud);
        lines!(file, "", "# The board's own port.", "[console]", "baud = {baud}", "{port}");
    }
    if let Some(power) = &answers.power {
        let power = quoted(power);
        lines!(file, "", "# GP1 of the Pico, and a switch in the 5 V wire of the board's cable.");
        lines!(file, "[power]", "via = {power}");
    }
    if let Some(reset) = &answers.reset {
        let reset = quoted(reset);
        lines!(file, "", "# GP14 and GP15 of the Pico.", "[reset]", "via = {reset}");
    }
}

fn port(choice: &PortChoice) -> String {
    match choice {
        PortChoice::Path(path) => format!("port = {}", quoted(path)),
        PortChoice::UsbSerial(serial) => format!("usb_serial = {}", quoted(serial)),
    }
}

fn network(file: &mut String, answers: &Answers, model: &RigFile) {
    let (Some(address), Some(net)) = (&answers.address, &model.net) else { return };
    let address = quoted(address);
    let ports: Vec<String> = net.ports.iter().map(|(name, port)| format!("{} = {port}", key(name))).collect();
    let ports = ports.join(", ");
    lines!(
        file,
        "",
        "[net]",
        "# Of the board. This host has to be in its network.",
        "address = {address}",
        "ports = {{ {ports} }}",
    );
}

/// `name` as a key of TOML.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}

/// The wires of the device, as far as the Pico has pins for them.
fn wires(file: &mut String, answers: &Answers, model: &RigFile) {
    if answers.controller.is_none() {
        return;
    }
    if !(model.leds.is_empty() && model.pins.is_empty()) {
        let name = &model.name;
        lines!(
            file,
            "",
            "# Pins as on the rig `{name}`. Firmware for another chip may have others: compare them with its documentation."
        );
    }
    for (number, (lane, gpio)) in model.leds.iter().zip(LANES).enumerate() {
        let (signal, pin, pixels) = (quoted(&lane.signal), lane.pin, lane.pixels);
        lines!(
            file,
            "",
            "# The board's GPIO{pin} to the Pico's GP{gpio}.",
            "[[leds]]",
            "signal = {signal}",
            "pin = {pin}"
        );
        lines!(file, "pixels = {pixels}", "lane = {number}");
    }
    for (number, (wire, gpio)) in model.pins.iter().zip(LINES).enumerate() {
        let (signal, pin) = (quoted(&wire.signal), wire.pin);
        lines!(
            file,
            "",
            "# The board's GPIO{pin} to the Pico's GP{gpio}.",
            "[[pins]]",
            "signal = {signal}",
            "pin = {pin}"
        );
        lines!(file, "line = {number}");
    }
}
