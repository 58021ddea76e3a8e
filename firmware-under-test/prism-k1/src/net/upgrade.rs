//! The HTTP request that opens a WebSocket (RFC 6455 section 4.2). Pure functions.

use core::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use edge_http::ws::{MAX_BASE64_KEY_RESPONSE_LEN, sec_key_response};

use crate::defect::{self, Defect};

/// Header fields that a request may have at most.
const FIELDS_MAX: usize = 32;

/// The paths that serve both profiles: the seed's and the interoperability profile's
/// (specification section 11 row 3).
pub const PATHS: [&str; 2] = ["/", "/ws"];

/// The path that sends messages back.
#[cfg(feature = "echo")]
pub const ECHO_PATH: &str = "/echo";

/// What is behind a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// Patterns and commands.
    Protocol,
    /// The messages themselves.
    #[cfg(feature = "echo")]
    Echo,
}

impl Service {
    fn of(path: &str) -> Option<Self> {
        match path {
            #[cfg(feature = "echo")]
            ECHO_PATH => Some(Self::Echo),
            path if PATHS.contains(&path) => Some(Self::Protocol),
            _ => None,
        }
    }
}

/// Why a request does not open a WebSocket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rejection {
    /// 400: not HTTP/1.1, or a field is missing or malformed.
    BadRequest,
    /// 404: no such path.
    NotFound,
    /// 405: another method than GET.
    MethodNotAllowed,
    /// 408: the request did not arrive in time.
    Timeout,
    /// 426: no request for a WebSocket, or for another version of it than 13.
    UpgradeRequired,
    /// 431: longer than the receive buffer or more than 32 fields.
    TooLarge,
    /// 503: both client slots are taken, or the pools are empty.
    Unavailable,
}

impl Rejection {
    /// The whole HTTP response.
    #[must_use]
    pub fn response(self) -> &'static str {
        match self {
            Self::BadRequest => "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            Self::NotFound => "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            Self::MethodNotAllowed => {
                "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            }
            Self::Timeout => "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            Self::UpgradeRequired if defect::present(Defect::VersionUnnamed) => {
                "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\
                 Content-Length: 0\r\n\r\n"
            }
            Self::UpgradeRequired => {
                "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Connection: Upgrade, close\r\nContent-Length: 0\r\n\r\n"
            }
            Self::TooLarge => {
                "HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            }
            Self::Unavailable => {
                "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            }
        }
    }
}

/// A request that opens a WebSocket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upgrade {
    /// Bytes of the request; what follows them is WebSocket already.
    pub head_len: usize,
    /// What it asks for.
    pub service: Service,
    accept: heapless::String<MAX_BASE64_KEY_RESPONSE_LEN>,
}

impl Upgrade {
    /// The whole 101 response.
    #[must_use]
    pub fn response(&self) -> heapless::String<160> {
        let mut response = heapless::String::new();
        let more = match defect::present(Defect::SubprotocolUnasked) {
            true => "Sec-WebSocket-Protocol: tlv\r\n",
            false => "",
        };
        // 129 characters, so nothing is cut.
        let _ = write!(
            response,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n{more}\r\n",
            self.accept
        );
        response
    }
}

