//! The probes that are plugged in.

use std::fmt;
use std::sync::Once;

use probe_rs::probe::list::{Accessibility, Lister};
use probe_rs::probe::{DebugProbeError, DebugProbeInfo, Probe, ProbeCreationError};

use crate::error::{ProbeError, words};

/// A probe that is plugged in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// What it calls itself.
    pub name: String,
    /// Who made it, as USB numbers them.
    pub vendor: u16,
    /// Which product of theirs it is.
    pub product: u16,
    /// By which it differs from others of its kind.
    pub serial: Option<String>,
    /// Whether this process may open it.
    pub is_ours: bool,
}

/// Which probe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Which {
    /// The one that is plugged in.
    Only,
    /// The one with this serial number on USB.
    Serial(String),
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Only => f.write_str("at all"),
            // It comes from a command line or a file, and goes to a terminal.
            Which::Serial(serial) => write!(f, "\"{}\"", serial.escape_debug()),
        }
    }
}

/// Tells the library of Espressif's chips and of the probe in them; it wants to hear of them once.
pub(crate) fn know_espressif() {
    static TOLD: Once = Once::new();
    TOLD.call_once(probe_rs_espressif::register_plugin);
}

/// The probes that are plugged in, in the order in which the system lists them. Opens none.
pub fn list() -> Vec<Found> {
    know_espressif();
    let items = Lister::new().list_all_with_access();
    let found = |item: &probe_rs::probe::list::ProbeListItem| Found {
        name: item.info.identifier.clone(),
        vendor: item.info.vendor_id,
        product: item.info.product_id,
        serial: item.info.serial_number.clone(),
        is_ours: item.accessibility == Accessibility::Accessible,
    };
    items.iter().map(found).collect()
}

/// Opens the probe that `which` names.
pub(crate) fn open(which: &Which) -> Result<Probe, ProbeError> {
    know_espressif();
    let all = Lister::new().list_all();
    let info = choose(
        &all,
        which,
        |info| info.serial_number.as_deref(),
        |info: &DebugProbeInfo| {
            format!(
                "{} {}",
                info.identifier,
                info.serial_number.as_deref().unwrap_or("without a serial number")
            )
        },
    )?;
    info.open().map_err(|error| match error {
        DebugProbeError::ProbeCouldNotBeCreated(ProbeCreationError::CouldNotOpen) => {
            ProbeError::Forbidden { which: which.to_string() }
        }
        error => ProbeError::Failed { doing: format!("opening {which}"), reason: words(&error) },
    })
}

/// The one of `all` that `which` names.
fn choose<'a, T>(
    all: &'a [T],
    which: &Which,
    serial: impl Fn(&T) -> Option<&str>,
    name: impl Fn(&T) -> String,
) -> Result<&'a T, ProbeError> {
    let fits = |item: &&T| match which {
        Which::Only => true,
        Which::Serial(wanted) => serial(item) == Some(wanted.as_str()),
    };
    match all.iter().filter(fits).collect::<Vec<_>>().as_slice() {
        [] => Err(ProbeError::Absent { which: which.to_string() }),
        [one] => Ok(one),
        several => Err(ProbeError::Several { found: several.iter().map(|item| name(item)).collect() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(all: &[&str], which: Which) -> Result<String, ProbeError> {
        choose(all, &which, |serial| Some(*serial), |serial| format!("probe {serial}"))
            .map(|one| one.to_string())
    }

    #[test]
    fn the_only_probe_needs_no_name() {
        assert_eq!(chosen(&["a"], Which::Only), Ok("a".to_owned()));
    }

    #[test]
    fn among_several_one_has_to_be_named() {
        let error = chosen(&["a", "b"], Which::Only).unwrap_err();
        assert_eq!(
            error.to_string(),
            "2 debug probes are plugged in (probe a, probe b); say which by its serial number"
        );
        assert_eq!(chosen(&["a", "b"], Which::Serial("b".to_owned())), Ok("b".to_owned()));
    }

    #[test]
    fn a_probe_that_is_not_there_is_missed_by_its_name() {
        let error = chosen(&["a"], Which::Serial("b\n".to_owned())).unwrap_err();
        assert!(error.to_string().starts_with("no debug probe \"b\\n\" is plugged in;"), "{error}");
        let error = chosen(&[], Which::Only).unwrap_err();
        assert!(error.to_string().starts_with("no debug probe at all is plugged in;"), "{error}");
    }
}
