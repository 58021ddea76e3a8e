//! What `rigor simulate` is told.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::pace::Speed;

/// Run a virtual or an emulated board in real time.
///
/// The board runs its firmware against the host's clock. Each TCP port of the device is a port on this
/// machine's loopback interface, where any client may connect: a browser, a WebSocket library, curl. The
/// console is this terminal or a pseudo-terminal for other programs. What is shown of LEDs is decoded from
/// the board's data pins, bit by bit.
///
/// With `--rig rigs/qemu-live` the board is QEMU's: the firmware as machine code, which clients reach by its own
/// TCP/IP stack. Such a board has the host's clock, so its time can be neither stopped nor stretched.
///
/// Everything ends with Ctrl-C (or `q` in the view), and nothing stays behind: the board has no storage
/// but in memory.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Arguments {
    /// The system, whose rig is `rigs/virtual/<SYSTEM>.toml` here or in a folder above
    #[arg(value_name = "SYSTEM", default_value = "prism-k1")]
    pub system: String,

    /// Another rig file, of a `virtual` board or of a `qemu` one in `live` mode, or a folder with one for the system
    #[arg(long, value_name = "FILE")]
    pub rig: Option<PathBuf>,

    /// Where a service of the rig's `net` table is reached on this machine
    ///
    /// `f=9000` puts service `f` there, and a number alone every service without a choice of its own; 0 is
    /// any port that is free. Without it a service has its own number, or 9000 more if that is below 1024:
    /// port 80 of the device is 9080 here.
    #[arg(long = "port", value_name = "[SERVICE=]PORT")]
    pub ports: Vec<PortChoice>,

    /// The loopback address to listen on; others are refused
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = loopback)]
    pub address: IpAddr,

    /// Where the device's console is
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = ConsoleChoice::Terminal)]
    pub console: ConsoleChoice,

    /// Where the board is shown; on the terminal if there is one
    #[arg(long, value_name = "WHERE", value_enum)]
    pub view: Option<ViewChoice>,

    /// The port of the page of `--view browser`; any that is free if there is no choice
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub view_port: u16,

    /// Seconds of the board in a second of the host, 0.001 to 1000
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    pub speed: Speed,

    /// Seed of everything random on the board
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,

    /// What is to be wrong with the board: the name of one of its faults, which `rigor list faults` lists
    #[arg(long, value_name = "NAME")]
    pub fault: Option<String>,

    /// Ends after so many seconds of the board
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub length: Option<Duration>,

    /// Writes each LED frame that differs from the one before it, as a line of JSON
    ///
    /// A line has `lane` (the signal's name), `frame` (how many came before it on the lane), `at_ns` (the
    /// rise of the first bit on the board's clock) and `rgb` (six hexadecimal digits a pixel).
    #[arg(long, value_name = "FILE")]
    pub frames: Option<PathBuf>,

    /// Writes ports, console and page as JSON once everything can be reached
    #[arg(long, value_name = "FILE")]
    pub ready: Option<PathBuf>,

    /// The board as a bench: behind a controller's and a console's serial port, for a rig with `back_end = "bench"`
    ///
    /// Its clock stands still until whoever has the controller lets it go on, so that a case comes to the same
    /// verdict there as on the virtual rig. Both serial ports are pseudo-terminals, and a service is at 10000 more
    /// than without this option. A rig file that says all of it lies beside them.
    #[arg(long, conflicts_with_all = ["address", "console", "frames", "length", "speed", "view", "view_port"])]
    pub bench: bool,

    /// The folder of the bench's serial ports, `controller` and `console`, and of its rig file, `rig.toml`
    ///
    /// A relative one begins at the workspace.
    #[arg(long, value_name = "FOLDER", default_value = "target/rigor/bench", requires = "bench")]
    pub bench_dir: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  rigor simulate prism-k1
      The board in this terminal, live; its WebSocket is ws://127.0.0.1:9080/ws.
  rigor simulate prism-k1 --view browser
      The same as a page for a browser; the console is on this terminal.
  rigor simulate prism-k1 --view none --console pty --port 0 --ready board.json
      For scripts: any free ports, a pseudo-terminal, and a file that says which.
  rigor simulate prism-k1 --rig rigs/qemu-live
      The same on QEMU; `cargo xtask firmware build` makes the image.
  rigor simulate prism-k1 --frames frames.jsonl --for 10
      Ten seconds of the board, and what its LEDs showed.
  rigor simulate prism-k1 --fault red-first
      A board whose colours are swapped.
  rigor simulate prism-k1 --bench
      A bench without hardware, for cases on the rig rigs/bench-in-a-box.toml.

