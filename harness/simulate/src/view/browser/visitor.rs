//! One connection of a browser.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant as HostInstant};

use super::request::{self, Asked, MAX_REQUEST};
use super::shown::Telling;
use crate::view::{Act, Shown};
use crate::wait::{Ready, Wanted};

/// A request, and reading its answer, may take this long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of what a browser has not read there is no more than this; until then it misses pictures.
const MAX_UNREAD: usize = 64 * 1024;

const SECURITY: &str = "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
X-Content-Type-Options: nosniff\r\n\
Referrer-Policy: no-referrer\r\n\
Cross-Origin-Resource-Policy: same-origin\r\n\
Cache-Control: no-store\r\n";

enum Doing {
    /// It has not finished its request.
    Asking,
    /// It is given an answer, and then the end.
    Answered,
    /// It is told what happens: so many lines of the log so far, and nothing at all yet if it is new.
    Watching { lines: u64, is_new: bool },
    /// It is gone.
    Gone,
}

pub(super) struct Visitor {
    socket: TcpStream,
    since: HostInstant,
    doing: Doing,
    request: Vec<u8>,
    unread: VecDeque<u8>,
}

impl Visitor {
    /// `None` if it is gone already.
    pub(super) fn new(socket: TcpStream, now: HostInstant) -> Option<Self> {
        socket.set_nonblocking(true).and_then(|()| socket.set_nodelay(true)).ok()?;
        let (request, unread) = (Vec::new(), VecDeque::new());
        Some(Visitor { socket, since: now, doing: Doing::Asking, request, unread })
    }

    pub(super) fn watches(&self) -> bool {
        matches!(self.doing, Doing::Watching { .. })
    }

    pub(super) fn is_over(&self, now: HostInstant) -> bool {
        match self.doing {
            Doing::Gone => true,
            Doing::Answered if self.unread.is_empty() => true,
            Doing::Asking | Doing::Answered => now.duration_since(self.since) > PATIENCE,
            Doing::Watching { .. } => false,
        }
    }

    pub(super) fn wanted<'a>(&'a self, wanted: &mut Wanted<'a>) {
        let reads = matches!(self.doing, Doing::Asking | Doing::Watching { .. });
        wanted.either(&self.socket, reads, !self.unread.is_empty());
    }

    pub(super) fn attend(&mut self, ready: &Ready, address: SocketAddr) -> Option<Act> {
        if ready.writable(&self.socket) {
            self.pass_on();
        }
        if !ready.readable(&self.socket) {
            return None;
        }
        let mut buffer = [0; 4096];
        match self.socket.read(&mut buffer) {
            Ok(0) => self.doing = Doing::Gone,
            Ok(count) if matches!(self.doing, Doing::Asking) => {
                self.request.extend(&buffer[..count]);
                return self.answer(address);
            }
            // It has nothing more to say.
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.doing = Doing::Gone,
        }
        None
    }

    fn answer(&mut self, address: SocketAddr) -> Option<Act> {
        let mut asked = request::read(&self.request, address);
        if asked == Asked::Unfinished && self.request.len() >= MAX_REQUEST {
            asked = Asked::Refused(413, "the request is too long");
        }
        self.doing = Doing::Answered;
        let mut done = None;
        match asked {
            Asked::Unfinished => self.doing = Doing::Asking,
            Asked::File(kind, text) => self.respond("200 OK", kind, text),
            Asked::Refused(status, why) => {
                self.respond(&format!("{status} Refused"), "text/plain; charset=utf-8", why);
            }
            Asked::Act(act) => {
                self.respond("204 No Content", "text/plain", "");
                done = Some(act);
            }
            Asked::Events => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{SECURITY}\r\n");
                self.unread.extend(head.as_bytes());
                self.doing = Doing::Watching { lines: 0, is_new: true };
            }
        }
        self.pass_on();
        done
    }

    fn respond(&mut self, status: &str, kind: &str, text: &str) {
        let length = text.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n{SECURITY}\r\n"
        );
        self.unread.extend(head.as_bytes());
        self.unread.extend(text.as_bytes());
    }

    /// Tells what there is to see, unless it lags behind.
    pub(super) fn tell(&mut self, telling: &Telling, shown: &Shown<'_>) {
        let Doing::Watching { lines, is_new } = &mut self.doing else { return };
        if self.unread.len() > MAX_UNREAD {
            return;
        }
        let event = telling.event(shown, *lines, *is_new);
        (*lines, *is_new) = (shown.scene.log.total, false);
        self.unread.extend(b"data: ");
        self.unread.extend(event.as_bytes());
        self.unread.extend(b"\n\n");
        self.pass_on();
    }

    fn pass_on(&mut self) {
        while !self.unread.is_empty() {
            let (bytes, _) = self.unread.as_slices();
            match self.socket.write(bytes) {
                Ok(count) => drop(self.unread.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.doing = Doing::Gone;
                    break;
                }
            }
        }
    }
}
