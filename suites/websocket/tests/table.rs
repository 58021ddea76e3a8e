//! The table: that it is well-formed, that its rows are told apart, and what is said of a bad one.

use std::collections::BTreeSet;

use rigor_core::requirement::{Catalogue, Class};
use rigor_runner::Suite;
use rstest::rstest;
use suite_websocket::{Endpoint, Group, Limits, groups, planned};

const OWN: &str = r#"
schema = 1
system = "toy"
title = "Toy"
[[requirement]]
id = "TOY-ONE"
title = "it works"
clause = "1"
text = "It works."
class = "must"
planned = "Not yet."
"#;

fn endpoint(message_max: Option<usize>) -> Endpoint {
    Endpoint { port: "ws".to_owned(), path: "/echo".to_owned(), message_max }
}

#[test]
fn every_file_is_read_and_its_name_is_its_section() {
    let groups = groups();
    let rows: usize = groups.iter().map(|group| group.rows.len()).sum();
    assert!(rows >= 100, "{rows} rows");
    for group in &groups {
        let section = format!("/{}-", group.clause.replace('.', "-"));
        assert!(group.file.contains(&section), "{}: {}", group.file, group.clause);
    }
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/rows")).unwrap().count();
    assert_eq!(groups.len(), files, "a file of rows is not embedded");
    let limits = Limits::built_in();
    assert!(limits.piece < limits.answer && limits.answer <= limits.end && limits.attempt < limits.ready);
}

#[test]
fn a_suite_takes_the_rows_in_with_requirements_that_say_what_is_sent() {
    let mut suite = Suite::new(Catalogue::parse(OWN, "toy.toml").unwrap());
    suite_websocket::add_to(&mut suite, &endpoint(Some(4096))).unwrap();
    let decided = suite.cases().iter().map(|case| (case.name(), case.decides()));
    suite.catalogue().cross_check(decided).unwrap();
    assert_eq!(suite.catalogue().requirements.len(), 1 + 2 * suite.cases().len());
    let names: BTreeSet<&str> = suite.cases().iter().map(|case| case.name()).collect();
    assert_eq!(names.len(), suite.cases().len());
    let text = |id| suite.catalogue().get(id).unwrap().text.clone();
    assert_eq!(
        text("WS-5-1-08-B"),
        "A server unmasks what a client sends, and closes the connection upon a frame that is not masked. \
         Sent: text `masked`, unmasked text `not`. Expected: text `masked` (non-strict: nothing), within 1s."
    );
    assert!(text("WS-5-1-08-C").ends_with(
        "Expected: from the server, Close 1002 or the end of TCP without a Close, TCP ended within 2s."
    ));
    let again = suite_websocket::add_to(&mut suite, &endpoint(None)).unwrap_err().to_string();
    assert!(again.contains("`WS-4-2-1-01-B` is already the id of suites/websocket/rows/"), "{again}");
}

#[test]
fn rows_follow_the_limit_of_their_endpoint() {
    let of = |limit| planned(&endpoint(limit), "host");
    let all: BTreeSet<String> = of(Some(4096)).into_iter().map(|row| row.name).collect();
    let unlimited: BTreeSet<String> = of(None).into_iter().map(|row| row.name).collect();
    let about_limits: Vec<&String> = all.difference(&unlimited).collect();
    assert_eq!(about_limits.len(), 6, "{about_limits:?}");
    let close = |limit| {
        let rows = of(limit);
        rows.into_iter().find(|row| row.name == "ws_5_2_06_text_of_65536_bytes").unwrap().close.text
    };
    assert!(close(Some(4096)).contains("from the server, Close 1009"));
    assert!(close(Some(65_536)).contains("in answer to Close 1000, Close 1000"));
    assert!(close(None).contains("in answer to Close 1000, Close 1000"));
}

/// Most rows are a `must`: a table of wishes would prove nothing.
#[test]
fn what_is_no_must_says_why() {
    for row in groups().iter().flat_map(|group| &group.rows) {
        assert!(row.class == Class::Must || row.reading.is_some(), "{}", row.title);
    }
}

const GOOD: &str = r#"schema = 1
clause = "5.1"
title = "masking"
rule = "Masked."
[[row]]
number = 1
title = "first"
send = [{ text = "x" }]
expect = [{ text = "x" }]
"#;

#[rstest]
#[case("schema = 1", "schema = 2", 1, "schema 2 is unknown")]
#[case("\"5.1\"", "\"five\"", 2, "`clause` is")]
#[case("Masked.", "Masked", 4, "no sentence")]
#[case("number = 1", "number = 0", 5, "`number` is 0")]
#[case("first", "a title that would not fit any table at all", 5, "`title` is")]
#[case("{ text = \"x\" }]\nexpect", "{ txt = \"x\" }]\nexpect", 8, "unknown field `txt`")]
#[case("send = [{ text = \"x\" }]", "send = [{ text = \"x\", binary = \"y\" }]", 5, "not one frame")]
#[case("send = [{ text = \"x\" }]", "send = [{ pause_ms = 1, fin = false }]", 5, "not one thing")]
#[case("send = [{ text = \"x\" }]", "send = [{ text = \"x\", rsv = 8 }]", 5, "`rsv` is 8")]
#[case("send = [{ text = \"x\" }]", "send = [{ text = \"x\", length = 7 }]", 5, "`length` is 7")]
#[case("send = [{ text = \"x\" }]", "send = [{ text = { hex = \"abc\" } }]", 5, "hexadecimal")]
#[case("send = [{ text = \"x\" }]", "send = [{ text = { octets = -1 } }]", 5, "`octets` is -1")]
#[case("send = [{ text = \"x\" }]", "send = [{ text = { octets = \"limit*2\" } }]", 5, "`limit*2`")]
#[case("send = [{ text = \"x\" }]", "send = [{ close = \"empty\", reason = \"x\" }]", 5, "without a code")]
#[case("expect = [{ text = \"x\" }]", "close = { by = \"server\", ok = [] }", 5, "`close.ok` is empty")]
#[case(
    "expect = [{ text = \"x\" }]",
    "close = { by = \"server\", ok = [\"soon\"] }",
    5,
    "`soon` is no ending"
)]
#[case("expect = [{ text = \"x\" }]", "answer = { ok = [\"9xx\"] }", 5, "`9xx` is no answer")]
#[case("expect = [{ text = \"x\" }]", "cut = 0", 5, "`cut = 0`")]
#[case("expect = [{ text = \"x\" }]", "[[row]]\nnumber = 1\ntitle = \"again\"", 9, "is taken")]
fn a_malformed_row_is_told_with_its_line(
    #[case] from: &str,
    #[case] to: &str,
    #[case] line: usize,
    #[case] what: &str,
) {
    Group::parse("rows.toml", GOOD).unwrap();
    let error = Group::parse("rows.toml", &GOOD.replacen(from, to, 1)).unwrap_err();
    assert!(error.what.contains(what), "{error}");
    assert_eq!(error.line, line, "{error}");
    assert!(!error.instead.is_empty());
}
