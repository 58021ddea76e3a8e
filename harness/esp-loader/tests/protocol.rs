//! What a loader does with what it should be told.

mod host;

use host::*;
use md5::{Digest, Md5};
use rigor_esp_loader::{Chip, Departure, Loader, MemoryFlash, Mode};
use rstest::rstest;

fn text(loader: &mut Loader<MemoryFlash>) -> String {
    String::from_utf8(loader.take_said()).expect("text")
}

#[rstest]
#[case(Chip::Esp32S3, "ESP-ROM:esp32s3-", "boot:0x0 (DOWNLOAD(", "boot:0x8 (SPI_FAST_FLASH_BOOT)")]
#[case(Chip::Esp32C3, "ESP-ROM:esp32c3-", "boot:0x4 (DOWNLOAD(", "boot:0xc (SPI_FAST_FLASH_BOOT)")]
#[case(Chip::Esp32C6, "ESP-ROM:esp32c6-", "boot:0x4 (DOWNLOAD(", "boot:0xc (SPI_FAST_FLASH_BOOT)")]
fn a_chip_says_how_it_starts(#[case] chip: Chip, #[case] rom: &str, #[case] low: &str, #[case] high: &str) {
    let mut loader = loader(chip);
    loader.enter_download();
    let said = text(&mut loader);
    assert!(said.starts_with(rom) && said.contains(low), "{said}");
    assert!(said.ends_with("waiting for download\r\n"), "{said}");
    assert_eq!(loader.mode(), Mode::Rom);

    loader.run();
    let said = text(&mut loader);
    assert!(said.starts_with(rom) && said.contains(high) && !said.contains("waiting"), "{said}");
    assert_eq!(loader.mode(), Mode::Application);
    assert_eq!(chip.name().parse(), Ok(chip));
}

#[test]
fn nobody_listens_while_the_application_runs() {
    let mut loader = loader(Chip::Esp32S3);
    assert!(!synced(&mut loader));
    // Half a request that came too early does not make the next one whole.
    let line = sync();
    loader.receive(&line[..20]);
    loader.enter_download();
    loader.take_said();
    loader.receive(&line[20..]);
    assert_eq!(loader.take_said(), b"");
    loader.hold();
    assert!(!synced(&mut loader));
}

#[test]
fn a_sync_is_answered_eight_times_and_tells_a_stub_from_the_rom() {
    for (mut loader, value) in [(rom(), 0x2012_0707), (stub(), 0)] {
        let mode = loader.mode();
        let said = exchange(&mut loader, &sync());
        assert_eq!(said.len(), 8);
        for frame in said {
            let wanted = Answer { code: 0x08, value, data: Vec::new(), status: OK };
            assert_eq!(answer(mode, &frame), wanted);
        }
    }
}

#[rstest]
#[case(Chip::Esp32S3, 9, 9, 0x6000_7044, 0x6000_2000)]
#[case(Chip::Esp32C3, 5, 0x1B31_506F, 0x6000_8844, 0x6000_2000)]
#[case(Chip::Esp32C6, 13, 0x2CE0_806F, 0x600B_0844, 0x6000_3000)]
fn a_chip_says_who_it_is(
    #[case] chip: Chip,
    #[case] number: u32,
    #[case] magic: u32,
    #[case] efuse: u32,
    #[case] spi: u32,
) {
    let mut loader = loader(chip);
    loader.enter_download();
    loader.take_said();
    let mut info = vec![0; 12];
    info.extend(words([number, 0]));
    assert_eq!(ask(&mut loader, 0x14, &[]).data, info);

    let mut read = |address| ask(&mut loader, 0x0A, &words([address])).value;
    assert_eq!(read(0x4000_1000), magic);
    assert_eq!([read(efuse + 4), read(efuse)], [0x7CDF, 0xA112_3456]);

    // The flash's own number, by a command of 8 bits with 24 bits of answer.
    let mut write = |address, value| {
        assert_eq!(ask(&mut loader, 0x09, &words([address, value, u32::MAX, 0])).status, OK);
    };
    write(spi + 0x18, 0x9000_0000);
    write(spi + 0x20, 0x7000_009F);
    write(spi + 0x28, 23);
    write(spi + 0x58, 0);
    write(spi, 1 << 18);
    let mut read = |address| ask(&mut loader, 0x0A, &words([address])).value;
    assert_eq!(read(spi), 0, "the command is over");
    assert_eq!(read(spi + 0x58), 0x0013_40EF, "2^19 bytes");
}

#[test]
fn a_register_keeps_the_bits_that_are_not_written() {
    let mut loader = rom();
    let writes = words([0x6000_4000, 0x1234_5678, u32::MAX, 0, 0x6000_4000, 0xFFFF_FFFF, 0xFF, 0]);
    assert_eq!(ask(&mut loader, 0x09, &writes).status, OK);
    assert_eq!(ask(&mut loader, 0x0A, &words([0x6000_4000])).value, 0x1234_56FF);
}

