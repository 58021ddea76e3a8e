//! A chip of Espressif's in a process of their QEMU: reached by its serial port and its network, as a board
//! on the desk is. The fork runs on few machines, so this is tested against a stand-in, and was never run
//! against the fork itself.

mod device;
mod printing;

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use rigor_core::rig::Parts;
use rigor_core::verdict::RigError;
use rigor_core::{Rig, Timeline};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};

use super::command_line::{CONSOLE, EspressifLaunch, FUSES, MEMORY, espressif};
use super::error::{QemuError, When};
use super::forward::ways;
use super::live::loopback::Loopback;
use super::parts::Handle;
use super::process::Process;
use super::ram::GuestRam;
use super::version::{emulates, installed};
use crate::Order;
use crate::file::{Chip, Qemu};
use device::{ChipDevice, ChipMachine};

/// What a flash chip may have (the fork's README), in MiB.
const FLASH_MIB: [u64; 4] = [2, 4, 8, 16];
/// The fuses of both chips (the fork's README).
const FUSE_BYTES: usize = 1024;
/// Where fuses say the chip's revision, and 0.3 there. ESP-IDF refuses chips that say none.
const REVISION: (usize, u8) = (0x26, 0x0C);

/// How to get their QEMU.
const INSTALL: &str = "install Espressif's QEMU (idf_tools.py install qemu-xtensa qemu-riscv32, of ESP-IDF), and name \
                       it in `binary` of the rig file if it is not in PATH";
/// Bits per second of a console that the rig file does not have.
const NO_CONSOLE_BAUD: u32 = 115_200;

/// A chip of its own for every call: without power if the rig has a switch, else switched on.
///
/// # Errors
/// [`RigError`] if there is no emulator or no image of a whole flash chip, if the host has no port for it, or if
/// a fault is wanted: nobody can give one to an image that somebody else has built.
pub(super) fn take(order: &Order<'_>, qemu: &Qemu, chip: Chip) -> Result<Rig, RigError> {
    let file = order.file;
    if let Some(fault) = order.fault {
        return Err(RigError(format!(
            "an {} runs the image that it is given, and can have no fault of the {}; choose another rig for it",
            chip.name(),
            fault.family()
        )));
    }
    let machine = ChipMachine {
        binary: emulator(qemu)?,
        name: qemu.machine.clone(),
        chip,
        memory_mib: qemu.memory_mib,
        arguments: qemu.arguments.clone(),
    };
    let kept = Kept::new(&qemu.image)?;
    let timeline = Timeline::new();
    let baud = file.console.as_ref().map_or(NO_CONSOLE_BAUD, |console| console.baud);
    let byte_time = Duration::from_nanos(10_000_000_000 / u64::from(baud.max(1)));
    let net = Loopback::new(ways(file)?, &timeline, file.uncertainty());
    let forwards = net.addresses();
    let device = ChipDevice::new(
        machine,
        kept,
        net.clone(),
        &timeline,
        byte_time,
        file.uncertainty(),
        order.interrupt.clone(),
    );
    let (console, device_source) = (device.console(), device.source());
    let handle = Handle::new(device, file)?;
    let parts = Parts {
        console: file.console.as_ref().map(|_| handle.console(console)),
        power: file.power.as_ref().map(|_| handle.power(device_source)),
        reset: file.reset.as_ref().map(|_| handle.pin()),
        // Nothing tells when the chip is busy.
        flash: file.flash.as_ref().map(|_| handle.programmer(None)),
        net: file.net.as_ref().map(|_| Rc::new(net) as Rc<_>),
        ports: file.net.iter().flat_map(|net| net.ports.clone()).collect(),
        forwards,
        lacking: file.lacking(),
        ..Parts::default()
    };
    Ok(Rig { name: file.name.clone(), fidelity: file.fidelity(), timeline, parts, drive: Box::new(handle) })
}

