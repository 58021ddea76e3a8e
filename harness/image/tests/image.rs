//! What is found in a small image that a compiler made, and in what is left of it after damage.

use std::path::Path;

use proptest::prelude::*;
use rigor_image::{Image, ImageError, Trace};
use rstest::rstest;

/// Made of `fixtures/panic.rs`.
const PANIC: &[u8] = include_bytes!("fixtures/panic.elf");

fn parse(bytes: &[u8]) -> Result<Image, ImageError> {
    Image::parse(Path::new("k1.elf"), bytes.to_vec())
}

fn image() -> Image {
    parse(PANIC).expect("the compiler made it")
}

fn complaint(bytes: &[u8]) -> String {
    parse(bytes).expect_err("it cannot run").to_string()
}

/// The image with `bytes` at `offset`.
fn patched(offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut patched = PANIC.to_vec();
    patched[offset..offset + bytes.len()].copy_from_slice(bytes);
    patched
}

/// The image with other contents of a section, which it has already.
fn with_section(mut file: Vec<u8>, name: &str, contents: &[u8]) -> Vec<u8> {
    // The first header is that of no section.
    let index = 1 + image().sections().iter().position(|section| section.name == name).expect("it is there");
    let headers = u32::from_le_bytes([file[32], file[33], file[34], file[35]]) as usize;
    let header = headers + 40 * index;
    let place = [file.len() as u32, contents.len() as u32].map(u32::to_le_bytes).concat();
    file[header + 16..header + 24].copy_from_slice(&place);
    file.extend(contents);
    file
}

#[test]
fn it_is_what_the_linker_made() {
    let image = image();
    assert_eq!(image.entry(), 0x8000_0000);
    let segments = image.segments();
    assert_eq!(segments.len(), 2, "{segments:?}");
    assert!(segments[0].executable && !segments[0].writable, "{segments:?}");
    assert!(segments[1].writable && segments[1].memory_bytes > segments[1].file_bytes, "{segments:?}");
    let counter = image.symbol("COUNTER").expect("it is not mangled");
    assert_eq!((counter.bytes, counter.function), (4, false));
    assert!(image.symbol("main").is_some_and(|main| main.function));
    assert_eq!(image.symbol("MAILBOX").map(|mailbox| mailbox.bytes), Some(64));
    assert_eq!(image.symbol("main2"), None);
}

/// `sha256sum` says so.
#[test]
fn its_hash_is_that_of_the_file() {
    assert_eq!(image().sha256(), "3426a3dff2115eb4db40a527a8d80b15925e023bc0dbb57935a04359611b5e2e");
}

#[test]
fn the_harness_own_memory_is_not_charged_to_the_product() {
    let sizes = image().sizes();
    let section = |name: &str| {
        let found = sizes.sections.iter().find(|section| section.name == name);
        found.map(|section| (section.flash, section.ram))
    };
    assert_eq!(section(".data"), Some((4, 4)));
    assert_eq!(section(".stack"), Some((0, 1024)));
    assert_eq!(section(".rig"), None);
    assert_eq!(section(".debug_info"), None);
    let (text, _) = section(".text").expect("there is code");
    assert_eq!((sizes.flash, sizes.ram, sizes.harness), (text + 4, 1028, 64));
    let table = sizes.to_string();
    assert!(table.lines().last().is_some_and(|line| line.contains("together") && line.contains("1028")));
}

#[test]
fn a_stripped_image_has_sizes_as_well() {
    // No section headers: their offset, and their number.
    let mut stripped = patched(32, &[0; 4]);
    stripped[48..52].fill(0);
    let sizes = parse(&stripped).expect("it still runs").sizes();
    assert_eq!(sizes.flash, image().sizes().flash);
    assert!(sizes.ram >= image().sizes().ram);
    assert_eq!(sizes.sections, []);
}

