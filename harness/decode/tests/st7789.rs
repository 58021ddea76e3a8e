//! The ST7789 decoder on traffic that was made by hand, by an encoder, and by nobody.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rigor_core::event::{BusTransfer, Gap};
use rigor_core::{Event, Instant, Kind};
use rigor_decode::st7789::{
    Config, Decoder, FindingKind, Frame, FrameDecoder, Item, Limits, Line, MAX_PARAMETERS, Opcode, Panel,
    Pass, PassEnding, Record, Rect, Rotation, Scan, Screen, Start, Tear, Window, encode, opcode,
};
use rstest::rstest;

const MS: u64 = 1_000_000;
const RED: u16 = 0xF800;
const GREEN: u16 = 0x07E0;
const BLUE: u16 = 0x001F;

/// A trace that is written down as it goes.
#[derive(Default)]
struct Trace {
    now: u64,
    events: Vec<Event>,
}

impl Trace {
    fn push(&mut self, kind: Kind) -> &mut Self {
        self.events.push(Event { at: Instant::from_nanos(self.now), uncertainty: Duration::ZERO, kind });
        self
    }

    fn send(&mut self, transfers: Vec<BusTransfer>) -> &mut Self {
        for transfer in transfers {
            self.push(Kind::Bus(transfer));
        }
        self
    }

    fn command(&mut self, opcode: u8, parameters: &[u8]) -> &mut Self {
        self.send(encode::command(opcode, parameters))
    }

    fn data(&mut self, bytes: &[u8]) -> &mut Self {
        self.send(vec![BusTransfer { data: true, bytes: bytes.into() }])
    }

    fn wait_ms(&mut self, ms: u64) -> &mut Self {
        self.now += ms * MS;
        self
    }

    /// The badge's set-up: SWRESET, SLPOUT, COLMOD, MADCTL, INVON, NORON and DISPON with their pauses.
    fn badge() -> Self {
        let mut trace = Trace::default();
        trace.command(opcode::SWRESET, &[]).wait_ms(150).command(opcode::SLPOUT, &[]).wait_ms(10);
        trace.command(opcode::COLMOD, &[0x55]).wait_ms(10).command(opcode::MADCTL, &[0x60]);
        trace.command(opcode::INVON, &[]).wait_ms(10).command(opcode::NORON, &[]).wait_ms(10);
        trace.command(opcode::DISPON, &[]).wait_ms(10);
        trace
    }

    /// Some rectangle of the badge's screen, as its driver sends it.
    fn badge_rect(&mut self, rect: Rect, pixels: impl IntoIterator<Item = u16>) -> &mut Self {
        let rows = (rect.y + 35, rect.y + 34 + rect.height);
        let window = Window { columns: (rect.x, rect.x + rect.width - 1), rows };
        self.send(encode::draw(window, pixels, usize::from(rect.width) * 2))
    }
}

/// A 240 x 240 module that is set up for 16 bits and lit.
fn running() -> Config {
    let start = Start::Running { madctl: 0, colmod: 0x55, inverted: true };
    Config { start, ..Config::new(Panel::SQUARE_240) }
}

fn items(config: &Config, events: &[Event]) -> (Vec<Item>, Screen) {
    let mut decoder = Decoder::new(config);
    let mut items = Vec::new();
    events.iter().for_each(|event| decoder.event(event, |_, item| items.push(item)));
    let screen = decoder.finish(|_, item| items.push(item));
    (items, screen)
}

fn findings(config: &Config, trace: &Trace) -> Vec<FindingKind> {
    let finding = |item| if let Item::Finding(finding) = item { Some(finding.kind) } else { None };
    items(config, &trace.events).0.into_iter().filter_map(finding).collect()
}

fn passes(config: &Config, trace: &Trace) -> Vec<Pass> {
    let pass = |item| if let Item::Pass(pass) = item { Some(pass) } else { None };
    items(config, &trace.events).0.into_iter().filter_map(pass).collect()
}

fn frames(config: &Config, trace: &Trace) -> Vec<Frame> {
    FrameDecoder::decode(config, &trace.events)
}

const fn rect(x: u16, y: u16, width: u16, height: u16) -> Rect {
    Rect { x, y, width, height }
}

fn window(columns: (u16, u16), rows: (u16, u16)) -> Window {
    Window { columns, rows }
}

