//! What becomes of a device that does not do what the port does.

use std::path::PathBuf;

use rigor_core::Kind;
use rigor_core::event::ResetCause;
use rstest::rstest;

use super::super::stand_in;
use super::*;

fn device(binary: &str, timeline: &Timeline) -> Device {
    let machine = Machine {
        binary: stand_in(binary),
        name: "virt".to_owned(),
        image: PathBuf::from("/no/image"),
        arguments: Vec::new(),
    };
    let prepared = Prepared {
        machine,
        config: BoardConfig::default(),
        defect: None,
        flash_image: vec![(0x8000, vec![1, 2, 3])],
        memory_mib: 64,
    };
    let interrupt = Arc::new(AtomicBool::new(false));
    Device::new(prepared, Exact { icount_shift: 3 }, timeline, interrupt).expect("memory")
}

/// What the device's lane holds.
fn lane(device: &Device, timeline: &Timeline) -> Vec<DeviceEvent> {
    let events = timeline.events(device.lanes().device, Instant::ZERO, Instant::MAX);
    let event = |event: rigor_core::event::Event| match event.kind {
        Kind::Device(event) => Some(event),
        _ => None,
    };
    events.into_iter().filter_map(event).collect()
}

const SECOND: Instant = Instant::from_nanos(1_000_000_000);

#[rstest]
#[case("scribbles", "its records are damaged: the record at byte 0")]
#[case("writes-beside-its-flash", "its records are damaged: the device names 4096 bytes at offset 0x800000")]
fn nonsense_in_its_records_is_a_crash_of_the_device(#[case] binary: &str, #[case] why: &str) {
    let timeline = Timeline::new();
    let mut device = device(binary, &timeline);
    device.power_on().expect("a process");
    device.run(SECOND, &|| false).expect("no fault of the rig");
    assert_eq!(timeline.now(), SECOND, "time goes on without it");
    let lane = lane(&device, &timeline);
    let [DeviceEvent::PowerOn, DeviceEvent::Started(ResetCause::PowerOn), DeviceEvent::Crashed(told)] =
        &lane[..]
    else {
        panic!("{lane:?}")
    };
    assert!(told.starts_with(why), "{told}");
    device.check().expect("the emulator is not to blame");
}

#[test]
fn an_emulator_that_dies_is_a_fault_of_the_rig() {
    let timeline = Timeline::new();
    let mut device = device("starts-and-dies", &timeline);
    device.power_on().expect("a process");
    let error = device.run(SECOND, &|| false).expect_err("it is gone").to_string();
    assert!(error.contains("exit code 4") && error.contains("out of everything"), "{error}");
    assert!(device.check().is_err(), "and the rig's own check says so");
    assert!(!lane(&device, &timeline).iter().any(|event| matches!(event, DeviceEvent::Crashed(_))));
}

#[test]
fn without_a_supply_time_passes_and_the_flash_chip_keeps_its_cells() {
    let timeline = Timeline::new();
    let mut device = device("scribbles", &timeline);
    device.run(SECOND, &|| false).expect("nothing to do");
    assert_eq!((timeline.now(), lane(&device, &timeline)), (SECOND, Vec::new()));
    let mut cells = [0; 4];
    device.cells().0.read(flash::OFFSET + 0x8000, &mut cells).expect("within the chip");
    assert_eq!(cells, [1, 2, 3, 0xFF]);
    device.power_on().expect("a process");
    device.power_off().expect("it ends");
    device.power_off().expect("once is enough");
    assert_eq!(lane(&device, &timeline), [DeviceEvent::PowerOn, DeviceEvent::PowerOff]);
    device.cells().0.read(flash::OFFSET + 0x8000, &mut cells).expect("within the chip");
    assert_eq!(cells, [1, 2, 3, 0xFF]);
}
