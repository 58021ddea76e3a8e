//! The finished image, where rig files name it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rigor_image::{Built, Image, ImageError};

use crate::error::TaskError;
use crate::port::{Port, Variant};

/// Puts what cargo built where rig files name it, with the list of its sources beside it, and looks at
/// it. `begun` is when the build began: what has changed since is newer than the image.
///
/// # Errors
/// [`TaskError`] if it is no image, or cannot be kept.
pub(crate) fn deliver(port: &Port, variant: Variant, begun: SystemTime) -> Result<Image, TaskError> {
    let artefact = port.artefact();
    let image = Image::read(&artefact)?;
    let path = port.image(variant);
    let folder = path.parent().unwrap_or(&path);
    fs::create_dir_all(folder).map_err(TaskError::io("make the folder", folder))?;
    // The list first: an image with the list of an older one might pass for newer than it is.
    let list = fs::read_to_string(artefact.with_extension("d")).unwrap_or_default();
    put(&Built::at(&path).list(), list_of_sources(&path, &list, port).as_bytes(), begun)?;
    // Cargo itself writes the lock file, after it has begun.
    let locked = fs::metadata(port.folder().join("Cargo.lock")).and_then(|about| about.modified());
    put(&path, image.bytes(), locked.map_or(begun, |locked| locked.max(begun)))?;
    Image::read(&path).map_err(TaskError::from)
}

/// Writes a file whole or not at all, as of `time`.
pub(crate) fn put(path: &Path, bytes: &[u8], time: SystemTime) -> Result<(), TaskError> {
    let unfinished = path.with_added_extension("unfinished");
    fs::write(&unfinished, bytes).map_err(TaskError::io("write", &unfinished))?;
    let dated = File::options().write(true).open(&unfinished).and_then(|file| file.set_modified(time));
    dated.map_err(TaskError::io("date", &unfinished))?;
    fs::rename(&unfinished, path).map_err(TaskError::io("rename to", path))
}

/// The list for `image` of what cargo's own list names, without what the build made itself, and with
/// what cargo leaves out.
fn list_of_sources(image: &Path, cargos: &str, port: &Port) -> String {
    let escaped = |path: &Path| path.display().to_string().replace(' ', "\\ ");
    let made = format!("{}/", escaped(&port.target()));
    let (_, sources) = cargos.lines().next().and_then(|line| line.split_once(": ")).unwrap_or_default();
    // A space in a name follows a backslash.
    let mut names: Vec<String> = Vec::new();
    let mut joined = false;
    for word in sources.split(' ') {
        match names.last_mut().filter(|_| joined) {
            Some(name) => *name = format!("{name} {word}"),
            None => names.push(word.to_owned()),
        }
        joined = word.ends_with('\\');
    }
    names.retain(|name| !name.is_empty() && !name.starts_with(&made));
    names.extend(port.manifests().iter().map(|path| escaped(path)));
    format!("{}: {}\n", escaped(image), names.join(" "))
}

/// Tells of the image: its path, its hash, and what it takes.
pub(crate) fn tell(image: &Image) {
    println!("{}\n  sha256 {}\n{}", image.path().display(), image.sha256(), image.sizes());
}

/// Tells of all images that there are, and of those that are older than their sources.
///
/// # Errors
/// [`TaskError::Image`] if there is none.
pub(crate) fn tell_all(port: &Port) -> Result<(), TaskError> {
    let paths: Vec<PathBuf> = Variant::ALL.iter().map(|&variant| port.image(variant)).collect();
    if let Some(path) = paths.first().filter(|_| paths.iter().all(|path| !path.exists())) {
        return Err(ImageError::Missing { path: path.clone() }.into());
    }
    for path in paths.iter().filter(|path| path.exists()) {
        tell(&Image::read(path)?);
        if let Err(stale) = Built::at(path).check() {
            println!("  {stale}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PANIC: &[u8] = include_bytes!("../../../harness/image/tests/fixtures/panic.elf");

    #[test]
    fn an_image_is_delivered_with_its_sources() {
        let root = tempfile::tempdir().unwrap();
        let port = Port::qemu_virt(root.path());
        let source = port.folder().join("src/my main.rs");
        for folder in [port.artefact().parent().unwrap(), source.parent().unwrap()] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(&source, "").unwrap();
        fs::write(port.folder().join("Cargo.toml"), "").unwrap();
        fs::write(port.artefact(), PANIC).unwrap();
        let made = port.target().join("riscv/release/build/out/made.rs");
        let name = source.display().to_string().replace(' ', "\\ ");
        let list = format!("{}: {name} {}\n", port.artefact().display(), made.display());
        fs::write(port.artefact().with_extension("d"), list).unwrap();

        let begun = SystemTime::now() + Duration::from_secs(1);
        let image = deliver(&port, Variant::Suite, begun).unwrap();
        let built = Built::at(port.image(Variant::Suite));
        assert_eq!(image.path(), port.image(Variant::Suite));
        assert_eq!(image.bytes(), PANIC);
        let list = fs::read_to_string(built.list()).unwrap();
        assert!(list.contains("Cargo.toml") && !list.contains("made.rs"), "{list}");
        built.check().expect("it is newer than its sources");

        let later = begun + Duration::from_secs(1);
        File::options().write(true).open(&source).unwrap().set_modified(later).unwrap();
        let error = built.check().expect_err("somebody has changed its source").to_string();
        assert!(error.contains("src/my main.rs"), "{error}");
        let left = fs::read_dir(built.list().parent().unwrap()).unwrap().count();
        assert_eq!(left, 2, "nothing unfinished remains");
    }

    #[test]
    fn what_is_no_image_is_not_delivered() {
        let root = tempfile::tempdir().unwrap();
        let port = Port::qemu_virt(root.path());
        fs::create_dir_all(port.artefact().parent().unwrap()).unwrap();
        fs::write(port.artefact(), "#!/bin/sh").unwrap();
        let error = deliver(&port, Variant::Suite, SystemTime::now()).expect_err("a script");
        assert_eq!(error.exit_code(), 1);
        assert!(!port.image(Variant::Suite).exists());
    }
}
