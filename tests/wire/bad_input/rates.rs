//! Clients that send more messages than they may.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::server::{PATIENCE, Server, shared_with};
use crate::session::{Session, Transport};
use crate::ws::{CLOSE, WebSocket};

const TOO_MANY: &str = "c[4502,\"Too many messages\"]";

fn limited() -> &'static Server {
    shared_with(&["--max-messages-per-second", "5"])
}

fn fifty() -> Vec<String> {
    (0..50).map(|number| number.to_string()).collect()
}

#[test]
fn a_websocket_over_the_rate_is_closed_with_4502() {
    let session = Session::fresh(limited(), "/echo");
    let mut socket = WebSocket::open(limited(), &session.at("websocket"));
    socket.expect_text("o");
    for message in fifty() {
        let frame = crate::ws::Frame::text(json!([message]).to_string());
        if socket.connection.try_write(frame.masked()).is_err() {
            break;
        }
    }
    let mut echoes = 0;
    loop {
        let frame = socket.text();
        if frame == TOO_MANY {
            break;
        }
        assert!(frame.starts_with("a["), "{frame}");
        echoes += 1;
    }
    assert!(echoes <= 10, "{echoes} messages passed");
    assert_eq!(socket.frame().opcode, CLOSE);
}

#[test]
fn a_raw_websocket_over_the_rate_is_closed_with_4502() {
    let mut socket = WebSocket::open(limited(), "/echo/websocket");
    for message in fifty() {
        let frame = crate::ws::Frame::text(message);
        if socket.connection.try_write(frame.masked()).is_err() {
            break;
        }
    }
    let closing = loop {
        let frame = socket.frame();
        if frame.opcode == CLOSE {
            break frame.closing();
        }
    };
    assert_eq!(closing, (4502, "Too many messages".to_owned()));
}

#[test]
fn an_http_session_over_the_rate_is_closed_with_4502() {
    for transport in Transport::ALL {
        let session = Session::open(limited(), "/echo");
        let _ = session.try_send(json!(fifty()).to_string());
        let deadline = Instant::now() + PATIENCE;
        // What passed before may come first, in the same stream or in the poll before.
        let mut receiver = session.receive(transport);
        loop {
            let frame = receiver.frame();
            if frame == TOO_MANY {
                break;
            }
            assert!(frame.starts_with("a["), "{transport:?}: {frame}");
            assert!(Instant::now() < deadline, "{transport:?}: never closed");
            if !transport.is_stream() {
                receiver = session.receive(transport);
            }
        }
    }
}

#[test]
fn a_client_within_the_rate_is_left_alone() {
    let session = Session::open(limited(), "/echo");
    let mut socket = WebSocket::open(limited(), "/echo/websocket");
    for _ in 0..3 {
        session.send("[\"slow\"]");
        assert_eq!(session.poll(), "a[\"slow\"]\n");
        socket.expect_echo("slow", "slow");
        std::thread::sleep(Duration::from_millis(400));
    }
    socket.finish();
}

#[test]
fn one_client_over_the_rate_costs_the_others_nothing() {
    let mut quiet = WebSocket::open(limited(), "/echo/websocket");
    let loud = Session::open(limited(), "/echo");
    let _ = loud.try_send(json!(fifty()).to_string());
    quiet.expect_echo("quiet", "quiet");
    quiet.finish();
}
