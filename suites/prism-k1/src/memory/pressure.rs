//! Cases on a device whose heap is cut up or used up: what the monitor says of it, and what the
//! device does about requests that it has no memory for.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, HarnessError, Inconclusive, ProductError};
use rigor_decode::console::{Line, LogLevel};
use rigor_runner::need::{Clock, Console, Device, Heap, Leds, Net, Stress};
use rigor_runner::{Findings, Outcome, Suite};

use crate::tlv::{Profile, request};
use crate::{kit, pattern};

pub(super) fn add_to(suite: &mut Suite) {
    suite.case("fragmentation_alarm", &["K1-MEM-007"], fragmentation_alarm);
    suite.case("low_memory_alarm", &["K1-MEM-008"], low_memory_alarm);
    suite.case("out_of_memory", &["K1-MEM-009"], out_of_memory);
}

/// An alarm that has not come by then does not come (our bound).
const ALARM_LIMIT: Duration = Duration::from_secs(10);
/// For so long nothing is wrong before each alarm, so that the monitor sees that too.
const CALM: Duration = Duration::from_millis(2_500);

/// The first line from now on that is an alarm of `level` about `what`; how long after `since`.
async fn alarm(
    console: &mut Console,
    since: Instant,
    level: LogLevel,
    what: &str,
) -> Result<Duration, Blame> {
    let named = format!("an alarm of level {level:?} about {what}");
    let line = console
        .expect(&named, ALARM_LIMIT, |line| line.start >= since && is_alarm(line, level, what))
        .await?;
    Ok(line.start.since(since))
}

fn is_alarm(line: &Line, level: LogLevel, what: &str) -> bool {
    line.log().is_some_and(|log| log.level == level && log.message.to_lowercase().contains(what))
}

/// Alarms of either level about `what` while nothing is wrong.
async fn false_alarms(console: &mut Console, what: &str) -> Option<String> {
    let lines = console.lines_for(CALM).await;
    let mut alarms = lines
        .iter()
        .filter(|line| [LogLevel::Warn, LogLevel::Error].iter().any(|l| is_alarm(line, *l, what)));
    alarms.next().map(|line| format!("`{}` at {} although nothing was wrong", line.text, line.start))
}

/// The heap's fragmentation by the rig's accounts at `at`, in whole per cent as the catalogue has it.
fn fragmentation(heap: &Heap, at: Instant) -> Result<u64, Blame> {
    let until = at + Duration::from_nanos(1);
    let last = |samples: Vec<(Instant, u64)>| samples.last().map(|(_, bytes)| *bytes);
    let (Some(free), Some(largest)) = (last(heap.free(at, until)), last(heap.largest(at, until))) else {
        return Err(HarnessError("the heap was not looked at when it was cut up".to_owned()).into());
    };
    Ok(100 - (largest * 100).checked_div(free).unwrap_or(100))
}

/// Crossings of either threshold, the upper one from below the lower one too.
async fn fragmentation_alarm(mut console: Console, stress: Stress, clock: Clock, heap: Heap) -> Outcome {
    const WHAT: &str = "fragmentation";
    kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    let mut delays = Vec::new();
    for (percent, levels) in [
        (31, &[LogLevel::Warn][..]),
        (51, &[LogLevel::Error]),
        (40, &[LogLevel::Warn]),
        (80, &[LogLevel::Error]),
    ] {
        if let Some(seen) = false_alarms(&mut console, WHAT).await {
            findings.observed("K1-MEM-007", false, seen);
        }
        let crossed = clock.now();
        stress.cut_up_memory(percent)?;
        let found = fragmentation(&heap, crossed)?;
        let intended = if percent < 50 { 30..50 } else { 50..100 };
        if !intended.contains(&found) {
            // It is no longer the device that was settled.
            let off = format!("the heap was to be cut up to {percent} % and is to {found} %");
            return Err(Inconclusive(off).into());
        }
        for level in levels {
            delays.push(alarm(&mut console, crossed, *level, WHAT).await?);
        }
        stress.give_memory_back()?;
    }
    findings.measured("K1-MEM-007", Distribution::of_durations(delays)?);
    Ok(findings)
}

/// The heap shrinks step by step, as by a leak, to just above the critical amount and then below.
async fn low_memory_alarm(mut console: Console, stress: Stress, clock: Clock) -> Outcome {
    const WHAT: &str = "free heap";
    kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    let mut delays = Vec::new();
    for below in [49_996, 20_000] {
        for free in [90_000, 60_000, 50_004] {
            stress.take_memory(free)?;
            let lines = console.lines_for(CALM).await;
            if let Some(line) = lines.iter().find(|line| is_alarm(line, LogLevel::Error, WHAT)) {
                let seen = format!("`{}` at {} with {free} bytes free", line.text, line.start);
                findings.observed("K1-MEM-008", false, seen);
            }
        }
        let crossed = clock.now();
        stress.take_memory(below)?;
        delays.push(alarm(&mut console, crossed, LogLevel::Error, WHAT).await?);
        stress.give_memory_back()?;
        console.lines_for(CALM).await;
    }
    findings.measured("K1-MEM-008", Distribution::of_durations(delays)?);
    Ok(findings)
}

/// Bytes that are left, time after time: nothing; enough to take a request in and too little to
/// serve it, at one place of the way or another.
const LEFT: [usize; 6] = [0, 700, 1_500, 3_000, 6_000, 11_000];
/// Bytes of the upload during which the memory goes.
const INTERRUPTED: usize = 30_000;
/// When it goes: which share of the messages has been sent, and how long ago. Between the messages,
/// while the last of them are written, while the file gets its name, and a little later each time.
const GONE: [(f64, u64); 6] = [(0.0, 0), (0.5, 50), (1.0, 0), (1.0, 40), (1.0, 90), (1.0, 180)];
/// The pattern that is on the strip, and one that is stored besides.
const PLAYED: u8 = 3;
const STORED: u8 = 4;
/// A template of the catalogue of fifteen (specification, section 6.3).
const TEMPLATE: &str = "flow-fall";
/// A frame that comes later than this after the last one has stopped the LEDs (our bound: two
/// periods of 8.333 ms, and a little).
const LEDS_STOPPED: Duration = Duration::from_millis(17);

