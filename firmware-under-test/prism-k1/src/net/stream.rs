//! A connection's bytes, both ways, with a small buffer in front of the socket.

use edge_nal::{Close, TcpShutdown};
use embassy_time::{Duration, with_timeout};
use embedded_io_async::{Read, Write};

use crate::pool::Block;

/// How long a peer may take to make room for what the device sends.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(2);
/// How long the last bytes and the end of the connection may take to reach the peer.
pub const CLOSE_DEADLINE: Duration = Duration::from_millis(500);

/// The connection is over: ended by the peer, reset, or a write that met its deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gone;

/// A socket with a receive buffer from the pools.
pub struct Stream<S> {
    socket: S,
    buffer: Block,
    /// The bytes received and not yet taken: `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Bytes of a refused frame that are still to come.
    owed: u64,
    /// A write is under way or was given up half way: nothing sensible can follow it.
    torn: bool,
}

impl<S: Read + Write + TcpShutdown> Stream<S> {
    /// Wraps `socket`. The buffer's length is how much is received at once.
    pub fn new(socket: S, buffer: Block) -> Self {
        Self { socket, buffer, start: 0, end: 0, owed: 0, torn: false }
    }

    /// What has been received and not yet taken.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Takes `count` of the pending bytes, or all of them when there are fewer.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Whether the buffer holds as many pending bytes as it can.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.end - self.start == self.buffer.len()
    }

    /// Waits until something is pending.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the stream ends before.
    pub async fn readable(&mut self) -> Result<(), Gone> {
        if self.pending().is_empty() { self.fill().await } else { Ok(()) }
    }

    /// Receives at least one byte more into the buffer, which must not be full.
    ///
    /// # Errors
    ///
    /// [`Gone`] at the end of the stream, after a reset, or when the buffer is full.
    pub async fn fill(&mut self) -> Result<(), Gone> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        match self.socket.read(&mut self.buffer[self.end..]).await {
            Ok(count) if count > 0 => {
                self.end = (self.end + count).min(self.buffer.len());
                Ok(())
            }
            _ => Err(Gone),
        }
    }

    /// Receives exactly `into.len()` bytes.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the stream ends before.
    pub async fn read_exact(&mut self, into: &mut [u8]) -> Result<(), Gone> {
        let mut done = 0;
        while done < into.len() {
            let wanted = into.len() - done;
            let ready = self.pending().len().min(wanted);
            if ready > 0 {
                into[done..done + ready].copy_from_slice(&self.pending()[..ready]);
                self.consume(ready);
                done += ready;
            } else if wanted >= self.buffer.len() {
                // Nothing to gain from the buffer: straight to where it belongs.
                match self.socket.read(&mut into[done..]).await {
                    Ok(count) if count > 0 => done = (done + count).min(into.len()),
                    _ => return Err(Gone),
                }
            } else {
                self.fill().await?;
            }
        }
        Ok(())
    }

    /// Receives `count` bytes and throws them away.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the stream ends before.
    pub async fn skip(&mut self, mut count: u64) -> Result<(), Gone> {
        while count > 0 {
            if self.pending().is_empty() {
                self.fill().await?;
            }
            let ready = usize::try_from(count).unwrap_or(usize::MAX).min(self.pending().len());
            self.consume(ready);
            count -= ready as u64;
        }
        Ok(())
    }

    /// Notes that `count` bytes follow which nobody wants.
    pub fn owe(&mut self, count: u64) {
        self.owed = count;
    }

    /// Receives the bytes that nobody wants and throws them away.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the stream ends before.
    pub async fn skip_owed(&mut self) -> Result<(), Gone> {
        let owed = core::mem::take(&mut self.owed);
        self.skip(owed).await
    }

    /// Sends all of `parts`, one after the other, within [`WRITE_DEADLINE`].
    ///
    /// # Errors
    ///
    /// [`Gone`] when the peer is, when it does not read, and ever after.
    pub async fn write_all(&mut self, parts: &[&[u8]]) -> Result<(), Gone> {
        if self.torn {
            return Err(Gone);
        }
        self.torn = true;
        let socket = &mut self.socket;
        let sent = with_timeout(WRITE_DEADLINE, async {
            for part in parts {
                socket.write_all(part).await.map_err(|_| Gone)?;
            }
            socket.flush().await.map_err(|_| Gone)
        })
        .await;
        match sent {
            Ok(Ok(())) => {
                self.torn = false;
                Ok(())
            }
            _ => Err(Gone),
        }
    }

    /// Ends the connection: orderly within [`CLOSE_DEADLINE`], by a reset otherwise.
    pub async fn close(mut self) {
        let orderly = !self.torn
            && matches!(with_timeout(CLOSE_DEADLINE, self.socket.close(Close::Both)).await, Ok(Ok(())));
        if !orderly {
            let _ = with_timeout(CLOSE_DEADLINE, self.socket.abort()).await;
        }
    }
}
