//! Whether a file is an ELF that the wanted hardware could run at all.

use object::elf::{EM_RISCV, EM_XTENSA, FileHeader32, Machine, ProgramHeader32, SectionHeader32};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, elf};

/// What is wrong, as the predicate of a sentence, and what to do about it.
pub(crate) type Unfitness = (String, &'static str);

/// Whose images are wanted.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    /// 32-bit RISC-V's, which QEMU runs here.
    RiscV,
    /// Those of any chip on a board: RISC-V's or Xtensa's.
    AnyChip,
}

impl Wanted {
    fn takes(self, machine: Machine) -> bool {
        machine == EM_RISCV || (matches!(self, Wanted::AnyChip) && machine == EM_XTENSA)
    }

    fn name(self) -> &'static str {
        match self {
            Wanted::RiscV => "RISC-V",
            Wanted::AnyChip => "RISC-V or Xtensa",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Wanted::RiscV => "name the ELF file of firmware for riscv32imac-unknown-none-elf",
            Wanted::AnyChip => "name the ELF file of firmware for the chip",
        }
    }
}

const DAMAGED: &str = "it was cut short or damaged, so build it again: `cargo xtask firmware build`";
const WRONG_LINKING: &str = "look at the linker script that it was made with";

/// The tables of an ELF file that were found sound.
pub(crate) struct Tables<'a> {
    pub(crate) header: &'a FileHeader32<LittleEndian>,
    pub(crate) segments: &'a [ProgramHeader32<LittleEndian>],
    /// May be missing: nothing that runs needs them.
    pub(crate) sections: &'a [SectionHeader32<LittleEndian>],
}

/// Looks for reasons why `bytes` could not run, in the order in which people would want to hear them.
pub(crate) fn examine(bytes: &[u8], wanted: Wanted) -> Result<Tables<'_>, Unfitness> {
    let wrong = |what: String| (what, wanted.file());
    let damaged = |what: String| (what, DAMAGED);
    // Magic number, class and byte order are readable whatever follows.
    match bytes {
        [] => return Err(damaged("is empty".to_owned())),
        [0x7F, b'E', b'L', b'F', class, order, ..] => {
            if *class == 2 {
                return Err(wrong("is for a 64-bit machine".to_owned()));
            }
            if *order == 2 {
                return Err(wrong("is for a big-endian machine".to_owned()));
            }
        }
        _ => return Err(wrong("is no ELF file".to_owned())),
    }
    let header = FileHeader32::<LittleEndian>::parse(bytes)
        .map_err(|_| damaged(format!("ends or is wrong within its file header ({} bytes)", bytes.len())))?;
    let machine = header.e_machine(LittleEndian);
    if !wanted.takes(machine) {
        return Err(wrong(format!("is for {}, and not for {}", machine_name(machine), wanted.name())));
    }
    if header.e_type(LittleEndian) != elf::ET_EXEC {
        return Err((
            "is an object file or a library, and nothing that could be started".to_owned(),
            "name the linked image",
        ));
    }
    let segments = header
        .program_headers(LittleEndian, bytes)
        .map_err(|_| damaged("has program headers that lie outside of it".to_owned()))?;
    let load = |segment: &&ProgramHeader32<LittleEndian>| segment.p_type(LittleEndian) == elf::PT_LOAD;
    if segments.iter().filter(load).count() == 0 {
        return Err(("has no segment to load".to_owned(), WRONG_LINKING));
    }
    for segment in segments.iter().filter(load) {
        fits(segment, bytes.len())?;
    }
    let entry = u64::from(header.e_entry(LittleEndian));
    let holds_entry = |segment: &&ProgramHeader32<LittleEndian>| {
        let start = u64::from(segment.p_vaddr(LittleEndian));
        (start..start + u64::from(segment.p_filesz(LittleEndian))).contains(&entry)
    };
    if !segments.iter().filter(load).any(|segment| holds_entry(&segment)) {
        return Err((format!("begins at {entry:#010x}, where it has no code"), WRONG_LINKING));
    }
    let sections = header
        .section_headers(LittleEndian, bytes)
        .map_err(|_| damaged("has section headers that lie outside of it".to_owned()))?;
    Ok(Tables { header, segments, sections })
}

/// Whether a segment lies within the file, and in the address space.
fn fits(segment: &ProgramHeader32<LittleEndian>, file: usize) -> Result<(), Unfitness> {
    let number = |word: u32| u64::from(word);
    let (offset, in_file) = segment.file_range(LittleEndian);
    let address = number(segment.p_vaddr(LittleEndian));
    let in_memory = number(segment.p_memsz(LittleEndian));
    let what = if offset + in_file > file as u64 {
        let what = format!(
            "has {file} bytes, and its segment at {address:#010x} ends at byte {} of the file",
            offset + in_file
        );
        return Err((what, DAMAGED));
    } else if in_file > in_memory {
        format!("has a segment at {address:#010x} with more in the file than in memory")
    } else if address + in_memory > 1 << 32 {
        format!("has a segment at {address:#010x} that reaches beyond the address space")
    } else {
        return Ok(());
    };
    Err((what, WRONG_LINKING))
}

fn machine_name(machine: Machine) -> String {
    let name = match machine.0 {
        3 => "x86",
        40 => "Arm",
        62 => "x86-64",
        83 => "AVR",
        94 => "Xtensa",
        183 => "AArch64",
        other => return format!("machine {other}"),
    };
    name.to_owned()
}
