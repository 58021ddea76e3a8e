//! Operations in the shape in which they are written and foreseen: a tag, a lane, a time and a few
//! numbers.

use super::wire::{Bytes, Unreadable, put_varint};

/// What a token stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Tag {
    Source = 1,
    Ready,
    AdvanceAsked,
    Advance,
    Hold,
    Release,
    Promise,
    /// The lane's events have this uncertainty from now on.
    Uncertainty,
    /// The lane's bursts are encoded so from now on.
    Encoding,
    Serial,
    Edge,
    Burst,
    Bus,
    Flow,
    FlashBusy,
    Gauge,
    Action,
    Device,
    Note,
    Gap,
    Call,
    /// A piece of the bytes that the next `Returned` hands out.
    Piece,
    Returned,
    Yielded,
    RunFailed,
    Checked,
    Air,
    Overrun,
    Phases,
}

/// Which parts a token of some tag has.
struct Shape {
    lane: bool,
    time: bool,
    fields: usize,
}

/// More than that no token has.
pub(super) const FIELDS: usize = 7;

impl Tag {
    const ALL: [Tag; 29] = [
        Tag::Source,
        Tag::Ready,
        Tag::AdvanceAsked,
        Tag::Advance,
        Tag::Hold,
        Tag::Release,
        Tag::Promise,
        Tag::Uncertainty,
        Tag::Encoding,
        Tag::Serial,
        Tag::Edge,
        Tag::Burst,
        Tag::Bus,
        Tag::Flow,
        Tag::FlashBusy,
        Tag::Gauge,
        Tag::Action,
        Tag::Device,
        Tag::Note,
        Tag::Gap,
        Tag::Call,
        Tag::Piece,
        Tag::Returned,
        Tag::Yielded,
        Tag::RunFailed,
        Tag::Checked,
        Tag::Air,
        Tag::Overrun,
        Tag::Phases,
    ];

    fn of(byte: u8) -> Option<Tag> {
        Tag::ALL.get(usize::from(byte).checked_sub(1)?).copied()
    }

    fn shape(self) -> Shape {
        let (lane, time, fields) = match self {
            Tag::Ready | Tag::Yielded => (false, false, 0),
            Tag::AdvanceAsked | Tag::Advance | Tag::Overrun => (false, true, 0),
            Tag::Source | Tag::Piece | Tag::RunFailed => (false, false, 1),
            Tag::Returned | Tag::Checked => (false, false, 2),
            Tag::Call => (false, false, 7),
            Tag::Release => (true, false, 0),
            Tag::Uncertainty => (true, false, 1),
            Tag::Encoding => (true, false, 5),
            Tag::Hold | Tag::Promise => (true, true, 0),
            Tag::Edge | Tag::Burst | Tag::Gauge | Tag::Action | Tag::Note => (true, true, 1),
            Tag::Bus | Tag::Device | Tag::Gap => (true, true, 2),
            Tag::Serial | Tag::Flow | Tag::Air | Tag::Phases => (true, true, 3),
            Tag::FlashBusy => (true, true, 4),
        };
        Shape { lane, time, fields }
    }

    pub(super) fn is_advance(self) -> bool {
        matches!(self, Tag::Advance | Tag::AdvanceAsked)
    }
}

/// Of a literal's first byte: the case did it.
const BY_CASE: u8 = 0x40;
/// Of a record's first byte: the next tokens are as foreseen, so many of them.
const FORESEEN: u8 = 0x80;
/// More than that many need a number of their own.
const FEW: u64 = 0x7F;
/// A record's first byte: bytes that later tokens refer to.
const CONTENT: u8 = 0;

/// An operation as numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) tag: Tag,
    pub(super) by_case: bool,
    pub(super) lane: u16,
    pub(super) time: u64,
    pub(super) fields: [u64; FIELDS],
}

