//! The ST7789 decoder on what somebody else's driver sends.
//!
//! The crate mipidsi knows how to turn and to place a picture on modules of many sizes. What it draws has to
//! come out of the decoder as it went in, for each turn and each size, and with no finding.

#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::ascii::FONT_10X20;
use embedded_graphics::pixelcolor::{Rgb565, Rgb888};
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{Circle, Line, PrimitiveStyle, Rectangle};
use embedded_graphics::text::Text;
use embedded_hal::delay::DelayNs;
use mipidsi::interface::{Interface, InterfaceKind};
use mipidsi::models::ST7789;
use mipidsi::options::{ColorInversion, ColorOrder, Orientation, Rotation as Turn};
use rigor_core::event::BusTransfer;
use rigor_core::{Event, Instant, Kind};
use rigor_decode::st7789::{Config, Limits, Panel, Record, Rotation};
use rstest::rstest;

/// A bus that writes down what is sent, and a clock.
#[derive(Clone, Default)]
struct Bus(Rc<RefCell<Trace>>);

#[derive(Default)]
struct Trace {
    now_ns: u64,
    events: Vec<Event>,
}

/// A byte at 80 MHz.
const BYTE_NS: u64 = 100;

impl Bus {
    fn transfer(&self, data: bool, bytes: &[u8]) {
        let mut trace = self.0.borrow_mut();
        let at = Instant::from_nanos(trace.now_ns);
        let kind = Kind::Bus(BusTransfer { data, bytes: bytes.into() });
        trace.events.push(Event { at, uncertainty: Duration::ZERO, kind });
        trace.now_ns += bytes.len() as u64 * BYTE_NS;
    }
}

impl DelayNs for Bus {
    fn delay_ns(&mut self, ns: u32) {
        self.0.borrow_mut().now_ns += u64::from(ns);
    }
}

impl Interface for Bus {
    type Word = u8;
    type Error = Infallible;
    const KIND: InterfaceKind = InterfaceKind::Serial4Line;

    fn send_command(&mut self, command: u8, args: &[u8]) -> Result<(), Infallible> {
        self.transfer(false, &[command]);
        if !args.is_empty() {
            self.transfer(true, args);
        }
        Ok(())
    }

    fn send_pixels<const N: usize>(
        &mut self,
        pixels: impl IntoIterator<Item = [u8; N]>,
    ) -> Result<(), Infallible> {
        let bytes: Vec<u8> = pixels.into_iter().flatten().collect();
        // An odd length, so that pixels are cut in two.
        bytes.chunks(63).for_each(|bytes| self.transfer(true, bytes));
        Ok(())
    }

    fn send_repeated_pixel<const N: usize>(&mut self, pixel: [u8; N], count: u32) -> Result<(), Infallible> {
        self.send_pixels((0..count).map(|_| pixel))
    }
}

/// What ought to be seen.
struct Paper {
    size: Size,
    pixels: Vec<Rgb565>,
}

impl OriginDimensions for Paper {
    fn size(&self) -> Size {
        self.size
    }
}

impl DrawTarget for Paper {
    type Color = Rgb565;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb565>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        let area = self.bounding_box();
        for Pixel(point, colour) in pixels.into_iter().filter(|pixel| area.contains(pixel.0)) {
            self.pixels[point.y as usize * self.size.width as usize + point.x as usize] = colour;
        }
        Ok(())
    }
}

/// Something without any symmetry, part of it outside.
fn draw<D: DrawTarget<Color = Rgb565>>(target: &mut D)
where
    D::Error: std::fmt::Debug,
{
    let area = target.bounding_box();
    target.clear(Rgb565::new(1, 2, 3)).unwrap();
    let gradient = (0..40 * 30).map(|n| Rgb565::new((n % 32) as u8, (n / 19 % 64) as u8, (n / 40) as u8));
    target.fill_contiguous(&Rectangle::new(Point::new(3, 5), Size::new(40, 30)), gradient).unwrap();
    let end = area.bottom_right().unwrap();
    Line::new(Point::new(0, 50), end)
        .into_styled(PrimitiveStyle::with_stroke(Rgb565::RED, 1))
        .draw(target)
        .unwrap();
    Circle::new(end - Point::new(20, 40), 33)
        .into_styled(PrimitiveStyle::with_fill(Rgb565::GREEN))
        .draw(target)
        .unwrap();
    let style = MonoTextStyle::new(&FONT_10X20, Rgb565::new(31, 40, 2));
    Text::new("rigor", Point::new(7, 80), style).draw(target).unwrap();
}

#[rstest]
fn a_drivers_picture_is_what_was_drawn(
    #[values((240, 320, 0, 0), (240, 240, 0, 0), (240, 240, 0, 80), (170, 320, 35, 0), (135, 240, 52, 40))]
    glass: (u16, u16, u16, u16),
    #[values(
        (Turn::Deg0, Rotation::Upright),
        (Turn::Deg90, Rotation::ThreeQuarters),
        (Turn::Deg180, Rotation::Half),
        (Turn::Deg270, Rotation::Quarter)
    )]
    turn: (Turn, Rotation),
) {
    let (width, height, column, row) = glass;
    let bus = Bus::default();
    let mut display = mipidsi::Builder::new(ST7789, bus.clone())
        .display_size(width, height)
        .display_offset(column, row)
        .orientation(Orientation::new().rotate(turn.0))
        .invert_colors(ColorInversion::Inverted)
        .color_order(ColorOrder::Bgr)
        .init(&mut bus.clone())
        .unwrap();
    draw(&mut display);

    let panel = Panel::new(width, height, column, row).unwrap().rotated(turn.1).inverted().bgr();
    let config = Config { byte_time: Duration::from_nanos(BYTE_NS), ..Config::new(panel) };
    let record = Record::of(&config, Limits::default(), &bus.0.borrow().events);
    assert_eq!(record.findings, 0, "{:?}", record.lines);
    let seen = &record.frames.last().unwrap().picture;

    let size = display.size();
    let mut paper = Paper { size, pixels: vec![Rgb565::BLACK; (size.width * size.height) as usize] };
    draw(&mut paper);
    assert_eq!((seen.width(), seen.height()), (size.width, size.height));
    let expected: Vec<[u8; 3]> = paper.pixels.into_iter().map(eight_bits).collect();
    let wrong = seen.rgb().as_chunks::<3>().0.iter().zip(&expected).position(|(seen, expected)| {
        // The one repeats upper bits where the other divides; they differ by one at most.
        seen.iter().zip(expected).any(|(seen, expected)| seen.abs_diff(*expected) > 1)
    });
    assert_eq!(wrong.map(|index| (index as u32 % size.width, index as u32 / size.width)), None);
}

fn eight_bits(colour: Rgb565) -> [u8; 3] {
    let colour = Rgb888::from(colour);
    [colour.r(), colour.g(), colour.b()]
}
