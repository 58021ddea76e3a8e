//! Small drawings of figures against what a budget allows, as SVG without a script.
//!
//! The allowed range is a band with its limits as lines, what was measured is ink on top, and what lies
//! outside has another shape as well as another colour.

use rigor_core::budget::Budget;
use rigor_core::distribution::{Shape, Summary};
use rigor_core::unit::{Amount, Unit};

use super::markup::{Markup, place};

/// A linear axis: values to places.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    until: f64,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        let place = self.from + share * (self.until - self.from);
        let (least, most) = (self.from.min(self.until), self.from.max(self.until));
        if place.is_nan() { least } else { place.clamp(least, most) }
    }

    /// Three to six round values of the axis.
    fn ticks(&self) -> Vec<f64> {
        let raw = (self.high - self.low) / 4.0;
        if !raw.is_finite() || raw <= 0.0 {
            return Vec::new();
        }
        let size = 10_f64.powf(raw.log10().floor());
        let step = size * [1.0, 2.0, 5.0, 10.0].into_iter().find(|&m| m * size >= raw).unwrap_or(10.0);
        let first = (self.low / step).ceil();
        (0..8)
            .map(|index| (first + f64::from(index)) * step)
            .take_while(|&value| value <= self.high)
            .collect()
    }
}

/// The limits of `budget` in the unit of what was measured; infinite where there is none. A share is
/// judged sample by sample, so its band is that of a sample.
fn limits(budget: Option<&Budget>, unit: Unit) -> (f64, f64) {
    let Some(budget) = budget else { return (f64::NEG_INFINITY, f64::INFINITY) };
    let (low, high) = budget.comparison().limits();
    let convert =
        |limit: f64| if limit.is_finite() { budget.unit().convert(limit, unit) } else { Some(limit) };
    (convert(low).unwrap_or(f64::NEG_INFINITY), convert(high).unwrap_or(f64::INFINITY))
}

/// An axis that shows all of `values`, with room at both ends.
fn hull(values: impl IntoIterator<Item = f64>, from: f64, until: f64) -> Axis {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.into_iter().filter(|value| value.is_finite()) {
        (low, high) = (low.min(value), high.max(value));
    }
    if low > high {
        (low, high) = (0.0, 1.0);
    }
    // Sizes and durations are read against nothing at all.
    if low > 0.0 && low < high / 2.0 {
        low = 0.0;
    }
    let room = match high - low {
        span if span > 0.0 => span * 0.07,
        _ if high != 0.0 => high.abs() * 0.1,
        _ => 1.0,
    };
    Axis { low: low - room, high: high + room, from, until }
}

/// Width of [`strip`].
const STRIP: f64 = 200.0;

/// One line: band and limits, the whole range as a thin line, from the median to the 99th percentile
/// thick, the median as a tick, and the figure that was judged as a diamond, hollow if it is outside.
pub(super) fn strip(page: &mut Markup, summary: &Summary, budget: Option<&Budget>) {
    let (low, high) = limits(budget, summary.unit);
    let axis = hull([summary.min, summary.max, low, high], 4.0, STRIP - 4.0);
    let judged = budget.and_then(|budget| budget.judged_figure(summary));
    let spoken = spoken(summary, budget);
    let attributes =
        [("class", "strip"), ("viewBox", "0 0 200 24"), ("role", "img"), ("aria-label", &spoken)];
    page.element("svg", &attributes, |page| {
        if budget.is_some() {
            let (left, right) = (band_end(&axis, low, 0.0), band_end(&axis, high, STRIP));
            let width = place((right - left).max(1.0));
            page.mark(
                "rect",
                &[("class", "band"), ("x", &place(left)), ("y", "3"), ("width", &width), ("height", "18")],
            );
        }
        for limit in [low, high].into_iter().filter(|limit| limit.is_finite()) {
            vertical(page, "limit", axis.at(limit), "1", "23");
        }
        horizontal(page, "whole", axis.at(summary.min), axis.at(summary.max));
        horizontal(page, "bulk", axis.at(summary.p50), axis.at(summary.p99));
        vertical(page, "median", axis.at(summary.p50), "6", "18");
        if let Some((_, figure)) = judged {
            let x = axis.at(figure.value);
            let class = if (low..=high).contains(&figure.value) { "judged" } else { "judged out" };
            let path = format!("M{} 7l5 5-5 5-5-5z", place(x));
            page.mark("path", &[("class", class), ("d", &path)]);
        }
    });
}

