//! The run as JUnit XML, for CI systems.
//!
//! One suite per system, one test case per case and rig, and one more for every requirement that
//! no case decides, so that a hole shows up as skipped and not as silence.
//!
//! | Verdict | JUnit |
//! |---|---|
//! | pass | success |
//! | fail | failure |
//! | rig fault, harness bug, inconclusive | error |
//! | not run | skipped, with the reason |
//! | fail or inconclusive that concerns no `must` | skipped, with the reason: it does not gate |
//!
//! It keeps to the schema of the xUnit plugin for Jenkins (`junit-10.xsd`), the strictest in use, which
//! knows no properties of a single case: what there is to say of one stands in its `system-out`.
//! `fixtures/oracles/junit.sh` checks it against that schema.

use std::collections::BTreeMap;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use rigor_core::requirement::Class;
use rigor_core::result::{CaseResult, RequirementResult, RunResult};
use rigor_core::verdict::Verdict;

use crate::text::visible;

/// The XML writer gave up.
#[derive(Debug, thiserror::Error)]
#[error("cannot write JUnit XML: {0}; results.json holds the same findings")]
pub struct JunitError(#[from] quick_junit::SerializeError);

/// The text of `junit.xml`. It depends on nothing but `result`; only times and the timestamp
/// differ between two runs of one seed.
///
/// # Errors
/// [`JunitError`] if the XML library refuses; no known result makes it do so.
pub fn render(result: &RunResult) -> Result<String, JunitError> {
    let mut suites: BTreeMap<String, TestSuite> = BTreeMap::new();
    let mut suite_of = |system: &str, case: TestCase| {
        let suite = suites.entry(system.to_owned()).or_insert_with(|| {
            let mut suite = TestSuite::new(visible(system));
            // Readers of JUnit stumble over a timestamp that is none.
            if is_timestamp(&result.run.started) {
                suite.extra.insert("timestamp".into(), result.run.started.as_str().into());
            }
            suite.set_time(Duration::ZERO);
            suite
        });
        suite.time = Some(suite.time.unwrap_or_default() + case.time.unwrap_or_default());
        suite.add_test_case(case);
    };
    for case in &result.cases {
        suite_of(&case.system, test_case(result, case));
    }
    for requirement in result.requirements.iter().filter(|found| found.cases.is_empty()) {
        suite_of(&requirement.system, hole(requirement));
    }
    let mut report = Report::new("rigor");
    report.set_time(Duration::from_millis(result.run.wall_ms));
    report.add_test_suites(suites.into_values());
    Ok(without_total_of_skipped(report.to_string()?))
}

/// The library counts the skipped ones at the root as well, for which the schema has no attribute.
fn without_total_of_skipped(xml: String) -> String {
    let Some(root) = xml.find("<testsuites ") else { return xml };
    let end = xml[root..].find('>').map_or(xml.len(), |length| root + length);
    // The name before it is a constant of ours, so the first one within the tag is the attribute.
    let Some(from) = xml[root..end].find(" skipped=\"").map(|at| root + at) else { return xml };
    let value = from + " skipped=\"".len();
    let Some(until) = xml[value..end].find('"').map(|at| value + at + 1) else { return xml };
    format!("{}{}", &xml[..from], &xml[until..])
}

/// Whether `text` has the form of RFC 3339, `2025-01-01T00:00:00Z` with any fraction and offset.
fn is_timestamp(text: &str) -> bool {
    let form: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let Some(rest) = form.strip_prefix("0000-00-00T00:00:00") else { return false };
    let rest = match rest.strip_prefix('.') {
        Some(fraction) if fraction.starts_with('0') => fraction.trim_start_matches('0'),
        Some(_) => return false,
        None => rest,
    };
    matches!(rest, "Z" | "+00:00" | "-00:00")
}

fn test_case(result: &RunResult, case: &CaseResult) -> TestCase {
    let mut test = TestCase::new(visible(&case.name), status(result, case));
    let rig = case.rig.as_deref().unwrap_or("no-rig");
    test.set_classname(visible(&format!("{}.{rig}", case.system)));
    test.set_time(Duration::from_millis(case.wall_ms));
    let ids: Vec<&str> = case.requirements.iter().map(|id| id.as_str()).collect();
    let mut told =
        format!("requirements: {}\nseed: {}\nrig time: {} ns", ids.join(" "), case.seed, case.rig_time_ns);
    if case.retries > 0 {
        told.push_str(&format!("\nretries: {}", case.retries));
    }
    for recovery in &case.recoveries {
        told.push_str(&format!("\nthe bench failed: {}", visible(&recovery.line())));
    }
    test.set_system_out(told);
    test
}

fn status(result: &RunResult, case: &CaseResult) -> TestCaseStatus {
    let reason = visible(case.reason.as_deref().unwrap_or("no reason was given"));
    let kind = match case.verdict {
        Verdict::Pass => return TestCaseStatus::success(),
        Verdict::NotRun => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason);
            return status;
        }
        Verdict::Fail | Verdict::Inconclusive if !gates(result, case) => {
            let mut status = TestCaseStatus::skipped();
            status.set_type("not-gating");
            status.set_message(format!("{}, but no `must` is concerned: {reason}", case.verdict));
            status.set_description(details(case));
            return status;
        }
        Verdict::Fail => NonSuccessKind::Failure,
        Verdict::Inconclusive | Verdict::RigFault | Verdict::HarnessBug => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(case.verdict.to_string());
    status.set_message(reason);
    status.set_description(details(case));
    status
}

