//! What is refused, with cause and remedy, before anything is erased.

use proptest::prelude::*;
use rigor_flasher::{Chip, FlashError, FlashImage, ImageError, Part, Security, flash};
use rstest::rstest;

use crate::double::Double;
use crate::images::{
    APP, APP_BYTES, TABLE, app, bootloader, entry, merge, merged, noise, program, table, usual_table,
};

const CHIP: Chip = Chip::Esp32c6;

fn refused(bytes: Vec<u8>) -> String {
    FlashImage::merged(bytes).expect_err("it is not fit").to_string()
}

fn with_table(table: Vec<u8>) -> Vec<u8> {
    merge(&[(0, bootloader(CHIP)), (TABLE, table), (APP, app(CHIP, noise(2, 5000)))])
}

fn with_app(app: Vec<u8>) -> Vec<u8> {
    merge(&[(0, bootloader(CHIP)), (TABLE, usual_table()), (APP, app)])
}

#[rstest]
#[case::nothing(Vec::new(), "the first byte is missing, not 0xe9; give an ELF file, or a merged image")]
#[case::blank(vec![0xFF; 0x2_0000], "no image of the bootloader begins at 0x0: the first byte is blank")]
#[case::text(b"hello".to_vec(), "the first byte is 0x68")]
#[case::an_app_alone(app(CHIP, noise(2, 40_000)), "the bootloader takes 40080 bytes")]
#[case::a_header_alone(bootloader(CHIP)[..20].to_vec(), "the bootloader at 0x0 is cut short: it needs 24 bytes, and 20")]
#[case::half_a_bootloader(bootloader(CHIP)[..9000].to_vec(), "is cut short: it needs 20032 bytes, and 9000 are there")]
#[case::a_bootloader_alone(bootloader(CHIP), "the partition table at 0x8000 is cut short")]
#[case::no_table(with_table(vec![0xFF; 0xC00]), "the partition table at 0x8000: it has no partition for an app")]
#[case::no_app(with_app(vec![0xFF; 64]), "no image of an app in any app partition begins at 0x10000")]
#[case::half_an_app(with_app(app(CHIP, noise(2, 5000))[..4000].to_vec()), "the app in partition `factory` at 0x10000 is cut short")]
#[case::an_app_for_another(
    with_app(app(Chip::Esp32c3, noise(2, 50))),
    "is for esp32c3, and its bootloader for esp32c6"
)]
#[case::linked_elsewhere(
    with_app(program(CHIP, 4, &[(0x4200_1000, noise(2, 50))])),
    "its segment for 0x42001000 lies at 0x10020 of the flash"
)]
#[case::too_large_an_app(
    with_app(app(CHIP, noise(2, APP_BYTES as usize))),
    "and partition `factory` has 1048576; make it smaller, or its partition larger"
)]
#[case::table_beyond_the_flash(
    with_table(table(&[entry(0, 0, 0x1_0000, 0x40_0000, "factory")])),
    "`factory` ends beyond the 4194304 bytes of flash that the bootloader's header declares"
)]
#[case::table_beyond_all_flash(
    with_table(table(&[entry(0, 0, 0xFFFF_0000, 0xFFFF_F000, "factory")])),
    "`factory` ends beyond the 4194304 bytes"
)]
#[case::part_of_a_sector(
    with_table(table(&[entry(0, 0, 0x1_0000, 0x1_0100, "factory")])),
    "`factory`, 0x10100 bytes at 0x10000, is not made of whole sectors of 0x1000"
)]
#[case::over_the_table(
    with_table(table(&[entry(1, 2, 0x8000, 0x4000, "nvs"), entry(0, 0, 0x1_0000, 0x1_0000, "factory")])),
    "`nvs` begins at 0x8000, within bootloader or table"
)]
#[case::app_misaligned(with_table(table(&[entry(0, 0, 0x1_1000, 0x1_0000, "factory")])), "`factory` is for an app and begins at 0x11000, no multiple of 0x10000")]
#[case::no_app_partition(with_table(table(&[entry(1, 2, 0x9000, 0x6000, "nvs")])), "it has no partition for an app")]
#[case::overlap(
    with_table(table(&[entry(0, 0, 0x1_0000, 0x2_0000, "factory"), entry(0, 16, 0x2_0000, 0x2_0000, "ota_0")])),
    "`factory` and `ota_0` overlap"
)]
#[case::no_end(with_table([0xAA, 0x50].repeat(0x600)), "it has no end")]
#[case::something_else(with_table(vec![0; 0xC00]), "what follows its 0 entries is neither one more nor its end")]
fn an_image_that_would_not_boot(#[case] bytes: Vec<u8>, #[case] told: &str) {
    let text = refused(bytes);
    assert!(text.contains(told), "{text}");
}

#[rstest]
#[case::code(APP + 600, "its checksum is")]
#[case::header(8, "its SHA-256 is not that of its bytes")]
#[case::table(TABLE + 12, "its MD5 is not that of its entries")]
fn a_byte_that_changed(#[case] at: usize, #[case] told: &str) {
    let mut bytes = merged(CHIP, 2, 5000);
    bytes[at] ^= 0x10;
    let text = refused(bytes);
    assert!(text.contains(told), "{text}");
}

