//! A receiver whose connection is lost takes its session with it, at once.

use std::time::{Duration, Instant};

use crate::http::Request;
use crate::server::shared;
use crate::session::{SETTLE, Session, Transport};

#[derive(Clone, Copy, Debug)]
enum Loss {
    /// The client closes.
    Fin,
    /// The client's host says that the connection is no more.
    Reset,
    /// The client says that it has nothing more to send.
    HalfClose,
}

/// Attaches a receiver, loses it, and returns what the very next poll on the same id gets.
fn next_poll_after(loss: Loss, transport: Transport) -> String {
    let session = Session::open(shared(), "/echo");
    match loss {
        Loss::Fin => drop(session.attach(transport)),
        Loss::HalfClose => {
            let mut receiver = session.attach(transport);
            receiver.connection.half_close();
            return session.poll();
        }
        Loss::Reset => {
            // Closing a socket that holds unread bytes resets the connection: here those of an earlier answer.
            let mut connection = shared().connect();
            connection.send(&Request::get("/echo"));
            connection.wait_unread_in_socket("Welcome to SockJS!\n");
            connection.send(&transport.request(&session.url));
            if transport.is_stream() {
                connection.wait_unread_in_socket(transport.prelude_end());
            } else {
                std::thread::sleep(SETTLE);
            }
            drop(connection);
        }
    }
    session.poll()
}

fn assert_session_is_over(loss: Loss) {
    for transport in Transport::ALL {
        let next = next_poll_after(loss, transport);
        assert!(
            next == "o\n" || next == "c[1002,\"Connection interrupted\"]\n",
            "after {loss:?} of {transport:?}: {next:?}"
        );
    }
}

#[test]
fn after_a_receiver_closed_the_next_one_finds_the_session_gone() {
    assert_session_is_over(Loss::Fin);
}

#[test]
fn after_a_receiver_was_reset_the_next_one_finds_the_session_gone() {
    assert_session_is_over(Loss::Reset);
}

#[test]
fn after_a_receiver_half_closed_the_next_one_finds_the_session_gone() {
    assert_session_is_over(Loss::HalfClose);
}

#[test]
fn a_lost_receiver_never_makes_the_next_one_wrongly_second() {
    for round in 0..30 {
        let session = Session::open(shared(), "/echo");
        drop(session.attach(Transport::XhrStreaming));
        let next = session.poll();
        assert!(!next.contains("2010"), "round {round}: {next}");
    }
}

#[test]
fn a_lost_receiver_is_noticed_without_anyone_asking() {
    for transport in Transport::ALL {
        let session = Session::open(shared(), "/echo");
        drop(session.attach(transport));
        let lost = Instant::now();
        // A session that has ended is unknown (404); one that is kept closing swallows what is sent.
        while session.try_send("[]").status != 404 {
            if lost.elapsed() > Duration::from_secs(3) {
                assert_eq!(session.poll(), "c[1002,\"Connection interrupted\"]\n", "{transport:?}");
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_new_session_on_the_lost_ones_id_begins_afresh() {
    let session = Session::open(shared(), "/echo");
    let receiver = session.attach(Transport::XhrStreaming);
    session.send("[\"maybe never read\"]");
    drop(receiver);
    if session.poll() == "o\n" {
        session.send("[\"new\"]");
        assert_eq!(session.poll(), "a[\"new\"]\n");
    }
}

#[test]
fn losing_the_refused_second_receiver_does_not_harm_the_first() {
    for transport in Transport::ALL {
        let session = Session::open(shared(), "/echo");
        let mut holder = session.attach(Transport::Xhr);
        let mut refused = session.receive(transport);
        assert!(refused.frame().starts_with("c[2010,"), "{transport:?}");
        drop(refused);
        session.send("[\"x\"]");
        assert_eq!(holder.frame(), "a[\"x\"]", "{transport:?}");
    }
}

#[test]
fn a_client_that_goes_away_after_its_answer_keeps_its_session() {
    let session = Session::open(shared(), "/echo");
    for number in 0..5 {
        session.send(&format!("[\"{number}\"]"));
        let mut receiver = session.receive(Transport::Xhr);
        assert_eq!(receiver.frame(), format!("a[\"{number}\"]"));
        drop(receiver);
    }
}

#[test]
fn losing_the_connection_of_a_send_does_not_harm_the_session() {
    let session = Session::open(shared(), "/echo");
    let mut holder = session.attach(Transport::Xhr);
    let mut connection = shared().connect();
    let request = Request::new("POST", &session.at("xhr_send")).header("Content-Length", "100");
    connection.send(&request);
    connection.write("[\"half a");
    drop(connection);
    session.send("[\"whole\"]");
    assert_eq!(holder.frame(), "a[\"whole\"]");
}