#[test]
fn the_badges_driver_draws_where_it_says() {
    let mut trace = Trace::badge();
    trace.badge_rect(rect(0, 0, 320, 170), [0; 320 * 170]).wait_ms(20);
    let colours = [RED, GREEN, BLUE, RED, GREEN, BLUE];
    trace.badge_rect(rect(10, 20, 3, 2), colours);
    let config = Config::new(Panel::LANDSCAPE_320X170);
    assert_eq!(findings(&config, &trace), []);
    let frames = frames(&config, &trace);
    // DISPON makes one, the black picture another, and the colours a third.
    let dirty: Vec<Rect> = frames.iter().map(|frame| frame.dirty).collect();
    assert_eq!(dirty, [rect(0, 0, 320, 170), rect(0, 0, 320, 170), rect(10, 20, 3, 2)]);
    assert!(frames.iter().all(|frame| frame.lit && frame.tear.is_none()));
    let picture = &frames[2].picture;
    assert_eq!((picture.width(), picture.height()), (320, 170));
    let (red, green, blue) = ([255, 0, 0], [0, 255, 0], [0, 0, 255]);
    for (y, x, colour) in [(20, 10, red), (20, 11, green), (20, 12, blue), (21, 10, red), (21, 12, blue)] {
        assert_eq!(picture.pixel(x, y), Some(colour), "{x} {y}");
    }
    for (x, y) in [(9, 20), (13, 20), (10, 19), (10, 22), (0, 0), (319, 169)] {
        assert_eq!(picture.pixel(x, y), Some([0; 3]), "{x} {y}");
    }
    assert_eq!(frames[2].start, Instant::from_nanos(220 * MS));
}

/// The overruns of the badge's own user interface: texts that end right of the panel, and below it.
#[test]
fn what_the_badge_draws_outside_is_found() {
    let mut trace = Trace::badge();
    trace.badge_rect(rect(316, 160, 8, 16), [RED; 8 * 16]);
    let config = Config::new(Panel::LANDSCAPE_320X170);
    let outside = window((316, 323), (195, 210));
    assert_eq!(
        findings(&config, &trace),
        [
            FindingKind::OutsideMemory { window: outside, pixels: 4 * 16 },
            FindingKind::OutsidePanel { window: outside, pixels: 4 * 6 },
        ]
    );
    let passes = passes(&config, &trace);
    assert_eq!((passes[0].pixels, passes[0].ending), (128, PassEnding::Complete));
    assert_eq!(passes[0].dirty, Some(rect(316, 160, 4, 10)));
}

/// A full picture in one transaction that the SPI driver refuses: a window, and no pixel.
#[test]
fn a_window_without_pixels_is_found() {
    let mut trace = Trace::badge();
    trace.send(encode::begin(window((0, 319), (35, 204))));
    trace.badge_rect(rect(0, 0, 1, 1), [RED]);
    let missing = FindingKind::MissingPixels { missing: 54_400, of: 54_400, by: Some(Opcode(opcode::CASET)) };
    assert_eq!(findings(&Config::new(Panel::LANDSCAPE_320X170), &trace), [missing]);
}

/// ST7789V datasheet, section 9.1.12 and the example of a power-on sequence that module makers print: sleep
/// out, 120 ms, access, format, porches, voltages, gamma, inversion, display on, and then the picture.
#[test]
fn the_power_on_sequence_of_the_datasheet_is_understood() {
    let mut trace = Trace::default();
    trace.wait_ms(120).command(opcode::SLPOUT, &[]).wait_ms(120);
    trace.command(opcode::MADCTL, &[0x00]).command(opcode::COLMOD, &[0x05]);
    trace.command(0xB2, &[0x0C, 0x0C, 0x00, 0x33, 0x33]).command(0xB7, &[0x35]).command(0xBB, &[0x19]);
    trace.command(0xC0, &[0x2C]).command(0xC2, &[0x01]).command(0xC3, &[0x12]).command(0xC4, &[0x20]);
    trace.command(0xC6, &[0x0F]).command(0xD0, &[0xA4, 0xA1]);
    trace.command(0xE0, &[0xD0, 4, 0x0D, 0x11, 0x13, 0x2B, 0x3F, 0x54, 0x4C, 0x18, 0x0D, 0x0B, 0x1F, 0x23]);
    trace.command(opcode::INVON, &[]).command(opcode::DISPON, &[]);
    trace.send(encode::draw(window((0, 239), (0, 239)), vec![GREEN; 240 * 240], 4096));
    let config = Config::new(Panel::SQUARE_240);
    let record = Record::of(&config, Limits::default(), &trace.events);
    assert_eq!(record.findings, 0, "{:#?}", record.lines);
    let commands: Vec<String> = record
        .lines
        .iter()
        .filter_map(|line| if let Line::Command(command) = line { Some(command.to_string()) } else { None })
        .collect();
    assert_eq!(
        commands,
        [
            "SLPOUT",
            "MADCTL 00h (none)",
            "COLMOD 05",
            "PORCTRL 0C 0C 00 33 33",
            "GCTRL 35",
            "VCOMS 19",
            "LCMCTRL 2C",
            "VDVVRHEN 01",
            "VRHS 12",
            "VDVS 20",
            "FRCTRL2 0F",
            "PWCTRL1 A4 A1",
            "PVGAMCTRL D0 04 0D 11 13 2B 3F 54 4C 18 0D 0B 1F 23",
            "INVON",
            "DISPON",
            "CASET columns 0 to 239",
            "RASET rows 0 to 239",
            "RAMWR",
        ]
    );
    assert_eq!(record.frames.len(), 2);
    let picture = &record.frames[1].picture;
    assert!(picture.rgb().as_chunks::<3>().0.iter().all(|pixel| *pixel == [0, 255, 0]));
}

