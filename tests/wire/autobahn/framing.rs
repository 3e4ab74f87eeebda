//! Cases 1: the length encodings.

use super::{MOMENT, connect};
use crate::ws::{BINARY, CLOSE, Frame, PONG};

/// Cases 1.1.1 to 1.1.7.
const TEXTS: [(&str, usize); 7] = [
    ("1.1.1", 0),
    ("1.1.2", 125),
    ("1.1.3", 126),
    ("1.1.4", 127),
    ("1.1.5", 128),
    ("1.1.6", 65_535),
    ("1.1.7", 65_536),
];

#[test]
fn case_1_1_texts_of_every_length_encoding_are_echoed() {
    for (case, length) in TEXTS {
        let mut socket = connect();
        let text = "*".repeat(length);
        socket.send_text(&text);
        assert!(socket.text() == text, "case {case}");
        socket.finish();
    }
}

#[test]
fn case_1_1_8_a_text_in_chops_of_997_octets_is_echoed() {
    let mut socket = connect();
    let text = "*".repeat(65_536);
    for chop in Frame::text(&text).masked().chunks(997) {
        socket.connection.write(chop);
    }
    socket.expect_text(&text);
    socket.finish();
}

#[test]
fn case_1_2_binary_messages_of_every_length_are_ignored_or_closed_with_1003() {
    for (case, length) in TEXTS {
        let mut socket = connect();
        socket.send(&Frame::new(BINARY, vec![0xfe; length]));
        let _ = socket.connection.try_write(Frame::ping("after").masked());
        let frame = socket.frame();
        if frame.opcode == CLOSE {
            assert_eq!(frame.closing().0, 1003, "as case {case}");
        } else {
            assert_eq!(frame, Frame::new(PONG, "after"), "as case {case}");
            socket.finish();
        }
    }
}

#[test]
fn a_frame_header_may_arrive_octet_by_octet() {
    let mut socket = connect();
    let text = "*".repeat(70_000);
    let bytes = Frame::text(&text).masked();
    let (header, payload) = bytes.split_at(14);
    for octet in header {
        socket.connection.write([*octet]);
    }
    socket.connection.expect_silence(MOMENT);
    socket.connection.write(payload);
    socket.expect_text(&text);
    socket.finish();
}

#[test]
fn an_unmasked_frame_fails_the_connection() {
    let mut socket = connect();
    socket.connection.write(Frame::text("unmasked").unmasked());
    super::expect_failure(socket, super::PROTOCOL_ERROR, "unmasked frame");
}

#[test]
fn a_length_of_64_bits_with_the_highest_one_set_fails_the_connection() {
    let mut socket = connect();
    let header = [&[0x81, 0x80 | 127][..], &[0xff; 8], &[0; 4]].concat();
    socket.connection.write(header);
    let code = socket.frame().closing().0;
    assert!(matches!(code, 1002 | 1009), "code {code}");
}
