//! One case on one rig: take the rig, switch it on, run the case, judge, and say how it went.
//!
//! Each trial has a thread of its own, so that a firmware that keeps the processor for ever ends
//! as a failure of the product and not as a hang of the harness.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant as WallInstant};

use rigor_core::event::{DeviceEvent, Kind};
use rigor_core::evidence::Evidence;
use rigor_core::host::{HostDelay, stamps_within};
use rigor_core::qualification::Qualification;
use rigor_core::recovery::Recovery;
use rigor_core::requirement::{Catalogue, Class};
use rigor_core::result::{BACKTRACE_LINES, Decision, NotRun};
use rigor_core::task::{TASK_LANES, TaskStart};
use rigor_core::unit::Amount;
use rigor_core::verdict::{Blame, HarnessError, Inconclusive, ProductError, Verdict};
use rigor_core::{Event, Instant, Rig};
use rigor_decode::console::LineDecoder;
use rigor_rigs::fault::Model;
use rigor_rigs::recording::{Ending, Recording, Recordings, Stopped};
use rigor_rigs::{BackEnd, Firmwares, Order, Refusal, RigFile};

use crate::account::{self, Accounts};
use crate::case::{Case, Outcome};
use crate::drive;
use crate::evidence::{self, Wanted};
use crate::judge::{self, Witness};
use crate::need::Bench;
use crate::progress::{self, Onlooker};

/// Wall-clock time of a trial before the device is interrupted.
pub const DEFAULT_WALL_TIME: Duration = Duration::from_secs(30);

/// The same for a [long](Case::long) case.
pub const LONG_WALL_TIME: Duration = Duration::from_secs(600);

/// Wall-clock time that an interrupted trial has to end by itself. Firmware that never calls into
/// the board cannot be interrupted; its thread is given up and ends with the process.
const GRACE: Duration = Duration::from_secs(5);

/// How often it is looked whether somebody wants the end of the run.
const LOOK: Duration = Duration::from_millis(50);

/// Lines of the device's console that a failure shows.
const LOG_TAIL_LINES: usize = 12;

/// What a trial needs to know.
pub struct Setup {
    /// The rig.
    pub rig: RigFile,
    /// The firmware of virtual boards.
    pub firmwares: Firmwares,
    /// Seed of the rig.
    pub seed: u64,
    /// Wall-clock limit of a case that is not long; [`DEFAULT_WALL_TIME`] by default.
    pub wall_time: Duration,
    /// What is wrong with the rig on purpose.
    pub fault: Option<Model>,
    /// What is to be shown of trials, if there is to be [evidence](Trial::evidence).
    pub evidence: Option<Wanted>,
    /// Where trials are recorded, if they are.
    pub recordings: Option<Arc<Recordings>>,
    /// Where trials leave their accounts, if they do.
    pub accounts: Option<Arc<Accounts>>,
    /// Who looks on while long cases run, if anybody does.
    pub onlooker: Option<Onlooker>,
    /// Set when somebody wants the end of the run: what runs on a bench is cut then.
    pub ending: Arc<AtomicBool>,
    /// What the rig has found out of itself before the first case.
    pub proof: OnceLock<Qualification>,
}

impl Setup {
    /// The rig as it should be, not recorded, without evidence and with nobody looking on.
    pub fn new(rig: RigFile, firmwares: Firmwares, seed: u64) -> Self {
        Setup {
            rig,
            firmwares,
            seed,
            wall_time: DEFAULT_WALL_TIME,
            fault: None,
            evidence: None,
            recordings: None,
            accounts: None,
            onlooker: None,
            ending: Arc::default(),
            proof: OnceLock::new(),
        }
    }
}