/// What a driver draws at column 1, row 2 of its own coordinates is seen there, whatever the orientation.
#[rstest]
#[case(0x00, Rotation::Upright, (0, 0))]
#[case(0x60, Rotation::ThreeQuarters, (0, 0))]
#[case(0xC0, Rotation::Half, (0, 80))]
#[case(0xA0, Rotation::Quarter, (80, 0))]
fn a_square_module_in_any_orientation(
    #[case] madctl: u8,
    #[case] rotation: Rotation,
    #[case] offset: (u16, u16),
) {
    let mut trace = Trace::default();
    let (x, y) = (offset.0 + 1, offset.1 + 2);
    trace.command(opcode::MADCTL, &[madctl]);
    trace.send(encode::draw(window((x, x + 1), (y, y)), [RED, BLUE], 4));
    let config = Config { panel: Panel::SQUARE_240.rotated(rotation), ..running() };
    let frames = frames(&config, &trace);
    assert_eq!(frames[0].dirty, rect(1, 2, 2, 1));
    assert_eq!(frames[0].picture.pixel(1, 2), Some([255, 0, 0]));
    assert_eq!(frames[0].picture.pixel(2, 2), Some([0, 0, 255]));
}

#[test]
fn colours_follow_format_byte_order_inversion_and_filter() {
    let one = window((0, 0), (0, 0));
    let colour = |panel: Panel, setup: &[(u8, &[u8])], bytes: &[u8]| {
        let mut trace = Trace::default();
        for (opcode, parameters) in setup {
            trace.command(*opcode, parameters);
        }
        trace.send(encode::begin(one)).data(bytes);
        let frames = frames(&Config { panel, ..running() }, &trace);
        frames.last().unwrap().picture.pixel(0, 0).unwrap()
    };
    let panel = Panel::SQUARE_240;
    assert_eq!(colour(panel, &[], &[0xF8, 0x1F]), [255, 0, 255]);
    assert_eq!(colour(panel, &[(opcode::RAMCTRL, &[0x00, 0xF8])], &[0x00, 0xF8]), [255, 0, 0]);
    assert_eq!(colour(panel, &[(opcode::COLMOD, &[0x66])], &[0xFC, 0x80, 0x03]), [255, 130, 0]);
    assert_eq!(colour(panel, &[(opcode::INVOFF, &[])], &[0xF8, 0x00]), [0, 255, 255]);
    assert_eq!(colour(panel, &[(opcode::MADCTL, &[0x08])], &[0xF8, 0x00]), [0, 0, 255]);
    assert_eq!(colour(panel.bgr(), &[(opcode::MADCTL, &[0x08])], &[0xF8, 0x00]), [255, 0, 0]);
    assert_eq!(colour(panel, &[(opcode::IDMON, &[])], &[0x84, 0x0F]), [255, 255, 0]);
    let plain = Panel::new(240, 240, 0, 0).unwrap();
    assert_eq!(colour(plain, &[(opcode::INVOFF, &[])], &[0xF8, 0x00]), [255, 0, 0]);
}

#[test]
fn a_row_at_a_time_scrolls() {
    let mut trace = Trace::default();
    let row = |y: u16, colour: u16| encode::draw(window((0, 239), (y, y)), vec![colour; 240], 480);
    trace.send(row(0, RED)).send(row(20, GREEN)).send(row(30, BLUE)).wait_ms(20);
    // 10 lines stand still, 230 move, 80 stand still behind the glass.
    trace.command(opcode::VSCRDEF, &[0, 10, 0, 230, 0, 80]).command(opcode::VSCSAD, &[0, 25]).wait_ms(20);
    trace.command(opcode::NORON, &[]).wait_ms(20);
    let frames = frames(&running(), &trace);
    let coloured = |frame: &Frame| -> Vec<(u32, [u8; 3])> {
        let column = (0..240).map(|y| (y, frame.picture.pixel(5, y).unwrap()));
        column.filter(|(_, colour)| *colour != [0; 3]).collect()
    };
    let (red, green, blue) = ([255, 0, 0], [0, 255, 0], [0, 0, 255]);
    assert_eq!(frames.len(), 3);
    assert_eq!(coloured(&frames[0]), [(0, red), (20, green), (30, blue)]);
    // Line 25 is shown at line 10; line 20 comes last but four.
    assert_eq!(coloured(&frames[1]), [(0, red), (15, blue), (235, green)]);
    assert_eq!(coloured(&frames[2]), coloured(&frames[0]));
    assert_eq!(frames[1].dirty, rect(0, 0, 240, 240));
}

