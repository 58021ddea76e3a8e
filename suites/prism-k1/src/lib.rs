//! PRISM K1: an ESP32-S3 controller of 320 WS2812B pixels that takes patterns over WebSocket.
//!
//! `requirements.toml` is the specification; each module holds the cases of one group of it. What
//! the cases share is in [`kit`] and in the modules of the formats that the device speaks ([`tlv`],
//! [`pattern`], [`p11`], [`partitions`], [`report`], [`status`], [`list`], [`light`]), which are
//! written from the specification and know nothing of the firmware's own code.

pub mod http;
pub mod kit;
pub mod light;
pub mod list;
pub mod p11;
pub mod partitions;
pub mod pattern;
pub mod report;
pub mod status;
pub mod tlv;

mod control;
mod dissect;
mod endurance;
mod flash;
mod format;
mod leds;
mod memory;
mod net;
mod rows;
mod system;
mod tasks;
mod upload;
mod wifi;

use rigor_core::requirement::Catalogue;
use rigor_core::result::Memory;
use rigor_rigs::FaultList;
use rigor_runner::{Suite, SuiteError};

/// The catalogue's text.
pub const REQUIREMENTS: &str = include_str!("../requirements.toml");

/// The text of the list of faults.
pub const FAULTS: &str = include_str!("../faults.toml");

/// The requirements of PRISM K1 and the cases that decide them.
///
/// # Errors
/// [`SuiteError`] if the catalogue or the list of faults that this crate was built with is malformed.
pub fn suite() -> Result<Suite, SuiteError> {
    let mut suite = Suite::new(Catalogue::parse(REQUIREMENTS, "suites/prism-k1/requirements.toml")?)
        .with_faults(FaultList::parse("suites/prism-k1/faults.toml", FAULTS)?)
        .with_dissector(dissect::dissect)
        .with_readings(report::reading)
        .with_limit(Memory::Flash, "K1-OTA-003");
    for (task, id) in tasks::stacks() {
        suite = suite.with_limit(Memory::Stack(task.to_owned()), id);
    }
    system::add_to(&mut suite);
    flash::add_to(&mut suite);
    memory::add_to(&mut suite);
    leds::add_to(&mut suite);
    tasks::add_to(&mut suite);
    net::add_to(&mut suite);
    net::conform(&mut suite)?;
    upload::add_to(&mut suite);
    control::add_to(&mut suite);
    format::add_to(&mut suite);
    endurance::add_to(&mut suite);
    wifi::add_to(&mut suite);
    Ok(suite)
}
