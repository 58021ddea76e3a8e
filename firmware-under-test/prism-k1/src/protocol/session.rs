//! What a WebSocket client's messages do: one session for each connection.
//!
//! Specification section 2 says which refusals end the connection: all but those of DELETE and
//! LIST. Every refusal sends an ERROR frame first.

use embassy_time::{Duration, Instant, Timer};
use firmware_platform::Cpu;

use super::framed::{self, DeviceStatus, ListWriter};
use super::upload::Upload;
use super::{ErrorCode, Refusal, seed};
use crate::defect::{self, Defect};
use crate::log::Log;
use crate::net::{Handler, Reaction, Reply};
use crate::pattern::PatternError;
use crate::playback::{PlayError, Playback};
use crate::pool::{Block, Pools};
use crate::storage::{PatternName, Storage, StoreError};
use crate::templates;
use crate::{LED_COUNT, TEMPLATE_COUNT, VERSION, WS_MESSAGE_MAX, cost};

/// How long a message waits for a block of memory, which the storage frees as it writes.
const MEMORY_DEADLINE: Duration = Duration::from_secs(5);
/// How often it looks.
const MEMORY_RETRY: Duration = Duration::from_millis(5);

const NO_MEMORY: Refusal = Refusal::new(ErrorCode::Storage, "no memory");

impl From<PlayError> for Refusal {
    fn from(error: PlayError) -> Self {
        match error {
            PlayError::NotFound if defect::present(Defect::NotFoundIsStorageError) => {
                Self::new(ErrorCode::Storage, "play failed")
            }
            PlayError::NotFound => Self::new(ErrorCode::NotFound, "not found"),
            PlayError::NotPlayable(_) => Self::new(ErrorCode::Storage, "play failed: not a playable pattern"),
            PlayError::Stopped => Self::new(ErrorCode::Storage, "play failed: stopped meanwhile"),
            PlayError::Store(error) => error.into(),
        }
    }
}

/// What every session works with.
#[derive(Clone)]
pub struct Services<C> {
    /// To charge the work to.
    pub cpu: C,
    /// Where buffers come from.
    pub pools: Pools,
    /// Where it is told.
    pub log: Log,
    /// The files.
    pub storage: Storage,
    /// The LEDs.
    pub playback: Playback,
}

/// One connection's session.
pub struct Session<C> {
    services: Services<C>,
    upload: Upload,
}

impl<C: Cpu> Session<C> {
    /// A session in which nothing was said yet.
    pub fn new(services: Services<C>) -> Self {
        let upload = Upload::new(services.storage.clone(), services.log.clone());
        Self { services, upload }
    }

    /// Waits for a block of the longest message's size.
    async fn block(&self) -> Result<Block, Refusal> {
        let deadline = Instant::now() + MEMORY_DEADLINE;
        loop {
            match self.services.pools.alloc(WS_MESSAGE_MAX) {
                Some(block) => return Ok(block),
                None if Instant::now() >= deadline => return Err(NO_MEMORY),
                None => Timer::after(MEMORY_RETRY).await,
            }
        }
    }

    /// Moves the message on to the storage as it is, and puts a fresh block in its place: no byte
    /// is copied. File content is `skip..end` of the message.
    async fn data(
        &mut self,
        buffer: &mut Block,
        offset: u32,
        skip: usize,
        end: usize,
    ) -> Result<Reply, Refusal> {
        if !self.upload.is_open() && defect::present(Defect::StrayMessagesIgnored) {
            return Ok(Reply::None);
        }
        if defect::present(Defect::SlowChunks) {
            Timer::after(Duration::from_millis(60)).await;
        }
        if !self.upload.is_open() {
            return Err(Refusal::invalid("no upload in progress"));
        }
        let fresh = self.block().await?;
        let mut message = core::mem::replace(buffer, fresh);
        message.truncate(end);
        self.upload.data(offset, message, skip).await?;
        Ok(Reply::None)
    }

    async fn begin(&mut self, name: &PatternName, size: u32, crc: Option<u32>) -> Result<Reply, Refusal> {
        if defect::present(Defect::UploadLeaksBlock) {
            core::mem::forget(self.services.pools.alloc(1024).ok_or(NO_MEMORY)?);
        }
        if defect::present(Defect::UploadLeaksMemory) {
            core::mem::forget(core::hint::black_box(alloc::vec![0_u8; 128]));
        }
        self.upload.begin(name, size, crc).await?;
        Ok(Reply::None)
    }

    async fn serve_seed(&mut self, buffer: &mut Block, len: usize) -> Result<Reply, Refusal> {
        match seed::parse(&buffer[..len])? {
            seed::Request::PutBegin { size } => self.begin(&PatternName::unnamed(), size, None).await,
            seed::Request::PutData { offset, data } => {
                let skip = len - data.len();
                self.data(buffer, offset, skip, len).await
            }
            seed::Request::PutEnd { crc } => {
                let name = self.upload.end(Some(crc)).await?;
                // The profile has no other way to play (specification section 11 row 30). What
                // cannot be played is stored nevertheless: files are opaque (row 25).
                if defect::present(Defect::NoAutoplay) {
                    return Ok(Reply::Short(framed::stored(&name)));
                }
                if let Err(error) = self.services.playback.play(&name).await {
                    if defect::present(Defect::UnsoundFileRefused)
                        && matches!(error, PlayError::NotPlayable(why) if why != PatternError::Unknown)
                    {
                        self.services.storage.delete(&name).await?;
                        return Err(error.into());
                    }
                    self.services.log.warning("protocol", format_args!("'{name}' cannot be played: {error}"));
                }
                Ok(Reply::Short(framed::stored(&name)))
            }
        }
    }

