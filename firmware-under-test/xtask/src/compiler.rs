//! Finds a compiler for the chip.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::environment;
use crate::error::TaskError;
use crate::port::Port;
use crate::sysroot;

/// Linkers that Debian's route takes, the tested one first; which it is makes no difference to the code.
const LINKERS: [&str; 10] = [
    "ld.lld-19",
    "ld.lld",
    "ld.lld-22",
    "ld.lld-21",
    "ld.lld-20",
    "ld.lld-18",
    "ld.lld-17",
    "ld.lld-16",
    "rust-lld",
    "lld-19",
];

/// Where compilers are looked for.
pub(crate) struct Places {
    /// The active toolchain's compiler: a name in the search path, or a path.
    active: PathBuf,
    /// Where the system's packages have their programs.
    system: PathBuf,
    /// The folders of the search path.
    search: Vec<PathBuf>,
}

impl Places {
    /// Those of this machine.
    pub(crate) fn here() -> Self {
        let search = std::env::var_os("PATH").unwrap_or_default();
        Places {
            active: std::env::var_os("RUSTC").map_or_else(|| "rustc".into(), PathBuf::from),
            system: PathBuf::from("/usr/bin"),
            search: std::env::split_paths(&search).collect(),
        }
    }
}

/// A compiler that makes code for the chip.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Compiler {
    /// The active toolchain, which has the library and brings its own linker.
    Active {
        /// What it calls itself.
        version: String,
    },
    /// The system's packages: a compiler, and the sources of the library.
    System(System),
}

/// The compiler of the system's packages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct System {
    /// Where its programs are.
    pub(crate) programs: PathBuf,
    /// All that it says of its version; what it compiled fits no other.
    pub(crate) version: String,
    /// The sources of the library.
    pub(crate) library: PathBuf,
    linker: PathBuf,
}

impl Compiler {
    /// The first one that there is that makes code for `target`.
    ///
    /// # Errors
    /// [`TaskError::NoCompiler`] says why each is none, and what to install.
    pub(crate) fn find(places: &Places, target: &'static str) -> Result<Self, TaskError> {
        let active = match active(&places.active, target) {
            Ok(compiler) => return Ok(compiler),
            Err(reason) => reason,
        };
        match system(places) {
            Ok(compiler) => Ok(Compiler::System(compiler)),
            Err(system) => Err(TaskError::NoCompiler { target, active, system }),
        }
    }

    /// Its name and number, without where it comes from.
    pub(crate) fn version(&self) -> String {
        let (Compiler::Active { version } | Compiler::System(System { version, .. })) = self;
        version.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// A call of cargo in the port's folder, for the chip, that keeps what it builds where the port says.
    /// `job` is cargo's subcommand.
    ///
    /// # Errors
    /// If the library has to be built, and cannot be.
    pub(crate) fn cargo(&self, port: &Port, job: &str) -> Result<Command, TaskError> {
        let mut command = match self {
            Compiler::Active { .. } => {
                let mut command = Command::new("cargo");
                environment::clean(&mut command).arg(job);
                command
            }
            Compiler::System(system) => system.cargo(port, job)?,
        };
        // What stands in the port's `.cargo/config.toml` is found by the folder.
        command.current_dir(port.folder()).args(["--target", port.target, "--target-dir"]).arg(port.target());
        Ok(command)
    }
}

impl System {
    #[cfg(test)]
    pub(crate) fn of_parts(programs: &Path, version: &str, library: &Path, linker: &Path) -> Self {
        let [programs, library, linker] = [programs, library, linker].map(Path::to_owned);
        System { programs, version: version.to_owned(), library, linker }
    }

    fn cargo(&self, port: &Port, job: &str) -> Result<Command, TaskError> {
        let mut command = if job == "clippy" {
            // Cargo would look in its home first, where rustup's clippy is, which is of another compiler.
            let clippy = self.programs.join("cargo-clippy");
            if !clippy.exists() {
                let install = "apt-get install rust-web-clippy";
                return Err(TaskError::NotInstalled { what: "clippy of the system's compiler", install });
            }
            Command::new(clippy)
        } else {
            Command::new(self.programs.join("cargo"))
        };
        self.prepare(&mut command).arg(job);
        let sysroot = sysroot::of(self, port)?;
        // Given to cargo and not by a variable, so that it adds to the flags of the port.
        let flag = format!("--sysroot={}", sysroot.display());
        let setting = |key: &str, value: &str| format!("target.{}.{key}={value}", port.target);
        for setting in [
            setting("rustflags", &format!("[{}]", quoted(&flag))),
            setting("rustdocflags", &format!("[{}]", quoted(&flag))),
            setting("linker", &quoted(&self.linker.display().to_string())),
        ] {
            command.args(["--config", &setting]);
        }
        Ok(command)
    }

