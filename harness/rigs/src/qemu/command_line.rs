//! What QEMU is told. Everything here is a function of its arguments alone.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::fd::RawFd;
use std::path::Path;

use super::forward::Forward;
use crate::file::{Chip, Exact};

/// The descriptors that the emulator finds open. The device opens its ends of the pipes itself, by
/// semihosting, as `/dev/fd/10` to write and `/dev/fd/11` to read.
pub(super) const BELL: RawFd = 10;
/// Answers to the bell.
pub(super) const ANSWER: RawFd = 11;
/// The memory of a device of ours, or the flash chip of one of Espressif's.
pub(super) const MEMORY: RawFd = 12;
/// A socket: the UART of a chip of Espressif's.
pub(super) const CONSOLE: RawFd = 13;
/// The fuses of a chip of Espressif's.
pub(super) const FUSES: RawFd = 14;

/// Whose time a machine lives in, and what comes with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Time<'a> {
    /// Its own. Nothing of the host's reaches it but through memory and bell.
    Exact(Exact),
    /// The host's, with a network.
    Live(&'a [Forward]),
}

/// One start of a machine of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Launch<'a> {
    /// The emulator: what [`installed`](super::installed) has found.
    pub(crate) binary: &'a Path,
    /// What `-machine` is told.
    pub(crate) machine: &'a str,
    /// An ELF file.
    pub(crate) image: &'a Path,
    /// Come after all others.
    pub(crate) arguments: &'a [String],
    /// Whose time it lives in.
    pub(crate) time: Time<'a>,
}

/// One start of a chip of Espressif's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EspressifLaunch<'a> {
    /// The emulator: what [`installed`](super::installed) has found.
    pub(crate) binary: &'a Path,
    /// What `-machine` is told.
    pub(crate) machine: &'a str,
    /// The chip that this machine is.
    pub(crate) chip: Chip,
    /// External memory.
    pub(crate) memory_mib: Option<u32>,
    /// Ports that lead to the device.
    pub(crate) forwards: &'a [Forward],
    /// Come after all others.
    pub(crate) arguments: &'a [String],
}

/// The arguments for a machine of ours with a memory of `bytes`.
pub(super) fn virt(launch: &Launch<'_>, bytes: usize) -> Vec<OsString> {
    let Launch { machine, time, .. } = launch;
    let mut line = Line::default();
    // The harness is its only user: no window, no monitor, no devices but those that are named here, and
    // nothing that a configuration of the user's adds.
    line.add("-display none -nodefaults -no-user-config -monitor none");
    line.add(&format!("-machine {machine},memory-backend=ram -smp 1 -m {bytes}B"));
    line.add(&format!("-object memory-backend-file,id=ram,size={bytes}B,mem-path=/dev/fd/{MEMORY},share=on"));
    // What it prints is among its records.
    line.add("-semihosting-config enable=on,target=native -serial none");
    match time {
        Time::Exact(Exact { icount_shift }) => {
            // Without sleep, time in which the device waits is skipped. Its calendar and what it takes for
            // chance come from the host otherwise.
            line.add(&format!(
                "-icount shift={icount_shift},sleep=off -rtc base=2000-01-01,clock=vm -seed 1"
            ));
        }
        Time::Live(forwards) => {
            line.add(&format!("-netdev user,id=net,restrict=on{}", forwarded(forwards)));
            line.add("-global virtio-mmio.force-legacy=false");
            line.add("-device virtio-net-device,netdev=net,bus=virtio-mmio-bus.0");
        }
    }
    line.add("-bios").path(launch.image).rest(launch.arguments)
}

/// The arguments for a chip of Espressif's, as ESP-IDF has them (`tools/idf_py_actions/qemu_ext.py`).
pub(super) fn espressif(launch: &EspressifLaunch<'_>) -> Vec<OsString> {
    let chip = launch.chip.name();
    let mut line = Line::default();
    line.add("-nographic -no-user-config -monitor none");
    line.add(&format!("-machine {}", launch.machine));
    if let Some(mib) = launch.memory_mib {
        line.add(&format!("-m {mib}M"));
    }
    if launch.chip == Chip::Esp32c3 {
        // Its timers run too fast for its software otherwise (Espressif's documentation).
        line.add("-icount 3");
    }
    line.add(&format!("-drive file=/dev/fd/{MEMORY},if=mtd,format=raw"));
    line.add(&format!("-drive file=/dev/fd/{FUSES},if=none,format=raw,id=efuse"));
    line.add(&format!("-global driver=nvram.{chip}.efuse,property=drive,value=efuse"));
    // The watchdogs of an ESP32-S3 have this name or the next one, by the fork's version; QEMU only warns of
    // the one that it does not know.
    if launch.chip == Chip::Esp32s3 {
        line.add("-global driver=timer.esp32s3.timg,property=wdt_disable,value=true");
    }
    line.add("-global driver=timer.esp32c3.timg,property=wdt_disable,value=true");
    line.add(&format!("-nic user,model=open_eth,id=net,restrict=on{}", forwarded(launch.forwards)));
    line.add(&format!("-chardev socket,id=console,fd={CONSOLE} -serial chardev:console"));
    line.rest(launch.arguments)
}

