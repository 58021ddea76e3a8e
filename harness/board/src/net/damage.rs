//! What [faults](crate::fault::LinkFault) make of what the link carries.
//!
//! They act where a segment arrives: what its sender believes to have sent, it believes for good.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rigor_core::event::{ConnectionId, Direction, FlowKind};

use super::{Network, data_arrives, record, tear_down_socket};
use crate::fault::{LinkFault, Way};
use crate::kernel::Kernel;

/// After so long a segment that was [held back](LinkFault::Reordered) is delivered although no other one
/// came: the shortest time after which Linux sends a segment again (`TCP_RTO_MIN`).
pub const REORDERED_AFTER: Duration = Duration::from_millis(200);

/// What is wrong with a link, and what it has carried so far.
#[derive(Default)]
pub(super) struct Damage {
    faults: Vec<LinkFault>,
    carried: BTreeMap<ConnectionId, Carried>,
    /// Connections on which nothing passes any more.
    severed: BTreeSet<ConnectionId>,
    /// Nothing passes on any of them.
    unplugged: bool,
}

#[derive(Default)]
struct Carried {
    to_device: u64,
    from_device: u64,
    /// Segments to the device.
    segments: u64,
    /// One that waits for its successor.
    held: Option<Arc<[u8]>>,
}

impl Network {
    /// Breaks the link for good.
    pub(crate) fn inject(&mut self, fault: LinkFault) {
        if let LinkFault::Slow { bits_per_second } = fault {
            self.config.bits_per_second = bits_per_second.into();
        }
        self.damage.faults.push(fault);
    }

    /// Nothing passes from now on.
    pub(crate) fn unplug(&mut self) {
        self.damage.unplugged = true;
    }
}

impl Damage {
    pub(super) fn refuses(&self) -> bool {
        self.faults.contains(&LinkFault::Refuses {})
    }

    /// Whether nothing passes on connection `id`.
    pub(super) fn severs(&self, id: ConnectionId) -> bool {
        self.unplugged || self.severed.contains(&id)
    }

    /// What arrives of `bytes` that were sent `way`.
    pub(super) fn pass(&mut self, id: ConnectionId, way: Way, bytes: Arc<[u8]>) -> Arc<[u8]> {
        if self.faults.is_empty() {
            return bytes;
        }
        let carried = self.carried.entry(id).or_default();
        let total = match way {
            Way::ToDevice => &mut carried.to_device,
            Way::FromDevice => &mut carried.from_device,
        };
        let first = *total + 1;
        *total += bytes.len() as u64;
        let mut bytes = bytes;
        for fault in &self.faults {
            let (direction, nth) = match *fault {
                LinkFault::ByteDropped { direction, nth } | LinkFault::ByteCorrupted { direction, nth } => {
                    (direction, nth)
                }
                _ => continue,
            };
            let index = nth.checked_sub(first).and_then(|index| usize::try_from(index).ok());
            let Some(index) = index.filter(|&index| direction == way && index < bytes.len()) else {
                continue;
            };
            if matches!(fault, LinkFault::ByteCorrupted { .. }) {
                Arc::make_mut(&mut bytes)[index] ^= 1;
            } else {
                bytes = bytes[..index].iter().chain(&bytes[index + 1..]).copied().collect();
            }
        }
        bytes
    }

    /// How much of the `length` bytes that come next to the device still passes, if the connection is to
    /// end within them, and how.
    fn limit(&self, id: ConnectionId, length: usize) -> Option<(usize, LinkFault)> {
        let carried = self.carried.get(&id).map_or(0, |carried| carried.to_device);
        let ends = self.faults.iter().filter_map(|fault| match *fault {
            LinkFault::Reset { after_bytes } | LinkFault::HalfOpen { after_bytes } => {
                Some((usize::try_from(after_bytes.saturating_sub(carried)).ok()?, *fault))
            }
            _ => None,
        });
        ends.filter(|&(room, _)| room <= length).min_by_key(|&(room, _)| room)
    }

