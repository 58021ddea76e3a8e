use rstest::rstest;

use super::*;

/// A budget in milliseconds, edited by the test.
fn budget(edit: impl FnOnce(&mut BudgetTable)) -> Budget {
    let mut table = BudgetTable::new("period", Unit::Milliseconds);
    edit(&mut table);
    table.check().unwrap()
}

fn millis(samples: &[f64], uncertainty: f64) -> Distribution {
    Distribution::new(Unit::Milliseconds, samples.iter().copied())
        .unwrap()
        .uncertain_by(Amount::new(uncertainty, Unit::Milliseconds))
        .unwrap()
}

use Finding::{Fail, Inconclusive, Pass};

/// The same single sample against every comparison, exact limits included.
#[rstest]
// at_most
#[case(Comparison::AtMost(2.0), 2.0, 0.0, Pass)]
#[case(Comparison::AtMost(2.0), 2.0001, 0.0, Fail)]
#[case(Comparison::AtMost(2.0), 1.0, 1.0, Pass)]
#[case(Comparison::AtMost(2.0), 1.0, 1.0001, Inconclusive)]
#[case(Comparison::AtMost(2.0), 3.0, 1.0, Inconclusive)]
#[case(Comparison::AtMost(2.0), 3.0, 0.9999, Fail)]
#[case(Comparison::AtMost(0.0), 0.0, 0.0, Pass)]
#[case(Comparison::AtMost(0.0), 0.0001, 0.0, Fail)]
// A 2 ms budget with a 5 ms instrument, whatever it shows near the limit.
#[case(Comparison::AtMost(2.0), 0.0, 5.0, Inconclusive)]
#[case(Comparison::AtMost(2.0), 2.0, 5.0, Inconclusive)]
#[case(Comparison::AtMost(2.0), 7.0, 5.0, Inconclusive)]
#[case(Comparison::AtMost(2.0), 7.1, 5.0, Fail)]
// at_least
#[case(Comparison::AtLeast(2.0), 2.0, 0.0, Pass)]
#[case(Comparison::AtLeast(2.0), 1.9999, 0.0, Fail)]
#[case(Comparison::AtLeast(2.0), 3.0, 1.0, Pass)]
#[case(Comparison::AtLeast(2.0), 3.0, 1.0001, Inconclusive)]
#[case(Comparison::AtLeast(2.0), 1.0, 1.0, Inconclusive)]
#[case(Comparison::AtLeast(2.0), 1.0, 0.9999, Fail)]
// between
#[case(Comparison::Between(5.0, 7.0), 5.0, 0.0, Pass)]
#[case(Comparison::Between(5.0, 7.0), 7.0, 0.0, Pass)]
#[case(Comparison::Between(5.0, 7.0), 4.9999, 0.0, Fail)]
#[case(Comparison::Between(5.0, 7.0), 7.0001, 0.0, Fail)]
#[case(Comparison::Between(5.0, 7.0), 6.0, 1.0, Pass)]
#[case(Comparison::Between(5.0, 7.0), 6.0, 1.1, Inconclusive)]
#[case(Comparison::Between(5.0, 7.0), 4.0, 1.0, Inconclusive)]
#[case(Comparison::Between(5.0, 7.0), 4.0, 0.9, Fail)]
#[case(Comparison::Between(6.0, 6.0), 6.0, 0.0, Pass)]
// nominal: the limits are 7.91635 and 8.74965, which no binary number holds
#[case(Comparison::NominalPercent { nominal: 8.333, percent: 5.0 }, 7.91635, 0.0, Pass)]
#[case(Comparison::NominalPercent { nominal: 8.333, percent: 5.0 }, 8.74965, 0.0, Pass)]
#[case(Comparison::NominalPercent { nominal: 8.333, percent: 5.0 }, 7.91634, 0.0, Fail)]
#[case(Comparison::NominalPercent { nominal: 8.333, percent: 5.0 }, 8.74966, 0.0, Fail)]
#[case(Comparison::NominalPercent { nominal: 8.333, percent: 5.0 }, 8.0, 0.0, Pass)]
#[case(Comparison::NominalPercent { nominal: 8.333, percent: 5.0 }, 16.667, 0.0, Fail)]
#[case(Comparison::NominalPercent { nominal: 8.333, percent: 5.0 }, 8.333, 1.0, Inconclusive)]
#[case(Comparison::NominalAbsolute { nominal: 30.0, tolerance: 1.0 }, 29.0, 0.0, Pass)]
#[case(Comparison::NominalAbsolute { nominal: 30.0, tolerance: 1.0 }, 31.0, 0.0, Pass)]
#[case(Comparison::NominalAbsolute { nominal: 30.0, tolerance: 1.0 }, 31.01, 0.0, Fail)]
#[case(Comparison::NominalAbsolute { nominal: 30.0, tolerance: 1.0 }, 31.01, 0.02, Inconclusive)]
// equals
#[case(Comparison::Equals(160.0), 160.0, 0.0, Pass)]
#[case(Comparison::Equals(160.0), 159.0, 0.0, Fail)]
#[case(Comparison::Equals(160.0), 160.0, 0.5, Inconclusive)]
#[case(Comparison::Equals(160.0), 159.0, 0.5, Fail)]
#[case(Comparison::Equals(0.1 + 0.2), 0.3, 0.0, Pass)]
fn one_figure(
    #[case] comparison: Comparison,
    #[case] sample: f64,
    #[case] uncertainty: f64,
    #[case] expected: Finding,
    #[values(
        BoundName::Mean,
        BoundName::P50,
        BoundName::P95,
        BoundName::P99,
        BoundName::Max,
        BoundName::Min,
        BoundName::Every,
        BoundName::ShareWithin
    )]
    bound: BoundName,
) {
    let budget = budget(|table| {
        table.bound = bound;
        table.share_percent = (bound == BoundName::ShareWithin).then_some(100.0);
        match comparison {
            Comparison::AtMost(value) => table.at_most = Some(value),
            Comparison::AtLeast(value) => table.at_least = Some(value),
            Comparison::Between(low, high) => table.between = Some([low, high]),
            Comparison::NominalPercent { nominal, percent } => {
                (table.nominal, table.tolerance_percent) = (Some(nominal), Some(percent));
            }
            Comparison::NominalAbsolute { nominal, tolerance } => {
                (table.nominal, table.tolerance) = (Some(nominal), Some(tolerance));
            }
            Comparison::Equals(value) => table.equals = Some(value),
        }
    });
    let judgement = budget.judge(&millis(&[sample], uncertainty)).unwrap();
    assert_eq!(judgement.finding, expected, "{budget}: {}", judgement.reason);
}

