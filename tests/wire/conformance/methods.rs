//! Known paths with a wrong method: 405, `Allow`, and nothing else.

use crate::http::{Request, Response};
use crate::server::shared;
use crate::ws::handshake;

/// Path, and the methods that it knows.
const ROUTES: [(&str, &[&str]); 12] = [
    ("/echo", &["get"]),
    ("/echo/", &["get"]),
    ("/echo/iframe.html", &["get"]),
    ("/echo/info", &["get", "options"]),
    ("/echo/websocket", &["get"]),
    ("/echo/0/0/websocket", &["get"]),
    ("/echo/0/0/xhr", &["options", "post"]),
    ("/echo/0/0/xhr_send", &["options", "post"]),
    ("/echo/0/0/xhr_streaming", &["options", "post"]),
    ("/echo/0/0/eventsource", &["get"]),
    ("/echo/0/0/jsonp", &["get"]),
    ("/echo/0/0/jsonp_send", &["post"]),
];

fn assert_refused(response: &Response, allowed: &[&str], claim: &str) {
    assert_eq!((response.status, response.text()), (405, ""), "{claim}");
    assert_eq!(response.header("Content-Type"), None, "{claim}");
    let mut allow = response.list("Allow");
    allow.retain(|method| method != "head");
    allow.sort();
    assert_eq!(allow, allowed, "{claim}");
}

#[test]
fn a_wrong_method_is_405_with_allow_and_neither_body_nor_content_type() {
    for (path, allowed) in ROUTES.iter().chain(&[("/echo/0/0/htmlfile", &["get"][..])]) {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            if !allowed.contains(&method.to_ascii_lowercase().as_str()) {
                let response = shared().fetch(&Request::new(method, path));
                assert_refused(&response, allowed, &format!("{method} {path}"));
            }
        }
    }
}

#[test]
fn a_wrong_method_with_a_body_is_405_and_the_connection_goes_on() {
    let mut connection = shared().connect();
    for _ in 0..3 {
        let response = connection.exchange(&Request::post("/echo/info", "a body"));
        assert_refused(&response, &["get", "options"], "POST /echo/info");
    }
    assert_eq!(connection.exchange(&Request::get("/echo")).status, 200);
}

#[test]
fn head_is_405_or_200_and_never_has_a_body() {
    for path in ["/echo", "/echo/info", "/echo/iframe.html"] {
        let mut connection = shared().connect();
        connection.send(&Request::new("HEAD", path));
        let head = connection.head();
        assert!(matches!(head.status, 200 | 405), "{path}: {head:?}");
        // A body would stand where the next answer has to begin.
        if !head.says_close() {
            connection.send(&Request::get("/echo"));
            assert_eq!(connection.response().text(), "Welcome to SockJS!\n");
        }
    }
}

#[test]
fn a_posted_websocket_handshake_is_405() {
    for path in ["/echo/websocket", "/echo/0/0/websocket"] {
        let upgrade = Request::new("POST", path)
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", crate::ws::KEY);
        assert_refused(&shared().fetch(&upgrade), &["get"], path);
    }
}

#[test]
fn an_unknown_method_is_refused_too() {
    let response = shared().fetch(&Request::new("BREW", "/echo/0/0/xhr"));
    assert!(matches!(response.status, 400 | 405 | 501), "{response:?}");
    shared().expect_still_serving();
}

#[test]
fn a_websocket_handshake_elsewhere_is_an_ordinary_request() {
    let response = shared().fetch(&handshake("/echo"));
    assert_eq!(response.text(), "Welcome to SockJS!\n");
}
