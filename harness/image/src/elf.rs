//! What an image holds.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use object::elf::{SectionHeader32, Sym32};
use object::read::elf::{ProgramHeader, SectionHeader, Sym};
use object::{LittleEndian, elf};

use crate::MAX_FILE;
use crate::error::ImageError;
use crate::fitness::{self, Tables, Wanted};
use crate::hash::hash_of;
use crate::sizes::Sizes;
use crate::symbols::Symboliser;

/// Bytes of a name that are looked at; Rust's mangled names have up to a thousand.
const MAX_NAME: usize = 4096;
/// Symbols that are looked at.
const MAX_SYMBOLS: usize = 1 << 18;
/// Sections that are looked at.
const MAX_SECTIONS: usize = 4096;

/// An ELF file that 32-bit RISC-V hardware could run, or that of another chip ([`Image::read_of_chip`]).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    path: PathBuf,
    bytes: Vec<u8>,
    sha256: String,
    entry: u32,
    segments: Vec<Segment>,
    sections: Vec<Section>,
    symbols: BTreeMap<String, Symbol>,
}

/// What is loaded to memory before the image starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Where it runs.
    pub address: u32,
    /// Where it is loaded: where it runs, unless the start-up code copies it.
    pub load_address: u32,
    /// Its place in the file.
    pub file_offset: u32,
    /// Bytes in the file.
    pub file_bytes: u32,
    /// Bytes in memory; those that are not in the file begin as zero.
    pub memory_bytes: u32,
    /// Whether the firmware may write there.
    pub writable: bool,
    /// Whether there is code.
    pub executable: bool,
}

/// A named part of an image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Section {
    /// Its name, such as `.text`.
    pub name: String,
    /// Where it runs; 0 if it is not loaded.
    pub address: u32,
    /// Its size in bytes.
    pub bytes: u32,
    /// Whether it takes memory while the firmware runs. Debug information does not.
    pub loaded: bool,
    /// Whether the file has its contents; otherwise it begins as zero.
    pub in_file: bool,
    /// Whether the firmware may write there.
    pub writable: bool,
    file_offset: u32,
}

/// A named place in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Symbol {
    /// Its address.
    pub address: u32,
    /// Its size in bytes; 0 if nobody said, as for most symbols of a linker script.
    pub bytes: u32,
    /// Whether it is a function.
    pub function: bool,
}

impl Image {
    /// Reads the image `path`.
    ///
    /// # Errors
    /// [`ImageError`] if it is missing, too large, damaged, or for another machine.
    pub fn read(path: &Path) -> Result<Self, ImageError> {
        Self::read_wanted(path, Wanted::RiscV)
    }

    /// Reads the image `path` of whichever chip a board may have: also of one with Xtensa cores, which nobody
    /// emulates here.
    ///
    /// # Errors
    /// Those of [`Image::read`].
    pub fn read_of_chip(path: &Path) -> Result<Self, ImageError> {
        Self::read_wanted(path, Wanted::AnyChip)
    }

    fn read_wanted(path: &Path, wanted: Wanted) -> Result<Self, ImageError> {
        let io = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => ImageError::Missing { path: path.to_owned() },
            _ => ImageError::Io { path: path.to_owned(), source },
        };
        let file = File::open(path).map_err(io)?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(io)?;
        Self::parse_wanted(path, bytes, wanted)
    }

    /// Looks at `bytes`, the contents of the file `path`.
    ///
    /// # Errors
    /// [`ImageError::Unfit`] for anything that 32-bit RISC-V hardware could not run, or that contradicts
    /// itself; never a panic.
    pub fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self, ImageError> {
        Self::parse_wanted(path, bytes, Wanted::RiscV)
    }

    fn parse_wanted(path: &Path, bytes: Vec<u8>, wanted: Wanted) -> Result<Self, ImageError> {
        let unfit =
            |(what, instead): fitness::Unfitness| ImageError::Unfit { path: path.to_owned(), what, instead };
        if bytes.len() as u64 > MAX_FILE {
            let what = format!("has more than {MAX_FILE} bytes, so it is something else");
            return Err(unfit((what, "name the ELF file of the firmware")));
        }
        let tables = fitness::examine(&bytes, wanted).map_err(unfit)?;
        let (entry, segments) = (tables.header.e_entry.get(LittleEndian), segments(&tables));
        let (sections, symbols) = (sections(&tables, &bytes), symbols(&tables, &bytes));
        let sha256 = hash_of(&bytes);
        Ok(Image { path: path.to_owned(), sha256, entry, segments, sections, symbols, bytes })
    }

    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's contents.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of the file, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Address of the first instruction.
    pub fn entry(&self) -> u32 {
        self.entry
    }

    /// What is loaded, in the order of the file; at least one.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Its sections in the order of the file; none if the file was stripped of them.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The symbol that the linker knows as `name`, mangled if the compiler did so.
    pub fn symbol(&self, name: &str) -> Option<Symbol> {
        self.symbols.get(name).copied()
    }

    /// All symbols by their names.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = (&str, Symbol)> {
        self.symbols.iter().map(|(name, symbol)| (name.as_str(), *symbol))
    }

    /// What it takes of flash and RAM.
    pub fn sizes(&self) -> Sizes {
        Sizes::of(self)
    }

    /// Somebody who knows from which lines of source its addresses come.
    ///
    /// # Errors
    /// [`ImageError::Unfit`] if the debug information is damaged, or made to exhaust its reader. An image
    /// without any is no error: its symbols remain.
    pub fn symboliser(&self) -> Result<Symboliser<'_>, ImageError> {
        Symboliser::new(self)
    }

    /// The contents of the section `name`; empty if there is none, or if it lies outside of the file.
    pub(crate) fn contents(&self, name: &str) -> &[u8] {
        let section = self.sections.iter().find(|section| section.name == name && section.in_file);
        let range = section.map(|section| {
            let start = section.file_offset as usize;
            start..start.saturating_add(section.bytes as usize)
        });
        range.and_then(|range| self.bytes.get(range)).unwrap_or_default()
    }
}

