//! What travels over an open websocket: SockJS frames, or on the raw endpoint the messages themselves.

use serde_json::json;

use crate::server::shared;
use crate::session::{SETTLE, Session, Transport};
use crate::ws::{BINARY, CLOSE, Frame, PONG, WebSocket};

fn open(base: &str) -> WebSocket {
    let mut socket = WebSocket::open(shared(), &Session::fresh(shared(), base).at("websocket"));
    socket.expect_text("o");
    socket
}

/// The connection ends, with or without a close handshake before.
fn expect_closed(mut socket: WebSocket) {
    while let Some(frame) = socket.receive() {
        assert_eq!(frame.opcode, CLOSE, "more than a close frame: {frame:?}");
        let _ = socket.connection.try_write(frame.masked());
    }
}

#[test]
fn a_session_opens_and_echoes() {
    let mut socket = open("/echo");
    socket.expect_echo("[\"a\"]", "a[\"a\"]");
    socket.expect_echo("[\"b\"]", "a[\"b\"]");
    socket.finish();
}

/// Takes `a` frames until so many messages have come, however the server put them together.
fn messages(socket: &mut WebSocket, number: usize) -> Vec<String> {
    let mut messages = Vec::new();
    while messages.len() < number {
        let frame = socket.text();
        let array = frame.strip_prefix('a').expect("an a frame");
        messages.extend(serde_json::from_str::<Vec<String>>(array).expect("an array"));
    }
    messages
}

#[test]
fn an_array_of_messages_comes_back_in_order() {
    let mut socket = open("/echo");
    let sent: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    socket.send_text(json!(sent).to_string());
    assert_eq!(messages(&mut socket, sent.len()), sent);
}

#[test]
fn a_single_json_string_is_a_message() {
    let mut socket = open("/echo");
    socket.expect_echo("\"alone\"", "a[\"alone\"]");
}

#[test]
fn empty_texts_and_empty_arrays_are_ignored() {
    let mut socket = open("/echo");
    socket.send_text("");
    socket.send_text("[]");
    socket.send_text("");
    socket.expect_echo("[\"x\"]", "a[\"x\"]");
}

#[test]
fn broken_json_closes_the_connection() {
    for text in ["[\"x", "x", "[\"x\"]]", "{", "\"", "[\"x\",]"] {
        let mut socket = open("/echo");
        socket.send_text(text);
        expect_closed(socket);
    }
}

#[test]
fn broken_json_is_told_as_3000_broken_framing() {
    let mut socket = open("/echo");
    socket.send_text("[\"x");
    assert_eq!(socket.expect_close(), (3000, "Broken framing.".to_owned()));
}

#[test]
fn json_of_another_shape_harms_nobody() {
    for text in ["{}", "1", "null", "[1]", "[null]", "[[\"x\"]]", "[{\"a\":1}]"] {
        let mut socket = open("/echo");
        socket.send_text(text);
        // Converted, ignored or closed: anything but harm.
        let _ = socket.connection.try_write(Frame::close(1000, "").masked());
        while let Some(frame) = socket.receive() {
            if frame.opcode == CLOSE {
                break;
            }
        }
    }
    open("/echo").expect_echo("[\"fine\"]", "a[\"fine\"]");
}

#[test]
fn a_close_by_the_application_is_a_c_frame_and_then_a_close_handshake() {
    let mut socket = open("/close");
    socket.expect_text("c[3000,\"Go away!\"]");
    let (code, _) = socket.expect_close();
    assert_eq!(code, 1000);
}

#[test]
fn binary_messages_are_ignored_or_closed_with_1003() {
    for base in ["/echo/websocket", "/echo/0/0/websocket"] {
        let mut socket = WebSocket::open(shared(), base);
        if base.contains("/0/") {
            socket.expect_text("o");
        }
        socket.send(&Frame::new(BINARY, [0xfe, 0, 0xff]));
        socket.send(&Frame::ping("after"));
        let frame = socket.frame();
        if frame.opcode == CLOSE {
            assert_eq!(frame.closing().0, 1003, "{base}");
        } else {
            assert_eq!(frame, Frame::new(PONG, "after"), "{base}");
        }
    }
}

