//! Whether an image is there, and newer than what it was built from.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::ImageError;

/// Larger lists of sources are none, in bytes.
const MAX_LIST: u64 = 4 << 20;

/// An image where a build left it, with the list of its sources beside it.
///
/// The list is what compilers leave for `make`: `image: source source`, spaces in names escaped by a
/// backslash. An image from elsewhere has none, and is taken as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Built {
    image: PathBuf,
}

impl Built {
    /// The image `path`, which need not exist.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Built { image: path.into() }
    }

    /// Where the list of its sources is.
    pub fn list(&self) -> PathBuf {
        self.image.with_extension("d")
    }

    /// Looks whether the image is there, and none of its sources newer than it or gone.
    ///
    /// # Errors
    /// [`ImageError::Missing`], [`ImageError::Stale`], and [`ImageError::Io`] if the list cannot be read.
    pub fn check(&self) -> Result<(), ImageError> {
        let Some(built) = modified(&self.image) else {
            return Err(ImageError::Missing { path: self.image.clone() });
        };
        let list = self.list();
        let Ok(about) = fs::metadata(&list) else { return Ok(()) };
        let io = |source| ImageError::Io { path: list.clone(), source };
        if about.len() > MAX_LIST {
            return Err(io(std::io::Error::other("it is too large for a list of sources")));
        }
        let text = fs::read_to_string(&list).map_err(io)?;
        let changed = |source: &&PathBuf| modified(source).is_none_or(|at| at > built);
        match sources(&text).iter().find(changed) {
            Some(newer) => Err(ImageError::Stale { path: self.image.clone(), newer: newer.clone() }),
            None => Ok(()),
        }
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|about| about.modified()).ok()
}

/// The sources in a list for `make`.
fn sources(list: &str) -> Vec<PathBuf> {
    // On the drive letters of other systems a colon is followed by no space.
    let Some((_, names)) = list.split_once(": ") else { return Vec::new() };
    let names = names.lines().next().unwrap_or_default();
    let mut found = vec![String::new()];
    let mut letters = names.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => found.last_mut().into_iter().for_each(|name| name.extend(letters.next())),
            ' ' => found.push(String::new()),
            other => found.last_mut().into_iter().for_each(|name| name.push(other)),
        }
    }
    found.into_iter().filter(|name| !name.is_empty()).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_may_have_spaces() {
        let list = "/t/image: /src/a.rs /my\\ src/b.rs /src/c.rs\n\n/src/a.rs:\n";
        let expected = ["/src/a.rs", "/my src/b.rs", "/src/c.rs"].map(PathBuf::from);
        assert_eq!(sources(list), expected);
        assert!(sources("").is_empty());
    }

    #[test]
    fn an_image_is_no_older_than_its_sources() {
        let folder = tempfile::tempdir().unwrap();
        let [image, source] = ["k1.elf", "main.rs"].map(|name| folder.path().join(name));
        let built = Built::at(&image);
        assert!(matches!(built.check(), Err(ImageError::Missing { .. })));

        fs::write(&image, "").unwrap();
        built.check().expect("without a list nobody knows better");

        fs::write(built.list(), format!("{}: {}\n", image.display(), source.display())).unwrap();
        let error = built.check().expect_err("the source is gone");
        assert!(error.to_string().contains("main.rs"), "{error}");

        fs::write(&source, "").unwrap();
        let now = SystemTime::now();
        let touch =
            |path: &Path, at| File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
        touch(&image, now);
        touch(&source, now - Duration::from_secs(1));
        built.check().expect("newer than its source");
        touch(&source, now + Duration::from_secs(1));
        assert!(matches!(built.check(), Err(ImageError::Stale { newer, .. }) if newer == source));
    }
}
