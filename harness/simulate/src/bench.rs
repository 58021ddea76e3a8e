//! `rigor simulate --bench`: the board as a bench, and the rig file of that bench.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rigor_bench_box::{BenchBox, Door};
use rigor_rigs::fault::Model;
use rigor_rigs::{Firmwares, Order, RigFile};

use crate::arguments::Arguments;
use crate::ready::{Service, Whereabouts};
use crate::stop::Stop;
use crate::{NO_CONSOLE_BAUD, SimulateError, last_words, rig_file, tell};

/// The name of the bench's rig.
const NAME: &str = "bench-in-a-box";
/// What the virtual board models, and its loader says.
const CHIP: &str = "esp32s3";

/// Runs the board of `file`, with `fault` on it, behind the ports of a bench until somebody asks for the end.
///
/// # Errors
/// [`SimulateError`], with what to do about it.
pub(crate) fn run(
    arguments: &Arguments,
    firmwares: &Firmwares,
    file: &RigFile,
    fault: Option<&Model>,
) -> Result<(), SimulateError> {
    let interrupt = Arc::new(AtomicBool::new(false));
    let stop = Stop::listen(interrupt.clone(), last_words).map_err(SimulateError::Signals)?;
    let folder = rig_file::root().join(&arguments.bench_dir);
    let folder_error = |reason| SimulateError::Ready { path: folder.clone(), reason };
    fs::create_dir_all(&folder).map_err(folder_error)?;
    let ports = file.net.iter().flat_map(|net| &net.ports);
    let doors = ports.map(|(service, &device)| {
        let here = arguments.bench_port_of(service, device);
        Door { service: service.clone(), device, here }
    });
    let order = Order { fault, ..Order::new(file, firmwares, arguments.seed, &interrupt) };
    let board = || rigor_rigs::take(&order);
    let mut bench = BenchBox::open(&folder, doors.collect(), Box::new(board))?;
    let whereabouts = Whereabouts {
        rig: NAME.to_owned(),
        firmware: firmwares.get(&file.dut).map_or(String::new(), |firmware| firmware.version().to_owned()),
        services: bench.doors().map(service).collect(),
        console: Some(bench.console().to_owned()),
        view: None,
    };
    let doors: Vec<Door> = bench.doors().cloned().collect();
    let _written = Written::new(folder.join("rig.toml"), &text(file, &arguments.bench_dir, &doors))?;
    tell(&whereabouts, arguments.ready.as_deref())?;
    while !stop.is_asked() {
        bench.turn(stop.wakes(), &|| stop.is_asked())?;
    }
    Ok(())
}

fn service(door: &Door) -> Service {
    let (name, device_port) = (door.service.clone(), door.device);
    Service { name, device_port, host: "127.0.0.1".to_owned(), port: door.here }
}

/// The rig file of a bench with the board of `file`, whose serial ports are in `folder`.
fn text(file: &RigFile, folder: &Path, doors: &[Door]) -> String {
    let path = |name: &str| quoted(&folder.join(name).to_string_lossy());
    let mut text = format!(
        "# A virtual board that looks like a bench: `rigor simulate {dut} --bench`. Keys: rigs/README.md.\n\
         schema = 1\nname = \"{NAME}\"\ndut = {dut_quoted}\nback_end = \"bench\"\n\n\
         [bench]\nchip = \"{CHIP}\"\n\n[controller]\nport = {controller}\n",
        dut = file.dut,
        dut_quoted = quoted(&file.dut),
        controller = path("controller"),
    );
    let baud = file.console.as_ref().map_or(NO_CONSOLE_BAUD, |console| console.baud);
    // Writing to a string cannot fail.
    let _ = write!(text, "\n[console]\nport = {}\nbaud = {baud}\n", path("console"));
    for (table, via, is_there) in [
        ("power", "controller", file.power.is_some()),
        ("reset", "controller", file.reset.is_some()),
        ("flash", "loader", file.flash.is_some()),
    ] {
        if is_there {
            let _ = write!(text, "\n[{table}]\nvia = \"{via}\"\n");
        }
    }
    if !doors.is_empty() {
        let table = |port: fn(&Door) -> u16| {
            let ports = doors.iter().map(|door| format!("{} = {}", quoted_key(&door.service), port(door)));
            ports.collect::<Vec<_>>().join(", ")
        };
        let (device, here) = (table(|door| door.device), table(|door| door.here));
        let _ = write!(
            text,
            "\n[net]\naddress = \"127.0.0.1\"\nports = {{ {device} }}\nforward = {{ {here} }}\n"
        );
    }
    for (lane, leds) in file.leds.iter().enumerate() {
        let (signal, pin, pixels) = (quoted(&leds.signal), leds.pin, leds.pixels);
        let _ =
            write!(text, "\n[[leds]]\nsignal = {signal}\npin = {pin}\npixels = {pixels}\nlane = {lane}\n");
    }
    let mut pins: Vec<_> = file.pins.iter().collect();
    // As the rig has them, by name.
    pins.sort_by(|one, other| one.signal.cmp(&other.signal));
    for (line, wire) in pins.into_iter().enumerate() {
        let _ = write!(
            text,
            "\n[[pins]]\nsignal = {}\npin = {}\nline = {line}\ninput = {line}\n",
            quoted(&wire.signal),
            wire.pin
        );
    }
    text
}

