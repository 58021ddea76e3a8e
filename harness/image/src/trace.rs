//! What the console of a chip says of its code when its firmware gives up: the calls that led there, and of which build
//! they are.
//!
//! Each system has a way of its own. ESP-IDF lists `Backtrace: 0x42001234:0x3fc94f60 ...`, program counters with their
//! stack pointers, on Xtensa cores, and registers on RISC-V ones (`MEPC    : 0x42001234  RA      : 0x42005678`);
//! esp-backtrace has `Backtrace:` on a line and then an address on each; PRISM K1's ports write return addresses behind it.
//! ESP-IDF names its build, too, when it starts and when it gives up: `ELF file SHA256:  1a2b3c4d5`.

/// What a line of the console has before the addresses that led to a crash, innermost first.
const BACKTRACE: &str = "Backtrace:";
/// What it has before the first digits of the SHA-256 of the ELF file that the firmware was made of.
const BUILD: &str = "ELF file SHA256:";
/// Fewer digits tell no builds apart: the shortest that ESP-IDF can be told to write (`CONFIG_APP_RETRIEVE_LEN_ELF_SHA`).
const MIN_BUILD: usize = 8;
/// What ends a life of the firmware: the words with which it starts anew, and those of the chip's ROM.
const ENDS: [&str; 2] = ["Rebooting...", "rst:0x"];
/// Calls of a crash that are looked at.
const MAX_CALLS: usize = 64;

/// A place in the code that a crash has come by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Call {
    pub(crate) address: u32,
    /// It is where a call returns to, which may belong to other source than the call before it.
    pub(crate) returned: bool,
}

/// The last crash that a console tells of.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Trace {
    pub(crate) calls: Vec<Call>,
    build: Option<String>,
}

impl Trace {
    /// Of the last crash with addresses in `lines`, from the first to the last one; `None` if there is none.
    pub fn last_in<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let (mut last, mut life, mut listing) = (None, Trace::default(), false);
        for line in lines {
            if let Some((_, list)) = line.split_once(BACKTRACE) {
                life.calls.extend(list.split_whitespace().map_while(listed));
                listing = list.trim().is_empty();
            } else if let Some(address) = address(line.trim()).filter(|_| listing) {
                // esp-backtrace has taken off what leads from the return address to the call.
                life.calls.push(Call { address, returned: false });
            } else if let Some((_, build)) = line.split_once(BUILD) {
                life.build = digits(build.trim_start());
            } else if ENDS.iter().any(|end| line.contains(end)) {
                last = Some(std::mem::take(&mut life)).filter(|life| !life.calls.is_empty()).or(last);
                listing = false;
            } else {
                life.calls.extend(registers(line));
                // What colours the text comes before the first address.
                listing &= life.calls.is_empty();
            }
            life.calls.truncate(MAX_CALLS);
        }
        Some(life).filter(|life| !life.calls.is_empty()).or(last)
    }

    /// The first digits, in lower case, of the SHA-256 of the ELF file that crashed, if the console has named it.
    pub fn build(&self) -> Option<&str> {
        self.build.as_deref()
    }
}

/// An entry of a list on one line: `0x42001234`, which a call returns to, or `0x42001234:0x3fc94f60`, of which ESP-IDF has
/// made the place of the call.
fn listed(word: &str) -> Option<Call> {
    match word.split_once(':') {
        Some((counter, stack)) => {
            address(stack).and(address(counter)).map(|at| Call { address: at, returned: false })
        }
        None => address(word).map(|at| Call { address: at, returned: true }),
    }
}

/// Where a RISC-V core was, and where it would have returned to.
fn registers(line: &str) -> Vec<Call> {
    let register = |name: &str| {
        let (before, rest) = line.split_once(name)?;
        let is_whole = before.bytes().next_back().is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let value = rest.trim_start().strip_prefix([':', '='])?.trim_start();
        address(value.get(..10)?).filter(|_| is_whole)
    };
    let Some(counter) = register("MEPC").or_else(|| register("mepc")) else { return Vec::new() };
    let counter = Call { address: counter, returned: false };
    let back = register("RA").map(|address| Call { address, returned: true });
    [counter].into_iter().chain(back).collect()
}

/// `0x` and eight digits, as all of them are: what has fewer was cut off.
fn address(word: &str) -> Option<u32> {
    let digits = word.strip_prefix("0x")?;
    let is_whole = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_whole.then(|| u32::from_str_radix(digits, 16).ok())?
}

fn digits(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(text.len());
    (MIN_BUILD..=64).contains(&end).then(|| text[..end].to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn calls(console: &str) -> Vec<(u32, bool)> {
        let trace = Trace::last_in(console.lines()).unwrap_or_default();
        trace.calls.into_iter().map(|call| (call.address, call.returned)).collect()
    }

    #[rstest]
    #[case("Backtrace: 0x42001234 0x42005678\nRebooting...", &[(0x4200_1234, true), (0x4200_5678, true)])]
    #[case(
        "Backtrace: 0x42001234:0x3fc94f60 0x42005678:0x3fc94f80 |<-CORRUPTED",
        &[(0x4200_1234, false), (0x4200_5678, false)]
    )]
    #[case("Backtrace:\n\x1b[0m\n\n0x42001234\n0x42005678\n\n0x42009999", &[(0x4200_1234, false), (0x4200_5678, false)])]
    #[case(
        "Core  0 register dump:\nMEPC    : 0x42001234  RA      : 0x42005678  SP      : 0x3fc94f60\nT0      : 0x42009999\n\
         Stack memory:\n3fc94f60: 0x42009999 0x42009999",
        &[(0x4200_1234, false), (0x4200_5678, true)]
    )]
    #[case("Exception 'Load access fault' mepc=0x42001234, mtval=0x00000000", &[(0x4200_1234, false)])]
    #[case("0x42001234", &[])]
    #[case("Backtrace: 0x420012", &[])]
    #[case("Backtrace: 0x42001234 0x+2001234 0x42005678", &[(0x4200_1234, true)])]
    #[case("COMEPC : 0x42001234", &[])]
    fn the_ways_of_all_systems_are_read(#[case] console: &str, #[case] expected: &[(u32, bool)]) {
        assert_eq!(calls(console), expected);
    }

    #[test]
    fn the_last_crash_counts_with_the_build_of_its_own_life() {
        let console = "ELF file SHA256:  1A2B3C4D5...\nBacktrace: 0x42000001\nRebooting...\n\
                       rst:0xc (RTC_SW_CPU_RST)\nELF file SHA256:  999999999\nBacktrace: 0x42000002\n\
                       rst:0xc (RTC_SW_CPU_RST)\nELF file SHA256: 777777777\nall is well\n";
        let trace = Trace::last_in(console.lines()).expect("two crashes");
        assert_eq!((calls(console), trace.build()), (vec![(0x4200_0002, true)], Some("999999999")));
        let first = Trace::last_in(console.lines().take(2)).expect("one crash");
        assert_eq!(first.build(), Some("1a2b3c4d5"));
        assert_eq!(
            Trace::last_in("ELF file SHA256: 1a2b\nBacktrace: 0x42000001".lines()).expect("one").build(),
            None
        );
        assert_eq!(Trace::last_in("ELF file SHA256: 777777777".lines()), None);
    }

    #[test]
    fn an_endless_list_is_cut() {
        assert_eq!(calls(&format!("Backtrace:{}", " 0x42001234".repeat(5000))).len(), MAX_CALLS);
        assert_eq!(calls(&"Backtrace: 0x42001234\n".repeat(5000)).len(), MAX_CALLS);
    }
}
