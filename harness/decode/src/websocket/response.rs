//! The head of an HTTP answer (RFC 9112).

/// Status line and headers of an HTTP answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The status code: three digits.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// Names and values in their order, surrounding blanks removed.
    pub headers: Vec<(String, String)>,
}

/// Why bytes are not the head of an HTTP answer. The line counts from 1.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadHead {
    /// RFC 9112 section 4.
    #[error(
        "line 1 of the HTTP answer is `{line}`; it must be like `HTTP/1.1 101 Switching Protocols` (RFC 9112 section 4)"
    )]
    StatusLine {
        /// Its beginning.
        line: String,
    },
    /// RFC 9112 section 5.
    #[error(
        "line {number} of the HTTP answer is `{line}`; it must be like `Name: value` (RFC 9112 section 5)"
    )]
    Header {
        /// Which.
        number: usize,
        /// Its beginning.
        line: String,
    },
    /// No end in sight.
    #[error(
        "the head of the HTTP answer has no empty line within {limit} bytes; end it with CR LF CR LF (or raise Limits::head)"
    )]
    TooLong {
        /// The limit.
        limit: usize,
    },
}

impl Response {
    /// Reads a head, up to and including its empty line.
    ///
    /// Bytes that are not UTF-8 become U+FFFD. Lines end with CR LF; a bare LF is part of a line.
    ///
    /// # Errors
    /// [`BadHead`] with the first line that is wrong.
    pub fn parse(head: &[u8]) -> Result<Response, BadHead> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.strip_suffix("\r\n\r\n").unwrap_or(&text).split("\r\n");
        let first = lines.next().unwrap_or_default();
        let (status, reason) =
            status_line(first).ok_or_else(|| BadHead::StatusLine { line: beginning(first) })?;
        let headers = lines
            .enumerate()
            .map(|(index, line)| {
                header_line(line).ok_or_else(|| BadHead::Header { number: index + 2, line: beginning(line) })
            })
            .collect::<Result<_, _>>()?;
        Ok(Response { status, reason, headers })
    }

    /// The first value of the header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The comma-separated tokens of all headers of this name.
    pub fn tokens<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(header, _)| header.eq_ignore_ascii_case(name))
            .flat_map(|(_, value)| value.split(','))
            .map(str::trim)
            .filter(|token| !token.is_empty())
    }
}

fn status_line(line: &str) -> Option<(u16, String)> {
    let rest = line.strip_prefix("HTTP/1.")?;
    let (minor, rest) = rest.split_once(' ')?;
    // The space after the code is required, but many servers leave it out with the phrase.
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(minor, 1) || !digits(code, 3) {
        return None;
    }
    Some((code.parse().ok()?, reason.to_owned()))
}

fn header_line(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let is_token = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    is_token.then(|| (name.to_owned(), value.trim().to_owned()))
}

/// Enough of a line to find it by.
fn beginning(line: &str) -> String {
    line.chars().take(64).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn status_and_headers() {
        let head = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After:  5 \r\nVia: a, b\r\nvia: c\r\n\r\n";
        let response = Response::parse(head).unwrap();
        assert_eq!((response.status, response.reason.as_str()), (503, "Service Unavailable"));
        assert_eq!(response.header("retry-after"), Some("5"));
        assert_eq!(response.tokens("VIA").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(Response::parse(b"HTTP/1.0 404\r\n\r\n").unwrap().status, 404);
    }

    #[rstest]
    #[case(b"\r\n\r\n", "line 1")]
    #[case(b"HTTP/2 200 OK\r\n\r\n", "line 1")]
    #[case(b"HTTP/1.1 20 OK\r\n\r\n", "line 1")]
    #[case(b"HTTP/1.1 2000\r\n\r\n", "line 1")]
    #[case(b"\xff\xfe\r\n\r\n", "line 1")]
    #[case(b"HTTP/1.1 200 OK\r\nServer: x\r\nnonsense\r\n\r\n", "line 3")]
    #[case(b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n", "line 2")]
    #[case(b"HTTP/1.1 200 OK\r\n: x\r\n\r\n", "line 2")]
    fn bad_heads(#[case] head: &[u8], #[case] place: &str) {
        assert!(Response::parse(head).unwrap_err().to_string().starts_with(place));
    }
}
