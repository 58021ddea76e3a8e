//! Rows and what came of them, in words: for requirements and results.

use std::fmt::Write as _;

use rigor_decode::websocket::Opcode;

use crate::script::{Endpoint, Kind, Said, Script};
use crate::table::{By, Delivery, Ending, Frame, Length, Mask, Request, Row, Status, Step};

/// Things that a list tells of; the rest is counted.
const LISTED: usize = 6;
/// Bytes of a payload that are shown.
const SHOWN: usize = 24;

fn list(parts: Vec<String>) -> String {
    let more = parts.len().saturating_sub(LISTED);
    let mut text = parts.into_iter().take(LISTED).collect::<Vec<_>>().join(", ");
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}

/// A payload: as text if it is one, in hexadecimal otherwise, or its size.
fn bytes(payload: &[u8]) -> String {
    match std::str::from_utf8(payload) {
        _ if payload.is_empty() => "empty".to_owned(),
        _ if payload.len() > SHOWN => format!("of {} bytes", payload.len()),
        Ok(text) if !text.chars().any(char::is_control) => format!("`{text}`"),
        _ => payload.iter().fold("0x".to_owned(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
    }
}

/// What a server said.
pub(crate) fn said(all: &[Said]) -> String {
    if all.is_empty() {
        return "nothing".to_owned();
    }
    let one = |said: &Said| {
        let kind = match said.kind {
            Kind::Text => "text",
            Kind::Binary => "binary",
            Kind::Pong => "pong",
        };
        format!("{kind} {}", bytes(&said.payload))
    };
    list(all.iter().map(one).collect())
}

/// How a connection ended.
pub(crate) fn ending(ending: Ending) -> String {
    match ending {
        Ending::Code(code) => format!("Close {code}"),
        Ending::Empty => "Close without a code".to_owned(),
        Ending::Drop => "the end of TCP without a Close".to_owned(),
        Ending::Open => "open until the client closed".to_owned(),
    }
}

fn endings(all: &[Ending]) -> String {
    all.iter().map(|one| ending(*one)).collect::<Vec<_>>().join(" or ")
}

fn statuses(all: &[Status]) -> String {
    let one = |status: &Status| match status {
        Status::Code(code) => format!("status {code}"),
        Status::Class(hundred) => format!("a status from {hundred} to {}", hundred + 99),
        Status::Drop => "the end of TCP".to_owned(),
    };
    all.iter().map(one).collect::<Vec<_>>().join(" or ")
}

fn frame(frame: &Frame, endpoint: &Endpoint) -> String {
    let mut text = String::new();
    if frame.mask == Mask::Unmasked {
        text.push_str("unmasked ");
    }
    if frame.mask == Mask::Zero {
        text.push_str("zero-masked ");
    }
    if frame.rsv != 0 {
        let _ = write!(text, "RSV {:03b} ", frame.rsv);
    }
    if !frame.fin {
        text.push_str(if frame.opcode == Opcode::CONTINUATION { "unfinished " } else { "first fragment " });
    }
    let _ = match frame.opcode {
        opcode if opcode.is_reserved() => write!(text, "opcode {opcode}"),
        opcode => write!(text, "{opcode}"),
    };
    let payload = frame.payload.bytes(endpoint.message_max);
    match frame.code {
        Some(code) if payload.is_empty() => {
            let _ = write!(text, " {code}");
        }
        Some(code) => {
            let _ = write!(text, " {code} {}", bytes(&payload));
        }
        None => {
            let _ = write!(text, " {}", bytes(&payload));
        }
    }
    let _ = match frame.length {
        Length::Minimal => Ok(()),
        Length::Bits16 => write!(text, " (length in 16 bits)"),
        Length::Bits64 => write!(text, " (length in 64 bits)"),
        Length::Claims(claims) => write!(text, " (length {claims:#x} claimed)"),
    };
    text
}

fn request(request: &Request, endpoint: &Endpoint) -> Option<String> {
    if *request == Request::default() {
        return None;
    }
    let mut parts = Vec::new();
    parts.extend(request.method.as_ref().map(|method| format!("method {method}")));
    parts.extend(request.target.as_ref().map(|target| {
        format!("target {}", target.replace("{path}", &endpoint.path).replace("{host}", "host"))
    }));
    parts.extend(request.version.as_ref().map(|version| format!("version {version}")));
    parts.extend(request.without.iter().map(|name| format!("no {name}")));
    parts.extend(request.set.iter().map(|(name, value)| format!("`{name}: {}`", clip(value))));
    parts.extend(request.lines.iter().map(|line| format!("`{}`", clip(line))));
    if request.pad > 0 {
        parts.push(format!("a header field of {} characters", request.pad));
    }
    if request.cut > 0 {
        parts.push(format!("{} at a time", count(request.cut)));
    }
    if let Some(raw) = &request.raw {
        parts.push(format!("bytes {}", bytes(raw)));
    }
    Some(format!("a handshake with {}", list(parts)))
}

fn count(octets: usize) -> String {
    if octets == 1 { "1 byte".to_owned() } else { format!("{octets} bytes") }
}

fn clip(text: &str) -> String {
    let printable = text.chars().filter(|c| !c.is_control());
    let mut clipped: String = printable.take(60).collect();
    if text.chars().count() > 60 {
        clipped.push('…');
    }
    clipped
}

/// What a row sends.
pub(crate) fn sent(row: &Row, endpoint: &Endpoint) -> String {
    let mut parts: Vec<String> = Vec::new();
    for step in &row.steps {
        parts.push(match step {
            Step::Frame(sent) => frame(sent, endpoint),
            Step::Raw(raw) => format!("bytes {}", bytes(raw)),
            Step::Pause(duration) => format!("a pause of {duration:?}"),
            Step::Finish => "FIN".to_owned(),
        });
    }
    let mut text = match (request(&row.request, endpoint), parts.is_empty()) {
        (None, true) => "a handshake".to_owned(),
        (None, false) => list(parts),
        (Some(request), true) => request,
        (Some(request), false) => format!("{request}, then {}", list(parts)),
    };
    let _ = match row.delivery {
        Delivery::Frames => Ok(()),
        Delivery::Together => write!(text, ", all at once"),
        Delivery::Early => write!(text, ", before the answer to the handshake"),
        Delivery::Pieces(octets) => write!(text, ", {} at a time", count(octets)),
    };
    text
}

/// What a row expects as behaviour.
pub(crate) fn expected(script: &Script) -> String {
    let mut text = String::new();
    let answers = script.answer.ok != [Status::Code(101)];
    if script.asks_the_handshake() {
        text.push_str(&statuses(&script.answer.ok));
        for (name, value) in &script.answer.headers {
            let _ = write!(text, " with `{name}: {value}`");
        }
        for name in &script.answer.absent {
            let _ = write!(text, " without `{name}`");
        }
        for name in &script.answer.chosen {
            let _ = write!(text, " (non-strict: with `{name}`, of what was offered)");
        }
        if !script.answer.tolerate.is_empty() {
            let _ = write!(text, " (non-strict: {})", statuses(&script.answer.tolerate));
        }
        if answers {
            return text;
        }
        text.push_str("; ");
    }
    text.push_str(&said(&script.expect));
    if !script.tolerate.is_empty() {
        let others: Vec<String> = script.tolerate.iter().map(|other| said(other)).collect();
        let _ = write!(text, " (non-strict: {})", others.join(" or "));
    }
    text
}

/// What a row expects as close.
pub(crate) fn expected_close(script: &Script) -> String {
    if script.answer.ok != [Status::Code(101)] {
        return "the end of TCP (non-strict: open for another request, unless the answer says close)"
            .to_owned();
    }
    let mut text = match script.close.by {
        By::Server => format!("from the server, {}", endings(&script.close.ok)),
        By::Client => format!("in answer to Close 1000, {}", endings(&script.close.ok)),
        By::Row => format!("in answer, {}", endings(&script.close.ok)),
    };
    if !script.close.tolerate.is_empty() {
        let _ = write!(text, " (non-strict: {})", endings(&script.close.tolerate));
    }
    text
}
