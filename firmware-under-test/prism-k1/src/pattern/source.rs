//! Where a pattern's bytes come from.

/// The source could not deliver bytes that it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SourceError;

/// A file, or something that can be read like one.
pub trait Source {
    /// Bytes in it.
    fn size(&self) -> u32;

    /// Fills `into` with the bytes from `offset` on.
    ///
    /// # Errors
    /// [`SourceError`] when they cannot be read or lie behind the end.
    fn read_at(&mut self, offset: u32, into: &mut [u8]) -> Result<(), SourceError>;

    /// Whether there is memory for `bytes` to unpack it in.
    fn has_memory(&self, _bytes: usize) -> bool {
        true
    }
}

impl Source for &[u8] {
    fn size(&self) -> u32 {
        u32::try_from(self.len()).unwrap_or(u32::MAX)
    }

    fn read_at(&mut self, offset: u32, into: &mut [u8]) -> Result<(), SourceError> {
        let offset = usize::try_from(offset).map_err(|_| SourceError)?;
        let bytes = self.get(offset..).and_then(|rest| rest.get(..into.len())).ok_or(SourceError)?;
        into.copy_from_slice(bytes);
        Ok(())
    }
}

/// Bytes of the window through which a file is read.
const WINDOW_BYTES: usize = 256;

/// Reads a source from front to back, byte by byte, without asking it for each.
pub(super) struct Cursor<S> {
    source: S,
    window: [u8; WINDOW_BYTES],
    /// Offset of the window in the source.
    start: u32,
    /// Bytes in the window.
    filled: usize,
    /// Bytes of the window that were taken.
    taken: usize,
}

impl<S: Source> Cursor<S> {
    pub(super) fn new(source: S) -> Self {
        Self { source, window: [0; WINDOW_BYTES], start: 0, filled: 0, taken: 0 }
    }

    pub(super) fn size(&self) -> u32 {
        self.source.size()
    }

    pub(super) fn position(&self) -> u32 {
        self.start.saturating_add(self.taken as u32)
    }

    pub(super) fn remaining(&self) -> u32 {
        self.size().saturating_sub(self.position())
    }

    pub(super) fn seek(&mut self, offset: u32) {
        let within = offset.checked_sub(self.start).filter(|at| *at as usize <= self.filled);
        match within {
            Some(at) => self.taken = at as usize,
            None => (self.start, self.filled, self.taken) = (offset, 0, 0),
        }
    }

    /// The next byte; `None` at the end.
    pub(super) fn byte(&mut self) -> Result<Option<u8>, SourceError> {
        if self.taken == self.filled {
            let at = self.position();
            let len = (self.size().saturating_sub(at) as usize).min(WINDOW_BYTES);
            let Some(window) = self.window.get_mut(..len).filter(|window| !window.is_empty()) else {
                return Ok(None);
            };
            self.source.read_at(at, window)?;
            (self.start, self.filled, self.taken) = (at, len, 0);
        }
        let byte = self.window.get(self.taken).copied();
        self.taken += 1;
        Ok(byte)
    }
}