/// Each bound looks at its own figure: the limit is put right at it and right below it.
#[rstest]
#[case(BoundName::Mean, 50.5)]
#[case(BoundName::P50, 50.0)]
#[case(BoundName::P95, 95.0)]
#[case(BoundName::P99, 99.0)]
#[case(BoundName::Max, 100.0)]
#[case(BoundName::Every, 100.0)]
#[case(BoundName::Min, 1.0)]
fn each_bound_judges_its_figure(#[case] bound: BoundName, #[case] figure: f64) {
    let samples: Vec<f64> = (1..=100).map(f64::from).collect();
    for (limit, expected) in [(figure, Pass), (figure - 0.001, Fail)] {
        let budget = budget(|table| (table.bound, table.at_most) = (bound, Some(limit)));
        let judgement = budget.judge(&millis(&samples, 0.0)).unwrap();
        assert_eq!((judgement.finding, judgement.figure.value), (expected, figure), "{budget}");
    }
}

#[rstest]
#[case(&[6.0, 6.5], 0.0, Pass, 6.5, 0.5)]
#[case(&[5.0, 7.0], 0.0, Pass, 7.0, 0.0)]
#[case(&[5.2, 6.5], 0.0, Pass, 5.2, 0.2)]
#[case(&[4.0, 6.0], 0.0, Fail, 4.0, -1.0)]
#[case(&[6.0, 9.0], 0.0, Fail, 9.0, -2.0)]
#[case(&[4.0, 9.0], 0.0, Fail, 9.0, -2.0)]
#[case(&[5.2, 6.5], 0.3, Inconclusive, 5.2, 0.2)]
// One sample is beyond doubt, another is not: one failure is a failure.
#[case(&[4.9, 6.0, 9.0], 0.3, Fail, 9.0, -2.0)]
fn every_is_decided_by_the_extremes(
    #[case] samples: &[f64],
    #[case] uncertainty: f64,
    #[case] expected: Finding,
    #[case] figure: f64,
    #[case] margin: f64,
) {
    let judgement =
        budget(|table| table.between = Some([5.0, 7.0])).judge(&millis(samples, uncertainty)).unwrap();
    assert_eq!(judgement.finding, expected, "{}", judgement.reason);
    assert_eq!(judgement.figure.value, figure);
    assert!((judgement.margin.value - margin).abs() < 1e-9, "{}", judgement.margin.value);
}

