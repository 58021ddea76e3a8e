//! The rows against an independent server: `tungstenite`, over this host's loopback.
//!
//! That proves the rows, which otherwise only our own firmware would ever have met, and that the
//! table serves servers that are no firmware. Where `tungstenite` departs from a row, it is listed
//! here with the reason; nothing else may be broken.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

use rigor_core::requirement::Class;
use suite_websocket::verdict::Grade;
use suite_websocket::{Endpoint, Limits, Planned, planned, socket};
use tungstenite::error::{CapacityError, Error};
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::http::StatusCode;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Message, WebSocket};

const PATH: &str = "/echo";
/// No read of the server's lasts longer: it must not outlive a test that fails.
const PATIENCE: Duration = Duration::from_secs(5);

/// An echo server for connections without end; its address.
fn server(config: WebSocketConfig) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback is there");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || drop(serve(stream, config)));
        }
    });
    address
}

fn serve(stream: TcpStream, config: WebSocketConfig) -> Result<(), Error> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    #[allow(clippy::result_large_err, reason = "the callback's type is theirs")]
    let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        if request.uri().path() == PATH {
            return Ok(response);
        }
        let mut refusal = ErrorResponse::new(None);
        *refusal.status_mut() = StatusCode::NOT_FOUND;
        Err(refusal)
    };
    let Ok(mut socket) = tungstenite::accept_hdr_with_config(stream, check, Some(config)) else {
        return Ok(());
    };
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message)?,
            Ok(_) => socket.flush()?,
            Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Io(_)) => return Ok(()),
            Err(error) => return fail(&mut socket, &error),
        }
    }
}

/// Fails the connection with the code that belongs to `error`, which is the application's business.
fn fail(socket: &mut WebSocket<TcpStream>, error: &Error) -> Result<(), Error> {
    let code = match error {
        Error::Utf8(_) => CloseCode::Invalid,
        Error::Capacity(CapacityError::MessageTooLong { .. }) => CloseCode::Size,
        _ => CloseCode::Protocol,
    };
    socket.close(Some(CloseFrame { code, reason: "".into() }))?;
    socket.flush()
}

/// What `tungstenite` does otherwise, and why that is no reason to change the row.
const KNOWN: [(&str, &str); 9] = [
    ("WS-4-2-1-03-B", "it does not look at Host; section 4.2.1 item 2 does"),
    ("WS-4-2-1-04-B", "it does not look at Host; RFC 9112 section 3.2 does"),
    ("WS-4-2-1-14-B", "it takes the first key; section 11.3.1 wants one"),
    ("WS-4-2-1-34-B", "it reads the first Connection field; RFC 9110 section 5.3 joins them"),
    ("WS-4-2-1-42-B", "its defence against slow senders gives up on many small segments"),
    ("WS-4-4-01-B", "it ends TCP and leaves the answer to the application"),
    ("WS-4-4-02-B", "the same"),
    ("WS-4-4-03-B", "the same"),
    ("WS-4-4-04-B", "the same"),
];

/// Runs all rows, several at a time; what was broken, by requirement, with what was seen.
fn broken(endpoint: &Endpoint, address: SocketAddr) -> Vec<(String, String)> {
    let host = address.to_string();
    let rows: Vec<Planned> = planned(endpoint, &host);
    assert!(rows.len() >= 100, "{} rows", rows.len());
    let rows = Mutex::new(rows.into_iter());
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                loop {
                    let Some(row) = rows.lock().expect("no thread panics").next() else { return };
                    let verdicts = socket::run(address, row.script().clone(), &Limits::built_in())
                        .expect("loopback works");
                    let both = [(&row.behaviour, verdicts.behaviour), (&row.close, verdicts.close)];
                    for (requirement, judged) in both {
                        if judged.grade == Grade::Broken && requirement.class != Class::Report {
                            let told = format!("{}: {}; {}", row.name, judged.seen, requirement.text);
                            found.lock().expect("no thread panics").push((requirement.id.to_string(), told));
                        }
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().expect("no thread panics");
    found.sort();
    found
}

fn endpoint(message_max: Option<usize>) -> Endpoint {
    Endpoint { port: "ws".to_owned(), path: PATH.to_owned(), message_max }
}

fn assert_only_known(found: &[(String, String)]) {
    let unknown: Vec<_> = found.iter().filter(|(id, _)| KNOWN.iter().all(|(known, _)| known != id)).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
    let mended: Vec<_> = KNOWN.iter().filter(|(known, _)| found.iter().all(|(id, _)| id != known)).collect();
    assert!(mended.is_empty(), "no longer so: {mended:?}");
}

#[test]
fn an_independent_server_passes_but_for_what_is_known() {
    assert_only_known(&broken(&endpoint(None), server(WebSocketConfig::default())));
}

#[test]
fn an_independent_server_with_a_limit_passes_but_for_what_is_known() {
    let config = WebSocketConfig::default().max_message_size(Some(4096)).max_frame_size(Some(4096));
    assert_only_known(&broken(&endpoint(Some(4096)), server(config)));
}

/// A server that answers each of the client's bytes by one of its own, and never ends.
#[test]
fn a_server_that_is_none_is_broken_in_every_row_and_keeps_nobody_waiting() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback is there");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut byte = [0];
                while let Ok(1) = stream.read(&mut byte) {
                    let _ = stream.write_all(b"?");
                }
            });
        }
    });
    let rows = planned(&endpoint(None), "nobody");
    let row = rows.iter().find(|row| row.name.ends_with("_masked_in_small_pieces")).unwrap();
    let verdicts = socket::run(address, row.script().clone(), &Limits::built_in()).unwrap();
    assert_eq!((verdicts.behaviour.grade, verdicts.close.grade), (Grade::Broken, Grade::Broken));
}
