//! Other ways to the parts of a bench than its controller: what a desk has anyway.
//!
//! | Module | Part | By |
//! |---|---|---|
//! | [`modem`] | reset, and the way into the loader | DTR and RTS of the board's serial port |
//! | [`gpio`] | reset, strap, buttons, edges | pins of the host itself, by Linux's GPIO lines |
//! | [`hub`] | power | a USB hub that switches the supply of its ports (`uhubctl`) |
//! | [`usb`] | recovery | USB devices that appear anew |
//! | [`sigrok`] | capture | a logic analyser that sigrok knows (`sigrok-cli`) |
//!
//! In the flow (**action**, **event**, decode, measure) they stand where the controller does. None of them has a clock
//! that is mapped to the rig's: what they do happened at some instant between the call and its return, and whoever
//! calls writes that down.

pub mod gpio;
pub mod hub;
pub mod modem;
pub mod sigrok;
mod tool;
pub mod usb;

pub use tool::ToolError;
