//! What a loader does with what it should not be told, and with a line or a flash that is broken.

mod host;

use host::*;
use proptest::prelude::*;
use rigor_esp_loader::{Chip, Departure, Fault, FlashChip, FlashFailed, Loader, MemoryFlash, Mode};
use rstest::rstest;

/// Statuses of the ROM and of a stub.
const LENGTH: ([u8; 2], [u8; 2]) = ([1, 0x05], [0xC0, 0]);
const UNKNOWN: ([u8; 2], [u8; 2]) = ([1, 0x05], [0xFF, 0]);
const ORDER: ([u8; 2], [u8; 2]) = ([1, 0x06], [0xC6, 0]);
const TOO_MUCH: ([u8; 2], [u8; 2]) = ([1, 0x06], [0xC9, 0]);
const CHECKSUM: ([u8; 2], [u8; 2]) = ([1, 0x07], [0xC1, 0]);
const FLASH: ([u8; 2], [u8; 2]) = ([1, 0x08], [0xC4, 0]);
const INFLATE: ([u8; 2], [u8; 2]) = ([1, 0x0B], [0xC7, 0]);

fn both() -> [Loader<MemoryFlash>; 2] {
    [rom(), stub()]
}

#[rstest]
#[case::unknown(request(0x7F, &[], 0), UNKNOWN)]
#[case::nand(request(0xD5, &words([0, 0]), 0), UNKNOWN)]
#[case::register_short(request(0x0A, &[0; 3], 0), LENGTH)]
#[case::register_long(request(0x0A, &[0; 5], 0), LENGTH)]
#[case::write_nothing(request(0x09, &[], 0), LENGTH)]
#[case::write_and_a_half(request(0x09, &[0; 24], 0), LENGTH)]
#[case::sync_short(request(0x08, &[0x07, 0x07, 0x12, 0x20], 0), LENGTH)]
#[case::sync_other(request(0x08, &[0x55; 36], 0), LENGTH)]
#[case::data_unannounced(block(0x03, 0, &[0; 16]), ORDER)]
#[case::deflated_data_unannounced(block(0x11, 0, &[0; 16]), ORDER)]
#[case::ram_unannounced(block(0x07, 0, &[0; 16]), ORDER)]
#[case::end_unannounced(request(0x04, &words([1]), 0), ORDER)]
#[case::start_unannounced(request(0x06, &words([0, STUB]), 0), ORDER)]
#[case::begin_short(request(0x02, &words([4096, 4, 1024]), 0), LENGTH)]
#[case::begin_long(request(0x02, &words([4096, 4, 1024, 0, 0, 0]), 0), LENGTH)]
#[case::encrypted(request(0x02, &words([4096, 4, 1024, 0, 1]), 0), FLASH)]
#[case::beyond_the_end(request(0x02, &words([4097, 5, 1024, 0x7_F000]), 0), FLASH)]
#[case::beyond_all_ends(request(0x02, &words([u32::MAX, u32::MAX, u32::MAX, u32::MAX]), 0), FLASH)]
#[case::deflated_beyond_the_end(request(0x10, &words([0x8_0000, 5, 1024, 1]), 0), FLASH)]
#[case::digest_beyond_the_end(request(0x13, &words([0x7_FFFF, 2, 0, 0]), 0), FLASH)]
#[case::digest_beyond_all_ends(request(0x13, &words([u32::MAX, u32::MAX, 0, 0]), 0), FLASH)]
#[case::speed_short(request(0x0F, &words([115_200]), 0), LENGTH)]
#[case::parameters_short(request(0x0B, &words([0; 5]), 0), LENGTH)]
#[case::attach_short(request(0x0D, &[0; 3], 0), LENGTH)]
#[case::who_long(request(0x14, &[0], 0), LENGTH)]
fn what_cannot_be_is_refused(#[case] line: Vec<u8>, #[case] (by_rom, by_stub): ([u8; 2], [u8; 2])) {
    for (mut loader, wanted) in both().into_iter().zip([by_rom, by_stub]) {
        let before = loader.flash().clone();
        assert_eq!(only(&mut loader, &line).status, wanted, "{:?}", loader.mode());
        assert!(*loader.flash() == before, "and nothing is done");
        assert!(synced(&mut loader));
    }
}

#[rstest]
#[case::erase_flash(request(0xD0, &[], 0))]
#[case::erase_region(request(0xD1, &words([0, 4096]), 0))]
#[case::read(request(0xD2, &words([0, 4096, 4096, 64]), 0))]
#[case::run(request(0xD3, &[], 0))]
fn the_rom_does_not_do_what_only_a_stub_does(#[case] line: Vec<u8>) {
    assert_eq!(only(&mut rom(), &line).status, UNKNOWN.0);
}

