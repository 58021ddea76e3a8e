//! Hands the memory map to the linker, and the level of optimisation to who tells of it.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo:rustc-link-arg-bins=-T{folder}/memory.ld");
    println!("cargo:rerun-if-changed=memory.ld");
    let level = std::env::var("OPT_LEVEL").expect("cargo sets it");
    println!("cargo:rustc-env=OPT_LEVEL={level}");
}
