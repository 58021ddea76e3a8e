//! Rows over a rig's link, as cases.

use std::sync::Arc;

use rigor_core::Instant;
use rigor_core::requirement::Class;
use rigor_core::verdict::{Blame, ProductError};
use rigor_runner::need::{Clock, Net, Received, Tcp};
use rigor_runner::{Findings, Outcome};

use crate::limits::Limits;
use crate::plan::Planned;
use crate::script::Script;
use crate::talk::{Act, End, Talk};
use crate::verdict::{Grade, Judged, Verdicts};

/// Runs a row on a device that was just switched on, and then has somebody else echoed.
pub(crate) async fn decide(net: Net, clock: Clock, planned: Arc<Planned>) -> Outcome {
    let limits = &planned.limits;
    let port = net.port(&planned.endpoint.port)?;
    let tcp = ready(&net, &clock, port, limits).await?;
    let mut verdicts = converse(tcp, &clock, planned.script.clone(), limits).await?;
    // Whatever was done to the server, it serves the next client.
    let next = match net.connect(port, limits.answer).await {
        Ok(tcp) => converse(tcp, &clock, planned.alive.clone(), limits).await?.behaviour,
        Err(Blame::Product(error)) => Judged::new(Grade::Broken, error.to_string()),
        Err(blame) => return Err(blame),
    };
    if next.grade == Grade::Broken {
        let told = format!("{}; the next client was not served: {}", verdicts.behaviour.seen, next.seen);
        verdicts.behaviour = Judged::new(Grade::Broken, told);
    }
    let mut findings = Findings::new();
    planned.find(verdicts, &mut findings);
    Ok(findings)
}

/// The first connection that the device accepts.
async fn ready(net: &Net, clock: &Clock, port: u16, limits: &Limits) -> Result<Tcp, Blame> {
    let deadline = clock.now() + limits.ready;
    loop {
        let attempt = clock.now() + limits.attempt;
        match net.connect(port, limits.attempt).await {
            Err(Blame::Product(error)) if clock.now() >= deadline => {
                return Err(
                    ProductError(format!("{error}, {:?} after it was switched on", limits.ready)).into()
                );
            }
            Err(Blame::Product(_)) => clock.sleep_until(attempt).await,
            other => return other,
        }
    }
}

async fn converse(mut tcp: Tcp, clock: &Clock, script: Script, limits: &Limits) -> Result<Verdicts, Blame> {
    let begun = clock.now();
    let mut talk = Talk::new(script, *limits);
    loop {
        match talk.act(clock.now().since(begun)) {
            Act::Send(bytes) => tcp.send(&bytes)?,
            Act::Finish => tcp.finish()?,
            Act::Listen(until) => {
                let until: Instant = begun + until;
                match tcp.receive(until).await {
                    Some((_, Received::Data(bytes))) => talk.received(&bytes),
                    Some((_, Received::Finished)) => talk.ended(End::Finished),
                    Some((_, Received::Reset)) => talk.ended(End::Reset),
                    None => {}
                }
            }
            Act::Over => {
                if !talk.is_ended() {
                    // What the server keeps open is not to be in the way of the next client.
                    tcp.reset()?;
                }
                return Ok(talk.conclude());
            }
        }
    }
}

impl Planned {
    fn find(&self, verdicts: Verdicts, findings: &mut Findings) {
        for (requirement, judged) in
            [&self.behaviour, &self.close].into_iter().zip([verdicts.behaviour, verdicts.close])
        {
            // What is only wanted for the record cannot be wrong.
            let holds = judged.grade != Grade::Broken || requirement.class == Class::Report;
            let told = match judged.grade {
                Grade::Strict => judged.seen,
                Grade::Tolerated => format!("non-strict: {}", judged.seen),
                Grade::Broken if holds => format!("for the record: {}", judged.seen),
                Grade::Broken => format!("{}; {}", judged.seen, self.case_in_words(requirement)),
            };
            findings.observed(requirement.id.as_str(), holds, told);
        }
    }
}
