//! PRISM K1 on the virtual board.

use std::rc::Rc;

use esp_idf_part::{AppType, DataType, Flags, Partition, PartitionTable, SubType, Type};
use prism_k1::defect::{self, Defect};
use rigor_board::{Chip, Firmware};

use crate::VirtualChip;

/// Data pins of the two LED lanes: pixels 0 to 159 and 160 to 319 (seed section 1).
const LED_PINS: [u8; 2] = [9, 10];

/// Where ESP-IDF's second-stage loader looks for the partition table.
const PARTITION_TABLE_ADDRESS: u32 = 0x8000;

/// The firmware as a value for the virtual rig.
pub fn firmware() -> Rc<dyn Firmware> {
    Rc::new(PrismK1 { defect: None })
}

/// The firmware, with at most one defect.
struct PrismK1 {
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
        vec![(PARTITION_TABLE_ADDRESS, partition_table())]
    }

    fn defects(&self) -> Vec<&'static str> {
        Defect::ALL.iter().map(|defect| defect.name()).collect()
    }

    fn with_defect(&self, name: &str) -> Option<Rc<dyn Firmware>> {
        let defect = Defect::ALL.iter().copied().find(|defect| defect.name() == name)?;
        Some(Rc::new(PrismK1 { defect: Some(defect) }))
    }

    fn start(&self, chip: Chip) {
        defect::give(self.defect);
        prism_k1::start(VirtualChip::peripherals(&chip, LED_PINS), prism_k1::Options::default());
    }
}

/// ADR-007's layout (seed section 2) in ESP-IDF's binary format.
///
/// # Panics
/// Never: the table is a constant, and a test encodes it.
pub fn partition_table() -> Vec<u8> {
    let partition = |name: &str, ty, subtype, offset, size| {
        Partition::new(name, ty, subtype, offset, size, Flags::empty())
    };
    let table = PartitionTable::new(vec![
        partition("nvs", Type::Data, SubType::Data(DataType::Nvs), 0x9000, 0x6000),
        partition("otadata", Type::Data, SubType::Data(DataType::Ota), 0xF000, 0x2000),
        partition("app0", Type::App, SubType::App(AppType::Ota_0), 0x2_0000, 0x18_0000),
        partition("app1", Type::App, SubType::App(AppType::Ota_1), 0x1A_0000, 0x18_0000),
        partition("littlefs", Type::Data, SubType::Data(DataType::Spiffs), 0x32_0000, 0x18_0000),
    ]);
    table.to_bin().expect("the constant table is encodable")
}
