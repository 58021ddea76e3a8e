//! Operations to tokens and back. Both directions follow the clock and the lanes, so that a token
//! need only say what cannot be known.

use std::sync::Arc;
use std::time::Duration;

use rigor_core::event::{
    AccessPoint, AirEvent, Burst, BusTransfer, BytesEncoding, ConnectionId, DeviceEvent, Direction,
    FlashBusy, FlashOperation, Flow, FlowKind, Gap, Phases, ResetCause, Serial, Symbol,
};
use rigor_core::rate::SampleRate;
use rigor_core::time::nanos;
use rigor_core::{Event, Instant, Kind, Level};

use super::content::{Contents, Dictionary, MAX_CONTENT, Slot};
use super::op::{Call, Digest, Op, Returned, Step};
use super::token::{Foresight, Record, Tag, Token, put_content, put_foreseen, put_literal};
use super::wire::{Bytes, Unreadable, put_varint, unzigzag, zigzag};

/// The bytes that a call returns are kept in pieces of a flash sector, because most sectors of a
/// chip are as they were when it was last read.
pub(super) const PIECE_BYTES: usize = 4096;
/// More than the largest flash chip of a rig file.
const MAX_RETURNED: usize = 256 << 20;
/// More sources than any rig has.
const MAX_LANES: usize = 4096;

/// What both directions know of a lane.
#[derive(Clone, Default)]
struct Lane {
    held_from: Option<Instant>,
    uncertainty: Duration,
    encoding: Option<(BytesEncoding, Level)>,
}

/// The clock and the lanes.
#[derive(Default)]
struct Track {
    now: Instant,
    lanes: Vec<Lane>,
}

impl Track {
    fn known(&mut self, lane: u16) -> Result<&mut Lane, Unreadable> {
        self.lanes.get_mut(usize::from(lane)).ok_or(Unreadable::Malformed("a lane that was not declared"))
    }

    /// What a source delivers is most often what it held its lane for.
    fn base(&self, lane: u16) -> Instant {
        self.lanes.get(usize::from(lane)).and_then(|lane| lane.held_from).unwrap_or(self.now)
    }

    /// Follows what does not concern the meaning of single events.
    fn follow(&mut self, op: &Op) {
        match op {
            Op::Source(_) => self.lanes.push(Lane::default()),
            Op::Advance { to, .. } => self.now = *to,
            Op::Hold(lane, from) => self.hold(*lane, Some(*from)),
            Op::Release(lane) => self.hold(*lane, None),
            _ => {}
        }
    }

    fn hold(&mut self, lane: u16, from: Option<Instant>) {
        if let Some(lane) = self.lanes.get_mut(usize::from(lane)) {
            lane.held_from = from;
        }
    }
}

fn distance(at: Instant, base: Instant) -> u64 {
    zigzag(at.as_nanos().wrapping_sub(base.as_nanos()) as i64)
}

fn at_distance(distance: u64, base: Instant) -> Instant {
    Instant::from_nanos(base.as_nanos().wrapping_add_signed(unzigzag(distance)))
}

/// A recording cannot hold it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{0} bytes in one piece are more than a recording holds ({MAX_CONTENT}); deliver them in smaller ones"
)]
pub(super) struct TooLong(usize);