#[test]
fn a_backtrace_becomes_functions_with_their_lines() {
    let image = image();
    let symboliser = image.symboliser().expect("sound debug information");
    let main = image.symbol("main").expect("there is one");
    // The call of the function that panics, wherever the compiler put it: what is inlined comes first.
    let call = (main.address..main.address + main.bytes)
        .find(|&at| symboliser.frames(at).iter().any(|frame| frame.line == Some(28)))
        .expect("it was compiled");
    let text = format!("[1.000] panicked\nBacktrace: {:#010x} 0x00000010 rubbish 0x80000000\n", call + 2);
    let lines = symboliser.explain(&Trace::last_in(text.lines()).expect("there is one"));
    let expected = [
        "at inlined (firmware-under-test/panic.rs:28)",
        "at main (firmware-under-test/panic.rs:39)",
        "at 0x00000010",
    ];
    assert_eq!(lines, expected);
    // A mangled symbol tells more than the bare name in the line tables.
    let called = (main.address - 0x40..main.address).flat_map(|at| symboliser.frames(at));
    assert!(called.into_iter().any(|frame| frame.function.as_deref() == Some("panic::outermost")));
}

#[test]
fn a_function_without_debug_information_has_its_symbol() {
    let image = Image::parse(Path::new("k1.elf"), with_section(PANIC.to_vec(), ".debug_info", &[])).unwrap();
    let symboliser = image.symboliser().expect("none is no damage");
    let main = image.symbol("main").expect("there is one");
    let frames = symboliser.frames(main.address + 2);
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0].function.as_deref(), Some("main"));
    assert_eq!(symboliser.frames(main.address + 0x10_0000), []);
}

#[rstest]
#[case(&[], "is empty")]
#[case(b"#!/bin/sh\necho", "is no ELF file")]
#[case(&PANIC[..4], "is no ELF file")]
#[case(&PANIC[..40], "ends or is wrong within its file header (40 bytes)")]
#[case(&patched(4, &[2]), "is for a 64-bit machine")]
#[case(&patched(5, &[2]), "is for a big-endian machine")]
#[case(&patched(18, &[62, 0]), "is for x86-64, and not for RISC-V")]
#[case(&patched(18, &[94, 0]), "is for Xtensa, and not for RISC-V")]
#[case(&patched(18, &[0, 1]), "is for machine 256, and not for RISC-V")]
#[case(&patched(16, &[1, 0]), "is an object file or a library")]
#[case(&patched(44, &[0, 0]), "has no segment to load")]
#[case(&patched(28, &[0xff, 0xff, 0xff, 0x7f]), "has program headers that lie outside of it")]
#[case(&patched(24, &[0x10, 0, 0, 0]), "begins at 0x00000010, where it has no code")]
// The first program header begins at byte 52: address, size in the file, size in memory.
#[case(&patched(52 + 16, &[0xff, 0xff, 0xff, 0]), "ends at byte")]
#[case(&patched(52 + 20, &[1, 0, 0, 0]), "with more in the file than in memory")]
#[case(&patched(52 + 20, &[0, 0, 0, 0xff]), "reaches beyond the address space")]
#[case(&PANIC[..PANIC.len() - 1], "has section headers that lie outside of it")]
fn what_cannot_run_is_refused_with_the_reason(#[case] bytes: &[u8], #[case] expected: &str) {
    let told = complaint(bytes);
    assert!(told.starts_with("k1.elf ") && told.contains(expected), "{told}");
    assert!(told.contains("; "), "no remedy: {told}");
}

#[test]
fn firmware_of_xtensa_is_read_for_its_addresses() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s3.elf");
    std::fs::write(&path, patched(18, &[94, 0])).expect("it is written");
    assert!(Image::read(&path).is_err(), "QEMU could not run it");
    let image = Image::read_of_chip(&path).expect("a board could");
    assert!(image.symboliser().is_ok());
    std::fs::write(&path, patched(18, &[62, 0])).expect("it is written");
    let other = Image::read_of_chip(&path).expect_err("no chip is a PC").to_string();
    assert!(other.contains("is for x86-64, and not for RISC-V or Xtensa; name the ELF file"), "{other}");
}