Exit codes: 0 ended as asked; 2 the rig, a port or a file cannot be had; 3 a defect of rigor itself.";

/// Where a service is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortChoice {
    /// Which one; every one that is not named elsewhere if there is none.
    pub service: Option<String>,
    /// The port on this machine; 0 is any that is free.
    pub port: u16,
}

impl FromStr for PortChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (service, port) = match text.split_once('=') {
            Some((service, port)) => (Some(service.to_owned()), port),
            None => (None, text),
        };
        let port = port.parse().map_err(|_| "write PORT or SERVICE=PORT, from 0 to 65535")?;
        Ok(PortChoice { service, port })
    }
}

/// Where a console is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ConsoleChoice {
    /// On this terminal; what a terminal would obey is made visible. A live view has it in a pane
    Terminal,
    /// On a pseudo-terminal of its own, byte by byte; its path is printed
    Pty,
    /// Nowhere
    None,
}

/// Where a board is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ViewChoice {
    /// In this terminal, which needs 24-bit colours
    Terminal,
    /// On a page for a browser, whose address is printed
    Browser,
    /// Nowhere: for scripts
    None,
}

fn loopback(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| "write an IP address, such as 127.0.0.1")?;
    if address.is_loopback() {
        return Ok(address);
    }
    Err("only a loopback address: a simulated board asks nobody for a password".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "write a number of seconds from 0 on".to_owned())
}

/// Below this, a port is the system's own and needs privileges (RFC 6335, section 6).
const FIRST_USER_PORT: u16 = 1024;
/// What such a port is moved by.
const MOVED_BY: u16 = 9000;
/// What the ports of a bench are moved by in addition, so that a board in real time can stand beside it.
const BENCH_MOVED_BY: u16 = 10_000;

impl Arguments {
    /// Where somebody wants `service` to be on this machine.
    pub(crate) fn chosen(&self, service: &str) -> Option<u16> {
        let named = self.ports.iter().rfind(|choice| choice.service.as_deref() == Some(service));
        let chosen = named.or_else(|| self.ports.iter().rfind(|choice| choice.service.is_none()));
        chosen.map(|choice| choice.port)
    }

    /// Where port `device` of `service` is to be on this machine.
    pub(crate) fn port_of(&self, service: &str, device: u16) -> u16 {
        match self.chosen(service) {
            Some(port) => port,
            None if device < FIRST_USER_PORT => device + MOVED_BY,
            None => device,
        }
    }

    /// Where port `device` of `service` is to be on this machine if the board is a bench's; any, if there is
    /// none so high.
    pub(crate) fn bench_port_of(&self, service: &str, device: u16) -> u16 {
        let moved = || self.port_of(service, device).checked_add(BENCH_MOVED_BY).unwrap_or(0);
        self.chosen(service).unwrap_or_else(moved)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use rstest::rstest;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Command::try_parse_from(["simulate"].into_iter().chain(line.split_whitespace()))
            .map(|command| command.arguments)
    }

    #[rstest]
    #[case("", 8080, 9080)]
    #[case("--port 0", 0, 0)]
    #[case("--port f=7 --port n=8", 8, 7)]
    #[case("--port f=7 --port 0 --port f=9", 0, 9)]
    fn ports_are_chosen_by_name_or_all_at_once(#[case] line: &str, #[case] n: u16, #[case] f: u16) {
        let arguments = parse(line).expect("valid");
        assert_eq!((arguments.port_of("n", 8080), arguments.port_of("f", 80)), (n, f));
    }

    #[rstest]
    #[case("--address 0.0.0.0", "only a loopback address")]
    #[case("--address 192.168.1.7", "only a loopback address")]
    #[case("--address ::", "only a loopback address")]
    #[case("--address localhost", "write an IP address")]
    #[case("--port f=70000", "write PORT or SERVICE=PORT")]
    #[case("--port http", "write PORT or SERVICE=PORT")]
    #[case("--speed 0", "write a number from 0.001")]
    #[case("--for=-1", "write a number of seconds from 0 on")]
    #[case("--for NaN", "write a number of seconds from 0 on")]
    fn what_cannot_be_is_refused_with_the_remedy(#[case] line: &str, #[case] remedy: &str) {
        let complaint = parse(line).expect_err("invalid").to_string();
        assert!(complaint.contains(remedy), "{complaint}");
    }

    #[rstest]
    #[case("--address 127.0.0.9")]
    #[case("--address ::1")]
    fn any_loopback_address_will_do(#[case] line: &str) {
        assert!(parse(line).is_ok());
    }
}
