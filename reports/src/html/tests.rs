use super::*;
use crate::sample;

/// Writes pages for a browser into the folder that `RIGOR_REPORT_OUT` names; without it there is nothing to
/// do. With `RIGOR_REPORT_RESULTS` a page of those results is among them.
/// `fixtures/oracles/report.sh` opens them.
#[test]
fn pages_for_a_browser() {
    let Some(folder) = std::env::var_os("RIGOR_REPORT_OUT").map(std::path::PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, page: String| std::fs::write(folder.join(name), page).unwrap();
    write("sample.html", render(&sample::run(), None));
    write("empty.html", render(&sample::empty(), None));
    if let Some(real) = std::env::var_os("RIGOR_REPORT_RESULTS").map(std::path::PathBuf::from) {
        write("real.html", render(&crate::store::read(&real).unwrap(), None));
    }
}