/// `text` as TOML has it, whose escapes are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `name` as a key of a table.
fn quoted_key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { quoted(name) }
}

/// A file that is there as long as this is.
struct Written(PathBuf);

impl Written {
    /// Written at once or not at all.
    fn new(path: PathBuf, text: &str) -> Result<Self, SimulateError> {
        let part = path.with_extension("part");
        let written: io::Result<()> = fs::write(&part, text).and_then(|()| fs::rename(&part, &path));
        match written {
            Ok(()) => Ok(Written(path)),
            Err(reason) => Err(SimulateError::Ready { path, reason }),
        }
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // Nothing can be done about it here, and the next bench replaces it.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        simulate: Arguments,
    }

    fn arguments(line: &[&str]) -> Result<Arguments, clap::Error> {
        CommandLine::try_parse_from([&["simulate"], line].concat()).map(|line| line.simulate)
    }

    fn text_of(line: &[&str]) -> String {
        let arguments = arguments(line).expect("arguments");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let board = fs::read_to_string(root.join("rigs/virtual/prism-k1.toml")).expect("a rig file");
        let board = RigFile::parse("prism-k1.toml", &board).expect("a rig file");
        let ports = board.net.iter().flat_map(|net| &net.ports);
        let doors = ports.map(|(service, &device)| {
            let here = arguments.bench_port_of(service, device);
            Door { service: service.clone(), device, here }
        });
        let doors: Vec<Door> = doors.collect();
        text(&board, &arguments.bench_dir, &doors)
    }

    #[test]
    fn the_rig_file_that_is_kept_is_the_one_that_is_written() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rigs/bench-in-a-box.toml");
        let kept = fs::read_to_string(kept).expect("a rig file");
        assert_eq!(text_of(&["--bench"]), kept);
    }

    #[test]
    fn what_is_written_is_a_rig_file_wherever_the_bench_is() {
        let text = text_of(&["--bench", "--bench-dir", "/tmp/a \"b\"", "--port", "f=5", "--port", "9"]);
        let file = RigFile::parse("rig.toml", &text).expect("a rig file");
        assert_eq!(file.name, NAME);
        assert!(text.contains("port = \"/tmp/a \\\"b\\\"/console\""), "{text}");
        assert!(text.contains("forward = { f = 5, n = 9 }"), "{text}");
    }

    #[test]
    fn a_bench_has_no_view_and_no_speed() {
        for line in [["--view", "none"], ["--speed", "2"], ["--console", "pty"], ["--for", "1"]] {
            assert!(arguments(&line).is_ok(), "{line:?}");
            assert!(arguments(&[&["--bench"][..], &line].concat()).is_err(), "{line:?}");
        }
        assert!(arguments(&["--bench-dir", "x"]).is_err(), "there is no bench");
    }

    #[test]
    fn the_rig_file_goes_with_the_bench() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rig.toml");
        let written = Written::new(path.clone(), "text").expect("it can be written");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "text");
        drop(written);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