/// Reads what has arrived of a request. `Ok(None)` while more is needed.
///
/// # Errors
///
/// The [`Rejection`] to answer, as soon as it is certain.
pub fn parse(received: &[u8]) -> Result<Option<Upgrade>, Rejection> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let head_len = match request.parse(received) {
        Ok(httparse::Status::Complete(head_len)) => head_len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Rejection::TooLarge),
        Err(_) => return Err(Rejection::BadRequest),
    };
    let path = match request.path.unwrap_or_default() {
        target if path_of(target) != target && defect::present(Defect::TargetTakenLiterally) => target,
        target => path_of(target),
    };
    let service = match Service::of(path) {
        Some(_) if path == "/" && defect::present(Defect::RootPathMissing) => None,
        service => service,
    };
    let Some(service) = service else {
        return Err(Rejection::NotFound);
    };
    let lax = || defect::present(Defect::HeadUnchecked);
    if request.method != Some("GET") && !lax() {
        return Err(Rejection::MethodNotAllowed);
    }
    if request.version != Some(1) && !lax() {
        return Err(Rejection::BadRequest);
    }
    let values = |name: &'static str| {
        let fields = request.headers.iter();
        fields
            .filter(move |field| {
                let differs = field.name != name;
                field.name.eq_ignore_ascii_case(name)
                    && !(differs && defect::present(Defect::FieldNamesCaseSensitive))
            })
            .map(|field| field.value.trim_ascii())
    };
    let lists = |name, token: &str| {
        values(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    };
    // RFC 9112 section 3.2: one, whatever it says. The device has no other name to tell apart.
    if values("Host").count() != 1 && !lax() {
        return Err(Rejection::BadRequest);
    }
    let is_whole = |name, token: &str| values(name).any(|value| value == token.as_bytes());
    let upgrades = lists("Upgrade", "websocket")
        && lists("Connection", "upgrade")
        && (is_whole("Upgrade", "websocket") && is_whole("Connection", "Upgrade")
            || !defect::present(Defect::TokensComparedWhole));
    if !upgrades && !lax() {
        return Err(Rejection::UpgradeRequired);
    }
    let mut versions = values("Sec-WebSocket-Version");
    if (versions.next() != Some(b"13") || versions.next().is_some())
        && !defect::present(Defect::WebSocketVersionUnchecked)
    {
        return Err(Rejection::UpgradeRequired);
    }
    let mut keys = values("Sec-WebSocket-Key");
    let (Some(key), more) = (keys.next(), keys.next()) else {
        return Err(Rejection::BadRequest);
    };
    // RFC 6455 section 4.2.1 item 5: 16 bytes when decoded.
    let mut nonce = [0; 18];
    let valid = more.is_none() && matches!(STANDARD.decode_slice(key, &mut nonce), Ok(16));
    if !valid && !defect::present(Defect::KeyUnchecked) {
        return Err(Rejection::BadRequest);
    }
    let key = core::str::from_utf8(key).map_err(|_| Rejection::BadRequest)?;
    let mut digest = [0; MAX_BASE64_KEY_RESPONSE_LEN];
    let accept = match defect::present(Defect::AcceptIsKey) {
        true => key,
        false => sec_key_response(key, &mut digest),
    };
    let accept = heapless::String::try_from(accept).map_err(|_| Rejection::BadRequest)?;
    Ok(Some(Upgrade { head_len, service, accept }))
}

