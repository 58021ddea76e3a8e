//! What the firmware's computing costs, in cycles of a core at 160 MHz (specification section 0).
//!
//! Only a simulated processor looks at these figures ([`Cpu::work`](firmware_platform::Cpu::work)
//! does nothing on a real one). They are *counted*: `cargo xtask firmware costs` runs the firmware's own code as
//! it would be shipped, on an emulated RISC-V core, counts the instructions, and writes them into `table.rs`. What
//! the board charges elsewhere (the flash chip's times, what is on a wire) is not in them.
//!
//! What is *estimated* is what an instruction costs: [`CYCLES_PER_100_INSTRUCTIONS`].
//!
//! Nothing is charged for: the lines of the log, where they are not part of what is counted here; the end of a
//! WebSocket connection, and its PING frames; the settings; a message's length on its way out.

mod table;

/// Cycles of one core per second: 160 MHz (specification section 0, `sdkconfig`).
pub const CORE_HZ: u32 = 160_000_000;

/// What instructions cost. An *assumption*: 8 ns each, as on the rig in exact time (`-icount shift=3`), so
/// that both rigs agree. What an Xtensa LX7 takes for what a RISC-V core does in one is for a bench to count.
pub const CYCLES_PER_100_INSTRUCTIONS: u32 = 128;

/// What one of many items costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Each {
    /// Fractions of a cycle, [`Each::FRACTIONS`] of them in one: a byte may take less than one. A power of two,
    /// so that charging takes next to nothing where it is counted itself.
    fractions: u32,
}

impl Each {
    const FRACTIONS: u64 = 1 << 10;
}

impl core::ops::Add for Each {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { fractions: self.fractions.saturating_add(other.fractions) }
    }
}

/// One colour byte on its way from frame to wire buffer: the copy, the table look-up, the order of colours.
pub const RENDER_PER_BYTE: Each = each(table::FRAME);
/// Fixed part of a frame: queue, clock, ramps, and the playback task's turn around them.
pub const RENDER_FRAME: u32 = fixed(table::FRAME);
/// One entry of the brightness-and-gamma table: a power by square roots and a scaling.
pub const LUT_PER_ENTRY: Each = each(table::TABLE);

/// One byte through the table-driven CRC-32.
pub const CRC_PER_BYTE: Each = each(table::CRC);
/// One byte copied between buffers, words at a time.
pub const COPY_PER_BYTE: Each = each(table::COPY);

/// One byte of a P11 segment: window, run or literal, remaining-length check.
pub const P11_PER_BYTE: Each = each(table::P11_UNPACK);
/// The same while a file is being checked: with its CRC, byte by byte.
pub const P11_CHECK_PER_BYTE: Each = each(table::P11_CHECK);
/// Fixed part of a P11 frame: its header, and every pixel's xor with its previous index and palette bound.
pub const P11_FRAME: u32 = fixed(table::P11_UNPACK);
/// One pixel of a P11 frame that is shown: its colour, twice.
pub const P11_PER_PIXEL: Each = each(table::P11_SHOW);

/// One call of the flash driver, with what the storage task and the file system do around it: the mean over
/// the templates of a first boot, an upload, and a second of playing it.
pub const FLASH_CALL: u32 = fixed(table::FLASH_CALL) + fixed(table::FLASH_DRIVER);
/// One byte moved by the flash driver, as memory is.
pub const FLASH_PER_BYTE: Each = each(table::FLASH_DRIVER);
/// One byte programmed: the file system looks at what it has written.
pub const STORE_PER_BYTE: Each = each(table::STORE);
/// One byte looked at to see whether a block is blank.
pub const BLANK_PER_BYTE: Each = each(table::BLANK);

/// One pixel of a template painted: the mean over all templates.
pub const PAINT_PER_PIXEL: Each = each(table::PAINT);
/// One pixel of a template packed: the comparisons for run and delta, the store.
pub const PACK_PER_PIXEL: Each = each(table::PACK);

