//! A bench in a box: a virtual board behind serial ports and sockets that look like a bench.
//!
//! In the flow (**action, event**, decode, measure, verdict, report) it is what stands on the table where
//! there is no table: the back end for benches takes it for a bench controller, a serial adapter and a
//! device in the network.
//!
//! | What | Where | What is behind it |
//! |---|---|---|
//! | controller | `<folder>/controller`, a pseudo-terminal | [`rigor_controller`]'s words over the board's wires |
//! | console | `<folder>/console`, a pseudo-terminal | the board's serial line, or its chip's loader ([`rigor_esp_loader`]) |
//! | services | ports of 127.0.0.1 | the board's TCP ports |
//!
//! The box is [stepped](rigor_controller::stepped): the board's clock stands still until the host lets it
//! proceed, and both ends count what they put on the other channels. So what a host finds is a function of
//! what it does, whatever else the machine is doing, and a verdict is that of the virtual rig. Only the loader
//! answers while the clock stands, and what it says and hears counts nothing: no flashing tool knows of steps.
//!
//! [`Identify`](rigor_controller::Command::Identify) puts a new board into the box, as it comes from the
//! factory: each case has one of its own.

mod bench_box;
mod chip;
mod console;
mod device;
mod heard;
mod lanes;
mod line;
mod playing;
mod ports;
mod rom;
mod talk;

use std::io;

use rigor_core::verdict::RigError;
use rigor_pty::PtyError;

pub use bench_box::{BenchBox, Factory};
pub use ports::Door;

/// Why there is no box, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum BoxError {
    /// A serial port cannot be had, or broke.
    #[error(transparent)]
    Serial(#[from] PtyError),
    /// A TCP port cannot be had.
    #[error(
        "service `{service}`: 127.0.0.1:{port} cannot be listened on: {reason}; choose another port with \
         --port {service}=PORT, 0 for any"
    )]
    Port {
        /// The service.
        service: String,
        /// The port.
        port: u16,
        /// What the system says.
        reason: io::Error,
    },
    /// There is no board to be put into it.
    #[error(transparent)]
    Board(#[from] rigor_rigs::Refusal),
    /// The board failed.
    #[error(transparent)]
    Rig(#[from] RigError),
    /// The kernel refuses to wait.
    #[error("waiting for sockets and terminals: {0}; close other programs' files")]
    Wait(#[source] io::Error),
}