/// Writes operations as records.
pub(super) struct Encoder {
    track: Track,
    dictionary: Dictionary,
    foresight: Foresight,
    /// So many tokens were as foreseen since the last record.
    foreseen: u64,
    /// Tokens since [`Encoder::take`].
    tokens: u32,
    out: Vec<u8>,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Encoder {
            track: Track::default(),
            dictionary: Dictionary::default(),
            foresight: Foresight::new(),
            foreseen: 0,
            tokens: 0,
            out: Vec::new(),
        }
    }

    /// The time of the last operation.
    pub(super) fn now(&self) -> Instant {
        self.track.now
    }

    /// How many bytes [`take`](Self::take) would hand out, about.
    pub(super) fn size(&self) -> usize {
        self.out.len()
    }

    /// How many tokens they hold.
    pub(super) fn tokens(&self) -> u32 {
        self.tokens
    }

    /// Hands the records since it was last called to `write`.
    pub(super) fn take<T>(&mut self, write: impl FnOnce(&[u8]) -> T) -> T {
        self.flush();
        let written = write(&self.out);
        self.out.clear();
        self.tokens = 0;
        written
    }

    fn flush(&mut self) {
        let foreseen = std::mem::take(&mut self.foreseen);
        if foreseen > 0 {
            put_foreseen(&mut self.out, foreseen);
        }
    }

    fn token(&mut self, token: Token) {
        self.tokens += 1;
        let Encoder { foresight, foreseen, out, .. } = self;
        let told = foresight.learn(|expected| {
            if *expected == token {
                *foreseen += 1;
            } else {
                let count = std::mem::take(foreseen);
                if count > 0 {
                    put_foreseen(out, count);
                }
                put_literal(out, &token);
            }
            Ok::<_, std::convert::Infallible>(token)
        });
        let Ok(_) = told;
    }

    /// A reference to `bytes`, which are written first if they are new. At most one for a token: a
    /// second one could make the first one forgotten.
    fn refer(&mut self, slot: Slot, bytes: &[u8], share: impl FnOnce() -> Arc<[u8]>) -> Result<u64, TooLong> {
        if bytes.len() > MAX_CONTENT {
            return Err(TooLong(bytes.len()));
        }
        let Encoder { dictionary, foreseen, out, .. } = self;
        Ok(dictionary.refer(slot, bytes, share, |new| {
            let count = std::mem::take(foreseen);
            if count > 0 {
                put_foreseen(out, count);
            }
            put_content(out, new);
        }))
    }

    fn refer_bytes(&mut self, slot: Slot, bytes: &Arc<[u8]>) -> Result<u64, TooLong> {
        self.refer(slot, bytes, || bytes.clone())
    }

    fn refer_text(&mut self, slot: Slot, text: &Arc<str>) -> Result<u64, TooLong> {
        self.refer(slot, text.as_bytes(), || text.clone().into())
    }

    /// Writes what a source delivered.
    pub(super) fn event(&mut self, lane: u16, event: &Event, by_case: bool) -> Result<(), TooLong> {
        let known = self.track.lanes.get_mut(usize::from(lane)).map(|known| &mut known.uncertainty);
        let differs =
            known.is_some_and(|known| std::mem::replace(known, event.uncertainty) != event.uncertainty);
        if differs {
            let mut token = Token { by_case, ..Token::new(Tag::Uncertainty, lane, 0) };
            token.fields[0] = nanos(event.uncertainty);
            self.token(token);
        }
        if let Kind::Burst(burst) = &event.kind {
            self.encoding(lane, burst, by_case);
        }
        let time = distance(event.at, self.track.base(lane));
        let slot = Slot::lane(lane);
        let (tag, fields) = match &event.kind {
            Kind::Serial(serial) => {
                let content = self.refer_bytes(slot, &serial.bytes)?;
                let direction = u64::from(serial.direction == Direction::FromDut);
                (Tag::Serial, [direction, content, nanos(serial.byte_time), 0])
            }
            Kind::Edge(level) => (Tag::Edge, [u64::from(*level == Level::High), 0, 0, 0]),
            Kind::Burst(burst) => (Tag::Burst, [self.refer_bytes(slot, &burst.bytes)?, 0, 0, 0]),
            Kind::Phases(phases) => {
                let packed = packed(&phases.lengths);
                let content = self.refer(slot, &packed, || packed.as_slice().into())?;
                let first = u64::from(phases.first == Level::High);
                (Tag::Phases, [content, first, phases.rate.as_hertz(), 0])
            }
            Kind::Bus(transfer) => {
                let content = self.refer_bytes(slot, &transfer.bytes)?;
                (Tag::Bus, [u64::from(transfer.data), content, 0, 0])
            }
            Kind::Flow(Flow { connection, what }) => {
                let (kind, value) = self.flow(slot, what)?;
                (Tag::Flow, [connection.0.into(), kind, value, 0])
            }
            Kind::Air(what) => {
                let (kind, value, beacon) = self.air(slot, what)?;
                (Tag::Air, [kind, value, beacon, 0])
            }
            Kind::FlashBusy(busy) => {
                let operation = u64::from(busy.operation == FlashOperation::Program);
                let fields = [operation, busy.address.into(), busy.length.into(), nanos(busy.duration)];
                (Tag::FlashBusy, fields)
            }
            Kind::Gauge(value) => (Tag::Gauge, [*value, 0, 0, 0]),
            Kind::Action(text) => (Tag::Action, [self.refer_text(slot, text)?, 0, 0, 0]),
            Kind::Note(text) => (Tag::Note, [self.refer_text(slot, text)?, 0, 0, 0]),
            Kind::Device(what) => {
                let (kind, value) = match what {
                    DeviceEvent::PowerOn => (0, 0),
                    DeviceEvent::PowerOff => (1, 0),
                    DeviceEvent::Started(cause) => (2, cause_number(*cause)),
                    DeviceEvent::Crashed(text) => (3, self.refer_text(slot, text)?),
                };
                (Tag::Device, [kind, value, 0, 0])
            }
            Kind::Gap(gap) => (Tag::Gap, [nanos(gap.length), self.refer_text(slot, &gap.reason)?, 0, 0]),
        };
        let mut token = Token { by_case, ..Token::new(tag, lane, time) };
        token.fields[..fields.len()].copy_from_slice(&fields);
        self.token(token);
        Ok(())
    }

    fn encoding(&mut self, lane: u16, burst: &Burst, by_case: bool) {
        let encoding = (burst.encoding, burst.idle);
        let known = self.track.lanes.get_mut(usize::from(lane)).map(|known| &mut known.encoding);
        if known.is_some_and(|known| known.replace(encoding) != Some(encoding)) {
            let (BytesEncoding { zero, one }, idle) = encoding;
            let mut token = Token { by_case, ..Token::new(Tag::Encoding, lane, 0) };
            let symbols = [zero.high_ns, zero.low_ns, one.high_ns, one.low_ns];
            for (field, ns) in token.fields.iter_mut().zip(symbols) {
                *field = ns.into();
            }
            token.fields[4] = u64::from(idle == Level::High);
            self.token(token);
        }
    }

    fn flow(&mut self, slot: Slot, what: &FlowKind) -> Result<(u64, u64), TooLong> {
        Ok(match what {
            FlowKind::Opened => (0, 0),
            FlowKind::Refused => (1, 0),
            FlowKind::Data(Direction::ToDut, bytes) => (2, self.refer_bytes(slot, bytes)?),
            FlowKind::Data(Direction::FromDut, bytes) => (3, self.refer_bytes(slot, bytes)?),
            FlowKind::Acknowledged(count) => (4, *count),
            FlowKind::Finished(Direction::ToDut) => (5, 0),
            FlowKind::Finished(Direction::FromDut) => (6, 0),
            FlowKind::Reset(Direction::ToDut) => (7, 0),
            FlowKind::Reset(Direction::FromDut) => (8, 0),
        })
    }

    fn air(&mut self, slot: Slot, what: &AirEvent) -> Result<(u64, u64, u64), TooLong> {
        Ok(match what {
            AirEvent::Appeared(AccessPoint { ssid, open, channel }) => {
                (0, self.refer_text(slot, ssid)?, u64::from(*channel) << 1 | u64::from(*open))
            }
            AirEvent::Vanished(ssid) => (1, self.refer_text(slot, ssid)?, 0),
            AirEvent::Joined => (2, 0, 0),
            AirEvent::Addressed(address) => (3, u32::from(*address).into(), 0),
            AirEvent::Left => (4, 0, 0),
        })
    }

    /// Writes any operation.
    pub(super) fn op(&mut self, op: &Op, by_case: bool) -> Result<(), TooLong> {
        let plain = |tag| Token::new(tag, 0, 0);
        let with = |tag, fields: [u64; 2]| {
            let mut token = plain(tag);
            token.fields[..2].copy_from_slice(&fields);
            token
        };
        let token = match op {
            Op::Event(lane, event) => return self.event(*lane, event, by_case),
            Op::Source(name) => with(Tag::Source, [self.refer_text(Slot::NAMES, name)?, 0]),
            Op::Ready => plain(Tag::Ready),
            Op::Advance { to, asked } => {
                let tag = if *asked { Tag::AdvanceAsked } else { Tag::Advance };
                Token::new(tag, 0, to.as_nanos().wrapping_sub(self.track.now.as_nanos()))
            }
            Op::Overrun(until) => Token::new(Tag::Overrun, 0, distance(*until, self.track.now)),
            Op::Hold(lane, from) => Token::new(Tag::Hold, *lane, distance(*from, self.track.now)),
            Op::Release(lane) => Token::new(Tag::Release, *lane, 0),
            Op::Promise(lane, until) => Token::new(Tag::Promise, *lane, distance(*until, self.track.now)),
            Op::Call(call) => self.call(call)?,
            Op::Returned(Returned::Nothing) => plain(Tag::Returned),
            Op::Returned(Returned::Number(number)) => with(Tag::Returned, [1, *number]),
            Op::Returned(Returned::Bytes(bytes)) => return self.returned_bytes(bytes.len(), by_case),
            Op::Returned(Returned::Failed(text)) => {
                with(Tag::Returned, [3, self.refer_text(Slot::NAMES, text)?])
            }
            Op::Yielded => plain(Tag::Yielded),
            Op::RunFailed(text) => with(Tag::RunFailed, [self.refer_text(Slot::NAMES, text)?, 0]),
            Op::Checked(None) => plain(Tag::Checked),
            Op::Checked(Some(text)) => with(Tag::Checked, [1, self.refer_text(Slot::NAMES, text)?]),
        };
        self.token(Token { by_case, ..token });
        self.track.follow(op);
        Ok(())
    }

    /// Writes a piece of the bytes that the next `Returned` hands out.
    pub(super) fn piece(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        let mut token = Token::new(Tag::Piece, 0, 0);
        token.fields[0] = self.refer(Slot::NAMES, piece, || piece.into())?;
        self.token(token);
        Ok(())
    }

    /// Writes that a call returned bytes, whose [pieces](Self::piece) came before.
    pub(super) fn returned_bytes(&mut self, length: usize, by_case: bool) -> Result<(), TooLong> {
        let mut token = Token { by_case, ..Token::new(Tag::Returned, 0, 0) };
        token.fields[..2].copy_from_slice(&[2, length as u64]);
        self.token(token);
        Ok(())
    }

    fn call(&mut self, call: &Call) -> Result<Token, TooLong> {
        let mut token = Token::new(Tag::Call, 0, 0);
        let numbers = call.numbers.len().min(Call::MAX_NUMBERS);
        let name = self.refer_text(Slot::NAMES, &call.name)?;
        token.fields[..2].copy_from_slice(&[name, numbers as u64 | (u64::from(call.bytes.is_some()) << 2)]);
        token.fields[2..2 + numbers].copy_from_slice(&call.numbers[..numbers]);
        if let Some(Digest { length, hash }) = call.bytes {
            token.fields[5..].copy_from_slice(&[length, hash]);
        }
        Ok(token)
    }
}

