//! What a rig has found out of itself before anything was judged by it: how far its instruments can be trusted.
//!
//! In the flow (action, event, decode, **measure**) it stands before everything else. A rig of the host's own making
//! has nothing to find out. Nothing is ever corrected by these figures: what an instrument cannot tell is the
//! uncertainty of each event, and what a path takes anyway is shown beside the latencies that were measured over it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a rig has found out of itself.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
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
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub network: BTreeMap<String, RoundTrip>,
}

/// Edges that an instrument has sent to itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundTrip {
    /// How many there were.
    pub trips: u32,
    /// The shortest, in nanoseconds. No answer over this network comes sooner.
    #[serde(rename = "floor_ns", with = "some_nanoseconds")]
    pub floor: Duration,
}

impl Qualification {
    /// What is known, a line each, for people.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![match &self.instrument {
            Some(instrument) => instrument.clone(),
            None => "no controller: what the host stamps is all there is".to_owned(),
        }];
        let mut say = |line: Option<String>| lines.extend(line);
        say(self.loop_back.map(|found| found.to_string()));
        say(self
            .clocks
            .map(|within| format!("what the host stamps is placed on its clock within {within:?}")));
        say(self.console.map(|within| format!("bytes of the console are stamped within {within:?}")));
        say(self.echo.map(|echo| format!("the console answers an empty line after {echo:?}")));
        for (service, trip) in &self.network {
            let RoundTrip { trips, floor } = trip;
            say(Some(format!(
                "no answer of `{service}` comes sooner than {floor:?}, the best of {trips} round trips"
            )));
        }
        lines
    }
}

impl std::fmt::Display for LoopBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let LoopBack { sent, seen, offset, jitter } = self;
        match seen {
            0 => write!(f, "the loop-back pair has no jumper, so nobody knows how well it sees"),
            _ if seen == sent => {
                write!(
                    f,
                    "{sent} edges to itself: all seen, {offset:?} after they were sent, jitter {jitter:?}"
                )
            }
            _ => write!(
                f,
                "{sent} edges to itself: {seen} seen, {offset:?} after they were sent, jitter {jitter:?}"
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
            network: [("n".to_owned(), RoundTrip { trips: 8, floor: Duration::from_millis(2) })].into(),
        };
        let text = serde_json::to_string(&whole).expect("JSON");
        assert!(text.contains(r#""jitter_ns":8"#) && text.contains(r#""clocks_ns":60000"#), "{text}");
        assert_eq!(serde_json::from_str::<Qualification>(&text).expect("the same"), whole);
        assert_eq!(whole.lines().len(), 6);
        assert!(whole.lines()[1].contains("all seen, 24ns after they were sent, jitter 8ns"));
        let nothing = Qualification::default();
        assert_eq!(serde_json::to_string(&nothing).expect("JSON"), "{}");
        assert_eq!(nothing.lines().len(), 1);
    }
}
