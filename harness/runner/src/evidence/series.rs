//! Quantities over the whole case: the period of the frames, what gauges showed, and what the device said of
//! itself.

use rigor_core::budget::Budget;
use rigor_core::evidence::Series;
use rigor_core::unit::Unit;
use rigor_core::{Instant, Kind, Rig};
use rigor_decode::console::Line;

use super::leds::{Strip, Strips};
use super::{Read, Reading};

/// What budgets call the time from one frame to the next.
const FRAME_PERIOD: &str = "frame period";

/// Every series that has something to show, each of at most `points` points.
pub(super) fn all(
    rig: &Rig,
    strips: &Strips,
    said: &[Line],
    read: Read,
    budgets: &[&Budget],
    points: usize,
) -> Vec<Series> {
    let limits = limits(budgets);
    let periods = strips.lanes.iter().map(|strip| Series { limits: limits.clone(), ..period(strip) });
    // How often memory was asked for says little to a reader; how much is left says it all.
    let sizes = rig.parts.gauges.iter().filter(|(name, _)| !name.ends_with(".allocations"));
    let gauges = sizes.map(|(name, source)| {
        let events = rig.timeline.events(*source, Instant::ZERO, Instant::MAX);
        let value = |event: &rigor_core::Event| match event.kind {
            Kind::Gauge(value) => Some((event.at.as_nanos(), value as f64)),
            _ => None,
        };
        let points = events.iter().filter_map(value).collect();
        Series { name: name.clone(), unit: Unit::Bytes, points, left_out: 0, limits: Vec::new() }
    });
    let all = periods.chain(gauges).chain(readings(said, read));
    let mut all: Vec<Series> = all.filter(|series| !series.points.is_empty()).collect();
    for series in &mut all {
        let before = series.points.len();
        thin(&mut series.points, points);
        series.left_out = (before - series.points.len()) as u64;
    }
    all
}

/// What the device said of itself, a series for each quantity.
fn readings(said: &[Line], read: Read) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    for line in said {
        let Some(Reading { name, unit, value }) = line.log().and_then(|log| read(&log)) else { continue };
        let point = (line.end.as_nanos(), value);
        match all.iter_mut().find(|series| series.name == name && series.unit == unit) {
            Some(series) => series.points.push(point),
            None => {
                all.push(Series { name, unit, points: vec![point], left_out: 0, limits: Vec::new() });
            }
        }
    }
    all
}

/// When each frame began, and how long after the one before.
fn period(strip: &Strip) -> Series {
    let points = strip.frames.windows(2).map(|pair| {
        let (before, at) = (pair[0].start.as_nanos(), pair[1].start.as_nanos());
        (at, at.saturating_sub(before) as f64 / 1e6)
    });
    Series {
        name: format!("{FRAME_PERIOD}, {}", strip.signal),
        unit: Unit::Milliseconds,
        points: points.collect(),
        left_out: 0,
        limits: Vec::new(),
    }
}

/// The limits of all budgets on the frame period, in milliseconds.
fn limits(budgets: &[&Budget]) -> Vec<f64> {
    let on_period = budgets.iter().filter(|budget| budget.quantity() == FRAME_PERIOD);
    let in_ms = |budget: &&&Budget| {
        let (low, high) = budget.comparison().limits();
        [low, high].map(|limit| budget.unit().convert(limit, Unit::Milliseconds))
    };
    let limits = on_period.flat_map(|budget| in_ms(&budget)).flatten();
    let mut limits: Vec<f64> = limits.filter(|limit| limit.is_finite()).collect();
    limits.sort_by(f64::total_cmp);
    limits.dedup();
    limits
}

/// Leaves at most `most` points: of each stretch the lowest and the highest, so that no outlier is lost.
fn thin(points: &mut Vec<(u64, f64)>, most: usize) {
    if points.len() <= most {
        return;
    }
    let stretch = points.len().div_ceil((most / 2).max(1));
    let extremes = |stretch: &[(u64, f64)]| {
        let by_value = |a: &&(u64, f64), b: &&(u64, f64)| a.1.total_cmp(&b.1);
        let (low, high) = (stretch.iter().min_by(by_value), stretch.iter().max_by(by_value));
        let mut both: Vec<(u64, f64)> = low.into_iter().chain(high).copied().collect();
        both.sort_by_key(|(at, _)| *at);
        both.dedup_by_key(|(at, _)| *at);
        both
    };
    *points = points.chunks(stretch).flat_map(extremes).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_every_extreme() {
        let mut points: Vec<(u64, f64)> = (0..10_000).map(|at| (at, 8.3)).collect();
        points[4321].1 = 16.6;
        points[8765].1 = 0.1;
        thin(&mut points, 100);
        assert!((50..=100).contains(&points.len()), "{}", points.len());
        assert!(points.contains(&(4321, 16.6)) && points.contains(&(8765, 0.1)));
        assert!(points.is_sorted_by_key(|(at, _)| *at));
    }

    #[test]
    fn few_points_stay() {
        let mut points = vec![(1, 1.0), (2, 2.0)];
        thin(&mut points, 2);
        assert_eq!(points.len(), 2);
    }
}
