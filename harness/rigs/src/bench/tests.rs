//! The bench against a controller and a console that a script plays, on pseudo-terminals.

mod script;

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant as HostInstant};

use rigor_controller::message::{Drive as Pull, Refusal, Stream};
use rigor_controller::packed::Pulse;
use rigor_core::event::{DeviceEvent, Phases, ResetCause};
use rigor_core::rate::SampleRate;
use rigor_core::{Event, Instant, Kind, Level};
use rustix::net::{AddressFamily, SocketType};

use self::script::{Controller as Script, Desk, Spoken, rig_file};
use super::examine::{Absent, Examination, Standing, examine};
use super::*;
use crate::instrument::gpio::{self, GpioError};
use crate::{Firmwares, Order, RigFile};

const MS: Duration = Duration::from_millis(1);

fn taken(text: &str) -> Result<Rig, String> {
    let file = RigFile::parse("desk.toml", text).unwrap_or_else(|error| panic!("{error}"));
    let BackEnd::Bench(bench) = &file.back_end else { panic!("{file:?}") };
    let (firmwares, interrupt) = (Firmwares::default(), Arc::default());
    // The script's ports are nobody else's.
    let order = Order { leased: true, ..Order::new(&file, &firmwares, 1, &interrupt) };
    take(&order, bench).map_err(|error| error.to_string())
}

/// The same with lines of the host that `line` stands in for.
fn taken_by(text: &str, line: lines::Take<'_>) -> Result<Rig, String> {
    let file = RigFile::parse("desk.toml", text).unwrap_or_else(|error| panic!("{error}"));
    let BackEnd::Bench(bench) = &file.back_end else { panic!("{file:?}") };
    let (firmwares, interrupt) = (Firmwares::default(), Arc::default());
    let order = Order { leased: true, ..Order::new(&file, &firmwares, 1, &interrupt) };
    super::taken_by(&order, bench, None, line).map_err(|error| error.to_string())
}

fn events(rig: &Rig, source: &str) -> Vec<Event> {
    rig.timeline.events(rig.timeline.source(source), Instant::ZERO, Instant::MAX)
}

fn kinds(rig: &Rig, source: &str) -> Vec<Kind> {
    events(rig, source).into_iter().map(|event| event.kind).collect()
}

/// Somebody wants to know of the lanes.
fn watch(rig: &Rig) {
    let lane = rig.parts.leds[0].source;
    rig.parts.capture.clone().expect("a controller").begin(lane).expect("it answers");
}

#[test]
fn a_simulated_board_is_told_how_far_to_run_and_its_words_have_its_instants() {
    let desk = Desk::new(Script::stepped());
    let mut rig = taken(&rig_file(&desk)).expect("a rig");
    assert_eq!(rig.fidelity, Fidelity::Modelled);
    watch(&rig);
    rig.parts.power.clone().expect("a switch").on().expect("it answers");
    // A millisecond on, the device speaks, and then a lane shows a byte.
    desk.next(Spoken::Console(b"hello\n".to_vec()), 1_000_000);
    let pulse = |high: u32| Pulse { active: high, idle: 1_250 - high };
    let mut byte: Vec<Pulse> = [800, 400, 800, 400, 400, 800, 400, 800].map(pulse).to_vec();
    byte[7].idle = 0;
    desk.next(Spoken::Pulses(0, 1_500_000, byte), 2_000_000);
    let until = Instant::ZERO + 5 * MS;
    rig.drive.run(until, &|| false).expect("it runs");
    assert_eq!(rig.timeline.now(), until);
    let console = events(&rig, "console");
    let Kind::Serial(serial) = &console[0].kind else { panic!("{console:?}") };
    assert_eq!((&serial.bytes[..], console[0].at + serial.duration()), (&b"hello\n"[..], Instant::ZERO + MS));
    let lane = events(&rig, "gpio9");
    let Kind::Burst(burst) = &lane[0].kind else { panic!("{lane:?}") };
    assert_eq!((&burst.bytes[..], lane[0].at), (&[0xA5][..], Instant::from_nanos(1_500_000)));
    assert_eq!(rig.timeline.complete_until(rig.timeline.source("gpio9")), until);
    let expected = [DeviceEvent::PowerOn, DeviceEvent::Started(ResetCause::PowerOn)].map(Kind::Device);
    assert_eq!(kinds(&rig, "device"), expected);
}