    /// Has `command`, a cargo of the system's, use the system's programs and no others.
    pub(crate) fn prepare<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        environment::clean(command)
            .env_remove("RUSTUP_TOOLCHAIN")
            .env("CARGO", self.programs.join("cargo"))
            .env("RUSTC", self.programs.join("rustc"))
            .env("RUSTDOC", self.programs.join("rustdoc"))
    }
}

/// For people: which one, and where its library comes from.
impl std::fmt::Display for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Compiler::Active { version } => write!(f, "{version}, the active toolchain"),
            Compiler::System(System { programs, version, linker, .. }) => {
                let version = version.lines().next().unwrap_or_default();
                write!(
                    f,
                    "{version} in {}, with its library built here, and {}",
                    programs.display(),
                    linker.display()
                )
            }
        }
    }
}

/// `text` as a value of TOML.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What `rustc` answers to `arguments`; `None` if there is none, or if it refuses.
fn ask(rustc: &Path, arguments: &[&str]) -> Option<String> {
    let output = environment::clean(&mut Command::new(rustc)).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn active(rustc: &Path, target: &str) -> Result<Compiler, String> {
    let Some(version) = ask(rustc, &["--version"]) else {
        return Err(format!("there is no active toolchain: `{} --version` does not answer", rustc.display()));
    };
    // It says where the library would be, whether it is there or not.
    let folder = ask(rustc, &["--print", "target-libdir", "--target", target]);
    let has_core = folder.is_some_and(|folder| has_core(Path::new(&folder)));
    if has_core { Ok(Compiler::Active { version }) } else { Err(format!("{version} has no library for it")) }
}

/// Whether compiled libraries for a target are in `folder`.
fn has_core(folder: &Path) -> bool {
    let is_core = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with("libcore-"));
    folder
        .read_dir()
        .is_ok_and(|mut files| files.any(|file| file.is_ok_and(|file| is_core(&file.file_name()))))
}

fn system(places: &Places) -> Result<System, String> {
    let programs = places.system.clone();
    let missing = |name: &str| !programs.join(name).exists();
    if let Some(name) = ["rustc", "cargo"].into_iter().find(|name| missing(name)) {
        return Err(format!("there is no {}", programs.join(name).display()));
    }
    let rustc = programs.join("rustc");
    let silent = || format!("{} does not answer", rustc.display());
    let version = ask(&rustc, &["-vV"]).ok_or_else(silent)?;
    let needed = env!("CARGO_PKG_RUST_VERSION");
    let first = version.lines().next().unwrap_or_default();
    if !is_at_least(&version, needed) {
        return Err(format!("{} is {first}, and the firmware needs {needed}", rustc.display()));
    }
    let sysroot = ask(&rustc, &["--print", "sysroot"]).ok_or_else(silent)?;
    let library = Path::new(&sysroot).join("lib/rustlib/src/rust/library");
    if !library.join("core").exists() {
        return Err(format!(
            "{} ({first}) has no sources of its library in {}",
            rustc.display(),
            library.display()
        ));
    }
    let in_folder =
        |name: &&str| places.search.iter().map(|folder| folder.join(name)).find(|path| path.exists());
    let linker = LINKERS.iter().find_map(in_folder).or_else(|| brought_by(&places.active));
    let linker =
        linker.ok_or_else(|| format!("{} ({first}) has no linker: there is no ld.lld", rustc.display()))?;
    Ok(System { programs, version, library, linker })
}

/// Whether `version`, as `rustc -vV` tells it, is `needed` or later.
fn is_at_least(version: &str, needed: &str) -> bool {
    let numbers =
        |text: &str| -> Vec<u32> { text.split(['.', '-']).map_while(|part| part.parse().ok()).collect() };
    let release = version.lines().find_map(|line| line.strip_prefix("release: "));
    release.is_some_and(|release| numbers(release) >= numbers(needed))
}

