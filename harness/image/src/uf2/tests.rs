use proptest::prelude::*;
use rstest::rstest;

use super::*;

const ARM: u16 = 40;
const START: u32 = 0x1000_0000;

/// An ELF file with these segments: where each is loaded, and what it holds.
fn elf(machine: u16, segments: &[(u32, &[u8])]) -> Vec<u8> {
    let mut file = vec![0x7F, b'E', b'L', b'F', 1, 1, 1];
    file.resize(16, 0);
    for half in [2, machine] {
        file.extend(half.to_le_bytes());
    }
    for word in [1, START, 52, 0, 0] {
        file.extend(u32::to_le_bytes(word));
    }
    for half in [52, 32, segments.len() as u16, 40, 0, 0] {
        file.extend(u16::to_le_bytes(half));
    }
    let mut offset = 52 + 32 * segments.len() as u32;
    for (address, contents) in segments {
        let length = contents.len() as u32;
        for word in [1, offset, 0x2000_0000, *address, length, length, 4, 4] {
            file.extend(u32::to_le_bytes(word));
        }
        offset += length;
    }
    for (_, contents) in segments {
        file.extend(*contents);
    }
    file
}

/// Reads a file as the format says, without anything of the writer's.
fn blocks(file: &[u8]) -> Vec<(u32, Vec<u8>)> {
    assert_eq!(file.len() % 512, 0);
    let count = file.len() / 512;
    let block = |(number, block): (usize, &[u8])| {
        let word = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().expect("four"));
        assert_eq!([word(0), word(4), word(508)], [0x0A32_4655, 0x9E5D_5157, 0x0AB1_6F30]);
        assert_eq!([word(8), word(28)], [0x2000, 0xE48B_FF56], "for the RP2040 and no other");
        assert_eq!([word(20) as usize, word(24) as usize], [number, count]);
        assert_eq!(word(16), 256);
        (word(12), block[32..32 + 256].to_vec())
    };
    file.chunks(512).enumerate().map(block).collect()
}

#[test]
fn each_byte_is_where_its_segment_is_loaded() {
    let boot = [1; 256];
    let code: Vec<u8> = (0..700).map(|at| at as u8).collect();
    let file = uf2_of(&elf(ARM, &[(START + 256, &code), (START, &boot)])).unwrap();
    let blocks = blocks(&file);
    let pages: Vec<u32> = blocks.iter().map(|(page, _)| page - START).collect();
    assert_eq!(pages, Vec::from_iter((0..4096).step_by(256)), "a whole sector");
    assert_eq!(blocks[0].1, boot);
    assert_eq!([&blocks[1].1[..], &blocks[2].1, &blocks[3].1].concat()[..700], code);
    let rest = blocks[3].1[700 - 512..].iter().chain(blocks[4..].iter().flat_map(|(_, page)| page));
    assert!(rest.into_iter().all(|&byte| byte == 0xFF), "the rest is as after erasing");
}

#[test]
fn segments_share_a_page() {
    let file = uf2_of(&elf(ARM, &[(START + 2, &[2]), (START + 1000, &[]), (START + 5, &[5, 6])])).unwrap();
    let blocks = blocks(&file);
    let (_, page) = &blocks[0];
    assert_eq!(page[..8], [0xFF, 0xFF, 2, 0xFF, 0xFF, 5, 6, 0xFF]);
}

#[rstest]
#[case::risc_v(elf(243, &[(START, &[1])]), Uf2Error::NotArm)]
#[case::text(b"#!/bin/sh".to_vec(), Uf2Error::NotArm)]
#[case::nothing(Vec::new(), Uf2Error::NotArm)]
#[case::ram(elf(ARM, &[(0x2000_0000, &[1])]), Uf2Error::OutsideOfFlash { address: 0x2000_0000, bytes: 1 })]
#[case::over_the_end(elf(ARM, &[(0x10FF_FFFF, &[1, 2])]), Uf2Error::OutsideOfFlash { address: 0x10FF_FFFF, bytes: 2 })]
#[case::twice(elf(ARM, &[(START, &[1, 2]), (START + 1, &[3])]), Uf2Error::Twice { address: 0x1000_0001 })]
#[case::empty(elf(ARM, &[(START, &[])]), Uf2Error::Empty)]
#[case::cut({ let mut file = elf(ARM, &[(START, &[1; 100])]); file.truncate(150); file }, Uf2Error::NotArm)]
fn what_cannot_start_is_refused(#[case] file: Vec<u8>, #[case] expected: Uf2Error) {
    assert_eq!(uf2_of(&file), Err(expected));
}

proptest! {
    #[test]
    fn no_damage_makes_it_panic(at in 0_usize..152, byte: u8, length in 0_usize..160) {
        let mut file = elf(ARM, &[(START, &[1; 40]), (START + 256, &[2; 20])]);
        if let Some(place) = file.get_mut(at) {
            *place = byte;
        }
        file.truncate(length);
        if let Ok(file) = uf2_of(&file) {
            blocks(&file);
        }
    }
}
