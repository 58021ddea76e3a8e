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
