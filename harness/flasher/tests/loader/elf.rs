//! ELF files: images are made of them, and looked at as others are.

use proptest::prelude::*;
use rigor_esp_loader::{Chip as Simulated, MemoryFlash};
use rigor_flasher::{Chip, FlashError, FlashImage, ImageError, Software};

use crate::images::noise;
use crate::{SECTORS, board, put, settings};

const RISC_V: u16 = 243;

/// A linked file with `code` where a C3 shows its flash: header, one segment, and three sections.
fn elf(machine: u16, code: &[u8]) -> Vec<u8> {
    const HEADERS: u32 = 52 + 32;
    let names = b"\0.text\0.shstrtab\0";
    let linked = 0x4200_0020_u32;
    let length = code.len() as u32;
    let (names_at, sections_at) =
        (HEADERS + length, (HEADERS + length + names.len() as u32).next_multiple_of(4));
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let words =
        |file: &mut Vec<u8>, values: &[u32]| values.iter().for_each(|value| file.extend(value.to_le_bytes()));
    half(&mut file, 2);
    half(&mut file, machine);
    words(&mut file, &[1, linked, 52, sections_at, 0]);
    [52, 32, 1, 40, 3, 2].into_iter().for_each(|value| half(&mut file, value));
    words(&mut file, &[1, HEADERS, linked, linked, length, length, 5, 4]);
    file.extend(code);
    file.extend(names);
    file.resize(sections_at as usize, 0);
    words(&mut file, &[0; 10]);
    words(&mut file, &[1, 1, 6, linked, HEADERS, length, 0, 0, 4, 0]);
    words(&mut file, &[7, 3, 0, 0, names_at, names.len() as u32, 0, 0, 1, 0]);
    file
}

fn read(bytes: &[u8], chip: Option<Chip>) -> Result<FlashImage, ImageError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("firmware.elf");
    std::fs::write(&path, bytes).expect("it is written");
    FlashImage::read(&path, chip).map_err(|error| match error {
        FlashError::Image { reason, .. } => reason,
        other => panic!("{other}"),
    })
}

#[test]
fn an_elf_file_becomes_bootloader_table_and_app() {
    let code = noise(5, 9000);
    let image = read(&elf(RISC_V, &code), Some(Chip::Esp32c3)).expect("it is firmware");
    assert_eq!(image.chip(), Chip::Esp32c3);
    assert_eq!(image.parts().iter().map(|part| part.at).collect::<Vec<_>>(), [0, 0x8000, 0x1_0000]);
    assert!(image.parts()[2].bytes.windows(code.len()).any(|window| window == code));

    let here = board(Simulated::Esp32C3, MemoryFlash::new(SECTORS));
    put(settings(&here, Software::Stub), &image).expect("it is flashed");
    for part in image.parts() {
        assert!(here.loader().flash().bytes()[part.at as usize..][..part.bytes.len()] == part.bytes);
    }
}

#[test]
fn an_elf_file_that_is_no_firmware_is_refused() {
    assert_eq!(read(&elf(RISC_V, &noise(5, 900)), None), Err(ImageError::WhichChip));
    let large = read(&elf(RISC_V, &noise(5, 5 << 20)), Some(Chip::Esp32c6)).expect_err("it has no place");
    assert!(matches!(large, ImageError::UnfitElf(_)), "{large}");
    let cut = read(&elf(RISC_V, &noise(5, 900))[..60], Some(Chip::Esp32c6)).expect_err("it is cut short");
    assert!(cut.to_string().starts_with("no flash image can be made of the ELF file: "), "{cut}");
}

proptest! {
    #[test]
    fn no_elf_file_makes_it_panic(at in 0..300_usize, bytes in proptest::collection::vec(any::<u8>(), 1..8)) {
        let mut file = elf(RISC_V, &noise(5, 100));
        let end = (at + bytes.len()).min(file.len());
        let at = at.min(end);
        file[at..end].copy_from_slice(&bytes[..end - at]);
        let _ = read(&file, Some(Chip::Esp32c3));
    }
}
