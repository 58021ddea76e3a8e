//! The interface of a rig in exact time: frames go to the rig as records and come with its orders.

use core::cell::{Cell, RefCell, UnsafeCell};
use core::task::Waker;

use critical_section::{CriticalSection, Mutex};
use rigor_agent::Record;
use rigor_agent::layout::Reason;

use super::FRAME_BYTES;
use crate::{agent, clock};

/// Frames that wait for the stack, as many as ESP-IDF's driver keeps (`CONFIG_ESP_WIFI_STATIC_RX_BUFFER_NUM`
/// is 10). One that finds no place is lost.
const WAITING: usize = 10;

/// Frames' memory. None of it passes over the stack of the task, which is small.
struct Frames(UnsafeCell<[[u8; FRAME_BYTES]; WAITING]>);
// SAFETY: the oldest waiting frame is the stack's until it lets go of it, free places are the agent's, and
// which is which changes in critical sections only.
unsafe impl Sync for Frames {}
static FRAMES: Frames = Frames(UnsafeCell::new([[0; FRAME_BYTES]; WAITING]));

/// Which places hold frames: the oldest, how many, and their lengths.
struct Waiting {
    oldest: usize,
    count: usize,
    lengths: [usize; WAITING],
}

impl Waiting {
    fn let_go(&mut self) {
        self.oldest = (self.oldest + 1) % WAITING;
        self.count -= 1;
    }
}

static RECEIVED: Mutex<RefCell<Waiting>> =
    Mutex::new(RefCell::new(Waiting { oldest: 0, count: 0, lengths: [0; WAITING] }));
static READER: Mutex<Cell<Option<Waker>>> = Mutex::new(Cell::new(None));

/// The place of frame `index`.
fn place(index: usize) -> *mut u8 {
    // The address of a field of the cell's array; nothing is read.
    FRAMES.0.get().cast::<[u8; FRAME_BYTES]>().wrapping_add(index).cast()
}

/// Frames have arrived, each behind its length.
pub fn receive(cs: CriticalSection<'_>, mut frames: &[u8]) {
    let mut waiting = RECEIVED.borrow_ref_mut(cs);
    while let Some((length, rest)) = frames.split_first_chunk::<2>() {
        let length = u16::from_le_bytes(*length) as usize;
        let Some((frame, rest)) = rest.split_at_checked(length) else { break };
        frames = rest;
        if length <= FRAME_BYTES && waiting.count < WAITING {
            let index = (waiting.oldest + waiting.count) % WAITING;
            // SAFETY: a free place, and it fits.
            unsafe { place(index).copy_from_nonoverlapping(frame.as_ptr(), length) };
            waiting.lengths[index] = length;
            waiting.count += 1;
        }
    }
    drop(waiting);
    if let Some(waker) = READER.borrow(cs).take() {
        waker.wake();
    }
}

/// The oldest frame that is not refused by `is_refused`, which stays where it is until it is [taken](take).
/// If there is none, `waker` hears of the next one.
pub fn waiting(waker: &Waker, is_refused: impl Fn(&[u8]) -> bool) -> bool {
    critical_section::with(|cs| {
        let mut waiting = RECEIVED.borrow_ref_mut(cs);
        while waiting.count > 0 {
            let (index, length) = (waiting.oldest, waiting.lengths[waiting.oldest]);
            // SAFETY: the oldest frame, which nobody has been given.
            if !is_refused(unsafe { core::slice::from_raw_parts(place(index), length) }) {
                return true;
            }
            waiting.let_go();
        }
        READER.borrow(cs).set(Some(waker.clone()));
        false
    })
}

/// Lets `consume` have the oldest frame, and lets go of it.
pub fn take<R>(consume: impl FnOnce(&mut [u8]) -> R) -> R {
    let (index, length) = critical_section::with(|cs| {
        let waiting = RECEIVED.borrow_ref(cs);
        (waiting.oldest, waiting.lengths[waiting.oldest])
    });
    // SAFETY: whoever was told that a frame waits has the oldest one, until it is let go of below.
    let result = consume(unsafe { core::slice::from_raw_parts_mut(place(index), length) });
    critical_section::with(|cs| {
        RECEIVED.borrow_ref_mut(cs).let_go();
    });
    result
}

/// Sends a frame.
pub fn send(frame: &[u8]) {
    agent::record(clock::now(), &Record::Frame(frame));
    agent::meet(Reason::Record);
}
