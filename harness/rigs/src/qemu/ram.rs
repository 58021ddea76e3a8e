//! The memory of an emulated machine, which the emulator and the harness share.
//!
//! It is a file without a name (`memfd`), so nothing is left behind whatever happens, and it outlives the
//! process that uses it: what a power cut leaves in the flash chip's part is there when the next one starts.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::error::QemuError;

/// A place that is not in the memory, or a word that is not aligned. A device that names offsets to the
/// harness can name any.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the device names {bytes} bytes at offset {offset:#x} of its memory, which has {size:#x}")]
pub struct OutsideRam {
    /// From the memory's begin.
    pub offset: usize,
    /// How many.
    pub bytes: usize,
    /// What there is.
    pub size: usize,
}

/// The memory of one machine. Offsets count from its begin, whatever address the machine gives it.
///
/// The device may write while the harness reads, so no reference into it ever leaves this type: everything
/// is copied, in pieces of eight bytes that are whole each. What must be whole beyond that has to be
/// published by a word that is [loaded](Self::read_u32) first.
pub(crate) struct GuestRam {
    file: OwnedFd,
    start: NonNull<u8>,
    bytes: usize,
}

impl GuestRam {
    /// `bytes` of memory that read as zero, at least one. The host finds room for a page when it is first
    /// written.
    pub(crate) fn new(bytes: usize) -> Result<Self, QemuError> {
        let bytes = bytes.max(1);
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = memfd_create("rigor-guest-ram", flags).map_err(refused("memory for the device"))?;
        ftruncate(&file, bytes as u64).map_err(refused("memory for the device"))?;
        // Whoever else has it cannot take pages away that are mapped here.
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        fcntl_add_seals(&file, seals).map_err(refused("memory that keeps its size"))?;
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
        let start = unsafe {
            mmap(ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, &file, 0)
        };
        let start = start.map_err(refused("a view of the device's memory"))?;
        let start = NonNull::new(start.cast()).expect("the kernel maps nothing at address zero");
        Ok(GuestRam { file, start, bytes })
    }

    /// How much there is, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.bytes
    }

    /// What the emulator opens.
    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Copies out what is at `offset`.
    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), OutsideRam> {
        self.check(offset, into.len())?;
        let (head, rest) = into.split_at_mut(until_aligned(offset, into.len()));
        let (words, tail) = rest.as_chunks_mut::<8>();
        let mut at = offset;
        for byte in head {
            *byte = self.byte(at).load(Ordering::Relaxed);
            at += 1;
        }
        for word in words {
            *word = self.word(at).load(Ordering::Relaxed).to_ne_bytes();
            at += 8;
        }
        for byte in tail {
            *byte = self.byte(at).load(Ordering::Relaxed);
            at += 1;
        }
        Ok(())
    }

    /// Copies `bytes` to `offset`.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), OutsideRam> {
        self.check(offset, bytes.len())?;
        let (head, rest) = bytes.split_at(until_aligned(offset, bytes.len()));
        let (words, tail) = rest.as_chunks::<8>();
        let mut at = offset;
        for byte in head {
            self.byte(at).store(*byte, Ordering::Relaxed);
            at += 1;
        }
        for word in words {
            self.word(at).store(u64::from_ne_bytes(*word), Ordering::Relaxed);
            at += 8;
        }
        for byte in tail {
            self.byte(at).store(*byte, Ordering::Relaxed);
            at += 1;
        }
        Ok(())
    }

    /// The device's word at `offset`, a multiple of four. What the device wrote before it stored the word
    /// is seen by whoever reads on from here.
    pub(crate) fn read_u32(&self, offset: usize) -> Result<u32, OutsideRam> {
        self.check_word(offset, 4)?;
        Ok(u32::from_le(self.half(offset).load(Ordering::Acquire)))
    }

    /// The same of two words, at a multiple of eight. A device of 32 bits stores them one after the other.
    pub(crate) fn read_u64(&self, offset: usize) -> Result<u64, OutsideRam> {
        self.check_word(offset, 8)?;
        Ok(u64::from_le(self.word(offset).load(Ordering::Acquire)))
    }

    /// Stores a word of the device's at `offset`, a multiple of four. A device that sees it sees what was
    /// written before, too.
    pub(crate) fn write_u32(&self, offset: usize, value: u32) -> Result<(), OutsideRam> {
        self.check_word(offset, 4)?;
        self.half(offset).store(value.to_le(), Ordering::Release);
        Ok(())
    }

    /// The same of two words, at a multiple of eight.
    pub(crate) fn write_u64(&self, offset: usize, value: u64) -> Result<(), OutsideRam> {
        self.check_word(offset, 8)?;
        self.word(offset).store(value.to_le(), Ordering::Release);
        Ok(())
    }

    fn check(&self, offset: usize, bytes: usize) -> Result<(), OutsideRam> {
        let end = offset.checked_add(bytes).filter(|end| *end <= self.bytes);
        end.map(|_| ()).ok_or(OutsideRam { offset, bytes, size: self.bytes })
    }

    /// A word that is not aligned cannot be had whole.
    fn check_word(&self, offset: usize, bytes: usize) -> Result<(), OutsideRam> {
        self.check(offset, bytes)?;
        if !offset.is_multiple_of(bytes) {
            return Err(OutsideRam { offset, bytes, size: self.bytes });
        }
        Ok(())
    }

    /// The byte at `at`, which is within.
    fn byte(&self, at: usize) -> &AtomicU8 {
        // SAFETY: `at` was checked, the mapping lives as long as `self`, and nobody has a reference into it
        // that is not atomic.
        unsafe { AtomicU8::from_ptr(self.start.add(at).as_ptr()) }
    }

    /// The four bytes at `at`, which are within and aligned.
    fn half(&self, at: usize) -> &AtomicU32 {
        // SAFETY: as of `byte`; a mapping begins with a page, so what is a multiple of four is aligned.
        unsafe { AtomicU32::from_ptr(self.start.add(at).as_ptr().cast()) }
    }

    /// The eight bytes at `at`, which are within and aligned.
    fn word(&self, at: usize) -> &AtomicU64 {
        // SAFETY: as of `half`.
        unsafe { AtomicU64::from_ptr(self.start.add(at).as_ptr().cast()) }
    }
}

