//! Request heads that never end, or are none.

use super::{status_before_end, write_until_refused};
use crate::http::Request;
use crate::server::{PATIENCE, Server, shared};
use std::time::{Duration, Instant};

const ENOUGH: usize = 16 << 20;

#[test]
fn headers_without_end_are_refused() {
    let mut connection = shared().connect();
    connection.write("GET /echo HTTP/1.1\r\nHost: x\r\n");
    let status = write_until_refused(&mut connection, &b"X-Endless: and on and on\r\n".repeat(40), ENOUGH);
    assert!(matches!(status, None | Some(400 | 431)), "{status:?}");
    shared().expect_still_serving();
}

#[test]
fn one_header_without_end_is_refused() {
    let mut connection = shared().connect();
    connection.write("GET /echo HTTP/1.1\r\nHost: x\r\nX-Endless: ");
    let status = write_until_refused(&mut connection, &[b'x'; 1024], ENOUGH);
    assert!(matches!(status, None | Some(400 | 431)), "{status:?}");
    shared().expect_still_serving();
}

#[test]
fn a_request_line_without_end_is_refused() {
    let mut connection = shared().connect();
    connection.write("GET /echo/");
    let status = write_until_refused(&mut connection, &[b'x'; 1024], ENOUGH);
    assert!(matches!(status, None | Some(400 | 414 | 431)), "{status:?}");
    shared().expect_still_serving();
}

#[test]
fn a_header_of_a_megabyte_is_431_or_cuts_the_connection() {
    let mut connection = shared().connect();
    let request = Request::get("/echo").header("X-Large", "x".repeat(1 << 20));
    let _ = connection.try_write(request.bytes());
    let status = status_before_end(&mut connection);
    assert!(matches!(status, None | Some(400 | 431)), "{status:?}");
}

#[test]
fn what_is_no_http_is_refused_or_cut() {
    for garbage in [
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET\r\n\r\n",
        "GET /echo HTTP/9.9\r\n\r\n",
        "GET /echo HTTP/1.1\r\nNo colon here\r\n\r\n",
        "GET /echo HTTP/1.1\r\nSpace before : colon\r\n\r\n",
        "GET /a path with spaces HTTP/1.1\r\nHost: x\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
    ] {
        let mut connection = shared().connect();
        let _ = connection.try_write(garbage);
        connection.half_close();
        let status = status_before_end(&mut connection);
        assert!(status.is_none_or(|status| (400..=505).contains(&status)), "{garbage:?}: {status:?}");
    }
    shared().expect_still_serving();
}

#[test]
fn bodies_whose_length_is_a_lie_or_a_riddle_are_refused() {
    for framing in [
        "Content-Length: abc",
        "Content-Length: -1",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 99999999999999999999999",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
    ] {
        let mut connection = shared().connect();
        connection.write(format!("POST /echo/0/0/xhr_send HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n[\"x\"]"));
        connection.half_close();
        let status = status_before_end(&mut connection);
        assert!(matches!(status, None | Some(400 | 411 | 413 | 501)), "{framing}: {status:?}");
    }
    shared().expect_still_serving();
}

#[test]
fn broken_chunks_end_the_request_and_harm_nobody() {
    for chunks in
        ["xyz\r\n", "-1\r\n", "ffffffffffffffffff\r\n", "5\r\n[\"x\"]garbage", "3\r\n[\"x\"]\r\n0\r\n\r\n"]
    {
        let mut connection = shared().connect();
        connection.write(format!(
            "POST /echo/0/0/xhr_send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
        ));
        connection.half_close();
        let status = status_before_end(&mut connection);
        assert!(matches!(status, None | Some(400..=500)), "{chunks:?}: {status:?}");
    }
    shared().expect_still_serving();
}

/// The server closes by itself after a time-out of 500 ms, whatever the client does meanwhile.
fn expect_cut_by_header_timeout(begin: &str, mut each_round: impl FnMut(&mut crate::http::Connection)) {
    let server = Server::start(&["--header-timeout", "500ms"]);
    let mut connection = server.connect();
    connection.write(begin);
    let since = Instant::now();
    loop {
        match connection.read_some(Instant::now() + Duration::from_millis(50)) {
            Ok(0) => break,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Ok(_) | Err(_) => each_round(&mut connection),
        }
        assert!(since.elapsed() < PATIENCE, "the connection is still open");
    }
    let elapsed = since.elapsed();
    assert!(elapsed > Duration::from_millis(400), "cut after {elapsed:?}");
    let said = String::from_utf8_lossy(connection.unread());
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    server.expect_still_serving();
}

#[test]
fn half_a_request_head_times_out() {
    expect_cut_by_header_timeout("GET /echo HTTP/1.1\r\nHost:", |_| {});
}

#[test]
fn a_connection_on_which_nothing_is_ever_said_times_out() {
    expect_cut_by_header_timeout("", |_| {});
}

#[test]
fn a_head_that_dribbles_in_times_out_too() {
    expect_cut_by_header_timeout("GET /echo HTTP/1.1\r\nX-Slow: ", |connection| {
        let _ = connection.try_write("x");
    });
}
