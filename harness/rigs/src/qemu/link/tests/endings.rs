//! How connections end: politely, rudely, without a word, and all at once.

use rigor_core::event::{Direction, FlowKind};

use super::device::*;

const FINISHED_TO: FlowKind = FlowKind::Finished(Direction::ToDut);
const FINISHED_FROM: FlowKind = FlowKind::Finished(Direction::FromDut);

#[test]
fn the_rig_finishes_first() {
    let mut bench = Bench::serving(echo());
    let id = bench.connect();
    bench.net.send(id, b"hello").unwrap();
    bench.net.finish(id).unwrap();
    bench.net.send(id, b"too late").unwrap();
    bench.run_for(100 * MS);
    assert_eq!(bench.kinds(id), [FlowKind::Opened, FINISHED_TO, FINISHED_FROM]);
    assert_eq!((bench.sent(id), bench.received(id)), (b"hello".to_vec(), b"hello".to_vec()));
    assert_eq!(bench.milestones(id)[1].0, 2 * trip(SYN), "with the data");
    assert_eq!(bench.acknowledged(id), [5], "a FIN is no byte");
}

#[test]
fn what_the_device_sends_after_the_rig_has_finished_is_heard() {
    let mut bench = Bench::serving(ignore());
    let id = bench.open();
    bench.net.finish(id).unwrap();
    bench.run_for(50 * MS);
    bench.device.as_mut().unwrap().socket().send_slice(b"bye").unwrap();
    bench.run_for(50 * MS);
    assert_eq!(bench.received(id), b"bye");
    assert_eq!(bench.kinds(id), [FlowKind::Opened, FINISHED_TO]);
    bench.device.as_mut().unwrap().socket().close();
    bench.run_for(50 * MS);
    assert_eq!(bench.kinds(id), [FlowKind::Opened, FINISHED_TO, FINISHED_FROM]);
    assert_eq!(bench.link.0.borrow().stack.sockets(), 0);
}

#[test]
fn the_device_finishes_first() {
    let mut bench = Bench::serving(ignore());
    let id = bench.open();
    bench.device.as_mut().unwrap().socket().send_slice(b"bye").unwrap();
    bench.device.as_mut().unwrap().socket().close();
    bench.run_for(100 * MS);
    assert_eq!(bench.kinds(id), [FlowKind::Opened, FINISHED_FROM]);
    bench.net.send(id, b"and now?").unwrap();
    bench.run_for(100 * MS);
    assert_eq!(bench.acknowledged(id), [8], "half closed");
    bench.net.finish(id).unwrap();
    bench.run_for(100 * MS);
    assert_eq!(bench.kinds(id), [FlowKind::Opened, FINISHED_FROM, FINISHED_TO]);
    assert_eq!(bench.received(id), b"bye");
    assert_eq!(bench.link.0.borrow().stack.sockets(), 0);
}

#[test]
fn both_finish_at_once() {
    let mut bench = Bench::serving(ignore());
    let id = bench.open();
    bench.net.finish(id).unwrap();
    bench.device.as_mut().unwrap().socket().close();
    bench.run_for(100 * MS);
    assert_eq!(bench.kinds(id), [FlowKind::Opened, FINISHED_TO, FINISHED_FROM]);
    bench.net.reset(id).unwrap();
    bench.net.finish(id).unwrap();
    assert_eq!(bench.kinds(id).len(), 3, "it is over");
    assert!(bench.link.0.borrow().connections.is_empty());
}

#[test]
fn a_finish_waits_for_what_is_queued() {
    let mut bench = Bench::serving(keep());
    let id = bench.open();
    bench.net.send(id, &pattern(50_000)).unwrap();
    bench.net.finish(id).unwrap();
    bench.run_for(1_000 * MS);
    assert_eq!(bench.device.as_ref().unwrap().kept, pattern(50_000));
    assert_eq!(bench.kinds(id), [FlowKind::Opened, FINISHED_TO, FINISHED_FROM]);
}

#[test]
fn a_reset_by_the_rig_reaches_the_device() {
    let mut bench = Bench::serving(ignore());
    let id = bench.open();
    bench.run_until(10 * MS);
    bench.net.send(id, &pattern(20_000)).unwrap();
    bench.net.reset(id).unwrap();
    bench.net.reset(id).unwrap();
    bench.net.send(id, b"nothing").unwrap();
    bench.run_for(100 * MS);
    assert_eq!(bench.milestones(id)[1..], [(10 * MS, FlowKind::Reset(Direction::ToDut))]);
    assert_eq!(bench.sent(id).len(), 5760, "what was queued is lost");
    assert!(bench.device.as_mut().unwrap().socket().is_listening(), "closed, and ready for the next");
    let again = bench.open();
    assert_ne!(again, id);
}