#[test]
fn what_other_people_s_tools_make_is_taken() {
    use esp_idf_part::{AppType, DataType, Flags, Partition, PartitionTable, SubType, Type};

    let partition = |name: &str, kind, subtype, offset, size| {
        Partition::new(name, kind, subtype, offset, size, Flags::empty())
    };
    let made = PartitionTable::new(vec![
        partition("nvs", Type::Data, SubType::Data(DataType::Nvs), 0x9000, 0x4000),
        partition("otadata", Type::Data, SubType::Data(DataType::Ota), 0xD000, 0x2000),
        partition("ota_0", Type::App, SubType::App(AppType::Ota_0), 0x1_0000, 0x10_0000),
        partition("ota_1", Type::App, SubType::App(AppType::Ota_1), 0x11_0000, 0x10_0000),
    ]);
    let table = made.to_bin().expect("it is a table");
    FlashImage::merged(with_table(table)).expect("it is fit");
    // A subtype and a flag that nobody knows yet.
    let mut unknown = entry(1, 0x99, 0x9000, 0x6000, "new");
    unknown[28] = 0x80;
    let table = crate::images::table(&[unknown, entry(0, 0, APP as u32, APP_BYTES, "factory")]);
    FlashImage::merged(with_table(table)).expect("the bootloader takes it, too");
}

#[test]
fn chips_that_nobody_flashes_here_are_named() {
    let mut bytes = merged(CHIP, 2, 5000);
    bytes[12] = 18;
    let text = refused(bytes);
    assert!(text.starts_with("the bootloader at 0x0 is for esp32p4, and only esp32c3,"), "{text}");
}

#[test]
fn smaller_pages_allow_what_they_allow() {
    // The descriptor says 16 KiB, and the code lies 16 KiB off.
    let mut data = 0xABCD_5432_u32.to_le_bytes().to_vec();
    data.resize(256, 0);
    let at = |pages: u8, linked: u32| {
        let mut data = data.clone();
        data[180] = pages;
        FlashImage::merged(with_app(program(CHIP, 4, &[(linked, data)])))
    };
    assert!(at(14, 0x4200_4020).is_ok());
    assert!(matches!(at(16, 0x4200_4020), Err(ImageError::Misaligned { page: 0x1_0000, .. })));
    assert!(matches!(at(0, 0x4200_4020), Err(ImageError::Misaligned { page: 0x1_0000, .. })));
    assert!(matches!(at(14, 0x4200_0040), Err(ImageError::Misaligned { page: 0x4000, .. })));
}

#[test]
fn parts_do_not_share_a_sector() {
    let part = |at: usize, bytes: Vec<u8>| Part { at: at as u32, bytes };
    let parts = |app_at: usize| {
        vec![part(0, bootloader(CHIP)), part(TABLE, usual_table()), part(app_at, app(CHIP, noise(2, 5000)))]
    };
    assert!(FlashImage::of_parts(parts(APP)).is_ok());
    let mut twice = parts(APP);
    twice.insert(2, part(TABLE + 0xC00, vec![0; 16]));
    assert!(FlashImage::of_parts(twice).is_err_and(|error| error.to_string().contains("shares a sector")));
}

#[rstest]
#[case::chip(|board: &mut Double| board.board.chip = Chip::Esp32s3, "the image is for esp32c6, and the board has esp32s3")]
#[case::flash(|board: &mut Double| board.board.flash_bytes = 2 << 20, "what the header declares takes 4194304 bytes")]
#[case::image(|board: &mut Double| board.board.flash_bytes = 1 << 16, "the image takes 73728 bytes of flash")]
#[case::boot(
    |board: &mut Double| board.board.security = Security { secure_boot: true, ..Security::default() },
    "secure boot switched on"
)]
#[case::encryption(
    |board: &mut Double| board.board.security = Security { flash_encryption: true, ..Security::default() },
    "flash encryption switched on"
)]
#[case::download(
    |board: &mut Double| board.board.security = Security { secure_download: true, ..Security::default() },
    "secure download mode"
)]
fn a_board_that_cannot_have_it_is_left_alone(#[case] change: fn(&mut Double), #[case] told: &str) {
    let image = FlashImage::merged(merged(CHIP, 2, 5000)).expect("it is fit");
    let mut board = Double::new(CHIP, 4 << 20);
    change(&mut board);
    let error = flash(&mut board, &image, &mut |_| {}).expect_err("it does not fit");
    let text = error.to_string();
    assert!(text.contains(told), "{text}");
    assert!(text.to_lowercase().contains("nothing was written"), "{text}");
    assert!(board.writes.is_empty());
}

#[test]
fn files_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("firmware.bin");
    let missing = FlashImage::read(&path, None).expect_err("it is not there");
    assert!(missing.to_string().contains("firmware.bin: No such file"), "{missing}");
    std::fs::write(&path, merged(CHIP, 2, 5000)).expect("it is written");
    assert_eq!(FlashImage::read(&path, Some(CHIP)).expect("it is fit").chip(), CHIP);
    let other = FlashImage::read(&path, Some(Chip::Esp32c3)).expect_err("for another chip").to_string();
    assert!(other.ends_with("is for esp32c6, not for esp32c3; build it for esp32c3"), "{other}");
    std::fs::write(&path, b"\x7fELF and no more").expect("it is written");
    assert!(matches!(FlashImage::read(&path, Some(CHIP)), Err(FlashError::Image { .. })));
    let endless = FlashImage::read("/dev/zero".as_ref(), None).expect_err("it is endless").to_string();
    assert!(endless.contains("name an image"), "{endless}");
}

proptest! {
    #[test]
    fn nothing_that_a_file_holds_makes_it_panic(
        at in 0..0x1_2000_usize,
        bytes in proptest::collection::vec(any::<u8>(), 1..64),
        cut in 0..0x1_4000_usize,
    ) {
        let mut image = merged(CHIP, 2, 5000);
        let end = (at + bytes.len()).min(image.len());
        let at = at.min(end);
        image[at..end].copy_from_slice(&bytes[..end - at]);
        image.truncate(cut.max(1));
        let _ = FlashImage::merged(image);
    }
}
