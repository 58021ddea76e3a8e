//! Storage, playback and templates together on a flash in memory.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::Future;

use embassy_futures::select::{Either, select, select3};
use embassy_time::{Duration, Instant, Timer};
use firmware_platform::{BytesEncoder, Cpu, PulseTransmitter};

use super::ram_flash::RamFlash;
use super::*;
use crate::checksum::Crc32;
use crate::log::Log;
use crate::memory::Memory;
use crate::partition::Partition;
use crate::pattern::{Checker, FRAME_BYTES, Reader, Tail};
use crate::playback::{self, Playback, Shown};
use crate::pool::Pools;
use crate::templates;
use crate::testing::run;
use crate::watchdog::Watchdog;

const PLACE: Partition = Partition { offset: 0x32_0000, size: 0x18_0000 };

#[derive(Clone)]
struct NoCost;

impl Cpu for NoCost {
    fn work(&self, _cycles: u32) {}
}

/// What was sent, with its time in microseconds: the colours as red, green, blue again.
type Sent = Rc<RefCell<Vec<(u64, Vec<u8>)>>>;

struct Strip(Sent);

impl PulseTransmitter<2> for Strip {
    async fn transmit(&mut self, _encoder: &BytesEncoder, lanes: [&[u8]; 2]) {
        let colours = lanes.concat().chunks(3).flat_map(|grb| [grb[1], grb[0], grb[2]]).collect();
        self.0.borrow_mut().push((Instant::now().as_micros(), colours));
        Timer::after(Duration::from_micros(4800)).await;
    }
}

struct Bench {
    storage: Storage,
    playback: Playback,
    pools: Pools,
    log: Log,
    sent: Sent,
}

impl Bench {
    async fn upload(&self, name: &str, content: &[u8]) -> Result<Stored, StoreError> {
        self.upload_as(name, content, Crc32::of(content)).await
    }

    async fn upload_as(&self, name: &str, content: &[u8], crc: u32) -> Result<Stored, StoreError> {
        let name = PatternName::normalised(name.as_bytes());
        let id = self.storage.begin(&name, content.len() as u32).await?;
        for (index, piece) in content.chunks(4089).enumerate() {
            let mut block = self.pools.alloc(7 + piece.len()).unwrap();
            block[7..].copy_from_slice(piece);
            let done = self.storage.append_from(id, index as u32 * 4089, block, 7).await;
            if let Err(error) = done {
                self.storage.abort(id);
                return Err(error);
            }
        }
        self.storage.finish(id, crc).await
    }

    async fn frames(&self, count: u64) {
        Timer::after(Duration::from_micros(count * 8333)).await;
    }

    /// The first byte of each frame sent since `from`.
    fn shown_since(&self, from: usize) -> Vec<u8> {
        self.sent.borrow()[from..].iter().map(|(_, colours)| colours[0]).collect()
    }
}

/// Boots on `flash`, runs `scenario` and switches off.
fn on<T, S: Future<Output = T>>(flash: &RamFlash, scenario: impl FnOnce(Rc<Bench>) -> S) -> T {
    on_with(flash, Memory::endless(), scenario)
}

/// The same with this memory.
fn on_with<T, S: Future<Output = T>>(
    flash: &RamFlash,
    memory: Memory,
    scenario: impl FnOnce(Rc<Bench>) -> S,
) -> T {
    let log = Log::new();
    let storage = Storage::new(memory.clone());
    let volume = mount(flash.clone(), NoCost, &log, memory, PLACE).unwrap();
    let playback = Playback::new(&storage, &log);
    let sent = Sent::default();
    let bench = Rc::new(Bench {
        storage: storage.clone(),
        playback: playback.clone(),
        pools: Pools::new(),
        log: log.clone(),
        sent: Rc::clone(&sent),
    });
    let tasks = select3(
        task(Some(volume), storage, playback.clone(), NoCost, log.clone(), Watchdog::asleep()),
        playback::task(playback, NoCost, Strip(sent), log.clone()),
        log.drain(Silent),
    );
    run(async {
        match select(tasks, scenario(bench)).await {
            Either::First(_) => unreachable!(),
            Either::Second(result) => result,
        }
    })
}