/// One received WebSocket message: the TCP/IP stack, the header's checks, the protocol's dispatch.
pub const NET_MESSAGE: u32 = fixed(table::NET_MESSAGE);
/// One byte of a received message: its share of segments, checksums, copies, the unmasking.
pub const NET_PER_BYTE: Each = each(table::NET_MESSAGE);
/// One short frame sent: put together, and through the TCP/IP stack.
pub const NET_REPLY: u32 = fixed(table::NET_REPLY);
/// One upgrade: its connection, its fields, a SHA-1 over two blocks, base64, the answer.
pub const NET_UPGRADE: u32 = fixed(table::NET_UPGRADE);
/// One request to the portal: its connection from beginning to end, its fields, the page.
pub const NET_PAGE: u32 = fixed(table::NET_PAGE);
/// One mDNS query: compared with a dozen records, and answered.
pub const NET_MDNS: u32 = fixed(table::NET_MDNS);
/// One line of the console: its words, the dispatch, the answer.
pub const CONSOLE_LINE: u32 = fixed(table::CONSOLE_LINE);
/// One character of a console line with data: put into the line, looked at, decoded.
pub const BASE64_PER_BYTE: Each = each(table::BASE64);
/// One cycle of the heap monitor: the allocator's figures, how far each stack was used, the comparisons.
pub const MONITOR_CYCLE: u32 = fixed(table::MONITOR);

/// `count` items at `each`, in cycles, rounded up. Saturates instead of overflowing.
#[must_use]
pub fn times(each: Each, count: usize) -> u32 {
    let fractions = u64::from(each.fractions).saturating_mul(count as u64);
    u32::try_from(fractions.div_ceil(Each::FRACTIONS)).unwrap_or(u32::MAX)
}

/// So many instructions, in fractions of a cycle for each of so many items.
const fn fractions(instructions: u32, items: u32) -> u32 {
    let whole = instructions as u64 * CYCLES_PER_100_INSTRUCTIONS as u64 * Each::FRACTIONS / 100;
    let one = (whole + items as u64 / 2) / items as u64;
    assert!(one <= u32::MAX as u64);
    one as u32
}

/// What one more item takes, where there are two counts, or all of it for one item, where there is one.
const fn each<const N: usize>(counts: [(u32, u32); N]) -> Each {
    let (more, most) = counts[N - 1];
    let (few, least) = if N > 1 { counts[0] } else { (0, 0) };
    Each { fractions: fractions(most - least, more - few) }
}

/// Cycles without any item, where there are two counts, or with one, where there is one. Rounded up.
const fn fixed<const N: usize>(counts: [(u32, u32); N]) -> u32 {
    let of_one = each(counts).fractions as u64;
    let (few, least) = counts[0];
    let all = if N > 1 { fractions(least, 1) as u64 } else { of_one };
    let in_items = if N > 1 { of_one * few as u64 } else { 0 };
    all.saturating_sub(in_items).div_ceil(Each::FRACTIONS) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_counts_are_a_fixed_part_and_one_for_each_item() {
        // 1000 instructions, and 5 for each item.
        let counts = [(10, 1_050), (110, 1_550)];
        assert_eq!(fixed(counts), 1_280, "rounded up from a little less");
        assert_eq!(each(counts), Each { fractions: 6_554 }, "6.4 cycles");
        assert_eq!(times(each(counts), 3), 20, "19.2 cycles");
        assert_eq!(times(each(counts), 10_000), 64_004, "a fraction is not exact");
        assert_eq!(times(each(counts), usize::MAX), u32::MAX);
        assert_eq!(times(each(counts), 0), 0);
        // What takes less the more there is of it has no negative fixed part.
        assert_eq!(fixed([(100, 100), (200, 300)]), 0);
    }

    #[test]
    fn one_count_is_a_mean() {
        assert_eq!(fixed([(3, 1_000)]), 427, "426.7 cycles");
        assert_eq!(each([(1_000, 1)]), Each { fractions: 1 });
        assert_eq!(times(each([(4, 100)]) + each([(2, 100)]), 10), 960);
    }
}
