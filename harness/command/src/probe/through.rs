//! What a build that knows probes does.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rigor_core::result::{EXIT_OK, EXIT_UNDECIDED};
use rigor_flasher::FlashImage;
use rigor_image::Image;
use rigor_probe::{Debugger, Found, ProbeError, ProbeProgrammer, Which, list};
use rigor_reports::visible;

use super::{Board, What};
use crate::error::CommandError;
use crate::flash::{ended, onto};
use crate::monitor::End;
use crate::print::{columns, complain, print};

/// By this name firmware and tools know where the log in RAM is.
const LOG_SYMBOL: &str = "_SEGGER_RTT";
/// How long the core is left alone between two looks into its log.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes in a line of a dump.
const ROW: usize = 16;

pub(super) fn run(what: &What) -> Result<ExitCode, CommandError> {
    let done = match what {
        What::List => {
            print(&told(&list()));
            Ok(())
        }
        What::Flash { image, board } => return flash(image, board),
        What::Reset { board } => attach(board).and_then(|mut chip| chip.reset()),
        What::Read { at, bytes, out, board } => {
            let read = attach(board).and_then(|mut chip| chip.read(*at, *bytes as usize));
            match (read, out) {
                (Ok(bytes), Some(path)) => {
                    write(path, &bytes)?;
                    Ok(())
                }
                (Ok(bytes), None) => {
                    print(&dump(*at, &bytes));
                    Ok(())
                }
                (Err(error), _) => Err(error),
            }
        }
        What::Log { elf, seconds, board } => {
            let at = elf.as_deref().map(log_address).transpose()?;
            let end = End::listen(*seconds)?;
            log(board, at, &end)
        }
    };
    Ok(match done {
        Ok(()) => ExitCode::from(EXIT_OK),
        Err(error) => {
            complain(&format!("{error}\n"));
            ExitCode::from(EXIT_UNDECIDED)
        }
    })
}

fn which(board: &Board) -> Which {
    board.serial.clone().map_or(Which::Only, Which::Serial)
}

fn attach(board: &Board) -> Result<Debugger, ProbeError> {
    Debugger::attach(which(board), board.chip)
}

fn told(found: &[Found]) -> String {
    if found.is_empty() {
        return "no debug probe is plugged in; in a container or a virtual machine, hand it through\n"
            .to_owned();
    }
    let mut rows = vec![["USB", "SERIAL NUMBER", "WHAT IT CALLS ITSELF"].map(str::to_owned).to_vec()];
    rows.extend(found.iter().map(|found| {
        let name = visible(&found.name);
        vec![
            format!("{:04x}:{:04x}", found.vendor, found.product),
            found.serial.as_deref().map_or_else(|| "-".to_owned(), visible),
            if found.is_ours {
                name
            } else {
                format!("{name} (may not be opened by you: a udev rule is missing)")
            },
        ]
    }));
    columns(&rows)
}

fn flash(image: &Path, board: &Board) -> Result<ExitCode, CommandError> {
    let image = FlashImage::read(image, Some(board.chip))
        .map_err(|error| CommandError::Refused(error.to_string()))?;
    let mut programmer = ProbeProgrammer::new(which(board), board.chip);
    let place = board.serial.as_deref().map_or_else(|| "debug probe".to_owned(), visible);
    Ok(ended(onto::through(&mut programmer, &image, &place)))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let written = std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, path));
    written.map_err(|source| CommandError::Io {
        action: "write",
        path: path.to_owned(),
        source,
        remedy: "name a file in a folder that may be written",
    })
}

/// `bytes` from address `at` on, as everybody prints memory.
fn dump(at: u32, bytes: &[u8]) -> String {
    let mut text = String::new();
    for (index, row) in bytes.chunks(ROW).enumerate() {
        let hex: Vec<_> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        let characters = row.iter().map(|&byte| if matches!(byte, b' '..=b'~') { byte as char } else { '.' });
        text.push_str(&format!(
            "{:08x}  {:47}  {}\n",
            u64::from(at) + (index * ROW) as u64,
            hex.join(" "),
            characters.collect::<String>()
        ));
    }
    text
}

fn log_address(elf: &Path) -> Result<u32, CommandError> {
    let image = Image::read_of_chip(elf).map_err(|error| CommandError::Refused(error.to_string()))?;
    let symbol = image.symbol(LOG_SYMBOL).ok_or_else(|| {
        CommandError::Refused(format!(
            "{} has no symbol `{LOG_SYMBOL}`: this firmware keeps no log for probes (RTT)",
            visible(&elf.display().to_string())
        ))
    })?;
    Ok(symbol.address)
}

fn log(board: &Board, at: Option<u32>, end: &End) -> Result<(), ProbeError> {
    let mut chip = attach(board)?;
    complain("--- the log in the chip's RAM; Ctrl-C ends\n");
    while !end.is_wanted() {
        let bytes = chip.log(at)?;
        if bytes.is_empty() {
            std::thread::sleep(PAUSE);
            continue;
        }
        let mut out = std::io::stdout().lock();
        // A reader who goes away has seen enough.
        if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    complain("--- end\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shown_by_rows_of_sixteen() {
        let bytes: Vec<u8> = (0x3A..0x3A + 18).collect();
        assert_eq!(
            dump(0x3FC8_0000, &bytes),
            "3fc80000  3a 3b 3c 3d 3e 3f 40 41 42 43 44 45 46 47 48 49  :;<=>?@ABCDEFGHI\n\
             3fc80010  4a 4b                                            JK\n"
        );
    }

    #[test]
    fn what_a_probe_says_of_itself_is_harmless() {
        let found = Found {
            name: "evil\x1b[2J".to_owned(),
            vendor: 0x303A,
            product: 0x1001,
            serial: None,
            is_ours: false,
        };
        let text = told(&[found]);
        assert!(text.contains("303a:1001") && !text.contains('\x1b'), "{text}");
        assert!(text.contains("udev rule"), "{text}");
    }
}
