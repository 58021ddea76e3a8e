//! The radio as the firmware's Wi-Fi: what ESP-IDF calls `WIFI_MODE_APSTA`, by esp-radio's controller.
//!
//! The driver gives the access point up when it is given a configuration of the station that it does not take.
//! So nothing is given to it that cannot be, the station is always at rest when it is configured, and if it goes
//! wrong nevertheless the access point is opened again.

use core::net::Ipv4Addr;
use core::ops::RangeInclusive;

use embassy_futures::select::{select, select3};
use embassy_net::{ConfigV4, DhcpConfig, Stack};
use embassy_time::{Duration, Timer, with_timeout};
use esp_alloc::HEAP;
use esp_hal::peripherals::WIFI;
use esp_radio::wifi::ap::AccessPointConfig;
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{
    AuthenticationMethodConfig, Config, ConnectionError, ControllerConfig, DisconnectReason, WifiController,
};
use firmware_platform::{AccessPoint, JoinError};

/// Bytes of free heap without which the radio is not started: 62 KiB are its own (esp-radio's documentation has 53
/// to 63), and 126 KiB are what the firmware takes after it until everything runs (measured on QEMU, and two KiB
/// for each of its stacks). A device without a network is better than one that starts again and again.
const NEEDED_BYTES: usize = 188 * 1024;
/// Frames that the driver keeps, each of 1.6 KB at most: those that the hardware receives into, which are taken
/// at the start, and copies that are made of them and of what is sent. ESP-IDF has 10 and 32.
const RECEIVE_BUFFERS: u8 = 6;
const COPIES: u16 = 12;
/// How long a station may take to leave what it is joined to; the driver itself says it at once.
const LEAVE: Duration = Duration::from_secs(2);
/// How long it may look for a network, join it and exchange keys. The driver gives up by itself after a scan of
/// all channels (2 s), and four seconds for each of authentication, association and handshake.
const JOIN: Duration = Duration::from_secs(20);
/// How long it may wait for an address: four attempts of DHCP, at growing distances.
const ADDRESS: Duration = Duration::from_secs(30);
/// How often the address is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Characters of a password of WPA2 (IEEE 802.11 annex J.4): fewer or more are none.
const PASSWORD_CHARACTERS: RangeInclusive<usize> = 8..=63;

/// The radio.
pub struct Wifi {
    device: Option<WIFI<'static>>,
    open: Option<Open>,
    station: Stack<'static>,
}

/// What there is since the access point was opened.
struct Open {
    controller: WifiController<'static>,
    access_point: AccessPointConfig,
}

impl Wifi {
    /// A radio that is silent yet. `station` is the stack behind its station.
    pub fn new(device: WIFI<'static>, station: Stack<'static>) -> Self {
        Wifi { device: Some(device), open: None, station }
    }

    /// Starts the radio with `config`, if there is memory for it.
    fn start(&mut self, config: &Config) -> Option<WifiController<'static>> {
        if HEAP.free() < NEEDED_BYTES {
            return None;
        }
        let config = ControllerConfig::default()
            .with_initial_config(config.clone())
            .with_static_rx_buf_num(RECEIVE_BUFFERS)
            .with_dynamic_rx_buf_num(COPIES)
            .with_dynamic_tx_buf_num(COPIES);
        WifiController::new(self.device.take()?, config).ok()
    }
}

/// The address that the stack behind the station has.
fn address_of(station: Stack<'_>) -> Option<Ipv4Addr> {
    station.config_v4().map(|config| config.address.address())
}

impl Open {
    /// Leaves whatever the station is joined to, or joining.
    async fn leave(&mut self) -> Result<(), JoinError> {
        // An error means that it is joined to nothing.
        match with_timeout(LEAVE, self.controller.disconnect_async()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(JoinError::Failed),
        }
    }

    /// Sets the station, and opens the access point anew if that has closed it.
    fn configure(&mut self, station: StationConfig) -> Result<(), JoinError> {
        let config = Config::AccessPointStation(station, self.access_point.clone());
        self.controller.set_config(&config).map_err(|_| {
            let config = Config::AccessPointStation(StationConfig::default(), self.access_point.clone());
            // Once more would be no use.
            let _ = self.controller.set_config(&config);
            JoinError::Failed
        })
    }

