//! Captures as an analyser would have made them, written by hand: edge by edge.

use std::fs::File;
use std::io::{BufWriter, Cursor};
use std::path::Path;

use rigor_core::Instant;
use rigor_core::event::{BusTransfer, Level};
use rigor_decode::capture::{Capture, SampleRate, raw, sigrok, vcd};
use rigor_decode::st7789::Window;
use rigor_decode::st7789::encode;

/// Levels of a signal as they follow each other, each with its length in nanoseconds.
type Levels = Vec<(Level, u64)>;

fn capture(signals: &[(&str, Levels)]) -> Capture {
    let mut capture = Capture::new(Instant::ZERO);
    for (name, levels) in signals {
        let initial = levels.first().map_or(Level::Low, |(level, _)| *level);
        let signal = capture.add(*name, initial);
        let mut now = 0;
        for (level, length) in levels {
            signal.change(Instant::from_nanos(now), *level).expect("in order");
            now += length;
        }
        capture.ends_at(Instant::from_nanos(now));
    }
    capture
}

/// Two frames of two pixels each, 1 ms apart; `zero_low_ns` is 850 by the data sheet.
pub(crate) fn strip(zero_low_ns: u64) -> Capture {
    let mut levels = vec![(Level::Low, 100_000)];
    for frame in [[0x00, 0x10, 0xff, 0x80, 0x00, 0x01], [0xff, 0x00, 0x00, 0x00, 0xff, 0x00]] {
        for bit in frame.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)) {
            let (high, low) = if bit { (800, 450) } else { (400, zero_low_ns) };
            levels.extend([(Level::High, high), (Level::Low, low)]);
        }
        levels.push((Level::Low, 1_000_000));
    }
    capture(&[("din", levels), ("other", vec![(Level::High, 2_000_000)])])
}

/// A serial line at 115,200 baud; with `broken`, the last stop bit is missing.
pub(crate) fn serial(text: &str, broken: bool) -> Capture {
    const BIT: u64 = 8_681;
    let mut levels = vec![(Level::High, 100_000)];
    for (index, byte) in text.bytes().enumerate() {
        levels.push((Level::Low, BIT));
        for bit in 0..8 {
            levels.push((if byte >> bit & 1 == 1 { Level::High } else { Level::Low }, BIT));
        }
        let stop = if broken && index + 1 == text.len() { Level::Low } else { Level::High };
        levels.push((stop, BIT));
    }
    levels.push((Level::High, 500_000));
    capture(&[("tx", levels), ("rx", vec![(Level::High, 2_000_000)])])
}

/// A display of 240 x 240 pixels that is switched on and gets a red square of 4 x 4.
pub(crate) fn display() -> Capture {
    const HALF: u64 = 100;
    let mut transfers = Vec::new();
    for (opcode, parameters) in [(0x11, &[][..]), (0x3A, &[0x55]), (0x21, &[]), (0x29, &[])] {
        transfers.extend(encode::command(opcode, parameters));
    }
    let window = Window { columns: (0, 3), rows: (0, 3) };
    transfers.extend(encode::draw(window, [0xf800; 16], 64));
    let [mut clock, mut data, mut dc, mut select] = [const { Levels::new() }; 4];
    let mut pause = 1_000;
    for BusTransfer { data: is_data, bytes } in &transfers {
        // Out of its sleep it needs 120 ms, and 5 ms at other times.
        for levels in [&mut clock, &mut data, &mut dc] {
            levels.push((Level::Low, pause));
        }
        select.extend([(Level::High, pause), (Level::Low, bytes.len() as u64 * 16 * HALF)]);
        pause = 120_000_000;
        for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)) {
            let level = |high: bool| if high { Level::High } else { Level::Low };
            clock.extend([(Level::Low, HALF), (Level::High, HALF)]);
            data.push((level(bit), 2 * HALF));
            dc.push((level(*is_data), 2 * HALF));
        }
    }
    capture(&[("SCK", clock), ("MOSI", data), ("DC", dc), ("CS", select)])
}

pub(crate) fn write_vcd(capture: &Capture, path: &Path) {
    vcd::write(capture, BufWriter::new(File::create(path).expect("a file"))).expect("it can be written");
}

pub(crate) fn write_sigrok(capture: &Capture, path: &Path) {
    let mut bytes = Cursor::new(Vec::new());
    sigrok::write(capture, rate(), &mut bytes).expect("it can be written");
    std::fs::write(path, bytes.into_inner()).expect("a file");
}

pub(crate) fn write_raw(capture: &Capture, path: &Path) {
    raw::write(capture, rate(), BufWriter::new(File::create(path).expect("a file")))
        .expect("it can be written");
}

/// 100 MHz: each edge above is on a sample, or within 5 ns of one.
fn rate() -> SampleRate {
    SampleRate::hertz(100_000_000).expect("a rate")
}
