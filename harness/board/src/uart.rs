//! A serial line: FIFOs, byte times, and what a reset does to them.
//!
//! The transmitter sends a FIFO's worth back to back and delivers it to the timeline as one event
//! when the last stop bit has left; what the firmware wrote meanwhile follows without a pause. The
//! receiver's buffer overflows like a real one.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use embedded_io_async::{ErrorType, Read, Write};
use rigor_core::event::{Direction, Kind, Serial};
use rigor_core::time::nanos;
use rigor_core::{Instant, Source, Timeline};

use crate::clock::Rate;
use crate::cpu;
use crate::fault::Way;
use crate::heap::outside_firmware;
use crate::kernel::Kernel;

/// Bytes of the transmitter's FIFO (ESP32-S3 UART: 128 bytes). The driver behind it buffers as many
/// again, so that its interrupt can fill the FIFO the moment it is empty.
const TX_FIFO_BYTES: usize = 128;
/// Bytes that wait for the firmware: the FIFO and the driver's ring behind it.
const RX_BUFFER_BYTES: usize = 1024;
/// Start bit, eight data bits, stop bit.
const BITS_PER_BYTE: u64 = 10;

struct Transmission {
    bytes: Arc<[u8]>,
    started: Instant,
    ends: Instant,
}

/// Noise on one direction of the line.
#[derive(Default)]
struct Noise {
    every: Option<NonZeroU32>,
    bytes: u64,
}

impl Noise {
    /// What the receiver makes of the next byte.
    fn pass(&mut self, byte: u8) -> u8 {
        let Some(every) = self.every else { return byte };
        self.bytes += 1;
        // The stop bit, which is high, is taken for the last of the data bits.
        if self.bytes.is_multiple_of(every.get().into()) { byte >> 1 | 0x80 } else { byte }
    }
}

pub(crate) struct Uart {
    /// Of the rig, and of the device as it should be.
    byte_time: Duration,
    /// Of the device's own clock.
    tx_byte_time: Duration,
    tx_noise: Noise,
    rx_noise: Noise,
    sending: Option<Transmission>,
    /// What follows what is being sent.
    queued: Vec<u8>,
    tx_waker: Option<Waker>,
    received: VecDeque<u8>,
    rx_waker: Option<Waker>,
    /// Bytes lost to a full receive buffer since the start.
    overruns: u64,
    /// When the rig's side of the line will be idle again.
    rig_busy_until: Instant,
    tx_source: Source,
    rx_source: Source,
}

impl Uart {
    pub(crate) fn new(baud: u32, timeline: &Timeline) -> Self {
        let byte_time = Duration::from_nanos(BITS_PER_BYTE * 1_000_000_000 / u64::from(baud));
        Uart {
            byte_time,
            tx_byte_time: byte_time,
            tx_noise: Noise::default(),
            rx_noise: Noise::default(),
            sending: None,
            queued: Vec::with_capacity(TX_FIFO_BYTES),
            tx_waker: None,
            received: VecDeque::new(),
            rx_waker: None,
            overruns: 0,
            rig_busy_until: Instant::ZERO,
            tx_source: timeline.source("console"),
            rx_source: timeline.source("console.input"),
        }
    }

    pub(crate) fn source(&self) -> Source {
        self.tx_source
    }

    /// The device's clock is fast or slow. Its receiver copes: it begins anew with each start bit,
    /// and half a bit is 5 % of a byte.
    pub(crate) fn clock_at(&mut self, rate: Rate) {
        self.tx_byte_time = Duration::from_nanos(rate.true_nanos(nanos(self.byte_time)));
    }

    pub(crate) fn garble(&mut self, direction: Way, every: NonZeroU32) {
        match direction {
            Way::FromDevice => self.tx_noise.every = Some(every),
            Way::ToDevice => self.rx_noise.every = Some(every),
        }
    }

    fn receive(&mut self, byte: u8) {
        let byte = self.rx_noise.pass(byte);
        if self.received.len() < RX_BUFFER_BYTES {
            self.received.push_back(byte);
        } else {
            self.overruns += 1;
        }
        if let Some(waker) = self.rx_waker.take() {
            waker.wake();
        }
    }
}

/// Begins to send `bytes`; when the last stop bit will have left.
fn transmit(kernel: &Rc<Kernel>, bytes: Arc<[u8]>) -> Instant {
    let (source, started, ends) = {
        let mut uart = kernel.uart.borrow_mut();
        let started = kernel.now();
        let ends = started + uart.tx_byte_time.saturating_mul(bytes.len() as u32);
        uart.sending = Some(Transmission { bytes, started, ends });
        (uart.tx_source, started, ends)
    };
    kernel.hold(source, started);
    kernel.schedule_inside(ends, end_transmission);
    ends
}

/// Takes what there is room for; how many bytes that is.
fn accept(kernel: &Rc<Kernel>, bytes: &[u8]) -> usize {
    let taken;
    {
        let mut uart = kernel.uart.borrow_mut();
        taken = bytes.len().min(TX_FIFO_BYTES - uart.queued.len());
        if uart.sending.is_some() {
            uart.queued.extend_from_slice(&bytes[..taken]);
            return taken;
        }
    }
    transmit(kernel, Arc::from(&bytes[..taken]));
    taken
}