#[test]
fn messages_in_fragments_are_assembled() {
    let mut socket = open("/echo");
    let text = "[\"\u{20ac}uro\"]";
    for split in 1..text.len() {
        let (before, after) = text.as_bytes().split_at(split);
        socket.send(&Frame::text(before).unfinished());
        socket.send(&Frame::ping("between"));
        socket.send(&Frame::continuation(after));
        socket.expect_pong("between");
        socket.expect_text("a[\"\u{20ac}uro\"]");
    }
}

#[test]
fn two_websockets_with_one_url_are_two_sessions() {
    let url = Session::fresh(shared(), "/echo").at("websocket");
    let mut one = WebSocket::open(shared(), &url);
    one.expect_text("o");
    let mut other = WebSocket::open(shared(), &url);
    other.expect_text("o");
    one.expect_echo("[\"one\"]", "a[\"one\"]");
    other.expect_echo("[\"other\"]", "a[\"other\"]");
    one.finish();
    other.expect_echo("[\"still\"]", "a[\"still\"]");

    let mut again = WebSocket::open(shared(), &url);
    again.expect_text("o");
    again.expect_echo("[\"again\"]", "a[\"again\"]");
}

#[test]
fn a_websocket_does_not_disturb_an_http_session_with_its_id() {
    let session = Session::open(shared(), "/echo");
    let mut receiver = session.attach(Transport::XhrStreaming);
    let mut socket = WebSocket::open(shared(), &session.at("websocket"));
    socket.expect_text("o");
    session.send("[\"over http\"]");
    assert_eq!(receiver.frame(), "a[\"over http\"]");
    socket.expect_echo("[\"over websocket\"]", "a[\"over websocket\"]");
    socket.finish();
    receiver.connection.expect_silence(SETTLE);
    session.send("[\"again\"]");
    assert_eq!(receiver.frame(), "a[\"again\"]");
}

#[test]
fn a_websocket_cannot_be_sent_to_or_polled() {
    let session = Session::fresh(shared(), "/echo");
    let mut socket = WebSocket::open(shared(), &session.at("websocket"));
    socket.expect_text("o");
    assert_eq!(session.try_send("[\"x\"]").status, 404);
    assert_eq!(session.poll(), "o\n");
    socket.connection.expect_silence(SETTLE);
}

#[test]
fn large_messages_pass_whole() {
    let mut socket = open("/echo");
    for length in [125, 126, 65_535, 65_536, 200_000] {
        let message = "m".repeat(length);
        socket.send_text(json!([message]).to_string());
        assert!(socket.text() == format!("a[\"{message}\"]"), "{length} bytes");
    }
}

#[test]
fn a_thousand_messages_without_waiting_come_back_in_order() {
    let mut socket = open("/echo");
    let sent: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    for message in &sent {
        socket.send_text(format!("[\"{message}\"]"));
    }
    assert_eq!(messages(&mut socket, sent.len()), sent);
}

#[test]
fn a_raw_websocket_has_no_frames_and_is_byte_exact() {
    let mut socket = WebSocket::open(shared(), "/echo/websocket");
    socket.connection.expect_silence(SETTLE);
    for text in ["Hello world!\u{ffff}", "[\"a\"]", "o", "\"x", "\u{0}\u{1f}\u{2028}\u{1f600}\u{feff}", " \r\n"] {
        socket.expect_echo(text, text);
    }
    socket.finish();
}

#[test]
fn a_raw_websocket_is_closed_with_the_applications_own_code() {
    let mut socket = WebSocket::open(shared(), "/close/websocket");
    assert_eq!(socket.expect_close(), (3000, "Go away!".to_owned()));
}

#[test]
fn a_raw_websocket_echoes_an_empty_text() {
    let mut socket = WebSocket::open(shared(), "/echo/websocket");
    socket.expect_echo("", "");
}

#[test]
fn a_websocket_that_vanishes_harms_nobody() {
    for _ in 0..20 {
        let mut socket = open("/echo");
        socket.send_text("[\"unread\"]");
        drop(socket);
    }
    open("/echo").expect_echo("[\"fine\"]", "a[\"fine\"]");
}
