//! What can be wrong with a loader or its line. Each shows a flashing tool something else.

/// One thing that is wrong, from the next start of the loader on.
///
/// Requests are counted from 1, from the start of the loader in ROM on; what is no request by its header
/// is not counted. `SYNC` is one request, whatever the number of its answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// One byte, the middle one, of what is said to a request does not arrive.
    LostByte {
        /// Which one.
        request: u32,
    },
    /// Something that nobody said arrives before what is said to a request.
    Noise {
        /// Which one.
        request: u32,
    },
    /// Nothing is said to a request, nor to any other after it.
    Stall {
        /// Which one.
        request: u32,
    },
    /// The port goes away when it would have been said what is said to a request.
    Disconnect {
        /// Which one.
        request: u32,
    },
    /// Every digest of the flash is wrong, while all that is in it is right.
    WrongDigest,
}

/// Bytes of another speed: what a line looks like on which two do not agree. None of them begins a frame.
const NOISE: [u8; 12] = [0x00, 0x80, 0xF8, 0x7E, 0x1E, 0x80, 0x00, 0xE6, 0x66, 0x98, 0x00, 0xFE];

/// What is to be done with what is said to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Line {
    Holds,
    Gone,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Does to what is `said` to the request with this number what is wrong with the line.
    pub(crate) fn on_the_line(&self, number: u32, said: &mut Vec<u8>) -> Line {
        for fault in &self.0 {
            match *fault {
                Fault::LostByte { request } if request == number && !said.is_empty() => {
                    said.remove(said.len() / 2);
                }
                Fault::Noise { request } if request == number => drop(said.splice(..0, NOISE)),
                Fault::Stall { request } if request <= number => said.clear(),
                Fault::Disconnect { request } if request == number => {
                    said.clear();
                    return Line::Gone;
                }
                _ => {}
            }
        }
        Line::Holds
    }

    /// The digest as it is told.
    pub(crate) fn digest(&self, mut right: [u8; 16]) -> [u8; 16] {
        if self.0.contains(&Fault::WrongDigest) {
            right[0] ^= 1;
        }
        right
    }
}
