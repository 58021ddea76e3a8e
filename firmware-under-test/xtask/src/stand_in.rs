//! Scripts that stand in for programs, for tests.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Makes a program of `script` at `path`.
///
/// Another process writes it. A file that this one has open for writing is open in each child that another
/// test starts at that moment, until the child is another program, and nobody can execute it meanwhile.
pub(crate) fn write(path: &Path, script: &str) {
    let mut writer = Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut stdin = writer.stdin.take().expect("a pipe");
    stdin.write_all(format!("#!/bin/sh\n{script}\n").as_bytes()).expect("it reads");
    drop(stdin);
    assert!(writer.wait().expect("it ends").success());
}
