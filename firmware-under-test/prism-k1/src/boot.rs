//! The start, in the order that seed section 8 lays down and with the lines of specification
//! section 9: memory pools, NVS, TCP/IP, event loop, heap monitor, network, storage, playback,
//! templates.

use alloc::boxed::Box;
use core::future::Future;

use embassy_futures::join::join;
use embassy_futures::select::select;
use embassy_time::Timer;
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use firmware_platform::{
    Chip, ChipModel, Core, Cpu, HeapStatus, Machine, Peripherals, StartCause, TaskSpec, Tasks, Wifi,
};

use crate::defect::{self, Defect};
use crate::log::Log;
use crate::memory::Memory;
use crate::monitor::Monitor;
use crate::net::slots::Slots;
use crate::playback::Playback;
use crate::pool::{Pools, TOTAL_BYTES};
use crate::protocol::session::{Services, Session};
use crate::settings::{Credentials, DEFAULT_PARTITION, Settings};
use crate::storage::{Storage, Volume};
use crate::watchdog::{self, Watchdog};
use crate::wifi::{self, Station};
use crate::{LANES, Options, VERSION, console, net, partition, playback, storage, templates};

/// When this firmware was built. Not the wall clock, on purpose: the same sources give the same
/// image and the same log, to the byte. It is the date of the seed.
pub const BUILD: &str = "Oct 21 2025 00:00:00";

const RULE: &str = "========================================";
const TAG: &str = "PRISM-K1";

// Specification section 8 and seed section 3. "Any" core in the source is core 1 here, which the
// playback task leaves alone. The log task is ours; it is as low as the main task.
pub(crate) const MAIN: TaskSpec = TaskSpec { name: "main", priority: 1, stack_bytes: 8192, core: Core::Zero };
pub(crate) const LOG: TaskSpec = TaskSpec { name: "log", priority: 1, stack_bytes: 2048, core: Core::One };
const HEAP_MONITOR: TaskSpec =
    TaskSpec { name: "heap_monitor", priority: 2, stack_bytes: 3072, core: Core::One };
const STATS_REPORT: TaskSpec =
    TaskSpec { name: "stats_report", priority: 1, stack_bytes: 2048, core: Core::One };
const NETWORK: TaskSpec = TaskSpec { name: "network", priority: 5, stack_bytes: 8192, core: Core::One };
const UART_TEST: TaskSpec = TaskSpec { name: "uart_test", priority: 3, stack_bytes: 4096, core: Core::Zero };

fn spawn<T: Tasks>(tasks: &T, spec: TaskSpec, body: impl Future<Output = ()> + 'static) {
    tasks.spawn(as_built(spec), Box::pin(body));
}

/// `spec`, unless this build has a defect in it.
fn as_built(spec: TaskSpec) -> TaskSpec {
    let mut spec = spec;
    let of_the_seed = ["playback", "network", "storage", "templates"].contains(&spec.name);
    if defect::present(Defect::StacksHalved) && of_the_seed {
        spec.stack_bytes /= 2;
    }
    spec.priority = match spec.name {
        "storage" if defect::present(Defect::PriorityInversion) => playback::TASK.priority + 1,
        "playback" if defect::present(Defect::PrioritiesSwapped) => NETWORK.priority,
        "network" if defect::present(Defect::PrioritiesSwapped) => playback::TASK.priority,
        _ => spec.priority,
    };
    spec
}

/// The heap monitor with its lines.
fn start_monitor<M: Machine, T: Tasks, C: Cpu>(log: &Log, tasks: &T, monitor: &Monitor<M, T, C>) {
    log.info(TAG, format_args!("Initializing heap monitor..."));
    log.info("HEAP_MON", format_args!("Initializing heap monitor..."));
    spawn(tasks, HEAP_MONITOR, monitor.clone().watch());
    log.info("HEAP_MON", format_args!("Heap monitor initialized successfully"));
}

