//! The schema of the files of rows.

use std::collections::BTreeMap;
use std::time::Duration;

use rigor_core::requirement::Class;
use rigor_decode::websocket::Opcode;
use serde::Deserialize;
use toml::Spanned;

use super::{
    Answer, By, Closing, Count, Delivery, Ending, Frame, Group, Item, Length, Mask, Payload, Request, Row,
    SCHEMA, Status, Step, TableError,
};

/// Larger files are no table, in bytes.
const MAX_FILE: usize = 1 << 20;
/// Filler beyond this many bytes is a slip of the pen.
const MAX_FILLER: i64 = 1 << 20;
/// The longest title of a row: `, close` follows it in a column of the terminal's table.
const MAX_TITLE: usize = 33;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    schema: Spanned<i64>,
    clause: Spanned<String>,
    title: String,
    rule: Spanned<String>,
    row: Vec<Spanned<RawRow>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRow {
    number: u8,
    title: String,
    #[serde(default = "must")]
    class: Class,
    reading: Option<String>,
    #[serde(default)]
    request: RawRequest,
    cut: Option<usize>,
    #[serde(default)]
    together: bool,
    #[serde(default)]
    early: bool,
    #[serde(default)]
    send: Vec<RawStep>,
    answer: Option<RawAnswer>,
    #[serde(default)]
    expect: Vec<RawItem>,
    #[serde(default)]
    tolerate: Vec<Vec<RawItem>>,
    close: Option<RawClosing>,
}