/// How a case went on a rig.
#[derive(Clone, PartialEq, Debug)]
pub struct Trial {
    /// One decision for each requirement of the case.
    pub decisions: Vec<(String, Decision)>,
    /// Time spent on the rig's clock.
    pub rig_time: Duration,
    /// Time spent on the wall clock.
    pub wall_time: Duration,
    /// How often the bench failed before this outcome.
    pub retries: u32,
    /// Each time at which it failed, and what was done about it.
    pub recoveries: Vec<Recovery>,
    /// What there is to look at, if it was wanted and the trial came to its own end.
    pub evidence: Option<Evidence>,
    /// The last lines of the device's console, if the case did not pass.
    pub log_tail: Vec<String>,
    /// What the backtrace of its last crash means, if it lists one and the case did not pass.
    pub backtrace: Vec<String>,
    /// What each task, by name, reserved for its stack when it first started, in bytes; none where the rig
    /// does not see tasks, or of tasks whose start the case has dropped from the timeline.
    pub stacks: BTreeMap<String, u64>,
    /// What [`Drive::reached_defects`](rigor_core::rig::Drive::reached_defects) said at the end;
    /// `None` too for a trial that did not come to its own end.
    pub reached_defects: Option<Vec<&'static str>>,
    /// What the rig has found out of itself when it was taken, if it has instruments.
    pub qualification: Option<Qualification>,
}

impl Trial {
    /// The worst of the decisions.
    pub fn verdict(&self) -> Verdict {
        self.decisions.iter().map(|(_, decision)| decision.verdict).max().unwrap_or(Verdict::HarnessBug)
    }

    /// The reason of the worst decision; `None` for a pass.
    pub fn reason(&self) -> Option<&str> {
        let worst = self.verdict();
        self.decisions.iter().find(|(_, decision)| decision.verdict == worst)?.1.reason.as_deref()
    }

    /// Whether it keeps the run from being green: rig or harness are at fault, or a `must` of `catalogue`
    /// is broken or undecided.
    pub fn gates(&self, catalogue: &Catalogue) -> bool {
        self.decisions.iter().any(|(id, decision)| match decision.verdict {
            Verdict::Pass | Verdict::NotRun => false,
            Verdict::RigFault | Verdict::HarnessBug => true,
            Verdict::Fail | Verdict::Inconclusive => {
                catalogue.get(id).is_none_or(|requirement| requirement.class == Class::Must)
            }
        })
    }

    /// A line for each thing that was found amiss, with the requirements that it concerns. Harmless on
    /// a terminal, whatever the device said.
    pub fn grievances(&self) -> Vec<String> {
        let mut told: Vec<(Verdict, &str, Vec<&str>)> = Vec::new();
        for (id, decision) in self.decisions.iter().filter(|(_, decision)| decision.verdict != Verdict::Pass)
        {
            let reason = decision.reason.as_deref().unwrap_or_default();
            match told.iter_mut().find(|(verdict, known, _)| (*verdict, *known) == (decision.verdict, reason))
            {
                Some((_, _, ids)) => ids.push(id),
                None => told.push((decision.verdict, reason, vec![id])),
            }
        }
        let line = |(verdict, reason, ids): (Verdict, &str, Vec<&str>)| {
            format!("{verdict} {}: {}", ids.join(" "), rigor_reports::visible(reason))
        };
        told.into_iter().map(line).collect()
    }
}

/// Attempts on a rig that is made anew for each and fails. Only a rig fault is tried again: a product that fails once has
/// failed. A bench is tried again as often as something was done about it ([`rigor_rigs::Service`]).
const ATTEMPTS: u32 = 2;