/// The first and only lines of code that run before the main task: the pools, which must be the
/// first allocation of all, then what everything else speaks through.
pub(crate) fn start<C: Chip<LANES>>(peripherals: Peripherals<LANES, C>, options: Options) {
    if defect::present(Defect::StaysDown) && peripherals.machine.start_cause() == StartCause::Watchdog {
        return;
    }
    let (pools, log) = if defect::present(Defect::PoolsLate) {
        let log = Log::new();
        (Pools::new(), log)
    } else {
        (Pools::new(), Log::new())
    };
    let tasks = peripherals.tasks.clone();
    spawn(&tasks, MAIN, main(peripherals, options, pools, log));
}

/// The main task: boots, and ends when everything runs.
async fn main<C: Chip<LANES>>(peripherals: Peripherals<LANES, C>, options: Options, pools: Pools, log: Log) {
    let Peripherals { cpu, tasks, machine, mut flash, leds, console_rx, console_tx, net, mut wifi } =
        peripherals;
    spawn(&tasks, LOG, log.clone().drain(console_tx));
    banner(&log, &machine, flash.capacity(), stamp(&mut flash));
    report_pools(&log, &pools);

    let memory = Memory::of(machine.clone());
    let monitor = Monitor::new(machine.clone(), tasks.clone(), cpu.clone(), pools.clone(), log.clone());
    if defect::present(Defect::BootOrderSwapped) {
        start_monitor(&log, &tasks, &monitor);
    }
    let (settings, known) = open_settings(&log, flash.clone()).await;
    log.info(TAG, format_args!("TCP/IP stack initialized"));
    let storage = Storage::new(memory.clone());
    log.info(TAG, format_args!("Event loop created"));

    if !defect::present(Defect::BootOrderSwapped) {
        start_monitor(&log, &tasks, &monitor);
    }
    log.info(TAG, format_args!("System initialized"));

    log.info(TAG, format_args!("Initializing firmware components..."));
    if !defect::present(Defect::StorageBeforeNetwork) {
        start_network(&log, &mut wifi, known.as_ref(), options).await;
    }
    let volume = mount::<C>(&log, &mut flash, &cpu, memory);
    if defect::present(Defect::StorageBeforeNetwork) {
        start_network(&log, &mut wifi, known.as_ref(), options).await;
    }

    let playback = Playback::new(&storage, &log);
    let body = playback::task(playback.clone(), cpu.clone(), leds, log.clone());
    spawn(&tasks, playback::TASK, body);

    templates::announce(&log);
    log.info(TAG, format_args!("All components initialized"));

    log.info(TAG, format_args!("Starting UART test mode..."));
    log.info("protocol", format_args!("Protocol parser initialized"));
    log.info(TAG, format_args!("Creating FreeRTOS tasks..."));
    let services = Services {
        cpu: cpu.clone(),
        pools: pools.clone(),
        log: log.clone(),
        storage: storage.clone(),
        playback: playback.clone(),
    };
    let shared = net::Shared {
        cpu: cpu.clone(),
        pools: pools.clone(),
        log: log.clone(),
        slots: Slots::default(),
        station: Station::default(),
    };
    let credentials = Stored { settings, known };
    let body = network::<C>(net, wifi, options, shared, services.clone(), credentials);
    spawn(&tasks, network_task(), body);
    let watchdog = Watchdog::start(machine);
    for spec in watchdog::IDLE {
        spawn(&tasks, spec, watchdog.clone().idle(spec.core));
    }
    let body = storage::task(volume, storage.clone(), playback, cpu.clone(), log.clone(), watchdog);
    spawn(&tasks, storage::TASK, body);
    let first = defect::present(Defect::TemplatesBeforePlayback);
    let priority = if first { playback::TASK.priority + 1 } else { templates::TASK.priority };
    let spec = TaskSpec { priority, ..templates::TASK };
    spawn(&tasks, spec, templates::task(storage, pools, cpu, log.clone()));
    if !defect::present(Defect::ReportMissing) {
        spawn(&tasks, STATS_REPORT, monitor.report_periodically(services.playback.clone()));
    }
    spawn(&tasks, UART_TEST, console::task(console_rx, services));
    log.info(TAG, format_args!("All tasks created"));
    log.info(TAG, format_args!("PRISM K1 started successfully!"));
}

