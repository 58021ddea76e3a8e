//! Why a connection is closed (RFC 6455 sections 5.5.1 and 7.4).

use super::violation::Breach;

/// A close code: a 16-bit number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose was fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// The endpoint goes away.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// The other end broke the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// The endpoint cannot accept this type of data, for example text.
    pub const UNSUPPORTED: CloseCode = CloseCode(1003);
    /// The data does not fit its type, for example text that is not UTF-8.
    pub const INVALID_DATA: CloseCode = CloseCode(1007);
    /// The message breaks the endpoint's policy.
    pub const POLICY: CloseCode = CloseCode(1008);
    /// The message is too big to process.
    pub const TOO_BIG: CloseCode = CloseCode(1009);
    /// The server met a condition that it did not expect.
    pub const INTERNAL_ERROR: CloseCode = CloseCode(1011);

    /// Whether the code may stand in a close frame: the defined ones that are not reserved for
    /// local use (section 7.4.1 and IANA's registry: 1000 to 1003, 1007 to 1014), and 3000 to 4999
    /// (section 7.4.2).
    pub const fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl std::fmt::Display for CloseCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The payload of a close frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Close {
    /// Why; `None` if the frame was empty, which is allowed (then it counts as 1005).
    pub code: Option<CloseCode>,
    /// In words, bytes that are not UTF-8 replaced by U+FFFD.
    pub reason: String,
}

impl Close {
    /// What the payload says, and what is wrong with it.
    pub(super) fn parse(payload: &[u8]) -> (Close, Option<Breach>) {
        let Some((&[high, low], reason)) = payload.split_first_chunk::<2>() else {
            let breach = (!payload.is_empty()).then_some(Breach::CloseOfOneByte);
            return (Close { code: None, reason: String::new() }, breach);
        };
        let code = CloseCode(u16::from_be_bytes([high, low]));
        let breach = if !code.may_be_sent() {
            Some(Breach::CloseCode { code })
        } else if std::str::from_utf8(reason).is_err() {
            Some(Breach::CloseReasonNotUtf8)
        } else {
            None
        };
        (Close { code: Some(code), reason: String::from_utf8_lossy(reason).into_owned() }, breach)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(b"", None, "", None)]
    #[case(b"\x03", None, "", Some(Breach::CloseOfOneByte))]
    #[case(b"\x03\xe8", Some(1000), "", None)]
    #[case(b"\x03\xe9bye", Some(1001), "bye", None)]
    #[case(b"\x03\xed", Some(1005), "", Some(Breach::CloseCode { code: CloseCode(1005) }))]
    #[case(b"\x03\xe8\xff", Some(1000), "\u{fffd}", Some(Breach::CloseReasonNotUtf8))]
    fn payloads(
        #[case] payload: &[u8],
        #[case] code: Option<u16>,
        #[case] reason: &str,
        #[case] breach: Option<Breach>,
    ) {
        let close = Close { code: code.map(CloseCode), reason: reason.to_owned() };
        assert_eq!(Close::parse(payload), (close, breach));
    }

    #[rstest]
    #[case(999, false)]
    #[case(1000, true)]
    #[case(1004, false)]
    #[case(1005, false)]
    #[case(1006, false)]
    #[case(1014, true)]
    #[case(1015, false)]
    #[case(2999, false)]
    #[case(3000, true)]
    #[case(4999, true)]
    #[case(5000, false)]
    fn codes(#[case] code: u16, #[case] may: bool) {
        assert_eq!(CloseCode(code).may_be_sent(), may);
    }
}
