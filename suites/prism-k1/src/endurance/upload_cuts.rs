//! Power cuts during an upload that replaces a pattern.

use std::collections::BTreeMap;
use std::time::Duration;

use rigor_core::Instant;
use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, Inconclusive, ProductError};
use rigor_runner::case::Case;
use rigor_runner::need::{Chance, Clock, Console, Leds, Net, Picture, Power};
use rigor_runner::{Findings, Outcome, Suite};

use super::aim::{Hits, Reference};
use super::victim::{Contents, Victim, lost};
use crate::kit::{self, Answer, Storage, Upload};
use crate::pattern;
use crate::rows::Rows;
use crate::tlv::{Profile, Reply, request};

const DECIDED: [&str; 2] = ["K1-UPL-015", "K1-FLS-016"];

pub(super) fn add_to(suite: &mut Suite) {
    for profile in Profile::ALL {
        let name = |what: &str| format!("{what}_{}", profile.service());
        suite.case(name("power_cuts"), &DECIDED, move |console, net, storage, power, leds, clock, chance| {
            power_cuts(FEW, profile, console, net, storage, power, leds, clock, chance)
        });
        let many = Case::new(
            name("many_power_cuts"),
            &DECIDED,
            move |console, net, storage, power, leds, clock, chance| {
                power_cuts(MANY, profile, console, net, storage, power, leds, clock, chance)
            },
        );
        suite.add(many.within(Duration::from_secs(3600)).long());
    }
}

/// How much a case does.
#[derive(Clone, Copy)]
struct Extent {
    /// Cuts from the same contents of the chip each.
    aimed: usize,
    /// Cuts of one device after the other, where each finds what the one before has left.
    in_a_row: usize,
    /// Frames of the versions that are replaced.
    frames: usize,
    /// Cuts that must meet each kind of operation.
    least: usize,
}

const FEW: Extent = Extent { aimed: 16, in_a_row: 6, frames: 10, least: 1 };
const MANY: Extent = Extent { aimed: 88, in_a_row: 24, frames: 24, least: 12 };

/// After this many findings against the device more of them say nothing new.
const ENOUGH: usize = 5;

/// The name of the pattern that is replaced, where the profile carries one.
const NAME: &str = "cut";
/// A pattern that nobody touches: formatting would take it away, and unlike a template it would not
/// come back by itself.
const BYSTANDER: &str = "bystander";
const BYSTANDER_BYTES: usize = 9000;
const BYSTANDER_SERIES: u8 = 7;
/// The two versions, in turn.
const SERIES: [u8; 2] = [1, 2];

/// From the device's start to the upload's begin, the same in every run.
const UPLOAD_AFTER: Duration = Duration::from_millis(50);
/// Cuts come as late as this after the STATUS.
const AFTERWARDS: Duration = Duration::from_millis(20);
/// How much of a pattern is looked at on the strip.
const WATCHED: Duration = Duration::from_millis(60);

/// What is on the chip before an upload.
struct Before {
    /// By the index in [`SERIES`].
    version: usize,
    /// Where the pattern lies that is replaced.
    path: String,
    files: BTreeMap<String, Vec<u8>>,
}

struct Bench {
    profile: Profile,
    victim: Victim,
    net: Net,
    leds: Leds,
    versions: [Vec<u8>; 2],
    /// The name that the device stores the pattern under.
    name: String,
    third: Vec<f64>,
    unmounted: Vec<f64>,
    states: Rows,
    mounts: Rows,
    hits: Hits,
}

#[allow(clippy::too_many_arguments, reason = "a case's arguments are its needs")]
async fn power_cuts(
    extent: Extent,
    profile: Profile,
    console: Console,
    net: Net,
    storage: Storage,
    power: Power,
    leds: Leds,
    clock: Clock,
    mut chance: Chance,
) -> Outcome {
    let mut bench = Bench {
        profile,
        victim: Victim { console, storage, power, clock },
        net,
        leds,
        // Of different length, so that a mixture is no version.
        versions: [
            pattern::numbered(SERIES[0], extent.frames),
            pattern::numbered(SERIES[1], extent.frames + 3),
        ],
        name: String::new(),
        third: Vec::new(),
        unmounted: Vec::new(),
        states: Rows::default(),
        mounts: Rows::default(),
        hits: Hits::default(),
    };
    let (contents, before) = bench.prepare().await?;
    let reference = bench.undisturbed(&before).await?;
    for cut in reference.cuts(extent.aimed, &mut chance) {
        bench.set_back(&contents).await?;
        bench.cut_at(cut, &before, None).await?;
        if bench.bad() >= ENOUGH {
            return bench.findings(0);
        }
    }
    bench.set_back(&contents).await?;
    let mut before = Some(before);
    for cut in reference.cuts(extent.in_a_row, &mut chance) {
        let was = match before.take() {
            Some(before) => before,
            // The chip holds what it should not. From here on nothing could be told.
            None => break,
        };
        // Every second time the boot that tidies up is cut as well.
        let second = chance.share();
        let second = (second < 0.5).then(|| START.mul_f64(2.0 * second));
        before = bench.cut_at(cut, &was, second).await?;
    }
    bench.findings(extent.least)
}

