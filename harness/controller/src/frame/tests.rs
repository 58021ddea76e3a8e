use std::string::ToString;
use std::vec::Vec;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::message::{Answer, Command, Drive, Identity, Report, Request, Said, Step, Waveform, Wire};
use crate::{Ticks, stepped};

fn framed(message: &impl Serialize) -> Vec<u8> {
    encode(message, &mut [0; MAX_FRAME]).expect("it fits").to_vec()
}

/// What a stream says.
fn heard(stream: &[u8]) -> Vec<Result<Request, FrameError>> {
    let mut deframer = Deframer::new();
    stream.iter().filter_map(|&byte| deframer.take(byte).map(Frame::open)).collect()
}

fn request(id: u16) -> Request {
    Request { id, command: Command::Drive { wire: Wire::Line(2), drive: Drive::Low } }
}

#[test]
fn a_message_arrives() {
    let waveform = Waveform {
        wire: Wire::Line(0),
        at: Some(Ticks(u64::MAX)),
        steps: [Step { drive: Drive::Low, ticks: u32::MAX }; crate::message::MAX_STEPS].into_iter().collect(),
    };
    let request = Request { id: u16::MAX, command: Command::Play(waveform) };
    assert_eq!(heard(&framed(&request)), [Ok(request)]);
}

/// Every kind of report at its longest fits a frame.
#[test]
fn the_longest_reports_fit() {
    let ticks = Ticks(u64::MAX);
    let identity = Identity {
        name: "n".repeat(crate::message::MAX_NAME).as_str().try_into().expect("so long"),
        serial: u64::MAX,
        clock_hz: u32::MAX,
        lanes: u8::MAX,
        inputs: u8::MAX,
        lines: u8::MAX,
        has_reset: true,
        has_power: true,
        has_bus: true,
        has_loop_back: true,
        stepped: true,
    };
    let crossed =
        stepped::Crossed { console: u64::MAX, opened: u32::MAX, network: u64::MAX, ended: u32::MAX };
    let stands = stepped::Stands { at: ticks, crossed, opened: Some(u32::MAX) };
    for said in [
        Said::Pulses { lane: u8::MAX, at: ticks, packed: &[0xFF; MAX_PACKED] },
        Said::Transfer { at: ticks, data: true, bytes: &[0; crate::message::MAX_TRANSFER] },
        Said::Answer { id: u16::MAX, answer: Answer::Identity(identity) },
        Said::Answer { id: u16::MAX, answer: Answer::Stands(stands) },
    ] {
        let report = Report { sequence: u32::MAX, said };
        let frame = framed(&report);
        let mut deframer = Deframer::new();
        for &byte in &frame[..frame.len() - 1] {
            assert!(byte != 0 && deframer.take(byte).is_none() && deframer.is_inside());
        }
        assert_eq!(deframer.take(0).expect("its end").open(), Ok(report));
        assert!(!deframer.is_inside());
    }
}

#[test]
fn a_message_that_is_too_long_is_no_frame() {
    let said = Said::Pulses { lane: 0, at: Ticks(0), packed: &[0; MAX_MESSAGE] };
    assert_eq!(encode(&Report { sequence: 0, said }, &mut [0; MAX_FRAME]), None);
}

#[test]
fn every_flipped_bit_is_noticed() {
    let frame = framed(&request(7));
    for bit in 0..(frame.len() - 1) * 8 {
        let mut damaged = frame.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let heard = heard(&damaged);
        assert!(!heard.iter().any(Result::is_ok), "bit {bit}: {heard:?}");
    }
}

#[rstest]
#[case(&[])]
#[case(&[0])]
#[case(&[0, 0, 0])]
fn nothing_is_said_by_nothing(#[case] stream: &[u8]) {
    assert_eq!(heard(stream), []);
}

#[rstest]
#[case::too_short(&[2, 1, 0])]
#[case::wrongly_stuffed(&[9, 1, 0])]
#[case::too_long(&[1; 100_000])]
fn what_is_no_frame_ends_with_the_next_zero(#[case] garbage: &[u8]) {
    let stream = [garbage, &[0], &framed(&request(1))].concat();
    let heard = heard(&stream);
    assert_eq!(heard.last(), Some(&Ok(request(1))));
    assert!(heard[..heard.len() - 1].iter().all(|heard| *heard == Err(FrameError::Damaged)), "{heard:?}");
    assert_eq!(heard.len(), 2);
}

/// A whole frame of this body.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut plain = body.to_vec();
    plain.extend(CRC.checksum(body).to_le_bytes());
    let mut frame = std::vec![0; MAX_FRAME];
    let length = cobs::encode(&plain, &mut frame);
    frame.truncate(length + 1);
    frame
}

#[test]
fn another_version_is_told_from_garbage() {
    let heard = heard(&sealed(&[PROTOCOL + 1, 200, 200, 200]));
    assert_eq!(heard, [Err(FrameError::Version(PROTOCOL + 1))]);
    let said = heard[0].clone().expect_err("another version").to_string();
    assert!(said.contains("version 2") && said.contains("rigs/controller"), "{said}");
}

#[rstest]
#[case::no_such_command(&[PROTOCOL, 1, 99])]
#[case::cut(&[PROTOCOL, 1])]
#[case::something_behind_it(&[PROTOCOL, 1, 0, 0])]
fn a_whole_frame_may_mean_nothing(#[case] body: &[u8]) {
    assert_eq!(heard(&sealed(body)), [Err(FrameError::Meaningless)]);
}

proptest! {
    /// Whatever comes before: the frame after the next zero is heard.
    #[test]
    fn garbage_hides_no_frame(garbage in prop::collection::vec(any::<u8>(), 0..2000), id: u16) {
        let stream = [&garbage[..], &[0], &framed(&request(id))].concat();
        let heard = heard(&stream);
        prop_assert_eq!(heard.last(), Some(&Ok(request(id))));
    }
}
