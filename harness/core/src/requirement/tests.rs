use std::fmt::Write;

use rstest::rstest;

use super::*;

const GOOD: &str = r#"schema = 1
system = "prism-k1"
title = "PRISM K1 LED controller"

[[requirement]]
id = "K1-LED-002"
title = "frame period"
clause = "section 5"
text = "Frames leave at 120 per second."
class = "must"
budget = { quantity = "frame period", unit = "ms", bound = "mean", nominal = 8.333, tolerance_percent = 5 }
reading = "The mean, because 125 per second must stay visible."

[[requirement]]
id = "K1-LED-011"
title = "a day without a gap"
clause = "section 14"
text = "No frame is missing in 24 h beyond logged overruns."
class = "should"
planned = "A day of wall time: the nightly run on the bench will decide it."

[[requirement]]
id = "K1-NET-004"
title = "idle close"
clause = "section 4"
text = "The device closes a silent connection after 5 to 7 s."
class = "report"
[requirement.budget]
quantity = "idle time"
unit = "s"
between = [5, 7.0]
"#;

fn parse(text: &str) -> Result<Catalogue, CatalogueErrors> {
    Catalogue::parse(text, "requirements.toml")
}

/// The messages of what is wrong after `from` became `to`.
fn complaints(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    let errors = parse(&GOOD.replacen(from, to, 1)).unwrap_err();
    assert_eq!(errors.unlisted, 0);
    errors.errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_good_catalogue_reads() {
    let catalogue = parse(GOOD).unwrap();
    assert_eq!((catalogue.system.as_str(), catalogue.requirements.len()), ("prism-k1", 3));
    let period = catalogue.get("K1-LED-002").unwrap();
    assert_eq!(period.budget.as_ref().unwrap().to_string(), "mean 8.333 ms ±5 %");
    assert_eq!((period.class, period.line), (Class::Must, 5));
    let day = catalogue.get("K1-LED-011").unwrap();
    assert!(day.planned.is_some() && day.budget.is_none());
    assert_eq!(day.line, 14);
    let idle = catalogue.get("K1-NET-004").unwrap();
    assert_eq!(idle.budget.as_ref().unwrap().to_string(), "every 5 to 7 s");
    assert_eq!(catalogue.get("K1-LED-999"), None);
}

/// One change, one complaint: its place and what to write instead.
#[rstest]
#[case(
    "schema = 1",
    "schema = 2",
    "requirements.toml:1: `schema` is 2, but this harness reads 1; write `schema = 1`"
)]
#[case(
    "schema = 1",
    "schema = \"1\"",
    "requirements.toml:1: `schema` has the wrong type; write a whole number"
)]
#[case("schema = 1", "", "requirements.toml:1: `schema` is missing; write `schema = 1` on the first line")]
#[case(
    "\"prism-k1\"",
    "\"Prism K1\"",
    "requirements.toml:2: `Prism K1` is no system's name; write lower-case letters and digits joined by `-`, as in `prism-k1`"
)]
#[case(
    "clause = \"section 5\"",
    "claus = \"section 5\"",
    "requirements.toml:5: `clause` is missing; write where the source says so, as in `clause = \"section 5\"`\nrequirements.toml:8: unknown field `claus`; did you mean `clause`?"
)]
#[case(
    "reading =",
    "because =",
    "requirements.toml:12: unknown field `because`; the fields here are `id`, `title`, `clause`, `text`, `class`, `budget`, `reading` and `planned`"
)]
#[case(
    "K1-LED-011",
    "K1-LED-002",
    "requirements.toml:15: `K1-LED-002` is already the id of line 6; take a new one, ids are never reused"
)]
#[case(
    "K1-LED-002",
    "k1_led_002",
    "requirements.toml:6: `k1_led_002` is no requirement id; write `K1-LED-002`"
)]
#[case(
    "K1-LED-002",
    "LED",
    "requirements.toml:6: `LED` is no requirement id; write groups of capital letters and digits joined by `-`, as in `K1-LED-002`"
)]
#[case(
    "Frames leave at 120 per second.",
    " ",
    "requirements.toml:9: `text` is empty; write a sentence or remove the field"
)]
#[case(
    "Frames leave at 120 per second.",
    "\\u001b[31mred",
    "requirements.toml:9: `text` holds a control character; write it as one line of plain text"
)]
#[case("\"frame period\"", "12", "requirements.toml:7: `title` has the wrong type; write a string in quotes")]
#[case(
    "\"frame period\"",
    "\"much too long a title for any table that anybody reads\"",
    "requirements.toml:7: `title` is too long; write at most 40 characters"
)]
#[case(
    "\"must\"",
    "\"shall\"",
    "requirements.toml:10: `shall` is no class; write one of `must`, `should` or `report`"
)]
#[case(
    "\"ms\"",
    "\"msec\"",
    "requirements.toml:11: `msec` is no unit; write one of `ns`, `us`, `ms`, `s`, `Hz`, `fps`, `%`, `bytes`, `KB/s`, `bits`, `pixels`, `frames`, `levels` or `count`"
)]
#[case(
    "\"mean\"",
    "\"average\"",
    "requirements.toml:11: `average` is no bound; write one of `mean`, `p50`, `p95`, `p99`, `max`, `min`, `every` or `share-within`"
)]
#[case("8.333", "nan", "requirements.toml:11: `nominal` is NaN; write a number from 0 to 9007199254740992")]
#[case(
    "8.333",
    "-8.333",
    "requirements.toml:11: `nominal` is -8.333; write a number from 0 to 9007199254740992"
)]
#[case("8.333", "1e999", "requirements.toml:11: `nominal` is inf; write a number from 0 to 9007199254740992")]
#[case(
    "8.333",
    "99999999999999999999999999",
    "requirements.toml:11: `nominal` is 1e26; write a number from 0 to 9007199254740992"
)]
#[case("8.333", "\"8.333\"", "requirements.toml:11: `nominal` has the wrong type; write a number")]
#[case(
    "nominal = 8.333,",
    "at_most = 8, nominal = 8.333,",
    "requirements.toml:11: the budget has both `at_most` and `nominal`; keep one, and write a range as `between = [low, high]`"
)]
#[case(
    "tolerance_percent",
    "tolerance_pct",
    "requirements.toml:11: unknown field `tolerance_pct`; the fields here are `quantity`, `unit`, `bound`, `share_percent`, `nominal`, `tolerance_percent`, `tolerance`, `at_most`, `at_least`, `between`, `equals` and `min_samples`"
)]
#[case(
    "unit = \"ms\", ",
    "",
    "requirements.toml:11: `unit` is missing; write the unit of its numbers, as in `unit = \"ms\"`"
)]
#[case(
    "[5, 7.0]",
    "[7, 5.0]",
    "requirements.toml:31: `between = [7, 5]` is empty; write the smaller limit first"
)]
#[case(
    "[5, 7.0]",
    "[5, 7, 9]",
    "requirements.toml:31: `between` has the wrong type; write two numbers, as in `[5.0, 7.0]`"
)]
#[case(
    "between = [5, 7.0]",
    "at_most = 7\nmin_samples = -3",
    "requirements.toml:32: `min_samples` is below 1; write 1 or more, or drop it"
)]
#[case(
    "between = [5, 7.0]",
    "",
    "requirements.toml:28: the budget compares with nothing; write one of `at_most`, `at_least`, `between`, `equals`, or `nominal` with `tolerance_percent` or `tolerance`"
)]
fn each_complaint_says_where_and_what_instead(#[case] from: &str, #[case] to: &str, #[case] complaint: &str) {
    assert_eq!(complaints(from, to).join("\n"), complaint);
}

