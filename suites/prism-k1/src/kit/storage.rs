//! The device's storage, as a programmer reads it from the flash chip.

use std::collections::BTreeMap;

use littlefs_rust::{Config, Filesystem, RamStorage, Storage as _};
use rigor_core::verdict::{Blame, HarnessError, Inconclusive, ProductError, RigError};
use rigor_runner::need::{Bench, Console, Flash, Missing, Need};

use super::{LITTLEFS_ADDRESS, LITTLEFS_BLOCK_BYTES, LITTLEFS_BYTES, settled};

/// The littlefs partition on the chip.
///
/// On a rig whose programmer [interrupts](Flash::interrupts) the firmware, each look at it restarts the
/// device and waits until it has settled again. What the device shows and whom it talks to is over then,
/// so a case looks when it has ended its connections, and lets the device play again after it.
pub struct Storage {
    bench: Bench,
    flash: Flash,
}

impl Storage {
    /// The chip that it is on.
    pub fn chip(&self) -> &Flash {
        &self.flash
    }

    /// Whether the firmware runs on while the chip is read.
    ///
    /// # Errors
    /// The rig's, if its programmer cannot tell.
    pub fn is_read_beside_firmware(&self) -> Result<bool, Blame> {
        Ok(!self.flash.interrupts()?)
    }

    /// All bytes of the partition.
    ///
    /// # Errors
    /// The rig's, if its programmer fails; that nothing can be concluded, if the firmware had to be
    /// interrupted while the case has connections to it; the product's, if it does not settle again.
    pub async fn image(&self) -> Result<Vec<u8>, Blame> {
        let read = || self.flash.read(LITTLEFS_ADDRESS, LITTLEFS_BYTES);
        if self.is_read_beside_firmware()? {
            return read();
        }
        if self.bench.is_talking() {
            let why =
                "to read the flash chip restarts the device on this rig, and the case has connections to it";
            return Err(Inconclusive(why.to_owned()).into());
        }
        let mut console = Console::take(&self.bench).map_err(|missing| RigError(missing.to_string()))?;
        console.skip_what_was_said();
        let image = read()?;
        settled(&mut console).await?;
        Ok(image)
    }

    /// A copy of the partition, mounted.
    ///
    /// # Errors
    /// As [`image`](Self::image); the product's, if the partition holds no file system that can be mounted.
    pub async fn mounted(&self) -> Result<Filesystem<RamStorage>, Blame> {
        mount(&self.image().await?)
    }

    /// The files in the storage, by path.
    ///
    /// # Errors
    /// As [`mounted`](Self::mounted).
    pub async fn files(&self) -> Result<BTreeMap<String, Vec<u8>>, Blame> {
        files_of(&self.mounted().await?)
    }
}

/// A copy of the partition whose bytes are `image`, mounted.
///
/// # Errors
/// The product's, if it holds no file system that can be mounted.
pub fn mount(image: &[u8]) -> Result<Filesystem<RamStorage>, Blame> {
    let blocks = LITTLEFS_BYTES / LITTLEFS_BLOCK_BYTES;
    let mut storage = RamStorage::new(LITTLEFS_BLOCK_BYTES, blocks);
    for (block, bytes) in image.chunks(LITTLEFS_BLOCK_BYTES as usize).enumerate() {
        storage.erase(block as u32).and_then(|()| storage.write(block as u32, 0, bytes)).map_err(
            |error| HarnessError(format!("the copy of the partition cannot be written: {error:?}")),
        )?;
    }
    let mounted = Filesystem::mount(storage, Config::new(LITTLEFS_BLOCK_BYTES, blocks));
    Ok(mounted.map_err(|(error, _)| broken("does not mount", error))?)
}

/// The files of a file system, by path.
///
/// # Errors
/// The product's, if one cannot be read.
pub fn files_of(fs: &Filesystem<RamStorage>) -> Result<BTreeMap<String, Vec<u8>>, Blame> {
    let mut files = BTreeMap::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let at = if folder.is_empty() { "/" } else { &folder };
        for entry in fs.list_dir(at).map_err(|error| broken(at, error))? {
            let path = format!("{folder}/{}", entry.name);
            match entry.file_type {
                littlefs_rust::FileType::Dir => folders.push(path),
                littlefs_rust::FileType::File => {
                    let bytes = fs.read_to_vec(&path).map_err(|error| broken(&path, error))?;
                    files.insert(path, bytes);
                }
            }
        }
    }
    Ok(files)
}

fn broken(what: &str, error: littlefs_rust::Error) -> ProductError {
    ProductError(format!("the littlefs partition: {what}: {error:?}"))
}

impl Need for Storage {
    fn take(bench: &Bench) -> Result<Self, Missing> {
        Ok(Storage { bench: bench.clone(), flash: Flash::take(bench)? })
    }
}
