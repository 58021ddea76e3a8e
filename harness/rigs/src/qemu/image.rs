//! The image that a rig runs, as a file: one for all cases of a run.
//!
//! It is read and looked at when the first case wants it ([`load`]), and from then on it has to stay as it
//! is: results say by its hash what was judged, so no case may run another one. One that is older than what
//! it was built from is refused, with the command that builds it: its verdicts would be about code that is
//! gone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

use rigor_core::verdict::RigError;
use rigor_image::{Built, Image};

use crate::file::{BackEnd, Qemu, QemuBoard, RigFile};

/// What tells one content of a file from another, without reading it.
type Stamp = (u64, SystemTime);

/// Images by their paths, with what their files were like when they were read.
type Loaded = BTreeMap<PathBuf, (Stamp, Arc<Image>)>;

static LOADED: LazyLock<Mutex<Loaded>> = LazyLock::new(Mutex::default);

/// The image `path`, read once in this process.
///
/// # Errors
/// [`RigError`] if it is missing, older than its sources or none that the machine could run, and if it has
/// changed since it was first read.
pub fn load(path: &Path) -> Result<Arc<Image>, RigError> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((stamp, image)) = loaded.get_mut(path) {
        let found = stamp_of(path);
        if found.as_ref() == Some(stamp) {
            return Ok(image.clone());
        }
        // A build that has nothing to do dates it anew all the same.
        if let Some(found) = found
            && rigor_image::hash_of_file(path).is_ok_and(|hash| hash == image.sha256())
        {
            *stamp = found;
            return Ok(image.clone());
        }
        return Err(RigError(format!(
            "the image {} has changed since the run began, so cases before and after would judge different \
             firmware; run again, and build when no run is under way",
            path.display()
        )));
    }
    let wrong = |error: rigor_image::ImageError| RigError(error.to_string());
    Built::at(path).check().map_err(wrong)?;
    // Before it is read: what changes meanwhile is seen the next time.
    let stamp = stamp_of(path);
    let image = Arc::new(Image::read(path).map_err(wrong)?);
    if let Some(stamp) = stamp {
        loaded.insert(path.to_owned(), (stamp, image.clone()));
    }
    Ok(image)
}

fn stamp_of(path: &Path) -> Option<Stamp> {
    let about = fs::metadata(path).ok()?;
    Some((about.len(), about.modified().ok()?))
}

/// The ELF file that cases on the rig of `file` run: the one that they ran, if they did.
pub(crate) fn of_rig(file: &RigFile) -> Option<Arc<Image>> {
    let BackEnd::Qemu(Qemu { image, board: QemuBoard::Exact(_) | QemuBoard::Live, .. }) = &file.back_end
    else {
        return None;
    };
    let known =
        LOADED.lock().unwrap_or_else(PoisonError::into_inner).get(image).map(|(_, image)| image.clone());
    known.or_else(|| Some(Arc::new(Image::read(image).ok()?)))
}

/// What is known of the image on a rig.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageFacts {
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// What it stores, in bytes, if that can be told from the file.
    pub flash: Option<u64>,
    /// What its linker reserves of the RAM, in bytes, if that can be told from the file.
    pub ram: Option<u64>,
}

impl ImageFacts {
    /// Of the image that cases on the rig of `file` run; `None` if its back end has no image file, or if it
    /// cannot be read any more.
    pub fn of(file: &RigFile) -> Option<Self> {
        let BackEnd::Qemu(Qemu { image, board, .. }) = &file.back_end else { return None };
        match board {
            // The contents of a whole flash chip, of which nobody knows what is firmware.
            QemuBoard::Espressif(_) => {
                let sha256 = rigor_image::hash_of_file(image).ok()?;
                Some(ImageFacts { sha256, flash: None, ram: None })
            }
            QemuBoard::Exact(_) | QemuBoard::Live => {
                let image = of_rig(file)?;
                let sizes = image.sizes();
                let sha256 = image.sha256().to_owned();
                Some(ImageFacts { sha256, flash: Some(sizes.flash), ram: Some(sizes.ram) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;

    const PANIC: &[u8] = include_bytes!("../../../image/tests/fixtures/panic.elf");

    /// A file of its own below the folder of test files, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("rigor-image-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).expect("temporary files can be made");
            Folder(path)
        }

        fn image(&self) -> PathBuf {
            let path = self.0.join("k1.elf");
            fs::write(&path, PANIC).expect("temporary files can be made");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn rig(image: &Path, more: &str) -> RigFile {
        let text = format!(
            "schema = 1\nname = \"desk\"\ndut = \"toy\"\nback_end = \"qemu\"\n[qemu]\nimage = \"{}\"\n{more}",
            image.display()
        );
        RigFile::parse("desk.toml", &text).expect("a valid rig file")
    }

    #[test]
    fn it_is_read_once_and_has_to_stay() {
        let folder = Folder::new("stays");
        let path = folder.image();
        let first = load(&path).expect("an image");
        assert!(Arc::ptr_eq(&first, &load(&path).expect("the same")));
        let later = SystemTime::now() + Duration::from_secs(5);
        File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(later))
            .expect("it is ours");
        assert!(Arc::ptr_eq(&first, &load(&path).expect("built anew from the same")));
        let mut other = first.bytes().to_vec();
        *other.last_mut().expect("an image") ^= 1;
        fs::write(&path, other).expect("it is ours");
        File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(later + Duration::from_secs(5)))
            .expect("it is ours");
        let error = load(&path).expect_err("somebody has built another");
        assert!(error.to_string().contains("has changed since the run began"), "{error}");
        // The record is about the one that ran.
        fs::remove_file(&path).expect("it is ours");
        let facts = ImageFacts::of(&rig(&path, "")).expect("it was read");
        assert_eq!(facts.sha256, first.sha256());
    }

    #[test]
    fn what_is_missing_or_old_names_the_command() {
        let folder = Folder::new("old");
        let missing = load(&folder.0.join("none.elf")).expect_err("it is not there").to_string();
        assert!(missing.contains("there is no image") && missing.contains("cargo xtask firmware build"));
        let path = folder.image();
        fs::write(path.with_extension("d"), format!("k1.elf: {}/gone.rs\n", folder.0.display()))
            .expect("ours");
        let old = load(&path).expect_err("its source is gone").to_string();
        assert!(old.contains("gone.rs") && old.contains("cargo xtask firmware build"), "{old}");
        assert_eq!(ImageFacts::of(&rig(&folder.0.join("none.elf"), "")), None);
    }

    #[test]
    fn a_chips_flash_has_a_hash_and_no_sizes() {
        let folder = Folder::new("flash");
        let path = folder.image();
        let facts = ImageFacts::of(&rig(&path, "preset = \"esp32c3\"\n")).expect("it can be read");
        assert_eq!((facts.flash, facts.ram), (None, None));
        assert_eq!(Some(facts.sha256), ImageFacts::of(&rig(&path, "")).map(|facts| facts.sha256));
    }
}
