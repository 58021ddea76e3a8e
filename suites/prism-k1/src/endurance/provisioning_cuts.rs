//! Power cuts during the first boot, in which the templates are written.

use std::collections::BTreeMap;
use std::time::Duration;

use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, ProductError};
use rigor_runner::case::Case;
use rigor_runner::need::{Chance, Clock, Console, Power};
use rigor_runner::{Findings, Outcome, Suite};

use super::aim::{Hits, Reference};
use super::victim::{Contents, Victim, lost};
use crate::kit::Storage;
use crate::rows::Rows;

const ID: &str = "K1-FLS-017";

pub(super) fn add_to(suite: &mut Suite) {
    suite.case("provisioning_cuts", &[ID], few);
    suite.add(Case::new("many_provisioning_cuts", &[ID], many).within(Duration::from_secs(3600)).long());
}

/// After this many findings against the device more of them say nothing new.
const ENOUGH: usize = 5;
/// How long after its last operation provisioning is looked at.
const AFTERWARDS: Duration = Duration::from_millis(20);

/// The beginning, where the file system itself is made, and the last templates: what lies between is
/// more of the same, and takes long.
async fn few(console: Console, storage: Storage, power: Power, clock: Clock, mut chance: Chance) -> Outcome {
    let (mut bench, blank) =
        Bench::provisioned(Contents::blank(), Victim { console, storage, power, clock }).await?;
    for cut in blank.beginning().cuts(4, &mut chance) {
        bench.cut_once(&Contents::blank(), cut).await?;
    }
    bench.set_back(&Contents::blank())?;
    bench.cut_at(blank.length().mul_f64(0.85)).await?;
    let nearly = bench.victim.contents()?.used();
    let rest = reference(&mut bench.victim, &nearly).await?;
    for cut in rest.cuts(16, &mut chance) {
        bench.cut_once(&nearly, cut).await?;
    }
    bench.findings(1)
}

/// First boots that are cut once, from a chip that was never written to and from one that was full of
/// something else; and first boots that are cut again and again.
async fn many(console: Console, storage: Storage, power: Power, clock: Clock, mut chance: Chance) -> Outcome {
    let (mut bench, blank) =
        Bench::provisioned(Contents::blank(), Victim { console, storage, power, clock }).await?;
    for cut in blank.cuts(24, &mut chance) {
        bench.cut_once(&Contents::blank(), cut).await?;
    }
    let used = reference(&mut bench.victim, &Contents::blank().used()).await?;
    for cut in used.cuts(32, &mut chance) {
        bench.cut_once(&Contents::blank().used(), cut).await?;
    }
    for cuts in 2..8 {
        bench.set_back(&Contents::blank().used())?;
        let mut row = "one boot after the other".to_owned();
        for _ in 0..cuts {
            let cut = used.length().mul_f64(chance.share() / f64::from(cuts - 1));
            row += &format!("; {}", bench.cut_at(cut).await?);
        }
        bench.completed(&row).await?;
    }
    bench.findings(4)
}

/// A device that is provisioned, and what must come of it.
struct Bench {
    victim: Victim,
    /// The files after a first boot that nobody disturbs.
    templates: BTreeMap<String, Vec<u8>>,
    broken: Vec<f64>,
    rows: Rows,
    hits: Hits,
}

impl Bench {
    /// Lets the device boot from `contents` without a cut. It is off afterwards.
    async fn provisioned(contents: Contents, mut victim: Victim) -> Result<(Bench, Reference), Blame> {
        let reference = reference(&mut victim, &contents).await?;
        let templates = victim.storage.files().await?;
        if templates.is_empty() {
            return Err(ProductError("a first boot without a cut leaves no file".to_owned()).into());
        }
        let (broken, rows, hits) = Default::default();
        Ok((Bench { victim, templates, broken, rows, hits }, reference))
    }

    /// Switches off, if the device is on, and gives the chip these contents.
    fn set_back(&mut self, contents: &Contents) -> Result<(), Blame> {
        self.victim.cut()?;
        self.victim.restore(contents)
    }

    /// Switches on and off again after `cut`; in words, what the cut met.
    async fn cut_at(&mut self, cut: Duration) -> Result<String, Blame> {
        let on = self.victim.switch_on().await?;
        self.victim.clock.sleep_until(on + cut).await;
        let at = self.victim.cut()?;
        let busy = self.victim.storage.chip().busy(on, at);
        Ok(format!("cut {cut:?} after power on, {}", self.hits.count(at, busy.last())))
    }

    async fn cut_once(&mut self, contents: &Contents, cut: Duration) -> Result<(), Blame> {
        if self.bad() >= ENOUGH {
            return Ok(());
        }
        self.set_back(contents)?;
        let row = self.cut_at(cut).await?;
        self.completed(&row).await
    }

    fn bad(&self) -> usize {
        self.broken.iter().filter(|&&broken| broken > 0.0).count()
    }

    /// Lets the device complete what it has begun, and looks at all of it.
    async fn completed(&mut self, row: &str) -> Result<(), Blame> {
        let seen = match self.victim.boot().await {
            Ok(_) => self.victim.files().await?,
            Err(Blame::Product(error)) => Err(format!("the device did not complete them: {error}")),
            Err(other) => return Err(other),
        };
        let fault = match seen.map(|files| lost(&self.templates, &files)) {
            Ok(paths) if paths.is_empty() => None,
            Ok(paths) => Some(format!("{} missing or not whole", paths.join(", "))),
            Err(why) => Some(why),
        };
        self.broken.push(f64::from(u8::from(fault.is_some())));
        match fault {
            None => self.rows.good("every template is whole"),
            Some(fault) => self.rows.bad(row, fault),
        }
        Ok(())
    }

    fn findings(self, least: usize) -> Outcome {
        let mut findings = Findings::new();
        let failed = self.bad() > 0;
        findings.measured(ID, Distribution::new(Unit::Count, self.broken)?);
        self.rows.veto(ID, &mut findings);
        if let (Err(why), false) = (self.hits.suffice(least), failed) {
            findings.unclear(ID, why);
        }
        Ok(findings)
    }
}

/// What the chip does in a first boot from `contents` that is not cut. The device is off afterwards.
async fn reference(victim: &mut Victim, contents: &Contents) -> Result<Reference, Blame> {
    victim.cut()?;
    victim.restore(contents)?;
    let on = victim.boot().await?;
    let end = victim.clock.now() + AFTERWARDS;
    victim.clock.sleep_until(end).await;
    let busy = victim.storage.chip().busy(on, end);
    victim.cut()?;
    Ok(Reference::new(on, &busy, end))
}
