//! How a board's clock follows the host's.
//!
//! The board's clock jumps from event to event wherever it is told to stop; this says where. A host
//! that is too slow for a while is caught up with; what it is behind by more than [`MAX_LAG`] is given
//! up, so that a laptop that slept does not have to live through its night.

use std::str::FromStr;
use std::time::{Duration, Instant as HostInstant};

use rigor_core::Instant;
use rigor_core::time::nanos;

/// More than this the board is never behind, in time of the host.
pub const MAX_LAG: Duration = Duration::from_millis(500);

/// Seconds of the board in a second of the host: 0.001 to 1000.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub struct Speed(f64);

impl Speed {
    /// As fast as a real board.
    pub const REAL_TIME: Speed = Speed(1.0);

    /// Twice as fast, if it can be.
    #[must_use]
    pub fn faster(self) -> Speed {
        Speed((self.0 * 2.0).min(1000.0))
    }

    /// Half as fast, if it can be.
    #[must_use]
    pub fn slower(self) -> Speed {
        Speed((self.0 / 2.0).max(0.001))
    }

    /// The factor.
    pub fn factor(self) -> f64 {
        self.0
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is no speed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("write a number from 0.001 (a thousand times slower) to 1000 (a thousand times faster)")]
pub struct NoSpeed;

impl FromStr for Speed {
    type Err = NoSpeed;

    fn from_str(text: &str) -> Result<Self, NoSpeed> {
        let factor: f64 = text.parse().map_err(|_| NoSpeed)?;
        if (0.001..=1000.0).contains(&factor) { Ok(Speed(factor)) } else { Err(NoSpeed) }
    }
}

/// Maps the host's clock to the board's.
#[derive(Clone, Debug)]
pub struct Pace {
    speed: Speed,
    /// Of the same moment, unless the board stands still.
    host: HostInstant,
    board: Instant,
    paused: bool,
    /// What the host was too slow for, in its own time.
    given_up: Duration,
}

impl Pace {
    /// From `now` on, when the board's clock shows `board`.
    pub fn new(now: HostInstant, board: Instant, speed: Speed) -> Self {
        Pace { speed, host: now, board, paused: false, given_up: Duration::ZERO }
    }

    /// What the board's clock should show at `now`.
    pub fn target(&self, now: HostInstant) -> Instant {
        if self.paused {
            return self.board;
        }
        self.board + now.saturating_duration_since(self.host).mul_f64(self.speed.0)
    }

    /// How long after `now` the board's clock has to show `at`; `None` if it stands still.
    pub fn until(&self, at: Instant, now: HostInstant) -> Option<Duration> {
        let ahead = nanos(at.since(self.target(now))) as f64 / self.speed.0;
        // Rounded up: a board that is woken early has nothing to do, and would be woken again.
        (!self.paused).then(|| Duration::from_nanos(ahead.ceil() as u64))
    }

    /// By how much the board that shows `board` is late at `now`, in time of the host. What exceeds
    /// [`MAX_LAG`] is given up.
    pub fn lag(&mut self, now: HostInstant, board: Instant) -> Duration {
        let lag = self.target(now).since(board).div_f64(self.speed.0);
        if let Some(excess) = lag.checked_sub(MAX_LAG).filter(|excess| !excess.is_zero()) {
            self.host += excess;
            self.given_up += excess;
            return MAX_LAG;
        }
        lag
    }

    /// How fast the board is meant to be.
    pub fn speed(&self) -> Speed {
        self.speed
    }

    /// Has the board that shows `board` run at another speed from `now` on.
    pub fn change_speed(&mut self, now: HostInstant, board: Instant, speed: Speed) {
        (self.host, self.board, self.speed) = (now, board, speed);
    }

    /// How much of its time the host was too slow for, since the beginning.
    pub fn given_up(&self) -> Duration {
        self.given_up
    }

    /// Whether the board stands still.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Has the board that shows `board` stand still from now on.
    pub fn pause(&mut self, board: Instant) {
        self.board = board;
        self.paused = true;
    }

