//! The bus of a display: what goes over its SPI, as transfers.
//!
//! [`samples`] takes a sample of the wires at each bit, and the microsecond at which each eight of them were there;
//! [`bits`] makes a byte of such eight, and bytes are gathered here until the chip select rises or the level of
//! the data/command line is another. In the flow (action, **event**, decode, measure, verdict, report) this is where
//! what a display is told becomes an event.

mod bits;
mod samples;

use rigor_controller::Ticks;
use rigor_controller::message::{MAX_TRANSFER, Said, Stream};

use crate::clock::{self, PER_MICRO};
use crate::outbox::Outbox;
use bits::{Alike, Taken};
use samples::Samples;

/// Words that are read before it is looked again how many there are: a quarter of the ring takes longer to fill.
const SLICE: u32 = 64;
/// A byte is told at most so many ticks before it was whole, and its samples are as late in memory at most: a microsecond, and
/// the way of DMA.
const LAG: u64 = PER_MICRO as u64 + 100;
/// What is gathered waits for more of the same for so long, while the chip is selected.
const PATIENCE: u64 = 2_000 * PER_MICRO as u64;

/// What listens to the bus.
pub(crate) struct Bus {
    samples: Samples,
    is_wanted: bool,
    /// What the samples of the last byte had in common.
    alike: Alike,
    gathered: Gathered,
    /// From where until where something was lost that nobody was told of.
    lost: Option<(Ticks, Ticks)>,
    /// The chip was deselected since samples began; before that none are taken.
    has_begun: bool,
    /// Everything before it was told, or is gathered.
    complete: Ticks,
}

/// Bytes of one transfer.
struct Gathered {
    at: Ticks,
    is_data: bool,
    bytes: [u8; MAX_TRANSFER],
    count: usize,
}

impl Bus {
    /// Nothing is listened to.
    pub(crate) fn new() -> Self {
        Bus {
            samples: Samples::new(),
            is_wanted: false,
            alike: Alike::NONE,
            gathered: Gathered { at: Ticks(0), is_data: false, bytes: [0; MAX_TRANSFER], count: 0 },
            lost: None,
            has_begun: false,
            complete: Ticks(0),
        }
    }

    /// Listens from now on, or does not.
    pub(crate) fn record(&mut self, is_wanted: bool) {
        if is_wanted == self.is_wanted {
            return;
        }
        self.is_wanted = is_wanted;
        self.lost = None;
        if is_wanted {
            self.begin();
        } else {
            self.samples.stop();
        }
    }

    fn begin(&mut self) {
        self.complete = self.samples.begin();
        self.has_begun = self.samples.have_begun();
        self.alike = Alike::NONE;
        self.gathered.count = 0;
    }

    /// What was gathered, and what comes until the samples begin again, is lost.
    fn lose(&mut self) {
        let from = if self.gathered.count > 0 { self.gathered.at } else { self.complete };
        self.begin();
        self.lost = and(self.lost, from, self.complete);
    }

    /// Tells some of the transfers; whether there may be more.
    pub(crate) fn pump(&mut self, outbox: &mut Outbox) -> bool {
        if !self.is_wanted {
            return false;
        }
        let now = clock::now();
        let Some(words) = self.samples.waiting() else {
            self.lose();
            return true;
        };
        if !self.has_begun {
            self.see_beginning(words, now);
        }
        if let Some((from, until)) = self.lost {
            if !outbox.say(Said::Lost { stream: Stream::Bus, from, until }) {
                return false;
            }
            self.lost = None;
        }
        if !self.has_begun {
            return false;
        }
        let mut left = words.min(SLICE);
        loop {
            left -= self.read_on(left);
            if left == 0 {
                break;
            }
            if !self.read(outbox) {
                return false;
            }
            left -= 1;
        }
        if words > SLICE {
            return true;
        }
        self.complete = self.complete.max(now - LAG);
        let is_old = now.since(self.gathered.at) > PATIENCE;
        if self.gathered.count > 0 && (is_old || samples::is_deselected()) {
            self.gathered.tell(outbox);
        }
        self.samples.refresh();
        false
    }

    /// While a transfer is under way of which the beginning is missing, the rest of it is lost, too.
    fn see_beginning(&mut self, words: u32, now: Ticks) {
        self.has_begun = words > 0 || self.samples.have_begun();
        let until = if words > 0 { clock::of_micros(self.samples.peek().1) } else { now };
        if self.has_begun || now.since(self.complete) > PATIENCE {
            self.lost = and(self.lost, self.complete, until);
            self.complete = until;
        }
    }

    /// Reads words that only go on with what is gathered, but at most so many; how many it were.
    fn read_on(&mut self, words: u32) -> u32 {
        let Gathered { bytes, count, .. } = &mut self.gathered;
        if *count == 0 {
            return 0;
        }
        let mut read = 0;
        for (place, word) in bytes[*count..].iter_mut().zip(self.samples.words(words)) {
            let Some(byte) = self.alike.byte(word) else { break };
            *place = byte;
            read += 1;
        }
        if read > 0 {
            *count += read as usize;
            self.samples.advance(read - 1);
            self.complete = clock::of_micros(self.samples.peek().1);
            self.samples.advance(1);
        }
        read
    }

    /// Reads the samples of a word; whether there was room for what they end.
    fn read(&mut self, outbox: &mut Outbox) -> bool {
        let (word, micros) = self.samples.peek();
        let mut alike = self.alike;
        let taken = alike.take(word);
        let ends = match taken {
            Taken::Byte { is_data, is_first, .. } => {
                is_first || is_data != self.gathered.is_data || self.gathered.count == MAX_TRANSFER
            }
            Taken::Foreign => false,
            Taken::Torn => true,
        };
        if ends && self.gathered.count > 0 && !self.gathered.tell(outbox) {
            // The word waits until there is room.
            return false;
        }
        let at = clock::of_micros(micros);
        match taken {
            Taken::Byte { byte, is_data, .. } => self.gathered.add(at, is_data, byte),
            Taken::Foreign => {}
            Taken::Torn => {
                self.lose();
                return false;
            }
        }
        self.alike = alike;
        self.complete = at;
        self.samples.advance(1);
        true
    }

    /// All before it has been told. `None` if nothing is recorded.
    pub(crate) fn complete(&self) -> Option<Ticks> {
        let known = if self.gathered.count > 0 { self.gathered.at } else { self.complete };
        self.is_wanted.then(|| self.lost.map_or(known, |(from, _)| from.min(known)))
    }
}

impl Gathered {
    fn add(&mut self, at: Ticks, is_data: bool, byte: u8) {
        if self.count == 0 {
            (self.at, self.is_data) = (at, is_data);
        }
        self.bytes[self.count] = byte;
        self.count += 1;
    }

    /// Tells it, if there is room; whether there was.
    fn tell(&mut self, outbox: &mut Outbox) -> bool {
        let bytes = &self.bytes[..self.count];
        let is_told = outbox.say(Said::Transfer { at: self.at, data: self.is_data, bytes });
        if is_told {
            self.count = 0;
        }
        is_told
    }
}

/// What was lost before, and something else.
fn and(lost: Option<(Ticks, Ticks)>, from: Ticks, until: Ticks) -> Option<(Ticks, Ticks)> {
    Some(lost.map_or((from, until), |(first, last)| (first.min(from), last.max(until))))
}
