//! What a rig has found out of itself before anything was judged by it: how far its instruments can be trusted.
//!
//! In the flow (action, event, decode, **measure**) it stands before everything else. A rig of the host's own making
//! has nothing to find out. Nothing is ever corrected by these figures: what an instrument cannot tell is the
//! uncertainty of each event, and what a path takes anyway is shown beside the latencies that were measured over it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::unit::Amount;

/// What a rig has found out of itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qualification {
    /// The instrument that drives and records the device's wires, in words; `None` where the host is all there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instrument: Option<String>,
    /// How well it sees edges that it sends to itself; `None` if it has no such pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loop_back: Option<LoopBack>,
    /// How far from the truth the host's clock may be placed on the instrument's, in nanoseconds; `None` where there is
    /// one clock.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "clocks_ns", with = "nanoseconds")]
    pub clocks: Option<Duration>,
    /// How far from the truth the instant of a byte on the console may be, in nanoseconds; `None` without a console.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "console_ns", with = "nanoseconds")]
    pub console: Option<Duration>,
    /// How soon the device answered an empty line on its console, in nanoseconds; `None` if it does not answer, or was
    /// not asked.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "echo_ns", with = "nanoseconds")]
    pub echo: Option<Duration>,
    /// The shortest round trip to each service over the network, by its name; empty if nobody asked.
    pub network: Vec<RoundTrip>,
}

/// Edges that an instrument has sent to itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoopBack {
    /// How many it sent.
    pub sent: u32,
    /// How many of them it saw; none if nothing joins the pair.
    pub seen: u32,
    /// The time from sending to seeing one, at least, in nanoseconds.
    #[serde(rename = "offset_ns", with = "some_nanoseconds")]
    pub offset: Duration,
    /// How much longer it took at most, in nanoseconds.
    #[serde(rename = "jitter_ns", with = "some_nanoseconds")]
    pub jitter: Duration,
}

/// Round trips to a service.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundTrip {
    /// The service, by its name in the rig file.
    pub service: String,
    /// How many there were.
    pub trips: u32,
    /// The shortest, in nanoseconds. No answer over this network comes sooner.
    #[serde(rename = "floor_ns", with = "some_nanoseconds")]
    pub floor: Duration,
}

impl Qualification {
    /// The worse of both in everything: of a rig that has qualified twice, for two cases.
    #[must_use]
    pub fn worst_of(mut self, other: Qualification) -> Qualification {
        let Qualification { instrument, loop_back, clocks, console, echo, network } = other;
        self.instrument = self.instrument.or(instrument);
        self.loop_back = match (self.loop_back, loop_back) {
            (Some(one), Some(two)) => Some(one.worst_of(two)),
            (one, two) => one.or(two),
        };
        self.clocks = self.clocks.max(clocks);
        self.console = self.console.max(console);
        self.echo = self.echo.max(echo);
        for trip in network {
            match self.network.iter_mut().find(|known| known.service == trip.service) {
                Some(known) => {
                    known.trips = known.trips.saturating_add(trip.trips);
                    // A floor is as low as it was ever seen.
                    known.floor = known.floor.min(trip.floor);
                }
                None => self.network.push(trip),
            }
        }
        self.network.sort();
        self
    }

    /// How far from the truth what the host stamps may be; `None` where it stamps nothing.
    pub fn stamps(&self) -> Option<Duration> {
        self.console.max(self.clocks)
    }

    /// The shortest round trip to any service.
    pub fn floor(&self) -> Option<Duration> {
        self.network.iter().map(|trip| trip.floor).min()
    }

