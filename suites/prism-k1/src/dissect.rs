//! What the messages of uploads and control are called, for people who look at a connection.

use rigor_core::event::Direction;

use crate::tlv::Reply;

/// A message in a few words; `None` if it is no frame of either profile.
pub(crate) fn dissect(by: Direction, message: &[u8]) -> Option<String> {
    match by {
        Direction::ToDut => request(message),
        Direction::FromDut => match Reply::parse(message) {
            Reply::Status(payload) => Some(format!("STATUS {} bytes", payload.len())),
            Reply::Error { code, text } => Some(format!("ERROR {code} {text}")),
            Reply::Malformed(_) => None,
        },
    }
}

fn request(message: &[u8]) -> Option<String> {
    let (&kind, rest) = message.split_first()?;
    let size = message.len();
    let word = |at: usize, from: fn([u8; 4]) -> u32| rest.get(2 + at..6 + at)?.try_into().ok().map(from);
    Some(match kind {
        0x01 => format!("BEGIN {} bytes", word(0, u32::from_le_bytes)?),
        0x02 => format!("DATA {size} bytes at {}", word(0, u32::from_le_bytes)?),
        0x03 => "END".to_owned(),
        0x10 => {
            let name = rest.get(3..)?.get(..usize::from(*rest.get(2)?))?;
            format!("BEGIN `{}`, {size} bytes", String::from_utf8_lossy(name))
        }
        0x11 => format!("DATA {size} bytes at {}", word(0, u32::from_be_bytes)?),
        0x12 => "END".to_owned(),
        0x20 => format!("CONTROL {}", sub_command(*rest.get(2)?)),
        0x21 => "DELETE".to_owned(),
        0x22 => "LIST".to_owned(),
        0x30 => "STATUS?".to_owned(),
        _ => return None,
    })
}

/// Specification, section 1.3.
fn sub_command(byte: u8) -> String {
    match byte {
        0x01 => "PLAY".to_owned(),
        0x02 => "STOP".to_owned(),
        0x10 => "BRIGHTNESS".to_owned(),
        0x11 => "GAMMA".to_owned(),
        0x12 => "DEPLOY".to_owned(),
        other => format!("{other:#04x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tlv::{Profile, request, tlv_f};

    #[test]
    fn both_profiles_are_told_in_the_same_words() {
        for profile in Profile::ALL {
            let told: Vec<_> = profile
                .upload("sky", &[0; 5000])
                .iter()
                .map(|message| dissect(Direction::ToDut, message).unwrap())
                .collect();
            assert!(told[0].starts_with("BEGIN "), "{told:?}");
            assert_eq!(told[1], "DATA 4096 bytes at 0");
            assert!(told[2].ends_with(&format!(" at {}", profile.chunk())), "{told:?}");
            assert_eq!(told[3], "END");
        }
    }

    #[test]
    fn what_is_cut_short_is_told_by_nobody_and_harms_nobody() {
        for message in
            Profile::ALL.map(|profile| profile.begin("sky", 9, 9)).into_iter().chain([request::play("sky")])
        {
            for end in 0..message.len() {
                let _ = dissect(Direction::ToDut, &message[..end]);
            }
        }
        assert_eq!(dissect(Direction::ToDut, b"hello"), None);
        assert_eq!(dissect(Direction::FromDut, b"hello"), None);
        let error = tlv_f(0xFF, b"\x02wrong CRC");
        assert_eq!(dissect(Direction::FromDut, &error).as_deref(), Some("ERROR 2 wrong CRC"));
    }
}