fn band_end(axis: &Axis, limit: f64, edge: f64) -> f64 {
    if limit.is_finite() { axis.at(limit) } else { edge }
}

fn vertical(page: &mut Markup, class: &'static str, x: f64, from: &str, until: &str) {
    let x = place(x);
    page.mark("line", &[("class", class), ("x1", &x), ("x2", &x), ("y1", from), ("y2", until)]);
}

fn horizontal(page: &mut Markup, class: &'static str, from: f64, until: f64) {
    // Equal samples would leave no line at all.
    let until = if until - from < 1.0 { from + 1.0 } else { until };
    page.mark(
        "line",
        &[("class", class), ("x1", &place(from)), ("x2", &place(until)), ("y1", "12"), ("y2", "12")],
    );
}

/// The drawing in words.
fn spoken(summary: &Summary, budget: Option<&Budget>) -> String {
    let show = |value| Amount::new(value, summary.unit).to_string();
    let allowed = budget.map(|budget| format!("; allowed {budget}")).unwrap_or_default();
    format!(
        "from {} to {}, median {}, p99 {}{allowed}",
        show(summary.min),
        show(summary.max),
        show(summary.p50),
        show(summary.p99)
    )
}

const WIDE: f64 = 460.0;
const LEFT: f64 = 10.0;
const FOOT: f64 = 140.0;

/// How often each value came, with the band and its limits where they are near, and marks at the median,
/// the 99th percentile and the figure that was judged.
pub(super) fn histogram(page: &mut Markup, summary: &Summary, shape: &Shape, budget: Option<&Budget>) {
    let (low, high) = limits(budget, summary.unit);
    let span = summary.max - summary.min;
    // A limit that is many times the spread away would press the bars into one.
    let near = |limit: f64| limit >= summary.min - 3.0 * span && limit <= summary.max + 3.0 * span;
    let shown = [low, high].into_iter().filter(|&limit| near(limit));
    let mut axis = hull([summary.min, summary.max].into_iter().chain(shown), LEFT, WIDE - LEFT);
    if axis.low < summary.min - 4.0 * span {
        axis.low = summary.min - 0.1 * span;
    }
    let most = shape.counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    let name = format!("histogram of {} samples", summary.count);
    let attributes = [("class", "plot"), ("viewBox", "0 0 460 170"), ("role", "img"), ("aria-label", &*name)];
    page.element("svg", &attributes, |page| {
        band(page, &axis, low, high, summary.unit, budget.is_some());
        // One path for all bars: a tenth of the size of a rectangle each.
        let mut bars = String::new();
        for (index, &count) in shape.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let from = axis.at(shape.from + shape.width * index as f64);
            let until = axis.at(shape.from + shape.width * (index + 1) as f64);
            let height = (count as f64 / most * (FOOT - 24.0)).max(1.5);
            let width = place((until - from - 0.5).max(1.0));
            bars.push_str(&format!("M{} 140v-{}h{width}V140z", place(from), place(height)));
        }
        page.mark("path", &[("class", "bar"), ("d", &bars)]);
        scale(page, &axis, summary.unit);
        flags(page, &axis, summary, budget, (low, high));
    });
}

fn band(page: &mut Markup, axis: &Axis, low: f64, high: f64, unit: Unit, judged: bool) {
    if !judged {
        return;
    }
    // What is allowed may be too far away to be drawn; then it is said where.
    if high < axis.low {
        let text = format!("\u{25c2} allowed up to {}", Amount::new(high, unit));
        page.leaf("text", &[("class", "limit"), ("x", "0"), ("y", "36")], &text);
    } else if low > axis.high {
        let text = format!("allowed from {} \u{25b8}", Amount::new(low, unit));
        page.leaf("text", &[("class", "limit"), ("x", "460"), ("y", "36"), ("text-anchor", "end")], &text);
    }
    let (left, right) = (band_end(axis, low, 0.0), band_end(axis, high, WIDE));
    let visible = low <= axis.high && high >= axis.low;
    if visible {
        let width = place((right - left).max(1.0));
        page.mark(
            "rect",
            &[("class", "band"), ("x", &place(left)), ("y", "18"), ("width", &width), ("height", "122")],
        );
    }
    for limit in [low, high].into_iter().filter(|limit| (axis.low..=axis.high).contains(limit)) {
        vertical(page, "limit", axis.at(limit), "14", "144");
    }
}

