//! What was measured: all samples of one quantity, and the figures that describe them.
//!
//! Everything is computed from the samples themselves, not from a histogram: a budget of
//! "every one" must not be decided by a bucket's width.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::nanos;
use crate::unit::{Amount, Unit};
use crate::verdict::{Blame, HarnessError};

/// The largest magnitude of a sample. It holds every [`Duration`] that a rig's clock can express
/// and leaves the sum of any number of samples finite.
pub const LARGEST: f64 = 1e20;

/// Why samples make no distribution. Each is a defect of the case that collected them.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum DistributionError {
    /// Nothing was measured.
    #[error(
        "a distribution needs at least one sample and got none; report the absence as a verdict of its own"
    )]
    NoSamples,
    /// NaN, infinite or absurdly large.
    #[error("sample {index} is {value}, but samples are finite and at most {LARGEST:e} in size")]
    BadSample {
        /// Position in the order of delivery, from 0.
        index: usize,
        /// The sample.
        value: f64,
    },
    /// An uncertainty is a size.
    #[error("an uncertainty of {value} makes no sense: state a finite one of zero or more")]
    BadUncertainty {
        /// What was offered.
        value: f64,
    },
    /// The uncertainty measures something else.
    #[error("samples in {samples} cannot be uncertain by {offered}; state the uncertainty in {samples}")]
    UncertaintyUnit {
        /// Unit of the samples.
        samples: Unit,
        /// Unit of the uncertainty.
        offered: Unit,
    },
}

/// The harness is to blame: a case that may collect nothing must look before it builds a
/// distribution.
impl From<DistributionError> for Blame {
    fn from(error: DistributionError) -> Self {
        HarnessError(error.to_string()).into()
    }
}

/// One or more samples of one quantity in one unit, with the uncertainty of the instrument.
#[derive(Clone, PartialEq, Debug)]
pub struct Distribution {
    unit: Unit,
    /// Ascending, never empty.
    samples: Vec<f64>,
    mean: f64,
    uncertainty: f64,
}

impl Distribution {
    /// The distribution of `samples`, in any order, with no uncertainty.
    ///
    /// # Errors
    /// [`DistributionError`] without samples, or with one that is not finite or larger than
    /// [`LARGEST`].
    pub fn new(unit: Unit, samples: impl IntoIterator<Item = f64>) -> Result<Self, DistributionError> {
        // Adding zero turns -0 into 0, so that results never show a negative nothing.
        let mut samples: Vec<f64> = samples.into_iter().map(|sample| sample + 0.0).collect();
        let bad = |value: &f64| value.is_nan() || value.abs() > LARGEST;
        if let Some(index) = samples.iter().position(bad) {
            return Err(DistributionError::BadSample { index, value: samples[index] });
        }
        samples.sort_unstable_by(f64::total_cmp);
        let mean = mean(&samples).ok_or(DistributionError::NoSamples)?;
        Ok(Distribution { unit, samples, mean, uncertainty: 0.0 })
    }

    /// The distribution of whole nanoseconds. Exact up to 2^53 ns (104 days).
    ///
    /// # Errors
    /// [`DistributionError::NoSamples`].
    pub fn of_nanos(samples: impl IntoIterator<Item = u64>) -> Result<Self, DistributionError> {
        Self::new(Unit::Nanoseconds, samples.into_iter().map(|sample| sample as f64))
    }

    /// The distribution of durations, in nanoseconds.
    ///
    /// # Errors
    /// [`DistributionError::NoSamples`].
    pub fn of_durations(samples: impl IntoIterator<Item = Duration>) -> Result<Self, DistributionError> {
        Self::of_nanos(samples.into_iter().map(nanos))
    }

