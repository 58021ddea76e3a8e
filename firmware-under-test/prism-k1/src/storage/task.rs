//! The storage task: the only owner of the file system.
//!
//! A call into the flash blocks the task as long as the chip is busy, up to some tens of
//! milliseconds. So everything longer is done in steps, and between two steps the frame queue of
//! playback is topped up first (seed section 3: playback is never blocked by file I/O).

use embassy_futures::select::{Either4, select4};
use embedded_storage::nor_flash::NorFlash;
use firmware_platform::Cpu;

use super::device::{BLOCK_BYTES, Live};
use super::writer::{STEP_BYTES, Writer};
use super::{
    Entry, FileId, MAX_PATTERNS, PatternName, Piece, RESERVE_BYTES, Request, Storage, StoreError, Stored,
    TASK, UploadId, Volume,
};
use crate::defect::{self, Defect};
use crate::log::Log;
use crate::playback::{Feeder, PlayError, Playback};
use crate::pool::Block;
use crate::watchdog::Watchdog;

const TAG: &str = "storage";

/// Blocks that a file of `size` bytes takes: each holds pointers to earlier ones besides data, and
/// its directory may need a pair of its own.
fn blocks_for(size: u32) -> u32 {
    size.div_ceil(BLOCK_BYTES - 16) + 2
}

/// Ends the device when it is dropped.
struct SwitchOff(Live);

impl Drop for SwitchOff {
    fn drop(&mut self) {
        self.0.end();
    }
}

struct Worker<'v, F: NorFlash, C: Cpu> {
    volume: &'v Volume<F, C>,
    storage: Storage,
    feeder: Feeder<'v, F, C>,
    upload: Option<(UploadId, Writer<'v, F, C>)>,
    template: Option<Writer<'v, F, C>>,
    /// What went wrong with the template's pieces so far.
    template_failure: Option<StoreError>,
    /// Free bytes, when nothing has changed since they were counted.
    free: Option<u32>,
    cpu: C,
    log: Log,
    watchdog: Watchdog,
}

/// The storage task's body: serves `storage` and prefetches for `playback`, for ever. Without a
/// volume it refuses everything with [`StoreError::NotMounted`].
pub async fn task<F: NorFlash, C: Cpu>(
    volume: Option<Volume<F, C>>,
    storage: Storage,
    playback: Playback,
    cpu: C,
    log: Log,
    watchdog: Watchdog,
) {
    log.info(TAG, format_args!("Storage task started on core 0"));
    let Some(volume) = volume else {
        return refuse(&storage).await;
    };
    let mut worker = Worker {
        volume: &volume,
        storage: storage.clone(),
        feeder: Feeder::new(&volume, playback, cpu.clone(), log.clone()),
        upload: None,
        template: None,
        template_failure: None,
        free: None,
        cpu,
        log,
        watchdog,
    };
    // Dropped before the worker and its open files when the board is switched off.
    let _off = SwitchOff(volume.live());
    let inner = &storage.0;
    loop {
        worker.feeder.top_up();
        worker.sweep();
        match select4(
            inner.requests.receive(),
            inner.upload.receive(),
            inner.template.receive(),
            inner.attention.wait(),
        )
        .await
        {
            Either4::First(request) => worker.serve(request),
            Either4::Second(piece) => worker.take_piece(&piece),
            Either4::Third(data) => worker.take_template(&data),
            Either4::Fourth(()) => {}
        }
    }
}

impl<'v, F: NorFlash, C: Cpu> Worker<'v, F, C> {
    fn serve(&mut self, request: Request) {
        match request {
            Request::Begin { id, name, size, reply } => reply.send(self.begin(id, name, size)),
            Request::Finish { id, crc, reply } if defect::present(Defect::StatusBeforeCommit) => {
                reply.send(self.stored_soon(id));
                let _ = self.finish(id, crc);
            }
            Request::Finish { id, crc, reply } => reply.send(self.finish(id, crc)),
            Request::Delete { name, reply } => reply.send(self.delete(name)),
            Request::List { reply } => reply.send(self.volume.patterns()),
            Request::FreeBytes { reply } => reply.send(self.free_bytes()),
            Request::Play { file, ticket, reply } => reply.send(self.feeder.start(&file, ticket)),
            Request::TemplateSize { id, reply } => reply.send(self.volume.size_of(&FileId::Template(id))),
            Request::TemplateBegin { id, reply } => reply.send(self.begin_template(id)),
            Request::TemplateFinish { crc, reply } => reply.send(self.finish_template(crc)),
        }
    }