impl Token {
    pub(super) fn new(tag: Tag, lane: u16, time: u64) -> Self {
        Token { tag, by_case: false, lane, time, fields: [0; FIELDS] }
    }

    /// Without its time, as a few bits.
    fn shape_hash(&self) -> u64 {
        let head = u64::from(self.lane) << 16 | u64::from(self.tag as u8) << 1 | u64::from(self.by_case);
        let fields = self.fields.iter().zip(MIXERS).map(|(&field, mixer)| field.wrapping_mul(mixer));
        mix(fields.fold(head, |sum, field| sum.wrapping_add(field)))
    }

    fn put(&self, out: &mut Vec<u8>) {
        let shape = self.tag.shape();
        out.push(self.tag as u8 | if self.by_case { BY_CASE } else { 0 });
        if shape.lane {
            put_varint(out, self.lane.into());
        }
        if shape.time {
            put_varint(out, self.time);
        }
        for &field in &self.fields[..shape.fields] {
            put_varint(out, field);
        }
    }

    fn read(first: u8, bytes: &mut Bytes<'_>) -> Result<Self, Unreadable> {
        let tag = Tag::of(first & !BY_CASE).ok_or(Unreadable::Malformed("an unknown kind of record"))?;
        let shape = tag.shape();
        let lane = if shape.lane { bytes.varint()? } else { 0 };
        let lane = u16::try_from(lane).map_err(|_| Unreadable::Malformed("a lane beyond 65,535"))?;
        let time = if shape.time { bytes.varint()? } else { 0 };
        let mut fields = [0; FIELDS];
        for field in &mut fields[..shape.fields] {
            *field = bytes.varint()?;
        }
        Ok(Token { tag, by_case: first & BY_CASE != 0, lane, time, fields })
    }
}

/// Odd numbers without a pattern: the first digits of square roots.
const MIXERS: [u64; FIELDS] = [
    0x6A09_E667_F3BC_C909,
    0xBB67_AE85_84CA_A73B,
    0x3C6E_F372_FE94_F82B,
    0xA54F_F53A_5F1D_36F1,
    0x510E_527F_ADE6_82D1,
    0x9B05_688C_2B3E_6C1F,
    0x1F83_D9AB_FB41_BD6B,
];

fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    value ^ value >> 29
}

/// One record of a block.
pub(super) enum Record<'a> {
    /// The next so many tokens are as foreseen.
    Foreseen(u64),
    /// Bytes that later tokens refer to.
    Content(&'a [u8]),
    /// A token that was not foreseen.
    Literal(Token),
}

pub(super) fn put_foreseen(out: &mut Vec<u8>, count: u64) {
    if count < FEW {
        out.push(FORESEEN | count as u8);
    } else {
        out.push(FORESEEN | FEW as u8);
        put_varint(out, count - FEW);
    }
}

