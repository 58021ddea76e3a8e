//! A bench controller and a console that do what a test tells them, on threads and pseudo-terminals of their own.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rigor_controller::frame::{self, MAX_FRAME};
use rigor_controller::message::{
    Answer, Command, Drive, Identity, LOOP_BACK_INPUT, Level, MAX_PACKED, Refusal, Report, Said, Stream, Wire,
};
use rigor_controller::packed::{Packer, Pulse};
use rigor_controller::stepped::{Crossed, Stands};
use rigor_controller::{Deframer, PROTOCOL, Request, Ticks};
use rigor_pty::Pty;

/// The rig file of a desk.
pub(super) fn rig_file(desk: &Desk) -> String {
    format!(
        "schema = 1\nname = \"desk\"\ndut = \"toy\"\nback_end = \"bench\"\n[bench]\nchip = \"esp32s3\"\n[controller]\nport = \
         {:?}\n[console]\nbaud = 115200\nport = {:?}\n[power]\n[reset]\n[[leds]]\nsignal = \"leds.0\"\npin = 9\npixels = \
         1\nlane = 0\n[[pins]]\nsignal = \"button\"\npin = 4\nline = 0\n",
        desk.controller_path, desk.console_path
    )
}

/// What a simulated device does next.
pub(super) enum Spoken {
    /// It says so on the console.
    Console(Vec<u8>),
    /// Its lane shows this since then.
    Pulses(u8, u64, Vec<Pulse>),
    /// The controller lost something.
    Lost(Stream, u64, u64),
    /// So many reports get lost on the way.
    Missing(u32),
    /// Somebody pulls the controller's cable.
    Unplugged,
}

/// What a controller is.
#[derive(Clone)]
pub(super) struct Controller {
    pub(super) stepped: bool,
    pub(super) lanes: u8,
    /// Edges that its loop-back pair lets through.
    pub(super) loop_back: u16,
    /// What it answers as; nothing if it does not answer.
    pub(super) version: Option<u8>,
    /// What it says without being asked.
    pub(super) chatter: Vec<u8>,
    /// The board says hello at once, and repeats what is typed.
    pub(super) echoes: bool,
}

impl Controller {
    /// One whose device is simulated.
    pub(super) fn stepped() -> Self {
        Controller {
            stepped: true,
            lanes: 2,
            loop_back: u16::MAX,
            version: Some(PROTOCOL),
            chatter: Vec::new(),
            echoes: false,
        }
    }

    /// One whose clock runs by itself.
    pub(super) fn running() -> Self {
        Controller { stepped: false, ..Controller::stepped() }
    }

    /// A port where nobody is.
    pub(super) fn silent() -> Self {
        Controller { version: None, ..Controller::running() }
    }

    /// A port where something else is.
    pub(super) fn chattering(words: &[u8]) -> Self {
        Controller { chatter: words.to_vec(), ..Controller::silent() }
    }

    /// One of another version.
    pub(super) fn of_version(version: u8) -> Self {
        Controller { version: Some(version), ..Controller::running() }
    }
}

#[derive(Default)]
struct Shared {
    /// What happens, and when, in ticks after the rig began to record.
    next: VecDeque<(u64, Spoken)>,
    said: Vec<u8>,
    typed: Vec<u8>,
    driven: Vec<(Wire, Drive)>,
    wanted: Vec<(u8, u8)>,
}

