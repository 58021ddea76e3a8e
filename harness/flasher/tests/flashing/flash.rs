//! What comes to be in the flash, and in which order.

use rigor_flasher::{Chip, FlashError, FlashImage, Progress, Stage, flash};

use crate::double::Double;
use crate::images::{APP, merged};

const FLASH: u32 = 4 << 20;
const CODE: usize = 300_000;

fn image(seed: u32) -> (Vec<u8>, FlashImage) {
    let bytes = merged(Chip::Esp32s3, seed, CODE);
    let image = FlashImage::merged(bytes.clone()).expect("it is fit");
    (bytes, image)
}

fn quietly(_: Progress) {}

#[test]
fn all_of_it_is_there_afterwards_and_nothing_else_was_touched() {
    let (bytes, image) = image(2);
    let mut board = Double::new(Chip::Esp32s3, FLASH);
    let before = board.flash.clone();
    let outcome = flash(&mut board, &image, &mut quietly).expect("it is flashed");
    assert_eq!(board.flash[..bytes.len()], bytes);
    let end = bytes.len().next_multiple_of(0x1000);
    assert_eq!(board.flash[end..], before[end..]);
    assert_eq!((outcome.written as usize, outcome.kept), (end, 0));
}

#[test]
fn what_is_there_is_not_written_again() {
    let (_, first) = image(2);
    let mut board = Double::new(Chip::Esp32s3, FLASH);
    flash(&mut board, &first, &mut quietly).expect("it is flashed");
    board.writes.clear();
    let again = flash(&mut board, &first, &mut quietly).expect("it is there");
    assert_eq!((again.written, board.writes.len()), (0, 0));

    // Another app: bootloader and table stay, but for the header.
    let bytes = merged(Chip::Esp32s3, 3, CODE);
    let other = FlashImage::merged(bytes.clone()).expect("it is fit");
    let outcome = flash(&mut board, &other, &mut quietly).expect("it is flashed");
    assert_eq!(board.flash[..bytes.len()], bytes);
    assert!(
        board.writes.iter().all(|range| range.start >= APP as u32 || range.end == 0x1000),
        "{:?}",
        board.writes
    );
    assert_eq!(outcome.kept, APP as u32 - 0x1000);
}

#[test]
fn the_header_goes_first_and_comes_last() {
    let (_, image) = image(2);
    let mut board = Double::new(Chip::Esp32s3, FLASH);
    flash(&mut board, &image, &mut quietly).expect("it is flashed");
    let header = 0..0x1000;
    assert_eq!(board.writes.first(), Some(&header));
    assert_eq!(board.writes.last(), Some(&header));
    assert!(board.writes[1..board.writes.len() - 1].iter().all(|range| range.start >= 0x1000));
}

#[test]
fn a_board_whose_cable_was_pulled_boots_nothing_and_is_repaired() {
    let (old, before) = image(2);
    let (_, after) = image(3);
    let end = old.len().next_multiple_of(0x1000);
    // Within the erased header, right behind it, in the middle, within the last sector, within the new header.
    for pulled in [10, 0x1000, 0x1001, 150_000, end - APP + 0x1000 - 1, end - APP + 0x1000 + 1] {
        let mut board = Double::new(Chip::Esp32s3, FLASH);
        flash(&mut board, &before, &mut quietly).expect("it is flashed");
        board.bytes_left = Some(pulled);
        let error = flash(&mut board, &after, &mut quietly).expect_err("the cable was pulled");
        assert!(matches!(error, FlashError::Gone { .. }), "{error}");
        let whole = board.flash[0x1000..after.end() as usize] == merged(Chip::Esp32s3, 3, CODE)[0x1000..];
        assert!(!board.boots() || whole, "after {pulled} bytes it boots half an image");

        board.bytes_left = None;
        flash(&mut board, &after, &mut quietly).expect("it is repaired");
        assert!(board.boots());
        assert_eq!(board.flash[..after.end() as usize], merged(Chip::Esp32s3, 3, CODE));
    }
}

#[test]
fn a_bit_that_does_not_take_is_found_and_nothing_boots() {
    let (bytes, image) = image(2);
    let at = (APP + 0x2_0000..).find(|&at| bytes[at] & 1 == 0).expect("half of them");
    let mut board = Double::new(Chip::Esp32s3, FLASH);
    board.stuck = Some(at);
    let error = flash(&mut board, &image, &mut quietly).expect_err("a bit is stuck");
    let FlashError::Differs { at: found, bytes } = error else { panic!("{error}") };
    assert!((found..found + bytes).contains(&(at as u32)), "{error}");
    assert!(!board.boots());
}

#[test]
fn how_far_it_is_only_grows_and_reaches_the_end_of_each_stage() {
    let (_, image) = image(2);
    let mut board = Double::new(Chip::Esp32s3, FLASH);
    let mut heard = Vec::new();
    flash(&mut board, &image, &mut |progress| heard.push(progress)).expect("it is flashed");
    for stage in [Stage::Comparing, Stage::Writing, Stage::Verifying] {
        let steps: Vec<_> = heard.iter().filter(|step| step.stage == stage).collect();
        assert!(steps.is_sorted_by_key(|step| step.done), "{stage:?}");
        assert!(steps.iter().all(|step| step.done <= step.of), "{stage:?}");
        assert!(
            steps.last().is_some_and(|last| stage == Stage::Writing || last.done == last.of),
            "{stage:?}"
        );
    }
}