/// Delivers what has left, and goes on with what is queued.
fn end_transmission(kernel: &Rc<Kernel>) {
    deliver(kernel);
    let next: Option<Arc<[u8]>> = {
        let mut uart = kernel.uart.borrow_mut();
        if let Some(waker) = uart.tx_waker.take() {
            waker.wake();
        }
        (!uart.queued.is_empty()).then(|| uart.queued.drain(..).collect())
    };
    if let Some(bytes) = next {
        transmit(kernel, bytes);
    }
}

/// Delivers what has left whole; the rest of a transmission that was cut never was on the wire.
fn deliver(kernel: &Rc<Kernel>) {
    let mut uart = kernel.uart.borrow_mut();
    let now = kernel.now();
    let Some(sent) = uart.sending.take() else { return };
    let whole = if now >= sent.ends {
        sent.bytes.len()
    } else {
        (now.since(sent.started).as_nanos() / uart.tx_byte_time.as_nanos().max(1)) as usize
    };
    let source = uart.tx_source;
    let byte_time = uart.tx_byte_time;
    let mut bytes: Arc<[u8]> = Arc::from(&sent.bytes[..whole]);
    for byte in Arc::make_mut(&mut bytes) {
        *byte = uart.tx_noise.pass(*byte);
    }
    drop(uart);
    if whole > 0 {
        let serial = Serial { direction: Direction::FromDut, bytes, byte_time };
        kernel.record(source, sent.started, Kind::Serial(serial));
    }
    kernel.release(source);
}

/// The device stops: what it was sending is cut, what it had received is lost.
pub(crate) fn device_halted(kernel: &Rc<Kernel>) {
    deliver(kernel);
    let mut uart = kernel.uart.borrow_mut();
    uart.queued.clear();
    uart.received.clear();
    uart.overruns = 0;
    uart.tx_waker = None;
    uart.rx_waker = None;
}

/// What the boot ROM's panic handler prints, with everything else stopped; when it has left.
pub(crate) fn print_from_rom(kernel: &Rc<Kernel>, text: &[u8]) -> Instant {
    transmit(kernel, Arc::from(text))
}

/// Gives the memory back.
pub(crate) fn forget(kernel: &Kernel) {
    let mut uart = kernel.uart.borrow_mut();
    uart.sending = None;
    uart.queued.clear();
    uart.received.clear();
    uart.tx_waker = None;
    uart.rx_waker = None;
}

/// The rig sends `bytes` to the device.
pub(crate) fn type_in(kernel: &Rc<Kernel>, bytes: &[u8]) {
    let mut uart = kernel.uart.borrow_mut();
    let started = uart.rig_busy_until.max(kernel.now());
    let byte_time = uart.byte_time;
    uart.rig_busy_until = started + byte_time.saturating_mul(bytes.len() as u32);
    let kind = Kind::Serial(Serial { direction: Direction::ToDut, bytes: Arc::from(bytes), byte_time });
    let source = uart.rx_source;
    drop(uart);
    for (index, &byte) in bytes.iter().enumerate() {
        let arrives = started + byte_time.saturating_mul(index as u32 + 1);
        kernel.schedule_outside(arrives, move |kernel| {
            // The driver's first act is to empty the FIFO: what came before it is lost.
            if kernel.is_up() {
                kernel.uart.borrow_mut().receive(byte);
            }
        });
    }
    kernel.schedule_outside(started, move |kernel| kernel.record(source, started, kind));
}

/// What the firmware receives.
pub struct UartRx(pub(crate) Rc<Kernel>);

impl UartRx {
    /// Bytes lost to a full receive buffer since the device started.
    pub fn overruns(&self) -> u64 {
        outside_firmware(|| {
            cpu::note_call(&self.0);
            self.0.uart.borrow().overruns
        })
    }
}

impl ErrorType for UartRx {
    type Error = Infallible;
}

impl Read for UartRx {
    /// Waits for at least one byte.
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        poll_fn(|context| {
            outside_firmware(|| {
                cpu::note_call(&self.0);
                let mut uart = self.0.uart.borrow_mut();
                if uart.received.is_empty() && !buffer.is_empty() {
                    uart.rx_waker = Some(context.waker().clone());
                    return Poll::Pending;
                }
                let count = buffer.len().min(uart.received.len());
                for (slot, byte) in buffer.iter_mut().zip(uart.received.drain(..count)) {
                    *slot = byte;
                }
                Poll::Ready(Ok(count))
            })
        })
        .await
    }
}

/// What the firmware sends.
pub struct UartTx(pub(crate) Rc<Kernel>);

impl UartTx {
    async fn until(&mut self, met: impl Fn(&Uart) -> bool) {
        poll_fn(|context| {
            outside_firmware(|| {
                cpu::note_call(&self.0);
                let mut uart = self.0.uart.borrow_mut();
                if met(&uart) {
                    return Poll::Ready(());
                }
                uart.tx_waker = Some(context.waker().clone());
                Poll::Pending
            })
        })
        .await;
    }
}

impl ErrorType for UartTx {
    type Error = Infallible;
}

impl Write for UartTx {
    /// Waits until there is room, then takes what fits.
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.until(|uart| uart.queued.len() < TX_FIFO_BYTES).await;
        Ok(outside_firmware(|| accept(&self.0, bytes)))
    }

    /// Waits until the last stop bit has left.
    async fn flush(&mut self) -> Result<(), Infallible> {
        self.until(|uart| uart.sending.is_none()).await;
        Ok(())
    }
}
