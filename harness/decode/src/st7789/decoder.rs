//! From transfers on the bus to commands, passes and findings.

use std::time::Duration;

use rigor_core::event::BusTransfer;
use rigor_core::{Event, Instant, Kind};

use super::address::Access;
use super::config::{Config, Start};
use super::finding::{Finding, FindingKind};
use super::instruction::{self, Follows, Opcode, opcode};
use super::item::{Command, Item, MAX_PARAMETERS};
use super::pass::{Pace, Pass, PassEnding, Writing};
use super::registers::Registers;
use super::scan::{Scan, Tear};
use super::screen::{ScanOut, Screen};

/// The command whose parameters come now.
struct Current {
    at: Instant,
    opcode: u8,
    name: Option<&'static str>,
    follows: Follows,
    parameters: Vec<u8>,
    count: u64,
    /// The first parameter too many.
    excess_at: Option<Instant>,
}

/// Where pixels go.
enum Target {
    Nowhere,
    Window(Box<Writing>),
    /// What was wrong has been reported.
    Ignored {
        at: Instant,
        bytes: u64,
    },
}

/// Data with no command before them.
#[derive(Clone, Copy)]
struct Stray {
    at: Instant,
    bytes: u64,
}

/// Decodes the transfers of one panel's bus: [`Kind::Bus`] events, cut anywhere.
///
/// The closure that each method takes gets every [`Item`] in order, and the [`Screen`] as it is at that
/// moment. The decoder keeps the controller's memory (300 KB) and nothing that grows.
///
/// [`Kind::Gap`] breaks off what is under way, and everything up to the next command is ignored. Other
/// kinds are none of its business.
pub struct Decoder {
    screen: Screen,
    registers: Registers,
    pace: Pace,
    scan: Option<Scan>,
    current: Option<Current>,
    target: Target,
    stray: Option<Stray>,
    /// After a gap, until the next command.
    lost: bool,
    uncertainty: Duration,
    /// The latest instant that any input had.
    latest: Instant,
}

impl Decoder {
    /// A decoder that has seen nothing yet.
    pub fn new(config: &Config) -> Self {
        let (registers, scan_out) = match config.start {
            Start::Reset => (Registers::new(), ScanOut::RESET),
            Start::Running { madctl, colmod, inverted } => (
                Registers::running(madctl, colmod),
                ScanOut { asleep: false, on: true, inverted, ..ScanOut::RESET }.with_access(Access(madctl)),
            ),
        };
        Decoder {
            screen: Screen::new(config.panel, scan_out),
            registers,
            pace: Pace::new(config.byte_time),
            scan: config.scan,
            current: None,
            target: Target::Nowhere,
            stray: None,
            lost: false,
            uncertainty: Duration::ZERO,
            latest: Instant::ZERO,
        }
    }

    /// The panel as it is now.
    pub fn screen(&self) -> &Screen {
        &self.screen
    }

    /// Takes the next event of the bus.
    pub fn event(&mut self, event: &Event, mut out: impl FnMut(&Screen, Item)) {
        match &event.kind {
            Kind::Bus(transfer) => self.transfer(event.at, event.uncertainty, transfer, out),
            Kind::Gap(_) => {
                self.see(event.at, event.uncertainty);
                self.lose(event.at, &mut out);
            }
            _ => {}
        }
    }

    /// Takes the next transfer of the bus, whose first byte began at `at`, plus or minus `uncertainty`.
    pub fn transfer(
        &mut self,
        at: Instant,
        uncertainty: Duration,
        transfer: &BusTransfer,
        mut out: impl FnMut(&Screen, Item),
    ) {
        self.see(self.after(at, transfer.bytes.len()), uncertainty);
        if transfer.data {
            self.data(at, &transfer.bytes, &mut out);
        } else {
            for (index, &byte) in transfer.bytes.iter().enumerate() {
                self.command(self.after(at, index), byte, &mut out);
            }
        }
    }

    /// The panel read its first line at `at`, as its tearing effect line told (section 9.1.27). Passes that
    /// end from now on are judged by it. Does nothing without a [`Config::scan`], which has the rate.
    pub fn scan_began(&mut self, at: Instant) {
        if let Some(scan) = &mut self.scan {
            scan.first_line = at;
        }
    }

    /// The controller was reset by its pin. Its memory stays as it is (section 9.1.22, "Default").
    pub fn hardware_reset(&mut self, at: Instant, mut out: impl FnMut(&Screen, Item)) {
        let out = &mut out;
        self.see(at, Duration::ZERO);
        self.close_command(at, out);
        self.drop_leftover(at, out);
        self.end_target(at, PassEnding::Reset, out);
        self.current = None;
        self.lost = false;
        self.registers = Registers::new();
        self.show(at, ScanOut::RESET, out);
    }

    /// The trace is over. Gives what is under way.
    pub fn finish(mut self, mut out: impl FnMut(&Screen, Item)) -> Screen {
        let at = self.latest;
        self.close_command(at, &mut out);
        self.drop_leftover(at, &mut out);
        self.end_target(at, PassEnding::TraceEnded, &mut out);
        self.screen
    }

