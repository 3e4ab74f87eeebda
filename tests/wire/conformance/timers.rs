//! Heartbeats and the disconnect delay, with servers whose timers are short.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::http::Request;
use crate::server::{PATIENCE, Server, shared_with};
use crate::session::{Session, Transport};
use crate::ws::{Frame, PING, PONG, WebSocket};

/// A timer of 300 ms may not fire earlier than this after the client saw what started it.
const NOT_BEFORE: Duration = Duration::from_millis(250);
/// Nor later than this, on a busy machine.
const NOT_AFTER: Duration = Duration::from_secs(4);

fn with_quick_heartbeat() -> &'static Server {
    shared_with(&["--heartbeat", "300ms"])
}

fn with_short_disconnect_delay() -> &'static Server {
    shared_with(&["--disconnect-delay", "300ms"])
}

fn assert_timely(since: Instant, what: &str) {
    let elapsed = since.elapsed();
    assert!((NOT_BEFORE..NOT_AFTER).contains(&elapsed), "{what} after {elapsed:?}");
}

/// Waits until a session without a receiver is gone; sending shows it and must not keep it alive.
fn wait_until_gone(session: &Session<'_>) {
    let deadline = Instant::now() + PATIENCE;
    while session.try_send("[]").status != 404 {
        assert!(Instant::now() < deadline, "the session is never forgotten");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_heartbeat_ends_a_poll() {
    for transport in Transport::POLLS {
        let session = Session::open(with_quick_heartbeat(), "/echo");
        for _ in 0..2 {
            let asked = Instant::now();
            assert_eq!(session.receive(transport).frame(), "h", "{transport:?}");
            assert_timely(asked, "a heartbeat");
        }
        session.send("[\"still open\"]");
        assert_eq!(session.receive(transport).frame(), "a[\"still open\"]");
    }
}

#[test]
fn heartbeats_keep_coming_on_a_stream_that_stays_open() {
    for transport in Transport::STREAMS {
        let session = Session::open(with_quick_heartbeat(), "/echo");
        let asked = Instant::now();
        let mut receiver = session.attach(transport);
        assert_eq!(receiver.frame(), "h", "{transport:?}");
        assert_timely(asked, "a heartbeat");
        assert_eq!(receiver.frame(), "h", "{transport:?}");
        session.send("[\"x\"]");
        // A further heartbeat may come first.
        let frame = std::iter::repeat_with(|| receiver.frame()).find(|frame| frame != "h");
        assert_eq!(frame.as_deref(), Some("a[\"x\"]"), "{transport:?}");
    }
}

#[test]
fn a_websocket_gets_heartbeats_as_text() {
    let session = Session::fresh(with_quick_heartbeat(), "/echo");
    let mut socket = WebSocket::open(with_quick_heartbeat(), &session.at("websocket"));
    let opened = Instant::now();
    socket.expect_text("o");
    let mut heartbeats = 0;
    while heartbeats < 2 {
        let frame = socket.frame();
        if frame.opcode == PING {
            socket.send(&Frame::new(PONG, &frame.payload));
        } else {
            assert_eq!(frame, Frame::text("h"));
            heartbeats += 1;
        }
        assert!(opened.elapsed() < 2 * NOT_AFTER, "only {heartbeats} heartbeats");
    }
}

#[test]
fn a_websocket_is_pinged_too_so_that_a_dead_peer_shows() {
    let session = Session::fresh(with_quick_heartbeat(), "/echo");
    let mut socket = WebSocket::open(with_quick_heartbeat(), &session.at("websocket"));
    let opened = Instant::now();
    while socket.frame().opcode != PING {
        assert!(opened.elapsed() < NOT_AFTER, "no ping");
    }
}

#[test]
fn a_raw_websocket_never_gets_a_heartbeat_message() {
    let server = with_quick_heartbeat();
    let mut socket = WebSocket::open(server, "/echo/websocket");
    let opened = Instant::now();
    while opened.elapsed() < Duration::from_secs(1) {
        sleep(Duration::from_millis(100));
        socket.send_text("between");
        let mut frame = socket.frame();
        while frame.opcode == PING {
            socket.send(&Frame::new(PONG, &frame.payload));
            frame = socket.frame();
        }
        assert_eq!(frame, Frame::text("between"));
    }
}

#[test]
fn a_session_without_a_receiver_is_gone_after_the_delay_however_much_is_sent() {
    let server = with_short_disconnect_delay();
    for transport in Transport::POLLS {
        let session = Session::fresh(server, "/echo");
        assert_eq!(session.receive(transport).frame(), "o");
        let detached = Instant::now();
        wait_until_gone(&session);
        assert_timely(detached, "the session was gone");
        assert_eq!(session.poll(), "o\n", "the id is free again");
    }
}

#[test]
fn preflights_do_not_keep_a_session_alive() {
    let session = Session::open(with_short_disconnect_delay(), "/echo");
    let detached = Instant::now();
    let deadline = detached + PATIENCE;
    while session.try_send("[]").status != 404 {
        assert!(Instant::now() < deadline, "the session is never forgotten");
        let preflight = Request::options(&session.at("xhr"));
        assert_eq!(with_short_disconnect_delay().fetch(&preflight).status, 204);
        sleep(Duration::from_millis(20));
    }
    assert_timely(detached, "the session was gone");
}

#[test]
fn what_was_buffered_goes_with_its_session() {
    let session = Session::open(with_short_disconnect_delay(), "/echo");
    session.send("[\"never read\"]");
    wait_until_gone(&session);
    assert_eq!(session.poll(), "o\n");
    session.send("[\"new\"]");
    assert_eq!(session.poll(), "a[\"new\"]\n");
}

#[test]
fn an_attached_receiver_stops_the_clock() {
    for transport in Transport::ALL {
        let session = Session::open(with_short_disconnect_delay(), "/echo");
        let mut receiver = session.attach(transport);
        receiver.connection.expect_silence(Duration::from_millis(900));
        session.send("[\"still here\"]");
        assert_eq!(receiver.frame(), "a[\"still here\"]", "{transport:?}");
    }
}

#[test]
fn each_receiver_that_ends_starts_the_clock_anew() {
    let server = Server::start(&["--disconnect-delay", "1500ms"]);
    let session = Session::open(&server, "/echo");
    for number in 0..5 {
        sleep(Duration::from_millis(500));
        session.send(&format!("[\"{number}\"]"));
        assert_eq!(session.poll(), format!("a[\"{number}\"]\n"));
    }
}

#[test]
fn a_closing_session_repeats_its_close_frame_as_long_as_it_is_asked() {
    let server = Server::start(&["--disconnect-delay", "1500ms"]);
    let session = Session::open(&server, "/close");
    for _ in 0..5 {
        sleep(Duration::from_millis(500));
        assert_eq!(session.poll(), "c[3000,\"Go away!\"]\n");
    }
}

#[test]
fn a_closing_session_is_forgotten_after_the_delay() {
    let session = Session::open(with_short_disconnect_delay(), "/close");
    assert_eq!(session.poll(), "c[3000,\"Go away!\"]\n");
    let asked = Instant::now();
    wait_until_gone(&session);
    assert_timely(asked, "the session was gone");
    assert_eq!(session.poll(), "o\n");
}