/// Runs `case` on the rig of `setup`.
pub fn run(catalogue: &Arc<Catalogue>, case: &Arc<Case>, setup: &Arc<Setup>) -> Trial {
    // Waiting for others is none of the case's time.
    let lease = rigor_rigs::lease(&setup.rig, case.name(), &setup.ending);
    let _lease = match lease {
        Ok(lease) => lease,
        _ if is_cut(setup) => return interrupted(case, setup, "before the bench was its own"),
        Err(error) => return blamed(case, setup, &Blame::Rig(error)),
    };
    let mut service = match rigor_rigs::service(&setup.rig, &setup.ending) {
        Ok(service) => service,
        Err(error) => return blamed(case, setup, &Blame::Rig(error)),
    };
    // What cannot be proven here, the case finds out for itself.
    setup.proof.get_or_init(|| rigor_rigs::prove(&setup.rig, &setup.ending).unwrap_or_default());
    let started = WallInstant::now();
    let mut recoveries = Vec::new();
    let mut trial = attempt(catalogue, case, setup, 0);
    while trial.verdict() == Verdict::RigFault {
        let fault = trial.reason().unwrap_or_default().to_owned();
        let again = match &mut service {
            Some(service) => {
                let (recovery, again) = service.recover(case.name(), &fault, &setup.ending);
                recoveries.push(recovery);
                again
            }
            None => {
                let again = trial.retries + 1 < ATTEMPTS;
                recoveries.extend(again.then(|| Recovery { fault, steps: Vec::new() }));
                again
            }
        };
        if !again {
            break;
        }
        let retries = trial.retries + 1;
        trial = Trial { retries, ..attempt(catalogue, case, setup, retries) };
    }
    let told = !matches!(trial.verdict(), Verdict::RigFault | Verdict::NotRun);
    if let Some(service) = service.as_mut().filter(|_| told) {
        service.went_well();
    }
    trial.recoveries = recoveries;
    trial.wall_time = started.elapsed();
    trial
}

/// Runs `case` once; `number` attempts have come before.
fn attempt(catalogue: &Arc<Catalogue>, case: &Arc<Case>, setup: &Arc<Setup>, number: u32) -> Trial {
    let recording = setup.recordings.as_ref().map(Recordings::recording);
    let (trial, stopped) = watched(catalogue, case, setup, number, recording.as_ref());
    if let Some(recording) = recording {
        // What the case did not end by itself cannot be found out again from what it saw.
        let stopped = stopped.then(|| Stopped {
            verdict: trial.verdict(),
            reason: trial.reason().unwrap_or_default().to_owned(),
        });
        recording.finish(&Ending { stopped });
    }
    trial
}

/// The trial, and whether somebody else than the case has ended it.
fn watched(
    catalogue: &Arc<Catalogue>,
    case: &Arc<Case>,
    setup: &Arc<Setup>,
    number: u32,
    recording: Option<&Recording>,
) -> (Trial, bool) {
    let wall_time = if case.is_long() { LONG_WALL_TIME } else { setup.wall_time };
    // A board on a desk takes the time that it takes.
    let wall_time = match setup.rig.back_end {
        BackEnd::Bench(_) => wall_time.max(case.rig_time + setup.wall_time),
        BackEnd::Virtual(_) | BackEnd::Replay(_) | BackEnd::Qemu(_) => wall_time,
    };
    let interrupt = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel();
    let worker = {
        let (catalogue, case, setup, interrupt) =
            (catalogue.clone(), case.clone(), setup.clone(), interrupt.clone());
        let recording = recording.cloned();
        std::thread::Builder::new().name(case.name().to_owned()).spawn(move || {
            let on_rig = || on_rig(&catalogue, &case, &setup, number, &interrupt, recording.as_ref());
            let ended = catch_unwind(AssertUnwindSafe(on_rig)).map(|trial| (trial, false));
            let ended = ended.unwrap_or_else(|panic| {
                let blame = Blame::Harness(HarnessError(panic_text(&*panic)));
                (blamed(&case, &setup, &blame), true)
            });
            // Nobody listens any more if the trial was given up.
            let _ = sender.send(ended);
        })
    };
    let worker = match worker {
        Ok(worker) => worker,
        Err(error) => {
            let blame = Blame::Harness(HarnessError(format!("no thread for the case: {error}")));
            return (blamed(case, setup, &blame), true);
        }
    };
    let mut cut = false;
    let ended = wait(&receiver, wall_time, || is_cut(setup)).or_else(|_| {
        cut = is_cut(setup);
        interrupt.store(true, Ordering::Relaxed);
        receiver.recv_timeout(GRACE).map(|(trial, _)| (trial, true))
    });
    match ended {
        // Whatever it came to, it had not its time.
        ended if cut => {
            if ended.is_ok() {
                // It has let go of the bench, and is about to end.
                let _ = worker.join();
            }
            (interrupted(case, setup, "while it ran"), true)
        }
        Ok(ended) => {
            // It has sent its last message and is about to end.
            let _ = worker.join();
            ended
        }
        Err(_) => {
            let blame = Blame::Product(ProductError(format!(
                "the firmware spins: it kept the processor for {:?} without letting time pass",
                wall_time + GRACE
            )));
            (blamed(case, setup, &blame), true)
        }
    }
}

