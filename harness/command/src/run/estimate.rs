//! How long a run may still take.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant as WallInstant};

use rigor_core::verdict::Verdict;
use rigor_reports::store;

/// What a case took the last time it ran, by system and name.
pub(crate) type Known = BTreeMap<(String, String), Duration>;

/// What the newest record in `out` says. Empty if there is none: an estimate is worth no complaint.
pub(crate) fn last_time(out: &Path) -> Known {
    let Ok(result) = store::read(&out.join(store::LATEST).join("results.json")) else { return Known::new() };
    let ran = result.cases.into_iter().filter(|case| case.verdict != Verdict::NotRun);
    let took = ran.map(|case| ((case.system, case.name), Duration::from_millis(case.wall_ms)));
    took.collect()
}

/// What is left of a run.
#[derive(Debug)]
pub(crate) struct Estimate(Mutex<State>);

#[derive(Debug)]
struct State {
    known: Known,
    /// System and name of each case that has not ended, and since when it runs if it does.
    open: Vec<(String, String, Option<WallInstant>)>,
    threads: usize,
    /// Cases that have ended and of which nothing was known, and what they took.
    strangers: (u32, Duration),
}

impl Estimate {
    /// A run of `cases` on so many threads.
    pub(crate) fn new(cases: impl Iterator<Item = (String, String)>, threads: usize) -> Self {
        let open = cases.map(|(system, name)| (system, name, None)).collect();
        let strangers = (0, Duration::ZERO);
        Estimate(Mutex::new(State { known: Known::new(), open, threads: threads.max(1), strangers }))
    }

    /// What is known from earlier runs.
    pub(crate) fn know(&self, known: Known) {
        self.state().known = known;
    }

    /// A case begins at `now`.
    pub(crate) fn begins(&self, system: &str, name: &str, now: WallInstant) {
        let mut state = self.state();
        let case = state
            .open
            .iter_mut()
            .find(|(of, case, since)| (&**of, &**case) == (system, name) && since.is_none());
        if let Some((_, _, since)) = case {
            *since = Some(now);
        }
    }

    /// A case has ended at `now`.
    pub(crate) fn ends(&self, system: &str, name: &str, now: WallInstant) {
        let mut state = self.state();
        let place = state
            .open
            .iter()
            .position(|(of, case, since)| (&**of, &**case) == (system, name) && since.is_some());
        let Some(place) = place else { return };
        let (system, name, since) = state.open.swap_remove(place);
        if !state.known.contains_key(&(system, name)) {
            state.strangers.0 += 1;
            state.strangers.1 += since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        }
    }

    /// The time left at `now`; `None` while nothing is known of what is open.
    pub(crate) fn left(&self, now: WallInstant) -> Option<Duration> {
        let state = self.state();
        let (ended, took) = state.strangers;
        let stranger = took.checked_div(ended);
        let mut sum = Duration::ZERO;
        let mut longest = Duration::ZERO;
        for (system, name, since) in &state.open {
            let known = state.known.get(&(system.clone(), name.clone())).copied();
            let all = known.or(stranger)?;
            let run = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
            let left = all.saturating_sub(run);
            sum += left;
            longest = longest.max(left);
        }
        let threads = u32::try_from(state.threads).unwrap_or(u32::MAX);
        // No thread can take over half of a case.
        Some(longest.max(sum / threads))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn estimate(known: &[(&str, u64)], cases: &[&str], threads: usize) -> Estimate {
        let toy = |name: &str| ("toy".to_owned(), name.to_owned());
        let estimate = Estimate::new(cases.iter().map(|name| toy(name)), threads);
        estimate.know(known.iter().map(|&(name, seconds)| (toy(name), SECOND * seconds as u32)).collect());
        estimate
    }

    #[test]
    fn work_is_shared_but_no_case_is_split() {
        let now = WallInstant::now();
        let even = estimate(&[("a", 4), ("b", 4), ("c", 4)], &["a", "b", "c"], 2);
        assert_eq!(even.left(now), Some(SECOND * 6));
        let uneven = estimate(&[("a", 30), ("b", 1)], &["a", "b"], 2);
        assert_eq!(uneven.left(now), Some(SECOND * 30));
    }

    #[test]
    fn what_runs_counts_for_what_is_left_of_it_and_what_ended_for_nothing() {
        let now = WallInstant::now();
        let estimate = estimate(&[("a", 10), ("b", 2)], &["a", "b"], 1);
        estimate.begins("toy", "a", now);
        assert_eq!(estimate.left(now + SECOND * 4), Some(SECOND * 8));
        assert_eq!(estimate.left(now + SECOND * 60), Some(SECOND * 2), "it takes longer than it did");
        estimate.ends("toy", "a", now + SECOND * 60);
        estimate.begins("toy", "b", now + SECOND * 60);
        estimate.ends("toy", "b", now + SECOND * 61);
        assert_eq!(estimate.left(now + SECOND * 61), Some(Duration::ZERO));
    }

    #[test]
    fn of_a_case_that_never_ran_the_others_tell() {
        let now = WallInstant::now();
        let estimate = estimate(&[], &["a", "b", "c"], 1);
        assert_eq!(estimate.left(now), None);
        estimate.begins("toy", "a", now);
        estimate.ends("toy", "a", now + SECOND * 3);
        assert_eq!(estimate.left(now), Some(SECOND * 6));
    }
}
