//! Leaves the packets of uploads where an independent program can read them.
//!
//! Boots the virtual PRISM K1, uploads a pattern in each profile, and writes what went over the network
//! below the folder that `RIGOR_PACKETS_OUT` names, or `target/tmp/packets`: `upload.pcap`, and
//! `upload.txt` with the WebSocket frames in it, a line each: connection, direction, FIN, opcode and
//! length of the payload. `fixtures/oracles/network.sh` has tshark look for them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rigor_core::event::{ConnectionId, Direction, FlowKind};
use rigor_core::{Instant, Kind, Source, Timeline};
use rigor_decode::pcap;
use rigor_decode::websocket::{Limits, ServerEvent, ServerStream};
use rigor_rigs::{Order, RigFile};
use rigor_runner::need::{Console, Net};
use rigor_runner::{Bench, Findings, Need, Outcome, drive};
use suite_prism_k1::tlv::Profile;
use suite_prism_k1::{kit, pattern};

const RIG: &str = include_str!("../../rigs/virtual/prism-k1.toml");

/// On the rig's clock: the first boot with its templates and two uploads.
const LIMIT: Duration = Duration::from_secs(120);

async fn upload(mut console: Console, net: Net) -> Outcome {
    kit::settled(&mut console).await?;
    for profile in Profile::ALL {
        kit::upload_once(&net, profile, "packets", &pattern::file(5, 40_000)).await?;
    }
    Ok(Findings::new())
}

fn need<N: Need>(bench: &Bench) -> N {
    N::take(bench).unwrap_or_else(|missing| panic!("the rig file has everything: {missing}"))
}

/// What each side sent, connection by connection in the order in which they were opened.
fn streams(timeline: &Timeline, net: Source) -> BTreeMap<ConnectionId, [Vec<u8>; 2]> {
    let mut streams: BTreeMap<ConnectionId, [Vec<u8>; 2]> = BTreeMap::new();
    for event in timeline.events(net, Instant::ZERO, Instant::MAX) {
        let Kind::Flow(flow) = event.kind else { continue };
        let [to_device, from_device] = streams.entry(flow.connection).or_default();
        match flow.what {
            FlowKind::Data(Direction::ToDut, bytes) => to_device.extend_from_slice(&bytes),
            FlowKind::Data(Direction::FromDut, bytes) => from_device.extend_from_slice(&bytes),
            _ => {}
        }
    }
    streams
}

/// FIN, opcode and length of each frame behind the HTTP request of a client.
fn client_frames(stream: &[u8]) -> Vec<(bool, u8, u64)> {
    let head = stream.windows(4).position(|end| end == b"\r\n\r\n").expect("a request ends") + 4;
    let mut rest = &stream[head..];
    let mut frames = Vec::new();
    while let [first, second, after @ ..] = rest {
        assert_eq!(second & 0x80, 0x80, "a client masks");
        let (length, after) = match second & 0x7F {
            126 => (u64::from(u16::from_be_bytes([after[0], after[1]])), &after[2..]),
            127 => (u64::from_be_bytes(after[..8].try_into().expect("eight bytes")), &after[8..]),
            short => (u64::from(short), after),
        };
        frames.push((first & 0x80 != 0, first & 0x0F, length));
        rest = &after[4 + length as usize..];
    }
    frames
}

fn server_frames(stream: &[u8]) -> Vec<(bool, u8, u64)> {
    let head = stream.windows(4).position(|end| end == b"\r\n\r\n").expect("an answer ends") + 4;
    let mut events = Vec::new();
    ServerStream::upgraded(Limits::default()).push(&stream[head..], &mut events);
    events
        .into_iter()
        .filter_map(|event| match event {
            ServerEvent::Frame(frame) => Some((frame.fin, frame.opcode.number(), frame.payload.len() as u64)),
            _ => None,
        })
        .collect()
}

#[test]
fn packets_of_uploads_are_left_for_the_oracle() {
    let interrupt = Arc::new(AtomicBool::new(false));
    let file = RigFile::parse("rigs/virtual/prism-k1.toml", RIG).expect("a valid rig file");
    let mut rig = rigor_rigs::take(&Order::new(&file, &rigor_suites::firmwares(), 1, &interrupt))
        .expect("the virtual rig can always be had");
    let bench = Bench::new(rig.timeline.clone(), rig.parts.clone(), rig.fidelity);
    rig.parts.power.clone().expect("the rig file has a supply").on().expect("a virtual switch works");
    let case = Box::pin(upload(need(&bench), need(&bench)));
    drive::to_the_end(&mut rig, case, LIMIT, &interrupt).map(|_| ()).expect("the uploads are accepted");

    let net = rig.parts.net.as_ref().expect("the rig file has a network").source();
    let mut list = String::new();
    for (index, [to_device, from_device]) in streams(&rig.timeline, net).values().enumerate() {
        let both = [("to-device", client_frames(to_device)), ("from-device", server_frames(from_device))];
        for (direction, frames) in both {
            assert!(!frames.is_empty(), "connection {index} has frames {direction}");
            for (fin, opcode, length) in frames {
                writeln!(list, "{index} {direction} {} {opcode} {length}", u8::from(fin)).expect("a string");
            }
        }
    }

    let folder = env_folder();
    fs::create_dir_all(&folder).expect("the folder can be made");
    let packets = File::create(folder.join("upload.pcap")).expect("the file can be made");
    let addresses = pcap::Addresses::default();
    let written =
        pcap::write(&rig.timeline, &[net], Instant::ZERO..Instant::MAX, addresses, BufWriter::new(packets))
            .expect("the packets can be written");
    // Two connections with their handshakes, and 80,000 bytes in segments.
    assert!(written > 60, "{written} packets");
    fs::write(folder.join("upload.txt"), &list).expect("the list can be written");
    println!("{written} packets with {} frames, see {}", list.lines().count(), folder.display());
}

fn env_folder() -> PathBuf {
    std::env::var_os("RIGOR_PACKETS_OUT")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("packets"), PathBuf::from)
}