    fn see(&mut self, at: Instant, uncertainty: Duration) {
        self.uncertainty = uncertainty;
        self.latest = self.latest.max(at);
    }

    fn after(&self, at: Instant, bytes: usize) -> Instant {
        self.pace.after(at, bytes)
    }

    fn find(&self, at: Instant, kind: FindingKind, out: &mut impl FnMut(&Screen, Item)) {
        out(&self.screen, Item::Finding(Finding { at, uncertainty: self.uncertainty, kind }));
    }

    fn lose(&mut self, at: Instant, out: &mut impl FnMut(&Screen, Item)) {
        self.stray = None;
        if let Some(current) = self.current.take() {
            self.tell(current, out);
        }
        self.find(at, FindingKind::Gap, out);
        self.end_target(at, PassEnding::Gap, out);
        self.lost = true;
    }

    fn command(&mut self, at: Instant, code: u8, out: &mut impl FnMut(&Screen, Item)) {
        self.close_command(at, out);
        self.lost = false;
        self.drop_leftover(at, out);
        if let Some(finding) = self.registers.too_soon(code, at) {
            self.find(at, finding, out);
        }
        let (name, follows) =
            instruction::find(code).map_or((None, Follows::Skipped), |(name, follows)| (Some(name), follows));
        if name.is_none() {
            self.find(at, FindingKind::UnknownCommand { command: Opcode(code) }, out);
        }
        if touches_pixels(code) {
            self.end_target(at, PassEnding::Interrupted { by: Opcode(code) }, out);
        }
        let mut current =
            Current { at, opcode: code, name, follows, parameters: Vec::new(), count: 0, excess_at: None };
        match follows {
            Follows::Parameters(0) => self.obey(at, &mut current, out),
            Follows::Pixels => {
                out(&self.screen, Item::Command(current.log()));
                self.aim(at, code, out);
            }
            Follows::Parameters(_) | Follows::Skipped => {}
        }
        self.current = Some(current);
    }

    fn drop_leftover(&mut self, at: Instant, out: &mut impl FnMut(&Screen, Item)) {
        if let Target::Window(writing) = &mut self.target {
            let of = writing.format.bytes() as u8;
            let bytes = writing.drop_leftover();
            if bytes > 0 {
                self.find(at, FindingKind::LeftoverBytes { bytes, of }, out);
            }
        }
    }

    /// No more parameters come.
    fn close_command(&mut self, at: Instant, out: &mut impl FnMut(&Screen, Item)) {
        if let Some(Stray { at, bytes }) = self.stray.take() {
            self.find(at, FindingKind::DataWithoutCommand { bytes }, out);
        }
        let Some(current) = self.current.take() else { return };
        let (command, got) = (Opcode(current.opcode), current.count);
        match (current.follows, current.excess_at) {
            (Follows::Parameters(of), None) if got < u64::from(of) => {
                self.tell(current, out);
                self.find(at, FindingKind::TooFewParameters { command, got, of }, out);
            }
            (Follows::Parameters(of), Some(at)) => {
                self.find(at, FindingKind::TooManyParameters { command, got, of }, out);
            }
            (Follows::Skipped, _) => self.tell(current, out),
            _ => {}
        }
    }

    /// Logs a command that has not been, because it may have had more parameters.
    fn tell(&self, mut current: Current, out: &mut impl FnMut(&Screen, Item)) {
        let open = match current.follows {
            Follows::Parameters(of) => current.count < u64::from(of),
            Follows::Pixels => false,
            Follows::Skipped => true,
        };
        if open {
            out(&self.screen, Item::Command(current.log()));
        }
    }

    fn data(&mut self, at: Instant, mut bytes: &[u8], out: &mut impl FnMut(&Screen, Item)) {
        if self.lost || bytes.is_empty() {
            return;
        }
        let Some(mut current) = self.current.take() else {
            self.stray.get_or_insert(Stray { at, bytes: 0 }).bytes += bytes.len() as u64;
            return;
        };
        if let Follows::Pixels = current.follows {
            self.current = Some(current);
            return self.pixels(at, bytes, out);
        }
        let wanted = match current.follows {
            Follows::Parameters(of) => usize::from(of),
            _ => usize::MAX,
        };
        let so_far = usize::try_from(current.count).unwrap_or(usize::MAX);
        let missing = wanted.saturating_sub(so_far);
        let kept = bytes.len().min(missing).min(MAX_PARAMETERS.saturating_sub(so_far));
        current.parameters.extend_from_slice(&bytes[..kept]);
        current.count += bytes.len() as u64;
        let whole = wanted > 0 && missing > 0 && bytes.len() >= missing;
        bytes = &bytes[bytes.len().min(missing)..];
        if !bytes.is_empty() && current.excess_at.is_none() {
            current.excess_at = Some(self.after(at, missing));
        }
        if whole {
            self.obey(self.after(at, missing - 1), &mut current, out);
        }
        self.current = Some(current);
    }

