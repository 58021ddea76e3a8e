use std::collections::BTreeMap;

use rigor_core::kill::{Found, KillMatrix, Subject, Tried};
use rigor_core::requirement::{Class, RequirementId};
use rigor_core::result::{CaseResult, Measured, Memory};
use rigor_core::verdict::Verdict;

use super::large::large;
use super::*;
use crate::sample;

/// Everything that a device, a rig file or a network could put into a text to break out of where it stands.
const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\" onclick='alert(3)' \
                       \u{202e}\u{2066}\0\u{1b}[31m\u{2028}]]>--><!-- <style>*{display:none}</style>&lt;\r\n\t`";

/// `run` with [`HOSTILE`] in every text that it has.
fn poisoned(mut run: RunResult) -> RunResult {
    let evil = |text: &mut String| *text = HOSTILE.to_owned();
    evil(&mut run.run.id);
    evil(&mut run.run.started);
    run.run.args = vec![HOSTILE.to_owned()];
    for rig in &mut run.rigs {
        evil(&mut rig.name);
        evil(&mut rig.back_end);
    }
    for firmware in &mut run.firmware {
        for text in [&mut firmware.system, &mut firmware.name, &mut firmware.version] {
            evil(text);
        }
        firmware.image = Some(HOSTILE.to_owned());
        for used in &mut firmware.memory {
            used.of = Memory::Stack(HOSTILE.to_owned());
            if let Some(limit) = &mut used.limit {
                evil(&mut limit.name);
                evil(&mut limit.source);
            }
        }
    }
    for found in &mut run.requirements {
        for text in [&mut found.system, &mut found.title, &mut found.clause, &mut found.text] {
            evil(text);
        }
        found.reading = Some(HOSTILE.to_owned());
        found.reason = Some(HOSTILE.to_owned());
        found.rig = Some(HOSTILE.to_owned());
        if let Some(Measured::Text(text)) = &mut found.measured {
            evil(text);
        }
        for on_rig in &mut found.rigs {
            evil(&mut on_rig.rig);
        }
        // Two of them, so that the table of rigs is there.
        let twins = found.rigs.clone();
        found.rigs.extend(twins);
    }
    for case in &mut run.cases {
        evil(&mut case.name);
        evil(&mut case.system);
        case.rig = Some(HOSTILE.to_owned());
        case.reason = Some(HOSTILE.to_owned());
        case.repeat = Some(HOSTILE.to_owned());
        case.log_tail = vec![HOSTILE.to_owned(); 2];
        case.backtrace = vec![HOSTILE.to_owned(); 2];
        if let Some(source) = &mut case.source {
            evil(&mut source.file);
        }
        let Some(evidence) = &mut case.evidence else { continue };
        let marks = evidence.lanes.iter_mut().flat_map(|lane| lane.marks.iter_mut());
        let steps = evidence.waterfalls.iter_mut().flat_map(|fall| fall.steps.iter_mut());
        marks.chain(steps).for_each(|mark| evil(&mut mark.text));
        evidence.lanes.iter_mut().for_each(|lane| evil(&mut lane.name));
        evidence.waterfalls.iter_mut().for_each(|fall| evil(&mut fall.name));
        evidence.pictures.iter_mut().for_each(|picture| evil(&mut picture.caption));
        evidence.series.iter_mut().for_each(|series| evil(&mut series.name));
        evidence.log.iter_mut().for_each(|line| evil(&mut line.text));
        evidence.files.iter_mut().for_each(evil);
    }
    run
}

fn id(text: &str) -> RequirementId {
    RequirementId::new(text).expect("a valid id")
}

