//! Frames that RFC 6455 forbids. Each carries the last message of a bait, so that a device which
//! obeys it gives itself away by its answer and on the strip; after each, the other client must
//! still be served.

use rigor_decode::websocket::{ClientFrame, LengthField, Opcode};
use rigor_runner::need::{Console, Device, Leds, Net};
use rigor_runner::{Findings, Outcome, Suite};

use super::scene::{self, END_LIMIT, Reaction, Scene};
use crate::rows::Rows;
use crate::tlv::Profile;

/// What is sent, and what is wrong with it.
type Row = (String, Vec<u8>);

/// The rows of a table, made for a bait's last message.
type Table = fn(&[u8]) -> Vec<Row>;

pub(super) fn add_to(suite: &mut Suite) {
    let tables: [(&str, &str, Table); 5] = [
        ("unmasked", "K1-NET-018", unmasked),
        ("reserved_bits", "K1-NET-019", reserved_bits),
        ("bad_opcode", "K1-NET-020", bad_opcodes),
        ("giant_length", "K1-NET-021", giant_lengths),
        ("bad_control", "K1-NET-029", bad_controls),
    ];
    for (name, id, table) in tables {
        suite.case(name, &[id], move |console, net, leds, device| {
            refused(console, net, leds, device, id, table)
        });
    }
}

/// Masking key of the frames.
const MASK: [u8; 4] = [0xA5, 0x5A, 0xC3, 0x3C];

fn unmasked(trigger: &[u8]) -> Vec<Row> {
    [
        ("binary", ClientFrame::binary(trigger)),
        ("an empty message", ClientFrame::binary([])),
        ("text", ClientFrame::text("ping")),
        ("ping", ClientFrame::ping("x")),
        ("pong", ClientFrame::pong("x")),
        ("first fragment", ClientFrame::binary(trigger).unfinished()),
        ("4096 bytes", ClientFrame::binary(vec![0; 4096])),
    ]
    .into_iter()
    .map(|(row, frame)| (row.to_owned(), frame.encode()))
    .collect()
}

fn reserved_bits(trigger: &[u8]) -> Vec<Row> {
    let mut rows = Vec::new();
    for rsv in 1..=7 {
        let frame = ClientFrame::binary(trigger).reserved_bits(rsv).masked(MASK);
        rows.push((format!("binary with bits {rsv:03b}"), frame.encode()));
    }
    for rsv in [4, 2, 1] {
        let ping = ClientFrame::ping("x").reserved_bits(rsv).masked(MASK);
        rows.push((format!("ping with bits {rsv:03b}"), ping.encode()));
        let empty = ClientFrame::binary([]).reserved_bits(rsv).masked(MASK);
        rows.push((format!("empty message with bits {rsv:03b}"), empty.encode()));
    }
    rows
}

fn bad_opcodes(trigger: &[u8]) -> Vec<Row> {
    (0..16)
        .map(Opcode::new)
        .filter(|opcode| opcode.is_reserved())
        .flat_map(|opcode| {
            let frame = |payload: &[u8]| ClientFrame::new(opcode, payload).masked(MASK).encode();
            [(format!("opcode {opcode}"), frame(trigger)), (format!("opcode {opcode}, empty"), frame(&[]))]
        })
        .collect()
}

/// Only the bait's last message follows the header: a device that waits for the announced payload,
/// or for the low half of the number, does not refuse in time.
fn giant_lengths(trigger: &[u8]) -> Vec<Row> {
    let small = trigger.len() as u64;
    [
        4097,
        65_535,
        65_536,
        1 << 24,
        (1 << 31) - 1,
        1 << 31,
        u64::from(u32::MAX),
        1 << 32,
        (1 << 32) + small,
        (1 << 40) + small,
        (1 << 48) + 4096,
        (1 << 62) + small,
        (1 << 63) - 1,
        1 << 63,
        (1 << 63) + small,
        u64::MAX,
    ]
    .into_iter()
    .map(|length| {
        let frame = ClientFrame::binary(trigger).length(LengthField::Bits64(length)).masked(MASK);
        (format!("length {length:#x}"), frame.encode())
    })
    .collect()
}

/// Control frames that are too long or not whole.
fn bad_controls(trigger: &[u8]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, opcode) in [("ping", Opcode::PING), ("pong", Opcode::PONG), ("close", Opcode::CLOSE)] {
        // Where a close has its code, the others have two bytes like any.
        let payload = |length: usize| [&[0x03, 0xE8][..], &vec![b'x'; length - 2]].concat();
        let frame = |length| ClientFrame::new(opcode, payload(length)).masked(MASK);
        rows.push((format!("{name} of 126 bytes"), frame(126).encode()));
        rows.push((format!("{name} of 4096 bytes"), frame(4096).encode()));
        rows.push((format!("{name} of 70000 bytes"), frame(70_000).encode()));
        let fragment = ClientFrame::new(opcode, trigger).unfinished().masked(MASK);
        let rest = ClientFrame::continuation(trigger).masked(MASK);
        rows.push((format!("{name} in two fragments"), [fragment.encode(), rest.encode()].concat()));
    }
    rows
}

/// Every row of `table` is refused by an end of its connection, and nobody else notices.
async fn refused(console: Console, net: Net, leds: Leds, device: Device, id: &str, table: Table) -> Outcome {
    let mut scene = Scene::set(console, net, leds, device).await?;
    let mut rows = Rows::default();
    for profile in Profile::ALL {
        scene.turn_to(profile).await?;
        for (index, (row, bytes)) in table(&scene.trigger()).into_iter().enumerate() {
            let mut socket = scene.baiter().await?;
            let sent = scene.now();
            socket.tcp.send(&bytes)?;
            // One client does not even answer the device's Close; the others spare it the wait.
            let seen = match index {
                0 => Reaction::until(&mut socket, sent + END_LIMIT).await,
                _ => Reaction::politely(&mut socket, sent + END_LIMIT).await?,
            };
            let row = format!("{row} ({})", profile.service());
            match scene.disturbed(sent).await? {
                Some(disturbed) => rows.bad(&row, disturbed),
                None if seen.is_end() => rows.good(seen.to_string()),
                None => rows.bad(&row, format!("{seen} after {END_LIMIT:?}")),
            }
            scene::dismiss(socket, &seen)?;
        }
        scene.bait_works().await?;
    }
    let mut findings = Findings::new();
    rows.decide(id, &mut findings)?;
    Ok(findings)
}
