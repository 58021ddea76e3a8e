//! The chip: peripherals that are memory and take no time.

use alloc::boxed::Box;
use core::cell::{Cell, RefCell};
use core::convert::Infallible;
use core::future::{pending, poll_fn};
use core::net::Ipv4Addr;
use core::task::{Poll, Waker};
use core::time::Duration;

use critical_section::Mutex;
use embedded_io_async::{ErrorType, Read, Write};
use firmware_platform as platform;
use firmware_platform::{AccessPoint, BytesEncoder, HeapStatus, JoinError, PulseTransmitter, StartCause};
use heapless::{Deque, HistoryBuf};

use crate::crew::{Cpu, Crew};
use crate::flash::Flash;
use crate::net::{self, Net};
use crate::{clock, heap};

/// The chip.
pub struct Bare;

impl platform::Chip<2> for Bare {
    type Cpu = Cpu;
    type Tasks = Crew;
    type Machine = Machine;
    type Flash = Flash;
    type Leds = Leds;
    type ConsoleRx = ConsoleRx;
    type ConsoleTx = ConsoleTx;
    type Net = Net;
    type Wifi = Wifi;
}

/// All peripherals, for the tasks of `crew`. Once.
pub fn peripherals(crew: &Crew) -> platform::Peripherals<2, Bare> {
    platform::Peripherals {
        cpu: Cpu,
        tasks: crew.clone(),
        machine: Machine,
        flash: Flash,
        leds: Leds,
        console_rx: ConsoleRx,
        console_tx: ConsoleTx,
        net: Net::new(),
        wifi: Wifi,
    }
}

/// The chip as a whole. Its allocator is that of the image for rigs, and counts.
#[derive(Clone)]
pub struct Machine;

impl platform::Machine for Machine {
    fn model(&self) -> platform::ChipModel {
        platform::ChipModel::ESP32_S3
    }

    fn heap(&self) -> HeapStatus {
        heap::status()
    }

    fn start_cause(&self) -> StartCause {
        StartCause::PowerOn
    }

    fn restart(&self) -> ! {
        panic!("the firmware restarts")
    }

    fn start_watchdog(&self, _: Duration) {}

    fn feed_watchdog(&self) {}
}

/// Transmits in no time: the transmitter needs no processor.
pub struct Leds;

impl PulseTransmitter<2> for Leds {
    async fn transmit(&mut self, _: &BytesEncoder, lanes: [&[u8]; 2]) {
        core::hint::black_box(lanes);
    }
}

/// Bytes that wait for the firmware.
const CONSOLE_BYTES: usize = 2048;

static TYPED: Mutex<RefCell<Deque<u8, CONSOLE_BYTES>>> = Mutex::new(RefCell::new(Deque::new()));
static READER: Mutex<Cell<Option<Waker>>> = Mutex::new(Cell::new(None));

/// Types `bytes` on the console.
///
/// # Panics
/// If it is more than fits.
pub fn type_in(bytes: &[u8]) {
    critical_section::with(|cs| {
        let mut typed = TYPED.borrow_ref_mut(cs);
        for &byte in bytes {
            typed.push_back(byte).expect("a line at a time");
        }
        drop(typed);
        if let Some(waker) = READER.borrow(cs).take() {
            waker.wake();
        }
    });
}

/// What the console receives.
pub struct ConsoleRx;

impl ErrorType for ConsoleRx {
    type Error = Infallible;
}

impl Read for ConsoleRx {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        poll_fn(|context| {
            critical_section::with(|cs| {
                let mut typed = TYPED.borrow_ref_mut(cs);
                let mut count = 0;
                while count < buffer.len()
                    && let Some(byte) = typed.pop_front()
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

/// The last bytes that the console has sent.
static SAID: Mutex<RefCell<HistoryBuf<u8, 16>>> = Mutex::new(RefCell::new(HistoryBuf::new()));

/// Whether the console's last line is `line`.
pub fn said(line: &str) -> bool {
    critical_section::with(|cs| {
        let said = SAID.borrow_ref(cs);
        let wanted = line.bytes().chain(*b"\r\n").rev();
        wanted.eq(said.oldest_ordered().rev().take(line.len() + 2).copied())
    })
}

/// Takes what the console sends.
pub struct ConsoleTx;

impl ErrorType for ConsoleTx {
    type Error = Infallible;
}

impl Write for ConsoleTx {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        clock::uncounted(|| {
            critical_section::with(|cs| SAID.borrow_ref_mut(cs).extend_from_slice(bytes));
        });
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A radio that finds every network at once.
pub struct Wifi;

impl platform::Wifi for Wifi {
    async fn open(&mut self, _: AccessPoint<'_>) -> bool {
        true
    }

    async fn join(&mut self, _: &str, _: Option<&str>) -> Result<Ipv4Addr, JoinError> {
        Ok(net::DEVICE)
    }

    async fn lost(&mut self) {
        pending().await
    }
}

/// Runs `future` beside the calling task's own, on its executor.
pub async fn spawn_beside<F: Future<Output = ()> + 'static>(future: F) {
    use embassy_executor::Spawner;
    use embassy_executor::raw::TaskStorage;
    // SAFETY: the executor lives for ever, and this is polled by it.
    let spawner = unsafe { Spawner::for_current_executor() }.await;
    let storage: &'static TaskStorage<F> = Box::leak(Box::new(TaskStorage::new()));
    spawner.spawn(storage.spawn(|| future).expect("a storage of its own"));
}
