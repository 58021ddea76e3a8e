//! Pictures of a board on which somebody else's events happen.

use std::sync::Arc;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use rigor_core::event::{Burst, BytesEncoding, DeviceEvent, Direction, Kind, ResetCause, Serial, Symbol};
use rigor_core::part::Console;
use rigor_core::rig::{Drive, Lane, Parts, Rig};
use rigor_core::time::Fidelity;
use rigor_core::verdict::RigError;
use rigor_core::{Instant, Source, Timeline};

use super::draw;
use crate::bridge::ClientView;
use crate::ready::Whereabouts;
use crate::scene::Scene;
use crate::view::terminal::Keys;
use crate::view::{Keeping, Shown};

struct Still;

impl Drive for Still {
    fn run(&mut self, _: Instant, _: &dyn Fn() -> bool) -> Result<(), RigError> {
        Ok(())
    }
    fn self_check(&self) -> Result<(), RigError> {
        Ok(())
    }
}

struct Printed(Source);

impl Console for Printed {
    fn write(&self, _: &[u8]) -> Result<(), RigError> {
        Ok(())
    }
    fn source(&self) -> Source {
        self.0
    }
}

const ENCODING: BytesEncoding =
    BytesEncoding { zero: Symbol { high_ns: 400, low_ns: 850 }, one: Symbol { high_ns: 800, low_ns: 450 } };

/// A board with two lanes of 160, on each of which pixel `n` is `(n, lane, 7)`, and which printed `text`.
fn scene(text: &[u8]) -> (Scene, Instant) {
    let timeline = Timeline::new();
    let lanes: Vec<Lane> = (0..2)
        .map(|lane| {
            let signal = format!("leds.{lane}");
            Lane { source: timeline.source(&signal), signal, pixels: 160 }
        })
        .collect();
    let console = timeline.source("console");
    let parts =
        Parts { leds: lanes.clone(), console: Some(std::rc::Rc::new(Printed(console))), ..Parts::default() };
    let rig = Rig {
        name: "toy".to_owned(),
        fidelity: Fidelity::Modelled,
        timeline: timeline.clone(),
        parts,
        drive: Box::new(Still),
    };
    let at = Instant::from_nanos(1_000_000);
    let push = |source, kind| timeline.push(source, at, Duration::ZERO, kind).expect("in order");
    push(timeline.source("device"), Kind::Device(DeviceEvent::Started(ResetCause::PowerOn)));
    let (direction, byte_time) = (Direction::FromDut, Duration::from_micros(87));
    push(console, Kind::Serial(Serial { direction, bytes: Arc::from(text), byte_time }));
    for (number, lane) in lanes.iter().enumerate() {
        // Green, red, blue.
        let bytes: Arc<[u8]> = (0..160).flat_map(|pixel| [number as u8, pixel, 7]).collect();
        push(lane.source, Kind::Burst(Burst { bytes, encoding: ENCODING, idle: rigor_core::Level::Low }));
    }
    let now = at + Duration::from_millis(20);
    timeline.advance(now);
    let mut scene = Scene::new(&rig);
    scene.collect(now, |_, _, _| {});
    (scene, now)
}

fn picture(scene: &Scene, now: Instant, width: u16, height: u16, keys: &mut Keys) -> ratatui::buffer::Buffer {
    let keeping = Keeping {
        measured: 0.5,
        wanted: 1.0,
        lag: Duration::from_millis(12),
        given_up: Duration::ZERO,
        is_paused: false,
        is_the_hosts: false,
    };
    picture_of(scene, now, (width, height), keys, keeping, Some(Vec::new()))
}

fn picture_of(
    scene: &Scene,
    now: Instant,
    (width, height): (u16, u16),
    keys: &mut Keys,
    keeping: Keeping,
    clients: Option<Vec<ClientView<'_>>>,
) -> ratatui::buffer::Buffer {
    let whereabouts = Whereabouts {
        rig: "toy".to_owned(),
        firmware: "0".to_owned(),
        services: Vec::new(),
        console: None,
        view: None,
    };
    let pins = ["boot".to_owned()];
    let shown = Shown { now, scene, whereabouts: &whereabouts, clients, pins: &pins, keeping };
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(frame, &shown, keys)).expect("a picture");
    terminal.backend().buffer().clone()
}

fn text(buffer: &ratatui::buffer::Buffer) -> String {
    buffer.content().iter().map(|cell| cell.symbol()).collect()
}

#[test]
fn every_led_shows_what_the_wire_said() {
    let (scene, now) = scene(b"I (12) tag: ready\n");
    let buffer = picture(&scene, now, 120, 44, &mut Keys::default());
    let shown: std::collections::HashSet<Color> = buffer.content().iter().map(|cell| cell.fg).collect();
    for (lane, pixel) in (0..2_u8).flat_map(|lane| (0..160_u8).map(move |pixel| (lane, pixel))) {
        assert!(shown.contains(&Color::Rgb(pixel, lane, 7)), "LED {pixel} of lane {lane}");
    }
    let text = text(&buffer);
    for wanted in
        ["leds.0", "leds.1", "runs for 0 s, by power on", "I (12) tag: ready", "0.50 x", "12 ms late", "boot"]
    {
        assert!(text.contains(wanted), "{wanted}");
    }
}

#[test]
fn no_size_is_too_small_or_too_large() {
    let (scene, now) = scene(b"line\nanother\n");
    for width in [0, 1, 2, 3, 7, 20, 79, 80, 81, 200, 500] {
        for height in [0, 1, 2, 3, 5, 8, 13, 24, 25, 60, 120] {
            let mut keys = Keys { scrolled: usize::MAX, ..Keys::default() };
            picture(&scene, now, width, height, &mut keys);
            picture(&scene, now, width, height, &mut Keys { line: Some("x".repeat(300)), scrolled: 0 });
        }
    }
}

#[test]
fn what_the_device_prints_stays_in_its_pane() {
    let (scene, now) = scene(b"\x1b[2J\x1b]0;evil\x07\x9b\xff \xe2\x80\xaeI (1) t: \x1b[31mred\n");
    let text = text(&picture(&scene, now, 120, 44, &mut Keys::default()));
    assert!(text.contains("\\x1b]0;evil\\x07") && text.contains("\\xe2\\x80\\xae"), "{text}");
    assert!(!text.contains(char::is_control));
}

#[test]
fn a_board_with_the_hosts_clock_promises_nothing_of_it() {
    let (scene, now) = scene(b"");
    let keeping = Keeping {
        measured: 0.5,
        wanted: 1.0,
        lag: Duration::ZERO,
        given_up: Duration::ZERO,
        is_paused: false,
        is_the_hosts: true,
    };
    let shown = text(&picture_of(&scene, now, (120, 40), &mut Keys::default(), keeping, None));
    assert!(shown.contains("0.50 x") && shown.contains("clients are not seen here"), "{shown}");
    for wrong in ["late", "pause", "speed", "no clients"] {
        assert!(!shown.contains(wrong), "{wrong}: {shown}");
    }
}
