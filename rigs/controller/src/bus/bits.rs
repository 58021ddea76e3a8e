//! Bytes of the samples that were taken at each bit.
//!
//! A word has eight samples, so that each is a byte as long as all transfers are of whole bytes. Where one is not, nothing
//! is made of what follows: samples that wait for others would be told with the time of those.

/// What a sample says, of four bits: which turn of the chip select it belongs to, the bit, the level of the
/// data/command line, and whether the chip is not selected.
const MARK: u32 = 1;
const DATA: u32 = 1 << 1;
const IS_DATA: u32 = 1 << 2;
const DESELECTED: u32 = 1 << 3;
/// One in each of the eight samples of a word; the first of them is the uppermost.
const EACH: u32 = 0x1111_1111;

/// What is made of the samples of a word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// A byte, and the level of the data/command line at its last bit: high is data.
    Byte { byte: u8, is_data: bool, is_first: bool },
    /// It was for another chip.
    Foreign,
    /// It is of more than one byte.
    Torn,
}

/// What samples of a byte have in common: their mark, and the level at the last of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Alike(u32);

impl Alike {
    /// Before the first one: nothing has that.
    pub(super) const NONE: Alike = Alike(MARK);

    /// The byte of the samples of `word`, if they have that in common.
    #[inline(always)]
    pub(super) fn byte(self, word: u32) -> Option<u8> {
        (Alike::of(word) == self).then(|| byte(word))
    }

    #[inline(always)]
    fn of(word: u32) -> Alike {
        Alike(word & (((DESELECTED | MARK) * EACH) | IS_DATA))
    }

    /// Takes the eight samples of a word in, which come after those that had this in common.
    pub(super) fn take(&mut self, word: u32) -> Taken {
        let (marks, deselected) = (word & (MARK * EACH), word & (DESELECTED * EACH));
        if deselected == DESELECTED * EACH {
            return Taken::Foreign;
        }
        if deselected != 0 || (marks != 0 && marks != MARK * EACH) {
            return Taken::Torn;
        }
        let before = core::mem::replace(self, Alike::of(word));
        // The mark changes each time when the chip is selected.
        Taken::Byte {
            byte: byte(word),
            is_data: word & IS_DATA != 0,
            is_first: (before.0 ^ word) & (MARK * EACH) != 0,
        }
    }
}

/// Four bits become one: neighbours are put together, three times.
#[inline(always)]
const fn byte(word: u32) -> u8 {
    let pairs = (word / DATA) & EACH;
    let fours = (pairs | pairs >> 3) & 0x0303_0303;
    let halves = (fours | fours >> 6) & 0x000F_000F;
    (halves | halves >> 12) as u8
}
