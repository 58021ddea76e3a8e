//! Against the simulated loader of a chip, which esptool takes for one.

use std::cell::Cell;
use std::time::Instant;

use rigor_esp_loader::{FlashChip, FlashFailed, Loader, MemoryFlash};

use super::*;

const SIZE: u32 = 4 << 20;

/// A chip at the end of a line, and how much of its flash it had to give.
struct Chips<'a> {
    loader: Loader<Counted<'a>>,
    said: Vec<u8>,
}

struct Counted<'a> {
    flash: MemoryFlash,
    written: &'a Cell<u32>,
}

impl FlashChip for Counted<'_> {
    fn size(&self) -> u32 {
        self.flash.size()
    }
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashFailed> {
        self.flash.read(address, bytes)
    }
    fn erase(&mut self, address: u32, length: u32) -> Result<(), FlashFailed> {
        self.flash.erase(address, length)
    }
    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashFailed> {
        self.written.set(self.written.get() + bytes.len() as u32);
        self.flash.program(address, bytes)
    }
}

impl<'a> Chips<'a> {
    fn new(chip: rigor_esp_loader::Chip, written: &'a Cell<u32>) -> Self {
        let flash = Counted { flash: MemoryFlash::new((SIZE / 0x1000) as u16), written };
        let mut loader = Loader::new(chip, [2, 0, 0, 0, 0, 1], flash);
        loader.enter_download();
        Chips { loader, said: Vec::new() }
    }
}

impl Line for Chips<'_> {
    fn send(&mut self, bytes: &[u8]) {
        self.said.extend(bytes);
        self.loader.receive(bytes);
    }
    fn receive(&mut self, _: Instant) -> Vec<u8> {
        self.loader.take_said()
    }
}

fn bytes(length: u32, seed: u32) -> Vec<u8> {
    (0..length).map(|index| (index.wrapping_mul(seed) >> 7) as u8).collect()
}

fn run(line: &mut Chips<'_>, chip: Chip, job: Job<'_>) -> Result<Vec<u8>, LoaderError> {
    line.loader.enter_download();
    serve(line, chip, job, &|| false)
}

#[test]
fn what_is_written_is_read_again_on_every_chip_and_only_what_differs_is_written() {
    for (simulated, chip) in [
        (rigor_esp_loader::Chip::Esp32S3, Chip::Esp32s3),
        (rigor_esp_loader::Chip::Esp32C3, Chip::Esp32c3),
        (rigor_esp_loader::Chip::Esp32C6, Chip::Esp32c6),
    ] {
        let written = Cell::new(0);
        let mut line = Chips::new(simulated, &written);
        let mut expected = vec![0xFF; 0x3_0000];
        // Neither end is that of a sector.
        let first = bytes(0x1_2345, 2_654_435_761);
        expected[0x1234..0x1234 + first.len()].copy_from_slice(&first);
        run(&mut line, chip, Job::Write(0x1234, &first)).expect("written");
        assert_eq!(run(&mut line, chip, Job::Read(0, 0x3_0000)).expect("read"), expected);
        // A sector in the middle of it changes.
        let second = bytes(0x1000, 40_503);
        expected[0x5000..0x6000].copy_from_slice(&second);
        written.set(0);
        run(&mut line, chip, Job::Write(0x1234, &expected[0x1234..0x1234 + first.len()])).expect("written");
        assert_eq!(written.get(), 0x1000, "of {} bytes", first.len());
        assert_eq!(run(&mut line, chip, Job::Read(0x4FFF, 0x1002)).expect("read"), expected[0x4FFF..0x6001]);
    }
}

#[test]
fn what_is_known_and_what_is_blank_is_not_read() {
    let written = Cell::new(0);
    let mut line = Chips::new(rigor_esp_loader::Chip::Esp32S3, &written);
    let sector = bytes(0x1000, 97);
    run(&mut line, Chip::Esp32s3, Job::Write(0x2_0000, &sector)).expect("written");
    for reads in [64, 0] {
        line.said.clear();
        run(&mut line, Chip::Esp32s3, Job::Read(0, SIZE)).expect("read");
        // The number of the request for 64 bytes of the flash.
        let asked = line.said.windows(3).filter(|window| *window == [0xC0, 0, 0x0E]).count();
        assert!(asked <= reads, "{asked} pieces were read, and not {reads}");
    }
}

#[test]
fn what_cannot_be_is_said_with_a_remedy() {
    let written = Cell::new(0);
    let mut line = Chips::new(rigor_esp_loader::Chip::Esp32C3, &written);
    let told = run(&mut line, Chip::Esp32s3, Job::Read(0, 1)).expect_err("another chip").to_string();
    assert!(told.contains("number 0x5") && told.contains("`esp32s3`"), "{told}");
    let told = run(&mut line, Chip::Esp32c3, Job::Read(SIZE - 1, 2)).expect_err("no such address");
    assert_eq!(told, LoaderError::Beyond { address: SIZE - 1, length: 2, size: SIZE });
    let told = run(&mut line, Chip::Esp32c3, Job::Write(u32::MAX, &[0; 2])).expect_err("no such address");
    assert!(matches!(told, LoaderError::Beyond { .. }), "{told}");
    line.loader.enter_download();
    let over = serve(&mut line, Chip::Esp32c3, Job::Read(0, 1), &|| true);
    assert_eq!(over, Err(LoaderError::Interrupted));
    assert_eq!(written.get(), 0);
}
