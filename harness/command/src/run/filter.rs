//! Which cases of a run are wanted, and what was meant by a name that is not there.

use std::collections::BTreeSet;

use rigor_core::requirement::Catalogue;
use rigor_runner::engine::{Plan, Seat};
use rigor_runner::suggest;

use crate::error::CommandError;

/// What is wanted. Of each kind any may match, and all kinds that are there have to.
#[derive(clap::Args, Clone, Default, Debug)]
#[command(next_help_heading = "Which cases")]
pub(crate) struct Filter {
    /// Only cases with this text in their full name, system::REQUIREMENTS::name.
    #[arg(value_name = "FILTER")]
    texts: Vec<String>,
    /// Only cases of this system; may be given several times.
    #[arg(long, value_name = "SYSTEM")]
    system: Vec<String>,
    /// Only cases that decide this requirement, or one of this group: K1-LED-002, K1-LED.
    #[arg(long, value_name = "ID")]
    requirement: Vec<String>,
    /// Only the case of this name; may be given several times.
    #[arg(long, value_name = "NAME")]
    case: Vec<String>,
}

impl Filter {
    /// Of `seats` those that are wanted, in their order.
    ///
    /// # Errors
    /// Something is wanted that `plan` does not have, with what was probably meant; or no case has all
    /// that is wanted.
    pub(crate) fn choose<'a>(
        &self,
        plan: &Plan,
        seats: Vec<&'a Seat>,
    ) -> Result<Vec<&'a Seat>, CommandError> {
        self.check(plan)?;
        let chosen: Vec<&Seat> = seats.into_iter().filter(|seat| self.wants(seat)).collect();
        if chosen.is_empty() {
            let text =
                "no case has all that was asked for; ask for less, and leave out `--short` for long cases";
            return Err(CommandError::Refused(text.to_owned()));
        }
        Ok(chosen)
    }

    fn wants(&self, seat: &Seat) -> bool {
        let system = &seat.catalogue().system;
        let any = |wanted: &[String], matches: &dyn Fn(&str) -> bool| {
            wanted.is_empty() || wanted.iter().any(|text| matches(text))
        };
        any(&self.texts, &|text| seat.full_name().contains(text))
            && any(&self.system, &|name| name == system)
            && any(&self.case, &|name| name == seat.case().name())
            && any(&self.requirement, &|group| seat.case().decides().iter().any(|id| is_in(id, group)))
    }

    /// Whether everything that is wanted is there.
    fn check(&self, plan: &Plan) -> Result<(), CommandError> {
        let systems: Vec<&str> =
            plan.catalogues().iter().map(|catalogue| catalogue.system.as_str()).collect();
        let cases: BTreeSet<&str> = plan.seats().iter().map(|seat| seat.case().name()).collect();
        let cases: Vec<&str> = cases.into_iter().collect();
        let ids: Vec<&str> = plan.catalogues().iter().flat_map(|catalogue| ids(catalogue)).collect();
        if let Some(name) = self.system.iter().find(|name| !systems.contains(&name.as_str())) {
            return Err(unknown("system", name, &systems, "systems"));
        }
        if let Some(name) = self.case.iter().find(|name| !cases.contains(&name.as_str())) {
            return Err(unknown("case", name, &cases, "cases"));
        }
        for group in &self.requirement {
            if !ids.iter().any(|id| is_in(id, group)) {
                return Err(unknown("requirement", group, &ids, "requirements"));
            }
            undecided(plan, group)?;
        }
        for text in &self.texts {
            if plan.seats().iter().any(|seat| seat.full_name().contains(text)) {
                continue;
            }
            undecided(plan, text)?;
            let names: Vec<&str> = [&ids[..], &cases[..], &systems[..]].concat();
            let remedy = suggest::remedy(text, &names, "`rigor list cases` shows those that there are");
            return Err(CommandError::Refused(format!(
                "no case has `{}` in its name; {remedy}",
                rigor_reports::visible(text)
            )));
        }
        Ok(())
    }
}

/// Refuses a requirement that is known and that no case decides.
fn undecided(plan: &Plan, group: &str) -> Result<(), CommandError> {
    let decided =
        |id: &str| plan.seats().iter().any(|seat| seat.case().decides().iter().any(|other| other == id));
    let all = plan.catalogues().iter().flat_map(|catalogue| &catalogue.requirements);
    let wanted: Vec<_> = all.filter(|requirement| is_in(requirement.id.as_str(), group)).collect();
    match wanted.first() {
        Some(first) if !wanted.iter().any(|requirement| decided(requirement.id.as_str())) => {
            let why = first.planned.as_deref().unwrap_or("no rig of the run holds its device");
            Err(CommandError::Refused(format!("no case can decide {} here: {why}", first.id)))
        }
        _ => Ok(()),
    }
}

fn ids(catalogue: &Catalogue) -> impl Iterator<Item = &str> {
    catalogue.requirements.iter().map(|requirement| requirement.id.as_str())
}

/// Whether the requirement `id` is `group` or belongs to it.
fn is_in(id: &str, group: &str) -> bool {
    id.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn unknown(what: &'static str, name: &str, known: &[&str], list: &str) -> CommandError {
    let otherwise = format!("`rigor list {list}` shows those that there are");
    CommandError::Unknown { what, name: name.to_owned(), remedy: suggest::remedy(name, known, &otherwise) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_ends_where_a_part_of_the_id_ends() {
        assert!(is_in("K1-LED-002", "K1-LED-002"));
        assert!(is_in("K1-LED-002", "K1-LED"));
        assert!(!is_in("K1-LED-002", "K1-LED-00"));
        assert!(!is_in("K1-LED-002", "K1-LED-002-A"));
    }
}