fn scale(page: &mut Markup, axis: &Axis, unit: Unit) {
    page.mark("line", &[("class", "axis"), ("x1", "0"), ("x2", "460"), ("y1", "140"), ("y2", "140")]);
    for tick in axis.ticks() {
        let x = axis.at(tick);
        vertical(page, "axis", x, "140", "144");
        let anchor = if x < 40.0 {
            "start"
        } else if x > WIDE - 40.0 {
            "end"
        } else {
            "middle"
        };
        let text = Amount::new(tick, unit).to_string();
        page.leaf("text", &[("x", &place(x)), ("y", "158"), ("text-anchor", anchor)], &text);
    }
}

/// Named lines from the top: the median, the 99th percentile, and what was judged if it is neither.
fn flags(
    page: &mut Markup,
    axis: &Axis,
    summary: &Summary,
    budget: Option<&Budget>,
    (low, high): (f64, f64),
) {
    let mut flags = vec![("p50", summary.p50), ("p99", summary.p99)];
    if let Some((name, figure)) = budget.and_then(|budget| budget.judged_figure(summary))
        && !flags.iter().any(|(_, value)| *value == figure.value)
    {
        flags.push((name, figure.value));
    }
    flags.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut free_from = 0.0;
    for (name, value) in flags {
        let x = axis.at(value);
        let class = if (low..=high).contains(&value) { "flag" } else { "flag out" };
        vertical(page, class, x, "16", "140");
        // A name about six places a letter, moved on so that none stands on another.
        let width = 6.5 * name.len() as f64;
        let at = (x - width / 2.0).max(free_from).min(WIDE - width);
        free_from = at + width + 4.0;
        page.leaf("text", &[("class", class), ("x", &place(at)), ("y", "11")], name);
    }
}

