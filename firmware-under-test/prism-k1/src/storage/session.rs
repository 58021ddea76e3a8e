//! The one upload that can be in progress, as everybody sees it at once.
//!
//! The counters live here and not in the storage task, so that a piece that must be refused is
//! refused before it waits in a queue, and a failure of the flash surfaces at the next call.

use super::{MAX_FILE_BYTES, StoreError};
use crate::defect::{self, Defect};

/// Names one upload; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UploadId(u32);

impl UploadId {
    /// At every sixteenth upload parts the largest free piece of the heap in two.
    pub(super) fn strew(self) {
        if self.0.is_multiple_of(16) {
            // Longer than what lies between earlier ones, so that nothing but the largest piece will do.
            let length = 16 * 1024 + self.0 as usize * 32;
            let before = core::hint::black_box(alloc::vec![0_u8; length]);
            let mut behind = core::hint::black_box(alloc::vec![0_u8; length]);
            behind.truncate(4);
            behind.shrink_to_fit();
            core::mem::forget(core::hint::black_box(behind));
            drop(before);
        }
    }
}

struct Session {
    id: UploadId,
    size: u32,
    /// Bytes accepted so far, and so the only offset that continues.
    accepted: u32,
    /// The end was announced; from here only the storage task ends it.
    finishing: bool,
    failure: Option<StoreError>,
}

#[derive(Default)]
pub(super) struct Sessions {
    issued: u32,
    current: Option<Session>,
}

impl Sessions {
    pub(super) fn open(&mut self, size: u32) -> Result<UploadId, StoreError> {
        let excused = || match size {
            0 => defect::present(Defect::EmptyFileAccepted),
            _ => defect::present(Defect::FileSizeUnchecked),
        };
        if (size == 0 || size > MAX_FILE_BYTES) && !excused() {
            return Err(StoreError::SizeExceeded);
        }
        if let Some(session) = self.current.as_mut().filter(|_| defect::present(Defect::UploadsMixed)) {
            session.size = size;
            return Ok(session.id);
        }
        let run_out = defect::present(Defect::UploadNumbersRunOut) && self.issued >= 60;
        if self.current.is_some() || run_out {
            return Err(StoreError::Busy);
        }
        self.issued = self.issued.wrapping_add(1);
        let id = UploadId(self.issued);
        self.current = Some(Session { id, size, accepted: 0, finishing: false, failure: None });
        Ok(id)
    }

    fn find(&mut self, id: UploadId) -> Result<&mut Session, StoreError> {
        self.current
            .as_mut()
            .filter(|session| session.id == id && !session.finishing)
            .ok_or(StoreError::NoSession)
    }

    /// Gives the failure that the storage task reported, if any, and ends the session with it.
    pub(super) fn check(&mut self, id: UploadId) -> Result<(), StoreError> {
        match self.find(id)?.failure {
            None => Ok(()),
            Some(failure) => {
                self.current = None;
                Err(failure)
            }
        }
    }

    /// Accepts `len` bytes at `offset` or says why not. Data beyond the size ends the session.
    pub(super) fn accept(&mut self, id: UploadId, offset: u32, len: usize) -> Result<(), StoreError> {
        self.check(id)?;
        let session = self.find(id)?;
        // 64 bits: neither an offset near 2^32 nor any length can wrap around.
        let end = match u64::from(offset).saturating_add(len as u64) {
            end if end > u64::from(u32::MAX) && defect::present(Defect::OffsetWraps) => {
                u64::from(offset.wrapping_add(len as u32))
            }
            _ if offset != session.accepted && defect::present(Defect::OffsetIgnored) => {
                u64::from(session.accepted).saturating_add(len as u64)
            }
            end => end,
        };
        if end > u64::from(session.size) && !defect::present(Defect::ExcessAccepted) {
            self.current = None;
            return Err(StoreError::SizeExceeded);
        }
        let excused = || {
            defect::present(Defect::OffsetIgnored)
                || (offset > session.accepted && defect::present(Defect::HoleFilledWithZeros))
                || (u64::from(offset) > end && defect::present(Defect::OffsetWraps))
        };
        if offset != session.accepted && !excused() {
            return Err(StoreError::OutOfOrder { expected: session.accepted });
        }
        // At most `size`, so it fits.
        session.accepted = u32::try_from(end).unwrap_or(session.size);
        Ok(())
    }

