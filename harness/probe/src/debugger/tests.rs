//! With the library's own stand-in: a probe with an ARM core whose memory is zeroes.

use std::sync::mpsc;

use probe_rs::architecture::arm::ArmError;
use probe_rs::integration::FakeProbe;

use super::*;

const TARGET: &str = "nrf51822_xxAC";
const RAM: u32 = 0x2000_0000;

fn stand_in() -> Debugger {
    let probe = || Ok(FakeProbe::with_mocked_core().into_probe());
    Debugger::behind("stand-in".to_owned(), TARGET, PATIENCE, probe).expect("the stand-in is attached to")
}

#[test]
fn memory_is_read() {
    assert_eq!(stand_in().read(RAM, 16), Ok(vec![0; 16]));
}

#[test]
fn more_than_any_chip_has_is_not_asked_for() {
    let error = stand_in().read(RAM, MAX_READ + 1).unwrap_err();
    assert_eq!(error, ProbeError::TooMuch { bytes: MAX_READ + 1, limit: MAX_READ });
}

#[test]
fn a_chip_of_another_kind_is_not_attached_to() {
    crate::found::know_espressif();
    let probe = || Ok(FakeProbe::with_mocked_core().into_probe());
    let attached = Debugger::behind("stand-in".to_owned(), Chip::Esp32c3.name(), PATIENCE, probe);
    let Err(ProbeError::NoChip { chip, which, .. }) = attached else {
        panic!("an ARM core was taken for an ESP32-C3");
    };
    assert_eq!((chip.as_str(), which.as_str()), ("esp32c3", "stand-in"));
}

#[test]
fn the_library_knows_the_chips_of_benches() {
    crate::found::know_espressif();
    let registry = probe_rs::config::Registry::from_builtin_families();
    for chip in Chip::ALL {
        registry.get_target_by_name(chip.name()).unwrap_or_else(|error| panic!("{chip}: {error}"));
    }
}

#[test]
fn a_probe_that_is_pulled_is_an_error() {
    let mut probe = FakeProbe::new();
    probe.set_dap_register_read_handler(Box::new(|_| Err(ArmError::Timeout)));
    let attached = Debugger::behind("stand-in".to_owned(), TARGET, PATIENCE, || {
        Ok(Probe::from_specific_probe(Box::new(probe)))
    });
    assert!(matches!(attached, Err(ProbeError::NoChip { .. } | ProbeError::Failed { .. })));
}

#[test]
fn a_panic_of_the_library_is_an_error_and_no_more() {
    let mut debugger = stand_in();
    // The stand-in leaves what is not aligned undone.
    let error = debugger.worker.ask(
        "doing it".to_owned(),
        |_, _| -> Result<(), _> { panic!("as planned") },
        &mut |_| {},
    );
    assert_eq!(
        error,
        Err(ProbeError::Failed { doing: "doing it".to_owned(), reason: "its library gave up".to_owned() })
    );
    assert_eq!(debugger.read(RAM, 4), Ok(vec![0; 4]), "and the next call goes well");
}

#[test]
fn a_probe_that_never_answers_is_given_up() {
    let (let_go, wait) = mpsc::channel::<()>();
    let never = move || {
        let _ = wait.recv();
        Err(ProbeError::Absent { which: "late".to_owned() })
    };
    let patience = Duration::from_millis(20);
    let attached = Debugger::behind("stand-in".to_owned(), TARGET, patience, never);
    let stalled = ProbeError::Stalled { doing: "attaching to the chip".to_owned(), waited: patience };
    assert_eq!(attached.err(), Some(stalled));
    drop(let_go);
}

#[test]
fn a_firmware_without_a_log_is_told() {
    let error = stand_in().log(Some(RAM)).unwrap_err();
    assert!(matches!(error, ProbeError::NoLog { .. }), "{error}");
}
