//! The words that rig and device share, by their offsets in RAM.

use rigor_agent::layout::RAM_BASE;

/// The word at `offset`.
pub fn word(offset: usize) -> u32 {
    // SAFETY: the offsets of `rigor_agent::layout` lie in RAM that neither the linker nor the allocator gives
    // to anybody else, and are multiples of four.
    unsafe { ((RAM_BASE + offset) as *const u32).read_volatile() }
}

/// Makes `value` the word at `offset`.
pub fn set_word(offset: usize, value: u32) {
    // SAFETY: as in `word`.
    unsafe { ((RAM_BASE + offset) as *mut u32).write_volatile(value) }
}

/// The eight bytes at `offset`.
pub fn long(offset: usize) -> u64 {
    u64::from(word(offset)) | u64::from(word(offset + 4)) << 32
}

/// Makes `value` the eight bytes at `offset`.
pub fn set_long(offset: usize, value: u64) {
    set_word(offset, value as u32);
    set_word(offset + 4, (value >> 32) as u32);
}

/// `length` bytes at `offset` that the rig has filled in.
///
/// # Safety
/// The range lies in one place of `rigor_agent::layout`, and nobody writes to it while the slice lives.
pub unsafe fn bytes<'a>(offset: usize, length: usize) -> &'a [u8] {
    // SAFETY: by the caller's promise.
    unsafe { core::slice::from_raw_parts((RAM_BASE + offset) as *const u8, length) }
}

/// `length` bytes at `offset` that the device fills in.
///
/// # Safety
/// As `bytes`, and nobody else reads or writes them while the slice lives.
pub unsafe fn bytes_mut<'a>(offset: usize, length: usize) -> &'a mut [u8] {
    // SAFETY: by the caller's promise.
    unsafe { core::slice::from_raw_parts_mut((RAM_BASE + offset) as *mut u8, length) }
}