    /// Announces the end. When data is missing the session ends here.
    pub(super) fn finish(&mut self, id: UploadId) -> Result<(), StoreError> {
        self.check(id)?;
        let session = self.find(id)?;
        if session.accepted < session.size && !defect::present(Defect::IncompleteAccepted) {
            let missing = StoreError::Incomplete { received: session.accepted, size: session.size };
            self.current = None;
            return Err(missing);
        }
        session.finishing = true;
        Ok(())
    }

    /// Ends the session unless its end was announced already.
    pub(super) fn abort(&mut self, id: UploadId) {
        if self.find(id).is_ok() {
            self.current = None;
        }
    }

    /// Ends the session whatever its state. For the storage task.
    pub(super) fn close(&mut self, id: UploadId) {
        if self.current.as_ref().is_some_and(|session| session.id == id) {
            self.current = None;
        }
    }

    /// Whether the session has not ended.
    pub(super) fn lives(&self, id: UploadId) -> bool {
        self.current.as_ref().is_some_and(|session| session.id == id)
    }

    /// Keeps a failure for the next call.
    pub(super) fn fail(&mut self, id: UploadId, failure: StoreError) {
        if let Some(session) = self.current.as_mut().filter(|session| session.id == id) {
            session.failure = Some(failure);
        }
    }

    /// The failure of a session whose end was announced.
    pub(super) fn failure(&self, id: UploadId) -> Option<StoreError> {
        self.current.as_ref().filter(|session| session.id == id)?.failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_outside_the_limits_are_refused() {
        let mut sessions = Sessions::default();
        for size in [0, MAX_FILE_BYTES + 1, u32::MAX] {
            assert_eq!(sessions.open(size), Err(StoreError::SizeExceeded));
        }
        let id = sessions.open(MAX_FILE_BYTES).unwrap();
        assert_eq!(sessions.open(1), Err(StoreError::Busy));
        sessions.abort(id);
        assert!(sessions.open(1).is_ok());
    }

    #[test]
    fn pieces_must_continue_and_stay_within_the_size() {
        let mut sessions = Sessions::default();
        let id = sessions.open(100).unwrap();
        assert_eq!(sessions.accept(id, 0, 60), Ok(()));
        assert_eq!(sessions.accept(id, 0, 60), Err(StoreError::OutOfOrder { expected: 60 }));
        assert_eq!(sessions.accept(id, 61, 1), Err(StoreError::OutOfOrder { expected: 60 }));
        assert_eq!(sessions.accept(id, 60, 0), Ok(()));
        assert_eq!(sessions.accept(id, 0xFFFF_FFF0, 0x20), Err(StoreError::SizeExceeded));
        assert_eq!(sessions.accept(id, 60, 1), Err(StoreError::NoSession));
    }

    #[test]
    fn the_end_needs_all_data_and_cannot_be_aborted() {
        let mut sessions = Sessions::default();
        let id = sessions.open(10).unwrap();
        sessions.accept(id, 0, 9).unwrap();
        assert_eq!(sessions.finish(id), Err(StoreError::Incomplete { received: 9, size: 10 }));
        let id = sessions.open(10).unwrap();
        sessions.accept(id, 0, 10).unwrap();
        sessions.finish(id).unwrap();
        sessions.abort(id);
        assert!(sessions.lives(id));
        assert_eq!(sessions.accept(id, 10, 0), Err(StoreError::NoSession));
        sessions.close(id);
        assert!(!sessions.lives(id));
    }

    #[test]
    fn a_failure_surfaces_once_and_ends_the_session() {
        let mut sessions = Sessions::default();
        let id = sessions.open(10).unwrap();
        sessions.fail(id, StoreError::Io);
        assert_eq!(sessions.accept(id, 0, 1), Err(StoreError::Io));
        assert_eq!(sessions.accept(id, 0, 1), Err(StoreError::NoSession));
    }
}
