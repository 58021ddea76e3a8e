//! PRISM K1's firmware on each chip: what only a rig file of the same chip could say
//! (`firmware-under-test/ports/esp32`).

/// The system that it is for.
const DUT: &str = "prism-k1";
/// GPIOs of the LED lanes, in the order of the strip's pixels (`src/board.rs` of the port).
const LANES: [(&str, [u8; 2]); 3] = [("esp32s3", [9, 10]), ("esp32c3", [3, 10]), ("esp32c6", [2, 3])];
/// The chip for which there is no image with a network.
const WITHOUT_NETWORK: &str = "esp32s3";

/// Whether it is for the system `dut`.
pub(super) fn is_for(dut: &str) -> bool {
    dut == DUT
}

/// GPIOs of `chip` that drive the LED lanes of `dut`; none if the firmware is another.
pub(super) fn lanes(dut: &str, chip: &str) -> Option<[u8; 2]> {
    LANES.into_iter().find(|(known, _)| is_for(dut) && *known == chip).map(|(_, lanes)| lanes)
}

/// Whether the image for `chip` has a sibling with a network, whose name ends in `-wifi`.
pub(super) fn has_network(dut: &str, chip: &str) -> bool {
    is_for(dut) && chip != WITHOUT_NETWORK
}
