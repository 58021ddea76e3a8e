//! An executor with a clock that jumps to the next timer, one per test thread.
//!
//! Each task has a waker of its own, as on a device: what wakes itself again and again shows in the number of
//! [`turns`].

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use embassy_time_driver::Driver;

#[derive(Default)]
struct Clock {
    now: u64,
    turns: usize,
    timers: Vec<(u64, Waker)>,
    /// That have not had a turn.
    spawned: Vec<Pin<Box<dyn Future<Output = ()>>>>,
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

struct Task<'a, T> {
    body: Pin<Box<dyn Future<Output = T> + 'a>>,
    woken: Arc<Woken>,
}

impl<'a, T> Task<'a, T> {
    fn of(body: Pin<Box<dyn Future<Output = T> + 'a>>) -> Self {
        Task { body, woken: Arc::new(Woken(AtomicBool::new(true))) }
    }

    /// The task's turn, if it wants one.
    fn turn(&mut self) -> Option<Poll<T>> {
        if !self.woken.0.swap(false, Ordering::Relaxed) {
            return None;
        }
        CLOCK.with_borrow_mut(|clock| clock.turns += 1);
        let waker = Waker::from(self.woken.clone());
        Some(self.body.as_mut().poll(&mut Context::from_waker(&waker)))
    }
}

/// Runs `body` beside the test, until that ends.
pub(crate) fn spawn(body: impl Future<Output = ()> + 'static) {
    CLOCK.with_borrow_mut(|clock| clock.spawned.push(Box::pin(body)));
}

/// How often any task has had its turn.
pub(crate) fn turns() -> usize {
    CLOCK.with_borrow(|clock| clock.turns)
}

/// Runs `test` to its end, and beside it what it spawns. Time jumps to the next timer whenever nothing else is
/// left to do.
///
/// # Panics
/// When nothing ever will be.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let mut test = Task::of(Box::pin(test));
    let mut beside: Vec<Task<'_, ()>> = Vec::new();
    loop {
        let mut idle = true;
        if let Some(polled) = test.turn() {
            if let Poll::Ready(result) = polled {
                return result;
            }
            idle = false;
        }
        beside.extend(
            CLOCK.with_borrow_mut(|clock| std::mem::take(&mut clock.spawned)).into_iter().map(Task::of),
        );
        for task in &mut beside {
            idle &= task.turn().is_none();
        }
        if idle {
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
