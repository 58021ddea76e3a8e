//! One seed gives one run, to the byte, whatever else the process does.

// The exception for tests in clippy.toml does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use edge_nal::{Close, TcpAccept, TcpBind, TcpShutdown};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_time::{Duration as Ticks, Ticker, Timer, with_timeout};
use embedded_hal::digital::OutputPin;
use embedded_hal_async::digital::Wait;
use embedded_io_async::{Read, Write};
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use rigor_core::event::{BytesEncoding, ConnectionId, DeviceEvent, Event, Kind, Level, Symbol};
use rigor_core::part::Drive;
use rigor_core::task::TASK_LANES;
use rigor_core::timeline::Source;
use std::rc::Rc;

const WS2812: BytesEncoding =
    BytesEncoding { zero: Symbol { high_ns: 400, low_ns: 850 }, one: Symbol { high_ns: 800, low_ns: 450 } };

/// Two cores, timers, a channel between tasks, flash, serial, network, bursts and a button.
fn firmware(chip: &Chip, _: &Probe) {
    let frames: Rc<Channel<CriticalSectionRawMutex, u8, 4>> = Rc::new(Channel::new());
    let (cpu, mut leds, queue) = (chip.cpu(), chip.pulse_transmitter(&[9, 10]), frames.clone());
    spawn(chip, "playback", 1, 10, async move {
        let mut ticker = Ticker::every(Ticks::from_hz(120));
        let mut colour = 0;
        loop {
            colour = queue.try_receive().unwrap_or(colour);
            cpu.work(20_000 + u32::from(colour) * 50);
            leds.transmit(WS2812, &[&[colour; 480], &[!colour; 480]]).await;
            ticker.next().await;
        }
    });
    let (cpu, net, mut flash, queue) = (chip.cpu(), chip.net(), chip.flash(), frames);
    spawn(chip, "network", 0, 5, async move {
        let acceptor = net.bind(std::net::SocketAddr::from(([0, 0, 0, 0], 80))).await.unwrap();
        let mut address = 0;
        loop {
            let (_, mut socket) = acceptor.accept().await.unwrap();
            let mut buffer = [0; 1024];
            while let Ok(Ok(count @ 1..)) =
                with_timeout(Ticks::from_millis(300), socket.read(&mut buffer)).await
            {
                cpu.work(count as u32 * 30);
                let _ = queue.try_send(buffer[0]);
                if address % 4096 == 0 {
                    flash.erase(address, address + 4096).unwrap();
                }
                flash.write(address, &buffer).unwrap();
                address = (address + 1024) % (64 * 1024);
                if socket.write_all(&buffer[..count]).await.is_err() {
                    break;
                }
            }
            let _ = socket.close(Close::Write).await;
        }
    });
    let (mut tx, machine, mut flash) = (chip.uart_tx(), chip.machine(), chip.flash());
    spawn(chip, "monitor", 0, 1, async move {
        for count in 0u32.. {
            let mut head = [0; 16];
            flash.read(0, &mut head).unwrap();
            let line = format!("{count} free {} {head:?}\r\n", machine.heap().free);
            tx.write_all(line.as_bytes()).await.unwrap();
            Timer::after(Ticks::from_millis(37)).await;
        }
    });
    let (mut button, mut lamp) = (chip.input(0, Level::High), chip.output(2));
    spawn(chip, "button", 0, 7, async move {
        loop {
            button.wait_for_falling_edge().await.unwrap();
            lamp.set_high().unwrap();
            Timer::after(Ticks::from_millis(20)).await;
            lamp.set_low().unwrap();
        }
    });
}

/// Everything that happened, and what each power cut left in the flash chip.
type Record = (Vec<(Source, Event)>, Vec<Vec<u8>>);

