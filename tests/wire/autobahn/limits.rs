//! Cases 9: large messages and many, on a server that allows for them.

use crate::server::shared_with;
use crate::ws::{BINARY, CLOSE, Frame, PONG, WebSocket};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn connect() -> WebSocket {
    let server = shared_with(&["--message-limit", "16MiB", "--unread-limit", "64MiB"]);
    WebSocket::open(server, "/echo/websocket")
}

/// The echo is compared, not shown: a difference in megabytes helps nobody.
fn expect_echo_of(socket: &mut WebSocket, text: &str, case: &str) {
    let echo = socket.text();
    assert!(echo == text, "case {case}: {} bytes of {} came back", echo.len(), text.len());
}

#[test]
fn case_9_1_texts_up_to_16_mib_are_echoed() {
    for (case, length) in [
        ("9.1.1", 64 * KIB),
        ("9.1.2", 256 * KIB),
        ("9.1.3", MIB),
        ("9.1.4", 4 * MIB),
        ("9.1.5", 8 * MIB),
        ("9.1.6", 16 * MIB),
    ] {
        let mut socket = connect();
        let text = "*".repeat(length);
        socket.send_text(&text);
        expect_echo_of(&mut socket, &text, case);
        socket.finish();
    }
}

#[test]
fn case_9_2_a_large_binary_message_is_ignored_or_closed_with_1003() {
    let mut socket = connect();
    socket.send(&Frame::new(BINARY, vec![0; MIB]));
    let _ = socket.connection.try_write(Frame::ping("after").masked());
    let frame = socket.frame();
    if frame.opcode == CLOSE {
        assert_eq!(frame.closing().0, 1003);
    } else {
        assert_eq!(frame, Frame::new(PONG, "after"));
    }
}

#[test]
fn case_9_3_a_text_of_4_mib_in_fragments_of_any_size_is_echoed() {
    let text = "*".repeat(4 * MIB);
    for (case, size) in [
        ("9.3.1", 64),
        ("9.3.2", 256),
        ("9.3.3", KIB),
        ("9.3.4", 4 * KIB),
        ("9.3.5", 16 * KIB),
        ("9.3.6", 64 * KIB),
        ("9.3.7", 256 * KIB),
        ("9.3.8", MIB),
        ("9.3.9", 4 * MIB),
    ] {
        let mut socket = connect();
        let mut bytes = Vec::new();
        for (index, piece) in text.as_bytes().chunks(size).enumerate() {
            let mut frame = if index == 0 { Frame::text(piece) } else { Frame::continuation(piece) };
            frame.fin = (index + 1) * size >= text.len();
            bytes.extend(frame.masked());
        }
        socket.connection.write(bytes);
        expect_echo_of(&mut socket, &text, case);
        socket.finish();
    }
}

#[test]
fn case_9_5_a_text_of_1_mib_in_chops_of_any_size_is_echoed() {
    let text = "*".repeat(MIB);
    let bytes = Frame::text(&text).masked();
    for (case, size) in
        [("9.5.1", 64), ("9.5.2", 128), ("9.5.3", 256), ("9.5.4", 512), ("9.5.5", 1024), ("9.5.6", 2048)]
    {
        let mut socket = connect();
        for chop in bytes.chunks(size) {
            socket.connection.write(chop);
        }
        expect_echo_of(&mut socket, &text, case);
        socket.finish();
    }
}

#[test]
fn case_9_7_a_thousand_round_trips_of_any_size_lose_nothing() {
    for (case, length) in
        [("9.7.1", 0), ("9.7.2", 16), ("9.7.3", 64), ("9.7.4", 256), ("9.7.5", KIB), ("9.7.6", 4 * KIB)]
    {
        let mut socket = connect();
        let text = "*".repeat(length);
        for _ in 0..1000 {
            socket.send_text(&text);
            expect_echo_of(&mut socket, &text, case);
        }
        socket.finish();
    }
}
