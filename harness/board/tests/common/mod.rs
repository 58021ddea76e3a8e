//! A board with a toy firmware made from a closure, and what the tests ask of its timeline.

// Every test file is a crate of its own and uses a part of this.
#![allow(dead_code, unused_imports)]

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use rigor_board::cpu::TaskSpec;
pub(crate) use rigor_board::{Board, BoardConfig, Chip, Firmware};
use rigor_core::event::{DeviceEvent, Direction, Event, FlowKind, Kind};
use rigor_core::part::{Console, Flash, Net, Power, Reset};
pub(crate) use rigor_core::{Instant, Timeline};

/// Time of the boot ROM in the default configuration, in nanoseconds.
pub(crate) const BOOT: u64 = 50_000_000;
/// A millisecond in nanoseconds.
pub(crate) const MS: u64 = 1_000_000;
/// Time of a context switch in the default configuration, in nanoseconds.
pub(crate) const SWITCH: u64 = 2_000;

struct Toy<F>(F, Vec<(u32, Vec<u8>)>);

impl<F: Fn(Chip)> Firmware for Toy<F> {
    fn name(&self) -> &str {
        "toy"
    }
    fn version(&self) -> &str {
        "0"
    }
    fn flash_image(&self) -> Vec<(u32, Vec<u8>)> {
        self.1.clone()
    }
    fn start(&self, chip: Chip) {
        (self.0)(chip);
    }
}

/// What a toy firmware saw, with the board's true time.
#[derive(Clone)]
pub(crate) struct Probe {
    timeline: Timeline,
    marks: Rc<RefCell<Vec<(u64, String)>>>,
}

impl Probe {
    pub(crate) fn mark(&self, what: impl Into<String>) {
        self.marks.borrow_mut().push((self.timeline.now().as_nanos(), what.into()));
    }

    /// Marks until now.
    pub(crate) fn count(&self) -> usize {
        self.marks.borrow().len()
    }
}

/// A board on a table.
pub(crate) struct Bench {
    pub(crate) board: Board,
    pub(crate) timeline: Timeline,
    pub(crate) probe: Probe,
}

/// A powered board of the default configuration whose reset vector is `start`.
pub(crate) fn bench(start: impl Fn(&Chip, &Probe) + 'static) -> Bench {
    let bench = bench_with(BoardConfig::default(), start);
    bench.on();
    bench
}

/// A board without power.
pub(crate) fn bench_with(config: BoardConfig, start: impl Fn(&Chip, &Probe) + 'static) -> Bench {
    bench_with_image(config, Vec::new(), start)
}

/// A board without power whose flash holds `image`.
pub(crate) fn bench_with_image(
    config: BoardConfig,
    image: Vec<(u32, Vec<u8>)>,
    start: impl Fn(&Chip, &Probe) + 'static,
) -> Bench {
    let timeline = Timeline::new();
    let probe = Probe { timeline: timeline.clone(), marks: Rc::default() };
    let seen = probe.clone();
    let firmware = Toy(move |chip: Chip| start(&chip, &seen), image);
    let board = Board::new(config, timeline.clone(), Rc::new(firmware));
    Bench { board, timeline, probe }
}

impl Bench {
    pub(crate) fn on(&self) {
        self.board.power().on().expect("the virtual switch works");
    }

    pub(crate) fn off(&self) {
        self.board.power().off().expect("the virtual switch works");
    }

    pub(crate) fn pin_reset(&self) {
        self.board.reset().pulse().expect("the virtual line works");
    }

    pub(crate) fn now(&self) -> u64 {
        self.timeline.now().as_nanos()
    }

    /// Lets the board live until its clock shows `nanos`.
    pub(crate) fn run_to(&self, nanos: u64) {
        self.board.run(Instant::from_nanos(nanos), &|| false);
    }

    pub(crate) fn run_for(&self, nanos: u64) {
        self.run_to(self.now() + nanos);
    }

    /// What the firmware marked, with nanoseconds since its first start.
    pub(crate) fn marks(&self) -> Vec<(u64, String)> {
        self.probe.marks.borrow().iter().map(|(at, what)| (at.saturating_sub(BOOT), what.clone())).collect()
    }

    /// When the firmware marked something, on the rig's clock.
    pub(crate) fn mark_times(&self) -> Vec<u64> {
        self.probe.marks.borrow().iter().map(|&(at, _)| at).collect()
    }

    pub(crate) fn marked(&self, what: &str) -> Vec<u64> {
        self.marks().into_iter().filter(|(_, mark)| mark == what).map(|(at, _)| at).collect()
    }

    pub(crate) fn events(&self, source: &str) -> Vec<Event> {
        self.timeline.events(self.timeline.source(source), Instant::ZERO, Instant::MAX)
    }

    pub(crate) fn device(&self) -> Vec<(u64, DeviceEvent)> {
        self.events("device")
            .into_iter()
            .filter_map(|event| match event.kind {
                Kind::Device(what) => Some((event.at.as_nanos(), what)),
                _ => None,
            })
            .collect()
    }

    /// Texts of the device's crashes.
    pub(crate) fn crashes(&self) -> Vec<String> {
        self.device()
            .into_iter()
            .filter_map(|(_, event)| match event {
                DeviceEvent::Crashed(text) => Some(text.to_string()),
                _ => None,
            })
            .collect()
    }

    /// Everything that the device printed.
    pub(crate) fn printed(&self) -> String {
        let bytes = self.events("console").into_iter().flat_map(|event| match event.kind {
            Kind::Serial(serial) => serial.bytes.to_vec(),
            _ => Vec::new(),
        });
        String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
    }

    /// Everything on the network, with its instant in nanoseconds.
    pub(crate) fn flows(&self) -> Vec<(u64, u32, FlowKind)> {
        self.events("net")
            .into_iter()
            .filter_map(|event| match event.kind {
                Kind::Flow(flow) => Some((event.at.as_nanos(), flow.connection.0, flow.what)),
                _ => None,
            })
            .collect()
    }

    /// What the rig received on a connection.
    pub(crate) fn received(&self, connection: u32) -> Vec<u8> {
        self.flows()
            .into_iter()
            .filter_map(|(_, id, what)| match what {
                FlowKind::Data(Direction::FromDut, bytes) if id == connection => Some(bytes.to_vec()),
                _ => None,
            })
            .flatten()
            .collect()
    }
}

/// Starts a task with 4 KiB of stack.
pub(crate) fn spawn(
    chip: &Chip,
    name: &'static str,
    core: usize,
    priority: u8,
    body: impl Future<Output = ()> + 'static,
) {
    chip.tasks().spawn(TaskSpec { name, priority, stack_bytes: 4096, core }, Box::pin(body));
}

/// A context switch that costs nothing, for tests of other things.
pub(crate) fn free_switches() -> BoardConfig {
    BoardConfig { context_switch: Duration::ZERO, ..BoardConfig::default() }
}
