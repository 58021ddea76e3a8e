//! A browser in few lines (RFC 9112): one plain request on a connection of its own, and its answer.

use std::fmt;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::verdict::Blame;
use rigor_runner::need::{Net, Received, Tcp};

use crate::kit;
use crate::tlv::Profile;

/// An answer is complete within this long (our bound): settings have to be written first.
pub const REPLY_LIMIT: Duration = Duration::from_secs(5);
/// More than this many bytes of an answer are not kept.
const REPLY_MAX: usize = 64 * 1024;

/// What came back.
#[derive(Clone, PartialEq, Debug)]
pub struct Reply {
    /// The status, if there was an answer at all.
    pub status: Option<u16>,
    /// Status line and fields.
    pub head: String,
    /// What followed.
    pub body: String,
}

/// In few words, for results.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "status {status}"),
            None => f.write_str("no answer"),
        }
    }
}

impl Reply {
    fn read(said: &[u8]) -> Reply {
        let text = String::from_utf8_lossy(said);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut words = head.split(' ');
        let status = match (words.next(), words.next()) {
            (Some("HTTP/1.1" | "HTTP/1.0"), Some(status)) => status.parse().ok(),
            _ => None,
        };
        Reply { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// It was understood and done (RFC 9110, 15.3 and 15.4: a redirection says where to look next).
    pub fn is_success(&self) -> bool {
        self.status.is_some_and(|status| (200..400).contains(&status))
    }

    /// The client is told that it did wrong (RFC 9110, 15.5).
    pub fn is_refusal(&self) -> bool {
        self.status.is_some_and(|status| (400..500).contains(&status))
    }

    /// The value of the first field `name`.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// Connects to the portal's port, which is profile `f`'s (specification, section 4).
///
/// # Errors
/// The product's, if it is not let in.
pub async fn connect(net: &Net) -> Result<Tcp, Blame> {
    net.connect(net.port(Profile::F.service())?, kit::ANSWER_LIMIT).await
}

/// Reads an answer on `tcp`: until the device ends the connection, the length that it has stated is
/// there, or `deadline`. With the instant of the last byte.
pub async fn reply(tcp: &mut Tcp, deadline: Instant) -> (Instant, Reply) {
    let mut said = Vec::new();
    let mut last = deadline;
    while let Some((at, received)) = tcp.receive(deadline).await {
        last = at;
        match received {
            Received::Data(bytes) if said.len() + bytes.len() <= REPLY_MAX => said.extend_from_slice(&bytes),
            Received::Data(_) => {}
            Received::Finished | Received::Reset => break,
        }
        let so_far = Reply::read(&said);
        let stated = so_far.field("Content-Length").and_then(|length| length.parse::<usize>().ok());
        if stated.is_some_and(|stated| so_far.body.len() >= stated) {
            break;
        }
    }
    (last, Reply::read(&said))
}

/// Sends `request` as it is and gives the answer.
///
/// # Errors
/// The product's, if the connection is not accepted.
pub async fn exchange(net: &Net, request: &[u8]) -> Result<Reply, Blame> {
    let mut tcp = connect(net).await?;
    tcp.send(request)?;
    let deadline = tcp.now() + REPLY_LIMIT;
    let (_, reply) = reply(&mut tcp, deadline).await;
    tcp.finish()?;
    Ok(reply)
}

/// A request for a page.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: 192.168.4.1\r\nAccept: text/html\r\n\r\n").into_bytes()
}

/// A form, as a browser sends it: the body is for [`form`] to make.
pub fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 192.168.4.1\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Fields as a form's body (URL Standard, "application/x-www-form-urlencoded serializing").
pub fn form(fields: &[(&str, &str)]) -> Vec<u8> {
    let encode = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b' ' => "+".to_owned(),
                byte if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) => {
                    char::from(byte).to_string()
                }
                byte => format!("%{byte:02X}"),
            })
            .collect()
    };
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    fields.join("&").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded_as_browsers_do() {
        let body = form(&[("ssid", "my café"), ("pass", "a&b=c+d%")]);
        assert_eq!(body, b"ssid=my+caf%C3%A9&pass=a%26b%3Dc%2Bd%25");
    }

    #[test]
    fn answers_are_read() {
        let reply = Reply::read(b"HTTP/1.1 404 Not Found\r\nContent-length:  3\r\n\r\nnope");
        assert_eq!((reply.status, reply.body.as_str()), (Some(404), "nope"));
        assert_eq!(reply.field("Content-Length"), Some("3"));
        assert!(reply.is_refusal() && !reply.is_success());
        assert_eq!(Reply::read(b"\x82\x02OK").status, None);
    }
}
