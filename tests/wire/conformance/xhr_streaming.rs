//! `POST /xhr_streaming`.

use crate::http::Request;
use crate::server::shared;
use crate::session::{Session, Transport, XHR_PRELUDE_LENGTH};

#[test]
fn the_prelude_is_2048_h_and_a_newline_in_a_chunk_of_its_own() {
    let mut connection = shared().connect();
    let session = Session::fresh(shared(), "/echo");
    connection.send(&Transport::XhrStreaming.request(&session.url));
    assert_eq!(connection.head().status, 200);
    let prelude = connection.chunk().expect("a prelude");
    assert_eq!(prelude.len(), XHR_PRELUDE_LENGTH);
    assert!(prelude[..2048].iter().all(|&byte| byte == b'h'));
    assert_eq!(prelude[2048], b'\n');
    assert_eq!(connection.chunk().as_deref(), Some(&b"o\n"[..]));
}

#[test]
fn thirty_one_messages_of_128_bytes_reach_the_limit_of_4096() {
    let session = Session::fresh(shared(), "/echo");
    let mut receiver = session.receive(Transport::XhrStreaming);
    assert_eq!(receiver.raw_chunk().as_deref(), Some(&b"o\n"[..]));
    let message = "x".repeat(128);
    for number in 1..=31 {
        session.send(&format!("[\"{message}\"]"));
        let chunk = receiver.raw_chunk();
        let chunk = chunk.unwrap_or_else(|| panic!("the stream ended before message {number}"));
        assert!(chunk == format!("a[\"{message}\"]\n").into_bytes(), "message {number}");
    }
    receiver.expect_proper_end();
}

#[test]
fn the_prelude_stands_before_a_lone_close_frame_too() {
    let session = Session::open(shared(), "/close");
    let mut connection = shared().connect();
    connection.send(&Transport::XhrStreaming.request(&session.url));
    let response = connection.response();
    let (prelude, frames) = response.body.split_at(XHR_PRELUDE_LENGTH);
    assert!(prelude[..2048].iter().all(|&byte| byte == b'h'));
    assert_eq!(frames, b"c[3000,\"Go away!\"]\n");
}

#[test]
fn a_stream_needs_neither_body_nor_length_and_ignores_a_body() {
    for request in [
        |url: &str| Request::new("POST", url),
        |url: &str| Request::post(url, ""),
        |url: &str| Request::post(url, "ignored"),
    ] {
        let session = Session::fresh(shared(), "/echo");
        let mut connection = shared().connect();
        connection.send(&request(&session.at("xhr_streaming")));
        assert_eq!(connection.head().status, 200);
        connection.chunk().expect("a prelude");
        assert_eq!(connection.chunk().as_deref(), Some(&b"o\n"[..]));
    }
}

#[test]
fn the_head_and_prelude_come_at_once_though_there_is_no_frame() {
    for transport in Transport::STREAMS {
        let session = Session::open(shared(), "/echo");
        let mut receiver = session.receive(transport);
        receiver.begin();
        receiver.connection.expect_silence(crate::session::SETTLE);
        session.send("[\"x\"]");
        assert_eq!(receiver.frame(), "a[\"x\"]", "{transport:?}");
    }
}
