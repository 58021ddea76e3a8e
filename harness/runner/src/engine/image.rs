//! Which image ran: the firmware of a virtual board is part of this program.

use std::fs::File;
use std::io::{self, Read};
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// SHA-256 of this program's file in hexadecimal; `None` if the system does not give it away.
pub(super) fn of_this_program() -> Option<&'static str> {
    static HASH: LazyLock<Option<String>> =
        LazyLock::new(|| std::env::current_exe().and_then(File::open).and_then(hash).ok());
    HASH.as_deref()
}

fn hash(mut from: impl Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            Ok(length) => hash.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    /// FIPS 180-4, the example of one block.
    #[test]
    fn it_is_sha_256() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(super::hash(&b"abc"[..]).unwrap(), expected);
    }
}
