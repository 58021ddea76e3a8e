//! Rows over a socket of this host: for any server that TCP reaches.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::limits::Limits;
use crate::script::Script;
use crate::talk::{Act, End, Talk};
use crate::verdict::Verdicts;

/// A receive time-out of 0 would mean none at all.
const SHORTEST: Duration = Duration::from_millis(1);

/// Runs `script` against the server at `address`, on this host's clock.
///
/// # Errors
/// If no connection can be made, or this host's own end fails. What the server does wrong is in the
/// verdicts.
pub fn run(address: SocketAddr, script: Script, limits: &Limits) -> std::io::Result<Verdicts> {
    let mut socket = TcpStream::connect_timeout(&address, limits.answer)?;
    // Pieces are to leave as pieces.
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(limits.answer))?;
    let begun = Instant::now();
    let mut talk = Talk::new(script, *limits);
    let mut buffer = [0; 4096];
    loop {
        match talk.act(begun.elapsed()) {
            // A server that has torn the connection down says so when it is read from.
            Act::Send(bytes) => drop(socket.write_all(&bytes)),
            Act::Finish => drop(socket.shutdown(Shutdown::Write)),
            Act::Listen(until) => {
                let wait = until.saturating_sub(begun.elapsed()).max(SHORTEST);
                socket.set_read_timeout(Some(wait))?;
                match socket.read(&mut buffer) {
                    Ok(0) => talk.ended(End::Finished),
                    Ok(count) => talk.received(&buffer[..count]),
                    Err(error) => match error.kind() {
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => talk.ended(End::Reset),
                        _ => return Err(error),
                    },
                }
            }
            Act::Over => return Ok(talk.conclude()),
        }
    }
}