/// A campaign as large as a real one, with a hole of each kind.
fn campaign(faults: usize, subjects: usize) -> FaultsResult {
    let subject = |number: usize| Subject {
        id: id(&format!("T-{}-{number}", number / 40)),
        title: format!("subject {number}"),
        class: Class::Must,
        without_fault: Verdict::Pass,
    };
    let subjects: Vec<Subject> = (0..subjects).map(subject).collect();
    let tried = |number: usize| {
        let claimed = &subjects[number * 7 % (subjects.len() - 3)];
        let stride = 3 + number % 90;
        let mut found: BTreeMap<RequirementId, Found> = subjects
            .iter()
            .skip(number % 5)
            .step_by(stride)
            .chain([claimed])
            .map(|subject| {
                (
                    subject.id.clone(),
                    Found { verdict: Verdict::Fail, case: "case".into(), reason: "seen".into() },
                )
            })
            .collect();
        if number == 3 {
            found.clear();
        }
        Tried {
            name: format!("fault-{number}"),
            family: "board".into(),
            wanted: Verdict::Fail,
            models: "Something breaks in a way that takes a sentence of the usual length to tell.".into(),
            claimed_by: vec![claimed.id.clone()],
            cases: 300,
            repeated: 10,
            found,
            wall_ms: 100,
        }
    };
    let faults = (0..faults).map(tried).collect();
    let matrix = KillMatrix { system: "toy".into(), rig: "desk".into(), subjects, faults, complete: true };
    FaultsResult::new("run".into(), String::new(), 1500, 1, vec![matrix])
}

/// What stands in data blocks, with their ids.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    page.split("<script type=\"application/json\" id=\"")
        .skip(1)
        .map(|rest| {
            let (id, rest) = rest.split_once("\">").unwrap();
            (id, rest.split_once("</script>").unwrap().0)
        })
        .collect()
}

#[test]
fn failures_come_before_everything_else_in_the_order_of_blame() {
    let page = render(&sample::run(), None);
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is missing"));
    assert!(page.contains("<title>FAIL prism-k1 sample</title>"));
    let order = [
        at("What failed"),
        at("href=\"#K1-LED-006\""),
        at("href=\"#K1-UPL-015\""),
        at("href=\"#K1-NET-002\""),
        at("href=\"#K1-NET-004\""),
        at("Not met, but does not gate"),
        at("href=\"#K1-UPL-014\""),
        at("What did not run"),
        at("id=\"K1-LED-006\""),
        at("id=\"K1-LED-002\""),
    ];
    assert!(order.is_sorted(), "{order:?}");
    // The figure, what is allowed and how far apart the two are.
    for text in ["<b>90.5 KB/s</b> p50", "allowed p50 \u{2265} 100 KB/s", "short by 9.5 KB/s (9.5 %)"] {
        assert!(page.contains(text), "{text}");
    }
    assert!(
        page.contains("<code>rig virtual has no radio</code>")
            || page.contains("rig <code>virtual</code> has no radio")
    );
}

#[test]
fn every_rig_has_a_column_of_its_own() {
    let mut run = sample::run();
    let mut bench = run.rigs[0].clone();
    bench.name = "bench".to_owned();
    run.rigs.push(bench);
    let found = &mut run.requirements[0];
    let mut on_bench = found.rigs[0].clone();
    (on_bench.rig, on_bench.verdict) = ("bench".to_owned(), Verdict::Fail);
    found.rigs.push(on_bench);
    let page = render(&run, None);
    let mosaic = page.split_once("<table class=\"mosaic\">").unwrap().1.split_once("</table>").unwrap().0;
    assert_eq!(mosaic.matches("<th scope=\"col\">").count(), 3, "the group and two rigs");
    let of = |rig: &str| format!("{}: {rig}", "K1-LED-002 frame period");
    assert!(mosaic.contains(&of("PASS")) && mosaic.contains(&of("FAIL")), "{mosaic}");
    assert!(mosaic.contains("K1-LED-003 frame jitter: NOT RUN"), "the bench did not try it");
    assert!(page.contains("<option value=\"bench\">bench</option>"), "a rig can be chosen");
}

#[test]
fn what_fell_together_is_told_together() {
    let mut run = sample::run();
    let (mut one, mut other) = (run.requirements[0].clone(), run.requirements[1].clone());
    for found in [&mut one, &mut other] {
        (found.verdict, found.measured, found.case) = (Verdict::Fail, None, Some("shared".to_owned()));
        found.reason = Some("the upload was answered with nothing".to_owned());
    }
    let case = CaseResult {
        name: "shared".to_owned(),
        verdict: Verdict::Fail,
        requirements: vec![one.id.clone(), other.id.clone()],
        ..run.cases[0].clone()
    };
    run.requirements = vec![one, other];
    run.cases = vec![case];
    let failed = |run: &RunResult| {
        let page = render(run, None);
        let section =
            page.split_once("id=\"failed\"").unwrap().1.split_once("</section>").unwrap().0.to_owned();
        (section.matches("<article").count(), section.matches("<h3>").count())
    };
    assert_eq!(failed(&run), (1, 2));
    run.requirements[1].reason = Some("another".to_owned());
    assert_eq!(failed(&run), (2, 2));
}

