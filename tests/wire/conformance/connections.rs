//! HTTP/1.1 connections: kept alive, pipelined, asked to wait for 100.

use crate::http::{Connection, Request};
use crate::server::shared;
use crate::session::{SETTLE, Session, Transport};

#[test]
fn answers_of_fixed_length_keep_the_connection() {
    let session = Session::open(shared(), "/echo");
    let mut connection = shared().connect();
    for _ in 0..3 {
        for (request, status) in [
            (Request::get("/echo"), 200),
            (Request::get("/echo/info"), 200),
            (Request::get("/echo/iframe.html"), 200),
            (Request::options("/echo/info"), 204),
            (Request::get("/echo/nowhere"), 404),
            (Request::get("/echo/0/0/xhr"), 405),
            (Request::get("/echo/websocket"), 400),
            (Request::get("/echo/0/0/jsonp"), 500),
            (Request::post(&session.at("xhr_send"), "[\"x\"]"), 204),
            (Request::post(&session.at("xhr_send"), ""), 500),
            (Request::post(&session.at("jsonp_send"), "[\"x\"]"), 200),
            (Request::post("/echo/0/no-such-session/xhr_send", "[\"x\"]"), 404),
            (Request::post(&session.at("xhr"), ""), 200),
        ] {
            let response = connection.exchange(&request);
            assert_eq!(response.status, status, "{request:?}");
            assert!(!response.says_close(), "{request:?}: {response:?}");
            assert_eq!(response.version, "HTTP/1.1", "{request:?}");
        }
    }
}

#[test]
fn connection_close_is_obeyed() {
    for path in ["/echo", "/echo/info", "/echo/nowhere"] {
        let mut connection = shared().connect();
        let response = connection.exchange(&Request::get(path).header("Connection", "close"));
        assert!(response.says_close(), "{path}: {response:?}");
        connection.expect_end();
    }
    let session = Session::open(shared(), "/echo");
    session.send("[\"x\"]");
    let mut connection = shared().connect();
    let poll = Transport::Xhr.request(&session.url).header("Connection", "close");
    assert_eq!(connection.exchange(&poll).text(), "a[\"x\"]\n");
    connection.expect_end();
}

#[test]
fn a_stream_ends_with_the_zero_chunk_and_the_connection_goes_on() {
    for transport in Transport::STREAMS {
        let mut connection = shared().connect();
        for _ in 0..3 {
            let session = Session::open(shared(), "/close");
            let response = connection.exchange(&transport.request(&session.url));
            assert!(response.is_chunked() && !response.says_close(), "{response:?}");
        }
        assert_eq!(connection.exchange(&Request::get("/echo")).status, 200);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let session = Session::fresh(shared(), "/echo");
    let requests = [
        Request::get("/echo"),
        Request::post(&session.at("xhr"), ""),
        Request::post(&session.at("xhr_send"), "[\"in order\"]"),
        Request::get("/echo/nowhere"),
        Request::post(&session.at("xhr"), ""),
        Request::options(&session.at("xhr")),
        Request::get("/echo"),
    ];
    let mut connection = shared().connect();
    connection.write(requests.iter().flat_map(Request::bytes).collect::<Vec<_>>());
    let mut answer = || {
        let response = connection.response();
        (response.status, response.text().to_owned())
    };
    assert_eq!(answer(), (200, "Welcome to SockJS!\n".to_owned()));
    assert_eq!(answer(), (200, "o\n".to_owned()));
    assert_eq!(answer(), (204, String::new()));
    assert_eq!(answer().0, 404);
    assert_eq!(answer(), (200, "a[\"in order\"]\n".to_owned()));
    assert_eq!(answer().0, 204);
    assert_eq!(answer(), (200, "Welcome to SockJS!\n".to_owned()));
}

#[test]
fn a_waiting_poll_delays_what_is_pipelined_behind_it() {
    let session = Session::open(shared(), "/echo");
    let mut connection = shared().connect();
    let both = [Transport::Xhr.request(&session.url), Request::get("/echo")];
    connection.write(both.iter().flat_map(Request::bytes).collect::<Vec<_>>());
    connection.expect_silence(SETTLE);
    session.send("[\"first\"]");
    assert_eq!(connection.response().text(), "a[\"first\"]\n");
    assert_eq!(connection.response().text(), "Welcome to SockJS!\n");
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let session = Session::open(shared(), "/echo");
    let mut connection = shared().connect();
    for byte in Request::post(&session.at("xhr_send"), "[\"\u{fc}\u{1f600}\"]").bytes() {
        connection.write([byte]);
    }
    assert_eq!(connection.response().status, 204);
    assert_eq!(session.poll(), "a[\"\u{fc}\\ud83d\\ude00\"]\n");
}

fn expecting_continue(session: &Session<'_>, body: &str) -> (Connection, Vec<u8>) {
    let request = Request::new("POST", &session.at("xhr_send"))
        .header("Content-Length", body.len().to_string())
        .header("Expect", "100-continue");
    let mut connection = shared().connect();
    connection.send(&request);
    (connection, body.as_bytes().to_vec())
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    let session = Session::open(shared(), "/echo");
    let (mut connection, body) = expecting_continue(&session, "[\"after 100\"]");
    let interim = connection.response();
    assert_eq!(interim.status, 100, "{interim:?}");
    connection.write(body);
    assert_eq!(connection.response().status, 204);
    assert_eq!(session.poll(), "a[\"after 100\"]\n");
}

#[test]
fn a_client_that_expects_100_may_send_its_body_at_once() {
    let session = Session::open(shared(), "/echo");
    let (mut connection, body) = expecting_continue(&session, "[\"at once\"]");
    connection.write(body);
    let mut response = connection.response();
    if response.status == 100 {
        response = connection.response();
    }
    assert_eq!(response.status, 204);
    assert_eq!(session.poll(), "a[\"at once\"]\n");
}

#[test]
fn header_names_and_the_connection_header_are_case_insensitive() {
    let session = Session::open(shared(), "/echo");
    let mut connection = shared().connect();
    connection.write(format!(
        "POST {} HTTP/1.1\r\nhOST: x\r\nCONNECTION: Keep-Alive\r\ncontent-LENGTH: 5\r\n\r\n[\"x\"]",
        session.at("xhr_send")
    ));
    assert_eq!(connection.response().status, 204);
    assert_eq!(connection.exchange(&Request::get("/echo")).status, 200);
}

#[test]
fn every_answer_is_dated_and_none_is_framed_twice() {
    for path in ["/echo", "/echo/info", "/echo/nowhere", "/echo/iframe.html"] {
        let response = shared().get(path);
        assert!(response.header("Date").is_some(), "{path}: {response:?}");
        assert!(response.header("Content-Length").is_some() || response.is_chunked(), "{path}: {response:?}");
    }
}