fn forwarded(forwards: &[Forward]) -> String {
    forwards.iter().fold(String::new(), |mut text, Forward { host, device }| {
        // A text takes whatever is written to it.
        let _ = write!(text, ",hostfwd=tcp:127.0.0.1:{host}-:{device}");
        text
    })
}

/// A command line that grows.
#[derive(Default)]
struct Line(Vec<OsString>);

impl Line {
    /// Arguments without blanks, separated by them.
    fn add(&mut self, words: &str) -> &mut Self {
        self.0.extend(words.split(' ').map(OsString::from));
        self
    }

    fn path(&mut self, path: &Path) -> &mut Self {
        self.0.push(path.into());
        self
    }

    fn rest(&mut self, arguments: &[String]) -> Vec<OsString> {
        self.0.extend(arguments.iter().map(OsString::from));
        std::mem::take(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORWARDS: [Forward; 2] =
        [Forward { host: 18_000, device: 80 }, Forward { host: 18_080, device: 8080 }];

    fn told(arguments: &[OsString]) -> String {
        arguments.iter().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    fn launch(time: Time<'_>) -> Launch<'_> {
        let (binary, image) = (Path::new("/usr/bin/qemu"), Path::new("/a b/k1,v2.elf"));
        Launch { binary, machine: "virt", image, arguments: &[], time }
    }

    #[test]
    fn an_exact_machine_has_nothing_of_the_host_s() {
        let arguments = virt(&launch(Time::Exact(Exact { icount_shift: 3 })), 67_108_864);
        assert_eq!(
            told(&arguments),
            "-display none -nodefaults -no-user-config -monitor none \
             -machine virt,memory-backend=ram -smp 1 -m 67108864B \
             -object memory-backend-file,id=ram,size=67108864B,mem-path=/dev/fd/12,share=on \
             -semihosting-config enable=on,target=native -serial none \
             -icount shift=3,sleep=off -rtc base=2000-01-01,clock=vm -seed 1 \
             -bios /a b/k1,v2.elf"
        );
        // A path is one argument, whatever it holds.
        assert_eq!(arguments.last(), Some(&"/a b/k1,v2.elf".into()));
    }

    #[test]
    fn a_live_machine_has_a_network_of_the_loopback_interface_only() {
        let own = ["-d".to_owned(), "in asm".to_owned()];
        let launch = Launch { arguments: &own, ..launch(Time::Live(&FORWARDS)) };
        let arguments = virt(&launch, 16_777_216);
        assert_eq!(
            told(&arguments),
            "-display none -nodefaults -no-user-config -monitor none \
             -machine virt,memory-backend=ram -smp 1 -m 16777216B \
             -object memory-backend-file,id=ram,size=16777216B,mem-path=/dev/fd/12,share=on \
             -semihosting-config enable=on,target=native -serial none \
             -netdev user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:18000-:80,hostfwd=tcp:127.0.0.1:18080-:8080 \
             -global virtio-mmio.force-legacy=false -device virtio-net-device,netdev=net,bus=virtio-mmio-bus.0 \
             -bios /a b/k1,v2.elf -d in asm"
        );
        assert_eq!(arguments.last(), Some(&"in asm".into()));
    }

    #[test]
    fn a_chip_of_espressif_s_is_told_what_their_documentation_says() {
        let s3 = EspressifLaunch {
            binary: Path::new("/usr/bin/qemu"),
            machine: "esp32s3",
            chip: Chip::Esp32s3,
            memory_mib: Some(8),
            forwards: &FORWARDS[..1],
            arguments: &["-s".to_owned()],
        };
        assert_eq!(
            told(&espressif(&s3)),
            "-nographic -no-user-config -monitor none -machine esp32s3 -m 8M \
             -drive file=/dev/fd/12,if=mtd,format=raw -drive file=/dev/fd/14,if=none,format=raw,id=efuse \
             -global driver=nvram.esp32s3.efuse,property=drive,value=efuse \
             -global driver=timer.esp32s3.timg,property=wdt_disable,value=true \
             -global driver=timer.esp32c3.timg,property=wdt_disable,value=true \
             -nic user,model=open_eth,id=net,restrict=on,hostfwd=tcp:127.0.0.1:18000-:80 \
             -chardev socket,id=console,fd=13 -serial chardev:console -s"
        );
        let c3 = EspressifLaunch {
            machine: "esp32c3",
            chip: Chip::Esp32c3,
            memory_mib: None,
            forwards: &[],
            arguments: &[],
            ..s3
        };
        assert_eq!(
            told(&espressif(&c3)),
            "-nographic -no-user-config -monitor none -machine esp32c3 -icount 3 \
             -drive file=/dev/fd/12,if=mtd,format=raw -drive file=/dev/fd/14,if=none,format=raw,id=efuse \
             -global driver=nvram.esp32c3.efuse,property=drive,value=efuse \
             -global driver=timer.esp32c3.timg,property=wdt_disable,value=true \
             -nic user,model=open_eth,id=net,restrict=on \
             -chardev socket,id=console,fd=13 -serial chardev:console"
        );
    }
}
