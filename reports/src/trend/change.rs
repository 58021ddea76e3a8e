//! Whether and where a figure changed for good, by a stated test with a stated rate of false alarms.
//!
//! **Statistic.** Pettitt's: with the values replaced by their ranks (ties share the mean of theirs), the
//! rank sum up to each place is compared with what chance gives there; the place where it differs most is
//! the candidate, and the size of that difference the statistic (A. N. Pettitt, *A non-parametric approach
//! to the change-point problem*, Applied Statistics 28, 1979). It needs no distribution and one wild run
//! does not move it.
//!
//! **Probability.** Not by the asymptotic formula, which is far off for a dozen runs, but by permutation:
//! if nothing changed, every order of the same values is as likely as any other. Orders are drawn until
//! 20 of them reach the statistic of the real one, or 99,999 were drawn (J. Besag and P. Clifford,
//! *Sequential Monte Carlo p-values*, Biometrika 78, 1991); that is a valid probability however early it
//! stops, because the real order counts as one of those that reach it. The draws come from a fixed seed, so
//! one history has one answer.
//!
//! **Many series.** Holm's procedure over all series that are tested together, at [`RATE`] in all. Series
//! that cannot reach significance are not counted (R. E. Tarone, *A modified Bonferroni method for discrete
//! data*, Biometrics 46, 1990): here those whose values are all alike, or fewer than [`FEWEST`].
//!
//! **Further changes.** A series with a change is split there, and each side is tested at half the level,
//! and so on; last, each change is placed and tested once more between its neighbours. So of a history in
//! which nothing changed, a report of any change at all has a probability of at most [`RATE`]. In a series
//! that did change, the level holds for each further test and not for all of them together.

/// The chance that a history without any change is said to have one.
pub const RATE: f64 = 0.01;
/// Runs without which nothing is tested.
pub const FEWEST: usize = 8;
/// Orders drawn at most.
const MOST: u32 = 99_999;
/// Orders that reach the real one's statistic, after which no more are drawn.
const ENOUGH: u32 = 20;
/// Changes that are looked for in one series.
const MAX_CHANGES: usize = 8;

/// The method in a sentence, for reports.
pub const METHOD: &str = "Changes: Pettitt's rank statistic with permutation probabilities, Holm's procedure \
over all series that vary; a history without any change is said to have one with a probability of at most 1 %. \
A series needs 8 runs to be tested.";

/// A place at which a series changed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Change {
    /// The first value after it, from 0.
    pub at: usize,
    /// Median of the values before it, back to the change before.
    pub before: f64,
    /// Median of the values from it on, up to the next change.
    pub after: f64,
    /// Probability of a statistic like this one without a change, adjusted for the number of series.
    pub p: f64,
}

/// The changes in each of `series`, the oldest first. All series are one family.
pub fn find(series: &[Vec<f64>]) -> Vec<Vec<Change>> {
    let mut tested: Vec<(usize, Split)> =
        series.iter().enumerate().filter_map(|(place, values)| Some((place, split(values)?))).collect();
    tested.sort_by(|a, b| a.1.p.total_cmp(&b.1.p));
    let mut found = vec![Vec::new(); series.len()];
    let mut adjusted = 0.0_f64;
    for (turn, (place, split)) in tested.iter().enumerate() {
        let factor = (tested.len() - turn) as f64;
        // Holm: a series is never more certain than one that comes before it.
        adjusted = adjusted.max((split.p * factor).min(1.0));
        if adjusted > RATE {
            break;
        }
        let values = &series[*place];
        let mut places = vec![(split.at, adjusted)];
        further(values, 0, split.at, 2.0 * factor, &mut places);
        further(values, split.at, values.len(), 2.0 * factor, &mut places);
        places.sort_by_key(|(at, _)| *at);
        settle(values, factor, &mut places);
        found[*place] = medians(values, &places);
    }
    found
}

