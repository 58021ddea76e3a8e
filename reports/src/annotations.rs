//! Failures as annotations of GitHub's workflow commands: they appear beside the line of the case in a
//! pull request.
//!
//! ```text
//! ::error file=suites/prism-k1/src/leds.rs,line=31,title=K1-LED-006 pixel mapping::pixels right%3A ...
//! ```
//!
//! A command ends with its line, so text from a device could begin one of its own. Line ends and `%` are
//! escaped as [the runner reads them][commands]: `%25`, `%0D` and `%0A`, in properties also `%3A` and
//! `%2C`. What else could garble a page is made [`visible`] first.
//!
//! [commands]: https://docs.github.com/actions/reference/workflow-commands-for-github-actions

use std::fmt::Write;

use rigor_core::requirement::Class;
use rigor_core::result::{CaseResult, RequirementResult, RunResult};
use rigor_core::verdict::Verdict;

use crate::text::visible;

/// GitHub shows ten errors and ten warnings of a step; a few more do no harm, hundreds would only fill the
/// log.
const MAX_EACH: usize = 20;
/// Characters of a message.
const MAX_MESSAGE: usize = 1000;

/// One line for each requirement that was tried and did not pass: `::error` if it keeps the run from being
/// green, else `::warning`. At most twenty of each, the worst verdicts first, and then how many more.
pub fn render(result: &RunResult) -> String {
    let mut troubles: Vec<(bool, &RequirementResult)> = result
        .requirements
        .iter()
        .filter(|found| !matches!(found.verdict, Verdict::Pass | Verdict::NotRun))
        .map(|found| (gates(found), found))
        .collect();
    troubles.sort_by_key(|(gates, found)| (!gates, std::cmp::Reverse(found.verdict)));
    let mut text = String::new();
    for gating in [true, false] {
        let command = if gating { "error" } else { "warning" };
        let own: Vec<&RequirementResult> =
            troubles.iter().filter(|(gates, _)| *gates == gating).map(|(_, found)| *found).collect();
        for found in own.iter().take(MAX_EACH) {
            text.push_str(&line(command, result, found));
        }
        if own.len() > MAX_EACH {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "::{command}::{} more requirements did not pass", own.len() - MAX_EACH);
        }
    }
    text
}

fn gates(found: &RequirementResult) -> bool {
    matches!(found.verdict, Verdict::HarnessBug | Verdict::RigFault) || found.class == Class::Must
}

fn line(command: &str, result: &RunResult, found: &RequirementResult) -> String {
    let case = deciding(result, found);
    let mut properties = Vec::new();
    if let Some(place) = case.and_then(|case| case.source.as_ref()) {
        properties.push(format!("file={}", property(&place.file)));
        properties.push(format!("line={}", place.line));
    }
    properties.push(format!("title={}", property(&format!("{} {}", found.id, found.title))));
    let reason = found.reason.as_deref().unwrap_or("no reason was given");
    let mut message = format!("{}: {}", found.verdict, visible(reason));
    if let Some(command) = case.and_then(|case| case.repeat.as_deref()) {
        // A line end of ours, which the page shows as one.
        let _ = write!(message, "\nrepeat: {}", visible(command));
    }
    let message: String = message.chars().take(MAX_MESSAGE).collect();
    format!("::{command} {}::{}\n", properties.join(","), data(&message))
}

fn deciding<'a>(result: &'a RunResult, found: &RequirementResult) -> Option<&'a CaseResult> {
    let own = result
        .cases
        .iter()
        .filter(|case| case.system == found.system && case.requirements.contains(&found.id));
    let named =
        |case: &&CaseResult| found.case.as_deref() == Some(case.name.as_str()) && case.rig == found.rig;
    own.clone().find(named).or_else(|| own.clone().find(|case| case.verdict >= found.verdict))
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(&visible(text)).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn failures_have_their_place_and_what_gates_is_an_error() {
        let text = render(&sample::run());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(
            lines[0].starts_with(
                "::error file=suites/prism-k1/src/playback.rs,line=31,title=K1-LED-006 pixel mapping::FAIL: "
            ),
            "{text}"
        );
        assert!(lines[0].contains("%0Arepeat: RIGOR_SEED=1 cargo test"), "{text}");
        assert_eq!(lines.iter().filter(|line| line.starts_with("::error ")).count(), 4);
        assert!(lines[4].starts_with("::warning ") && lines[4].contains("K1-UPL-014"), "{text}");
    }

    #[test]
    fn text_of_a_device_cannot_begin_a_command_of_its_own() {
        let mut run = sample::run();
        let evil = "50 %\r\n::set-output name=x::\u{2028}y,file=z:1";
        for found in &mut run.requirements {
            (found.title, found.reason) = (evil.to_owned(), Some(evil.to_owned()));
        }
        for case in &mut run.cases {
            case.repeat = Some(evil.to_owned());
            if let Some(place) = &mut case.source {
                place.file = evil.to_owned();
            }
        }
        let text = render(&run);
        assert_eq!(text.lines().count(), 5, "{text}");
        for line in text.lines() {
            assert!(
                line.starts_with("::error file=50 %25\\r\\n%3A%3Aset-output name=x%3A%3A")
                    || line.starts_with("::warning "),
                "{line}"
            );
            let (properties, _) = line[2..].split_once("::").unwrap();
            assert_eq!(properties.matches(',').count(), 2, "{line}");
        }
    }

    #[test]
    fn a_flood_is_cut_short() {
        let mut run = sample::run();
        let failed = run.requirements.iter().find(|found| found.id.as_str() == "K1-LED-006").unwrap().clone();
        run.requirements = vec![failed; 50];
        let text = render(&run);
        assert_eq!(text.lines().count(), MAX_EACH + 1);
        assert!(text.ends_with("::error::30 more requirements did not pass\n"), "{text}");
    }

    #[test]
    fn a_green_run_has_nothing_to_say() {
        assert_eq!(render(&sample::empty()), "");
    }
}
