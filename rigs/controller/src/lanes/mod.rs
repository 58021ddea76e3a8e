//! The lanes: WS2812 signals, measured to the tick and packed.
//!
//! [`program`] runs on four state machines; [`machines`] takes their words to memory; a [`Lane`] makes pulses of
//! the words of its two, and packets of the pulses. While there is no burst, each machine's own count is
//! [followed](stream) to where the next one begins.

mod known;
mod machines;
mod program;
mod stream;

use rigor_controller::Ticks;
use rigor_controller::message::{MAX_PACKED, Said, Stream};
use rigor_controller::packed::{IDLE_NANOS, Packer, Pulse};

use crate::clock;
use crate::outbox::Outbox;
use known::Known;
use machines::Pair;
use program::{AFTER_EDGE, COUNT, FIRST_LOOK};
use stream::{At, Word};

/// A lane that is idle for more ticks has ended its burst.
const IDLE: u32 = IDLE_NANOS / (1_000_000_000 / clock::HZ);
/// Pulses that are read before somebody else gets his turn.
const SLICE: u32 = 256;

/// All of them.
pub(crate) struct Lanes([Lane; 2]);

impl Lanes {
    /// None is recorded.
    pub(crate) fn new() -> Self {
        let mut number = 0;
        Lanes(machines::set_up().map(|pair| {
            number += 1;
            Lane::new(number - 1, pair)
        }))
    }

    /// Records those of `mask` from now on, and no others.
    pub(crate) fn record(&mut self, mask: u8) {
        let wanted = |lane: &Lane| mask & 1 << lane.number != 0;
        for lane in self.0.iter_mut().filter(|lane| !wanted(lane)) {
            lane.stop();
        }
        let fresh = |lane: &&mut Lane| wanted(lane) && !lane.records;
        let begun = machines::start(self.0.iter_mut().filter(fresh).map(|lane| &mut lane.pair));
        for lane in self.0.iter_mut().filter(fresh) {
            lane.begin(begun);
            lane.records = true;
        }
    }

    /// Says some of what there is; whether there may be more.
    pub(crate) fn pump(&mut self, outbox: &mut Outbox) -> bool {
        self.0.iter_mut().filter(|lane| lane.records).fold(false, |more, lane| lane.pump(outbox) | more)
    }

    /// Says what was lost so far.
    pub(crate) fn tell_losses(&mut self, outbox: &mut Outbox) {
        for lane in self.0.iter_mut().filter(|lane| lane.records) {
            lane.tell_loss(outbox);
        }
    }

    /// All before it has been said. `None` if nothing is recorded.
    pub(crate) fn complete(&self) -> Option<Ticks> {
        self.0.iter().filter(|lane| lane.records).map(Lane::complete).min()
    }
}

/// Where a lane is.
enum Mode {
    /// Looking for a burst, each machine by itself.
    Seek([At; 2]),
    /// In a burst: a pulse rose at the instant. The first one of each machine may begin later in its program.
    Burst { rose: u64, after: [u32; 2] },
}

struct Lane {
    number: u8,
    pair: Pair,
    records: bool,
    mode: Mode,
    /// The first machine looks in the odd ones among the ticks.
    first_is_odd: bool,
    packer: Packer,
    /// Kinds of pulses that are in it.
    known: Known,
    /// When the first pulse in the packer rose.
    packed_from: u64,
    /// The packet has to be sent.
    is_due: bool,
    lost_from: Option<u64>,
}

impl Lane {
    fn new(number: u8, pair: Pair) -> Self {
        Lane {
            number,
            pair,
            records: false,
            mode: Mode::Burst { rose: 0, after: [0; 2] },
            first_is_odd: false,
            packer: Packer::new(),
            known: Known::new(),
            packed_from: 0,
            is_due: false,
            lost_from: None,
        }
    }

    fn stop(&mut self) {
        machines::stop(&self.pair);
        self.records = false;
        self.packer = Packer::new();
        self.known.forget();
        self.is_due = false;
        self.lost_from = None;
    }

    /// Both machines have just been started.
    fn begin(&mut self, at: Ticks) {
        let looked = at.0 + u64::from(FIRST_LOOK);
        self.first_is_odd = looked % 2 == 1;
        self.mode = Mode::Seek([looked, looked + 1].map(|looked| At::Pause { looked, since: looked }));
    }

    /// Something went wrong from `from` on: what is known is of no use, and the machines begin again.
    fn lose(&mut self, from: u64) {
        self.lost_from.get_or_insert(from);
        self.is_due = !self.packer.is_empty();
        let begun = machines::start(core::iter::once(&mut self.pair));
        self.begin(begun);
    }