/// More changes between `from` and `until`, each side of each again.
fn further(values: &[f64], from: usize, until: usize, factor: f64, places: &mut Vec<(usize, f64)>) {
    if places.len() >= MAX_CHANGES {
        return;
    }
    let Some(split) = split(&values[from..until]) else { return };
    let p = (split.p * factor).min(1.0);
    if p <= RATE {
        places.push((from + split.at, p));
        further(values, from, from + split.at, 2.0 * factor, places);
        further(values, from + split.at, until, 2.0 * factor, places);
    }
}

/// Puts each change where it is between its neighbours, and drops it if there is none between them. The
/// first split of a series with two steps may lie anywhere between the two.
fn settle(values: &[f64], factor: f64, places: &mut Vec<(usize, f64)>) {
    let mut turn = 0;
    while places.len() > 1 && turn < places.len() {
        let from = if turn > 0 { places[turn - 1].0 } else { 0 };
        let until = places.get(turn + 1).map_or(values.len(), |(at, _)| *at);
        match split(&values[from..until]).map(|split| (from + split.at, (split.p * factor).min(1.0))) {
            Some((at, p)) if p <= RATE => {
                places[turn] = (at, p.max(places[turn].1));
                turn += 1;
            }
            _ => {
                places.remove(turn);
            }
        }
    }
}

fn medians(values: &[f64], places: &[(usize, f64)]) -> Vec<Change> {
    let ends: Vec<usize> =
        std::iter::once(0).chain(places.iter().map(|(at, _)| *at)).chain([values.len()]).collect();
    let median = |from: usize, until: usize| {
        let mut part = values[from..until].to_vec();
        part.sort_by(f64::total_cmp);
        part.get((part.len().max(1) - 1) / 2).copied().unwrap_or(0.0)
    };
    places
        .iter()
        .enumerate()
        .map(|(turn, &(at, p))| Change {
            at,
            before: median(ends[turn], at),
            after: median(at, ends[turn + 2]),
            p,
        })
        .collect()
}

/// The most likely change and how likely it is by chance.
struct Split {
    at: usize,
    p: f64,
}

/// `None` if there is nothing to test.
fn split(values: &[f64]) -> Option<Split> {
    if values.len() < FEWEST || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let mut ranks = ranks(values);
    if ranks.iter().all(|rank| *rank == ranks[0]) {
        return None;
    }
    let (statistic, at) = pettitt(&ranks);
    let mut random = SplitMix(0x5eed_0fc4_a26e);
    let (mut drawn, mut reached) = (0_u32, 0_u32);
    while drawn < MOST && reached < ENOUGH {
        shuffle(&mut ranks, &mut random);
        drawn += 1;
        reached += u32::from(pettitt(&ranks).0 >= statistic);
    }
    // Stopped early, the last draw is itself one that reached; otherwise the real order is counted in.
    let p = if reached >= ENOUGH {
        f64::from(reached) / f64::from(drawn)
    } else {
        f64::from(reached + 1) / f64::from(drawn + 1)
    };
    Some(Split { at, p })
}

/// Twice the rank of each value, from the smallest; ties share the mean. Twice, so that they stay whole and
/// sums of them are exact.
fn ranks(values: &[f64]) -> Vec<i64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    values
        .iter()
        .map(|value| {
            let below = sorted.partition_point(|other| other < value) as i64;
            let up_to = sorted.partition_point(|other| other <= value) as i64;
            below + up_to + 1
        })
        .collect()
}

/// The largest deviation of a partial rank sum from its expectation, and the first place after it.
fn pettitt(ranks: &[i64]) -> (i64, usize) {
    let expected = ranks.len() as i64 + 1;
    let (mut sum, mut largest, mut at) = (0_i64, -1_i64, 0);
    for (place, rank) in ranks.iter().enumerate().take(ranks.len() - 1) {
        sum += rank - expected;
        if sum.abs() > largest {
            (largest, at) = (sum.abs(), place + 1);
        }
    }
    (largest, at)
}

/// Fisher and Yates.
fn shuffle(ranks: &mut [i64], random: &mut SplitMix) {
    for last in (1..ranks.len()).rev() {
        // The bias of a multiplication is below one in 2^50 for any history that fits a memory.
        let other = (u128::from(random.next()) * (last as u128 + 1)) >> 64;
        ranks.swap(last, other as usize);
    }
}

