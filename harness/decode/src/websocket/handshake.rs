//! The opening handshake (RFC 6455 section 4), right or wrong.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::response::Response;

/// Section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The `Sec-WebSocket-Accept` that answers this `Sec-WebSocket-Key` (section 4.2.2, item 5.4).
pub fn accept_for(key: &str) -> String {
    let mut sha1 = sha1_smol::Sha1::new();
    sha1.update(key.trim().as_bytes());
    sha1.update(GUID);
    STANDARD.encode(sha1.digest().bytes())
}

/// The `Sec-WebSocket-Key` of this nonce (section 4.1, item 7). Nothing here is random: a run is
/// repeated with the same nonce.
pub fn key_of(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// A client's handshake request. Correct as [`Handshake::new`] gives it; every part can be changed
/// or left out.
///
/// Values are sent as they are, line breaks included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handshake {
    /// `GET`, if the server is to accept it.
    pub method: String,
    /// The request target, for example `/ws`.
    pub path: String,
    /// `HTTP/1.1` or later.
    pub http_version: String,
    /// `Host`.
    pub host: Option<String>,
    /// `Upgrade`.
    pub upgrade: Option<String>,
    /// `Connection`.
    pub connection: Option<String>,
    /// `Sec-WebSocket-Key`: 16 bytes in base64.
    pub key: Option<String>,
    /// `Sec-WebSocket-Version`.
    pub version: Option<String>,
    /// Further headers in their order, after the others.
    pub headers: Vec<(String, String)>,
}

impl Handshake {
    /// A correct request for `path` on `host`, with a key made of `nonce`.
    pub fn new(host: impl Into<String>, path: impl Into<String>, nonce: [u8; 16]) -> Self {
        Handshake {
            method: "GET".to_owned(),
            path: path.into(),
            http_version: "HTTP/1.1".to_owned(),
            host: Some(host.into()),
            upgrade: Some("websocket".to_owned()),
            connection: Some("Upgrade".to_owned()),
            key: Some(key_of(nonce)),
            version: Some("13".to_owned()),
            headers: Vec::new(),
        }
    }

    /// With another header after the others.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The request's bytes, with the empty line at the end.
    pub fn request(&self) -> Vec<u8> {
        let mut text = format!("{} {} {}\r\n", self.method, self.path, self.http_version);
        let named = [
            ("Host", &self.host),
            ("Upgrade", &self.upgrade),
            ("Connection", &self.connection),
            ("Sec-WebSocket-Key", &self.key),
            ("Sec-WebSocket-Version", &self.version),
        ];
        let named = named.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        let more = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in named.chain(more) {
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    /// What is wrong with a 101 answer to this request (section 4.1, "Once the client's opening
    /// handshake has been sent", items 2 to 6). Empty if nothing is.
    pub fn faults_of(&self, response: &Response) -> Vec<HandshakeFault> {
        let mut faults = Vec::new();
        match response.header("upgrade") {
            Some(value) if value.trim().eq_ignore_ascii_case("websocket") => {}
            found => faults.push(HandshakeFault::Upgrade { found: found.map(str::to_owned) }),
        }
        if !response.tokens("connection").any(|token| token.eq_ignore_ascii_case("upgrade")) {
            let found = response.header("connection").map(str::to_owned);
            faults.push(HandshakeFault::Connection { found });
        }
        let expected = accept_for(self.key.as_deref().unwrap_or_default());
        match response.header("sec-websocket-accept") {
            Some(value) if value.trim() == expected => {}
            found => faults.push(HandshakeFault::Accept { expected, found: found.map(str::to_owned) }),
        }
        for (answer, offer) in [
            ("sec-websocket-extensions", "Sec-WebSocket-Extensions"),
            ("sec-websocket-protocol", "Sec-WebSocket-Protocol"),
        ] {
            let offered = |token: &str| {
                // An extension is known by its name; its parameters are the server's to choose.
                let name = token.split(';').next().unwrap_or_default().trim();
                self.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(offer)).any(
                    |(_, value)| {
                        value.split(',').any(|item| item.split(';').next().unwrap_or_default().trim() == name)
                    },
                )
            };
            if let Some(found) = response.tokens(answer).find(|token| !offered(token)) {
                faults.push(HandshakeFault::NotOffered { header: offer, found: found.to_owned() });
            }
        }
        faults
    }
}

/// Why a 101 answer must not be accepted by a client (RFC 6455 section 4.1).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HandshakeFault {
    /// Item 2.
    #[error("header Upgrade of the 101 answer is {found:?}; it must be `websocket` (section 4.2.2)")]
    Upgrade {
        /// What it is.
        found: Option<String>,
    },
    /// Item 3.
    #[error("header Connection of the 101 answer is {found:?}; it must contain `Upgrade` (section 4.2.2)")]
    Connection {
        /// What it is.
        found: Option<String>,
    },
    /// Item 4.
    #[error(
        "header Sec-WebSocket-Accept of the 101 answer is {found:?}; the key asks for `{expected}` (section 4.2.2)"
    )]
    Accept {
        /// What the key asks for.
        expected: String,
        /// What it is.
        found: Option<String>,
    },
    /// Items 5 and 6.
    #[error(
        "header {header} of the 101 answer selects `{found}`, which was not offered; leave it out (section 4.2.2)"
    )]
    NotOffered {
        /// Name of the header.
        header: &'static str,
        /// What was selected.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and answer of RFC 6455 section 1.3.
    #[test]
    fn rfc_key() {
        assert_eq!(accept_for("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(key_of(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ==");
    }

    #[test]
    fn request_text() {
        let request = Handshake::new("k1.local", "/ws", *b"the sample nonce").header("Origin", "null");
        assert_eq!(
            String::from_utf8(request.request()).unwrap(),
            "GET /ws HTTP/1.1\r\nHost: k1.local\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: null\r\n\r\n"
        );
        let bare = Handshake { key: None, host: None, version: Some("8".to_owned()), ..request };
        let text = String::from_utf8(bare.request()).unwrap();
        assert!(!text.contains("Key") && !text.contains("Host") && text.contains("Version: 8"));
    }

    fn faults(head: &str, request: &Handshake) -> Vec<HandshakeFault> {
        request.faults_of(&Response::parse(head.as_bytes()).unwrap())
    }

    #[test]
    fn good_answers() {
        let request = Handshake::new("h", "/", *b"the sample nonce");
        let head = "HTTP/1.1 101 Switching Protocols\r\nuPGRADE: WebSocket\r\nConnection: keep-alive, upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert_eq!(faults(head, &request), []);
        let offering = request.header("sec-websocket-protocol", "tlv, chat");
        let head = head.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n");
        assert_eq!(faults(&head, &offering), []);
    }

    #[test]
    fn every_fault_is_named() {
        let request = Handshake::new("h", "/", *b"the sample nonce");
        let head = "HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: close\r\nSec-WebSocket-Accept: nonsense\r\n\
                    Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
        let messages: Vec<String> = faults(head, &request).iter().map(ToString::to_string).collect();
        assert_eq!(messages.len(), 5);
        assert!(messages[2].contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(messages[3].contains("permessage-deflate"));
        assert_eq!(faults("HTTP/1.1 101 X\r\n\r\n", &request).len(), 3);
    }
}