#[test]
fn a_missing_image_is_told_with_the_command_that_makes_it() {
    let error = Image::read(Path::new("/nowhere/k1.elf")).expect_err("it is not there");
    let expected = "there is no image /nowhere/k1.elf; build it: `cargo xtask firmware build`";
    assert_eq!(error.to_string(), expected);
}

/// Reads all that there is to read; returns whether the debug information was taken for sound.
fn exhaust(bytes: Vec<u8>) -> bool {
    let Ok(image) = Image::parse(Path::new("k1.elf"), bytes) else { return false };
    let _ = image.sizes().to_string();
    let _ = image.symbol("main");
    let Ok(symboliser) = image.symboliser() else { return false };
    for address in (0x8000_0000..0x8000_0100u32).step_by(14) {
        let _ =
            Trace::last_in([&*format!("Backtrace: {address:#010x}")]).map(|trace| symboliser.explain(&trace));
    }
    true
}

#[test]
fn every_beginning_of_an_image_is_refused_or_read() {
    for length in 0..PANIC.len() {
        exhaust(PANIC[..length].to_vec());
    }
}

#[test]
fn no_flipped_bit_of_an_image_makes_it_fall_over() {
    for bit in 0..PANIC.len() * 8 {
        let mut flipped = PANIC.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        exhaust(flipped);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn nor_do_wild_words(words in prop::collection::vec((0..PANIC.len() - 4, any::<u32>()), 1..8)) {
        let mut wild = PANIC.to_vec();
        for (at, word) in words {
            wild[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        exhaust(wild);
    }

    #[test]
    fn nor_do_wild_contents_of_debug_sections(
        name in prop::sample::select(vec![".debug_info", ".debug_abbrev", ".debug_line", ".debug_ranges"]),
        contents in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        exhaust(with_section(PANIC.to_vec(), name, &contents));
    }
}

/// Debug information of one unit whose code is that of the image: what `entries` adds to it.
fn with_entries(entries: &[u8]) -> Vec<u8> {
    let range = [0x8000_0000u32, 0x100].map(u32::to_le_bytes).concat();
    // Each: code, tag, whether there are children, attributes with their forms.
    let scope = |code: u8, tag: u8| [code, tag, 1, 0x11, 0x01, 0x12, 0x06, 0, 0];
    let mut abbreviations = [scope(1, 0x11), scope(2, 0x2e)].concat();
    abbreviations.extend([3, 0x1d, 1, 0, 0]);
    abbreviations.extend([4, 0x2e, 0, 0x55, 0x17, 0, 0]);
    abbreviations.push(0);
    let mut unit = vec![4, 0, 0, 0, 0, 0, 4];
    for scope in [1, 2] {
        unit.push(scope);
        unit.extend(&range);
    }
    unit.extend(entries);
    let information = [&(unit.len() as u32).to_le_bytes()[..], &unit].concat();
    with_section(with_section(PANIC.to_vec(), ".debug_abbrev", &abbreviations), ".debug_info", &information)
}

/// The reader would descend into each of them, until its stack has an end.
#[test]
fn functions_inlined_into_each_other_without_end_are_refused() {
    assert!(exhaust(with_entries(&[3; 100])));
    let image = parse(&with_entries(&[3; 1_000_000])).expect("it runs");
    let error = image.symboliser().err().expect("nobody can read this").to_string();
    assert!(error.contains("more than 256 scopes"), "{error}");
}

/// Each function refers to the same long list, which the reader would copy for each.
#[test]
fn ranges_that_multiply_are_refused() {
    let list: Vec<u8> = (0..3000u32).flat_map(|at| [at, at + 1]).flat_map(u32::to_le_bytes).collect();
    let functions = |count: usize| [4, 8, 0, 0, 0].repeat(count);
    let file = |count| {
        with_section(with_entries(&functions(count)), ".debug_ranges", &[&list[..], &[0; 8]].concat())
    };
    assert!(exhaust(file(10)));
    let image = parse(&file(3000)).expect("it runs");
    let error = image.symboliser().err().expect("nobody can read this").to_string();
    assert!(error.contains("too many ranges"), "{error}");
}