/// Where their QEMU is.
fn emulator(qemu: &Qemu) -> Result<std::path::PathBuf, RigError> {
    let lacks = |what: String| RigError(format!("{what}; {INSTALL}"));
    match installed(&qemu.binary) {
        Ok(found) if emulates(&found.path, &qemu.machine) => Ok(found.path),
        Ok(found) => {
            let (path, version) = (found.path.display(), found.version);
            Err(lacks(format!("`{path}`, QEMU {version}, has no machine `{}`", qemu.machine)))
        }
        // Its words on how to get QEMU are about that of the distributions, which lacks these machines.
        Err(QemuError::NotFound { binary }) => Err(lacks(format!(
            "`{}` is not there, and the rig needs it to emulate an {}",
            binary.display(),
            qemu.machine
        ))),
        Err(other) => Err(other.into()),
    }
}

/// What a chip keeps without supply.
pub(crate) struct Kept {
    /// The flash chip: a copy, so that no run changes the image.
    pub(crate) flash: GuestRam,
    fuses: GuestRam,
}

impl Kept {
    /// That of a new board with `image` in its flash.
    ///
    /// # Errors
    /// [`QemuError::Image`] if it cannot be read, [`QemuError::FlashSize`] if no flash chip has its size.
    pub(crate) fn new(image: &Path) -> Result<Self, QemuError> {
        let shown = image.display().to_string();
        let unreadable =
            |why: std::io::Error| QemuError::Image { image: shown.clone(), why: why.to_string() };
        let file = File::open(image).map_err(unreadable)?;
        let mib = |mib: u64| mib * 1024 * 1024;
        // One byte too many tells a file that is too large, were it endless.
        let (mut bytes, largest) = (Vec::new(), mib(FLASH_MIB[FLASH_MIB.len() - 1]));
        file.take(largest + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if !FLASH_MIB.map(mib).contains(&(bytes.len() as u64)) {
            return Err(QemuError::FlashSize { image: shown, bytes: bytes.len() as u64 });
        }
        let flash = GuestRam::new(bytes.len())?;
        flash.write(0, &bytes)?;
        let fuses = GuestRam::new(FUSE_BYTES)?;
        let (at, revision) = REVISION;
        fuses.write(at, &[revision])?;
        Ok(Kept { flash, fuses })
    }
}

/// A chip that runs. Without supply once it is dropped.
pub(crate) struct Board {
    process: Process,
    console: OwnedFd,
    /// The other end of the console is closed.
    is_silent: bool,
}

impl Board {
    /// Switches it on.
    ///
    /// # Errors
    /// [`QemuError::Host`] if there is no such process. What QEMU does not like is told by
    /// [`check`](Self::check) as soon as it has died of it.
    pub(crate) fn start(launch: &EspressifLaunch<'_>, kept: &Kept) -> Result<Self, QemuError> {
        let (console, theirs) = uart()?;
        let handed = [(MEMORY, kept.flash.file()), (CONSOLE, theirs.as_fd()), (FUSES, kept.fuses.file())];
        let process = Process::start(launch.binary, &espressif(launch), &handed)?;
        Ok(Board { process, console, is_silent: false })
    }

    /// Waits until its console has something, for `limit` at most.
    ///
    /// # Errors
    /// [`QemuError::Host`] if the host cannot wait.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<(), QemuError> {
        self.process.wait(self.console.as_fd(), limit).map(|_| ())
    }

    /// What UART 0 has sent, at most so many bytes. Never waits.
    pub(crate) fn hear(&mut self, at_most: usize) -> Vec<u8> {
        let mut bytes = vec![0; at_most];
        let count = match rustix::io::read(&self.console, &mut bytes) {
            Ok(count) => {
                self.is_silent = count == 0;
                count
            }
            Err(Errno::AGAIN | Errno::INTR) => 0,
            // It has died of something, which is found elsewhere.
            Err(_) => {
                self.is_silent = true;
                0
            }
        };
        bytes.truncate(count);
        bytes
    }

    /// Sends `bytes` to UART 0 as far as it takes them; how many those are. Never waits.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> usize {
        // A socket without another end is no reason for a signal.
        send(&self.console, bytes, SendFlags::NOSIGNAL).unwrap_or(0)
    }

    /// Takes in what QEMU says, and whether it still runs.
    ///
    /// # Errors
    /// [`QemuError::Died`].
    pub(crate) fn check(&mut self) -> Result<(), QemuError> {
        self.process.listen();
        match self.process.ended() {
            Some(_) => Err(self.process.obituary(When::Sometime)),
            None => Ok(()),
        }
    }

    /// Switches it off at once, as a power cut does.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }
}