/// The lengths of phases as varints: one byte each of those of a WS2812B at 125 MHz.
fn packed(lengths: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lengths.len() + 8);
    lengths.iter().for_each(|&length| put_varint(&mut out, length.into()));
    out
}

fn unpacked(content: &[u8]) -> Result<Arc<[u32]>, Unreadable> {
    let mut bytes = Bytes::new(content);
    let mut lengths = Vec::with_capacity(content.len());
    while bytes.left() > 0 {
        let length = bytes.varint().map_err(|_| Unreadable::Malformed("phases that are cut short"))?;
        let length = u32::try_from(length);
        lengths.push(length.map_err(|_| Unreadable::Malformed("a phase of more than 2^32 samples"))?);
    }
    Ok(lengths.into())
}

fn cause_number(cause: ResetCause) -> u64 {
    match cause {
        ResetCause::PowerOn => 0,
        ResetCause::Pin => 1,
        ResetCause::Software => 2,
        ResetCause::Panic => 3,
        ResetCause::Watchdog => 4,
    }
}

fn cause_of(number: u64) -> Result<ResetCause, Unreadable> {
    Ok(match number {
        0 => ResetCause::PowerOn,
        1 => ResetCause::Pin,
        2 => ResetCause::Software,
        3 => ResetCause::Panic,
        4 => ResetCause::Watchdog,
        _ => return Err(Unreadable::Malformed("an unknown cause of a start")),
    })
}

