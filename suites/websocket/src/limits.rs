//! How long a server may take: the figures of `limits.toml`.

use std::time::Duration;

use serde::Deserialize;

/// How long a server may take. RFC 6455 gives no figures; `limits.toml` says why these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Until a request, a message, a ping or a Close is answered.
    pub answer: Duration,
    /// Until the server has ended the TCP connection.
    pub end: Duration,
    /// Until a device that was just switched on accepts connections.
    pub ready: Duration,
    /// How long one attempt at that lasts.
    pub attempt: Duration,
    /// Between two pieces of a row that is sent in pieces.
    pub piece: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    #[allow(dead_code, reason = "the file is embedded: a test reads it")]
    schema: i64,
    answer_ms: u64,
    end_ms: u64,
    ready_ms: u64,
    attempt_ms: u64,
    piece_ms: u64,
}

impl Limits {
    /// Those of this crate's `limits.toml`.
    ///
    /// # Panics
    /// Never: the file is embedded, and the crate's tests read it.
    pub fn built_in() -> Limits {
        let raw: RawLimits = toml::from_str(include_str!("../limits.toml"))
            .expect("the embedded file is well-formed: a test reads it");
        let of = Duration::from_millis;
        Limits {
            answer: of(raw.answer_ms),
            end: of(raw.end_ms),
            ready: of(raw.ready_ms),
            attempt: of(raw.attempt_ms),
            piece: of(raw.piece_ms),
        }
    }
}
