//! A loader or a line that goes wrong in the middle, and the run after it.

use std::time::Duration;

use rigor_esp_loader::{Chip as Simulated, Fault, MemoryFlash};
use rigor_flasher::{Chip, FlashError, Patience, Software};
use rstest::rstest;

use crate::{SECTORS, board, image, put, settings};

/// Requests until something is written, by stub and by ROM; the image below takes many more.
const IN_THE_MIDDLE: u32 = 60;

#[rstest]
#[case::by_stub(Software::Stub)]
#[case::by_rom(Software::Rom)]
fn a_cable_that_is_pulled_leaves_a_board_that_boots_nothing_and_is_repaired(#[case] software: Software) {
    let (before, first) = image(Chip::Esp32s3, 2, 300_000);
    let (after, second) = image(Chip::Esp32s3, 3, 300_000);
    let here = board(Simulated::Esp32S3, MemoryFlash::new(SECTORS));
    put(settings(&here, software), &first).expect("it is flashed");
    assert!(here.loader().flash().bytes()[..before.len()] == before);

    here.loader().enter_download();
    here.loader().inject(Fault::Disconnect { request: IN_THE_MIDDLE });
    let error = put(settings(&here, software), &second).expect_err("the cable was pulled");
    assert!(matches!(error, FlashError::Gone { .. }), "{error}");
    let left = here.loader().flash().clone();
    assert_eq!(left.bytes()[0], 0xFF, "no header is there");
    assert!(left.bytes()[..before.len()] != before && left.bytes()[..after.len()] != after);

    let here = board(Simulated::Esp32S3, left);
    let outcome = put(settings(&here, software), &second).expect("it is repaired");
    assert!(outcome.kept > 0, "what was written before is not written again");
    assert!(here.loader().flash().bytes()[..after.len()] == after);
}

#[test]
fn a_loader_that_falls_silent_is_not_waited_for_without_end() {
    let (bytes, image) = image(Chip::Esp32c6, 2, 100_000);
    let here = board(Simulated::Esp32C6, MemoryFlash::new(SECTORS));
    here.loader().inject(Fault::Stall { request: IN_THE_MIDDLE });
    let mut impatient = settings(&here, Software::Rom);
    impatient.patience.sign = Duration::from_secs(2);
    let error = put(impatient, &image).expect_err("it says nothing any more");
    assert!(matches!(error, FlashError::Stalled { .. }), "{error}");

    here.loader().heal();
    here.loader().enter_download();
    put(settings(&here, Software::Rom), &image).expect("it is repaired");
    assert!(here.loader().flash().bytes()[..bytes.len()] == bytes);
}

#[test]
fn digests_that_are_not_those_of_the_image_are_an_error() {
    let (bytes, image) = image(Chip::Esp32c3, 2, 20_000);
    let here = board(Simulated::Esp32C3, MemoryFlash::new(SECTORS));
    here.loader().inject(Fault::WrongDigest);
    let error = put(settings(&here, Software::Stub), &image).expect_err("nothing is as it should be");
    assert!(matches!(error, FlashError::Differs { .. }), "{error}");
    here.loader().heal();
    here.loader().enter_download();
    put(settings(&here, Software::Stub), &image).expect("it is repaired");
    assert!(here.loader().flash().bytes()[..bytes.len()] == bytes);
}

#[rstest]
#[case::lost(Fault::LostByte { request: IN_THE_MIDDLE })]
#[case::noise(Fault::Noise { request: IN_THE_MIDDLE })]
fn a_bad_line_ends_in_an_error_or_in_the_image(#[case] fault: Fault) {
    let (bytes, image) = image(Chip::Esp32s3, 2, 100_000);
    let here = board(Simulated::Esp32S3, MemoryFlash::new(SECTORS));
    here.loader().inject(fault);
    let mut impatient = settings(&here, Software::Rom);
    impatient.patience = Patience { sign: Duration::from_secs(2), ..impatient.patience };
    match put(impatient, &image) {
        Ok(_) => assert!(here.loader().flash().bytes()[..bytes.len()] == bytes),
        Err(_) => assert_eq!(here.loader().flash().bytes()[0], 0xFF, "it boots half an image"),
    }
    here.loader().heal();
    here.loader().enter_download();
    put(settings(&here, Software::Rom), &image).expect("it is repaired");
    assert!(here.loader().flash().bytes()[..bytes.len()] == bytes);
}
