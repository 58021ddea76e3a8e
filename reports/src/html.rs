//! The run as one page to look at: `report.html`.
//!
//! A file by itself. It asks for nothing over a network, a policy in its head forbids it to, and the one
//! script and the one style sheet that may run are named there by their hashes. It is made from a
//! [`RunResult`] alone, so anybody with a `results.json` can make it again.
//!
//! What failed stands first, with the sentence, the figure, what is allowed and the distance between the
//! two. Everything that decides is in the page as text and drawings without any script. The script filters,
//! sorts and opens rows, and draws the evidence of a case when somebody looks at it. Without it all rows
//! are open.
//!
//! Written by hand, not with a template engine: half of the page is drawings, for which a template has no
//! words, and `Markup` escapes by construction, which a template's `safe` filter can undo.

use rigor_core::kill::FaultsResult;
use rigor_core::result::RunResult;

mod coverage;
mod data;
mod detail;
mod head;
mod kills;
pub(crate) mod markup;
pub(crate) mod page;
mod plot;
mod requirements;
mod troubles;
mod view;

use markup::Markup;

/// The text of `report.html`; with `faults`, the kill matrix is part of it.
///
/// It depends on nothing but its arguments. Evidence of cases fills the page up to some
/// 4.7 MB: that of cases that did not pass goes in first and whole, and what has to stay outside says so.
pub fn render(result: &RunResult, faults: Option<&FaultsResult>) -> String {
    let rows = view::rows(result);
    let mut body = Markup::default();
    body.element("header", &[("class", "top")], |body| head::render(body, result, &rows, faults.is_some()));
    body.element("main", &[], |body| {
        troubles::failed(body, result, &rows);
        troubles::not_run(body, &rows);
        coverage::render(body, result, &rows);
        requirements::render(body, result, &rows);
        for matrix in faults.iter().flat_map(|faults| &faults.systems) {
            kills::render(body, matrix);
        }
    });
    body.element("footer", &[], |body| head::legend(body, result));
    data::render(&mut body, result);
    page::document(&head::title(result), body)
}

#[cfg(test)]
mod large;
#[cfg(test)]
mod tests;
