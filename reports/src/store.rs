//! The folder of a run on disk: `<root>/<run>/`, with `<root>/latest` pointing to the newest, and
//! `<root>/recorded` to the newest that has recordings.
//!
//! Every file appears whole or not at all, and `latest` points to a complete run at any moment:
//! all are written under a temporary name in the same folder and renamed. So a reader never meets
//! half a report, whatever ends the writer.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rigor_core::result::{MAX_FILE, ResultError, RunResult};

use crate::junit::{self, JunitError};
use crate::{annotations, html, summary};

/// The name that points to the newest run.
pub const LATEST: &str = "latest";
/// The name that points to the newest run with recordings.
pub const RECORDED: &str = "recorded";
/// The longest name of a run, in bytes.
pub const MAX_ID: usize = 100;

/// The folder could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}; check that the folder exists and may be written, or choose another with RIGOR_OUT", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// A run's name becomes a folder's name.
    #[error(
        "`{}` is no name for a run; write 1 to {MAX_ID} ASCII letters, digits, `-`, `_` or `.`, not starting with `.`, not `{LATEST}` and not `{RECORDED}`",
        crate::visible(id)
    )]
    BadId {
        /// The name.
        id: String,
    },
    /// What is there is no result, or what was offered is none.
    #[error("{}: {source}", path.display())]
    Result {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ResultError,
    },
    /// The report could not be made.
    #[error(transparent)]
    Junit(#[from] JunitError),
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io { action, path: path.to_owned(), source }
}

/// The folder of one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunFolder {
    root: PathBuf,
    id: String,
}

impl RunFolder {
    /// The folder `root/id`, made now, parents included, if it is not there.
    ///
    /// # Errors
    /// [`StoreError::BadId`] if `id` cannot be a folder of its own under `root`;
    /// [`StoreError::Io`] if the folder cannot be made.
    pub fn create(root: &Path, id: &str) -> Result<Self, StoreError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let taken = id.starts_with('.') || [LATEST, RECORDED].contains(&id);
        let valid = (1..=MAX_ID).contains(&id.len()) && id.bytes().all(plain) && !taken;
        if !valid {
            return Err(StoreError::BadId { id: id.to_owned() });
        }
        let folder = RunFolder { root: root.to_owned(), id: id.to_owned() };
        let path = folder.path();
        fs::create_dir_all(&path).map_err(io_error("create the folder", &path))?;
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.root.join(&self.id)
    }

    /// Writes `results.json` and what is made of it: `junit.xml`, `report.html`, `summary.md` and
    /// `annotations.txt`, in that order: what the others are made from comes first.
    /// [`RunFolder::point_here`] makes it the newest.
    ///
    /// # Errors
    /// [`StoreError`]; no file is then half-written.
    pub fn publish(&self, result: &RunResult) -> Result<(), StoreError> {
        let path = self.path().join("results.json");
        let json = result.to_json().map_err(|source| StoreError::Result { path: path.clone(), source })?;
        write_atomically(&path, json.as_bytes())?;
        let views = [
            ("junit.xml", junit::render(result)?),
            ("report.html", html::render(result, None)),
            ("summary.md", summary::render(result)),
            ("annotations.txt", annotations::render(result)),
        ];
        for (name, text) in views {
            write_atomically(&self.path().join(name), text.as_bytes())?;
        }
        Ok(())
    }

    /// Makes `root/name` ([`LATEST`] or [`RECORDED`]) a link to this folder, replacing an older link in
    /// one step. Where the system has no symbolic links, it is a file that holds the folder's name.
    ///
    /// # Errors
    /// [`StoreError::Io`], for instance if `name` is a folder that somebody made.
    pub fn point_here(&self, name: &str) -> Result<(), StoreError> {
        let link = self.root.join(name);
        #[cfg(unix)]
        {
            let temporary = temporary_beside(&link);
            // Relative, so that the whole root can be moved or archived.
            std::os::unix::fs::symlink(&self.id, &temporary)
                .map_err(io_error("make the link", &temporary))?;
            rename(&temporary, &link)
        }
        #[cfg(not(unix))]
        write_atomically(&link, self.id.as_bytes())
    }
}

/// Makes `path` hold exactly `bytes`, or leaves what was there.
///
/// # Errors
/// [`StoreError::Io`]; no temporary file is left behind.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let temporary = temporary_beside(path);
    let written = OpenOptions::new().write(true).create_new(true).open(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        // A rename may reach the disk before the data does; after a power cut the name would
        // then stand for an empty file.
        file.sync_all()
    });
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(io_error("write", path)(error));
    }
    rename(&temporary, path)
}

fn rename(temporary: &Path, path: &Path) -> Result<(), StoreError> {
    fs::rename(temporary, path).map_err(|error| {
        let _ = fs::remove_file(temporary);
        io_error("replace", path)(error)
    })
}

/// A name in the same folder, hence on the same file system, that no other writer uses.
fn temporary_beside(path: &Path) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}.{number}.tmp", std::process::id()))
}

