//! Pattern and template files: the handle that every task uses, and the task that owns the flash.
//!
//! Only the storage task touches the file system. Everybody else sends it requests through a
//! [`Storage`] handle. Uploads stream: at most [`UPLOAD_QUEUE`] pieces wait, and who brings the next
//! one waits too; no file is ever held in memory (specification section 11 item 22).

use alloc::vec::Vec;

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::signal::Signal;
use firmware_platform::{Core, TaskSpec};

use crate::guarded::{Guarded, assert_shareable};
use crate::memory::Memory;
use crate::playback::{PlayError, Started};
use crate::pool::Block;

mod device;
mod error;
pub mod name;
#[cfg(test)]
pub(crate) mod ram_flash;
mod session;
mod task;
#[cfg(test)]
mod tests;
mod volume;
mod writer;

pub use error::StoreError;
pub use name::PatternName;
use portable_atomic_util::Arc;
use session::Sessions;
pub use session::UploadId;
pub use task::task;
pub(crate) use volume::{FileId, VolumeFile};
pub use volume::{MountError, Volume, mount};

/// Bytes that a pattern file has at most: 256 KiB (seed section 2).
pub const MAX_FILE_BYTES: u32 = 262_144;
/// Patterns that can be stored (templates not counted). The sources leave it open (specification
/// section 11 item 23); this keeps the memory that a listing needs below 5 KB.
pub const MAX_PATTERNS: usize = 64;
/// Bytes that uploads leave free for the file system's own needs: 100 KiB (seed section 2).
pub const RESERVE_BYTES: u32 = 100 * 1024;
/// Pieces of an upload that wait for the flash: with the one being written and two clients'
/// buffers these are five of the pool's eight blocks of 4096 bytes.
pub const UPLOAD_QUEUE: usize = 2;

/// How the storage task is to run (seed section 3).
pub const TASK: TaskSpec = TaskSpec { name: "storage", priority: 4, stack_bytes: 6144, core: Core::Zero };

/// A stored pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its name in normal form.
    pub name: PatternName,
    /// Bytes.
    pub size: u32,
}

/// What an upload has become.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// The name in normal form.
    pub name: PatternName,
    /// Bytes.
    pub size: u32,
}

struct Reply<T>(Arc<Signal<CriticalSectionRawMutex, T>>);

impl<T: Send> Reply<T> {
    fn send(self, answer: T) {
        self.0.signal(answer);
    }
}

