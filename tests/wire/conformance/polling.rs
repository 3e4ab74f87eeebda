//! `POST /xhr`, and what all polls have in common.

use std::time::{Duration, Instant};

use crate::http::Request;
use crate::server::{PATIENCE, shared};
use crate::session::{Session, Transport};

#[test]
fn a_session_opens_receives_and_sends() {
    let session = Session::fresh(shared(), "/echo");
    assert_eq!(session.poll(), "o\n");
    session.send("[\"a\"]");
    assert_eq!(session.poll(), "a[\"a\"]\n");
    session.send("[\"b\"]");
    assert_eq!(session.poll(), "a[\"b\"]\n");
}

#[test]
fn a_waiting_poll_gets_the_message_that_comes() {
    for transport in Transport::POLLS {
        let session = Session::open(shared(), "/echo");
        let mut receiver = session.attach(transport);
        session.send("[\"late\"]");
        assert_eq!(receiver.frame(), "a[\"late\"]");
    }
}

#[test]
fn a_poll_says_nothing_at_all_before_its_frame() {
    for transport in Transport::POLLS {
        let session = Session::open(shared(), "/echo");
        let mut receiver = session.receive(transport);
        receiver.connection.expect_silence(Duration::from_millis(600));
        session.send("[\"x\"]");
        assert_eq!(receiver.frame(), "a[\"x\"]");
    }
}

#[test]
fn a_poll_is_answered_in_one_write_with_its_length() {
    for transport in Transport::POLLS {
        let session = Session::open(shared(), "/echo");
        for round in 0..20 {
            let mut receiver = session.receive(transport);
            session.send("[\"x\"]");
            let first = receiver.connection.read_some(Instant::now() + PATIENCE);
            assert!(first.is_ok_and(|length| length > 0), "no answer");
            let read = receiver.connection.unread();
            assert!(
                read.ends_with(b"\n") && !read.ends_with(b"\r\n\r\n"),
                "round {round}: the first read has no frame: {:?}",
                String::from_utf8_lossy(read)
            );
            let response = receiver.connection.response();
            assert!(response.header("Content-Length").is_some(), "{response:?}");
        }
    }
}

#[test]
fn polls_need_neither_body_nor_length_and_ignore_a_body() {
    for request in [
        |url: &str| Request::new("POST", url),
        |url: &str| Request::post(url, ""),
        |url: &str| Request::post(url, "ignored \u{fe0f} {"),
        |url: &str| Request::post(url, "[\"x\"]").header("Content-Type", "application/json"),
        |url: &str| Request::new("POST", url).header("Content-Type", ""),
    ] {
        let session = Session::fresh(shared(), "/echo");
        let response = shared().fetch(&request(&session.at("xhr")));
        assert_eq!(response.text(), "o\n", "{:?}", request("…"));
    }
}

#[test]
fn a_closed_session_opens_once_and_then_repeats_its_close_frame() {
    for transport in Transport::POLLS {
        let session = Session::fresh(shared(), "/close");
        assert_eq!(session.receive(transport).frame(), "o");
        for _ in 0..3 {
            assert_eq!(session.receive(transport).frame(), "c[3000,\"Go away!\"]");
        }
        for other in Transport::ALL {
            let mut receiver = session.receive(other);
            assert_eq!(receiver.frame(), "c[3000,\"Go away!\"]", "{other:?}");
            receiver.expect_proper_end();
        }
    }
}

#[test]
fn a_second_receiver_is_refused_with_2010_and_the_first_is_undisturbed() {
    for first in Transport::ALL {
        for second in Transport::ALL {
            let session = Session::open(shared(), "/echo");
            let mut holder = session.attach(first);
            let mut newcomer = session.receive(second);
            assert_eq!(
                newcomer.frame(),
                "c[2010,\"Another connection still open\"]",
                "{second:?} after {first:?}"
            );
            newcomer.expect_proper_end();
            session.send("[\"still there\"]");
            assert_eq!(holder.frame(), "a[\"still there\"]", "{first:?}");
        }
    }
}

#[test]
fn one_session_may_be_received_through_any_mix_of_transports() {
    let session = Session::open(shared(), "/echo");
    for (first, second) in [(Transport::Xhr, Transport::Jsonp), (Transport::Jsonp, Transport::Xhr)] {
        session.send("[\"one\"]");
        assert_eq!(session.receive(first).frame(), "a[\"one\"]");
        session.send("[\"two\"]");
        assert_eq!(session.receive(second).frame(), "a[\"two\"]");
    }
    let mut stream = session.receive(Transport::EventSource);
    session.send("[\"three\"]");
    assert_eq!(stream.frame(), "a[\"three\"]");
}

#[test]
fn a_thousand_polls_on_one_connection_never_meet_a_false_2010() {
    let session = Session::open(shared(), "/echo");
    let (mut receiving, mut sending) = (shared().connect(), shared().connect());
    for number in 0..1000 {
        receiving.send(&Transport::Xhr.request(&session.url));
        let sent = sending.exchange(&Request::post(&session.at("xhr_send"), format!("[\"{number}\"]")));
        assert_eq!(sent.status, 204);
        assert_eq!(receiving.response().text(), format!("a[\"{number}\"]\n"));
    }
}

#[test]
fn polls_on_ever_new_connections_never_meet_a_false_2010() {
    let session = Session::open(shared(), "/echo");
    for number in 0..200 {
        session.send(&format!("[\"{number}\"]"));
        assert_eq!(session.poll(), format!("a[\"{number}\"]\n"));
    }
}
