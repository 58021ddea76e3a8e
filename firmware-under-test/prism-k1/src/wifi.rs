//! Wi-Fi: the setup access point, and the network that the device was told to join.
//!
//! The access point is open from the start for good. Beside it the station joins the network whose
//! credentials are in the settings, and whenever it loses it, or cannot find it, it tries again for
//! ever. Nothing here touches the servers: they serve both interfaces all the time.

use alloc::rc::Rc;
use core::cell::Cell;
use core::net::Ipv4Addr;

use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Timer};
use embedded_storage::nor_flash::NorFlash;
use firmware_platform::{AccessPoint, JoinError, Wifi};

use crate::defect::{self, Defect};
use crate::log::Log;
use crate::settings::{Credentials, Settings, SettingsError};

/// The setup access point (specification section 4).
pub const ACCESS_POINT: AccessPoint<'static> = AccessPoint { ssid: "PRISM-SETUP", channel: 1, stations: 4 };

/// Pauses before the next attempt to join; the last one repeats (specification section 4).
const PAUSES_S: [u64; 6] = [1, 2, 4, 8, 16, 30];

/// A handle to the station; clones share it. Servers and station are futures of the network task, so
/// no other task ever sees it.
#[derive(Clone, Default)]
pub struct Station(Rc<Inner>);

#[derive(Default)]
struct Inner {
    address: Cell<Option<Ipv4Addr>>,
    /// One who has credentials waits for the one before.
    turn: Mutex<NoopRawMutex, ()>,
    provided: Signal<NoopRawMutex, Credentials>,
    stored: Signal<NoopRawMutex, Result<(), SettingsError>>,
}

impl Station {
    /// The device's address in the joined network.
    #[must_use]
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.0.address.get()
    }

    /// Has `credentials` stored; the station then turns to that network.
    ///
    /// # Errors
    ///
    /// When they cannot be stored; the station goes on as before.
    pub async fn provide(&self, credentials: Credentials) -> Result<(), SettingsError> {
        let _turn = self.0.turn.lock().await;
        // What somebody who gave up has left.
        self.0.stored.reset();
        self.0.provided.signal(credentials);
        self.0.stored.wait().await
    }
}

/// The station's work, for ever. `known` is what the settings held at the start, and `beside` is
/// done for as long as the device has an address.
pub async fn run<W: Wifi, F: NorFlash>(
    station: Station,
    mut wifi: W,
    mut settings: Option<Settings<F>>,
    mut known: Option<Credentials>,
    log: Log,
    beside: impl AsyncFn(Ipv4Addr),
) {
    if defect::present(Defect::NoJoinAfterBoot) {
        known = None;
    }
    loop {
        let provided = station.0.provided.wait();
        let new = match &known {
            None => provided.await,
            Some(credentials) => {
                match select(provided, stay_joined(&station, &mut wifi, credentials, &log, &beside)).await {
                    Either::First(new) => new,
                    Either::Second(()) => continue,
                }
            }
        };
        station.0.address.set(None);
        let stored = match &mut settings {
            _ if defect::present(Defect::CredentialsForgotten) => Ok(()),
            _ if defect::present(Defect::FormOnce) && known.is_some() => Err(SettingsError),
            Some(settings) => settings.store_credentials(&new).await,
            None => Err(SettingsError),
        };
        match stored {
            Ok(()) if defect::present(Defect::JoinAfterRestart) => {}
            Ok(()) => known = Some(new),
            Err(error) => log.error("network", format_args!("Credentials not stored: {error}")),
        }
        station.0.stored.signal(stored);
    }
}