fn refused(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> QemuError {
    move |error| QemuError::Host {
        what,
        why: error.to_string(),
        remedy: "lower `memory_mib` in the rig file, or free memory of the host",
    }
}

impl Drop for GuestRam {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's, and every reference into it ended with `self`'s.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

/// Bytes from `offset` to the next multiple of eight, of `bytes` at most.
fn until_aligned(offset: usize, bytes: usize) -> usize {
    (offset.next_multiple_of(8) - offset).min(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use rstest::rstest;

    use super::*;

    fn ram() -> GuestRam {
        GuestRam::new(8192).expect("memory")
    }

    #[rstest]
    #[case(0, 0)]
    #[case(0, 1)]
    #[case(3, 2)]
    #[case(3, 5)]
    #[case(3, 6)]
    #[case(5, 27)]
    #[case(8, 16)]
    #[case(8, 17)]
    #[case(4093, 4099)]
    fn what_is_written_is_read_and_nothing_besides(#[case] offset: usize, #[case] bytes: usize) {
        let ram = ram();
        ram.write(0, &[0xAA; 8192]).expect("within");
        let text: Vec<u8> = (0..bytes).map(|index| index as u8).collect();
        ram.write(offset, &text).expect("within");
        let mut all = vec![0; 8192];
        ram.read(0, &mut all).expect("within");
        assert_eq!(all[offset..offset + bytes], text);
        let around = all[..offset].iter().chain(&all[offset + bytes..]);
        assert!(around.into_iter().all(|&byte| byte == 0xAA));
        let mut same = vec![0; bytes];
        ram.read(offset, &mut same).expect("within");
        assert_eq!(same, text);
    }

    #[test]
    fn both_ends_see_the_same_words() {
        let ram = ram();
        let other = File::from(ram.file().try_clone_to_owned().expect("a descriptor"));
        other.write_all_at(&0x1234_5678u32.to_le_bytes(), 4).expect("written");
        assert_eq!((ram.read_u32(4), ram.read_u64(0)), (Ok(0x1234_5678), Ok(0x1234_5678_0000_0000)));
        ram.write_u32(8, 7).and_then(|()| ram.write_u64(16, 9)).expect("within");
        let mut seen = [0; 16];
        other.read_exact_at(&mut seen, 8).expect("read");
        assert_eq!(seen, [7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[rstest]
    #[case(8192, 1)]
    #[case(8191, 2)]
    #[case(usize::MAX, 2)]
    #[case(0, 8193)]
    fn what_is_not_there_is_refused(#[case] offset: usize, #[case] bytes: usize) {
        let ram = ram();
        let outside = Err(OutsideRam { offset, bytes, size: 8192 });
        assert_eq!(ram.read(offset, &mut vec![0; bytes]), outside);
        assert_eq!(ram.write(offset, &vec![0; bytes]), outside);
    }

    #[test]
    fn a_word_is_whole_or_refused() {
        let ram = ram();
        for offset in [1, 2, 3, 8190, 8192, usize::MAX - 3] {
            assert!(ram.read_u32(offset).is_err() && ram.write_u32(offset, 0).is_err(), "{offset}");
            assert!(ram.read_u64(offset).is_err() && ram.write_u64(offset, 0).is_err(), "{offset}");
        }
        assert!(ram.read_u64(4).is_err() && ram.read_u64(8184).is_ok());
        let text = ram.read_u32(8192).expect_err("outside").to_string();
        assert_eq!(text, "the device names 4 bytes at offset 0x2000 of its memory, which has 0x2000");
    }

    #[test]
    fn nobody_can_take_the_memory_away() {
        let ram = ram();
        let other = File::from(ram.file().try_clone_to_owned().expect("a descriptor"));
        assert!(other.set_len(0).is_err() && other.set_len(16384).is_err());
    }

    #[test]
    fn more_than_the_host_could_ever_have_is_refused_and_no_panic() {
        let error = GuestRam::new(usize::MAX / 2).err().expect("too much").to_string();
        assert!(error.contains("memory") && error.contains("`memory_mib`"), "{error}");
    }
}
