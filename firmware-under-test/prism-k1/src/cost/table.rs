//! What the firmware's computing takes, written by `cargo xtask firmware costs`.
//!
//! Compiler: rustc 1.96.0 for riscv32imac-unknown-none-elf, `opt-level = "s"`.
//! Emulator: QEMU 7.2.22, `-icount shift=0`.
//!
//! Each is a list of counts: so many items, and the instructions for all of them.

pub(super) const CRC: [(u32, u32); 2] = [(256, 2_573), (4_096, 40_973)];
pub(super) const COPY: [(u32, u32); 2] = [(256, 373), (4_096, 5_173)];
pub(super) const FLASH_DRIVER: [(u32, u32); 2] = [(16, 86), (512, 706)];
pub(super) const PAINT: [(u32, u32); 1] = [(345_600, 36_132_829)];
pub(super) const PACK: [(u32, u32); 1] = [(345_600, 18_308_166)];
pub(super) const P11_UNPACK: [(u32, u32); 2] = [(62, 5_963), (131, 10_584)];
pub(super) const P11_CHECK: [(u32, u32); 2] = [(62, 8_033), (131, 15_008)];
pub(super) const P11_SHOW: [(u32, u32); 1] = [(345_600, 8_320_425)];
pub(super) const MONITOR: [(u32, u32); 1] = [(1, 44_911)];
pub(super) const CONSOLE_LINE: [(u32, u32); 1] = [(1, 2_051)];
pub(super) const BASE64: [(u32, u32); 2] = [(64, 6_382), (1_024, 55_462)];
pub(super) const NET_UPGRADE: [(u32, u32); 1] = [(1, 70_950)];
pub(super) const NET_MESSAGE: [(u32, u32); 2] = [(64, 23_225), (4_096, 104_564)];
pub(super) const BLANK: [(u32, u32); 1] = [(34_560, 189_540)];
pub(super) const NET_REPLY: [(u32, u32); 1] = [(1, 7_085)];
pub(super) const NET_PAGE: [(u32, u32); 1] = [(1, 65_725)];
pub(super) const NET_MDNS: [(u32, u32); 1] = [(1, 41_642)];
pub(super) const FRAME: [(u32, u32); 2] = [(0, 1_586), (960, 16_597)];
pub(super) const TABLE: [(u32, u32); 2] = [(0, 16_597), (256, 148_736)];
pub(super) const FLASH_CALL: [(u32, u32); 1] = [(15_411, 19_656_215)];
pub(super) const STORE: [(u32, u32); 1] = [(32_768, 837_289)];
