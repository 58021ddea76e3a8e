//! Frames on a serial line: SLIP, RFC 1055, with a limit.

/// Begins and ends a frame.
const END: u8 = 0xC0;
/// Begins one of the two sequences that stand for a byte which may not be in a frame.
const ESCAPE: u8 = 0xDB;
const ESCAPED_END: u8 = 0xDC;
const ESCAPED_ESCAPE: u8 = 0xDD;

/// The longest frame that is taken: a block of 16 KiB (what flashing tools send to a stub), its header and
/// that of the request, with some room.
pub(crate) const MAX_FRAME: usize = 16 * 1024 + 64;

/// `frame` as it is sent, added to `line`.
pub(crate) fn encode(frame: &[u8], line: &mut Vec<u8>) {
    line.push(END);
    for byte in frame {
        match *byte {
            END => line.extend([ESCAPE, ESCAPED_END]),
            ESCAPE => line.extend([ESCAPE, ESCAPED_ESCAPE]),
            byte => line.push(byte),
        }
    }
    line.push(END);
}

/// Takes frames from what comes on a line. What stands between frames, frames that are too long and those
/// with an escape that means nothing are dropped in silence, as the loaders do it: the sender's time-out
/// then is the only answer.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    state: State,
    frame: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    /// Nothing counts until a frame begins.
    #[default]
    Between,
    Inside,
    Escaping,
}

impl Decoder {
    /// Takes the next byte, and gives the frame that it completes. A frame has at least a byte.
    pub(crate) fn take(&mut self, byte: u8) -> Option<Vec<u8>> {
        match (self.state, byte) {
            (State::Between, END) => self.state = State::Inside,
            (State::Between, _) => {}
            // Twice in a row the first ended what nobody saw the beginning of.
            (State::Inside, END) if self.frame.is_empty() => {}
            (State::Inside, END) => {
                self.state = State::Between;
                return Some(std::mem::take(&mut self.frame));
            }
            (State::Inside, ESCAPE) => self.state = State::Escaping,
            (State::Inside, byte) => self.put(byte),
            (State::Escaping, ESCAPED_END) => self.put(END),
            (State::Escaping, ESCAPED_ESCAPE) => self.put(ESCAPE),
            (State::Escaping, END) => {
                // A new frame may begin here.
                self.frame.clear();
                self.state = State::Inside;
            }
            (State::Escaping, _) => self.give_up(),
        }
        None
    }

    fn put(&mut self, byte: u8) {
        if self.frame.len() == MAX_FRAME {
            self.give_up();
        } else {
            self.state = State::Inside;
            self.frame.push(byte);
        }
    }

    fn give_up(&mut self) {
        self.frame = Vec::new();
        self.state = State::Between;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn frames(line: &[u8]) -> Vec<Vec<u8>> {
        let mut decoder = Decoder::default();
        line.iter().filter_map(|byte| decoder.take(*byte)).collect()
    }

    fn encoded(frame: &[u8]) -> Vec<u8> {
        let mut line = Vec::new();
        encode(frame, &mut line);
        line
    }

    #[test]
    fn a_frame_is_escaped_as_the_rfc_says() {
        assert_eq!(encoded(&[1, 0xC0, 2, 0xDB, 3]), [0xC0, 1, 0xDB, 0xDC, 2, 0xDB, 0xDD, 3, 0xC0]);
    }

    #[rstest]
    #[case::noise_before(b"boot:0x0\xC0\x01\xC0", &[1])]
    #[case::two(&[0xC0, 1, 0xC0, 0xC0, 2, 0xC0], &[1, 2])]
    #[case::empty_frames(&[0xC0, 0xC0, 0xC0, 0xC0, 1, 0xC0], &[1])]
    #[case::no_end(&[0xC0, 1, 2, 3], &[])]
    #[case::bad_escape(&[0xC0, 1, 0xDB, 7, 2, 0xC0, 0xC0, 3, 0xC0], &[3])]
    #[case::cut_in_an_escape(&[0xC0, 1, 0xDB, 0xC0, 3, 0xC0], &[3])]
    #[case::the_beginning_is_lost(&[1, 2, 0xC0, 0xC0, 3, 0xC0], &[3])]
    fn what_is_no_frame_is_dropped(#[case] line: &[u8], #[case] wanted: &[u8]) {
        let wanted: Vec<Vec<u8>> = wanted.iter().map(|byte| vec![*byte]).collect();
        assert_eq!(frames(line), wanted);
    }

    #[test]
    fn a_frame_that_is_too_long_is_dropped_and_the_next_one_heard() {
        let longest = vec![0x55; MAX_FRAME];
        assert_eq!(frames(&encoded(&longest)).concat(), longest);
        let mut line = encoded(&[longest, vec![0x55]].concat());
        assert_eq!(frames(&line), Vec::<Vec<u8>>::new());
        // Its end has to be taken for the beginning of another, which costs nothing.
        line.extend(encoded(&[7]));
        assert_eq!(frames(&line), [[7]]);
    }

    proptest! {
        #[test]
        fn what_is_sent_is_what_is_taken(sent in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![Just(END), Just(ESCAPE), any::<u8>()], 1..64), 0..8)
        ) {
            let mut line = Vec::new();
            for frame in &sent {
                encode(frame, &mut line);
            }
            prop_assert_eq!(frames(&line), sent);
        }

        #[test]
        fn after_anything_two_ends_and_a_frame_are_heard(noise: Vec<u8>) {
            let mut line = noise;
            line.extend([END, END]);
            line.extend(encoded(b"heard"));
            prop_assert_eq!(frames(&line).pop(), Some(b"heard".to_vec()));
        }
    }
}
