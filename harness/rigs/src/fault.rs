//! Faults as data: what is wrong with a virtual rig on purpose, and which requirements claim to
//! notice.
//!
//! A suite keeps its faults in `faults.toml` beside its requirements. The runner's kill matrix
//! gives each of them to a rig of its own and looks which requirements turn red.

use rigor_board::fault::{BoardFault, LinkFault};
use rigor_core::requirement::RequirementId;
use rigor_core::verdict::Verdict;
use serde::Deserialize;
use toml::Spanned;

use crate::failing::RigFault;
use crate::file::{BackEnd, Place, QemuBoard, RigFileError};

/// The schema that this code reads.
const SCHEMA: i64 = 1;
/// Larger files are not fault lists, in bytes.
const MAX_FILE_BYTES: usize = 1024 * 1024;

/// What is broken, and how.
#[derive(Clone, PartialEq, Debug)]
pub enum Model {
    /// The board.
    Board(BoardFault),
    /// The link to the board.
    Link(LinkFault),
    /// The firmware: the name of a defect that its build knows
    /// ([`rigor_board::Firmware::defects`]).
    Firmware(String),
    /// The bench itself, which must not be blamed on the device.
    Rig(RigFault),
}

impl Model {
    /// `board`, `link`, `firmware` or `rig`.
    pub fn family(&self) -> &'static str {
        match self {
            Model::Board(_) => "board",
            Model::Link(_) => "link",
            Model::Firmware(_) => "firmware",
            Model::Rig(_) => "rig",
        }
    }

    /// Whether a device on a rig of `back_end` can have it. An emulated one runs the firmware that it is
    /// given, defects included, on a machine that nobody can break, a recording is over, and nobody breaks what is
    /// on a desk.
    pub fn fits(&self, back_end: &BackEnd) -> bool {
        match back_end {
            BackEnd::Virtual(_) => true,
            BackEnd::Qemu(qemu) => {
                !matches!(qemu.board, QemuBoard::Espressif(_)) && matches!(self, Model::Firmware(_))
            }
            BackEnd::Replay(_) | BackEnd::Bench(_) => false,
        }
    }

    /// What a requirement that claims it must come to: a failure of the product, unless it is the bench
    /// that is broken.
    pub fn verdict(&self) -> Verdict {
        match self {
            Model::Board(_) | Model::Link(_) | Model::Firmware(_) => Verdict::Fail,
            Model::Rig(fault) => fault.verdict(),
        }
    }
}

/// A fault with its claims.
#[derive(Clone, PartialEq, Debug)]
pub struct Fault {
    /// Its name, unique in its list.
    pub name: String,
    /// What it models, in a sentence.
    pub models: String,
    /// The requirements that must come to the [verdict](Model::verdict) of the model, in the order of the
    /// list.
    pub claimed_by: Vec<RequirementId>,
    /// What is broken.
    pub model: Model,
}

/// The faults of one system.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct FaultList {
    /// The file, for messages.
    pub path: String,
    /// The faults in the order of the file.
    pub faults: Vec<Fault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawList {
    schema: Spanned<i64>,
    #[serde(default)]
    fault: Vec<Spanned<RawFault>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFault {
    name: Spanned<String>,
    models: Spanned<String>,
    claimed_by: Vec<Spanned<String>>,
    board: Option<BoardFault>,
    link: Option<LinkFault>,
    firmware: Option<String>,
    rig: Option<RigFault>,
}

impl FaultList {
    /// Reads `text`, the contents of the file `path`.
    ///
    /// ```
    /// use rigor_rigs::FaultList;
    ///
    /// let text = r#"
    ///     schema = 1
    ///     [[fault]]
    ///     name = "colours-swapped"
    ///     models = "A strip that takes red before green."
    ///     claimed_by = ["TOY-LED-001"]
    ///     board = { kind = "colours-swapped" }
    /// "#;
    /// let list = FaultList::parse("suites/toy/faults.toml", text)?;
    /// assert_eq!(list.faults[0].model.family(), "board");
    /// # Ok::<(), rigor_rigs::RigFileError>(())
    /// ```
    ///
    /// # Errors
    /// [`RigFileError`] for the first thing that is wrong.
    pub fn parse(path: &str, text: &str) -> Result<Self, RigFileError> {
        let place = Place { path, text };
        if text.len() > MAX_FILE_BYTES {
            return Err(place.error(0, "more than 1 MiB is no list of faults", "keep it below 1 MiB"));
        }
        let raw: RawList = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            place.error(
                offset,
                error.message().replace('\n', " "),
                "CONTRIBUTING.md shows an entry, `rigor_board::fault` and `rigor_rigs::failing` the kinds",
            )
        })?;
        if *raw.schema.get_ref() != SCHEMA {
            let what = format!("schema {} is unknown", raw.schema.get_ref());
            return Err(place.error(raw.schema.span().start, what, format!("write `schema = {SCHEMA}`")));
        }
        let mut faults: Vec<Fault> = Vec::new();
        for entry in raw.fault {
            let fault = check(&place, entry)?;
            if faults.iter().any(|known| known.name == fault.name) {
                let what = format!("a second fault is called `{}`", fault.name);
                return Err(place.error(offset_of(text, &fault.name), what, "give it a name of its own"));
            }
            faults.push(fault);
        }
        Ok(FaultList { path: path.to_owned(), faults })
    }
}