fn segments(tables: &Tables<'_>) -> Vec<Segment> {
    let order = LittleEndian;
    let loaded = tables.segments.iter().filter(|segment| segment.p_type(order) == elf::PT_LOAD);
    loaded
        .map(|segment| Segment {
            address: segment.p_vaddr(order),
            load_address: segment.p_paddr(order),
            file_offset: segment.p_offset(order),
            file_bytes: segment.p_filesz(order),
            memory_bytes: segment.p_memsz(order),
            writable: segment.p_flags(order).0 & elf::PF_W.0 != 0,
            executable: segment.p_flags(order).0 & elf::PF_X.0 != 0,
        })
        .collect()
}

fn sections(tables: &Tables<'_>, bytes: &[u8]) -> Vec<Section> {
    let order = LittleEndian;
    let names = usize::from(tables.header.e_shstrndx.get(order).0);
    let names = tables.sections.get(names).map_or(&[][..], |section| contents_of(section, bytes));
    let known = tables.sections.iter().take(MAX_SECTIONS);
    known
        .filter(|section| section.sh_type(order) != elf::SHT_NULL)
        .map(|section| {
            let flags = SectionHeader::sh_flags(section, order);
            Section {
                name: name_at(names, section.sh_name(order)).unwrap_or_default(),
                address: section.sh_addr(order),
                bytes: section.sh_size(order),
                loaded: flags.0 & elf::SHF_ALLOC.0 != 0,
                in_file: section.sh_type(order) != elf::SHT_NOBITS,
                writable: flags.0 & elf::SHF_WRITE.0 != 0,
                file_offset: section.sh_offset(order),
            }
        })
        .collect()
}

fn symbols(tables: &Tables<'_>, bytes: &[u8]) -> BTreeMap<String, Symbol> {
    let order = LittleEndian;
    let table = tables.sections.iter().find(|section| section.sh_type(order) == elf::SHT_SYMTAB);
    let Some(table) = table else { return BTreeMap::new() };
    let names = tables.sections.get(table.sh_link(order) as usize);
    let names = names.map_or(&[][..], |section| contents_of(section, bytes));
    let entries = contents_of(table, bytes);
    let size = size_of::<Sym32<LittleEndian>>();
    let (entries, _) = object::pod::slice_from_bytes::<Sym32<LittleEndian>>(entries, entries.len() / size)
        .unwrap_or_default();
    let defined = entries.iter().take(MAX_SYMBOLS).filter(|symbol| !symbol.is_undefined(order));
    defined
        .filter(|symbol| [elf::STT_NOTYPE, elf::STT_OBJECT, elf::STT_FUNC].contains(&symbol.st_type()))
        .filter_map(|symbol| {
            let name = name_at(names, symbol.st_name(order)).filter(|name| !name.is_empty())?;
            let function = symbol.st_type() == elf::STT_FUNC;
            Some((name, Symbol { address: symbol.st_value(order), bytes: symbol.st_size(order), function }))
        })
        .collect()
}

/// What the file has of a section: nothing if the section lies outside of it.
fn contents_of<'a>(section: &SectionHeader32<LittleEndian>, bytes: &'a [u8]) -> &'a [u8] {
    section.data(LittleEndian, bytes).unwrap_or_default()
}

/// The name at an offset of a table of names. Not by the library: a table without an end of any name
/// would be read to its end for each of them.
fn name_at(names: &[u8], offset: u32) -> Option<String> {
    let name = names.get(offset as usize..)?;
    let name = &name[..name.len().min(MAX_NAME)];
    let end = name.iter().position(|&byte| byte == 0)?;
    String::from_utf8(name[..end].to_vec()).ok()
}