fn must() -> Class {
    Class::Must
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawRequest {
    method: Option<String>,
    target: Option<String>,
    version: Option<String>,
    #[serde(default)]
    without: Vec<String>,
    #[serde(default)]
    set: BTreeMap<String, String>,
    #[serde(default)]
    lines: Vec<String>,
    #[serde(default)]
    pad: usize,
    #[serde(default)]
    cut: usize,
    raw: Option<RawPayload>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a text, `{ hex = \"..\" }`, `{ octets = 5 }`, or a list of them")]
enum RawPayload {
    Text(String),
    Spec(RawSpec),
    Parts(Vec<RawPayload>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSpec {
    hex: Option<String>,
    octets: Option<RawCount>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a number of octets, or `\"limit\"`, `\"limit+1\"`")]
enum RawCount {
    Number(i64),
    Word(String),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a code, `\"empty\"`, or a payload")]
enum RawClose {
    Code(u16),
    Other(RawPayload),
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawStep {
    text: Option<RawPayload>,
    binary: Option<RawPayload>,
    #[serde(rename = "continue")]
    continuation: Option<RawPayload>,
    ping: Option<RawPayload>,
    pong: Option<RawPayload>,
    close: Option<RawClose>,
    reason: Option<RawPayload>,
    opcode: Option<u8>,
    payload: Option<RawPayload>,
    fin: Option<bool>,
    rsv: Option<u8>,
    mask: Option<RawMask>,
    length: Option<RawLength>,
    raw: Option<String>,
    pause_ms: Option<u64>,
    tcp: Option<RawTcp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawMask {
    Zero,
    None,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "16 or 64, or `{ claims = \"8000000000000000\" }` in hexadecimal")]
enum RawLength {
    Bits(u8),
    Claims { claims: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawTcp {
    Finish,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawItem {
    text: Option<RawPayload>,
    binary: Option<RawPayload>,
    pong: Option<RawPayload>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnswer {
    ok: Vec<RawStatus>,
    #[serde(default)]
    tolerate: Vec<RawStatus>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    absent: Vec<String>,
    #[serde(default)]
    chosen: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a status code, a hundred such as `\"4xx\"`, or `\"drop\"`")]
enum RawStatus {
    Code(u16),
    Word(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClosing {
    by: RawBy,
    ok: Vec<RawEnding>,
    tolerate: Option<Vec<RawEnding>>,
    #[serde(default)]
    mute: bool,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum RawBy {
    Client,
    Row,
    Server,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a close code, `\"empty\"`, `\"drop\"` or `\"open\"`")]
enum RawEnding {
    Code(u16),
    Word(String),
}

/// Where something is wrong.
struct Place<'a> {
    file: &'a str,
    text: &'a str,
}

impl Place<'_> {
    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    fn error(&self, offset: usize, wrong: Wrong) -> TableError {
        let Wrong { what, instead } = wrong;
        TableError { file: self.file.to_owned(), line: self.line(offset), what, instead }
    }
}

/// What is wrong, and what to write instead.
struct Wrong {
    what: String,
    instead: String,
}

fn wrong<T>(what: impl Into<String>, instead: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { what: what.into(), instead: instead.into() })
}

pub(super) fn parse(file: &str, text: &str) -> Result<Group, TableError> {
    let place = Place { file, text };
    let at = |offset: usize| move |wrong| Place { file, text }.error(offset, wrong);
    if text.len() > MAX_FILE {
        return wrong("more than 1 MiB is no table", "keep it below 1 MiB").map_err(at(0));
    }
    let raw: RawGroup = toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        let what = error.message().replace('\n', " ");
        place.error(offset, Wrong { what, instead: "suites/websocket/README.md lists all keys".to_owned() })
    })?;
    if *raw.schema.get_ref() != SCHEMA {
        let what = format!("schema {} is unknown", raw.schema.get_ref());
        return wrong(what, format!("write `schema = {SCHEMA}`")).map_err(at(raw.schema.span().start));
    }
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !raw.clause.get_ref().split('.').all(number) {
        let what = format!("`clause` is {:?}", raw.clause.get_ref());
        return wrong(what, "write a section of RFC 6455, as in `5.5.1`")
            .map_err(at(raw.clause.span().start));
    }
    if !raw.rule.get_ref().ends_with('.') {
        let instead = "say what the section asks of a server, and end with a full stop";
        return wrong("`rule` is no sentence", instead).map_err(at(raw.rule.span().start));
    }
    let mut rows: Vec<Row> = Vec::new();
    for entry in raw.row {
        let offset = entry.span().start;
        let row = row(entry.into_inner(), place.line(offset)).map_err(at(offset))?;
        if rows.iter().any(|known| known.number == row.number || known.title == row.title) {
            let what = format!("row {} `{}`: the number or the title is taken", row.number, row.title);
            return wrong(what, "write another; numbers are never reused").map_err(at(offset));
        }
        rows.push(row);
    }
    if rows.is_empty() {
        return wrong("no row", "write at least one `[[row]]`").map_err(at(0));
    }
    Ok(Group {
        file: file.to_owned(),
        clause: raw.clause.into_inner(),
        title: raw.title,
        rule: raw.rule.into_inner(),
        rows,
    })
}

fn row(raw: RawRow, line: usize) -> Result<Row, Wrong> {
    if !(1..=99).contains(&raw.number) {
        return wrong(format!("`number` is {}", raw.number), "write 1 to 99");
    }
    if raw.title.is_empty() || raw.title.chars().count() > MAX_TITLE || !raw.title.is_ascii() {
        let instead = format!("write 1 to {MAX_TITLE} ASCII characters");
        return wrong(format!("`title` is {:?}", raw.title), instead);
    }
    let delivery = match (raw.cut, raw.together, raw.early) {
        (None, false, false) => Delivery::Frames,
        (None, true, false) => Delivery::Together,
        (None, false, true) => Delivery::Early,
        (Some(octets @ 1..), false, false) => Delivery::Pieces(octets),
        _ => return wrong("more than one of `cut`, `together` and `early`, or `cut = 0`", "write one"),
    };
    let answer = match raw.answer {
        Some(answer) => Answer {
            ok: answer.ok.into_iter().map(status).collect::<Result<_, _>>()?,
            tolerate: answer.tolerate.into_iter().map(status).collect::<Result<_, _>>()?,
            headers: answer.headers.into_iter().collect(),
            absent: answer.absent,
            chosen: answer.chosen,
        },
        None => Answer {
            ok: vec![Status::Code(101)],
            tolerate: Vec::new(),
            headers: Vec::new(),
            absent: Vec::new(),
            chosen: Vec::new(),
        },
    };
    if answer.ok.is_empty() {
        return wrong("`answer.ok` is empty", "write what the handshake is to be answered with");
    }
    Ok(Row {
        number: raw.number,
        title: raw.title,
        class: raw.class,
        reading: raw.reading,
        request: Request {
            method: raw.request.method,
            target: raw.request.target,
            version: raw.request.version,
            without: raw.request.without,
            set: raw.request.set.into_iter().collect(),
            lines: raw.request.lines,
            pad: raw.request.pad,
            cut: raw.request.cut,
            raw: match raw.request.raw {
                None => None,
                Some(RawPayload::Text(text)) => Some(text.into_bytes()),
                Some(RawPayload::Spec(RawSpec { hex: Some(hex), octets: None })) => Some(octets(&hex)?),
                Some(_) => return wrong("`request.raw` is no bytes", "write a text or `{ hex = \"..\" }`"),
            },
        },
        delivery,
        steps: raw.send.into_iter().map(step).collect::<Result<_, _>>()?,
        answer,
        expect: items(raw.expect)?,
        tolerate: raw.tolerate.into_iter().map(items).collect::<Result<_, _>>()?,
        close: closing(raw.close)?,
        line,
    })
}

fn items(raw: Vec<RawItem>) -> Result<Vec<Item>, Wrong> {
    raw.into_iter()
        .map(|raw| match (raw.text, raw.binary, raw.pong) {
            (Some(text), None, None) => Ok(Item::Text(payload(text)?)),
            (None, Some(binary), None) => Ok(Item::Binary(payload(binary)?)),
            (None, None, Some(pong)) => Ok(Item::Pong(payload(pong)?)),
            _ => wrong("an expectation is not one thing", "write one of `text`, `binary` and `pong`"),
        })
        .collect()
}

fn closing(raw: Option<RawClosing>) -> Result<Closing, Wrong> {
    let Some(raw) = raw else {
        // What every conversation ends with unless the row says otherwise.
        let (ok, tolerate) = (vec![Ending::Code(1000)], vec![Ending::Empty]);
        return Ok(Closing { by: By::Client, ok, tolerate, mute: false });
    };
    let (by, lenient) = match raw.by {
        RawBy::Client => (By::Client, Ending::Empty),
        RawBy::Row => (By::Row, Ending::Empty),
        RawBy::Server => (By::Server, Ending::Drop),
    };
    let ok: Vec<Ending> = raw.ok.into_iter().map(ending).collect::<Result<_, _>>()?;
    if ok.is_empty() {
        return wrong("`close.ok` is empty", "write how the connection is to end");
    }
    let tolerate = match raw.tolerate {
        Some(tolerate) => tolerate.into_iter().map(ending).collect::<Result<_, _>>()?,
        None => vec![lenient],
    };
    Ok(Closing { by, ok, tolerate, mute: raw.mute })
}

fn ending(raw: RawEnding) -> Result<Ending, Wrong> {
    match raw {
        RawEnding::Code(code) => Ok(Ending::Code(code)),
        RawEnding::Word(word) => match word.as_str() {
            "empty" => Ok(Ending::Empty),
            "drop" => Ok(Ending::Drop),
            "open" => Ok(Ending::Open),
            _ => wrong(format!("`{word}` is no ending"), "write a code, `empty`, `drop` or `open`"),
        },
    }
}

fn status(raw: RawStatus) -> Result<Status, Wrong> {
    match raw {
        RawStatus::Code(code) => Ok(Status::Code(code)),
        RawStatus::Word(word) => match word.as_bytes() {
            b"drop" => Ok(Status::Drop),
            [digit @ b'1'..=b'5', b'x', b'x'] => Ok(Status::Class(u16::from(digit - b'0') * 100)),
            _ => wrong(format!("`{word}` is no answer"), "write a status code, `4xx` or `drop`"),
        },
    }
}

fn payload(raw: RawPayload) -> Result<Payload, Wrong> {
    match raw {
        RawPayload::Text(text) => Ok(Payload::Text(text)),
        RawPayload::Parts(parts) => {
            Ok(Payload::Parts(parts.into_iter().map(payload).collect::<Result<_, _>>()?))
        }
        RawPayload::Spec(RawSpec { hex: Some(hex), octets: None }) => Ok(Payload::Octets(octets(&hex)?)),
        RawPayload::Spec(RawSpec { hex: None, octets: Some(raw) }) => Ok(Payload::Filler(count(raw)?)),
        RawPayload::Spec(_) => wrong("a payload is not one thing", "write `hex` or `octets`"),
    }
}

fn count(raw: RawCount) -> Result<Count, Wrong> {
    match raw {
        RawCount::Number(number) => match usize::try_from(number) {
            Ok(exactly) if number <= MAX_FILLER => Ok(Count::Exactly(exactly)),
            _ => wrong(format!("`octets` is {number}"), format!("write 0 to {MAX_FILLER}")),
        },
        RawCount::Word(word) => {
            let delta = match word.strip_prefix("limit") {
                Some("") => Some(0),
                Some(delta) if delta.starts_with(['+', '-']) => delta.parse().ok(),
                _ => None,
            };
            match delta {
                Some(delta @ -65_536..=65_536) => Ok(Count::Limit(delta)),
                _ => wrong(format!("`octets` is `{word}`"), "write a number, `limit` or `limit+1`"),
            }
        }
    }
}

/// Bytes in hexadecimal; blanks do not count.
fn octets(hex: &str) -> Result<Vec<u8>, Wrong> {
    let digits: Option<Vec<u8>> = hex
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    match digits {
        Some(digits) if digits.len().is_multiple_of(2) => {
            Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
        }
        _ => wrong(format!("`{hex}` is not bytes in hexadecimal"), "write two digits for each byte"),
    }
}

fn step(raw: RawStep) -> Result<Step, Wrong> {
    let decorated = raw.fin.is_some() || raw.rsv.is_some() || raw.mask.is_some() || raw.length.is_some();
    let others = [raw.raw.is_some(), raw.pause_ms.is_some(), raw.tcp.is_some()];
    if others.contains(&true) {
        let frame = decorated || raw.opcode.is_some() || raw.payload.is_some() || raw.reason.is_some();
        if frame || others.iter().filter(|there| **there).count() > 1 {
            return wrong("a step is not one thing", "give each step a table of its own");
        }
    }
    if let Some(hex) = raw.raw {
        return Ok(Step::Raw(octets(&hex)?));
    }
    if let Some(milliseconds) = raw.pause_ms {
        return Ok(Step::Pause(Duration::from_millis(milliseconds)));
    }
    if let Some(RawTcp::Finish) = raw.tcp {
        return Ok(Step::Finish);
    }
    let mut frames = Vec::new();
    for (opcode, raw) in [
        (Opcode::TEXT, raw.text),
        (Opcode::BINARY, raw.binary),
        (Opcode::CONTINUATION, raw.continuation),
        (Opcode::PING, raw.ping),
        (Opcode::PONG, raw.pong),
    ] {
        if let Some(raw) = raw {
            frames.push(Frame::new(opcode, payload(raw)?));
        }
    }
    if let Some(number) = raw.opcode {
        let raw = raw.payload.unwrap_or(RawPayload::Text(String::new()));
        frames.push(Frame::new(Opcode::new(number), payload(raw)?));
    }
    match (raw.close, raw.reason) {
        (Some(RawClose::Code(code)), reason) => {
            let reason = payload(reason.unwrap_or(RawPayload::Text(String::new())))?;
            frames.push(Frame { code: Some(code), ..Frame::new(Opcode::CLOSE, reason) });
        }
        (Some(RawClose::Other(RawPayload::Text(word))), None) if word == "empty" => {
            frames.push(Frame::new(Opcode::CLOSE, Payload::Octets(Vec::new())));
        }
        (Some(RawClose::Other(body)), None) => frames.push(Frame::new(Opcode::CLOSE, payload(body)?)),
        (None, None) => {}
        _ => return wrong("`reason` without a code", "write `close = 1000` beside it"),
    }
    let mut frames = frames.into_iter();
    let (Some(mut frame), None) = (frames.next(), frames.next()) else {
        return wrong(
            "a step is not one frame",
            "write one of `text`, `binary`, `continue`, `ping`, `pong`, `close` and `opcode`",
        );
    };
    frame.fin = raw.fin.unwrap_or(true);
    frame.rsv = raw.rsv.unwrap_or(0);
    if frame.rsv > 7 {
        return wrong(
            format!("`rsv` is {}", frame.rsv),
            "write 4 for RSV1, 2 for RSV2, 1 for RSV3, or a sum",
        );
    }
    frame.mask = match raw.mask {
        None => Mask::Key,
        Some(RawMask::Zero) => Mask::Zero,
        Some(RawMask::None) => Mask::Unmasked,
    };
    frame.length = match raw.length {
        None => Length::Minimal,
        Some(RawLength::Bits(16)) => Length::Bits16,
        Some(RawLength::Bits(64)) => Length::Bits64,
        Some(RawLength::Bits(bits)) => return wrong(format!("`length` is {bits}"), "write 16 or 64"),
        Some(RawLength::Claims { claims }) => match u64::from_str_radix(&claims, 16) {
            Ok(claims) => Length::Claims(claims),
            Err(_) => return wrong(format!("`claims` is `{claims}`"), "write up to 16 hexadecimal digits"),
        },
    };
    Ok(Step::Frame(frame))
}