/// Whether the case's verdict is that of a `must` (or of something that is not listed, which is
/// worse).
fn gates(result: &RunResult, case: &CaseResult) -> bool {
    case.requirements.iter().any(|id| {
        let listed = result.requirements.iter().find(|found| found.id == *id && found.system == case.system);
        listed.is_none_or(|found| found.class == Class::Must && found.verdict >= case.verdict)
    })
}

/// What a person needs next: the reason, how to see it again, the device's last words, and where it crashed.
fn details(case: &CaseResult) -> String {
    let mut lines = Vec::new();
    lines.extend(case.reason.as_deref().map(visible));
    lines.extend(case.repeat.as_deref().map(|command| format!("repeat: {}", visible(command))));
    if !case.log_tail.is_empty() {
        lines.push("log:".to_owned());
        lines.extend(case.log_tail.iter().map(|line| format!("  {}", visible(line))));
    }
    if !case.backtrace.is_empty() {
        lines.push("backtrace:".to_owned());
        lines.extend(case.backtrace.iter().map(|line| format!("  {}", visible(line))));
    }
    lines.join("\n")
}

/// A requirement that no case decides.
fn hole(requirement: &RequirementResult) -> TestCase {
    let mut status = TestCaseStatus::skipped();
    status.set_message(visible(requirement.reason.as_deref().unwrap_or("no case decides it")));
    let name = format!("{} {}", requirement.id, requirement.title);
    let mut test = TestCase::new(visible(&name), status);
    test.set_classname(visible(&requirement.system));
    test
}

#[cfg(test)]
mod tests {
    use quick_junit::Report;
    use rstest::rstest;

    use super::*;
    use crate::sample;

