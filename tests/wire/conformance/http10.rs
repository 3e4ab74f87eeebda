//! HTTP/1.0 clients, as old proxies are.

use crate::http::{Connection, Request, Response};
use crate::server::shared;
use crate::session::{Session, Transport};

/// After an answer to HTTP/1.0 the connection is either granted for more, and takes it, or closed.
fn assert_kept_or_closed(connection: &mut Connection, response: &Response) {
    if response.says_keep_alive() {
        let has_known_end = response.status == 204 || response.header("Content-Length").is_some();
        assert!(has_known_end, "{response:?}");
        let again = Request::get("/echo").http10().header("Connection", "keep-alive");
        assert_eq!(connection.exchange(&again).text(), "Welcome to SockJS!\n");
    } else {
        connection.expect_end();
    }
}

fn fixed_requests() -> Vec<Request> {
    let open = Session::open(shared(), "/echo");
    let fresh = || Session::fresh(shared(), "/echo").url;
    vec![
        Request::get("/echo"),
        Request::get("/echo/info"),
        Request::get("/echo/iframe.html"),
        Request::get("/echo/nowhere"),
        Request::options("/echo/info"),
        Request::post(&open.at("xhr_send"), "[\"x\"]"),
        Request::post(&open.at("jsonp_send"), "[\"x\"]"),
        Request::post(&open.at("xhr_send"), ""),
        Transport::Xhr.request(&fresh()),
        Transport::Jsonp.request(&fresh()),
    ]
}

#[test]
fn without_keep_alive_the_server_answers_unchunked_and_closes() {
    for request in fixed_requests() {
        let mut connection = shared().connect();
        let response = connection.exchange(&request.clone().http10());
        assert!(!response.is_chunked(), "{request:?}: {response:?}");
        assert!(!response.says_keep_alive(), "{request:?}: {response:?}");
        connection.expect_end();
    }
}

#[test]
fn keep_alive_is_granted_and_true_or_the_server_closes() {
    for request in fixed_requests() {
        let mut connection = shared().connect();
        let request = request.http10().header("Connection", "keep-alive");
        let response = connection.exchange(&request);
        assert!(!response.is_chunked(), "{request:?}: {response:?}");
        assert_kept_or_closed(&mut connection, &response);
    }
}

#[test]
fn the_greeting_has_its_length_or_says_close() {
    for keep in [false, true] {
        let mut request = Request::get("/echo").http10();
        if keep {
            request = request.header("Connection", "keep-alive");
        }
        let response = shared().connect().exchange(&request);
        assert_eq!(response.text(), "Welcome to SockJS!\n");
        match response.header("Content-Length") {
            Some(length) => assert_eq!(length, "19"),
            None => assert!(response.says_close(), "{response:?}"),
        }
    }
}

#[test]
fn an_http10_client_needs_no_host() {
    let mut connection = shared().connect();
    connection.write("GET /echo HTTP/1.0\r\n\r\n");
    assert_eq!(connection.response().text(), "Welcome to SockJS!\n");
}

#[test]
fn a_stream_is_neither_chunked_nor_measured_and_ends_by_closing() {
    for transport in Transport::STREAMS {
        for keep in [false, true] {
            let session = Session::open(shared(), "/echo");
            let mut request = transport.request(&session.url).http10();
            if keep {
                request = request.header("Connection", "keep-alive");
            }
            let mut connection = shared().connect();
            connection.send(&request);
            let head = connection.head();
            assert_eq!(head.status, 200, "{transport:?}");
            assert!(!head.is_chunked(), "{transport:?}: {head:?}");
            assert_eq!(head.header("Content-Length"), None, "{transport:?}");
            assert!(!head.says_keep_alive(), "{transport:?}: {head:?}");

            let message = "x".repeat(5000);
            session.send(&format!("[\"{message}\"]"));
            let body = String::from_utf8(connection.rest()).expect("UTF-8");
            assert!(body.contains(&message), "{transport:?}: {} bytes", body.len());
        }
    }
}

#[test]
fn an_http10_stream_delivers_each_frame_at_once() {
    let session = Session::fresh(shared(), "/echo");
    let mut connection = shared().connect();
    connection.send(&Transport::XhrStreaming.request(&session.url).http10());
    assert_eq!(connection.head().status, 200);
    connection.take(crate::session::XHR_PRELUDE_LENGTH);
    assert_eq!(connection.take(2), b"o\n");
    for _ in 0..3 {
        session.send("[\"x\"]");
        assert_eq!(connection.take(7), b"a[\"x\"]\n");
    }
}

#[test]
fn a_closed_service_ends_an_http10_stream_after_its_close_frame() {
    let session = Session::open(shared(), "/close");
    let mut connection = shared().connect();
    connection.send(&Transport::XhrStreaming.request(&session.url).http10());
    assert_eq!(connection.head().status, 200);
    assert!(connection.rest().ends_with(b"hh\nc[3000,\"Go away!\"]\n"));
}
