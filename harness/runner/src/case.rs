//! Cases: async functions that find out whether requirements hold.
//!
//! A case's arguments are its [needs](crate::need), in the manner of axum's handlers: the runner
//! resolves them on the rig before it calls, and a case whose need is missing does not run.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::time::Duration;

use rigor_core::distribution::Distribution;
use rigor_core::verdict::{Blame, Inconclusive};

use crate::need::{Bench, Missing, Need};

/// What a case found of one requirement.
#[derive(Clone, PartialEq, Debug)]
pub enum Finding {
    /// Samples, to be judged by the requirement's budget.
    Measured(Distribution),
    /// It was seen to hold; the text says what was seen.
    Holds(String),
    /// It was seen not to hold; the text says what was seen.
    Broken(String),
    /// It could not be told; the text says why.
    Unclear(String),
}

/// What a case found, requirement by requirement.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Findings(pub(crate) Vec<(String, Finding)>);

impl Findings {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Samples for requirement `id`, to be judged by its budget.
    pub fn measured(&mut self, id: &str, samples: Distribution) -> &mut Self {
        self.0.push((id.to_owned(), Finding::Measured(samples)));
        self
    }

    /// Whether requirement `id` was seen to hold, and what was seen.
    pub fn observed(&mut self, id: &str, holds: bool, seen: impl Into<String>) -> &mut Self {
        let finding = if holds { Finding::Holds(seen.into()) } else { Finding::Broken(seen.into()) };
        self.0.push((id.to_owned(), finding));
        self
    }

    /// Requirement `id` could not be decided because of `reason`.
    pub fn unclear(&mut self, id: &str, reason: Inconclusive) -> &mut Self {
        self.0.push((id.to_owned(), Finding::Unclear(reason.0)));
        self
    }

    /// Adds what another part of the case found.
    pub fn extend(&mut self, other: Findings) -> &mut Self {
        self.0.extend(other.0);
        self
    }
}

/// How a case ends: with findings, or with somebody to blame.
pub type Outcome = Result<Findings, Blame>;

/// A case under way.
pub type Running = Pin<Box<dyn Future<Output = Outcome>>>;

/// A function that can be a case: up to eight [needs](Need) in, an [`Outcome`] out.
pub trait Handler<Needs>: Send + Sync + 'static {
    /// Resolves the needs on `bench` and calls the function.
    ///
    /// # Errors
    /// The first need that is missing.
    fn begin(&self, bench: &Bench) -> Result<Running, Missing>;
}

macro_rules! handlers {
    ($($need:ident)*) => {
        impl<F, Fut, $($need: Need),*> Handler<($($need,)*)> for F
        where
            F: Fn($($need),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Outcome> + 'static,
        {
            fn begin(&self, _bench: &Bench) -> Result<Running, Missing> {
                Ok(Box::pin(self($($need::take(_bench)?),*)))
            }
        }
    };
}

handlers!();
handlers!(A);
handlers!(A B);
handlers!(A B C);
handlers!(A B C D);
handlers!(A B C D E);
handlers!(A B C D E G);
handlers!(A B C D E G H);
handlers!(A B C D E G H I);

type Begin = Box<dyn Fn(&Bench) -> Result<Running, Missing> + Send + Sync>;

/// A case with its name and the requirements that it decides.
pub struct Case {
    pub(crate) name: String,
    pub(crate) decides: Vec<String>,
    pub(crate) begin: Begin,
    pub(crate) rig_time: Duration,
    pub(crate) long: bool,
    pub(crate) added_at: &'static Location<'static>,
}

/// How long a case may take on the rig's clock unless it says otherwise.
pub const DEFAULT_RIG_TIME: Duration = Duration::from_secs(300);

impl Case {
    /// The case `name` (a Rust identifier) that decides the requirements `decides` by `handler`.
    #[track_caller]
    pub fn new<Needs>(name: impl Into<String>, decides: &[&str], handler: impl Handler<Needs>) -> Self {
        Case {
            name: name.into(),
            decides: decides.iter().map(|&id| id.to_owned()).collect(),
            begin: Box::new(move |bench| handler.begin(bench)),
            rig_time: DEFAULT_RIG_TIME,
            long: false,
            added_at: Location::caller(),
        }
    }

    /// The same with more time on the rig's clock.
    #[must_use]
    pub fn within(mut self, rig_time: Duration) -> Self {
        self.rig_time = rig_time;
        self
    }

    /// The same as a long case: one that keeps the host busy for seconds. It may take
    /// [`LONG_WALL_TIME`](crate::trial::LONG_WALL_TIME), and the kill matrix runs it only against
    /// the faults that claim one of its requirements.
    #[must_use]
    pub fn long(mut self) -> Self {
        self.long = true;
        self
    }

    /// Whether it is a [long](Self::long) one.
    pub fn is_long(&self) -> bool {
        self.long
    }

    /// Where in the suite's source it was made.
    pub fn added_at(&self) -> &'static Location<'static> {
        self.added_at
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ids of the requirements that it decides.
    pub fn decides(&self) -> &[String] {
        &self.decides
    }

    /// `system::FIRST-ID::name`; further ids follow the first after a `+`.
    pub fn full_name(&self, system: &str) -> String {
        format!("{system}::{}::{}", self.decides.join("+"), self.name)
    }
}
