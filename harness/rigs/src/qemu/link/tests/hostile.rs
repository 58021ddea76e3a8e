//! A device that sends whatever it likes.

use rigor_core::event::{Direction, FlowKind};
use smoltcp::wire::{TcpControl, TcpRepr, TcpSeqNumber};

use super::super::RIG_ADDRESS;
use super::device::*;
use super::segments::*;

/// Numbers without a pattern (Marsaglia's xorshift64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// One near `value`, or any.
    fn near(&mut self, value: u32) -> u32 {
        match self.below(4) {
            0 => self.next() as u32,
            1 => value,
            _ => value.wrapping_add(self.below(9000) as u32).wrapping_sub(3000),
        }
    }
}

#[test]
fn garbage_means_nothing() {
    let mut bench = alone();
    let mut numbers = Numbers(1);
    let seeds = [question(RIG_ADDRESS), segment(&answer(&mut Numbers(2), 0, 49153))];
    for _ in 0..20_000 {
        let mut frame = match numbers.below(3) {
            0 => {
                let length = numbers.below(1600) as usize;
                numbers.bytes(length)
            }
            kind => seeds[kind as usize - 1].clone(),
        };
        for _ in 0..numbers.below(4) {
            // Lengths and types are near the front.
            let index = numbers.below(60) as usize;
            if let Some(byte) = frame.get_mut(index) {
                *byte = numbers.next() as u8;
            }
        }
        frame.truncate(numbers.below(frame.len() as u64 * 2 + 1) as usize);
        bench.link.sent_by_device(bench.timeline.now(), &frame);
        bench.run_for(numbers.below(100_000));
    }
    bench.run_for(1_000 * MS);
    let state = bench.link.0.borrow();
    assert!(state.connections.is_empty() && state.ports.is_empty());
    assert_eq!(state.stack.sockets(), 0);
}

/// An answer to a connection at `port` whose next number is `expected`, of numbers near and far.
fn answer(numbers: &mut Numbers, expected: u32, port: u16) -> TcpRepr<'static> {
    const PAYLOAD: [u8; 1400] = [0x55; 1400];
    let controls = [
        TcpControl::None,
        TcpControl::Psh,
        TcpControl::Syn,
        TcpControl::Fin,
        TcpControl::None,
        TcpControl::Rst,
    ];
    // A RST that is not quite right is rare enough to leave others something to do.
    let choices = if numbers.below(20) == 0 { 6 } else { 5 };
    let control = controls[numbers.below(choices) as usize];
    let payload = if control == TcpControl::Syn { 0 } else { numbers.below(1400) as usize };
    let payload = if numbers.below(2) == 0 { &[] } else { &PAYLOAD[..payload] };
    TcpRepr {
        src_port: PORT,
        dst_port: port,
        control,
        seq_number: TcpSeqNumber(numbers.near(1000) as i32),
        ack_number: (numbers.below(8) > 0).then(|| TcpSeqNumber(numbers.near(expected) as i32)),
        window_len: [0, 1, 100, 5760, 65535][numbers.below(5) as usize],
        window_scale: (control == TcpControl::Syn).then(|| numbers.next() as u8),
        max_seg_size: (control == TcpControl::Syn)
            .then(|| [0, 1, 48, 1440, 65535][numbers.below(5) as usize]),
        sack_permitted: control == TcpControl::Syn,
        sack_ranges: [None; 3],
        timestamp: None,
        payload,
    }
}

/// Segments with valid checksums and any numbers, for connections in any state.
#[test]
fn absurd_segments_do_no_harm() {
    let mut numbers = Numbers(3);
    let mut opened = 0;
    for _ in 0..1_500 {
        let mut bench = alone();
        let id = bench.connect();
        bench.net.send(id, &pattern(numbers.below(20_000) as usize)).unwrap();
        bench.run_for(10 * MS);
        let syn = last_segment(&bench).sequence;
        if numbers.below(10) > 0 {
            let mut repr = answer(&mut numbers, syn, 49153);
            repr.control = TcpControl::Syn;
            repr.ack_number = (numbers.below(4) > 0).then_some(TcpSeqNumber(syn.wrapping_add(1) as i32));
            repr.seq_number = TcpSeqNumber(999);
            repr.payload = &[];
            bench.link.sent_by_device(bench.timeline.now(), &segment(&repr));
            bench.run_for(10 * MS);
        }
        for _ in 0..30 {
            match numbers.below(40) {
                0 => bench.net.finish(id).unwrap(),
                1 => bench.net.stop_reading(id).unwrap(),
                2 => bench.net.read_on(id).unwrap(),
                3 => bench.net.reset(id).unwrap(),
                4 => bench.net.send(id, b"more").unwrap(),
                _ => {}
            }
            let now = last_segment(&bench).sequence;
            let frame = segment(&answer(&mut numbers, now, 49153));
            bench.link.sent_by_device(bench.timeline.now(), &frame);
            bench.run_for(numbers.below(20 * MS));
        }
        bench.run_for(numbers.below(30_000 * MS));
        opened += bench.kinds(id).iter().filter(|kind| **kind == FlowKind::Opened).count();
    }
    assert!(opened > 500, "{opened} of them were opened");
}

#[test]
fn a_device_that_sends_without_end_is_cut_off() {
    let mut bench = alone();
    for _ in 0..10_000 {
        bench.link.sent_by_device(at(0), &[0xFF; 1514]);
    }
    for _ in 0..100_000 {
        bench.link.sent_by_device(at(0), &[]);
    }
    bench.link.sent_by_device(at(0), &[0; 1515]);
    bench.link.sent_by_device(at(0), &vec![0; 1 << 24]);
    let expected = [
        "net: frames beyond 1048576 bytes on their way from the device are lost",
        "net: frames of more than 1514 bytes from the device are lost",
    ];
    assert_eq!(bench.notes(), expected, "each once");
    // The link is as busy as what it holds, and then free again.
    bench.run_for(500 * MS);
    assert_eq!(bench.link.next_event(), None);
    bench.link.sent_by_device(at(500 * MS), &question(RIG_ADDRESS));
    bench.run_for(10 * MS);
    assert_eq!(bench.to_device.len(), 1);
}

#[test]
fn a_frame_that_is_handed_in_late_arrives_when_it_should() {
    let mut bench = alone();
    bench.run_until(1_500_000);
    bench.link.sent_by_device(at(MS), &question(RIG_ADDRESS));
    bench.run_until(20 * MS);
    // Too late for that, it arrives now.
    bench.link.sent_by_device(at(10 * MS), &question(RIG_ADDRESS));
    bench.run_for(10 * MS);
    let arrivals: Vec<_> = bench.to_device.iter().map(|(at, _)| *at).collect();
    assert_eq!(arrivals, [MS + trip(42) + LATENCY, 20 * MS + LATENCY]);
}

#[test]
fn a_segment_that_claims_to_be_of_somebody_else_is_not_heard() {
    let mut bench = Bench::serving(echo());
    let id = bench.open();
    let mut repr = answer(&mut Numbers(5), 0, 49153);
    (repr.src_port, repr.control) = (PORT + 1, TcpControl::Rst);
    bench.link.sent_by_device(bench.timeline.now(), &segment(&repr));
    bench.net.send(id, b"still there").unwrap();
    bench.run_for(100 * MS);
    assert_eq!(bench.received(id), b"still there");
    assert_eq!(bench.kinds(id), [FlowKind::Opened]);
    assert_eq!(bench.pieces(id, Direction::ToDut).len(), 1);
}
