//! The formulas of the templates. Each gives the palette index of a pixel at a frame, from whole
//! numbers only, and comes back to its beginning after [`FRAMES`] frames.

use super::FRAMES;

/// A pixel and a frame.
#[derive(Clone, Copy)]
pub(super) struct At {
    /// 0..160.
    pub(super) led: u32,
    /// 0..144.
    pub(super) frame: u32,
}

impl At {
    /// Where a wave is that goes `times` round in the whole template, 256 being once round.
    fn turn(self, times: u32) -> u32 {
        self.frame * 256 * times / FRAMES
    }
}

/// One period of a sine in 256 steps, 1..=255 around 128, from two parabolas.
const SINE: [u8; 256] = {
    let mut table = [0; 256];
    let mut x = 0;
    while x < 128 {
        let arc = (127 * 4 * x * (128 - x) / (128 * 128)) as u8;
        table[x] = 128 + arc;
        table[x + 128] = 128 - arc;
        x += 1;
    }
    table
};

fn sine(phase: u32) -> u32 {
    SINE.get((phase & 0xFF) as usize).copied().map_or(0, u32::from)
}

/// A number in 0..256 that looks random and is always the same.
fn hash(x: u32, y: u32) -> u32 {
    let mut h = x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77) ^ 0x27D4_EB2F;
    h ^= h >> 15;
    h = h.wrapping_mul(0x2C1B_3C6D);
    h ^= h >> 13;
    h & 0xFF
}

/// `a` to `b` at `part` of `whole`.
fn mix(a: u32, b: u32, part: u32, whole: u32) -> u32 {
    (a * (whole - part) + b * part) / whole
}

/// Smooth noise, 0..256, in cells of `wide` pixels and `long` frames; `long` divides 144, and the
/// noise of the last cells leads back to the first ones in both directions.
fn noise(at: At, shift: u32, wide: u32, long: u32, seed: u32) -> u32 {
    let (columns, rows) = (160 / wide, FRAMES / long);
    let place = at.led + shift;
    let (column, x) = (place / wide, place % wide);
    let (row, y) = (at.frame / long, at.frame % long);
    let corner = |dx: u32, dy: u32| hash((column + dx) % columns + seed * 1000, (row + dy) % rows);
    mix(mix(corner(0, 0), corner(1, 0), x, wide), mix(corner(0, 1), corner(1, 1), x, wide), y, long)
}

/// How far a pixel is from `place` on a ring of 160.
fn apart(led: u32, place: u32) -> u32 {
    let distance = led.abs_diff(place % 160);
    distance.min(160 - distance)
}

/// How far a pixel is behind a head at `head` on a ring of 160.
fn behind(led: u32, head: u32) -> u32 {
    (head % 160 + 160 - led) % 160
}

/// 0..256 to 0..64.
fn level(value: u32) -> u8 {
    (value.min(255) >> 2) as u8
}

pub(super) fn horizon(at: At) -> u8 {
    let slow = sine(at.led * 256 / 160 + at.turn(1));
    let wide = sine(at.led * 128 / 160 + 512 - at.turn(2));
    level((slow * 2 + wide) / 3)
}

pub(super) fn lattice(at: At) -> u8 {
    let there = sine(at.led * 8 + at.turn(2));
    let back = sine(at.led * 8 + 1024 - at.turn(2));
    level(there.max(back)) & !7
}

pub(super) fn orbit(at: At) -> u8 {
    let swing = sine(at.turn(1)) * 140 / 256 + 10;
    let near = apart(at.led, swing).min(apart(at.led, 160 - swing));
    level(255u32.saturating_sub(near * 9))
}

pub(super) fn trace(at: At) -> u8 {
    let head = at.frame * 160 / FRAMES;
    let tail = behind(at.led, head).min(behind(at.led, head + 80) + 12);
    level(255u32.saturating_sub(tail * 6))
}

pub(super) fn fall(at: At) -> u8 {
    let mut brightest = 0;
    for drop in 0..5 {
        let speed = 1 + drop % 3;
        let head = hash(drop, 77) * 160 / 256 + at.frame * 160 * speed / FRAMES;
        brightest = brightest.max(255u32.saturating_sub(behind(at.led, head) * (16 - speed * 3)));
    }
    level(brightest)
}

pub(super) fn backbeat(at: At) -> u8 {
    let beat = 255 - at.frame % 18 * 12;
    level(sine(at.led * 5 + at.turn(3)) * beat / 256)
}

pub(super) fn marquee(at: At) -> u8 {
    let wave = sine(at.led * 256 / 20 + 2048 - at.turn(8));
    level((wave * 2).saturating_sub(128))
}

pub(super) fn ripple(at: At) -> u8 {
    let distance = at.led.abs_diff(80);
    level(sine(distance * 7 + 2048 - at.turn(6)) * (255 - distance * 2) / 256)
}

pub(super) fn glacier(at: At) -> u8 {
    let sum =
        sine(at.led * 2 + at.turn(1)) + sine(at.led * 5 + 1024 - at.turn(2)) + sine(at.led * 3 + at.turn(3));
    level(sum / 3)
}

pub(super) fn midnight(at: At) -> u8 {
    let glow = |wave: u32| wave * wave / 256 * wave / 256;
    level(glow(sine(at.led * 3 + at.turn(1))).max(glow(sine(at.led * 4 + 1024 - at.turn(3)))))
}

pub(super) fn storm(at: At) -> u8 {
    let cloud = noise(at, 0, 8, 6, 1) * 2 / 3;
    let bolt = hash(at.frame / 2, 5);
    let struck = bolt > 236 && apart(at.led, bolt * 7 + hash(at.frame / 2, 6)) < 18;
    level(if struck { 255 } else { cloud })
}

pub(super) fn meadow(at: At) -> u8 {
    level((noise(at, 0, 20, 24, 2) * 2 + noise(at, 0, 5, 12, 3)) / 3)
}

pub(super) fn cascade(at: At) -> u8 {
    let shift = at.frame * 160 * 2 / FRAMES;
    level((noise(at, shift, 10, 144, 4) + noise(at, shift / 2, 16, 36, 5)) / 2)
}

/// For a palette of 57 colours.
pub(super) fn rain(at: At) -> u8 {
    let begin = hash(at.led, 9) * FRAMES / 256;
    let age = (at.frame + FRAMES - begin) % 48;
    if hash(at.led, 10) < 112 { 56u32.saturating_sub(age * 3) as u8 } else { 0 }
}

pub(super) fn holo(at: At) -> u8 {
    let grain = noise(at, 0, 4, 8, 6);
    level((sine(at.led * 4 + at.turn(2) + grain / 2) + grain) / 2)
}
