//! DNS messages as devices on a local network exchange them (RFC 1035, RFC 6762), and what they say
//! of services (RFC 6763).
//!
//! Somebody else's code reads them, so that a mistake of ours and one of a firmware's cannot agree.

use std::net::Ipv4Addr;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, TYPE};

/// Everybody who speaks mDNS over IPv4 (RFC 6762, 3).
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// The port on which they listen and from which they speak.
pub const PORT: u16 = 5353;

/// What a question asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Names: the instances of a service.
    Pointer,
    /// Where a service is.
    Service,
    /// What a service says of itself.
    Text,
    /// The address of a host.
    Address,
}

/// A query with one question, as it goes to [`GROUP`]; `None` if `name` is no domain name.
pub fn query(name: &str, kind: Kind) -> Option<Vec<u8>> {
    let kind = match kind {
        Kind::Pointer => TYPE::PTR,
        Kind::Service => TYPE::SRV,
        Kind::Text => TYPE::TXT,
        Kind::Address => TYPE::A,
    };
    // RFC 6762, 18.1: a multicast query has no id.
    let mut packet = Packet::new_query(0);
    let name = Name::new(name).ok()?;
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().ok()
}

/// One statement of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Whom it is about, without a final dot.
    pub name: String,
    /// How many seconds it is good for.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// What a record says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Data {
    /// This name belongs there.
    Pointer(String),
    /// The service is on this port of this host.
    Service {
        /// The port.
        port: u16,
        /// The host's name.
        host: String,
    },
    /// Strings, `key=value` by convention.
    Text(Vec<String>),
    /// An address.
    Address(Ipv4Addr),
    /// Anything else.
    Other,
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// It answers, or announces.
    pub is_response: bool,
    /// Its answers and what goes with them.
    pub records: Vec<Record>,
}

impl Message {
    /// Reads a datagram.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Message, String> {
        let packet = Packet::parse(bytes).map_err(|error| format!("no DNS message: {error}"))?;
        let records = packet.answers.iter().chain(&packet.additional_records);
        let records = records.map(|record| Record {
            name: record.name.to_string(),
            ttl: record.ttl,
            data: match &record.rdata {
                RData::PTR(name) => Data::Pointer(name.0.to_string()),
                RData::SRV(service) => Data::Service { port: service.port, host: service.target.to_string() },
                RData::TXT(text) => Data::Text(
                    text.iter_raw()
                        .map(|(key, value)| match value {
                            Some(value) => {
                                format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(value))
                            }
                            None => String::from_utf8_lossy(key).into_owned(),
                        })
                        .collect(),
                ),
                RData::A(address) => Data::Address(Ipv4Addr::from(address.address)),
                _ => Data::Other,
            },
        });
        Ok(Message { is_response: packet.has_flags(PacketFlag::RESPONSE), records: records.collect() })
    }

    /// What is said about `name`; names are alike whatever their case (RFC 1035, 2.3.3).
    pub fn about(&self, name: &str) -> Vec<&Data> {
        let mine = self.records.iter().filter(|record| record.name.eq_ignore_ascii_case(name));
        mine.map(|record| &record.data).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A response of a light bulb, put together by hand: its pointer, and its service with names
    /// compressed.
    const RESPONSE: &[u8] = b"\0\0\x84\0\0\0\0\x02\0\0\0\0\
        \x05_bulb\x04_tcp\x05local\0\0\x0c\0\x01\0\0\x11\x94\0\x07\x04Lamp\xc0\x0c\
        \xc0\x28\0\x21\x80\x01\0\0\0\x78\0\x0a\0\0\0\0\0\x50\x01h\xc0\x17";

    #[test]
    fn a_response_by_hand_is_read() {
        let message = Message::parse(RESPONSE).expect("valid");
        assert!(message.is_response);
        assert_eq!(message.about("_BULB._tcp.local"), [&Data::Pointer("Lamp._bulb._tcp.local".to_owned())]);
        assert_eq!(
            message.about("Lamp._bulb._tcp.local"),
            [&Data::Service { port: 80, host: "h.local".to_owned() }]
        );
        assert_eq!(message.records[1].ttl, 120);
    }

    #[test]
    fn a_query_is_what_the_standard_says() {
        let query = query("_bulb._tcp.local", Kind::Pointer).expect("a name");
        assert_eq!(query, b"\0\0\0\0\0\x01\0\0\0\0\0\0\x05_bulb\x04_tcp\x05local\0\0\x0c\0\x01");
        assert!(!Message::parse(&query).expect("valid").is_response);
        assert_eq!(super::query(&"x".repeat(300), Kind::Address), None);
    }

    proptest! {
        #[test]
        fn hostile_messages_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..80usize) {
            let _ = Message::parse(&bytes);
            let mut damaged = RESPONSE.to_vec();
            damaged.truncate(at);
            damaged.extend(bytes);
            let _ = Message::parse(&damaged);
        }
    }
}