#[test]
fn budgets_and_requirements_of_the_wrong_shape() {
    let text = GOOD.replacen("budget = {", "budget = 5 # {", 1);
    let message = parse(&text).unwrap_err().to_string();
    assert!(message.contains(":11: `budget` has the wrong type; write a table"), "{message}");
    for shape in ["requirement = 5", "[requirement]\nid = 5", "requirement = [5]", "requirement = []", ""] {
        let text = format!("schema = 1\nsystem = \"a\"\ntitle = \"A\"\n{shape}");
        let errors = parse(&text).unwrap_err();
        assert_eq!(errors.errors.len(), 1, "{errors}");
    }
}

#[rstest]
#[case("class = \"must\"", "class = must", 10)]
#[case("class = \"must\"", "class = \"must", 10)]
#[case("id = \"K1-LED-002\"", "id = \"K1-LED-002\"\nid = \"K1-LED-003\"", 7)]
#[case("[[requirement]]", "[[requirement]", 5)]
fn syntax_errors_have_their_line(#[case] from: &str, #[case] to: &str, #[case] line: usize) {
    let complaints = complaints(from, to);
    let place = format!("requirements.toml:{line}: this is not TOML: ");
    assert!(complaints[0].starts_with(&place), "{complaints:?}");
}

#[test]
fn all_problems_are_reported_in_the_order_of_lines() {
    let text = GOOD
        .replacen("\"must\"", "\"shall\"", 1)
        .replacen("\"prism-k1\"", "\"\"", 1)
        .replacen("K1-NET-004", "K1-LED-002", 1)
        .replacen("[5, 7.0]", "[7, 5]", 1);
    let errors = parse(&text).unwrap_err();
    let lines: Vec<usize> = errors.errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [2, 10, 23, 31], "{errors}");
    assert_eq!(errors.to_string().lines().count(), 4);
}

