//! What stored patterns are called: LIST, and the one rule for names.

use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::Blame;
use rigor_runner::need::{Console, Leds, Net, Picture, WebSocket};
use rigor_runner::{Findings, Outcome, Suite};

use crate::kit::{self, Answer, Storage, obeyed, told};
use crate::list::{self, Entry};
use crate::rows::Rows;
use crate::tlv::{Profile, Reply, request};
use crate::{p11, pattern};

pub(super) fn add_to(suite: &mut Suite) {
    suite
        .case("list", &["K1-CTL-013"], list)
        .case("normalised_alike", &["K1-CTL-019"], normalised_alike)
        .case("long_names", &["K1-CTL-019"], long_names)
        .case("templates_apart", &["K1-CTL-024"], templates_apart);
}

/// Entries that one list has and the other has not.
fn unlike(listed: &[Entry], stored: &[Entry]) -> usize {
    let lacking = |one: &[Entry], other: &[Entry]| one.iter().filter(|entry| !other.contains(entry)).count();
    // An entry that is listed twice is one too many.
    let mut again = listed.to_vec();
    again.sort();
    let twice = again.windows(2).filter(|pair| pair[0] == pair[1]).count();
    lacking(listed, stored) + lacking(stored, listed) + twice
}

/// Before anything is stored, with four patterns, after one was replaced by one of another size, and
/// after one, and then all, were deleted.
async fn list(mut console: Console, net: Net) -> Outcome {
    kit::settled(&mut console).await?;
    let mut socket = kit::open(&net, Profile::F).await?;
    let mut stored: Vec<Entry> = Vec::new();
    let mut samples = vec![unlike(&list::ask(&mut socket).await?.0, &stored)];
    for (name, size) in
        [("one", 1), ("second", 5000), ("3-third_name", 70_000), ("zero", 960), ("second", 17)]
    {
        kit::upload(&mut socket, Profile::F, name, &pattern::file(1, size)).await?;
        stored.retain(|entry| entry.name != name);
        stored.push(Entry { name: name.to_owned(), size: size as u32 });
        samples.push(unlike(&list::ask(&mut socket).await?.0, &stored));
    }
    for name in ["3-third_name", "one", "zero", "second"] {
        obeyed(&mut socket, "DELETE", &request::delete(name)).await?;
        stored.retain(|entry| entry.name != name);
        samples.push(unlike(&list::ask(&mut socket).await?.0, &stored));
    }
    let mut findings = Findings::new();
    let samples = samples.into_iter().map(|count| count as f64);
    findings.measured("K1-CTL-013", Distribution::new(Unit::Count, samples)?);
    Ok(findings)
}

/// The colour of a pattern, so that each can be told from all others.
fn colour(number: usize) -> [u8; 3] {
    [20 + 3 * number as u8, 200 - 5 * number as u8, 90]
}

/// Asks for PLAY of `name`; whether colour `number` is on the strip then.
async fn plays(socket: &mut WebSocket, leds: &Leds, name: &str, number: usize) -> Result<String, Blame> {
    let answer = told(socket, &request::play(name)).await?.1;
    if !matches!(answer, Answer::Reply(Reply::Status(_))) {
        return Ok(format!("PLAY was answered with {answer}"));
    }
    let is_shown = |picture: &Picture| picture.rgb_bytes() == colour(number).repeat(pattern::PIXELS);
    match leds.expect("what PLAY names", kit::ANSWER_LIMIT, is_shown).await {
        Ok(_) => Ok(String::new()),
        Err(Blame::Product(_)) => Ok("PLAY shows another pattern".to_owned()),
        Err(other) => Err(other),
    }
}

/// Names as a client writes them and their normal forms (specification, section 2.2).
const NAMES: [(&str, &str); 7] = [
    ("Test.prism", "testprism"),
    ("My Show.v2.bin", "my_showv2_bin"),
    ("deep/in\\side", "deepinside"),
    (".hidden", "hidden"),
    ("UPPER-case_9", "upper-case_9"),
    ("t\u{fc}r.bin", "t__rbin"),
    ("plain", "plain"),
];

/// Each name is uploaded as it is, played by itself and by its normal form, and deleted by itself.
async fn normalised_alike(mut console: Console, net: Net, leds: Leds) -> Outcome {
    kit::settled(&mut console).await?;
    let mut rows = Rows::default();
    for (number, (name, normal)) in NAMES.into_iter().enumerate() {
        let mut socket = kit::open(&net, Profile::F).await?;
        kit::upload(&mut socket, Profile::F, name, &p11::solid(colour(number))).await?;
        let mut wrong = Vec::new();
        for played in [name, normal] {
            let seen = plays(&mut socket, &leds, played, number).await?;
            if !seen.is_empty() {
                wrong.push(format!("{played}: {seen}"));
                // The device may close after an ERROR.
                socket.tcp.finish()?;
                socket = kit::open(&net, Profile::F).await?;
            }
        }
        match told(&mut socket, &request::delete(name)).await?.1 {
            Answer::Reply(Reply::Status(_)) => {
                let left = list::ask(&mut socket).await?.0;
                if left.iter().any(|entry| entry.name == normal) {
                    wrong.push("still listed after DELETE".to_owned());
                }
            }
            other => wrong.push(format!("DELETE was answered with {other}")),
        }
        socket.tcp.finish()?;
        rows.note(
            wrong.is_empty(),
            &format!("`{name}`"),
            match wrong.is_empty() {
                true => "played and deleted by its name".to_owned(),
                false => wrong.join(", "),
            },
        );
    }
    let mut findings = Findings::new();
    rows.decide("K1-CTL-019", &mut findings)?;
    Ok(findings)
}