#[test]
fn partial_mode_shows_its_lines_only() {
    let mut trace = Trace::default();
    trace.send(encode::draw(window((0, 239), (0, 239)), vec![RED; 240 * 240], 480)).wait_ms(20);
    trace.command(opcode::PTLAR, &[0, 100, 0, 109]).command(opcode::PTLON, &[]).wait_ms(20);
    // From line 230 on over the end to line 4.
    trace.command(opcode::PTLAR, &[0, 230, 0, 4]).wait_ms(20);
    trace.command(opcode::PTLAR, &[0, 230, 1, 64]);
    let frames = frames(&running(), &trace);
    let shown = |frame: &Frame| {
        (0..240).filter(|y| frame.picture.pixel(0, *y) == Some([255, 0, 0])).collect::<Vec<u32>>()
    };
    assert_eq!(shown(&frames[1]), (100..110).collect::<Vec<u32>>());
    assert_eq!(shown(&frames[2]), (0..5).chain(230..240).collect::<Vec<u32>>());
    let command = Opcode(opcode::PTLAR);
    assert_eq!(findings(&running(), &trace), [FindingKind::LineOutside { command, line: 320 }]);
}

#[test]
fn a_dark_panel_shows_nothing_and_keeps_its_memory() {
    let mut trace = Trace::badge();
    trace.badge_rect(rect(0, 0, 1, 1), [RED]).wait_ms(120).command(opcode::SLPIN, &[]);
    let config = Config::new(Panel::LANDSCAPE_320X170);
    let (_, screen) = items(&config, &trace.events);
    assert!(!screen.lit());
    assert_eq!(screen.shown().pixel(0, 0), Some([0; 3]));
    assert_eq!(screen.picture().pixel(0, 0), Some([255, 0, 0]));
    assert_eq!(screen.memory_at(204, 0), Some([255, 0, 0]));
    assert_eq!(screen.memory_at(240, 0), None);
    trace.wait_ms(120).command(opcode::SLPOUT, &[]);
    let (_, screen) = items(&config, &trace.events);
    assert_eq!(screen.shown().pixel(0, 0), Some([255, 0, 0]));
    // A picture that is written in the dark is a frame that nobody sees, until the display is on.
    let mut trace = Trace::default();
    trace.command(opcode::COLMOD, &[0x55]).command(opcode::INVON, &[]);
    trace.send(encode::draw(window((0, 0), (0, 0)), [RED], 2)).wait_ms(20);
    trace.command(opcode::SLPOUT, &[]).wait_ms(5).command(opcode::DISPON, &[]);
    let frames = frames(&Config::new(Panel::SQUARE_240), &trace);
    assert_eq!(frames.iter().map(|frame| frame.lit).collect::<Vec<bool>>(), [false, true]);
    assert_eq!(frames[1].picture.pixel(0, 0), Some([255, 0, 0]));
}

#[test]
fn a_window_that_another_interrupts_is_a_tear() {
    let mut trace = Trace::default();
    trace.send(encode::draw(window((0, 9), (0, 9)), [RED; 55], 110)).wait_ms(1);
    trace.send(encode::draw(window((0, 9), (0, 9)), [BLUE; 100], 200));
    let by = Opcode(opcode::CASET);
    let missing = FindingKind::MissingPixels { missing: 45, of: 100, by: Some(by) };
    assert_eq!(findings(&running(), &trace), [missing]);
    let passes = passes(&running(), &trace);
    assert_eq!((passes[0].ending, passes[0].tear), (PassEnding::Interrupted { by }, Some(Tear::Interrupted)));
    // Five rows and a half.
    assert_eq!((passes[0].pixels, passes[0].dirty), (55, Some(rect(0, 0, 10, 6))));
    assert_eq!((passes[1].ending, passes[1].tear), (PassEnding::Complete, None));
    assert_eq!(frames(&running(), &trace)[0].tear, Some(Tear::Interrupted));
}

#[test]
fn ramwrc_continues_where_ramwr_stopped() {
    let area = window((0, 9), (0, 9));
    let mut whole = Trace::default();
    whole.send(encode::draw(area, (0..100).map(|n| n * 600), 200));
    let mut parts = Trace::default();
    parts.send(encode::draw(area, (0..37).map(|n| n * 600), 200)).command(opcode::NOP, &[]);
    parts.command(opcode::RAMWRC, &[]).send(encode::rgb565((37..100).map(|n| n * 600), 200));
    assert_eq!(findings(&running(), &parts), []);
    assert_eq!(frames(&running(), &parts), frames(&running(), &whole));
    // After a full window it begins anew; after CASET there is nothing to continue.
    parts.command(opcode::RAMWRC, &[]).send(encode::rgb565([BLUE; 100], 200));
    assert_eq!(passes(&running(), &parts).len(), 2);
    parts.command(opcode::CASET, &[0, 0, 0, 9]).command(opcode::RAMWRC, &[]);
    let of = 100;
    assert_eq!(
        findings(&running(), &parts),
        [FindingKind::NothingToContinue, FindingKind::MissingPixels { missing: of, of, by: None }]
    );
}