    /// The same samples, each known no better than to plus or minus `uncertainty`.
    ///
    /// Call it once per instrument or once per sample: the largest one counts.
    ///
    /// # Errors
    /// [`DistributionError`] if it is negative, not finite, or of another kind of unit.
    pub fn uncertain_by(mut self, uncertainty: impl Into<Amount>) -> Result<Self, DistributionError> {
        let offered = uncertainty.into();
        let own = offered
            .to(self.unit)
            .ok_or(DistributionError::UncertaintyUnit { samples: self.unit, offered: offered.unit })?
            .value;
        if !(0.0..=LARGEST).contains(&own) {
            return Err(DistributionError::BadUncertainty { value: offered.value });
        }
        self.uncertainty = self.uncertainty.max(own);
        Ok(self)
    }

    /// The unit of the samples and of every figure below.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The samples in ascending order; at least one.
    pub fn samples(&self) -> &[f64] {
        &self.samples
    }

    /// How many samples there are; at least 1.
    pub fn count(&self) -> usize {
        self.samples.len()
    }

    /// The smallest sample.
    pub fn min(&self) -> f64 {
        self.samples[0]
    }

    /// The largest sample.
    pub fn max(&self) -> f64 {
        self.samples[self.samples.len() - 1]
    }

    /// The arithmetic mean.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The nearest-rank percentile: the smallest sample such that at least `percent` per cent of
    /// the samples are not above it. It is always one of the samples; 0 gives the smallest, 100
    /// and more give the largest. With fewer than 100 samples the 99th is therefore the largest.
    ///
    /// That is the sample of rank `ceil(percent * count / 100)`, counted from 1.
    pub fn percentile(&self, percent: u8) -> f64 {
        let count = self.samples.len() as u128;
        let rank = (u128::from(percent.min(100)) * count).div_ceil(100);
        // The rank is at most the count, so it fits an index again.
        self.samples[(rank as usize).saturating_sub(1)]
    }

    /// The instrument's uncertainty: every sample, hence every figure, is true to plus or minus
    /// this.
    pub fn uncertainty(&self) -> f64 {
        self.uncertainty
    }

    /// The figures without the samples, in the samples' unit.
    pub fn summary(&self) -> Summary {
        Summary {
            unit: self.unit,
            count: self.samples.len() as u64,
            min: self.min(),
            p50: self.percentile(50),
            p95: self.percentile(95),
            p99: self.percentile(99),
            max: self.max(),
            mean: self.mean,
            uncertainty: self.uncertainty,
        }
    }

    /// What the distribution looks like; `None` where there is nothing to look at: with fewer than three
    /// samples, or with all of them equal.
    pub fn shape(&self) -> Option<Shape> {
        let (count, min, max) = (self.samples.len(), self.min(), self.max());
        if count < 3 || min == max {
            return None;
        }
        let rank = |percent: f64| ((percent / 100.0 * count as f64).ceil() as usize).clamp(1, count);
        let quantiles =
            Shape::PERCENTS.map(|percent| (percent, self.samples[rank(percent) - 1])).into_iter().collect();
        let width = (max - min) / Shape::BINS as f64;
        let mut counts = vec![0_u64; Shape::BINS];
        for sample in &self.samples {
            // The largest sample falls on the end of the last bin and belongs to it.
            let bin = (((sample - min) / width) as usize).min(Shape::BINS - 1);
            counts[bin] += 1;
        }
        Some(Shape { unit: self.unit, quantiles, from: min, width, counts })
    }
}

/// What a [`Distribution`] looks like: points of its percentile curve, and a histogram. For drawing;
/// nothing is judged by it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Unit of every value.
    pub unit: Unit,
    /// Per cent (0 to 100) and the nearest-rank percentile there, both ascending.
    pub quantiles: Vec<(f64, f64)>,
    /// Where the first bin begins.
    pub from: f64,
    /// Width of each bin.
    pub width: f64,
    /// Samples in each bin; a bin holds its beginning but not its end, and the last one both.
    pub counts: Vec<u64>,
}

impl Shape {
    /// The most bins or quantiles that a shape has.
    pub const BINS: usize = 32;
    const PERCENTS: [f64; 16] =
        [0.0, 1.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 99.0, 99.9, 100.0];

