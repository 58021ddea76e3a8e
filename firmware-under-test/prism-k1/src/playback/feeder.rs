//! Fills the frame queue from a file. Lives in the storage task, which owns the files.

use embassy_time::{Duration, Instant};
use embedded_storage::nor_flash::NorFlash;
use firmware_platform::Cpu;
use littlefs_rust::SeekFrom;

use super::queue::NEVER;
use super::{PlayError, Playback, Started, TAG, tail_of};
use crate::FPS;
use crate::defect::{self, Defect};
use crate::log::Log;
use crate::pattern::{Checker, Frame, Reader, Source, SourceError};
use crate::storage::{FileId, StoreError, Volume, VolumeFile};

/// A new version of what plays begins by itself. A request to play it that comes this soon after is
/// already fulfilled: beginning a second time would show the first frames twice.
const SETTLING: Duration = Duration::from_millis(250);

/// A file of the volume as the pattern reader wants it.
struct FileSource<'v, F: NorFlash, C: Cpu> {
    volume: &'v Volume<F, C>,
    file: VolumeFile<'v, F, C>,
    size: u32,
    /// Where the file stands, so that reading on needs no seek.
    at: u32,
}

impl<'v, F: NorFlash, C: Cpu> FileSource<'v, F, C> {
    fn open(volume: &'v Volume<F, C>, id: &FileId) -> Result<Self, StoreError> {
        let file = volume.open(id)?;
        let size = file.size();
        Ok(Self { volume, file, size, at: 0 })
    }
}

impl<F: NorFlash, C: Cpu> Source for FileSource<'_, F, C> {
    fn size(&self) -> u32 {
        self.size
    }

    fn read_at(&mut self, offset: u32, into: &mut [u8]) -> Result<(), SourceError> {
        if self.at != offset {
            self.file.seek(SeekFrom::Start(offset)).map_err(|_| SourceError)?;
            self.at = offset;
        }
        let read = self.file.read(into).map_err(|_| SourceError)?;
        self.at = self.at.saturating_add(read);
        if read as usize == into.len() { Ok(()) } else { Err(SourceError) }
    }

    fn has_memory(&self, bytes: usize) -> bool {
        self.volume.has_memory(bytes)
    }
}

/// When frame `index` of a pattern at `rate`/256 frames a second is due, in output frames after
/// frame 0: never early.
fn due(index: u64, rate: u32) -> u64 {
    let rate = if defect::present(Defect::NoFrameLeftOut) { rate.min(FPS * 256) } else { rate };
    index.saturating_mul(u64::from(FPS) * 256).div_ceil(u64::from(rate.max(1)))
}

struct Playing<'v, F: NorFlash, C: Cpu> {
    file: FileId,
    reader: Reader<FileSource<'v, F, C>>,
    sequence: u32,
    /// Counts frames without starting again when the pattern does.
    next: u64,
    ticket: u32,
    size: u32,
    /// When it took the place of an older version, if it did.
    replaced_at: Option<Instant>,
}

impl<F: NorFlash, C: Cpu> Playing<'_, F, C> {
    fn started(&self) -> Started {
        let info = self.reader.info();
        Started { size: self.size, frames: info.frames, rate: info.rate }
    }
}

impl<F: NorFlash, C: Cpu> Playing<'_, F, C> {
    /// Passes over the frames that would be due at the same time as the one after them (a pattern
    /// of more than 120 frames a second), and says when the next one is due and the one after it.
    fn skip_to_shown(&mut self, cpu: &C, scratch: &mut Frame) -> Result<(u64, u64), PlayError> {
        let rate = self.reader.info().rate;
        loop {
            let (this, following) = (due(self.next, rate), due(self.next + 1, rate));
            if this != following {
                return Ok((this, following));
            }
            cpu.work(self.reader.next_frame(scratch, false)?);
            self.next += 1;
        }
    }
}

/// Reads the pattern that plays, ahead of its time.
pub(crate) struct Feeder<'v, F: NorFlash, C: Cpu> {
    volume: &'v Volume<F, C>,
    playback: Playback,
    cpu: C,
    log: Log,
    playing: Option<Playing<'v, F, C>>,
}

impl<'v, F: NorFlash, C: Cpu> Feeder<'v, F, C> {
    pub(crate) fn new(volume: &'v Volume<F, C>, playback: Playback, cpu: C, log: Log) -> Self {
        Self { volume, playback, cpu, log, playing: None }
    }

