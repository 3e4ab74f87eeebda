//! What the three streaming transports have in common.

use serde_json::{Value, json};

use crate::server::shared;
use crate::session::{Session, Transport};

/// The streaming limit of the test service `/echo`.
const LIMIT: usize = 4096;

#[test]
fn a_stream_opens_and_delivers_one_frame_a_chunk() {
    for transport in Transport::STREAMS {
        let session = Session::fresh(shared(), "/echo");
        let mut receiver = session.receive(transport);
        let head = receiver.begin();
        assert_eq!(head.header("Transfer-Encoding"), Some("chunked"), "{transport:?}");
        assert_eq!(head.header("Content-Length"), None, "{transport:?}");
        assert_eq!(receiver.frame(), "o", "{transport:?}");
        for number in 0..5 {
            session.send(&format!("[\"{number}\"]"));
            assert_eq!(receiver.frame(), format!("a[\"{number}\"]"), "{transport:?}");
        }
    }
}

#[test]
fn messages_sent_together_arrive_in_order_with_one_frame_a_chunk() {
    for transport in Transport::STREAMS {
        let session = Session::open(shared(), "/echo");
        let mut receiver = session.attach(transport);
        let messages: Vec<String> = (0..50).map(|number| number.to_string()).collect();
        session.send(&json!(messages).to_string());
        let mut arrived = Vec::new();
        while arrived.len() < messages.len() {
            let frame = receiver.frame();
            let array = frame.strip_prefix('a').expect("an a frame");
            arrived.extend(serde_json::from_str::<Vec<String>>(array).expect("an array"));
        }
        assert_eq!(arrived, messages, "{transport:?}");
    }
}

#[test]
fn a_stream_ends_properly_after_the_limit_and_not_counting_its_prelude() {
    for transport in Transport::STREAMS {
        let session = Session::fresh(shared(), "/echo");
        let mut receiver = session.receive(transport);
        let message = "x".repeat(128);
        let mut written = receiver.raw_chunk().expect("the open frame").len();
        while written < LIMIT {
            session.send(&format!("[\"{message}\"]"));
            let chunk = receiver.raw_chunk();
            let chunk = chunk.unwrap_or_else(|| panic!("{transport:?} ended after {written} bytes"));
            assert_eq!(transport.unwrap(&chunk), format!("a[\"{message}\"]"));
            written += chunk.len();
        }
        receiver.expect_proper_end();
    }
}

#[test]
fn after_the_limit_the_connection_and_the_session_go_on() {
    for transport in Transport::STREAMS {
        let session = Session::open(shared(), "/echo");
        let mut receiver = session.receive(transport);
        session.send(&json!(["y".repeat(LIMIT)]).to_string());
        assert_eq!(receiver.frame().len(), LIMIT + 5, "{transport:?}");
        receiver.expect_proper_end();

        session.send("[\"between\"]");
        receiver.connection.send(&transport.request(&session.url));
        assert_eq!(receiver.connection.head().status, 200, "{transport:?}");
        assert!(receiver.connection.chunk().is_some(), "a prelude of {transport:?}");
        let chunk = receiver.connection.chunk().expect("a frame");
        assert_eq!(transport.unwrap(&chunk), "a[\"between\"]");
    }
}

#[test]
fn a_frame_beyond_the_limit_is_sent_whole() {
    for transport in Transport::STREAMS {
        let session = Session::open(shared(), "/echo");
        let mut receiver = session.attach(transport);
        let message = "z".repeat(5 * LIMIT);
        session.send(&json!([message]).to_string());
        let frame = receiver.frame();
        assert!(frame == format!("a[\"{message}\"]"), "{transport:?}: {} bytes", frame.len());
        receiver.expect_proper_end();
    }
}

#[test]
fn the_limit_of_other_services_is_not_that_of_echo() {
    for transport in Transport::STREAMS {
        let session = Session::open(shared(), "/amplify");
        let mut receiver = session.attach(transport);
        for _ in 0..7 {
            session.send("[\"14\"]");
            let frame = receiver.frame();
            assert!(frame == format!("a[\"{}\"]", "x".repeat(1 << 14)), "{transport:?}");
        }
    }
}

#[test]
fn a_stream_on_a_closed_service_gets_both_frames_and_ends() {
    for transport in Transport::STREAMS {
        let session = Session::fresh(shared(), "/close");
        let mut receiver = session.receive(transport);
        assert_eq!(receiver.frame(), "o", "{transport:?}");
        assert_eq!(receiver.frame(), "c[3000,\"Go away!\"]", "{transport:?}");
        receiver.expect_proper_end();

        let mut again = session.receive(transport);
        assert_eq!(again.frame(), "c[3000,\"Go away!\"]", "{transport:?}");
        again.expect_proper_end();
    }
}

#[test]
fn every_streamed_frame_is_compact_json() {
    for transport in Transport::STREAMS {
        let session = Session::open(shared(), "/echo");
        let mut receiver = session.attach(transport);
        session.send("[ \"a b\\u0020\\/\" ]");
        let frame = receiver.frame();
        assert_eq!(frame, "a[\"a b /\"]", "{transport:?}");
        let parsed: Value = serde_json::from_str(&frame[1..]).expect("JSON");
        assert_eq!(parsed, json!(["a b /"]));
    }
}

#[test]
fn a_hundred_reconnects_lose_and_repeat_nothing() {
    for transport in Transport::STREAMS {
        let session = Session::open(shared(), "/echo");
        for number in 0..100 {
            let message = format!("{number:0>4096}");
            let mut receiver = session.receive(transport);
            session.send(&format!("[\"{message}\"]"));
            assert!(receiver.frame() == format!("a[\"{message}\"]"), "{number}");
            receiver.expect_proper_end();
        }
    }
}
