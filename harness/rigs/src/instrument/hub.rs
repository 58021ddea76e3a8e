//! The supply of a board, switched by the USB hub that it hangs on.
//!
//! Few hubs can: those that `uhubctl` lists as `ppps` (per-port power switching). It is asked to switch and then asked
//! again, because hubs are known to say that they did and do not.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::tool::{Tool, ToolError};

/// It waits a moment by itself, and USB controllers take theirs.
const LIMIT: Duration = Duration::from_secs(20);

/// A port of a hub that switches its ports' supply.
#[derive(Clone, Debug)]
pub struct HubPort {
    tool: Tool,
    hub: String,
    port: u8,
}

impl HubPort {
    /// Port `port`, from 1, of the hub that the kernel calls `hub`: `1-1`, or `1-1.4`.
    pub fn new(hub: &str, port: u8) -> Self {
        Self::by("uhubctl", hub, port)
    }

    /// The same by another program of the same command line.
    pub fn by(program: impl Into<PathBuf>, hub: &str, port: u8) -> Self {
        let tool = Tool {
            program: program.into().into_os_string(),
            package: "uhubctl",
            remedy: "plain `uhubctl` lists hubs that can switch; to use them without being root it has udev rules",
            limit: LIMIT,
        };
        HubPort { tool, hub: hub.to_owned(), port }
    }

    /// Switches the supply on.
    ///
    /// # Errors
    /// [`ToolError`] if there is no such hub, it cannot, or it says afterwards that the port is off.
    pub fn switch_on(&self) -> Result<(), ToolError> {
        self.switch("on", true)
    }

    /// Switches the supply off.
    ///
    /// # Errors
    /// [`ToolError`] if there is no such hub, it cannot, or it says afterwards that the port is on.
    pub fn switch_off(&self) -> Result<(), ToolError> {
        self.switch("off", false)
    }

    /// Whether the port has power now.
    ///
    /// # Errors
    /// [`ToolError`] if there is no such hub, it cannot switch, or it has no such port.
    pub fn is_on(&self) -> Result<bool, ToolError> {
        let look: Vec<OsString> = ["-l", &self.hub, "-p", &self.port.to_string()].map(OsString::from).into();
        let said = self.tool.run(&look)?;
        let unknown = || self.tool.refused(&look, &format!("it says nothing of port {}: {said}", self.port));
        has_power(&said, self.port).ok_or_else(unknown)
    }

    fn switch(&self, action: &str, wanted: bool) -> Result<(), ToolError> {
        let switch: Vec<OsString> =
            ["-l", &self.hub, "-p", &self.port.to_string(), "-a", action].map(OsString::from).into();
        self.tool.run(&switch)?;
        if self.is_on()? == wanted {
            return Ok(());
        }
        Err(self.tool.refused(&switch, &format!("the port is not {action} afterwards")))
    }
}

/// Whether a port has power, by the bits that the hub reports of it: `  Port 2: 0103 power enable connect`. A hub of
/// USB 3 is two, and its port is off only if it is off in both.
fn has_power(said: &str, port: u8) -> Option<bool> {
    let label = format!("Port {port}:");
    let lines = said.lines().filter_map(|line| line.trim_start().strip_prefix(&label));
    lines.map(|bits| bits.split_whitespace().any(|word| word == "power")).reduce(|one, other| one || other)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    /// A folder in which there is `uhubctl`, which is none, or a liar.
    struct StandIn(tempfile::TempDir);

    impl StandIn {
        fn new(name: &str) -> Self {
            let folder = tempfile::Builder::new().prefix(name).tempdir().expect("a folder");
            let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand-ins/uhubctl");
            symlink(program, folder.path().join("uhubctl")).expect("a link");
            StandIn(folder)
        }

        fn hub(&self, hub: &str, port: u8) -> HubPort {
            HubPort::by(self.0.path().join("uhubctl"), hub, port)
        }

        fn calls(&self) -> String {
            fs::read_to_string(self.0.path().join("calls")).unwrap_or_default()
        }
    }

    #[test]
    fn a_port_is_switched_and_looked_at() {
        let stand_in = StandIn::new("well");
        assert_eq!(stand_in.hub("1-1", 2).switch_off(), Ok(()));
        assert_eq!(stand_in.hub("1-1", 2).switch_on(), Ok(()));
        let calls = "-l 1-1 -p 2 -a off\n-l 1-1 -p 2\n-l 1-1 -p 2 -a on\n-l 1-1 -p 2\n";
        assert_eq!(stand_in.calls(), calls);
    }

    #[test]
    fn a_hub_that_only_says_so_is_found_out() {
        let stand_in = StandIn::new("liar");
        let error = stand_in.hub("1-1", 2).switch_off().expect_err("it is still on").to_string();
        assert!(error.contains("the port is not off afterwards"), "{error}");
        assert_eq!(stand_in.hub("1-1", 2).switch_on(), Ok(()), "it was never off");
        let error = stand_in.hub("1-1", 3).switch_on().expect_err("there is none").to_string();
        assert!(error.contains("it says nothing of port 3"), "{error}");
    }

    #[test]
    fn a_hub_that_is_not_there_is_told_with_the_remedy() {
        let stand_in = StandIn::new("away");
        let error = stand_in.hub("7-1", 2).switch_on().expect_err("there is none").to_string();
        assert!(
            error.contains("No compatible devices detected at location 7-1") && error.contains("udev rules"),
            "{error}"
        );
    }

    #[test]
    fn a_hub_of_usb_3_is_off_only_if_both_of_it_are() {
        let both = "Current status for hub 2-1 [USB 3.20, ppps]\n  Port 2: 0203 power 5gbps U0 enable\n\
                    Current status for hub 1-1 [USB 2.10, ppps]\n  Port 2: 0000 off\n  Port 12: 0103 power\n";
        assert_eq!(has_power(both, 2), Some(true));
        assert_eq!(has_power(&both.replace("0203 power 5gbps U0 enable", "0080 off"), 2), Some(false));
        assert_eq!(has_power(both, 1), None, "port 12 is not port 1");
    }
}