    /// Reads frames until the queue is full. Returns at once when it is full already.
    pub(crate) fn top_up(&mut self) {
        let state = &self.playback.0.state;
        let Some(playing) = self.playing.as_mut() else {
            return;
        };
        loop {
            let current = Some(playing.sequence);
            let wanted =
                state.with(|state| (state.queue.sequence() == current).then(|| state.queue.take_free()));
            let mut frame = match wanted {
                // Stopped meanwhile.
                None => break,
                Some(None) => return,
                Some(Some(frame)) => frame,
            };
            let filled = playing.skip_to_shown(&self.cpu, &mut frame).and_then(|times| {
                self.cpu.work(playing.reader.next_frame(&mut frame, true)?);
                playing.next += 1;
                Ok(times)
            });
            match filled {
                Ok((due, next_due)) => {
                    state.with(|state| state.queue.push(playing.sequence, due, next_due, frame));
                }
                Err(error) => {
                    state.with(|state| {
                        state.queue.give_back(frame);
                        state.queue.starve();
                    });
                    self.log.error(TAG, format_args!("Reading '{}' failed: {error}", playing.file));
                    break;
                }
            }
        }
        self.playing = None;
    }

    /// Checks `file`, while what plays goes on, and then begins it.
    pub(crate) fn start(&mut self, file: &FileId, ticket: u32) -> Result<Started, PlayError> {
        if let Some(playing) = self.playing.as_mut().filter(|playing| playing.file == *file)
            && playing.replaced_at.take().is_some_and(|at| at.elapsed() < SETTLING)
        {
            let (sequence, stops) = self.playback.0.state.with(|state| (state.queue.sequence(), state.stops));
            if sequence == Some(playing.sequence) && stops == ticket {
                playing.ticket = ticket;
                return Ok(playing.started());
            }
        }
        self.open_and_begin(file, ticket, None)
    }

    /// Begins the new version of a file that was [released](Self::release).
    pub(crate) fn resume(&mut self, file: &FileId, ticket: u32) -> Result<Started, PlayError> {
        self.open_and_begin(file, ticket, Some(Instant::now()))
    }

    fn open_and_begin(
        &mut self,
        file: &FileId,
        ticket: u32,
        replaced_at: Option<Instant>,
    ) -> Result<Started, PlayError> {
        let source = FileSource::open(self.volume, file)?;
        let size = source.size;
        let mut checker = Checker::open(source, tail_of(file))?;
        while let Some(cycles) = checker.step()? {
            self.cpu.work(cycles);
            self.top_up();
        }
        let reader = checker.into_reader();
        let info = reader.info();
        let playing = Playing { file: file.clone(), reader, sequence: 0, next: 0, ticket, size, replaced_at };
        let started = playing.started();
        self.begin(playing)?;
        self.log.info(
            TAG,
            format_args!(
                "Pattern playback started: id='{file}' frames={} fps={}.{:02} interval_us={}",
                info.frames,
                info.rate / 256,
                info.rate % 256 * 100 / 256,
                256_000_000 / info.rate.max(1)
            ),
        );
        self.top_up();
        Ok(started)
    }

    fn begin(&mut self, mut playing: Playing<'v, F, C>) -> Result<(), PlayError> {
        let state = &self.playback.0.state;
        let spare = state.with(|state| state.queue.take_spare());
        // There is always one: the queue has two frames more than it can hold.
        let mut frame = spare.ok_or(PlayError::Stopped)?;
        // Frame 0 is due at once, also when frames of the same time would follow.
        let first = playing.reader.next_frame(&mut frame, true);
        playing.next = 1;
        let info = playing.reader.info();
        let next_due = if info.frames == 1 { NEVER } else { due(1, info.rate) };
        let ticket = playing.ticket;
        let begun = state.with(|state| match first {
            Ok(cycles) if state.stops == ticket => {
                state.playing = Some(playing.file.clone());
                Ok((cycles, state.queue.begin(frame, next_due)))
            }
            refused => {
                if !defect::present(Defect::RefusedStartLeaks) {
                    state.queue.give_back(frame);
                }
                Err(refused.map_or_else(PlayError::from, |_| PlayError::Stopped))
            }
        });
        let (cycles, sequence) = begun?;
        playing.sequence = sequence;
        self.cpu.work(cycles);
        self.playing = Some(playing);
        Ok(())
    }

    /// Closes `file` when it is the one that plays, and gives the ticket to start it again. What
    /// was read ahead is still shown.
    pub(crate) fn release(&mut self, file: &FileId) -> Option<u32> {
        if defect::present(Defect::PlayedFileKept) {
            return None;
        }
        let playing = self.playing.take_if(|playing| playing.file == *file)?;
        self.playback.0.state.with(|state| {
            let current = state.queue.sequence() == Some(playing.sequence);
            if current {
                state.queue.starve();
            }
            current.then_some(playing.ticket)
        })
    }

    /// Shows black.
    pub(crate) fn stop(&mut self) {
        self.playing = None;
        self.playback.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_due_at_their_rate_without_drift() {
        for index in [0, 1, 2, 1_000_000] {
            assert_eq!(due(index, 120 * 256), index);
            assert_eq!(due(index, 24 * 256), index * 5);
        }
        assert_eq!(due(1, 120), 256);
        assert_eq!((due(1, 50 * 256), due(5, 50 * 256)), (3, 12));
        assert_eq!((due(1, 240 * 256), due(2, 240 * 256), due(3, 240 * 256)), (1, 1, 2));
        assert_eq!(due(3_600 * 50, 50 * 256), 3_600 * 120);
    }
}