#[test]
fn more_pixels_than_the_window_has_begin_it_anew() {
    let mut trace = Trace::default();
    let pixels = std::iter::repeat_n(RED, 4).chain(std::iter::repeat_n(GREEN, 4)).chain([BLUE]);
    trace.send(encode::draw(window((0, 1), (0, 1)), pixels, 64));
    let passes = passes(&running(), &trace);
    assert_eq!(passes.iter().map(|pass| pass.pixels).collect::<Vec<u64>>(), [4, 4, 1]);
    assert_eq!(passes[2].ending, PassEnding::TraceEnded);
    let picture = items(&running(), &trace.events).1.picture();
    let colours = [(0, 0), (1, 0), (1, 1)].map(|(x, y)| picture.pixel(x, y).unwrap());
    assert_eq!(colours, [[0, 0, 255], [0, 255, 0], [0, 255, 0]]);
}

#[test]
fn a_scan_across_a_pass_is_a_tear() {
    // 1 us a byte: 320 rows of 480 bytes take 153.6 ms, six scans.
    let scan = Scan {
        first_line: Instant::ZERO,
        period: Duration::from_millis(20),
        lines: Duration::from_millis(16),
    };
    let config = |panel| Config { byte_time: Duration::from_micros(1), scan: Some(scan), panel, ..running() };
    let mut trace = Trace::default();
    trace.wait_ms(95).send(encode::draw(window((0, 239), (0, 319)), vec![RED; 240 * 320], 1 << 20));
    let torn = passes(&config(Panel::WHOLE), &trace)[0].tear;
    // The scan before has passed the first line; the one at 100 ms finds the first rows new and the others not.
    assert_eq!(torn, Some(Tear::Scan { began: Instant::from_nanos(100 * MS), line: 11 }));
    // Ten rows in the pause between two scans.
    let mut trace = Trace::default();
    trace.wait_ms(96).now += MS / 2;
    trace.send(encode::draw(window((0, 9), (0, 9)), [RED; 100], 1 << 20));
    assert_eq!(passes(&config(Panel::WHOLE), &trace)[0].tear, None);
    // The tearing effect line moves the phase.
    let mut decoder = Decoder::new(&config(Panel::WHOLE));
    decoder.scan_began(Instant::from_nanos(96 * MS + MS / 2));
    let mut tears = Vec::new();
    let mut tear = |item| {
        if let Item::Pass(pass) = item {
            tears.push(pass.tear)
        }
    };
    trace.events.iter().for_each(|event| decoder.event(event, |_, item| tear(item)));
    assert!(matches!(tears[..], [Some(Tear::Scan { .. })]), "{tears:?}");
}

#[test]
fn passes_of_one_picture_are_one_frame() {
    let mut trace = Trace::default();
    let at = |x: u16| encode::draw(window((x, x + 7), (0, 15)), [RED; 128], 256);
    trace.send(at(0)).wait_ms(1).send(at(8)).wait_ms(3).send(at(16)).wait_ms(4).send(at(100));
    let dirty = |config: &Config, trace: &Trace| -> Vec<(Rect, u64)> {
        frames(config, trace).iter().map(|frame| (frame.dirty, frame.passes)).collect()
    };
    assert_eq!(dirty(&running(), &trace), [(rect(0, 0, 24, 16), 3), (rect(100, 0, 8, 16), 1)]);
    let each = Config { pause: Duration::ZERO, ..running() };
    assert_eq!(dirty(&each, &trace).len(), 4);
    // All of the panel begins a picture, however soon it comes.
    let mut trace = Trace::default();
    let full = || encode::draw(window((0, 239), (0, 239)), vec![BLUE; 240 * 240], 4096);
    trace.send(at(0)).send(full()).send(at(8)).send(full());
    let everything = rect(0, 0, 240, 240);
    assert_eq!(dirty(&running(), &trace), [(rect(0, 0, 8, 16), 1), (everything, 2), (everything, 1)]);
    // A trace that is still going on.
    let mut decoder = FrameDecoder::new(&running());
    let mut frames = Vec::new();
    trace.events.iter().for_each(|event| decoder.event(event, &mut frames));
    assert_eq!(frames.len(), 2);
    assert_eq!(decoder.quiet_until(Instant::from_nanos(4 * MS - 1)), None);
    assert_eq!(decoder.quiet_until(Instant::from_nanos(4 * MS)).unwrap().dirty, everything);
    assert_eq!(decoder.quiet_until(Instant::from_nanos(40 * MS)), None);
}

