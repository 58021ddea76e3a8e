//! Where to cut the supply: instants inside and between the operations of the flash chip.
//!
//! A reference run shows when the chip is busy, and with what. Cut points are spread over the kinds of
//! operations, over the stages of the work, and over the phases of an operation, with chance in
//! each of the places. Where the work runs as in the reference, each cut meets what it was aimed at.

use std::time::Duration;

use rigor_core::Instant;
use rigor_core::event::{FlashBusy, FlashOperation};
use rigor_core::verdict::Inconclusive;
use rigor_runner::need::Chance;

/// Bytes that a NOR flash programs in one go (Winbond W25Q64JV data sheet, "Page Program").
const PAGE_BYTES: u32 = 256;

/// Parts of an operation that cuts are spread over.
const PHASES: usize = 5;

/// What a cut meets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    /// The erasing of a sector.
    Erase,
    /// The programming of a whole page: a file's data, mostly.
    Page,
    /// The programming of less: mostly what a file system keeps about files.
    Part,
    /// A pause between two operations.
    Pause,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Erase, Kind::Page, Kind::Part, Kind::Pause];

    fn of(busy: &FlashBusy) -> Kind {
        match busy.operation {
            FlashOperation::Erase => Kind::Erase,
            FlashOperation::Program if busy.length >= PAGE_BYTES => Kind::Page,
            FlashOperation::Program => Kind::Part,
        }
    }

    fn told(self) -> &'static str {
        match self {
            Kind::Erase => "in an erase",
            Kind::Page => "in the programming of a page",
            Kind::Part => "in the programming of a part of a page",
            Kind::Pause => "between two operations",
        }
    }
}

/// A span of the reference run in which the chip did one thing.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Span {
    kind: Kind,
    from: Duration,
    until: Duration,
}

/// What the chip did in the reference run, by the time since the work began.
///
/// It has three stages: before the first whole page of data, among the pages, and after the last one.
pub(super) struct Reference([Vec<Span>; 3]);

impl Reference {
    /// From the operations of work that began at `begun` and is looked at until `until`.
    pub(super) fn new(begun: Instant, busy: &[(Instant, FlashBusy)], until: Instant) -> Self {
        let spans = spans(begun, busy, until);
        let is_page = |span: &Span| span.kind == Kind::Page;
        let first = spans.iter().position(is_page).unwrap_or(spans.len());
        let behind = spans.iter().rposition(is_page).map_or(first, |last| last + 1);
        Reference([spans[..first].to_vec(), spans[first..behind].to_vec(), spans[behind..].to_vec()])
    }

    /// Only the first stage.
    pub(super) fn beginning(&self) -> Self {
        Reference([self.0[0].clone(), Vec::new(), Vec::new()])
    }

    /// How long it was looked at.
    pub(super) fn length(&self) -> Duration {
        self.0.iter().flatten().map(|span| span.until).max().unwrap_or_default()
    }

    /// About `count` cut points in the order of time: every kind of span in every stage gets as many
    /// as any other.
    pub(super) fn cuts(&self, count: usize, chance: &mut Chance) -> Vec<Duration> {
        let mut strata: Vec<Vec<Span>> = Vec::new();
        for stage in &self.0 {
            let of = |kind| stage.iter().filter(move |span| span.kind == kind).copied().collect();
            strata.extend(Kind::ALL.map(of).into_iter().filter(|spans: &Vec<Span>| !spans.is_empty()));
        }
        let share = count.div_ceil(strata.len().max(1));
        let mut cuts = Vec::new();
        for spans in strata {
            for number in 0..share {
                let place = (number as f64 + chance.share()) / share as f64 * spans.len() as f64;
                let span = spans[(place as usize).min(spans.len() - 1)];
                let phase = ((number % PHASES) as f64 + chance.share()) / PHASES as f64;
                cuts.push(span.from + (span.until - span.from).mul_f64(phase));
            }
        }
        cuts.sort_unstable();
        cuts
    }
}