/// The linker that comes with rustup's toolchains.
fn brought_by(rustc: &Path) -> Option<PathBuf> {
    let sysroot = PathBuf::from(ask(rustc, &["--print", "sysroot"])?);
    let host =
        ask(rustc, &["-vV"])?.lines().find_map(|line| line.strip_prefix("host: ").map(str::to_owned))?;
    Some(sysroot.join("lib/rustlib").join(host).join("bin/rust-lld")).filter(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::TARGET;
    use std::fs;

    /// A folder with programs that only say what a compiler says.
    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            let machine = Machine(tempfile::tempdir().unwrap());
            fs::create_dir_all(machine.path("usr/bin")).unwrap();
            machine
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn program(&self, name: &str, script: &str) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            crate::stand_in::write(&path, script);
        }

        /// A compiler whose files are below `sysroot`.
        fn compiler(&self, name: &str, release: &str, sysroot: &str) {
            let sysroot = self.path(sysroot);
            fs::create_dir_all(&sysroot).unwrap();
            let sysroot = sysroot.display();
            self.program(
                name,
                &format!(
                    "case \"$*\" in\n\
                     --version) echo 'rustc {release}';;\n\
                     -vV) printf 'rustc {release}\\nrelease: {release}\\nhost: here\\n';;\n\
                     *target-libdir*) echo {sysroot}/lib/rustlib/{TARGET}/lib;;\n\
                     *sysroot*) echo {sysroot};;\n\
                     *) exit 1;;\nesac"
                ),
            );
        }

        fn file(&self, name: &str) {
            fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
            fs::write(self.path(name), "").unwrap();
        }

        /// All that Debian's route needs.
        fn with_packages(&self, release: &str) {
            self.compiler("usr/bin/rustc", release, "usr");
            self.program("usr/bin/cargo", "");
            self.file("usr/lib/rustlib/src/rust/library/core/Cargo.toml");
            self.program("usr/bin/ld.lld-19", "");
        }

        fn find(&self) -> Result<Compiler, TaskError> {
            let places = Places {
                active: self.path("home/rustc"),
                system: self.path("usr/bin"),
                search: vec![self.path("home"), self.path("usr/bin")],
            };
            Compiler::find(&places, TARGET)
        }

        fn complaint(&self) -> String {
            let error = self.find().expect_err("there is none");
            assert_eq!(error.exit_code(), 2);
            let told = error.to_string();
            assert!(
                told.contains("rustup target add") && told.contains("apt-get install rustc-web"),
                "{told}"
            );
            told
        }
    }

    #[test]
    fn the_active_toolchain_comes_first() {
        let machine = Machine::new();
        machine.with_packages("1.96.0");
        machine.compiler("home/rustc", "1.95.0", "home/toolchain");
        machine.file(&format!("home/toolchain/lib/rustlib/{TARGET}/lib/libcore-6f17.rlib"));
        assert_eq!(machine.find().unwrap(), Compiler::Active { version: "rustc 1.95.0".to_owned() });
    }

    #[test]
    fn without_the_library_the_packages_are_taken() {
        let machine = Machine::new();
        machine.with_packages("1.96.0");
        machine.compiler("home/rustc", "1.95.0", "home/toolchain");
        // A folder that is there holds nothing yet.
        fs::create_dir_all(machine.path(&format!("home/toolchain/lib/rustlib/{TARGET}/lib"))).unwrap();
        let Compiler::System(system) = machine.find().unwrap() else { panic!("not this one") };
        assert_eq!(system.linker, machine.path("usr/bin/ld.lld-19"));
        assert_eq!(system.library, machine.path("usr/lib/rustlib/src/rust/library"));
    }

    #[test]
    fn a_toolchain_lends_its_linker() {
        let machine = Machine::new();
        machine.with_packages("1.96.0");
        fs::remove_file(machine.path("usr/bin/ld.lld-19")).unwrap();
        machine.compiler("home/rustc", "1.95.0", "home/toolchain");
        assert!(machine.complaint().contains("has no linker"));
        machine.file("home/toolchain/lib/rustlib/here/bin/rust-lld");
        let Compiler::System(system) = machine.find().unwrap() else { panic!("not this one") };
        assert_eq!(system.linker, machine.path("home/toolchain/lib/rustlib/here/bin/rust-lld"));
    }

    #[test]
    fn what_is_missing_is_said_of_both_ways() {
        let machine = Machine::new();
        let told = machine.complaint();
        assert!(told.contains("no active toolchain") && told.contains("there is no /"), "{told}");
        machine.compiler("home/rustc", "1.95.0", "home/toolchain");
        assert!(machine.complaint().contains("rustc 1.95.0 has no library for it"));
        machine.with_packages("1.63.0");
        assert!(machine.complaint().contains("is rustc 1.63.0, and the firmware needs"));
        machine.with_packages("1.96.0");
        fs::remove_dir_all(machine.path("usr/lib/rustlib/src")).unwrap();
        assert!(machine.complaint().contains("has no sources of its library"));
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let release = |release: &str| format!("rustc {release}\nrelease: {release}\n");
        for (version, enough) in [("1.95.0", true), ("1.100.0", true), ("2.0.0", true), ("1.94.1", false)] {
            assert_eq!(is_at_least(&release(version), "1.95"), enough, "{version}");
        }
        assert!(is_at_least(&release("1.97.0-nightly"), "1.95"));
        assert!(!is_at_least("rustc", "1.95"));
    }
}