/// A request to the storage task.
enum Request {
    Begin { id: UploadId, name: PatternName, size: u32, reply: Reply<Result<(), StoreError>> },
    Finish { id: UploadId, crc: u32, reply: Reply<Result<Stored, StoreError>> },
    Delete { name: PatternName, reply: Reply<Result<(), StoreError>> },
    List { reply: Reply<Result<Vec<Entry>, StoreError>> },
    FreeBytes { reply: Reply<Result<u32, StoreError>> },
    Play { file: FileId, ticket: u32, reply: Reply<Result<Started, PlayError>> },
    TemplateSize { id: &'static str, reply: Reply<Result<u32, StoreError>> },
    TemplateBegin { id: &'static str, reply: Reply<Result<(), StoreError>> },
    TemplateFinish { crc: u32, reply: Reply<Result<u32, StoreError>> },
}

/// A piece of an upload on its way to the flash.
struct Piece {
    id: UploadId,
    /// Where in the file it begins, in bytes.
    offset: u32,
    data: Block,
    /// Leading bytes of `data` that are not file content.
    skip: usize,
}

/// Bytes that a request to the storage task takes: the place of its answer.
const REQUEST_BYTES: usize = 512;

const _: () = assert_shareable::<Request>();
const _: () = assert_shareable::<Piece>();
const _: () = assert_shareable::<Guarded<Sessions>>();

struct Inner {
    memory: Memory,
    sessions: Guarded<Sessions>,
    requests: Channel<CriticalSectionRawMutex, Request, 4>,
    upload: Channel<CriticalSectionRawMutex, Piece, UPLOAD_QUEUE>,
    template: Channel<CriticalSectionRawMutex, Block, 1>,
    /// There is something to tidy up or to prefetch.
    attention: Signal<CriticalSectionRawMutex, ()>,
}

/// A handle to the storage; clones share it. Serves nothing until [`task()`] runs.
#[derive(Clone)]
pub struct Storage(Arc<Inner>);

impl Storage {
    /// A storage without its task yet.
    // Not `Send` because of the chip's handle in Memory; everything else is asserted to be shareable.
    #[must_use]
    pub fn new(memory: Memory) -> Self {
        Self(Arc::new(Inner {
            memory,
            sessions: Guarded::default(),
            requests: Channel::new(),
            upload: Channel::new(),
            template: Channel::new(),
            attention: Signal::new(),
        }))
    }

    /// Whether there is memory for `bytes` more.
    pub(crate) fn has_memory(&self, bytes: usize) -> bool {
        self.0.memory.has(bytes)
    }

    async fn ask<T: Send, E: From<StoreError> + Send>(
        &self,
        request: impl FnOnce(Reply<Result<T, E>>) -> Request,
    ) -> Result<T, E> {
        if !self.0.memory.has(REQUEST_BYTES) {
            return Err(StoreError::NoMemory.into());
        }
        // Shared, so that an answer to somebody who has gone meanwhile reaches nobody else.
        let reply = Arc::new(Signal::new());
        self.0.requests.send(request(Reply(Arc::clone(&reply)))).await;
        reply.wait().await
    }

    /// Opens the upload of a file of `size` bytes.
    ///
    /// # Errors
    /// [`StoreError::SizeExceeded`] for a size outside `1..=`[`MAX_FILE_BYTES`] and
    /// [`StoreError::Busy`] while another upload is in progress, both at once;
    /// [`StoreError::NoSpace`], [`StoreError::NoMemory`], [`StoreError::NotMounted`] or
    /// [`StoreError::Io`] after a look at the file system.
    pub async fn begin(&self, name: &PatternName, size: u32) -> Result<UploadId, StoreError> {
        let id = self.0.sessions.with(|sessions| sessions.open(size))?;
        let opening = Opening { storage: self, id };
        self.ask(|reply| Request::Begin { id, name: name.clone(), size, reply }).await?;
        core::mem::forget(opening);
        Ok(id)
    }

    /// Hands over the next piece of the file. Waits while [`UPLOAD_QUEUE`] pieces wait for the
    /// flash; an empty piece is checked and dropped.
    ///
    /// # Errors
    /// Refusals come before any wait: [`StoreError::NoSession`];
    /// [`StoreError::OutOfOrder`], after which the upload goes on;
    /// [`StoreError::SizeExceeded`] and a failure of an earlier piece ([`StoreError::Io`],
    /// [`StoreError::NoSpace`]), which end the upload.
    pub async fn append(&self, id: UploadId, offset: u32, data: Block) -> Result<(), StoreError> {
        self.append_from(id, offset, data, 0).await
    }

    /// Like [`append`](Self::append), for a block whose first `skip` bytes are not file content.
    ///
    /// # Errors
    /// As for [`append`](Self::append).
    pub async fn append_from(
        &self,
        id: UploadId,
        offset: u32,
        data: Block,
        skip: usize,
    ) -> Result<(), StoreError> {
        let len = data.len().saturating_sub(skip);
        self.0.sessions.with(|sessions| sessions.accept(id, offset, len))?;
        if len == 0 {
            return Ok(());
        }
        self.0.upload.send(Piece { id, offset, data, skip }).await;
        self.0.sessions.with(|sessions| sessions.check(id))
    }

    /// Ends the upload: waits until everything is in the flash, compares the CRC-32 of what
    /// arrived with `crc`, and puts the file in the place of an older one of its name. From the
    /// call on the upload cannot be aborted any more, and goes on when this future is dropped.
    ///
    /// # Errors
    /// [`StoreError::NoSession`], [`StoreError::Incomplete`], [`StoreError::CrcMismatch`] and what
    /// the flash reports. After any of them the upload is over and an older file is untouched.
    pub async fn finish(&self, id: UploadId, crc: u32) -> Result<Stored, StoreError> {
        if !self.0.memory.has(REQUEST_BYTES) {
            // Before the end is announced, which nobody could take back.
            self.abort(id);
            return Err(StoreError::NoMemory);
        }
        let announced = self.0.sessions.with(|sessions| sessions.finish(id));
        if let Err(error) = announced {
            self.0.attention.signal(());
            return Err(error);
        }
        self.ask(|reply| Request::Finish { id, crc, reply }).await
    }

    /// Gives the upload up; its data is removed in the background and the next upload can begin at
    /// once. Does nothing when the upload is over or its end was announced.
    pub fn abort(&self, id: UploadId) {
        self.0.sessions.with(|sessions| sessions.abort(id));
        self.0.attention.signal(());
    }

    /// Removes a pattern. One that is being played stops.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::NotMounted`], [`StoreError::Io`].
    pub async fn delete(&self, name: &PatternName) -> Result<(), StoreError> {
        self.ask(|reply| Request::Delete { name: name.clone(), reply }).await
    }

    /// The stored patterns by name, without the templates.
    ///
    /// # Errors
    /// [`StoreError::NotMounted`], [`StoreError::Io`].
    pub async fn list(&self) -> Result<Vec<Entry>, StoreError> {
        self.ask(|reply| Request::List { reply }).await
    }

    /// Bytes in the file system that nothing uses.
    ///
    /// # Errors
    /// [`StoreError::NotMounted`], [`StoreError::Io`].
    pub async fn free_bytes(&self) -> Result<u32, StoreError> {
        self.ask(|reply| Request::FreeBytes { reply }).await
    }

    /// Checks a file and makes it the one that is prefetched. `ticket` is what
    /// [`Playback`](crate::playback::Playback) counted as stops when it was asked.
    pub(crate) async fn play(&self, file: FileId, ticket: u32) -> Result<Started, PlayError> {
        self.ask(|reply| Request::Play { file, ticket, reply }).await
    }

    /// Wakes the storage task: there is room in the frame queue.
    pub(crate) fn wake(&self) {
        self.0.attention.signal(());
    }

    pub(crate) async fn template_size(&self, id: &'static str) -> Result<u32, StoreError> {
        self.ask(|reply| Request::TemplateSize { id, reply }).await
    }

    /// Opens a template for writing. Independent of uploads, and one at a time as well: a second
    /// one takes the place of the first.
    pub(crate) async fn template_begin(&self, id: &'static str) -> Result<(), StoreError> {
        self.ask(|reply| Request::TemplateBegin { id, reply }).await
    }

    /// Hands over the next piece of the template. Errors surface at its end.
    pub(crate) async fn template_append(&self, data: Block) {
        self.0.template.send(data).await;
    }

    /// Ends the template as [`finish`](Self::finish) does an upload, and says its bytes.
    pub(crate) async fn template_finish(&self, crc: u32) -> Result<u32, StoreError> {
        self.ask(|reply| Request::TemplateFinish { crc, reply }).await
    }
}

/// Closes a session again whose opener went away or was refused.
struct Opening<'s> {
    storage: &'s Storage,
    id: UploadId,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.storage.abort(self.id);
    }
}
