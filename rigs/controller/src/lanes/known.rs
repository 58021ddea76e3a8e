//! Pulses that stand in the packet already, found by what the machines said of them.
//!
//! Nearly all pulses of a lane are of a few kinds, and two lanes bring a million of them a second. So what both
//! machines said of a kind is kept beside its place in the packet's table, and [`Known::pack`] does nothing
//! but look that up. It lies in memory, where no cache of the flash can hold it up.

use super::program::STILL_IDLE;

/// Kinds that are kept at most; more are packed without being found here.
const KINDS: usize = 40;
/// Where a kind may begin to be looked for; a power of two.
const SLOTS: usize = 64;
/// A kind whose slot is taken stands in the next one that is not. So many follow the last slot, one more than are ever
/// taken.
const SPARE: usize = KINDS + 1;
/// An odd number without order in its bits, 2^32 divided by the golden ratio: its product's upper bits are slots.
const SPREAD: u32 = 0x9E37_79B9;

/// A kind of pulse.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Kind {
    first: u32,
    second: u32,
    /// The place in the lowest 8 bits, and its ticks in the others. No pulse has none.
    ticks_and_place: u32,
}

/// No machine says this of a pulse: it is high and low for as long as it can count, and a pause at the same time.
const NONE: Kind = Kind { first: 0, second: STILL_IDLE, ticks_and_place: 0 };

/// The kinds that are known.
pub(super) struct Known {
    kinds: [Kind; SLOTS + SPARE],
    count: usize,
}

/// Pulses that were packed.
#[derive(Clone, Copy, Default)]
pub(super) struct Packed {
    /// How many; always an even number.
    pub(super) pulses: u32,
    /// Their ticks together.
    pub(super) ticks: u32,
}

impl Known {
    /// None.
    pub(super) const fn new() -> Self {
        Known { kinds: [NONE; SLOTS + SPARE], count: 0 }
    }

    /// Forgets all kinds: another packet begins.
    pub(super) fn forget(&mut self) {
        self.kinds = [NONE; SLOTS + SPARE];
        self.count = 0;
    }

    /// Keeps a kind: what both machines said, its place, and its ticks, which are some.
    pub(super) fn learn(&mut self, [first, second]: [u32; 2], place: u8, ticks: u32) {
        if self.count == KINDS {
            return;
        }
        for kind in &mut self.kinds[slot(first, second)..] {
            if kind.ticks_and_place == 0 {
                *kind = Kind { first, second, ticks_and_place: ticks << 8 | u32::from(place) };
                self.count += 1;
                return;
            }
            if kind.first == first && kind.second == second {
                return;
            }
        }
    }

    /// Packs pulses to `places`, two in a byte, as long as their kinds are known. Of each machine there are `words`, which
    /// stand one after the other.
    ///
    /// # Safety
    /// From both pointers on, `words` can be read.
    pub(super) unsafe fn pack(
        &self,
        first: *const u32,
        second: *const u32,
        words: u32,
        places: &mut [u8],
    ) -> Packed {
        let pairs = (words as usize / 2).min(places.len());
        if pairs == 0 {
            return Packed::default();
        }
        let begin = places.as_mut_ptr();
        // SAFETY: `places` has so many bytes, and there are two words for each of them.
        let stopped =
            unsafe { pack_pairs(first, second, self.kinds.as_ptr(), begin, begin.add(pairs), SPREAD) };
        let bytes = (stopped as u32).wrapping_sub(begin as u32);
        Packed { pulses: 2 * bytes, ticks: (stopped >> 32) as u32 }
    }
}

/// Finds the kinds of pulses, two at a time, and writes their places from `place` on, until `end` or an unknown
/// kind. Returns where it stopped, and in the upper half the ticks of all that it wrote.
///
/// Written out because a compiler keeps half of this in memory, and each pulse then takes 61 cycles in place of 30.
///
/// # Safety
/// `place` is less than `end`, and what is between them can be written. Of each machine there are two words for each
/// byte of it. `kinds` are those of [`Known`], and `spread` is [`SPREAD`].
#[unsafe(naked)]
#[unsafe(link_section = ".data.pack_pairs")]
unsafe extern "C" fn pack_pairs(
    first: *const u32,
    second: *const u32,
    kinds: *const Kind,
    place: *mut u8,
    end: *mut u8,
    spread: u32,
) -> u64 {
    macro_rules! find {
        // The kind of the next words, to `r7`.
        ($compare:literal, $not_first:literal, $not_second:literal) => {
            concat!(
                "ldmia r0!, {{r4}}\n",
                "ldmia r1!, {{r5}}\n",
                "lsls r6, r5, #1\n",
                "adds r6, r6, r4\n",
                "mov r7, r8\n",
                "muls r6, r7, r6\n",
                "lsrs r6, r6, #{beyond}\n",
                "lsls r6, r6, #4\n",
                "adds r6, r6, r2\n",
                $compare,
                ":\n",
                "ldmia r6!, {{r7}}\n",
                "cmp r7, r4\n",
                "bne ",
                $not_first,
                "f\n",
                "ldmia r6!, {{r7}}\n",
                "cmp r7, r5\n",
                "bne ",
                $not_second,
                "f\n",
                "ldr r7, [r6]",
            )
        };
    }
    macro_rules! next {
        // Another kind has the slot: on to the one after it.
        ($compare:literal, $not_first:literal, $not_second:literal) => {
            concat!(
                $not_first,
                ":\n",
                "ldr r7, [r6, #4]\n",
                "adds r6, #12\n",
                "cmp r7, #0\n",
                "bne ",
                $compare,
                "b\n",
                "b 9b\n",
                $not_second,
                ":\n",
                "ldr r7, [r6]\n",
                "adds r6, #8\n",
                "cmp r7, #0\n",
                "bne ",
                $compare,
                "b\n",
                "b 9b",
            )
        };
    }
    core::arch::naked_asm!(
        "push {{r4, r5, r6, r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4, r5, r6, r7}}",
        "ldr r4, [sp, #36]",
        "mov r10, r4",
        "ldr r4, [sp, #40]",
        "mov r8, r4",
        "movs r4, #0",
        "mov r9, r4",
        "2:",
        find!("3", "4", "5"),
        "mov r11, r7",
        find!("6", "7", "8"),
        "mov r6, r11",
        "lsls r4, r6, #4",
        "orrs r4, r7",
        "strb r4, [r3]",
        "adds r3, #1",
        "lsrs r6, r6, #8",
        "add r9, r6",
        "lsrs r7, r7, #8",
        "add r9, r7",
        "cmp r3, r10",
        "bne 2b",
        "9:",
        "mov r0, r3",
        "mov r1, r9",
        "pop {{r4, r5, r6, r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4, r5, r6, r7, pc}}",
        next!("3", "4", "5"),
        next!("6", "7", "8"),
        beyond = const 32 - SLOTS.trailing_zeros(),
    )
}

/// Where a kind begins to be looked for.
#[inline(always)]
const fn slot(first: u32, second: u32) -> usize {
    let both = first.wrapping_add(second << 1);
    (both.wrapping_mul(SPREAD) >> (32 - SLOTS.trailing_zeros())) as usize
}