    /// Has it go on at `now`.
    pub fn go_on(&mut self, now: HostInstant) {
        if self.paused {
            self.host = now;
            self.paused = false;
        }
    }
}

/// How fast the board was of late.
#[derive(Clone, Debug)]
pub struct Speedometer {
    begun: (HostInstant, Instant),
    shown: f64,
}

impl Speedometer {
    /// Of so much time of the host.
    const SPAN: Duration = Duration::from_millis(500);

    /// From `now` on, when the board's clock shows `board`; until it knows better it shows `speed`.
    pub fn new(now: HostInstant, board: Instant, speed: Speed) -> Self {
        Speedometer { begun: (now, board), shown: speed.0 }
    }

    /// Seconds of the board in a second of the host.
    pub fn read(&mut self, now: HostInstant, board: Instant) -> f64 {
        let (host, since) = self.begun;
        let passed = now.saturating_duration_since(host);
        if passed >= Self::SPAN {
            self.shown = board.since(since).as_secs_f64() / passed.as_secs_f64();
            self.begun = (now, board);
        }
        self.shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn the_board_runs_as_fast_as_it_is_told() {
        let start = HostInstant::now();
        for (speed, shown) in [("1", 100), ("2.5", 250), ("0.1", 10)] {
            let pace = Pace::new(start, at(7), speed.parse().expect("a speed"));
            assert_eq!(pace.target(start + 100 * MS), at(7 + shown));
            assert_eq!(pace.until(at(7 + shown), start + 60 * MS), Some(40 * MS));
            assert_eq!(pace.until(at(7), start + 60 * MS), Some(Duration::ZERO), "it is over");
        }
    }

    #[test]
    fn a_slow_host_is_caught_up_with_and_a_sleeping_one_is_not() {
        let start = HostInstant::now();
        let mut pace = Pace::new(start, Instant::ZERO, Speed::REAL_TIME);
        assert_eq!(pace.lag(start + 300 * MS, at(100)), 200 * MS);
        assert_eq!(pace.target(start + 300 * MS), at(300), "it is made up for");

        assert_eq!(pace.lag(start + 10_300 * MS, at(300)), MAX_LAG);
        assert_eq!(pace.given_up(), 9_500 * MS);
        assert_eq!(pace.target(start + 10_300 * MS), at(800));
    }

    #[test]
    fn a_pause_takes_no_time() {
        let start = HostInstant::now();
        let mut pace = Pace::new(start, Instant::ZERO, Speed::REAL_TIME);
        pace.pause(at(50));
        assert!(pace.is_paused());
        assert_eq!(pace.until(at(60), start + 100 * MS), None);
        assert_eq!(pace.lag(start + 5_000 * MS, at(50)), Duration::ZERO);
        pace.go_on(start + 5_000 * MS);
        assert_eq!(pace.target(start + 5_010 * MS), at(60));
        pace.go_on(start + 6_000 * MS);
        assert_eq!(pace.target(start + 5_010 * MS), at(60), "it went on before");
    }

    #[test]
    fn a_change_of_speed_does_not_jump() {
        let start = HostInstant::now();
        let mut pace = Pace::new(start, Instant::ZERO, Speed::REAL_TIME);
        pace.change_speed(start + 100 * MS, at(100), pace.speed().faster());
        assert_eq!(pace.target(start + 110 * MS), at(120));
        assert_eq!("1000".parse::<Speed>().map(Speed::faster), "1000".parse());
        assert_eq!("0.001".parse::<Speed>().map(Speed::slower), "0.001".parse());
    }

    #[test]
    fn the_speedometer_shows_what_was() {
        let start = HostInstant::now();
        let mut meter = Speedometer::new(start, Instant::ZERO, Speed::REAL_TIME);
        assert_eq!(meter.read(start + 100 * MS, at(10)), 1.0, "too early to tell");
        assert_eq!(meter.read(start + 500 * MS, at(250)), 0.5);
    }

    #[test]
    fn what_is_no_speed_is_refused() {
        for text in ["0", "-1", "1001", "NaN", "inf", "fast", ""] {
            assert_eq!(text.parse::<Speed>(), Err(NoSpeed), "{text}");
        }
    }
}
