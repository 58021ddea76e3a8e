//! Cases of group K1-TSK that look at the tasks themselves, and at what becomes of a device whose
//! tasks hang. What the priorities are for is judged on the wire, in [`leds`](crate::leds).

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_core::event::DeviceEvent;
use rigor_core::task::TaskState;
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, Inconclusive, ProductError};
use rigor_decode::console::Line;
use rigor_runner::need::{Clock, Console, Device, Leds, Net, Started, Stress, Tasks};
use rigor_runner::{Findings, Outcome, Suite};

use crate::tlv::{Profile, request};
use crate::{kit, pattern};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.case(
        "task_list",
        &[
            "K1-TSK-001",
            "K1-TSK-002",
            "K1-TSK-003",
            "K1-TSK-004",
            "K1-TSK-005",
            "K1-TSK-006",
            "K1-TSK-007",
            "K1-TSK-008",
        ],
        task_list,
    );
    suite.case("templates_yield", &["K1-TSK-012"], templates_yield);
    suite.case("hang", &["K1-TSK-014", "K1-SYS-020", "K1-SYS-021"], hang);
}

/// The seed's tasks (section 3): a name, the requirement of its priority, that of its stack.
const TASKS: [(&str, &str, &str); 4] = [
    ("playback", "K1-TSK-001", "K1-TSK-005"),
    ("network", "K1-TSK-002", "K1-TSK-006"),
    ("storage", "K1-TSK-003", "K1-TSK-007"),
    ("templates", "K1-TSK-004", "K1-TSK-008"),
];

/// The requirements of the tasks' stacks, by their names.
pub(crate) fn stacks() -> impl Iterator<Item = (&'static str, &'static str)> {
    TASKS.into_iter().map(|(task, _, stack)| (task, stack))
}

/// How the scheduler was told to run them.
async fn task_list(mut console: Console, tasks: Tasks) -> Outcome {
    let settled = kit::settled(&mut console).await?;
    let started = tasks.started(Instant::ZERO, settled);
    let mut findings = Findings::new();
    for (name, priority, stack) in TASKS {
        let of_it: Vec<&Started> = started.iter().filter(|task| task.name == name).collect();
        if of_it.is_empty() {
            let seen = format!("no task is called `{name}`");
            findings.observed(priority, false, &seen).observed(stack, false, seen);
            continue;
        }
        let priorities = of_it.iter().map(|task| f64::from(task.task.priority));
        findings.measured(priority, Distribution::new(Unit::Count, priorities)?);
        let stacks = of_it.iter().map(|task| task.task.stack_bytes as f64);
        findings.measured(stack, Distribution::new(Unit::Bytes, stacks)?);
    }
    Ok(findings)
}

/// A first boot: the templates are painted and written while frames are sent and the flash is busy.
async fn templates_yield(mut console: Console, tasks: Tasks) -> Outcome {
    const TEMPLATES: &str = "templates";
    let settled = kit::settled(&mut console).await?;
    let started = tasks.started(Instant::ZERO, settled);
    let core = |name: &str| started.iter().find(|task| task.name == name).map(|task| task.task.core);
    let spans = |name: &str, state| tasks.spans(name, state, Instant::ZERO, settled);
    let working = spans(TEMPLATES, TaskState::Running);
    let mut findings = Findings::new();
    let beside: Vec<&str> = ["playback", "network", "storage"]
        .into_iter()
        .filter(|name| core(name).is_some() && core(name) == core(TEMPLATES))
        .collect();
    // Otherwise the scheduler never had to choose.
    let waited = |name: &str| !spans(name, TaskState::Ready).is_empty();
    let met = waited(TEMPLATES) || beside.iter().any(|name| waited(name));
    if working.is_empty() || !met {
        let reason = "no other of the seed's tasks wanted the core while templates were worked on".to_owned();
        findings.unclear("K1-TSK-012", Inconclusive(reason));
        return Ok(findings);
    }
    for name in &beside {
        let waiting = spans(name, TaskState::Ready);
        let overlap = working.iter().find_map(|work| {
            let late = waiting.iter().find(|wait| wait.0 < work.1 && work.0 < wait.1)?;
            Some(late.0.max(work.0))
        });
        if let Some(at) = overlap {
            let seen = format!("template work had core {:?} at {at} although {name} was ready", core(name));
            findings.observed("K1-TSK-012", false, seen);
        }
    }
    let held: Duration = working.iter().map(|(from, until)| until.since(*from)).sum();
    let seen = format!("{held:?} of template work, never before {}", beside.join(" or "));
    findings.observed("K1-TSK-012", true, seen);
    Ok(findings)
}