#[rstest]
#[case(99, 1, 99.0, 0.0, Pass, 0.0)]
#[case(98, 2, 99.0, 0.0, Fail, -1.0)]
#[case(999, 1, 99.9, 0.0, Pass, 0.0)]
#[case(998, 2, 99.9, 0.0, Fail, -0.1)]
#[case(1, 0, 100.0, 0.0, Pass, 0.0)]
#[case(2, 1, 66.666, 0.0, Pass, 0.000_667)]
// The good ones, at 1 ms, are sure with 1 ms of doubt, but not with 1.1 ms.
#[case(99, 1, 99.0, 1.0, Pass, 0.0)]
#[case(99, 1, 99.0, 1.1, Inconclusive, 0.0)]
// The bad ones, at 20 ms, might be good only with 18 ms of doubt.
#[case(50, 50, 99.0, 17.0, Fail, -49.0)]
#[case(50, 50, 99.0, 18.0, Inconclusive, -49.0)]
fn shares(
    #[case] good: usize,
    #[case] bad: usize,
    #[case] percent: f64,
    #[case] uncertainty: f64,
    #[case] expected: Finding,
    #[case] margin: f64,
) {
    let budget = budget(|table| {
        table.bound = BoundName::ShareWithin;
        (table.share_percent, table.at_most) = (Some(percent), Some(2.0));
    });
    let samples = [vec![1.0; good], vec![20.0; bad]].concat();
    let judgement = budget.judge(&millis(&samples, uncertainty)).unwrap();
    assert_eq!(judgement.finding, expected, "{}", judgement.reason);
    assert_eq!(judgement.margin.unit, Unit::Percent);
    assert!((judgement.margin.value - margin).abs() < 1e-6, "{}", judgement.margin.value);
}

#[test]
fn nanoseconds_meet_a_budget_in_milliseconds_exactly() {
    let budget = budget(|table| table.at_most = Some(16.67));
    for (nanos, expected) in [(16_670_000, Pass), (16_670_001, Fail)] {
        let judgement = budget.judge(&Distribution::of_nanos([nanos]).unwrap()).unwrap();
        assert_eq!(judgement.finding, expected);
        assert_eq!(judgement.figure.unit, Unit::Milliseconds);
    }
}

#[test]
fn another_quantity_is_a_harness_bug() {
    let budget = budget(|table| table.at_most = Some(1.0));
    let pixels = Distribution::new(Unit::Pixels, [1.0]).unwrap();
    let error = budget.judge(&pixels).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the budget of `period` is in ms, but the samples are in pixels; measure in ms"
    );
    assert_eq!(Blame::from(error).verdict(), Verdict::HarnessBug);
}