/// SplitMix64: every seed gives a sequence that passes the usual tests, in three lines.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise with a bell's shape: the sum of a few uniform values.
    fn noise(random: &mut SplitMix) -> f64 {
        (0..6).map(|_| random.next() as f64 / u64::MAX as f64).sum::<f64>() - 3.0
    }

    fn series(seed: u64, count: usize, step_at: usize, step: f64) -> Vec<f64> {
        let mut random = SplitMix(seed);
        (0..count).map(|run| noise(&mut random) + if run >= step_at { step } else { 0.0 }).collect()
    }

    #[test]
    fn a_shift_is_found_where_it_is() {
        for seed in 0..20 {
            let found = find(&[series(seed, 40, 25, 3.0)]);
            assert_eq!(found[0].len(), 1, "seed {seed}: {found:?}");
            let change = found[0][0];
            assert!((23..=27).contains(&change.at), "seed {seed}: {change:?}");
            assert!(change.after - change.before > 2.0 && change.p <= RATE, "{change:?}");
        }
    }

    #[test]
    fn a_shift_is_found_among_many_quiet_series() {
        let mut family: Vec<Vec<f64>> = (0..150).map(|seed| series(1000 + seed, 30, 99, 0.0)).collect();
        family[77] = series(5, 30, 15, 4.0);
        let found = find(&family);
        let noisy: Vec<usize> = (0..150).filter(|place| !found[*place].is_empty()).collect();
        assert_eq!(noisy, [77]);
    }

    /// Of two hundred histories of noise, each a family of its own, one in a hundred may be said to have
    /// changed: with more than 7 the rate would be above what is promised by any account (binomial, 0.5 %).
    #[test]
    fn noise_is_quiet_at_the_stated_rate() {
        let alarms = (0..200)
            .filter(|history| {
                let family: Vec<Vec<f64>> =
                    (0..5).map(|line| series(70_000 + history * 10 + line, 20, 99, 0.0)).collect();
                find(&family).iter().any(|changes| !changes.is_empty())
            })
            .count();
        assert!(alarms <= 7, "{alarms} of 200");
    }

    #[test]
    fn two_shifts_are_two_changes() {
        let mut values = series(3, 60, 20, 5.0);
        for value in &mut values[40..] {
            *value += 5.0;
        }
        let found = find(&[values]);
        let places: Vec<usize> = found[0].iter().map(|change| change.at).collect();
        assert_eq!(places.len(), 2, "{found:?}");
        assert!(places[0].abs_diff(20) <= 2 && places[1].abs_diff(40) <= 2, "{places:?}");
        assert!(found[0][0].after < found[0][1].after, "{found:?}");
    }

    #[test]
    fn one_wild_run_is_no_change() {
        let mut values = vec![8.333; 30];
        values[17] = 1e9;
        assert_eq!(find(&[values]), [vec![]]);
    }

    #[test]
    fn an_exact_rig_is_tested_as_well() {
        let mut values = vec![8.333; 24];
        values[12..].fill(8.334);
        let found = find(&[values]);
        assert_eq!((found[0][0].at, found[0][0].before, found[0][0].after), (12, 8.333, 8.334));
    }

    #[test]
    fn what_cannot_be_tested_is_left_alone_and_costs_the_others_nothing() {
        let mut step = vec![1.0; 16];
        step[8..].fill(2.0);
        let alone = find(std::slice::from_ref(&step));
        let few: Vec<f64> = (0..FEWEST - 1).map(|run| run as f64).collect();
        let among = find(&[vec![5.0; 50], few, Vec::new(), vec![f64::NAN; 20], step]);
        assert_eq!(among[..4], vec![Vec::<Change>::new(); 4]);
        assert_eq!(among[4], alone[0]);
    }

    #[test]
    fn the_answer_does_not_depend_on_when_it_is_asked() {
        let values = series(11, 25, 12, 1.5);
        assert_eq!(find(std::slice::from_ref(&values)), find(&[values]));
    }

    #[test]
    fn ranks_share_ties() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [7, 2, 7, 4]);
    }
}
