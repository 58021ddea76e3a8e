//! What firmware takes of the chip's memories, in a few words.

use rigor_core::result::{Firmware, Memory, MemoryUse};

/// Words of the line.
pub(crate) struct Words {
    /// What it takes, such as `flash 402.7 of 1536 KiB (26 %)`.
    pub(crate) text: String,
    /// Exact figures, and where the limit stands.
    pub(crate) source: String,
    /// Whether it is more than it may be.
    pub(crate) over: bool,
}

/// A few words for each memory that `firmware` is known to take of, in one line.
pub(crate) fn words(firmware: &Firmware) -> Vec<Words> {
    let mut stacks = false;
    let of = |used: &MemoryUse| {
        let limit = used.limit.as_ref().map(|limit| format!("; {} ({})", limit.name, limit.source));
        let name = match &used.of {
            Memory::Stack(task) if std::mem::replace(&mut stacks, true) => task.clone(),
            Memory::Stack(task) => format!("stacks: {task}"),
            other => other.to_string(),
        };
        Words {
            text: format!("{name} {}", text(used)),
            source: format!("{used}{}", limit.unwrap_or_default()),
            over: used.holds() == Some(false),
        }
    };
    firmware.memory.iter().map(of).collect()
}

fn text(used: &MemoryUse) -> String {
    let MemoryUse { of, bytes, limit } = used;
    match (of, limit) {
        (_, Some(limit)) if *bytes > limit.bytes => format!("{}, over its {}", kib(*bytes), kib(limit.bytes)),
        // A stack is as large as it is said to be, and of the others people want to know how much is left.
        (Memory::Flash | Memory::Ram, Some(limit)) => {
            let share = 100.0 * *bytes as f64 / limit.bytes.max(1) as f64;
            format!("{} of {} ({share:.0} %)", kib(*bytes), kib(limit.bytes))
        }
        _ => kib(*bytes),
    }
}

fn kib(bytes: u64) -> String {
    let kib = bytes as f64 / 1024.0;
    if bytes.is_multiple_of(1024) { format!("{kib} KiB") } else { format!("{kib:.1} KiB") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn what_is_left_and_what_is_over_can_be_read() {
        let run = sample::run();
        let words = words(&run.firmware[0]);
        let texts: Vec<&str> = words.iter().map(|words| words.text.as_str()).collect();
        let expected =
            ["flash 402.7 KiB of 1536 KiB (26 %)", "RAM 294 KiB", "stacks: playback 8.8 KiB, over its 8 KiB"];
        assert_eq!(texts, expected);
        assert_eq!([false, false, true], [0, 1, 2].map(|at: usize| words[at].over));
        assert_eq!(
            words[0].source,
            "flash 412344 of 1572864 bytes (26 %); image fits slot (K1-OTA-003: seed 2; spec 5)"
        );
    }
}
