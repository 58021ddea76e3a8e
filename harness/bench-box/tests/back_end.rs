//! The back end of a bench, on a board in a box: it has to see what the virtual rig's own lanes have.

mod common;

use std::sync::Arc;
use std::time::Duration;

use rigor_core::event::{DeviceEvent, Direction, FlowKind};
use rigor_core::{Event, Fidelity, Instant, Kind, Rig};
use rigor_rigs::{Firmwares, Order, RigFile};

use common::{Bench, MS, virtual_rig};

/// A rig file of the box.
fn rig_file(bench: &Bench) -> String {
    let port =
        |service: &str| bench.doors.iter().find(|door| door.service == service).expect("a service").here;
    format!(
        "schema = 1\nname = \"box\"\ndut = \"toy\"\nback_end = \"bench\"\n[bench]\nchip = \"esp32s3\"\n[controller]\nport = \
         {:?}\n[console]\nbaud = 115200\nport = {:?}\n[power]\n[reset]\n[flash]\n[net]\naddress = \"127.0.0.1\"\nports = {{ echo = \
         80, nothing = 81 }}\nforward = {{ echo = {}, nothing = {} }}\n[[leds]]\nsignal = \"leds.0\"\npin = 9\npixels = \
         2\nlane = 0\n[[leds]]\nsignal = \"leds.1\"\npin = 10\npixels = 2\nlane = 1\n[[pins]]\nsignal = \
         \"button\"\npin = 4\nline = 0\n",
        bench.folder.join("controller"),
        bench.folder.join("console"),
        port("echo"),
        port("nothing")
    )
}

fn take(bench: &Bench) -> Rig {
    let file = RigFile::parse("box.toml", &rig_file(bench)).unwrap_or_else(|error| panic!("{error}"));
    let (firmwares, interrupt) = (Firmwares::new(), Arc::default());
    let order = Order { leased: true, ..Order::new(&file, &firmwares, 1, &interrupt) };
    let rig = rigor_rigs::take(&order).unwrap_or_else(|error| panic!("{error}"));
    let lane = rig.parts.leds[0].source;
    rig.parts.capture.clone().expect("lanes").begin(lane).expect("it answers");
    rig
}

fn events(rig: &Rig, source: &str) -> Vec<Event> {
    rig.timeline.events(rig.timeline.source(source), Instant::ZERO, Instant::MAX)
}

fn run(rig: &mut Rig, for_ms: u64) {
    let until = rig.timeline.now() + Duration::from_nanos(for_ms * MS);
    rig.drive.run(until, &|| false).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(rig.timeline.now(), until);
}

#[test]
fn a_bench_sees_to_the_nanosecond_what_a_virtual_rig_does() {
    let bench = Bench::new();
    let seen = |mut rig: Rig, lanes: [&str; 2]| {
        rig.parts.power.clone().expect("a switch").on().expect("it answers");
        run(&mut rig, 75);
        rig.parts.reset.clone().expect("a pin").pulse().expect("it answers");
        run(&mut rig, 75);
        let plain = |event: Event| (event.at, event.kind);
        let lane = |source| events(&rig, source).into_iter().map(plain).collect::<Vec<_>>();
        (lane("device"), lane("console"), lanes.map(lane))
    };
    let rig = take(&bench);
    assert_eq!(rig.fidelity, Fidelity::Modelled);
    let virtual_rig = virtual_rig();
    let name = |lane: &rigor_core::rig::Lane| virtual_rig.timeline.name(lane.source);
    let names: Vec<String> = virtual_rig.parts.leds.iter().map(name).collect();
    let expected = seen(virtual_rig, [&names[0], &names[1]]);
    let found = seen(rig, ["gpio9", "gpio10"]);
    assert_eq!(found.1, expected.1, "console");
    assert_eq!(found.2, expected.2, "lanes");
    assert_eq!((found.1.len(), found.2[0].len()), (2, 6), "there is something to see");
    // A board starts when its ROM is through, and a bench knows only when it let it go.
    let kinds = |lane: &[(Instant, Kind)]| lane.iter().map(|(_, kind)| kind.clone()).collect::<Vec<_>>();
    assert_eq!(kinds(&found.0), kinds(&expected.0), "device");
}

