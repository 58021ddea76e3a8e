//! Wires to meaning: pure functions from what a source recorded to what it says.
//!
//! The flow of a run is *action, event, decode, measure, verdict, report*. This crate is the
//! third step: it takes the events of [`rigor_core::event`] and gives frames of pixels
//! ([`ws2812`]), pictures of a display ([`st7789`]), WebSocket frames and messages ([`websocket`])
//! and lines of a log ([`console`]), each with its instants on the rig's clock. What a case believes of a device comes from here,
//! and never from what the firmware says of itself.
//!
//! | Module | From | To |
//! |---|---|---|
//! | [`capture`] | a slice of a timeline, or somebody else's capture in a file | [`capture::Capture`]: signals with their edges; and files that other programs open |
//! | [`ws2812`] | edges of a data pin, or bursts of pulses | [`ws2812::Frame`]: bytes, pixels, bit timing, gaps, defects |
//! | [`st7789`] | transfers on the bus of a display | [`st7789::Frame`]: pictures, tears; commands and findings |
//! | [`websocket`] | bytes of a TCP connection | [`websocket::ServerEvent`]; and the way back, any client frame, legal or not |
//! | [`console`] | bytes of a serial line | [`console::Line`], and of ESP-IDF its [`console::LogLine`] |
//! | [`uart`] | edges of a serial line's pin | [`uart::Character`]: bytes with their times, and what has no stop bit |
//! | [`spi`] | edges of a bus's pins | [`spi::Traffic`]: transfers to a display |
//! | [`pcap`] | what went over connections | a file of packets for Wireshark |
//! | [`lines`] | any events | a console's log, JSON lines |
//! | [`mdns`] | datagrams of a local network | [`mdns::Message`]: what is said of hosts and services |
//! | [`picture`] | frames of LEDs and displays | [`picture::Picture`]; PNG and APNG files |
//!
//! # Common rules
//! - No clock, no randomness, and no I/O but by the reader or writer that the caller hands over: the
//!   same input gives the same output.
//! - Every decoder is incremental: input may be cut anywhere, and the output does not depend on
//!   where.
//! - Input may be hostile. No decoder panics or hangs, and the memory of each is bounded by
//!   constants or by parameters that its documentation names.
//! - A decoder reports what it saw, with its place. Whether that is good enough is for a
//!   requirement's budget to say, so most findings are values ([`ws2812::Defect`],
//!   [`websocket::Violation`]) and not errors.

pub mod capture;
pub mod console;
pub mod lines;
pub mod mdns;
pub mod pcap;
pub mod picture;
pub mod spi;
pub mod st7789;
pub mod uart;
pub mod websocket;
pub mod ws2812;
