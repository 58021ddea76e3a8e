//! Cases on a device whose cores are kept busy by something more urgent than playback, so that
//! frames are late: what the console says of it, and how playback goes on.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::budget::{self, Budget};
use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, Inconclusive};
use rigor_runner::need::{Clock, Console, Leds, Net, Stress};
use rigor_runner::{Findings, Outcome, Suite};

use super::measure::{Evidence, Interval, explains, overruns, unexcused};
use super::{PLAYED_FRAMES, PLAYED_SERIES, measured_lanes, play};
use crate::kit;
use crate::pattern::numbered_frame;

pub(super) fn add_to(suite: &mut Suite) {
    suite.case("overruns", &["K1-LED-029", "K1-LED-030", "K1-LED-037"], late_frames);
}

/// Above every priority that the seed gives (section 3).
const URGENT: u8 = 20;
/// How many cores the chip has (seed, section 1).
const CORES: usize = 2;
/// How long they are busy, time after time: less than a frame's time, about one, many.
const BUSY_MS: [u64; 8] = [4, 6, 8, 11, 16, 20, 33, 60];
const ROUNDS: u32 = 3;
/// From one time to the next. No multiple of the frame's period, so that each meets another part
/// of it; long enough for playback to recover and for the console to speak.
const PAUSE: Duration = Duration::from_micros(101_300);
/// At the end of each pause playback has recovered, or lags.
const RECOVERED: Duration = Duration::from_millis(25);
/// How long the device plays before, for the period that it has when nothing is in its way.
const CALM: Duration = Duration::from_secs(1);

async fn late_frames(mut console: Console, leds: Leds, net: Net, stress: Stress, clock: Clock) -> Outcome {
    play(&mut console, &leds, &net).await?;
    let calm = Evidence::of(leds.record(CALM).await?)?;
    let mut busy = vec![clock.now()];
    for _ in 0..ROUNDS {
        for duration in BUSY_MS.map(Duration::from_millis) {
            for core in 0..CORES {
                stress.occupy(core, URGENT, duration)?;
            }
            clock.sleep(duration + PAUSE).await;
            busy.push(clock.now());
        }
    }
    let (from, until) = (busy[0], clock.now());
    let evidence = Evidence::of(leds.recorded(from, until).await?)?;
    console.lines_for(Duration::from_millis(500)).await;
    let logged = overruns(console.seen());

    let limits = Limits::of_the_catalogue()?;
    let (mut silent, mut late, mut outside) = (Vec::new(), 0, Vec::new());
    for lane in evidence.intervals() {
        late += limits.late(&lane)?.len();
        silent.push(limits.late(&unexcused(lane.clone(), &logged))?.len() as f64);
        for span in busy.windows(2) {
            let within = |interval: &&Interval| span[0] < interval.end && interval.end <= span[1];
            let off = limits.outside(lane.iter().filter(within))?;
            // One is the overrun itself.
            outside.push(off.saturating_sub(1) as f64);
        }
    }
    let mut findings = Findings::new();
    if late == 0 {
        let reason = || Inconclusive("no frame was late although both cores were busy".to_owned());
        for id in ["K1-LED-029", "K1-LED-030", "K1-LED-037"] {
            findings.unclear(id, reason());
        }
        return Ok(findings);
    }
    findings
        .measured("K1-LED-029", Distribution::new(Unit::Count, silent)?)
        .measured("K1-LED-030", Distribution::new(Unit::Count, outside)?);
    measured_lanes(&mut findings, "K1-LED-037", &evidence, |lane| lane)?;
    // From the first burst on, calm and busy: what nobody was late for must not be told.
    let life = Evidence::of(leds.recorded(Instant::ZERO, until).await?)?.since_first_burst();
    let mut delays = Vec::new();
    for lane in life.intervals() {
        delays.extend(limits.late(&lane)?);
    }
    if let Some(untrue) = logged.iter().find(|logged| !explains(&delays, **logged)) {
        findings.observed(
            "K1-LED-029",
            false,
            format!("an overrun was logged at {untrue}, and no frame was late"),
        );
    }
    if let Some(lag) = lag(&calm, &evidence, &busy[1..]) {
        findings.observed("K1-LED-030", false, lag);
    }
    Ok(findings)
}

/// The catalogue's own budgets for an interval that is on time.
struct Limits {
    late: Budget,
    on_time: Budget,
}

impl Limits {
    fn of_the_catalogue() -> Result<Self, Blame> {
        Ok(Limits { late: kit::budget("K1-TSK-009")?, on_time: kit::budget("K1-LED-003")? })
    }

    /// Those that are longer than an interval may be.
    fn late(&self, intervals: &[Interval]) -> Result<Vec<Interval>, Blame> {
        let mut late = Vec::new();
        for interval in intervals {
            if !holds(&self.late, *interval)? {
                late.push(*interval);
            }
        }
        Ok(late)
    }

    /// How many are longer or shorter than an interval may be.
    fn outside<'a>(&self, intervals: impl Iterator<Item = &'a Interval>) -> Result<usize, Blame> {
        let mut outside = 0;
        for interval in intervals {
            outside += usize::from(!holds(&self.on_time, *interval)?);
        }
        Ok(outside)
    }
}

fn holds(budget: &Budget, interval: Interval) -> Result<bool, Blame> {
    let sample = Distribution::new(Unit::Nanoseconds, [interval.nanos()])?;
    Ok(budget.judge(&sample)?.finding == budget::Finding::Pass)
}

/// In what the pattern, whenever playback has recovered, is not where it would be had nothing been
/// in its way. Its pace is the device's own, as it was when it was left alone.
fn lag(calm: &Evidence, evidence: &Evidence, recovered: &[Instant]) -> Option<String> {
    let number = |wire: Vec<u8>| {
        let number = usize::from(*wire.first()?);
        (wire == numbered_frame(PLAYED_SERIES, number)).then_some(number)
    };
    let shown: Vec<(Instant, usize)> = calm
        .frames
        .iter()
        .chain(&evidence.frames)
        .filter_map(|frame| Some((frame.start()?, number(frame.rgb_bytes())?)))
        .collect();
    let calm: Vec<&(Instant, usize)> =
        shown.iter().filter(|(at, _)| calm.frames.iter().any(|frame| frame.start() == Some(*at))).collect();
    let [(first, number), .., (last, _)] = calm[..] else {
        return Some("the strip did not show the pattern even before anything was in its way".to_owned());
    };
    let period = last.since(*first).as_secs_f64() / (calm.len() - 1) as f64;
    let mut looked = 0;
    for (at, found) in &shown {
        if !recovered.iter().any(|until| *at < *until && until.since(*at) <= RECOVERED) {
            continue;
        }
        looked += 1;
        let passed = (at.since(*first).as_secs_f64() / period).round() as usize;
        let due = (number + passed) % PLAYED_FRAMES;
        if *found != due {
            return Some(format!("at {at} the strip showed frame {found} where {due} was due"));
        }
    }
    let seen_none = looked < recovered.len();
    seen_none.then(|| "the strip did not go on with whole frames of the pattern".to_owned())
}
