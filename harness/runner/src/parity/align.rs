//! Pairs of what is the same in two sequences.

use std::collections::HashMap;

use crate::account::Entry;

/// Insertions and removals that the exact method looks for; beyond, an approximate one takes over, so
/// that two sequences which have nothing in common cost no more than reading them.
const MAX_EDITS: usize = 800;

/// Places of entries that match by key, increasing on both sides; as many as possible up to
/// [`MAX_EDITS`] lone ones.
pub(super) fn pairs(a: &[Entry], b: &[Entry]) -> Vec<(usize, usize)> {
    let same = |one: usize, other: usize| a[one].key == b[other].key;
    let shorter = a.len().min(b.len());
    let front = (0..shorter).take_while(|&place| same(place, place)).count();
    let back =
        (0..shorter - front).take_while(|&place| same(a.len() - 1 - place, b.len() - 1 - place)).count();
    let keys = |entries: &[Entry]| -> Vec<u64> {
        entries[front..entries.len() - back].iter().map(|entry| entry.key).collect()
    };
    let (middle_a, middle_b) = (keys(a), keys(b));
    let middle = exact(&middle_a, &middle_b).unwrap_or_else(|| approximate(&middle_a, &middle_b));
    (0..front)
        .map(|place| (place, place))
        .chain(middle.into_iter().map(|(one, other)| (one + front, other + front)))
        .chain((0..back).rev().map(|place| (a.len() - 1 - place, b.len() - 1 - place)))
        .collect()
}

/// The longest common subsequence by the method of Myers, "An O(ND) Difference Algorithm and Its
/// Variations" (1986); `None` if more than [`MAX_EDITS`] are lone.
fn exact(a: &[u64], b: &[u64]) -> Option<Vec<(usize, usize)>> {
    let (n, m) = (a.len() as i64, b.len() as i64);
    // For each number of edits how far each diagonal (`x - y`) comes, from `-edits` to `edits`.
    let mut rounds: Vec<Vec<i64>> = Vec::new();
    let reach = |rounds: &[Vec<i64>], edits: i64, diagonal: i64| -> i64 {
        if edits < 0 || diagonal.abs() > edits {
            -1
        } else {
            rounds[edits as usize][(diagonal + edits) as usize]
        }
    };
    let begin = |rounds: &[Vec<i64>], edits: i64, diagonal: i64| -> i64 {
        if edits == 0 {
            return 0;
        }
        let removed = reach(rounds, edits - 1, diagonal - 1);
        let added = reach(rounds, edits - 1, diagonal + 1);
        // Of diagonals that were not reached nothing can begin.
        (if removed < 0 { -1 } else { removed + 1 }).max(added)
    };
    let mut last = None;
    'search: for edits in 0..=(MAX_EDITS as i64).min(n + m) {
        let mut round = vec![-1; 2 * edits as usize + 1];
        for diagonal in (-edits..=edits).step_by(2) {
            let mut x = begin(&rounds, edits, diagonal);
            let mut y = x - diagonal;
            if x < 0 || y < 0 || x > n || y > m {
                continue;
            }
            while x < n && y < m && a[x as usize] == b[y as usize] {
                (x, y) = (x + 1, y + 1);
            }
            round[(diagonal + edits) as usize] = x;
            if x >= n && y >= m {
                rounds.push(round);
                last = Some(edits);
                break 'search;
            }
        }
        rounds.push(round);
    }
    let mut pairs = Vec::new();
    let mut diagonal = n - m;
    for edits in (0..=last?).rev() {
        let from = begin(&rounds, edits, diagonal);
        let until = reach(&rounds, edits, diagonal);
        pairs.extend((from..until).rev().map(|x| (x as usize, (x - diagonal) as usize)));
        let removed = reach(&rounds, edits - 1, diagonal - 1);
        diagonal += if removed >= 0 && removed + 1 == from { -1 } else { 1 };
    }
    pairs.reverse();
    Some(pairs)
}

/// The k-th of a key with the k-th of the same key, and of these pairs a longest increasing run.
fn approximate(a: &[u64], b: &[u64]) -> Vec<(usize, usize)> {
    let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
    for (place, key) in b.iter().enumerate().rev() {
        places.entry(*key).or_default().push(place);
    }
    let pairs: Vec<(usize, usize)> =
        a.iter().enumerate().filter_map(|(one, key)| Some((one, places.get_mut(key)?.pop()?))).collect();
    // Patience: for each length of a run the pair that ends it earliest in `b`.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; pairs.len()];
    for (place, (_, other)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|&end| pairs[end].1 < *other);
        before[place] = length.checked_sub(1).map(|shorter| ends[shorter]);
        if length == ends.len() {
            ends.push(place);
        } else {
            ends[length] = place;
        }
    }
    let mut run: Vec<(usize, usize)> = std::iter::successors(ends.last().copied(), |&place| before[place])
        .map(|place| pairs[place])
        .collect();
    run.reverse();
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<u64> {
        text.bytes().map(u64::from).collect()
    }

    fn common(a: &str, pairs: &[(usize, usize)]) -> String {
        pairs.iter().map(|&(one, _)| char::from(a.as_bytes()[one])).collect()
    }

    fn are_pairs(a: &[u64], b: &[u64], pairs: &[(usize, usize)]) -> bool {
        pairs.iter().all(|&(one, other)| a[one] == b[other])
            && pairs.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 < two[1].1)
    }

    #[test]
    fn as_much_as_can_be_is_paired() {
        for (a, b, length) in [
            ("abcabba", "cbabac", 4),
            ("", "abc", 0),
            ("abc", "", 0),
            ("abc", "xyz", 0),
            ("ab", "ab", 2),
            ("axb", "ab", 2),
            ("ab", "ayb", 2),
            ("a", "ba", 1),
        ] {
            let (one, other) = (keys(a), keys(b));
            let exact = exact(&one, &other).expect("few edits");
            assert!(are_pairs(&one, &other, &exact), "{a} {b} {exact:?}");
            assert_eq!(exact.len(), length, "{a} {b}: {}", common(a, &exact));
            let near = approximate(&one, &other);
            assert!(are_pairs(&one, &other, &near) && near.len() <= length, "{a} {b} {near:?}");
        }
    }

    #[test]
    fn one_that_moved_far_does_not_cost_the_others() {
        let (a, b) = (keys("xabc"), keys("abcx"));
        assert_eq!(approximate(&a, &b), [(1, 0), (2, 1), (3, 2)]);
        let (a, b) = (keys("abcx"), keys("xabc"));
        assert_eq!(approximate(&a, &b), [(0, 1), (1, 2), (2, 3)]);
    }

    #[test]
    fn what_has_nothing_in_common_is_no_work() {
        let entries = |from: u64| -> Vec<Entry> {
            (from..from + 50_000)
                .map(|key| Entry { at_ns: 0, key, exact: key, what: String::new() })
                .collect()
        };
        assert_eq!(pairs(&entries(0), &entries(1_000_000)), []);
        // All but a few are the same: the approximate way finds them too.
        assert_eq!(pairs(&entries(0), &entries(2_000)).len(), 48_000);
        assert_eq!(pairs(&entries(0), &entries(2)).len(), 49_998);
    }
}