#[rstest]
#[case(BoundName::Mean, &[1.0, 1.0, 1.0], Pass)]
#[case(BoundName::Mean, &[1.0, 1.0], Inconclusive)]
#[case(BoundName::Mean, &[9.0], Inconclusive)]
#[case(BoundName::Every, &[1.0], Inconclusive)]
#[case(BoundName::Every, &[9.0], Fail)]
#[case(BoundName::Max, &[1.0], Inconclusive)]
#[case(BoundName::Max, &[9.0], Fail)]
#[case(BoundName::Min, &[9.0], Inconclusive)]
fn too_few_samples_prove_nothing(
    #[case] bound: BoundName,
    #[case] samples: &[f64],
    #[case] expected: Finding,
) {
    let budget = budget(|table| {
        (table.bound, table.at_most, table.min_samples) = (bound, Some(2.0), Some(3));
    });
    let judgement = budget.judge(&millis(samples, 0.0)).unwrap();
    assert_eq!(judgement.finding, expected, "{}", judgement.reason);
}

/// An extreme proves its own limit missed with one sample, and the opposite one never.
#[rstest]
#[case(BoundName::Min, Comparison::AtLeast(2.0), 1.0, Fail)]
#[case(BoundName::Min, Comparison::AtLeast(2.0), 2.0, Inconclusive)]
#[case(BoundName::Min, Comparison::Between(2.0, 5.0), 1.0, Fail)]
#[case(BoundName::Min, Comparison::Between(2.0, 5.0), 9.0, Inconclusive)]
#[case(BoundName::Max, Comparison::Between(2.0, 5.0), 9.0, Fail)]
#[case(BoundName::Max, Comparison::Between(2.0, 5.0), 1.0, Inconclusive)]
fn one_sample_beyond_an_extreme_suffices(
    #[case] bound: BoundName,
    #[case] comparison: Comparison,
    #[case] sample: f64,
    #[case] expected: Finding,
) {
    let budget = budget(|table| {
        (table.bound, table.min_samples) = (bound, Some(3));
        match comparison {
            Comparison::AtLeast(low) => table.at_least = Some(low),
            _ => table.between = Some(comparison.limits().into()),
        }
    });
    let judgement = budget.judge(&millis(&[sample], 0.0)).unwrap();
    assert_eq!(judgement.finding, expected, "{}", judgement.reason);
}

#[rstest]
#[case(1.0, 0.0, "period: worst 1 ms keeps `every <= 2 ms` with 1 ms to spare")]
#[case(2.0005, 0.0, "period: worst 2.001 ms misses `every <= 2 ms` by 500 ns")]
#[case(
    1.0,
    5.0,
    "period: worst 1 ms lies 1 ms from the limit of `every <= 2 ms`, which an instrument of ±5 ms cannot tell; use a better one"
)]
fn reasons_are_sentences(#[case] sample: f64, #[case] uncertainty: f64, #[case] reason: &str) {
    let budget = budget(|table| table.at_most = Some(2.0));
    assert_eq!(budget.judge(&millis(&[sample], uncertainty)).unwrap().reason, reason);
}

/// What the catalogue writes, what people read, and the way back.
#[rstest]
#[case(
    r#"{"quantity":"q","unit":"ms","bound":"mean","nominal":8.333,"tolerance_percent":5}"#,
    "mean 8.333 ms ±5 %"
)]
#[case(r#"{"quantity":"q","unit":"ms","bound":"every","at_most":16.67}"#, "every <= 16.67 ms")]
#[case(
    r#"{"quantity":"q","unit":"ms","bound":"share-within","share_percent":99,"nominal":8.333,"tolerance_percent":5}"#,
    ">= 99 % within 8.333 ms ±5 %"
)]
#[case(
    r#"{"quantity":"q","unit":"ms","bound":"share-within","share_percent":99.9,"at_most":16.67}"#,
    ">= 99.9 % within <= 16.67 ms"
)]
#[case(r#"{"quantity":"q","unit":"s","between":[5.0,7.0]}"#, "every 5 to 7 s")]
#[case(r#"{"quantity":"q","unit":"pixels","equals":160}"#, "every = 160 pixels")]
#[case(r#"{"quantity":"q","unit":"us","bound":"min","at_least":50}"#, "min >= 50 µs")]
#[case(r#"{"quantity":"q","unit":"s","nominal":30,"tolerance":1,"min_samples":3}"#, "every 30 s ±1 s")]
#[case(r#"{"quantity":"q","unit":"KB/s","bound":"p50","at_least":100}"#, "p50 >= 100 KB/s")]
fn budgets_print_and_round_trip(#[case] json: &str, #[case] shown: &str) {
    let budget: Budget = serde_json::from_str(json).unwrap();
    assert_eq!(budget.to_string(), shown);
    let again = serde_json::to_string(&budget).unwrap();
    assert_eq!(serde_json::from_str::<Budget>(&again).unwrap(), budget);
}

