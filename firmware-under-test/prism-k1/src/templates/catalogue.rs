//! Which templates there are (specification section 6.3) and what they look like.

use super::paint::{self, At};
use crate::defect::{self, Defect};
use crate::pattern::LANE_LEDS;
use crate::pattern::p11::{Colour, MAX_PALETTE};

/// The three kinds of templates, five of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Category {
    /// Slow and soft.
    Ambient,
    /// With a beat.
    Energy,
    /// From noise.
    Special,
}

/// A template.
pub struct Template {
    /// Its id and file name.
    pub id: &'static str,
    /// Its kind.
    pub category: Category,
    /// Bytes of its file.
    pub bytes: u32,
    colours: usize,
    /// Colours at equal distances of the palette; what lies between is mixed.
    anchors: &'static [Colour],
    paint: fn(At) -> u8,
}

impl Template {
    /// Its palette, in the order of the indices.
    #[must_use]
    pub fn palette(&self) -> heapless::Vec<Colour, MAX_PALETTE> {
        let mut palette = heapless::Vec::new();
        let spans = self.anchors.len().saturating_sub(1);
        let last = self.colours.saturating_sub(1).max(1);
        for index in 0..self.colours {
            let place = index * spans;
            let (span, part) = (place / last, place % last);
            let from = self.anchors.get(span).copied().unwrap_or_default();
            let to = self.anchors.get(span + 1).copied().unwrap_or(from);
            let mut colour = [0; 3];
            for ((mixed, from), to) in colour.iter_mut().zip(from).zip(to) {
                *mixed = ((usize::from(from) * (last - part) + usize::from(to) * part) / last) as u8;
            }
            // At most 64.
            let _ = palette.push(colour);
        }
        palette
    }

    /// The palette indices of all pixels at `frame`.
    #[must_use]
    pub fn frame(&self, frame: u32) -> [u8; LANE_LEDS] {
        let mut indices = [0; LANE_LEDS];
        for (led, index) in (0..).zip(&mut indices) {
            *index = (self.paint)(At { led, frame });
        }
        indices
    }
}

/// The template of that id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Template> {
    let found = CATALOGUE.iter().position(|template| template.id == id);
    if defect::present(Defect::TemplateOffByOne) {
        return found.and_then(|index| CATALOGUE.get((index + 1) % CATALOGUE.len()));
    }
    if defect::present(Defect::UnknownTemplateTaken) {
        return CATALOGUE.get(found.unwrap_or(0));
    }
    found.and_then(|index| CATALOGUE.get(index))
}

const fn template(
    id: &'static str,
    category: Category,
    bytes: u32,
    anchors: &'static [Colour],
    paint: fn(At) -> u8,
) -> Template {
    Template { id, category, bytes, colours: MAX_PALETTE, anchors, paint }
}

use Category::{Ambient, Energy, Special};

/// All templates, by category.
#[rustfmt::skip]
pub static CATALOGUE: [Template; 15] = [
    template("flow-horizon", Ambient, 18_015, &[[8, 4, 40], [120, 20, 90], [255, 110, 30], [255, 220, 120]], paint::horizon),
    template("flow-lattice", Ambient, 10_789, &[[0, 10, 12], [0, 90, 80], [90, 220, 150], [235, 255, 210]], paint::lattice),
    template("flow-orbit", Ambient, 13_105, &[[0, 0, 0], [30, 0, 80], [150, 40, 200], [255, 210, 255]], paint::orbit),
    template("flow-trace", Ambient, 12_126, &[[0, 0, 0], [0, 30, 60], [0, 140, 200], [210, 250, 255]], paint::trace),
    template("flow-fall", Ambient, 15_693, &[[2, 0, 0], [80, 14, 0], [230, 90, 0], [255, 230, 150]], paint::fall),
    template("sine-backbeat", Energy, 21_050, &[[0, 0, 0], [120, 0, 40], [255, 0, 90], [255, 190, 210]], paint::backbeat),
    template("sine-marquee", Energy, 14_888, &[[10, 0, 0], [200, 120, 0], [255, 235, 130]], paint::marquee),
    template("sine-ripple", Energy, 22_708, &[[0, 0, 16], [0, 60, 190], [40, 220, 220], [255, 255, 255]], paint::ripple),
    template("sine-glacier", Energy, 20_799, &[[0, 16, 36], [30, 110, 160], [150, 215, 235], [250, 255, 255]], paint::glacier),
    template("sine-midnight", Energy, 21_043, &[[0, 0, 4], [10, 0, 70], [70, 20, 180], [170, 160, 255]], paint::midnight),
    template("noise-storm", Special, 21_226, &[[4, 6, 12], [40, 50, 70], [110, 120, 150], [255, 255, 255]], paint::storm),
    template("noise-meadow", Special, 20_735, &[[0, 24, 4], [30, 120, 10], [160, 200, 30], [255, 250, 160]], paint::meadow),
    template("noise-cascade", Special, 21_539, &[[0, 4, 30], [0, 80, 150], [60, 200, 210], [240, 255, 250]], paint::cascade),
    Template {
        colours: 57,
        ..template("noise-rain", Special, 11_602, &[[0, 2, 6], [0, 50, 110], [120, 200, 255]], paint::rain)
    },
    template("noise-holo", Special, 23_162, &[[20, 0, 60], [0, 180, 200], [230, 60, 220], [255, 255, 200]], paint::holo),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::templates::FRAMES;

    #[test]
    fn there_are_five_of_each_category_with_different_ids() {
        for category in [Ambient, Energy, Special] {
            assert_eq!(CATALOGUE.iter().filter(|template| template.category == category).count(), 5);
        }
        for (i, template) in CATALOGUE.iter().enumerate() {
            assert!(!CATALOGUE[..i].iter().any(|other| other.id == template.id));
            assert_eq!(find(template.id).map(|found| found.id), Some(template.id));
        }
        assert!(find("flow").is_none());
    }

    #[test]
    fn indices_are_within_the_palette_and_pictures_move() {
        for template in &CATALOGUE {
            let colours = template.palette().len();
            assert_eq!(colours, if template.id == "noise-rain" { 57 } else { 64 });
            let mut used = [false; 64];
            for frame in 0..FRAMES {
                for index in template.frame(frame) {
                    assert!(usize::from(index) < colours, "{}", template.id);
                    used[usize::from(index)] = true;
                }
            }
            assert!(used.iter().filter(|used| **used).count() >= 8, "{}", template.id);
            assert_ne!(template.frame(0), template.frame(19), "{}", template.id);
        }
    }
}
