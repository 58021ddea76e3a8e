//! `back_end = "qemu"`: which emulator, which machine, how its clock runs, and what a machine lacks.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::raw::{Number, RawNet, number, optional};
use super::{Place, RigFileError};

/// What is not said about a machine that executes the port of `firmware-under-test/ports/qemu-virt`.
const VIRT_BINARY: &str = "qemu-system-riscv32";
const VIRT_MACHINE: &str = "virt";
const VIRT_MEMORY_MIB: u32 = 64;
/// 8 ns for an instruction: 125 million of them a second, a fair stand-in for one core at 160 MHz.
const ICOUNT_SHIFT: u8 = 3;

/// External memory that Espressif's fork gives an ESP32-S3, in MiB (its README, `-m`).
const PSRAM_MIB: [i64; 5] = [2, 4, 8, 16, 32];

/// A device that QEMU emulates, in a process of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Qemu {
    /// The emulator: a name that is looked up in `PATH`, or a path.
    pub binary: PathBuf,
    /// What `-machine` is told.
    pub machine: String,
    /// Memory of the machine, in MiB; `None` for what it has of its own.
    pub memory_mib: Option<u32>,
    /// The firmware: an ELF file for `virt`, an image of the whole flash chip for Espressif's.
    pub image: PathBuf,
    /// Arguments that come after all others.
    pub arguments: Vec<String>,
    /// What is emulated, and whose time it lives in.
    pub board: QemuBoard,
}

/// What is emulated, and whose time it lives in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum QemuBoard {
    /// The machine `virt` in its own time, which counted instructions move on. It stands still whenever
    /// the rig and the device talk to each other.
    Exact(Exact),
    /// The machine `virt` in the host's time.
    Live,
    /// A chip of Espressif's, on their fork of QEMU, in the host's time. Nothing in its firmware knows of
    /// a rig: it is reached by its serial port and its network.
    Espressif(Chip),
}

/// The clock of an exact machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exact {
    /// An instruction takes 2 to the power of this many nanoseconds; at most 10, as QEMU has it.
    pub icount_shift: u8,
}

/// A chip that Espressif's fork of QEMU emulates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chip {
    /// Two Xtensa cores.
    Esp32s3,
    /// One RISC-V core.
    Esp32c3,
}

impl Chip {
    /// What the fork calls its machine.
    pub fn name(self) -> &'static str {
        match self {
            Chip::Esp32s3 => "esp32s3",
            Chip::Esp32c3 => "esp32c3",
        }
    }

    fn binary(self) -> &'static str {
        match self {
            Chip::Esp32s3 => "qemu-system-xtensa",
            Chip::Esp32c3 => "qemu-system-riscv32",
        }
    }
}

/// A table of a rig file that a machine can do nothing with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lacking {
    /// The table as a rig file has it, such as `[[leds]]`.
    pub table: &'static str,
    /// Why it is of no use.
    pub reason: &'static str,
}

/// No machine of QEMU's can be had with them.
const NOWHERE: [Lacking; 2] = [
    Lacking { table: "[stress]", reason: "QEMU gives nobody a hand on its cores and their memory" },
    Lacking { table: "[air]", reason: "QEMU emulates no radio" },
];

/// What Espressif's fork lacks besides: its README, and registers that read as zero.
const NOT_ON_ESPRESSIF: [Lacking; 3] = [
    Lacking { table: "[[leds]]", reason: "Espressif's QEMU emulates neither the RMT nor the GPIO matrix" },
    Lacking { table: "[[pins]]", reason: "Espressif's QEMU emulates no GPIO matrix" },
    Lacking { table: "[scheduler]", reason: "nothing in an ESP32's firmware tells the rig of its tasks" },
];

impl Qemu {
    /// The tables that are of no use on this machine, with the reason.
    pub fn lacking(&self) -> impl Iterator<Item = Lacking> + use<> {
        let more: &[Lacking] = match self.board {
            QemuBoard::Exact(_) | QemuBoard::Live => &[],
            QemuBoard::Espressif(_) => &NOT_ON_ESPRESSIF,
        };
        NOWHERE.into_iter().chain(more.iter().copied())
    }

