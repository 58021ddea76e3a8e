//! The two times in which a board lives: a real one in the host's, a simulated one in its own.

mod host;
mod stepped;

use rigor_controller::Ticks;
use rigor_core::Instant;

pub(super) use host::{HostTime, SCHEDULING};
pub(super) use stepped::SteppedTime;

use super::desk::Ends;
use super::error::BenchError;

/// What moves a bench's clock.
pub(super) trait Time {
    /// Lets time pass until `woken` says so, the clock shows `until`, or the run is interrupted.
    fn run(&mut self, ends: &mut Ends, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), BenchError>;

    /// The rig has just acted: whatever it sent is with the device before it acts again.
    fn acted(&mut self, ends: &mut Ends) -> Result<(), BenchError>;

    /// When the controller's clock showed `ticks`.
    fn instant(&self, ticks: Ticks) -> Instant;

    /// Moves the rig's clock to the present moment, without waiting.
    fn catch_up(&mut self, ends: &mut Ends) -> Result<(), BenchError>;
}
