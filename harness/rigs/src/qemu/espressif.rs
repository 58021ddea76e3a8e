//! A chip of Espressif's in a process of their QEMU: reached by its serial port and its network, as a board
//! on the desk is. The fork runs on few machines, so this is tested against a stand-in.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::command_line::{CONSOLE, EspressifLaunch, FUSES, MEMORY, espressif};
use super::error::{QemuError, When};
use super::guest::uart;
use super::process::Process;
use super::ram::GuestRam;

/// What a flash chip may have (the fork's README), in MiB.
const FLASH_MIB: [u64; 4] = [2, 4, 8, 16];
/// The fuses of both chips (the fork's README).
const FUSE_BYTES: usize = 1024;
/// Where fuses say the chip's revision, and 0.3 there. ESP-IDF refuses chips that say none.
const REVISION: (usize, u8) = (0x26, 0x0C);

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
        Ok(Board { process, console })
    }

    /// The harness' end of UART 0, a socket that does not block.
    pub(crate) fn console(&self) -> &OwnedFd {
        &self.console
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

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::{Duration, Instant};

    use super::super::forward::Forward;
    use super::super::stand_in;
    use super::*;
    use crate::file::Chip;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// An image without a name, and its path.
    fn image(bytes: u64) -> (OwnedFd, std::path::PathBuf) {
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
            let mut bytes = [0; 64];
            match rustix::io::read(board.console(), &mut bytes) {
                Ok(count) => text.push_str(&String::from_utf8_lossy(&bytes[..count])),
                Err(_) => thread::sleep(Duration::from_millis(2)),
            }
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
