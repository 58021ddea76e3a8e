//! Cases on a device that plays while it has other work: uploads, flash writes, two busy clients.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::budget::{Budget, Finding};
use rigor_core::distribution::Distribution;
use rigor_core::event::{Direction, FlashOperation, FlowKind};
use rigor_core::requirement::Catalogue;
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, HarnessError, Inconclusive, ProductError};
use rigor_decode::websocket::ClientFrame;
use rigor_runner::need::{Console, Flash, Leds, Net, Power, WebSocket};
use rigor_runner::{Findings, Outcome, Suite};

use super::measure::{Evidence, MEASURES, Measure, Shown, overruns, unexcused};
use super::{PLAYED_FRAMES, PLAYED_SERIES, measured_lanes, play};
use crate::flash::TEMPLATES;
use crate::kit::{LITTLEFS_ADDRESS, LITTLEFS_BLOCK_BYTES, LITTLEFS_BYTES};
use crate::pattern::{self, MAX_FILE_BYTES, numbered_frame};
use crate::tlv::{Profile, request};
use crate::{REQUIREMENTS, kit};

pub(super) fn add_to(suite: &mut Suite) {
    for profile in Profile::ALL {
        suite.case(
            format!("upload_load_{}", profile.service()),
            &["K1-LED-010", "K1-LED-021", "K1-LED-022", "K1-LED-023", "K1-TSK-009"],
            move |console, leds, net, flash, power| upload_load(profile, console, leds, net, flash, power),
        );
    }
    suite.case("network_load", &["K1-TSK-010"], network_load);
    suite.case("template_work", &["K1-TSK-011"], template_work);
}

/// The pattern that is uploaded while the other plays.
const UPLOADED_SERIES: u8 = 6;

/// Pings that the second client sends during an upload, and as many empty messages.
const PINGS_A_SECOND: u32 = 1000;

/// How long two clients press the device.
const NETWORK_LOAD: Duration = Duration::from_secs(2);

/// The largest upload with its flash commit, while a second client keeps sending small messages.
async fn upload_load(
    profile: Profile,
    mut console: Console,
    leds: Leds,
    net: Net,
    flash: Flash,
    power: Power,
) -> Outcome {
    use_up(&mut console, &flash, &power).await?;
    play(&mut console, &leds, &net).await?;
    let mut first = kit::open(&net, profile).await?;
    let second = kit::open(&net, profile).await?;
    let file = pattern::file(UPLOADED_SERIES, MAX_FILE_BYTES);
    let upload = beside(kit::upload(&mut first, profile, "load", &file), keep_pinging(&second)).await?;
    let evidence = Evidence::of(leds.recorded(upload.begun, upload.acknowledged).await?)?;
    if answered(&second, upload.begun, upload.acknowledged)? == 0 {
        return Err(ProductError("the device answered no ping during an upload".to_owned()).into());
    }
    console.lines_for(Duration::from_millis(500)).await;
    let logged = overruns(console.seen());

    let mut findings = Findings::new();
    measured_lanes(&mut findings, "K1-LED-010", &evidence, |lane| lane)?;
    measured_lanes(&mut findings, "K1-LED-021", &evidence, |lane| lane)?;
    measured_lanes(&mut findings, "K1-LED-022", &evidence, |lane| unexcused(lane, &logged))?;
    // Profile n replaces the pattern that plays, and the new one may begin before its STATUS.
    findings.extend(bursts_under_load(&evidence, profile == Profile::N)?);

    let writes = flash.busy(upload.begun, upload.acknowledged);
    let written: u64 = writes
        .iter()
        .filter(|(_, busy)| busy.operation == FlashOperation::Program)
        .map(|(_, busy)| u64::from(busy.length))
        .sum();
    match writes.first() {
        _ if flash.busy_source().is_none() => {
            let blind = "this rig does not see when the flash chip is busy".to_owned();
            findings.unclear("K1-TSK-009", Inconclusive(blind));
        }
        Some(&(begun, _)) if written >= file.len() as u64 => {
            let writing = Evidence::of(leds.recorded(begun, upload.acknowledged).await?)?;
            measured_lanes(&mut findings, "K1-TSK-009", &writing, |lane| lane)?;
        }
        _ => {
            let seen =
                format!("the STATUS came when only {written} of {} bytes were in the flash", file.len());
            findings.observed("K1-TSK-009", false, seen);
        }
    }
    Ok(findings)
}