#[test]
fn a_simulated_board_gets_what_is_typed_and_pressed_before_it_runs_on() {
    let desk = Desk::new(Script::stepped());
    let rig = taken(&rig_file(&desk)).expect("a rig");
    rig.parts.console.clone().expect("a console").write(b"STATUS\n").expect("it is there");
    assert_eq!(desk.typed(), b"STATUS\n");
    let button = rig.parts.pins["button"].clone();
    button.drive(rigor_core::part::Drive::Low).expect("it answers");
    button.drive(rigor_core::part::Drive::Release).expect("it answers");
    assert_eq!(kinds(&rig, "gpio4"), [Kind::Edge(Level::Low), Kind::Edge(Level::High)]);
    let told = button.drive(rigor_core::part::Drive::High).expect_err("never").to_string();
    assert!(told.contains("pulls no wire of the device up"), "{told}");
    rig.parts.reset.clone().expect("a pin").pulse().expect("nothing without a supply");
    assert!(!desk.driven().contains(&(rigor_controller::message::Wire::Reset, Pull::Low)));
}

#[test]
fn what_is_lost_is_a_gap_and_never_an_absence() {
    let desk = Desk::new(Script::stepped());
    let mut rig = taken(&rig_file(&desk)).expect("a rig");
    watch(&rig);
    desk.next(Spoken::Lost(Stream::Lane(0), 10, 900_000), 1_000_000);
    desk.next(Spoken::Missing(3), 2_000_000);
    rig.drive.run(Instant::ZERO + 3 * MS, &|| false).expect("it runs");
    let gaps = kinds(&rig, "gpio9");
    let [Kind::Gap(room), Kind::Gap(way)] = &gaps[..] else { panic!("{gaps:?}") };
    assert!(room.reason.contains("no room") && room.length == Duration::from_nanos(899_990), "{room:?}");
    assert!(way.reason.contains("3 reports of the controller were lost"), "{way:?}");
}

#[test]
fn a_real_board_s_lanes_are_what_was_sampled_and_nothing_counts_before_they_are_watched() {
    let desk = Desk::new(Script::running());
    let mut rig = taken(&rig_file(&desk)).expect("a rig");
    assert_eq!(desk.wanted(), [(0, 0)], "nobody has asked for the lane");
    watch(&rig);
    watch(&rig);
    assert_eq!(desk.wanted(), [(0, 0), (1, 0)]);
    let pulse = |active, idle| Pulse { active, idle };
    let pulses = vec![pulse(402, 848), pulse(398, 852), pulse(801, 0)];
    desk.next(Spoken::Pulses(0, 1_000_000_000, pulses), 1_000_500_000);
    desk.next(Spoken::Lost(Stream::Lane(0), 1_001_000_000, 1_002_000_000), 1_002_500_000);
    let deadline = HostInstant::now() + Duration::from_secs(60);
    while kinds(&rig, "gpio9").len() < 4 {
        assert!(HostInstant::now() < deadline, "{:?}", kinds(&rig, "gpio9"));
        let soon = rig.timeline.now() + 5 * MS;
        rig.drive.run(soon, &|| false).expect("it runs");
    }
    let rate = SampleRate::hertz(1_000_000_000).expect("a rate");
    let phases = |first, lengths: &[u32]| Kind::Phases(Phases { first, rate, lengths: lengths.into() });
    let seen = kinds(&rig, "gpio9");
    assert_eq!(seen[0], phases(Level::Low, &[1]), "as it was found");
    assert_eq!(seen[1], phases(Level::High, &[402, 848, 398, 852, 801, 1]));
    assert!(matches!(&seen[2], Kind::Gap(gap) if gap.length == MS), "{:?}", seen[2]);
    assert_eq!(seen[3], phases(Level::Low, &[1]), "as it was found after the gap");
    let events = events(&rig, "gpio9");
    // The lane is recorded from the rig's present on, which is not known to the controller's nanosecond.
    let after = events[1].at.since(events[0].at);
    assert!(after <= 1_000 * MS && after > 500 * MS, "{after:?}");
    assert!(events[1].uncertainty >= Duration::from_nanos(1));
}

#[test]
fn console_bytes_that_never_arrive_are_the_rig_s_fault() {
    let desk = Desk::new(Script::stepped());
    let mut rig = taken(&rig_file(&desk)).expect("a rig");
    desk.next(Spoken::Unplugged, 1_000_000);
    let told = rig.drive.run(Instant::ZERO + 3 * MS, &|| false).expect_err("it is gone").to_string();
    assert!(told.contains("is gone") && told.contains("look at the cable"), "{told}");
    assert!(rig.drive.self_check().is_err());
}

