//! The reply to STATUS, field by field (specification, section 1.3). Its byte orders are mixed, and
//! its tail differs between sources: it is read by the length that is left.

use rigor_core::verdict::{Blame, ProductError};
use rigor_runner::need::WebSocket;

use crate::kit::{self, Answer};
use crate::tlv::{Reply, request};

/// What a device says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    /// The firmware's version.
    pub version: String,
    /// Pixels of the strip.
    pub leds: u16,
    /// Free bytes of the file system.
    pub bytes_free: u32,
    /// The largest payload of a message.
    pub max_chunk: u16,
    /// How many templates there are, if it says so.
    pub templates: Option<u8>,
}

impl Status {
    /// Reads a STATUS's payload; `None` if it is not one.
    pub fn parse(payload: &[u8]) -> Option<Status> {
        let (length, rest) = payload.split_first_chunk()?;
        let (version, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        let (leds, rest) = rest.split_first_chunk()?;
        let (bytes_free, rest) = rest.split_first_chunk()?;
        let (max_chunk, rest) = rest.split_first_chunk()?;
        let templates = match rest {
            // Nothing, or the capabilities' four bytes.
            [] | [_, _, _, _] => None,
            [templates] | [_, _, _, _, templates] => Some(*templates),
            _ => return None,
        };
        Some(Status {
            version: String::from_utf8_lossy(version).into_owned(),
            leds: u16::from_le_bytes(*leds),
            bytes_free: u32::from_le_bytes(*bytes_free),
            max_chunk: u16::from_le_bytes(*max_chunk),
            templates,
        })
    }
}

/// Asks for the STATUS on `socket`.
///
/// # Errors
/// The product's, if the answer is none.
pub async fn ask(socket: &mut WebSocket) -> Result<Status, Blame> {
    socket.send_binary(&request::status())?;
    let deadline = socket.tcp.now() + kit::ANSWER_LIMIT;
    match kit::answer(socket, deadline).await {
        (_, Answer::Reply(Reply::Status(payload))) => Status::parse(&payload).ok_or_else(|| {
            ProductError(format!("the {} bytes of a STATUS are not as specified", payload.len())).into()
        }),
        (_, other) => Err(ProductError(format!("STATUS was answered with {other}")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the specification, section 1.3, without frame, and the tails of other sources.
    #[test]
    fn the_tail_is_read_by_its_length() {
        let head = [b"\x05\0\0\x001.0.0", &[0x40, 0x01, 0x40, 0x42, 0x0F, 0x00, 0xF9, 0x0F][..]].concat();
        let with = |tail: &[u8]| Status::parse(&[&head, tail].concat());
        let expected = Status {
            version: "1.0.0".to_owned(),
            leds: 320,
            bytes_free: 1_000_000,
            max_chunk: 4089,
            templates: Some(15),
        };
        assert_eq!(with(&[15]), Some(expected.clone()));
        assert_eq!(with(&[1, 0, 0, 0, 15]), Some(expected.clone()));
        assert_eq!(with(&[1, 0, 0, 0]), Some(Status { templates: None, ..expected }));
        assert_eq!((with(&[1, 2]), with(&[0; 6])), (None, None));
        assert!((0..head.len()).all(|length| Status::parse(&head[..length]).is_none()));
        assert_eq!(Status::parse(&[0xFF; 18]), None);
    }
}