    /// The same in another unit; `None` if `unit` measures something else.
    pub fn to(&self, unit: Unit) -> Option<Shape> {
        let figure = |value| self.unit.convert(value, unit);
        let quantiles: Option<Vec<_>> =
            self.quantiles.iter().map(|&(percent, value)| Some((percent, figure(value)?))).collect();
        Some(Shape {
            unit,
            quantiles: quantiles?,
            from: figure(self.from)?,
            width: figure(self.width)?,
            counts: self.counts.clone(),
        })
    }

    /// What no distribution could have produced, if anything: for readers of files.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let finite = |value: &f64| value.is_finite();
        let in_range = |percent: &f64| (0.0..=100.0).contains(percent);
        if !self.quantiles.iter().all(|(percent, value)| in_range(percent) && finite(value)) {
            Some("a quantile is not finite or outside 0 to 100 %")
        } else if !self.quantiles.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1) {
            Some("`quantiles` are not in ascending order")
        } else if !self.from.is_finite() || !self.width.is_finite() || self.width <= 0.0 {
            Some("`from` and `width` make no bins")
        } else if self.counts.len() > Self::BINS || self.quantiles.len() > Self::BINS {
            Some("it has more than 32 bins or quantiles")
        } else {
            None
        }
    }
}

/// Neumaier's compensated sum over the count. Samples arrive sorted, so that their order of
/// delivery cannot change the last bit of a result; the clamp keeps rounding from moving the mean
/// of equal samples off their value.
fn mean(sorted: &[f64]) -> Option<f64> {
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
    for &sample in sorted {
        let next = sum + sample;
        lost += if sum.abs() >= sample.abs() { (sum - next) + sample } else { (sample - next) + sum };
        sum = next;
    }
    Some(((sum + lost) / sorted.len() as f64).clamp(first, last))
}

/// The figures of a [`Distribution`], as results carry them.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Unit of every figure but the count.
    pub unit: Unit,
    /// Number of samples, at least 1.
    pub count: u64,
    /// Smallest sample.
    pub min: f64,
    /// Median, nearest rank.
    pub p50: f64,
    /// 95th percentile, nearest rank.
    pub p95: f64,
    /// 99th percentile, nearest rank.
    pub p99: f64,
    /// Largest sample.
    pub max: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Largest uncertainty of a sample, zero or more.
    pub uncertainty: f64,
}

impl Summary {
    /// The figures in another unit; `None` if `unit` measures something else.
    pub fn to(self, unit: Unit) -> Option<Summary> {
        let figure = |value| self.unit.convert(value, unit);
        Some(Summary {
            unit,
            count: self.count,
            min: figure(self.min)?,
            p50: figure(self.p50)?,
            p95: figure(self.p95)?,
            p99: figure(self.p99)?,
            max: figure(self.max)?,
            mean: figure(self.mean)?,
            uncertainty: figure(self.uncertainty)?,
        })
    }

