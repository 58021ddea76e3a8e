//! Cases of groups K1-FLS and K1-OTA: what the flash chip holds.

use littlefs_rust::{Filesystem, RamStorage};
use rigor_core::distribution::Distribution;
use rigor_core::unit::Unit;
use rigor_core::verdict::{Blame, Inconclusive, ProductError};
use rigor_runner::need::{Console, Flash, Net};
use rigor_runner::{Findings, Outcome, Suite};

use crate::kit::{self, Answer, LITTLEFS_ADDRESS, LITTLEFS_BLOCK_BYTES, LITTLEFS_BYTES, Storage};
use crate::partitions::{APP, DATA, Entry, Table};
use crate::report::number_after;
use crate::tlv::{Profile, Reply};
use crate::{p11, pattern, status};

pub(crate) fn add_to(suite: &mut Suite) {
    let layout = [
        "K1-SYS-006",
        "K1-FLS-001",
        "K1-FLS-002",
        "K1-FLS-003",
        "K1-FLS-004",
        "K1-FLS-005",
        "K1-FLS-006",
        "K1-FLS-007",
        "K1-OTA-001",
    ];
    suite.case("partition_table", &layout, partition_table);
    suite.case("file_system", &["K1-FLS-008", "K1-FLS-009", "K1-FLS-010"], file_system);
    suite.case("templates_stored", &["K1-FLS-011", "K1-FLS-012"], templates_stored);
    suite.case("space_left", &["K1-FLS-013"], space_left);
    suite.case("safety_margin", &["K1-FLS-014"], safety_margin);
}

/// Subtypes of app partitions for updates, and of data partitions (ESP-IDF Programming Guide,
/// "Partition Tables").
const OTA_0: u8 = 0x10;
const OTA_1: u8 = 0x11;
const DATA_OTA: u8 = 0x00;
const DATA_NVS: u8 = 0x02;

