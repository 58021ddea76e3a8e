//! The reply to LIST, entry by entry (specification, section 1.3). Its byte orders are mixed: counts
//! and lengths are big-endian, sizes and times little-endian.

use rigor_core::verdict::{Blame, ProductError};
use rigor_runner::need::WebSocket;

use crate::kit::{self, Answer};
use crate::tlv::{Reply, request};

/// A stored pattern as the device lists it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    /// Its name, without an extension.
    pub name: String,
    /// Its bytes.
    pub size: u32,
}

/// The listed patterns in the device's order; `None` if `payload` is no list.
pub fn parse(payload: &[u8]) -> Option<Vec<Entry>> {
    let (count, mut rest) = payload.split_first_chunk()?;
    let mut entries = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk()?;
        let (name, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
        let (size, after) = after.split_first_chunk()?;
        let (_time, after) = after.split_first_chunk::<4>()?;
        let name = String::from_utf8_lossy(name).into_owned();
        entries.push(Entry { name, size: u32::from_le_bytes(*size) });
        rest = after;
    }
    rest.is_empty().then_some(entries)
}

/// Asks for the list on `socket`: the entries, and the payload's bytes.
///
/// # Errors
/// The product's, if the answer is none.
pub async fn ask(socket: &mut WebSocket) -> Result<(Vec<Entry>, usize), Blame> {
    socket.send_binary(&request::list())?;
    let deadline = socket.tcp.now() + kit::ANSWER_LIMIT;
    match kit::answer(socket, deadline).await {
        (_, Answer::Reply(Reply::Status(payload))) => {
            let entries = parse(&payload).ok_or_else(|| {
                ProductError(format!("the {} bytes of a LIST's answer are not as specified", payload.len()))
            })?;
            Ok((entries, payload.len()))
        }
        (_, other) => Err(ProductError(format!("LIST was answered with {other}")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_and_anything_else_is_none() {
        let two = b"\0\x02\0\x01a\x01\x02\0\0\0\0\0\0\0\x02bc\xFF\0\0\0\x09\0\0\0";
        let entry = |name: &str, size| Entry { name: name.to_owned(), size };
        assert_eq!(parse(two), Some(vec![entry("a", 513), entry("bc", 255)]));
        assert_eq!(parse(&[0, 0]), Some(vec![]));
        assert!((0..two.len()).all(|length| parse(&two[..length]).is_none()));
        assert_eq!(parse(&[two, &[0][..]].concat()), None);
    }
}
