//! What is said, on its way to the host: reports become frames, frames are gathered in batches, and batches wait
//! in a queue of fixed length. Whoever finds no room keeps what he has, and loses it himself if need be.

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::zerocopy_channel::{Channel, Receiver, Sender};
use rigor_controller::frame::{self, MAX_FRAME};
use rigor_controller::message::{Report, Said};
use static_cell::StaticCell;

/// Batches that wait at most. Some 25 ms of two lanes.
const BATCHES: usize = 24;

/// Frames that are sent at once.
pub(crate) struct Batch {
    bytes: [u8; Batch::SIZE],
    length: usize,
}

impl Batch {
    /// One long frame, and a few short ones.
    const SIZE: usize = MAX_FRAME + 128;

    const fn new() -> Self {
        Batch { bytes: [0; Batch::SIZE], length: 0 }
    }

    /// The frames.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Where batches go.
pub(crate) type Waiting = Receiver<'static, CriticalSectionRawMutex, Batch>;

/// The end that is written to.
pub(crate) struct Outbox {
    batches: Sender<'static, CriticalSectionRawMutex, Batch>,
    /// Bytes in the batch that is being written.
    length: usize,
    sequence: u32,
}

impl Outbox {
    /// An empty one, and where it sends to. Once.
    pub(crate) fn new() -> (Self, Waiting) {
        static SPACE: StaticCell<[Batch; BATCHES]> = StaticCell::new();
        static CHANNEL: StaticCell<Channel<'static, CriticalSectionRawMutex, Batch>> = StaticCell::new();
        let space = SPACE.init_with(|| [const { Batch::new() }; BATCHES]);
        let (batches, waiting) = CHANNEL.init(Channel::new(space)).split();
        (Outbox { batches, length: 0, sequence: 0 }, waiting)
    }

    /// There is room for any one report.
    pub(crate) fn has_room(&mut self) -> bool {
        if self.length + MAX_FRAME > Batch::SIZE {
            self.dispatch();
        }
        self.length > 0 || !self.batches.is_full()
    }

    /// Says it, if there is room; whether there was.
    pub(crate) fn say(&mut self, said: Said<'_>) -> bool {
        if !self.has_room() {
            return false;
        }
        let Some(batch) = self.batches.try_send() else { return false };
        let Some(room) = batch.bytes[self.length..].first_chunk_mut::<MAX_FRAME>() else { return false };
        // Nothing that is said is longer than a frame.
        let Some(frame) = frame::encode(&Report { sequence: self.sequence, said }, room) else { return true };
        self.length += frame.len();
        self.sequence = self.sequence.wrapping_add(1);
        true
    }

    /// Sends what has been said so far.
    pub(crate) fn dispatch(&mut self) {
        if self.length == 0 {
            return;
        }
        if let Some(batch) = self.batches.try_send() {
            batch.length = self.length;
            self.length = 0;
            self.batches.send_done();
        }
    }

    /// A host begins: what was not sent of another's is dropped, and whatever arrived of a frame ends.
    pub(crate) fn begin(&mut self) {
        self.length = 0;
        self.sequence = 0;
        if let Some(batch) = self.batches.try_send() {
            batch.bytes[0] = 0;
            self.length = 1;
        }
    }
}
