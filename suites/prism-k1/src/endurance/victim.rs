//! A device that is switched off in the middle of things, and what it holds afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::verdict::Blame;
use rigor_runner::need::{Clock, Console, Power};

use crate::kit::{self, LITTLEFS_ADDRESS, LITTLEFS_BLOCK_BYTES, LITTLEFS_BYTES, Storage};

/// First byte and bytes of the settings' partition (seed, section 2).
const NVS: (u32, u32) = (0x9000, 0x6000);

/// The supply is off for this long (our bound: any time will do for a chip without a memory of its
/// own).
const OFF: Duration = Duration::from_millis(100);

/// The device, with what it takes to switch it off and to look into its flash chip.
pub(super) struct Victim {
    pub(super) console: Console,
    pub(super) storage: Storage,
    pub(super) power: Power,
    pub(super) clock: Clock,
}

/// What the chip holds in the partitions that firmware writes to.
pub(super) struct Contents {
    settings: Vec<u8>,
    storage: Vec<u8>,
}

impl Contents {
    /// A device that was never on.
    pub(super) fn blank() -> Self {
        Contents { settings: vec![0xFF; NVS.1 as usize], storage: vec![0xFF; LITTLEFS_BYTES as usize] }
    }

    /// The same with no blank block in the storage, as after months of use: on a blank one a device
    /// may get by almost without erasing.
    pub(super) fn used(mut self) -> Self {
        for block in self.storage.chunks_mut(LITTLEFS_BLOCK_BYTES as usize) {
            if block.iter().all(|&byte| byte == 0xFF) {
                block.fill(0);
            }
        }
        self
    }
}

impl Victim {
    /// Switches the supply off now; when that was.
    pub(super) fn cut(&mut self) -> Result<Instant, Blame> {
        self.power.off()?;
        Ok(self.clock.now())
    }

    /// Switches the supply on again after a cut; when that was. What the device had said before is
    /// read over.
    pub(super) async fn switch_on(&mut self) -> Result<Instant, Blame> {
        self.clock.sleep(OFF).await;
        while self.console.next_line(self.clock.now()).await.is_some() {}
        self.power.on()?;
        Ok(self.clock.now())
    }

    /// Switches on and waits until the device has settled; when it was switched on.
    pub(super) async fn boot(&mut self) -> Result<Instant, Blame> {
        let on = self.switch_on().await?;
        kit::settled(&mut self.console).await?;
        Ok(on)
    }

    /// What the chip holds now.
    pub(super) fn contents(&self) -> Result<Contents, Blame> {
        Ok(Contents {
            settings: self.storage.chip().read(NVS.0, NVS.1)?,
            storage: self.storage.chip().read(LITTLEFS_ADDRESS, LITTLEFS_BYTES)?,
        })
    }

    /// Makes the chip hold `contents`, while the device is off.
    pub(super) fn restore(&self, contents: &Contents) -> Result<(), Blame> {
        self.storage.chip().write(NVS.0, &contents.settings)?;
        self.storage.chip().write(LITTLEFS_ADDRESS, &contents.storage)
    }

    /// The files that the chip holds; `None`, with the reason, if it holds no file system that can be
    /// read.
    pub(super) async fn files(&self) -> Result<Result<BTreeMap<String, Vec<u8>>, String>, Blame> {
        match self.storage.files().await {
            Ok(files) => Ok(Ok(files)),
            Err(Blame::Product(error)) => Ok(Err(error.to_string())),
            Err(other) => Err(other),
        }
    }
}

/// Paths of `files` that are not in `found`, or with other bytes.
pub(super) fn lost<'a>(
    files: impl IntoIterator<Item = (&'a String, &'a Vec<u8>)>,
    found: &BTreeMap<String, Vec<u8>>,
) -> Vec<String> {
    let kept = |(path, bytes): &(&String, &Vec<u8>)| found.get(*path) == Some(*bytes);
    files.into_iter().filter(|file| !kept(file)).map(|(path, _)| path.clone()).collect()
}
