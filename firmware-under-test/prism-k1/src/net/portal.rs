//! The setup page: an HTML form on `/` that is posted to `/connect` (specification section 4).
//! Requests and answers; pure functions.

use core::fmt::{self, Write as _};

use super::form::FormError;
use super::upgrade;
use crate::defect::{self, Defect};

/// Header fields that a request may have at most.
const FIELDS_MAX: usize = 32;
/// Bytes of the longest form: every byte of both fields written as `%XX`, their names, and a button.
pub const FORM_MAX: usize = 512;

/// A request that is the portal's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// Bytes of the request up to its body.
    pub head_len: usize,
    /// What it wants.
    pub wish: Wish,
}

/// What a request wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// The page; only its head, perhaps.
    Page {
        /// The request's method is HEAD.
        head_only: bool,
    },
    /// To hand in a form with a body of so many bytes.
    Form(usize),
    /// Something that is answered by an error.
    Wrong(Answer),
}

/// What is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// 200: the form is taken.
    Saved,
    /// 400: the form is not, and why.
    Refused(FormError),
    /// 405: another method than POST.
    MethodNotAllowed,
    /// 408: the form did not arrive in time.
    Timeout,
    /// 411: a form without a length.
    LengthRequired,
    /// 413: a form that is too long.
    TooLarge,
    /// 500: the settings cannot be written.
    NotStored,
}

impl fmt::Display for Answer {
    /// For people: the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Saved => {
                f.write_str("Saved. The controller joins this network now, and after every start.")
            }
            Self::Refused(error) => error.fmt(f),
            Self::MethodNotAllowed => f.write_str("Send the form by POST."),
            Self::Timeout => f.write_str("The form did not arrive in time."),
            Self::LengthRequired => f.write_str("Say how long the form is."),
            Self::TooLarge => f.write_str("The form is too long."),
            Self::NotStored => f.write_str("The settings could not be stored."),
        }
    }
}

impl Answer {
    fn status(self) -> &'static str {
        match self {
            Self::Saved => "200 OK",
            Self::Refused(_) => "400 Bad Request",
            Self::MethodNotAllowed => "405 Method Not Allowed\r\nAllow: POST",
            Self::Timeout => "408 Request Timeout",
            Self::LengthRequired => "411 Length Required",
            Self::TooLarge => "413 Content Too Large",
            Self::NotStored => "500 Internal Server Error",
        }
    }

    /// The whole response.
    #[must_use]
    pub fn response(self) -> heapless::String<256> {
        let mut body = heapless::String::<96>::new();
        let _ = write!(body, "{self}");
        let mut response = heapless::String::new();
        // At most 222 characters, so nothing is cut.
        let _ = write!(
            response,
            "HTTP/1.1 {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.status(),
            body.len(),
        );
        response
    }
}

/// The page.
pub const PAGE: &str = "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width\"><title>PRISM K1 setup</title>\n\
<h1>PRISM K1</h1>\n<form method=\"post\" action=\"/connect\">\n\
<p><label>Wi-Fi network <input name=\"ssid\" maxlength=\"32\" required></label></p>\n\
<p><label>Password <input name=\"pass\" type=\"password\" maxlength=\"63\"></label></p>\n\
<p><button>Connect</button></p>\n</form>\n</html>\n";

/// The head of the response that carries [`PAGE`].
#[must_use]
pub fn page_head() -> heapless::String<128> {
    let mut head = heapless::String::new();
    // 100 characters, so nothing is cut.
    let _ = write!(
        head,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        PAGE.len()
    );
    head
}

/// Reads what has arrived of a request. `None` while more is needed, and for what is not the
/// portal's: another path, or anything that speaks of a WebSocket.
#[must_use]
pub fn parse(received: &[u8]) -> Option<Request> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(head_len)) = request.parse(received) else { return None };
    let value = |name: &str| {
        let mut found = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        found.next().map(|field| field.value.trim_ascii())
    };
    let speaks_websocket = ["Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version"]
        .into_iter()
        .any(|name| value(name).is_some());
    if speaks_websocket {
        return None;
    }
    let path = request.path.unwrap_or_default();
    if defect::present(Defect::NoPage) && request.method == Some("GET") {
        return None;
    }
    let wish = match (upgrade::path_of(path), request.method.unwrap_or_default()) {
        ("/", method @ ("GET" | "HEAD")) => Wish::Page { head_only: method == "HEAD" },
        ("/connect", "POST") => match value("Content-Length") {
            None => Wish::Wrong(Answer::LengthRequired),
            Some(length) => {
                let length = core::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
                match length.filter(|length| *length <= FORM_MAX) {
                    Some(length) => Wish::Form(length),
                    None => Wish::Wrong(Answer::TooLarge),
                }
            }
        },
        ("/connect", _) => Wish::Wrong(Answer::MethodNotAllowed),
        _ => return None,
    };
    Some(Request { head_len, wish })
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;

    use super::*;

    fn wish(request: &str) -> Option<Wish> {
        parse(request.as_bytes()).map(|request| request.wish)
    }

    #[test]
    fn plain_requests_are_the_portal_s() {
        for (request, expected) in [
            ("GET / HTTP/1.1\r\nHost: prism\r\n\r\n", Wish::Page { head_only: false }),
            ("GET /?from=phone HTTP/1.0\r\n\r\n", Wish::Page { head_only: false }),
            ("HEAD / HTTP/1.1\r\n\r\n", Wish::Page { head_only: true }),
            ("POST /connect HTTP/1.1\r\ncontent-length: 11\r\n\r\n", Wish::Form(11)),
            ("POST /connect HTTP/1.1\r\n\r\n", Wish::Wrong(Answer::LengthRequired)),
            ("POST /connect HTTP/1.1\r\nContent-Length: 513\r\n\r\n", Wish::Wrong(Answer::TooLarge)),
            ("POST /connect HTTP/1.1\r\nContent-Length: -1\r\n\r\n", Wish::Wrong(Answer::TooLarge)),
            ("GET /connect HTTP/1.1\r\n\r\n", Wish::Wrong(Answer::MethodNotAllowed)),
        ] {
            assert_eq!(wish(request), Some(expected), "{request}");
            for end in 0..request.len() {
                assert_eq!(wish(&request[..end]), None);
            }
        }
    }

    #[test]
    fn the_rest_is_somebody_else_s() {
        for request in [
            "GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
            "GET / HTTP/1.1\r\nSec-WebSocket-Key: x\r\n\r\n",
            "GET / HTTP/1.1\r\nsec-websocket-version: 13\r\n\r\n",
            "POST / HTTP/1.1\r\n\r\n",
            "GET /ws HTTP/1.1\r\n\r\n",
            "GET /favicon.ico HTTP/1.1\r\n\r\n",
            "\0\0\0\r\n\r\n",
        ] {
            assert_eq!(wish(request), None, "{request}");
        }
    }

    #[test]
    fn lengths_are_those_of_the_bodies() {
        let answers = [
            Answer::Saved,
            Answer::MethodNotAllowed,
            Answer::Timeout,
            Answer::LengthRequired,
            Answer::TooLarge,
            Answer::NotStored,
            Answer::Refused(FormError::LongPassword),
            Answer::Refused(FormError::Garbled),
        ];
        let mut responses: std::vec::Vec<String> =
            answers.iter().map(|answer| answer.response().as_str().into()).collect();
        responses.push(format!("{}{PAGE}", page_head()));
        for response in responses {
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            let length = format!("Content-Length: {}\r\n", body.len());
            assert!(head.contains(&length) && !body.is_empty(), "{response}");
        }
    }
}
