//! Guests of stand-ins, and of QEMU itself where it is installed (`--ignored`).

use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, mem, panic, thread};

use rstest::rstest;

use super::super::command_line::Time;
use super::super::error::Ending;
use super::super::forward::Way;
use super::super::version::installed;
use super::super::{LastWords, stand_in};
use super::*;
use crate::file::Exact;

/// Nothing that works takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
const BRIEF: Duration = Duration::from_millis(100);
const EXACT: Time<'static> = Time::Exact(Exact { icount_shift: 3 });

fn launch<'a>(binary: &'a Path, time: Time<'a>) -> Launch<'a> {
    Launch { binary, machine: "virt", image: Path::new("/no/image"), arguments: &[], time }
}

fn ram() -> GuestRam {
    GuestRam::new(1024 * 1024).expect("memory")
}

fn start(name: &str) -> Guest {
    Guest::start(&launch(&stand_in(name), EXACT), &ram()).expect("a process")
}

fn bell(guest: &mut Guest) -> Result<(), QemuError> {
    guest.wait_for_bell(PATIENCE, &AtomicBool::new(false))
}

/// Whether there is such a process, and it has not only been left unburied.
fn lives(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The state is the first word behind the name, which is in brackets and may hold any.
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !matches!(rest.trim_start().chars().next(), Some('Z' | 'X')))
}

