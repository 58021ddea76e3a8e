//! Defects that this firmware can be given on purpose.
//!
//! Firmware of this kind has had them (specification section 14), and a suite that never met them
//! could not be trusted to find them. The code asks [`present`] at the place where a defect would
//! sit. Without the feature `defects` the answer is a constant, so that nothing of it reaches an
//! image.

macro_rules! defects {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A defect, by what it does wrong.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Defect {
            $($(#[doc = $doc])+ $variant,)+
        }

        #[cfg(feature = "defects")]
        impl Defect {
            /// Every defect that this build can be given.
            pub const ALL: &[Defect] = &[$(Defect::$variant),+];

            /// Its name in lists of faults.
            pub fn name(self) -> &'static str {
                match self {
                    $(Defect::$variant => $name,)+
                }
            }
        }
    };
}

defects! {
    /// The sum over an uploaded file is received and not compared.
    CrcUnchecked = "crc-unchecked",

    /// Playback runs at 60 frames per second.
    HalfFrameRate = "half-frame-rate",
    /// The frame period is 1000 / 120 in whole milliseconds: 8 ms, 125 frames per second.
    WholeMilliseconds = "whole-milliseconds",
    /// Every 32nd frame goes out a millisecond late.
    UnsteadyLoop = "unsteady-loop",
    /// Two frames in 300 are left out, and nothing is logged.
    FramesLeftOut = "frames-left-out",
    /// The second lane begins when the first has ended.
    LanesInTurn = "lanes-in-turn",
    /// Colours leave as red, green, blue.
    RedFirst = "red-first",
    /// The last pixel of each lane is not sent.
    LastPixelLost = "last-pixel-lost",
    /// The pulses of another chip: a 0 is high for 600 ns, a 1 for 1000 ns.
    LongPulses = "long-pulses",
    /// The pulses of a slower chip: 2.2 us a bit.
    SlowBits = "slow-bits",
    /// Each frame leaves in two halves, 20 us apart.
    FrameInHalves = "frame-in-halves",
    /// Every 16th frame is sent once more, 25 us after its end: too soon for the strip to have shown it.
    NoTimeToLatch = "no-time-to-latch",
    /// A stop leaves the last frame on the strip.
    StopKeepsPicture = "stop-keeps-picture",

    /// The partition table of an unfinished change: app0 is not aligned and overlaps app1.
    PartitionsOverlap = "partitions-overlap",
    /// A partition table with one factory slot and no update data.
    NoUpdateSlots = "no-update-slots",
    /// The banner names another version.
    WrongVersion = "wrong-version",
    /// The banner's build stamp is made at each start.
    BuildStampMoves = "build-stamp-moves",
    /// The UART answers OK whatever became of the command.
    UartAlwaysOk = "uart-always-ok",
    /// The UART answers ERR whatever became of the command.
    UartAlwaysErr = "uart-always-err",
    /// Half as many pool blocks are reported.
    HalfThePools = "half-the-pools",
    /// The boot log does not tell the free heap.
    BootHeapUntold = "boot-heap-untold",
    /// The file system begins a block late in its partition.
    FileSystemShifted = "file-system-shifted",
    /// The file system has 140 blocks of its partition's 384.
    FileSystemSmall = "file-system-small",
    /// The log gives another mount point.
    OtherMountPoint = "other-mount-point",
    /// The last template is never provisioned.
    TemplateMissing = "template-missing",

    /// An upload removes the older file of its name before it writes the new one.
    OldFileFirst = "old-file-first",
    /// A file system in which an unfinished upload is found is taken for broken, and formatted.
    FormatAfterCut = "format-after-cut",
    /// The STATUS of an upload is sent before the file has got its name.
    StatusBeforeCommit = "status-before-commit",
    /// Templates are written under their own names, and one that has the name is taken to be whole.
    TemplateInPlace = "template-in-place",

    /// A third WebSocket client is let in.
    ThirdClientServed = "third-client-served",
    /// One WebSocket client is all that is let in.
    SecondClientRefused = "second-client-refused",
    /// A third client is upgraded first and gets its HTTP status on the WebSocket.
    ThirdClientUpgraded = "third-client-upgraded",
    /// A third client is refused, and costs the first one its place.
    ThirdClientEvictsFirst = "third-client-evicts-first",
    /// A client that leaves without a Close frame keeps its slot.
    SlotNeedsClose = "slot-needs-close",
    /// The slot of a client that closed properly is free after 3 s.
    SlotLingersAfterClose = "slot-lingers-after-close",
    /// An idle client loses its slot and keeps its TCP connection.
    IdleKeepsConnection = "idle-keeps-connection",
    /// An idle client is disconnected after 4.9 s.
    IdleTooEarly = "idle-too-early",
    /// An idle client is disconnected after 8 s.
    IdleTooLate = "idle-too-late",
    /// The idle time counts from the upgrade on, whatever the client says.
    ActivityNotCounted = "activity-not-counted",
    /// The only network task waits for the rest of a frame.
    ReceiveBlocksEverybody = "receive-blocks-everybody",
    /// A message of 4096 bytes is too long.
    MessageLimitTooLow = "message-limit-too-low",
    /// A message longer than the buffer is cut to its length.
    OversizeCut = "oversize-cut",
    /// A message longer than the buffer is written beyond it.
    OversizeUnchecked = "oversize-unchecked",
    /// Of a frame's 64-bit length the low 32 bits are read.
    LengthCutTo32Bits = "length-cut-to-32-bits",
    /// A text message is taken for a binary one.
    TextAccepted = "text-accepted",
    /// There is no WebSocket at `/`.
    RootPathMissing = "root-path-missing",
    /// Names of HTTP header fields are read as they are usually written only.
    FieldNamesCaseSensitive = "field-names-case-sensitive",
    /// The version in the upgrade request is not looked at.
    WebSocketVersionUnchecked = "websocket-version-unchecked",
    /// Of the upgrade request its path, its version and its key are looked at, and nothing else.
    HeadUnchecked = "head-unchecked",
    /// Any value passes for a key, and the first of several is taken.
    KeyUnchecked = "key-unchecked",
    /// The accept value is the key.
    AcceptIsKey = "accept-is-key",
    /// A subprotocol is selected that nobody offered.
    SubprotocolUnasked = "subprotocol-unasked",
    /// The refusal of another version does not name the one that is spoken.
    VersionUnnamed = "version-unnamed",
    /// After a refused request the device waits for another that it would not read.
    RefusalKeepsConnection = "refusal-keeps-connection",
    /// The request has to come in one piece.
    HeadInOnePiece = "head-in-one-piece",
    /// What comes right behind the request is lost.
    EarlyBytesLost = "early-bytes-lost",
    /// Upgrade and Connection have to read as in the RFC's example.
    TokensComparedWhole = "tokens-compared-whole",
    /// The target of the request is the path and nothing else.
    TargetTakenLiterally = "target-taken-literally",
    /// A frame without a mask is taken.
    UnmaskedAccepted = "unmasked-accepted",
    /// The masking key of a fragment begins where that of the last one ended.
    MaskRunsOn = "mask-runs-on",
    /// Reserved bits are not looked at.
    ReservedBitsIgnored = "reserved-bits-ignored",
    /// A frame with a reserved opcode is taken for binary.
    ReservedOpcodesTaken = "reserved-opcodes-taken",
    /// A length in 16 bits is read as little-endian.
    LengthByteOrder = "length-byte-order",
    /// A fragment is taken for a message.
    FragmentsAsMessages = "fragments-as-messages",
    /// A continuation without a message begins one.
    LoneContinuationTaken = "lone-continuation-taken",
    /// A message that begins within another continues it.
    MessagesInterleave = "messages-interleave",
    /// A control frame between fragments makes the device forget those before it.
    ControlEndsMessage = "control-ends-message",
    /// A control frame may be a fragment.
    FragmentedControlTaken = "fragmented-control-taken",
    /// A control frame of more than 125 bytes is cut to them.
    LongControlCut = "long-control-cut",
    /// A ping is refused like text.
    PingRefused = "ping-refused",
    /// An empty message is taken for a broken one.
    HeartbeatRefused = "heartbeat-refused",
    /// A pong has no payload.
    PingPayloadLost = "ping-payload-lost",
    /// A pong is answered like a ping.
    PongAnswered = "pong-answered",
    /// A Close frame is not answered; TCP just ends.
    CloseUnanswered = "close-unanswered",
    /// A Close frame is answered with the code that it has, whatever that is.
    CloseUnread = "close-unread",
    /// After the closing handshake the device goes on as before.
    CloseGoesOn = "close-goes-on",
    /// A client's FIN is noticed after 10 s.
    FinUnnoticed = "fin-unnoticed",
    /// A connection that the device fails ends when the client has answered, and not before.
    CloseNeedsAnswer = "close-needs-answer",
    /// A connection is failed with code 1000.
    FailureCodeNormal = "failure-code-normal",
    /// Text is not checked.
    Utf8Unchecked = "utf8-unchecked",
    /// Each fragment of a text has to be UTF-8 by itself.
    Utf8ByFragment = "utf8-by-fragment",
    /// Text is sent back as binary.
    EchoKindLost = "echo-kind-lost",
    /// A refused client is disconnected without an ERROR.
    SilentRefusal = "silent-refusal",
    /// A file of 262,144 bytes is too long.
    FileLimitTooLow = "file-limit-too-low",
    /// The size that PUT_BEGIN declares is not compared with the largest.
    FileSizeUnchecked = "file-size-unchecked",
    /// A file of 0 bytes is accepted.
    EmptyFileAccepted = "empty-file-accepted",
    /// A whole file has to fit into one block of the heap before it is stored.
    WholeFileInMemory = "whole-file-in-memory",
    /// In profile n the 4089 bytes of a PUT_DATA include its offset.
    OffsetCountsAsData = "offset-counts-as-data",
    /// Neither profile compares the length field with the message.
    LengthUnchecked = "length-unchecked",
    /// The CRC of a frame is not compared.
    FrameCrcUnchecked = "frame-crc-unchecked",
    /// A frame of an unknown type is answered like a STATUS request.
    UnknownTypeAcknowledged = "unknown-type-acknowledged",
    /// Profile n has no message of type 0x03.
    EndTypeMissing = "end-type-missing",
    /// In profile f the offset is read as little-endian.
    OffsetByteOrder = "offset-byte-order",
    /// In profile f PUT_END has to carry the file's CRC.
    EndNeedsPayload = "end-needs-payload",
    /// A file CRC of 0, or none at all, is not compared.
    ZeroCrcUnchecked = "zero-crc-unchecked",
    /// The file CRC is compared before its final inversion.
    CrcNotInverted = "crc-not-inverted",
    /// A name of any length is accepted.
    NameLengthUnchecked = "name-length-unchecked",
    /// A name is read as far as its length says, also beyond the message.
    NameReadBeyondMessage = "name-read-beyond-message",
    /// A stored name keeps its capital letters.
    NameKeepsCase = "name-keeps-case",
    /// Uploads are complete with the PUT_END, whatever came before.
    IncompleteAccepted = "incomplete-accepted",
    /// What was left out in the middle of a file becomes zeros.
    HoleFilledWithZeros = "hole-filled-with-zeros",
    /// Data is stored in the order in which it comes.
    OffsetIgnored = "offset-ignored",
    /// The end of a piece is computed in 32 bits.
    OffsetWraps = "offset-wraps",
    /// Data beyond the declared size is stored.
    ExcessAccepted = "excess-accepted",
    /// PUT_DATA without an upload is ignored, PUT_END acknowledged.
    StrayMessagesIgnored = "stray-messages-ignored",
    /// A second PUT_BEGIN goes on with the data of the first.
    UploadsMixed = "uploads-mixed",
    /// An upload whose client is gone stays open.
    UploadOutlivesClient = "upload-outlives-client",
    /// Every upload leaves a block of 1024 bytes behind.
    UploadLeaksBlock = "upload-leaks-block",
    /// A PUT_DATA takes 60 ms.
    SlowChunks = "slow-chunks",
    /// Answers are sent twice.
    AnswersTwice = "answers-twice",
    /// In profile f PUT_END is not answered.
    StatusMissing = "status-missing",
    /// The last byte of an odd number of bytes does not reach the flash.
    OddByteLost = "odd-byte-lost",
    /// What came of an upload with a wrong CRC stays in the file system.
    RefusedFileKept = "refused-file-kept",
    /// A long upload makes room by removing a template.
    TemplateMakesRoom = "template-makes-room",
    /// The start removes all stored patterns.
    PatternsLostAtStart = "patterns-lost-at-start",
    /// In profile n a packaged pattern is stored only if it can be played.
    UnsoundFileRefused = "unsound-file-refused",
    /// In profile n an uploaded pattern does not play by itself.
    NoAutoplay = "no-autoplay",
    /// In profile f an uploaded pattern plays without a PLAY.
    FramedAutoplay = "framed-autoplay",
    /// A raw pattern stops at its last frame.
    NoLoop = "no-loop",
    /// A raw pattern starts over one frame too early.
    LastFrameLeftOut = "last-frame-left-out",
    /// PLAY of a missing name is a failure of the storage.
    NotFoundIsStorageError = "not-found-is-storage-error",
    /// PAUSE and RESUME are acknowledged.
    PauseAccepted = "pause-accepted",
    /// DELETE is acknowledged and deletes nothing.
    DeleteKeepsFile = "delete-keeps-file",
    /// A file that is replaced or deleted stays open, and plays on from where it was.
    PlayedFileKept = "played-file-kept",
    /// A PLAY that is stopped before its first frame is shown keeps a buffer for good.
    RefusedStartLeaks = "refused-start-leaks",
    /// STATUS reports the pixels of one lane.
    StatusCountsOneLane = "status-counts-one-lane",
    /// A STATUS request is heard and not answered.
    StatusUnanswered = "status-unanswered",
    /// Nothing starts the parser: messages are taken and never read.
    ParserNeverInitialised = "parser-never-initialised",

    /// Brightness is (value x brightness) / 256: full scale comes out as 254.
    FullScaleLost = "full-scale-lost",
    /// Brightness follows a curve of its own, as the eye does.
    BrightnessCurved = "brightness-curved",
    /// A limit for small supplies holds the brightness at 200.
    BrightnessLimited = "brightness-limited",
    /// Brightness and gamma are at their target at once, whatever the duration.
    RampsJump = "ramps-jump",
    /// Durations are not limited to 5 s.
    RampsUnlimited = "ramps-unlimited",
    /// Any exponent is taken.
    GammaUnlimited = "gamma-unlimited",
    /// A new brightness sets gamma back.
    GammaLost = "gamma-lost",
    /// Gamma is taken and not applied.
    GammaIgnored = "gamma-ignored",
    /// Brightness is applied before gamma.
    BrightnessFirst = "brightness-first",

    /// The header's checksum is taken over bytes 0 to 25, itself included.
    HeaderCrcOverItself = "header-crc-over-itself",
    /// The header's checksum is read and not compared.
    HeaderCrcUnchecked = "header-crc-unchecked",
    /// The checksum over palette and frames is read and not compared.
    PayloadCrcUnchecked = "payload-crc-unchecked",
    /// What the frames of a pattern need is computed in 32 bits.
    FrameMemoryWraps = "frame-memory-wraps",
    /// A pattern of no frames is taken for one of one frame.
    NoFrameIsOne = "no-frame-is-one",
    /// The index after the palette's last one is taken.
    PaletteEndOffByOne = "palette-end-off-by-one",
    /// A palette of 65 colours is taken.
    PaletteSizeOffByOne = "palette-size-off-by-one",
    /// A first frame that is a difference is applied to black.
    DeltaFirstTaken = "delta-first-taken",
    /// A frame that ends early keeps the rest of the frame before.
    ShortSegmentTaken = "short-segment-taken",
    /// A frame may be one byte short.
    SegmentEndOffByOne = "segment-end-off-by-one",
    /// The number of pixels is read and not compared.
    PixelCountUnchecked = "pixel-count-unchecked",
    /// The format's version is read and not compared.
    VersionUnchecked = "version-unchecked",
    /// The rate is taken for whole frames per second.
    RateInWholeFrames = "rate-in-whole-frames",
    /// A pattern without a rate stands still.
    NoRateStandsStill = "no-rate-stands-still",
    /// A frame with more than it needs is refused.
    SurplusRefused = "surplus-refused",
    /// Differences are taken for whole frames.
    DeltaIsWhole = "delta-is-whole",
    /// A pattern of 160 pixels leaves the second lane dark.
    SecondLaneDark = "second-lane-dark",
    /// Progressive sync is not implemented: the second lane stays dark.
    ProgressiveDark = "progressive-dark",
    /// The second lane repeats the first, also of patterns of 320 pixels.
    SecondLaneCopied = "second-lane-copied",

    /// LIST overruns the stack of its task.
    ListOverrunsStack = "list-overruns-stack",
    /// LIST leaves out the last pattern.
    ListCutShort = "list-cut-short",
    /// LIST goes on when its message is full.
    ListOverflowsMessage = "list-overflows-message",
    /// No frame is left out, so that fast patterns are slow.
    NoFrameLeftOut = "no-frame-left-out",
    /// DELETE takes names as they are.
    DeleteUnnormalised = "delete-unnormalised",
    /// Names are cut after 40 letters.
    NamesCutAt40 = "names-cut-at-40",
    /// The lengths of controls are not compared with what they hold.
    ControlLengthsUnchecked = "control-lengths-unchecked",
    /// Answers to controls lack their leading zero.
    AnswersWithoutZero = "answers-without-zero",
    /// DEPLOY_TEMPLATE plays the template after the one that was asked for.
    TemplateOffByOne = "template-off-by-one",
    /// An unknown template is taken for the first one.
    UnknownTemplateTaken = "unknown-template-taken",
    /// PLAY finds templates too.
    TemplatesArePlayed = "templates-are-played",
    /// Templates are made for 30 frames per second.
    TemplatesTooFast = "templates-too-fast",
    /// A template is decoded as a whole, which takes long, before it shows.
    DeployDecodesWhole = "deploy-decodes-whole",
    /// The templates task comes before the playback task.
    TemplatesBeforePlayback = "templates-before-playback",

    /// The log's memory is allocated before the pools'.
    PoolsLate = "pools-late",
    /// The heap monitor is started before NVS, TCP/IP and the event loop.
    BootOrderSwapped = "boot-order-swapped",
    /// The file system is mounted before the network is started.
    StorageBeforeNetwork = "storage-before-network",
    /// Storage runs above playback.
    PriorityInversion = "priority-inversion",
    /// Playback and network have each other's priority.
    PrioritiesSwapped = "priorities-swapped",
    /// The tasks of the seed have the stacks of a stale table: half of what they should.
    StacksHalved = "stacks-halved",
    /// A frame that misses its deadline is not told.
    OverrunSilent = "overrun-silent",
    /// After an overrun all later frames come later by its length.
    OverrunShifts = "overrun-shifts",
    /// After an overrun the frames that are late are sent as fast as the wire allows.
    OverrunCatchesUp = "overrun-catches-up",
    /// After an overrun so many frames are left out as the device has sent.
    OverrunStandsStill = "overrun-stands-still",
    /// The heap's statistics are never reported.
    ReportMissing = "heap-report-missing",
    /// The heap's statistics are reported every 25 s.
    ReportTooOften = "heap-report-too-often",
    /// The report says what is used where it should say what is free.
    ReportWrong = "heap-report-wrong",
    /// The minimum of the free heap is that of the last seconds, and so rises again.
    MinimumRises = "heap-minimum-rises",
    /// The heap's fragmentation is counted and not logged.
    FragmentationUnwarned = "fragmentation-unwarned",
    /// The heap is critical only when a tenth less is free than the specification says.
    LowMemoryLate = "low-memory-late",
    /// The heap monitor looks every five seconds.
    MonitorSlow = "heap-monitor-slow",
    /// Memory is taken without asking whether there is any.
    MemoryUnchecked = "memory-unchecked",
    /// All templates are read into RAM at the boot (specification section 14, item 24).
    TemplatesCached = "templates-cached",
    /// Small pieces of memory are taken all over the heap, and every second one is kept.
    HeapRiddled = "heap-riddled",
    /// Nobody starts the watchdog.
    WatchdogAbsent = "watchdog-absent",
    /// A device that was restarted by its watchdog waits to be looked at.
    StaysDown = "stays-down",
    /// Every start is told as a power on.
    CauseUntold = "start-cause-untold",

    /// The setup access point is never opened.
    NoAccessPoint = "no-access-point",
    /// The access point takes another name once the device has joined a network.
    AccessPointRenamed = "access-point-renamed",
    /// The portal takes forms and has no page.
    NoPage = "no-page",
    /// The portal takes one form; to correct it, somebody has to restart the device.
    FormOnce = "form-once",
    /// `%XX` in the portal's form is left as it is; only `+` is decoded (specification section 4).
    PercentUndecoded = "percent-undecoded",
    /// What is too long in the portal's form is cut instead of refused.
    FormCut = "form-cut",
    /// The portal's form has an effect until the next restart only.
    CredentialsForgotten = "credentials-forgotten",
    /// The stored network is joined with the form that the portal received, but not after a start.
    NoJoinAfterBoot = "no-join-after-boot",
    /// A new network is joined only after the next restart.
    JoinAfterRestart = "join-after-restart",
    /// Open networks are not joined (specification section 4: the threshold is WPA2).
    OpenRefused = "open-refused",
    /// Once the device has joined a network, nobody is served any more (defect 10).
    NoServerWhenJoined = "no-server-when-joined",
    /// After five failed attempts to join, there is no sixth (defect 18).
    JoinGivesUp = "join-gives-up",
    /// Each of the portal's pages takes 20 ms on the playback core, above playback.
    HttpStarvesPlayback = "http-starves-playback",
    /// Each mDNS message takes 20 ms on the playback core, above playback.
    MdnsStarvesPlayback = "mdns-starves-playback",
    /// The device is silent on mDNS.
    MdnsSilent = "mdns-silent",
    /// The device announces itself, and answers no query.
    MdnsAnnouncesOnly = "mdns-announces-only",
    /// mDNS names port 8080.
    MdnsPort = "mdns-port",
    /// The TXT record says `leds=320`, as an old read-me has it.
    MdnsLeds = "mdns-leds",
    /// The TXT record carries nothing but the number of LEDs.
    MdnsBare = "mdns-bare",
    /// mDNS gives out the address of the access point.
    MdnsAddress = "mdns-address",

    /// One frame in an hour is left out, and nothing is logged.
    FrameLostHourly = "frame-lost-hourly",
    /// One frame in a while is shown in the place of the next one.
    FrameShownTwice = "frame-shown-twice",
    /// Upload number 60 is the last one.
    UploadNumbersRunOut = "upload-numbers-run-out",
    /// Every upload leaves 128 bytes of heap behind.
    UploadLeaksMemory = "upload-leaks-memory",
    /// Every connection leaves 32 bytes of heap behind.
    ClientLeaksMemory = "client-leaks-memory",
    /// Every sixteenth upload leaves four bytes where they part the largest free piece of the heap.
    HeapStrewn = "heap-strewn",
    /// An error is logged when microseconds no longer fit into 32 bits, after 72 minutes.
    TimeWrapsLogged = "time-wraps-logged",
    /// The device restarts when microseconds no longer fit into 32 bits, after 72 minutes.
    TimeWrapsRestarts = "time-wraps-restarts",
    /// The blocks that list the files stay where they are, however often they are erased.
    MetadataStays = "metadata-stays",
}

/// Whether the running firmware has `defect`.
#[cfg(not(feature = "defects"))]
#[inline(always)]
pub const fn present(_defect: Defect) -> bool {
    false
}

#[cfg(feature = "defects")]
mod given;
#[cfg(feature = "defects")]
pub use given::{give, present, reached};
