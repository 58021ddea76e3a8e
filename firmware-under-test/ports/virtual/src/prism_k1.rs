//! PRISM K1 on the virtual board.

use std::rc::Rc;

use esp_idf_part::{AppType, DataType, Flags, Partition, PartitionTable, SubType, Type};
#[cfg(feature = "defects")]
use prism_k1::defect::{self, Defect};
use rigor_board::{Chip, Firmware};

use crate::VirtualChip;

/// Data pins of the two LED lanes: pixels 0 to 159 and 160 to 319 (seed section 1).
const LED_PINS: [u8; 2] = [9, 10];

/// Where ESP-IDF's second-stage loader looks for the partition table.
const PARTITION_TABLE_ADDRESS: u32 = 0x8000;

/// The firmware as a value for the virtual rig.
pub fn firmware() -> Rc<dyn Firmware> {
    Rc::new(PrismK1::default())
}

/// The firmware, with at most one defect.
#[derive(Default)]
struct PrismK1 {
    #[cfg(feature = "defects")]
    defect: Option<Defect>,
}

impl Firmware for PrismK1 {
    fn name(&self) -> &str {
        "prism-k1"
    }

    fn version(&self) -> &str {
        prism_k1::VERSION
    }

    /// Only the partition table: the application is the host's own code, and the rest of a factory
    /// board is blank.
    fn flash_image(&self) -> Vec<(u32, Vec<u8>)> {
        vec![(PARTITION_TABLE_ADDRESS, self.table())]
    }

    #[cfg(feature = "defects")]
    fn defects(&self) -> Vec<&'static str> {
        Defect::ALL.iter().map(|defect| defect.name()).collect()
    }

    #[cfg(feature = "defects")]
    fn with_defect(&self, name: &str) -> Option<Rc<dyn Firmware>> {
        let defect = Defect::ALL.iter().copied().find(|defect| defect.name() == name)?;
        Some(Rc::new(PrismK1 { defect: Some(defect) }))
    }

    #[cfg(feature = "defects")]
    fn reached_defects(&self) -> Option<Vec<&'static str>> {
        Some(defect::reached().map(Defect::name).collect())
    }

    fn start(&self, chip: Chip) {
        #[cfg(feature = "defects")]
        defect::give(self.defect);
        prism_k1::start(VirtualChip::peripherals(&chip, LED_PINS), prism_k1::Options::default());
    }
}

impl PrismK1 {
    /// What a flashing tool writes as partition table.
    fn table(&self) -> Vec<u8> {
        #[cfg(feature = "defects")]
        {
            defect::give(self.defect);
            if defect::present(Defect::PartitionsOverlap) {
                return table_that_overlaps();
            }
            if defect::present(Defect::NoUpdateSlots) {
                return table_without_updates();
            }
        }
        partition_table()
    }
}

/// ADR-007's layout (seed section 2) in ESP-IDF's binary format.
///
/// # Panics
/// Never: the table is a constant, and a test encodes it.
pub fn partition_table() -> Vec<u8> {
    encoded(vec![
        data("nvs", DataType::Nvs, 0x9000, 0x6000),
        data("otadata", DataType::Ota, 0xF000, 0x2000),
        app("app0", AppType::Ota_0, 0x2_0000, 0x18_0000),
        app("app1", AppType::Ota_1, 0x1A_0000, 0x18_0000),
        data("littlefs", DataType::Spiffs, 0x32_0000, 0x18_0000),
    ])
}

/// The layout of a change that was never finished (specification section 5, "FW head"): app0 begins
/// at an address that is no multiple of 64 KiB, and reaches into app1.
#[cfg(feature = "defects")]
fn table_that_overlaps() -> Vec<u8> {
    encoded(vec![
        data("nvs", DataType::Nvs, 0x9000, 0x5000),
        data("otadata", DataType::Ota, 0xE000, 0x2000),
        app("app0", AppType::Ota_0, 0x1_1000, 0x18_0000),
        app("app1", AppType::Ota_1, 0x19_0000, 0x18_0000),
        data("littlefs", DataType::Spiffs, 0x31_1000, 0x18_0000),
    ])
}

/// A layout for bringing a board up: one slot, nothing to update. The rest lies where it should.
#[cfg(feature = "defects")]
fn table_without_updates() -> Vec<u8> {
    encoded(vec![
        data("nvs", DataType::Nvs, 0x9000, 0x6000),
        app("factory", AppType::Factory, 0x2_0000, 0x28_0000),
        data("littlefs", DataType::Spiffs, 0x32_0000, 0x18_0000),
    ])
}

fn data(name: &str, kind: DataType, offset: u32, size: u32) -> Partition {
    Partition::new(name, Type::Data, SubType::Data(kind), offset, size, Flags::empty())
}

fn app(name: &str, kind: AppType, offset: u32, size: u32) -> Partition {
    Partition::new(name, Type::App, SubType::App(kind), offset, size, Flags::empty())
}

fn encoded(partitions: Vec<Partition>) -> Vec<u8> {
    PartitionTable::new(partitions).to_bin().expect("a table with short names is encodable")
}
