//! Bodies and messages over the limits.

use super::status_before_end;
use crate::http::Request;
use crate::server::{Server, shared, shared_with};
use crate::session::Session;
use crate::ws::{BINARY, CLOSE, Frame, WebSocket};

const KIB: usize = 1024;

/// A server that takes bodies of 64 KiB and messages of 32 KiB.
fn strict() -> &'static Server {
    shared_with(&["--body-limit", "64KiB", "--message-limit", "32KiB"])
}

/// An array of messages, `length` bytes in all, no message larger than 8 KiB.
fn body_of(length: usize) -> String {
    let mut body = String::from("[");
    while length - body.len() > 9 * KIB {
        body.extend(["\"", &"m".repeat(8 * KIB), "\","]);
    }
    let rest = "m".repeat(length - body.len() - 3);
    body.extend(["\"", &rest, "\"]"]);
    assert_eq!(body.len(), length);
    body
}

#[test]
fn a_body_of_exactly_the_limit_is_taken() {
    for endpoint in ["xhr_send", "jsonp_send"] {
        let session = Session::open(strict(), "/echo");
        let status = strict().post(&session.at(endpoint), body_of(64 * KIB)).status;
        assert!(matches!(status, 200 | 204), "{endpoint}: {status}");
        assert!(session.poll().len() > 64 * KIB);
    }
}

#[test]
fn a_declared_body_over_the_limit_is_413() {
    for endpoint in ["xhr_send", "jsonp_send"] {
        let session = Session::open(strict(), "/echo");
        for length in [64 * KIB + 1, 1024 * KIB] {
            let mut connection = strict().connect();
            let request = Request::post(&session.at(endpoint), body_of(length));
            let _ = connection.try_write(request.bytes());
            assert_eq!(connection.head().status, 413, "{endpoint}, {length} bytes");
        }
        session.send("[\"fine\"]");
        assert_eq!(session.poll(), "a[\"fine\"]\n", "{endpoint}");
    }
}

#[test]
fn a_declared_length_over_the_limit_is_413_before_the_body_is_sent() {
    let session = Session::open(strict(), "/echo");
    let mut connection = strict().connect();
    connection.send(&Request::new("POST", &session.at("xhr_send")).header("Content-Length", "1000000000000"));
    assert_eq!(connection.head().status, 413);
}

#[test]
fn a_chunked_body_over_the_limit_is_413() {
    for endpoint in ["xhr_send", "jsonp_send"] {
        let session = Session::open(strict(), "/echo");
        let mut connection = strict().connect();
        let request = Request::new("POST", &session.at(endpoint)).header("Transfer-Encoding", "chunked");
        connection.send(&request);
        for piece in body_of(80 * KIB).as_bytes().chunks(4096) {
            let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
            if connection.try_write(chunk).is_err() {
                break;
            }
        }
        let _ = connection.try_write("0\r\n\r\n");
        assert_eq!(connection.head().status, 413, "{endpoint}");
        session.send("[\"fine\"]");
        assert_eq!(session.poll(), "a[\"fine\"]\n", "{endpoint}");
    }
}

#[test]
fn an_oversize_body_on_a_receiver_is_413_or_ignored() {
    for endpoint in ["xhr", "xhr_streaming"] {
        let session = Session::fresh(strict(), "/echo");
        let mut connection = strict().connect();
        let request = Request::post(&session.at(endpoint), body_of(1024 * KIB));
        let _ = connection.try_write(request.bytes());
        let status = connection.head().status;
        assert!(matches!(status, 200 | 413), "{endpoint}: {status}");
    }
    strict().expect_still_serving();
}

#[test]
fn a_body_under_a_wrong_path_or_method_is_not_read_without_bound() {
    for target in ["/echo/nowhere", "/echo/info"] {
        let mut connection = strict().connect();
        let request =
            Request::new("POST", target).header("Connection", "close").header("Content-Length", "1000000000000");
        connection.send(&request);
        let status = connection.head().status;
        assert!(matches!(status, 404 | 405 | 413), "{target}: {status}");
    }
}

#[test]
fn a_websocket_message_of_exactly_the_limit_is_taken() {
    let mut socket = WebSocket::open(strict(), "/echo/websocket");
    let text = "m".repeat(32 * KIB);
    socket.send_text(&text);
    socket.expect_text(&text);
    socket.finish();
}

#[test]
fn a_websocket_message_over_the_limit_is_closed_with_1009() {
    for target in ["/echo/websocket", "/echo/0/0/websocket"] {
        let array = format!("[\"{}\"]", "m".repeat(32 * KIB));
        for opcode in [crate::ws::TEXT, BINARY] {
            let mut socket = WebSocket::open(strict(), target);
            if target.contains("/0/") {
                socket.expect_text("o");
            }
            let _ = socket.connection.try_write(Frame::new(opcode, &array).masked());
            let (code, _) = socket.frame().closing();
            let allowed: &[u16] = if opcode == BINARY { &[1009, 1003] } else { &[1009] };
            assert!(allowed.contains(&code), "{target}, opcode {opcode}: {code}");
        }
    }
}

#[test]
fn a_fragmented_message_is_counted_as_a_whole() {
    let mut socket = WebSocket::open(strict(), "/echo/websocket");
    let piece = "m".repeat(4 * KIB);
    let _ = socket.connection.try_write(Frame::text(&piece).unfinished().masked());
    for _ in 0..10 {
        let more = Frame::continuation(&piece).unfinished().masked();
        if socket.connection.try_write(more).is_err() {
            break;
        }
    }
    assert_eq!(socket.frame().closing().0, 1009);
}

#[test]
fn a_frame_that_declares_a_terabyte_is_closed_with_1009_at_once() {
    let mut socket = WebSocket::open(shared(), "/echo/websocket");
    let length = (1_u64 << 40).to_be_bytes();
    let header = [&[0x81, 0x80 | 127][..], &length, &[1, 2, 3, 4], &[0; 16]].concat();
    socket.connection.write(header);
    assert_eq!(socket.frame().closing().0, 1009);
}

#[test]
fn a_frame_over_the_limit_leaves_the_memory_alone() {
    let server = Server::start(&["--message-limit", "32KiB"]);
    server.expect_still_serving();
    let before = server.resident_bytes();
    let mut sockets: Vec<WebSocket> = (0..50).map(|_| WebSocket::open(&server, "/echo/websocket")).collect();
    for socket in &mut sockets {
        // Declares 1 GiB and begins to send it.
        let length = (1_u64 << 30).to_be_bytes();
        let begun = [&[0x81, 0x80 | 127][..], &length, &[0; 4], &[b'm'; 4096]].concat();
        let _ = socket.connection.try_write(begun);
    }
    for socket in &mut sockets {
        let frame = socket.frame();
        assert_eq!((frame.opcode, frame.closing().0), (CLOSE, 1009));
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "the server grew by {grown} bytes");
}

#[test]
fn a_query_or_id_of_many_kilobytes_is_served_or_refused() {
    for target in
        [format!("/echo/info?{}", "q".repeat(16 * KIB)), format!("/echo/0/{}/jsonp?c=x", "i".repeat(16 * KIB))]
    {
        let mut connection = shared().connect();
        let _ = connection.try_write(Request::get(&target).header("Connection", "close").bytes());
        let status = status_before_end(&mut connection);
        assert!(matches!(status, Some(200 | 400 | 404 | 414 | 431)), "{status:?}");
    }
    shared().expect_still_serving();
}
