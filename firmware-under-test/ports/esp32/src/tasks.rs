//! The firmware's tasks: threads of esp-rtos, each with an embassy executor of its own.
//!
//! Threads pre-empt each other by priority between any two instructions; those of one priority take turns.
//! Priorities are the firmware's own numbers. On chips with one core both cores that the firmware asks for
//! are that one.

use alloc::boxed::Box;
use core::cell::{Cell, RefCell};
use core::ffi::c_void;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use critical_section::Mutex;
#[cfg(feature = "wifi")]
use embassy_executor::Spawner;
use embassy_executor::raw::TaskStorage;
use esp_rtos::embassy::{Callbacks, Executor};
use firmware_platform::{Core, TaskBody, TaskSpec};

/// Tasks at once.
const TASKS: usize = 24;
/// Bytes of each stack beyond what the firmware asks for. Interrupts run on the stack of whoever they
/// interrupt, and nest (estimated: four frames of registers, 128 bytes each, and what their handlers call).
const INTERRUPT_BYTES: usize = 2048;

/// Bytes of stack besides for tasks that call the radio's driver (estimated): frames are made there, 1.5 KiB, and
/// what is Espressif's machine code runs in ESP-IDF on main tasks of 3.5 KiB.
const RADIO_BYTES: usize = if cfg!(feature = "wifi") { 4096 } else { 0 };
/// The tasks that do: one opens the access point, the other runs the stacks.
const CALLERS_OF_RADIO: [&str; 2] = ["main", "network"];

/// Who lives.
static LIVING: Mutex<RefCell<[Option<TaskSpec>; TASKS]>> = Mutex::new(RefCell::new([None; TASKS]));

/// What a thread is given.
struct Start {
    body: TaskBody,
    place: usize,
}

/// Starts a task.
///
/// # Panics
/// With more tasks than there are places, or without memory for the stack: both end the firmware.
pub fn spawn(spec: TaskSpec, body: TaskBody) {
    let place = critical_section::with(|cs| {
        let mut living = LIVING.borrow_ref_mut(cs);
        let place = living.iter().position(Option::is_none);
        let place = place.unwrap_or_else(|| panic!("no place for task {}", spec.name));
        living[place] = Some(spec);
        place
    });
    let core = if cfg!(feature = "esp32s3") && spec.core == Core::One { 1 } else { 0 };
    let radio_bytes = if CALLERS_OF_RADIO.contains(&spec.name) { RADIO_BYTES } else { 0 };
    let start = Box::into_raw(Box::new(Start { body, place }));
    // SAFETY: the thread owns what it is given, and bodies may move to another thread (firmware-platform).
    unsafe {
        esp_radio_rtos_driver::task_create(
            spec.name,
            run,
            start.cast(),
            spec.priority.into(),
            Some(core),
            spec.stack_bytes + INTERRUPT_BYTES + radio_bytes,
        );
    }
}

/// Calls `each` with every living task. esp-rtos does not tell how much of a stack was ever used.
pub fn for_each(each: &mut dyn FnMut(&TaskSpec, Option<usize>)) {
    let living = critical_section::with(|cs| *LIVING.borrow_ref(cs));
    for spec in living.iter().flatten() {
        each(spec, None);
    }
}

/// Runs `future`, which never ends, beside the calling task's own on the same executor.
#[cfg(feature = "wifi")]
pub async fn spawn_beside<F: Future<Output = ()> + 'static>(future: F) {
    // SAFETY: the executor lives for ever, and polls this.
    let spawner = unsafe { Spawner::for_current_executor() }.await;
    let storage: &'static TaskStorage<F> = Box::leak(Box::new(TaskStorage::new()));
    spawner.spawn(storage.spawn(|| future).expect("a storage of its own"));
}

/// Blocks the calling task for `micros`; others run meanwhile.
pub fn sleep(micros: u32) {
    esp_radio_rtos_driver::usleep(micros);
}

/// The body of a task as a future of a named type, which a [`TaskStorage`] wants, and which tells its end.
struct Body {
    body: TaskBody,
    ended: &'static Cell<bool>,
}

impl Future for Body {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let polled = self.body.as_mut().poll(context);
        if polled.is_ready() {
            // Whatever the body held goes before its thread.
            self.body = Box::pin(core::future::ready(()));
            self.ended.set(true);
        }
        polled
    }
}

/// Ends the thread when its task has ended: then nobody wakes it any more, for embassy wakes no task that
/// is done.
struct EndOfThread {
    ended: &'static Cell<bool>,
    place: usize,
}

impl Callbacks for EndOfThread {
    fn before_poll(&mut self) {}

    fn on_idle(&mut self) {
        if self.ended.get() {
            critical_section::with(|cs| LIVING.borrow_ref_mut(cs)[self.place] = None);
            // SAFETY: this thread itself, of whose stack nothing is used any more.
            unsafe { esp_radio_rtos_driver::schedule_task_deletion(None) };
        }
    }
}

extern "C" fn run(start: *mut c_void) {
    // SAFETY: `spawn` made it, for this thread alone.
    let Start { body, place } = *unsafe { Box::from_raw(start.cast::<Start>()) };
    // Embassy wants them for ever. A task that ends leaves some 150 bytes behind; two do.
    let ended: &'static Cell<bool> = Box::leak(Box::new(Cell::new(false)));
    let storage: &'static TaskStorage<Body> = Box::leak(Box::new(TaskStorage::new()));
    let executor: &'static mut Executor = Box::leak(Box::new(Executor::new()));
    let token = storage.spawn(|| Body { body, ended }).expect("a storage of its own");
    executor.run_with_callbacks(|spawner| spawner.spawn(token), EndOfThread { ended, place });
}
