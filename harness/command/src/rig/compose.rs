//! The text of a rig file, with comments for whoever will change it.

use std::fmt::Write;

use super::answers::Answers;
use super::model::PinsOf;
use super::plugged::PortChoice;
use super::prism_k1;

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
    network(&mut file, answers);
    if answers.controller.is_some() {
        lanes(&mut file, answers);
        wires(&mut file, answers);
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
        None => {
            let network = answers.address.is_some() && prism_k1::has_network(&answers.dut, &answers.chip);
            let (dut, chip, wifi) = (&answers.dut, &answers.chip, if network { "-wifi" } else { "" });
            let image = quoted(&format!("target/firmware/images/{dut}-{chip}{wifi}.elf"));
            lines!(file, "# image = {image}");
        }
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
        let baud = answers.model.baud.unwrap_or(BAUD);
        let socket =
            if prism_k1::is_for(&answers.dut) { ": UART0, at the socket marked UART or COM" } else { "" };
        lines!(file, "", "# The board's own port{socket}.", "[console]", "baud = {baud}", "{port}");
    }
    if let Some(power) = &answers.power {
        let power = quoted(power);
        lines!(file, "", "# GP1 of the Pico, and a switch in the 5 V wire of the board's cable.");
        lines!(file, "[power]", "via = {power}");
    }
    if let Some(reset) = &answers.reset {
        let by_controller = reset == "controller";
        let wires =
            if by_controller { "GP14 and GP15 of the Pico" } else { "DTR and RTS of the board's port" };
        let reset = quoted(reset);
        lines!(file, "", "# {wires}.", "[reset]", "via = {reset}");
        if by_controller && answers.board.is_some() {
            lines!(
                file,
                "",
                "# The loader in the chip's ROM, on the board's port. The Pico's GP15 has to be on the boot pin; if it is not,",
                "# remove the table. Cases that need it change what is on the flash chip.",
                "[flash]",
                "via = \"loader\"",
            );
        }
    }
}

fn port(choice: &PortChoice) -> String {
    match choice {
        PortChoice::Path(path) => format!("port = {}", quoted(path)),
        PortChoice::UsbSerial(serial) => format!("usb_serial = {}", quoted(serial)),
    }
}

fn network(file: &mut String, answers: &Answers) {
    let (Some(address), Some(services)) = (&answers.address, &answers.model.services) else { return };
    let address = quoted(address);
    let ports: Vec<String> = services.iter().map(|(name, port)| format!("{} = {port}", key(name))).collect();
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

/// Who says which pins the wires below are on.
fn pins_of(file: &mut String, source: &PinsOf, chip: &str) {
    match source {
        PinsOf::Firmware => {
            lines!(
                file,
                "",
                "# Pins as the firmware for the {chip} has them: firmware-under-test/ports/esp32."
            );
        }
        PinsOf::Rig(name) => lines!(
            file,
            "",
            "# Pins as on the rig `{name}`. Firmware for another chip may have others: compare them with its documentation."
        ),
    }
}

/// The LED lanes of the device, as far as the Pico has pins for them.
fn lanes(file: &mut String, answers: &Answers) {
    let Some((source, lanes)) = &answers.model.lanes else { return };
    pins_of(file, source, &answers.chip);
    for (number, (lane, gpio)) in lanes.iter().zip(LANES).enumerate() {
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
}

/// The wires that the rig can drive, likewise.
fn wires(file: &mut String, answers: &Answers) {
    let Some((source, wires)) = &answers.model.wires else { return };
    pins_of(file, source, &answers.chip);
    let is_lane =
        |pin: u8| answers.model.lanes.iter().flat_map(|(_, lanes)| lanes).any(|lane| lane.pin == pin);
    for (number, (wire, gpio)) in wires.iter().zip(LINES).enumerate() {
        let (signal, pin) = (&wire.signal, wire.pin);
        // On another chip, or of another rig: two wires cannot be on one pin.
        if is_lane(pin) {
            lines!(
                file,
                "",
                "# Left out: {signal:?} on GPIO{pin}, which is an LED lane here. It needs another pin."
            );
            continue;
        }
        let signal = quoted(signal);
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