#[rstest]
#[case::slowly(request(0x0E, &words([0, 64]), 0), UNKNOWN.1)]
#[case::erase_odd_address(request(0xD1, &words([1, 4096]), 0), LENGTH.1)]
#[case::erase_odd_length(request(0xD1, &words([0, 4097]), 0), LENGTH.1)]
#[case::erase_beyond(request(0xD1, &words([0x7_F000, 8192]), 0), FLASH.1)]
#[case::read_beyond(request(0xD2, &words([0x7_F000, 4097, 4096, 64]), 0), FLASH.1)]
#[case::read_pieces_of_nothing(request(0xD2, &words([0, 4096, 0, 64]), 0), LENGTH.1)]
#[case::read_large_pieces(request(0xD2, &words([0, 4096, 4097, 64]), 0), LENGTH.1)]
fn a_stub_refuses_too(#[case] line: Vec<u8>, #[case] wanted: [u8; 2]) {
    let mut loader = stub();
    assert_eq!(only(&mut loader, &line).status, wanted);
    assert!(synced(&mut loader));
}

#[test]
fn the_rom_reads_at_most_sixty_four_bytes_and_none_beyond_the_end() {
    assert_eq!(ask(&mut rom(), 0x0E, &words([0, 65])).status, TOO_MUCH.0);
    assert_eq!(ask(&mut rom(), 0x0E, &words([0x7_FFFF, 2])).status, FLASH.0);
}

#[test]
fn the_rom_does_not_reach_a_flash_that_is_not_attached() {
    let mut loader = loader(Chip::Esp32C6);
    loader.enter_download();
    loader.take_said();
    for line in [
        request(0x02, &words([4096, 4, 1024, 0]), 0),
        request(0x10, &words([4096, 4, 1024, 0]), 0),
        request(0x13, &words([0, 4096, 0, 0]), 0),
        request(0x0E, &words([0, 64]), 0),
    ] {
        assert_eq!(only(&mut loader, &line).status, ORDER.0);
    }
}

#[rstest]
fn a_damaged_block_is_refused_and_can_be_sent_again(#[values(0x03, 0x11, 0x07)] code: u8) {
    let bytes = noise(1024);
    for (mut loader, wanted) in both().into_iter().zip([CHECKSUM.0, CHECKSUM.1]) {
        let (begin, address) = if code == 0x07 { (0x05, STUB) } else { (code - 1, 0x1000) };
        assert_eq!(ask(&mut loader, begin, &words([1024, 1, 1024, address])).status, OK);
        let sent = if code == 0x11 { deflated(&bytes) } else { bytes.clone() };
        let mut damaged = block(code, 0, &sent);
        // In the word of the checksum.
        damaged[5] ^= 1;
        assert_eq!(only(&mut loader, &damaged).status, wanted);
        assert_eq!(send(&mut loader, code, 0, &sent).status, OK);
        if code != 0x07 {
            assert!(loader.flash().bytes()[0x1000..0x1400] == bytes);
        }
    }
}

#[rstest]
fn a_block_that_is_not_as_long_as_it_says_is_refused(#[values(0x03, 0x11, 0x07)] code: u8) {
    for (mut loader, wanted) in both().into_iter().zip([LENGTH.0, LENGTH.1]) {
        for length in [0, 15, 17, u32::MAX] {
            let payload = [words([length, 0, 0, 0]), vec![0; 16]].concat();
            assert_eq!(only(&mut loader, &request(code, &payload, 0xEF)).status, wanted);
        }
        // By the request's own header, too.
        let mut line = block(code, 0, &[0; 16]);
        line[3] += 1;
        assert_eq!(only(&mut loader, &line).status, wanted);
    }
}