/// Reads a `results.json`.
///
/// # Errors
/// [`StoreError::Io`] if there is none; [`StoreError::Result`] if it is not one or too large.
pub fn read(path: &Path) -> Result<RunResult, StoreError> {
    let file = File::open(path).map_err(io_error("open", path))?;
    let mut text = String::new();
    // One byte more than allowed tells a file that is too large, however much more there is.
    file.take(MAX_FILE as u64 + 1).read_to_string(&mut text).map_err(io_error("read", path))?;
    RunResult::read(&text).map_err(|source| StoreError::Result { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::sample;

    /// A folder of its own under the system's temporary one, removed at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("rigor-store-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Scratch(path)
        }

        fn names(&self, folder: &str) -> Vec<String> {
            let entries = fs::read_dir(self.0.join(folder)).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_run_is_published_and_read_back() {
        let scratch = Scratch::new("published");
        let first = RunFolder::create(&scratch.0.join("deep/er"), "run-1").unwrap();
        first.publish(&sample::empty()).unwrap();
        first.point_here(LATEST).unwrap();
        let second = RunFolder::create(&scratch.0.join("deep/er"), "run-2").unwrap();
        second.publish(&sample::run()).unwrap();
        second.point_here(LATEST).unwrap();
        assert_eq!(scratch.names("deep/er"), ["latest", "run-1", "run-2"]);
        assert_eq!(
            scratch.names("deep/er/latest"),
            ["annotations.txt", "junit.xml", "report.html", "results.json", "summary.md"]
        );
        let latest = scratch.0.join("deep/er/latest");
        assert_eq!(fs::read_link(&latest).unwrap(), Path::new("run-2"));
        assert_eq!(read(&latest.join("results.json")).unwrap(), sample::run());
        assert_eq!(read(&first.path().join("results.json")).unwrap(), sample::empty());
    }

    #[test]
    fn publishing_twice_replaces() {
        let scratch = Scratch::new("twice");
        let folder = RunFolder::create(&scratch.0, "run").unwrap();
        folder.publish(&sample::run()).unwrap();
        folder.publish(&sample::empty()).unwrap();
        assert_eq!(read(&folder.path().join("results.json")).unwrap(), sample::empty());
        assert_eq!(scratch.names("run").len(), 5);
    }

    #[test]
    fn a_result_that_could_not_be_read_back_is_not_published() {
        let scratch = Scratch::new("unreadable");
        let folder = RunFolder::create(&scratch.0, "run").unwrap();
        let mut result = sample::run();
        result.exit_code = 0;
        let error = folder.publish(&result).unwrap_err().to_string();
        assert!(error.contains("results.json: exit_code"), "{error}");
        assert_eq!(scratch.names("."), ["run"]);
        assert!(scratch.names("run").is_empty());
    }

    #[test]
    fn a_folder_in_the_way_of_latest_is_reported_and_kept() {
        let scratch = Scratch::new("in-the-way");
        fs::create_dir_all(scratch.0.join("latest/precious")).unwrap();
        let folder = RunFolder::create(&scratch.0, "run").unwrap();
        folder.publish(&sample::run()).unwrap();
        let error = folder.point_here(LATEST).unwrap_err().to_string();
        assert!(error.contains("cannot replace") && error.contains("latest"), "{error}");
        assert_eq!(scratch.names("latest"), ["precious"]);
        assert_eq!(scratch.names("."), ["latest", "run"], "a temporary link was left behind");
    }

    #[test]
    fn many_writers_at_once_leave_one_whole_file() {
        let scratch = Scratch::new("writers");
        fs::create_dir_all(&scratch.0).unwrap();
        let path = scratch.0.join("file");
        std::thread::scope(|scope| {
            for writer in 0..8_u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..10 {
                        write_atomically(path, &vec![writer; 10_000]).unwrap();
                        let seen = fs::read(path).unwrap();
                        assert!(seen.len() == 10_000 && seen.iter().all(|byte| *byte == seen[0]));
                    }
                });
            }
        });
        assert_eq!(scratch.names("."), ["file"]);
    }

    #[rstest]
    #[case("")]
    #[case(".")]
    #[case("..")]
    #[case("../escape")]
    #[case("a/b")]
    #[case("a\\b")]
    #[case("latest")]
    #[case("recorded")]
    #[case(".hidden")]
    #[case("nul\0")]
    #[case("new\nline")]
    #[case("é")]
    fn names_that_leave_the_root_are_refused(#[case] id: &str) {
        let scratch = Scratch::new("names");
        let error = RunFolder::create(&scratch.0, id).unwrap_err();
        assert!(matches!(error, StoreError::BadId { .. }), "{error}");
        assert!(!error.to_string().chars().any(char::is_control));
        assert!(!scratch.0.exists());
    }

    #[test]
    fn long_names_are_refused() {
        assert!(RunFolder::create(Path::new("."), &"a".repeat(MAX_ID + 1)).is_err());
    }

    #[test]
    fn what_is_no_result_is_refused_with_its_path() {
        let scratch = Scratch::new("no-result");
        fs::create_dir_all(&scratch.0).unwrap();
        let path = scratch.0.join("results.json");
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("cannot open") && error.contains("results.json"), "{error}");
        fs::write(&path, "{\n  \"schema_version\": 9\n}").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("results.json: the result has `schema_version` 9"), "{error}");
        fs::write(&path, b"\xff\xfe").unwrap();
        assert!(read(&path).is_err());
        assert!(read(&scratch.0).is_err());
    }
}