    fn complete(&self) -> Ticks {
        let known = match &self.mode {
            Mode::Seek(at) => at[0].instant().min(at[1].instant()),
            Mode::Burst { rose, .. } => *rose,
        };
        let known = if self.packer.is_empty() { known } else { self.packed_from };
        Ticks(self.lost_from.map_or(known, |lost| lost.min(known)))
    }

    fn tell_loss(&mut self, outbox: &mut Outbox) {
        let Mode::Seek(at) = &self.mode else { return };
        let until = at[0].instant().min(at[1].instant());
        self.say_loss(until, outbox);
    }

    fn say_loss(&mut self, until: u64, outbox: &mut Outbox) {
        let Some(from) = self.lost_from.filter(|&from| from < until) else { return };
        let stream = Stream::Lane(self.number);
        if outbox.say(Said::Lost { stream, from: Ticks(from), until: Ticks(until) }) {
            self.lost_from = Some(until);
        }
    }

    fn pump(&mut self, outbox: &mut Outbox) -> bool {
        if self.is_due && !self.flush(outbox) {
            return self.check();
        }
        let Some(words) = self.words() else { return true };
        match self.mode {
            Mode::Seek(at) => self.seek(at, words, outbox),
            Mode::Burst { rose, after } => {
                let words = words[0].min(words[1]).min(SLICE);
                words > 0 && self.burst(rose, after, words, outbox)
            }
        }
    }

    /// Notices an overrun while nothing can be sent. There is nothing more to do.
    fn check(&mut self) -> bool {
        self.words();
        false
    }

    /// The words of each machine that wait. `None` if some were lost; then both have begun again.
    fn words(&mut self) -> Option<[u32; 2]> {
        let [Some(first), Some(second)] = self.pair.each_ref().map(|machine| machine.tap.waiting()) else {
            let known = match &self.mode {
                Mode::Seek(at) => at[0].instant().min(at[1].instant()),
                Mode::Burst { rose, .. } => *rose,
            };
            self.lose(known);
            return None;
        };
        Some([first, second])
    }

    fn seek(&mut self, mut at: [At; 2], words: [u32; 2], outbox: &mut Outbox) -> bool {
        let known = at[0].instant().min(at[1].instant());
        let mut left_out = false;
        for ((at, machine), words) in at.iter_mut().zip(&mut self.pair).zip(words) {
            left_out |= at.seek(&mut machine.tap, words.min(SLICE));
        }
        if left_out {
            self.lost_from.get_or_insert(known);
        }
        self.mode = Mode::Seek(at);
        match at {
            [At::Rose { .. }, At::Rose { .. }] if self.lost_from.is_some() && !outbox.has_room() => false,
            [At::Rose { rose: first, after: a }, At::Rose { rose: second, after: b }] => {
                if first.abs_diff(second) == 1 {
                    let rose = first.min(second);
                    self.say_loss(rose, outbox);
                    self.lost_from = self.lost_from.filter(|&from| from < rose);
                    self.mode = Mode::Burst { rose, after: [a, b] };
                } else {
                    // Not the same pause: the one that is behind goes on to the next.
                    self.lost_from.get_or_insert(known);
                    let behind = usize::from(second < first);
                    if let At::Rose { rose, after } = at[behind] {
                        at[behind] = At::Pulses { rose, after };
                    }
                    self.mode = Mode::Seek(at);
                }
                true
            }
            [At::Pause { .. }, At::Pause { .. }] if !self.pair[0].tap.is_fresh() => {
                let begun = machines::start(core::iter::once(&mut self.pair));
                self.begin(begun);
                false
            }
            _ => words.iter().any(|&words| words > SLICE),
        }
    }

    /// Reads up to `words` pulses of a burst; whether there may be more to be read at once.
    fn burst(&mut self, mut rose: u64, after: [u32; 2], words: u32, outbox: &mut Outbox) -> bool {
        let mut left = words;
        // The first pulse after a pause is measured from elsewhere.
        if after == [AFTER_EDGE; 2] {
            loop {
                let ([first, second], stretch) = self.stretch(left);
                // SAFETY: so many words wait on both sides.
                let packed = unsafe { self.known.pack(first, second, stretch, self.packer.vacant()) };
                self.packer.fill(packed.pulses as usize / 2);
                rose += u64::from(packed.ticks);
                left -= packed.pulses;
                self.advance(packed.pulses);
                self.mode = Mode::Burst { rose, after };
                if left == 0 {
                    return words == SLICE;
                }
                let Some(pulse) = self.usual() else { break };
                if !self.push(pulse, rose) {
                    // Sending takes a while: how much waits has to be looked at again.
                    return self.flush(outbox);
                }
                self.learn(pulse);
                rose += u64::from(pulse.active + pulse.idle);
                left -= 1;
                self.advance(1);
                self.mode = Mode::Burst { rose, after };
                if left == 0 {
                    return words == SLICE;
                }
            }
        }
        self.special(rose, after, outbox);
        true
    }

