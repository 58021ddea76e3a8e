//! Which of a pixel's three wire bytes is which colour.

use std::fmt;
use std::str::FromStr;

/// A pixel's colour, 0 to 255 each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Rgb {
    /// Red.
    pub r: u8,
    /// Green.
    pub g: u8,
    /// Blue.
    pub b: u8,
}

impl Rgb {
    /// The colour of these three values.
    pub const fn new(r: u8, g: u8, b: u8) -> Self {
        Rgb { r, g, b }
    }
}

/// As in CSS: `#ff8000`.
impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.r, self.g, self.b)
    }
}

/// Order of the colours on the wire.
///
/// The WS2812B's is [`Grb`](ColourOrder::Grb) (datasheet, "Composition of 24bit data"); parts that
/// share its protocol have others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum ColourOrder {
    /// Green, red, blue: WS2812, WS2812B, SK6812.
    #[default]
    Grb,
    /// Red, green, blue: WS2811 and many through-hole pixels.
    Rgb,
    /// Red, blue, green.
    Rbg,
    /// Green, blue, red.
    Gbr,
    /// Blue, red, green.
    Brg,
    /// Blue, green, red.
    Bgr,
}

/// The text names no colour order.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no colour order; write one of grb, rgb, rbg, gbr, brg, bgr")]
pub struct UnknownColourOrder(String);

impl ColourOrder {
    /// All orders.
    pub const ALL: [ColourOrder; 6] = [
        ColourOrder::Grb,
        ColourOrder::Rgb,
        ColourOrder::Rbg,
        ColourOrder::Gbr,
        ColourOrder::Brg,
        ColourOrder::Bgr,
    ];

    /// Places of red, green and blue among a pixel's three wire bytes.
    const fn places(self) -> [usize; 3] {
        match self {
            ColourOrder::Grb => [1, 0, 2],
            ColourOrder::Rgb => [0, 1, 2],
            ColourOrder::Rbg => [0, 2, 1],
            ColourOrder::Gbr => [2, 0, 1],
            ColourOrder::Brg => [1, 2, 0],
            ColourOrder::Bgr => [2, 1, 0],
        }
    }

    /// The colour that these bytes, in wire order, mean.
    pub const fn from_wire(self, wire: [u8; 3]) -> Rgb {
        let [r, g, b] = self.places();
        Rgb { r: wire[r], g: wire[g], b: wire[b] }
    }

    /// The bytes of this colour in wire order.
    pub const fn to_wire(self, colour: Rgb) -> [u8; 3] {
        let [r, g, b] = self.places();
        let mut wire = [0; 3];
        wire[r] = colour.r;
        wire[g] = colour.g;
        wire[b] = colour.b;
        wire
    }

    /// In lower case, as rig files write it.
    pub const fn name(self) -> &'static str {
        match self {
            ColourOrder::Grb => "grb",
            ColourOrder::Rgb => "rgb",
            ColourOrder::Rbg => "rbg",
            ColourOrder::Gbr => "gbr",
            ColourOrder::Brg => "brg",
            ColourOrder::Bgr => "bgr",
        }
    }
}

impl fmt::Display for ColourOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Reads [`ColourOrder::name`], in any case.
///
/// # Errors
/// [`UnknownColourOrder`] for anything else.
impl FromStr for ColourOrder {
    type Err = UnknownColourOrder;

    fn from_str(text: &str) -> Result<Self, UnknownColourOrder> {
        ColourOrder::ALL
            .into_iter()
            .find(|order| order.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownColourOrder(text.chars().take(32).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_order_is_what_the_name_says() {
        for order in ColourOrder::ALL {
            let wire = order.to_wire(Rgb::new(b'r', b'g', b'b'));
            assert_eq!(wire, order.name().as_bytes());
            assert_eq!(order.from_wire(wire), Rgb::new(b'r', b'g', b'b'));
            assert_eq!(order.name().to_uppercase().parse(), Ok(order));
        }
        assert!("grbw".parse::<ColourOrder>().unwrap_err().to_string().contains("write one of"));
    }
}
