//! One TCP connection: the upgrade, the conversation, the end; or one request to the portal.

use core::task::Poll;

use edge_nal::TcpShutdown;
use edge_ws::FrameType;
use embassy_futures::poll_once;
use embassy_time::{Duration, Instant, Timer, with_deadline, with_timeout};
use embedded_io_async::{Read, Write};
use firmware_platform::Cpu;

use super::form;
use super::frames::{self, End, Kind, close_code};
use super::portal::{self, Answer, Wish};
use super::slots::{Slot, Slots};
use super::stream::{Gone, Stream};
use super::upgrade::{self, Rejection, Service};
use crate::defect::{self, Defect};
use crate::log::Log;
use crate::pool::{Block, Pools};
use crate::protocol::framed::{self, ShortReply};
use crate::protocol::{ErrorCode, Refusal};
use crate::wifi::Station;
use crate::{WS_IDLE_MS, WS_MESSAGE_MAX, cost};

/// Bytes of an upgrade request at most (ESP-IDF's `HTTPD_MAX_REQ_HDR_LEN`), and of what is received
/// at once afterwards: one block of the middle pool.
const HEAD_BYTES: usize = 1024;
/// How long a whole upgrade request may take to arrive (ESP-IDF's HTTP server: 5 s).
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// How much later than the specification's 5000 ms an idle client is disconnected. The limit says
/// "not before 5.0 s": this keeps rounding and the network's latency on the safe side of it.
const IDLE_GRACE: Duration = Duration::from_millis(50);
/// How long a peer has to answer a Close frame, or to stop sending, before the connection is cut.
const CLOSE_ANSWER_DEADLINE: Duration = Duration::from_secs(1);

/// How long what is behind the WebSocket may take for one message: longer than the flash takes for
/// the longest pattern at its slowest.
const MESSAGE_DEADLINE: Duration = Duration::from_secs(90);

/// How long the settings may take to be written.
const STORE_DEADLINE: Duration = Duration::from_secs(5);

/// What is sent back to a message.
pub enum Reply {
    /// Nothing.
    None,
    /// A frame of at most 88 bytes.
    Short(ShortReply),
    /// A frame of up to 4096 bytes.
    Long(Block),
    /// The message itself.
    Same,
}

const TOO_SLOW: Refusal = Refusal::new(ErrorCode::Storage, "storage does not answer");

/// What comes of a message.
pub enum Reaction {
    /// The conversation goes on.
    Continue(Reply),
    /// The message is refused and the connection is to end.
    Refuse(Refusal),
}

/// What is behind the WebSocket: one for each connection.
#[allow(async_fn_in_trait, reason = "all connections live in one task")]
pub trait Handler {
    /// Whether text messages are taken.
    const TEXT: bool;
    /// Whether what is refused is told in an ERROR frame, before the Close frame with its code.
    const ERRORS: bool;
    /// Deals with the message in the first `len` (0 to 4096) bytes of `buffer`. It may keep the
    /// block, leaving another of the same length in its place. The client's idle time does not pass
    /// until this returns.
    async fn message(&mut self, buffer: &mut Block, len: usize) -> Reaction;
    /// The conversation is over, for whatever reason. Nothing follows.
    fn ended(&mut self);
}

/// What all connections share.
pub struct Shared<C> {
    /// To charge the work to.
    pub cpu: C,
    /// Where buffers come from.
    pub pools: Pools,
    /// Where it is told.
    pub log: Log,
    /// Who may talk.
    pub slots: Slots,
    /// Where the portal's forms go.
    pub station: Station,
}

/// What a connection is for.
enum Purpose {
    /// A WebSocket client: what it wants, its slot and its message buffer.
    Client(Service, Slot, Block),
    /// Setting the device up.
    Setup(Wish),
}

/// Serves a connection from its first byte to its last, the `portal`'s requests too if it came to
/// that port. `number` names it in the log.
pub async fn serve<S, C, H>(
    socket: S,
    number: u32,
    portal: bool,
    shared: &Shared<C>,
    handler: impl FnOnce() -> H,
) where
    S: Read + Write + TcpShutdown,
    C: Cpu,
    H: Handler,
{
    let log = &shared.log;
    let Some(head) = shared.pools.alloc(HEAD_BYTES) else {
        log.error("network", format_args!("No memory for a connection"));
        let mut socket = socket;
        let _ = with_timeout(CLOSE_ANSWER_DEADLINE, socket.abort()).await;
        return;
    };
    let mut stream = Stream::new(socket, head);
    match open(&mut stream, number, portal, shared).await {
        Ok(Purpose::Client(Service::Protocol, slot, buffer)) => {
            converse(&mut stream, slot, buffer, shared, handler()).await;
        }
        #[cfg(feature = "echo")]
        Ok(Purpose::Client(Service::Echo, slot, buffer)) => {
            converse(&mut stream, slot, buffer, shared, super::echo::Echo).await;
        }
        Ok(Purpose::Setup(wish)) => set_up(&mut stream, wish, shared).await,
        Err(Some(rejection)) => {
            let _ = stream.write_all(&[rejection.response().as_bytes()]).await;
            if defect::present(Defect::RefusalKeepsConnection) {
                let _ = stream.skip(u64::MAX).await;
            }
        }
        Err(None) => {}
    }
    if defect::present(Defect::ClientLeaksMemory) {
        core::mem::forget(core::hint::black_box(alloc::vec![0_u8; 32]));
    }
    stream.close().await;
}