#[test]
fn hostile_files_end_quickly_and_say_why() {
    let huge = "#".repeat(MAX_FILE + 1);
    assert!(parse(&huge).unwrap_err().to_string().contains("1048577 bytes"));

    let deep = format!("schema = {}1{}", "[".repeat(300_000), "]".repeat(300_000));
    assert!(parse(&deep).is_err());
    let dotted = format!("{}a = 1", "a.".repeat(400_000));
    assert!(parse(&dotted).is_err());

    let many = "]\n".repeat(MAX_FILE / 2);
    let errors = parse(&many).unwrap_err();
    assert_eq!(errors.errors.len(), 100);
    assert!(errors.unlisted > 100_000 && errors.to_string().ends_with("more"), "{}", errors.unlisted);

    let tables = "[[requirement]]\n".repeat(MAX_FILE / 16);
    assert_eq!(parse(&tables).unwrap_err().errors.len(), 100);

    let mut keys = String::new();
    for number in 0..60_000 {
        writeln!(keys, "clausf{number} = 1").unwrap();
    }
    assert!(parse(&keys).unwrap_err().unlisted > 50_000);

    let long_key = format!("{} = 1", "k".repeat(500_000));
    let message = parse(&long_key).unwrap_err().to_string();
    assert!(message.len() < 1000, "{}", message.len());
    assert!(parse("\0\u{feff}").is_err());
}

#[rstest]
#[case("K1-LED-002", true)]
#[case("K1-1", true)]
#[case("K1", false)]
#[case("", false)]
#[case("-", false)]
#[case("K1-", false)]
#[case("-K1", false)]
#[case("K1--2", false)]
#[case("K1-é", false)]
#[case("K1-LED-002\n", false)]
#[case("K1-AAAAAAAAAAAAAAAAAAAAAAAAAAAAA", true)]
#[case("K1-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false)]
fn ids_have_one_form(#[case] text: &str, #[case] valid: bool) {
    assert_eq!(RequirementId::new(text).is_ok(), valid);
}

