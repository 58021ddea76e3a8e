//! How long a megabyte takes onto a board: `rigor flash` and esptool, by turns, on the same simulated loader.
//!
//! The loader takes no time for anything, so this is what the programs themselves take. Run by
//! `fixtures/oracles/flashing.sh`, which says where both are.

#[path = "../tests/flashing/images.rs"]
#[allow(dead_code)]
mod images;

use std::path::Path;
use std::process::{Command, ExitCode, Output};
use std::time::{Duration, Instant};

use rigor_esp_loader::{Boot, Chip as Simulated, Loader, MemoryFlash, Server};
use rigor_flasher::Chip;
use rigor_pty::Pty;

/// Times that each is run, by turns.
const ROUNDS: usize = 7;
/// With bootloader, table and headers, the image has a megabyte.
const CODE: usize = (1 << 20) - images::APP - 4096;

fn main() -> ExitCode {
    let programs = ["RIGOR_COMMAND", "RIGOR_ESPTOOL"].map(std::env::var);
    let [Ok(rigor), Ok(esptool)] = programs else {
        println!("run fixtures/oracles/flashing.sh, which says where both programs are");
        return ExitCode::SUCCESS;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("image.bin");
    let image = images::merged(Chip::Esp32s3, 2, CODE);
    std::fs::write(&path, &image).expect("the image is written");
    println!(
        "{:.2} MiB that does not compress, {ROUNDS} times each, by turns; medians",
        image.len() as f64 / f64::from(1 << 20)
    );
    for (name, no_stub) in [("by stub", None), ("by ROM ", Some("--no-stub"))] {
        let mut took: [Vec<Duration>; 2] = Default::default();
        for _ in 0..ROUNDS {
            took[0].push(flashed(&image, |port| {
                let mut command = Command::new(&rigor);
                command.arg("flash").arg(&path).arg("--port").arg(port).args(no_stub);
                command
            }));
            took[1].push(flashed(&image, |port| {
                let mut command = Command::new(&esptool);
                command
                    .args(["--chip", "esp32s3", "--before", "no-reset", "--after", "no-reset", "--port"])
                    .arg(port);
                command.args(no_stub).args(["write-flash", "0x0"]).arg(&path);
                command
            }));
        }
        let [rigor, esptool] = took.map(median);
        let ratio = esptool.as_secs_f64() / rigor.as_secs_f64();
        println!("{name}  rigor {rigor:>10.1?}  esptool {esptool:>10.1?}  ratio {ratio:.1}");
    }
    ExitCode::SUCCESS
}

/// How long `program` takes to bring `image` onto a blank board, from its start to its end.
fn flashed(image: &[u8], program: impl Fn(&Path) -> Command) -> Duration {
    let mut loader = Loader::new(Simulated::Esp32S3, [0x24, 0x0A, 0xC4, 0, 0, 1], MemoryFlash::new(1024));
    loader.enter_download();
    let board = Server::start(loader, Pty::open().expect("a pseudo-terminal"), Boot::Download);
    let mut command = program(board.path());
    let begun = Instant::now();
    let said = command.output().expect("the program starts");
    let took = begun.elapsed();
    assert!(said.status.success(), "{command:?}:\n{}", both(&said));
    assert!(board.loader().flash().bytes()[..image.len()] == *image, "{command:?} says it did, and did not");
    took
}

fn both(said: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr))
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() / 2]
}