    /// How long the link stands still because of the `length` bytes that come next to the device.
    fn stall(&self, id: ConnectionId, length: usize) -> Duration {
        let carried = self.carried.get(&id).map_or(0, |carried| carried.to_device);
        let stalls = self.faults.iter().filter_map(|fault| match *fault {
            LinkFault::Stall { after_bytes, for_ms }
                if carried < after_bytes && carried + length as u64 >= after_bytes =>
            {
                Some(Duration::from_millis(for_ms.into()))
            }
            _ => None,
        });
        stalls.sum()
    }

    /// Whether the next segment to the device has to wait for its successor.
    fn holds_back(&mut self, id: ConnectionId) -> bool {
        let carried = self.carried.entry(id).or_default();
        carried.segments += 1;
        self.faults.iter().any(|fault| match *fault {
            LinkFault::Reordered { every } => carried.segments.is_multiple_of(every.get().into()),
            _ => false,
        })
    }

    fn take_held(&mut self, id: ConnectionId) -> Option<Arc<[u8]>> {
        self.carried.get_mut(&id)?.held.take()
    }
}

/// A segment of data reaches the device.
pub(super) fn deliver(kernel: &Rc<Kernel>, id: ConnectionId, bytes: Arc<[u8]>) {
    if kernel.net.borrow().damage.faults.is_empty() {
        return data_arrives(kernel, id, &bytes, bytes.len());
    }
    let (held, waits) = {
        let damage = &mut kernel.net.borrow_mut().damage;
        let held = damage.take_held(id);
        let waits = damage.holds_back(id) && held.is_none();
        (held, waits)
    };
    if waits {
        if let Some(carried) = kernel.net.borrow_mut().damage.carried.get_mut(&id) {
            carried.held = Some(bytes.clone());
        }
        return kernel.schedule_outside(kernel.now() + REORDERED_AFTER, move |kernel| {
            // Not one that was held back later.
            let still_waits = {
                let net = kernel.net.borrow();
                let held = net.damage.carried.get(&id).and_then(|carried| carried.held.as_ref());
                held.is_some_and(|held| Arc::ptr_eq(held, &bytes))
            };
            if still_waits {
                flush(kernel, id);
            }
        });
    }
    deliver_in_order(kernel, id, bytes);
    if let Some(held) = held {
        deliver_in_order(kernel, id, held);
    }
}

/// What waits for a successor comes now: there is none.
pub(super) fn flush(kernel: &Rc<Kernel>, id: ConnectionId) {
    let held = kernel.net.borrow_mut().damage.take_held(id);
    if let Some(held) = held {
        deliver_in_order(kernel, id, held);
    }
}

fn deliver_in_order(kernel: &Rc<Kernel>, id: ConnectionId, bytes: Arc<[u8]>) {
    let (passes, ending, counted) = {
        let net = &mut *kernel.net.borrow_mut();
        let stall = net.damage.stall(id, bytes.len());
        if !stall.is_zero() {
            net.stand_still(kernel.now() + stall);
        }
        let limit = net.damage.limit(id, bytes.len());
        let counted = limit.map_or(bytes.len(), |(room, _)| room);
        let passes = net.damage.pass(id, Way::ToDevice, Arc::from(&bytes[..counted]));
        (passes, limit.map(|(_, fault)| fault), counted)
    };
    if counted > 0 {
        data_arrives(kernel, id, &passes, counted);
    }
    match ending {
        Some(LinkFault::Reset { .. }) => {
            if kernel.net.borrow_mut().peers.remove(&id).is_some() {
                record(kernel, id, FlowKind::Reset(Direction::FromDut));
            }
            tear_down_socket(kernel, id);
        }
        Some(LinkFault::HalfOpen { .. }) => {
            kernel.net.borrow_mut().damage.severed.insert(id);
        }
        _ => {}
    }
}
