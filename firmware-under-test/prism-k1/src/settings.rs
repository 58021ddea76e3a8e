//! The settings in the `nvs` partition: Wi-Fi credentials and the number of boots.
//!
//! ESP-IDF's NVS is a wear-levelled map of keys to values in flash; here it is `sequential-storage`'s
//! map, with the keys of specification section 4. A power cut at any instant leaves the old or the
//! new value.

use core::fmt;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use embedded_storage_async::nor_flash as nor_async;
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};

use crate::partition::Partition;

/// Bytes of the longest network name (specification section 4).
pub const SSID_MAX: usize = 32;
/// Bytes of the longest password (specification section 4).
pub const PASSWORD_MAX: usize = 63;

/// Where the settings are when the partition table cannot tell: 0x9000, 24 KiB (seed section 2).
pub const DEFAULT_PARTITION: Partition = Partition { offset: 0x9000, size: 0x6000 };

/// Room for the longest item with its key, in whole words of any flash.
const SCRATCH_BYTES: usize = 128;

/// The keys. Their values are stored; never reuse one.
#[derive(Clone, Copy)]
enum Key {
    Ssid = 1,
    Password = 2,
    Configured = 3,
    Boots = 4,
}

/// The partition cannot be read or written, or is too small.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SettingsError;

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings storage failed")
    }
}

impl core::error::Error for SettingsError {}

/// What the device needs to join a network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// The network's name.
    pub ssid: heapless::String<SSID_MAX>,
    /// Empty for an open network.
    pub password: heapless::String<PASSWORD_MAX>,
}

/// A blocking flash behind the asynchronous traits: each call is done when it returns.
struct Blocking<F>(F);

impl<F: ErrorType> nor_async::ErrorType for Blocking<F> {
    type Error = F::Error;
}

impl<F: ReadNorFlash> nor_async::ReadNorFlash for Blocking<F> {
    const READ_SIZE: usize = F::READ_SIZE;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl<F: NorFlash> nor_async::NorFlash for Blocking<F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        self.0.erase(from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.write(offset, bytes)
    }
}

/// The opened settings.
pub struct Settings<F: NorFlash> {
    map: MapStorage<u8, Blocking<F>, Cache<Uncached, Uncached, Uncached, u8>>,
    scratch: [u8; SCRATCH_BYTES],
}

impl<F: NorFlash> Settings<F> {
    /// Opens the settings in `partition`. Nothing is read yet.
    ///
    /// # Errors
    ///
    /// When the partition has fewer than two sectors or does not lie on sector edges.
    pub fn open(flash: F, partition: Partition) -> Result<Self, SettingsError> {
        let end = partition.offset.checked_add(partition.size).ok_or(SettingsError)?;
        if usize::try_from(end).map_or(true, |end| end > flash.capacity()) {
            return Err(SettingsError);
        }
        let config = MapConfig::try_new(partition.offset..end).map_err(|_| SettingsError)?;
        Ok(Self {
            map: MapStorage::new(Blocking(flash), config, Cache::new_uncached()),
            scratch: [0; SCRATCH_BYTES],
        })
    }

    /// Reads the settings once and starts over with none when they are damaged beyond the map's own
    /// repair, as ESP-IDF's start-up code does with its NVS. True when it had to.
    ///
    /// # Errors
    ///
    /// When the flash fails.
    pub async fn repair(&mut self) -> Result<bool, SettingsError> {
        match self.map.fetch_item::<u32>(&mut self.scratch, &(Key::Boots as u8)).await {
            Ok(_) => Ok(false),
            Err(_) => self.map.erase_all().await.map(|()| true).map_err(|_| SettingsError),
        }
    }

    /// The stored credentials, if the device was ever given some.
    ///
    /// # Errors
    ///
    /// When the flash fails or an item has another type than its key says.
    pub async fn credentials(&mut self) -> Result<Option<Credentials>, SettingsError> {
        let configured = self.map.fetch_item::<u8>(&mut self.scratch, &(Key::Configured as u8)).await;
        if configured.map_err(|_| SettingsError)? != Some(1) {
            return Ok(None);
        }
        let ssid = self.text(Key::Ssid).await?.unwrap_or_default();
        let password = self.text(Key::Password).await?.unwrap_or_default();
        Ok((!ssid.is_empty()).then_some(Credentials { ssid, password }))
    }

