//! The mounted file system and where things lie in it.
//!
//! Specification section 6.4: `/patterns/<name>.bin` and `/templates/<id>`. A file that is being
//! written has a name that no pattern or template can have, and takes its final name by one rename,
//! which LittleFS does in one commit: a power cut leaves the old file or the new one.

use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use embedded_storage::nor_flash::NorFlash;
use firmware_platform::Cpu;
use littlefs_rust::{Error, File, FileType, Filesystem, OpenFlags};

use super::device::{BLOCK_BYTES, Device, Live};
use super::{Entry, MAX_PATTERNS, PatternName, StoreError};
use crate::defect::{self, Defect};
use crate::log::Log;
use crate::memory::Memory;
use crate::partition::Partition;

/// Where the seed puts the partition (seed section 2).
const EXPECTED_OFFSET: u32 = 0x32_0000;
/// How big it must be (seed section 2; specification section 5: any other size is an error).
const EXPECTED_BYTES: u32 = 0x18_0000;
const TAG: &str = "storage";

/// An open file of a [`Volume`].
pub(crate) type VolumeFile<'v, F, C> = File<'v, Device<F, C>>;

/// Why there is no file system to work with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MountError {
    /// The partition has not the size that the seed demands.
    Size {
        /// Its bytes.
        found: u32,
    },
    /// Formatting, or the flash chip itself, failed.
    Flash,
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { found } => write!(f, "partition size 0x{found:x}, expected 0x{EXPECTED_BYTES:x}"),
            Self::Flash => f.write_str("flash or format failed"),
        }
    }
}

impl core::error::Error for MountError {}

/// A path, NUL-free and short enough for every name that exists.
pub(crate) type Path = heapless::String<96>;

/// What a file is, and so where it lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum FileId {
    Pattern(PatternName),
    /// By its id in the catalogue.
    Template(&'static str),
}

impl FileId {
    pub(crate) fn path(&self) -> Path {
        let mut path = Path::new();
        // The longest, `/patterns/` with 63 bytes and `.bin`, has 77 bytes.
        let _ = match self {
            Self::Pattern(name) => write!(path, "/patterns/{name}.bin"),
            Self::Template(id) => write!(path, "/templates/{id}"),
        };
        path
    }

    /// Where the file is while it is being written. The dot keeps it apart from finished ones.
    pub(crate) fn temporary(&self) -> &'static str {
        match self {
            Self::Pattern(_) => UPLOAD_TEMPORARY,
            Self::Template(_) => TEMPLATE_TEMPORARY,
        }
    }
}

/// Whether `file` is written where it will be read.
fn in_place(file: &FileId) -> bool {
    defect::present(Defect::TemplateInPlace) && matches!(file, FileId::Template(_))
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(name) => write!(f, "{name}"),
            Self::Template(id) => write!(f, "template:{id}"),
        }
    }
}

const PATTERNS: &str = "/patterns";
const TEMPLATES: &str = "/templates";
const UPLOAD_TEMPORARY: &str = "/patterns/upload.tmp";
const TEMPLATE_TEMPORARY: &str = "/templates/new.tmp";
const EXTENSION: &str = ".bin";

/// The file system in the partition `littlefs`, mounted.
pub struct Volume<F: NorFlash, C: Cpu> {
    fs: Filesystem<Device<F, C>>,
    blocks: u32,
    live: Live,
    memory: Memory,
}

/// Bytes that the file system takes for a path or two.
const PATH_BYTES: usize = 512;
/// Bytes that it takes for an open file: its buffer, its state, its path.
const FILE_BYTES: usize = 2 * 1024;
/// Bytes of a listing while it grows, with the file system's own place in the directory.
const LISTING_BYTES: usize = 2 * MAX_PATTERNS * size_of::<Entry>() + 1024;

/// Mounts the file system in `partition`, after formatting it when it holds none (specification
/// section 6.4), makes the directories and removes what an interrupted upload left.
/// Logs the lines of specification section 9 item 8.
///
/// # Errors
/// [`MountError::Size`] for a partition of another size than the seed's, [`MountError::Flash`]
/// when the flash fails.
pub fn mount<F: NorFlash, C: Cpu>(
    flash: F,
    cpu: C,
    log: &Log,
    memory: Memory,
    partition: Partition,
) -> Result<Volume<F, C>, MountError> {
    let point = if defect::present(Defect::OtherMountPoint) { "/spiffs" } else { "/littlefs" };
    log.info(TAG, format_args!("Initializing LittleFS at {point}"));
    log.info(
        TAG,
        format_args!("Found partition: offset=0x{:x} size=0x{:x}", partition.offset, partition.size),
    );
    if partition.offset != EXPECTED_OFFSET {
        log.warning(
            TAG,
            format_args!(
                "Partition offset mismatch: Expected 0x{EXPECTED_OFFSET:x}, got 0x{:x}",
                partition.offset
            ),
        );
    }
    if partition.size != EXPECTED_BYTES {
        return Err(MountError::Size { found: partition.size });
    }
    let mut partition = partition;
    if defect::present(Defect::FileSystemShifted) {
        partition.offset += BLOCK_BYTES;
        partition.size -= BLOCK_BYTES;
    }
    if defect::present(Defect::FileSystemSmall) {
        partition.size = 140 * BLOCK_BYTES;
    }
    let device = Device::new(flash, cpu, partition);
    let blocks = device.blocks();
    let live = device.live();
    let config = device.config();
    let again = device.config();
    let fs = match Filesystem::mount(device, config) {
        Ok(fs) if defect::present(Defect::FormatAfterCut) && fs.exists(UPLOAD_TEMPORARY) => {
            let mut device = fs.unmount().map_err(|_| MountError::Flash)?;
            Filesystem::format(&mut device, &again).map_err(|_| MountError::Flash)?;
            Filesystem::mount(device, again).map_err(|_| MountError::Flash)?
        }
        Ok(fs) => fs,
        Err((Error::Io, _)) => return Err(MountError::Flash),
        Err((error, mut device)) => {
            log.warning(TAG, format_args!("Mount failed ({error}), formatting"));
            Filesystem::format(&mut device, &again).map_err(|_| MountError::Flash)?;
            Filesystem::mount(device, again).map_err(|_| MountError::Flash)?
        }
    };
    let volume = Volume { fs, blocks, live, memory };
    volume.prepare().map_err(|_| MountError::Flash)?;
    let used = volume.used_bytes().map_err(|_| MountError::Flash)?;
    let total = blocks * BLOCK_BYTES;
    log.info(
        TAG,
        format_args!(
            "LittleFS: total={} KB, used={} KB, free={} KB",
            total / 1024,
            used / 1024,
            total.saturating_sub(used) / 1024
        ),
    );
    log.info(TAG, format_args!("Storage subsystem initialized successfully"));
    Ok(volume)
}

