//! What switches the board's supply.

use rigor_controller::message::{Drive, Wire};

use super::controller::Controller;
use super::error::BenchError;
use crate::file::bench::PowerVia;
use crate::instrument::hub::HubPort;

/// The switch.
#[derive(Clone, Debug)]
pub(super) enum Supply {
    /// The controller's.
    Controller,
    /// That of a USB hub's port.
    Hub(HubPort),
}

impl Supply {
    /// As a rig file says it.
    pub(super) fn of(via: &PowerVia) -> Self {
        match via {
            PowerVia::Controller => Supply::Controller,
            PowerVia::Hub { hub, port } => Supply::Hub(HubPort::new(hub, *port)),
        }
    }

    /// Switches it on or off. A hub takes seconds.
    pub(super) fn switch(&self, on: bool, controller: Option<&mut Controller>) -> Result<(), BenchError> {
        match (self, on) {
            (Supply::Hub(port), true) => Ok(port.switch_on()?),
            (Supply::Hub(port), false) => Ok(port.switch_off()?),
            (Supply::Controller, on) => {
                let none = || BenchError::Other("the rig file names no [controller]; add it".to_owned());
                let drive = if on { Drive::High } else { Drive::Low };
                controller.ok_or_else(none)?.drive(Wire::Power, drive).map(|_| ())
            }
        }
    }
}
