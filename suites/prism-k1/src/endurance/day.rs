//! A day of playback, with an upload every few minutes.
//!
//! What the lanes, the console and the heap's gauges deliver is looked at as it comes, ten seconds at
//! a time, and nothing is kept of the lanes: a day has twenty million bursts.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::budget::Budget;
use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, Inconclusive, ProductError};
use rigor_decode::console::{Line, LogLevel};
use rigor_runner::case::Case;
use rigor_runner::need::{Clock, Console, Device, Heap, Leds, Net, Watch};
use rigor_runner::{Findings, Outcome, Suite};

use super::trend::Trend;
use super::turns::{Pattern, Turns};
use crate::kit::{self, Answer, Storage};
use crate::tlv::{Profile, Reply, request};
use crate::{leds, report};

/// The requirements that a day decides.
const MISSING: &str = "K1-LED-011";
const IN_TURN: &str = "K1-LED-036";
const UPLOADS: &str = "K1-UPL-044";
const HEAP: &str = "K1-MEM-012";
const FRAGMENTATION: &str = "K1-MEM-013";
const POOLS: &str = "K1-MEM-014";
const ERRORS: &str = "K1-SYS-022";
const RESTARTS: &str = "K1-SYS-023";

const DECIDED: [&str; 8] = [MISSING, IN_TURN, UPLOADS, HEAP, FRAGMENTATION, POOLS, ERRORS, RESTARTS];

pub(super) fn add_to(suite: &mut Suite) {
    suite.add(Case::new("day", &DECIDED, day).within(Duration::from_secs(25 * 3600)).long());
}

const HOURS: u32 = 24;
const UPLOADS_AN_HOUR: u32 = 12;
const UPLOAD_EVERY: Duration = Duration::from_secs(3600 / UPLOADS_AN_HOUR as u64);
/// So much of the lanes is looked at, and forgotten, at a time.
const WINDOW: Duration = Duration::from_secs(10);
/// A new pattern is on the strip within this long (K1-UPL-041).
const SHOWN_WITHIN: Duration = Duration::from_secs(2);
/// A client that has left has taken its memory with it after this long: even one that is only found
/// to be idle is closed after 7 s (K1-NET-004).
const AT_REST_AFTER: Duration = Duration::from_secs(10);

/// Frames of the patterns, in turn: less than a message, some blocks, many.
const FRAMES: [usize; 4] = [7, 60, 25, 120];
/// Names in turn, so that older patterns are replaced and others stay.
const NAMES: usize = 3;
/// Uploads after which profile, frames and name come round.
const CYCLE: usize = 2 * FRAMES.len() * NAMES;

struct Day {
    console: Console,
    net: Net,
    clock: Clock,
    storage: Storage,
    turns: Turns,
    heap: Trend,
    overruns: Vec<Instant>,
    errors: Vec<String>,
    /// Blocks in use in each report that finds no client.
    pool_blocks: Vec<f64>,
    /// 1 for each upload that failed.
    uploads: Vec<f64>,
    first_failure: Option<String>,
    at_rest_from: Instant,
}

async fn day(
    mut console: Console,
    leds: Leds,
    net: Net,
    clock: Clock,
    storage: Storage,
    heap: Heap,
    device: Device,
) -> Outcome {
    let begun = kit::settled(&mut console).await?;
    let mut day = Day {
        console,
        net,
        clock,
        storage,
        turns: Turns::default(),
        heap: Trend::default(),
        overruns: Vec::new(),
        errors: Vec::new(),
        pool_blocks: Vec::new(),
        uploads: Vec::new(),
        first_failure: None,
        at_rest_from: begun + AT_REST_AFTER,
    };
    let budgets = Budgets::of_the_catalogue()?;
    let mut watch = leds.watch();
    for number in 0..HOURS * UPLOADS_AN_HOUR {
        let until = day.clock.now() + UPLOAD_EVERY;
        day.upload(number as usize).await?;
        day.play_until(until, &mut watch).await;
        day.heap.sample(&heap, until)?;
        // What is broken does not heal, and a day is long.
        let mut broken = day.nothing_shown();
        for (id, samples) in day.found(&device, begun)? {
            broken |= budgets.missed(id, &samples)?;
        }
        if broken {
            break;
        }
    }
    day.findings(&device, begun, &budgets)
}

