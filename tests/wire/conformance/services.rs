//! The standard test services, as far as other tests do not use them.

use crate::server::shared;
use crate::session::{Session, Transport};
use crate::ws::WebSocket;

#[test]
fn ticker_ticks_once_a_second() {
    let session = Session::fresh(shared(), "/ticker");
    let mut receiver = session.receive(Transport::XhrStreaming);
    assert_eq!(receiver.frame(), "o");
    for _ in 0..2 {
        assert_eq!(receiver.frame(), "a[\"tick!\"]");
    }
}

#[test]
fn amplify_answers_with_a_power_of_two() {
    let session = Session::open(shared(), "/amplify");
    for (asked, length) in [("1", 2), ("4", 16), ("18", 1 << 18), ("19", 2), ("0", 2), ("x", 2)] {
        session.send(&format!("[\"{asked}\"]"));
        let frame = session.poll();
        assert!(frame == format!("a[\"{}\"]\n", "x".repeat(length)), "{asked} gave {} bytes", frame.len());
    }
}

#[test]
fn broadcast_reaches_every_transport_the_sender_too() {
    // Who has heard itself is subscribed.
    let streamed = Session::open(shared(), "/broadcast");
    let mut stream = streamed.attach(Transport::EventSource);
    streamed.send("[\"1\"]");
    assert_eq!(stream.frame(), "a[\"1\"]");
    let mut socket = WebSocket::open(shared(), &Session::fresh(shared(), "/broadcast").at("websocket"));
    socket.expect_text("o");
    socket.send_text("[\"2\"]");
    socket.expect_text("a[\"2\"]");
    assert_eq!(stream.frame(), "a[\"2\"]");
    let mut raw = WebSocket::open(shared(), "/broadcast/websocket");
    raw.send_text("3");
    raw.expect_text("3");
    socket.expect_text("a[\"3\"]");
    assert_eq!(stream.frame(), "a[\"3\"]");

    let polled = Session::open(shared(), "/broadcast");
    let unique = format!("to all, from {}", polled.url);
    let wanted = format!("a[\"{unique}\"]");
    polled.send(&format!("[\"{unique}\"]"));
    assert_eq!(polled.poll(), format!("{wanted}\n"));
    assert_eq!(stream.frame(), wanted);
    socket.expect_text(&wanted);
    raw.expect_text(&unique);
}

#[test]
fn a_service_without_websockets_echoes_over_http() {
    let session = Session::open(shared(), "/disabled_websocket_echo");
    session.send("[\"x\"]");
    assert_eq!(session.poll(), "a[\"x\"]\n");
}