/// Every kind of request to a device that has hardly a byte left, uploads that lose the memory on
/// their way, and uploads again when the memory is back.
async fn out_of_memory(
    mut console: Console,
    leds: Leds,
    net: Net,
    stress: Stress,
    device: Device,
    clock: Clock,
) -> Outcome {
    kit::settled(&mut console).await?;
    kit::upload_once(&net, Profile::F, "stored", &pattern::numbered(STORED, 20)).await?;
    kit::upload_once(&net, Profile::N, "", &pattern::numbered(PLAYED, 20)).await?;
    leds.expect("the uploaded pattern", Duration::from_secs(2), |picture| !picture.is_black()).await?;

    let mut findings = Findings::new();
    let started = clock.now();
    for left in LEFT {
        stress.take_memory(left)?;
        if let Some(seen) = unanswered(&net, &clock).await? {
            findings.observed("K1-MEM-009", false, format!("{seen} with {left} bytes left"));
        }
        stress.give_memory_back()?;
    }
    for (share, pause) in GONE {
        interrupted_upload(share, Duration::from_millis(pause), &net, &stress, &clock).await?;
    }
    let until = clock.now();
    if let Some(seen) = leds_stopped(&leds, started, until).await? {
        findings.observed("K1-MEM-009", false, seen);
    }
    // With memory everything is served again.
    kit::upload_once(&net, Profile::F, "again", &pattern::numbered(STORED, 20)).await?;
    kit::upload_once(&net, Profile::N, "", &pattern::numbered(PLAYED, 20)).await?;
    let restarts = device.starts_since(started);
    findings.measured("K1-MEM-009", Distribution::new(Unit::Count, [restarts as f64])?);
    Ok(findings)
}

/// The first request that the device neither serves nor refuses.
async fn unanswered(net: &Net, clock: &Clock) -> Result<Option<String>, Blame> {
    let mut silent = None;
    for (what, profile, messages) in requests() {
        let mut client = match kit::open(net, profile).await {
            Ok(client) => client,
            // Refused before it could say anything.
            Err(Blame::Product(_)) => continue,
            Err(other) => return Err(other),
        };
        let early = kit::send_in_turn(&mut client, &messages).await?;
        let refused = early.error.is_some() || early.ended.is_some();
        let limit = clock.now() + kit::COMMIT_LIMIT;
        if !refused && matches!(kit::answer(&mut client, limit).await, (_, kit::Answer::Silence)) {
            silent.get_or_insert(format!("{what} was neither served nor refused"));
        }
        client.tcp.reset()?;
    }
    Ok(silent)
}

/// Each by its name. Those that change what plays come last.
fn requests() -> Vec<(&'static str, Profile, Vec<Vec<u8>>)> {
    let file = pattern::numbered(STORED, 4);
    vec![
        ("STATUS", Profile::F, vec![request::status()]),
        ("LIST", Profile::F, vec![request::list()]),
        ("BRIGHTNESS", Profile::F, vec![request::control(&[0x10, 255, 0, 0])]),
        ("DELETE", Profile::F, vec![request::delete("missing")]),
        ("an upload in profile f", Profile::F, Profile::F.upload("new", &file)),
        ("an upload in profile n", Profile::N, Profile::N.upload("", &file)),
        ("PLAY", Profile::F, vec![request::play("stored")]),
        ("DEPLOY", Profile::F, vec![request::deploy(TEMPLATE)]),
    ]
}

/// An upload during which the memory goes: it may succeed or fail, but has to end.
async fn interrupted_upload(
    share: f64,
    pause: Duration,
    net: &Net,
    stress: &Stress,
    clock: &Clock,
) -> Result<(), Blame> {
    let messages = Profile::F.upload("half", &pattern::file(STORED, INTERRUPTED));
    let (before, after) = messages.split_at((messages.len() as f64 * share) as usize);
    let mut client = kit::open(net, Profile::F).await?;
    kit::send_all(&client, before)?;
    clock.sleep(pause).await;
    stress.take_memory(0)?;
    kit::send_all(&client, after)?;
    let answer = kit::answer(&mut client, clock.now() + kit::COMMIT_LIMIT).await.1;
    stress.give_memory_back()?;
    client.tcp.reset()?;
    match answer {
        kit::Answer::Silence => {
            Err(ProductError("an upload that lost the memory half way was never answered".to_owned()).into())
        }
        _ => Ok(()),
    }
}

/// In what the strip did not go on from `from` to `until`.
async fn leds_stopped(leds: &Leds, from: Instant, until: Instant) -> Result<Option<String>, Blame> {
    let recording = leds.recorded(from, until).await?;
    let late = recording.lanes.iter().any(|lane| {
        let starts = std::iter::once(from).chain(lane.iter().map(|frame| frame.start)).chain([until]);
        let starts: Vec<Instant> = starts.collect();
        starts.windows(2).any(|pair| pair[1].since(pair[0]) > LEDS_STOPPED)
    });
    let dark = recording.pictures().iter().any(|picture| picture.is_black());
    Ok(match (late, dark) {
        (true, _) => Some(format!("the strip got no frame for more than {LEDS_STOPPED:?} without memory")),
        (false, true) => Some("the strip went black without memory".to_owned()),
        (false, false) => None,
    })
}