/// A second cut comes as late as this after the device was switched on again: about when it has
/// started.
const START: Duration = Duration::from_millis(600);

impl Bench {
    /// A device that has been in use for a while, with a pattern that can be replaced; what its chip
    /// holds. It is on afterwards.
    async fn prepare(&mut self) -> Result<(Contents, Before), Blame> {
        kit::settled(&mut self.victim.console).await?;
        self.victim.cut()?;
        self.victim.restore(&self.victim.contents()?.used())?;
        self.victim.boot().await?;
        let bystander = pattern::file(BYSTANDER_SERIES, BYSTANDER_BYTES);
        kit::upload_once(&self.net, Profile::F, BYSTANDER, &bystander).await?;
        let upload = kit::upload_once(&self.net, self.profile, NAME, &self.versions[0]).await?;
        self.name = name_in(&upload.status).unwrap_or_else(|| NAME.to_owned());
        self.victim.cut()?;
        let files = self.victim.storage.files().await?;
        let before = self.before(0, files)?;
        if !before.files.values().any(|file| *file == bystander) {
            return Err(ProductError("the first pattern was acknowledged and is not stored".into()).into());
        }
        let contents = self.victim.contents()?;
        self.victim.boot().await?;
        Ok((contents, before))
    }

    /// The device as it was before anything was cut. It is on afterwards.
    async fn set_back(&mut self, contents: &Contents) -> Result<(), Blame> {
        self.victim.cut()?;
        self.victim.restore(contents)?;
        self.victim.boot().await?;
        Ok(())
    }

    fn before(&self, version: usize, files: BTreeMap<String, Vec<u8>>) -> Result<Before, Blame> {
        let path = files.iter().find(|(_, bytes)| **bytes == self.versions[version]);
        let path = path.map(|(path, _)| path.clone());
        let missing = || ProductError("the pattern was acknowledged and is not stored".to_owned());
        Ok(Before { version, path: path.ok_or_else(missing)?, files })
    }

    /// The upload that is going to be cut, for once without a cut: what the chip does.
    async fn undisturbed(&mut self, before: &Before) -> Result<Reference, Blame> {
        let begun = self.upload_begins();
        let upload = self.upload(before, begun).await?;
        let busy = self.victim.storage.chip().busy(begun, upload.acknowledged + AFTERWARDS);
        Ok(Reference::new(begun, &busy, upload.acknowledged + AFTERWARDS))
    }

    fn upload_begins(&self) -> Instant {
        self.victim.clock.now() + UPLOAD_AFTER
    }

    /// Uploads the other version.
    async fn upload(&self, before: &Before, begins: Instant) -> Result<Upload, Blame> {
        self.victim.clock.sleep_until(begins).await;
        kit::upload_once(&self.net, self.profile, NAME, &self.versions[1 - before.version]).await
    }

    /// Cuts the supply at `cut` into an upload, `second` after it is on again once more, and looks
    /// what is there when the device has started. `None` if that is not as it should be.
    async fn cut_at(
        &mut self,
        cut: Duration,
        before: &Before,
        second: Option<Duration>,
    ) -> Result<Option<Before>, Blame> {
        let begins = self.upload_begins();
        let upload = self.victim.clock.within(cut + UPLOAD_AFTER, self.upload(before, begins)).await;
        let acknowledged = upload.transpose()?.is_some();
        self.victim.clock.sleep_until(begins + cut).await;
        let at = self.victim.cut()?;
        let busy = self.victim.storage.chip().busy(begins, at);
        let mut row = format!("cut {:?} into the upload, {}", cut, self.hits.count(at, busy.last()));
        if acknowledged {
            row += ", after the STATUS";
        }
        if let Some(second) = second {
            self.victim.switch_on().await?;
            self.victim.clock.sleep(second).await;
            self.victim.cut()?;
            row += &format!(", and again {second:?} into the boot");
        }
        self.look(&row, before, acknowledged).await
    }