    /// Joins the network that the station is set to.
    async fn connect(&mut self) -> Result<(), JoinError> {
        match with_timeout(JOIN, self.controller.connect_async()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(ConnectionError::Failed(about))) => Err(why(about.reason)),
            Ok(Err(_)) | Err(_) => Err(JoinError::Failed),
        }
    }
}

/// What the driver's reason means for somebody who wants to join.
fn why(reason: DisconnectReason) -> JoinError {
    match reason {
        DisconnectReason::NoAccessPointFound => JoinError::NotFound,
        DisconnectReason::NoAccessPointFoundInAuthmodeThreshold
        | DisconnectReason::NoAccessPointFoundWithCompatibleSecurity
        | DisconnectReason::AuthenticationFailed
        | DisconnectReason::AuthenticationExpired
        | DisconnectReason::FourWayHandshakeTimeout
        | DisconnectReason::HandshakeTimeout
        | DisconnectReason::MicFailure => JoinError::Refused,
        _ => JoinError::Failed,
    }
}

/// The station's configuration for a network, or why there is none.
fn station(ssid: &str, password: Option<&str>) -> Result<StationConfig, JoinError> {
    let authentication = match password {
        None => AuthenticationMethodConfig::Open,
        Some(password) if PASSWORD_CHARACTERS.contains(&password.len()) => {
            AuthenticationMethodConfig::Wpa2Personal(password.try_into().map_err(|_| JoinError::Refused)?)
        }
        Some(_) => return Err(JoinError::Refused),
    };
    let ssid = ssid.try_into().map_err(|_| JoinError::NotFound)?;
    Ok(StationConfig::default().with_ssid(ssid).with_authentication(authentication))
}

impl firmware_platform::Wifi for Wifi {
    async fn open(&mut self, access_point: AccessPoint<'_>) -> bool {
        let AccessPoint { ssid, channel, stations } = access_point;
        let Ok(ssid) = ssid.try_into() else { return false };
        let access_point = AccessPointConfig::default()
            .with_ssid(ssid)
            .with_channel(channel)
            .with_max_connections(stations.into());
        let config = Config::AccessPointStation(StationConfig::default(), access_point.clone());
        match &mut self.open {
            // The driver begins to send beacons before it says that it was configured.
            None => {
                let Some(controller) = self.start(&config) else { return false };
                self.open = Some(Open { controller, access_point });
                true
            }
            Some(open) => {
                open.access_point = access_point;
                open.leave().await.is_ok() && open.controller.set_config(&config).is_ok()
            }
        }
    }

    async fn join(&mut self, ssid: &str, password: Option<&str>) -> Result<Ipv4Addr, JoinError> {
        let stack = self.station;
        let open = self.open.as_mut().ok_or(JoinError::Failed)?;
        open.leave().await?;
        // It asks as soon as there is a network. The address of the one before must not pass for one of this.
        stack.set_config_v4(ConfigV4::Dhcp(DhcpConfig::default()));
        open.configure(station(ssid, password)?)?;
        let joined = match open.connect().await {
            Ok(()) => {
                let lost = open.controller.wait_for_disconnect_async();
                select3(stack.wait_config_up(), lost, Timer::after(ADDRESS)).await;
                address_of(stack).ok_or(JoinError::Failed)
            }
            Err(error) => Err(error),
        };
        if joined.is_err() {
            // It might still try.
            let _ = open.leave().await;
        }
        joined
    }

    async fn lost(&mut self) {
        let Some(Open { controller, .. }) = &self.open else { return };
        let before = address_of(self.station);
        // Also when the network has taken the address back, or given another: nobody could be reached there.
        let moved = async {
            while before.is_some() && address_of(self.station) == before {
                Timer::after(LOOK).await;
            }
        };
        select(controller.wait_for_disconnect_async(), moved).await;
    }
}