/// What hangs, time after time: a core, and the priority of what keeps it. Above everything, and
/// above nothing but the idle task and the lowest tasks.
const HANGS: [(usize, u8); 2] = [(0, 20), (1, 3)];
/// No hang: work that takes this long ends by itself (our bound, well below the 10 s of the
/// specification, section 0).
const LONG_WORK: Duration = Duration::from_secs(7);
/// Nobody waits longer for a watchdog (our bound).
const WATCHDOG_LIMIT: Duration = Duration::from_secs(30);
/// Something that never waits, as far as this case is concerned.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// A core that is kept for long, and then cores that are kept for ever.
async fn hang(
    mut console: Console,
    stress: Stress,
    device: Device,
    net: Net,
    leds: Leds,
    clock: Clock,
) -> Outcome {
    kit::settled(&mut console).await?;
    let first_boot: Vec<String> = causes(console.seen(), Instant::ZERO);
    kit::upload_once(&net, Profile::F, "kept", &pattern::numbered(5, 20)).await?;
    let mut findings = Findings::new();

    let before = clock.now();
    let (core, priority) = HANGS[1];
    stress.occupy(core, priority, LONG_WORK)?;
    clock.sleep(LONG_WORK + Duration::from_secs(5)).await;
    if device.starts_since(before) > 0 {
        findings.observed("K1-TSK-014", false, format!("{LONG_WORK:?} of work restarted the device"));
    }

    let (mut bites, mut recoveries) = (Vec::new(), Vec::new());
    for (core, priority) in HANGS {
        let hung = clock.now();
        stress.occupy(core, priority, FOR_EVER)?;
        let (gave_up, _) = device.expect_crash(WATCHDOG_LIMIT).await?;
        bites.push(gave_up.since(hung));
        kit::started(&mut console).await?;
        recoveries.push(plays(&net, &leds).await?.since(gave_up));
        let restarted = device
            .events_since(gave_up)
            .into_iter()
            .find_map(|(at, event)| matches!(event, DeviceEvent::Started(_)).then_some(at));
        let now = causes(console.seen(), restarted.unwrap_or(gave_up));
        let told = now.iter().find(|line| !first_boot.contains(line) && names_a_watchdog(line));
        let seen = match told {
            Some(line) => format!("`{line}`"),
            None => "no line of the boot log names the watchdog".to_owned(),
        };
        findings.observed("K1-SYS-021", told.is_some(), seen);
    }
    findings
        .measured("K1-TSK-014", Distribution::of_durations(bites)?)
        .measured("K1-SYS-020", Distribution::of_durations(recoveries)?);
    Ok(findings)
}

/// Plays the stored pattern; when it was on the strip.
async fn plays(net: &Net, leds: &Leds) -> Result<Instant, Blame> {
    let mut client = kit::open(net, Profile::F).await?;
    client.send_binary(&request::play("kept"))?;
    let limit = client.tcp.now() + kit::ANSWER_LIMIT;
    match kit::answer(&mut client, limit).await.1 {
        kit::Answer::Reply(crate::tlv::Reply::Status(_)) => {}
        other => {
            let seen = format!("after a restart PLAY of a stored pattern was answered with {other}");
            return Err(ProductError(seen).into());
        }
    }
    client.tcp.finish()?;
    let lit = |picture: &rigor_runner::need::Picture| pattern::recognise(5, picture).is_some();
    Ok(leds.expect("the stored pattern", Duration::from_secs(2), lit).await?.start())
}

/// The messages of the log since a start.
fn causes(lines: &[Line], since: Instant) -> Vec<String> {
    let logged = lines.iter().filter(|line| line.start >= since).filter_map(Line::log);
    logged.map(|log| log.message.to_owned()).collect()
}

fn names_a_watchdog(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("watchdog") || message.contains("wdt")
}
