use proptest::prelude::*;
use rigor_core::{Instant, Level};
use rstest::rstest;

use super::{read, write};
use crate::capture::{Capture, Limits, Signal};

fn parse(text: &str) -> Capture {
    read(text.as_bytes(), &Limits::default()).unwrap()
}

fn refused(text: &str) -> String {
    read(text.as_bytes(), &Limits::default()).unwrap_err().to_string()
}

fn edges(signal: &Signal) -> Vec<(u64, u8)> {
    signal.edges().iter().map(|edge| (edge.at().as_nanos(), u8::from(edge.level() == Level::High))).collect()
}

fn names(capture: &Capture) -> Vec<&str> {
    capture.signals().iter().map(Signal::name).collect()
}

/// As a simulator writes it: a scope in a scope, a vector, a real number, unknown values.
const SIMULATED: &str = "\
$date today $end
$version some simulator $end
$comment a $var in a comment, and a line
break $end
$timescale 10 ps $end
$scope module top $end
$var wire 1 ! clk $end
$scope module a $end
$var reg 4 \" bus [3:0] $end
$var wire 1 # ready $end
$upscope $end
$scope module b $end
$var wire 1 $ ready $end
$var real 64 % volts $end
$var wire 1 ! clk_alias $end
$upscope $end
$upscope $end
$enddefinitions $end
#100000
$dumpvars
x! bxxxx \" 0# z$ r1.5 %
$end
#100500
1! b10 \"
#101000
0!
r2.5 %
#101500
1! b1 \" 1$
#102000
";

#[test]
fn reads_what_a_simulator_writes() {
    let capture = parse(SIMULATED);
    assert_eq!(
        names(&capture),
        ["clk", "bus[3]", "bus[2]", "bus[1]", "bus[0]", "top.a.ready", "top.b.ready"]
    );
    assert_eq!((capture.start().as_nanos(), capture.end().as_nanos()), (1_000, 1_020));
    let clk = capture.signal("clk").unwrap();
    // It was unknown at first, and what it became then holds for the time before.
    assert_eq!((clk.initial(), edges(clk)), (Level::High, vec![(1_010, 0), (1_015, 1)]));
    assert_eq!(edges(capture.signal("bus[1]").unwrap()), [(1_015, 0)]);
    assert_eq!(capture.signal("bus[1]").unwrap().initial(), Level::High);
    assert_eq!(edges(capture.signal("bus[0]").unwrap()), [(1_015, 1)]);
    assert_eq!(capture.signal("top.b.ready").unwrap().initial(), Level::High);
}

/// As PulseView writes it: no `$dumpvars`, several changes in a line.
#[test]
fn reads_what_sigrok_writes() {
    let capture = parse(
        "$timescale 1 us $end\n$scope module libsigrok $end\n$var wire 1 ! D0 $end\n\
         $var wire 1 \" D1 $end\n$upscope $end\n$enddefinitions $end\n#0 0! 1\"\n#3 1!\n#5 0! 0\"\n#9\n",
    );
    assert_eq!(edges(capture.signal("D0").unwrap()), [(3_000, 1), (5_000, 0)]);
    assert_eq!(edges(capture.signal("D1").unwrap()), [(5_000, 0)]);
    assert_eq!(capture.end().as_nanos(), 9_000);
}

#[test]
fn values_before_the_first_time_are_the_levels_at_it() {
    let capture = parse("$timescale 1ns $end $var wire 1 ! a $end $enddefinitions $end 1! #50 0! #60");
    let signal = capture.signal("a").unwrap();
    assert_eq!((signal.initial(), capture.start().as_nanos()), (Level::Low, 50));
    assert!(signal.edges().is_empty());
}

const HEAD: &str = "$timescale 1 ns $end\n$var wire 1 ! a $end\n$enddefinitions $end\n";

#[rstest]
#[case::nothing("", "line 1: the file ends where `$enddefinitions` should be")]
#[case::other("\x7fELF\x02\x01", "line 1: `ELF` among the declarations")]
#[case::no_scale("$enddefinitions $end\n", "line 1: no `$timescale`")]
#[case::bad_scale("\n$timescale 7 ns $end", "line 2: `7ns` is no time scale")]
#[case::bad_unit("$timescale 1\nfortnight $end", "line 2: `1fortnight` is no time scale")]
#[case::cut_comment("$date\n$comment never ends", "line 1: `$date` has no `$end`")]
#[case::cut_var("$var wire 1", "line 1: the file ends where the code of a variable should be")]
#[case::nameless("$var wire 1 ! $end $end", "line 1: a variable without a name")]
#[case::size("$var wire many ! a $end", "line 1: `many` is no number of bits")]
#[case::huge("$var wire 99999999 ! a $end", "line 1: more than 4096 signals")]
#[case::nameless_scope("$scope module $end", "line 1: a scope without a name")]
fn refuses_declarations_with_their_line(#[case] text: &str, #[case] reason: &str) {
    let refused = refused(text);
    assert!(refused.starts_with(reason), "{refused}");
}

