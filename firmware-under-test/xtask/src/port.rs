//! Where things are.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::error::TaskError;

/// What the compiler makes code for where nothing else is said: QEMU's machine `virt`.
pub(crate) const TARGET: &str = "riscv32imac-unknown-none-elf";

/// The chips that firmware is built for here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Chip {
    /// QEMU's RISC-V machine `virt`
    QemuVirt,
    /// ESP32-C3
    Esp32c3,
    /// ESP32-C6
    Esp32c6,
}

/// Whether the firmware drives the chip's radio.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Radio {
    /// No: its driver is not in the image.
    Absent,
    /// Yes.
    Driven,
}

/// Which of the images of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Variant {
    /// The one that the suite judges: with defects on demand, and with a path that sends messages back.
    Suite,
    /// The one that would be shipped.
    Release,
}

impl Variant {
    pub(crate) const ALL: [Variant; 2] = [Variant::Suite, Variant::Release];
}

/// Firmware for a chip: a workspace of its own.
pub(crate) struct Port {
    root: PathBuf,
    /// Its folder in the repository.
    folder: &'static str,
    /// The name of its images.
    name: &'static str,
    /// What the compiler makes code for.
    pub(crate) target: &'static str,
    /// Features beside those that every image of the port has.
    pub(crate) features: &'static [&'static str],
    /// The package in it that has the binary.
    pub(crate) package: &'static str,
    /// The binary.
    pub(crate) binary: &'static str,
}

impl Port {
    /// PRISM K1 for `chip`, with the radio's driver in it or without.
    ///
    /// # Errors
    /// [`TaskError::NoRadio`] if the chip has none.
    pub(crate) fn of_chip(chip: Chip, radio: Radio) -> Result<Self, TaskError> {
        /// ESP32-C3 has no atomic operations.
        const WITHOUT_ATOMICS: &str = "riscv32imc-unknown-none-elf";
        let root = repository();
        match (chip, radio) {
            (Chip::QemuVirt, Radio::Absent) => Ok(Port::qemu_virt(&root)),
            (Chip::QemuVirt, Radio::Driven) => Err(TaskError::NoRadio),
            (Chip::Esp32c3, Radio::Absent) => {
                Ok(Port::esp32(&root, "esp32c3", WITHOUT_ATOMICS, &["esp32c3"]))
            }
            (Chip::Esp32c3, Radio::Driven) => {
                Ok(Port::esp32(&root, "esp32c3-wifi", WITHOUT_ATOMICS, &["esp32c3", "wifi"]))
            }
            (Chip::Esp32c6, Radio::Absent) => Ok(Port::esp32(&root, "esp32c6", TARGET, &["esp32c6"])),
            (Chip::Esp32c6, Radio::Driven) => {
                Ok(Port::esp32(&root, "esp32c6-wifi", TARGET, &["esp32c6", "wifi"]))
            }
        }
    }

    /// The firmware of the bench controller, which is no port of anything.
    pub(crate) fn of_controller() -> Self {
        Port {
            root: repository(),
            folder: "rigs/controller",
            name: "rp2040",
            target: "thumbv6m-none-eabi",
            features: &[],
            package: "rigor-bench-controller",
            binary: "bench-controller",
        }
    }

    /// The port for QEMU's machine.
    pub(crate) fn qemu_virt(root: &Path) -> Self {
        Port {
            root: root.to_owned(),
            folder: "firmware-under-test/ports/qemu-virt",
            name: "qemu-virt",
            target: TARGET,
            features: &[],
            package: "firmware-qemu-virt",
            binary: "prism-k1",
        }
    }

    /// The port for Espressif's chips, for one of them.
    fn esp32(
        root: &Path,
        name: &'static str,
        target: &'static str,
        features: &'static [&'static str],
    ) -> Self {
        let folder = "firmware-under-test/ports/esp32";
        Port { folder, name, target, features, package: "firmware-esp32", ..Port::qemu_virt(root) }
    }

    /// The repository.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The workspace.
    pub(crate) fn folder(&self) -> PathBuf {
        self.root.join(self.folder)
    }

    /// What cargo builds for chips. Not where `CARGO_TARGET_DIR` says: rig files name images by their
    /// paths in the repository.
    pub(crate) fn target(&self) -> PathBuf {
        self.root.join("target/firmware")
    }

    /// The libraries of compilers that came without.
    pub(crate) fn sysroots(&self) -> PathBuf {
        self.root.join("target/firmware-sysroot")
    }

    /// Where rig files expect an image.
    pub(crate) fn image(&self, variant: Variant) -> PathBuf {
        let suffix = match variant {
            Variant::Suite => "",
            Variant::Release => "-release",
        };
        self.target().join("images").join(format!("{}-{}{suffix}.elf", self.binary, self.name))
    }

    /// What cargo leaves when it has built the binary.
    pub(crate) fn artefact(&self) -> PathBuf {
        self.target().join(self.target).join("release").join(self.binary)
    }

    /// The binary that counts what the firmware's computing takes.
    pub(crate) const COUNTING_BINARY: &str = "costs";

    /// What cargo leaves when it has built that one.
    pub(crate) fn counting_image(&self) -> PathBuf {
        self.target().join(self.target).join("release").join(Self::COUNTING_BINARY)
    }

    /// What the image depends on besides the sources that cargo lists.
    pub(crate) fn manifests(&self) -> Vec<PathBuf> {
        let own = ["Cargo.toml", "Cargo.lock", ".cargo/config.toml"].map(|name| self.folder().join(name));
        own.into_iter().chain([self.root.join("Cargo.toml")]).filter(|path| path.exists()).collect()
    }
}

/// Where the repository is. Cargo says where it found this package; a binary that was started by hand was built there.
fn repository() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).ancestors().nth(2).unwrap_or(Path::new(".")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_with_the_radio_is_another_one() {
        let [without, with] = [Radio::Absent, Radio::Driven].map(|radio| {
            let port = Port::of_chip(Chip::Esp32c6, radio).unwrap();
            (port.image(Variant::Suite), port.features)
        });
        assert!(without.0.ends_with("prism-k1-esp32c6.elf") && with.0.ends_with("prism-k1-esp32c6-wifi.elf"));
        assert_eq!((without.1, with.1), (&["esp32c6"][..], &["esp32c6", "wifi"][..]));
    }

    #[test]
    fn an_emulated_machine_has_no_radio() {
        let error = Port::of_chip(Chip::QemuVirt, Radio::Driven).err().unwrap().to_string();
        assert!(error.contains("--chip"), "{error}");
    }

    #[test]
    fn images_are_where_rig_files_name_them() {
        let port = Port::qemu_virt(Path::new("/w"));
        let [suite, release] = Variant::ALL.map(|variant| port.image(variant));
        assert_eq!(suite, Path::new("/w/target/firmware/images/prism-k1-qemu-virt.elf"));
        assert_eq!(release, Path::new("/w/target/firmware/images/prism-k1-qemu-virt-release.elf"));
    }
}