#[test]
fn the_rom_erases_first_and_writes_then() {
    let mut loader = rom();
    loader.flash_mut().clone_from(&dirty());
    let image = noise(5000);
    // Blocks of 1 KiB, of which the host fills the last one up.
    assert_eq!(ask(&mut loader, 0x02, &words([5000, 5, 1024, 0x2000, 0])).status, OK);
    assert_eq!(loader.flash().bytes()[0x2000..0x4000], [0xFF; 0x2000], "both sectors, at once");
    for (number, bytes) in image.chunks(1024).enumerate() {
        let mut bytes = bytes.to_vec();
        bytes.resize(1024, 0xFF);
        assert_eq!(send(&mut loader, 0x03, number as u32, &bytes).status, OK);
    }
    let mut wanted = dirty().bytes().to_vec();
    wanted[0x2000..0x4000].fill(0xFF);
    wanted[0x2000..0x2000 + 5000].copy_from_slice(&image);
    assert!(loader.flash().bytes() == wanted);

    let digest = ask(&mut loader, 0x13, &words([0x2000, 5000, 0, 0])).data;
    let text: String = Md5::digest(&image).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, text.as_bytes());
}

/// No byte of it is erased.
fn dirty() -> MemoryFlash {
    use rigor_esp_loader::FlashChip;
    let mut flash = MemoryFlash::new(SECTORS);
    flash.program(0, &vec![0x5A; usize::from(SECTORS) * 4096]).expect("it fits");
    flash
}

#[test]
fn a_stub_erases_as_it_goes_and_drops_what_fills_a_block_up() {
    let mut loader = stub();
    loader.flash_mut().clone_from(&dirty());
    let image = noise(6000);
    assert_eq!(ask(&mut loader, 0x02, &words([6000, 2, 4096, 0x1000])).status, OK);
    let mut wanted = dirty().bytes().to_vec();
    assert!(loader.flash().bytes() == wanted, "nothing yet");

    assert_eq!(send(&mut loader, 0x03, 0, &image[..4096]).status, OK);
    wanted[0x1000..0x2000].copy_from_slice(&image[..4096]);
    assert!(loader.flash().bytes() == wanted, "one sector");
    // Not at its end before all has come.
    assert_eq!(ask(&mut loader, 0x04, &words([1])).status, [0xC0, 0]);

    let mut filled = image[4096..].to_vec();
    filled.resize(4096, 0);
    assert_eq!(send(&mut loader, 0x03, 1, &filled).status, OK);
    wanted[0x2000..0x3000].fill(0xFF);
    wanted[0x2000..0x2000 + 1904].copy_from_slice(&image[4096..]);
    assert!(loader.flash().bytes() == wanted);

    assert_eq!(ask(&mut loader, 0x04, &words([1])).status, OK);
    assert_eq!((loader.mode(), loader.take_departure()), (Mode::Stub, None));
    assert_eq!(ask(&mut loader, 0x13, &words([0x1000, 6000, 0, 0])).data, Md5::digest(&image).to_vec());
}

#[rstest]
fn compressed_images_are_decompressed(#[values(Mode::Rom, Mode::Stub)] mode: Mode) {
    let mut loader = if mode == Mode::Rom { rom() } else { stub() };
    loader.flash_mut().clone_from(&dirty());
    let mut image = noise(70_000);
    image.extend([0x77; 100_000]);
    let stream = deflated(&image);
    let blocks = stream.chunks(1000);
    let begin = words([image.len() as u32, blocks.len() as u32, 1000, 0x3000]);
    assert_eq!(ask(&mut loader, 0x10, &begin).status, OK);
    for (number, bytes) in blocks.enumerate() {
        assert_eq!(send(&mut loader, 0x11, number as u32, bytes).status, OK);
    }
    let mut wanted = dirty().bytes().to_vec();
    wanted[0x3000..0x3000 + image.len().next_multiple_of(0x1000)].fill(0xFF);
    wanted[0x3000..0x3000 + image.len()].copy_from_slice(&image);
    assert!(loader.flash().bytes() == wanted);
    assert_eq!(ask(&mut loader, 0x12, &words([1])).status, OK);
}

#[test]
fn the_rom_is_read_sixty_four_bytes_at_a_time() {
    let mut loader = rom();
    let answer = ask(&mut loader, 0x0E, &words([0x7_FFC0, 64]));
    assert_eq!((answer.data, answer.status), (vec![0xFF; 64], OK));
    let answer = ask(&mut loader, 0x0E, &words([0, 3]));
    assert_eq!(answer.data, [&[0xFF; 3][..], &[0; 61]].concat(), "there are always 64");
}