    async fn serve_framed(&mut self, buffer: &mut Block, len: usize) -> Result<Reply, Refusal> {
        self.services.cpu.work(cost::times(cost::CRC_PER_BYTE, len));
        let Services { playback, storage, .. } = &self.services;
        let reply = match framed::parse(&buffer[..len])? {
            framed::Request::PutBegin { name, size, crc } => {
                return self.begin(&PatternName::normalised(name), size, Some(crc)).await;
            }
            framed::Request::PutData { offset, data } => {
                let end = len - 4;
                let skip = end - data.len();
                return self.data(buffer, offset, skip, end).await;
            }
            framed::Request::PutEnd => {
                let name = self.upload.end(None).await?;
                if defect::present(Defect::FramedAutoplay) {
                    // What cannot be played is stored nevertheless.
                    let _ = playback.play(&name).await;
                }
                if defect::present(Defect::StatusMissing) {
                    return Ok(Reply::None);
                }
                framed::stored(&name)
            }
            framed::Request::Play { name } => {
                let name = PatternName::normalised(name);
                if defect::present(Defect::TemplatesArePlayed) && templates::find(&name).is_some() {
                    playback.deploy(&name).await?;
                } else {
                    playback.play(&name).await?;
                }
                framed::done(format_args!("{name}"))
            }
            framed::Request::DeployTemplate { id } => {
                let id =
                    core::str::from_utf8(id).map_err(|_| Refusal::new(ErrorCode::NotFound, "not found"))?;
                playback.deploy(id).await?;
                framed::done(format_args!("{id}"))
            }
            framed::Request::Stop => {
                playback.stop();
                framed::done(format_args!(""))
            }
            framed::Request::Brightness { target, duration_ms } => {
                let ramp = playback.brightness(target, duration_ms);
                framed::done(format_args!("brightness={} dur_ms={}", ramp.target, ramp.duration_ms))
            }
            framed::Request::Gamma { x100, duration_ms } => {
                let ramp = playback.gamma(x100, duration_ms);
                framed::done(format_args!("gamma_x100={} dur_ms={}", ramp.target, ramp.duration_ms))
            }
            framed::Request::Delete { name: raw } => {
                let name = PatternName::normalised(raw);
                if defect::present(Defect::DeleteKeepsFile) {
                    return Ok(Reply::Short(framed::done(format_args!("{name}"))));
                }
                let unlike = defect::present(Defect::DeleteUnnormalised) && name.as_bytes() != raw;
                let deleted = if unlike { Err(StoreError::NotFound) } else { storage.delete(&name).await };
                match deleted {
                    Ok(()) => framed::done(format_args!("{name}")),
                    Err(error) => framed::error(error.into()),
                }
            }
            framed::Request::List => {
                return Ok(match self.list().await {
                    Ok(list) => Reply::Long(list),
                    Err(refusal) => Reply::Short(framed::error(refusal)),
                });
            }
            framed::Request::Status if defect::present(Defect::StatusUnanswered) => return Ok(Reply::None),
            framed::Request::Status => framed::device_status(&DeviceStatus {
                version: VERSION,
                led_count: if defect::present(Defect::StatusCountsOneLane) { 160 } else { LED_COUNT as u16 },
                bytes_free: match storage.free_bytes().await {
                    Err(StoreError::NoMemory) => return Err(NO_MEMORY),
                    // Without a file system nothing is free; the rest is worth telling.
                    free => free.unwrap_or(0),
                },
                template_count: TEMPLATE_COUNT as u8,
            }),
        };
        self.services.cpu.work(cost::times(cost::CRC_PER_BYTE, reply.len()));
        Ok(Reply::Short(reply))
    }

    /// The whole LIST reply, in a block: as many patterns as fit one frame.
    async fn list(&self) -> Result<Block, Refusal> {
        assert!(!defect::present(Defect::ListOverrunsStack), "stack overflow in the network task");
        let mut entries = self.services.storage.list().await?;
        if defect::present(Defect::ListCutShort) {
            entries.pop();
        }
        let mut block = self.block().await?;
        let mut list = ListWriter::new(&mut block);
        for entry in &entries {
            if !list.entry(&entry.name, entry.size) {
                break;
            }
        }
        let len = list.finish().ok_or(NO_MEMORY)?;
        block.truncate(len);
        self.services.cpu.work(cost::times(cost::CRC_PER_BYTE, len));
        Ok(block)
    }
}

impl<C: Cpu> Handler for Session<C> {
    const TEXT: bool = false;
    const ERRORS: bool = true;

    async fn message(&mut self, buffer: &mut Block, len: usize) -> Reaction {
        let heartbeat = len == 0 && !defect::present(Defect::HeartbeatRefused);
        if heartbeat || defect::present(Defect::ParserNeverInitialised) {
            return Reaction::Continue(Reply::None);
        }
        let served = match buffer.first() {
            Some(first) if seed::is_type(*first) => self.serve_seed(buffer, len).await,
            _ => self.serve_framed(buffer, len).await,
        };
        match served {
            Ok(reply) => Reaction::Continue(reply),
            Err(refusal) => Reaction::Refuse(refusal),
        }
    }

    fn ended(&mut self) {
        if defect::present(Defect::UploadOutlivesClient) {
            return;
        }
        self.upload.abort();
    }
}