#[track_caller]
fn is_gone(id: u32) {
    let until = Instant::now() + PATIENCE;
    while lives(id) {
        assert!(Instant::now() < until, "process {id} is left behind");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_guest_rings_and_is_answered() {
    let mut guest = start("exchanges");
    for _ in 0..5 {
        bell(&mut guest).expect("it rings");
        let silent = guest.wait_for_bell(BRIEF, &AtomicBool::new(false)).expect_err("it waits");
        assert!(matches!(silent, QemuError::Silent { .. }), "{silent}");
        guest.answer().expect("it listens");
    }
    assert_eq!(guest.bells, 5);
    guest.check().expect("it runs");
}

#[rstest]
#[case(
    "dies-at-start",
    "QEMU ended with exit code 1 at its start; it said: STAND-IN: unsupported machine type / Use -machine help \
     to list supported machines; correct `machine` in the rig file; machines of Espressif's are in their QEMU \
     only (idf_tools.py install qemu-xtensa qemu-riscv32)"
)]
#[case(
    "rings-then-dies",
    "QEMU ended with exit code 3 after 1 exchange; it said: \u{FFFD}[2Ja last word; run it again; if it ends \
     again at the same place, it is the image that ends it"
)]
#[case(
    "rings-then-is-killed",
    "QEMU was killed (signal 9: by somebody, or for want of memory) after 1 exchange; it said nothing; run it \
     again; if it ends again at the same place, it is the image that ends it"
)]
fn one_that_dies_says_when_how_and_its_last_words(#[case] name: &str, #[case] expected: &str) {
    let mut guest = start(name);
    let error = loop {
        match bell(&mut guest).and_then(|()| guest.answer()) {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    let said = error.to_string().replace(&stand_in(name).display().to_string(), "STAND-IN");
    assert_eq!(said, expected);
    // Asked in another way, it says the same.
    assert_eq!(guest.check(), Err(error));
}

#[test]
fn one_that_hangs_is_given_up_in_time_and_killed() {
    let mut guest = start("hangs");
    let id = guest.process.id();
    let said = guest.wait_for_bell(BRIEF, &AtomicBool::new(false)).expect_err("it hangs").to_string();
    assert!(said.starts_with("QEMU at its start has not rung within 100ms"), "{said}");
    guest.check().expect("it lives");
    drop(guest);
    assert!(!lives(id), "it is gone before its owner goes on");
}

#[test]
fn one_that_floods_its_standard_error_is_neither_held_up_nor_believed() {
    let mut guest = start("floods-and-rings");
    bell(&mut guest).expect("it rings behind a million bytes");
    let mut guest = start("floods");
    let until = Instant::now() + PATIENCE;
    loop {
        match guest.wait_for_bell(BRIEF, &AtomicBool::new(false)) {
            Err(QemuError::Silent { last_words, .. }) => {
                assert!(last_words.to_string().len() < 100, "{last_words}");
                if last_words.to_string().contains("a flood / a flood") {
                    return;
                }
                // A busy host may need longer to begin.
                assert!(Instant::now() < until, "{last_words}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn one_that_never_reads_its_answers_is_told_apart() {
    let mut guest = start("never-reads");
    let told = loop {
        bell(&mut guest).expect("it rings");
        if let Err(told) = guest.answer() {
            break told;
        }
    };
    assert_eq!(told, QemuError::Deaf);
}

#[test]
fn an_interrupt_ends_the_wait() {
    let mut guest = start("hangs");
    assert_eq!(guest.wait_for_bell(PATIENCE, &AtomicBool::new(true)), Err(QemuError::Interrupted));
    let interrupt = AtomicBool::new(false);
    let told = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(BRIEF);
            interrupt.store(true, Ordering::Relaxed);
        });
        guest.wait_for_bell(PATIENCE, &interrupt)
    });
    assert_eq!(told, Err(QemuError::Interrupted));
}

#[test]
fn a_program_that_cannot_be_executed_is_refused() {
    let told = Guest::start(&launch(Path::new("/dev/null/qemu"), EXACT), &ram()).err().expect("no program");
    let told = told.to_string();
    assert!(told.starts_with("QEMU cannot be started: a process of it: "), "{told}");
}

/// One after the other: what one leaves open the other would find.
#[test]
fn it_finds_what_it_is_handed_and_nothing_besides() {
    for time in [EXACT, Time::Live(&[])] {
        // Left open for children, as by a shell or by cargo.
        let leak = rustix::fs::memfd_create("rigor-leak", rustix::fs::MemfdFlags::empty()).expect("a file");
        let (binary, ram) = (stand_in("tells-what-it-finds"), ram());
        let mut guest = Guest::start(&launch(&binary, time), &ram).expect("a process");
        let told = bell(&mut guest).expect_err("it ends");
        let expected = LastWords::of(b"0 null, 1 null, 10 pipe, 11 pipe, 12 memory, 2 pipe,");
        assert!(
            matches!(&told, QemuError::Died { how: Ending::Code(7), last_words, .. } if *last_words == expected),
            "{told}"
        );
        let mut word = [0; 4];
        ram.read(4, &mut word).expect("within");
        assert_eq!(&word, b"kept", "memory outlives the process");
        drop(leak);
    }
}

#[test]
fn a_guest_ends_with_a_panic_of_its_owner() {
    let owner = thread::spawn(|| {
        let guest = start("hangs");
        let id = guest.process.id();
        // A panic without a message on the terminal.
        panic::resume_unwind(Box::new((id, lives(id))));
    });
    let said = owner.join().expect_err("it panics");
    let (id, lived) = *said.downcast_ref::<(u32, bool)>().expect("its id");
    assert!(lived && !lives(id), "{id}");
}

#[test]
fn a_guest_ends_with_the_thread_that_forgot_it() {
    let owner = thread::spawn(|| {
        let guest = start("hangs");
        let id = guest.process.id();
        let lived = lives(id);
        mem::forget(guest);
        (id, lived)
    });
    let (id, lived) = owner.join().expect("a thread");
    assert!(lived);
    is_gone(id);
}

/// Tells its guest's id and waits for its own end.
#[test]
#[ignore = "another test starts it and kills it"]
fn owns_a_guest() {
    let guest = start("hangs");
    println!("guest {}", guest.process.id());
    thread::sleep(PATIENCE);
}

#[test]
fn a_guest_ends_with_an_owner_that_is_killed() {
    let mut owner = Command::new(env::current_exe().expect("this binary"))
        .args(["--exact", "qemu::guest::tests::owns_a_guest", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process");
    let out = std::io::BufReader::new(owner.stdout.take().expect("a pipe"));
    let id = std::io::BufRead::lines(out).find_map(|line| {
        let line = line.expect("text");
        line.rsplit_once("guest ").and_then(|(_, id)| id.trim().parse::<u32>().ok())
    });
    let id = id.expect("it says its guest's id");
    let lived = lives(id);
    owner.kill().and_then(|()| owner.wait()).expect("it is killed");
    assert!(lived);
    is_gone(id);
}

/// What a device does first in these tests: it writes `K` to its UART, and then, for ever, counts at offset
/// 0x1_0008, stores its clock at 0x1_0000, rings and waits. RV32I, at 0x8000_0000.
#[rustfmt::skip]
const PROGRAM: [u32; 54] = [
    0x8001_0437, 0x1000_02b7, 0x04b0_0313, 0x0062_8023, // lui s0, 0x80010; lui t0, 0x10000; li t1, 'K'; sb t1, 0(t0)
    0x0000_0497, 0x0b04_8293, 0x0054_2823, 0x0050_0293, // auipc s1, 0; addi t0, s1, 0xb0; sw t0, 16(s0); li t0, 5
    0x0054_2a23, 0x00a0_0293, 0x0054_2c23, 0x0010_0513, // sw t0, 20(s0); li t0, 10; sw t0, 24(s0); li a0, SYS_OPEN
    0x0104_0593, 0x0700_00ef, 0x02a4_2023, 0x0284_2223, // addi a1, s0, 16; jal semihost; sw a0, 32(s0); sw s0, 36(s0)
    0x0010_0293, 0x0254_2423, 0x0054_2a23, 0x0bc4_8293, // li t0, 1; sw t0, 40(s0); sw t0, 20(s0); addi t0, s1, 0xbc
    0x0054_2823, 0x0010_0513, 0x0104_0593, 0x0480_00ef, // sw t0, 16(s0); li a0, SYS_OPEN; addi a1, s0, 16; jal semihost
    0x02a4_2823, 0x0404_0293, 0x0254_2a23, 0x0010_0293, // sw a0, 48(s0); addi t0, s0, 64; sw t0, 52(s0); li t0, 1
    0x0254_2c23,                                        // sw t0, 56(s0)
    0x0084_2283, 0x0012_8293, 0x0054_2423,              // loop: lw t0, 8(s0); addi t0, t0, 1; sw t0, 8(s0)
    0xc000_22f3, 0x0054_2023,                           // rdcycle t0; sw t0, 0(s0)
    0x0050_0513, 0x0204_0593, 0x0140_00ef,              // li a0, SYS_WRITE; addi a1, s0, 32; jal semihost
    0x0060_0513, 0x0304_0593, 0x0080_00ef,              // li a0, SYS_READ; addi a1, s0, 48; jal semihost
    0xfd5f_f06f,                                        // j loop
    0x01f0_1013, 0x0010_0073, 0x4070_5013, 0x0000_8067, // semihost: slli x0, x0, 31; ebreak; srai x0, x0, 7; ret
    0, 0, 0,
    0x7665_642f, 0x2f64_662f, 0x0000_3031,              // "/dev/fd/10"
    0x7665_642f, 0x2f64_662f, 0x0000_3131,              // "/dev/fd/11"
];
const CLOCK: usize = 0x1_0000;
const EXCHANGES: usize = 0x1_0008;

/// [`PROGRAM`] as an ELF file without a name, and the path by which a child finds it.
fn program() -> (OwnedFd, std::path::PathBuf) {
    let (address, file_bytes) = (0x8000_0000u32, 4 * PROGRAM.len() as u32);
    let mut elf: Vec<u8> = b"\x7fELF\x01\x01\x01".to_vec();
    elf.resize(16, 0);
    // An executable (2) for RISC-V (243), version 1, one program header of 32 bytes behind 52 of this.
    for half in [2u16, 243] {
        elf.extend(half.to_le_bytes());
    }
    for word in [1, address, 52, 0, 0] {
        elf.extend(word.to_le_bytes());
    }
    for half in [52u16, 32, 1, 40, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    // To be loaded (1), to be read and executed (5).
    for word in [1, 84, address, address, file_bytes, file_bytes, 5, 4] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(PROGRAM.iter().flat_map(|word| word.to_le_bytes()));
    let file = rustix::fs::memfd_create("rigor-test-image", rustix::fs::MemfdFlags::CLOEXEC).expect("a file");
    rustix::io::write(&file, &elf).expect("room");
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    (file, path.into())
}

#[test]
#[ignore = "needs qemu-system-riscv32"]
fn qemu_stands_still_while_it_waits_and_keeps_its_memory() {
    let qemu = installed(Path::new("qemu-system-riscv32")).expect("QEMU");
    let ((_file, image), ram) = (program(), GuestRam::new(16 * 1024 * 1024).expect("memory"));
    let launch = Launch { image: &image, ..launch(&qemu.path, EXACT) };
    let mut heard = Vec::new();
    for power_cycle in 0..2 {
        let mut guest = Guest::start(&launch, &ram).expect("a process");
        let mut clocks = Vec::new();
        for exchange in 1..=5 {
            // The last one is not answered: a guest that may go on counts once more, if it gets so far.
            if exchange > 1 {
                guest.answer().expect("it listens");
            }
            bell(&mut guest).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(ram.read_u32(EXCHANGES), Ok(5 * power_cycle + exchange), "memory keeps what it held");
            clocks.push(ram.read_u32(CLOCK).expect("within"));
            // However long the host takes.
            thread::sleep(Duration::from_millis(u64::from(exchange)));
        }
        guest.kill();
        let steps: Vec<u32> = clocks.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.iter().all(|&step| step == steps[0] && step % 8 == 0 && step < 1000), "{clocks:?}");
        heard.push(clocks);
    }
    assert_eq!(heard[0], heard[1], "the clock begins anew, and comes by the same instants");
}

#[test]
#[ignore = "needs qemu-system-riscv32"]
fn a_live_guest_has_ports_of_the_loopback_interface() {
    let qemu = installed(Path::new("qemu-system-riscv32")).expect("QEMU");
    let ((_file, image), ram) = (program(), GuestRam::new(16 * 1024 * 1024).expect("memory"));
    let way = Way::to("f", 80, None).expect("a free port");
    let (forward, forwards) = (way.forward, [way.forward]);
    let launch = Launch { image: &image, ..launch(&qemu.path, Time::Live(&forwards)) };
    let mut guest = Guest::start(&launch, &ram).expect("a process");
    bell(&mut guest).unwrap_or_else(|error| panic!("{error}"));
    std::net::TcpStream::connect(("127.0.0.1", forward.host)).expect("QEMU listens");
    // Another one cannot have the same port.
    let mut second = Guest::start(&launch, &ram).expect("a process");
    let told = bell(&mut second).expect_err("the port is taken").to_string();
    assert!(told.ends_with("; free the port, or name another in `forward`"), "{told}");
}

#[rstest]
#[case("quantum", &[], "correct `machine` in the rig file")]
#[case("virt", &["-nonsense"], "correct `arguments` in the rig file")]
#[case("virt", &[], "correct `image` in the rig file")]
#[ignore = "needs qemu-system-riscv32"]
fn what_qemu_does_not_like_is_told_with_the_remedy(
    #[case] machine: &str,
    #[case] arguments: &[&str],
    #[case] remedy: &str,
) {
    let qemu = installed(Path::new("qemu-system-riscv32")).expect("QEMU");
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let launch = Launch { machine, arguments: &arguments, ..launch(&qemu.path, EXACT) };
    let mut guest =
        Guest::start(&launch, &GuestRam::new(16 * 1024 * 1024).expect("memory")).expect("a process");
    let told = bell(&mut guest).expect_err("it dies").to_string();
    assert!(
        told.starts_with("QEMU ended with exit code 1 at its start; it said: ") && told.contains(remedy),
        "{told}"
    );
}
