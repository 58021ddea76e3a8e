//! What the host's unit tests stand on: a clock that jumps to the next timer, one per test thread.

use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::Future;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use std::thread_local;

use embassy_time_driver::Driver;

#[derive(Default)]
struct Clock {
    now: u64,
    timers: Vec<(u64, Waker)>,
}

thread_local! {
    static CLOCK: RefCell<Clock> = RefCell::default();
}

struct TestDriver;

impl Driver for TestDriver {
    fn now(&self) -> u64 {
        CLOCK.with_borrow(|clock| clock.now)
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        CLOCK.with_borrow_mut(|clock| {
            if !clock.timers.iter().any(|(due, waiting)| *due == at && waiting.will_wake(waker)) {
                clock.timers.push((at, waker.clone()));
            }
        });
    }
}

embassy_time_driver::time_driver_impl!(static DRIVER: TestDriver = TestDriver);

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `future` to its end. Time jumps to the next timer whenever nothing else is left to do.
/// Panics when nothing ever will be.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&woken));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        while !woken.0.swap(false, Ordering::Relaxed) {
            let due = CLOCK.with_borrow_mut(|clock| {
                let earliest = clock.timers.iter().enumerate().min_by_key(|(_, timer)| timer.0)?.0;
                let (at, waker) = clock.timers.swap_remove(earliest);
                clock.now = clock.now.max(at);
                Some(waker)
            });
            due.expect("every task waits and no timer runs").wake();
        }
    }
}
