//! Hands esp-hal's memory map to the linker.

fn main() {
    let architecture = std::env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    // Xtensa is linked by GCC, which has to be told not to bring a start of its own.
    let arguments: &[&str] = match architecture.as_str() {
        "xtensa" => &["-Wl,-Tlinkall.x", "-nostartfiles"],
        _ => &["-Tlinkall.x"],
    };
    for argument in arguments {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}