#[test]
fn more_than_was_announced_is_refused() {
    let mut loader = rom();
    assert_eq!(ask(&mut loader, 0x02, &words([1024, 1, 1024, 0])).status, OK);
    assert_eq!(send(&mut loader, 0x03, 0, &[0; 1024]).status, OK);
    assert_eq!(send(&mut loader, 0x03, 1, &[0; 1]).status, TOO_MUCH.0);

    for (mut loader, wanted) in both().into_iter().zip([TOO_MUCH.0, TOO_MUCH.1]) {
        assert_eq!(ask(&mut loader, 0x05, &words([10, 1, 10, STUB])).status, OK);
        assert_eq!(send(&mut loader, 0x07, 0, &[0; 11]).status, wanted);

        // A little that becomes a lot.
        let bomb = deflated(&vec![0; 10 << 20]);
        assert_eq!(ask(&mut loader, 0x10, &words([4096, 1, 16_384, 0x1000])).status, OK);
        assert_eq!(send(&mut loader, 0x11, 0, &bomb).status, wanted);
        assert_eq!(loader.flash().bytes()[0x2000..0x2100], [0xFF; 0x100]);

        // What follows the end of a stream.
        let stream = [deflated(b"four"), vec![0; 9]].concat();
        assert_eq!(ask(&mut loader, 0x10, &words([4, 1, 1024, 0x4000])).status, OK);
        assert_eq!(send(&mut loader, 0x11, 0, &stream).status, wanted);
    }
}

#[test]
fn what_is_no_stream_is_refused() {
    for (mut loader, wanted) in both().into_iter().zip([INFLATE.0, INFLATE.1]) {
        assert_eq!(ask(&mut loader, 0x10, &words([4096, 1, 1024, 0])).status, OK);
        assert_eq!(send(&mut loader, 0x11, 0, &[0xA5; 64]).status, wanted);
        // A stream whose own checksum does not hold.
        let mut stream = deflated(&noise(1000));
        *stream.last_mut().expect("it has bytes") ^= 1;
        assert_eq!(ask(&mut loader, 0x10, &words([1000, 1, 1024, 0])).status, OK);
        assert_eq!(send(&mut loader, 0x11, 0, &stream).status, wanted);
    }
}

#[test]
fn what_is_no_request_is_not_answered() {
    for mut loader in both() {
        for frame in [&b""[..], b"boot", &[1; 40], &[0xFF; 8], &[0; 7]] {
            assert_eq!(exchange(&mut loader, &slip(frame)), Vec::<Vec<u8>>::new(), "{frame:?}");
        }
        // Cut in the middle, which is a request that is too short, and then heard in full.
        let line = sync();
        loader.receive(&line[..25]);
        let said = exchange(&mut loader, &[&[0xC0][..], &line].concat());
        assert_eq!(said.len(), 1 + 8);
        assert_ne!(answer(loader.mode(), &said[0]).status, OK);
        // A frame that never ends.
        loader.receive(&vec![0x55; 1 << 20]);
        loader.receive(&[0xC0]);
        loader.receive(&vec![0x55; 1 << 20]);
        assert_eq!(exchange(&mut loader, &[&[0xC0][..], &line].concat()).len(), 8);
    }
}

/// A flash that refuses from some sector on.
struct Worn(MemoryFlash, u32);

impl Worn {
    fn holds(&self, end: u32) -> Result<(), FlashFailed> {
        if end <= self.1 { Ok(()) } else { Err(FlashFailed) }
    }
}

impl FlashChip for Worn {
    fn size(&self) -> u32 {
        self.0.size()
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), FlashFailed> {
        self.holds(address + bytes.len() as u32)?;
        self.0.read(address, bytes)
    }

