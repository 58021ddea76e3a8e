//! The loader over a pseudo-terminal: flashing by stub and by ROM, on the simulated loader of `rigor-esp-loader`, and
//! what becomes of it when the line, the loader or whoever else is there misbehaves.
//!
//! The images are those of the other test.

mod elf;
#[path = "../flashing/images.rs"]
#[allow(dead_code)]
mod images;
mod misbehaving;
mod nobody;

use std::time::Duration;

use rigor_esp_loader::{Boot, Chip as Simulated, Loader, MemoryFlash, Server};
use rigor_flasher::{
    Chip, FlashError, FlashImage, Outcome, Patience, Programmer, SerialLoader, SerialSettings, Software,
    Start, flash,
};
use rigor_pty::Pty;
use rstest::rstest;

use images::merged;

/// 4 MiB.
const SECTORS: u16 = 1024;
/// Of an image of about 1 MiB, less what the partition does not take.
const CODE: usize = 900_000;

/// A board that waits in its loader, with this flash.
fn board(chip: Simulated, flash: MemoryFlash) -> Server<MemoryFlash> {
    let mut loader = Loader::new(chip, [0x24, 0x0A, 0xC4, 0, 0, 1], flash);
    loader.enter_download();
    Server::start(loader, Pty::open().expect("a pseudo-terminal"), Boot::Download)
}

fn settings(board: &Server<MemoryFlash>, software: Software) -> SerialSettings {
    let mut settings = SerialSettings::new(board.path());
    settings.software = software;
    // It only ends a hang: this machine may be busy.
    settings.patience = Patience { sync: Duration::from_secs(60), sign: Duration::from_secs(60) };
    settings
}

fn put(settings: SerialSettings, image: &FlashImage) -> Result<Outcome, FlashError> {
    flash(&mut SerialLoader::new(settings), image, &mut |_| {})
}

fn image(chip: Chip, seed: u32, code: usize) -> (Vec<u8>, FlashImage) {
    let bytes = merged(chip, seed, code);
    (bytes.clone(), FlashImage::merged(bytes).expect("it is fit"))
}

#[rstest]
#[case::s3_by_stub(Simulated::Esp32S3, Chip::Esp32s3, Software::Stub)]
#[case::s3_by_rom(Simulated::Esp32S3, Chip::Esp32s3, Software::Rom)]
#[case::c3_by_stub(Simulated::Esp32C3, Chip::Esp32c3, Software::Stub)]
#[case::c6_by_rom(Simulated::Esp32C6, Chip::Esp32c6, Software::Rom)]
fn a_megabyte_is_there_afterwards(
    #[case] simulated: Simulated,
    #[case] chip: Chip,
    #[case] software: Software,
) {
    let (bytes, image) = image(chip, 2, CODE);
    let board = board(simulated, MemoryFlash::new(SECTORS));
    let outcome = put(settings(&board, software), &image).expect("it is flashed");
    assert_eq!((outcome.board.chip, outcome.board.flash_bytes), (chip, u32::from(SECTORS) * 4096));
    assert!(board.loader().flash().bytes()[..bytes.len()] == bytes);
    assert!(board.loader().flash().bytes()[bytes.len()..].iter().all(|&byte| byte == 0xFF));

    // Reset brings it into its loader again; what is there is not written again.
    board.loader().enter_download();
    let again = put(settings(&board, software), &image).expect("it is there");
    assert_eq!((again.written, again.kept), (0, outcome.written + outcome.kept));
}

#[test]
fn one_connection_can_do_it_twice_and_says_that_nobody_resets_the_board() {
    let (_, image) = image(Chip::Esp32c3, 2, 20_000);
    let board = board(Simulated::Esp32C3, MemoryFlash::new(SECTORS));
    let mut loader = SerialLoader::new(settings(&board, Software::Stub));
    flash(&mut loader, &image, &mut |_| {}).expect("it is flashed");
    assert_eq!(loader.run().expect("nothing is to be done"), Start::LeftToReset);
    // The stub still runs, and is found.
    let again = flash(&mut loader, &image, &mut |_| {}).expect("it is there");
    assert_eq!(again.written, 0);
}

#[test]
fn another_chip_is_left_alone() {
    let (_, image) = image(Chip::Esp32s3, 2, 20_000);
    let board = board(Simulated::Esp32C6, MemoryFlash::new(SECTORS));
    board.loader().flash_mut().overwrite(0x55);
    let error = put(settings(&board, Software::Stub), &image).expect_err("it is for another chip");
    assert!(
        matches!(error, FlashError::NotForChip { image: Chip::Esp32s3, board: Chip::Esp32c6 }),
        "{error}"
    );
    assert!(board.loader().flash().bytes().iter().all(|&byte| byte == 0x55));
}

#[test]
fn a_smaller_flash_is_left_alone() {
    let (_, image) = image(Chip::Esp32c3, 2, 20_000);
    // 2 MiB, where the bootloader takes 4 for granted.
    let board = board(Simulated::Esp32C3, MemoryFlash::new(512));
    board.loader().flash_mut().overwrite(0x55);
    let error = put(settings(&board, Software::Rom), &image).expect_err("it is too small");
    assert!(matches!(error, FlashError::FlashTooSmall { needed: 0x40_0000, has: 0x20_0000, .. }), "{error}");
    assert!(board.loader().flash().bytes().iter().all(|&byte| byte == 0x55));
}

/// Fills a flash as a firmware did that is there.
trait Overwrite {
    fn overwrite(&mut self, byte: u8);
}

impl Overwrite for MemoryFlash {
    fn overwrite(&mut self, byte: u8) {
        use rigor_esp_loader::FlashChip;
        let bytes = vec![byte; self.size() as usize];
        self.program(0, &bytes).expect("it is in memory");
    }
}