/// Both ports. They end with it.
pub(super) struct Desk {
    pub(super) controller_path: String,
    pub(super) console_path: String,
    shared: Arc<Mutex<Shared>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Desk {
    pub(super) fn new(script: Controller) -> Self {
        let [controller, console] = [(); 2].map(|()| Pty::open().expect("a pseudo-terminal"));
        let path = |pty: &Pty| pty.path().display().to_string();
        let (controller_path, console_path) = (path(&controller), path(&console));
        let (shared, ended) = (Arc::<Mutex<Shared>>::default(), Arc::<AtomicBool>::default());
        let mut actor = Actor {
            script,
            controller: Some(controller),
            console,
            shared: shared.clone(),
            clock: 0,
            zero: 0,
            epoch: Instant::now(),
            sequence: 0,
            crossed: Crossed::default(),
            typed: 0,
        };
        let over = ended.clone();
        let thread = std::thread::spawn(move || actor.play(&over));
        Desk { controller_path, console_path, shared, ended, thread: Some(thread) }
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `spoken` is over so many nanoseconds after the rig began to record.
    pub(super) fn next(&self, spoken: Spoken, at: u64) {
        self.shared().next.push_back((at, spoken));
    }

    /// The console says `bytes` now.
    pub(super) fn say(&self, bytes: &[u8]) {
        self.shared().said.extend_from_slice(bytes);
    }

    /// What was typed on the console.
    pub(super) fn typed(&self) -> Vec<u8> {
        self.shared().typed.clone()
    }

    /// Which lanes and inputs were to be recorded, each time that was said.
    pub(super) fn wanted(&self) -> Vec<(u8, u8)> {
        self.shared().wanted.clone()
    }

    /// Which wires were driven, and how.
    pub(super) fn driven(&self) -> Vec<(Wire, Drive)> {
        self.shared().driven.clone()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Actor {
    script: Controller,
    controller: Option<Pty>,
    console: Pty,
    shared: Arc<Mutex<Shared>>,
    /// Of a simulated device, in nanoseconds.
    clock: u64,
    /// Where it stood when the rig began to record.
    zero: u64,
    epoch: Instant,
    sequence: u32,
    crossed: Crossed,
    typed: u64,
}

impl Actor {
    fn play(&mut self, over: &AtomicBool) {
        let mut deframer = Deframer::new();
        let chatter = std::mem::take(&mut self.script.chatter);
        let mut chattered = false;
        while !over.load(Ordering::Relaxed) {
            self.type_and_say();
            if !self.script.stepped {
                self.speak(self.now().0);
            }
            let Some(controller) = &mut self.controller else {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            let Ok(bytes) = controller.read(Instant::now() + Duration::from_millis(1)) else { return };
            if !bytes.is_empty() && !chatter.is_empty() && !chattered {
                chattered = true;
                let _ = controller.write(&chatter, Instant::now() + Duration::from_secs(60));
            }
            for byte in bytes {
                let request = deframer.take(byte).and_then(|frame| frame.open::<Request>().ok());
                if let Some(request) = request {
                    self.answer(&request);
                }
            }
        }
    }

    fn type_and_say(&mut self) {
        let said = std::mem::take(&mut self.shared().said);
        let _ = self.console.write(&said, Instant::now() + Duration::from_secs(60));
        if let Ok(typed) = self.console.read(Instant::now()) {
            self.typed += typed.len() as u64;
            if self.script.echoes {
                let _ = self.console.write(&typed, Instant::now() + Duration::from_secs(60));
            }
            self.shared().typed.extend_from_slice(&typed);
        }
    }

    fn shared(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Ticks {
        Ticks(if self.script.stepped { self.clock } else { self.epoch.elapsed().as_nanos() as u64 })
    }

    fn answer(&mut self, request: &Request) {
        let at = self.now();
        let answer = match &request.command {
            Command::Identify => {
                (self.sequence, self.crossed, self.typed) = (0, Crossed::default(), 0);
                Answer::Identity(self.identity())
            }
            Command::ReadClock => Answer::Clock { received: at, sent: self.now() },
            Command::Drive { drive: Drive::High, wire: Wire::Line(_) } => Answer::Refused(Refusal::NeverHigh),
            Command::Drive { wire, drive } => {
                self.shared().driven.push((*wire, *drive));
                if self.script.echoes && (*wire, *drive) == (Wire::Power, Drive::High) {
                    self.shared().said.extend_from_slice(b"hello\n");
                }
                Answer::Done { at }
            }
            Command::Record(wanted) => {
                self.zero = at.0;
                self.shared().wanted.push((wanted.lanes, wanted.edges));
                Answer::Done { at }
            }
            Command::Play(_) => Answer::Done { at },
            Command::LoopBack { edges, spacing } => {
                self.say(Said::Answer { id: request.id, answer: Answer::Done { at } });
                for edge in 0..(*edges).min(self.script.loop_back) {
                    let at = at + u64::from(*spacing) * (u64::from(edge) + 1);
                    let level = if edge % 2 == 0 { Level::High } else { Level::Low };
                    self.say(Said::Edge { input: LOOP_BACK_INPUT, at, level });
                }
                return;
            }
            Command::Proceed(proceed) => {
                let deadline = Instant::now() + Duration::from_secs(60);
                while self.typed < proceed.crossed.console && Instant::now() < deadline {
                    self.type_and_say();
                }
                self.proceed(proceed.until.0);
                if self.controller.is_none() {
                    return;
                }
                Answer::Stands(Stands { at: self.now(), crossed: self.crossed, opened: None })
            }
        };
        self.say(Said::Answer { id: request.id, answer });
    }

    fn proceed(&mut self, until: u64) {
        let due = self.speak(until);
        self.clock = self.clock.max(due.unwrap_or(until));
        self.say(Said::Complete { until: self.now() });
    }

    /// Says what is due by `until`; when that was.
    fn speak(&mut self, until: u64) -> Option<u64> {
        let due = {
            let zero = self.zero;
            let mut shared = self.shared();
            if shared.next.front().is_some_and(|(at, _)| zero + at <= until) {
                shared.next.pop_front()
            } else {
                None
            }
        };
        let (at, spoken) = due?;
        match spoken {
            Spoken::Console(bytes) => {
                self.console.write(&bytes, Instant::now() + Duration::from_secs(60)).expect("room");
                self.crossed.console += bytes.len() as u64;
            }
            Spoken::Pulses(lane, at, pulses) => {
                let mut packer = Packer::new();
                assert!(pulses.into_iter().all(|pulse| packer.push(pulse)));
                let mut packed = [0; MAX_PACKED];
                let length = packer.finish(&mut packed);
                self.say(Said::Pulses { lane, at: Ticks(self.zero + at), packed: &packed[..length] });
            }
            Spoken::Lost(stream, from, until) => {
                let [from, until] = [from, until].map(|at| Ticks(self.zero + at));
                self.say(Said::Lost { stream, from, until });
            }
            Spoken::Missing(reports) => self.sequence += reports,
            Spoken::Unplugged => drop(self.controller.take()),
        }
        Some(self.zero + at)
    }

    fn identity(&self) -> Identity {
        Identity {
            name: "script".try_into().expect("short"),
            serial: 7,
            clock_hz: 1_000_000_000,
            lanes: self.script.lanes,
            inputs: 8,
            lines: 4,
            has_reset: true,
            has_power: true,
            has_bus: false,
            has_loop_back: true,
            stepped: self.script.stepped,
        }
    }

    fn say(&mut self, said: Said<'_>) {
        let Some(version) = self.script.version else { return };
        let mut out = [0; MAX_FRAME];
        let sequence = self.sequence;
        self.sequence += 1;
        let framed = frame::encode(&Report { sequence, said }, &mut out).expect("it fits");
        let framed = if version == PROTOCOL { framed.to_vec() } else { of_version(version, framed) };
        if let Some(controller) = &mut self.controller {
            let _ = controller.write(&framed, Instant::now() + Duration::from_secs(60));
        }
    }
}

/// `framed` as another version of the protocol would frame it.
fn of_version(version: u8, framed: &[u8]) -> Vec<u8> {
    let mut plain = framed[..framed.len() - 1].to_vec();
    let length = cobs::decode_in_place(&mut plain).expect("a frame");
    plain.truncate(length);
    let body = length - 4;
    plain[0] = version;
    let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&plain[..body]);
    plain[body..].copy_from_slice(&checksum.to_le_bytes());
    let mut stuffed = vec![0; MAX_FRAME];
    let length = cobs::encode(&plain, &mut stuffed);
    // The zero after it is there already.
    stuffed.truncate(length + 1);
    stuffed
}
