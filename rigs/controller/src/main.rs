//! Firmware of the bench controller for the RP2040 (Raspberry Pi Pico).
//!
//! It stands beside a device under test, pulls its lines and records its wires, and speaks the words of
//! `rigor_controller` over USB. In the flow (**action, event**, decode, measure, verdict, report) it is the
//! instrument at the wires.
//!
//! | Priority | Who |
//! |---|---|
//! | 0, the highest | the timer's interrupt |
//! | 1 | [`waveforms`]: steps of lines, each at its tick |
//! | 2 | [`host`]: USB |
//! | lowest | the [`desk`]: requests, and what was recorded by [`lanes`], [`edges`] and [`bus`] |
#![no_std]
#![no_main]

mod bus;
mod clock;
mod desk;
mod edges;
mod host;
mod lanes;
mod outbox;
mod ring;
mod waveforms;
mod wires;

use embassy_executor::{Executor, InterruptExecutor};
use embassy_rp::clocks::clk_sys_freq;
use embassy_rp::flash::{Blocking, Flash};
use embassy_rp::interrupt;
use embassy_rp::interrupt::{InterruptExt, Priority};
use embassy_time::Timer;
use panic_halt as _;
use static_cell::StaticCell;

use bus::Bus;
use desk::Desk;
use edges::Edges;
use lanes::Lanes;
use outbox::Outbox;

/// Bytes of the flash.
const FLASH: usize = 2 << 20;

static STEPPER: InterruptExecutor = InterruptExecutor::new();
static TALKER: InterruptExecutor = InterruptExecutor::new();

#[interrupt]
unsafe fn SWI_IRQ_0() {
    // SAFETY: it is the executor's own interrupt.
    unsafe { STEPPER.on_interrupt() }
}

#[interrupt]
unsafe fn SWI_IRQ_1() {
    // SAFETY: it is the executor's own interrupt.
    unsafe { TALKER.on_interrupt() }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let peripherals = embassy_rp::init(Default::default());
    assert!(clk_sys_freq() == clock::HZ);
    wires::start();
    clock::start(cortex_m::Peripherals::take().expect("it is taken once").SYST);
    let mut id = [0; 8];
    // A flash that has no number leaves zeros: the controller has one all the same.
    let _ = Flash::<_, Blocking, FLASH>::new_blocking(peripherals.FLASH).blocking_unique_id(&mut id);
    let serial = u64::from_be_bytes(id);

    interrupt::SWI_IRQ_0.set_priority(Priority::P1);
    interrupt::SWI_IRQ_1.set_priority(Priority::P2);
    interrupt::USBCTRL_IRQ.set_priority(Priority::P2);
    let (outbox, waiting) = Outbox::new();
    STEPPER.start(interrupt::SWI_IRQ_0).spawn(waveforms::run().expect("it is spawned once"));
    let talk = host::talk(peripherals.USB, serial, waiting).expect("it is spawned once");
    TALKER.start(interrupt::SWI_IRQ_1).spawn(talk);

    static EXECUTOR: StaticCell<Executor> = StaticCell::new();
    EXECUTOR.init(Executor::new()).run(|spawner| {
        let desk = Desk::new(outbox, Lanes::new(), Edges::new(), Bus::new(), serial);
        spawner.spawn(sit(desk).expect("it is spawned once"));
        spawner.spawn(live().expect("it is spawned once"));
    })
}

#[embassy_executor::task]
async fn sit(desk: Desk) -> ! {
    desk.run().await
}

/// The LED shows that the desk is not stuck.
#[embassy_executor::task]
async fn live() -> ! {
    loop {
        wires::blink();
        Timer::after_millis(500).await;
    }
}
