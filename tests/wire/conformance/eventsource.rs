//! `GET /eventsource`.

use crate::server::shared;
use crate::session::{Session, Transport};

#[test]
fn the_prelude_and_each_event_have_their_exact_bytes() {
    let session = Session::fresh(shared(), "/echo");
    let mut connection = shared().connect();
    connection.send(&Transport::EventSource.request(&session.url));
    let head = connection.head();
    assert_eq!(head.header("Content-Type"), Some("text/event-stream"));
    assert_eq!(connection.chunk().as_deref(), Some(&b"\r\n"[..]));
    assert_eq!(connection.chunk().as_deref(), Some(&b"data: o\r\n\r\n"[..]));
    session.send("[\"x\"]");
    assert_eq!(connection.chunk().as_deref(), Some(&b"data: a[\"x\"]\r\n\r\n"[..]));
}

#[test]
fn percent_signs_are_escaped_and_nothing_else_is() {
    let session = Session::open(shared(), "/echo");
    let mut receiver = session.attach(Transport::EventSource);
    for (sent, wanted) in [
        (r#"["100% sure"]"#, r#"data: a["100%25 sure"]"#),
        (r#"["%41%80%"]"#, r#"data: a["%2541%2580%25"]"#),
        (r#"["%25"]"#, r#"data: a["%2525"]"#),
        (r#"["\r\n\u0000\t"]"#, r#"data: a["\r\n\u0000\t"]"#),
        (r#"["ü+&= :"]"#, r#"data: a["ü+&= :"]"#),
    ] {
        session.send(sent);
        let chunk = receiver.raw_chunk().expect("an event");
        assert_eq!(String::from_utf8_lossy(&chunk), format!("{wanted}\r\n\r\n"));
    }
}

#[test]
fn an_event_is_one_data_line_whatever_the_message() {
    let session = Session::open(shared(), "/echo");
    let mut receiver = session.attach(Transport::EventSource);
    session.send(r#"["\n\ndata: forged\r\n\r\nevent: x\u2028\u0085"]"#);
    let chunk = String::from_utf8(receiver.raw_chunk().expect("an event")).expect("UTF-8");
    let event = chunk.strip_suffix("\r\n\r\n").expect("an event's end");
    assert!(event.starts_with("data: a["), "{event:?}");
    assert!(!event.contains(['\r', '\n']), "{event:?}");
}

#[test]
fn a_close_frame_is_an_event_too() {
    let session = Session::open(shared(), "/close");
    let mut receiver = session.receive(Transport::EventSource);
    assert_eq!(receiver.raw_chunk().as_deref(), Some(&b"data: c[3000,\"Go away!\"]\r\n\r\n"[..]));
    receiver.expect_proper_end();
}
