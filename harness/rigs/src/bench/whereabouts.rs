//! Where a device is on the network, if the rig file does not say its address but who knows it: its console, or the
//! network itself, by a name that ends in `.local` (mDNS, RFC 6762).

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rigor_decode::mdns::{Data, GROUP, Kind, Message, PORT, query};

use super::bell::Bell;
use super::error::BenchError;

/// How often a name is asked for while nobody answers (RFC 6762, 5.2: not more than once a second).
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked whether anybody still wants to know.
const LOOK: Duration = Duration::from_millis(50);
/// Bytes of a datagram (RFC 6762, 17).
const MAX_DATAGRAM: usize = 9000;

/// The address that a line of a console tells, if it tells one: the first that comes after the word `ip`, as in
/// `sta ip: 192.168.1.7, mask: ...` or `Got IP: 192.168.1.7`. None that no device has.
pub(super) fn told_in(line: &str) -> Option<Ipv4Addr> {
    let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let (lower, bytes) = (line.to_ascii_lowercase(), line.as_bytes());
    let mut words = lower.match_indices("ip").filter(|(at, _)| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        !is_word(before) && !is_word(bytes.get(at + 2))
    });
    let (at, _) = words.next()?;
    let rest = &line[at + 2..];
    let pieces = rest.split(|c: char| !c.is_ascii_digit() && c != '.');
    let mut addresses = pieces.filter_map(|piece| piece.trim_matches('.').parse::<Ipv4Addr>().ok());
    addresses.find(|address| !(address.is_unspecified() || address.is_broadcast() || address.is_multicast()))
}

