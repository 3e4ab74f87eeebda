//! How the server goes: it tells every client, and exits with success.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::http::{Connection, Request};
use crate::server::{PATIENCE, Server};
use crate::session::{Session, Transport};
use crate::ws::{CLOSE, WebSocket};

const GOING_AWAY: &str = "c[4505,\"Server is going away\"]";

fn expect_success(server: &Server) {
    let status = server.exit_status();
    assert!(status.success(), "{status}");
}

#[test]
fn every_receiver_is_told_and_ended_properly() {
    let server = Server::start(&["--drain-timeout", "5s"]);
    let mut sessions = Vec::new();
    let mut receivers = Vec::new();
    for transport in Transport::ALL {
        let session = Session::open(&server, "/echo");
        receivers.push((transport, session.attach(transport)));
        sessions.push(session);
    }
    server.signal("TERM");
    for (transport, receiver) in &mut receivers {
        assert_eq!(receiver.frame(), GOING_AWAY, "{transport:?}");
        receiver.expect_proper_end();
        receiver.connection.expect_end();
    }
    expect_success(&server);
}

#[test]
fn every_websocket_is_told_and_its_close_handshake_finished() {
    let server = Server::start(&["--drain-timeout", "5s"]);
    let mut sockets: Vec<WebSocket> = (0..20)
        .map(|_| {
            let url = Session::fresh(&server, "/echo").at("websocket");
            let mut socket = WebSocket::open(&server, &url);
            socket.expect_text("o");
            socket
        })
        .collect();
    let mut raw = WebSocket::open(&server, "/echo/websocket");
    raw.expect_echo("open", "open");
    server.signal("TERM");
    for socket in &mut sockets {
        socket.expect_text(GOING_AWAY);
        socket.expect_close();
    }
    assert_eq!(raw.expect_close(), (4505, "Server is going away".to_owned()));
    expect_success(&server);
}

#[test]
fn an_interrupt_drains_like_a_termination() {
    let server = Server::start(&["--drain-timeout", "5s"]);
    let session = Session::open(&server, "/echo");
    let mut receiver = session.attach(Transport::Xhr);
    server.signal("INT");
    assert_eq!(receiver.frame(), GOING_AWAY);
    expect_success(&server);
}

#[test]
fn idle_and_half_open_connections_do_not_hold_the_server_up() {
    let server = Server::start(&["--drain-timeout", "3s"]);
    let mut idle = server.connect();
    assert_eq!(idle.exchange(&Request::get("/echo")).status, 200);
    let silent = server.connect();
    let mut half = server.connect();
    half.write("GET /echo HTTP/1.1\r\nHost:");
    server.signal("TERM");
    let asked = Instant::now();
    expect_success(&server);
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    drop((idle, silent, half));
}

#[test]
fn clients_that_do_not_answer_hold_the_server_up_no_longer_than_the_drain_timeout() {
    let server = Server::start(&["--drain-timeout", "1s", "--unread-limit", "64MiB"]);
    // One never finishes its close handshake, the other does not even read.
    let mut mute = WebSocket::open(&server, "/echo/websocket");
    mute.expect_echo("open", "open");
    let mut deaf = WebSocket::open(&server, &Session::fresh(&server, "/amplify").at("websocket"));
    for _ in 0..1500 {
        let ask = crate::ws::Frame::text("[\"14\"]").masked();
        if deaf.connection.try_write(ask).is_err() {
            break;
        }
    }
    server.signal("TERM");
    let asked = Instant::now();
    assert_eq!(mute.frame().opcode, CLOSE);
    expect_success(&server);
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
}

#[test]
fn a_draining_server_takes_no_new_connections() {
    let server = Server::start(&["--drain-timeout", "5s"]);
    // A websocket that keeps its close handshake open keeps the server draining.
    let mut holder = WebSocket::open(&server, "/echo/websocket");
    holder.expect_echo("open", "open");
    server.signal("TERM");
    assert_eq!(holder.frame().opcode, CLOSE);
    let deadline = Instant::now() + PATIENCE;
    while let Ok(stream) = TcpStream::connect(server.address()) {
        drop(stream);
        assert!(Instant::now() < deadline, "the port stays open");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(holder);
    expect_success(&server);
}

#[test]
fn a_request_under_way_is_answered() {
    let server = Server::start(&["--drain-timeout", "5s"]);
    let session = Session::open(&server, "/echo");
    let mut sending: Connection = server.connect();
    let request = Request::new("POST", &session.at("xhr_send")).header("Content-Length", "5");
    sending.send(&request);
    sending.write("[\"x");
    // The server has the request's head in hand once it has answered another one after it.
    server.expect_still_serving();
    server.signal("TERM");
    sending.write("\"]");
    let status = sending.response().status;
    assert!(matches!(status, 204 | 404), "{status}");
    expect_success(&server);
}
