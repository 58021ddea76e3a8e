//! What the page is told, as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::bridge::ClientView;
use crate::scene::{Entry, State};
use crate::view::Shown;

/// Everything but the LEDs is told with every so many pictures: four times a second.
const STATE_EVERY: u64 = 8;
/// Lines of the log in one event.
const MAX_LINES: usize = 400;

/// What all visitors are told of one moment.
#[derive(Default)]
pub(super) struct Telling {
    pictures: u64,
    /// What each strip showed last.
    last: Vec<String>,
    /// The strips that show something else now, and all.
    changed: Value,
    all: Value,
    state: Value,
}

impl Telling {
    /// Another moment.
    pub(super) fn begin(&mut self, shown: &Shown<'_>) {
        let strips: Vec<String> = shown
            .scene
            .strips
            .iter()
            .map(|strip| {
                let bytes: Vec<u8> =
                    strip.colours.iter().flat_map(|colour| [colour.r, colour.g, colour.b]).collect();
                STANDARD.encode(bytes)
            })
            .collect();
        let changed = strips.iter().enumerate().map(|(index, strip)| {
            if self.last.get(index) == Some(strip) { Value::Null } else { json!(strip) }
        });
        self.changed = changed.collect();
        self.all = json!(strips);
        self.last = strips;
        self.state = state(shown);
        self.pictures += 1;
    }

    /// For who has heard of `lines` lines, or of nothing at all.
    pub(super) fn event(&self, shown: &Shown<'_>, lines: u64, is_new: bool) -> String {
        let mut event = json!({ "now": shown.now.as_secs_f64() });
        let strips = if is_new { &self.all } else { &self.changed };
        if strips.as_array().is_some_and(|strips| strips.iter().any(|strip| !strip.is_null())) {
            event["strips"] = strips.clone();
        }
        if is_new || self.pictures.is_multiple_of(STATE_EVERY) {
            event["state"] = self.state.clone();
        }
        let log = &shown.scene.log;
        let unheard = usize::try_from(log.total - lines).unwrap_or(usize::MAX);
        let unheard = unheard.min(MAX_LINES).min(log.entries.len());
        if unheard > 0 {
            event["log"] = log.entries.range(log.entries.len() - unheard..).map(entry).collect();
        }
        // JSON has no line breaks of its own, so an event stays one line.
        event.to_string()
    }
}

fn entry(entry: &Entry) -> Value {
    let level = entry.level.map(|level| level.letter().to_string());
    json!({ "at": entry.at.as_secs_f64(), "level": level, "note": entry.is_note, "text": entry.text })
}

fn state(shown: &Shown<'_>) -> Value {
    let (scene, now) = (shown.scene, shown.now);
    let device = match scene.device.state {
        State::Off => json!({ "is": "off" }),
        State::Booting => json!({ "is": "booting" }),
        State::Running(since, cause) => {
            json!({ "is": "running", "since": since.as_secs_f64(), "cause": crate::scene::cause(cause) })
        }
    };
    let strips: Vec<Value> = scene
        .strips
        .iter()
        .map(|strip| {
            let periods =
                strip.periods().map(|(min, max)| [min.as_secs_f64() * 1e3, max.as_secs_f64() * 1e3]);
            json!({
                "signal": strip.signal, "pixels": strip.colours.len(), "odd": strip.odd,
                "fps": strip.frames_per_second(now), "periods": periods,
            })
        })
        .collect();
    let client = |client: &ClientView<'_>| {
        json!({
            "service": client.door.service, "from": client.from.to_string(), "open": client.is_open,
            "in": client.to_device, "out": client.from_device,
        })
    };
    let clients: Option<Vec<Value>> =
        shown.clients.as_ref().map(|clients| clients.iter().map(client).collect());
    let mut said: Vec<_> = scene.log.tags.iter().collect();
    said.sort_by_key(|(_, said)| std::cmp::Reverse(said.at));
    let said: Vec<Value> = said
        .into_iter()
        .take(12)
        .map(|(tag, said)| json!({ "tag": tag, "level": said.level.letter().to_string(), "text": said.message }))
        .collect();
    let keeping = &shown.keeping;
    json!({
        "rig": shown.whereabouts.rig, "firmware": shown.whereabouts.firmware,
        "services": shown.whereabouts.services, "console": shown.whereabouts.console, "pins": shown.pins,
        "device": device, "starts": scene.device.starts, "crashes": scene.device.crashes,
        "heap": { "free": scene.heap.free, "largest": scene.heap.largest, "lowest": scene.heap.lowest,
                  "history": scene.heap.history },
        "flash": { "share": scene.flash.share(now), "erased": scene.flash.erased,
                   "programmed": scene.flash.programmed },
        "details": strips, "clients": clients, "said": said,
        "keeping": { "measured": keeping.measured, "wanted": keeping.wanted, "paused": keeping.is_paused,
                     "hosts": keeping.is_the_hosts,
                     "lag": keeping.lag.as_secs_f64() * 1e3 },
    })
}
