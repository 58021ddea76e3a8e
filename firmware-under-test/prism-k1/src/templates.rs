//! The 15 templates: which there are, and the task that puts them into the flash.
//!
//! Specification section 6.3. Each is painted by a formula of our own and written as a P11 file on
//! the first boot, frame by frame, so that none is ever in memory as a whole. A template that is
//! there already is left alone.

use embassy_time::{Duration, Instant, Timer};
use firmware_platform::{Core, Cpu, TaskSpec};

use crate::checksum::Crc32;
use crate::cost;
use crate::defect::{self, Defect};
use crate::log::Log;
use crate::pattern::{LANE_LEDS, p11};
use crate::pool::{Block, Pools};
use crate::storage::{Storage, StoreError};

mod catalogue;
mod paint;

pub use catalogue::{CATALOGUE, Category, Template, find};

/// How the templates task is to run (seed section 3).
pub const TASK: TaskSpec = TaskSpec { name: "templates", priority: 3, stack_bytes: 6144, core: Core::Zero };

/// Frames of each template (specification section 6.3).
pub const FRAMES: u32 = 144;
/// Frames in a second, in 1/256: 24.0 (specification section 6.3).
pub const RATE: u32 = 24 * 256;

pub(crate) const TAG: &str = "templates";

/// Bytes that are handed to the storage task at once: a block of the middle pool.
const CHUNK_BYTES: usize = 1024;
/// How long to wait for a block when the pool is exhausted.
const RETRY: Duration = Duration::from_millis(10);
/// What a defect takes of the heap, and keeps half of: most of what is free.
const RIDDLED_PIECES: usize = 40;
const RIDDLED_BYTES: usize = 3 * 1024;

/// Logs the first lines of specification section 9 item 10. For the boot sequence; the rest comes
/// from [`task`] when nothing more important is to be done.
pub fn announce(log: &Log) {
    log.info(TAG, format_args!("Initializing template subsystem..."));
    let total: u32 = CATALOGUE.iter().map(|template| template.bytes).sum();
    let hundredths = u64::from(total) * 100 / 1024;
    log.info(
        TAG,
        format_args!(
            "Embedded templates: {} items, total {total} bytes ({}.{:02} KB)",
            CATALOGUE.len(),
            hundredths / 100,
            hundredths % 100
        ),
    );
}

/// Collects the bytes of a file into blocks and sends each to the storage task when it is full.
struct Spout<'a> {
    storage: &'a Storage,
    pools: &'a Pools,
    block: Option<Block>,
    filled: usize,
    /// Over everything from the palette on, as the format wants it.
    payload: Crc32,
    /// Over the whole file, as the storage wants it.
    file: Crc32,
}

impl<'a> Spout<'a> {
    fn new(storage: &'a Storage, pools: &'a Pools) -> Self {
        Self { storage, pools, block: None, filled: 0, payload: Crc32::new(), file: Crc32::new() }
    }

    async fn put(&mut self, bytes: &[u8]) {
        self.file.update(bytes);
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut block = match self.block.take() {
                Some(block) => block,
                None => self.fresh().await,
            };
            let room = block.get_mut(self.filled..).unwrap_or_default();
            let (now, later) = rest.split_at(room.len().min(rest.len()));
            for (to, from) in room.iter_mut().zip(now) {
                *to = *from;
            }
            self.filled += now.len();
            rest = later;
            if self.filled == block.len() {
                self.storage.template_append(block).await;
            } else {
                self.block = Some(block);
            }
        }
    }

    async fn put_payload(&mut self, bytes: &[u8]) {
        self.payload.update(bytes);
        self.put(bytes).await;
    }

    async fn fresh(&mut self) -> Block {
        self.filled = 0;
        loop {
            if let Some(block) = self.pools.alloc(CHUNK_BYTES) {
                return block;
            }
            Timer::after(RETRY).await;
        }
    }

    /// Writes the payload's checksum and sends what is left.
    async fn finish(mut self) -> Result<u32, StoreError> {
        let payload = core::mem::take(&mut self.payload).finish();
        self.put(&payload.to_le_bytes()).await;
        if let Some(mut block) = self.block.take() {
            block.truncate(self.filled);
            self.storage.template_append(block).await;
        }
        self.storage.template_finish(self.file.finish()).await
    }
}

async fn provision<C: Cpu>(
    template: &Template,
    storage: &Storage,
    pools: &Pools,
    cpu: &C,
) -> Result<u32, StoreError> {
    storage.template_begin(template.id).await?;
    let mut spout = Spout::new(storage, pools);
    let rate = if defect::present(Defect::TemplatesTooFast) { 30 * 256 } else { RATE };
    spout.put(&p11::head(FRAMES, rate)).await;
    spout.put_payload(&p11::FramePacker::palette(&template.palette())).await;
    let mut packer = p11::FramePacker::new();
    for frame in 0..FRAMES {
        cpu.work(cost::times(cost::PAINT_PER_PIXEL + cost::PACK_PER_PIXEL, LANE_LEDS));
        let packed = packer.pack(&template.frame(frame));
        cpu.work(cost::times(cost::CRC_PER_BYTE + cost::CRC_PER_BYTE + cost::COPY_PER_BYTE, packed.len()));
        spout.put_payload(&packed).await;
    }
    spout.finish().await
}

/// The templates task's body: writes every template that is missing, logs the rest of the lines of
/// specification section 9 item 10, and ends.
pub async fn task<C: Cpu>(storage: Storage, pools: Pools, cpu: C, log: Log) {
    log.info(TAG, format_args!("Templates task started on core 0"));
    let begin = Instant::now();
    let mut written = 0;
    for template in &CATALOGUE {
        if defect::present(Defect::TemplateMissing) && written + 1 == CATALOGUE.len() {
            continue;
        }
        let result = match storage.template_size(template.id).await {
            Ok(_) => continue,
            Err(StoreError::NotFound) => provision(template, &storage, &pools, &cpu).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(bytes) => {
                written += 1;
                log.info(TAG, format_args!("Provisioned template '{}' ({bytes} bytes)", template.id));
            }
            Err(error) => log.error(TAG, format_args!("Template '{}' not provisioned: {error}", template.id)),
        }
    }
    if defect::present(Defect::TemplatesCached) {
        let bytes = CATALOGUE.iter().map(|template| template.bytes as usize);
        let room = |bytes: &usize| storage.has_memory(*bytes + 8 * 1024);
        let cached: alloc::vec::Vec<_> = bytes.filter(room).map(|bytes| alloc::vec![0u8; bytes]).collect();
        core::mem::forget(cached);
    }
    if defect::present(Defect::HeapRiddled) {
        let pieces = || (0..RIDDLED_PIECES).map(|_| alloc::vec![0u8; RIDDLED_BYTES]);
        for (place, piece) in pieces().collect::<alloc::vec::Vec<_>>().into_iter().enumerate() {
            if place % 2 == 0 {
                core::mem::forget(piece);
            }
        }
    }
    // Templates are read from the flash; there is no cache in RAM that entries could be in.
    log.info(
        TAG,
        format_args!(
            "Template provisioning complete: {written}/{} new, cache entries: 0, used=0 bytes, in {} ms",
            CATALOGUE.len(),
            begin.elapsed().as_millis()
        ),
    );
}