#[rstest]
#[case::unknown_code("#0\n1?\n", "line 5: the value `1?` is of no declared variable")]
#[case::unknown_vector("#0\nb1 ?\n", "line 5: `?` is the code of no declared variable")]
#[case::bad_bit("#0\nb1012 !\n", "line 5: `2` is no bit of a vector")]
#[case::back("#10\n\n#9\n", "line 6: time 9 comes after time 10")]
#[case::no_time("#1x\n", "line 4: `#1x` is no time")]
#[case::too_late("#99999999999999999999\n", "line 4: `#99999999999999999999` is no time")]
#[case::beyond("#18446744073709551615\n", "line 4: time 18446744073709551615 is beyond 292 years")]
#[case::rubbish("#1\nhello\n", "line 5: `hello` is no change of a value")]
#[case::cut("#1\nb1", "line 5: the file ends where the code of a vector should be")]
fn refuses_changes_with_their_line(#[case] text: &str, #[case] reason: &str) {
    let refused = refused(&format!("{HEAD}{text}"));
    assert!(refused.starts_with(reason), "{refused}");
}

#[test]
fn keeps_within_its_limits() {
    let limits = Limits { edges: 2, signals: 1, ..Limits::default() };
    let text = |body: &str| format!("{HEAD}{body}");
    assert!(read(text("#0 0! #1 1! #2 0!").as_bytes(), &limits).is_ok());
    let refused = read(text("#0 0! #1 1! #2 0! #3 1!").as_bytes(), &limits).unwrap_err().to_string();
    assert_eq!(refused, "line 4: more than 2 edges; read a shorter piece, or raise the limit");
    let two = "$var wire 1 ! a $end\n$var wire 1 ? b $end";
    let refused = read(two.as_bytes(), &limits).unwrap_err().to_string();
    assert_eq!(refused, "line 2: more than 1 signals; read a shorter piece, or raise the limit");
}

#[test]
fn scopes_do_not_nest_for_ever() {
    let refused = refused(&"$scope module a $end\n".repeat(300));
    assert_eq!(refused, "line 257: more than 256 scopes in each other");
}

#[test]
fn writes_what_is_written_here() {
    let at = Instant::from_nanos;
    let mut capture = Capture::new(at(100));
    let a = capture.add("leds.0", Level::Low);
    a.change(at(150), Level::High).unwrap();
    a.change(at(200), Level::Low).unwrap();
    capture.add("a button", Level::High).change(at(150), Level::Low).unwrap();
    capture.ends_at(at(1_000));
    let mut text = Vec::new();
    write(&capture, &mut text).unwrap();
    assert_eq!(
        String::from_utf8(text).unwrap(),
        "$version rigor $end\n$timescale 1 ns $end\n$scope module rig $end\n\
         $var wire 1 ! leds.0 $end\n$var wire 1 \" a_button $end\n$upscope $end\n$enddefinitions $end\n\
         #100\n$dumpvars\n0!\n1\"\n$end\n#150\n1!\n0\"\n#200\n0!\n#1000\n"
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        start in 0_u64..1_000_000_000_000,
        signals in prop::collection::vec((any::<bool>(), prop::collection::vec(1_u64..5_000, 0..30)), 0..200),
        rest in 0_u64..1_000,
    ) {
        let mut capture = Capture::new(Instant::from_nanos(start));
        let mut end = start;
        for (index, (high, distances)) in signals.iter().enumerate() {
            let mut level = if *high { Level::High } else { Level::Low };
            let signal = capture.add(format!("s{index}"), level);
            let mut at = start;
            for distance in distances {
                at += distance;
                level = !level;
                signal.change(Instant::from_nanos(at), level).unwrap();
            }
            end = end.max(at);
        }
        capture.ends_at(Instant::from_nanos(end + rest));
        let mut text = Vec::new();
        write(&capture, &mut text).unwrap();
        prop_assert_eq!(read(text.as_slice(), &Limits::default()).unwrap(), capture);
    }

    #[test]
    fn anything_is_read_or_refused(text in "[#$01xbz!a \n]{0,200}", head in any::<bool>()) {
        let text = if head { format!("{HEAD}{text}") } else { text };
        let limits = Limits { edges: 10, ..Limits::default() };
        if let Ok(capture) = read(text.as_bytes(), &limits) {
            let edges: usize = capture.signals().iter().map(|signal| signal.edges().len()).sum();
            prop_assert!(edges <= 10);
        }
    }
}