/// Reads operations from records.
pub(super) struct Decoder {
    track: Track,
    contents: Contents,
    foresight: Foresight,
    /// So many more tokens are as foreseen.
    foreseen: u64,
    /// So many more tokens the block may hold.
    tokens: u32,
    pieces: Vec<u8>,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Decoder {
            track: Track::default(),
            contents: Contents::default(),
            foresight: Foresight::new(),
            foreseen: 0,
            tokens: 0,
            pieces: Vec::new(),
        }
    }

    /// The time of the last operation.
    pub(super) fn now(&self) -> Instant {
        self.track.now
    }

    /// Begins a block of so many tokens.
    pub(super) fn begin(&mut self, tokens: u32) {
        self.tokens = tokens;
    }

    /// The next operation of the block; `None` at its end.
    pub(super) fn next(&mut self, bytes: &mut Bytes<'_>) -> Result<Option<Step>, Unreadable> {
        loop {
            let token = if self.foreseen > 0 {
                self.foreseen -= 1;
                self.foresight.learn(|foreseen| Ok(*foreseen))?
            } else if bytes.left() == 0 {
                return if self.tokens == 0 { Ok(None) } else { Err(Unreadable::Incomplete) };
            } else {
                match Record::read(bytes, MAX_CONTENT)? {
                    Record::Foreseen(count) => {
                        if count > self.tokens.into() {
                            return Err(Unreadable::Malformed("more operations than the block has"));
                        }
                        self.foreseen = count;
                        continue;
                    }
                    Record::Content(content) => {
                        self.contents.read(content);
                        continue;
                    }
                    Record::Literal(token) => self.foresight.learn(|_| Ok(token))?,
                }
            };
            let more = self.tokens.checked_sub(1);
            self.tokens = more.ok_or(Unreadable::Malformed("more operations than the block has"))?;
            if let Some(op) = self.op(&token)? {
                self.track.follow(&op);
                return Ok(Some(Step { op, by_case: token.by_case }));
            }
        }
    }

    fn text(&mut self, slot: Slot, reference: u64) -> Result<Arc<str>, Unreadable> {
        let bytes = self.contents.resolve(slot, reference)?;
        std::str::from_utf8(&bytes)
            .map(Arc::from)
            .map_err(|_| Unreadable::Malformed("a text that is not UTF-8"))
    }

    /// What `token` stands for; `None` if it only says how to read later ones.
    fn op(&mut self, token: &Token) -> Result<Option<Op>, Unreadable> {
        let &Token { tag, lane, time, fields, .. } = token;
        let now = self.track.now;
        Ok(Some(match tag {
            Tag::Source => {
                if self.track.lanes.len() == MAX_LANES {
                    return Err(Unreadable::Malformed("more than 4,096 sources"));
                }
                Op::Source(self.text(Slot::NAMES, fields[0])?)
            }
            Tag::Ready => Op::Ready,
            Tag::Advance | Tag::AdvanceAsked => {
                let to = now.as_nanos().checked_add(time);
                let to = to.ok_or(Unreadable::Malformed("a clock beyond its end"))?;
                Op::Advance { to: Instant::from_nanos(to), asked: tag == Tag::AdvanceAsked }
            }
            Tag::Overrun => Op::Overrun(at_distance(time, now)),
            Tag::Hold => {
                self.track.known(lane)?;
                Op::Hold(lane, at_distance(time, now))
            }
            Tag::Release => {
                self.track.known(lane)?;
                Op::Release(lane)
            }
            Tag::Promise => {
                self.track.known(lane)?;
                Op::Promise(lane, at_distance(time, now))
            }
            Tag::Uncertainty => {
                self.track.known(lane)?.uncertainty = Duration::from_nanos(fields[0]);
                return Ok(None);
            }
            Tag::Encoding => {
                let ns = |field: u64| {
                    u32::try_from(field).map_err(|_| Unreadable::Malformed("a pulse of more than 4 s"))
                };
                let symbol = |high, low| Ok::<_, Unreadable>(Symbol { high_ns: ns(high)?, low_ns: ns(low)? });
                let encoding =
                    BytesEncoding { zero: symbol(fields[0], fields[1])?, one: symbol(fields[2], fields[3])? };
                self.track.known(lane)?.encoding = Some((encoding, level(fields[4])));
                return Ok(None);
            }
            Tag::Piece => {
                let piece = self.contents.resolve(Slot::NAMES, fields[0])?;
                if self.pieces.len() + piece.len() > MAX_RETURNED {
                    return Err(Unreadable::Malformed("a call that returned more than 256 MiB"));
                }
                self.pieces.extend_from_slice(&piece);
                return Ok(None);
            }
            Tag::Call => Op::Call(self.call(&fields)?),
            Tag::Returned => Op::Returned(match fields[0] {
                0 => Returned::Nothing,
                1 => Returned::Number(fields[1]),
                2 if fields[1] == self.pieces.len() as u64 => {
                    Returned::Bytes(std::mem::take(&mut self.pieces))
                }
                2 => return Err(Unreadable::Malformed("a call that returned other bytes than it says")),
                3 => Returned::Failed(self.text(Slot::NAMES, fields[1])?),
                _ => return Err(Unreadable::Malformed("an unknown kind of answer")),
            }),
            Tag::Yielded => Op::Yielded,
            Tag::RunFailed => Op::RunFailed(self.text(Slot::NAMES, fields[0])?),
            Tag::Checked => Op::Checked(match fields[0] {
                0 => None,
                _ => Some(self.text(Slot::NAMES, fields[1])?),
            }),
            _ => {
                let uncertainty = self.track.known(lane)?.uncertainty;
                let at = at_distance(time, self.track.base(lane));
                Op::Event(lane, Event { at, uncertainty, kind: self.kind(token)? })
            }
        }))
    }

    fn call(&mut self, fields: &[u64]) -> Result<Call, Unreadable> {
        let name = self.text(Slot::NAMES, fields[0])?;
        let numbers = (fields[1] & 3) as usize;
        if numbers > Call::MAX_NUMBERS || fields[1] > 7 {
            return Err(Unreadable::Malformed("a call of an unknown shape"));
        }
        let bytes = (fields[1] & 4 != 0).then_some(Digest { length: fields[5], hash: fields[6] });
        Ok(Call { name, numbers: fields[2..2 + numbers].to_vec(), bytes })
    }

    fn kind(&mut self, token: &Token) -> Result<Kind, Unreadable> {
        let &Token { tag, lane, fields, .. } = token;
        let slot = Slot::lane(lane);
        let number = |field: u64| {
            u32::try_from(field).map_err(|_| Unreadable::Malformed("a number of more than 32 bits"))
        };
        Ok(match tag {
            Tag::Serial => Kind::Serial(Serial {
                direction: if fields[0] == 0 { Direction::ToDut } else { Direction::FromDut },
                bytes: self.contents.resolve(slot, fields[1])?,
                byte_time: Duration::from_nanos(fields[2]),
            }),
            Tag::Edge => Kind::Edge(level(fields[0])),
            Tag::Burst => {
                let encoding = self.track.known(lane)?.encoding;
                let (encoding, idle) =
                    encoding.ok_or(Unreadable::Malformed("a burst without an encoding"))?;
                Kind::Burst(Burst { bytes: self.contents.resolve(slot, fields[0])?, encoding, idle })
            }
            Tag::Phases => Kind::Phases(Phases {
                lengths: unpacked(&self.contents.resolve(slot, fields[0])?)?,
                first: level(fields[1]),
                rate: SampleRate::hertz(fields[2])
                    .map_err(|_| Unreadable::Malformed("a sample rate that there is not"))?,
            }),
            Tag::Bus => Kind::Bus(BusTransfer {
                data: fields[0] != 0,
                bytes: self.contents.resolve(slot, fields[1])?,
            }),
            Tag::Flow => Kind::Flow(Flow {
                connection: ConnectionId(number(fields[0])?),
                what: match fields[1] {
                    0 => FlowKind::Opened,
                    1 => FlowKind::Refused,
                    2 => FlowKind::Data(Direction::ToDut, self.contents.resolve(slot, fields[2])?),
                    3 => FlowKind::Data(Direction::FromDut, self.contents.resolve(slot, fields[2])?),
                    4 => FlowKind::Acknowledged(fields[2]),
                    5 => FlowKind::Finished(Direction::ToDut),
                    6 => FlowKind::Finished(Direction::FromDut),
                    7 => FlowKind::Reset(Direction::ToDut),
                    8 => FlowKind::Reset(Direction::FromDut),
                    _ => return Err(Unreadable::Malformed("an unknown event of a connection")),
                },
            }),
            Tag::Air => Kind::Air(match fields[0] {
                0 => AirEvent::Appeared(AccessPoint {
                    ssid: self.text(slot, fields[1])?,
                    open: fields[2] & 1 != 0,
                    channel: u8::try_from(fields[2] >> 1)
                        .map_err(|_| Unreadable::Malformed("a channel beyond 255"))?,
                }),
                1 => AirEvent::Vanished(self.text(slot, fields[1])?),
                2 => AirEvent::Joined,
                3 => AirEvent::Addressed(number(fields[1])?.into()),
                4 => AirEvent::Left,
                _ => return Err(Unreadable::Malformed("an unknown event of the air")),
            }),
            Tag::FlashBusy => Kind::FlashBusy(FlashBusy {
                operation: if fields[0] == 0 { FlashOperation::Erase } else { FlashOperation::Program },
                address: number(fields[1])?,
                length: number(fields[2])?,
                duration: Duration::from_nanos(fields[3]),
            }),
            Tag::Gauge => Kind::Gauge(fields[0]),
            Tag::Action => Kind::Action(self.text(slot, fields[0])?),
            Tag::Note => Kind::Note(self.text(slot, fields[0])?),
            Tag::Device => Kind::Device(match fields[0] {
                0 => DeviceEvent::PowerOn,
                1 => DeviceEvent::PowerOff,
                2 => DeviceEvent::Started(cause_of(fields[1])?),
                3 => DeviceEvent::Crashed(self.text(slot, fields[1])?),
                _ => return Err(Unreadable::Malformed("an unknown event of the device")),
            }),
            Tag::Gap => Kind::Gap(Gap {
                length: Duration::from_nanos(fields[0]),
                reason: self.text(slot, fields[1])?,
            }),
            _ => return Err(Unreadable::Malformed("an unknown kind of event")),
        })
    }
}

fn level(field: u64) -> Level {
    if field == 0 { Level::Low } else { Level::High }
}
