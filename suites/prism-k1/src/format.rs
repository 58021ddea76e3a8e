//! Cases of group K1-FMT about packaged files: which ones play and what they show ([`sound`]), and
//! which ones must not ([`hostile`]). Hostile frames of the protocol are with uploads and messages.

mod hostile;
mod sound;

use std::time::Duration;

use rigor_core::verdict::Blame;
use rigor_runner::Suite;
use rigor_runner::need::{Leds, Net, Picture};

use crate::kit::{self, Answer};
use crate::pattern;
use crate::tlv::{Profile, request};

pub(crate) fn add_to(suite: &mut Suite) {
    sound::add_to(suite);
    hostile::add_to(suite);
}

/// The raw pattern that plays beside.
const PLAYING: u8 = 3;

fn is_playing(picture: &Picture) -> bool {
    pattern::recognise(PLAYING, picture).is_some()
}

/// Uploads a raw pattern that cannot be taken for a packaged one, and has it play.
async fn play_another(net: &Net, leds: &Leds) -> Result<(), Blame> {
    kit::upload_once(net, Profile::N, "", &pattern::numbered(PLAYING, 4)).await?;
    leds.expect("the raw pattern", kit::ANSWER_LIMIT, is_playing).await?;
    Ok(())
}

/// How long the strip is watched after a PLAY that must not be obeyed.
const WATCHED: Duration = Duration::from_millis(30);

/// What the device does when it is asked for a stored pattern.
enum Played {
    /// It says that it plays, or shows something else than before.
    Yes(String),
    /// It refuses, and goes on as before.
    No(&'static str),
}

/// Asks for PLAY of `name` on a connection of its own, while the [raw pattern](play_another) plays.
async fn try_to_play(net: &Net, leds: &Leds, name: &str) -> Result<Played, Blame> {
    let mut socket = kit::open(net, Profile::F).await?;
    let answer = kit::told(&mut socket, &request::play(name)).await?.1;
    socket.tcp.finish()?;
    let pictures = leds.record(WATCHED).await?.pictures();
    let changed = pictures.iter().filter(|picture| !is_playing(picture)).count();
    Ok(match answer {
        _ if changed > 0 || pictures.is_empty() => {
            Played::Yes(format!("{changed} of {} frames have changed", pictures.len()))
        }
        Answer::Reply(crate::tlv::Reply::Error { .. }) => Played::No("refused with an ERROR"),
        Answer::Closed => Played::No("refused by closing"),
        other => Played::Yes(format!("PLAY was answered with {other}")),
    })
}