/// Whether the trial is to end now, because somebody wants the end of the run and it runs on a bench.
fn is_cut(setup: &Setup) -> bool {
    matches!(setup.rig.back_end, BackEnd::Bench(_)) && setup.ending.load(Ordering::Relaxed)
}

/// What comes within `limit`, or before `cut`.
fn wait<T>(
    receiver: &mpsc::Receiver<T>,
    limit: Duration,
    cut: impl Fn() -> bool,
) -> Result<T, mpsc::RecvTimeoutError> {
    let deadline = WallInstant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(WallInstant::now());
        match receiver.recv_timeout(left.min(LOOK)) {
            Err(mpsc::RecvTimeoutError::Timeout) if left > LOOK && !cut() => {}
            other => return other,
        }
    }
}

/// A case that did not come to its end because the run did.
fn interrupted(case: &Case, setup: &Setup, when: &str) -> Trial {
    not_run(case, &witness(case, setup), NotRun::Interrupted, &format!("the run was interrupted {when}"))
}

fn witness(case: &Case, setup: &Setup) -> Witness {
    let (case, rig) = (case.name().to_owned(), setup.rig.name.clone());
    Witness { case, rig, fidelity: setup.rig.fidelity(), host: None, stamps: None, floor: None }
}

fn blamed(case: &Case, setup: &Setup, blame: &Blame) -> Trial {
    without_rig(witness(case, setup).blames(case.decides(), blame))
}

/// A case that did not run, by `cause` and for `reason`.
fn not_run(case: &Case, witness: &Witness, cause: NotRun, reason: &str) -> Trial {
    let Witness { case: name, rig, fidelity, .. } = witness;
    let decision = Decision::not_run(name, rig, *fidelity, cause, reason);
    without_rig(case.decides().iter().map(|id| (id.clone(), decision.clone())).collect())
}