#[test]
fn a_real_board_lives_in_the_controller_s_time() {
    let desk = Desk::new(Script::running());
    let mut rig = taken(&rig_file(&desk)).expect("a rig");
    assert_eq!(rig.fidelity, Fidelity::Measured);
    rig.parts.power.clone().expect("a switch").on().expect("it answers");
    desk.say(b"boot\n");
    let said = |rig: &Rig| !events(rig, "console").is_empty();
    let deadline = HostInstant::now() + Duration::from_secs(60);
    while !said(&rig) {
        assert!(HostInstant::now() < deadline, "nothing is heard");
        let soon = rig.timeline.now() + 5 * MS;
        rig.drive.run(soon, &|| false).expect("it runs");
    }
    let heard = &events(&rig, "console")[0];
    assert!(heard.uncertainty >= 2 * MS, "what the host stamps is not exact: {:?}", heard.uncertainty);
    let stamps = rigor_core::host::stamps_within(&rig.timeline).expect("the host's stamps are not exact");
    assert!(stamps >= heard.uncertainty, "{stamps:?}");
    rig.drive.self_check().expect("it is well");
    let notes = kinds(&rig, "bench");
    let told = |what: &str| notes.iter().any(|note| matches!(note, Kind::Note(text) if text.contains(what)));
    assert!(told("controller `script`") && told("is placed on its clock within"), "{notes:?}");
    assert!(told("16 edges to itself: all seen"), "{notes:?}");
}

#[test]
fn a_port_that_is_no_controller_is_told_from_one_of_another_version() {
    let refused = |script: Script| taken(&rig_file(&Desk::new(script))).err().expect("no rig");
    let silent = refused(Script::silent());
    assert!(silent.contains("nothing there answers as a bench controller"), "{silent}");
    let garbage = refused(Script::chattering(b"I (305) wifi: connected\r\n\0\xFF\0\0abc\0"));
    assert!(
        garbage.contains("no word of a bench controller") && garbage.contains("[controller]"),
        "{garbage}"
    );
    let older = refused(Script::of_version(0));
    assert!(
        older.contains("speaks version 0 of the protocol") && older.contains("write rigs/controller"),
        "{older}"
    );
}

#[test]
fn a_controller_that_lacks_a_wire_is_no_rig() {
    let desk = Desk::new(Script { lanes: 0, ..Script::stepped() });
    let told = taken(&rig_file(&desk)).err().expect("no rig");
    assert!(told.contains("wants lane 0 for `leds.0`") && told.contains("correct the rig file"), "{told}");
    let desk = Desk::new(Script { loop_back: 7, ..Script::stepped() });
    let told = taken(&rig_file(&desk)).err().expect("no rig");
    assert!(told.contains("sent 16 edges to itself and saw 7 of them"), "{told}");
}

#[test]
fn a_port_has_one_owner() {
    let desk = Desk::new(Script::stepped());
    let first = taken(&rig_file(&desk)).expect("a rig");
    let told = taken(&rig_file(&desk)).err().expect("it is taken");
    assert!(told.contains("is in use by another program"), "{told}");
    drop(first);
    taken(&rig_file(&desk)).expect("it is free again");
}

#[test]
fn a_rig_file_for_a_board_that_is_not_there_says_so() {
    let text = "schema = 1\nname = \"desk\"\ndut = \"toy\"\nback_end = \"bench\"\n[bench]\nchip = \"esp32c3\"\n[console]\n\
                baud = 115200\n";
    let told = taken(&format!("{text}port = \"/dev/no-such-port\"\n")).err().expect("no port");
    assert!(told.contains("/dev/no-such-port") && told.contains("plug the device in"), "{told}");
    let told = taken(&format!("{text}usb_serial = \"no-such-number\"\n")).err().expect("no device");
    assert!(told.contains("[console] of the rig file") && told.contains("no-such-number"), "{told}");
    let refusal = Refusal::NeverHigh.to_string();
    assert!(!refusal.is_empty());
}

fn examined(desk: &Desk) -> Examination {
    let file = RigFile::parse("desk.toml", &rig_file(desk)).unwrap_or_else(|error| panic!("{error}"));
    let BackEnd::Bench(bench) = &file.back_end else { panic!("{file:?}") };
    examine(&file, bench, Absent::StaysSo, &Arc::default())
}

fn standing(examination: &Examination, what: &str) -> (Standing, String) {
    let finding = examination.findings.iter().find(|finding| finding.what == what);
    let finding = finding.unwrap_or_else(|| panic!("no {what}: {examination:#?}"));
    (finding.standing, format!("{}; {}", finding.found, finding.remedy.as_deref().unwrap_or_default()))
}

