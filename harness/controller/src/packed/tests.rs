use std::vec::Vec;

use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// What comes out of packets of `pulses`, and how many bytes they are.
fn through(pulses: &[Pulse]) -> (Vec<Pulse>, usize) {
    packets_of(pulses, |_, _| 0)
}

/// The same; `faster` may have packed some of the next pulses, and says how many.
fn packets_of(pulses: &[Pulse], faster: impl Fn(&mut Packer, &[Pulse]) -> usize) -> (Vec<Pulse>, usize) {
    let (mut packer, mut out, mut bytes) = (Packer::new(), Vec::new(), 0);
    let mut packet = [0; MAX_PACKED];
    let mut finish = |packer: &mut Packer| {
        let length = packer.finish(&mut packet);
        let pulses = unpack(&packet[..length]).expect("a packet");
        let announced = pulses.len();
        let before = out.len();
        out.extend(pulses);
        assert_eq!(out.len() - before, announced);
        bytes += length;
    };
    let mut rest = pulses;
    loop {
        rest = &rest[faster(&mut packer, rest)..];
        let Some((&pulse, later)) = rest.split_first() else { break };
        rest = later;
        if !packer.push(pulse) {
            finish(&mut packer);
            assert!(packer.is_empty() && packer.push(pulse), "an empty packet has room for any pulse");
        }
    }
    finish(&mut packer);
    (out, bytes)
}

/// Two lanes at 120 frames a second have 461 kB/s of the 1,216 kB/s of full-speed USB.
#[test]
fn a_frame_of_pixels_takes_half_a_byte_a_pulse() {
    // At 8 ns: 400 + 850 and 800 + 450 ns, each edge a sample early or late now and then.
    let pulses: Vec<_> = (0..160 * 24_u32)
        .map(|bit| {
            let (active, idle) = if bit * 7 % 3 == 0 { (50, 106) } else { (100, 56) };
            Pulse { active: active + bit * 5 % 2, idle: idle + bit * 11 % 3 }
        })
        .collect();
    let (out, bytes) = through(&pulses);
    assert_eq!(out, pulses);
    let (least, most) = (pulses.len() / 2, pulses.len() / 2 + pulses.len() / 20);
    assert!((least..=most).contains(&bytes), "{bytes} bytes for {} pulses", pulses.len());
}

#[rstest]
#[case::nothing(&[])]
#[case::no_count(&[0])]
#[case::half_a_count(&[0, 1])]
#[case::table_too_long(&[16, 0, 0])]
#[case::table_cut(&[1, 5])]
#[case::places_cut(&[1, 5, 6, 3, 0, 0])]
#[case::not_in_the_table(&[1, 5, 6, 1, 0, 0x10])]
#[case::literal_cut(&[0, 1, 0, 0xF0, 5])]
#[case::bytes_behind(&[0, 0, 0, 1])]
#[case::number_too_long(&[1, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 1, 0, 0])]
#[case::number_too_large(&[1, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F, 0, 1, 0, 0])]
fn what_is_no_packet_is_refused(#[case] bytes: &[u8]) {
    assert_eq!(unpack(bytes).map(Vec::from_iter), Err(PackedError));
}

/// Pulses as a wire has them, and others.
fn pulse() -> impl Strategy<Value = Pulse> {
    let usual = (49..52_u32, 55..57_u32);
    let any = (any::<u32>(), any::<u32>());
    prop_oneof![8 => usual, 1 => (0..300_u32, 0..300_u32), 1 => any]
        .prop_map(|(active, idle)| Pulse { active, idle })
}

/// Packs what stands in the table by its places, as the firmware does.
fn by_places(packer: &mut Packer, pulses: &[Pulse]) -> usize {
    let places: Vec<u8> = pulses
        .chunks_exact(2)
        .map_while(|pair| Some(packer.place_of(pair[0])? << 4 | packer.place_of(pair[1])?))
        .collect();
    let vacant = packer.vacant();
    let bytes = places.len().min(vacant.len());
    vacant[..bytes].copy_from_slice(&places[..bytes]);
    packer.fill(bytes);
    2 * bytes
}

proptest! {
    #[test]
    fn pulses_packed_by_their_places_are_the_same(pulses in prop::collection::vec(pulse(), 0..3000)) {
        prop_assert_eq!(packets_of(&pulses, by_places), through(&pulses));
    }

    #[test]
    fn pulses_come_out_as_they_went_in(pulses in prop::collection::vec(pulse(), 0..3000)) {
        prop_assert_eq!(through(&pulses).0, pulses);
    }

    /// Nobody panics at anything.
    #[test]
    fn garbage_is_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(pulses) = unpack(&bytes) {
            let announced = pulses.len();
            prop_assert_eq!(pulses.count(), announced);
        }
    }
}
