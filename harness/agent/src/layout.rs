//! Where everything lies in the memory that rig and device share.
//!
//! Offsets are in bytes from the start of RAM. The image has the first 16 MiB for itself.

/// Address of the first byte of RAM on QEMU's machine `virt`.
pub const RAM_BASE: usize = 0x8000_0000;
/// Bytes of RAM that a rig must give the machine at least. QEMU puts its device tree near the end.
pub const RAM_BYTES: usize = 64 * 1024 * 1024;

/// How the device is to start. The rig writes it before each start of the machine.
pub mod boot {
    /// Its first byte.
    pub const OFFSET: usize = 0x0100_0000;
    /// `u32`: [`MAGIC_VALUE`], or the machine was started by somebody else.
    pub const MAGIC: usize = OFFSET;
    /// "RIGR".
    pub const MAGIC_VALUE: u32 = u32::from_le_bytes(*b"RIGR");
    /// `u32`: the version of this vocabulary that the rig speaks, [`VERSION_VALUE`].
    pub const VERSION: usize = OFFSET + 4;
    /// Counts changes that one side must know of.
    pub const VERSION_VALUE: u32 = 1;
    /// `u32`: how the network is reached, a [`Network`](super::Network).
    pub const NETWORK: usize = OFFSET + 8;
    /// `u32`: why the device starts, a [`Cause`](super::Cause). The device keeps it up to date over its own
    /// restarts.
    pub const CAUSE: usize = OFFSET + 12;
    /// `u32`: the semihosting handle of the pipe to the rig; 0 until the device has opened it.
    pub const BELL: usize = OFFSET + 16;
    /// `u32`: the semihosting handle of the pipe from the rig; 0 until the device has opened it.
    pub const ANSWER: usize = OFFSET + 20;
    /// `u32`: bits per second of the console.
    pub const BAUD: usize = OFFSET + 24;
    /// `u32`: nanoseconds that the flash chip takes to move a byte.
    pub const FLASH_TRANSFER: usize = OFFSET + 28;
    /// `u32`: nanoseconds that it takes to erase a sector.
    pub const FLASH_ERASE: usize = OFFSET + 32;
    /// `u32`: nanoseconds that it takes to program a page.
    pub const FLASH_PROGRAM: usize = OFFSET + 36;
    /// `u32`: 1 if every change of a task's state is to be recorded.
    pub const RECORD_TASKS: usize = OFFSET + 40;
    /// `u64`: nanoseconds of the device's clock at which the clock of the firmware stood at zero.
    pub const STARTED: usize = OFFSET + 44;
    /// `u64`: nanoseconds that the device has passed over while it had nothing to do.
    pub const PASSED_OVER: usize = OFFSET + 52;
    /// `u32`: bytes of the name of the defect that the firmware is to have; 0 for none.
    pub const DEFECT_LENGTH: usize = OFFSET + 60;
    /// Its name.
    pub const DEFECT: usize = OFFSET + 64;
    /// Bytes of the longest name.
    pub const DEFECT_MAX: usize = 64;
}

/// What the device says whenever it rings.
pub mod report {
    /// Its first byte.
    pub const OFFSET: usize = 0x0100_1000;
    /// `u64`: the device's clock.
    pub const NOW: usize = OFFSET;
    /// `u32`: why it rings, a [`Reason`](super::Reason).
    pub const REASON: usize = OFFSET + 8;
    /// `u32`: bytes of records that it has written since it rang last.
    pub const RECORDS: usize = OFFSET + 12;
    /// `u32`: free bytes of the firmware's heap.
    pub const HEAP_FREE: usize = OFFSET + 16;
    /// `u32`: bytes of the largest free piece of it, as last looked at.
    pub const HEAP_LARGEST: usize = OFFSET + 20;
    /// `u32`: allocations since the start.
    pub const HEAP_ALLOCATIONS: usize = OFFSET + 24;
    /// `u32`: how many of the [first allocations](HEAP_FIRST) are filled in.
    pub const HEAP_FIRST_COUNT: usize = OFFSET + 28;
    /// `u32` each: bytes of the first allocations since the start.
    pub const HEAP_FIRST: usize = OFFSET + 32;
    /// How many of them are kept.
    pub const HEAP_FIRST_MAX: usize = 64;
    /// `u64` each: when they happened, in nanoseconds of the device's clock.
    pub const HEAP_FIRST_AT: usize = HEAP_FIRST + 4 * HEAP_FIRST_MAX;
}

