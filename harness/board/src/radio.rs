//! The air: the access point that the device opens, the network that the rig puts up, and the
//! device's station between them.
//!
//! Two radios in one room, and nobody else. What is modelled is the order of things and the time
//! that each takes; range, noise, other networks, the sharing of one antenna and the cryptography
//! are not. The rig's clients of the device's access point are there as soon as it is.

use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use rigor_core::event::{AccessPoint, AirEvent, Kind};
use rigor_core::part::Network;
use rigor_core::{Source, Timeline};

use crate::cpu;
use crate::heap::outside_firmware;
use crate::kernel::Kernel;
use crate::net::{self, Via};

/// How long things take on the air.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RadioConfig {
    /// From the order to open an access point to its first beacon.
    pub open: Duration,
    /// A scan stays on each channel for so long.
    pub channel: Duration,
    /// Authentication and association.
    pub associate: Duration,
    /// The key exchange of a network with a password.
    pub key_exchange: Duration,
    /// Until a station that has the wrong password is given up.
    pub key_refusal: Duration,
    /// From the association to an address by DHCP.
    pub lease: Duration,
    /// A station that hears no beacon for so long has lost its network.
    pub beacon_loss: Duration,
}

impl Default for RadioConfig {
    /// ESP-IDF's driver: 120 ms a channel when it scans actively, 6 s without a beacon until a
    /// station gives its network up (`esp_wifi_set_inactive_time`). The rest is *estimated* from what
    /// users of the chip report for a join (0.6 to 0.7 s with a password, without the scan): 150 ms to
    /// open an access point with the radio's calibration, 100 ms to associate, 550 ms for the keys,
    /// 3 s until they are refused, 1 s for DHCP.
    fn default() -> Self {
        let millis = Duration::from_millis;
        RadioConfig {
            open: millis(150),
            channel: millis(120),
            associate: millis(100),
            key_exchange: millis(550),
            key_refusal: millis(3000),
            lease: millis(1000),
            beacon_loss: millis(6000),
        }
    }
}

/// Channels of the 2.4 GHz band in most of the world. A scan goes through them in order.
const CHANNELS: u32 = 13;
/// Where the rig puts its network up.
const RIG_CHANNEL: u32 = 6;

/// The rig's network, and which time it was put up.
struct Raised {
    network: Network,
    number: u32,
}

/// What the device's station takes itself to be joined to.
#[derive(Clone, Copy)]
struct Joined {
    /// The number of the [`Raised`] network.
    number: u32,
    addressed: bool,
}

pub(crate) struct Radio {
    config: RadioConfig,
    source: Source,
    opened: Option<Arc<str>>,
    raised: Option<Raised>,
    numbers: u32,
    joined: Option<Joined>,
    wakers: Vec<Waker>,
}

impl Radio {
    pub(crate) fn new(config: RadioConfig, timeline: &Timeline) -> Self {
        Radio {
            config,
            source: timeline.source("air"),
            opened: None,
            raised: None,
            numbers: 0,
            joined: None,
            wakers: Vec::new(),
        }
    }

    pub(crate) fn source(&self) -> Source {
        self.source
    }

    /// The station's network, if it is really there.
    fn joined(&self) -> Option<Joined> {
        self.joined.filter(|joined| self.raised.as_ref().is_some_and(|raised| raised.number == joined.number))
    }
}

/// Whether bytes pass between the rig and the device by this way now.
pub(crate) fn carries(kernel: &Kernel, via: Via) -> bool {
    let radio = kernel.radio.borrow();
    kernel.is_up()
        && match via {
            Via::Wire => true,
            Via::AccessPoint => radio.opened.is_some(),
            Via::Station => radio.joined().is_some_and(|joined| joined.addressed),
        }
}

fn record(kernel: &Kernel, event: AirEvent) {
    let source = kernel.radio.borrow().source;
    kernel.record(source, kernel.now(), Kind::Air(event));
}

// ---- the rig's end ---------------------------------------------------------------------------

pub(crate) fn put_up(kernel: &Rc<Kernel>, network: &Network) {
    take_down(kernel);
    let stale = {
        let mut radio = kernel.radio.borrow_mut();
        radio.numbers += 1;
        radio.raised = Some(Raised { network: network.clone(), number: radio.numbers });
        radio.joined
    };
    // An access point that does not know a station tells it so.
    if let Some(stale) = stale {
        lose(kernel, stale.number);
    }
}

pub(crate) fn take_down(kernel: &Rc<Kernel>) {
    let held = {
        let mut radio = kernel.radio.borrow_mut();
        let held = radio.joined();
        radio.raised = None;
        held
    };
    net::cut(kernel, Via::Station);
    if let Some(Joined { number, .. }) = held {
        record(kernel, AirEvent::Left);
        let noticed = kernel.now() + kernel.radio.borrow().config.beacon_loss;
        kernel.schedule_inside(noticed, move |kernel| lose(kernel, number));
    }
}

