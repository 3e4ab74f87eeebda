//! Messages for a session that has no receiver right now.

use serde_json::json;

use crate::server::shared;
use crate::session::{Session, Transport};

#[test]
fn messages_between_two_receivers_arrive_as_one_frame_in_order() {
    for transport in Transport::ALL {
        let session = Session::open(shared(), "/echo");
        session.send("[\"one\"]");
        session.send("[\"two\",\"three\"]");
        session.send("[]");
        session.send("[\"four\"]");
        let mut receiver = session.receive(transport);
        assert_eq!(receiver.frame(), "a[\"one\",\"two\",\"three\",\"four\"]", "{transport:?}");
    }
}

#[test]
fn a_buffer_larger_than_the_streaming_limit_is_flushed_as_one_frame() {
    for transport in Transport::ALL {
        let session = Session::open(shared(), "/echo");
        let messages: Vec<String> = (0..40).map(|number| format!("{number:0>500}")).collect();
        for message in &messages {
            session.send(&json!([message]).to_string());
        }
        let mut receiver = session.receive(transport);
        assert!(receiver.frame() == format!("a{}", json!(messages)), "{transport:?}");
        receiver.expect_proper_end();
    }
}

#[test]
fn a_buffer_is_delivered_once() {
    for transport in Transport::ALL {
        let session = Session::open(shared(), "/echo");
        session.send("[\"first\"]");
        let mut receiver = session.receive(transport);
        assert_eq!(receiver.frame(), "a[\"first\"]", "{transport:?}");
        session.send("[\"second\"]");
        let mut next = if transport.is_stream() { receiver } else { session.receive(transport) };
        assert_eq!(next.frame(), "a[\"second\"]", "{transport:?}");
    }
}

#[test]
fn sessions_do_not_see_each_others_messages() {
    let (one, other) = (Session::open(shared(), "/echo"), Session::open(shared(), "/echo"));
    one.send("[\"for one\"]");
    other.send("[\"for the other\"]");
    assert_eq!(other.poll(), "a[\"for the other\"]\n");
    assert_eq!(one.poll(), "a[\"for one\"]\n");
}

#[test]
fn a_thousand_messages_over_polls_lose_and_repeat_nothing() {
    let session = Session::open(shared(), "/echo");
    let sent: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let mut received: Vec<String> = Vec::new();
    for batch in sent.chunks(7) {
        session.send(&json!(batch).to_string());
        let frame = session.poll();
        let array = frame.strip_prefix('a').expect("an a frame");
        received.extend(serde_json::from_str::<Vec<String>>(array).expect("an array"));
    }
    while received.len() < sent.len() {
        let frame = session.poll();
        let array = frame.strip_prefix('a').expect("an a frame");
        received.extend(serde_json::from_str::<Vec<String>>(array).expect("an array"));
    }
    assert_eq!(received, sent);
}
