//! `POST /xhr_send`.

use crate::http::Request;
use crate::server::shared;
use crate::session::Session;

#[test]
fn a_valid_array_is_204_with_exact_headers_and_no_body() {
    let session = Session::open(shared(), "/echo");
    let response = session.try_send("[\"x\"]");
    assert_eq!((response.status, response.text()), (204, ""));
    assert_eq!(response.header("Content-Type"), Some("text/plain; charset=UTF-8"));
    assert_eq!(response.header("Access-Control-Allow-Origin"), Some("*"));
}

#[test]
fn the_messages_of_one_array_arrive_in_order() {
    let session = Session::open(shared(), "/echo");
    session.send("[\"one\",\"two\",\"three\"]");
    assert_eq!(session.poll(), "a[\"one\",\"two\",\"three\"]\n");
    session.send(" [ \"a\" ,\n\t\"b\" ] \r\n");
    assert_eq!(session.poll(), "a[\"a\",\"b\"]\n");
}

#[test]
fn an_empty_array_is_accepted_and_delivers_nothing() {
    let session = Session::open(shared(), "/echo");
    session.send("[]");
    session.send("[\"x\"]");
    assert_eq!(session.poll(), "a[\"x\"]\n");
}

#[test]
fn an_empty_message_is_a_message() {
    let session = Session::open(shared(), "/echo");
    session.send("[\"\",\"\"]");
    assert_eq!(session.poll(), "a[\"\",\"\"]\n");
}

#[test]
fn sending_to_an_unknown_session_is_404_and_creates_none() {
    let session = Session::fresh(shared(), "/echo");
    for _ in 0..2 {
        assert_eq!(session.try_send("[\"x\"]").status, 404);
    }
    assert_eq!(session.poll(), "o\n");
    session.send("[\"now\"]");
    assert_eq!(session.poll(), "a[\"now\"]\n");
}

#[test]
fn an_empty_body_is_500_payload_expected() {
    let session = Session::open(shared(), "/echo");
    let without_length = shared().fetch(&Request::new("POST", &session.at("xhr_send")));
    for response in [session.try_send(""), without_length] {
        assert_eq!((response.status, response.text()), (500, "Payload expected."));
    }
}

#[test]
fn broken_json_is_500_broken_json_encoding() {
    let session = Session::open(shared(), "/echo");
    for body in ["[\"x", "[", "\"x", "x", "[\"x\"]]", "[\"x\",]", "['x']", "[\"x\"] y", "[\"\\x\"]", "[\"\t\"]"] {
        let response = session.try_send(body);
        assert_eq!((response.status, response.text()), (500, "Broken JSON encoding."), "{body}");
    }
}

#[test]
fn json_that_is_no_array_is_500_payload_expected() {
    let session = Session::open(shared(), "/echo");
    for body in ["{}", "\"x\"", "1", "null", "true", "{\"0\":\"x\"}"] {
        let response = session.try_send(body);
        assert_eq!((response.status, response.text()), (500, "Payload expected."), "{body}");
    }
}

#[test]
fn a_bad_body_to_an_unknown_session_reports_the_body() {
    let session = Session::fresh(shared(), "/echo");
    assert_eq!(session.try_send("").text(), "Payload expected.");
    assert_eq!(session.try_send("[\"x").text(), "Broken JSON encoding.");
}

#[test]
fn bad_requests_leave_the_session_usable() {
    let session = Session::open(shared(), "/echo");
    for body in ["", "[\"x", "{}", "\u{feff}x", "[1,", "[[[[[["] {
        assert_eq!(session.try_send(body).status, 500, "{body}");
    }
    session.send("[\"fine\"]");
    assert_eq!(session.poll(), "a[\"fine\"]\n");
}

#[test]
fn elements_that_are_no_strings_harm_neither_server_nor_session() {
    let session = Session::open(shared(), "/echo");
    for body in ["[1]", "[null]", "[{}]", "[[\"x\"]]", "[true,\"x\"]", "[1e999]"] {
        let status = session.try_send(body).status;
        assert!(matches!(status, 204 | 500), "{body}: {status}");
    }
    session.send("[\"last\"]");
    let frame = session.poll();
    assert!(frame.starts_with("a[") && frame.ends_with("\"last\"]\n"), "{frame}");
}

#[test]
fn deeply_nested_json_harms_nobody() {
    let session = Session::open(shared(), "/echo");
    let depth = 100_000;
    let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let status = session.try_send(nested).status;
    assert!(matches!(status, 204 | 500), "{status}");
    shared().expect_still_serving();
}

#[test]
fn any_content_type_will_do() {
    let session = Session::open(shared(), "/echo");
    for content_type in [
        "text/plain",
        "text/plain; charset=UTF-8",
        "text/plain;charset=iso-8859-1",
        "T",
        "application/json",
        "application/json;charset=utf-8",
        "application/xml",
        "text/xml; charset=utf-8; action=\"a/b\"",
        "",
    ] {
        let request = Request::post(&session.at("xhr_send"), "[\"\u{fc}\"]");
        let response = shared().fetch(&request.header("Content-Type", content_type));
        assert_eq!(response.status, 204, "{content_type:?}");
        assert_eq!(session.poll(), "a[\"\u{fc}\"]\n", "{content_type:?}");
    }
}

#[test]
fn even_a_content_type_beyond_the_reference_will_do() {
    let session = Session::open(shared(), "/echo");
    for content_type in ["application/x-www-form-urlencoded", "image/png", "nonsense", "/;;="] {
        let request = Request::post(&session.at("xhr_send"), "[\"x\"]");
        let response = shared().fetch(&request.header("Content-Type", content_type));
        assert_eq!(response.status, 204, "{content_type:?}");
        assert_eq!(session.poll(), "a[\"x\"]\n", "{content_type:?}");
    }
}

#[test]
fn sending_to_a_closing_session_is_accepted_and_ignored() {
    let session = Session::fresh(shared(), "/close");
    assert_eq!(session.poll(), "o\n");
    session.send("[\"too late\"]");
    assert_eq!(session.poll(), "c[3000,\"Go away!\"]\n");
    session.send("[\"too late\"]");
    assert_eq!(session.poll(), "c[3000,\"Go away!\"]\n");
}

#[test]
fn a_message_of_a_hundred_kibibytes_comes_back_whole() {
    let session = Session::open(shared(), "/echo");
    let message = "0123456789abcdef".repeat(6400);
    session.send(&format!("[\"{message}\"]"));
    assert!(session.poll() == format!("a[\"{message}\"]\n"));
}
