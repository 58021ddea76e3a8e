//! `cargo test --test hil`: decides every requirement of every system on the chosen rigs.

fn main() -> std::process::ExitCode {
    rigor_runner::cli::main(rigor_suites::suites(), rigor_suites::firmwares())
}
