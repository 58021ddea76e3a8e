//! The line to a bench controller: requests find their answers here, and what it tells unasked is kept in its order.
//!
//! Everything that it says is numbered, so what is lost on the way is noticed ([`Told::Missed`]).

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rigor_controller::frame::{self, MAX_FRAME};
use rigor_controller::message::{Command, Drive, Level, Stream, Wire};
use rigor_controller::packed::{Pulse, unpack};
use rigor_controller::{Answer, Deframer, FrameError, Report, Request, Said, Ticks};

use super::bell::Bell;
use super::error::BenchError;
use super::listener::{Heard, Listener};
use super::wait::wait;
use crate::serial::Port;

/// USB does not mind; a UART bridge would.
const BAUD: u32 = 1_000_000;

/// What a controller tells unasked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// Pulses of a lane, the first of which rose then.
    Pulses(u8, Ticks, Vec<Pulse>),
    /// An input changed to this level.
    Edge(u8, Ticks, Level),
    /// A wire is driven so from then on.
    Driven(Wire, Ticks, Drive),
    /// Bytes on the bus, with the level of its data/command line.
    Transfer(Ticks, bool, Vec<u8>),
    /// Nothing was recorded between these.
    Lost(Stream, Ticks, Ticks),
    /// All before this instant has been told.
    Complete(Ticks),
    /// So many reports were lost on the way.
    Missed(u32),
}

/// The line. Ours alone until it is dropped.
pub(super) struct Line {
    pub(super) path: PathBuf,
    writer: Port,
    listener: Listener,
    bell: Bell,
    deframer: Box<Deframer>,
    next_id: u16,
    /// The number that the next report should have.
    next_report: Option<u32>,
    /// What has been told and not been taken in yet.
    told: VecDeque<Told>,
    /// The answer that is waited for, once it has come.
    answer: Option<(u16, Answer)>,
    /// Bytes since it was opened, and frames among them.
    bytes: usize,
    frames: usize,
    refused: Option<FrameError>,
    gone: Option<String>,
}

impl Line {
    /// Opens the port at `path`. Nobody has said yet who is there.
    pub(super) fn open(path: &Path, bell: &Bell) -> Result<Self, BenchError> {
        let writer = Port::open_alone(path, BAUD)?;
        let listener = Listener::start("rigor-controller", Some(writer.again()), bell.clone(), None);
        let listener = listener.map_err(|why| BenchError::Host {
            what: "a thread that listens to the controller".to_owned(),
            why: why.to_string(),
            remedy: "end other programs",
        })?;
        Ok(Line {
            path: path.to_owned(),
            writer,
            listener,
            bell: bell.clone(),
            deframer: Box::default(),
            // Nobody takes an answer to somebody else for its own.
            next_id: (std::process::id() ^ (std::process::id() >> 16)) as u16,
            next_report: None,
            told: VecDeque::new(),
            answer: None,
            bytes: 0,
            frames: 0,
            refused: None,
            gone: None,
        })
    }

    /// Why nobody said within `within` who it is.
    pub(super) fn stranger(&self, within: Duration) -> BenchError {
        let port = self.path.clone();
        match self.refused {
            Some(reason @ (FrameError::Version(_) | FrameError::Meaningless)) => {
                BenchError::Frame { port, reason }
            }
            _ if self.bytes == 0 => BenchError::Silent { port, within },
            _ if self.frames == 0 => BenchError::NoController { port, bytes: self.bytes },
            _ => BenchError::Stuck { port, asked: "who it is", within },
        }
    }

    /// Asks for `command`, which `asked` says in words.
    pub(super) fn ask(
        &mut self,
        command: Command,
        asked: &'static str,
        within: Duration,
    ) -> Result<Answer, BenchError> {
        let deadline = Instant::now() + within;
        self.next_id = self.next_id.wrapping_add(1);
        let id = self.next_id;
        let mut out = [0; MAX_FRAME];
        let request = Request { id, command };
        let framed = frame::encode(&request, &mut out)
            .ok_or_else(|| BenchError::Other(format!("a request to {asked} is too long to send")))?;
        // The zero before ends what somebody else may have left on the line.
        let message = [&[0], framed].concat();
        self.writer.write(&message, deadline)?;
        loop {
            self.listen()?;
            if let Some((answered, answer)) = self.answer.take()
                && answered == id
            {
                return Ok(answer);
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(BenchError::Stuck { port: self.path.clone(), asked, within });
            }
            wait(&self.bell, &[], deadline - now);
        }
    }

    /// What it has told since, in order.
    pub(super) fn told(&mut self) -> Result<VecDeque<Told>, BenchError> {
        self.listen()?;
        Ok(std::mem::take(&mut self.told))
    }

    /// Takes in what has come. Never waits.
    fn listen(&mut self) -> Result<(), BenchError> {
        self.bell.hush();
        while let Some(heard) = self.listener.try_next() {
            match heard {
                Heard::Bytes(chunk) => {
                    self.bytes += chunk.bytes.len();
                    for byte in chunk.bytes {
                        self.take(byte)?;
                    }
                }
                Heard::Gone(_, error) => self.gone = Some(error.to_string()),
                Heard::Back(..) => {}
            }
        }
        match &self.gone {
            Some(gone) => Err(BenchError::Other(format!("the bench controller: {gone}"))),
            None => Ok(()),
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), BenchError> {
        let Some(frame) = self.deframer.take(byte) else { return Ok(()) };
        let report = match frame.open::<Report<'_>>() {
            Ok(report) => report,
            Err(reason @ FrameError::Version(_)) => {
                self.refused = Some(reason);
                return Err(BenchError::Frame { port: self.path.clone(), reason });
            }
            // A damaged one is missed by its number.
            Err(reason) => {
                self.refused.get_or_insert(reason);
                return Ok(());
            }
        };
        self.frames += 1;
        if let Some(expected) = self.next_report.filter(|&expected| expected != report.sequence) {
            // Whoever identified it again has it begin anew.
            let missed = report.sequence.checked_sub(expected).unwrap_or(report.sequence);
            self.told.push_back(Told::Missed(missed.max(1)));
        }
        self.next_report = Some(report.sequence.wrapping_add(1));
        let told = match report.said {
            Said::Answer { id, answer } => {
                if matches!(answer, Answer::Identity(_)) {
                    self.told.clear();
                }
                self.answer = Some((id, answer));
                return Ok(());
            }
            Said::Pulses { lane, at, packed } => {
                let pulses = unpack(packed)
                    .map_err(|reason| BenchError::Packed { port: self.path.clone(), reason })?;
                Told::Pulses(lane, at, pulses.collect())
            }
            Said::Edge { input, at, level } => Told::Edge(input, at, level),
            Said::Driven { wire, at, drive } => Told::Driven(wire, at, drive),
            Said::Transfer { at, data, bytes } => Told::Transfer(at, data, bytes.to_vec()),
            Said::Lost { stream, from, until } => Told::Lost(stream, from, until),
            Said::Complete { until } => Told::Complete(until),
        };
        self.told.push_back(told);
        Ok(())
    }
}