    /// Words of both machines that stand one after the other.
    fn stretch(&self, waiting: u32) -> ([*const u32; 2], u32) {
        let [(first, a), (second, b)] = self.pair.each_ref().map(|machine| machine.tap.stretch(waiting));
        ([first, second], a.min(b))
    }

    /// The next pulse, if nothing is special about it.
    fn usual(&self) -> Option<Pulse> {
        // Of the sum of both counts; a count that ran out makes the ticks fewer than there can be.
        let is_usual = |ticks: u32| ticks.wrapping_sub(AFTER_EDGE) <= IDLE - AFTER_EDGE;
        const WHOLE: u32 = AFTER_EDGE + 2 * COUNT;
        let [first, second] = self.pair.each_ref().map(|machine| machine.tap.peek(0));
        let active = WHOLE.wrapping_sub((first >> 16) + (second >> 16));
        let idle = WHOLE.wrapping_sub((first & 0xFFFF) + (second & 0xFFFF));
        let alike = |a: u32, b: u32| a.abs_diff(b) <= 1;
        let both_alike = alike(first >> 16, second >> 16) && alike(first & 0xFFFF, second & 0xFFFF);
        (both_alike && is_usual(active) && is_usual(idle)).then_some(Pulse { active, idle })
    }

    /// Knows the next pulse from now on, as long as the packet lasts.
    fn learn(&mut self, pulse: Pulse) {
        if let Some(place) = self.packer.place_of(pulse) {
            let words = self.pair.each_ref().map(|machine| machine.tap.peek(0));
            self.known.learn(words, place, pulse.active + pulse.idle);
        }
    }

    fn advance(&mut self, words: u32) {
        for machine in &mut self.pair {
            machine.tap.advance(words);
        }
    }

    /// Reads one pulse of which something is special.
    #[cold]
    #[inline(never)]
    fn special(&mut self, rose: u64, after: [u32; 2], outbox: &mut Outbox) {
        let words = self.pair.each_ref().map(|machine| Word(machine.tap.peek(0)));
        let own = if self.first_is_odd == (rose % 2 == 1) { [rose, rose + 1] } else { [rose + 1, rose] };
        let ([Some(a), Some(b)], lows) =
            ([words[0].high(after[0]), words[1].high(after[1])], words.map(Word::low))
        else {
            return self.desert(own, after, rose);
        };
        let parts = |low: u32| low <= IDLE;
        let alike = |a: u32, b: u32| a.abs_diff(b) <= 2;
        let (idle, ends) = match lows {
            [Some(c), Some(d)] if !alike(c, d) || !alike(a, b) => return self.desert(own, after, rose),
            [Some(c), Some(d)] if parts((c + d) / 2) => ((c + d) / 2, false),
            _ if alike(a, b) => (0, true),
            _ => return self.desert(own, after, rose),
        };
        let pulse = Pulse { active: (a + b) / 2, idle };
        if !self.push(pulse, rose) {
            self.flush(outbox);
            return;
        }
        self.advance(1);
        self.mode = if ends {
            self.is_due = true;
            Mode::Seek([At::after_burst(own[0], a, lows[0]), At::after_burst(own[1], b, lows[1])])
        } else {
            Mode::Burst { rose: rose + u64::from(pulse.active + pulse.idle), after: [AFTER_EDGE; 2] }
        };
    }

    /// The machines do not agree, or the pin is stuck: looks for another burst from here.
    fn desert(&mut self, own: [u64; 2], after: [u32; 2], from: u64) {
        self.lost_from.get_or_insert(from);
        self.is_due = !self.packer.is_empty();
        self.mode =
            Mode::Seek([0, 1].map(|machine| At::Pulses { rose: own[machine], after: after[machine] }));
    }

    fn push(&mut self, pulse: Pulse, rose: u64) -> bool {
        if self.packer.is_empty() {
            self.packed_from = rose;
        }
        self.packer.push(pulse)
    }

    /// Sends the packet; whether it could be.
    fn flush(&mut self, outbox: &mut Outbox) -> bool {
        if !outbox.has_room() {
            self.is_due = true;
            return false;
        }
        let mut packed = [0; MAX_PACKED];
        let length = self.packer.finish(&mut packed);
        self.known.forget();
        self.is_due = false;
        outbox.say(Said::Pulses { lane: self.number, at: Ticks(self.packed_from), packed: &packed[..length] })
    }
}
