//! What a device finds when it starts, and why it starts: the same in any time.

use std::time::Duration;

use rigor_agent::layout::{Cause, Network, boot, flash, records};
use rigor_board::BoardConfig;
use rigor_core::event::ResetCause;

use super::error::QemuError;
use super::ram::GuestRam;

/// The memory of a device that was never switched on, whose flash chip holds `image`.
pub(super) fn new_memory(memory_mib: u32, image: Vec<(u32, Vec<u8>)>) -> Result<GuestRam, QemuError> {
    let ram = GuestRam::new(memory_mib as usize * 1024 * 1024)?;
    ram.write(flash::OFFSET, &vec![0xFF; flash::BYTES])?;
    for (address, bytes) in image {
        ram.write(flash::OFFSET + address as usize, &bytes)?;
    }
    Ok(ram)
}

/// Fills in the boot block, before the supply comes.
pub(super) fn write_block(
    ram: &GuestRam,
    network: Network,
    config: &BoardConfig,
    defect: Option<&str>,
) -> Result<(), QemuError> {
    // Handles, cause and clock of an earlier life are gone with the supply. Whether tasks are recorded was
    // the rig's own word.
    let record_tasks = ram.read_u32(boot::RECORD_TASKS)?;
    ram.write(boot::OFFSET, &[0; records::OFFSET - boot::OFFSET])?;
    let in_nanos = |duration: Duration| u32::try_from(duration.as_nanos()).unwrap_or(u32::MAX);
    for (place, value) in [
        (boot::MAGIC, boot::MAGIC_VALUE),
        (boot::VERSION, boot::VERSION_VALUE),
        (boot::NETWORK, network.word()),
        (boot::CAUSE, Cause::PowerOn.word()),
        (boot::BAUD, config.baud),
        (boot::FLASH_TRANSFER, in_nanos(config.flash.transfer_byte)),
        (boot::FLASH_ERASE, in_nanos(config.flash.erase_sector)),
        (boot::FLASH_PROGRAM, in_nanos(config.flash.program_page)),
        (boot::RECORD_TASKS, record_tasks),
    ] {
        ram.write_u32(place, value)?;
    }
    if let Some(defect) = defect.map(str::as_bytes) {
        let length = defect.len().min(boot::DEFECT_MAX);
        ram.write_u32(boot::DEFECT_LENGTH, length as u32)?;
        ram.write(boot::DEFECT, &defect[..length])?;
    }
    Ok(())
}

/// Why the device says that it starts; `otherwise` if it says nothing.
pub(super) fn cause(ram: &GuestRam, otherwise: ResetCause) -> Result<ResetCause, QemuError> {
    Ok(match Cause::from_word(ram.read_u32(boot::CAUSE)?) {
        Some(Cause::PowerOn) => ResetCause::PowerOn,
        Some(Cause::Pin) => ResetCause::Pin,
        Some(Cause::Software) => ResetCause::Software,
        Some(Cause::Panic) => ResetCause::Panic,
        Some(Cause::Watchdog) => ResetCause::Watchdog,
        None => otherwise,
    })
}

/// Tells the device why it starts.
pub(super) fn set_cause(ram: &GuestRam, cause: ResetCause) -> Result<(), QemuError> {
    let cause = match cause {
        ResetCause::PowerOn => Cause::PowerOn,
        ResetCause::Pin => Cause::Pin,
        ResetCause::Software => Cause::Software,
        ResetCause::Panic => Cause::Panic,
        ResetCause::Watchdog => Cause::Watchdog,
    };
    Ok(ram.write_u32(boot::CAUSE, cause.word())?)
}
