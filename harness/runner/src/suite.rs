//! A suite: the requirements of one system and the cases that decide them.

use std::collections::BTreeMap;
use std::sync::Arc;

use rigor_core::requirement::{Catalogue, CatalogueErrors, Requirement};
use rigor_core::result::{Memory, MemoryLimit};
use rigor_rigs::{FaultList, RigFileError};

use crate::case::{Case, Handler};
use crate::evidence::{Dissect, Read, Vocabulary};

/// What is wrong with the data of a suite.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// Its requirements.
    #[error(transparent)]
    Catalogue(#[from] CatalogueErrors),
    /// Its faults.
    #[error(transparent)]
    Faults(#[from] RigFileError),
}

/// The catalogue of one system with its cases.
///
/// ```
/// use std::time::Duration;
/// use rigor_core::requirement::Catalogue;
/// use rigor_runner::need::{Clock, Console};
/// use rigor_runner::{Findings, Outcome, Suite};
///
/// /// The arguments are what the case needs of a rig.
/// async fn greets(mut console: Console, clock: Clock) -> Outcome {
///     let line = console.expect_text("hello", Duration::from_secs(5)).await?;
///     let mut findings = Findings::new();
///     findings.observed("TOY-SYS-001", true, format!("{:?} by {}", line.text, clock.now()));
///     Ok(findings)
/// }
///
/// let catalogue = Catalogue::parse(
///     r#"
///         schema = 1
///         system = "toy"
///         title = "Toy"
///         [[requirement]]
///         id = "TOY-SYS-001"
///         title = "greeting"
///         clause = "1"
///         text = "It greets within 5 s."
///         class = "must"
///     "#,
///     "toy.toml",
/// )?;
/// let mut suite = Suite::new(catalogue);
/// suite.case("greets", &["TOY-SYS-001"], greets);
/// assert_eq!(suite.cases()[0].full_name(suite.system()), "toy::TOY-SYS-001::greets");
/// # Ok::<(), rigor_core::requirement::CatalogueErrors>(())
/// ```
pub struct Suite {
    pub(crate) catalogue: Catalogue,
    pub(crate) cases: Vec<Case>,
    pub(crate) faults: FaultList,
    pub(crate) words: Vocabulary,
    pub(crate) limits: Vec<(Memory, String)>,
}

impl Suite {
    /// A suite without cases over `catalogue`.
    pub fn new(catalogue: Catalogue) -> Self {
        Suite {
            catalogue,
            cases: Vec::new(),
            faults: FaultList::default(),
            words: Vocabulary::default(),
            limits: Vec::new(),
        }
    }

    /// Adds a case; see [`Case::new`].
    #[track_caller]
    pub fn case<Needs>(
        &mut self,
        name: impl Into<String>,
        decides: &[&str],
        handler: impl Handler<Needs>,
    ) -> &mut Self {
        self.add(Case::new(name, decides, handler))
    }

    /// Adds a case that was made by hand, for example one with more [time](Case::within).
    pub fn add(&mut self, case: Case) -> &mut Self {
        self.cases.push(case);
        self
    }

    /// Adds the faults that prove that its cases can fail.
    pub fn with_faults(mut self, faults: FaultList) -> Self {
        self.faults = faults;
        self
    }

    /// Tells people what messages of the system's protocol are: a word for what kind, then its figures,
    /// as in `DATA 4089 bytes at 8178`.
    pub fn with_dissector(mut self, dissect: Dissect) -> Self {
        self.words.dissect = dissect;
        self
    }

    /// Finds in the device's log what is worth a curve over time, such as the use of its memory pools.
    pub fn with_readings(mut self, read: Read) -> Self {
        self.words.read = read;
        self
    }

    /// Says which requirement limits what the firmware takes of a memory, so that the record of a run has
    /// the limit beside what was taken. It decides nothing; that is a case's.
    #[must_use]
    pub fn with_limit(mut self, of: Memory, id: &str) -> Self {
        self.limits.push((of, id.to_owned()));
        self
    }

    /// The limits of memories with the requirements that set them.
    ///
    /// # Errors
    /// A complaint for each requirement that is not in the catalogue, or sets no upper limit in bytes.
    pub fn limits(&self) -> Result<BTreeMap<Memory, MemoryLimit>, Vec<String>> {
        let file = &self.catalogue.file;
        let mut complaints = Vec::new();
        let mut limits = BTreeMap::new();
        for (of, id) in &self.limits {
            let found = self.catalogue.get(id).and_then(MemoryLimit::of);
            match found {
                Some(limit) => drop(limits.insert(of.clone(), limit)),
                None => complaints.push(format!(
                    "{file}: `{id}` sets no upper limit in bytes for the {of}; name a requirement that does"
                )),
            }
        }
        if complaints.is_empty() { Ok(limits) } else { Err(complaints) }
    }

    /// Its faults.
    pub fn faults(&self) -> &FaultList {
        &self.faults
    }

    /// Takes in requirements that the system shares with others; their cases are added like any.
    ///
    /// # Errors
    /// As [`Catalogue::extend`].
    pub fn require(&mut self, more: Vec<Requirement>) -> Result<&mut Self, CatalogueErrors> {
        self.catalogue.extend(more)?;
        Ok(self)
    }

    /// The requirements.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The cases in the order in which they were added.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// The requirements and the cases, for running them.
    pub fn into_parts(self) -> (Arc<Catalogue>, Vec<Arc<Case>>) {
        (Arc::new(self.catalogue), self.cases.into_iter().map(Arc::new).collect())
    }

    /// The system's short name.
    pub fn system(&self) -> &str {
        &self.catalogue.system
    }
}
