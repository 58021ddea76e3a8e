//! The host: a serial port over USB, by which requests come and batches of reports go.
//!
//! All of it runs at a priority above the recording of lanes, so that the bus never waits for a computation. When
//! the host closes the port, suspends the bus or is unplugged, all wires are let go at once.

use core::sync::atomic::{AtomicBool, Ordering};

use embassy_executor::Spawner;
use embassy_futures::select::{Either, select};
use embassy_rp::Peri;
use embassy_rp::peripherals::USB;
use embassy_rp::usb::{Driver, InterruptHandler};
use embassy_rp::{bind_interrupts, usb};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::signal::Signal;
use embassy_usb::class::cdc_acm::{CdcAcmClass, ControlChanged, Receiver, Sender, State};
use embassy_usb::{Builder, Config, Handler, UsbDevice};
use rigor_controller::{Deframer, FrameError, PRODUCT, Request, Ticks};
use static_cell::StaticCell;

use crate::outbox::Waiting;
use crate::{clock, waveforms};

/// The numbers that Raspberry Pi gives to serial ports of programs for its chip. We have none of our own; those of
/// pid.codes for tests must not leave the desk, and who looks for a controller goes by the product's text.
const VENDOR: u16 = 0x2E8A;
const PRODUCT_NUMBER: u16 = 0x000A;
/// Bytes of a packet; USB 2.0, 5.8.3.
const PACKET: usize = 64;

/// A request, and when it was there.
pub(crate) struct Incoming {
    pub(crate) request: Request,
    pub(crate) received: Ticks,
}

/// Requests that wait. A host that sends more has to wait itself.
pub(crate) static REQUESTS: Channel<CriticalSectionRawMutex, Incoming, 4> = Channel::new();

/// Nobody listens any more.
static IS_GONE: AtomicBool = AtomicBool::new(false);
static DROP: Signal<CriticalSectionRawMutex, ()> = Signal::new();

/// Whether the host has gone since this was asked last.
pub(crate) fn has_gone() -> bool {
    // There is no swap on this core; what is set between the two is of the same going.
    let gone = IS_GONE.load(Ordering::Acquire);
    if gone {
        IS_GONE.store(false, Ordering::Release);
    }
    gone
}

/// Somebody speaks another version of the protocol.
static IS_OTHER_VERSION: AtomicBool = AtomicBool::new(false);

/// Whether somebody has spoken another version of the protocol since this was asked last.
pub(crate) fn speaks_otherwise() -> bool {
    let does = IS_OTHER_VERSION.load(Ordering::Acquire);
    if does {
        IS_OTHER_VERSION.store(false, Ordering::Release);
    }
    does
}

/// Lets go of everything, before anything else.
fn gone() {
    waveforms::stop_all();
    IS_GONE.store(true, Ordering::Release);
    DROP.signal(());
}

bind_interrupts!(struct Interrupts {
    USBCTRL_IRQ => InterruptHandler<USB>;
});

type Usb = Driver<'static, USB>;

/// All of it, under the serial number `serial`. It is put together where it runs, because not all of it may move.
#[embassy_executor::task]
pub(crate) async fn talk(peripheral: Peri<'static, USB>, serial: u64, waiting: Waiting) {
    static SERIAL: StaticCell<heapless::String<16>> = StaticCell::new();
    static CONFIG_DESCRIPTOR: StaticCell<[u8; 256]> = StaticCell::new();
    static BOS_DESCRIPTOR: StaticCell<[u8; 64]> = StaticCell::new();
    static CONTROL: StaticCell<[u8; 64]> = StaticCell::new();
    static STATE: StaticCell<State<'static>> = StaticCell::new();
    static BUS: StaticCell<Bus> = StaticCell::new();

    let text = SERIAL.init(heapless::String::new());
    // 16 digits of 16.
    let _ = core::fmt::Write::write_fmt(text, format_args!("{serial:016X}"));
    let mut config = Config::new(VENDOR, PRODUCT_NUMBER);
    config.manufacturer = Some("rigor");
    config.product = Some(PRODUCT);
    config.serial_number = Some(text);
    config.max_power = 100;
    let mut builder = Builder::new(
        usb::Driver::new(peripheral, Interrupts),
        config,
        CONFIG_DESCRIPTOR.init([0; 256]),
        BOS_DESCRIPTOR.init([0; 64]),
        &mut [],
        CONTROL.init([0; 64]),
    );
    builder.handler(BUS.init(Bus));
    let class = CdcAcmClass::new(&mut builder, STATE.init(State::new()), PACKET as u16);
    let (sender, receiver, control) = class.split_with_control();
    // SAFETY: this is a task, so the executor made its context.
    let spawner = unsafe { Spawner::for_current_executor() }.await;
    spawner.spawn(device(builder.build()).expect("it is spawned once"));
    spawner.spawn(watch(control).expect("it is spawned once"));
    spawner.spawn(receive(receiver).expect("it is spawned once"));
    spawner.spawn(send(sender, waiting).expect("it is spawned once"));
}

/// Hears when the bus stops.
struct Bus;

impl Handler for Bus {
    fn reset(&mut self) {
        gone();
    }

    fn enabled(&mut self, enabled: bool) {
        if !enabled {
            gone();
        }
    }

    fn suspended(&mut self, suspended: bool) {
        if suspended {
            gone();
        }
    }
}

#[embassy_executor::task]
async fn device(mut device: UsbDevice<'static, Usb>) -> ! {
    device.run().await
}

/// Hears when the port is closed.
#[embassy_executor::task]
async fn watch(control: ControlChanged<'static>) -> ! {
    let mut open = false;
    loop {
        control.control_changed().await;
        let now = control.dtr();
        if open && !now {
            gone();
        }
        open = now;
    }
}

#[embassy_executor::task]
async fn receive(mut receiver: Receiver<'static, Usb>) -> ! {
    static DEFRAMER: StaticCell<Deframer> = StaticCell::new();
    let deframer = DEFRAMER.init(Deframer::new());
    let mut packet = [0; PACKET];
    loop {
        receiver.wait_connection().await;
        while let Ok(length) = receiver.read_packet(&mut packet).await {
            let received = clock::now();
            for &byte in &packet[..length] {
                let Some(frame) = deframer.take(byte) else { continue };
                match frame.open() {
                    Ok(request) => REQUESTS.send(Incoming { request, received }).await,
                    Err(FrameError::Version(_)) => IS_OTHER_VERSION.store(true, Ordering::Release),
                    // What is no request is nobody's: there is nothing to answer to.
                    Err(FrameError::Damaged | FrameError::Meaningless) => {}
                }
            }
        }
        *deframer = Deframer::new();
    }
}

#[embassy_executor::task]
async fn send(mut sender: Sender<'static, Usb>, mut waiting: Waiting) -> ! {
    loop {
        let is_dropped = match select(waiting.receive(), DROP.wait()).await {
            Either::First(batch) => {
                let sent = select(send_batch(&mut sender, batch.bytes()), DROP.wait()).await;
                waiting.receive_done();
                matches!(sent, Either::Second(()))
            }
            Either::Second(()) => true,
        };
        while is_dropped && waiting.try_receive().is_some() {
            waiting.receive_done();
        }
    }
}

async fn send_batch(sender: &mut Sender<'static, Usb>, bytes: &[u8]) {
    sender.wait_connection().await;
    for packet in bytes.chunks(PACKET) {
        if sender.write_packet(packet).await.is_err() {
            return;
        }
    }
    if bytes.len().is_multiple_of(PACKET) {
        // The host waits for more after a full packet; an empty one says that there is none.
        let _ = sender.write_packet(&[]).await;
    }
}