fn network_task() -> TaskSpec {
    let starves = [Defect::HttpStarvesPlayback, Defect::MdnsStarvesPlayback].into_iter().any(defect::present);
    if starves { TaskSpec { priority: 11, core: Core::Zero, ..NETWORK } } else { NETWORK }
}

/// What the settings hold, and where to put what is new.
struct Stored<F: NorFlash> {
    settings: Option<Settings<F>>,
    known: Option<Credentials>,
}

/// The network task's body.
async fn network<C: Chip<LANES>>(
    stack: C::Net,
    wifi: C::Wifi,
    options: Options,
    shared: net::Shared<C::Cpu>,
    services: Services<C::Cpu>,
    Stored { settings, known }: Stored<C::Flash>,
) {
    shared.log.info("network", format_args!("Network task started on core 1"));
    let ports = [options.framed_port, options.seed_port];
    let serve = async {
        let serve = net::serve(&stack, ports, &shared, || Session::new(services.clone()));
        if defect::present(Defect::NoServerWhenJoined) {
            let joined = async {
                while shared.station.address().is_none() {
                    Timer::after_millis(100).await;
                }
            };
            select(serve, joined).await;
        } else {
            serve.await;
        }
    };
    let mdns = async |address| net::mdns::serve(&stack, address, options.framed_port, &shared).await;
    let join_network = wifi::run(shared.station.clone(), wifi, settings, known, shared.log.clone(), mdns);
    join(serve, join_network).await;
}

fn banner(log: &Log, machine: &impl Machine, flash_bytes: usize, stamp: u32) {
    let HeapStatus { free, minimum_free, .. } = machine.heap();
    let line = |text: core::fmt::Arguments<'_>| log.info(TAG, text);
    line(format_args!("{RULE}"));
    line(format_args!("PRISM K1 LED Controller"));
    line(format_args!(
        "Firmware: v{}",
        if defect::present(Defect::WrongVersion) { "0.9.0" } else { VERSION }
    ));
    if defect::present(Defect::BuildStampMoves) {
        line(format_args!("Build: Oct 21 2025 00:00:{:02}", stamp % 60));
    } else {
        line(format_args!("Build: {BUILD}"));
    }
    line(format_args!("{RULE}"));
    let ChipModel { name, cores, ieee802154 } = machine.model();
    line(format_args!("Chip: {name}"));
    line(format_args!("Cores: {cores}"));
    line(format_args!("Features: WiFi BLE{}", if ieee802154 { " 802.15.4" } else { "" }));
    line(format_args!("Flash size: {} MB (external)", flash_bytes / (1024 * 1024)));
    let cause =
        if defect::present(Defect::CauseUntold) { StartCause::PowerOn } else { machine.start_cause() };
    line(format_args!("Start cause: {cause:?}"));
    if !defect::present(Defect::BootHeapUntold) {
        line(format_args!("Free heap: {free} bytes"));
    }
    line(format_args!("Min free heap: {minimum_free} bytes"));
    line(format_args!("{RULE}"));
}

/// What a stamp that is made at each start would differ by: how far the settings have grown.
fn stamp<F: NorFlash>(flash: &mut F) -> u32 {
    let mut sum = 0;
    if defect::present(Defect::BuildStampMoves) {
        let mut bytes = [0; 64];
        for offset in (0..DEFAULT_PARTITION.size).step_by(bytes.len()) {
            if flash.read(DEFAULT_PARTITION.offset + offset, &mut bytes).is_ok() {
                sum += bytes.iter().map(|byte| u32::from(!*byte)).sum::<u32>();
            }
        }
    }
    sum
}