/// What a host that acknowledges everything gets.
fn read_out(loader: &mut Loader<MemoryFlash>, address: u32, length: u32, piece: u32) -> (Vec<u8>, Vec<u8>) {
    let mut said = exchange(loader, &request(0xD2, &words([address, length, piece, 64]), 0));
    assert_eq!(answer(Mode::Stub, &said.remove(0)).status, OK);
    let mut bytes = Vec::new();
    while bytes.len() < length as usize {
        assert_eq!(said.len(), 1, "one piece at a time");
        bytes.extend(said.remove(0));
        said = exchange(loader, &slip(&words([bytes.len() as u32])));
    }
    assert_eq!(said.len(), 1, "the digest");
    (bytes, said.remove(0))
}

#[rstest]
#[case(0, 0, 4096)]
#[case(0, 4096, 4096)]
#[case(0x1001, 10_000, 4096)]
#[case(0x1001, 777, 100)]
fn a_stub_is_read_piece_by_piece(#[case] address: u32, #[case] length: u32, #[case] piece: u32) {
    let mut loader = stub();
    let image = noise(16_384);
    assert_eq!(ask(&mut loader, 0x02, &words([16_384, 1, 16_384, 0])).status, OK);
    assert_eq!(send(&mut loader, 0x03, 0, &image).status, OK);
    let (bytes, digest) = read_out(&mut loader, address, length, piece);
    let wanted = &image[address as usize..][..length as usize];
    assert!(bytes == wanted);
    assert_eq!(digest, Md5::digest(wanted).to_vec());
    assert!(synced(&mut loader), "and it listens to requests again");
}

#[test]
fn a_readout_that_is_not_acknowledged_ends_with_a_digest_and_the_stub_listens_again() {
    let mut loader = stub();
    let said = exchange(&mut loader, &request(0xD2, &words([0, 8192, 4096, 64]), 0));
    assert_eq!(said.len(), 2);
    let said = exchange(&mut loader, &sync());
    assert_eq!(said, [Md5::digest([0xFF; 4096]).to_vec()]);
    assert!(synced(&mut loader));
}

#[test]
fn a_stub_erases_regions_and_the_whole_chip() {
    let mut loader = stub();
    loader.flash_mut().clone_from(&dirty());
    let mut wanted = dirty().bytes().to_vec();
    assert_eq!(ask(&mut loader, 0xD1, &words([0x3000, 0x2000])).status, OK);
    wanted[0x3000..0x5000].fill(0xFF);
    assert!(loader.flash().bytes() == wanted);
    assert_eq!(ask(&mut loader, 0xD0, &[]).status, OK);
    assert!(*loader.flash() == MemoryFlash::new(SECTORS));
}

#[test]
fn a_host_resets_the_chip_or_leaves_for_the_application() {
    for (mut loader, code, stay, departure) in [
        (rom(), 0x04, 0, Departure::Reset),
        (rom(), 0x04, 1, Departure::Application),
        (stub(), 0x04, 0, Departure::Reset),
        (stub(), 0x12, 0, Departure::Reset),
    ] {
        assert_eq!(ask(&mut loader, 0x02, &words([0, 0, 0x400, 0])).status, OK);
        // What comes after it is not heard.
        let line = [request(code, &words([stay]), 0), sync()].concat();
        assert_eq!(only(&mut loader, &line).status, OK);
        assert_eq!(loader.take_departure(), Some(departure));
        assert_eq!(loader.take_departure(), None);
        assert_eq!(loader.mode(), Mode::Application);
    }
    let mut loader = stub();
    assert_eq!(exchange(&mut loader, &request(0xD3, &[], 0)), Vec::<Vec<u8>>::new());
    assert_eq!(loader.take_departure(), Some(Departure::Application));
}

#[test]
fn a_program_that_is_not_where_it_begins_crashes() {
    let mut loader = rom();
    load(&mut loader, STUB, b"a program");
    assert_eq!(ask(&mut loader, 0x06, &words([0, STUB + 9])).status, OK);
    assert_eq!((loader.mode(), loader.take_departure()), (Mode::Application, Some(Departure::Crash)));

    // Loaded, and not started.
    let mut loader = rom();
    load(&mut loader, STUB, b"a program");
    assert_eq!(ask(&mut loader, 0x06, &words([1, 0])).status, OK);
    assert_eq!(loader.mode(), Mode::Rom);
}

#[test]
fn a_reset_forgets_the_stub_and_all_that_was_begun() {
    let mut loader = stub();
    assert_eq!(ask(&mut loader, 0x02, &words([4096, 1, 4096, 0])).status, OK);
    assert_eq!(ask(&mut loader, 0x09, &words([0x6000_4000, 7, u32::MAX, 0])).status, OK);
    loader.enter_download();
    loader.take_said();
    assert_eq!(ask(&mut loader, 0x0A, &words([0x6000_4000])).value, 0);
    assert_eq!(send(&mut loader, 0x03, 0, &[0; 4096]).status, [1, 0x06]);
    assert_eq!(ask(&mut loader, 0x06, &words([0, STUB])).status, [1, 0x06]);
}
