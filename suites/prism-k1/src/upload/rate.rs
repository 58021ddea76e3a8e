//! How fast the largest upload goes.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_core::event::{Direction, FlowKind};
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, HarnessError, Inconclusive, ProductError};
use rigor_decode::websocket::ClientFrame;
use rigor_runner::need::{Console, Flash, Net, WebSocket};
use rigor_runner::{Findings, Outcome, Suite};

use super::{NAME, named};
use crate::kit::{self, Answer, Upload};
use crate::pattern::{self, MAX_FILE_BYTES};
use crate::tlv::{Profile, Reply};

/// What an operating system stamps at both ends of a duration is wrong by less than this, taken together.
const STAMPED_WITHIN: Duration = Duration::from_millis(100);

pub(super) fn add_to(suite: &mut Suite, profile: Profile) {
    suite.case(
        named("upload_rate", profile),
        &["K1-UPL-014", "K1-UPL-025", "K1-UPL-026", "K1-UPL-032"],
        move |console, net, flash| rate(profile, console, net, flash),
    );
}

/// When byte number `index`, counted from 0, left the rig for the device.
fn left(history: &[(Instant, FlowKind)], index: usize) -> Result<Instant, Blame> {
    let mut bytes = 0;
    for (at, what) in history {
        if let FlowKind::Data(Direction::ToDut, data) = what {
            bytes += data.len();
            if bytes > index {
                return Ok(*at);
            }
        }
    }
    Err(HarnessError(format!("the link recorded {bytes} bytes of an upload that has more than {index}"))
        .into())
}

/// The link's best speed in bytes per second, over any 4096 bytes or more that the device
/// acknowledged; `None` where nobody sees acknowledgements, as behind an operating system's TCP.
fn link_speed(history: &[(Instant, FlowKind)]) -> Option<f64> {
    let acknowledged: Vec<(Instant, u64)> = history
        .iter()
        .filter_map(|(at, what)| match what {
            FlowKind::Acknowledged(bytes) => Some((*at, *bytes)),
            _ => None,
        })
        .collect();
    let speed_from = |(index, &(from, before)): (usize, &(Instant, u64))| {
        let (until, after) = acknowledged[index..].iter().find(|(_, bytes)| bytes - before >= 4096)?;
        (*until > from).then(|| (after - before) as f64 / until.since(from).as_secs_f64())
    };
    let best = acknowledged.iter().enumerate().filter_map(speed_from).fold(0.0, f64::max);
    (!acknowledged.is_empty()).then_some(best)
}

/// Bytes of a message on the wire.
fn framed(message: &[u8]) -> usize {
    ClientFrame::binary(message).masked([1, 2, 3, 4]).encode().len()
}

/// Sends a whole upload without a pause, which would count against its rate. Its STATUS is the last
/// one before the device falls silent: those of BEGIN and DATA, if there are any, come before.
async fn at_once(socket: &mut WebSocket, messages: &[Vec<u8>]) -> Result<Upload, Blame> {
    let begun = socket.tcp.now();
    kit::send_all(socket, messages)?;
    let mut last = None;
    let mut deadline = begun + kit::COMMIT_LIMIT;
    while let (at, Answer::Reply(reply)) = kit::answer(socket, deadline).await {
        let Reply::Status(status) = reply else {
            return Err(
                ProductError(format!("an upload of the largest size was answered with {reply}")).into()
            );
        };
        deadline = at + kit::COMMIT_LIMIT;
        last = Some(Upload { begun, acknowledged: at, status });
    }
    last.ok_or_else(|| ProductError("an upload of the largest size had no STATUS".to_owned()).into())
}

/// Four uploads of the largest size, each over the one before: the first finds blank flash, the
/// others have to erase.
async fn rate(profile: Profile, mut console: Console, net: Net, flash: Flash) -> Outcome {
    kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    let (mut without_flash, mut with_flash, mut commit) = (Vec::new(), Vec::new(), Vec::new());
    let mut unsure = Duration::ZERO;
    for series in 0..4 {
        let file = pattern::file(series, MAX_FILE_BYTES);
        let mut socket = kit::open(&net, profile).await?;
        let messages = profile.upload(NAME, &file);
        let done = at_once(&mut socket, &messages).await?;
        socket.tcp.finish()?;
        let sent = socket.tcp.history(done.begun, done.acknowledged);
        let begin = framed(&messages[0]);
        let all: usize = messages.iter().map(|message| framed(message)).sum();
        let first_data = left(&sent, begin)?;
        // The last byte of END.
        let end = left(&sent, all - 1)?;
        let busy: Duration =
            flash.busy(first_data, done.acknowledged).iter().map(|(_, busy)| busy.duration).sum();
        let kilobytes = MAX_FILE_BYTES as f64 / 1000.0;
        // A device that receives while its flash is busy is not faster than the link for that.
        let transfer = done.acknowledged.since(first_data).saturating_sub(busy).as_secs_f64();
        with_flash.push(kilobytes / done.acknowledged.since(left(&sent, 0)?).as_secs_f64());
        let after_end = done.acknowledged.since(end);
        match link_speed(&sent) {
            Some(link) => {
                commit.push(after_end);
                if flash.busy_source().is_some() {
                    without_flash.push((kilobytes / transfer).min(link / 1000.0));
                }
            }
            // The operating system has it then, and nobody knows when the device has: the commit took some of this.
            None => {
                commit.push(after_end / 2);
                unsure = unsure.max(after_end / 2 + STAMPED_WITHIN);
            }
        }
    }
    if without_flash.len() == with_flash.len() {
        let without_flash = Distribution::new(Unit::KilobytesPerSecond, without_flash)?;
        findings.measured("K1-UPL-014", without_flash.clone());
        findings.measured("K1-UPL-025", without_flash);
    } else {
        let blind = "this rig does not see what the device acknowledges and when its flash chip is busy";
        findings.unclear("K1-UPL-014", Inconclusive(blind.to_owned()));
        findings.unclear("K1-UPL-025", Inconclusive(blind.to_owned()));
    }
    findings.measured("K1-UPL-026", Distribution::new(Unit::KilobytesPerSecond, with_flash)?);
    findings.measured("K1-UPL-032", Distribution::of_durations(commit)?.uncertain_by(unsure)?);
    Ok(findings)
}