/// Reads the upgrade request and answers it when it can be served; the slot is taken before the
/// 101, so a third client never sees one. `Err(None)`: the peer is gone.
async fn open<S, C>(
    stream: &mut Stream<S>,
    number: u32,
    portal: bool,
    shared: &Shared<C>,
) -> Result<Purpose, Option<Rejection>>
where
    S: Read + Write + TcpShutdown,
    C: Cpu,
{
    let log = &shared.log;
    let received = with_timeout(HEAD_DEADLINE, async {
        loop {
            if let Some(request) = portal::parse(stream.pending()).filter(|_| portal) {
                return Ok(Err(request));
            }
            if let Some(upgrade) = upgrade::parse(stream.pending()).map_err(Some)? {
                return Ok(Ok(upgrade));
            }
            if stream.is_full() {
                return Err(Some(Rejection::TooLarge));
            }
            if !stream.pending().is_empty() && defect::present(Defect::HeadInOnePiece) {
                return Err(Some(Rejection::BadRequest));
            }
            stream.fill().await.map_err(|_| None)?;
        }
    })
    .await;
    let upgrade = match received.unwrap_or(Err(Some(Rejection::Timeout)))? {
        Ok(upgrade) => upgrade,
        Err(portal::Request { head_len, wish }) => {
            stream.consume(head_len);
            return Ok(Purpose::Setup(wish));
        }
    };
    shared.cpu.work(cost::NET_UPGRADE);
    let Some(slot) = shared.slots.take() else {
        log.warning(
            "network",
            format_args!("No free WebSocket slots (max {} clients)", crate::WS_CLIENTS_MAX),
        );
        log.warning("network", format_args!("Rejecting connection: max clients reached"));
        if defect::present(Defect::ThirdClientUpgraded) {
            stream.write_all(&[upgrade.response().as_bytes()]).await.map_err(|_| None)?;
        }
        return Err(Some(Rejection::Unavailable));
    };
    let Some(buffer) = shared.pools.alloc(WS_MESSAGE_MAX) else {
        log.error("network", format_args!("No memory for client {}", slot.index));
        return Err(Some(Rejection::Unavailable));
    };
    stream.write_all(&[upgrade.response().as_bytes()]).await.map_err(|_| None)?;
    stream.consume(upgrade.head_len);
    if !stream.pending().is_empty() && defect::present(Defect::EarlyBytesLost) {
        stream.consume(stream.pending().len());
    }
    log.info("network", format_args!("WebSocket client {} connected (fd={number})", slot.index));
    Ok(Purpose::Client(upgrade.service, slot, buffer))
}

/// Answers one request to the portal.
async fn set_up<S, C>(stream: &mut Stream<S>, wish: Wish, shared: &Shared<C>)
where
    S: Read + Write + TcpShutdown,
    C: Cpu,
{
    shared.cpu.work(cost::NET_PAGE);
    if defect::present(Defect::HttpStarvesPlayback) {
        shared.cpu.work(cost::CORE_HZ / 50);
    }
    // A peer that is gone misses its answer.
    let _ = match wish {
        Wish::Page { head_only } => {
            let body = if head_only { "" } else { portal::PAGE };
            stream.write_all(&[portal::page_head().as_bytes(), body.as_bytes()]).await
        }
        Wish::Wrong(answer) => stream.write_all(&[answer.response().as_bytes()]).await,
        Wish::Form(length) => match take_form(stream, length, shared).await {
            Some(answer) => stream.write_all(&[answer.response().as_bytes()]).await,
            None => Ok(()),
        },
    };
}