    /// What is known, a line each, for people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![match &self.instrument {
            Some(instrument) => instrument.clone(),
            None => "no controller: what the host stamps is all there is".to_owned(),
        }];
        let mut say = |line: Option<String>| lines.extend(line);
        say(self.loop_back.map(|found| found.to_string()));
        let amount = |time: Duration| Amount::from(time);
        let within = |what: &str, within: Duration| format!("{what} within {}", amount(within));
        say(self.clocks.map(|time| within("what the host stamps is placed on its clock", time)));
        say(self.console.map(|time| within("bytes of the console are stamped", time)));
        say(self.echo.map(|time| format!("the console answers an empty line after {}", amount(time))));
        for RoundTrip { service, trips, floor } in &self.network {
            let floor = amount(*floor);
            say(Some(format!(
                "no answer of `{service}` comes sooner than {floor}, the best of {trips} round trips"
            )));
        }
        lines
    }
}

impl LoopBack {
    /// The same for edges that were sent at two times: the share that was seen, at least.
    fn worst_of(self, other: LoopBack) -> LoopBack {
        // 3 of 4 is worse than 14 of 16.
        let share = |found: LoopBack, of: LoopBack| u64::from(found.seen) * u64::from(of.sent);
        let (worse, better) =
            if share(self, other) <= share(other, self) { (self, other) } else { (other, self) };
        LoopBack { offset: worse.offset.max(better.offset), jitter: worse.jitter.max(better.jitter), ..worse }
    }
}

impl std::fmt::Display for LoopBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let LoopBack { sent, seen, offset, jitter } = self;
        let (offset, jitter) = (Amount::from(*offset), Amount::from(*jitter));
        match seen {
            0 => write!(f, "the loop-back pair has no jumper, so nobody knows how well it sees"),
            _ if seen == sent => {
                write!(f, "{sent} edges to itself: all seen, {offset} after they were sent, jitter {jitter}")
            }
            _ => write!(
                f,
                "{sent} edges to itself: {seen} seen, {offset} after they were sent, jitter {jitter}"
            ),
        }
    }
}

mod some_nanoseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(crate::time::nanos(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_nanos)
    }
}

mod nanoseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(crate::time::nanos).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trips(floor_ms: u64) -> RoundTrip {
        RoundTrip { service: "n".to_owned(), trips: 8, floor: Duration::from_millis(floor_ms) }
    }

    #[test]
    fn what_is_known_is_told_and_kept() {
        let whole = Qualification {
            instrument: Some("controller `pico`".to_owned()),
            loop_back: Some(LoopBack {
                sent: 16,
                seen: 16,
                offset: Duration::from_nanos(24),
                jitter: Duration::from_nanos(8),
            }),
            clocks: Some(Duration::from_micros(60)),
            console: Some(Duration::from_millis(3)),
            echo: Some(Duration::from_millis(4)),
            network: vec![trips(2)],
        };
        let text = serde_json::to_string(&whole).expect("JSON");
        assert!(text.contains(r#""jitter_ns":8"#) && text.contains(r#""clocks_ns":60000"#), "{text}");
        assert_eq!(serde_json::from_str::<Qualification>(&text).expect("the same"), whole);
        assert_eq!(whole.lines().len(), 6);
        assert!(whole.lines()[1].contains("all seen, 24 ns after they were sent, jitter 8 ns"));
        let shaky = Qualification {
            loop_back: Some(LoopBack {
                sent: 16,
                seen: 15,
                offset: Duration::from_nanos(16),
                jitter: Duration::from_nanos(40),
            }),
            clocks: Some(Duration::from_micros(90)),
            network: vec![trips(1)],
            ..Qualification::default()
        };
        let worst = whole.clone().worst_of(shaky.clone());
        assert_eq!(worst, shaky.worst_of(whole), "whoever comes first");
        let loop_back = worst.loop_back.expect("both have one");
        assert_eq!((loop_back.seen, loop_back.jitter.as_nanos(), loop_back.offset.as_nanos()), (15, 40, 24));
        assert_eq!(
            (worst.floor(), worst.clocks),
            (Some(Duration::from_millis(1)), Some(Duration::from_micros(90)))
        );
        let nothing = Qualification::default();
        assert_eq!(serde_json::to_string(&nothing).expect("JSON"), "{\"network\":[]}");
        assert_eq!(nothing.lines().len(), 1);
    }
}