/// Says what the pools are. The reference also prints their addresses; they would differ from run
/// to run on a host.
fn report_pools(log: &Log, pools: &Pools) {
    log.info(TAG, format_args!("Initializing memory pools..."));
    log.info("POOL", format_args!("Initializing memory pools..."));
    let share = if defect::present(Defect::HalfThePools) { 2 } else { 1 };
    log.info("POOL", format_args!("Allocating {} bytes for memory pools", TOTAL_BYTES / share));
    for (name, class) in ["4K", "1K", "256B"].iter().zip(pools.status().classes.iter().rev()) {
        log.info("POOL", format_args!("{name} pool: {} x {} bytes", class.blocks / share, class.bytes));
    }
    log.info("POOL", format_args!("Memory pools initialized successfully"));
    log.info("POOL", format_args!("Total pool memory: {} KB", TOTAL_BYTES / share / 1024));
    pools.dump_state(log);
}

/// Opens the settings, counts the boot, and gives the network that the device knows. A device without
/// settings still lights its LEDs, so nothing here stops the boot.
async fn open_settings<F: NorFlash>(log: &Log, mut flash: F) -> (Option<Settings<F>>, Option<Credentials>) {
    let place = partition::find(&mut flash, "nvs").unwrap_or_else(|error| {
        log.error(TAG, format_args!("Partition 'nvs' not found ({error}), using 0x9000"));
        DEFAULT_PARTITION
    });
    let opened = async {
        let mut settings = Settings::open(flash, place)?;
        let repaired = settings.repair().await?;
        let boots = settings.count_boot().await?;
        let known = settings.credentials().await?;
        Ok::<_, crate::settings::SettingsError>((repaired, boots, settings, known))
    };
    match opened.await {
        Ok((repaired, boots, settings, known)) => {
            if repaired {
                log.warning(TAG, format_args!("NVS was damaged and is empty now"));
            }
            log.info(TAG, format_args!("NVS initialized (boot {boots})"));
            (Some(settings), known)
        }
        Err(error) => {
            log.error(TAG, format_args!("NVS failed: {error}"));
            (None, None)
        }
    }
}

/// Opens the access point. What is served on it, and the joining of a network, follows in the network
/// task; a device whose radio does not start plays on.
async fn start_network(log: &Log, wifi: &mut impl Wifi, known: Option<&Credentials>, options: Options) {
    let line = |text: core::fmt::Arguments<'_>| log.info("network", text);
    line(format_args!("Initializing network subsystem..."));
    line(format_args!("WiFi dual-mode initialized"));
    match known {
        Some(Credentials { ssid, .. }) => {
            line(format_args!("Loaded credentials from NVS: SSID='{ssid}'"));
            line(format_args!("Found stored credentials, will attempt STA connection"));
        }
        None => line(format_args!("No stored credentials, starting captive portal")),
    }
    let ssid = wifi::ACCESS_POINT.ssid;
    if defect::present(Defect::NoAccessPoint) || wifi.open(wifi::ACCESS_POINT).await {
        line(format_args!("AP mode started: SSID={ssid}"));
    } else {
        log.error("network", format_args!("AP mode failed: SSID={ssid}"));
    }
    line(format_args!("Captive portal started on port {}", options.framed_port));
    line(format_args!(
        "WebSocket handler registered at /ws (ports {} and {})",
        options.framed_port, options.seed_port
    ));
    // Who reads the log is to know that this is no release image.
    #[cfg(feature = "echo")]
    line(format_args!("Echo service registered at {}", net::upgrade::ECHO_PATH));
    line(format_args!("Network subsystem initialized"));
}

/// Mounts the file system. Without one the device serves on and refuses what needs it.
fn mount<C: Chip<LANES>>(
    log: &Log,
    flash: &mut C::Flash,
    cpu: &C::Cpu,
    memory: Memory,
) -> Option<Volume<C::Flash, C::Cpu>> {
    let place = match partition::find(flash, "littlefs") {
        Ok(place) => place,
        Err(error) => {
            log.error("storage", format_args!("Partition 'littlefs' not found: {error}"));
            return None;
        }
    };
    match storage::mount(flash.clone(), cpu.clone(), log, memory, place) {
        Ok(volume) => Some(volume),
        Err(error) => {
            log.error("storage", format_args!("Mount failed: {error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests;
