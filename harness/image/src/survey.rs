//! Whether debug information is worth reading.
//!
//! Its reader trusts it to be a compiler's: it descends into functions inlined into each other without a
//! limit, and reads a table anew for everybody who refers to it. So it is walked through once before,
//! without keeping anything, and refused if the reader's work or memory would be out of proportion. What
//! compilers write of firmware stays below a hundredth of each limit.

use gimli::{AttributeValue, Dwarf, Reader, Section, Unit};

/// Scopes within each other.
const MAX_DEPTH: isize = 256;
/// Ranges of addresses, counted where they are referred to.
const MAX_RANGES: usize = 1 << 21;
/// Bytes of line programs and of the tables of files before them, counted where they are referred to.
const MAX_LINES: usize = 32 << 20;
/// Bytes of tables of abbreviations, counted where they are referred to.
const MAX_ABBREVIATIONS: usize = 1 << 29;

/// Why it is not worth reading, as the predicate of a sentence.
pub(crate) type Objection = String;

#[derive(Default)]
struct Survey {
    ranges: usize,
    lines: usize,
    abbreviations: usize,
}

/// Walks through all of `dwarf`.
pub(crate) fn survey<R: Reader<Offset = usize>>(dwarf: &Dwarf<R>) -> Result<(), Objection> {
    let mut survey = Survey::default();
    let mut units = dwarf.units();
    while let Some(header) = units.next().map_err(damaged)? {
        let table = dwarf.debug_abbrev.reader().len();
        survey.abbreviations += table.saturating_sub(header.debug_abbrev_offset().0);
        within(survey.abbreviations, MAX_ABBREVIATIONS, "tables of abbreviations")?;
        let unit = dwarf.unit(header).map_err(damaged)?;
        if let Some(program) = &unit.line_program {
            let header = program.header();
            survey.lines += header.raw_program_buf().len() + header.header_length();
            within(survey.lines, MAX_LINES, "line programs")?;
        }
        survey.scopes(dwarf, &unit)?;
    }
    Ok(())
}

impl Survey {
    fn scopes<R: Reader<Offset = usize>>(
        &mut self,
        dwarf: &Dwarf<R>,
        unit: &Unit<R>,
    ) -> Result<(), Objection> {
        let mut entries = unit.entries_raw(None).map_err(damaged)?;
        while !entries.is_empty() {
            if entries.next_depth() > MAX_DEPTH {
                return Err(format!("has debug information with more than {MAX_DEPTH} scopes in each other"));
            }
            let Some(abbreviation) = entries.read_abbreviation().map_err(damaged)? else { continue };
            for &specification in abbreviation.attributes() {
                let attribute = entries.read_attribute(specification).map_err(damaged)?;
                if attribute.name() == gimli::DW_AT_ranges {
                    self.ranges(dwarf, unit, attribute.value())?;
                }
            }
        }
        Ok(())
    }

    fn ranges<R: Reader<Offset = usize>>(
        &mut self,
        dwarf: &Dwarf<R>,
        unit: &Unit<R>,
        value: AttributeValue<R>,
    ) -> Result<(), Objection> {
        let Some(mut ranges) = dwarf.attr_ranges(unit, value).map_err(damaged)? else { return Ok(()) };
        while ranges.next().map_err(damaged)?.is_some() {
            self.ranges += 1;
            within(self.ranges, MAX_RANGES, "ranges of addresses")?;
        }
        Ok(())
    }
}

fn within(found: usize, limit: usize, what: &str) -> Result<(), Objection> {
    if found <= limit { Ok(()) } else { Err(format!("has debug information with too many {what}")) }
}

fn damaged(error: gimli::Error) -> Objection {
    format!("has damaged debug information ({error})")
}
