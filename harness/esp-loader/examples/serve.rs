//! A simulated chip's loader on a pseudo-terminal, for tools that flash one.
//!
//! usage: serve <chip> <name of the port>
//!
//! Its flash has 8 MiB. Each line of its standard input is a command, and answered by a line, `done` or what
//! went wrong; with the input the port ends.
//!
//! - `download`: reset with the boot pin low
//! - `wrong-digest`: from here on every digest of the flash is wrong
//! - `heal`: no more
//! - `save <file>`: all that is in the flash

use std::io::{BufRead, Write};
use std::process::ExitCode;

use rigor_esp_loader::{Boot, Chip, Fault, Loader, MemoryFlash, Server};
use rigor_pty::Pty;

/// 8 MiB.
const SECTORS: u16 = 2048;
/// Of Espressif's own range.
const MAC: [u8; 6] = [0x7C, 0xDF, 0xA1, 0x00, 0x00, 0x01];

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [chip, name] = arguments.as_slice() else {
        return Err("usage: serve <chip> <name of the port>".into());
    };
    let chip: Chip = chip.parse()?;
    let loader = Loader::new(chip, MAC, MemoryFlash::new(SECTORS));
    let server = Server::start(loader, Pty::named(name)?, Boot::Download);
    let mut answers = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        match obey(&server, line?.trim()) {
            Ok(()) => writeln!(answers, "done")?,
            Err(error) => writeln!(answers, "{error}")?,
        }
        answers.flush()?;
    }
    Ok(server.stop()?)
}

fn obey(server: &Server<MemoryFlash>, command: &str) -> Result<(), String> {
    let mut loader = server.loader();
    match command.split_once(' ').unwrap_or((command, "")) {
        ("download", "") => loader.enter_download(),
        ("wrong-digest", "") => loader.inject(Fault::WrongDigest),
        ("heal", "") => loader.heal(),
        ("save", file) => {
            std::fs::write(file, loader.flash().bytes()).map_err(|error| format!("{file}: {error}"))?;
        }
        _ => return Err(format!("`{command}` is no command; see the head of this example")),
    }
    Ok(())
}
