//! What a driver sends: the other direction, for tests, fixtures and simulated devices.

use std::sync::Arc;

use rigor_core::event::BusTransfer;

use super::address::Window;
use super::instruction::opcode;

/// A command with its parameters: a transfer of one byte, and one of the others if there are any.
pub fn command(opcode: u8, parameters: &[u8]) -> Vec<BusTransfer> {
    let mut transfers = vec![BusTransfer { data: false, bytes: Arc::new([opcode]) }];
    if !parameters.is_empty() {
        transfers.push(BusTransfer { data: true, bytes: parameters.into() });
    }
    transfers
}

/// CASET, RASET and RAMWR: pixels go to this window from now on.
pub fn begin(window: Window) -> Vec<BusTransfer> {
    let ends = |(start, end): (u16, u16)| {
        let ([a, b], [c, d]) = (start.to_be_bytes(), end.to_be_bytes());
        [a, b, c, d]
    };
    [
        command(opcode::CASET, &ends(window.columns)),
        command(opcode::RASET, &ends(window.rows)),
        command(opcode::RAMWR, &[]),
    ]
    .concat()
}

/// Pixels in RGB565, the most significant byte first, in transfers of at most `most` bytes (at least 1).
pub fn rgb565(pixels: impl IntoIterator<Item = u16>, most: usize) -> Vec<BusTransfer> {
    let bytes: Vec<u8> = pixels.into_iter().flat_map(u16::to_be_bytes).collect();
    bytes.chunks(most.max(1)).map(|bytes| BusTransfer { data: true, bytes: bytes.into() }).collect()
}

/// A window and its pixels.
pub fn draw(window: Window, pixels: impl IntoIterator<Item = u16>, most: usize) -> Vec<BusTransfer> {
    [begin(window), rgb565(pixels, most)].concat()
}
