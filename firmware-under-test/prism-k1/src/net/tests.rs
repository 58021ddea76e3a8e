//! The server over a network in memory, with the test clock.

use alloc::rc::Rc;
use core::cell::RefCell;
use core::future::Future;
use std::vec::Vec;

use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use firmware_platform::Cpu;

use super::memory::{Client, Got, Net, UPGRADE, masked};
use super::slots::Slots;
use super::{Handler, Reaction, Reply, Shared, serve};
use crate::log::Log;
use crate::pool::{Block, Pools};
use crate::protocol::framed;
use crate::testing::run;
use crate::wifi::Station;

#[derive(Clone)]
struct FreeCpu;

impl Cpu for FreeCpu {
    fn work(&self, _cycles: u32) {}
}

/// Answers with the message's length; 'w' waits 10 s first, 'l' answers with a long frame.
#[derive(Clone)]
struct Echo {
    pools: Pools,
    seen: Rc<RefCell<Vec<usize>>>,
    ended: Rc<RefCell<usize>>,
}

impl Handler for Echo {
    const TEXT: bool = false;
    const ERRORS: bool = true;

    async fn message(&mut self, buffer: &mut Block, len: usize) -> Reaction {
        if len == 0 {
            return Reaction::Continue(Reply::None);
        }
        self.seen.borrow_mut().push(len);
        match buffer[0] {
            b'w' => Timer::after_secs(10).await,
            b'l' => return Reaction::Continue(Reply::Long(self.pools.alloc(4096).unwrap())),
            _ => {}
        }
        Reaction::Continue(Reply::Short(framed::done(format_args!("{len}"))))
    }

    fn ended(&mut self) {
        *self.ended.borrow_mut() += 1;
    }
}

struct Bench {
    net: Net,
    echo: Echo,
}

fn with_server<F: Future<Output = ()>>(test: impl FnOnce(Bench) -> F) {
    let (net, pools) = (Net::default(), Pools::new());
    let echo = Echo { pools: pools.clone(), seen: Rc::default(), ended: Rc::default() };
    let shared = Shared {
        cpu: FreeCpu,
        pools: pools.clone(),
        log: Log::new(),
        slots: Slots::default(),
        station: Station::default(),
    };
    let all = pools.clone();
    run(async {
        let server = serve(&net, [80, 8080], &shared, || echo.clone());
        let bench = Bench { net: net.clone(), echo: echo.clone() };
        match select(server, async {
            test(bench).await;
            // Whatever happened, nothing is leaked.
            Timer::after_secs(10).await;
            assert_eq!(all.status().classes.map(|class| class.free), crate::pool::CLASS_BLOCKS);
            assert_eq!(all.status().failures, 0);
        })
        .await
        {
            Either::First(()) => panic!("the server ended"),
            Either::Second(()) => {}
        }
    });
}

fn reply(len: usize) -> Got {
    Got::Binary(framed::done(format_args!("{len}")).to_vec())
}

#[test]
fn messages_pings_and_the_closing_handshake() {
    with_server(|bench| async move {
        let mut client = Client::open(&bench.net).await;
        client.frame(0x82, b"abc");
        assert_eq!(client.receive().await, reply(3));
        client.frame(0x89, b"are you there");
        assert_eq!(client.receive().await, Got::Pong(b"are you there".to_vec()));
        client.frame(0x8A, b"unasked");
        client.frame(0x82, b"");
        client.frame(0x82, &[7; 4096]);
        assert_eq!(client.receive().await, reply(4096));
        client.frame(0x82, b"l");
        assert_eq!(client.receive().await, Got::Binary(std::vec![0; 4096]));
        client.frame(0x88, &[0x0B, 0xB8, b'x']);
        assert_eq!(client.receive().await, Got::Close(std::vec![0x0B, 0xB8]));
        client.finish();
        assert_eq!(client.receive().await, Got::End);
        assert_eq!(*bench.echo.ended.borrow(), 1);
    });
}

