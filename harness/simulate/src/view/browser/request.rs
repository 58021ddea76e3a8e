//! What a browser asks, and whether it may.

use std::net::SocketAddr;

use httparse::{EMPTY_HEADER, Request, Status};

use crate::view::Act;

/// A request's head and body are no longer than this, together.
pub(super) const MAX_REQUEST: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// A line for the console.
const MAX_TYPED: usize = 4096;

/// What is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Asked {
    /// A file of the page: its type and contents.
    File(&'static str, &'static str),
    /// What happens from now on.
    Events,
    /// Something of the board.
    Act(Act),
    /// Nothing that can be given: a status, and what is wrong.
    Refused(u16, &'static str),
    /// It is not known yet.
    Unfinished,
}

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const ICON: &str = include_str!("icon.svg");
const SCRIPT: &str = include_str!("page.js");

/// Reads the request that `bytes` begin with, for the server at `address`.
pub(super) fn read(bytes: &[u8], address: SocketAddr) -> Asked {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = Request::new(&mut headers);
    let head = match request.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if bytes.len() < MAX_REQUEST => return Asked::Unfinished,
        Ok(Status::Partial) => return Asked::Refused(431, "the request is too long"),
        Err(_) => return Asked::Refused(400, "this is no HTTP request"),
    };
    let header = |name: &str| {
        let mut all = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        let first = all.next().and_then(|header| std::str::from_utf8(header.value).ok());
        // Two of them would leave it open which one counts.
        first.filter(|_| all.next().is_none())
    };
    let ours = |host: &str| {
        let port = address.port();
        host == address.to_string() || host == format!("localhost:{port}")
    };
    if !header("host").is_some_and(ours) {
        return Asked::Refused(421, "this server has another name");
    }
    match (request.method, request.path) {
        (Some("GET"), Some("/")) => Asked::File("text/html; charset=utf-8", PAGE),
        (Some("GET"), Some("/page.css")) => Asked::File("text/css; charset=utf-8", STYLE),
        (Some("GET"), Some("/page.js")) => Asked::File("text/javascript; charset=utf-8", SCRIPT),
        (Some("GET"), Some("/icon.svg")) => Asked::File("image/svg+xml", ICON),
        (Some("GET"), Some("/events")) => Asked::Events,
        (Some("POST"), Some("/act")) => {
            if !header("origin").and_then(|origin| origin.strip_prefix("http://")).is_some_and(ours) {
                return Asked::Refused(403, "only the page itself may act");
            }
            let length = header("content-length").and_then(|length| length.parse::<usize>().ok());
            let Some(length) = length.filter(|length| *length <= MAX_REQUEST) else {
                return Asked::Refused(411, "how long is it?");
            };
            match bytes[head..].get(..length) {
                Some(body) => act(body),
                None => Asked::Unfinished,
            }
        }
        (Some("GET"), _) => Asked::Refused(404, "there is no such thing here"),
        _ => Asked::Refused(405, "nothing else can be done here"),
    }
}

fn act(body: &[u8]) -> Asked {
    let Ok(serde_json::Value::Object(asked)) = serde_json::from_slice(body) else {
        return Asked::Refused(400, "this is no act");
    };
    let text = asked.get("text").and_then(|text| text.as_str()).filter(|text| text.len() <= MAX_TYPED);
    let number = asked.get("pin").and_then(|pin| pin.as_u64()).and_then(|pin| usize::try_from(pin).ok());
    Asked::Act(match (asked.get("act").and_then(|act| act.as_str()), text, number) {
        (Some("reset"), ..) => Act::Reset,
        (Some("power"), ..) => Act::Power,
        (Some("pause"), ..) => Act::Pause,
        (Some("faster"), ..) => Act::Faster,
        (Some("slower"), ..) => Act::Slower,
        (Some("press"), _, Some(pin)) => Act::Press(pin),
        (Some("type"), Some(text), _) => Act::Type(format!("{text}\n").into_bytes()),
        _ => return Asked::Refused(400, "this is no act"),
    })
}