#[test]
fn a_reset_before_the_answer_takes_the_question_back() {
    let mut bench = Bench::serving(ignore());
    let id = bench.connect();
    bench.run_for(trip(SYN) + 1);
    bench.net.reset(id).unwrap();
    bench.run_for(100 * MS);
    assert_eq!(bench.kinds(id), [FlowKind::Reset(Direction::ToDut)]);
    assert!(bench.device.as_mut().unwrap().socket().is_listening(), "its answer was reset");
}

#[test]
fn a_reset_by_the_device_is_heard_once() {
    let mut bench = Bench::serving(ignore());
    let id = bench.open();
    let begun = bench.now();
    bench.device.as_mut().unwrap().socket().abort();
    bench.run_for(100 * MS);
    let milestones = bench.milestones(id);
    assert_eq!(milestones[1].1, FlowKind::Reset(Direction::FromDut));
    assert!(milestones[1].0 - begun <= 1000 + trip(BARE), "{} ns later", milestones[1].0 - begun);
    assert_eq!(milestones.len(), 2);
    assert!(bench.link.0.borrow().connections.is_empty());
}

#[test]
fn a_reboot_forgets_connections_without_a_word() {
    let mut bench = Bench::serving(echo());
    let (speaks, waits) = (bench.connect(), bench.connect());
    bench.run_for(100 * MS);
    bench.restart(Device::new(4, echo()));
    bench.run_for(1_000 * MS);
    assert_eq!(bench.kinds(speaks), [FlowKind::Opened], "no farewell");
    let begun = bench.now();
    bench.net.send(speaks, b"hello?").unwrap();
    bench.run_for(100 * MS);
    let reset = begun + trip(BARE + 6) + trip(BARE);
    assert_eq!(bench.milestones(speaks)[1..], [(reset, FlowKind::Reset(Direction::FromDut))]);
    assert_eq!(bench.kinds(waits), [FlowKind::Opened]);
    let again = bench.connect();
    bench.net.send(again, b"echo").unwrap();
    bench.run_for(100 * MS);
    assert_eq!(bench.received(again), b"echo");
}

#[test]
fn nobody_answers_for_a_client_that_has_vanished() {
    let mut bench = Bench::serving(ignore());
    let id = bench.open();
    bench.run_for(100 * MS);
    bench.net.vanish(id).unwrap();
    let heard = bench.to_device.len();
    bench.device.as_mut().unwrap().socket().send_slice(b"anybody there?").unwrap();
    bench.net.send(id, b"a ghost").unwrap();
    bench.net.finish(id).unwrap();
    bench.net.reset(id).unwrap();
    bench.run_for(20_000 * MS);
    let asked: Vec<_> = bench.from_device.iter().filter(|(_, frame)| frame.len() == 54 + 14).collect();
    assert!(asked.len() >= 4, "asked {} times", asked.len());
    assert_eq!(bench.to_device.len(), heard, "not a frame");
    assert_eq!(bench.kinds(id), [FlowKind::Opened]);
    assert!(bench.sent(id).is_empty());
}

#[test]
fn a_client_that_vanished_before_it_was_answered_sees_nothing() {
    let mut bench = Bench::serving(ignore());
    for port in [PORT, 81] {
        let id = bench.net.connect(port).unwrap();
        bench.run_for(trip(SYN) + 1);
        bench.net.vanish(id).unwrap();
        bench.run_for(20_000 * MS);
        assert_eq!(bench.flows(id), []);
    }
}

/// More than the link holds at once: what does not fit waits.
#[test]
fn three_hundred_connections_at_once() {
    let mut bench = Bench::new(Some(Device::new(300, echo())));
    let ids: Vec<_> = (0..300).map(|_| bench.connect()).collect();
    bench.run_for(100 * MS);
    for &id in &ids {
        bench.net.send(id, &pattern(5_000)).unwrap();
        bench.net.finish(id).unwrap();
    }
    bench.run_for(900 * MS);
    let last = bench.pieces(ids[299], Direction::ToDut).last().unwrap().0;
    assert!(last > 300 * MS, "{last}");
    bench.run_for(5_000 * MS);
    assert_eq!(bench.notes(), Vec::<String>::new());
    for id in ids {
        assert_eq!(bench.received(id), pattern(5_000));
        assert_eq!(bench.kinds(id), [FlowKind::Opened, FINISHED_TO, FINISHED_FROM]);
    }
}