#[test]
fn a_bench_that_is_well_says_what_its_figures_are() {
    let examination = examined(&Desk::new(Script { echoes: true, ..Script::running() }));
    assert!(examination.is_well(), "{examination:#?}");
    let figures = &examination.figures;
    let loop_back = figures.loop_back.expect("it has a pair");
    assert_eq!((loop_back.sent, loop_back.seen), (16, 16));
    assert!(figures.clocks.is_some() && figures.echo.is_some(), "{figures:?}");
    assert!(figures.console >= Some(2 * MS), "{figures:?}");
    assert_eq!(standing(&examination, "speech"), (Standing::Well, "it says `hello`; ".to_owned()));
}

#[test]
fn what_is_wrong_with_a_bench_is_told_of_the_part_that_it_is_wrong_with() {
    let wrong = |script: Script, what: &str| {
        let examination = examined(&Desk::new(script));
        let (standing, text) = standing(&examination, what);
        assert_eq!(standing, Standing::Wrong, "{what}: {text}");
        text
    };
    let older = wrong(Script::of_version(0), "[controller]");
    assert!(
        older.contains("speaks version 0 of the protocol") && older.contains("; write rigs/controller"),
        "{older}"
    );
    let lanes = wrong(Script { lanes: 0, ..Script::stepped() }, "wires");
    assert!(lanes.contains("wants lane 0 for `leds.0`"), "{lanes}");
    let dropped = wrong(Script { loop_back: 7, ..Script::stepped() }, "loop-back");
    assert!(dropped.contains("saw 7 of them; look at the jumper"), "{dropped}");
    let mute = wrong(Script::stepped(), "speech");
    assert!(mute.contains("says nothing for 10s; look at its supply"), "{mute}");
    let open = examined(&Desk::new(Script { loop_back: 0, ..Script::stepped() }));
    assert_eq!(standing(&open, "loop-back").0, Standing::Unknown, "cases run without a jumper");
}

#[test]
fn who_wants_the_end_of_an_examination_gets_it() {
    let desk = Desk::new(Script::stepped());
    let file = RigFile::parse("desk.toml", &rig_file(&desk)).expect("a rig file");
    let BackEnd::Bench(bench) = &file.back_end else { panic!("{file:?}") };
    let examination = examine(&file, bench, Absent::StaysSo, &Arc::new(AtomicBool::new(true)));
    assert!(standing(&examination, "board").1.contains("interrupted"), "{examination:#?}");
}

#[test]
fn a_device_is_where_its_console_says() {
    let door = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let port = door.local_addr().expect("a socket").port();
    let desk = Desk::new(Script::running());
    let text = format!("{}[net]\naddress = \"console\"\nports = {{ n = {port} }}\n", rig_file(&desk));
    let mut rig = taken(&text).expect("a rig");
    rig.parts.power.clone().expect("a switch").on().expect("it answers");
    let net = rig.parts.net.clone().expect("a network");
    rig.drive.self_check().expect("nobody wants to go there yet");
    let connection = net.connect(port).expect("it begins");
    net.send(connection, b"hello").expect("it waits");
    let told = rig.drive.self_check().expect_err("nobody knows where").to_string();
    assert!(told.contains("its console has told no IP address") && told.contains("in [net]"), "{told}");
    desk.say(b"I (31) network: Got IP: 127.0.0.1\n");
    let opened = |rig: &Rig| {
        kinds(rig, "net")
            .iter()
            .any(|kind| matches!(kind, Kind::Flow(flow) if flow.what == rigor_core::event::FlowKind::Opened))
    };
    let deadline = HostInstant::now() + Duration::from_secs(60);
    while !opened(&rig) {
        assert!(HostInstant::now() < deadline, "it is not reached");
        let soon = rig.timeline.now() + 5 * MS;
        rig.drive.run(soon, &|| false).expect("it runs");
    }
    rig.drive.self_check().expect("it is known");
    let (mut there, _) = door.accept().expect("a connection");
    let mut heard = [0; 5];
    std::io::Read::read_exact(&mut there, &mut heard).expect("it came");
    assert_eq!(&heard, b"hello", "what was sent meanwhile");
}

#[test]
fn a_port_without_lines_resets_nothing_and_says_so() {
    let desk = Desk::new(Script::running());
    let text = rig_file(&desk).replace("[power]\n[reset]\n", "[reset]\nvia = \"modem-lines\"\n");
    let told = taken(&text).err().expect("a pseudo-terminal has no DTR");
    assert!(told.contains("this port has no DTR and RTS") && told.contains("via = \"controller\""), "{told}");
}

