//! The console: FIFOs and byte times of a UART.
//!
//! As on the virtual board: the transmitter sends a FIFO's worth back to back, and what was written
//! meanwhile follows without a pause; the receiver's buffer overflows like a real one.

use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use core::future::poll_fn;
use core::task::{Poll, Waker};

use critical_section::{CriticalSection, Mutex};
use embedded_io_async::{ErrorType, Read, Write};
use heapless::{Deque, Vec};
use rigor_agent::Record;
use rigor_agent::layout::{Reason, boot};

use crate::{agent, clock, kernel, memory};

/// Bytes of the transmitter's FIFO (ESP32-S3: 128), and of what the driver has ready behind it.
const TX_FIFO_BYTES: usize = 128;
/// Bytes that wait for the firmware.
const RX_BUFFER_BYTES: usize = 1024;
/// Start bit, eight data bits, stop bit.
const BITS_PER_BYTE: u64 = 10;

/// How long `bytes` bytes are on the wire.
pub fn duration(bytes: usize) -> u64 {
    bytes as u64 * (BITS_PER_BYTE * 1_000_000_000 / u64::from(memory::word(boot::BAUD).max(1)))
}

struct Transmitter {
    busy_until: u64,
    queued: Vec<u8, TX_FIFO_BYTES>,
    waker: Option<Waker>,
}

static TRANSMITTER: Mutex<RefCell<Transmitter>> =
    Mutex::new(RefCell::new(Transmitter { busy_until: 0, queued: Vec::new(), waker: None }));
static RECEIVED: Mutex<RefCell<Deque<u8, RX_BUFFER_BYTES>>> = Mutex::new(RefCell::new(Deque::new()));
static READER: Mutex<Cell<Option<Waker>>> = Mutex::new(Cell::new(None));

/// What the console sends.
pub struct ConsoleTx;
/// What the console receives.
pub struct ConsoleRx;

/// Begins to send `bytes` now; when the last stop bit will have left.
fn transmit(now: u64, bytes: &[u8]) -> u64 {
    agent::record(now, &Record::Console(bytes));
    agent::meet(Reason::Record);
    now + duration(bytes.len())
}

/// Goes on with what is queued when the line is free; when to look again.
pub fn tick(now: u64) -> u64 {
    critical_section::with(|cs| {
        let mut transmitter = TRANSMITTER.borrow_ref_mut(cs);
        if now < transmitter.busy_until {
            return transmitter.busy_until;
        }
        if transmitter.queued.is_empty() {
            return u64::MAX;
        }
        let queued = core::mem::take(&mut transmitter.queued);
        let waker = transmitter.waker.take();
        drop(transmitter);
        let busy_until = transmit(now, &queued);
        TRANSMITTER.borrow_ref_mut(cs).busy_until = busy_until;
        if let Some(waker) = waker {
            waker.wake();
        }
        busy_until
    })
}

/// What has arrived goes to the receiver's buffer.
pub fn receive(cs: CriticalSection<'_>, bytes: &[u8]) {
    for &byte in bytes {
        // A full buffer loses the byte.
        let _ = RECEIVED.borrow_ref_mut(cs).push_back(byte);
    }
    if let Some(waker) = READER.borrow(cs).take() {
        waker.wake();
    }
}

/// Takes what there is room for; how many bytes that is.
fn accept(cs: CriticalSection<'_>, bytes: &[u8]) -> usize {
    let now = clock::now();
    let mut transmitter = TRANSMITTER.borrow_ref_mut(cs);
    let count = bytes.len().min(TX_FIFO_BYTES - transmitter.queued.len());
    if now < transmitter.busy_until || !transmitter.queued.is_empty() {
        // It fits by the line above.
        let _ = transmitter.queued.extend_from_slice(&bytes[..count]);
        kernel::look_at_alarm(transmitter.busy_until);
        return count;
    }
    drop(transmitter);
    let busy_until = transmit(now, &bytes[..count]);
    TRANSMITTER.borrow_ref_mut(cs).busy_until = busy_until;
    count
}

impl ErrorType for ConsoleTx {
    type Error = Infallible;
}

impl Write for ConsoleTx {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        poll_fn(|context| {
            critical_section::with(|cs| match accept(cs, bytes) {
                0 if !bytes.is_empty() => {
                    TRANSMITTER.borrow_ref_mut(cs).waker = Some(context.waker().clone());
                    Poll::Pending
                }
                count => Poll::Ready(Ok(count)),
            })
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        loop {
            let (busy_until, queued) = critical_section::with(|cs| {
                let transmitter = TRANSMITTER.borrow_ref(cs);
                (transmitter.busy_until, transmitter.queued.len())
            });
            let left = (busy_until + duration(queued)).saturating_sub(clock::now());
            if left == 0 {
                return Ok(());
            }
            embassy_time::Timer::after_micros(left.div_ceil(1000)).await;
        }
    }
}

impl ErrorType for ConsoleRx {
    type Error = Infallible;
}

impl Read for ConsoleRx {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        poll_fn(|context| {
            critical_section::with(|cs| {
                let mut received = RECEIVED.borrow_ref_mut(cs);
                let mut count = 0;
                while count < buffer.len()
                    && let Some(byte) = received.pop_front()
                {
                    buffer[count] = byte;
                    count += 1;
                }
                if count == 0 && !buffer.is_empty() {
                    READER.borrow(cs).set(Some(context.waker().clone()));
                    return Poll::Pending;
                }
                Poll::Ready(Ok(count))
            })
        })
        .await
    }
}