    /// Relative paths start at `root`, but a binary without a folder is looked up in `PATH`.
    pub(super) fn look_up(&mut self, root: &Path) {
        self.image = root.join(&self.image);
        if self.binary.components().count() > 1 {
            self.binary = root.join(&self.binary);
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQemu {
    preset: Option<Spanned<String>>,
    mode: Option<Spanned<String>>,
    binary: Option<Spanned<String>>,
    machine: Option<Spanned<String>>,
    memory_mib: Option<Number>,
    icount_shift: Option<Number>,
    image: Option<Spanned<String>>,
    #[serde(default)]
    arguments: Vec<Spanned<String>>,
}

/// Whose time the file wants.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Exact,
    Live,
}

/// A preset of the file: a machine of which everything else is known.
#[derive(Clone, Copy)]
enum Preset {
    Virt,
    Espressif(Chip),
}

impl RawQemu {
    /// The machine that the file describes for device `dut`.
    pub(super) fn check(self, place: &Place<'_>, dut: &str) -> Result<Qemu, RigFileError> {
        let preset = self.preset(place)?;
        let board = self.board(place, preset)?;
        let (binary, machine, image) = match preset {
            Preset::Virt => {
                (VIRT_BINARY, VIRT_MACHINE, format!("target/firmware/images/{dut}-qemu-virt.elf"))
            }
            Preset::Espressif(chip) => {
                let name = chip.name();
                (chip.binary(), name, format!("target/firmware/images/{dut}-{name}.bin"))
            }
        };
        Ok(Qemu {
            memory_mib: self.memory_mib(place, preset)?,
            binary: text(place, "binary", self.binary, binary)?.into(),
            machine: text(place, "machine", self.machine, machine)?,
            image: text(place, "image", self.image, &image)?.into(),
            arguments: arguments(place, self.arguments)?,
            board,
        })
    }

    fn preset(&self, place: &Place<'_>) -> Result<Preset, RigFileError> {
        let Some(preset) = &self.preset else { return Ok(Preset::Virt) };
        match preset.get_ref().as_str() {
            "virt" => Ok(Preset::Virt),
            "esp32s3" => Ok(Preset::Espressif(Chip::Esp32s3)),
            "esp32c3" => Ok(Preset::Espressif(Chip::Esp32c3)),
            other => {
                let instead = "write `preset = \"virt\"`, `\"esp32s3\"` or `\"esp32c3\"`";
                Err(place.error(preset.span().start, format!("`preset` is {other:?}"), instead))
            }
        }
    }

    fn board(&self, place: &Place<'_>, preset: Preset) -> Result<QemuBoard, RigFileError> {
        let mode = match self.mode.as_ref().map(|mode| (mode.span().start, mode.get_ref().as_str())) {
            None => None,
            Some((at, "exact")) => Some((at, Mode::Exact)),
            Some((at, "live")) => Some((at, Mode::Live)),
            Some((at, other)) => {
                let instead = "write `mode = \"exact\"` or `mode = \"live\"`";
                return Err(place.error(at, format!("`mode` is {other:?}"), instead));
            }
        };
        let board = match (preset, mode) {
            (Preset::Virt, None | Some((_, Mode::Exact))) => {
                let shift = optional(place, "icount_shift", self.icount_shift.as_ref(), 0..=10)?;
                return Ok(QemuBoard::Exact(Exact { icount_shift: shift.unwrap_or(ICOUNT_SHIFT) }));
            }
            (Preset::Virt, Some((_, Mode::Live))) => QemuBoard::Live,
            (Preset::Espressif(chip), None | Some((_, Mode::Live))) => QemuBoard::Espressif(chip),
            (Preset::Espressif(chip), Some((at, Mode::Exact))) => {
                let what = format!(
                    "`mode` is \"exact\", but an {} knows of no rig that it could wait for",
                    chip.name()
                );
                return Err(place.error(at, what, "write `mode = \"live\"`, or leave it out"));
            }
        };
        if let Some(shift) = &self.icount_shift {
            let what = "there is an `icount_shift`, but the device lives in the host's time";
            return Err(place.error(shift.span().start, what, "remove `icount_shift`"));
        }
        Ok(board)
    }

    fn memory_mib(&self, place: &Place<'_>, preset: Preset) -> Result<Option<u32>, RigFileError> {
        let given = self.memory_mib.as_ref();
        match (preset, given) {
            // The port's own layout needs most of the smallest; no port could use more than the largest.
            (Preset::Virt, _) => {
                Ok(Some(optional(place, "memory_mib", given, 16..=1_024)?.unwrap_or(VIRT_MEMORY_MIB)))
            }
            (Preset::Espressif(_), None) => Ok(None),
            (Preset::Espressif(Chip::Esp32c3), Some(given)) => {
                let what = "there is a `memory_mib`, but an ESP32-C3 has no external memory";
                Err(place.error(given.span().start, what, "remove `memory_mib`"))
            }
            (Preset::Espressif(Chip::Esp32s3), Some(given)) => {
                let mib = number(place, "memory_mib", given, 1..=1_024)?;
                if PSRAM_MIB.contains(given.get_ref()) {
                    return Ok(Some(mib));
                }
                let what = format!("`memory_mib = {mib}` is no size of an ESP32-S3's external memory");
                Err(place.error(given.span().start, what, "write 2, 4, 8, 16 or 32, or leave it out"))
            }
        }
    }
}

/// A text that becomes an argument of a process: `otherwise` if the file does not say.
fn text(
    place: &Place<'_>,
    key: &str,
    given: Option<Spanned<String>>,
    otherwise: &str,
) -> Result<String, RigFileError> {
    let Some(given) = given else { return Ok(otherwise.to_owned()) };
    if given.get_ref().is_empty() {
        let instead = format!("leave it out, or write, for example, `{key} = {otherwise:?}`");
        return Err(place.error(given.span().start, format!("`{key}` is empty"), instead));
    }
    printable(place, key, given)
}

/// No process can be handed a NUL, and no message should carry an escape sequence.
fn printable(place: &Place<'_>, key: &str, given: Spanned<String>) -> Result<String, RigFileError> {
    if given.get_ref().contains(char::is_control) {
        let what = format!("`{key}` holds a control character");
        return Err(place.error(given.span().start, what, "remove the character"));
    }
    Ok(given.into_inner())
}

fn arguments(place: &Place<'_>, given: Vec<Spanned<String>>) -> Result<Vec<String>, RigFileError> {
    let checked = given.into_iter().map(|argument| {
        // QEMU takes one dash or two.
        if argument.get_ref().trim_start_matches('-') == "daemonize" {
            let what = "`-daemonize` would leave QEMU behind when the run ends";
            return Err(place.error(argument.span().start, what, "remove the argument"));
        }
        printable(place, "arguments", argument)
    });
    checked.collect()
}

/// Refuses keys of `[net]` that the link to a `board` cannot have.
pub(super) fn check_net(place: &Place<'_>, net: &RawNet, board: &QemuBoard) -> Result<(), RigFileError> {
    if let Some(via) = net.via.as_ref().filter(|via| via.get_ref() == "access-point") {
        let what = "`via` is \"access-point\", but QEMU emulates no radio";
        return Err(place.error(via.span().start, what, "write `via = \"wire\"`"));
    }
    let (keys, why) = match board {
        QemuBoard::Exact(_) => {
            let forward = net.forward.values().next();
            (vec![("forward", forward)], "in its own time the device cannot be reached from the host")
        }
        QemuBoard::Live | QemuBoard::Espressif(_) => {
            let keys = vec![("latency_us", net.latency_us.as_ref()), ("mbit_per_s", net.mbit_per_s.as_ref())];
            (keys, "in the host's time the host's network is the link")
        }
    };
    match keys.into_iter().find_map(|(key, value)| Some((key, value?))) {
        None => Ok(()),
        Some((key, value)) => {
            let what = format!("there is a `{key}`, but {why}");
            Err(place.error(value.span().start, what, format!("remove `{key}`")))
        }
    }
}

#[cfg(test)]
mod tests;
