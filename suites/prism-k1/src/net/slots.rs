//! Places for clients: how many there are, and when one is free again.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::Blame;
use rigor_decode::websocket::{Message, ServerEvent};
use rigor_runner::need::{Console, Heard, Net, WebSocket};
use rigor_runner::{Findings, Outcome, Suite};

use super::scene;
use crate::kit;
use crate::tlv::{Profile, Reply};

/// How often a place is asked for, or left and taken again.
const ROUNDS: usize = 5;
/// A client too many that is not closed after this long is kept: later than K1-NET-002 allows, and
/// soon enough that the others do not become idle meanwhile.
const KEPT: Duration = Duration::from_secs(3);
/// A place that has not become free after this long is not waited for any longer.
const PATIENCE: Duration = Duration::from_secs(9);

pub(super) fn add_to(suite: &mut Suite) {
    suite
        .case("two_clients", &["K1-NET-001"], two_clients)
        .case("third_client", &["K1-NET-002", "K1-NET-013", "K1-NET-014"], third_client)
        .case("freed_slot", &["K1-NET-003", "K1-NET-011"], freed_slot);
}

/// Two clients in every mix of profiles, each served before and after the other.
async fn two_clients(mut console: Console, net: Net) -> Outcome {
    kit::settled(&mut console).await?;
    let mut served = Vec::new();
    for profiles in [[Profile::N, Profile::N], [Profile::F, Profile::F], [Profile::N, Profile::F]] {
        let mut clients = [kit::open(&net, profiles[0]).await?, kit::open(&net, profiles[1]).await?];
        let mut happy = [true; 2];
        for _ in 0..2 {
            for ((client, profile), happy) in clients.iter_mut().zip(profiles).zip(&mut happy) {
                *happy &= scene::serve(client, profile).await?.is_ok();
            }
        }
        served.push(happy.into_iter().filter(|&happy| happy).count() as f64);
        for client in clients {
            scene::leave(client).await?;
        }
    }
    let mut findings = Findings::new();
    findings.measured("K1-NET-001", Distribution::new(Unit::Count, served)?);
    Ok(findings)
}

/// With two clients connected, others knock: one by one, then four at once. None of them waits to
/// be accepted before it says what it wants.
async fn third_client(mut console: Console, net: Net) -> Outcome {
    kit::settled(&mut console).await?;
    let mut first = kit::open(&net, Profile::N).await?;
    let mut second = kit::open(&net, Profile::F).await?;
    let mut findings = Findings::new();
    let (mut until_closed, mut lost, mut statuses) = (Vec::new(), Vec::new(), Vec::new());
    let crowds = [vec![1; ROUNDS], vec![4]].concat();
    for (profile, crowd) in
        Profile::ALL.into_iter().flat_map(|profile| crowds.iter().map(move |&crowd| (profile, crowd)))
    {
        let mut thirds = Vec::new();
        for _ in 0..crowd {
            thirds.push(Third::knock(&net, profile, first.tcp.now()).await?);
        }
        for mut third in thirds {
            third.listen().await;
            match third.ended {
                Some(ended) => until_closed.push(ended.since(third.begun)),
                None => {
                    findings.observed(
                        "K1-NET-002",
                        false,
                        format!("a third client is not closed within {KEPT:?}"),
                    );
                }
            }
            if third.served {
                findings.observed("K1-NET-002", false, "a third client's request was served");
            }
            statuses.extend(third.status);
            if let Some(socket) = third.socket {
                socket.tcp.finish()?;
            }
        }
        let alive = [
            scene::serve(&mut first, Profile::N).await?.is_ok(),
            scene::serve(&mut second, Profile::F).await?.is_ok(),
        ];
        lost.push(alive.into_iter().filter(|&alive| !alive).count() as f64);
    }
    if !until_closed.is_empty() {
        findings.measured("K1-NET-002", Distribution::of_durations(until_closed)?);
    }
    findings.measured("K1-NET-013", Distribution::new(Unit::Count, lost)?);
    if statuses.is_empty() {
        findings.observed("K1-NET-014", false, "no third client got an HTTP answer");
    } else {
        findings.measured("K1-NET-014", Distribution::new(Unit::Count, statuses)?);
    }
    Ok(findings)
}

/// A client too many.
struct Third {
    /// `None` if not even TCP was accepted.
    socket: Option<WebSocket>,
    begun: Instant,
    ended: Option<Instant>,
    status: Option<f64>,
    served: bool,
}

impl Third {
    async fn knock(net: &Net, profile: Profile, now: Instant) -> Result<Third, Blame> {
        let third = Third { socket: None, begun: now, ended: None, status: None, served: false };
        match WebSocket::begin(net, net.port(profile.service())?, profile.path(), kit::ANSWER_LIMIT).await {
            Err(Blame::Product(_)) => Ok(Third { ended: Some(now), ..third }),
            Err(blame) => Err(blame),
            Ok(socket) => {
                for wish in scene::wish(profile) {
                    socket.send_binary(&wish)?;
                }
                Ok(Third { socket: Some(socket), ..third })
            }
        }
    }

    async fn listen(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        for (at, heard) in socket.rest(self.begun + KEPT).await {
            match heard {
                Heard::Ended(_) => self.ended = Some(at),
                Heard::Said(
                    ServerEvent::HandshakeAccepted(answer) | ServerEvent::HandshakeRefused(answer),
                ) => {
                    self.status = Some(f64::from(answer.status));
                }
                Heard::Said(ServerEvent::HandshakeFaulty { response, .. }) => {
                    self.status = Some(f64::from(response.status));
                }
                Heard::Said(ServerEvent::Message(Message::Binary(bytes))) => {
                    self.served |= matches!(Reply::parse(&bytes), Reply::Status(_));
                }
                Heard::Said(_) => {}
            }
        }
    }
}

/// How a client leaves.
#[derive(Clone, Copy)]
enum Leaving {
    /// By the close handshake.
    Close,
    /// By tearing its TCP connection down.
    Reset,
}

/// Both places are taken, one client leaves, and a new one knocks until it is let in.
async fn freed_slot(mut console: Console, net: Net) -> Outcome {
    kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    let mut other = kit::open(&net, Profile::F).await?;
    for (leaving, id) in [(Leaving::Close, "K1-NET-003"), (Leaving::Reset, "K1-NET-011")] {
        let mut waits = Vec::new();
        for profile in Profile::ALL.into_iter().cycle().take(2 * ROUNDS) {
            let Some((_, mut leaver)) = scene::let_in(&net, profile, &mut other, PATIENCE).await? else {
                findings.observed(id, false, format!("no second client is accepted within {PATIENCE:?}"));
                break;
            };
            scene::full(&net, profile).await?;
            let left = match leaving {
                Leaving::Close => scene::close(&mut leaver).await?,
                Leaving::Reset => {
                    leaver.tcp.reset()?;
                    leaver.tcp.now()
                }
            };
            let Some((at, mut next)) = scene::let_in(&net, profile, &mut other, PATIENCE).await? else {
                findings.observed(id, false, format!("its place is still taken after {PATIENCE:?}"));
                break;
            };
            waits.push(at.since(left));
            // A place is worth something if who has it is served, and the other client still is.
            scene::served(scene::serve(&mut next, profile).await?, "the client in the free place")?;
            scene::served(scene::ask(&mut other).await?, "the other client")?;
            scene::leave(next).await?;
        }
        if !waits.is_empty() {
            findings.measured(id, Distribution::of_durations(waits)?);
        }
    }
    Ok(findings)
}
