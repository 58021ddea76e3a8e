//! A recording being repeated, operation by operation.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rigor_core::verdict::{Blame, HarnessError, Inconclusive, ProductError, RigError, Verdict};
use rigor_core::{Instant, Source, Timeline};

use crate::recording::{Call, End, Ending, Op, Reader, Returned, Step, Stopped};

/// How many operations are repeated before the harness's patience is looked at again.
const BREATH: u32 = 4096;

/// A lane of the recording.
struct Lane {
    name: Arc<str>,
    /// The same on this timeline; `None` if the case declares it, which may not have happened yet.
    source: Option<Source>,
}

/// The rest of a recording, and the timeline on which it is repeated.
pub(super) struct Script {
    reader: Reader<BufReader<File>>,
    path: PathBuf,
    timeline: Timeline,
    interrupt: Arc<AtomicBool>,
    lanes: Vec<Lane>,
    /// The next operation, if it was looked at.
    head: Option<Step>,
    /// What was wrong with the bench when it was last asked.
    wrong: Option<Arc<str>>,
    /// Why the case's own outcome does not count.
    overrules: Option<Blame>,
    /// The recorded case had wanted the clock to stop here, where it does not.
    overrun: Option<Instant>,
}

impl Script {
    pub(super) fn new(
        reader: Reader<BufReader<File>>,
        path: &Path,
        timeline: Timeline,
        interrupt: Arc<AtomicBool>,
    ) -> Self {
        Script {
            reader,
            path: path.to_owned(),
            timeline,
            interrupt,
            lanes: Vec::new(),
            head: None,
            wrong: None,
            overrules: None,
            overrun: None,
        }
    }

    fn broken(&self, what: impl std::fmt::Display) -> RigError {
        RigError(format!("{}: {what}", self.path.display()))
    }

    /// Looks at the next operation that is the rig's; `None` at the end.
    fn peek(&mut self) -> Result<Option<&Op>, RigError> {
        loop {
            match self.head.take() {
                None => match self.reader.next().map_err(|error| self.broken(error))? {
                    None => return Ok(None),
                    Some(step) => self.head = Some(step),
                },
                // The case that is judged does it again, in its own way.
                Some(Step { op, by_case: true }) => {
                    if let Op::Source(name) = op {
                        self.lanes.push(Lane { name, source: None });
                    }
                }
                Some(step) => return Ok(Some(&self.head.insert(step).op)),
            }
        }
    }

    /// Makes the rig as it was when it was handed over.
    pub(super) fn begin(&mut self) -> Result<(), RigError> {
        loop {
            match self.peek()? {
                Some(Op::Ready) => {
                    self.head = None;
                    return Ok(());
                }
                Some(Op::Advance { to, .. }) => {
                    let to = *to;
                    self.timeline.advance(to);
                    self.head = None;
                }
                Some(_) => self.repeat()?,
                None => return Err(self.broken("it ends before its rig is ready; record the run again")),
            }
        }
    }

    /// The lane `number` of the recording.
    pub(super) fn source(&self, number: u16) -> Result<Source, RigError> {
        let lane = self.lanes.get(usize::from(number));
        lane.and_then(|lane| lane.source)
            .ok_or_else(|| self.broken(format!("its header names lane {number}, which there is not")))
    }

    fn live_source(&mut self, number: u16) -> Result<Source, RigError> {
        let Some(lane) = self.lanes.get_mut(usize::from(number)) else {
            return Err(self.broken(format!("lane {number} was not declared")));
        };
        Ok(*lane.source.get_or_insert_with(|| self.timeline.source(&lane.name)))
    }

    /// Repeats the operation that was looked at and is none of clock, calls and drive.
    fn repeat(&mut self) -> Result<(), RigError> {
        let Some(Step { op, .. }) = self.head.take() else { return Ok(()) };
        match op {
            Op::Source(name) => {
                let source = Some(self.timeline.source(&name));
                self.lanes.push(Lane { name, source });
            }
            Op::Event(lane, event) => {
                let source = self.live_source(lane)?;
                self.timeline
                    .push(source, event.at, event.uncertainty, event.kind)
                    .map_err(|error| self.broken(error))?;
            }
            Op::Hold(lane, from) => {
                let source = self.live_source(lane)?;
                self.timeline.hold(source, from);
            }
            Op::Release(lane) => {
                let source = self.live_source(lane)?;
                self.timeline.release(source);
            }
            Op::Promise(lane, until) => {
                let source = self.live_source(lane)?;
                self.timeline.promise(source, until);
            }
            other => return Err(self.broken(format!("an operation at a place where none can be: {other:?}"))),
        }
        Ok(())
    }