    fn erase(&mut self, address: u32, length: u32) -> Result<(), FlashFailed> {
        self.holds(address + length)?;
        self.0.erase(address, length)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashFailed> {
        self.holds(address + bytes.len() as u32)?;
        self.0.program(address, bytes)
    }
}

#[test]
fn a_flash_that_refuses_is_told_to_the_host() {
    let worn = || Worn(MemoryFlash::new(SECTORS), 0x2000);
    let mut loader = in_rom(worn());
    assert_eq!(ask(&mut loader, 0x02, &words([0x3000, 12, 1024, 0])).status, FLASH.0);
    assert_eq!(ask(&mut loader, 0x0E, &words([0x3000, 64])).status, FLASH.0);

    let mut loader = in_stub(worn());
    assert_eq!(ask(&mut loader, 0x02, &words([0x3000, 3, 0x1000, 0])).status, OK);
    assert_eq!(send(&mut loader, 0x03, 0, &[0; 0x2000]).status, OK);
    assert_eq!(send(&mut loader, 0x03, 1, &[0; 0x1000]).status, FLASH.1);
    assert_eq!(ask(&mut loader, 0x13, &words([0, 0x3000, 0, 0])).status, FLASH.1);
    assert_eq!(ask(&mut loader, 0xD0, &[]).status, FLASH.1);
    // In the middle of a readout there is no word for it.
    let said = exchange(&mut loader, &request(0xD2, &words([0x1000, 0x2000, 0x1000, 64]), 0));
    assert_eq!(said.len(), 2);
    assert_eq!(exchange(&mut loader, &slip(&words([0x1000]))), Vec::<Vec<u8>>::new());
    assert!(synced(&mut loader));
}

#[test]
fn a_lost_byte_is_one_of_one_answer() {
    let mut well = rom();
    well.receive(&sync());
    let wanted = well.take_said();

    let mut loader = loader(Chip::Esp32S3);
    loader.inject(Fault::LostByte { request: 2 });
    loader.enter_download();
    loader.take_said();
    let said: Vec<Vec<u8>> = (0..3)
        .map(|_| {
            loader.receive(&sync());
            loader.take_said()
        })
        .collect();
    assert_eq!([&said[0], &said[2]], [&wanted, &wanted]);
    assert_eq!(said[1].len(), wanted.len() - 1);
}

#[test]
fn noise_comes_before_an_answer() {
    let mut loader = rom();
    // Attaching was the first request.
    loader.inject(Fault::Noise { request: 2 });
    loader.receive(&sync());
    let said = loader.take_said();
    let noise = said.iter().position(|byte| *byte == 0xC0).expect("a frame");
    assert!(noise > 0);
    assert_eq!(frames(&said[noise..]).len(), 8);
    assert!(synced(&mut loader), "and before no other");
}

#[test]
fn a_stalled_loader_says_nothing_until_it_is_reset_and_well() {
    let mut loader = rom();
    loader.inject(Fault::Stall { request: 3 });
    assert!(synced(&mut loader));
    assert!(!synced(&mut loader));
    assert!(!synced(&mut loader));
    loader.heal();
    assert!(synced(&mut loader));
}

#[test]
fn a_port_that_goes_away_takes_the_answer_with_it() {
    let mut loader = rom();
    loader.inject(Fault::Disconnect { request: 3 });
    assert!(synced(&mut loader));
    assert!(!synced(&mut loader));
    assert_eq!((loader.take_departure(), loader.mode()), (Some(Departure::Unplugged), Mode::Application));
}

#[test]
fn wrong_digests_are_wrong_and_the_flash_is_right() {
    let digests = |loader: &mut Loader<MemoryFlash>| {
        let digest = ask(loader, 0x13, &words([0, 4096, 0, 0]));
        assert_eq!(digest.status, OK);
        digest.data
    };
    for mut loader in both() {
        let right = digests(&mut loader);
        loader.inject(Fault::WrongDigest);
        let wrong = digests(&mut loader);
        assert_eq!(wrong.len(), right.len());
        assert_ne!(wrong, right);
        loader.heal();
        assert_eq!(digests(&mut loader), right);
    }
    let mut loader = stub();
    loader.inject(Fault::WrongDigest);
    exchange(&mut loader, &request(0xD2, &words([0, 4096, 4096, 64]), 0));
    let said = exchange(&mut loader, &slip(&words([4096])));
    assert_ne!(said[0], md5_of(&[0xFF; 4096]));
}

fn md5_of(bytes: &[u8]) -> Vec<u8> {
    use md5::{Digest, Md5};
    Md5::digest(bytes).to_vec()
}

/// A word that is often one that means something.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![
        0..5_u32,
        Just(4096),
        Just(0x7_F000),
        Just(0x8_0000),
        Just(STUB),
        Just(u32::MAX),
        any::<u32>()
    ]
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![0x02..0x15_u8, 0xD0..0xD4_u8, any::<u8>()];
    let asked = (code.clone(), proptest::collection::vec(word(), 0..8)).prop_map(|(code, words)| {
        request(code, &words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>(), 0)
    });
    let sent = (code, any::<Vec<u8>>()).prop_map(|(code, bytes)| block(code, 0, &bytes));
    let acknowledged = word().prop_map(|word| slip(&word.to_le_bytes()));
    prop_oneof![4 => asked, 2 => sent, 1 => acknowledged, 1 => any::<Vec<u8>>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_a_reset_brings_it_back(
        lines in proptest::collection::vec(anything(), 0..24),
        in_stub: bool,
    ) {
        let mut loader = if in_stub { stub() } else { rom() };
        for line in lines {
            loader.receive(&line);
            // Not much more than one piece of a readout for each frame, of which the shortest has three bytes.
            prop_assert!(loader.take_said().len() <= 8 * 1024 * (1 + line.len() / 3));
            loader.take_departure();
        }
        loader.enter_download();
        loader.take_said();
        prop_assert!(synced(&mut loader));
    }
}