#[rstest]
#[case("", BudgetError::NoComparison)]
#[case(r#","at_most":1,"at_least":2"#, BudgetError::Contradiction { first: "at_most", second: "at_least" })]
#[case(r#","equals":1,"nominal":2,"tolerance":1"#, BudgetError::Contradiction { first: "equals", second: "nominal" })]
#[case(
    r#","nominal":1,"tolerance":1,"tolerance_percent":1"#,
    BudgetError::Contradiction { first: "tolerance_percent", second: "tolerance" }
)]
#[case(r#","nominal":1"#, BudgetError::NoTolerance)]
#[case(r#","tolerance":1"#, BudgetError::NoNominal("tolerance"))]
#[case(r#","at_most":1,"tolerance_percent":1"#, BudgetError::NoNominal("tolerance_percent"))]
#[case(r#","at_most":1,"bound":"share-within""#, BudgetError::NoShare)]
#[case(r#","at_most":1,"share_percent":99"#, BudgetError::UnusedShare)]
#[case(r#","at_most":-1"#, BudgetError::BadNumber { field: "at_most", value: -1.0 })]
#[case(r#","equals":1e17"#, BudgetError::BadNumber { field: "equals", value: 1e17 })]
#[case(
    r#","nominal":1,"tolerance_percent":0"#,
    BudgetError::BadPercentage { field: "tolerance_percent", value: 0.0 }
)]
#[case(
    r#","at_most":1,"bound":"share-within","share_percent":101"#,
    BudgetError::BadPercentage { field: "share_percent", value: 101.0 }
)]
#[case(r#","between":[7,5]"#, BudgetError::Reversed { low: 7.0, high: 5.0 })]
#[case(r#","at_most":1,"min_samples":0"#, BudgetError::NoSamples)]
fn contradictions_are_refused(#[case] fields: &str, #[case] expected: BudgetError) {
    let json = format!(r#"{{"quantity":"period","unit":"ms"{fields}}}"#);
    let table: BudgetTable = serde_json::from_str(&json).unwrap();
    assert_eq!(table.check(), Err(vec![expected]));
}

#[test]
fn not_a_number_is_refused() {
    let mut table = BudgetTable::new("period", Unit::Milliseconds);
    table.between = Some([f64::NAN, f64::INFINITY]);
    let errors = table.check().unwrap_err();
    let bad = |error: &BudgetError| matches!(error, BudgetError::BadNumber { field: "between", .. });
    assert!(errors.len() == 2 && errors.iter().all(bad), "{errors:?}");
}

#[test]
fn all_errors_are_reported_at_once() {
    let mut table = BudgetTable::new("", Unit::Milliseconds);
    (table.at_most, table.min_samples) = (Some(-1.0), Some(0));
    assert_eq!(table.check().unwrap_err().len(), 3);
}

#[test]
fn results_cannot_smuggle_in_a_contradiction() {
    let json = r#"{"quantity":"q","unit":"ms","at_most":1,"at_least":2}"#;
    let error = serde_json::from_str::<Budget>(json).unwrap_err().to_string();
    assert!(error.contains("both `at_most` and `at_least`"), "{error}");
}