/// Commands are written as bytes in hexadecimal, each with its parameters, with `;` between.
#[rstest]
#[case::start_after_end("2A 00 09 00 08; 2B 00 00 00 09; 2C 01 02 03",
    &["columns from 9 to 8: the start is after the end", "3 bytes of pixels ignored"])]
#[case::rows_after_end("2B 01 00 00 09; 2C", &["rows from 256 to 9: the start is after the end"])]
#[case::outside_memory("2A 00 EF 00 F0; 2B 00 00 00 00; 2C 01 02 03 04",
    &["1 pixels of columns 239 to 240, rows 0 to 0 are outside the memory"])]
#[case::outside_panel("2A 00 00 00 00; 2B 00 EF 00 F0; 2C 01 02 03 04",
    &["1 pixels of columns 0 to 0, rows 239 to 240 are outside the panel"])]
#[case::leftover("2A 00 00 00 00; 2B 00 00 00 00; 2C 01 02 03; 00",
    &["1 of 2 bytes of a last pixel", "1 of 1 pixels missing at the end"])]
#[case::leftover_at_the_end("2A 00 00 00 00; 2B 00 00 00 00; 2C 01",
    &["1 of 2 bytes of a last pixel", "1 of 1 pixels missing at the end"])]
#[case::too_few("2A 00 00 00; 00", &["3 of 4 parameters of CASET (2Ah)"])]
#[case::too_few_at_the_end("36", &["0 of 1 parameters of MADCTL (36h)"])]
#[case::too_many("36 00 01 02", &["3 parameters of MADCTL (36h), which has 1"])]
#[case::parameters_of_none("21 00", &["1 parameters of INVON (21h), which has 0"])]
#[case::unknown("99 01 02", &["unknown command 99h"])]
#[case::format("3A 53; 2A 00 00 00 00; 2B 00 00 00 00; 2C 01 02",
    &["unknown pixel format 53h; known are 16 (x5h) and 18 (x6h) bits", "2 bytes of pixels ignored"])]
#[case::scroll("33 00 0A 00 0A 00 0A",
    &["scroll area of 10 + 10 + 10 lines, of which some must move, not 320"])]
#[case::scroll_start("37 01 40", &["line 320 of VSCSAD (37h) is outside"])]
#[case::skipped("E4 1D 00 00 00 00 00 00 00; 04 00 00 00 00", &[])]
fn traffic_against_the_datasheet_is_found(#[case] commands: &str, #[case] found: &[&str]) {
    let mut trace = Trace::default();
    for command in commands.split(';') {
        let bytes: Vec<u8> =
            command.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        trace.command(bytes[0], &bytes[1..]);
    }
    let kinds = findings(&running(), &trace);
    assert_eq!(kinds.iter().map(ToString::to_string).collect::<Vec<String>>(), found);
}

#[test]
fn half_a_command_has_no_effect() {
    let mut trace = Trace::default();
    trace.send(encode::begin(window((5, 6), (7, 7)))).command(opcode::CASET, &[0, 1, 0]);
    trace.command(opcode::RAMWR, &[]).send(encode::rgb565([RED, RED], 4));
    assert_eq!(passes(&running(), &trace)[0].dirty, Some(rect(5, 7, 2, 1)));
}

#[test]
fn a_controller_that_is_not_ready_is_found() {
    let mut trace = Trace::default();
    trace.command(opcode::SWRESET, &[]).wait_ms(5).command(opcode::COLMOD, &[0x55]).wait_ms(5);
    trace.command(opcode::SLPOUT, &[]).wait_ms(4).command(opcode::DISPON, &[]);
    let found: Vec<String> =
        findings(&Config::new(Panel::WHOLE), &trace).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "SLPOUT (11h) came 10.000 ms after SWRESET (01h), which needs 120 ms",
            "DISPON (29h) came 4.000 ms after SLPOUT (11h), which needs 5 ms",
        ]
    );
}

#[test]
fn no_window_since_the_reset_is_found_and_is_all_of_the_memory() {
    let mut trace = Trace::default();
    trace.command(opcode::COLMOD, &[0x55]).command(opcode::RAMWR, &[]);
    trace.send(encode::rgb565(vec![RED; 240 * 320], 1 << 20));
    assert_eq!(findings(&Config::new(Panel::WHOLE), &trace), [FindingKind::WindowNotSet]);
    assert_eq!(passes(&Config::new(Panel::WHOLE), &trace)[0].ending, PassEnding::Complete);
}

#[test]
fn a_software_reset_keeps_the_format_and_forgets_the_window() {
    let mut trace = Trace::badge();
    trace.send(encode::begin(window((5, 6), (40, 40)))).send(encode::rgb565([RED, RED], 4));
    trace.command(opcode::SWRESET, &[]).wait_ms(5).command(opcode::RAMWR, &[]);
    trace.send(encode::rgb565(vec![BLUE; 320 * 240], 1 << 20));
    let config = Config::new(Panel::LANDSCAPE_320X170);
    let (items, screen) = items(&config, &trace.events);
    assert!(!screen.lit());
    assert!(items.iter().any(|item| matches!(item, Item::Finding(f) if f.kind == FindingKind::WindowNotSet)));
    assert_eq!(screen.memory_at(0, 0), Some([0, 0, 255]));
    assert_eq!(screen.memory_at(239, 319), Some([0, 0, 255]));
}

