//! A WebSocket client that can say anything, legal or not, and reads everything the device says.

use std::collections::VecDeque;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::unit::Amount;
use rigor_core::verdict::{Blame, ProductError};
use rigor_decode::websocket::{ClientFrame, Handshake, Message, Response, ServerEvent, ServerStream};

use super::net::{Net, Received, Tcp};

/// Masking key of the client's frames. Any will do on a link without proxies (RFC 6455, 10.3); a
/// constant keeps runs identical.
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// Nonce of the client's handshakes (the sample of RFC 6455, 1.3).
const NONCE: [u8; 16] = *b"the sample nonce";

/// A WebSocket connection to the device.
pub struct WebSocket {
    /// The connection below.
    pub tcp: Tcp,
    stream: ServerStream,
    heard: VecDeque<(Instant, Heard)>,
    ended: bool,
}

/// What a client hears.
#[derive(Clone, PartialEq, Debug)]
pub enum Heard {
    /// Something the server said.
    Said(ServerEvent),
    /// The TCP connection ended: in order (FIN) or torn down (RST).
    Ended(Received),
}

impl WebSocket {
    /// Connects and sends the upgrade request for `path`, without waiting for an answer.
    ///
    /// # Errors
    /// The product's, if the TCP connection is refused.
    pub async fn begin(net: &Net, port: u16, path: &str, limit: Duration) -> Result<Self, Blame> {
        Self::begin_with(net, port, Handshake::new(format!("device:{port}"), path, NONCE), limit).await
    }

    /// The same with a handshake of one's own making.
    ///
    /// # Errors
    /// As [`WebSocket::begin`].
    pub async fn begin_with(
        net: &Net,
        port: u16,
        handshake: Handshake,
        limit: Duration,
    ) -> Result<Self, Blame> {
        let tcp = net.connect(port, limit).await?;
        tcp.send(&handshake.request())?;
        Ok(Self::over(tcp, handshake))
    }

    /// A connection on which the caller has sent `handshake` in a way of its own, and has read
    /// nothing.
    pub fn over(tcp: Tcp, handshake: Handshake) -> Self {
        WebSocket { tcp, stream: ServerStream::new(handshake), heard: VecDeque::new(), ended: false }
    }

    /// Connects and waits until the upgrade is accepted.
    ///
    /// # Errors
    /// The product's, if it is not accepted within `limit`.
    pub async fn open(net: &Net, port: u16, path: &str, limit: Duration) -> Result<Self, Blame> {
        let mut socket = Self::begin(net, port, path, limit).await?;
        let deadline = socket.tcp.now() + limit;
        match socket.answer(deadline).await {
            Some(Ok(_)) => Ok(socket),
            Some(Err(refused)) => {
                Err(ProductError(format!("the upgrade was answered with status {}", refused.status)).into())
            }
            None => {
                Err(ProductError(format!("the upgrade was not answered within {}", Amount::from(limit)))
                    .into())
            }
        }
    }

    /// The answer to the handshake: accepted, or the refusal; `None` if there is no valid one.
    pub async fn answer(&mut self, deadline: Instant) -> Option<Result<Response, Response>> {
        match self.next(deadline).await?.1 {
            Heard::Said(ServerEvent::HandshakeAccepted(response)) => Some(Ok(response)),
            Heard::Said(ServerEvent::HandshakeRefused(response)) => Some(Err(response)),
            _ => None,
        }
    }

    /// Sends `frame` as it is, masked or not.
    ///
    /// # Errors
    /// The rig's, if its own end is broken.
    pub fn send_raw(&self, frame: &ClientFrame) -> Result<(), Blame> {
        self.tcp.send(&frame.encode())
    }

    /// Sends `frame` masked, as a client must (RFC 6455, 5.3).
    ///
    /// # Errors
    /// The rig's, if its own end is broken.
    pub fn send(&self, frame: ClientFrame) -> Result<(), Blame> {
        self.send_raw(&frame.masked(MASK))
    }

    /// Sends a binary message in one frame.
    ///
    /// # Errors
    /// The rig's, if its own end is broken.
    pub fn send_binary(&self, payload: &[u8]) -> Result<(), Blame> {
        self.send(ClientFrame::binary(payload))
    }

    /// What is heard next, with its time; `None` if nothing is before `deadline`.
    pub async fn next(&mut self, deadline: Instant) -> Option<(Instant, Heard)> {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return Some(heard);
            }
            if self.ended {
                return None;
            }
            let (at, received) = self.tcp.receive(deadline).await?;
            match received {
                Received::Data(bytes) => {
                    let mut events = Vec::new();
                    self.stream.push(&bytes, &mut events);
                    self.heard.extend(events.into_iter().map(|event| (at, Heard::Said(event))));
                }
                end => {
                    self.ended = true;
                    self.heard.push_back((at, Heard::Ended(end)));
                }
            }
        }
    }

    /// The next binary message, reading over everything else; `None` if none comes before
    /// `deadline` or the connection ends.
    pub async fn next_binary(&mut self, deadline: Instant) -> Option<(Instant, Vec<u8>)> {
        while let Some((at, heard)) = self.next(deadline).await {
            match heard {
                Heard::Said(ServerEvent::Message(Message::Binary(bytes))) => {
                    return Some((at, bytes.to_vec()));
                }
                Heard::Ended(_) => return None,
                Heard::Said(_) => {}
            }
        }
        None
    }

    /// Everything that is heard until the connection ends or `deadline`.
    pub async fn rest(&mut self, deadline: Instant) -> Vec<(Instant, Heard)> {
        let mut all = Vec::new();
        while let Some(heard) = self.next(deadline).await {
            let ended = matches!(heard.1, Heard::Ended(_));
            all.push(heard);
            if ended {
                break;
            }
        }
        all
    }

    /// Waits until the rig's clock shows `at`, reading nothing.
    pub async fn sleep_until(&self, at: Instant) {
        self.tcp.bench().timeline.sleep_until(at).await;
    }
}