/// Joins the network of `credentials` again and again. Returns never.
async fn stay_joined<W: Wifi>(
    station: &Station,
    wifi: &mut W,
    credentials: &Credentials,
    log: &Log,
    beside: &impl AsyncFn(Ipv4Addr),
) {
    let password = Some(credentials.password.as_str()).filter(|password| !password.is_empty());
    let mut failures = 0;
    loop {
        log.info("network", format_args!("Connecting to '{}'...", credentials.ssid));
        let joined = if defect::present(Defect::OpenRefused) && password.is_none() {
            Err(JoinError::Refused)
        } else {
            wifi.join(&credentials.ssid, password).await
        };
        match joined {
            Ok(address) => {
                failures = 0;
                log.info("network", format_args!("Got IP: {address}"));
                station.0.address.set(Some(address));
                if defect::present(Defect::AccessPointRenamed) {
                    let _ = wifi.open(AccessPoint { ssid: "PRISM-K1", ..ACCESS_POINT }).await;
                }
                // What is done beside ends only if it cannot be done.
                let beside = async {
                    beside(address).await;
                    core::future::pending::<()>().await
                };
                select(wifi.lost(), beside).await;
                station.0.address.set(None);
                log.warning("network", format_args!("Disconnected from '{}'", credentials.ssid));
            }
            Err(error) => {
                log.warning("network", format_args!("Cannot join '{}': {error:?}", credentials.ssid))
            }
        }
        let pause = PAUSES_S[failures.min(PAUSES_S.len() - 1)];
        failures += 1;
        if defect::present(Defect::JoinGivesUp) && failures > 5 {
            log.error("network", format_args!("Max retries reached, staying disconnected"));
            core::future::pending::<()>().await;
        }
        log.info("network", format_args!("Next attempt in {pause} s"));
        Timer::after(Duration::from_secs(pause)).await;
    }
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;
    use std::string::String;
    use std::vec::Vec;

    use embassy_time::Instant;

    use super::*;
    use crate::settings::DEFAULT_PARTITION;
    use crate::storage::ram_flash::RamFlash;
    use crate::testing::run;

    /// When, the network and the password.
    type Attempt = (u64, String, Option<String>);

    /// Every attempt takes a second; the network is there from `from` until `until`.
    #[derive(Clone)]
    struct Air {
        from: u64,
        until: u64,
        attempts: Rc<RefCell<Vec<Attempt>>>,
    }

    impl Wifi for Air {
        async fn open(&mut self, _access_point: AccessPoint<'_>) -> bool {
            true
        }

        async fn join(&mut self, ssid: &str, password: Option<&str>) -> Result<Ipv4Addr, JoinError> {
            let now = Instant::now().as_secs();
            self.attempts.borrow_mut().push((now, ssid.into(), password.map(Into::into)));
            Timer::after_secs(1).await;
            let there = (self.from..self.until).contains(&Instant::now().as_secs());
            if there { Ok(Ipv4Addr::LOCALHOST) } else { Err(JoinError::NotFound) }
        }

        async fn lost(&mut self) {
            Timer::at(Instant::from_secs(self.until)).await;
        }
    }

    fn credentials(ssid: &str, password: &str) -> Credentials {
        Credentials { ssid: ssid.try_into().unwrap(), password: password.try_into().unwrap() }
    }

    fn on_air<R>(
        air: &Air,
        known: Option<Credentials>,
        flash: &RamFlash,
        test: impl AsyncFnOnce(Station) -> R,
    ) -> R {
        let station = Station::default();
        let settings = Settings::open(flash.clone(), DEFAULT_PARTITION).ok();
        run(async {
            let work = super::run(station.clone(), air.clone(), settings, known, Log::new(), async |_| ());
            match select(work, test(station.clone())).await {
                Either::First(()) => panic!("the station ended"),
                Either::Second(result) => result,
            }
        })
    }

    fn air(from: u64, until: u64) -> Air {
        Air { from, until, attempts: Rc::default() }
    }

    #[test]
    fn attempts_come_at_growing_distances_and_never_end() {
        let air = air(1_000_000, 1_000_001);
        on_air(&air, Some(credentials("home", "secret")), &RamFlash::new(0x10000), async |_| {
            Timer::after_secs(400).await;
        });
        let attempts = air.attempts.take();
        let pauses: Vec<u64> = attempts.windows(2).map(|pair| pair[1].0 - pair[0].0 - 1).collect();
        assert_eq!(pauses[..8], [1, 2, 4, 8, 16, 30, 30, 30]);
        assert!(pauses[8..].iter().all(|pause| *pause == 30) && pauses.len() > 12);
    }

    #[test]
    fn a_lost_network_is_tried_again_at_once() {
        let air = air(0, 100);
        on_air(&air, Some(credentials("home", "")), &RamFlash::new(0x10000), async |station| {
            Timer::after_secs(50).await;
            assert_eq!(station.address(), Some(Ipv4Addr::LOCALHOST));
            Timer::after_secs(52).await;
            assert_eq!(station.address(), None);
        });
        assert_eq!(*air.attempts.borrow(), [(0, "home".into(), None), (101, "home".into(), None)]);
    }

    #[test]
    fn new_credentials_are_stored_and_joined_at_once() {
        let (air, flash) = (air(0, 1000), RamFlash::new(0x10000));
        on_air(&air, None, &flash, async |station| {
            Timer::after_secs(10).await;
            assert_eq!(station.provide(credentials("home", "secret")).await, Ok(()));
            Timer::after_secs(10).await;
            assert_eq!(station.address(), Some(Ipv4Addr::LOCALHOST));
            // Also in the middle of a join.
            assert_eq!(station.provide(credentials("work", "")).await, Ok(()));
        });
        let attempts = air.attempts.take();
        assert_eq!(attempts[0], (10, "home".into(), Some("secret".into())));
        let mut settings = Settings::open(flash, DEFAULT_PARTITION).unwrap();
        assert_eq!(run(settings.credentials()), Ok(Some(credentials("work", ""))));
    }

    #[test]
    fn without_settings_nothing_is_promised() {
        let air = air(0, 1000);
        on_air(&air, None, &RamFlash::new(0x1000), async |station| {
            assert_eq!(station.provide(credentials("home", "")).await, Err(SettingsError));
            Timer::after_secs(10).await;
        });
        assert!(air.attempts.borrow().is_empty());
    }
}