/// The entries of the seed's section 2 with the requirement on each.
fn layout() -> [(&'static str, Entry); 5] {
    [
        ("K1-FLS-001", Entry::new("nvs", DATA, DATA_NVS, 0x9000, 0x6000)),
        ("K1-FLS-002", Entry::new("otadata", DATA, DATA_OTA, 0xF000, 0x2000)),
        ("K1-FLS-003", Entry::new("app0", APP, OTA_0, 0x2_0000, 0x18_0000)),
        ("K1-FLS-004", Entry::new("app1", APP, OTA_1, 0x1A_0000, 0x18_0000)),
        ("K1-FLS-005", Entry::new("littlefs", DATA, 0x82, LITTLEFS_ADDRESS, LITTLEFS_BYTES)),
    ]
}

fn one(unit: Unit, value: impl Into<f64>) -> Result<Distribution, Blame> {
    Ok(Distribution::new(unit, [value.into()])?)
}

fn count(number: usize) -> Result<Distribution, Blame> {
    one(Unit::Count, number as f64)
}

/// The table is read after the first boot, so that a firmware that writes over it is seen.
async fn partition_table(mut console: Console, flash: Flash) -> Outcome {
    kit::settled(&mut console).await?;
    let table = Table::read(&flash)?;
    let mut findings = Findings::new();

    let expected = layout();
    let wrong =
        expected.iter().enumerate().filter(|(index, (_, entry))| table.entries.get(*index) != Some(entry));
    let too_many = table.entries.len().saturating_sub(expected.len());
    findings.measured("K1-SYS-006", count(wrong.count() + too_many)?);
    if let Some(fault) = &table.fault {
        findings.observed("K1-SYS-006", false, format!("the table is not valid: {fault}"));
    }
    for (id, entry) in &expected {
        match table.find(&entry.name) {
            Some(found) => findings.measured(id, count(found.differences(entry))?),
            None => findings.observed(id, false, format!("the table has no entry `{}`", entry.name)),
        };
    }
    apps(&table, &mut findings)?;
    extent(&table, &mut findings)?;
    Ok(findings)
}

fn apps(table: &Table, findings: &mut Findings) -> Result<(), Blame> {
    let offsets: Vec<f64> = table.apps().map(|app| f64::from(app.offset % 65_536)).collect();
    if offsets.is_empty() {
        findings.observed("K1-FLS-006", false, "the table has no app partition");
    } else {
        findings.measured("K1-FLS-006", Distribution::new(Unit::Bytes, offsets)?);
    }
    let slot = |subtype| table.apps().find(|app| app.subtype == subtype);
    let slots: Vec<&Entry> = table.apps().filter(|app| (OTA_0..OTA_0 + 16).contains(&app.subtype)).collect();
    let equal = slots.iter().filter(|app| app.size > 0 && app.size == slots[0].size).count();
    findings.measured("K1-OTA-001", count(equal)?);
    for (missing, what) in [
        (slot(OTA_0).is_none(), "ota_0"),
        (slot(OTA_1).is_none(), "ota_1"),
        (!table.entries.iter().any(|entry| (entry.kind, entry.subtype) == (DATA, DATA_OTA)), "ota data"),
    ] {
        if missing {
            findings.observed("K1-OTA-001", false, format!("the table has no {what} partition"));
        }
    }
    Ok(())
}

fn extent(table: &Table, findings: &mut Findings) -> Result<(), Blame> {
    match table.entries.iter().map(Entry::end).max() {
        Some(end) => findings.measured("K1-FLS-007", one(Unit::Bytes, end as f64)?),
        None => findings.observed("K1-FLS-007", false, "the table is empty"),
    };
    if let Some((a, b)) = table.overlap() {
        findings.observed("K1-FLS-007", false, format!("`{}` and `{}` overlap", a.name, b.name));
    }
    Ok(())
}

/// Bytes of the file system that each copy of its superblock states.
///
/// The name entry `littlefs` begins at byte 8 of blocks 0 and 1; behind it lie a tag, the version,
/// the size of a block and the number of blocks (littlefs, SPEC.md, "Superblock").
fn superblocks(blocks: &[u8]) -> Vec<f64> {
    let word = |block: &[u8], at: usize| block.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    blocks
        .chunks(LITTLEFS_BLOCK_BYTES as usize)
        .filter(|block| block.get(8..16) == Some(b"littlefs"))
        .filter_map(|block| Some(f64::from(word(block, 24)?) * f64::from(word(block, 28)?)))
        .collect()
}

/// Mounts a copy of the partition and reads every file.
///
/// The copy is read by the library that the firmware uses; that another implementation reads the
/// same is what `fixtures/oracles/littlefs.sh` checks.
async fn file_system(mut console: Console, storage: Storage) -> Outcome {
    kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    let image = storage.image().await?;
    match kit::mount(&image).and_then(|fs| kit::files_of(&fs)) {
        Ok(_) => findings.measured("K1-FLS-008", count(0)?),
        Err(Blame::Product(error)) => findings.observed("K1-FLS-008", false, error.to_string()),
        Err(other) => return Err(other),
    };
    let mut sizes = superblocks(&image[..2 * LITTLEFS_BLOCK_BYTES as usize]);
    if sizes.is_empty() {
        findings.observed("K1-FLS-009", false, "neither block 0 nor block 1 holds a superblock");
    } else {
        // What the device says of it has to be the same.
        let told = console.seen().iter().filter_map(|line| number_after(&line.text, "LittleFS: total="));
        sizes.extend(told.map(|kib| (kib * 1024) as f64));
        findings.measured("K1-FLS-009", Distribution::new(Unit::Bytes, sizes)?);
    }
    let log = console.seen().iter().filter_map(|line| line.log());
    let line = log
        .into_iter()
        .find(|log| log.tag == "storage" && log.message.split(' ').any(|word| word == "/littlefs"));
    match line {
        Some(line) => findings.observed("K1-FLS-010", true, format!("the log says `{}`", line.message)),
        None => findings.observed("K1-FLS-010", false, "no line of the storage names /littlefs"),
    };
    Ok(findings)
}

/// The identifiers of the templates (specification, section 6.3).
pub(crate) const TEMPLATES: [&str; 15] = [
    "flow-horizon",
    "flow-lattice",
    "flow-orbit",
    "flow-trace",
    "flow-fall",
    "sine-backbeat",
    "sine-marquee",
    "sine-ripple",
    "sine-glacier",
    "sine-midnight",
    "noise-storm",
    "noise-meadow",
    "noise-cascade",
    "noise-rain",
    "noise-holo",
];

/// Why `file` is no template, if it is none. No source fixes what a template is made of; one that
/// claims to be packaged has to be whole.
fn template_fault(file: &[u8]) -> Option<String> {
    if file.is_empty() {
        return Some("it is empty".to_owned());
    }
    if file.starts_with(b"PRSM") { p11::check(file).err() } else { None }
}

/// On a board that was never on, every file is a template.
async fn templates_stored(mut console: Console, storage: Storage) -> Outcome {
    kit::settled(&mut console).await?;
    let files = storage.files().await?;
    let mut findings = Findings::new();
    let whole = files.values().filter(|file| template_fault(file).is_none()).count();
    findings.measured("K1-FLS-011", count(whole)?);
    for (path, file) in &files {
        if let Some(fault) = template_fault(file) {
            findings.observed("K1-FLS-011", false, format!("{path} ({} bytes): {fault}", file.len()));
        }
    }
    let is_called = |path: &String, id: &str| {
        let file = path.rsplit('/').next().unwrap_or(path);
        file == id || file.rsplit_once('.').is_some_and(|(stem, _)| stem == id)
    };
    let missing = TEMPLATES.iter().filter(|id| !files.keys().any(|path| is_called(path, id)));
    findings.measured("K1-FLS-012", count(missing.count())?);
    Ok(findings)
}

/// Free bytes by the file system's own count of its blocks.
fn free_bytes(fs: &Filesystem<RamStorage>) -> Result<f64, Blame> {
    let used = fs
        .fs_size()
        .map_err(|error| ProductError(format!("the blocks in use cannot be counted ({error:?})")))?;
    Ok(f64::from(LITTLEFS_BYTES) - f64::from(used) * f64::from(LITTLEFS_BLOCK_BYTES))
}

/// A pattern of the largest size beside the templates, and what is free then: by the file system's
/// own count, and as the device tells it.
async fn space_left(mut console: Console, net: Net, storage: Storage) -> Outcome {
    kit::settled(&mut console).await?;
    let templates = storage.files().await?;
    let pattern = pattern::file(1, pattern::MAX_FILE_BYTES);
    let mut socket = kit::open(&net, Profile::F).await?;
    kit::upload(&mut socket, Profile::F, "largest", &pattern).await?;
    let told = status::ask(&mut socket).await?.bytes_free;
    socket.tcp.finish()?;
    let fs = storage.mounted().await?;
    let files = kit::files_of(&fs)?;
    let mut findings = Findings::new();
    let free = [free_bytes(&fs)?, f64::from(told)];
    findings.measured("K1-FLS-013", Distribution::new(Unit::Bytes, free)?);
    if !files.values().any(|file| *file == pattern) {
        findings.observed("K1-FLS-013", false, "the pattern was acknowledged and is not in the file system");
    }
    let lost = templates.iter().filter(|(path, bytes)| files.get(*path) != Some(*bytes)).count();
    if lost > 0 {
        findings.observed("K1-FLS-013", false, format!("templates lost to the pattern: {lost}"));
    }
    Ok(findings)
}

/// Sizes of the files that fill the storage: each as often as it is taken.
const FILLING: [usize; 4] = [pattern::MAX_FILE_BYTES, 65_536, 16_384, 4096];
/// The known firmware takes 25 patterns, whatever their size (specification, section 2.1).
const MOST_PATTERNS: usize = 25;
/// Code of an ERROR for a full storage (specification, section 1.3).
const STORAGE_FULL: u8 = 4;

/// Uploads of ever smaller files until none is taken: what is free after each.
async fn safety_margin(mut console: Console, net: Net, storage: Storage) -> Outcome {
    kit::settled(&mut console).await?;
    let mut findings = Findings::new();
    let mut free = Vec::new();
    for size in FILLING {
        loop {
            if free.len() == MOST_PATTERNS {
                return Err(Inconclusive(format!("{MOST_PATTERNS} files did not fill the storage")).into());
            }
            let mut socket = kit::open(&net, Profile::F).await?;
            let name = format!("fill-{}", free.len());
            let messages = Profile::F.upload(&name, &pattern::file(free.len() as u8, size));
            let early = kit::send_in_turn(&mut socket, &messages).await?;
            let deadline = socket.tcp.now() + kit::COMMIT_LIMIT;
            let answer = match early {
                kit::Early { error: Some((code, text)), .. } => Answer::Reply(Reply::Error { code, text }),
                kit::Early { ended: Some(_), .. } => Answer::Closed,
                _ => kit::answer(&mut socket, deadline).await.1,
            };
            socket.tcp.finish()?;
            match answer {
                Answer::Reply(Reply::Status(_)) => free.push(free_bytes(&storage.mounted().await?)?),
                Answer::Closed | Answer::Reply(Reply::Error { code: STORAGE_FULL, .. }) => break,
                other => {
                    let seen = format!("a file for which there is no room was answered with {other}");
                    findings.observed("K1-FLS-014", false, seen);
                    break;
                }
            }
        }
    }
    if free.is_empty() {
        findings.observed("K1-FLS-014", false, "not even the first upload was taken");
    } else {
        findings.measured("K1-FLS-014", Distribution::new(Unit::Bytes, free)?);
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn superblocks_are_found_where_they_are() {
        let mut blocks = vec![0xFF; 2 * LITTLEFS_BLOCK_BYTES as usize];
        assert!(superblocks(&blocks).is_empty());
        blocks[4096 + 8..][..8].copy_from_slice(b"littlefs");
        blocks[4096 + 24..][..4].copy_from_slice(&4096_u32.to_le_bytes());
        blocks[4096 + 28..][..4].copy_from_slice(&384_u32.to_le_bytes());
        assert_eq!(superblocks(&blocks), [1_572_864.0]);
    }
}
