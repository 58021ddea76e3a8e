//! The bench proves itself before a case: how its controller's clock lies to the host's, and how well it sees an edge
//! that it sends to itself.

use std::time::{Duration, Instant as HostInstant};

use rigor_controller::Ticks;
use rigor_controller::message::Level;
use rigor_controller::stepped::{Crossed, Proceed};
use rigor_core::qualification::{LoopBack, Qualification};
use rigor_core::{Instant, Kind, Timeline};

use super::console::Console;
use super::controller::Controller;
use super::error::BenchError;
use super::line::Told;
use super::mapping::{Mapping, duration_of, ticks_in};
use super::time::SCHEDULING;

/// Round trips; the best one counts.
const TRIPS: usize = 16;
/// Edges that the controller sends to itself, and the time between them.
const EDGES: u16 = 16;
const SPACING: Duration = Duration::from_micros(100);
/// All of them are back within this, also on a busy host.
const BACK_WITHIN: Duration = Duration::from_secs(2);

/// What was found out.
pub(super) struct Qualified {
    /// How the clocks lie to each other; nothing where there is one clock.
    pub(super) mapping: Option<Mapping>,
    /// How well all of it is known.
    pub(super) figures: Qualification,
}

impl Qualified {
    /// Tries `controller` out, and says how well bytes of `console` are stamped.
    ///
    /// # Errors
    /// [`BenchError`] if the controller does not answer, or drops edges of its own.
    pub(super) fn of(
        controller: Option<&mut Controller>,
        console: Option<&Console>,
    ) -> Result<Self, BenchError> {
        let stamped = |clocks: Duration| console.map(|console| clocks + console.latency + SCHEDULING);
        let Some(controller) = controller else {
            let figures = Qualification { console: stamped(Duration::ZERO), ..Qualification::default() };
            return Ok(Qualified { mapping: None, figures });
        };
        let identity = controller.identity().clone();
        let instrument = Some(format!(
            "controller `{}` {:016x}, {} ticks a second",
            identity.name, identity.serial, identity.clock_hz
        ));
        let mapping = if identity.stepped { None } else { Some(mapped(controller, identity.clock_hz)?) };
        let clocks = mapping.as_ref().map(|mapping| mapping.ticks_at(HostInstant::now()).1);
        let loop_back = if identity.has_loop_back { Some(loop_back(controller)?) } else { None };
        // The clock of a simulated device is the rig's, and stands while anything is on its way.
        let console = clocks.map_or(console.map(|_| Duration::ZERO), stamped);
        let figures = Qualification { instrument, loop_back, clocks, console, ..Qualification::default() };
        Ok(Qualified { mapping, figures })
    }

    /// Tells it on the rig's timeline.
    pub(super) fn tell(&self, timeline: &Timeline) {
        let source = timeline.source("bench");
        for line in self.figures.lines() {
            // The first that is recorded there.
            let _ = timeline.push(source, Instant::ZERO, Duration::ZERO, Kind::Note(line.into()));
        }
    }
}

fn mapped(controller: &mut Controller, clock_hz: u32) -> Result<Mapping, BenchError> {
    let mut mapping = Mapping::new(clock_hz, controller.read_clock()?);
    for _ in 1..TRIPS {
        mapping.refine(controller.read_clock()?);
    }
    Ok(mapping)
}

/// Has the controller send edges to itself: how many come back, how late, and how evenly.
fn loop_back(controller: &mut Controller) -> Result<LoopBack, BenchError> {
    let clock_hz = controller.identity().clock_hz;
    let spacing = ticks_in(clock_hz, SPACING).max(1);
    let began = controller.loop_back(EDGES, u32::try_from(spacing).unwrap_or(u32::MAX))?;
    let edges = edges(controller, began + spacing * (u64::from(EDGES) + 2))?;
    let sent = u32::from(EDGES);
    if edges.is_empty() {
        return Ok(LoopBack { sent, seen: 0, offset: Duration::ZERO, jitter: Duration::ZERO });
    }
    let wrong = edges.windows(2).any(|pair| pair[0].1 == pair[1].1);
    if edges.len() != usize::from(EDGES) || wrong {
        return Err(BenchError::Other(format!(
            "the controller sent {EDGES} edges to itself and saw {} of them{}; look at the jumper of its loop-back pair, or \
             replace the Pico",
            edges.len(),
            if wrong { ", not in turns" } else { "" }
        )));
    }
    let late = |(index, at): (usize, Ticks)| at.since(began + spacing * (index as u64 + 1));
    let lates: Vec<u64> = edges.iter().map(|(at, _)| *at).enumerate().map(late).collect();
    let (least, most) = (lates.iter().min().copied().unwrap_or(0), lates.iter().max().copied().unwrap_or(0));
    Ok(LoopBack {
        sent,
        seen: sent,
        offset: duration_of(clock_hz, least),
        jitter: duration_of(clock_hz, most - least),
    })
}

/// The edges of the loop-back pair until the controller's clock shows `until`.
fn edges(controller: &mut Controller, until: Ticks) -> Result<Vec<(Ticks, Level)>, BenchError> {
    let deadline = HostInstant::now() + BACK_WITHIN;
    let mut edges = Vec::new();
    loop {
        let now = if controller.identity().stepped {
            controller.proceed(Proceed { until, crossed: Crossed::default() })?.at
        } else {
            controller.read_clock()?.2
        };
        for told in controller.told()? {
            if let Told::Edge(rigor_controller::message::LOOP_BACK_INPUT, at, level) = told {
                edges.push((at, level));
            }
        }
        if edges.len() == usize::from(EDGES) || now >= until || HostInstant::now() >= deadline {
            return Ok(edges);
        }
    }
}