    /// Does what a command with all its parameters says.
    fn obey(&mut self, at: Instant, current: &mut Current, out: &mut impl FnMut(&Screen, Item)) {
        let old = self.screen.scan_out;
        let (new, wrong) = self.registers.set(current.opcode, &current.parameters, at, old);
        out(&self.screen, Item::Command(current.log()));
        if let Some(wrong) = wrong {
            self.find(at, wrong, out);
        }
        self.show(at, new, out);
    }

    fn show(&mut self, at: Instant, new: ScanOut, out: &mut impl FnMut(&Screen, Item)) {
        let old = self.screen.scan_out;
        if new != old && (new.lit() || old.lit()) {
            let (uncertainty, lit) = (self.uncertainty, new.lit());
            out(&self.screen, Item::ShowsOtherwise { at, uncertainty, lit });
        }
        self.screen.scan_out = new;
    }

    /// RAMWR or RAMWRC: pixels come next.
    fn aim(&mut self, at: Instant, code: u8, out: &mut impl FnMut(&Screen, Item)) {
        if code == opcode::RAMWRC {
            if !matches!(self.target, Target::Nowhere) {
                return;
            }
            self.find(at, FindingKind::NothingToContinue, out);
        }
        for objection in self.registers.objections(self.screen.panel()) {
            self.find(at, objection, out);
        }
        self.target = match self.registers.format() {
            Some(format) if self.registers.window.is_ordered() => Target::Window(Box::new(Writing::new(
                self.registers.window,
                self.registers.access,
                format,
                self.scan.is_some(),
            ))),
            _ => Target::Ignored { at, bytes: 0 },
        };
    }

    fn pixels(&mut self, mut at: Instant, mut bytes: &[u8], out: &mut impl FnMut(&Screen, Item)) {
        while !bytes.is_empty() {
            let writing = match &mut self.target {
                Target::Window(writing) => writing,
                Target::Ignored { bytes: ignored, .. } => {
                    *ignored += bytes.len() as u64;
                    return;
                }
                Target::Nowhere => return,
            };
            if writing.times.is_none() {
                let area = writing.window.area(writing.access).and_then(|area| self.screen.seen(area));
                let uncertainty = self.uncertainty;
                out(&self.screen, Item::PassBegins { at, uncertainty, area });
            }
            writing.uncertainty = writing.uncertainty.max(self.uncertainty);
            let progress = writing.take(&mut self.screen.memory, at, self.pace, bytes);
            bytes = &bytes[progress.taken..];
            at = self.after(at, progress.taken);
            if progress.full {
                self.finish_pass(PassEnding::Complete, out);
            }
        }
    }

    /// Ends the pass that has begun. The target is then the same window from its start.
    fn finish_pass(&mut self, ending: PassEnding, out: &mut impl FnMut(&Screen, Item)) {
        let Target::Window(writing) = &mut self.target else { return };
        let Some((start, end)) = writing.times else { return };
        let tear = match ending {
            PassEnding::Interrupted { .. } | PassEnding::Reset => Some(Tear::Interrupted),
            PassEnding::Complete | PassEnding::Gap | PassEnding::TraceEnded => {
                let times = writing.row_times();
                times.zip(self.scan).and_then(|(times, scan)| {
                    // While nothing is lit nobody sees a tear.
                    let scan_out = self.screen.scan_out;
                    scan_out.lit().then(|| times.torn_by(scan, scan_out.upwards)).flatten()
                })
            }
        };
        let pass = Pass {
            start,
            end,
            uncertainty: writing.uncertainty,
            window: writing.window,
            pixels: writing.pixels,
            dirty: writing.written().and_then(|area| self.screen.seen(area)),
            ending,
            tear,
        };
        **writing = writing.wrapped();
        out(&self.screen, Item::Pass(pass));
    }

    /// Nothing more comes to where pixels went.
    fn end_target(&mut self, at: Instant, ending: PassEnding, out: &mut impl FnMut(&Screen, Item)) {
        match &self.target {
            Target::Nowhere => {}
            Target::Ignored { bytes: 0, .. } => {}
            Target::Ignored { at, bytes } => {
                self.find(*at, FindingKind::PixelsIgnored { bytes: *bytes }, out)
            }
            Target::Window(writing) => {
                let of = writing.window.pixels();
                let missing = of - writing.pixels;
                let short = writing.fresh || writing.times.is_some();
                let by = match ending {
                    PassEnding::Interrupted { by } => Some(by),
                    _ => None,
                };
                self.finish_pass(ending, out);
                if short && ending != PassEnding::Gap {
                    self.find(at, FindingKind::MissingPixels { missing, of, by }, out);
                }
            }
        }
        self.target = Target::Nowhere;
    }
}

impl Current {
    /// For the log, once: it takes the parameters.
    fn log(&mut self) -> Command {
        let parameters = std::mem::take(&mut self.parameters);
        Command { at: self.at, opcode: Opcode(self.opcode), name: self.name, parameters }
    }
}

/// Whether a command makes it impossible to continue a pass.
fn touches_pixels(code: u8) -> bool {
    matches!(
        code,
        opcode::CASET
            | opcode::RASET
            | opcode::RAMWR
            | opcode::MADCTL
            | opcode::COLMOD
            | opcode::RAMCTRL
            | opcode::SWRESET
    )
}