fn spans(begun: Instant, busy: &[(Instant, FlashBusy)], until: Instant) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut idle_from = Duration::ZERO;
    for (at, busy) in busy {
        let from = at.since(begun);
        if from > idle_from {
            spans.push(Span { kind: Kind::Pause, from: idle_from, until: from });
        }
        idle_from = from + busy.duration;
        spans.push(Span { kind: Kind::of(busy), from, until: idle_from });
    }
    if until.since(begun) > idle_from {
        spans.push(Span { kind: Kind::Pause, from: idle_from, until: until.since(begun) });
    }
    spans
}

/// How many cuts met what.
#[derive(Default)]
pub(super) struct Hits([usize; Kind::ALL.len()]);

impl Hits {
    /// Counts a cut at `at`, given the last operation that the chip had begun; says what it met.
    pub(super) fn count(&mut self, at: Instant, last: Option<&(Instant, FlashBusy)>) -> &'static str {
        let torn = last.filter(|(from, busy)| *from + busy.duration == at);
        let kind = torn.map_or(Kind::Pause, |(_, busy)| Kind::of(busy));
        self.0[kind as usize] += 1;
        kind.told()
    }

    /// Cuts that tore an operation, and others prove little by themselves.
    ///
    /// # Errors
    /// If fewer than `least` cuts met any one kind of span.
    pub(super) fn suffice(&self, least: usize) -> Result<(), Inconclusive> {
        match Kind::ALL.into_iter().find(|&kind| self.0[kind as usize] < least) {
            None => Ok(()),
            Some(kind) => Err(Inconclusive(format!(
                "only {} of {} cuts fell {}; {least} are wanted",
                self.0[kind as usize],
                self.0.iter().sum::<usize>(),
                kind.told()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use rigor_core::rig::Parts;
    use rigor_core::{Fidelity, Timeline};
    use rigor_runner::{Bench, Need};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(millis: u32) -> Instant {
        Instant::ZERO + MS * millis
    }

    fn busy(operation: FlashOperation, length: u32, millis: u32) -> FlashBusy {
        FlashBusy { operation, address: 0, length, duration: MS * millis }
    }

    /// A pause, an erase from 10 to 55 ms, a page until 56, a pause until 60, a part until 61, and a
    /// pause until 70.
    fn reference() -> Reference {
        let busy = [
            (at(110), busy(FlashOperation::Erase, 4096, 45)),
            (at(155), busy(FlashOperation::Program, 256, 1)),
            (at(160), busy(FlashOperation::Program, 16, 1)),
        ];
        Reference::new(at(100), &busy, at(170))
    }

    fn chance() -> Chance {
        let bench = Bench::new(Timeline::new(), Parts::default(), Fidelity::Modelled);
        Chance::take(&bench).expect("every rig has a seed")
    }

    #[test]
    fn every_kind_of_span_in_every_stage_gets_its_cuts_in_every_phase() {
        let cuts = reference().cuts(50, &mut chance());
        assert_eq!(cuts.len(), 50);
        let within =
            |from: u32, until: u32| cuts.iter().filter(move |&&cut| cut >= MS * from && cut < MS * until);
        let counts = [(0, 10), (10, 55), (55, 56), (60, 61)].map(|(from, until)| within(from, until).count());
        assert_eq!(counts, [10; 4]);
        assert_eq!(within(56, 60).count() + within(61, 70).count(), 10, "two pauses of one stage");
        for fifth in 0..5 {
            assert_eq!(within(10 + 9 * fifth, 19 + 9 * fifth).count(), 2, "{cuts:?}");
        }
        assert!(cuts.is_sorted());
    }

    #[test]
    fn an_idle_chip_is_all_pause() {
        let cuts = Reference::new(at(100), &[], at(110)).cuts(5, &mut chance());
        assert_eq!(cuts.len(), 5);
        assert!(cuts.iter().all(|&cut| cut < MS * 10));
        assert!(Reference::new(at(100), &[], at(100)).cuts(5, &mut chance()).is_empty());
    }

    #[test]
    fn a_cut_is_told_by_what_it_tore() {
        let mut hits = Hits::default();
        let erase = (at(10), busy(FlashOperation::Erase, 4096, 20));
        assert_eq!(hits.count(at(30), Some(&erase)), "in an erase");
        assert_eq!(hits.count(at(31), Some(&erase)), "between two operations");
        assert_eq!(hits.count(at(31), None), "between two operations");
        assert!(hits.suffice(1).is_err());
        assert!(hits.suffice(0).is_ok());
    }
}
