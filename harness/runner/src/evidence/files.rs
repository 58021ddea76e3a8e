//! The slice for other tools: files in `evidence/<rig>/<case>/` of the run's folder.
//!
//! | File | What | For |
//! |---|---|---|
//! | `wires.vcd` | every wire at the end of the case | GTKWave, Surfer |
//! | `wires.sr` | the same | PulseView, sigrok-cli |
//! | `network.pcap` | the network link | Wireshark |
//! | `console.log` | the console, with times | people |
//! | `events.jsonl` | everything, a line of JSON each | scripts |
//! | `strip.png` | what the strip showed in the end, animated | people |
//! | `repeat.sh` | the command that repeats the case | a shell |

use std::fs;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rigor_core::result::RunResult;
use rigor_core::{Instant, Rig};
use rigor_decode::capture::{Capture, MAX_EDGES, sigrok, vcd};
use rigor_decode::{lines, pcap};
use rigor_reports::store::{self, RunFolder, StoreError};

/// How much of the wires is kept: six pictures of a strip at 120 per second. Drawn as edges, a second of
/// two lanes is two million lines of VCD.
const WIRES: Duration = Duration::from_millis(50);

/// How much of everything is kept as lines of JSON.
const EVENTS: Duration = Duration::from_secs(1);

/// Which cases leave files.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum FilesOf {
    /// Those that do not pass.
    #[default]
    WhatDoesNotPass,
    /// All that run.
    All,
}

/// The folder of a run's evidence.
#[derive(Debug)]
pub struct Shelf {
    run: PathBuf,
    of: FilesOf,
    complaints: Mutex<Vec<String>>,
}

impl Shelf {
    /// A shelf in the folder `run`. Nothing is made before there is something to keep.
    pub fn new(run: impl Into<PathBuf>, of: FilesOf) -> Arc<Self> {
        Arc::new(Shelf { run: run.into(), of, complaints: Mutex::default() })
    }

    /// What could not be kept, and why.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there are to be files of a case that did or did not pass.
    pub(super) fn wants(&self, passed: bool) -> bool {
        !passed || self.of == FilesOf::All
    }

    /// Writes the files of `case` and gives their paths relative to the run's folder. What cannot be
    /// written is complained of, and the rest is written all the same.
    pub(super) fn keep(&self, rig: &Rig, case: &str, strip: Option<Vec<u8>>) -> Vec<String> {
        let relative = Path::new("evidence").join(&rig.name).join(case);
        let folder = self.run.join(&relative);
        if let Err(error) = fs::create_dir_all(&folder) {
            self.complain(&folder, &error);
            return Vec::new();
        }
        let mut kept = Vec::new();
        for (name, contents) in contents(rig, strip) {
            let path = folder.join(name);
            let bytes = match contents {
                Ok(bytes) if bytes.is_empty() => continue,
                Ok(bytes) => bytes,
                Err(error) => {
                    self.complain(&path, &error);
                    continue;
                }
            };
            match store::write_atomically(&path, &bytes) {
                Ok(()) => kept.push(relative.join(name).display().to_string()),
                Err(error) => self.complain(&path, &error),
            }
        }
        kept
    }

    fn complain(&self, path: &Path, error: &dyn std::error::Error) {
        let complaint = format!("{}: {error}", path.display());
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).push(complaint);
    }
}

type Contents = (&'static str, io::Result<Vec<u8>>);

fn contents(rig: &Rig, strip: Option<Vec<u8>>) -> Vec<Contents> {
    let timeline = &rig.timeline;
    let sources = timeline.sources();
    let now = timeline.now();
    // The last instant belongs to the slice.
    let end = now + Duration::from_nanos(1);
    let mut wires = Capture::of_timeline(timeline, &sources, now - WIRES..end, MAX_EDGES);
    for lane in &rig.parts.leds {
        wires.rename(&timeline.name(lane.source), &lane.signal);
    }
    let written = |write: &dyn Fn(&mut Vec<u8>) -> io::Result<()>| {
        let mut bytes = Vec::new();
        write(&mut bytes).map(|()| bytes)
    };
    let mut all = vec![
        (
            "network.pcap",
            written(&|to| {
                let packets = pcap::write(
                    timeline,
                    &sources,
                    Instant::ZERO..end,
                    pcap::Addresses::default(),
                    &mut *to,
                )?;
                if packets == 0 {
                    to.clear();
                }
                Ok(())
            }),
        ),
        ("console.log", written(&|to| lines::log::write(timeline, &sources, Instant::ZERO..end, to))),
        (
            "events.jsonl",
            written(&|to| lines::json::write(timeline, &sources, now - EVENTS..end, to).map(drop)),
        ),
        ("strip.png", Ok(strip.unwrap_or_default())),
    ];
    if !wires.signals().is_empty() {
        all.push(("wires.vcd", written(&|to| vcd::write(&wires, to))));
        let mut session = Cursor::new(Vec::new());
        let session =
            sigrok::write(&wires, wires.resolving_rate(), &mut session).map(|()| session.into_inner());
        all.push(("wires.sr", session));
    }
    all
}

/// Puts the command that repeats a case beside its files.
///
/// # Errors
/// [`StoreError`] of the first that cannot be written.
pub(crate) fn keep_repeats(run: &RunFolder, result: &RunResult) -> Result<(), StoreError> {
    for case in &result.cases {
        let evidence = case.evidence.as_ref().filter(|evidence| !evidence.files.is_empty());
        if let (Some(_), Some(rig), Some(repeat)) = (evidence, &case.rig, &case.repeat) {
            let path = run.path().join("evidence").join(rig).join(&case.name).join("repeat.sh");
            store::write_atomically(&path, format!("#!/bin/sh\n{repeat}\n").as_bytes())?;
        }
    }
    Ok(())
}
