//! A thousand clients, one after the other, who leave in every way there is.

use std::time::Duration;

use rigor_core::verdict::{Blame, ProductError};
use rigor_runner::case::Case;
use rigor_runner::need::{Clock, Console, Heap, Net, WebSocket};
use rigor_runner::{Findings, Outcome, Suite};

use super::scene;
use crate::endurance::Trend;
use crate::kit::Answer;
use crate::tlv::{Profile, request};
use crate::{kit, pattern};

const ID: &str = "K1-NET-012";

pub(super) fn add_to(suite: &mut Suite) {
    suite
        .add(Case::new("thousand_clients", &[ID], thousand_clients).within(Duration::from_secs(3600)).long());
}

const CLIENTS: usize = 1000;
/// The heap is looked at after as many.
const LOOK_EVERY: usize = 100;
/// By then the device has found out that a client has vanished (K1-NET-004: after 7 s at the latest).
const AT_REST_AFTER: Duration = Duration::from_secs(10);
/// A place is free again by then: both may be taken by clients that have vanished.
const PATIENCE: Duration = Duration::from_secs(9);
/// Bytes of an upload that its client leaves.
const LEFT_BEHIND: usize = 3000;

/// What a client does before it leaves.
#[derive(Clone, Copy)]
enum Stay {
    /// Nothing.
    Silent,
    /// It asks for something and hears the answer.
    Served,
    /// It begins an upload.
    Uploading,
    /// It asks for something and does not wait for the answer.
    Impatient,
}

/// How it leaves.
#[derive(Clone, Copy)]
enum Leaving {
    /// By the close handshake.
    Close,
    /// By ending its side (FIN) without a word.
    Finish,
    /// By tearing its TCP connection down (RST).
    Reset,
    /// Without a trace: the device is left with one half of a connection.
    Vanish,
}

const STAYS: [Stay; 4] = [Stay::Silent, Stay::Served, Stay::Uploading, Stay::Impatient];
/// One of nine vanishes, as the device notices that late.
const WAYS: [Leaving; 9] = [
    Leaving::Close,
    Leaving::Finish,
    Leaving::Reset,
    Leaving::Close,
    Leaving::Vanish,
    Leaving::Finish,
    Leaving::Close,
    Leaving::Reset,
    Leaving::Finish,
];

/// The numbers of profiles, stays and ways to leave have no common divisor but that of the first two,
/// so that every mix comes many times.
async fn thousand_clients(mut console: Console, net: Net, clock: Clock, heap: Heap) -> Outcome {
    kit::settled(&mut console).await?;
    let mut trend = Trend::default();
    clock.sleep(AT_REST_AFTER).await;
    trend.sample(&heap, clock.now())?;
    let budget = kit::budget(ID)?;
    let mut findings = Findings::new();
    for number in 1..=CLIENTS {
        let profile = Profile::ALL[number / STAYS.len() % 2];
        let (_, mut client) = scene::accepted(&net, profile, PATIENCE).await?;
        stay(&mut client, profile, STAYS[number % STAYS.len()]).await?;
        leave(client, WAYS[number % WAYS.len()]).await?;
        if number % LOOK_EVERY == 0 {
            clock.sleep(AT_REST_AFTER).await;
            trend.sample(&heap, clock.now())?;
            if let Some(loss) = trend.loss(1).transpose()? {
                let missed = kit::misses(&budget, &loss)?;
                findings.measured(ID, loss);
                if missed {
                    break;
                }
            }
        }
    }
    Ok(findings)
}

async fn stay(client: &mut WebSocket, profile: Profile, stay: Stay) -> Result<(), Blame> {
    match stay {
        Stay::Silent => {}
        Stay::Served => {
            // An ERROR answers too: the other profile may have left an upload that is not over yet.
            let (_, answer) = kit::told(client, &request::status()).await?;
            if !matches!(answer, Answer::Reply(_)) {
                let profile = profile.service();
                return Err(
                    ProductError(format!("STATUS in profile {profile} was answered with {answer}")).into()
                );
            }
        }
        Stay::Uploading => {
            let messages = profile.upload("left", &pattern::file(3, LEFT_BEHIND));
            kit::send_all(client, &messages[..messages.len() - 1])?;
            kit::quiet(client).await;
        }
        Stay::Impatient => kit::send_all(client, &[request::list(), request::status()])?,
    }
    Ok(())
}

async fn leave(client: WebSocket, leaving: Leaving) -> Result<(), Blame> {
    match leaving {
        Leaving::Close => scene::leave(client).await,
        Leaving::Finish => client.tcp.finish(),
        Leaving::Reset => client.tcp.reset(),
        Leaving::Vanish => client.tcp.vanish(),
    }
}
