//! Connections in numbers: half-open ones, and limits on all.

use std::fs;
use std::time::{Duration, Instant};

use crate::http::{Connection, Request};
use crate::server::{PATIENCE, Server};
use crate::session::Session;
use crate::ws::WebSocket;

/// Two thousand, or what the limit on open files leaves room for, here and in the server.
fn many() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").expect("read our own limits");
    let open_files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|rest| rest.split_whitespace().next())
        .expect("a limit on open files");
    let room = open_files.parse::<usize>().unwrap_or(usize::MAX);
    room.saturating_sub(200).min(2000)
}

#[test]
fn thousands_of_half_open_connections_leave_others_undisturbed() {
    let server = Server::start(&["--header-timeout", "60s"]);
    let session = Session::open(&server, "/echo");
    let mut socket = WebSocket::open(&server, "/echo/websocket");
    let before = server.resident_bytes();
    let half_open: Vec<Connection> = (0..many())
        .map(|number| {
            let mut connection = server.connect();
            // A third say nothing, a third half a head, a third half a body.
            connection.write(match number % 3 {
                0 => "",
                1 => "GET /echo HTTP/1.1\r\nHost: x\r\nX-Half",
                _ => "POST /echo/0/0/xhr_send HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[\"x",
            });
            connection
        })
        .collect();

    let began = Instant::now();
    for number in 0..20 {
        session.send(&format!("[\"{number}\"]"));
        assert_eq!(session.poll(), format!("a[\"{number}\"]\n"));
        socket.expect_echo("still", "still");
        server.expect_still_serving();
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    let each = server.resident_bytes().saturating_sub(before) / half_open.len() as u64;
    assert!(each < 64 * 1024, "{each} bytes for each half-open connection");
}

#[test]
fn many_connections_that_come_and_go_leave_the_server_serving() {
    let server = Server::start(&[]);
    for number in 0..500 {
        let mut connection = server.connect();
        connection.write(["", "G", "GET /echo HTTP/1.1\r\n", "\r\n\r\n"][number % 4]);
    }
    server.expect_still_serving();
}

/// Opens connections that are surely counted: each has been answered once.
fn busy_connections(server: &Server, number: usize) -> Vec<Connection> {
    let mut connections: Vec<Connection> = (0..number).map(|_| server.connect()).collect();
    for connection in &mut connections {
        assert_eq!(connection.exchange(&Request::get("/echo")).status, 200);
    }
    connections
}

fn assert_limit(flag: &str, status: u16) {
    let server = Server::start(&[flag, "4"]);
    let mut busy = busy_connections(&server, 4);
    for _ in 0..3 {
        let mut surplus = server.connect();
        let _ = surplus.try_write(Request::get("/echo").bytes());
        assert_eq!(surplus.head().status, status, "{flag}");
        surplus.rest();
    }
    for connection in &mut busy {
        assert_eq!(connection.exchange(&Request::get("/echo")).status, 200);
    }

    // One goes, and as soon as the server has noticed, another may come.
    drop(busy.pop());
    expect_free_place(&server, flag);
}

/// A place becomes free as soon as the server has noticed that a connection is gone.
fn expect_free_place(server: &Server, flag: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut next = server.connect();
        let _ = next.try_write(Request::get("/echo").bytes());
        if next.head().status == 200 {
            break;
        }
        assert!(Instant::now() < deadline, "{flag}: the place never becomes free");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_connection_over_the_total_limit_is_answered_503() {
    assert_limit("--max-connections", 503);
}

#[test]
fn a_connection_over_the_limit_per_address_is_answered_429() {
    assert_limit("--max-connections-per-address", 429);
}

#[test]
fn websockets_count_as_connections_until_they_end() {
    let server = Server::start(&["--max-connections", "2"]);
    let one = WebSocket::open(&server, "/echo/websocket");
    let mut other = WebSocket::open(&server, "/echo/websocket");
    let mut surplus = server.connect();
    let _ = surplus.try_write(Request::get("/echo").bytes());
    assert_eq!(surplus.head().status, 503);
    other.expect_echo("still", "still");
    one.finish();
    expect_free_place(&server, "--max-connections");
}