/// Receives a form and has its contents stored. Nothing is answered to a peer that is gone.
async fn take_form<S, C>(stream: &mut Stream<S>, length: usize, shared: &Shared<C>) -> Option<Answer>
where
    S: Read + Write + TcpShutdown,
{
    let received = with_timeout(HEAD_DEADLINE, async {
        while stream.pending().len() < length {
            stream.fill().await?;
        }
        Ok::<_, Gone>(())
    });
    match received.await {
        Ok(Ok(())) => {}
        Ok(Err(Gone)) => return None,
        Err(_) => return Some(Answer::Timeout),
    }
    let read = form::credentials(stream.pending().get(..length).unwrap_or_default());
    stream.consume(length);
    Some(match read {
        Err(error) => {
            shared.log.warning("network", format_args!("Credentials refused: {error}"));
            Answer::Refused(error)
        }
        Ok(credentials) => {
            shared.log.info("network", format_args!("Received credentials: SSID='{}'", credentials.ssid));
            match with_timeout(STORE_DEADLINE, shared.station.provide(credentials)).await {
                Ok(Ok(())) => Answer::Saved,
                _ => Answer::NotStored,
            }
        }
    })
}

/// How a conversation ended, as the last frames tell the peer.
enum Farewell {
    /// The peer is gone: nothing is sent.
    Silent,
    /// A Close frame that answers the peer's, with its code.
    Answer(Option<u16>),
    /// A Close frame with this code that the peer is to answer.
    Close(u16),
    /// An ERROR frame, then a Close frame with this code that the peer is to answer.
    Refuse(Refusal, u16),
}

impl Farewell {
    fn refusal<H: Handler>(refusal: Refusal, code: u16) -> Self {
        let code = if defect::present(Defect::FailureCodeNormal) { 1000 } else { code };
        if H::ERRORS { Self::Refuse(refusal, code) } else { Self::Close(code) }
    }
}

async fn converse<S, C, H>(
    stream: &mut Stream<S>,
    slot: Slot,
    mut buffer: Block,
    shared: &Shared<C>,
    mut handler: H,
) where
    S: Read + Write + TcpShutdown,
    C: Cpu,
    H: Handler,
{
    let log = &shared.log;
    let farewell = exchange(stream, &slot, &mut buffer, shared, &mut handler).await;
    // Everything is given back before the peer hears of the end, so that a client that reconnects
    // at once finds a slot, and none that never answers can hold one.
    handler.ended();
    drop(handler);
    drop(buffer);
    log.info("network", format_args!("WebSocket client {} cleaned up", slot.index));
    match farewell {
        Farewell::Silent if defect::present(Defect::SlotNeedsClose) => core::mem::forget(slot),
        Farewell::Answer(_) if defect::present(Defect::SlotLingersAfterClose) => {
            say_goodbye(stream, farewell).await;
            Timer::after(Duration::from_secs(3)).await;
            return;
        }
        Farewell::Close(close_code::GOING_AWAY) if defect::present(Defect::IdleKeepsConnection) => {
            drop(slot);
            let _ = stream.skip(u64::MAX).await;
            return;
        }
        _ => drop(slot),
    }
    say_goodbye(stream, farewell).await;
}

