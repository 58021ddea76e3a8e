//! The device's supply and reset line.

use std::rc::Rc;
use std::time::Duration;

use rigor_core::part;
use rigor_core::verdict::Blame;

use super::{Bench, Missing, Need};

/// The supply switch.
pub struct Power {
    bench: Bench,
    part: Rc<dyn part::Power>,
}

impl Power {
    /// Switches the supply on.
    ///
    /// # Errors
    /// The rig's, if the switch does not answer.
    pub fn on(&self) -> Result<(), Blame> {
        self.bench.act("power: on")?;
        Ok(self.part.on()?)
    }

    /// Switches the supply off, in the middle of whatever the device does.
    ///
    /// # Errors
    /// The rig's, if the switch does not answer.
    pub fn off(&self) -> Result<(), Blame> {
        self.bench.act("power: off")?;
        Ok(self.part.off()?)
    }

    /// Off for `pause`, then on.
    ///
    /// # Errors
    /// The rig's, if the switch does not answer.
    pub async fn cycle(&self, pause: Duration) -> Result<(), Blame> {
        self.off()?;
        self.bench.timeline.sleep_until(self.bench.timeline.now() + pause).await;
        self.on()
    }
}

impl Need for Power {
    fn take(bench: &Bench) -> Result<Self, Missing> {
        let part = bench.parts.power.clone().ok_or_else(|| bench.missing("supply switch", "[power]"))?;
        Ok(Power { bench: bench.clone(), part })
    }
}