/// Names that are alike but for their last letter: all of them are stored, each with its own
/// contents, and each is played and deleted by itself.
async fn long_names(mut console: Console, net: Net, leds: Leds, storage: Storage) -> Outcome {
    kit::settled(&mut console).await?;
    let names: Vec<String> = [39, 40, 41, 57, 58, 62]
        .into_iter()
        .flat_map(|length| ["a", "b"].map(|last| format!("{}{last}", "n".repeat(length))))
        .collect();
    let mut socket = kit::open(&net, Profile::F).await?;
    for (number, name) in names.iter().enumerate() {
        kit::upload(&mut socket, Profile::F, name, &p11::solid(colour(number))).await?;
    }
    socket.tcp.finish()?;
    let stored = storage.files().await?;
    let mut socket = kit::open(&net, Profile::F).await?;
    let mut rows = Rows::default();
    for (number, name) in names.iter().enumerate() {
        let file = p11::solid(colour(number));
        let copies = stored.values().filter(|bytes| **bytes == file).count();
        let seen = match copies {
            1 => plays(&mut socket, &leds, name, number).await?,
            _ => format!("{copies} files have its contents"),
        };
        let row = format!("a name of {} ({})", name.len(), &name[name.len() - 1..]);
        rows.note(
            seen.is_empty(),
            &row,
            if seen.is_empty() { "stored and played apart".to_owned() } else { seen },
        );
    }
    // Every second one goes, the others stay.
    let (doomed, kept): (Vec<_>, Vec<_>) = names.iter().partition(|name| name.ends_with('a'));
    for name in doomed {
        obeyed(&mut socket, "DELETE", &request::delete(name)).await?;
    }
    let mut left: Vec<String> = list::ask(&mut socket).await?.0.into_iter().map(|entry| entry.name).collect();
    left.sort();
    let stays = left.iter().eq(kept);
    rows.note(
        stays,
        "after DELETE of every second one",
        match stays {
            true => "the others stay".to_owned(),
            false => format!("{} are left", left.len()),
        },
    );
    let mut findings = Findings::new();
    rows.decide("K1-CTL-019", &mut findings)?;
    Ok(findings)
}

/// Templates are deployed and nothing else: not listed, played, deleted or replaced by a pattern of
/// their name.
async fn templates_apart(mut console: Console, net: Net, storage: Storage) -> Outcome {
    const TEMPLATE: &str = "flow-fall";
    kit::settled(&mut console).await?;
    let before = storage.files().await?;
    let mut rows = Rows::default();
    let mut socket = kit::open(&net, Profile::F).await?;
    let listed = list::ask(&mut socket).await?.0;
    rows.note(listed.is_empty(), "LIST", format!("{} entries", listed.len()));
    for (row, message) in [("DELETE", request::delete(TEMPLATE)), ("PLAY", request::play(TEMPLATE))] {
        match told(&mut socket, &message).await?.1 {
            Answer::Reply(Reply::Error { code: 5, .. }) => rows.good("refused with ERROR 5"),
            other => rows.bad(row, format!("answered with {other}")),
        }
    }
    socket.tcp.finish()?;
    kit::upload_once(&net, Profile::F, TEMPLATE, &p11::solid(colour(0))).await?;
    let after = storage.files().await?;
    let kept = before.iter().all(|(path, bytes)| after.get(path) == Some(bytes));
    rows.note(kept, "an upload of its name", if kept { "its file stays" } else { "a template has changed" });
    let mut findings = Findings::new();
    rows.decide("K1-CTL-024", &mut findings)?;
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_differ_by_entries_missing_wrong_and_doubled() {
        let entry = |name: &str, size| Entry { name: name.to_owned(), size };
        let stored = [entry("a", 1), entry("b", 2)];
        assert_eq!(unlike(&[entry("b", 2), entry("a", 1)], &stored), 0);
        assert_eq!(unlike(&[entry("a", 1)], &stored), 1);
        assert_eq!(unlike(&[entry("a", 1), entry("b", 3)], &stored), 2);
        assert_eq!(unlike(&[entry("a", 1), entry("b", 2), entry("b", 2)], &stored), 1);
    }
}