    /// Removes what an upload left that was aborted.
    fn sweep(&mut self) {
        let storage = &self.storage;
        if let Some((_, writer)) =
            self.upload.take_if(|(id, _)| !storage.0.sessions.with(|sessions| sessions.lives(*id)))
        {
            self.log.warning("protocol", format_args!("Aborting upload session: {}", writer.id()));
            self.free = None;
            if let Err(error) = writer.discard() {
                self.log.error(TAG, format_args!("Temporary file not removed: {error}"));
            }
        }
    }

    fn free_bytes(&mut self) -> Result<u32, StoreError> {
        match self.free {
            Some(free) => Ok(free),
            None => {
                let free = self.volume.free_bytes()?;
                self.free = Some(free);
                Ok(free)
            }
        }
    }

    fn begin(&mut self, id: UploadId, name: PatternName, size: u32) -> Result<(), StoreError> {
        self.sweep();
        if !self.storage.0.sessions.with(|sessions| sessions.lives(id)) {
            return Err(StoreError::NoSession);
        }
        if defect::present(Defect::HeapStrewn) {
            id.strew();
        }
        let free = self.free_bytes()?;
        let needed = blocks_for(size).saturating_mul(BLOCK_BYTES).saturating_add(RESERVE_BYTES);
        if needed > free {
            return Err(StoreError::NoSpace);
        }
        let file = FileId::Pattern(name);
        if self.volume.size_of(&file) == Err(StoreError::NotFound)
            && self.volume.patterns()?.len() >= MAX_PATTERNS
        {
            return Err(StoreError::NoSpace);
        }
        self.feeder.top_up();
        if defect::present(Defect::UploadsMixed) && self.upload.as_ref().is_some_and(|(open, _)| *open == id)
        {
            return Ok(());
        }
        if size > 128 * 1024 && defect::present(Defect::TemplateMakesRoom) {
            // Not there any more when it made room before.
            let _ = self.volume.remove(&FileId::Template(crate::templates::CATALOGUE[0].id));
        }
        self.free = None;
        self.upload = Some((id, Writer::create(self.volume, file)?));
        Ok(())
    }

    fn take_piece(&mut self, piece: &Piece) {
        self.sweep();
        let Some((id, writer)) = self.upload.as_mut().filter(|(id, _)| *id == piece.id) else {
            return;
        };
        if self.storage.0.sessions.with(|sessions| sessions.failure(*id)).is_some() {
            return;
        }
        self.free = None;
        if writer.is_behind(piece.offset)
            && defect::present(Defect::HoleFilledWithZeros)
            && let Err(error) = writer.fill_up_to(&self.cpu, piece.offset)
        {
            self.storage.0.sessions.with(|sessions| sessions.fail(*id, error));
            return;
        }
        for step in piece.data.get(piece.skip..).unwrap_or_default().chunks(STEP_BYTES) {
            if let Err(error) = writer.step(&self.cpu, step) {
                self.log.error(TAG, format_args!("Write of '{}' failed: {error}", writer.id()));
                self.storage.0.sessions.with(|sessions| sessions.fail(*id, error));
                return;
            }
            // A long work that goes on is no hang.
            self.watchdog.check_in(TASK.core);
            self.feeder.top_up();
        }
    }

    fn finish(&mut self, id: UploadId, crc: u32) -> Result<Stored, StoreError> {
        let storage = self.storage.clone();
        while let Ok(piece) = storage.0.upload.try_receive() {
            self.take_piece(&piece);
        }
        let failure = storage.0.sessions.with(|sessions| sessions.failure(id));
        let result = match (self.upload.take(), failure) {
            (Some((_, writer)), Some(failure)) => writer.discard().and(Err(failure)).map_err(|_| failure),
            (Some((_, writer)), None) => self.publish(writer, crc),
            (None, _) => Err(StoreError::NoSession),
        };
        self.free = None;
        storage.0.sessions.with(|sessions| sessions.close(id));
        match result? {
            (FileId::Pattern(name), size) => Ok(Stored { name, size }),
            (FileId::Template(_), _) => Err(StoreError::NoSession),
        }
    }