/// Where the last `name = "..."` of this value stands: the second of two.
fn offset_of(text: &str, name: &str) -> usize {
    text.rfind(&format!("\"{name}\"")).unwrap_or(0)
}

fn check(place: &Place<'_>, entry: Spanned<RawFault>) -> Result<Fault, RigFileError> {
    let begins = entry.span().start;
    let raw = entry.into_inner();
    let word = |text: &str| {
        !text.is_empty()
            && text.len() <= 60
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    if !word(raw.name.get_ref()) {
        let what = format!("`name` is {:?}", raw.name.get_ref());
        let instead = "write up to 60 lower-case letters and digits, joined by `-`";
        return Err(place.error(raw.name.span().start, what, instead));
    }
    if !raw.models.get_ref().trim_end().ends_with('.') {
        let what = format!("`models` of `{}` is no sentence", raw.name.get_ref());
        return Err(place.error(
            raw.models.span().start,
            what,
            "say what it models, and end with a full stop",
        ));
    }
    let mut claimed_by = Vec::new();
    for id in &raw.claimed_by {
        let id = RequirementId::new(id.get_ref())
            .map_err(|error| place.error(id.span().start, error.to_string(), "name a requirement's id"))?;
        claimed_by.push(id);
    }
    if claimed_by.is_empty() {
        let what = format!("nothing claims to notice `{}`", raw.name.get_ref());
        return Err(place.error(begins, what, "name a requirement in `claimed_by`"));
    }
    let mut models = [
        raw.board.map(Model::Board),
        raw.link.map(Model::Link),
        raw.firmware.map(Model::Firmware),
        raw.rig.map(Model::Rig),
    ]
    .into_iter()
    .flatten();
    let (Some(model), None) = (models.next(), models.next()) else {
        let what = format!("`{}` breaks nothing, or more than one thing", raw.name.get_ref());
        return Err(place.error(begins, what, "write one of `board`, `link`, `firmware` and `rig`"));
    };
    Ok(Fault { name: raw.name.into_inner(), models: raw.models.into_inner(), claimed_by, model })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const GOOD: &str = r#"schema = 1
[[fault]]
name = "swapped"
models = "A strip that takes red before green."
claimed_by = ["T-ONE", "T-TWO"]
board = { kind = "colours-swapped" }
[[fault]]
name = "torn"
models = "The access point loses the client."
claimed_by = ["T-ONE"]
link = { kind = "reset", after_bytes = 100 }
[[fault]]
name = "unchecked"
models = "Nobody compares the sum."
claimed_by = ["T-ONE"]
firmware = "crc-unchecked"
[[fault]]
name = "unplugged"
models = "Somebody trips over the cable."
claimed_by = ["T-ONE"]
rig = { kind = "link-dies", at_ms = 3000 }
"#;

    #[test]
    fn the_families_are_read() {
        let list = FaultList::parse("faults.toml", GOOD).expect("valid");
        let families: Vec<_> = list.faults.iter().map(|fault| fault.model.family()).collect();
        assert_eq!(families, ["board", "link", "firmware", "rig"]);
        let verdicts: Vec<_> = list.faults.iter().map(|fault| fault.model.verdict()).collect();
        assert_eq!(verdicts, [Verdict::Fail, Verdict::Fail, Verdict::Fail, Verdict::RigFault]);
        assert_eq!(list.faults[0].claimed_by[1].as_str(), "T-TWO");
        assert_eq!(list.faults[1].model, Model::Link(LinkFault::Reset { after_bytes: 100 }));
    }

    #[rstest]
    #[case(r#"{ kind = "lane-stuck", pin = 9, level = "high" }"#)]
    #[case(r#"{ kind = "lanes-exchanged", pins = [9, 10] }"#)]
    #[case(r#"{ kind = "lane-late", pin = 10, by_ns = 1500000, every = 1 }"#)]
    #[case(r#"{ kind = "pulse-lost", pin = 9, every = 1000 }"#)]
    #[case(r#"{ kind = "pulse-width", zero_ns = -200, one_ns = 0 }"#)]
    #[case(r#"{ kind = "clock-drift", clock = "crystal", ppm = -20000 }"#)]
    #[case(r#"{ kind = "transmitter-starved" }"#)]
    #[case(r#"{ kind = "slow-flash", factor = 8 }"#)]
    #[case(r#"{ kind = "flash-bit-stuck", address = 4096, bit = 3, reads = "zero" }"#)]
    #[case(r#"{ kind = "flash-bit-stuck", address = 0, every = 256, bit = 0, reads = "one" }"#)]
    #[case(r#"{ kind = "console-garbled", direction = "from-device", every = 100 }"#)]
    #[case(r#"{ kind = "bounce", pin = 0, returns = 4, within_us = 3000 }"#)]
    fn every_kind_of_board_fault_can_be_written(#[case] fault: &str) {
        let text = GOOD.replacen("{ kind = \"colours-swapped\" }", fault, 1);
        FaultList::parse("faults.toml", &text).expect("valid");
        // Nothing may be misspelt or left over.
        let more = GOOD.replacen("{ kind = \"colours-swapped\" }", &fault.replace(" }", ", more = 1 }"), 1);
        assert!(FaultList::parse("faults.toml", &more).is_err(), "{more}");
    }

    #[rstest]
    #[case(r#"{ kind = "byte-dropped", direction = "to-device", nth = 300 }"#)]
    #[case(r#"{ kind = "byte-corrupted", direction = "from-device", nth = 1 }"#)]
    #[case(r#"{ kind = "stall", after_bytes = 500, for_ms = 4000 }"#)]
    #[case(r#"{ kind = "reordered", every = 2 }"#)]
    #[case(r#"{ kind = "half-open", after_bytes = 500 }"#)]
    #[case(r#"{ kind = "slow", bits_per_second = 100000 }"#)]
    #[case(r#"{ kind = "refuses" }"#)]
    fn every_kind_of_link_fault_can_be_written(#[case] fault: &str) {
        let text = GOOD.replacen("{ kind = \"reset\", after_bytes = 100 }", fault, 1);
        FaultList::parse("faults.toml", &text).expect("valid");
    }

    #[rstest]
    #[case(r#"{ kind = "unavailable", attempts = 1 }"#)]
    #[case(r#"{ kind = "console-unplugged" }"#)]
    #[case(r#"{ kind = "clock-dies", at_ms = 1 }"#)]
    #[case(r#"{ kind = "capture-gap", at_ms = 1, length_ms = 2 }"#)]
    #[case(r#"{ kind = "panics", at_ms = 1 }"#)]
    fn every_kind_of_rig_fault_can_be_written(#[case] fault: &str) {
        let text = GOOD.replacen("{ kind = \"link-dies\", at_ms = 3000 }", fault, 1);
        FaultList::parse("faults.toml", &text).expect("valid");
    }

    #[rstest]
    #[case("schema = 1", "schema = 7", 1, "schema 7")]
    #[case("\"swapped\"", "\"Swapped!\"", 3, "`name` is")]
    #[case("\"torn\"", "\"swapped\"", 8, "a second fault is called `swapped`")]
    #[case("green.", "green", 4, "no sentence")]
    #[case("\"T-TWO\"", "\"t two\"", 5, "t two")]
    #[case("[\"T-ONE\", \"T-TWO\"]", "[]", 2, "nothing claims")]
    #[case("colours-swapped", "colours-mixed", 6, "colours-mixed")]
    #[case("after_bytes = 100", "bytes = 100", 11, "bytes")]
    #[case("firmware = \"crc-unchecked\"\n", "", 12, "breaks nothing")]
    #[case("firmware =", "board = { kind = \"colours-swapped\" }\nfirmware =", 12, "more than one")]
    fn an_error_names_its_line_and_the_remedy(
        #[case] from: &str,
        #[case] to: &str,
        #[case] line: usize,
        #[case] what: &str,
    ) {
        let error = FaultList::parse("faults.toml", &GOOD.replacen(from, to, 1)).expect_err("invalid");
        assert!(error.what.contains(what), "{error}");
        assert_eq!(error.line, line, "{error}");
        assert!(!error.instead.is_empty());
    }
}
