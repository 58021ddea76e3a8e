//! What the addresses mean that a device's console lists when its firmware gives up.
//!
//! The rig file names the firmware. An emulator runs just that one. A board runs what was flashed last, so there it
//! counts which build the console names: of another one no address is explained, because the lines would be wrong ones.

use rigor_image::{Image, Symboliser, Trace};

use crate::file::{BackEnd, RigFile};
use crate::qemu::image;

/// Digits of a hash that are told, as ESP-IDF tells them.
const TOLD: usize = 9;

/// The last crash in `console`, the lines of the device on the rig of `file`: a line for each call, innermost first; see
/// [`Symboliser::explain`]. On a board a line before them says whose names those are, and if nobody can tell, why.
/// Nothing without a crash that lists addresses, and on rigs without a chip.
pub fn explain<'a>(file: &RigFile, console: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let explained = match &file.back_end {
        BackEnd::Qemu(_) => {
            Trace::last_in(console).zip(image::of_rig(file)).map(|(trace, image)| read(&image, &trace))
        }
        BackEnd::Bench(bench) => Trace::last_in(console).map(|trace| match &bench.image {
            Some(path) => match Image::read_of_chip(path) {
                Ok(image) => on_board(&image, &trace),
                Err(error) => Err(error.to_string()),
            },
            None => {
                Err("the rig file names no `image` in [bench]; name the ELF file of what is on the board"
                    .to_owned())
            }
        }),
        BackEnd::Virtual(_) | BackEnd::Replay(_) => None,
    };
    let or_why = |explained: Result<_, _>| {
        explained.unwrap_or_else(|why| vec![format!("nobody can read the backtrace: {why}")])
    };
    explained.map_or_else(Vec::new, or_why)
}

fn on_board(image: &Image, trace: &Trace) -> Result<Vec<String>, String> {
    let (path, sha256) = (image.path().display(), image.sha256());
    let whose = match trace.build() {
        Some(build) if sha256.starts_with(build) => format!("by {path}, the build that the console names"),
        Some(build) => {
            return Err(format!(
                "the board runs another build (SHA-256 {}...) than {path} ({}...); bring that one onto it (`rigor flash`) \
                 or name the right one",
                start(build),
                start(sha256)
            ));
        }
        None => format!("by {path}, if that is on the board: the console names no build"),
    };
    let calls = read(image, trace)?;
    Ok([whose].into_iter().chain(calls).collect())
}

fn read(image: &Image, trace: &Trace) -> Result<Vec<String>, String> {
    let told = image.symboliser().map(|symboliser: Symboliser<'_>| symboliser.explain(trace));
    told.map_err(|error| error.to_string())
}

fn start(hash: &str) -> &str {
    hash.get(..TOLD).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    const PANIC: &[u8] = include_bytes!("../../image/tests/fixtures/panic.elf");

    /// A folder with an image, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("rigor-backtrace-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).expect("temporary files can be made");
            fs::write(path.join("k1.elf"), PANIC).expect("temporary files can be made");
            Folder(path)
        }

        fn image(&self) -> PathBuf {
            self.0.join("k1.elf")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn rig(back_end: &str, table: &str) -> RigFile {
        let text = format!(
            "schema = 1\nname = \"desk\"\ndut = \"toy\"\nback_end = \"{back_end}\"\n[{back_end}]\n{table}\n"
        );
        RigFile::parse("desk.toml", &text).expect("a valid rig file")
    }

    fn image() -> Image {
        Image::parse(Path::new("k1.elf"), PANIC.to_vec()).expect("an image")
    }

    fn crash() -> String {
        format!("Backtrace: {:#010x}", image().symbol("main").expect("there is one").address + 4)
    }

    #[test]
    fn an_emulator_runs_what_the_rig_file_names() {
        let folder = Folder::new("qemu");
        let named = |image: &Path| format!("image = {image:?}");
        let qemu = rig("qemu", &named(&folder.image()));
        let told = explain(&qemu, [&*crash()]);
        assert!(told.last().is_some_and(|line| line.starts_with("at main (")), "{told:?}");
        assert!(explain(&qemu, ["no crash"]).is_empty());
        let espressif = format!("{}\npreset = \"esp32c3\"", named(&folder.image()));
        assert!(explain(&rig("qemu", &espressif), [&*crash()]).is_empty());
        assert!(explain(&rig("qemu", &named(&folder.0.join("none.elf"))), [&*crash()]).is_empty());
    }

    #[test]
    fn a_board_is_explained_by_the_build_that_it_names_or_not_at_all() {
        let folder = Folder::new("bench");
        let bench = rig("bench", &format!("chip = \"esp32c3\"\nimage = {:?}", folder.image()));
        let told = |build: &str| explain(&bench, [&*format!("ELF file SHA256:  {build}"), &*crash()]);
        let calls = explain(&rig("qemu", &format!("image = {:?}", folder.image())), [&*crash()]);
        assert!(!calls.is_empty());

        let same = told(&image().sha256()[..9]);
        assert!(same[0].ends_with("k1.elf, the build that the console names"), "{same:?}");
        assert_eq!(same[1..], calls);
        let unnamed = explain(&bench, [&*crash()]);
        assert!(unnamed[0].ends_with("if that is on the board: the console names no build"), "{unnamed:?}");
        assert_eq!(unnamed[1..], calls);
        // One bit of it is another.
        let other = told("3426a3dfe");
        assert_eq!(other.len(), 1, "{other:?}");
        assert!(other[0].contains("another build (SHA-256 3426a3dfe...)"), "{other:?}");
        assert!(other[0].contains("k1.elf (3426a3dff...)"), "{other:?}");
        assert!(explain(&bench, ["all is well"]).is_empty());
    }

    #[test]
    fn a_board_without_names_for_its_code_says_what_is_missing() {
        let folder = Folder::new("unnamed");
        let told = |table: &str| explain(&rig("bench", &format!("chip = \"esp32c3\"\n{table}")), [&*crash()]);
        let only = |told: Vec<String>| {
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with("nobody can read the backtrace: "), "{told:?}");
            told[0].clone()
        };
        assert!(only(told("")).contains("names no `image`"));
        let image = |path: &Path| format!("image = {path:?}");
        assert!(only(told(&image(&folder.0.join("none.elf")))).contains("there is no image"));
        // An image of the flash chip has no names.
        fs::write(folder.0.join("k1.bin"), [0xe9; 64]).expect("temporary files can be made");
        assert!(only(told(&image(&folder.0.join("k1.bin")))).contains("k1.bin"));
    }
}