    /// What [`finish`](Self::finish) will say if all goes well.
    fn stored_soon(&self, id: UploadId) -> Result<Stored, StoreError> {
        match &self.upload {
            Some((open, writer)) if *open == id => match writer.id() {
                FileId::Pattern(name) => Ok(Stored { name: name.clone(), size: 0 }),
                FileId::Template(_) => Err(StoreError::NoSession),
            },
            _ => Err(StoreError::NoSession),
        }
    }

    /// Gives a complete file its name. When its older version is being played, the player lets go
    /// of that first, for its blocks are free afterwards, and begins the new one.
    fn publish(&mut self, writer: Writer<'v, F, C>, crc: u32) -> Result<(FileId, u32), StoreError> {
        let (file, size) = writer.close(crc)?;
        self.feeder.top_up();
        let playing = self.feeder.release(&file);
        let renamed = self.volume.publish(&file);
        if renamed.is_err() {
            let _ = self.volume.discard(&file);
        }
        if let Some(ticket) = playing
            && let Err(error) = self.feeder.resume(&file, ticket)
        {
            self.log.warning(TAG, format_args!("'{file}' was replaced and cannot be played: {error}"));
        }
        renamed?;
        Ok((file, size))
    }

    fn delete(&mut self, name: PatternName) -> Result<(), StoreError> {
        let file = FileId::Pattern(name);
        self.volume.size_of(&file)?;
        if self.feeder.release(&file).is_some() {
            self.feeder.stop();
        }
        self.free = None;
        self.volume.remove(&file)
    }

    fn begin_template(&mut self, id: &'static str) -> Result<(), StoreError> {
        if let Some(unfinished) = self.template.take() {
            unfinished.discard()?;
        }
        self.free = None;
        self.template_failure = None;
        self.template = Some(Writer::create(self.volume, FileId::Template(id))?);
        Ok(())
    }

    fn take_template(&mut self, data: &Block) {
        let Some(writer) = self.template.as_mut() else {
            return;
        };
        self.free = None;
        for step in data.chunks(STEP_BYTES) {
            if self.template_failure.is_some() {
                return;
            }
            self.template_failure = writer.step(&self.cpu, step).err();
            // A long work that goes on is no hang.
            self.watchdog.check_in(TASK.core);
            self.feeder.top_up();
        }
    }

    fn finish_template(&mut self, crc: u32) -> Result<u32, StoreError> {
        let storage = self.storage.clone();
        while let Ok(data) = storage.0.template.try_receive() {
            self.take_template(&data);
        }
        let writer = self.template.take().ok_or(StoreError::NoSession)?;
        if let Some(failure) = self.template_failure.take() {
            return writer.discard().and(Err(failure)).map_err(|_| failure);
        }
        let (file, size) = self.publish(writer, crc)?;
        self.log.info("storage_crud", format_args!("Template written atomically: {}", file.path()));
        Ok(size)
    }
}

/// Serves when there is no file system.
async fn refuse(storage: &Storage) {
    let inner = &storage.0;
    loop {
        match select4(
            inner.requests.receive(),
            inner.upload.receive(),
            inner.template.receive(),
            inner.attention.wait(),
        )
        .await
        {
            Either4::First(request) => match request {
                Request::Begin { reply, .. }
                | Request::Delete { reply, .. }
                | Request::TemplateBegin { reply, .. } => {
                    reply.send(Err(StoreError::NotMounted));
                }
                Request::Finish { reply, id, .. } => {
                    inner.sessions.with(|sessions| sessions.close(id));
                    reply.send(Err(StoreError::NotMounted));
                }
                Request::List { reply } => {
                    reply.send(Err::<alloc::vec::Vec<Entry>, _>(StoreError::NotMounted))
                }
                Request::FreeBytes { reply }
                | Request::TemplateSize { reply, .. }
                | Request::TemplateFinish { reply, .. } => reply.send(Err(StoreError::NotMounted)),
                Request::Play { reply, .. } => reply.send(Err(PlayError::Store(StoreError::NotMounted))),
            },
            Either4::Second(_) | Either4::Third(_) | Either4::Fourth(()) => {}
        }
    }
}