#[test]
fn a_green_run_has_no_section_of_failures() {
    let mut run = sample::run();
    run.requirements.retain(|found| found.verdict == Verdict::Pass);
    run.exit_code = 0;
    let page = render(&run, None);
    assert!(
        !page.contains("id=\"failed\"") && page.contains("Every <code>must</code> requirement"),
        "{page}"
    );
}

#[test]
fn the_policy_names_the_one_script_and_the_one_style() {
    let page = render(&sample::run(), None);
    let policy =
        page.split_once("Content-Security-Policy\" content=\"").unwrap().1.split_once('"').unwrap().0;
    let policy = policy.replace("&#39;", "'");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    let executable = page.matches("<script>").count();
    assert_eq!((executable, page.matches("<style>").count()), (1, 1));
    let inner = page.split_once("<script>").unwrap().1.split_once("</script>").unwrap().0;
    assert_eq!(inner, page::SCRIPT, "what was hashed is what stands there");
    for forbidden in [" style=\"", " onclick", "http://", "https://"] {
        let own = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!own.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn hostile_text_stays_text_wherever_it_stands() {
    let page = render(&poisoned(sample::run()), None);
    assert_eq!(page.matches("<script>").count(), 1, "only ours");
    assert_eq!(page.matches("</script>").count(), 1 + blocks(&page).len());
    assert!(!page.contains("<img") && !page.contains("onerror=alert(2)>"), "{page}");
    assert_eq!(page.matches("<style>").count(), 1);
    for hidden in ['\u{202e}', '\u{2066}', '\0', '\u{1b}', '\u{2028}', '\r', '\t'] {
        assert!(!page.contains(hidden), "{hidden:?}");
    }
    // Every quote inside a value is escaped, so no attribute was added.
    let markup = page.split("<script").map(|part| part.rsplit("</script>").next().unwrap());
    assert!(markup.clone().any(|part| part.contains("&quot; onclick=&#39;")));
    assert!(markup.clone().all(|part| !part.contains("\" onclick")), "{page}");
    for (id, json) in blocks(&page) {
        let value: serde_json::Value =
            serde_json::from_str(json).unwrap_or_else(|error| panic!("{id}: {error}"));
        let text = value.to_string();
        assert!(
            !text.contains('\u{202e}') && !text.contains("\\u001b"),
            "{id}: made visible before it is data"
        );
        assert!(text.contains("<script>alert(1)"), "{id}: and otherwise what it was");
    }
}

/// Well-formed enough for any reader: each element is closed in its turn.
#[test]
fn elements_nest() {
    for run in [sample::run(), sample::empty(), poisoned(sample::run())] {
        let page = render(&run, Some(&campaign(9, 12)));
        let mut open: Vec<&str> = Vec::new();
        let mut rest = page.as_str();
        while let Some((_, after)) = rest.split_once('<') {
            let (tag, then) = after.split_once('>').unwrap();
            rest = then;
            let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name), "{tag}");
                continue;
            }
            let void = tag.ends_with('/') || ["!doctype", "meta", "input", "br"].contains(&name);
            if !void {
                open.push(name);
            }
            if matches!(name, "script" | "style") {
                rest = &rest[rest.find(&format!("</{name}>")).unwrap()..];
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }
}

/// Names that links use must be one element each.
#[test]
fn names_are_unique_and_links_lead_somewhere() {
    let mut run = sample::run();
    let mut twins = run.requirements.clone();
    twins.iter_mut().for_each(|twin| twin.system = "another".to_owned());
    run.requirements.extend(twins);
    let mut mild = run.clone();
    mild.requirements.retain(|found| found.verdict == Verdict::Pass || found.class != Class::Must);
    for (run, faults) in [(run, Some(campaign(9, 12))), (mild, None), (sample::empty(), None)] {
        let page = render(&run, faults.as_ref());
        let values = |attribute: &str| -> Vec<String> {
            page.split(attribute).skip(1).map(|rest| rest.split_once('"').unwrap().0.to_owned()).collect()
        };
        let mut names = values(" id=\"");
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
        for link in values(" href=\"#") {
            assert!(names.contains(&link), "{link}");
        }
    }
}

#[test]
fn five_hundred_requirements_with_evidence_stay_below_five_megabytes() {
    let page = render(&large(500), Some(&campaign(261, 700)));
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    let blocks = blocks(&page);
    let whole = |number: usize| {
        let (_, json) = blocks.iter().find(|(id, _)| *id == format!("evidence-{number}")).unwrap();
        json.matches("of 160 pixels").count() == 1600
    };
    for failed in [7, 107, 207, 307, 407] {
        assert!(whole(failed), "the evidence of what failed is whole: {failed}");
    }
    let outside = blocks.iter().filter(|(_, json)| json.contains("outside")).count();
    assert_eq!((blocks.len(), outside), (501, 0), "the others are thinned out, and none is missing");
}

#[test]
fn the_kill_matrix_has_a_path_for_each_kind_and_names_what_is_amiss() {
    let faults = campaign(20, 50);
    let page = render(&sample::run(), Some(&faults));
    assert!(page.contains("<path class=\"kept\"") && page.contains("<path class=\"broken\""), "{page}");
    assert!(page.contains("<span class=\"names\">fault-3</span>"), "the survivor is named");
    let matrix = &faults.systems[0];
    let cells: usize = page
        .split_once("class=\"matrix\"")
        .unwrap()
        .1
        .split_once("<path class=\"way\"")
        .unwrap()
        .1
        .split_once("\" d=\"")
        .map(|(_, rest)| rest.split_once('"').unwrap().0)
        .unwrap()
        .split('h')
        .skip(1)
        .filter(|part| !part.starts_with('-'))
        .map(|part| part.split_once('v').unwrap().0.parse::<usize>().unwrap())
        .sum();
    let by_the_way = matrix
        .faults
        .iter()
        .flat_map(|fault| matrix.subjects.iter().map(move |subject| crate::kill::cell(subject, fault)))
        .filter(|cell| *cell == crate::kill::Cell::ByTheWay)
        .count();
    assert_eq!(cells, by_the_way);
}

/// Writes pages for a browser into the folder that `RIGOR_REPORT_OUT` names; without it there is nothing to
/// do. With `RIGOR_REPORT_RESULTS` a page of those results is among them.
/// `fixtures/oracles/report.sh` opens them.
#[test]
fn pages_for_a_browser() {
    let Some(folder) = std::env::var_os("RIGOR_REPORT_OUT").map(std::path::PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, page: String| std::fs::write(folder.join(name), page).unwrap();
    let run = sample::run();
    write("sample.html", render(&run, None));
    write("empty.html", render(&sample::empty(), None));
    write("hostile.html", render(&poisoned(run.clone()), None));
    write("large.html", render(&large(500), Some(&campaign(261, 700))));
    let mut older = run.clone();
    older.requirements.remove(0);
    for found in &mut older.requirements {
        if let Some(Measured::Distribution(summary)) = &mut found.measured {
            (summary.min, summary.p50) = (summary.min * 0.5, summary.p50 * 0.8);
        }
        if found.class == Class::Must {
            found.verdict = if found.verdict == Verdict::Pass { Verdict::Fail } else { Verdict::Pass };
        }
    }
    write("compare.html", crate::compare::compare(&older, &run).html());
    let history: Vec<RunResult> = (1..=30)
        .map(|day| {
            let mut past = run.clone();
            past.run.started = format!("2025-01-{day:02}T00:00:00Z");
            for found in &mut past.requirements {
                for on_rig in &mut found.rigs {
                    if let (Some(summary), 16..) = (&mut on_rig.measured, day) {
                        summary.p50 = summary.max;
                    }
                }
            }
            past
        })
        .collect();
    write("trend.html", crate::trend::of(&history).html());
    if let Some(real) = std::env::var_os("RIGOR_REPORT_RESULTS").map(std::path::PathBuf::from) {
        write("real.html", render(&crate::store::read(&real).unwrap(), None));
    }
}
