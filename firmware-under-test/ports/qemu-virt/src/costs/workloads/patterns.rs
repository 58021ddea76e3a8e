//! Packaged patterns: painted, packed, checked and unpacked. The templates are what there is to do it with.

use alloc::vec::Vec;

use prism_k1::checksum::Crc32;
use prism_k1::pattern::p11::{FramePacker, head};
use prism_k1::pattern::{Checker, FRAME_BYTES, LANE_LEDS, Tail};
use prism_k1::templates::{CATALOGUE, FRAMES, RATE, Template};

use crate::clock::count;
use crate::report;

/// What is counted over all frames of all templates.
#[derive(Default)]
struct Counts {
    paint: u64,
    pack: u64,
    check: Segments,
    unpack: Segments,
    show: u64,
    frames: u64,
}

/// Frames by the length of their segments: a cost that grows with it shows between the two halves.
#[derive(Default)]
struct Segments {
    short: Half,
    long: Half,
}

#[derive(Default)]
struct Half {
    frames: u64,
    bytes: u64,
    instructions: u64,
}

impl Segments {
    /// Segments of more bytes are long ones: half of those that do not compress.
    const LONG: u64 = LANE_LEDS as u64 / 2;

    fn add(&mut self, bytes: u64, instructions: u64) {
        let half = if bytes > Self::LONG { &mut self.long } else { &mut self.short };
        half.frames += 1;
        half.bytes += bytes;
        half.instructions += instructions;
    }

    /// The mean segment of either half.
    fn tell(&self, name: &str) {
        for Half { frames, bytes, instructions } in [&self.short, &self.long] {
            report::counted(name, bytes.div_ceil(*frames), instructions.div_ceil(*frames));
        }
    }
}

impl Counts {
    /// Writes the file of `template`; the bytes of each of its frames.
    fn write(&mut self, template: &Template, file: &mut Vec<u8>) -> Vec<u64> {
        file.extend(head(FRAMES, RATE));
        let payload = file.len();
        file.extend(FramePacker::palette(&template.palette()));
        let mut packer = FramePacker::new();
        let mut lengths = Vec::new();
        for frame in 0..FRAMES {
            let mut indices = [0; LANE_LEDS];
            self.paint += count(|| indices = template.frame(core::hint::black_box(frame)));
            let mut packed = heapless::Vec::new();
            self.pack += count(|| packed = packer.pack(core::hint::black_box(&indices)));
            lengths.push(packed.len() as u64);
            file.extend(packed);
        }
        let crc = Crc32::of(&file[payload..]);
        file.extend(crc.to_le_bytes());
        lengths
    }

    /// Reads it, as a start of playback and playback itself do.
    fn read(&mut self, file: &[u8], lengths: &[u64]) {
        let mut checker = Checker::open(file, Tail::Refused).expect("a sound head");
        for &bytes in lengths {
            let mut step = Ok(None);
            self.check.add(bytes, count(|| step = checker.step()));
            step.expect("a sound frame").expect("it is not the end");
        }
        checker.step().expect("a sound file");
        let mut reader = checker.into_reader();
        let mut frame = [0; FRAME_BYTES];
        let mut next = |shown| {
            let mut cycles = Ok(0);
            let instructions = count(|| cycles = reader.next_frame(core::hint::black_box(&mut frame), shown));
            cycles.expect("a sound frame");
            instructions
        };
        let passed_over: Vec<u64> = lengths.iter().map(|_| next(false)).collect();
        for (&bytes, passed_over) in lengths.iter().zip(passed_over) {
            self.unpack.add(bytes, passed_over);
            self.show += next(true).saturating_sub(passed_over);
            self.frames += 1;
        }
    }
}

/// Counts them.
pub fn count_all() {
    let mut counts = Counts::default();
    let mut file = Vec::with_capacity(64 * 1024);
    for template in &CATALOGUE {
        file.clear();
        let lengths = counts.write(template, &mut file);
        counts.read(&file, &lengths);
    }
    let pixels = counts.frames * LANE_LEDS as u64;
    report::counted("paint", pixels, counts.paint);
    report::counted("pack", pixels, counts.pack);
    counts.unpack.tell("p11-unpack");
    counts.check.tell("p11-check");
    report::counted("p11-show", pixels, counts.show);
}
