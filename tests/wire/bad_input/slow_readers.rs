//! Clients that never read what they are sent: closed at the limit, at nobody else's cost.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::http::Request;
use crate::server::{PATIENCE, Server};
use crate::session::{Session, Transport};
use crate::ws::{Frame, WebSocket};

const TOO_SLOW: &str = "c[4501,\"Too slow: unread messages over the limit\"]\n";

/// Each of these messages to `/amplify` is answered with 16 KiB.
const ASK_FOR_16_KIB: &str = "[\"14\"]";
const AMPLIFIED: usize = 16 * 1024;
/// More than all socket buffers on the way can hide.
const FLOOD: usize = 64 << 20;

fn server() -> Server {
    // The response limit keeps a stream in one response, so that it is the reader who is slow, not the reconnecting.
    Server::start(&["--unread-limit", "64KiB", "--response-limit", "1GiB"])
}

/// Floods, and sees to it that the server's memory hardly notices.
fn flood_in_bounded_memory<T>(server: &Server, flood: impl FnOnce() -> T) -> T {
    server.expect_still_serving();
    let before = server.resident_bytes();
    let flooded = flood();
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 24 << 20, "the server grew by {} KiB", grown / 1024);
    flooded
}

/// Others go on while one client does not read.
fn assert_undisturbed(server: &Server) {
    let began = Instant::now();
    let session = Session::open(server, "/amplify");
    session.send("[\"10\"]");
    assert!(session.poll() == format!("a[\"{}\"]\n", "x".repeat(1 << 10)));
    let mut socket = WebSocket::open(server, "/echo/websocket");
    socket.expect_echo("prompt", "prompt");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

/// Sends the frame again and again without reading, until the server has cut the connection.
fn write_until_cut(socket: &mut WebSocket, frame: &Frame) {
    let bytes = frame.masked();
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        match socket.connection.try_write(&bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                panic!("the server neither reads on nor closes the connection")
            }
            Err(_) => return,
        }
    }
    panic!("the server goes on with a client that does not read");
}

/// Everything that was on the way to a client that at last reads on: it must end, and short of the whole flood.
fn assert_cut(connection: &mut crate::http::Connection) {
    let arrived = connection.rest().len();
    assert!(arrived < FLOOD / 2, "{arrived} bytes of {FLOOD} arrived");
}

#[test]
fn a_websocket_that_never_reads_is_closed() {
    let server = server();
    let mut flooded = flood_in_bounded_memory(&server, || {
        let url = Session::fresh(&server, "/amplify").at("websocket");
        let mut socket = WebSocket::open(&server, &url);
        write_until_cut(&mut socket, &Frame::text(ASK_FOR_16_KIB));
        assert_undisturbed(&server);
        socket
    });
    assert_cut(&mut flooded.connection);
}

#[test]
fn a_raw_websocket_that_never_reads_its_echoes_is_closed() {
    let server = server();
    let mut flooded = flood_in_bounded_memory(&server, || {
        let mut socket = WebSocket::open(&server, "/echo/websocket");
        write_until_cut(&mut socket, &Frame::text("m".repeat(AMPLIFIED)));
        assert_undisturbed(&server);
        socket
    });
    assert_cut(&mut flooded.connection);
}

#[test]
fn a_stream_that_never_reads_is_ended() {
    let server = server();
    for transport in Transport::STREAMS {
        let session = Session::open(&server, "/amplify");
        let mut flooded = flood_in_bounded_memory(&server, || {
            let mut stream = server.connect();
            stream.send(&transport.request(&session.url).header("Connection", "close"));
            assert_eq!(stream.head().status, 200, "{transport:?}");
            let mut sending = server.connect();
            let ask = Request::post(&session.at("xhr_send"), ASK_FOR_16_KIB);
            for _ in 0..FLOOD / AMPLIFIED {
                // Once the session is closed, sends are swallowed, and then unknown.
                if sending.exchange(&ask).status == 404 {
                    break;
                }
            }
            assert_undisturbed(&server);
            stream
        });
        assert_cut(&mut flooded);
    }
}

#[test]
fn a_session_whose_client_never_polls_is_closed_with_4501() {
    let server = server();
    for transport in Transport::ALL {
        let session = Session::open(&server, "/amplify");
        flood_in_bounded_memory(&server, || {
            for _ in 0..100 {
                if session.try_send(ASK_FOR_16_KIB).status == 404 {
                    break;
                }
            }
        });
        let deadline = Instant::now() + PATIENCE;
        let mut receiver = session.receive(transport);
        loop {
            let frame = receiver.frame();
            if frame == TOO_SLOW.trim_end() {
                break;
            }
            // Some of what was buffered may be delivered first, never more than the limit.
            assert!(frame.starts_with("a[") && frame.len() < 100_000, "{transport:?}: {} bytes", frame.len());
            assert!(Instant::now() < deadline, "{transport:?}: never closed");
            if !transport.is_stream() {
                receiver = session.receive(transport);
            }
        }
    }
}

#[test]
fn too_slow_is_told_again_to_whoever_asks() {
    let server = server();
    let session = Session::open(&server, "/amplify");
    for _ in 0..100 {
        session.try_send(ASK_FOR_16_KIB);
    }
    let polls: Vec<String> = (0..4).map(|_| session.poll()).collect();
    assert_eq!(polls[2..], [TOO_SLOW, TOO_SLOW]);
}

#[test]
fn a_client_that_reads_may_receive_far_more_than_the_limit() {
    let server = server();
    let session = Session::open(&server, "/amplify");
    let mut receiver = session.attach(Transport::XhrStreaming);
    let mut socket = WebSocket::open(&server, "/echo/websocket");
    let text = "m".repeat(AMPLIFIED);
    for _ in 0..64 {
        session.send(ASK_FOR_16_KIB);
        assert_eq!(receiver.frame().len(), AMPLIFIED + 5);
        socket.expect_echo(&text, &text);
    }
}
