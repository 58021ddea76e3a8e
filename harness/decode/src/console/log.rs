//! Lines of ESP-IDF's log.

/// Level of a log line (ESP-IDF, `esp_log_level_t`), the most serious first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LogLevel {
    /// `E`
    Error,
    /// `W`
    Warn,
    /// `I`
    Info,
    /// `D`
    Debug,
    /// `V`
    Verbose,
}

impl LogLevel {
    /// The letter that a log line begins with.
    pub const fn letter(self) -> char {
        match self {
            LogLevel::Error => 'E',
            LogLevel::Warn => 'W',
            LogLevel::Info => 'I',
            LogLevel::Debug => 'D',
            LogLevel::Verbose => 'V',
        }
    }

    fn of(letter: &str) -> Option<LogLevel> {
        Some(match letter {
            "E" => LogLevel::Error,
            "W" => LogLevel::Warn,
            "I" => LogLevel::Info,
            "D" => LogLevel::Debug,
            "V" => LogLevel::Verbose,
            _ => return None,
        })
    }
}

/// A line of ESP-IDF's log: `I (1234) tag: message` (ESP-IDF Programming Guide, "Logging library",
/// time stamps in milliseconds since boot).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogLine<'a> {
    /// How serious.
    pub level: LogLevel,
    /// What the firmware took for the time since it booted, in milliseconds. It is the device's
    /// word; when the line was on the wire is [`Line::end`](super::Line::end).
    pub millis: u64,
    /// Which part of the firmware.
    pub tag: &'a str,
    /// What it says; may be empty.
    pub message: &'a str,
}

impl<'a> LogLine<'a> {
    /// Reads a line without escape sequences and line end; `None` if it is no log line.
    ///
    /// The tag reaches to the first `": "` (or a colon at the end of the line) and is not empty. A
    /// time stamp of another form (`CONFIG_LOG_TIMESTAMP_SOURCE_SYSTEM` writes a time of day) or
    /// beyond 64 bits is none.
    pub fn parse(text: &'a str) -> Option<LogLine<'a>> {
        let (letter, rest) = text.split_once(" (")?;
        let level = LogLevel::of(letter)?;
        let (millis, rest) = rest.split_once(") ")?;
        if !millis.bytes().all(|byte| byte.is_ascii_digit()) {
            return None; // `parse` takes a sign as well.
        }
        let millis = millis.parse().ok()?;
        let (tag, message) = rest.split_once(": ").or_else(|| Some((rest.strip_suffix(':')?, "")))?;
        (!tag.is_empty()).then_some(LogLine { level, millis, tag, message })
    }
}

/// As ESP-IDF writes it.
impl std::fmt::Display for LogLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}) {}: {}", self.level.letter(), self.millis, self.tag, self.message)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("I (1234) prism: ready", LogLevel::Info, 1234, "prism", "ready")]
    #[case("E (0) HEAP_MON: free: 12 largest: 4", LogLevel::Error, 0, "HEAP_MON", "free: 12 largest: 4")]
    #[case("W (4294967295) a b: ", LogLevel::Warn, 4_294_967_295, "a b", "")]
    #[case("D (7) t:", LogLevel::Debug, 7, "t", "")]
    #[case("V (7) esp::net: (x) y", LogLevel::Verbose, 7, "esp::net", "(x) y")]
    fn log_lines(
        #[case] text: &str,
        #[case] level: LogLevel,
        #[case] millis: u64,
        #[case] tag: &str,
        #[case] message: &str,
    ) {
        let line = LogLine { level, millis, tag, message };
        assert_eq!(LogLine::parse(text), Some(line));
        assert_eq!(LogLine::parse(&line.to_string()), Some(line));
    }

    #[rstest]
    #[case("")]
    #[case("I")]
    #[case("I (12)")]
    #[case("I (12) no tag")]
    #[case("I (12) : message")]
    #[case("I (+12) t: m")]
    #[case("I () t: m")]
    #[case("I (99999999999999999999) t: m")]
    #[case("I (12:00:01.5) t: m")]
    #[case("N (12) t: m")]
    #[case(" I (12) t: m")]
    #[case("i (12) t: m")]
    #[case("rst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)")]
    fn other_lines(#[case] text: &str) {
        assert_eq!(LogLine::parse(text), None);
    }
}
