//! Cases 7: the closing handshake.

use super::{INVALID_UTF8, PROTOCOL_ERROR, connect, expect_failure};
use crate::ws::{CLOSE, Frame, WebSocket};

const HELLO: &str = "Hello, world!";

/// The server answers a close frame with a close frame, and ends.
fn expect_closing_answer(socket: &mut WebSocket) -> Frame {
    let frame = socket.frame();
    assert_eq!(frame.opcode, CLOSE, "{frame:?}");
    socket.connection.expect_end();
    frame
}

#[test]
fn case_7_1_1_a_text_before_the_close_is_echoed() {
    let mut socket = connect();
    socket.send_text(HELLO);
    socket.send(&Frame::close(1000, ""));
    socket.expect_text(HELLO);
    expect_closing_answer(&mut socket);
}

#[test]
fn case_7_1_2_a_second_close_frame_is_ignored() {
    let mut socket = connect();
    let close = Frame::close(1000, "").masked();
    socket.connection.write([close.clone(), close].concat());
    expect_closing_answer(&mut socket);
}

#[test]
fn case_7_1_3_to_7_1_5_nothing_after_a_close_frame_is_answered() {
    for (case, before, after) in [
        ("7.1.3", None, Frame::ping("")),
        ("7.1.4", None, Frame::text(HELLO)),
        ("7.1.5", Some(Frame::text("fragment1").unfinished()), Frame::continuation("fragment2")),
    ] {
        let frames = [before, Some(Frame::close(1000, "")), Some(after)];
        let bytes: Vec<u8> = frames.into_iter().flatten().flat_map(|frame| frame.masked()).collect();
        let mut socket = connect();
        socket.connection.write(bytes);
        let answer = expect_closing_answer(&mut socket);
        assert_eq!(answer.closing().0, 1000, "case {case}");
    }
}

#[test]
fn case_7_1_6_a_large_text_before_the_close_is_echoed_whole() {
    let mut socket = connect();
    let large = "*".repeat(256 * 1024);
    for frame in [Frame::text(&large), Frame::text(HELLO), Frame::close(1000, ""), Frame::ping("")] {
        let _ = socket.connection.try_write(frame.masked());
    }
    socket.expect_text(&large);
    socket.expect_text(HELLO);
    expect_closing_answer(&mut socket);
}

#[test]
fn case_7_3_1_an_empty_close_frame_is_answered() {
    let mut socket = connect();
    socket.send(&Frame::new(CLOSE, ""));
    let answer = expect_closing_answer(&mut socket);
    assert!(answer.payload.is_empty() || answer.closing().0 == 1000, "{answer:?}");
}

#[test]
fn case_7_3_2_a_close_frame_of_one_octet_fails_the_connection() {
    let mut socket = connect();
    socket.send(&Frame::new(CLOSE, "a"));
    expect_failure(socket, PROTOCOL_ERROR, "7.3.2");
}

#[test]
fn case_7_3_3_to_7_3_5_codes_with_reasons_up_to_123_octets_are_answered() {
    for (case, reason) in [("7.3.3", ""), ("7.3.4", HELLO), ("7.3.5", &"*".repeat(123))] {
        let mut socket = connect();
        socket.send(&Frame::close(1000, reason));
        let answer = expect_closing_answer(&mut socket);
        assert_eq!(answer.closing().0, 1000, "case {case}");
    }
}

#[test]
fn case_7_3_6_a_reason_of_124_octets_fails_the_connection() {
    let mut socket = connect();
    socket.send(&Frame::close(1000, "*".repeat(124)));
    expect_failure(socket, PROTOCOL_ERROR, "7.3.6");
}

#[test]
fn case_7_5_1_a_reason_that_is_not_utf8_fails_the_connection() {
    let mut socket = connect();
    let reason = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";
    socket.send(&Frame::close(1000, reason));
    let code = socket.frame().closing().0;
    assert!([INVALID_UTF8, PROTOCOL_ERROR].contains(&code), "code {code}");
    let _ = socket.connection.try_write(Frame::close(code, "").masked());
    socket.connection.expect_end();
}

#[test]
fn case_7_7_valid_codes_are_answered_with_themselves() {
    for (case, code) in (1..).zip([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]) {
        let mut socket = connect();
        socket.send(&Frame::close(code, ""));
        let answer = expect_closing_answer(&mut socket);
        assert_eq!(answer.closing().0, code, "case 7.7.{case}");
    }
}

#[test]
fn case_7_9_invalid_codes_fail_the_connection() {
    for (case, code) in (1..).zip([0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999]) {
        let mut socket = connect();
        socket.send(&Frame::close(code, ""));
        expect_failure(socket, PROTOCOL_ERROR, &format!("7.9.{case} with {code}"));
    }
}

#[test]
fn case_7_9_the_code_1015_of_failed_tls_fails_the_connection() {
    let mut socket = connect();
    socket.send(&Frame::close(1015, ""));
    expect_failure(socket, PROTOCOL_ERROR, "7.9 with 1015");
}

#[test]
fn case_7_13_codes_that_no_one_may_use_end_the_connection() {
    for (case, code) in [("7.13.1", 5000), ("7.13.2", 65_535)] {
        let mut socket = connect();
        socket.send(&Frame::close(code, ""));
        let frame = socket.frame();
        assert_eq!(frame.opcode, CLOSE, "case {case}");
        socket.connection.expect_end();
    }
}

#[test]
fn a_client_that_closes_tcp_without_a_word_harms_nobody() {
    drop(connect());
    let mut half = connect();
    half.connection.write(&Frame::text(HELLO).masked()[..7]);
    drop(half);
    let mut other = connect();
    other.expect_echo(HELLO, HELLO);
    other.finish();
}