/// What the rig answers.
pub mod order {
    /// Its first byte.
    pub const OFFSET: usize = 0x0100_2000;
    /// `u64`: the instant of the device's clock at which it is to ring again, whatever happens before.
    pub const UNTIL: usize = OFFSET;
    /// `u32`: what the device is to do, a [`Command`](super::Command).
    pub const COMMAND: usize = OFFSET + 8;
    /// `u32`: bytes that have arrived on the console.
    pub const CONSOLE_LENGTH: usize = OFFSET + 12;
    /// `u32`: bytes of Ethernet frames that have arrived, each behind its length as `u16`.
    pub const FRAMES_LENGTH: usize = OFFSET + 16;
    /// `u32`: 1 if the next report is to say what the largest free piece of the heap is now.
    pub const SAMPLE_HEAP: usize = OFFSET + 20;
    /// The bytes of the console.
    pub const CONSOLE: usize = OFFSET + 0x100;
    /// How many of them at most.
    pub const CONSOLE_MAX: usize = 1024;
    /// The frames.
    pub const FRAMES: usize = 0x0101_0000;
    /// How many bytes of them at most.
    pub const FRAMES_MAX: usize = 64 * 1024;
}

/// The records of the device since it rang last.
pub mod records {
    /// Their first byte.
    pub const OFFSET: usize = 0x0110_0000;
    /// How many bytes at most.
    pub const MAX: usize = 1024 * 1024;
}

/// Buffers and queues of the machine's own network interface, where the network is
/// [`Interface`](Network::Interface). The rig keeps its hands off.
pub mod interface {
    /// Their first byte.
    pub const OFFSET: usize = 0x0180_0000;
    /// How many bytes at most.
    pub const BYTES: usize = 64 * 1024;
}

/// The flash chip's cells. They keep what they hold when the machine is started anew, as long as the rig
/// keeps the memory.
pub mod flash {
    /// The first cell.
    pub const OFFSET: usize = 0x0200_0000;
    /// How many.
    pub const BYTES: usize = 8 * 1024 * 1024;
    /// Bytes that are erased at once.
    pub const SECTOR_BYTES: usize = 4096;
    /// Bytes that are programmed at once, within one aligned page.
    pub const PAGE_BYTES: usize = 256;
}

macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $item_doc:literal])+ $item:ident = $value:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u32)]
        pub enum $name {
            $($(#[doc = $item_doc])+ $item = $value,)+
        }

        impl $name {
            /// As it stands in memory.
            pub const fn word(self) -> u32 {
                self as u32
            }

            /// What stands in memory; `None` if it is none of these.
            pub const fn from_word(word: u32) -> Option<Self> {
                match word {
                    $($value => Some($name::$item),)+
                    _ => None,
                }
            }
        }
    };
}

words! {
    /// How the device's network interface is connected.
    Network {
        /// Frames are carried by reports and orders, in exact time.
        Carried = 0,
        /// By the machine's own interface (virtio), in real time.
        Interface = 1,
    }
}

words! {
    /// Why the device starts.
    Cause {
        /// The supply came up.
        PowerOn = 0,
        /// The rig asked for it, as with a reset pin.
        Pin = 1,
        /// The firmware asked for it.
        Software = 2,
        /// The firmware gave up.
        Panic = 3,
        /// Nobody fed the watchdog.
        Watchdog = 4,
    }
}

words! {
    /// Why the device rings.
    Reason {
        /// It is reset and waits to be let run.
        Reset = 0,
        /// Its clock shows what the order said.
        Time = 1,
        /// It has something to tell.
        Record = 2,
    }
}

words! {
    /// What the device is to do.
    Command {
        /// Go on; before it was let run: stay in reset.
        Continue = 0,
        /// Begin to run the firmware. Only an answer to [`Reason::Reset`].
        Run = 1,
        /// Start again, by the pin.
        Reset = 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_place_overlaps_another() {
        let mut places = [
            (boot::OFFSET, boot::DEFECT + boot::DEFECT_MAX),
            (report::OFFSET, report::HEAP_FIRST_AT + 8 * report::HEAP_FIRST_MAX),
            (order::OFFSET, order::CONSOLE + order::CONSOLE_MAX),
            (order::FRAMES, order::FRAMES + order::FRAMES_MAX),
            (records::OFFSET, records::OFFSET + records::MAX),
            (interface::OFFSET, interface::OFFSET + interface::BYTES),
            (flash::OFFSET, flash::OFFSET + flash::BYTES),
        ];
        places.sort_unstable();
        for pair in places.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{pair:x?}");
        }
        assert!(places[6].1 < RAM_BYTES);
    }

    #[test]
    fn a_word_is_what_it_was() {
        for word in 0..10 {
            assert!(Cause::from_word(word).is_none_or(|cause| cause.word() == word));
        }
        assert_eq!(Command::from_word(9), None);
    }
}