/// Both ends of a UART: ours, which does not block, and the emulator's.
fn uart() -> Result<(OwnedFd, OwnedFd), QemuError> {
    let refused = |error: Errno| QemuError::Host {
        what: "a socket to its UART",
        why: error.to_string(),
        remedy: "close other files, or raise their limit (ulimit -n)",
    };
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).map_err(refused)?;
    ioctl_fionbio(&ours, true).map_err(refused)?;
    Ok((ours, theirs))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::super::forward::Forward;
    use super::super::stand_in;
    use super::*;
    use crate::fault::Model;
    use crate::{Firmwares, RigFile};

    pub(super) const PATIENCE: Duration = Duration::from_secs(60);

    /// An image without a name, and its path.
    pub(super) fn image(bytes: u64) -> (OwnedFd, std::path::PathBuf) {
        let file =
            rustix::fs::memfd_create("rigor-test-flash", rustix::fs::MemfdFlags::CLOEXEC).expect("a file");
        rustix::fs::ftruncate(&file, bytes).expect("room");
        rustix::io::pwrite(&file, b"boot", 0).expect("room");
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        (file, path.into())
    }

    fn launch(binary: &Path) -> EspressifLaunch<'_> {
        EspressifLaunch {
            binary,
            machine: "esp32s3",
            chip: Chip::Esp32s3,
            memory_mib: None,
            forwards: &[Forward { host: 18_000, device: 80 }],
            arguments: &[],
        }
    }

    /// What comes from the console until `end`.
    fn printed(board: &mut Board, end: &str) -> String {
        let (until, mut text) = (Instant::now() + PATIENCE, String::new());
        while !text.ends_with(end) {
            assert!(Instant::now() < until, "only {text:?}");
            board.check().expect("it runs");
            board.wait(Duration::from_millis(2)).expect("the host can wait");
            text.push_str(&String::from_utf8_lossy(&board.hear(64)));
        }
        text
    }

    #[test]
    fn a_power_cut_leaves_the_flash_chip_and_no_run_the_image() {
        let (file, path) = image(2 * 1024 * 1024);
        let kept = Kept::new(&path).expect("a flash chip");
        let binary = stand_in("esp-that-talks");
        for _ in 0..2 {
            let mut board = Board::start(&launch(&binary), &kept).expect("a process");
            assert_eq!(printed(&mut board, "\n"), "boot0c\n");
            let until = Instant::now() + PATIENCE;
            let mut written = [0];
            while &written != b"x" {
                assert!(Instant::now() < until, "nothing is written");
                kept.flash.read(4, &mut written).expect("within");
            }
            board.kill();
            assert!(board.check().expect_err("it is off").to_string().contains("was killed"));
            assert_eq!(kept.flash.size(), 2 * 1024 * 1024);
        }
        let mut word = [0; 5];
        rustix::io::pread(&file, &mut word, 0).expect("the image");
        assert_eq!(&word, b"boot\0");
    }

    #[test]
    fn one_that_dies_says_why() {
        let (_file, path) = image(2 * 1024 * 1024);
        let kept = Kept::new(&path).expect("a flash chip");
        let binary = stand_in("dies-at-start");
        let mut board = Board::start(&launch(&binary), &kept).expect("a process");
        let until = Instant::now() + PATIENCE;
        let told = loop {
            match board.check() {
                Ok(()) => assert!(Instant::now() < until, "it lives"),
                Err(told) => break told.to_string(),
            }
        };
        assert!(told.starts_with("QEMU ended with exit code 1 by itself; it said: "), "{told}");
        assert!(told.contains("idf_tools.py install qemu-xtensa qemu-riscv32"), "{told}");
    }

    /// A rig file with these lines in `[qemu]`, and the fault that is wanted.
    fn taken(keys: &str, fault: Option<&Model>) -> Result<Rig, String> {
        let (file, path) = image(4 * 1024 * 1024);
        let text = format!(
            "schema = 1\nname = \"c3\"\ndut = \"toy\"\nback_end = \"qemu\"\n[qemu]\npreset = \"esp32c3\"\n\
             image = {:?}\n{keys}\n[console]\nbaud = 115200\n[power]\n[reset]\n[flash]\n[net]\n\
             ports = {{ f = 80 }}\n",
            path
        );
        let rig = RigFile::parse("c3.toml", &text).unwrap_or_else(|error| panic!("{error}"));
        let (firmwares, interrupt) = (Firmwares::default(), Arc::default());
        let order = Order { fault, ..Order::new(&rig, &firmwares, 1, &interrupt) };
        let taken = crate::take(&order).map_err(|refusal| refusal.to_string());
        drop(file);
        taken
    }

    fn fork() -> String {
        format!("binary = {:?}", stand_in("qemu-of-espressif"))
    }

    #[test]
    fn a_chip_is_taken_with_the_parts_that_it_has() {
        let mut rig = taken(&fork(), None).expect("a rig");
        let parts = rig.parts.clone();
        assert!(parts.reset.is_some() && parts.flash.is_some() && parts.net.is_some());
        assert!(parts.scheduler.is_none() && parts.leds.is_empty() && parts.gauges.is_empty());
        for (table, why) in [
            ("[[leds]]", "RMT"),
            ("[[pins]]", "GPIO"),
            ("[scheduler]", "tasks"),
            ("[stress]", ""),
            ("[air]", "radio"),
        ] {
            assert!(parts.lacking[table].contains(why), "{table}: {:?}", parts.lacking);
        }
        let console = parts.console.expect("a console");
        parts.power.expect("a switch").on().expect("a process");
        let said = |rig: &Rig| {
            let events =
                rig.timeline.events(console.source(), rigor_core::Instant::ZERO, rigor_core::Instant::MAX);
            let bytes = events.into_iter().flat_map(|event| match event.kind {
                rigor_core::Kind::Serial(serial) => serial.bytes.to_vec(),
                _ => Vec::new(),
            });
            String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
        };
        let mut hear = |wanted: &str| {
            let until = rig.timeline.now() + PATIENCE;
            while !said(&rig).contains(wanted) {
                assert!(rig.timeline.now() < until, "only {:?}", said(&rig));
                let soon = rig.timeline.now() + Duration::from_millis(5);
                rig.drive.run(soon, &|| false).expect("it runs");
            }
        };
        hear("ready\n");
        console.write(b"STATUS\n").expect("a wire");
        hear("heard STATUS\n");
        let told = said(&rig);
        let port = rig.parts.forwards["f"].port();
        assert!(
            told.starts_with("told -nographic -no-user-config -monitor none -machine esp32c3 -icount 3 "),
            "{told}"
        );
        assert!(told.contains(&format!(",hostfwd=tcp:127.0.0.1:{port}-:80 ")), "{told}");
    }

    #[test]
    fn what_is_missing_for_a_chip_is_said_with_how_to_get_it() {
        let refused = |keys: &str| taken(keys, None).err().expect("no rig");
        let none = refused("binary = \"no-such-emulator\"");
        assert!(none.contains("to emulate an esp32c3; install Espressif's QEMU (idf_tools.py"), "{none}");
        // As that of a distribution is, which has the same name.
        let other = refused(&format!("binary = {:?}", stand_in("exchanges")));
        assert!(other.contains("QEMU 7.2.22, has no machine `esp32c3`; install Espressif's QEMU"), "{other}");
        let model = Model::Firmware("red-first".to_owned());
        let fault = taken(&fork(), Some(&model)).err().expect("no rig");
        assert!(fault.contains("can have no fault of the firmware; choose another rig"), "{fault}");
    }

    #[test]
    fn an_image_has_the_size_of_a_chip() {
        for mib in [2, 4, 8, 16] {
            Kept::new(&image(mib * 1024 * 1024).1)
                .map(|_| ())
                .unwrap_or_else(|error| panic!("{mib}: {error}"));
        }
        for bytes in [4, 3 * 1024 * 1024, 16 * 1024 * 1024 + 1, 1 << 40] {
            let (_file, path) = image(bytes);
            let told = Kept::new(&path).err().expect("no size of a chip").to_string();
            assert!(told.contains("has exactly 2, 4, 8 or 16 MiB: write the image with"), "{told}");
        }
        let told = Kept::new(Path::new("/no/such/image.bin")).err().expect("no file").to_string();
        assert!(told.starts_with("/no/such/image.bin: No such file") && told.contains("build it"), "{told}");
    }
}
