//! What can be done with a port.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

use crate::compiler::{Compiler, Places};
use crate::error::TaskError;
use crate::image;
use crate::port::{Port, Variant};
use crate::sysroot::{lock, run};

/// What all of it has in common.
pub(crate) struct Options {
    /// Which image it is about.
    pub(crate) variant: Variant,
    /// Whether the lock file must stay as it is.
    pub(crate) locked: bool,
}

/// Builds the image.
pub(crate) fn build(port: &Port, options: &Options) -> Result<(), TaskError> {
    let mut command = cargo(port, "build", options)?;
    command.args(["--package", port.package, "--bin", port.binary]);
    let target = port.target();
    fs::create_dir_all(&target).map_err(TaskError::io("make the folder", &target))?;
    // Both variants leave their image at the same place, until it is delivered.
    let _lock = lock(&target.join("lock"), "an image")?;
    let begun = SystemTime::now();
    run(&mut command, "building the firmware")?;
    image::tell(&image::deliver(port, options.variant, begun)?);
    Ok(())
}

/// Builds the image that counts; where it is. Whoever calls holds the lock.
pub(crate) fn build_counting_image(port: &Port, options: &Options) -> Result<PathBuf, TaskError> {
    let mut command = cargo(port, "build", options)?;
    command.args(["--package", port.package, "--bin", Port::COUNTING_BINARY]);
    run(&mut command, "building the image that counts")?;
    Ok(port.counting_image())
}

/// Sees whether the port compiles.
pub(crate) fn check(port: &Port, options: &Options) -> Result<(), TaskError> {
    run(cargo(port, "check", options)?.arg("--workspace"), "checking the firmware")
}

/// Runs clippy on the port.
pub(crate) fn clippy(port: &Port, options: &Options) -> Result<(), TaskError> {
    let mut command = cargo(port, "clippy", options)?;
    run(command.args(["--workspace", "--", "-D", "warnings"]), "clippy on the firmware")
}

/// Makes the port's reference.
pub(crate) fn doc(port: &Port, options: &Options) -> Result<(), TaskError> {
    let mut command = cargo(port, "doc", options)?;
    command.args(["--workspace", "--no-deps", "--document-private-items", "--config"]);
    command.arg(format!("target.{}.rustdocflags=[\"-Dwarnings\"]", port.target));
    run(&mut command, "rustdoc on the firmware")
}

/// Tells which compiler would be taken.
pub(crate) fn compiler(port: &Port) -> Result<(), TaskError> {
    println!("{}", find(port)?);
    Ok(())
}

/// Tells of the images as they are.
pub(crate) fn sizes(port: &Port) -> Result<(), TaskError> {
    image::tell_all(port)
}

/// Removes all that was built.
pub(crate) fn clean(port: &Port) -> Result<(), TaskError> {
    for folder in [port.target(), port.sysroots()] {
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(TaskError::io("remove", &folder)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The compiler that is taken for the port.
pub(crate) fn find(port: &Port) -> Result<Compiler, TaskError> {
    if !port.root().join("Cargo.toml").exists() {
        return Err(TaskError::NoPort { folder: port.root().to_owned() });
    }
    Compiler::find(&Places::here(), port.target)
}

/// A call of cargo for the port, in the profile of images.
pub(crate) fn cargo(port: &Port, job: &str, options: &Options) -> Result<Command, TaskError> {
    if !port.folder().join("Cargo.toml").exists() {
        return Err(TaskError::NoPort { folder: port.folder() });
    }
    let compiler = find(port)?;
    eprintln!("with {compiler}");
    let mut command = compiler.cargo(port, job)?;
    command.arg("--release");
    if options.locked {
        command.arg("--locked");
    }
    if options.variant == Variant::Release {
        command.arg("--no-default-features");
    }
    if !port.features.is_empty() {
        command.args(["--features", &port.features.join(",")]);
    }
    Ok(command)
}
