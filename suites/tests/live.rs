//! PRISM K1 on QEMU in the host's time, as a browser meets it. Needs QEMU and the image, so nobody runs these
//! tests but `fixtures/oracles/live.sh`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rigor_core::event::{Direction, Flow, FlowKind};
use rigor_core::{Kind, Rig, Source};
use rigor_rigs::{Order, RigFile};

/// Of the rig's clock, which is the host's. A busy host is slow to start an emulator.
const LIMIT: Duration = Duration::from_secs(60);

/// The rig of the repository with power, and where a browser goes.
fn powered() -> (Rig, SocketAddr) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("rigs/qemu-live/prism-k1.toml")).expect("a rig file");
    let mut file = RigFile::parse("live.toml", &text).expect("valid");
    file.look_up(&root);
    let (firmwares, interrupt) = (rigor_suites::firmwares(), Arc::default());
    let rig = rigor_rigs::take(&Order::new(&file, &firmwares, 1, &interrupt)).expect("a rig");
    rig.parts.power.as_ref().expect("a switch").on().expect("power");
    let address = rig.parts.forwards["f"];
    (rig, address)
}

/// Lets the rig live until `done` says so.
fn live(rig: &mut Rig, done: impl Fn(&Rig) -> bool) {
    let until = rig.timeline.now() + LIMIT;
    while !done(rig) {
        assert!(rig.timeline.now() < until, "it takes too long; the console says: {}", console(rig));
        rig.drive.run(rig.timeline.now() + Duration::from_millis(20), &|| false).expect("a machine");
    }
}

/// What `source` has recorded.
fn recorded(rig: &Rig, source: Source) -> Vec<Kind> {
    let mut cursor = rig.timeline.cursor_at_start(source);
    std::iter::from_fn(|| cursor.try_next()).map(|event| event.kind).collect()
}

fn console(rig: &Rig) -> String {
    let source = rig.parts.console.as_ref().expect("a console").source();
    let bytes = recorded(rig, source).into_iter().flat_map(|kind| match kind {
        Kind::Serial(serial) => serial.bytes.to_vec(),
        _ => Vec::new(),
    });
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
}

/// What a client like a browser hears, in a thread of its own as it would be in a process of its own.
fn ask(address: SocketAddr) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).expect("a forwarded port");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: prism\r\nConnection: close\r\n\r\n").expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        String::from_utf8_lossy(&answer).into_owned()
    })
}

#[test]
#[ignore = "needs QEMU and the image"]
fn a_browser_gets_a_page_before_and_after_a_reset() {
    let (mut rig, address) = powered();
    let leds = rig.parts.leds[0].source;
    for _ in 0..2 {
        let (said, shown) = (console(&rig).len(), recorded(&rig, leds).len());
        live(&mut rig, |rig| console(rig).len() > said && recorded(rig, leds).len() > shown);
        let client = ask(address);
        live(&mut rig, |_| client.is_finished());
        let answer = client.join().expect("a client");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("<html"), "{answer:?}");
        rig.parts.reset.as_ref().expect("a pin").pulse().expect("a pulse");
    }
}

#[test]
#[ignore = "needs QEMU and the image"]
fn a_case_speaks_to_the_device_and_a_power_cut_ends_it() {
    let (mut rig, address) = powered();
    let leds = rig.parts.leds[0].source;
    live(&mut rig, |rig| !recorded(rig, leds).is_empty());
    let net = rig.parts.net.clone().expect("a network");
    let flows = |rig: &Rig| recorded(rig, net.source());
    let said = |rig: &Rig| {
        let bytes = flows(rig).into_iter().flat_map(|kind| match kind {
            Kind::Flow(Flow { what: FlowKind::Data(Direction::FromDut, bytes), .. }) => bytes.to_vec(),
            _ => Vec::new(),
        });
        String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
    };
    let connection = net.connect(80).expect("a connection");
    net.send(connection, b"GET / HTTP/1.1\r\nHost: prism\r\n\r\n").expect("sent");
    live(&mut rig, |rig| said(rig).contains("</html>"));
    assert!(said(&rig).starts_with("HTTP/1.1 200 "), "{}", said(&rig));
    rig.parts.power.as_ref().expect("a switch").off().expect("no power");
    let ended = |kind: &Kind| match kind {
        Kind::Flow(flow) => {
            matches!(flow.what, FlowKind::Finished(Direction::FromDut) | FlowKind::Reset(Direction::FromDut))
        }
        _ => false,
    };
    live(&mut rig, |rig| flows(rig).iter().any(ended));
    // Nobody is there any more, and nothing of it is left on the host.
    assert!(TcpStream::connect(address).is_err());
    let refused = net.connect(80).expect("an attempt");
    let is_refused = |kind: &Kind| matches!(kind, Kind::Flow(flow) if flow.connection == refused && flow.what == FlowKind::Refused);
    live(&mut rig, |rig| flows(rig).iter().any(is_refused));
}
