//! Where results go and where people read: disk, locale, terminal.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rigor_reports::visible;
use rigor_runner::engine::{Choices, workspace_root};

use super::{Check, Status};

/// A whole run with its recordings leaves about 50 MiB, and a build of everything about 3 GB (README.md).
const WANTED_MIB: u64 = 4096;

pub(super) fn checks() -> Vec<Check> {
    vec![disk(), locale(|name| std::env::var(name).ok()), terminal()]
}

/// The folder that results go to, or the nearest one above it that is there.
fn results() -> PathBuf {
    let out = Choices::from_variables().ok().and_then(|choices| choices.out);
    let out = out.unwrap_or_else(|| "target/rigor".into());
    let folder = workspace_root().map(|root| root.join(&out)).unwrap_or(out);
    folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new(".")).to_owned()
}

fn disk() -> Check {
    let folder = results();
    let shown = visible(&folder.display().to_string());
    let writable = tempfile_in(&folder);
    let free = free_mib(&folder);
    let (status, found, remedy) = match (writable, free) {
        (Err(why), _) => {
            let remedy = "choose another folder with RIGOR_OUT".to_owned();
            (Status::Unusable, format!("{shown}: {why}"), Some(remedy))
        }
        (Ok(()), Some(free)) if free < WANTED_MIB => {
            let remedy =
                "cargo clean, or choose another folder with RIGOR_OUT and CARGO_TARGET_DIR".to_owned();
            (Status::Unusable, format!("{shown}: {free} MiB are free"), Some(remedy))
        }
        (Ok(()), Some(free)) => (Status::Ok, format!("{shown}: {} GiB are free", free / 1024), None),
        (Ok(()), None) => (Status::Ok, format!("{shown}: may be written"), None),
    };
    check("disk", status, found, "results, recordings, builds", remedy)
}

fn check(name: &str, status: Status, found: String, purpose: &'static str, remedy: Option<String>) -> Check {
    Check { group: "place", name: name.to_owned(), status, found, purpose, remedy }
}

/// Whether a file can be made in `folder`.
fn tempfile_in(folder: &Path) -> Result<(), String> {
    let path = folder.join(format!(".rigor-doctor-{}", std::process::id()));
    std::fs::write(&path, b"rigor").map_err(|error| error.to_string())?;
    std::fs::remove_file(&path).map_err(|error| error.to_string())
}

/// What `df` says (POSIX: `-P` for one line a file system, `-k` for KiB).
fn free_mib(folder: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(folder).stdin(Stdio::null()).output().ok()?;
    available_mib(&String::from_utf8_lossy(&output.stdout))
}

fn available_mib(df: &str) -> Option<u64> {
    // Names may have blanks; the columns are counted from the one with the percent sign.
    let words: Vec<&str> = df.lines().nth(1)?.split_whitespace().collect();
    let percent = words.iter().position(|word| word.ends_with('%'))?;
    Some(words.get(percent.checked_sub(1)?)?.parse::<u64>().ok()? / 1024)
}

fn locale(variable: impl Fn(&str) -> Option<String>) -> Check {
    // The first that is set and not empty decides (POSIX, section 8.2).
    let names = ["LC_ALL", "LC_CTYPE", "LANG"];
    let set = names.iter().find_map(|name| Some((name, variable(name).filter(|value| !value.is_empty())?)));
    let utf8 = set.as_ref().is_some_and(|(_, value)| {
        let value = value.to_lowercase();
        value.ends_with("utf-8") || value.ends_with("utf8")
    });
    let found = set.map_or("not set".to_owned(), |(name, value)| format!("{name}={}", visible(&value)));
    let status = if utf8 { Status::Ok } else { Status::Unusable };
    let remedy = (!utf8).then(|| "export LC_ALL=C.UTF-8".to_owned());
    check("locale", status, found, "tables and plots have characters beyond ASCII", remedy)
}

fn terminal() -> Check {
    let term = std::env::var("TERM").unwrap_or_default();
    let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let found = match (std::io::stdout().is_terminal(), term.as_str()) {
        (false, _) => "the output is no terminal: no colours, no bars".to_owned(),
        (true, "" | "dumb") => "TERM is not set, or dumb".to_owned(),
        (true, term) if colours => format!("{}, with colours", visible(term)),
        (true, term) => format!("{}, NO_COLOR is set", visible(term)),
    };
    let dumb = std::io::stdout().is_terminal() && matches!(term.as_str(), "" | "dumb");
    let remedy = dumb.then(|| "export TERM=xterm-256color".to_owned());
    let status = if dumb { Status::Unusable } else { Status::Ok };
    check("terminal", status, found, "progress bars and live views", remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_free_space_is_read_whatever_the_names_are() {
        let df = "Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                  /dev/my disk 103081248 53000000 50081248 52% /home/of some/body\n";
        assert_eq!(available_mib(df), Some(50_081_248 / 1024));
        assert_eq!(available_mib("nonsense"), None);
        assert_eq!(available_mib("a\n52% b"), None);
    }

    #[test]
    fn the_first_variable_that_is_set_is_the_locale() {
        let with = |set: &'static [(&str, &str)]| {
            locale(move |name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(with(&[("LANG", "de_DE.UTF-8")]).status, Status::Ok);
        assert_eq!(with(&[("LC_ALL", ""), ("LANG", "C.utf8")]).status, Status::Ok);
        let posix = with(&[("LC_ALL", "POSIX"), ("LANG", "C.utf8")]);
        assert_eq!((posix.status, posix.found.as_str()), (Status::Unusable, "LC_ALL=POSIX"));
        assert_eq!(with(&[]).status, Status::Unusable);
    }
}