/// A board and what the rig does with it, step by step.
struct Run {
    bench: Bench,
    step: u64,
    connection: ConnectionId,
    torn: Vec<Vec<u8>>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let config = BoardConfig { seed, ..BoardConfig::default() };
        // Zeros, so that a torn erase shows.
        let bench = bench_with_image(config, vec![(0, vec![0; 64 * 1024])], firmware);
        bench.on();
        let connection = bench.board.net().connect(80).unwrap();
        Run { bench, step: 0, connection, torn: Vec::new() }
    }

    /// Seven milliseconds; the device loses its power in the middle of an erase, among other things.
    fn step(&mut self) -> bool {
        let (bench, net) = (&self.bench, self.bench.board.net());
        bench.run_for(7 * MS);
        self.step += 1;
        match self.step {
            step if step % 31 == 0 => self.connection = net.connect(80).unwrap(),
            step if step % 31 == 30 => net.finish(self.connection).unwrap(),
            step if step % 5 == 0 => net.send(self.connection, &[step as u8; 1500]).unwrap(),
            step if step % 7 == 0 => bench.board.pin(0).drive(Drive::Low).unwrap(),
            step if step % 7 == 1 => bench.board.pin(0).drive(Drive::Release).unwrap(),
            step if step % 11 == 0 => bench.board.console().write(b"status\r\n").unwrap(),
            177 => bench.pin_reset(),
            _ => {}
        }
        let cut = self.step > 100 && self.step < 170 && self.erasing();
        if cut {
            bench.off();
            self.torn.push(bench.board.flash().read(0, 64 * 1024).unwrap());
            bench.on();
        }
        self.step < 300
    }

    fn erasing(&self) -> bool {
        let source = self.bench.board.flash().busy_source().unwrap();
        self.bench.timeline.complete_until(source) + std::time::Duration::from_millis(3)
            < self.bench.timeline.now()
    }

    /// The same but for the scheduler's doing.
    fn without_tasks(self) -> Record {
        let timeline = self.bench.timeline.clone();
        let of_a_task = |source: Source| timeline.name(source).starts_with(TASK_LANES);
        let (mut events, torn) = self.record();
        events.retain(|(source, _)| !of_a_task(*source));
        (events, torn)
    }

    fn record(self) -> Record {
        assert_eq!(self.bench.crashes(), Vec::<String>::new());
        assert!(!self.torn.is_empty(), "some cut hit an erase");
        (self.bench.timeline.merged(Instant::ZERO, Instant::MAX), self.torn)
    }
}

fn run(seed: u64) -> Record {
    let mut run = Run::new(seed);
    while run.step() {}
    run.record()
}

#[test]
fn one_seed_one_run() {
    let (first, again) = (run(1), run(1));
    assert!(first.0.len() > 1_000, "something happened: {}", first.0.len());
    assert!(first == again);
}

#[test]
fn another_seed_differs_only_in_what_is_random() {
    let (one, two) = (run(1), run(2));
    assert!(one.1[0] != two.1[0], "a torn erase leaves other bits");
    let first_cut = |record: &Record| {
        let off = |(_, event): &(Source, Event)| event.kind == Kind::Device(DeviceEvent::PowerOff);
        record.0.iter().position(off).expect("a power cut")
    };
    let cut = first_cut(&one);
    assert_eq!(cut, first_cut(&two));
    assert!(one.0[..cut] == two.0[..cut], "nothing is random before it");
    // Afterwards the console prints torn bytes, and nothing else differs.
    let wires = |record: &Record| -> Vec<(Source, Event)> {
        let is_wire = |kind: &Kind| matches!(kind, Kind::Burst(_) | Kind::Edge(_) | Kind::Flow(_));
        record.0.iter().filter(|(_, event)| is_wire(&event.kind)).cloned().collect()
    };
    assert!(wires(&one) == wires(&two));
}

#[test]
fn boards_that_take_turns_on_one_thread_do_not_disturb_each_other() {
    let mut runs: Vec<Run> = [1, 2, 1].map(Run::new).into();
    loop {
        let going: Vec<bool> = runs.iter_mut().map(Run::step).collect();
        if !going[0] {
            break;
        }
    }
    let records: Vec<Record> = runs.into_iter().map(Run::record).collect();
    assert!(records[0] == run(1));
    assert!(records[1] == run(2));
    assert!(records[2] == records[0]);
}

#[test]
fn boards_on_four_threads_do_not_disturb_each_other() {
    let alone = run(3);
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(|| run(3))).collect();
    for thread in threads {
        assert!(thread.join().unwrap() == alone);
    }
}

#[test]
fn steps_of_the_rig_do_not_change_what_the_device_does() {
    let record = |step: u64| {
        let bench = bench(firmware);
        while bench.now() < 2_000 * MS {
            bench.run_for(step);
        }
        bench.timeline.merged(Instant::ZERO, Instant::from_nanos(1_990 * MS))
    };
    let once = record(2_000 * MS);
    assert!(record(MS) == once);
    assert!(record(1_234_567) == once);
}

/// A task that is left alone goes on without giving up its stack; one whose states are recorded never
/// does.
#[test]
fn a_task_that_runs_ahead_comes_to_the_same() {
    let mut ahead = Run::new(1);
    while ahead.step() {}
    let mut watched = Run::new(1);
    watched.bench.board.scheduler().record().unwrap();
    while watched.step() {}
    assert!(ahead.without_tasks() == watched.without_tasks());
}