/// A thread that asks for a name until somebody answers. Ends when this is dropped.
pub(super) struct Lookup {
    found: Receiver<Ipv4Addr>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Lookup {
    /// Asks everybody on this host's network for the address of `name`, and rings when it is known.
    pub(super) fn start(name: &str, bell: Bell) -> Result<Self, BenchError> {
        Lookup::among(name, SocketAddrV4::new(GROUP, PORT), bell)
    }

    fn among(name: &str, whom: SocketAddrV4, bell: Bell) -> Result<Self, BenchError> {
        let refused = |why: io::Error| BenchError::Host {
            what: format!("a socket to ask for {name}"),
            why: why.to_string(),
            remedy: "look whether this host is in the device's network, or write the address in [net]",
        };
        let question = query(name, Kind::Address);
        let question = question.ok_or_else(|| refused(io::Error::other("it is no name of a host")))?;
        let from = if whom.ip().is_loopback() { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
        // Not from port 5353, so that the answer comes to this socket alone (RFC 6762, 6.7).
        let socket = UdpSocket::bind((from, 0)).map_err(refused)?;
        socket.set_read_timeout(Some(LOOK)).map_err(refused)?;
        let ended = Arc::<AtomicBool>::default();
        let (tell, found) = channel();
        let (over, name) = (ended.clone(), name.trim_end_matches('.').to_owned());
        let ask = move || {
            if let Some(address) = ask(&socket, whom, &question, &name, &over) {
                // Nobody wants to know any more, or somebody does.
                let _ = tell.send(address);
                bell.ring();
            }
        };
        let thread =
            std::thread::Builder::new().name("rigor-lookup".to_owned()).spawn(ask).map_err(refused)?;
        Ok(Lookup { found, ended, thread: Some(thread) })
    }

    /// The address, once.
    pub(super) fn try_next(&self) -> Option<Ipv4Addr> {
        self.found.try_recv().ok()
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say any more.
            let _ = thread.join();
        }
    }
}

/// The address of `name`, as soon as one of `whom` says it.
fn ask(
    socket: &UdpSocket,
    whom: SocketAddrV4,
    question: &[u8],
    name: &str,
    over: &AtomicBool,
) -> Option<Ipv4Addr> {
    let mut datagram = vec![0; MAX_DATAGRAM];
    let mut next = Instant::now();
    while !over.load(Ordering::Relaxed) {
        if Instant::now() >= next {
            // A network that is down now may be up in a second.
            let _ = socket.send_to(question, SocketAddr::V4(whom));
            next = Instant::now() + PAUSE;
        }
        match socket.recv_from(&mut datagram) {
            Ok((length, _)) => {
                let told = datagram.get(..length).and_then(|bytes| Message::parse(bytes).ok());
                let told = told.filter(|message| message.is_response);
                let address =
                    told.iter().flat_map(|message| message.about(name)).find_map(|data| match data {
                        Data::Address(address) => Some(*address),
                        _ => None,
                    });
                if address.is_some() {
                    return address;
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            // Told of what was sent: nobody is there yet.
            Err(_) => std::thread::sleep(LOOK),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "I (5123) esp_netif_handlers: sta ip: 192.168.1.7, mask: 255.255.255.0, gw: 192.168.1.1",
        "192.168.1.7"
    )]
    #[case("I (871) network: Got IP: 10.0.0.42", "10.0.0.42")]
    #[case("got ip:172.16.0.9\r", "172.16.0.9")]
    #[case("IP address 192.168.4.1/24.", "192.168.4.1")]
    #[case("[INFO ] embassy: ip=192.168.4.1", "192.168.4.1")]
    fn a_console_tells_an_address_in_many_ways(#[case] line: &str, #[case] address: Ipv4Addr) {
        assert_eq!(told_in(line), Some(address));
    }

    #[rstest]
    #[case("chip revision 1.2.3.4")]
    #[case("zip 10.0.0.1")]
    #[case("sta ip: 0.0.0.0")]
    #[case("ip: 1.2.3")]
    #[case("ip: 999.1.1.1")]
    #[case("ipé")]
    #[case("")]
    fn what_is_no_address_is_none(#[case] line: &str) {
        assert_eq!(told_in(line), None);
    }

    /// A response to nobody's question: `k1.local` is at 192.168.4.1.
    const RESPONSE: &[u8] =
        b"\0\0\x84\0\0\0\0\x01\0\0\0\0\x02k1\x05local\0\0\x01\x80\x01\0\0\0\x78\0\x04\xc0\xa8\x04\x01";

    #[test]
    fn a_name_is_asked_for_until_the_right_one_answers() {
        let network = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        network.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
        let SocketAddr::V4(whom) = network.local_addr().expect("a socket") else { panic!("it is IPv4") };
        let bell = Bell::new().expect("a bell");
        let lookup = Lookup::among("K1.local", whom, bell.clone()).expect("a thread");
        let mut datagram = [0; 512];
        let (length, asker) = network.recv_from(&mut datagram).expect("it asks");
        assert!(!Message::parse(&datagram[..length]).expect("DNS").is_response);
        let other =
            [RESPONSE, b""].concat().iter().map(|&b| if b == b'1' { b'2' } else { b }).collect::<Vec<_>>();
        for nonsense in [b"x".as_slice(), &[0xFF; 600], &other, &datagram[..length]] {
            network.send_to(nonsense, asker).expect("loopback");
        }
        // It asks again, because that was no answer.
        network.recv_from(&mut datagram).expect("it asks");
        assert_eq!(lookup.try_next(), None);
        network.send_to(RESPONSE, asker).expect("loopback");
        super::super::wait::wait(&bell, &[], Duration::from_secs(60));
        assert_eq!(lookup.try_next(), Some(Ipv4Addr::new(192, 168, 4, 1)));
    }

    #[test]
    fn nobody_waits_for_a_name_that_nobody_has() {
        let nowhere = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        let SocketAddr::V4(whom) = nowhere.local_addr().expect("a socket") else { panic!("it is IPv4") };
        drop(nowhere);
        drop(Lookup::among("k1.local", whom, Bell::new().expect("a bell")).expect("a thread"));
        let told =
            Lookup::among(&"x".repeat(300), whom, Bell::new().expect("a bell")).err().expect("no name");
        assert!(told.to_string().contains("no name of a host"), "{told}");
    }
}