/// A trial that came to these decisions and saw nothing.
pub(crate) fn without_rig(decisions: Vec<(String, Decision)>) -> Trial {
    Trial {
        decisions,
        rig_time: Duration::ZERO,
        wall_time: Duration::ZERO,
        retries: 0,
        recoveries: Vec::new(),
        evidence: None,
        log_tail: Vec::new(),
        backtrace: Vec::new(),
        stacks: BTreeMap::new(),
        reached_defects: None,
        qualification: None,
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the harness panicked: {}", text.unwrap_or("without a text"))
}

fn on_rig(
    catalogue: &Catalogue,
    case: &Case,
    setup: &Setup,
    attempt: u32,
    interrupt: &Arc<AtomicBool>,
    recording: Option<&Recording>,
) -> Trial {
    if let Some(reason) = too_long(case, setup) {
        return not_run(case, &witness(case, setup), NotRun::NeedMissing, &reason);
    }
    let mut rig = match rigor_rigs::take(&Order {
        fault: setup.fault.as_ref(),
        attempt,
        case: case.name(),
        recording,
        leased: true,
        ..Order::new(&setup.rig, &setup.firmwares, setup.seed, interrupt)
    }) {
        Ok(rig) => rig,
        Err(Refusal::Fault(error)) => return blamed(case, setup, &Blame::Rig(error)),
        Err(Refusal::NotRecorded(reason)) => {
            return not_run(case, &witness(case, setup), NotRun::NotRecorded, &reason);
        }
    };
    let witness = Witness { fidelity: rig.fidelity, ..witness(case, setup) };
    let bench = Bench::new(rig.timeline.clone(), rig.parts.clone(), rig.fidelity).with_seed(setup.seed);
    let outcome = match (case.begin)(&bench) {
        Err(missing) => return not_run(case, &witness, NotRun::NeedMissing, &missing.to_string()),
        Ok(running) => {
            let switched_on =
                bench.is_well().and_then(|()| rig.parts.power.as_ref().map_or(Ok(()), |power| power.on()));
            match switched_on {
                Ok(()) => {
                    let running = match setup.onlooker.as_ref().filter(|_| case.is_long()) {
                        Some(look) => progress::watched(look(case.name()), rig.timeline.clone(), running),
                        None => running,
                    };
                    drive::to_the_end(&mut rig, running, case.rig_time, interrupt)
                }
                Err(error) => Err(error.into()),
            }
        }
    };
    let outcome = check_evidence(&rig, &bench, outcome);
    let witness = Witness {
        host: HostDelay::of(&rig.timeline),
        stamps: stamps_within(&rig.timeline),
        floor: setup.proof.get().and_then(Qualification::floor).filter(|_| used_network(&rig)),
        ..witness
    };
    let mut decisions = judge::decide(catalogue, case.decides(), &witness, &outcome);
    // What a case finds wrong is as much a suspicion as what it gives up waiting for.
    if decisions.iter().any(|(_, decision)| decision.verdict == Verdict::Fail)
        && let Err(error) = rig.drive.self_check()
    {
        decisions = witness.blames(case.decides(), &Blame::Rig(error));
    }
    let verdict = decisions.iter().map(|(_, decision)| decision.verdict).max().unwrap_or(Verdict::Pass);
    let evidence = setup.evidence.as_ref().map(|wanted| {
        let budgets = case.decides().iter().filter_map(|id| catalogue.get(id)?.budget.as_ref());
        evidence::of(&rig, case.name(), verdict, &budgets.collect::<Vec<_>>(), wanted)
    });
    if let Some(accounts) = &setup.accounts {
        accounts.put(&setup.rig.name, case.name(), account::of(&rig));
    }
    let (log_tail, backtrace) =
        if verdict == Verdict::Pass { Default::default() } else { last_words(&rig, &setup.rig) };
    Trial {
        decisions,
        evidence,
        rig_time: rig.timeline.now().since(Instant::ZERO),
        wall_time: Duration::ZERO,
        retries: 0,
        recoveries: Vec::new(),
        log_tail,
        backtrace,
        stacks: stacks(&rig),
        reached_defects: rig.drive.reached_defects().filter(|_| !interrupt.load(Ordering::Relaxed)),
        qualification: rig.drive.qualification(),
    }
}

/// Why the rig cannot get through the case, if it cannot.
fn too_long(case: &Case, setup: &Setup) -> Option<String> {
    let pace = setup.rig.pace()?;
    let limit = LONG_WALL_TIME.saturating_mul(pace);
    (case.is_long() && case.rig_time > limit).then(|| {
        format!(
            "it may take {} of the device's time, and an emulator is sure of {} only in the time that a case has",
            Amount::from(case.rig_time),
            Amount::from(limit)
        )
    })
}

/// What the timeline says about the outcome that the case itself may not have looked at.
fn check_evidence(rig: &Rig, bench: &Bench, outcome: Outcome) -> Outcome {
    let outcome = rig.drive.overrules().map_or(outcome, Err);
    // A time-out on the product is only a suspicion until the bench is proven well.
    if matches!(outcome, Err(Blame::Product(_))) {
        rig.drive.self_check()?;
    }
    let crashes = crashes(rig);
    if let Some(at) = bench.first_unprovoked(crashes.iter().map(|(at, _)| *at))
        && let Some((_, message)) = crashes.iter().find(|(crash, _)| *crash == at)
    {
        return Err(ProductError(format!("the firmware crashed at {at}: {message}")).into());
    }
    let first = |matches: fn(&Event) -> bool| {
        let found = |source| Some((source, rig.timeline.find(source, matches)?));
        rig.timeline.sources().into_iter().filter_map(found).min_by_key(|(_, event)| event.at)
    };
    // What was found, and above all what was not found, may be in what was lost.
    if matches!(outcome, Ok(_) | Err(Blame::Product(_)))
        && let Some((source, event)) = first(|event| matches!(event.kind, Kind::Gap(_)))
        && let Kind::Gap(gap) = &event.kind
    {
        let name = rig.timeline.name(source);
        return Err(Inconclusive(format!(
            "source `{name}` lost {:?} at {}: {}",
            gap.length, event.at, gap.reason
        ))
        .into());
    }
    outcome
}

/// All crashes on any lane, in the order of time.
fn crashes(rig: &Rig) -> Vec<(Instant, Arc<str>)> {
    let is_crash = |event: &Event| matches!(event.kind, Kind::Device(DeviceEvent::Crashed(_)));
    let found = rig.timeline.sources().into_iter().flat_map(|source| rig.timeline.find_all(source, is_crash));
    let mut crashes: Vec<(Instant, Arc<str>)> = found
        .filter_map(|event| match event.kind {
            Kind::Device(DeviceEvent::Crashed(message)) => Some((event.at, message)),
            _ => None,
        })
        .collect();
    crashes.sort_by_key(|(at, _)| *at);
    crashes
}

/// Whether anything went over the network.
fn used_network(rig: &Rig) -> bool {
    let carried = |source| rig.timeline.find(source, |event| matches!(event.kind, Kind::Flow(_))).is_some();
    rig.timeline.sources().into_iter().any(carried)
}

/// What the tasks that started have reserved.
fn stacks(rig: &Rig) -> BTreeMap<String, u64> {
    let of = |source| {
        let task = rig.timeline.name(source).strip_prefix(TASK_LANES)?.to_owned();
        let started = rig.timeline.find(source, |event| TaskStart::of(&event.kind).is_some())?;
        let bytes = TaskStart::of(&started.kind)?.stack_bytes as u64;
        // What the rig itself runs there, to keep a core busy, has none.
        (bytes > 0).then_some((task, bytes))
    };
    rig.timeline.sources().into_iter().filter_map(of).collect()
}

/// The last lines of the console, and what its last backtrace means.
fn last_words(rig: &Rig, file: &RigFile) -> (Vec<String>, Vec<String>) {
    let Some(console) = &rig.parts.console else { return Default::default() };
    let events = rig.timeline.events(console.source(), Instant::ZERO, Instant::MAX);
    let lines = LineDecoder::decode(&events);
    let skip = lines.len().saturating_sub(LOG_TAIL_LINES);
    let tail = lines[skip..].iter().map(|line| format!("{} {}", line.end, line.text)).collect();
    // It may have started anew since, and said a lot.
    let mut backtrace = rigor_rigs::backtrace::explain(file, lines.iter().map(|line| &*line.text));
    backtrace.truncate(BACKTRACE_LINES);
    (tail, backtrace)
}

#[cfg(test)]
mod tests {
    use rigor_core::Fidelity;

    use super::*;

    #[test]
    fn a_failure_names_its_requirements_and_says_each_thing_once() {
        let decision = |id: &str, verdict, reason: &str| {
            let mut decision = Decision::new("case", "rig", Fidelity::Modelled, verdict);
            decision.reason = Some(reason.to_owned());
            (id.to_owned(), decision)
        };
        let trial = Trial {
            decisions: vec![
                decision("T-ONE", Verdict::Fail, "it is slow"),
                decision("T-TWO", Verdict::Pass, ""),
                decision("T-THREE", Verdict::Inconclusive, "\u{1b}[2J"),
                decision("T-FOUR", Verdict::Fail, "it is slow"),
            ],
            rig_time: Duration::ZERO,
            wall_time: Duration::ZERO,
            retries: 0,
            recoveries: Vec::new(),
            evidence: None,
            log_tail: Vec::new(),
            backtrace: Vec::new(),
            stacks: BTreeMap::new(),
            reached_defects: None,
            qualification: None,
        };
        let told = ["FAIL T-ONE T-FOUR: it is slow", "INCONCLUSIVE T-THREE: \\u{1b}[2J"];
        assert_eq!(trial.grievances(), told);
    }
}
