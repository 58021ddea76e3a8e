//! The two wire profiles of uploads, as a client speaks them.
//!
//! Profile `n` is the seed's (types 1 to 3, little-endian, file CRC at the end); profile `f` the
//! firmware's (types 10 to 30 and FF, big-endian, a CRC on every frame). The device answers both
//! in `f`'s framing. Source: specification, sections 1.2 and 1.3.

use std::fmt;

use crc::{CRC_32_ISO_HDLC, Crc};

/// CRC-32/ISO-HDLC, the one of zlib (specification, section 1.1).
pub fn crc32(bytes: &[u8]) -> u32 {
    Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(bytes)
}

/// A wire profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// The seed's.
    N,
    /// The firmware's.
    F,
}

impl Profile {
    /// Both.
    pub const ALL: [Profile; 2] = [Profile::N, Profile::F];

    /// The name of its port in the rig file, also for names of cases.
    pub fn service(self) -> &'static str {
        match self {
            Profile::N => "n",
            Profile::F => "f",
        }
    }

    /// The path of its WebSocket endpoint.
    pub fn path(self) -> &'static str {
        match self {
            Profile::N => "/",
            Profile::F => "/ws",
        }
    }

    /// Bytes of a file in a full DATA message: with these the message has 4,096 bytes.
    pub fn chunk(self) -> usize {
        match self {
            Profile::N => 4089,
            Profile::F => 4085,
        }
    }

    /// PUT_BEGIN. Profile `n` sends neither name nor CRC here.
    pub fn begin(self, name: &str, size: u32, file_crc: u32) -> Vec<u8> {
        match self {
            Profile::N => tlv_n(0x01, &size.to_le_bytes()),
            Profile::F => {
                let mut payload = vec![name.len() as u8];
                payload.extend(name.as_bytes());
                payload.extend(size.to_be_bytes());
                payload.extend(file_crc.to_be_bytes());
                tlv_f(0x10, &payload)
            }
        }
    }

    /// PUT_DATA.
    pub fn data(self, offset: u32, bytes: &[u8]) -> Vec<u8> {
        match self {
            Profile::N => tlv_n(0x02, &[&offset.to_le_bytes(), bytes].concat()),
            Profile::F => tlv_f(0x11, &[&offset.to_be_bytes(), bytes].concat()),
        }
    }

    /// PUT_END. Profile `f` has sent the CRC at the beginning.
    pub fn end(self, file_crc: u32) -> Vec<u8> {
        match self {
            Profile::N => tlv_n(0x03, &file_crc.to_le_bytes()),
            Profile::F => tlv_f(0x12, &[]),
        }
    }

    /// The messages of a whole upload in order: BEGIN, DATA in full chunks, END.
    pub fn upload(self, name: &str, file: &[u8]) -> Vec<Vec<u8>> {
        let crc = crc32(file);
        let mut messages = vec![self.begin(name, file.len() as u32, crc)];
        for (index, chunk) in file.chunks(self.chunk()).enumerate() {
            messages.push(self.data((index * self.chunk()) as u32, chunk));
        }
        messages.push(self.end(crc));
        messages
    }
}

/// A frame of profile `n`: type, little-endian length, value.
pub fn tlv_n(kind: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend((value.len() as u16).to_le_bytes());
    bytes.extend(value);
    bytes
}

/// A frame of profile `f`: type, big-endian length, payload, CRC of all of it.
pub fn tlv_f(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend((payload.len() as u16).to_be_bytes());
    bytes.extend(payload);
    bytes.extend(crc32(&bytes).to_be_bytes());
    bytes
}

/// Requests of profile `f`.
pub mod request {
    use super::tlv_f;

    /// CONTROL PLAY.
    pub fn play(name: &str) -> Vec<u8> {
        control(&[&[0x01, name.len() as u8], name.as_bytes()].concat())
    }
    /// CONTROL of any kind: its sub-command and what belongs to it.
    pub fn control(payload: &[u8]) -> Vec<u8> {
        tlv_f(0x20, payload)
    }
    /// CONTROL STOP.
    pub fn stop() -> Vec<u8> {
        control(&[0x02])
    }
    /// CONTROL DEPLOY_TEMPLATE.
    pub fn deploy(id: &str) -> Vec<u8> {
        control(&[&[0x12, id.len() as u8], id.as_bytes()].concat())
    }
    /// CONTROL BRIGHTNESS: where to, and how long that takes.
    pub fn brightness(target: u8, millis: u16) -> Vec<u8> {
        control(&[&[0x10, target], &millis.to_be_bytes()[..]].concat())
    }
    /// CONTROL GAMMA: where to in hundredths, and how long that takes.
    pub fn gamma(x100: u16, millis: u16) -> Vec<u8> {
        control(&[&[0x11], &x100.to_be_bytes()[..], &millis.to_be_bytes()].concat())
    }
    /// DELETE.
    pub fn delete(name: &str) -> Vec<u8> {
        tlv_f(0x21, name.as_bytes())
    }
    /// LIST.
    pub fn list() -> Vec<u8> {
        tlv_f(0x22, &[])
    }
    /// STATUS.
    pub fn status() -> Vec<u8> {
        tlv_f(0x30, &[])
    }
}

