//! A bench we hold: one device under test and what is wired to it.
//!
//! The part is the capability: a rig has a part or it has not, and there is no flag beside it. A
//! missing one carries the reason, which becomes the reason why a case did not run.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::part::{Air, Capture, Console, Flash, Net, Pin, Power, Reset, Scheduler, Stress};
use crate::qualification::Qualification;
use crate::time::{Fidelity, Instant};
use crate::timeline::{Source, Timeline};
use crate::verdict::{Blame, RigError};

/// One lane of an addressable LED strip, as the rig observes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lane {
    /// Signal name from the rig file.
    pub signal: String,
    /// Where its bursts, edges or phases are recorded.
    pub source: Source,
    /// Pixels wired to the lane.
    pub pixels: usize,
}

/// What is wired to the device. Every field may be absent.
#[derive(Clone, Default)]
pub struct Parts {
    /// The serial console.
    pub console: Option<Rc<dyn Console>>,
    /// The supply.
    pub power: Option<Rc<dyn Power>>,
    /// The reset pin.
    pub reset: Option<Rc<dyn Reset>>,
    /// The flash chip.
    pub flash: Option<Rc<dyn Flash>>,
    /// The network.
    pub net: Option<Rc<dyn Net>>,
    /// What sees the device's scheduler.
    pub scheduler: Option<Rc<dyn Scheduler>>,
    /// What takes the device's resources away.
    pub stress: Option<Rc<dyn Stress>>,
    /// What has to be told which wires to watch; without it every wire is watched always.
    pub capture: Option<Rc<dyn Capture>>,
    /// A radio of the rig's own.
    pub air: Option<Rc<dyn Air>>,
    /// Wires that the rig can drive, by signal name.
    pub pins: BTreeMap<String, Rc<dyn Pin>>,
    /// LED lanes in the order of their pixels.
    pub leds: Vec<Lane>,
    /// Sources of gauges (heap and the like) by name.
    pub gauges: BTreeMap<String, Source>,
    /// TCP ports of the device's services by name, from the rig file.
    pub ports: BTreeMap<String, u16>,
    /// Where other programs on this host reach those services, by name, without the rig's part in it. Empty
    /// where they cannot: on all rigs whose network is the rig's own.
    pub forwards: BTreeMap<String, SocketAddr>,
    /// Why parts that are missing cannot be had on this rig at all, by their table of the rig file, such
    /// as `[[leds]]`.
    pub lacking: BTreeMap<&'static str, String>,
}

/// Moves a rig's clock. One back end, one implementation.
pub trait Drive {
    /// Lets the rig run until `woken` says that the case has something to do, or its clock shows
    /// `until`, whichever is first; advances the timeline accordingly. May return earlier.
    ///
    /// # Errors
    /// [`RigError`] if the bench itself has failed.
    fn run(&mut self, until: Instant, woken: &dyn Fn() -> bool) -> Result<(), RigError>;

    /// When something will happen on the rig at the latest that its back end can foresee, if nobody acts
    /// before. A rig that follows the host's clock can sleep until then. `None` if nothing will, and on
    /// every rig whose events nobody can foresee: on all but virtual ones.
    fn next_event(&self) -> Option<Instant> {
        None
    }

    /// Proves that the bench is well. Asked before a failure is laid at the product's door: a
    /// pulled cable must not read as a firmware's silence.
    ///
    /// # Errors
    /// [`RigError`] with what is wrong with the bench.
    fn self_check(&self) -> Result<(), RigError>;

    /// Why the case's own outcome does not count. On a rig that repeats a recording it is that the case
    /// acts differently from the recorded one; no other rig has a reason.
    fn overrules(&self) -> Option<Blame> {
        None
    }

    /// What the rig has found out of itself when it was taken. `None` of one that has no instruments: of all that
    /// this host makes up itself.
    fn qualification(&self) -> Option<Qualification> {
        None
    }

    /// Which of the defects that the device can be given on purpose lie on the way that its code has
    /// taken so far. Given any other, the device would have done the same. `None` where nobody keeps
    /// count: on every rig but a virtual one.
    fn reached_defects(&self) -> Option<Vec<&'static str>> {
        None
    }
}

/// A rig that is ours until it is dropped.
pub struct Rig {
    /// Name from the rig file.
    pub name: String,
    /// What its clock is worth.
    pub fidelity: Fidelity,
    /// What happens on it.
    pub timeline: Timeline,
    /// What is wired to it.
    pub parts: Parts,
    /// What moves its clock.
    pub drive: Box<dyn Drive>,
}