/// The path of a request's target, which may be a whole URI (RFC 9112 section 3.2.2).
pub(super) fn path_of(target: &str) -> &str {
    const SCHEME: &str = "http://";
    let local = match target.get(..SCHEME.len()) {
        Some(scheme) if scheme.eq_ignore_ascii_case(SCHEME) => {
            let rest = &target[SCHEME.len()..];
            rest.find(['/', '?']).map_or("", |at| &rest[at..])
        }
        _ => target,
    };
    let path = local.split_once('?').map_or(local, |(path, _query)| path);
    // A URI without a path means the root.
    if path.is_empty() && local.len() < target.len() { "/" } else { path }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};

    use super::*;

    const GOOD: &str = "GET /ws HTTP/1.1\r\nHost: k1\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

    fn rejection(request: &str) -> Rejection {
        parse(request.as_bytes()).unwrap_err()
    }

    #[test]
    fn the_example_of_rfc_6455_section_1_3_is_accepted() {
        let upgrade = parse(GOOD.as_bytes()).unwrap().unwrap();
        assert_eq!(upgrade.head_len, GOOD.len());
        let response = upgrade.response();
        assert!(response.starts_with("HTTP/1.1 101 "));
        assert!(
            response.ends_with("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"),
            "{response}"
        );
        for path in ["/", "/?x=1", "/ws?y", "http://k1/ws", "HTTP://k1:80/", "http://k1", "http://k1?x"] {
            assert!(parse(GOOD.replace("/ws", path).as_bytes()).is_ok());
        }
    }

    #[test]
    fn a_request_may_arrive_in_any_pieces() {
        for len in 0..GOOD.len() {
            assert_eq!(parse(&GOOD.as_bytes()[..len]), Ok(None), "{len}");
        }
        assert_eq!(parse((GOOD.to_string() + "\u{82}").as_bytes()).unwrap().unwrap().head_len, GOOD.len());
    }

    #[test]
    fn other_requests_are_rejected_with_their_status() {
        assert_eq!(rejection(&GOOD.replace("GET", "POST")), Rejection::MethodNotAllowed);
        for path in ["/metrics", "*", "", "http://k1/metrics", "http:/ws", "/ws/", "//ws"] {
            let expected = if path.is_empty() { Rejection::BadRequest } else { Rejection::NotFound };
            assert_eq!(rejection(&GOOD.replace("/ws", path)), expected, "{path}");
        }
        assert_eq!(rejection(&GOOD.replace("Host: k1\r\n", "")), Rejection::BadRequest);
        assert_eq!(
            rejection(&GOOD.replace("Host: k1\r\n", "Host: k1\r\nhost: k2\r\n")),
            Rejection::BadRequest
        );
        assert_eq!(rejection(&GOOD.replace("HTTP/1.1", "HTTP/1.0")), Rejection::BadRequest);
        assert_eq!(rejection(&GOOD.replace("Version: 13", "Version: 8")), Rejection::UpgradeRequired);
        assert_eq!(rejection(&GOOD.replace("Sec-WebSocket-Version: 13\r\n", "")), Rejection::UpgradeRequired);
        assert_eq!(rejection(&GOOD.replace("Upgrade: websocket\r\n", "")), Rejection::UpgradeRequired);
        assert_eq!(rejection(&GOOD.replace(", Upgrade", "")), Rejection::UpgradeRequired);
        assert_eq!(rejection(&GOOD.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhl")), Rejection::BadRequest);
        assert_eq!(rejection(&GOOD.replace("dGhlIHNhbXBsZSBub25jZQ==", "!")), Rejection::BadRequest);
        assert_eq!(
            rejection(&GOOD.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "")),
            Rejection::BadRequest
        );
        assert_eq!(rejection("\u{1}\u{2}\u{3}"), Rejection::BadRequest);
        let many: String = (0..40).map(|_| "A: b\r\n").collect();
        assert_eq!(rejection(&GOOD.replace("Host: k1\r\n", &many)), Rejection::TooLarge);
    }

    #[cfg(not(feature = "echo"))]
    #[test]
    fn there_is_no_echo_in_a_release_image() {
        assert_eq!(rejection(&GOOD.replace("/ws", "/echo")), Rejection::NotFound);
    }

    #[cfg(feature = "echo")]
    #[test]
    fn the_echo_has_a_path_of_its_own() {
        let service = |path| parse(GOOD.replace("/ws", path).as_bytes()).unwrap().unwrap().service;
        assert_eq!(service("/echo"), Service::Echo);
        assert_eq!((service("/"), service("/ws")), (Service::Protocol, Service::Protocol));
    }

    #[test]
    fn every_rejection_is_a_complete_response() {
        use Rejection::*;
        for rejection in
            [BadRequest, NotFound, MethodNotAllowed, Timeout, UpgradeRequired, TooLarge, Unavailable]
        {
            let mut fields = [httparse::EMPTY_HEADER; 8];
            let mut response = httparse::Response::new(&mut fields);
            let text = rejection.response();
            assert_eq!(response.parse(text.as_bytes()), Ok(httparse::Status::Complete(text.len())));
        }
    }
}
