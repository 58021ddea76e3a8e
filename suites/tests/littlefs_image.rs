//! Leaves the device's file system where an independent implementation can read it.
//!
//! Boots the virtual PRISM K1, uploads a pattern in each profile, and cuts the supply while one of
//! them is replaced. The littlefs partition is read from the flash chip before and after, and both are
//! written below the folder that `RIGOR_LITTLEFS_OUT` names, or `target/tmp/littlefs-image`, as
//! `whole` and `cut`. Each has `littlefs.bin`, the partition; `littlefs.json`, its geometry and the
//! files that our own library finds in it; and under `files` what it reads from each.
//! `fixtures/oracles/littlefs.sh` compares them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use std::{env, fs};

use rigor_rigs::{Order, RigFile};
use rigor_runner::case::Running;
use rigor_runner::need::{Clock, Console, Flash, Net, Power};
use rigor_runner::{Bench, Findings, Need, Outcome, drive};
use suite_prism_k1::kit::{self, LITTLEFS_ADDRESS, LITTLEFS_BLOCK_BYTES, LITTLEFS_BYTES};
use suite_prism_k1::tlv::{Profile, crc32};
use suite_prism_k1::{p11, pattern};

const RIG: &str = include_str!("../../rigs/virtual/prism-k1.toml");

/// On the rig's clock: the first boot with its templates and two uploads.
const LIMIT: Duration = Duration::from_secs(180);

/// The uploads: one over many blocks, and one that a file system may keep inside its directory.
fn uploads() -> [(Profile, Vec<u8>); 2] {
    [(Profile::N, pattern::file(5, 100_000)), (Profile::F, p11::solid([255, 128, 0]))]
}

/// The partition, and its files as our own library reads them.
type Contents = (Vec<u8>, BTreeMap<String, Vec<u8>>);

async fn fill(mut console: Console, net: Net) -> Outcome {
    kit::settled(&mut console).await?;
    for (profile, file) in uploads() {
        kit::upload_once(&net, profile, "oracle", &file).await?;
    }
    Ok(Findings::new())
}

/// A second version of the larger one, cut in the middle of its data.
async fn replace(net: Net, clock: Clock, power: Power) -> Outcome {
    let (profile, file) = (Profile::N, pattern::file(6, 100_000));
    let upload = clock.within(Duration::from_millis(100), kit::upload_once(&net, profile, "oracle", &file));
    assert!(upload.await.is_none(), "the upload was over before it could be cut");
    power.off()?;
    Ok(Findings::new())
}

fn need<N: Need>(bench: &Bench) -> N {
    N::take(bench).unwrap_or_else(|missing| panic!("the rig file has everything: {missing}"))
}

/// The device's storage after its uploads, and after a power cut in another one.
fn whole_and_cut() -> [Contents; 2] {
    let interrupt = Arc::new(AtomicBool::new(false));
    let file = RigFile::parse("rigs/virtual/prism-k1.toml", RIG).expect("a valid rig file");
    let mut rig = rigor_rigs::take(&Order::new(&file, &rigor_suites::firmwares(), 1, &interrupt))
        .expect("the virtual rig can always be had");
    let bench = Bench::new(rig.timeline.clone(), rig.parts.clone(), rig.fidelity);
    let flash: Flash = need(&bench);
    let contents = || {
        let image = flash.read(LITTLEFS_ADDRESS, LITTLEFS_BYTES).expect("inside the chip");
        let files = kit::mount(&image).and_then(|fs| kit::files_of(&fs)).expect("a file system");
        (image, files)
    };
    rig.parts.power.clone().expect("the rig file has a supply").on().expect("a virtual switch works");
    let mut run = |case: Running| drive::to_the_end(&mut rig, case, LIMIT, &interrupt).map(|_| ());
    run(Box::pin(fill(need(&bench), need(&bench)))).expect("the uploads are accepted");
    let whole = contents();
    run(Box::pin(replace(need(&bench), need(&bench), need(&bench)))).expect("the upload begins");
    [whole, contents()]
}

#[test]
fn images_of_a_filled_and_a_cut_device_are_left_for_the_oracle() {
    let [whole, cut] = whole_and_cut();
    assert_ne!(whole.0, cut.0, "the cut came before anything was written");
    let folder = env::var_os("RIGOR_LITTLEFS_OUT")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("littlefs-image"), PathBuf::from);
    for (name, contents) in [("whole", whole), ("cut", cut)] {
        leave(&folder.join(name), contents);
    }
}

fn leave(folder: &Path, (image, files): Contents) {
    for (_, upload) in uploads() {
        assert!(files.values().any(|file| *file == upload), "an upload of {} bytes is missing", upload.len());
    }
    for (path, bytes) in &files {
        let copy = folder.join("files").join(path.trim_start_matches('/'));
        fs::create_dir_all(copy.parent().expect("below the folder")).expect("the folder can be made");
        fs::write(copy, bytes).expect("the copy can be written");
    }
    let list: Vec<serde_json::Value> = files
        .iter()
        .map(|(path, bytes)| serde_json::json!({ "path": path, "size": bytes.len(), "crc32": crc32(bytes) }))
        .collect();
    let description = serde_json::json!({
        "block_size": LITTLEFS_BLOCK_BYTES,
        "block_count": LITTLEFS_BYTES / LITTLEFS_BLOCK_BYTES,
        "files": list,
    });
    fs::write(folder.join("littlefs.bin"), image).expect("the image can be written");
    let text = serde_json::to_string_pretty(&description).expect("it is JSON");
    fs::write(folder.join("littlefs.json"), text + "\n").expect("the list can be written");
    println!("{} files, see {}", files.len(), folder.display());
}