/// What the device answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// STATUS with its payload.
    Status(Vec<u8>),
    /// ERROR with its code and text.
    Error {
        /// 1 invalid, 2 CRC, 3 size, 4 storage, 5 not found.
        code: u8,
        /// For people.
        text: String,
    },
    /// Not a well-formed frame of profile `f`; the text says what is wrong.
    Malformed(String),
}

/// In few words, for results.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Status(payload) => write!(f, "a STATUS of {} bytes", payload.len()),
            Reply::Error { code, text } => write!(f, "ERROR {code} ({text})"),
            Reply::Malformed(why) => write!(f, "a malformed reply ({why})"),
        }
    }
}

impl Reply {
    /// Reads a reply.
    pub fn parse(message: &[u8]) -> Reply {
        let Some((frame, crc)) = message.split_last_chunk::<4>() else {
            return Reply::Malformed(format!("{} bytes are no frame", message.len()));
        };
        let (Some(&kind), Some(length)) = (frame.first(), frame.get(1..3)) else {
            return Reply::Malformed(format!("{} bytes are no frame", message.len()));
        };
        let payload = &frame[3..];
        if usize::from(u16::from_be_bytes([length[0], length[1]])) != payload.len() {
            return Reply::Malformed("its length field is wrong".to_owned());
        }
        if crc32(frame) != u32::from_be_bytes(*crc) {
            return Reply::Malformed("its CRC is wrong".to_owned());
        }
        match (kind, payload) {
            (0x30, payload) => Reply::Status(payload.to_vec()),
            (0xFF, [code, text @ ..]) => {
                Reply::Error { code: *code, text: String::from_utf8_lossy(text).into_owned() }
            }
            (kind, _) => Reply::Malformed(format!("type {kind:#04x} is no reply")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The vectors of the specification, sections 1.1 to 1.3.
    #[test]
    fn frames_equal_the_specification_s_vectors() {
        let file: Vec<u8> = (0..=255).collect();
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(&vec![0; 262_144]), 0xE20E_EA22);
        assert_eq!(hex(&Profile::N.begin("", 256, 0)), "01040000010000");
        assert_eq!(hex(&Profile::N.end(crc32(&file))), "030400738c0529");
        assert_eq!(
            hex(&Profile::F.begin("multi", 256, crc32(&file))),
            "10000e056d756c74690000010029058c73596342c5"
        );
        assert_eq!(hex(&Profile::F.end(0)), "120000e0e3ae0c");
        assert_eq!(hex(&request::status()), "300000db2a3c82");
        assert_eq!(hex(&request::list()), "220000c4884b9c");
        assert_eq!(hex(&request::stop()), "200001027663204f");
        assert_eq!(hex(&request::play("flow-fall")), "20000b0109666c6f772d66616c6c7077f611");
        assert_eq!(hex(&request::brightness(128, 500)), "200004108001f4b5b60b79");
    }

    #[test]
    fn a_full_upload_has_65_chunks_of_4096_byte_messages() {
        for profile in Profile::ALL {
            let messages = profile.upload("big", &vec![0; 262_144]);
            assert_eq!(messages.len(), 67);
            assert!(messages.iter().all(|message| message.len() <= 4096));
            assert_eq!(messages[1].len(), 4096);
        }
    }

    #[test]
    fn replies_are_told_apart_from_noise() {
        assert_eq!(Reply::parse(&tlv_f(0x30, b"ok")), Reply::Status(b"ok".to_vec()));
        assert_eq!(
            Reply::parse(&tlv_f(0xFF, b"\x05none")),
            Reply::Error { code: 5, text: "none".to_owned() }
        );
        for noise in [&b""[..], b"\xFF\x01", b"\x30\x00\x05abcd", &[0; 7]] {
            assert!(matches!(Reply::parse(noise), Reply::Malformed(_)));
        }
    }
}