    /// What has become of everything after a cut.
    async fn look(
        &mut self,
        row: &str,
        before: &Before,
        acknowledged: bool,
    ) -> Result<Option<Before>, Blame> {
        match self.victim.boot().await {
            Ok(_) => {}
            Err(Blame::Product(error)) => {
                self.note_mount(row, Err(format!("the device did not start: {error}")));
                self.note_state(row, Err("unknown".to_owned()));
                return Ok(None);
            }
            Err(other) => return Err(other),
        }
        let files = match self.victim.files().await? {
            Ok(files) => files,
            Err(why) => {
                self.note_mount(row, Err(why.clone()));
                self.note_state(row, Err(why));
                return Ok(None);
            }
        };
        let others = before.files.iter().filter(|(path, _)| **path != before.path);
        let lost = lost(others, &files);
        let mounted = lost.is_empty();
        self.note_mount(
            row,
            if mounted { Ok("kept everything else") } else { Err(format!("lost {}", lost.join(", "))) },
        );
        let state = self.state(before, &files, acknowledged);
        let state = match state {
            Ok(version) => self.shown(version).await?.map(|()| version),
            Err(why) => Err(why),
        };
        self.note_state(
            row,
            state.clone().map(|version| if version == before.version { "old" } else { "new" }),
        );
        match state {
            Ok(version) if mounted => Ok(Some(self.before(version, files)?)),
            _ => Ok(None),
        }
    }

    /// Which version the chip holds.
    fn state(
        &self,
        before: &Before,
        files: &BTreeMap<String, Vec<u8>>,
        acknowledged: bool,
    ) -> Result<usize, String> {
        let Some(found) = files.get(&before.path) else { return Err("the pattern is gone".to_owned()) };
        match self.versions.iter().position(|version| version == found) {
            Some(version) if acknowledged && version == before.version => {
                Err("the STATUS had come, and the old version is back".to_owned())
            }
            Some(version) => Ok(version),
            None => Err(format!("{} bytes that are neither version", found.len())),
        }
    }

    /// Whether PLAY shows that version and nothing else.
    async fn shown(&mut self, version: usize) -> Result<Result<(), String>, Blame> {
        let mut socket = kit::open(&self.net, Profile::F).await?;
        socket.send_binary(&request::play(&self.name))?;
        let deadline = socket.tcp.now() + kit::ANSWER_LIMIT;
        let (_, answer) = kit::answer(&mut socket, deadline).await;
        if !matches!(answer, Answer::Reply(Reply::Status(_))) {
            return Ok(Err(format!("PLAY was answered with {answer}")));
        }
        socket.tcp.finish()?;
        let is_shown = |picture: &Picture| pattern::recognise(SERIES[version], picture).is_some();
        match self.leds.expect("the version that is stored", kit::ANSWER_LIMIT, is_shown).await {
            Ok(_) => {}
            Err(Blame::Product(error)) => return Ok(Err(error.to_string())),
            Err(other) => return Err(other),
        }
        let pictures = self.leds.record(WATCHED).await?.pictures();
        Ok(match pictures.iter().all(is_shown) && !pictures.is_empty() {
            true => Ok(()),
            false => Err("the strip shows more than the version that is stored".to_owned()),
        })
    }

    fn bad(&self) -> usize {
        self.third.iter().chain(&self.unmounted).filter(|&&bad| bad > 0.0).count()
    }

    fn note_state(&mut self, row: &str, state: Result<&str, String>) {
        self.third.push(f64::from(u8::from(state.is_err())));
        match state {
            Ok(version) => self.states.good(version),
            Err(why) => self.states.bad(row, why),
        }
    }

    fn note_mount(&mut self, row: &str, mount: Result<&str, String>) {
        self.unmounted.push(f64::from(u8::from(mount.is_err())));
        match mount {
            Ok(seen) => self.mounts.good(seen),
            Err(why) => self.mounts.bad(row, why),
        }
    }

    fn findings(self, least: usize) -> Outcome {
        let mut findings = Findings::new();
        let failed = self.bad() > 0;
        findings
            .measured("K1-UPL-015", Distribution::new(Unit::Count, self.third)?)
            .measured("K1-FLS-016", Distribution::new(Unit::Count, self.unmounted)?);
        self.states.veto("K1-UPL-015", &mut findings);
        self.mounts.veto("K1-FLS-016", &mut findings);
        if let (Err(Inconclusive(why)), false) = (self.hits.suffice(least), failed) {
            for id in DECIDED {
                findings.unclear(id, Inconclusive(why.clone()));
            }
        }
        Ok(findings)
    }
}

/// The name that the STATUS of an upload gives (specification, section 1.3).
fn name_in(status: &[u8]) -> Option<String> {
    match status {
        [length, name @ ..] if usize::from(*length) == name.len() => {
            Some(String::from_utf8_lossy(name).into_owned())
        }
        _ => None,
    }
}