/// The station notices that it is not joined any more.
fn lose(kernel: &Rc<Kernel>, number: u32) {
    let mut radio = kernel.radio.borrow_mut();
    if radio.joined.is_some_and(|joined| joined.number == number) {
        radio.joined = None;
        radio.wakers.drain(..).for_each(Waker::wake);
    }
}

// ---- the device's end ------------------------------------------------------------------------

/// The radio goes silent with the device.
pub(crate) fn device_halted(kernel: &Rc<Kernel>) {
    leave(kernel);
    let opened = {
        let mut radio = kernel.radio.borrow_mut();
        radio.wakers.clear();
        radio.opened.take()
    };
    if let Some(ssid) = opened {
        record(kernel, AirEvent::Vanished(ssid));
    }
}

/// The station takes its leave of what it is joined to.
fn leave(kernel: &Rc<Kernel>) {
    let (held, thought) = {
        let mut radio = kernel.radio.borrow_mut();
        (radio.joined(), radio.joined.take())
    };
    if thought.is_some() {
        net::cut(kernel, Via::Station);
    }
    if held.is_some() {
        record(kernel, AirEvent::Left);
    }
}

/// Why a network could not be joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JoinError {
    /// No network of this name was heard.
    #[error("no such network")]
    NotFound,
    /// The network does not take this password, or takes none.
    #[error("refused")]
    Refused,
    /// The network went away meanwhile.
    #[error("lost")]
    Lost,
}

/// The firmware's radio.
#[derive(Clone)]
pub struct RadioHandle(pub(crate) Rc<Kernel>);

impl RadioHandle {
    /// Opens an access point that takes no password, and returns when it sends beacons. Its address
    /// is 192.168.4.1.
    pub async fn open_access_point(&self, ssid: &str, channel: u8) {
        self.pause(|config| config.open).await;
        outside_firmware(|| {
            let ssid: Arc<str> = ssid.into();
            let before = self.0.radio.borrow_mut().opened.replace(ssid.clone());
            if let Some(before) = before {
                record(&self.0, AirEvent::Vanished(before));
            }
            record(&self.0, AirEvent::Appeared(AccessPoint { ssid, open: true, channel }));
        });
    }

    /// Looks for the network `ssid`, joins it and waits for an address. What the station was joined
    /// to it leaves first. A join that is given up half way may have been let in already.
    ///
    /// # Errors
    /// [`JoinError`], after the time that each failure takes.
    pub async fn join(&self, ssid: &str, password: Option<&str>) -> Result<Ipv4Addr, JoinError> {
        outside_firmware(|| leave(&self.0));
        let found = outside_firmware(|| {
            let radio = self.0.radio.borrow();
            let raised = radio.raised.as_ref().filter(|raised| raised.network.ssid == ssid)?;
            let wanted = raised.network.password.as_deref();
            Some((raised.number, wanted.is_some() && password.is_some(), wanted == password))
        });
        let Some((number, keys, welcome)) = found else {
            self.pause(|config| config.channel * CHANNELS).await;
            return Err(JoinError::NotFound);
        };
        self.pause(|config| config.channel * RIG_CHANNEL + config.associate).await;
        if keys {
            self.pause(|config| config.key_exchange).await;
        }
        if !welcome {
            self.pause(|config| config.key_refusal).await;
            return Err(JoinError::Refused);
        }
        let is_up = || self.0.radio.borrow().raised.as_ref().is_some_and(|raised| raised.number == number);
        if !is_up() {
            return Err(JoinError::Lost);
        }
        outside_firmware(|| {
            self.0.radio.borrow_mut().joined = Some(Joined { number, addressed: false });
            record(&self.0, AirEvent::Joined);
        });
        self.pause(|config| config.lease).await;
        if !is_up() {
            return Err(JoinError::Lost);
        }
        let address = Via::Station.device_address();
        outside_firmware(|| {
            self.0.radio.borrow_mut().joined = Some(Joined { number, addressed: true });
            record(&self.0, AirEvent::Addressed(address));
        });
        Ok(address)
    }

    /// Waits until the station is not joined, as far as it knows.
    pub async fn lost(&self) {
        poll_fn(|context| {
            outside_firmware(|| {
                cpu::note_call(&self.0);
                let mut radio = self.0.radio.borrow_mut();
                if radio.joined.is_none() {
                    return Poll::Ready(());
                }
                if !radio.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                    radio.wakers.push(context.waker().clone());
                }
                Poll::Pending
            })
        })
        .await;
    }

    async fn pause(&self, length: impl Fn(&RadioConfig) -> Duration) {
        let due = outside_firmware(|| {
            cpu::note_call(&self.0);
            self.0.now() + length(&self.0.radio.borrow().config)
        });
        poll_fn(|context| {
            outside_firmware(|| {
                if self.0.now() >= due {
                    return Poll::Ready(());
                }
                let waker = context.waker().clone();
                self.0.schedule_inside(due, move |_| waker.wake());
                Poll::Pending
            })
        })
        .await;
    }
}