    /// What no distribution could have produced, if anything: for readers of files.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let ordered = [self.min, self.p50, self.p95, self.p99, self.max];
        if self.count == 0 {
            Some("`count` is 0, but a distribution has at least one sample")
        } else if !ordered.is_sorted() {
            Some("`min`, `p50`, `p95`, `p99` and `max` are not in ascending order")
        } else if !(self.min..=self.max).contains(&self.mean) {
            Some("`mean` lies outside `min` and `max`")
        } else if self.uncertainty < 0.0 {
            Some("`uncertainty` is negative")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn of(samples: impl IntoIterator<Item = f64>) -> Distribution {
        Distribution::new(Unit::Count, samples).unwrap()
    }

    #[test]
    fn no_samples_make_no_distribution() {
        assert_eq!(Distribution::new(Unit::Count, []), Err(DistributionError::NoSamples));
        assert_eq!(Distribution::of_nanos([]), Err(DistributionError::NoSamples));
    }

    #[rstest]
    #[case(f64::NAN)]
    #[case(f64::INFINITY)]
    #[case(f64::NEG_INFINITY)]
    #[case(1.1e20)]
    fn absurd_samples_are_refused(#[case] sample: f64) {
        let error = Distribution::new(Unit::Count, [1.0, sample]).unwrap_err();
        assert!(matches!(error, DistributionError::BadSample { index: 1, .. }), "{error}");
    }

    /// Nearest rank by definition, computed the slow way.
    fn slow_percentile(sorted: &[f64], percent: usize) -> f64 {
        *sorted
            .iter()
            .find(|&&candidate| {
                let covered = sorted.iter().filter(|&&sample| sample <= candidate).count();
                covered * 100 >= percent * sorted.len()
            })
            .unwrap()
    }

    #[rstest]
    fn percentiles_are_nearest_rank(#[values(1, 2, 3, 19, 20, 21, 99, 100, 101, 200, 997)] count: usize) {
        let sorted: Vec<f64> = (0..count).map(|index| (index * index / 3) as f64).collect();
        let distribution = of(sorted.iter().rev().copied());
        for percent in [1, 50, 95, 99, 100] {
            assert_eq!(
                distribution.percentile(percent),
                slow_percentile(&sorted, percent.into()),
                "p{percent} of {count}"
            );
        }
        assert_eq!(distribution.percentile(0), distribution.min());
        assert_eq!(distribution.percentile(255), distribution.max());
    }

    #[test]
    fn one_sample_is_every_figure() {
        let summary = Distribution::of_nanos([8_333_000]).unwrap().summary();
        let figures = [summary.min, summary.p50, summary.p95, summary.p99, summary.max, summary.mean];
        assert_eq!(figures, [8_333_000.0; 6]);
        assert_eq!((summary.count, summary.uncertainty), (1, 0.0));
    }

    #[test]
    fn the_mean_is_exact_and_ignores_the_order() {
        assert_eq!(of([1e16, 1.0, -1e16, 1.0]).mean(), 0.5);
        assert_eq!(of([1.0, 1e16, 1.0, -1e16]).mean(), 0.5);
        assert_eq!(of(vec![0.1; 1000]).mean(), 0.1);
        let nanos = Distribution::of_nanos([8_333_333, 8_333_333, 8_333_334]).unwrap();
        assert_eq!(nanos.mean(), 25_000_000.0 / 3.0);
    }

    #[test]
    fn extremes_stay_finite() {
        let distribution = of(vec![LARGEST; 100]);
        assert_eq!(distribution.mean(), LARGEST);
        assert!(Distribution::of_nanos([u64::MAX]).is_ok());
    }

    #[test]
    fn the_largest_uncertainty_counts() {
        let distribution = Distribution::of_nanos([10])
            .unwrap()
            .uncertain_by(Duration::from_micros(5))
            .unwrap()
            .uncertain_by(Duration::from_micros(2))
            .unwrap();
        assert_eq!(distribution.uncertainty(), 5_000.0);
    }

    #[rstest]
    #[case(Amount::new(-1.0, Unit::Count))]
    #[case(Amount::new(f64::NAN, Unit::Count))]
    #[case(Amount::new(f64::INFINITY, Unit::Count))]
    #[case(Amount::new(1.0, Unit::Seconds))]
    fn absurd_uncertainties_are_refused(#[case] uncertainty: Amount) {
        assert!(of([1.0]).uncertain_by(uncertainty).is_err());
    }

    #[test]
    fn negative_zero_is_zero() {
        assert!(of([-0.0]).min().is_sign_positive());
    }

    #[test]
    fn a_summary_converts_as_a_whole() {
        let summary = Distribution::of_nanos([8_000_000, 9_000_000]).unwrap().summary();
        let millis = summary.to(Unit::Milliseconds).unwrap();
        assert_eq!((millis.min, millis.max, millis.mean, millis.count), (8.0, 9.0, 8.5, 2));
        assert_eq!(summary.to(Unit::Pixels), None);
    }
}