#[test]
fn a_reset_by_the_pin_breaks_off_and_forgets_everything_but_the_memory() {
    let mut trace = Trace::default();
    trace.send(encode::begin(window((0, 1), (0, 1)))).send(encode::rgb565([RED, RED], 4));
    let mut decoder = Decoder::new(&running());
    trace.events.iter().for_each(|event| decoder.event(event, |_, _| ()));
    let mut items = Vec::new();
    decoder.hardware_reset(Instant::from_nanos(MS), |_, item| items.push(item));
    assert!(matches!(&items[0], Item::Pass(pass) if pass.ending == PassEnding::Reset));
    assert!(items.iter().any(|item| matches!(item, Item::ShowsOtherwise { lit: false, .. })));
    assert!(!decoder.screen().lit());
    assert_eq!(decoder.screen().memory_at(1, 0), Some([255, 0, 0]));
    // Data belong to no command.
    trace.data(&[0; 7]);
    let mut found = Vec::new();
    trace.events[6..].iter().for_each(|event| decoder.event(event, |_, _| ()));
    decoder.finish(|_, item| found.push(item));
    assert!(
        matches!(&found[..], [Item::Finding(f)] if matches!(f.kind, FindingKind::DataWithoutCommand { .. }))
    );
}

#[test]
fn a_gap_breaks_off_and_nothing_is_believed_until_the_next_command() {
    let mut trace = Trace::default();
    trace.send(encode::begin(window((0, 1), (0, 1)))).send(encode::rgb565([RED, RED], 4)).wait_ms(1);
    trace.push(Kind::Gap(Gap { length: Duration::from_millis(1), reason: Arc::from("overrun") }));
    trace.data(&[0xFF; 9]).command(opcode::RAMWR, &[]).send(encode::rgb565([BLUE; 4], 8));
    assert_eq!(findings(&running(), &trace), [FindingKind::Gap]);
    let passes = passes(&running(), &trace);
    let endings: Vec<PassEnding> = passes.iter().map(|pass| pass.ending).collect();
    assert_eq!(endings, [PassEnding::Gap, PassEnding::Complete]);
    assert_eq!(passes[0].tear, None);
    let frames = frames(&running(), &trace);
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].picture.pixel(0, 1), Some([0; 3]));
}

#[test]
fn a_record_is_bounded_and_serialises() {
    let mut trace = Trace::badge();
    for _ in 0..10 {
        trace.badge_rect(rect(0, 0, 2, 2), [RED; 4]).wait_ms(10);
    }
    trace.command(0x99, &[]);
    let config = Config::new(Panel::LANDSCAPE_320X170);
    let limits = Limits { lines: 20, frames: 3 };
    let record = Record::of(&config, limits, &trace.events);
    assert_eq!((record.lines.len(), record.frames.len(), record.findings), (20, 3, 1));
    assert_eq!((record.left_out.frames, record.left_out.findings), (8, 1));
    assert!(record.left_out.lines > 20);
    let whole = Record::of(&config, Limits::default(), &trace.events);
    assert_eq!(whole.left_out, Default::default());
    let json = serde_json::to_value(&whole).unwrap();
    let lines = json["lines"].as_array().unwrap();
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).count();
    assert_eq!((of("frame"), of("pass"), of("finding")), (11, 10, 1));
    let pass = lines.iter().find(|line| line["kind"] == "pass").unwrap();
    assert_eq!(pass["window"]["columns"], serde_json::json!([0, 1]));
    assert_eq!(pass["start_ns"], 200 * MS);
    let finding = lines.iter().find(|line| line["kind"] == "finding").unwrap();
    assert_eq!((&finding["finding"], &finding["command"]), (&"unknown-command".into(), &0x99.into()));
    let frame = lines.iter().find(|line| line["kind"] == "frame" && line["number"] == 1).unwrap();
    assert_eq!(frame["text"], "1 pass in 0.000 ms, 2x2 at 0,0 changed");
    let text: Vec<String> = whole.lines.iter().map(ToString::to_string).collect();
    assert!(text.contains(&"0.190000 s  command  DISPON".to_owned()), "{text:#?}");
    let pass = "0.200000 s  pass     4 pixels to columns 0 to 1, rows 35 to 36, seen 2x2 at 0,0";
    assert!(text.contains(&pass.to_owned()), "{text:#?}");
}

