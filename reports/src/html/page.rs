//! The frame of every page: its head with the policy, the style sheet, the marks that drawings refer to,
//! and the script.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rigor_core::budget::Budget;
use rigor_core::verdict::Verdict;
use sha2::{Digest, Sha256};

use super::markup::Markup;

/// The style sheet.
pub(crate) const STYLE: &str = include_str!("../../assets/report.css");
/// The script.
pub(crate) const SCRIPT: &str = include_str!("../../assets/report.js");
/// The mark of each verdict: a shape of its own, so that nobody needs to see colours.
const MARKS: &str = include_str!("../../assets/marks.svg");

/// A page with `title` and `body`.
pub(crate) fn document(title: &str, body: Markup) -> String {
    let body = body.finish();
    let mut page = Markup::default();
    page.constant("<!doctype html>\n<html lang=\"en\">");
    page.element("head", &[], |page| {
        page.mark("meta", &[("charset", "utf-8")]);
        // First of all that matters: what stands before it is not under it.
        page.mark("meta", &[("http-equiv", "Content-Security-Policy"), ("content", &policy())]);
        page.mark("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
        page.mark("meta", &[("name", "color-scheme"), ("content", "light dark")]);
        page.mark("meta", &[("name", "referrer"), ("content", "no-referrer")]);
        page.leaf("title", &[], title);
        page.element("style", &[], |page| page.constant(STYLE));
    });
    page.constant("<body>");
    page.constant(MARKS);
    let mut text = page.finish();
    text.push_str(&body);
    text.push_str("<script>");
    text.push_str(SCRIPT);
    text.push_str("</script></body></html>\n");
    text
}

/// Nothing may be loaded, sent or framed; this script and this style may run; pictures are in the page.
fn policy() -> String {
    let (script, style) = (hash(SCRIPT), hash(STYLE));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; img-src data:; \
         base-uri 'none'; form-action 'none'"
    )
}

fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text.as_bytes()))
}

/// The mark of a verdict's class.
pub(crate) fn glyph(page: &mut Markup, class: &str) {
    let target = format!("#v-{class}");
    let shape = format!("g {class}");
    page.element("svg", &[("class", &shape), ("aria-hidden", "true")], |page| {
        page.mark("use", &[("href", &target)]);
    });
}

/// The class of a verdict's mark.
pub(crate) fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fail => "fail",
        Verdict::HarnessBug => "bug",
        Verdict::RigFault => "rig",
        Verdict::Inconclusive => "vague",
        Verdict::NotRun => "none",
        Verdict::Pass => "pass",
    }
}

/// What is allowed, with the signs that people write.
pub(crate) fn allowed(budget: &Budget) -> String {
    budget.to_string().replace("<=", "\u{2264}").replace(">=", "\u{2265}")
}
