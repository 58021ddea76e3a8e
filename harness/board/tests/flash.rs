//! The flash chip: its rules, its times, and what a power cut leaves.

// The exception for tests in clippy.toml does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use embassy_time::{Instant as Uptime, Timer};
use embedded_storage::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use rigor_board::flash::{FlashError, FlashHandle};
use rigor_core::event::{DeviceEvent, FlashBusy, FlashOperation, Kind};
use rstest::rstest;
use std::time::Duration;

const ERASE: u64 = 45 * MS;

/// Time to program `bytes` of one page.
fn program(bytes: u64) -> u64 {
    400_000 + 25 * bytes
}

/// What was in the chip before the device first started.
fn filled(start: impl Fn(&Chip, &Probe) + 'static) -> Bench {
    bench_with_image(free_switches(), vec![(0, vec![0x5A; 16 * 4096])], start)
}

fn busy(bench: &Bench) -> Vec<(u64, FlashBusy)> {
    bench
        .events("flash")
        .into_iter()
        .map(|event| match event.kind {
            Kind::FlashBusy(busy) => (event.at.as_nanos() - BOOT, busy),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn contents(bench: &Bench, address: u32, length: u32) -> Vec<u8> {
    bench.board.flash().read(address, length).unwrap()
}

#[test]
fn programming_only_clears_bits_and_erasing_sets_a_whole_sector() {
    let bench = filled(|chip, _| {
        let mut flash = chip.flash();
        spawn(chip, "task", 0, 1, async move {
            flash.write(4096, &[0xF0, 0x0F, 0xFF, 0x00]).unwrap();
            let mut read = [0; 8];
            flash.read(4096, &mut read).unwrap();
            assert_eq!(read, [0x50, 0x0A, 0x5A, 0x00, 0x5A, 0x5A, 0x5A, 0x5A]);
            flash.erase(4096, 2 * 4096).unwrap();
            flash.write(4096, &[0x12, 0x34, 0x56, 0x78]).unwrap();
            flash.write(4096, &[0xFF, 0xFF, 0xFF, 0xFF]).unwrap();
        });
    });
    bench.on();
    bench.run_to(BOOT + 100 * MS);
    assert_eq!(bench.crashes(), Vec::<String>::new());
    let mut expected = vec![0x5A; 4096];
    expected.extend([0x12, 0x34, 0x56, 0x78]);
    expected.extend([0xFF; 4092]);
    expected.extend([0x5A; 4096]);
    assert_eq!(contents(&bench, 0, 3 * 4096), expected);
}

#[test]
fn a_blank_chip_reads_as_ones() {
    let bench = bench(|_, _| {});
    assert_eq!(contents(&bench, 8 * 1024 * 1024 - 4, 4), [0xFF; 4]);
    assert!(bench.board.flash().read(8 * 1024 * 1024 - 4, 8).is_err());
    assert!(bench.board.flash().write(u32::MAX, &[0; 8]).is_err());
}

#[rstest]
#[case::write_address(|flash: &mut FlashHandle| flash.write(2, &[0; 4]), NorFlashErrorKind::NotAligned)]
#[case::write_length(|flash: &mut FlashHandle| flash.write(4, &[0; 3]), NorFlashErrorKind::NotAligned)]
#[case::read_address(|flash: &mut FlashHandle| flash.read(1, &mut [0; 4]), NorFlashErrorKind::NotAligned)]
#[case::read_length(|flash: &mut FlashHandle| flash.read(0, &mut [0; 6]), NorFlashErrorKind::NotAligned)]
#[case::erase_from(|flash: &mut FlashHandle| flash.erase(256, 4096), NorFlashErrorKind::NotAligned)]
#[case::erase_to(|flash: &mut FlashHandle| flash.erase(0, 4000), NorFlashErrorKind::NotAligned)]
#[case::erase_backwards(|flash: &mut FlashHandle| flash.erase(8192, 4096), NorFlashErrorKind::OutOfBounds)]
#[case::write_beyond(|flash: &mut FlashHandle| flash.write(8 * 1024 * 1024 - 4, &[0; 8]), NorFlashErrorKind::OutOfBounds)]
#[case::read_beyond(|flash: &mut FlashHandle| flash.read(8 * 1024 * 1024, &mut [0; 4]), NorFlashErrorKind::OutOfBounds)]
#[case::erase_beyond(|flash: &mut FlashHandle| flash.erase(8 * 1024 * 1024, 8 * 1024 * 1024 + 4096), NorFlashErrorKind::OutOfBounds)]
fn what_the_chip_cannot_do_is_refused(
    #[case] operation: fn(&mut FlashHandle) -> Result<(), FlashError>,
    #[case] kind: NorFlashErrorKind,
) {
    let bench = bench(move |chip, probe| {
        let (mut flash, probe) = (chip.flash(), probe.clone());
        spawn(chip, "task", 0, 1, async move {
            assert_eq!(operation(&mut flash).map_err(|error| error.kind()), Err(kind));
            probe.mark("refused");
        });
    });
    bench.run_to(BOOT + 100 * MS);
    assert_eq!(bench.marked("refused"), [SWITCH], "in no time; {:?}", bench.crashes());
    assert!(busy(&bench).is_empty());
}

#[test]
fn every_operation_takes_its_time_and_is_recorded() {
    let bench = filled(|chip, probe| {
        let (mut flash, probe) = (chip.flash(), probe.clone());
        spawn(chip, "task", 0, 1, async move {
            flash.erase(4096, 3 * 4096).unwrap();
            probe.mark("erased");
            flash.write(4096 + 200, &[0; 400]).unwrap();
            probe.mark("written");
            flash.read(0, &mut [0; 1000]).unwrap();
            probe.mark("read");
        });
    });
    bench.on();
    bench.run_to(BOOT + 200 * MS);
    let (erase, write) = (FlashOperation::Erase, FlashOperation::Program);
    let (first, second, third) = (program(56), program(256), program(88));
    let expected = [
        (0, erase, 4096, 4096, ERASE),
        (ERASE, erase, 2 * 4096, 4096, ERASE),
        (2 * ERASE, write, 4296, 56, first),
        (2 * ERASE + first, write, 4352, 256, second),
        (2 * ERASE + first + second, write, 4608, 88, third),
    ]
    .map(|(at, operation, address, length, nanos)| {
        (at, FlashBusy { operation, address, length, duration: Duration::from_nanos(nanos) })
    });
    assert_eq!(busy(&bench), expected);
    let written = 2 * ERASE + first + second + third;
    assert_eq!(bench.marked("erased"), [2 * ERASE]);
    assert_eq!(bench.marked("written"), [written]);
    assert_eq!(bench.marked("read"), [written + 25_000]);
}

#[test]
fn one_thing_at_a_time_from_either_core() {
    let bench = filled(|chip, probe| {
        for (name, core) in [("zero", 0), ("one", 1)] {
            let (mut flash, probe) = (chip.flash(), probe.clone());
            spawn(chip, name, core, 1, async move {
                flash.erase(core as u32 * 4096, (core as u32 + 1) * 4096).unwrap();
                probe.mark(format!("{name} erased"));
                let mut byte = [0; 4];
                flash.read(core as u32 * 4096, &mut byte).unwrap();
                assert_eq!(byte, [0xFF; 4]);
                probe.mark(format!("{name} read"));
            });
        }
    });
    bench.on();
    bench.run_to(BOOT + 200 * MS);
    assert_eq!(bench.marked("zero erased"), [ERASE]);
    // Reading while busy waits; whoever comes first gets the chip, and core 0 is asked first.
    let reads = (bench.marked("zero read")[0], bench.marked("one read")[0]);
    assert_eq!(bench.marked("one erased").len(), 1);
    let starts: Vec<u64> = busy(&bench).into_iter().map(|(at, _)| at).collect();
    assert_eq!(reads.0, ERASE + 100, "the reader was there before the chip was free");
    assert_eq!(starts, [0, ERASE + 100]);
    assert_eq!(reads.1, 2 * ERASE + 200);
}

#[test]
fn contents_change_at_the_end_of_an_operation() {
    let bench = filled(|chip, _| {
        let mut flash = chip.flash();
        spawn(chip, "task", 0, 1, async move { flash.erase(0, 4096).unwrap() });
    });
    bench.on();
    bench.run_to(BOOT + ERASE - 1);
    assert_eq!(contents(&bench, 0, 1), [0x5A]);
    assert!(busy(&bench).is_empty());
    let source = bench.board.flash().busy_source().unwrap();
    assert_eq!(bench.timeline.complete_until(source).as_nanos(), BOOT, "the chip owes its record");
    bench.run_to(BOOT + ERASE);
    assert_eq!(contents(&bench, 0, 1), [0xFF]);
    assert_eq!(bench.timeline.complete_until(source).as_nanos(), BOOT + ERASE);
}

#[test]
fn the_reset_vector_uses_the_chip_in_no_time() {
    let bench = filled(|chip, probe| {
        let mut flash = chip.flash();
        flash.erase(0, 8192).unwrap();
        flash.write(0, &[1, 2, 3, 4]).unwrap();
        let mut read = [0; 4];
        flash.read(0, &mut read).unwrap();
        assert_eq!(read, [1, 2, 3, 4]);
        probe.mark("ready");
    });
    bench.on();
    bench.run_to(BOOT + 200 * MS);
    assert_eq!(bench.crashes(), Vec::<String>::new());
    assert_eq!(bench.marked("ready"), [0]);
    assert_eq!(contents(&bench, 0, 4), [1, 2, 3, 4]);
    assert_eq!(busy(&bench).len(), 3);
}

#[test]
fn a_pin_reset_lets_the_erase_finish() {
    let bench = filled(|chip, probe| {
        let (mut flash, probe) = (chip.flash(), probe.clone());
        let first = probe.count() == 0;
        probe.mark("start");
        spawn(chip, "task", 0, 1, async move {
            if first {
                flash.erase(0, 8192).unwrap();
            }
            flash.read(0, &mut [0; 4]).unwrap();
            probe.mark("read");
        });
    });
    bench.on();
    bench.run_to(BOOT + 20 * MS);
    bench.pin_reset();
    bench.run_to(BOOT + 200 * MS);
    assert_eq!(contents(&bench, 0, 4), [0xFF; 4]);
    assert_eq!(contents(&bench, 4096, 4), [0x5A; 4], "nobody was left to begin the second sector");
    let record = FlashBusy {
        operation: FlashOperation::Erase,
        address: 0,
        length: 4096,
        duration: Duration::from_nanos(ERASE),
    };
    assert_eq!(busy(&bench), [(0, record)]);
    assert_eq!(bench.marked("read"), [20 * MS + BOOT + 100]);
}

#[test]
fn a_new_life_waits_for_the_erase_of_the_old_one() {
    let config = BoardConfig { boot_rom: Duration::from_millis(1), ..free_switches() };
    let bench = bench_with_image(config, vec![(0, vec![0x5A; 4096])], |chip, probe| {
        let (mut flash, probe) = (chip.flash(), probe.clone());
        let first = probe.count() == 0;
        probe.mark("start");
        spawn(chip, "task", 0, 1, async move {
            if first {
                flash.erase(0, 4096).unwrap();
            }
            flash.read(0, &mut [0; 4]).unwrap();
            probe.mark("read");
        });
    });
    bench.on();
    bench.run_to(20 * MS);
    bench.pin_reset();
    bench.run_to(200 * MS);
    assert_eq!(bench.probe.count(), 3);
    assert_eq!(bench.marked("read"), [(MS + ERASE + 100).saturating_sub(BOOT)]);
    assert_eq!(bench.crashes(), Vec::<String>::new());
}

/// Bits that are set in `after` of those that an erase had to set.
fn raised(after: &[u8]) -> u32 {
    after.iter().map(|byte| (byte & !0x5A).count_ones()).sum()
}

fn cut_during_erase(seed: u64, at: u64) -> (Bench, Vec<u8>) {
    let config = BoardConfig { seed, ..free_switches() };
    let bench = bench_with_image(config, vec![(0, vec![0x5A; 8192])], |chip, _| {
        let mut flash = chip.flash();
        spawn(chip, "task", 0, 1, async move { flash.erase(0, 4096).unwrap() });
    });
    bench.on();
    bench.run_to(BOOT + at);
    bench.off();
    bench.run_to(BOOT + 100 * MS);
    let torn = contents(&bench, 0, 8192);
    (bench, torn)
}

#[test]
fn a_power_cut_tears_an_erase() {
    let (bench, torn) = cut_during_erase(1, ERASE / 2);
    assert!(torn[..4096].iter().all(|byte| byte & 0x5A == 0x5A), "an erase clears no bit");
    let share = f64::from(raised(&torn[..4096])) / (4096.0 * 4.0);
    assert!((0.45..0.55).contains(&share), "half of the time, half of the bits: {share}");
    assert_eq!(torn[4096..], [0x5A; 4096], "no other sector");
    let record = FlashBusy {
        operation: FlashOperation::Erase,
        address: 0,
        length: 4096,
        duration: Duration::from_nanos(ERASE / 2),
    };
    assert_eq!(busy(&bench), [(0, record)], "as long as it truly was");
    assert_eq!(bench.device().last().unwrap().1, DeviceEvent::PowerOff);

    assert_eq!(cut_during_erase(1, ERASE / 2).1, torn, "one seed, one chip");
    assert_ne!(cut_during_erase(2, ERASE / 2).1, torn);
    let later = cut_during_erase(1, ERASE - 1).1;
    assert!(raised(&later[..4096]) > raised(&torn[..4096]));
    assert_eq!(cut_during_erase(1, ERASE).1[..4096], [0xFF; 4096], "it was done");
}

fn cut_during_program(seed: u64, at: u64) -> (Bench, Vec<u8>) {
    let config = BoardConfig { seed, ..free_switches() };
    let bench = bench_with(config, |chip, _| {
        let mut flash = chip.flash();
        spawn(chip, "task", 0, 1, async move { flash.write(0, &[0x11; 512]).unwrap() });
    });
    bench.on();
    bench.run_to(BOOT + at);
    bench.off();
    bench.run_to(BOOT + 100 * MS);
    let torn = contents(&bench, 0, 1024);
    (bench, torn)
}

#[test]
fn a_power_cut_tears_a_program() {
    let page = program(256);
    let (bench, torn) = cut_during_program(7, page + page / 4);
    assert_eq!(torn[..256], [0x11; 256], "the first page was done");
    assert_eq!(torn[256..320], [0x11; 64], "a quarter of the second");
    assert_eq!(torn[320] & 0x11, 0x11, "of the byte in progress only bits that were to fall have fallen");
    assert_eq!(torn[321..], [0xFF; 703]);
    let lengths: Vec<_> =
        busy(&bench).into_iter().map(|(at, busy)| (at, busy.duration.as_nanos() as u64)).collect();
    assert_eq!(lengths, [(0, page), (page, page / 4)]);

    let byte_in_progress = |seed| cut_during_program(seed, page + page / 4).1[320];
    assert_eq!(byte_in_progress(7), torn[320]);
    assert!((0..20).any(|seed| byte_in_progress(seed) != torn[320]), "the seed decides");
}

#[test]
fn after_a_power_cut_the_chip_is_ready() {
    // It boots long before the erase would have ended.
    let config = BoardConfig { boot_rom: Duration::from_millis(1), ..free_switches() };
    let bench = bench_with(config, |chip, probe| {
        let (mut flash, probe) = (chip.flash(), probe.clone());
        let first = probe.count() == 0;
        probe.mark("start");
        spawn(chip, "task", 0, 1, async move {
            if first {
                flash.erase(0, 4096).unwrap();
            }
            flash.write(8192, &[0; 4]).unwrap();
            probe.mark("written");
        });
    });
    bench.on();
    bench.run_to(2 * MS);
    bench.off();
    bench.on();
    bench.run_to(200 * MS);
    let starts: Vec<u64> = bench.events("flash").into_iter().map(|event| event.at.as_nanos()).collect();
    assert_eq!(starts, [MS, 3 * MS]);
}

#[test]
fn the_task_of_an_erased_sector_can_be_stopped_and_the_next_one_goes_on() {
    // The high task comes in the middle of the low one's erase and wants the chip too.
    let bench = filled(|chip, probe| {
        let (mut low, low_probe) = (chip.flash(), probe.clone());
        spawn(chip, "low", 0, 1, async move {
            low.erase(0, 8192).unwrap();
            low_probe.mark("low");
        });
        let (mut high, high_probe) = (chip.flash(), probe.clone());
        spawn(chip, "high", 0, 9, async move {
            Timer::at(Uptime::from_millis(10)).await;
            high.erase(8192, 12288).unwrap();
            high_probe.mark("high");
        });
    });
    bench.on();
    bench.run_to(BOOT + 200 * MS);
    assert_eq!(bench.marked("high"), [2 * ERASE]);
    assert_eq!(bench.marked("low"), [3 * ERASE]);
}
