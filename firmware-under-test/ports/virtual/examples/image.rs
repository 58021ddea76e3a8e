//! All of a firmware in one executable, for a look at what is in it (`.ci/no-traces`).

use std::time::Duration;

use rigor_board::{Board, BoardConfig};
use rigor_core::{Instant, Timeline};

fn main() {
    let firmware = firmware_virtual::prism_k1::firmware();
    let board = Board::new(BoardConfig::default(), Timeline::new(), firmware);
    // A virtual switch cannot fail.
    let _ = board.power().on();
    board.run(Instant::ZERO + Duration::from_secs(1), &|| false);
}
