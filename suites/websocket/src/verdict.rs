//! From what was seen to the two verdicts on a row.
//!
//! *Behaviour*: the answer to the handshake, and what the server said, in what order. *Close*: who
//! ended the connection, with which code, and that TCP ended too. Each is [strict](Grade::Strict) if
//! it is what the row expects, [tolerated](Grade::Tolerated) if it is what the row allows besides,
//! and [broken](Grade::Broken) otherwise.

use crate::limits::Limits;
use crate::script::{Said, Script};
use crate::table::{Ending, Status};
use crate::talk::{Answered, End, Seen, is_of_the_end};
use crate::words;

/// How well something was done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Grade {
    /// As RFC 6455 asks for.
    Strict,
    /// In a way that the RFC leaves open, or that a public suite would call non-strict.
    Tolerated,
    /// Against the RFC.
    Broken,
}

/// A verdict, and what was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// The verdict.
    pub grade: Grade,
    /// What was seen, in words.
    pub seen: String,
}

impl Judged {
    pub(crate) fn new(grade: Grade, seen: impl Into<String>) -> Self {
        Judged { grade, seen: seen.into() }
    }

    fn broken(seen: impl Into<String>) -> Self {
        Judged::new(Grade::Broken, seen)
    }
}

/// The two verdicts on a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdicts {
    /// What the server said.
    pub behaviour: Judged,
    /// How it ended the connection.
    pub close: Judged,
}

pub(crate) fn of(script: &Script, seen: &Seen, limits: &Limits) -> Verdicts {
    Verdicts { behaviour: behaviour(script, seen), close: close(script, seen, limits) }
}

fn behaviour(script: &Script, seen: &Seen) -> Judged {
    let answer = answer(script, seen);
    if answer.grade == Grade::Broken || !matches!(seen.answer, Some(Answered::Accepted(_))) {
        return answer;
    }
    if let Some(breach) = seen.breaches.iter().find(|breach| !is_of_the_end(breach)) {
        return Judged::broken(breach.to_string());
    }
    let came = words::said(&seen.said);
    let grade = match () {
        () if seen.said == script.expect => Grade::Strict,
        () if script.tolerate.contains(&seen.said) => Grade::Tolerated,
        () => return Judged::broken(format!("{came}{}", difference(&script.expect, &seen.said))),
    };
    if script.asks_the_handshake() {
        return Judged::new(grade.max(answer.grade), format!("{}, {came}", answer.seen));
    }
    Judged::new(grade.max(answer.grade), came)
}

/// Where two messages that look alike in words differ.
fn difference(expect: &[Said], said: &[Said]) -> String {
    let unlike = expect.iter().zip(said).find(|(one, other)| one != other);
    match unlike {
        Some((one, other)) if one.kind == other.kind && one.payload.len() == other.payload.len() => {
            let place = one.payload.iter().zip(other.payload.iter()).position(|(a, b)| a != b).unwrap_or(0);
            format!(", which differs from byte {place} on")
        }
        _ => String::new(),
    }
}

fn answer(script: &Script, seen: &Seen) -> Judged {
    let (status, told) = match &seen.answer {
        Some(Answered::Faulty(faults)) => {
            let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
            return Judged::broken(told.join(", "));
        }
        Some(Answered::Nonsense(why)) => return Judged::broken(why.clone()),
        None if seen.ended.is_none() => return Judged::broken("no answer to the handshake"),
        None => (None, "the end of TCP instead of an answer".to_owned()),
        Some(Answered::Accepted(response) | Answered::Refused(response)) => {
            (Some(response.status), format!("status {}", response.status))
        }
    };
    let among = |all: &[Status]| {
        all.iter().any(|one| match one {
            Status::Code(code) => status == Some(*code),
            Status::Class(hundred) => status.is_some_and(|status| status / 100 == hundred / 100),
            Status::Drop => status.is_none(),
        })
    };
    let grade = match () {
        () if among(&script.answer.ok) => Grade::Strict,
        () if among(&script.answer.tolerate) => Grade::Tolerated,
        () => return Judged::broken(told),
    };
    let Some(Answered::Accepted(response) | Answered::Refused(response)) = &seen.answer else {
        return Judged::new(grade, told);
    };
    let (mut told, mut grade) = (told, grade);
    for (name, value) in &script.answer.headers {
        if !response.tokens(name).any(|token| token.eq_ignore_ascii_case(value)) {
            return Judged::broken(format!("{told} without `{name}: {value}`"));
        }
        told.push_str(&format!(" with `{name}: {value}`"));
    }
    for name in &script.answer.absent {
        if let Some(value) = response.header(name) {
            return Judged::broken(format!("{told} with `{name}: {value}`"));
        }
    }
    for name in &script.answer.chosen {
        if let Some(value) = response.header(name) {
            told.push_str(&format!(" with `{name}: {value}`"));
            grade = Grade::Tolerated;
        }
    }
    Judged::new(grade, told)
}

fn close(script: &Script, seen: &Seen, limits: &Limits) -> Judged {
    match &seen.answer {
        Some(Answered::Accepted(_)) => {}
        Some(Answered::Faulty(_) | Answered::Nonsense(_)) => {
            return Judged::broken("no client may go on after this handshake");
        }
        None => {
            return match seen.ended {
                Some(_) => Judged::new(Grade::Strict, "the end of TCP"),
                None => Judged::broken(format!("TCP was left open for {:?}", limits.end)),
            };
        }
        Some(Answered::Refused(response)) => {
            return match seen.ended {
                Some(_) => Judged::new(Grade::Strict, "the end of TCP"),
                None if response.tokens("connection").any(|token| token.eq_ignore_ascii_case("close")) => {
                    let told = format!("`Connection: close`, and TCP was left open for {:?}", limits.end);
                    Judged::broken(told)
                }
                None => Judged::new(Grade::Tolerated, "TCP was left open for another request"),
            };
        }
    }
    if let Some(breach) = seen.breaches.iter().find(|breach| is_of_the_end(breach)) {
        return Judged::broken(breach.to_string());
    }
    let came = match &seen.close {
        _ if seen.stayed => Some(Ending::Open),
        Some(close) => Some(close.code.map_or(Ending::Empty, |code| Ending::Code(code.0))),
        None => seen.ended.map(|_| Ending::Drop),
    };
    let Some(came) = came else {
        return Judged::broken(format!("no Close frame, and TCP was left open for {:?}", limits.end));
    };
    if came == Ending::Open && (seen.close.is_none() || seen.ended.is_none()) {
        return Judged::broken("the server neither closed nor answered a Close frame");
    }
    let told = words::ending(came);
    let grade = match () {
        () if script.close.ok.contains(&came) => Grade::Strict,
        () if script.close.tolerate.contains(&came) => Grade::Tolerated,
        () => return Judged::broken(told),
    };
    match seen.ended {
        Some(End::Finished) => Judged::new(grade, told),
        // The data was there; only the manners are missing.
        Some(End::Reset) => Judged::new(grade.max(Grade::Tolerated), format!("{told}, by a reset")),
        None => Judged::broken(format!("{told}, but TCP was left open for {:?}", limits.end)),
    }
}
