//! The nouns of the house, without any I/O: what happened ([`timeline`]), what can act
//! ([`part`]), what is asked ([`requirement`]), how samples are judged ([`mod@unit`],
//! [`distribution`], [`budget`]), what is concluded and whose fault it is ([`verdict`]), and what a run leaves
//! behind ([`result`] with its [`evidence`], [`kill`]).
//!
//! Every other crate of the harness depends on this one and this one on none of them:
//! `core <- decode <- rigs <- runner <- suites`.

pub mod budget;
pub mod connection;
pub mod distribution;
pub mod event;
pub mod evidence;
pub mod host;
pub mod kill;
pub mod part;
pub mod qualification;
pub mod rate;
pub mod recovery;
pub mod requirement;
pub mod result;
pub mod rig;
pub mod task;
pub mod time;
pub mod timeline;
pub mod unit;
pub mod verdict;

pub use event::{Event, Kind, Level};
pub use rig::Rig;
pub use time::{Fidelity, Instant};
pub use timeline::{Source, Timeline};