#[test]
fn fragments_are_put_together_and_pings_in_between_answered() {
    with_server(|bench| async move {
        let mut client = Client::open(&bench.net).await;
        client.frame(0x02, b"ab");
        client.frame(0x89, b"?");
        client.frame(0x00, b"");
        client.frame(0x80, b"cde");
        assert_eq!(client.receive().await, Got::Pong(b"?".to_vec()));
        assert_eq!(client.receive().await, reply(5));
        client.frame(0x02, &[1; 4000]);
        client.frame(0x80, &[1; 97]);
        client.expect_refusal(3, 1009).await;
    });
}

#[test]
fn every_refusal_says_why_and_the_device_serves_on() {
    with_server(|bench| async move {
        let cases: [(Vec<u8>, u8, u16); 9] = [
            (masked(0x82, &[0; 4097]), 3, 1009),
            (masked(0x82, &std::vec![0; 70_000]), 3, 1009),
            (masked(0x81, b"text"), 1, 1003),
            (std::vec![0x82, 0x01, 0x00], 1, 1002),
            (masked(0xC2, b"x"), 1, 1002),
            (masked(0x83, b"x"), 1, 1002),
            (masked(0x80, b"x"), 1, 1002),
            (masked(0x09, b"x"), 1, 1002),
            (masked(0x88, b"x"), 1, 1002),
        ];
        for (bytes, code, close) in cases {
            let mut client = Client::open(&bench.net).await;
            client.send(&bytes);
            client.expect_refusal(code, close).await;
        }
        let mut client = Client::open(&bench.net).await;
        client.frame(0x82, b"still here");
        assert_eq!(client.receive().await, reply(10));
        client.finish();
    });
}

#[test]
fn a_third_client_is_turned_away_before_the_upgrade() {
    with_server(|bench| async move {
        let mut first = Client::open(&bench.net).await;
        let mut second = Client::open(&bench.net).await;
        let mut third = Client::connect(&bench.net, 1);
        third.send(UPGRADE.as_bytes());
        assert!(third.head().await.starts_with("HTTP/1.1 503 "));
        assert_eq!(third.receive().await, Got::End);
        for client in [&mut first, &mut second] {
            client.frame(0x82, b"x");
            assert_eq!(client.receive().await, reply(1));
        }
        first.finish();
        assert_eq!(first.receive().await, Got::End);
        let mut fourth = Client::open(&bench.net).await;
        fourth.finish();
        second.finish();
    });
}

#[test]
fn a_silent_client_is_disconnected_after_five_to_six_seconds() {
    with_server(|bench| async move {
        let mut client = Client::open(&bench.net).await;
        let mut stalled = Client::open(&bench.net).await;
        for _ in 0..20 {
            Timer::after_secs(4).await;
            client.frame(0x82, b"");
            stalled.frame(0x82, b"");
        }
        let since = Instant::now();
        stalled.send(&masked(0x82, &[0; 100])[..50]);
        Timer::after_secs(3).await;
        client.frame(0x89, b"");
        assert_eq!(client.receive().await, Got::Pong(Vec::new()));
        for client in [&mut client, &mut stalled] {
            assert_eq!(client.receive().await, Got::Close(1001u16.to_be_bytes().to_vec()));
            let idle = since.elapsed();
            assert!(idle >= Duration::from_secs(5) && idle <= Duration::from_secs(6), "{idle:?}");
        }
        // Neither answers; the connections end all the same.
        for client in [&mut client, &mut stalled] {
            assert_eq!(client.receive().await, Got::End);
        }
        assert!(since.elapsed() <= Duration::from_secs(7));
    });
}

#[test]
fn half_open_peers_free_their_slots() {
    with_server(|bench| async move {
        let first = Client::open(&bench.net).await;
        let second = Client::open(&bench.net).await;
        for client in [&first, &second] {
            client.0.change(|wire| wire.deaf = true);
        }
        Timer::after_millis(5_900).await;
        assert_eq!(*bench.echo.ended.borrow(), 2);
        let mut third = Client::open(&bench.net).await;
        third.finish();
    });
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    with_server(|bench| async move {
        let mut client = Client::open(&bench.net).await;
        for _ in 0..100 {
            client.frame(0x82, b"l");
        }
        Timer::after_secs(3).await;
        assert!(client.0.0.borrow().device_gone);
        assert_eq!(*bench.echo.ended.borrow(), 1);
    });
}

