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
}

/// Whether the running firmware has `defect`.
#[cfg(not(feature = "defects"))]
#[inline(always)]
pub const fn present(_defect: Defect) -> bool {
    false
}

#[cfg(feature = "defects")]
std::thread_local! {
    static PRESENT: core::cell::Cell<Option<Defect>> = const { core::cell::Cell::new(None) };
}

/// Whether the running firmware has `defect`.
#[cfg(feature = "defects")]
#[inline]
pub fn present(defect: Defect) -> bool {
    PRESENT.get() == Some(defect)
}

/// Gives the firmware that this thread is about to start `defect`, or none. A port calls it before
/// [`start`](crate::start); boards with different defects need threads of their own.
#[cfg(feature = "defects")]
pub fn give(defect: Option<Defect>) {
    PRESENT.set(defect);
}