/// Like [`on`], without a playback task.
fn on_storage_alone<T, S: Future<Output = T>>(flash: &RamFlash, scenario: impl FnOnce(Rc<Bench>) -> S) -> T {
    let log = Log::new();
    let storage = Storage::new(Memory::endless());
    let volume = mount(flash.clone(), NoCost, &log, Memory::endless(), PLACE).unwrap();
    let playback = Playback::new(&storage, &log);
    let bench = Rc::new(Bench {
        storage: storage.clone(),
        playback: playback.clone(),
        pools: Pools::new(),
        log: log.clone(),
        sent: Sent::default(),
    });
    let tasks = task(Some(volume), storage, playback, NoCost, log, Watchdog::asleep());
    run(async {
        match select(tasks, scenario(bench)).await {
            Either::First(()) => unreachable!(),
            Either::Second(result) => result,
        }
    })
}

struct Silent;

impl embedded_io_async::ErrorType for Silent {
    type Error = core::convert::Infallible;
}

impl embedded_io_async::Write for Silent {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Self::Error> {
        if std::env::var_os("PRISM_LOG").is_some() {
            std::print!("{}", alloc::string::String::from_utf8_lossy(bytes));
        }
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
}

fn blank() -> RamFlash {
    RamFlash::new(8 * 1024 * 1024)
}

/// Mounts what the flash holds and reads a file, without the firmware's tasks.
fn stored(flash: &RamFlash, file: &FileId) -> Option<Vec<u8>> {
    let volume = mount(flash.copy(), NoCost, &Log::new(), Memory::endless(), PLACE).unwrap();
    let file = volume.open(file).ok()?;
    let mut content = vec![0; file.size() as usize];
    assert_eq!(file.read(&mut content).unwrap() as usize, content.len());
    Some(content)
}

fn pattern(name: &str) -> FileId {
    FileId::Pattern(PatternName::normalised(name.as_bytes()))
}

fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

/// Raw frames whose bytes all are `first`, `first + 1` ..
fn raw(first: u8, frames: u8) -> Vec<u8> {
    (0..frames).flat_map(|frame| [first + frame; FRAME_BYTES]).collect()
}

#[test]
fn uploads_of_all_sizes_come_back_byte_for_byte() {
    let flash = blank();
    let sizes = [1, 959, 4089, 4090, 8178, 262_143, 262_144];
    on(&flash, async |bench| {
        for size in sizes {
            let name = alloc::format!("Size.{size}");
            let stored = bench.upload(&name, &noise(size, size as u32)).await.unwrap();
            assert_eq!((stored.name.as_str(), stored.size as usize), (&*alloc::format!("size{size}"), size));
        }
        let listed = bench.storage.list().await.unwrap();
        assert_eq!(listed.len(), sizes.len());
        assert!(sizes.iter().all(|size| listed.iter().any(|entry| entry.size as usize == *size)));
        assert!(bench.storage.free_bytes().await.unwrap() > 0);
    });
    for size in sizes {
        assert!(
            stored(&flash, &pattern(&alloc::format!("size{size}"))) == Some(noise(size, size as u32)),
            "{size}"
        );
    }
}

#[test]
fn a_wrong_checksum_leaves_the_old_version_and_nothing_else() {
    let flash = blank();
    on(&flash, async |bench| {
        bench.upload("a", &noise(5000, 1)).await.unwrap();
        let free = bench.storage.free_bytes().await.unwrap();
        let calculated = Crc32::of(&noise(9000, 2));
        assert_eq!(
            bench.upload_as("a", &noise(9000, 2), 7).await,
            Err(StoreError::CrcMismatch { expected: 7, calculated })
        );
        assert_eq!(bench.storage.free_bytes().await, Ok(free));
        bench.upload("b", &noise(10, 3)).await.unwrap();
    });
    assert!(stored(&flash, &pattern("a")) == Some(noise(5000, 1)));
}

#[test]
fn an_aborted_upload_makes_room_at_once_and_never_mixes() {
    let flash = blank();
    on(&flash, async |bench| {
        let name = PatternName::unnamed();
        let first = bench.storage.begin(&name, 8192).await.unwrap();
        assert_eq!(bench.storage.begin(&name, 10).await, Err(StoreError::Busy));
        bench.storage.append(first, 0, bench.pools.alloc(4096).unwrap()).await.unwrap();
        bench.storage.append(first, 4096, bench.pools.alloc(4096).unwrap()).await.unwrap();
        bench.storage.abort(first);
        let second = bench.storage.begin(&name, 3).await.unwrap();
        let stale = bench.storage.append(first, 8192, bench.pools.alloc(1).unwrap()).await;
        assert_eq!(stale, Err(StoreError::NoSession));
        assert_eq!(bench.storage.finish(first, 0).await, Err(StoreError::NoSession));
        let mut block = bench.pools.alloc(3).unwrap();
        block.copy_from_slice(b"abc");
        bench.storage.append(second, 0, block).await.unwrap();
        bench.storage.finish(second, 0x3524_41C2).await.unwrap();
        assert_eq!(bench.pools.status().classes[2].free, 8);
    });
    assert_eq!(stored(&flash, &pattern("pattern")).as_deref(), Some(&b"abc"[..]));
}

#[test]
fn the_end_without_all_data_is_refused_and_the_session_is_free_again() {
    on(&blank(), async |bench| {
        let name = PatternName::unnamed();
        let id = bench.storage.begin(&name, 100).await.unwrap();
        bench.storage.append(id, 0, bench.pools.alloc(99).unwrap()).await.unwrap();
        let missing = StoreError::Incomplete { received: 99, size: 100 };
        assert_eq!(bench.storage.finish(id, 0).await, Err(missing));
        assert_eq!(bench.upload("x", b"y").await.map(|stored| stored.size), Ok(1));
        assert_eq!(bench.storage.delete(&name).await, Err(StoreError::NotFound));
    });
}

#[test]
fn a_full_file_system_refuses_and_keeps_its_reserve() {
    let flash = blank();
    on(&flash, async |bench| {
        let mut kept = 0;
        let refused = loop {
            match bench.upload(&alloc::format!("p{kept}"), &noise(262_144, kept)).await {
                Ok(_) => kept += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((refused, kept), (StoreError::NoSpace, 5));
        assert!(bench.storage.free_bytes().await.unwrap() >= RESERVE_BYTES);
        bench.storage.delete(&PatternName::normalised(b"p0")).await.unwrap();
        bench.upload("p9", &noise(262_144, 9)).await.unwrap();
    });
    assert!(stored(&flash, &pattern("p9")) == Some(noise(262_144, 9)));
    assert!(stored(&flash, &pattern("p0")).is_none());
}

#[test]
fn the_number_of_patterns_is_limited_and_replacing_goes_on() {
    on(&blank(), async |bench| {
        for number in 0..MAX_PATTERNS {
            bench.upload(&alloc::format!("n{number}"), b"x").await.unwrap();
        }
        assert_eq!(bench.upload("one-more", b"x").await, Err(StoreError::NoSpace));
        assert!(bench.upload("n7", b"xyz").await.is_ok());
        assert_eq!(bench.storage.list().await.unwrap().len(), MAX_PATTERNS);
    });
}

#[test]
fn fifty_replacements_work_and_lose_no_space() {
    let flash = blank();
    on(&flash, async |bench| {
        bench.upload("pattern", &noise(100_000, 0)).await.unwrap();
        let free = bench.storage.free_bytes().await.unwrap();
        for round in 1..=50 {
            bench.upload("pattern", &noise(100_000, round)).await.unwrap();
        }
        assert_eq!(bench.storage.free_bytes().await, Ok(free));
    });
    assert!(stored(&flash, &pattern("pattern")) == Some(noise(100_000, 50)));
}

#[test]
fn a_power_cut_at_any_instant_leaves_the_old_or_the_new_version() {
    let (old, new) = (noise(9000, 1), noise(12_000, 2));
    let before = blank();
    on(&before, async |bench| {
        bench.upload("pattern", &old).await.unwrap();
        // Also cut into erases: leave the file system something to erase.
        for round in 0..40 {
            bench.upload("other", &noise(40_000, round)).await.unwrap();
        }
    });
    let probe = before.copy();
    let mut total = 0;
    on(&probe, async |bench| {
        let idle = probe.operations();
        bench.upload("pattern", &new).await.unwrap();
        total = probe.operations() - idle;
    });
    assert!(total > 40, "{total}");
    let (mut olds, mut news) = (0, 0);
    for cut in 1..=total + 2 {
        let flash = before.copy();
        on(&flash, async |bench| {
            flash.cut_after(cut);
            let _ = bench.upload("pattern", &new).await;
        });
        let after = flash.copy();
        let kept = stored(&after, &pattern("pattern")).expect("neither version");
        if kept == old {
            olds += 1;
        } else if kept == new {
            news += 1;
        } else {
            panic!("a third state after {cut} of {total} operations");
        }
        assert!(stored(&after, &pattern("other")) == Some(noise(40_000, 39)));
        on(&after, async |bench| {
            assert_eq!(bench.storage.list().await.unwrap().len(), 2);
            bench.upload("pattern", &new).await.unwrap();
        });
    }
    assert!(olds > 0 && news > 0, "{olds} {news}");
}

#[test]
fn switching_off_writes_nothing() {
    let flash = blank();
    let operations = on(&flash, async |bench| {
        bench.upload("pattern", &raw(1, 100)).await.unwrap();
        bench.playback.play(&PatternName::unnamed()).await.unwrap();
        let id = bench.storage.begin(&PatternName::unnamed(), 10_000).await.unwrap();
        bench.storage.append(id, 0, bench.pools.alloc(1000).unwrap()).await.unwrap();
        bench.frames(3).await;
        flash.operations()
    });
    assert_eq!(flash.operations(), operations);
    assert!(stored(&flash, &pattern("pattern")) == Some(raw(1, 100)));
}

#[test]
fn a_flash_failure_surfaces_and_the_session_is_free_again() {
    let flash = blank();
    on(&flash, async |bench| {
        flash.cut_after(20);
        assert_eq!(bench.upload("a", &noise(100_000, 1)).await, Err(StoreError::Io));
        assert_ne!(bench.upload("a", &noise(100_000, 1)).await, Err(StoreError::Busy));
    });
}

#[test]
fn without_a_file_system_everything_is_refused() {
    let (log, storage) = (Log::new(), Storage::new(Memory::endless()));
    let playback = Playback::new(&storage, &log);
    let pools = Pools::new();
    let body =
        task::<RamFlash, NoCost>(None, storage.clone(), playback.clone(), NoCost, log, Watchdog::asleep());
    run(select(body, async {
        let name = PatternName::unnamed();
        for _ in 0..2 {
            assert_eq!(storage.begin(&name, 1).await, Err(StoreError::NotMounted));
        }
        assert_eq!(storage.list().await, Err(StoreError::NotMounted));
        assert!(playback.play(&name).await.is_err());
        drop(pools);
    }));
}

#[test]
fn a_foreign_partition_is_formatted_and_a_wrong_size_is_refused() {
    let flash = blank();
    flash.poke(PLACE.offset, &noise(PLACE.size as usize, 5));
    assert!(mount(flash, NoCost, &Log::new(), Memory::endless(), PLACE).is_ok());
    let size = 0x17_0000;
    let small = Partition { size, ..PLACE };
    let refused = mount(blank(), NoCost, &Log::new(), Memory::endless(), small).err();
    assert_eq!(refused, Some(MountError::Size { found: size }));
}

#[test]
fn black_until_something_plays_then_every_frame_in_order_without_drift() {
    on(&blank(), async |bench| {
        bench.frames(10).await;
        bench.upload("pattern", &raw(1, 100)).await.unwrap();
        bench.playback.play(&PatternName::unnamed()).await.unwrap();
        bench.frames(1000).await;
        let shown = bench.shown_since(0);
        let begin = shown.iter().position(|value| *value != 0).unwrap();
        assert!(begin >= 9);
        for (index, value) in shown[begin..].iter().enumerate() {
            assert_eq!(*value, 1 + (index % 100) as u8, "frame {index}");
        }
        let sent = bench.sent.borrow();
        for (index, (at, _)) in sent.iter().enumerate() {
            assert_eq!(*at, sent[0].0 + index as u64 * 1_000_000 / 120);
        }
        let status = bench.playback.status();
        assert_eq!((status.underruns, status.dropped), (0, 0));
        assert!(sent.len() as u64 - status.frames_sent <= 1);
        assert_eq!(status.playing, Some(Shown::Pattern(PatternName::unnamed())));
    });
}

/// Playback as it goes on while the flash keeps the storage task waiting.
fn play_meanwhile(flash: &RamFlash, playback: &Playback) -> Rc<Cell<usize>> {
    let fewest = Rc::new(Cell::new(usize::MAX));
    let (seen, playback) = (Rc::clone(&fewest), playback.clone());
    let (mut elapsed, mut tick) = (0u64, 1_000_000);
    flash.meanwhile(move |micros| {
        elapsed += u64::from(micros);
        while elapsed >= 8333 {
            elapsed -= 8333;
            tick += 1;
            let (_, left) = playback.tick(tick);
            seen.set(seen.get().min(left));
        }
    });
    fewest
}

#[test]
fn flash_work_never_starves_playback() {
    let flash = blank();
    // Nothing is blank: every block must be erased before it is written.
    flash.poke(PLACE.offset, &noise(PLACE.size as usize, 5));
    on_storage_alone(&flash, async |bench| {
        bench.upload("pattern", &raw(1, 200)).await.unwrap();
        bench.playback.play(&PatternName::unnamed()).await.unwrap();
        let fewest = play_meanwhile(&flash, &bench.playback);
        let step = |what: &str| {
            let underruns = bench.playback.status().underruns;
            assert_eq!(underruns, 0, "{what}");
            if std::env::var_os("PRISM_LOG").is_some() {
                std::println!("{what}: {} frames left", fewest.replace(usize::MAX));
            }
        };
        for round in 0..3 {
            bench.upload("other", &noise(262_144, round)).await.unwrap();
            step("upload");
        }
        templates::task(bench.storage.clone(), bench.pools.clone(), NoCost, bench.log.clone()).await;
        step("templates");
        for round in 0..70 {
            let _ = bench.upload(&alloc::format!("small{round}"), &noise(300, round)).await;
        }
        step("small files");
        bench.storage.list().await.unwrap();
        bench.storage.free_bytes().await.unwrap();
        step("list");
        for round in 0..70 {
            let _ = bench
                .storage
                .delete(&PatternName::normalised(alloc::format!("small{round}").as_bytes()))
                .await;
        }
        step("delete");
        bench.upload("pattern", &raw(1, 250)).await.unwrap();
        step("replace");
        bench.playback.deploy("noise-holo").await.unwrap();
        bench.playback.play(&PatternName::unnamed()).await.unwrap();
        step("switch");
    });
}

#[test]
fn a_template_shows_each_frame_for_five_periods_on_both_lanes() {
    on(&blank(), async |bench| {
        templates::task(bench.storage.clone(), bench.pools.clone(), NoCost, bench.log.clone()).await;
        let template = templates::find("noise-rain").unwrap();
        let palette = template.palette();
        let expected = |frame: usize| {
            let indices = template.frame(frame as u32 % templates::FRAMES);
            let lane: Vec<u8> = indices.iter().flat_map(|index| palette[usize::from(*index)]).collect();
            lane.repeat(2)
        };
        bench.playback.deploy("noise-rain").await.unwrap();
        let asked = bench.sent.borrow().len();
        bench.frames(1600).await;
        let sent = bench.sent.borrow();
        let begin = (0..).find(|at| sent[*at].1 == expected(0)).unwrap();
        assert!(begin <= asked + 1, "on the wire at once");
        for at in begin..sent.len() {
            assert!(sent[at].1 == expected((at - begin) / 5), "frame {}", at - begin);
        }
    });
}

#[test]
fn replacing_what_plays_begins_the_new_version_at_its_first_frame_once() {
    on(&blank(), async |bench| {
        let name = PatternName::unnamed();
        bench.upload("pattern", &raw(1, 100)).await.unwrap();
        bench.playback.play(&name).await.unwrap();
        bench.frames(30).await;
        let from = bench.sent.borrow().len();
        bench.upload("pattern", &raw(150, 100)).await.unwrap();
        bench.frames(2).await;
        bench.playback.play(&name).await.unwrap();
        bench.frames(80).await;
        let shown = bench.shown_since(from);
        let begin = shown.iter().position(|value| *value >= 150).unwrap();
        for (index, value) in shown[begin..].iter().enumerate() {
            assert_eq!(*value, 150 + (index % 100) as u8, "frame {index}");
        }
        // Much later the same request begins from the front.
        let from = bench.sent.borrow().len();
        bench.playback.play(&name).await.unwrap();
        bench.frames(4).await;
        // One frame may have been painted already.
        let shown = bench.shown_since(from);
        assert!(shown.starts_with(&[150, 151]) || shown[1..].starts_with(&[150, 151]));
    });
}

#[test]
fn an_unplayable_upload_leaves_the_picture() {
    on(&blank(), async |bench| {
        let name = PatternName::unnamed();
        bench.upload("pattern", &raw(9, 1)).await.unwrap();
        bench.playback.play(&name).await.unwrap();
        bench.frames(5).await;
        assert_eq!(bench.upload("pattern", b"x").await.map(|stored| stored.size), Ok(1));
        assert!(matches!(bench.playback.play(&name).await, Err(PlayError::NotPlayable(_))));
        let from = bench.sent.borrow().len();
        bench.frames(100).await;
        assert!(bench.shown_since(from).iter().all(|value| *value == 9));
        assert_eq!(bench.playback.play(&PatternName::normalised(b"none")).await, Err(PlayError::NotFound));
    });
}

#[test]
fn only_the_unnamed_file_may_have_a_tail_of_raw_bytes() {
    on(&blank(), async |bench| {
        let mut content = raw(3, 4);
        content.extend([7; 64]);
        for (name, plays) in [("pattern", true), ("other", false)] {
            bench.upload(name, &content).await.unwrap();
            let name = PatternName::normalised(name.as_bytes());
            assert_eq!(bench.playback.play(&name).await.is_ok(), plays);
        }
        let mut hostile = raw(3, 4);
        hostile[..4].copy_from_slice(b"PRSM");
        bench.upload("other", &hostile).await.unwrap();
        let refused = bench.playback.play(&PatternName::normalised(b"other")).await;
        assert!(matches!(refused, Err(PlayError::NotPlayable(_))));
    });
}

#[test]
fn stop_and_delete_show_black() {
    on(&blank(), async |bench| {
        let name = PatternName::unnamed();
        for delete in [false, true] {
            bench.upload("pattern", &raw(5, 10)).await.unwrap();
            bench.playback.play(&name).await.unwrap();
            bench.frames(20).await;
            assert_ne!(bench.shown_since(0).last(), Some(&0));
            if delete {
                bench.storage.delete(&name).await.unwrap();
                assert!(bench.storage.list().await.unwrap().is_empty());
            } else {
                bench.playback.stop();
            }
            let from = bench.sent.borrow().len();
            bench.frames(20).await;
            assert!(bench.shown_since(from + 1).iter().all(|value| *value == 0));
            assert_eq!(bench.playback.status().playing, None);
        }
    });
}

#[test]
fn brightness_and_gamma_reach_the_wire() {
    on(&blank(), async |bench| {
        bench.upload("pattern", &raw(200, 1)).await.unwrap();
        bench.playback.play(&PatternName::unnamed()).await.unwrap();
        bench.frames(3).await;
        let ramp = bench.playback.brightness(128, 60_000);
        assert_eq!((ramp.target, ramp.duration_ms), (128, 5000));
        bench.playback.brightness(128, 0);
        assert_eq!(bench.playback.gamma(220, 0).target, 220);
        assert_eq!(bench.playback.gamma(9999, 5000).target, 300);
        bench.playback.gamma(220, 0);
        bench.frames(3).await;
        let real = (255.0 * (200.0f64 / 255.0).powf(2.2) + 0.5).floor() * 128.0 / 255.0;
        let last = *bench.shown_since(0).last().unwrap();
        assert!((f64::from(last) - real).abs() <= 1.0, "{last} {real}");
    });
}

#[test]
fn an_upload_is_possible_while_templates_are_written_and_all_of_them_play() {
    let flash = blank();
    on(&flash, async |bench| {
        let provision =
            templates::task(bench.storage.clone(), bench.pools.clone(), NoCost, bench.log.clone());
        let content = noise(262_144, 3);
        let upload = bench.upload("big", &content);
        let (_, uploaded) = embassy_futures::join::join(provision, upload).await;
        uploaded.unwrap();
        assert!(bench.storage.free_bytes().await.unwrap() > 0);
        for template in &templates::CATALOGUE {
            bench.playback.deploy(template.id).await.unwrap();
            bench.frames(12).await;
            assert_eq!(bench.playback.status().playing, Some(Shown::Template(template.id)));
        }
        assert_eq!(bench.playback.deploy("flow").await, Err(PlayError::NotFound));
        assert_eq!(bench.playback.status().underruns, 0);
        assert_eq!(bench.storage.list().await.unwrap().len(), 1);
    });
    let mut frame = [0; FRAME_BYTES];
    let mut wrong = Vec::new();
    for template in &templates::CATALOGUE {
        let content = stored(&flash, &FileId::Template(template.id)).unwrap();
        if content.len() as u32 != template.bytes {
            wrong.push((template.id, content.len()));
        }
        let mut checker = Checker::open(&content[..], Tail::Refused).unwrap();
        while checker.step().unwrap().is_some() {}
        let mut reader: Reader<_> = checker.into_reader();
        assert_eq!((reader.info().frames, reader.info().rate), (templates::FRAMES, templates::RATE));
        let palette = template.palette();
        for number in 0..templates::FRAMES + 3 {
            reader.next_frame(&mut frame, true).unwrap();
            for (pixel, index) in frame.chunks(3).zip(template.frame(number % templates::FRAMES)) {
                assert_eq!(pixel, palette[usize::from(index)]);
            }
        }
    }
    assert!(wrong.is_empty(), "sizes: {wrong:?}");
    // The second boot finds them.
    let erases = flash.erases();
    on(&flash, async |bench| {
        templates::task(bench.storage.clone(), bench.pools.clone(), NoCost, bench.log.clone()).await;
    });
    assert_eq!(flash.erases(), erases);
    if let Some(path) = std::env::var_os("PRISM_IMAGE") {
        let all = flash.contents();
        std::fs::write(path, &all[PLACE.offset as usize..][..PLACE.size as usize]).unwrap();
    }
}

#[test]
fn without_memory_everything_is_refused_and_nothing_is_stuck() {
    let left = Rc::new(Cell::new(usize::MAX));
    on_with(&blank(), Memory::of_bytes(Rc::clone(&left)), |bench| async move {
        let content = noise(20_000, 3);
        let crc = Crc32::of(&content);
        let kept = PatternName::normalised(b"kept");
        assert!(bench.upload_as("kept", &content, crc).await.is_ok());
        left.set(100);
        assert_eq!(bench.upload_as("new", &content, crc).await.err(), Some(StoreError::NoMemory));
        assert_eq!(bench.storage.list().await.err(), Some(StoreError::NoMemory));
        assert_eq!(bench.storage.delete(&kept).await, Err(StoreError::NoMemory));
        assert_eq!(bench.playback.play(&kept).await, Err(StoreError::NoMemory.into()));
        left.set(usize::MAX);
        // Half way: what was announced and cannot be ended does not stay open.
        let id = bench.storage.begin(&PatternName::normalised(b"half"), 100).await.unwrap();
        bench.storage.append(id, 0, bench.pools.alloc(100).unwrap()).await.unwrap();
        left.set(100);
        assert_eq!(bench.storage.finish(id, 0).await.err(), Some(StoreError::NoMemory));
        left.set(usize::MAX);
        assert!(bench.upload_as("half", &content, crc).await.is_ok());
        let names: Vec<_> = bench.storage.list().await.unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, [PatternName::normalised(b"half"), kept]);
    });
}
