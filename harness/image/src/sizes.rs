//! What an image takes of a chip's memories.

use std::fmt;

use crate::elf::{Image, Section};

/// What the names of sections begin with that belong to the harness and not to the product: the
/// mailboxes and rings by which firmware under an emulator is observed.
pub const HARNESS_SECTIONS: &str = ".rig";

/// What an image takes of flash and RAM, in bytes.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Sizes {
    /// What has to be stored: code, constants, and the initial values of variables.
    pub flash: u64,
    /// What the linker reserves of RAM: variables, and the regions for heap and stacks. On an emulator
    /// without flash the code runs from RAM as well, which is not counted.
    pub ram: u64,
    /// What the harness added to the RAM, which is not counted above.
    pub harness: u64,
    /// The sections that take part, in the order of the file.
    pub sections: Vec<SectionUse>,
}

/// What a section takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SectionUse {
    /// Its name.
    pub name: String,
    /// Of the flash, in bytes.
    pub flash: u64,
    /// Of the RAM, in bytes.
    pub ram: u64,
}

impl Sizes {
    pub(crate) fn of(image: &Image) -> Self {
        let mut sizes = Sizes::default();
        if image.sections().is_empty() {
            // Stripped: segments say the same, without names.
            for segment in image.segments() {
                sizes.flash += u64::from(segment.file_bytes);
                sizes.ram += if segment.writable { u64::from(segment.memory_bytes) } else { 0 };
            }
            return sizes;
        }
        for section in image.sections().iter().filter(|section| section.loaded && section.bytes > 0) {
            sizes.add(section);
        }
        sizes
    }

    fn add(&mut self, section: &Section) {
        let bytes = u64::from(section.bytes);
        if section.name.starts_with(HARNESS_SECTIONS) {
            self.harness += bytes;
            return;
        }
        let used = SectionUse {
            name: section.name.clone(),
            flash: if section.in_file { bytes } else { 0 },
            ram: if section.writable { bytes } else { 0 },
        };
        self.flash += used.flash;
        self.ram += used.ram;
        self.sections.push(used);
    }
}

/// A table for terminals: a line for each section, and the sums.
impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |section: &SectionUse| section.name.escape_default().take(40).collect::<String>();
        let wide = self.sections.iter().map(|section| name(section).len()).max().unwrap_or(0).max(8);
        writeln!(f, "  {:<wide$} {:>12} {:>12}", "section", "flash", "RAM")?;
        for section in &self.sections {
            writeln!(f, "  {:<wide$} {:>12} {:>12}", name(section), section.flash, section.ram)?;
        }
        write!(f, "  {:<wide$} {:>12} {:>12}  bytes", "together", self.flash, self.ram)
    }
}