    /// Lets the recording go on until it yields, the case has something to do, or the clock shows
    /// `until`.
    pub(super) fn run(&mut self, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), RigError> {
        if let Some(blame) = &self.overrules {
            return Err(RigError(blame.to_string()));
        }
        let mut breath = BREATH;
        loop {
            breath -= 1;
            if breath == 0 {
                if self.interrupt.load(Ordering::Relaxed) {
                    return Ok(());
                }
                breath = BREATH;
            }
            let now = self.timeline.now();
            match self.peek()? {
                Some(Op::Advance { to, asked }) => {
                    let (to, asked) = (*to, *asked);
                    // Where the back end did not ask, the recorded case was not woken either.
                    if asked && woken() {
                        return Ok(());
                    }
                    // Where the clock ran away from the recorded case, it does so from an unchanged one.
                    if to > until && self.overrun != Some(until) {
                        self.timeline.advance(until.max(now));
                        return Ok(());
                    }
                    self.timeline.advance(to);
                    self.head = None;
                }
                Some(Op::Overrun(at)) => {
                    self.overrun = Some(*at);
                    self.head = None;
                }
                Some(Op::Yielded) => {
                    self.overrun = None;
                    self.head = None;
                    return Ok(());
                }
                Some(Op::RunFailed(text)) => {
                    let text = text.to_string();
                    self.head = None;
                    return Err(RigError(text));
                }
                // Asked after the case had ended; a case that ends later may be asked again.
                Some(Op::Checked(_)) => self.head = None,
                Some(Op::Call(call)) => {
                    if woken() {
                        return Ok(());
                    }
                    let text = format!(
                        "the case acts differently from its recording: at {now} the recorded case called {call}, and this one waits for something else"
                    );
                    return Err(self.diverge(text));
                }
                None => {
                    if woken() {
                        return Ok(());
                    }
                    return Err(self.ended());
                }
                Some(_) => self.repeat()?,
            }
        }
    }

    /// Repeats a call of a part, if it is the next one of the recording.
    pub(super) fn call(&mut self, call: &Call) -> Result<Returned, RigError> {
        if let Some(blame) = &self.overrules {
            return Err(RigError(blame.to_string()));
        }
        // What was asked of the bench before is no action.
        while let Some(Op::Checked(_)) = self.peek()? {
            self.head = None;
        }
        let now = self.timeline.now();
        if self.peek()?.is_none() && !self.ended_by_its_case() {
            return Err(self.ended());
        }
        match self.peek()? {
            Some(Op::Call(recorded)) if recorded == call => self.head = None,
            _ => {
                let instead = self.next_call()?;
                let text = format!(
                    "the case acts differently from its recording: at {now} it calls {call}, {instead}"
                );
                return Err(self.diverge(text));
            }
        }
        loop {
            match self.peek()? {
                Some(Op::Returned(_)) => {
                    let Some(Step { op: Op::Returned(returned), .. }) = self.head.take() else { continue };
                    return Ok(returned);
                }
                Some(Op::Advance { to, .. }) => {
                    let to = *to;
                    self.timeline.advance(to);
                    self.head = None;
                }
                Some(_) => self.repeat()?,
                None => return Err(self.ended()),
            }
        }
    }

    /// What the recorded case did next, in words. Nothing can be repeated any more afterwards.
    fn next_call(&mut self) -> Result<String, RigError> {
        let now = self.timeline.now();
        let mut at = now;
        loop {
            let found = match self.peek()? {
                Some(Op::Call(recorded)) if at == now => {
                    format!("and the recorded case called {recorded} next, at the same instant")
                }
                Some(Op::Call(recorded)) => format!("and the recorded case called {recorded} next, at {at}"),
                Some(Op::Advance { to, .. }) => {
                    at = *to;
                    self.head = None;
                    continue;
                }
                Some(_) => {
                    self.head = None;
                    continue;
                }
                None => format!("and the recording, which ends at {at}, has no more calls"),
            };
            return Ok(found);
        }
    }

    fn diverge(&mut self, text: String) -> RigError {
        self.overrules = Some(Inconclusive(text.clone()).into());
        RigError(text)
    }

    /// Whether the recording, which is at its end, goes on as long as the recorded case did.
    fn ended_by_its_case(&self) -> bool {
        matches!(self.reader.end(), Some(End::Whole(Ending { stopped: None })))
    }

    /// The recording is at its end, and the case is not.
    fn ended(&mut self) -> RigError {
        let at = self.timeline.now();
        let blame: Blame = match self.reader.end() {
            Some(End::Whole(Ending { stopped: Some(Stopped { verdict, reason }) })) => match verdict {
                Verdict::Fail => ProductError(reason.clone()).into(),
                Verdict::HarnessBug => HarnessError(reason.clone()).into(),
                Verdict::RigFault => RigError(reason.clone()).into(),
                _ => Inconclusive(reason.clone()).into(),
            },
            Some(End::CutShort { length }) => Inconclusive(format!(
                "the recording was cut short: its last whole event is at {at}, and the case waits for more ({}, {length} bytes)",
                self.path.display()
            ))
            .into(),
            _ => Inconclusive(format!(
                "the case acts differently from its recording: the recorded case had ended at {at}, and this one waits for more"
            ))
            .into(),
        };
        let error = RigError(blame.to_string());
        self.overrules = Some(blame);
        error
    }

    /// What the bench had answered when it was asked here, or else when it was asked last. A case that
    /// only fails today finds a bench that nobody had complained of.
    pub(super) fn self_check(&mut self) -> Result<(), RigError> {
        if let Some(Op::Checked(wrong)) = self.peek()? {
            self.wrong = wrong.clone();
            self.head = None;
        }
        self.wrong.as_ref().map_or(Ok(()), |wrong| Err(RigError(wrong.to_string())))
    }

    pub(super) fn overrules(&self) -> Option<Blame> {
        self.overrules.clone()
    }
}
