//! What the firmware's computing costs, in cycles of a core at 160 MHz (specification section 0).
//!
//! Only a simulated processor looks at these figures ([`Cpu::work`](firmware_platform::Cpu::work)
//! does nothing on a real one). All of them are *estimated* from the operations in the inner loop
//! (loads, stores, shifts and a branch at one to two cycles each on an Xtensa LX7 that runs from
//! cache) and are to be counted under QEMU.

/// Cycles of one core per second: 160 MHz (specification section 0, `sdkconfig`).
pub const CORE_HZ: u32 = 160_000_000;

/// One colour byte on its way from frame to wire buffer: load, table look-up, store, loop.
pub const RENDER_PER_BYTE: u32 = 8;
/// Fixed part of rendering a frame: queue, clock, ramps, loop set-up.
pub const RENDER_FRAME: u32 = 1_500;
/// One entry of the brightness-and-gamma table: a power by square roots and a scaling.
pub const LUT_PER_ENTRY: u32 = 220;

/// One byte through the table-driven CRC-32: load, xor, table look-up, shift, xor, loop.
pub const CRC_PER_BYTE: u32 = 8;
/// One byte copied between buffers, words at a time, alignment and loop included.
pub const COPY_PER_BYTE: u32 = 1;

/// One byte of a P11 segment: window, run or literal, remaining-length check.
pub const P11_PER_BYTE: u32 = 14;
/// One pixel of a P11 frame: xor with the previous index, palette bound, three stores, twice.
pub const P11_PER_PIXEL: u32 = 20;
/// Fixed part of a P11 frame: its header and its place in time.
pub const P11_FRAME: u32 = 400;

/// One call of the file system into the flash driver: cache bookkeeping, address check, set-up.
pub const FLASH_CALL: u32 = 500;
/// One byte moved by the flash driver between its FIFO and memory.
pub const FLASH_PER_BYTE: u32 = 1;
/// One byte looked at to see whether a block is blank: a quarter of a word compare.
pub const BLANK_PER_BYTE: u32 = 1;

/// One pixel of a template painted: two or three sine look-ups or hashes and their mixing.
pub const PAINT_PER_PIXEL: u32 = 120;
/// One pixel of a template packed: the comparisons for run and delta, the store.
pub const PACK_PER_PIXEL: u32 = 24;

/// One received WebSocket message: two socket calls through the TCP/IP stack, its header's checks.
pub const NET_MESSAGE: u32 = 12_000;
/// One byte of a received message: the copy out of the TCP/IP stack, the unmasking.
pub const NET_PER_BYTE: u32 = 4;
/// One frame sent: a socket call through the TCP/IP stack.
pub const NET_REPLY: u32 = 8_000;
/// One upgrade request: its fields, a SHA-1 over two blocks, base64.
pub const NET_UPGRADE: u32 = 60_000;
/// One request to the portal: its fields, the answer's copy into the TCP/IP stack.
pub const NET_PAGE: u32 = 30_000;
/// One mDNS message: its questions compared with a dozen records, the answer put together.
pub const NET_MDNS: u32 = 40_000;
/// One line of the console: its words and the dispatch.
pub const CONSOLE_LINE: u32 = 2_000;
/// One character of base64: table look-up, range check, shift and merge.
pub const BASE64_PER_BYTE: u32 = 10;
/// One cycle of the heap monitor: the allocator's figures, the comparisons.
pub const MONITOR_CYCLE: u32 = 6_000;

/// `count` items at `each` cycles. Saturates instead of overflowing.
#[must_use]
pub fn times(each: u32, count: usize) -> u32 {
    each.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}