#[test]
fn a_rig_file_that_leads_past_a_simulated_board_is_told_from_a_board_that_refuses() {
    let desk = Desk::new(Script::stepped());
    // Ours, and deaf.
    let nobody = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    rustix::net::bind(&nobody, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = std::net::TcpListener::from(nobody.try_clone().expect("a socket"))
        .local_addr()
        .expect("a port")
        .port();
    let text = format!("{}[net]\naddress = \"127.0.0.1\"\nports = {{ n = {port} }}\n", rig_file(&desk));
    let mut rig = taken(&text).expect("a rig");
    let net = rig.parts.net.clone().expect("a network");
    let connected = net.connect(port).map(drop);
    let ran = connected.and_then(|()| rig.drive.run(Instant::ZERO + MS, &|| false));
    let told = ran.expect_err("nobody is there").to_string();
    let expected =
        format!("nobody stands in for the board at 127.0.0.1:{port}; correct `address` and `forward`");
    assert!(told.contains(&expected), "{told}");
}

#[test]
fn a_board_that_never_said_a_word_is_the_rig_s_fault_and_one_that_fell_silent_is_not() {
    let run = |says: bool| {
        let desk = Desk::new(Script::stepped());
        let mut rig = taken(&rig_file(&desk)).expect("a rig");
        rig.parts.power.clone().expect("a switch").on().expect("it answers");
        if says {
            desk.next(Spoken::Console(b"rst:0x1\n".to_vec()), 1_000_000);
        }
        rig.drive.run(Instant::ZERO + 9_999 * MS, &|| false).expect("it runs");
        rig.drive.self_check().expect("it may yet say something");
        while rig.timeline.now() < Instant::ZERO + 10_001 * MS {
            rig.drive.run(Instant::ZERO + 10_001 * MS, &|| false).expect("it runs");
        }
        rig.drive.self_check().map_err(|error| error.to_string())
    };
    assert_eq!(run(true), Ok(()));
    let told = run(false).expect_err("nothing was heard");
    assert!(told.contains("not one byte has come from the board") && told.contains("TX pin"), "{told}");
}

/// A line of the host, and what was done with it. It stands in for the kernel, and proves nothing about that.
struct Strand {
    place: gpio::Place,
    low: bool,
    pulled: Rc<RefCell<Vec<(u32, bool)>>>,
}

impl gpio::Wire for Strand {
    fn place(&self) -> &gpio::Place {
        &self.place
    }
    fn pull(&mut self, low: bool) -> Result<(), GpioError> {
        if low != self.low {
            self.low = low;
            self.pulled.borrow_mut().push((self.place.line, low));
        }
        Ok(())
    }
    fn level(&self) -> Result<Level, GpioError> {
        // Line 9 is wired to nothing that it could pull.
        Ok(if self.low && self.place.line != 9 { Level::Low } else { Level::High })
    }
}

#[test]
fn a_line_of_the_host_resets_a_board_too() {
    let desk = Desk::new(Script::running());
    let by = |line: u32| {
        let table = format!("[reset]\nvia = \"gpio\"\nline = \"gpiochip0:{line}\"\nboot = \"gpiochip0:8\"\n");
        rig_file(&desk).replace("[power]\n[reset]\n", &table)
    };
    let pulled = Rc::new(RefCell::new(Vec::new()));
    let stand_in = |place: gpio::Place| {
        Ok(Box::new(Strand { place, low: false, pulled: pulled.clone() }) as Box<dyn gpio::Wire>)
    };
    let rig = taken_by(&by(7), &stand_in).expect("a rig");
    assert_eq!(pulled.take(), [(7, true), (7, false)], "it begins anew");
    let starts = |rig: &Rig| {
        let is_start =
            |event: &Event| matches!(event.kind, Kind::Device(DeviceEvent::Started(ResetCause::Pin)));
        events(rig, "device").into_iter().filter(is_start).collect::<Vec<_>>()
    };
    assert!(starts(&rig)[0].uncertainty >= 50 * MS, "the pin rises slowly, and nobody looks when");
    rig.parts.reset.clone().expect("a pin").pulse().expect("it answers");
    assert_eq!((pulled.take(), starts(&rig).len()), (vec![(7, true), (7, false)], 2));
    drop(rig);
    // A line that moves nothing, and one that there is not.
    let told = taken_by(&by(9), &stand_in).err().expect("it does not follow");
    assert!(told.contains("gpiochip0:9: it was pulled low, and the wire stays high"), "{told}");
    assert_eq!(pulled.take(), [(9, true), (9, false)], "it is let go");
    let told = taken(&by(7).replace("gpiochip0", "gpiochip-nowhere")).err().expect("no such chip");
    assert!(told.contains("the kernel does not give this line") && told.contains("gpioinfo"), "{told}");
}