/// The misfits of cases written as `name: id id; name: id`.
fn check(cases: &str) -> String {
    let cases: Vec<(&str, Vec<&str>)> = cases
        .split(';')
        .map(|case| case.split_once(':').unwrap())
        .map(|(name, ids)| (name.trim(), ids.split_whitespace().collect()))
        .collect();
    let decided = cases.iter().map(|(name, ids)| (name, ids.as_slice()));
    match parse(GOOD).unwrap().cross_check(decided) {
        Ok(()) => String::new(),
        Err(errors) => errors.iter().map(|error| format!("{error}\n")).collect(),
    }
}

#[rstest]
#[case("period: K1-LED-002; idle: K1-NET-004 K1-LED-002", "")]
#[case(
    "period: K1-LED-002",
    "requirements.toml:22: no case decides `K1-NET-004`; write a case that names it, or say in `planned` why there is none yet and on which rig it will be decided\n"
)]
#[case(
    "period: K1-LED-002 K1-LED-011 K1-NET-004",
    "requirements.toml:14: `K1-LED-011` is `planned`, but case `period` decides it; remove `planned`\n"
)]
#[case(
    "period: K1-LED-002 K1-LED-004 K1-NET-004",
    "requirements.toml: case `period` decides `K1-LED-004`, which the catalogue does not have; did you mean `K1-LED-002`?\n"
)]
#[case(
    "period: K1-LED-002 X K1-NET-004",
    "requirements.toml: case `period` decides `X`, which the catalogue does not have; add it to the catalogue or correct the case\n"
)]
#[case(
    "all: K1-LED-002 K1-NET-004; idle:",
    "requirements.toml: case `idle` decides no requirement; name at least one id of the catalogue\n"
)]
fn misfits_are_named(#[case] cases: &str, #[case] complaint: &str) {
    assert_eq!(check(cases), complaint);
}

#[test]
fn all_misfits_are_reported() {
    assert_eq!(check("nothing:; wrong: K1-FOO-001").lines().count(), 4);
}

/// A group as another crate would bring it: the requirements of `GOOD` under other ids.
fn group() -> Vec<super::Requirement> {
    parse(&GOOD.replace("K1-", "WS-")).unwrap().requirements
}

#[test]
fn a_group_is_taken_in_with_its_own_places() {
    let mut catalogue = parse(GOOD).unwrap();
    let mut more = group();
    more.iter_mut().for_each(|one| one.file = "group.toml".into());
    let (had, brings) = (catalogue.requirements.len(), more.len());
    catalogue.extend(more).unwrap();
    assert_eq!(catalogue.requirements.len(), had + brings);
    let decided: [(&str, &[&str]); 1] = [("period", &["K1-LED-002", "K1-NET-004", "WS-LED-002"])];
    let told: Vec<String> =
        catalogue.cross_check(decided).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("group.toml:22: no case decides `WS-NET-004`"), "{told:?}");
}

#[test]
fn a_group_that_is_not_well_formed_is_refused_as_a_whole() {
    let mut catalogue = parse(GOOD).unwrap();
    let before = catalogue.clone();
    let mut more = group();
    more[0].title = "x".repeat(41);
    more[1].text = " ".to_owned();
    more[2].id = more[0].id.clone();
    let mut taken = before.requirements[0].clone();
    taken.clause = "\u{1b}[2J".to_owned();
    more.push(taken);
    let told = catalogue.extend(more).unwrap_err().to_string();
    let expected = [
        "`title` is too long; write at most 40 characters",
        "`text` is empty; write a sentence or remove the field",
        "`WS-LED-002` is already the id of requirements.toml:5; take a new one, ids are never reused",
        "`clause` holds a control character; write it as one line of plain text",
        "`K1-LED-002` is already the id of requirements.toml:5; take a new one, ids are never reused",
    ];
    for (line, expected) in told.lines().zip(expected) {
        assert!(line.ends_with(expected), "{line}");
    }
    assert_eq!(told.lines().count(), expected.len());
    assert_eq!(catalogue, before);
}
