//! A suite: the requirements of one system and the cases that decide them.

use std::sync::Arc;

use rigor_core::requirement::Catalogue;

use crate::case::{Case, Handler};

/// The catalogue of one system with its cases.
pub struct Suite {
    pub(crate) catalogue: Catalogue,
    pub(crate) cases: Vec<Case>,
}

impl Suite {
    /// A suite without cases over `catalogue`.
    pub fn new(catalogue: Catalogue) -> Self {
        Suite { catalogue, cases: Vec::new() }
    }

    /// Adds a case; see [`Case::new`].
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
