//! Who is served, and who is not.

use std::net::SocketAddr;

use rstest::rstest;

use super::request::{self, Asked, MAX_REQUEST};
use crate::view::Act;

const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4711);

fn read(text: &str) -> Asked {
    request::read(text.replace('\n', "\r\n").as_bytes(), ADDRESS)
}

fn post(origin: &str, body: &str) -> Asked {
    let length = body.len();
    read(&format!("POST /act HTTP/1.1\nHost: 127.0.0.1:4711\n{origin}Content-Length: {length}\n\n{body}"))
}

const OURS: &str = "Origin: http://127.0.0.1:4711\n";

#[rstest]
#[case("127.0.0.1:4711")]
#[case("localhost:4711")]
fn the_page_is_for_who_asks_for_it_by_name(#[case] host: &str) {
    let asked = read(&format!("GET / HTTP/1.1\nHost: {host}\n\n"));
    assert!(matches!(asked, Asked::File(kind, text) if kind.contains("html") && text.contains("page.js")));
    assert_eq!(read(&format!("GET /events HTTP/1.1\nhost: {host}\n\n")), Asked::Events);
}

#[rstest]
#[case("Host: evil.example:4711\n", 421)]
#[case("Host: 127.0.0.1\n", 421)]
#[case("", 421)]
#[case("Host: 127.0.0.1:4711\nHost: evil.example\n", 421)]
fn a_foreign_name_that_leads_here_is_refused(#[case] headers: &str, #[case] status: u16) {
    for path in ["/", "/events", "/act"] {
        let asked = read(&format!("GET {path} HTTP/1.1\n{headers}\n"));
        assert!(matches!(asked, Asked::Refused(refused, _) if refused == status), "{asked:?}");
    }
}

#[rstest]
#[case("", 403)]
#[case("Origin: http://evil.example\n", 403)]
#[case("Origin: null\n", 403)]
#[case("Origin: https://127.0.0.1:4711\n", 403)]
#[case("Origin: http://127.0.0.1:4712\n", 403)]
fn only_the_page_acts(#[case] origin: &str, #[case] status: u16) {
    let asked = post(origin, r#"{"act":"reset"}"#);
    assert!(matches!(asked, Asked::Refused(refused, _) if refused == status), "{asked:?}");
}

#[rstest]
#[case(r#"{"act":"reset"}"#, Act::Reset)]
#[case(r#"{"act":"power"}"#, Act::Power)]
#[case(r#"{"act":"press","pin":3}"#, Act::Press(3))]
#[case(r#"{"act":"type","text":"STATUS"}"#, Act::Type(b"STATUS\n".to_vec()))]
fn what_the_page_asks_is_done(#[case] body: &str, #[case] act: Act) {
    assert_eq!(post(OURS, body), Asked::Act(act));
}

#[rstest]
#[case("")]
#[case("[]")]
#[case("{")]
#[case(r#"{"act":"quit"}"#)]
#[case(r#"{"act":"press","pin":-1}"#)]
#[case(r#"{"act":"type"}"#)]
fn what_is_no_act_is_refused(#[case] body: &str) {
    assert!(matches!(post(OURS, body), Asked::Refused(400, _)));
}

#[test]
fn a_request_has_an_end() {
    assert_eq!(read("GET / HTT"), Asked::Unfinished);
    assert_eq!(post(OURS, "").clone(), Asked::Refused(400, "this is no act"));
    let endless = format!("GET / HTTP/1.1\nX: {}", "x".repeat(2 * MAX_REQUEST));
    assert!(matches!(read(&endless), Asked::Refused(431, _)));
    let claims = format!("POST /act HTTP/1.1\nHost: 127.0.0.1:4711\n{OURS}Content-Length: 99999999\n\n");
    assert!(matches!(read(&claims), Asked::Refused(411, _)));
    assert!(matches!(read("\u{1}\u{2} nonsense\n\n"), Asked::Refused(400, _)));
}

/// Text from firmware and network stays text, and nothing comes from elsewhere.
#[test]
fn the_page_is_its_own() {
    let (page, script) = (include_str!("page.html"), include_str!("page.js"));
    for danger in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "new Function"] {
        assert!(!script.contains(danger), "{danger}");
    }
    for text in [page, script, include_str!("page.css")] {
        assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("//cdn"), "{text}");
    }
    assert!(!page.contains("onclick") && !page.contains("style=") && !page.contains("<style"));
}