async fn exchange<S, C, H>(
    stream: &mut Stream<S>,
    slot: &Slot,
    buffer: &mut Block,
    shared: &Shared<C>,
    handler: &mut H,
) -> Farewell
where
    S: Read + Write + TcpShutdown,
    C: Cpu,
    H: Handler,
{
    let log = &shared.log;
    let limit = if defect::present(Defect::IdleTooEarly) {
        Duration::from_millis(WS_IDLE_MS - 150)
    } else if defect::present(Defect::IdleTooLate) {
        Duration::from_millis(WS_IDLE_MS + 3000)
    } else {
        Duration::from_millis(WS_IDLE_MS)
    };
    let opened = Instant::now();
    loop {
        // The clock of idleness starts when the device is ready for the next message: a device
        // that is busy storing is not a silent client. Fragments, PINGs and parts of a frame do
        // not restart it.
        let ready = if defect::present(Defect::ActivityNotCounted) { opened } else { Instant::now() };
        let received = with_deadline(ready + limit + IDLE_GRACE, async {
            if defect::present(Defect::ReceiveBlocksEverybody) {
                stream.readable().await?;
                return blocking(&shared.cpu, frames::receive(stream, buffer, H::TEXT)).await;
            }
            frames::receive(stream, buffer, H::TEXT).await
        });
        let (kind, len) = match received.await {
            Ok(Ok(_)) if !slot.is_held() && defect::present(Defect::ThirdClientEvictsFirst) => {
                return Farewell::Silent;
            }
            Ok(Ok(message)) => message,
            Ok(Err(End::Gone)) => {
                if defect::present(Defect::FinUnnoticed) {
                    Timer::after(Duration::from_secs(10)).await;
                }
                return Farewell::Silent;
            }
            Ok(Err(End::Closed(_))) if defect::present(Defect::CloseUnanswered) => return Farewell::Silent,
            Ok(Err(End::Closed(code))) if defect::present(Defect::CloseGoesOn) => {
                answer_close(stream, code).await;
                continue;
            }
            Ok(Err(End::Closed(code))) => return Farewell::Answer(code),
            Ok(Err(End::Refused(refusal, code))) => {
                log.warning("network", format_args!("Client {} refused: {}", slot.index, refusal.text));
                return Farewell::refusal::<H>(refusal, code);
            }
            Err(_) => {
                let idle = ready.elapsed().as_millis();
                log.warning(
                    "network",
                    format_args!("Client {} timeout: {idle} ms idle (max {WS_IDLE_MS} ms)", slot.index),
                );
                return Farewell::Close(close_code::GOING_AWAY);
            }
        };
        shared.cpu.work(cost::NET_MESSAGE.saturating_add(cost::times(cost::NET_PER_BYTE, len)));
        let reaction = with_timeout(MESSAGE_DEADLINE, handler.message(buffer, len)).await;
        let sent = match reaction.unwrap_or(Reaction::Refuse(TOO_SLOW)) {
            Reaction::Continue(Reply::None) => continue,
            Reaction::Continue(Reply::Short(frame)) => {
                if defect::present(Defect::AnswersTwice) {
                    // The second attempt says whether the client is there.
                    let _ = frames::send(stream, FrameType::Binary(false), &frame).await;
                }
                frames::send(stream, FrameType::Binary(false), &frame).await
            }
            Reaction::Continue(Reply::Same) => {
                let frame_type = match kind {
                    _ if defect::present(Defect::EchoKindLost) => FrameType::Binary(false),
                    Kind::Text => FrameType::Text(false),
                    Kind::Binary => FrameType::Binary(false),
                };
                frames::send(stream, frame_type, &buffer[..len]).await
            }
            Reaction::Continue(Reply::Long(frame)) => {
                frames::send(stream, FrameType::Binary(false), &frame).await
            }
            Reaction::Refuse(refusal) => {
                log.warning("network", format_args!("Client {} refused: {}", slot.index, refusal.text));
                return Farewell::refusal::<H>(
                    refusal,
                    match refusal.code {
                        ErrorCode::Storage => close_code::INTERNAL_ERROR,
                        _ => close_code::POLICY,
                    },
                );
            }
        };
        shared.cpu.work(cost::NET_REPLY);
        if sent.is_err() {
            return Farewell::Silent;
        }
    }
}

/// Keeps the task busy until `receiving` is done, for as long as ESP-IDF's server waits for the rest
/// of a frame. For [`Defect::ReceiveBlocksEverybody`].
async fn blocking<C: Cpu, T>(cpu: &C, receiving: impl Future<Output = Result<T, End>>) -> Result<T, End> {
    let mut receiving = core::pin::pin!(receiving);
    let begun = Instant::now();
    while begun.elapsed() < HEAD_DEADLINE {
        if let Poll::Ready(received) = poll_once(receiving.as_mut()) {
            return received;
        }
        cpu.work(cost::CORE_HZ / 100);
    }
    Err(End::Gone)
}

async fn answer_close<S: Read + Write + TcpShutdown>(stream: &mut Stream<S>, code: Option<u16>) {
    let payload = code.map(u16::to_be_bytes);
    let payload = payload.as_ref().map_or(&[][..], |code| &code[..]);
    let _ = frames::send(stream, FrameType::Close, payload).await;
}

/// Sends the last frames and, when it was the device that began to close, waits for the answer.
async fn say_goodbye<S: Read + Write + TcpShutdown>(stream: &mut Stream<S>, farewell: Farewell) {
    let code = match farewell {
        Farewell::Silent => return,
        Farewell::Answer(code) => {
            answer_close(stream, code).await;
            return;
        }
        Farewell::Close(code) => code,
        Farewell::Refuse(refusal, code) => {
            if !defect::present(Defect::SilentRefusal)
                && frames::send(stream, FrameType::Binary(false), &framed::error(refusal)).await.is_err()
            {
                return;
            }
            code
        }
    };
    if frames::send(stream, FrameType::Close, &code.to_be_bytes()).await.is_ok() {
        if defect::present(Defect::CloseNeedsAnswer) {
            return frames::discard_until_close(stream).await;
        }
        let _ = with_timeout(CLOSE_ANSWER_DEADLINE, frames::discard_until_close(stream)).await;
    }
}
