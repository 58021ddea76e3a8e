//! What was done about a bench that failed under a case.
//!
//! A fault of the rig is tried again, because it says nothing of the product; but never in silence. Between two attempts
//! the back end climbs a ladder, from what costs least to what costs most, and each rung is recorded.

use serde::{Deserialize, Serialize};

/// A rung of the ladder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The board's reset pin, and every wire of the controller let go.
    Reset,
    /// The USB devices of the bench, made to appear anew.
    ReEnumerate,
    /// The board's supply, off and on.
    PortPower,
    /// Nobody uses the bench any more until a person has looked at it.
    OutOfService,
}

impl Step {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Step::Reset => "reset",
            Step::ReEnumerate => "USB re-enumerated",
            Step::PortPower => "supply off and on",
            Step::OutOfService => "taken out of service",
        }
    }
}

/// A rung that was climbed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Climbed {
    /// Which.
    pub step: Step,
    /// Whether the bench was well afterwards.
    pub helped: bool,
    /// What was wrong afterwards, or why it could not be done.
    pub told: Option<String>,
}

/// A fault of the rig, and what was done about it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// What failed.
    pub fault: String,
    /// What was done, in order; nothing on a rig that is made anew for every attempt.
    pub steps: Vec<Climbed>,
}

impl Recovery {
    /// In a line, for people.
    pub fn line(&self) -> String {
        let step = |climbed: &Climbed| {
            let Climbed { step, helped, told } = climbed;
            let words = step.words();
            match (helped, told) {
                (true, _) => format!("{words}, which helped"),
                (false, Some(told)) => format!("{words}: {told}"),
                (false, None) => words.to_owned(),
            }
        };
        let steps: Vec<String> = self.steps.iter().map(step).collect();
        if steps.is_empty() {
            self.fault.clone()
        } else {
            format!("{} -> {}", self.fault, steps.join(" -> "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_is_told_in_a_line() {
        let climbed =
            |step, helped, told: Option<&str>| Climbed { step, helped, told: told.map(str::to_owned) };
        let steps = vec![
            climbed(Step::Reset, false, Some("it is gone")),
            climbed(Step::ReEnumerate, true, None),
            climbed(Step::OutOfService, false, None),
        ];
        let recovery = Recovery { fault: "it fell silent".to_owned(), steps };
        let expected =
            "it fell silent -> reset: it is gone -> USB re-enumerated, which helped -> taken out of service";
        assert_eq!(recovery.line(), expected);
        let again = Recovery { fault: "it fell silent".to_owned(), steps: Vec::new() };
        assert_eq!(again.line(), "it fell silent");
        let text = serde_json::to_string(&recovery).expect("JSON");
        assert!(text.contains(r#""step":"re-enumerate","helped":true,"told":null"#), "{text}");
        assert_eq!(serde_json::from_str::<Recovery>(&text).expect("the same"), recovery);
    }
}
