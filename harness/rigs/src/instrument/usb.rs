//! A USB device, made to appear anew: as if it had been pulled and plugged in again, except for its supply.
//!
//! `USBDEVFS_RESET` of Linux (`Documentation/driver-api/usb/usb.rst`) resets its port and reads its descriptors again, and
//! its drivers bind again. The device file in `/dev/bus/usb` has to be writable.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use rustix::ioctl::{NoArg, ioctl};

/// `_IO('U', 20)` of `linux/usbdevice_fs.h`.
const USBDEVFS_RESET: rustix::ioctl::Opcode = 0x5514;

/// Why a device does not appear anew.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UsbError {
    /// It may not be asked to.
    #[error(
        "{} may not be written to; give its group the right in a udev rule (SUBSYSTEM==\"usb\", MODE=\"0660\", \
         GROUP=\"plugdev\")", path.display()
    )]
    Forbidden {
        /// The device file.
        path: PathBuf,
    },
    /// It did not do it.
    #[error("{}: the USB device does not reset: {reason}; plug it in again", path.display())]
    Refused {
        /// The device file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

/// Makes the device at `path`, such as `/dev/bus/usb/001/004`, appear anew. Its ports vanish and come back meanwhile.
///
/// # Errors
/// [`UsbError`] if it may not be asked, or does not do it.
pub fn re_enumerate(path: &Path) -> Result<(), UsbError> {
    let file = OpenOptions::new().write(true).open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => UsbError::Forbidden { path: path.to_owned() },
        _ => UsbError::Refused { path: path.to_owned(), reason: error.to_string() },
    })?;
    // SAFETY: USBDEVFS_RESET takes no argument (linux/usbdevice_fs.h).
    let reset = unsafe { ioctl(&file, NoArg::<USBDEVFS_RESET>::new()) };
    reset.map_err(|error| UsbError::Refused { path: path.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_usb_device_does_not_reset_and_says_so() {
        let told = re_enumerate(Path::new("/dev/null")).expect_err("it is none").to_string();
        assert!(
            told.starts_with("/dev/null: the USB device does not reset: ") && told.contains("plug it in"),
            "{told}"
        );
        let told = re_enumerate(Path::new("/dev/bus/usb/999/999")).expect_err("there is none").to_string();
        assert!(told.contains("/dev/bus/usb/999/999"), "{told}");
    }
}