    /// Stores credentials; the mark that they are complete comes last.
    ///
    /// # Errors
    ///
    /// When the flash fails or is full.
    pub async fn store_credentials(&mut self, credentials: &Credentials) -> Result<(), SettingsError> {
        self.store(Key::Configured, &0u8).await?;
        self.store(Key::Ssid, &credentials.ssid.as_bytes()).await?;
        self.store(Key::Password, &credentials.password.as_bytes()).await?;
        self.store(Key::Configured, &1u8).await
    }

    /// Counts this boot and says which one it is, from 1.
    ///
    /// # Errors
    ///
    /// When the flash fails or is full.
    pub async fn count_boot(&mut self) -> Result<u32, SettingsError> {
        let before = self.map.fetch_item::<u32>(&mut self.scratch, &(Key::Boots as u8)).await;
        let boots = before.map_err(|_| SettingsError)?.unwrap_or(0).saturating_add(1);
        self.store(Key::Boots, &boots).await?;
        Ok(boots)
    }

    async fn store<'v, V: sequential_storage::map::Value<'v>>(
        &mut self,
        key: Key,
        value: &V,
    ) -> Result<(), SettingsError> {
        self.map.store_item(&mut self.scratch, &(key as u8), value).await.map_err(|_| SettingsError)
    }

    async fn text<const N: usize>(&mut self, key: Key) -> Result<Option<heapless::String<N>>, SettingsError> {
        let bytes = self.map.fetch_item::<&[u8]>(&mut self.scratch, &(key as u8)).await;
        bytes
            .map_err(|_| SettingsError)?
            .map(|bytes| {
                let text = core::str::from_utf8(bytes).map_err(|_| SettingsError)?;
                heapless::String::try_from(text).map_err(|_| SettingsError)
            })
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::ram_flash::RamFlash;
    use crate::testing::run;

    fn open(flash: &RamFlash) -> Settings<RamFlash> {
        Settings::open(flash.clone(), DEFAULT_PARTITION).unwrap()
    }

    #[test]
    fn boots_are_counted_across_restarts_and_sector_changes() {
        let flash = RamFlash::new(0x10000);
        for boot in 1..=1500 {
            assert_eq!(run(open(&flash).count_boot()), Ok(boot));
        }
        assert!(flash.contents()[..0x9000].iter().all(|byte| *byte == 0xFF));
        assert!(flash.contents()[0xF000..].iter().all(|byte| *byte == 0xFF));
    }

    #[test]
    fn credentials_come_back() {
        let flash = RamFlash::new(0x10000);
        assert_eq!(run(open(&flash).credentials()), Ok(None));
        let credentials =
            Credentials { ssid: "caf\u{e9}".try_into().unwrap(), password: heapless::String::new() };
        run(open(&flash).store_credentials(&credentials)).unwrap();
        assert_eq!(run(open(&flash).credentials()), Ok(Some(credentials)));
    }

    #[test]
    fn a_damaged_partition_starts_over() {
        let flash = RamFlash::new(0x10000);
        flash.poke(0x9000, &[0x00; 0x6000]);
        let mut settings = open(&flash);
        run(settings.repair()).unwrap();
        assert_eq!(run(settings.count_boot()), Ok(1));
    }

    #[test]
    fn no_garbage_makes_it_panic_or_stay_broken() {
        let mut state = 0x9E37_79B9u32;
        for round in 0..300 {
            let flash = RamFlash::new(0x10000);
            let bytes: std::vec::Vec<u8> = (0..0x6000)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 17;
                    state ^= state << 5;
                    // Also mostly empty and mostly programmed sectors.
                    match round % 3 {
                        0 => state as u8,
                        1 if !state.is_multiple_of(64) => 0xFF,
                        2 if !state.is_multiple_of(64) => 0x00,
                        _ => (state >> 8) as u8,
                    }
                })
                .collect();
            flash.poke(0x9000, &bytes);
            let mut settings = open(&flash);
            run(settings.repair()).unwrap();
            let _ = run(settings.credentials());
            let _ = run(settings.count_boot());
        }
    }

    #[test]
    fn a_partition_out_of_place_is_refused() {
        let flash = RamFlash::new(0x10000);
        for (offset, size) in
            [(0x9000, 0x1000), (0x9001, 0x6000), (0xF000, 0x6000), (u32::MAX - 0xFFF, 0x6000)]
        {
            assert!(Settings::open(flash.clone(), Partition { offset, size }).is_err());
        }
    }
}