/// The value below which each part of the samples lies: percentiles at even distances, which stretches
/// the tail. Limits are lines across.
pub(super) fn percentiles(page: &mut Markup, shape: &Shape, summary: &Summary, budget: Option<&Budget>) {
    let (low, high) = limits(budget, summary.unit);
    let span = summary.max - summary.min;
    let near = |limit: &f64| *limit >= summary.min - 3.0 * span && *limit <= summary.max + 3.0 * span;
    let shown: Vec<f64> = [low, high].into_iter().filter(near).collect();
    let axis = hull([summary.min, summary.max].into_iter().chain(shown.iter().copied()), FOOT, 10.0);
    let last = shape.quantiles.len().saturating_sub(1).max(1) as f64;
    let x = |index: usize| LEFT + index as f64 / last * (WIDE - 90.0);
    let attributes =
        [("class", "plot"), ("viewBox", "0 0 460 170"), ("role", "img"), ("aria-label", "percentile curve")];
    page.element("svg", &attributes, |page| {
        if budget.is_some() {
            let (top, foot) = (
                if high.is_finite() { axis.at(high) } else { 0.0 },
                if low.is_finite() { axis.at(low) } else { FOOT },
            );
            let height = place((foot - top).max(1.0));
            page.mark(
                "rect",
                &[("class", "band"), ("x", "0"), ("y", &place(top)), ("width", "380"), ("height", &height)],
            );
        }
        for limit in &shown {
            let y = place(axis.at(*limit));
            page.mark("line", &[("class", "limit"), ("x1", "0"), ("x2", "384"), ("y1", &y), ("y2", &y)]);
            let below = place(axis.at(*limit) + 4.0);
            let text = Amount::new(*limit, summary.unit).to_string();
            page.leaf("text", &[("class", "limit"), ("x", "388"), ("y", &below)], &text);
        }
        page.mark("line", &[("class", "axis"), ("x1", "0"), ("x2", "380"), ("y1", "140"), ("y2", "140")]);
        let mut path = String::new();
        for (index, (percent, value)) in shape.quantiles.iter().enumerate() {
            let letter = if index == 0 { 'M' } else { 'L' };
            path.push(letter);
            path.push_str(&format!("{} {}", place(x(index)), place(axis.at(*value))));
            if [1.0, 10.0, 50.0, 90.0, 99.0, 99.9].contains(percent) {
                let text = if *percent == 50.0 { "p50".to_owned() } else { format!("{percent}") };
                page.leaf("text", &[("x", &place(x(index))), ("y", "158"), ("text-anchor", "middle")], &text);
            }
        }
        page.mark("path", &[("class", "curve"), ("d", &path)]);
        // What lies outside has a mark of its own.
        let outside = |value: f64| !(low..=high).contains(&value);
        for (index, (_, value)) in
            shape.quantiles.iter().enumerate().filter(|(_, (_, value))| outside(*value))
        {
            let (x, y) = (place(x(index)), place(axis.at(*value)));
            page.mark("circle", &[("class", "dot out"), ("cx", &x), ("cy", &y), ("r", "3")]);
        }
        for (value, label) in [(summary.min, "min"), (summary.max, "max")] {
            let taken = shown.iter().any(|limit| (axis.at(*limit) - axis.at(value)).abs() < 12.0);
            if !taken {
                let y = place(axis.at(value) + 4.0);
                let text = format!("{label} {}", Amount::new(value, summary.unit));
                page.leaf("text", &[("x", "388"), ("y", &y)], &text);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use rigor_core::budget::{BoundName, BudgetTable};
    use rigor_core::distribution::Distribution;

    use super::*;

    fn budget(at_most: f64) -> Budget {
        let mut table = BudgetTable::new("period", Unit::Milliseconds);
        (table.bound, table.at_most) = (BoundName::Max, Some(at_most));
        table.check().unwrap()
    }

    fn drawn(draw: impl FnOnce(&mut Markup)) -> String {
        let mut page = Markup::default();
        draw(&mut page);
        page.finish()
    }

    #[test]
    fn what_is_outside_has_another_shape_and_says_so() {
        let measured = Distribution::new(Unit::Milliseconds, [8.0, 9.0, 20.0]).unwrap().summary();
        let inside = drawn(|page| strip(page, &measured, Some(&budget(30.0))));
        let outside = drawn(|page| strip(page, &measured, Some(&budget(10.0))));
        assert!(inside.contains("\"judged\"") && !inside.contains("out"), "{inside}");
        assert!(outside.contains("\"judged out\""), "{outside}");
        assert!(outside.contains("allowed max &lt;= 10 ms"), "{outside}");
    }

    #[test]
    fn a_band_too_far_away_to_be_drawn_is_named() {
        let measured = Distribution::new(Unit::Milliseconds, [8.863, 8.865, 8.868]).unwrap();
        let (summary, shape) = (measured.summary(), measured.shape().unwrap());
        let below = drawn(|page| histogram(page, &summary, &shape, Some(&budget(8.5))));
        assert!(below.contains("\u{25c2} allowed up to 8.5 ms") && !below.contains("\"band\""), "{below}");
        let around = drawn(|page| histogram(page, &summary, &shape, Some(&budget(9.5))));
        assert!(!around.contains("allowed") && around.contains("\"band\""), "{around}");
    }

    /// Whatever was measured, a drawing has only numbers that SVG can read.
    #[test]
    fn extremes_are_drawn_within_the_drawing() {
        for samples in [vec![0.0], vec![1e20, -1e20, 3.0], vec![5.0; 4], vec![1e-300, 2e-300, 3e-300]] {
            let measured = Distribution::new(Unit::Milliseconds, samples).unwrap();
            let (summary, shape) = (measured.summary(), measured.shape());
            for limit in [0.0, 1e-9, 5.0, 9e15] {
                let budget = budget(limit);
                let text = drawn(|page| {
                    strip(page, &summary, Some(&budget));
                    strip(page, &summary, None);
                    if let Some(shape) = &shape {
                        histogram(page, &summary, shape, Some(&budget));
                        percentiles(page, shape, &summary, Some(&budget));
                    }
                });
                assert!(!text.contains("NaN") && !text.contains("\"inf"), "{text}");
            }
        }
    }
}