/// Leaves no blank block in the device's storage, as after months of use: on a fresh chip a device
/// may get by almost without erasing, which is what takes longest.
async fn use_up(console: &mut Console, flash: &Flash, power: &Power) -> Result<(), Blame> {
    kit::settled(console).await?;
    power.off()?;
    let mut image = flash.read(LITTLEFS_ADDRESS, LITTLEFS_BYTES)?;
    for block in
        image.chunks_mut(LITTLEFS_BLOCK_BYTES as usize).filter(|block| block.iter().all(|&byte| byte == 0xFF))
    {
        block.fill(0);
    }
    flash.write(LITTLEFS_ADDRESS, &image)?;
    power.on()
}

/// Of each frame 1 if something is wrong with it and how often nobody could tell, where the pattern that plays may be `replaceable` by the
/// uploaded one: judged like those of a device that is left alone, by the
/// catalogue's own budgets, and by whether they show a whole frame of a pattern.
pub(super) fn malformed_bursts(evidence: &Evidence, replaceable: bool) -> Result<(Vec<f64>, usize), Blame> {
    const AS_WITHOUT_LOAD: [&str; 7] =
        ["K1-LED-001", "K1-LED-004", "K1-LED-007", "K1-LED-008", "K1-LED-009", "K1-LED-013", "K1-LED-016"];
    let catalogue =
        Catalogue::parse(REQUIREMENTS, "the catalogue").map_err(|error| HarnessError(error.to_string()))?;
    let budgets: Vec<(&Measure, &Budget)> = MEASURES
        .iter()
        .filter(|measure| AS_WITHOUT_LOAD.contains(&measure.id))
        .filter_map(|measure| Some((measure, catalogue.get(measure.id)?.budget.as_ref()?)))
        .collect();
    if budgets.len() != AS_WITHOUT_LOAD.len() {
        return Err(
            HarnessError("a requirement that K1-LED-023 repeats has no budget or no measure".into()).into()
        );
    }
    let mut content = Content { replaced: false, replaceable };
    let (mut malformed, mut unclear) = (Vec::new(), 0);
    for frame in &evidence.frames {
        let mut wrong = !content.allows(frame);
        for (measure, budget) in &budgets {
            // A black frame has no 1 bits to measure.
            let Some(samples) = evidence.measure_one(measure, frame)? else { continue };
            match budget.judge(&samples)?.finding {
                Finding::Pass => {}
                Finding::Fail => wrong = true,
                Finding::Inconclusive => unclear += 1,
            }
        }
        malformed.push(f64::from(u8::from(wrong)));
    }
    Ok((malformed, unclear))
}

/// Decides K1-LED-023.
fn bursts_under_load(evidence: &Evidence, replaceable: bool) -> Result<Findings, Blame> {
    let (malformed, unclear) = malformed_bursts(evidence, replaceable)?;
    let mut findings = Findings::new();
    if malformed.is_empty() {
        findings.observed("K1-LED-023", false, "no burst was seen under load");
    } else if unclear > 0 && malformed.iter().all(|&wrong| wrong == 0.0) {
        let reason = format!("the instrument is too coarse to judge {unclear} times of bursts");
        findings.unclear("K1-LED-023", Inconclusive(reason));
    } else {
        findings.measured("K1-LED-023", Distribution::new(Unit::Count, malformed)?);
    }
    Ok(findings)
}

/// Which pattern may be on the strip.
struct Content {
    replaceable: bool,
    replaced: bool,
}

impl Content {
    /// Whether `frame` is a whole frame of what plays; once the new pattern was seen, of that one.
    fn allows(&mut self, frame: &Shown) -> bool {
        let wire = frame.rgb_bytes();
        let number = usize::from(wire.first().copied().unwrap_or_default());
        if !self.replaced && number < PLAYED_FRAMES && wire == numbered_frame(PLAYED_SERIES, number) {
            return true;
        }
        let new = self.replaceable && wire == numbered_frame(UPLOADED_SERIES, number);
        self.replaced |= new;
        new
    }
}

/// Two clients, both as fast as the device lets them: one with what the device can answer from the
/// top of its head, so that nothing slows it down, one with requests that need its other tasks.
async fn network_load(mut console: Console, leds: Leds, net: Net) -> Outcome {
    play(&mut console, &leds, &net).await?;
    let (ping, empty) = (ClientFrame::ping(*b"rigor"), ClientFrame::binary([]));
    let status = ClientFrame::binary(request::status());
    let clients = [kit::open(&net, Profile::F).await?, kit::open(&net, Profile::F).await?];
    for (client, messages) in
        clients.iter().zip([vec![ping.clone(), empty.clone()], vec![ping, empty, status]])
    {
        let round = encoded(&messages);
        // TCP's window lets out what the device takes, the rest waits.
        client.tcp.send(&round.repeat(FLOOD_BYTES.div_ceil(round.len())))?;
    }
    let recording = leds.record(NETWORK_LOAD).await?;
    let mut answers = 0;
    for client in &clients {
        answers += answered(client, recording.from, recording.until)?;
        if taken(client, recording.until) >= FLOOD_BYTES as u64 {
            let all = format!("the device took all {FLOOD_BYTES} bytes of a client's load; queue more");
            return Err(HarnessError(all).into());
        }
    }
    if answers == 0 {
        return Err(ProductError("the device answered none of two busy clients' messages".to_owned()).into());
    }
    let mut findings = Findings::new();
    measured_lanes(&mut findings, "K1-TSK-010", &Evidence::of(recording)?, |lane| lane)?;
    Ok(findings)
}

