//! A host of the serial protocol, written for the tests alone.
#![allow(dead_code, reason = "each test binary needs another part of it")]

use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::Write;

use rigor_esp_loader::{Chip, FlashChip, Loader, MemoryFlash, Mode};

pub(crate) const MAC: [u8; 6] = [0x7C, 0xDF, 0xA1, 0x12, 0x34, 0x56];
/// Half a mebibyte.
pub(crate) const SECTORS: u16 = 128;
/// Where the tests' stub is loaded, and begins.
pub(crate) const STUB: u32 = 0x4037_8000;

pub(crate) const OK: [u8; 2] = [0, 0];

/// What a loader answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) code: u8,
    pub(crate) value: u32,
    /// Without the status.
    pub(crate) data: Vec<u8>,
    pub(crate) status: [u8; 2],
}

pub(crate) fn loader(chip: Chip) -> Loader<MemoryFlash> {
    Loader::new(chip, MAC, MemoryFlash::new(SECTORS))
}

/// One in download mode, which has said so.
pub(crate) fn rom() -> Loader<MemoryFlash> {
    in_rom(MemoryFlash::new(SECTORS))
}

pub(crate) fn in_rom<F: FlashChip>(flash: F) -> Loader<F> {
    let mut loader = Loader::new(Chip::Esp32S3, MAC, flash);
    loader.enter_download();
    loader.take_said();
    assert_eq!(ask(&mut loader, 0x0D, &words([0, 0])).status, OK);
    loader
}

/// One whose stub listens.
pub(crate) fn stub() -> Loader<MemoryFlash> {
    in_stub(MemoryFlash::new(SECTORS))
}

pub(crate) fn in_stub<F: FlashChip>(flash: F) -> Loader<F> {
    let mut loader = in_rom(flash);
    load(&mut loader, STUB, b"a program");
    let said = exchange(&mut loader, &request(0x06, &words([0, STUB]), 0));
    assert_eq!(said.len(), 2);
    assert_eq!(answer(Mode::Rom, &said[0]).status, OK);
    assert_eq!(said[1], b"OHAI");
    assert_eq!(loader.mode(), Mode::Stub);
    loader
}

pub(crate) fn load<F: FlashChip>(loader: &mut Loader<F>, address: u32, program: &[u8]) {
    let length = program.len() as u32;
    assert_eq!(ask(loader, 0x05, &words([length, 1, length, address])).status, OK);
    assert_eq!(send(loader, 0x07, 0, program).status, OK);
}

pub(crate) fn words<const N: usize>(words: [u32; N]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub(crate) fn slip(frame: &[u8]) -> Vec<u8> {
    let mut line = vec![0xC0];
    for byte in frame {
        match byte {
            0xC0 => line.extend([0xDB, 0xDC]),
            0xDB => line.extend([0xDB, 0xDD]),
            byte => line.push(*byte),
        }
    }
    line.push(0xC0);
    line
}

/// The frames in `line`, of which nothing else may be.
pub(crate) fn frames(line: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut rest = line;
    while let [0xC0, tail @ ..] = rest {
        let end = tail.iter().position(|byte| *byte == 0xC0).expect("a frame ends");
        let text = tail[..end].to_vec();
        let mut frame = Vec::new();
        let mut bytes = text.iter();
        while let Some(byte) = bytes.next() {
            frame.push(match byte {
                0xDB if bytes.next() == Some(&0xDC) => 0xC0,
                0xDB => 0xDB,
                byte => *byte,
            });
        }
        frames.push(frame);
        rest = &tail[end + 1..];
    }
    assert_eq!(rest, b"", "there is nothing between frames");
    frames
}

pub(crate) fn request(code: u8, payload: &[u8], checksum: u32) -> Vec<u8> {
    let mut frame = vec![0, code];
    frame.extend((payload.len() as u16).to_le_bytes());
    frame.extend(checksum.to_le_bytes());
    frame.extend(payload);
    slip(&frame)
}

/// A block with the checksum that it should have.
pub(crate) fn block(code: u8, number: u32, bytes: &[u8]) -> Vec<u8> {
    let checksum = bytes.iter().fold(0xEF, |sum, byte| sum ^ byte);
    let mut payload = words([bytes.len() as u32, number, 0, 0]);
    payload.extend(bytes);
    request(code, &payload, checksum.into())
}

pub(crate) fn answer(mode: Mode, frame: &[u8]) -> Answer {
    let (header, payload) = frame.split_at(8);
    assert_eq!(header[0], 1, "an answer");
    assert_eq!(usize::from(u16::from_le_bytes([header[2], header[3]])), payload.len());
    let status_bytes = if mode == Mode::Rom { 4 } else { 2 };
    let (data, status) = payload.split_at(payload.len() - status_bytes);
    Answer {
        code: header[1],
        value: u32::from_le_bytes([header[4], header[5], header[6], header[7]]),
        data: data.to_vec(),
        status: [status[0], status[1]],
    }
}

pub(crate) fn exchange<F: FlashChip>(loader: &mut Loader<F>, line: &[u8]) -> Vec<Vec<u8>> {
    loader.receive(line);
    frames(&loader.take_said())
}

/// The only answer to `line`.
pub(crate) fn only<F: FlashChip>(loader: &mut Loader<F>, line: &[u8]) -> Answer {
    let mode = loader.mode();
    let said = exchange(loader, line);
    assert_eq!(said.len(), 1, "{said:02x?}");
    answer(mode, &said[0])
}

pub(crate) fn ask<F: FlashChip>(loader: &mut Loader<F>, code: u8, payload: &[u8]) -> Answer {
    let answer = only(loader, &request(code, payload, 0));
    assert_eq!(answer.code, code);
    answer
}

pub(crate) fn send<F: FlashChip>(loader: &mut Loader<F>, code: u8, number: u32, bytes: &[u8]) -> Answer {
    let answer = only(loader, &block(code, number, bytes));
    assert_eq!(answer.code, code);
    answer
}

pub(crate) fn sync() -> Vec<u8> {
    request(0x08, &[&[0x07, 0x07, 0x12, 0x20][..], &[0x55; 32]].concat(), 0)
}

pub(crate) fn synced<F: FlashChip>(loader: &mut Loader<F>) -> bool {
    exchange(loader, &sync()).len() == 8
}

pub(crate) fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// Bytes without a pattern.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_u32;
    let mut bytes = Vec::with_capacity(length);
    for _ in 0..length {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        bytes.push((state >> 11) as u8);
    }
    bytes
}