pub(super) fn put_content(out: &mut Vec<u8>, content: &[u8]) {
    out.push(CONTENT);
    put_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

pub(super) fn put_literal(out: &mut Vec<u8>, token: &Token) {
    token.put(out);
}

impl<'a> Record<'a> {
    pub(super) fn read(bytes: &mut Bytes<'a>, longest_content: usize) -> Result<Self, Unreadable> {
        let first = bytes.byte()?;
        if first & FORESEEN != 0 {
            let few = u64::from(first & !FORESEEN);
            let more = if few == FEW { bytes.varint()? } else { 0 };
            return Ok(Record::Foreseen(few.saturating_add(more)));
        }
        if first == CONTENT {
            let length = bytes.varint()?;
            if length > longest_content as u64 {
                return Err(Unreadable::Malformed("a content that is too long"));
            }
            return bytes.take(length).map(Record::Content);
        }
        Token::read(first, bytes).map(Record::Literal)
    }
}

/// Entries of each table. A device repeats itself in hundreds of ways and not in thousands; a table
/// that fits the processor's cache costs less than the bytes that a larger one would save.
const WAYS: usize = 1024;

/// Foresees the next token from the ones before: devices repeat themselves.
///
/// It looks first for what followed the last four tokens when the clock had moved in the same four
/// steps, then for what followed the last four tokens whenever they came. Reader and writer teach it
/// the same tokens, so both foresee the same.
pub(super) struct Foresight {
    /// With the hash that chose the entry, so that another one's entry is not taken for it.
    stepped: Vec<(u32, Token)>,
    followed: Vec<Token>,
    /// 16 bits for each of the last four tokens, times left out.
    tokens: u64,
    /// 16 bits for each of the last four steps of the clock.
    steps: u64,
}

impl Foresight {
    pub(super) fn new() -> Self {
        let nothing = Token::new(Tag::Ready, 0, 0);
        Foresight { stepped: vec![(0, nothing); WAYS], followed: vec![nothing; WAYS], tokens: 0, steps: 0 }
    }

    fn places(&self) -> (usize, usize, u32) {
        let followed = mix(self.tokens);
        let stepped = mix(followed ^ self.steps.rotate_left(17));
        (followed as usize % WAYS, stepped as usize % WAYS, (stepped >> 32) as u32)
    }

    /// The next token as foreseen; then learns the `true` one that `tell` gives for it.
    pub(super) fn learn<E>(&mut self, tell: impl FnOnce(&Token) -> Result<Token, E>) -> Result<Token, E> {
        let (followed, stepped, check) = self.places();
        let foreseen = match &self.stepped[stepped] {
            (known, token) if *known == check => token,
            _ => &self.followed[followed],
        };
        let token = tell(foreseen)?;
        self.stepped[stepped] = (check, token);
        self.followed[followed] = token;
        self.tokens = self.tokens << 16 | token.shape_hash() >> 48;
        if token.tag.is_advance() {
            self.steps = self.steps << 16 | mix(token.time) >> 48;
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tag_is_read_as_it_was_written() {
        for (index, tag) in Tag::ALL.into_iter().enumerate() {
            let shape = tag.shape();
            let mut token =
                Token::new(tag, if shape.lane { 300 } else { 0 }, if shape.time { 1 << 40 } else { 0 });
            token.by_case = index % 2 == 0;
            token.fields[..shape.fields].fill(u64::MAX);
            let mut out = Vec::new();
            put_literal(&mut out, &token);
            let mut bytes = Bytes::new(&out);
            let Ok(Record::Literal(read)) = Record::read(&mut bytes, 0) else { panic!("{tag:?}") };
            assert_eq!((read, bytes.left()), (token, 0));
            for cut in 0..out.len() {
                let cut = Record::read(&mut Bytes::new(&out[..cut]), 0).err();
                assert_eq!(cut, Some(Unreadable::Incomplete), "{tag:?}");
            }
        }
    }

    #[test]
    fn counts_of_every_size_are_read_as_they_were_written() {
        for count in [1, 126, 127, 128, 70_000, u64::MAX] {
            let mut out = Vec::new();
            put_foreseen(&mut out, count);
            let Ok(Record::Foreseen(read)) = Record::read(&mut Bytes::new(&out), 0) else {
                panic!("{count}")
            };
            assert_eq!(read, count);
        }
    }

    #[test]
    fn what_repeats_is_foreseen() {
        let mut foresight = Foresight::new();
        let mut surprises = 0;
        for round in 0..100u64 {
            // A period of a third of a nanosecond more than a whole number.
            for (tag, time) in
                [(Tag::Advance, 8333 + u64::from(round % 3 == 0)), (Tag::Hold, 0), (Tag::Release, 0)]
            {
                let token = Token::new(tag, 0, time);
                let learnt = foresight.learn(|foreseen| {
                    surprises += u32::from(*foreseen != token);
                    Ok::<_, ()>(token)
                });
                assert_eq!(learnt, Ok(token));
            }
        }
        assert!(surprises < 30, "{surprises} of 300");
    }
}