/// How long each template is looked at after its DEPLOY_TEMPLATE.
const DEPLOYED: Duration = Duration::from_millis(100);

/// A pattern plays while the first boot stores the templates, and then each of them is deployed.
async fn template_work(mut console: Console, leds: Leds, net: Net) -> Outcome {
    kit::started(&mut console).await?;
    let file = pattern::numbered(PLAYED_SERIES, PLAYED_FRAMES);
    let stored = kit::upload_once(&net, Profile::N, "", &file).await?.acknowledged;
    const DONE: &str = "Template provisioning complete";
    // The templates may have been in place before the device said that it had started.
    let done = match console.seen().iter().find(|line| line.text.contains(DONE)) {
        Some(line) => line.end,
        None => console.expect_text(DONE, kit::PROVISIONING_LIMIT).await?.end,
    };
    // A device that is done before it can play anything has nothing to be disturbed.
    let from = stored.min(done);
    let mut socket = kit::open(&net, Profile::F).await?;
    for id in TEMPLATES {
        kit::obeyed(&mut socket, "DEPLOY_TEMPLATE", &request::deploy(id)).await?;
        leds.record(DEPLOYED).await?;
    }
    let until = leds.record(DEPLOYED).await?.until;
    let mut findings = Findings::new();
    measured_lanes(&mut findings, "K1-TSK-011", &Evidence::of(leds.recorded(from, until).await?)?, |lane| {
        lane
    })?;
    Ok(findings)
}

/// What a client has to say: more than any device takes of it while a case looks on.
const FLOOD_BYTES: usize = 1_000_000;

/// The messages as they go over the link, masked as a client's must be.
fn encoded(messages: &[ClientFrame]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x5A, 0xC3, 0x0F, 0x96];
    messages.iter().flat_map(|message| message.clone().masked(MASK).encode()).collect()
}

/// How often the device answered a client that was busy from `from` to `until`.
///
/// # Errors
/// The product's, if it dropped the client.
fn answered(client: &WebSocket, from: Instant, until: Instant) -> Result<usize, Blame> {
    let mut answers = 0;
    for (at, what) in client.tcp.history(from, until) {
        match what {
            FlowKind::Finished(Direction::FromDut) | FlowKind::Reset(Direction::FromDut) => {
                return Err(ProductError(format!("the device dropped a busy client at {at}")).into());
            }
            FlowKind::Data(Direction::FromDut, _) => answers += 1,
            _ => {}
        }
    }
    Ok(answers)
}

/// Bytes of a client that the device had taken by `until`.
fn taken(client: &WebSocket, until: Instant) -> u64 {
    let acknowledged = |what| if let FlowKind::Acknowledged(bytes) = what { Some(bytes) } else { None };
    let history = client.tcp.history(Instant::ZERO, until);
    history.into_iter().filter_map(|(_, what)| acknowledged(what)).max().unwrap_or_default()
}

/// Sends [`PINGS_A_SECOND`] on `client` for as long as it is polled.
async fn keep_pinging(client: &WebSocket) -> Result<Infallible, Blame> {
    let batch = encoded(&[ClientFrame::ping(*b"rigor"), ClientFrame::binary([])]).repeat(10);
    loop {
        client.tcp.send(&batch)?;
        client.sleep_until(client.tcp.now() + Duration::from_secs(10) / PINGS_A_SECOND).await;
    }
}

/// What `work` gives, with `company` running beside it.
async fn beside<T>(
    work: impl Future<Output = Result<T, Blame>>,
    company: impl Future<Output = Result<Infallible, Blame>>,
) -> Result<T, Blame> {
    let (mut work, mut company) = (pin!(work), pin!(company));
    poll_fn(|context| {
        if let Poll::Ready(Err(blame)) = company.as_mut().poll(context) {
            return Poll::Ready(Err(blame));
        }
        work.as_mut().poll(context)
    })
    .await
}