impl<F: NorFlash, C: Cpu> Volume<F, C> {
    fn prepare(&self) -> Result<(), StoreError> {
        for directory in [PATTERNS, TEMPLATES] {
            match self.fs.mkdir(directory) {
                Ok(()) | Err(Error::Exists) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for temporary in [UPLOAD_TEMPORARY, TEMPLATE_TEMPORARY] {
            self.remove_path(temporary)?;
        }
        if defect::present(Defect::PatternsLostAtStart) {
            for entry in self.patterns()? {
                self.remove(&FileId::Pattern(entry.name))?;
            }
        }
        Ok(())
    }

    /// The switch of the device below.
    pub(crate) fn live(&self) -> Live {
        self.live.clone()
    }

    /// Whether there is memory for `bytes` more.
    pub(crate) fn has_memory(&self, bytes: usize) -> bool {
        self.memory.has(bytes)
    }

    fn need(&self, bytes: usize) -> Result<(), StoreError> {
        if self.has_memory(bytes) { Ok(()) } else { Err(StoreError::NoMemory) }
    }

    /// Removes what may not be there.
    fn remove_path(&self, path: &str) -> Result<(), StoreError> {
        self.need(PATH_BYTES)?;
        match self.fs.remove(path) {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Bytes in blocks that nothing uses.
    pub(crate) fn free_bytes(&self) -> Result<u32, StoreError> {
        Ok((self.blocks * BLOCK_BYTES).saturating_sub(self.used_bytes()?))
    }

    fn used_bytes(&self) -> Result<u32, StoreError> {
        Ok(self.fs.fs_size()?.saturating_mul(BLOCK_BYTES))
    }

    /// Bytes of a file.
    pub(crate) fn size_of(&self, file: &FileId) -> Result<u32, StoreError> {
        self.need(PATH_BYTES)?;
        Ok(self.fs.stat(&file.path())?.size)
    }

    /// Opens a file for reading.
    pub(crate) fn open(&self, file: &FileId) -> Result<VolumeFile<'_, F, C>, StoreError> {
        self.need(FILE_BYTES)?;
        Ok(self.fs.open(&file.path(), OpenFlags::READ)?)
    }

    /// Opens the empty file that is to become `file`.
    pub(crate) fn create(&self, file: &FileId) -> Result<VolumeFile<'_, F, C>, StoreError> {
        self.need(FILE_BYTES)?;
        if defect::present(Defect::OldFileFirst) {
            self.remove_path(&file.path())?;
        }
        let own = file.path();
        let path = if in_place(file) { &own } else { file.temporary() };
        Ok(self.fs.open(path, OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNC)?)
    }

    /// Gives the written file its name, in place of an older file of that name.
    pub(crate) fn publish(&self, file: &FileId) -> Result<(), StoreError> {
        if in_place(file) {
            return Ok(());
        }
        self.need(PATH_BYTES)?;
        Ok(self.fs.rename(file.temporary(), &file.path())?)
    }

    /// Removes the file that was to become `file`.
    pub(crate) fn discard(&self, file: &FileId) -> Result<(), StoreError> {
        self.remove_path(file.temporary())
    }

    /// Removes a file.
    pub(crate) fn remove(&self, file: &FileId) -> Result<(), StoreError> {
        self.need(PATH_BYTES)?;
        Ok(self.fs.remove(&file.path())?)
    }

    /// The stored patterns in the file system's order (by name), at most [`MAX_PATTERNS`].
    pub(crate) fn patterns(&self) -> Result<Vec<Entry>, StoreError> {
        self.need(LISTING_BYTES)?;
        let mut found = Vec::new();
        for item in self.fs.read_dir(PATTERNS)? {
            let item = item?;
            // Reading the directory takes time, in which others may have taken memory.
            self.need(LISTING_BYTES)?;
            let name = item.name.strip_suffix(EXTENSION).and_then(PatternName::of_stored);
            if let (FileType::File, Some(name)) = (item.file_type, name)
                && found.len() < MAX_PATTERNS
            {
                found.push(Entry { name, size: item.size });
            }
        }
        Ok(found)
    }
}
