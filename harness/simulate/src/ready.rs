//! What scripts need to know of a simulation that runs.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::bridge::Door;

/// Where everything is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Whereabouts {
    /// The rig's name.
    pub rig: String,
    /// The firmware's version.
    pub firmware: String,
    /// The ports of the device's services.
    pub services: Vec<Service>,
    /// The console's pseudo-terminal, if it is on one.
    pub console: Option<PathBuf>,
    /// The address of the page, if there is one.
    pub view: Option<String>,
}

/// A TCP service of the device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Service {
    /// Its name in the rig file.
    pub name: String,
    /// Its port on the device.
    pub device_port: u16,
    /// The address on this machine.
    pub host: String,
    /// The port on this machine.
    pub port: u16,
}

impl From<&Door> for Service {
    fn from(door: &Door) -> Self {
        Service {
            name: door.service.clone(),
            device_port: door.device_port,
            host: door.address.ip().to_string(),
            port: door.address.port(),
        }
    }
}

impl Whereabouts {
    /// Writes them as JSON to `path`: all at once, for who waits for the file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn publish(&self, path: &Path) -> io::Result<()> {
        let mut name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
        name.push(".part");
        let part = path.with_file_name(name);
        let mut file = std::fs::File::create(&part)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        std::fs::rename(part, path)
    }

    /// For people.
    pub fn tell(&self, mut to: impl Write) -> io::Result<()> {
        writeln!(to, "{} runs firmware {}; Ctrl-C ends it", self.rig, self.firmware)?;
        for Service { name, device_port, host, port } in &self.services {
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            writeln!(to, "  service {name}: port {device_port} of the device is {host}:{port}")?;
        }
        if let Some(console) = &self.console {
            writeln!(to, "  console: {}", console.display())?;
        }
        if let Some(view) = &self.view {
            writeln!(to, "  view: {view}")?;
        }
        Ok(())
    }
}