    #[test]
    fn every_verdict_has_its_place() {
        let xml = render(&sample::run()).unwrap();
        let report = Report::deserialize_from_str(&xml).unwrap();
        assert_eq!((report.tests, report.failures, report.errors), (10, 1, 3));
        assert_eq!(report.test_suites[0].skipped, 3);
        let suite = &report.test_suites[0];
        assert_eq!(suite.name.as_str(), "prism-k1");
        let find = |name: &str| {
            let found = suite.test_cases.iter().find(|test| test.name.as_str().ends_with(name));
            &found.unwrap_or_else(|| panic!("{name} in {xml}")).status
        };
        let kind = |name: &str| match find(name) {
            TestCaseStatus::Success { .. } => "success",
            TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, .. } => "failure",
            TestCaseStatus::NonSuccess { kind: NonSuccessKind::Error, .. } => "error",
            TestCaseStatus::Skipped { .. } => "skipped",
        };
        assert_eq!(kind("frame_period"), "success");
        assert_eq!(kind("pixel_mapping"), "failure");
        assert_eq!(kind("idle_close"), "error");
        assert_eq!(kind("third_client"), "error");
        assert_eq!(kind("power_cut"), "error");
        assert_eq!(kind("access_point"), "skipped");
        assert_eq!(kind("upload_speed"), "skipped");
        let TestCaseStatus::Skipped { message, .. } = find("a day without a gap") else { panic!() };
        assert!(message.as_ref().unwrap().contains("nightly"), "{message:?}");
        let TestCaseStatus::Skipped { message, .. } = find("upload_speed") else { panic!() };
        assert!(message.as_ref().unwrap().starts_with("FAIL, but no `must` is concerned"));
    }

    #[test]
    fn hostile_text_survives_as_text() {
        let mut run = sample::run();
        let evil = "]]></failure><!-- \u{1b}[2J \0 & \" ' \u{ffff} \u{202e}";
        for case in &mut run.cases {
            case.name = format!("{}{evil}", case.name);
            case.system = evil.to_owned();
            case.rig = Some(evil.to_owned());
            case.reason = Some(evil.to_owned());
            case.repeat = Some(evil.to_owned());
            case.log_tail = vec![evil.to_owned(); 3];
            case.backtrace = vec![evil.to_owned(); 3];
        }
        run.run.started = evil.to_owned();
        let xml = render(&run).unwrap();
        let report = Report::deserialize_from_str(&xml).unwrap();
        assert_eq!(report.tests, 10);
        assert!(xml.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{ffff}'), "{xml}");
        assert!(xml.contains("\\u{1b}[2J \\u{0}"), "{xml}");
    }

    #[rstest]
    #[case("2025-01-01T00:00:00Z", true)]
    #[case("2025-01-01T00:00:00.123456789+02:00", true)]
    #[case("2025-01-01T00:00:00", false)]
    #[case("2025-01-01T00:00:00.Z", false)]
    #[case("2025-01-01 00:00:00Z", false)]
    #[case("", false)]
    #[case("x", false)]
    fn a_timestamp_is_written_only_if_it_is_one(#[case] started: &str, #[case] written: bool) {
        let mut run = sample::run();
        run.run.started = started.to_owned();
        let xml = render(&run).unwrap();
        assert_eq!(xml.contains("timestamp="), written, "{xml}");
        Report::deserialize_from_str(&xml).unwrap();
    }

    /// Writes reports into the folder that `RIGOR_JUNIT_OUT` names; without it there is nothing to do.
    /// `fixtures/oracles/junit.sh` validates them.
    #[test]
    fn reports_for_a_schema() {
        let Some(folder) = std::env::var_os("RIGOR_JUNIT_OUT").map(std::path::PathBuf::from) else { return };
        std::fs::create_dir_all(&folder).unwrap();
        let mut hostile = sample::run();
        for case in &mut hostile.cases {
            case.name = "]]></failure><!-- \u{1b}[2J \0 & \" '".to_owned();
            case.reason = Some(case.name.clone());
        }
        for (name, run) in [("sample", sample::run()), ("empty", sample::empty()), ("hostile", hostile)] {
            std::fs::write(folder.join(format!("{name}.xml")), render(&run).unwrap()).unwrap();
        }
    }

    #[test]
    fn the_root_has_no_attribute_that_the_schema_lacks() {
        let xml = render(&sample::run()).unwrap();
        let root = xml.split_once("<testsuites ").unwrap().1.split_once('>').unwrap().0;
        assert!(root.contains("tests=\"10\"") && !root.contains("skipped"), "{root}");
        assert!(xml.contains("skipped=\"3\"") && !xml.contains("<propert"), "{xml}");
        assert!(xml.contains("requirements: K1-LED-006\nseed: 1\nrig time: 5000000000 ns"), "{xml}");
    }

    #[test]
    fn an_empty_run_is_a_report_without_suites() {
        let report = Report::deserialize_from_str(&render(&sample::empty()).unwrap()).unwrap();
        assert_eq!((report.tests, report.test_suites.len()), (0, 0));
    }

    #[test]
    fn only_times_differ_between_runs() {
        let first = sample::run();
        let mut second = first.clone();
        second.run.id = "other".to_owned();
        assert_eq!(render(&first).unwrap(), render(&second).unwrap());
    }
}