#[test]
fn what_is_typed_and_sent_is_answered_in_the_board_s_time() {
    let bench = Bench::new();
    let mut rig = take(&bench);
    rig.parts.power.clone().expect("a switch").on().expect("it answers");
    run(&mut rig, 60);
    let typed = rig.timeline.now();
    rig.parts.console.clone().expect("a console").write(b"xyz").expect("it is there");
    run(&mut rig, 5);
    let echo: Vec<u8> = events(&rig, "console")
        .into_iter()
        .filter(|event| event.at > typed)
        .flat_map(|event| match event.kind {
            Kind::Serial(serial) => serial.bytes.to_vec(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(echo, b"XYZ");
    let net = rig.parts.net.clone().expect("a network");
    let (taken, refused) = (net.connect(80).expect("a socket"), net.connect(81).expect("a socket"));
    run(&mut rig, 20);
    let sent = vec![0x5A; 30_000];
    net.send(taken, &sent).expect("a socket");
    run(&mut rig, 200);
    let of = |id| {
        let flows = events(&rig, "net").into_iter().filter_map(|event| match event.kind {
            Kind::Flow(flow) if flow.connection == id => Some((event.at, flow.what)),
            _ => None,
        });
        flows.collect::<Vec<_>>()
    };
    assert!(matches!(&of(refused)[..], [(_, FlowKind::Refused)]), "{:?}", of(refused));
    let flows = of(taken);
    assert_eq!(flows[0].1, FlowKind::Opened);
    let heard: usize = flows
        .iter()
        .map(|(_, what)| match what {
            FlowKind::Data(Direction::FromDut, bytes) => bytes.len(),
            _ => 0,
        })
        .sum();
    assert_eq!(heard, sent.len());
    net.finish(taken).expect("a socket");
    run(&mut rig, 50);
    let last = events(&rig, "net").into_iter().rfind(|event| matches!(event.kind, Kind::Flow(_)));
    let Some(Kind::Flow(flow)) = last.map(|event| event.kind) else { panic!("nothing happened") };
    assert_eq!(flow.what, FlowKind::Finished(Direction::FromDut));
}

#[test]
fn each_case_has_a_board_that_was_off_and_every_run_is_the_same() {
    let bench = Bench::new();
    let account = || {
        let mut rig = take(&bench);
        let power = rig.parts.power.clone().expect("a switch");
        power.on().expect("it answers");
        run(&mut rig, 80);
        rig.parts.reset.clone().expect("a pin").pulse().expect("it answers");
        run(&mut rig, 80);
        power.off().expect("it answers");
        run(&mut rig, 20);
        ["device", "console", "gpio9", "gpio10", "gpio4", "net"].map(|source| events(&rig, source))
    };
    let first = account();
    let lives = first[0].iter().filter(|event| matches!(event.kind, Kind::Device(DeviceEvent::Started(_))));
    assert_eq!(lives.count(), 2, "{:?}", first[0]);
    assert_eq!(account(), first);
}

#[test]
fn the_flash_is_read_and_written_by_the_loader_and_a_running_device_begins_anew_after_it() {
    let bench = Bench::new();
    let mut rig = take(&bench);
    let flash = rig.parts.flash.clone().expect("a loader");
    assert!(!flash.interrupts().expect("it answers"), "there is no supply");
    let mut expected = vec![0xFF; 0x2000];
    expected[0x1000..0x1007].copy_from_slice(b"factory");
    assert_eq!(flash.read(0x7000, 0x2000).expect("it answers"), expected);
    flash.write(0x7FFE, b"written").expect("it answers");
    expected[0xFFE..0x1005].copy_from_slice(b"written");
    assert_eq!(flash.read(0x7000, 0x2000).expect("it answers"), expected);
    let told = flash.read(0x40_0000, 1).expect_err("no such address").0;
    assert!(told.contains("0x400000 bytes"), "{told}");
    // All of that without a word of the firmware, and without any time.
    assert_eq!((events(&rig, "device").len(), rig.timeline.now()), (0, Instant::ZERO));

    let power = rig.parts.power.clone().expect("a switch");
    power.on().expect("it answers");
    assert!(flash.interrupts().expect("it answers"), "it runs");
    // In the middle of the word that it says.
    let at = Instant::from_nanos(common::BOOT + 2 * common::BYTE + common::BYTE / 2);
    rig.drive.run(at, &|| false).expect("it runs");
    assert_eq!(flash.read(0x7000, 0x2000).expect("it answers"), expected);
    assert_eq!(rig.timeline.now(), at, "the loader takes none of the board's time");
    run(&mut rig, 75);
    let device: Vec<Kind> = events(&rig, "device").into_iter().map(|event| event.kind).collect();
    let started = |cause| Kind::Device(DeviceEvent::Started(cause));
    assert_eq!(
        device,
        [
            Kind::Device(DeviceEvent::PowerOn),
            started(rigor_core::event::ResetCause::PowerOn),
            started(rigor_core::event::ResetCause::Pin)
        ]
    );
    let said: Vec<u8> = events(&rig, "console")
        .into_iter()
        .flat_map(|event| match event.kind {
            Kind::Serial(serial) => serial.bytes.to_vec(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(String::from_utf8_lossy(&said), "hehello", "and nothing of the loader");
    power.off().expect("it answers");
    assert!(!flash.interrupts().expect("it answers"));
    assert_eq!(flash.read(0x7000, 0x2000).expect("it answers"), expected, "as it was left");
    rig.drive.self_check().expect("it is well");
}