/// Commands and pixels of which many are nonsense, in windows that are mostly small.
fn traffic() -> impl Strategy<Value = Vec<BusTransfer>> {
    let small = (0_u16..12, 0_u16..6, 0_u16..12, 0_u16..6, proptest::collection::vec(any::<u16>(), 0..90))
        .prop_map(|(x, width, y, height, pixels)| {
            encode::draw(window((x, x + width), (y, y + height)), pixels, 1 << 16)
        });
    let wild = (any::<u16>(), any::<u16>(), any::<u16>(), any::<u16>()).prop_map(|(a, b, c, d)| {
        encode::draw(window((a % 400, b % 400), (c % 400, d % 400)), [RED; 40], 1 << 16)
    });
    let command = (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..8))
        .prop_map(|(opcode, parameters)| encode::command(opcode, &parameters));
    let known = (0_usize..12, any::<u8>()).prop_map(|(which, parameter)| {
        let codes = [
            opcode::MADCTL,
            opcode::COLMOD,
            opcode::INVON,
            opcode::INVOFF,
            opcode::RAMWRC,
            opcode::NOP,
            opcode::RAMWR,
            opcode::DISPON,
            opcode::DISPOFF,
            opcode::PTLON,
            opcode::NORON,
            opcode::SWRESET,
        ];
        match codes[which] {
            code @ opcode::MADCTL => encode::command(code, &[parameter & 0xFC]),
            code @ opcode::COLMOD => encode::command(code, &[if parameter & 1 == 0 { 0x55 } else { 0x66 }]),
            code => encode::command(code, &[]),
        }
    });
    proptest::collection::vec(prop_oneof![4 => small, 1 => wild, 1 => command, 3 => known], 1..20)
        .prop_map(|parts| parts.concat())
}

/// The bytes of transfers, each with its time, cut after `cuts[n]` bytes, again and again. Where neither
/// time nor data/command differ, pieces may join as well as part.
fn cut(transfers: &[BusTransfer], cuts: &[usize], byte_time: Duration) -> Vec<Event> {
    let mut at = Instant::ZERO;
    let mut cuts = cuts.iter().cycle();
    let mut events = Vec::new();
    for transfer in transfers {
        let mut rest = &transfer.bytes[..];
        while !rest.is_empty() {
            let (piece, next) = rest.split_at(rest.len().min(cuts.next().copied().unwrap_or(usize::MAX)));
            let transfer = BusTransfer { data: transfer.data, bytes: piece.into() };
            events.push(Event { at, uncertainty: Duration::ZERO, kind: Kind::Bus(transfer) });
            at += byte_time * piece.len() as u32;
            rest = next;
        }
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn where_transfers_are_cut_makes_no_difference(
        transfers in traffic(),
        cuts in proptest::collection::vec(1_usize..9, 1..6),
        byte_ns in prop_oneof![Just(0_u64), Just(100)],
        scan_known in any::<bool>(),
    ) {
        let byte_time = Duration::from_nanos(byte_ns);
        let scan = Scan { first_line: Instant::ZERO, period: Duration::from_micros(20), lines: Duration::from_micros(16) };
        let config = Config { byte_time, scan: scan_known.then_some(scan), ..running() };
        let whole = cut(&transfers, &[usize::MAX], byte_time);
        let pieces = cut(&transfers, &cuts, byte_time);
        let (expected, expected_screen) = items(&config, &whole);
        let (got, screen) = items(&config, &pieces);
        prop_assert_eq!(expected, got);
        prop_assert!(expected_screen.picture() == screen.picture());
        prop_assert!(FrameDecoder::decode(&config, &whole) == FrameDecoder::decode(&config, &pieces));
    }

    #[test]
    fn any_bytes_are_survived(
        transfers in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..200)), 0..40),
        panel in prop_oneof![Just(Panel::WHOLE), Just(Panel::LANDSCAPE_320X170), Just(Panel::SQUARE_240.rotated(Rotation::Quarter))],
        byte_ns in any::<u64>(),
        period_ns in any::<u64>(),
    ) {
        let mut at = 0_u64;
        let events: Vec<Event> = transfers.into_iter().map(|(data, bytes)| {
            at = at.wrapping_mul(3).wrapping_add(bytes.len() as u64);
            let kind = Kind::Bus(BusTransfer { data, bytes: bytes.into() });
            Event { at: Instant::from_nanos(at), uncertainty: Duration::ZERO, kind }
        }).collect();
        let scan = Scan { first_line: Instant::MAX, period: Duration::from_nanos(period_ns), lines: Duration::MAX };
        let config = Config { byte_time: Duration::from_nanos(byte_ns), scan: Some(scan), ..Config::new(panel) };
        let record = Record::of(&config, Limits { lines: 1000, frames: 4 }, &events);
        for line in &record.lines {
            prop_assert!(!line.to_string().is_empty());
            if let Line::Command(command) = line {
                prop_assert!(command.parameters.len() <= MAX_PARAMETERS);
            }
        }
    }
}