/// What a day decides, with the budget of each.
struct Budgets(Vec<(&'static str, Budget)>);

impl Budgets {
    fn of_the_catalogue() -> Result<Self, Blame> {
        DECIDED.iter().map(|&id| Ok((id, kit::budget(id)?))).collect::<Result<_, _>>().map(Budgets)
    }

    /// Whether that of `id` is missed already.
    fn missed(&self, id: &str, samples: &Distribution) -> Result<bool, Blame> {
        let budget = self.0.iter().find(|(known, _)| *known == id);
        budget.map_or(Ok(false), |(_, budget)| kit::misses(budget, samples))
    }
}

impl Day {
    /// Uploads the pattern of this number and makes it play.
    async fn upload(&mut self, number: usize) -> Result<(), Blame> {
        let profile = Profile::ALL[number % 2];
        let pattern = Pattern::of(profile, (number % 7) as u8, FRAMES[number / 2 % FRAMES.len()]);
        let name = format!("day-{}", number / 2 / FRAMES.len() % NAMES);
        let done = self.stored_and_played(profile, &name, &pattern).await;
        self.at_rest_from = self.clock.now() + AT_REST_AFTER;
        self.uploads.push(f64::from(u8::from(done.is_err())));
        match done {
            Ok(()) => self.turns.change_to(pattern, self.clock.now() + SHOWN_WITHIN),
            Err(Blame::Product(error)) => {
                self.first_failure.get_or_insert_with(|| format!("upload {number}: {error}"));
            }
            Err(other) => return Err(other),
        }
        Ok(())
    }

    async fn stored_and_played(&self, profile: Profile, name: &str, pattern: &Pattern) -> Result<(), Blame> {
        let mut socket = kit::open(&self.net, profile).await?;
        kit::upload(&mut socket, profile, name, &pattern.file).await?;
        if !self.storage.files().await?.values().any(|file| *file == pattern.file) {
            return Err(ProductError("it was acknowledged and is not stored".to_owned()).into());
        }
        if profile == Profile::F {
            socket.send_binary(&request::play(name))?;
            let deadline = self.clock.now() + kit::ANSWER_LIMIT;
            let (_, answer) = kit::answer(&mut socket, deadline).await;
            if !matches!(answer, Answer::Reply(Reply::Status(_))) {
                return Err(ProductError(format!("PLAY was answered with {answer}")).into());
            }
        }
        socket.tcp.finish()
    }

    /// Looks at everything that happens until `until`.
    async fn play_until(&mut self, until: Instant, watch: &mut Watch<'_>) {
        while self.clock.now() < until {
            self.clock.sleep_until(until.min(self.clock.now() + WINDOW)).await;
            let now = self.clock.now();
            while let Some(picture) = watch.next(now).await {
                self.turns.take(&picture);
            }
            watch.forget();
            self.turns.nothing_until(now);
            while let Some(line) = self.console.next_line(now).await {
                self.listen(&line);
            }
        }
    }

    fn listen(&mut self, line: &Line) {
        self.overruns.extend(leds::overrun(line));
        let Some(log) = line.log() else { return };
        if log.level == LogLevel::Error {
            self.errors.push(format!("{} at {}", line.text, line.start));
        }
        if line.start > self.at_rest_from
            && let Some((_, free, all)) = report::pool(log.message)
        {
            self.pool_blocks.push(all.saturating_sub(free) as f64);
        }
    }

    /// Whether a pattern was uploaded, and the strip has not shown any since.
    fn nothing_shown(&self) -> bool {
        self.uploads.contains(&0.0) && self.turns.pictures() == 0
    }

    /// Pictures that are missing so far, and the first of them.
    fn missing(&self) -> (u64, Option<Instant>) {
        // The console may still owe the lines of the last moments.
        self.turns.unlogged(&self.overruns, self.clock.now() - leds::LOGGED_WITHIN)
    }

    /// What can be measured so far.
    fn found(&self, device: &Device, begun: Instant) -> Result<Vec<(&'static str, Distribution)>, Blame> {
        let count = |number: f64| Distribution::new(Unit::Count, [number]);
        let mut found = vec![
            (ERRORS, count(self.errors.len() as f64)?),
            (RESTARTS, count(device.starts_since(begun) as f64)?),
        ];
        // No picture is no picture too many.
        if self.turns.pictures() > 0 {
            found.push((MISSING, count(self.missing().0 as f64)?));
            found.push((IN_TURN, count(self.turns.out_of_turn().0 as f64)?));
        }
        for (id, samples) in [(UPLOADS, &self.uploads), (POOLS, &self.pool_blocks)] {
            if !samples.is_empty() {
                found.push((id, Distribution::new(Unit::Count, samples.iter().copied())?));
            }
        }
        for (id, samples) in [(HEAP, self.heap.loss(CYCLE)), (FRAGMENTATION, self.heap.fragmentation(CYCLE))]
        {
            if let Some(samples) = samples {
                found.push((id, samples?));
            }
        }
        Ok(found)
    }

    fn findings(&self, device: &Device, begun: Instant, budgets: &Budgets) -> Outcome {
        let mut findings = Findings::new();
        let found = self.found(device, begun)?;
        let lasted = self.clock.now().since(begun);
        let whole = self.uploads.len() == (HOURS * UPLOADS_AN_HOUR) as usize;
        for id in DECIDED {
            let samples = found.iter().find(|(known, _)| *known == id).map(|(_, samples)| samples);
            match samples {
                Some(samples) if whole || budgets.missed(id, samples)? => {
                    findings.measured(id, samples.clone());
                }
                None if self.nothing_shown() && [MISSING, IN_TURN].contains(&id) => {
                    findings.observed(id, false, "no pattern was ever shown");
                }
                _ if !whole => {
                    let why = format!("something else ended the day after {lasted:?}");
                    findings.unclear(id, Inconclusive(why));
                }
                _ => {
                    findings.observed(id, false, "the device gave nothing to measure");
                }
            }
        }
        if let (1.., Some(first)) = self.missing() {
            findings.observed(MISSING, false, format!("the first at {first}"));
        }
        if let (_, Some(first)) = self.turns.out_of_turn() {
            findings.observed(IN_TURN, false, first);
        }
        if let Some(first) = &self.first_failure {
            findings.observed(UPLOADS, false, first);
        }
        if let Some(first) = self.errors.first() {
            findings.observed(ERRORS, false, first);
        }
        Ok(findings)
    }
}
