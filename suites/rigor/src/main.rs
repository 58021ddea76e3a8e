//! The `rigor` command over the systems of this workspace.

fn main() -> std::process::ExitCode {
    rigor_command::main(rigor_suites::suites(), rigor_suites::firmwares())
}
