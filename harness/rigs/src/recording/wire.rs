//! Numbers as bytes: seven bits a byte, least significant first, the top bit set on all but the last
//! (LEB128).

/// Why a record cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Unreadable {
    /// The bytes end before it does.
    Incomplete,
    /// No writer writes such a thing.
    Malformed(&'static str),
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Differences are small and go both ways: 0, -1, 1, -2 as 0, 1, 2, 3.
pub(super) fn zigzag(difference: i64) -> u64 {
    ((difference << 1) ^ (difference >> 63)) as u64
}

pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// A place in the payload of a block.
pub(super) struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Bytes { rest }
    }

    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn byte(&mut self) -> Result<u8, Unreadable> {
        let (&first, rest) = self.rest.split_first().ok_or(Unreadable::Incomplete)?;
        self.rest = rest;
        Ok(first)
    }

    pub(super) fn varint(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Unreadable::Malformed("a number of more than 64 bits"))
    }

    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8], Unreadable> {
        let length = usize::try_from(length).map_err(|_| Unreadable::Incomplete)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Unreadable::Incomplete)?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, 1)]
    #[case(127, 1)]
    #[case(128, 2)]
    #[case(4_800_000, 4)]
    #[case(u64::MAX, 10)]
    fn a_number_takes_the_bytes_that_it_needs(#[case] value: u64, #[case] length: usize) {
        let mut out = Vec::new();
        put_varint(&mut out, value);
        assert_eq!(out.len(), length);
        assert_eq!(Bytes::new(&out).varint(), Ok(value));
        assert_eq!(Bytes::new(&out[..length - 1]).varint(), Err(Unreadable::Incomplete));
    }

    #[test]
    fn too_large_a_number_is_refused() {
        let eleven = [[0xFF; 9].as_slice(), &[0x02]].concat();
        assert!(matches!(Bytes::new(&eleven).varint(), Err(Unreadable::Malformed(_))));
        assert!(matches!(Bytes::new(&[0x80; 20]).varint(), Err(Unreadable::Malformed(_))));
    }

    #[rstest]
    #[case(0, 0)]
    #[case(-1, 1)]
    #[case(1, 2)]
    #[case(i64::MAX, u64::MAX - 1)]
    #[case(i64::MIN, u64::MAX)]
    fn differences_go_both_ways(#[case] difference: i64, #[case] value: u64) {
        assert_eq!(zigzag(difference), value);
        assert_eq!(unzigzag(value), difference);
    }
}