#[test]
fn a_busy_device_does_not_call_its_client_idle() {
    with_server(|bench| async move {
        let mut client = Client::open(&bench.net).await;
        client.frame(0x82, b"wait");
        client.frame(0x82, b"next");
        assert_eq!(client.receive().await, reply(4));
        assert_eq!(client.receive().await, reply(4));
        client.finish();
    });
}

#[test]
fn what_came_before_the_end_of_the_stream_is_dealt_with() {
    with_server(|bench| async move {
        let mut client = Client::open(&bench.net).await;
        client.frame(0x82, b"wait");
        client.frame(0x82, b"tail");
        client.finish();
        Timer::after_secs(11).await;
        assert_eq!(*bench.echo.seen.borrow(), [4, 4]);
        assert_eq!(*bench.echo.ended.borrow(), 1);
    });
}

#[test]
fn slow_oversized_and_malformed_heads_are_answered() {
    with_server(|bench| async move {
        let mut slow = Client::connect(&bench.net, 0);
        slow.send(b"GET / HT");
        let mut long = Client::connect(&bench.net, 1);
        long.send(b"GET / HTTP/1.1\r\nA: ");
        long.send(&[b'a'; 2000]);
        assert!(long.head().await.starts_with("HTTP/1.1 431 "));
        let mut bad = Client::connect(&bench.net, 0);
        bad.send(&[0x16, 0x03, 0x01, 0x00]);
        assert!(bad.head().await.starts_with("HTTP/1.1 400 "));
        let mut empty = Client::connect(&bench.net, 0);
        empty.finish();
        assert_eq!(empty.receive().await, Got::End);
        let began = Instant::now();
        assert!(slow.head().await.starts_with("HTTP/1.1 408 "));
        assert_eq!(began.elapsed(), Duration::from_secs(5));
    });
}

#[test]
fn a_crowd_of_silent_connections_does_not_lock_others_out_for_long() {
    with_server(|bench| async move {
        let crowd: Vec<Client> = (0..20).map(|_| Client::connect(&bench.net, 0)).collect();
        with_timeout(Duration::from_secs(30), Client::open(&bench.net)).await.unwrap().finish();
        drop(crowd);
    });
}

/// Pseudo-random numbers (xorshift32), the same in every run.
struct Dice(u32);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % sides
    }
}

#[test]
fn no_garbage_stops_the_server_or_leaks() {
    with_server(|bench| async move {
        let mut dice = Dice(0x1234_5678);
        for _ in 0..500 {
            let mut client = Client::open(&bench.net).await;
            for _ in 0..dice.roll(6) {
                let len = dice.roll(300);
                let payload: Vec<u8> = (0..len).map(|_| dice.roll(256) as u8).collect();
                // Whole frames of any kind, and bytes that are none.
                match dice.roll(3) {
                    0 => client.send(&payload),
                    1 => client.frame(dice.roll(256) as u8, &payload),
                    _ => client.frame(0x82, &payload),
                }
            }
            client.0.change(|wire| wire.to_client.clear());
            client.finish();
            // Until its slot is free again.
            Timer::after_millis(1).await;
        }
        for _ in 0..200 {
            let mut client = Client::connect(&bench.net, 1);
            let mut head: Vec<u8> = UPGRADE.bytes().collect();
            for _ in 0..1 + dice.roll(4) {
                let at = dice.roll(head.len() as u32) as usize;
                head[at] = dice.roll(256) as u8;
            }
            client.send(&head);
            client.finish();
        }
        Timer::after_secs(10).await;
        let mut client = Client::open(&bench.net).await;
        client.frame(0x82, b"alive");
        assert_eq!(client.receive().await, reply(5));
        client.finish();
    });
}
