//! Which paths exist: matched on the raw path, nothing decoded or tidied up first.

use crate::http::Request;
use crate::server::shared;
use crate::session::{Session, unused_id};

/// Below a service's base URL; none of these exists, whatever the method.
const NOWHERE: [&str; 38] = [
    "/a",
    "/a/",
    "/a.html",
    "/a/a",
    "/a/a/",
    "/a/a/a",
    "/a/a/a/xhr",
    "//",
    "///",
    "/xhr",
    "//xhr",
    "///xhr",
    "////xhr",
    "/a//xhr",
    "//a/xhr",
    "/xhr_send",
    "/xhr_streaming",
    "/a/xhr",
    "/././xhr",
    "/a./a/xhr",
    "/a/a./xhr",
    "/a/./xhr",
    "/./a/xhr",
    "/../a/xhr",
    "/a/../xhr",
    "/a/..a/xhr",
    "/a.b/c/xhr",
    "/a/b.c/xhr",
    "/a/b.c/xhr_send",
    "/a/b.c/xhr_streaming",
    "/a/b.c/websocket",
    "/./info",
    "/../echo/info",
    "/info/x",
    "/INFO",
    "/a/a/XHR",
    "/a/a/xhrx",
    "/%69nfo",
];

#[test]
fn paths_with_dots_empty_segments_or_no_meaning_are_not_found() {
    for path in NOWHERE {
        let target = format!("/echo{path}");
        assert_eq!(shared().get(&target).status, 404, "GET {target}");
        assert_eq!(shared().post(&target, "").status, 404, "POST {target}");
    }
}

#[test]
fn paths_beside_a_service_are_not_found() {
    for target in ["/ech", "/echox", "/echo.html", "/echo%2F", "//echo", "/no_such_service"] {
        assert_eq!(shared().get(target).status, 404, "{target}");
    }
    for target in ["/no_such_service/info", "/echox/info", "//echo/info", "/Echo/info"] {
        assert_eq!(shared().get(target).status, 404, "{target}");
    }
}

#[test]
fn any_segment_without_slash_or_dot_is_an_id() {
    let id = unused_id();
    let long = "x".repeat(1500);
    let servers = ["a", "_", "1", "abcdefgh_i-j%20", "%2E%2F", "~!$&()*+,;=:@", &long];
    for (number, server) in servers.iter().enumerate() {
        let url = format!("/echo/{server}/{id}{number}");
        assert_eq!(shared().post(&format!("{url}/xhr"), "").text(), "o\n", "{url}");
    }
    for session in ["-", "_", "%20", "%2e", "%2F", "%00", "~!$&()*+,;=:@", &long] {
        let url = format!("/echo/0/{id}{session}");
        assert_eq!(shared().post(&format!("{url}/xhr"), "").text(), "o\n", "{url}");
    }
}

#[test]
fn ids_are_compared_undecoded() {
    let id = unused_id();
    assert_eq!(shared().post(&format!("/echo/0/{id}%61/xhr"), "").text(), "o\n");
    assert_eq!(shared().post(&format!("/echo/0/{id}a/xhr_send"), "[\"x\"]").status, 404);
    assert_eq!(shared().post(&format!("/echo/0/{id}%61/xhr_send"), "[\"x\"]").status, 204);
}

#[test]
fn the_server_segment_is_ignored() {
    let id = unused_id();
    let at = |server: &str, endpoint: &str| format!("/echo/{server}/{id}/{endpoint}");
    assert_eq!(shared().post(&at("000", "xhr"), "").text(), "o\n");
    assert_eq!(shared().post(&at("111", "xhr_send"), "[\"a\"]").status, 204);
    assert_eq!(shared().post(&at("%20-", "xhr"), "").text(), "a[\"a\"]\n");
}

#[test]
fn the_query_is_no_part_of_routing() {
    let session = Session::fresh(shared(), "/echo");
    assert_eq!(shared().post(&session.at("xhr?t=1"), "").text(), "o\n");
    let sent = shared().post(&session.at("xhr_send?t=2&x=/../y?z"), "[\"a\"]");
    assert_eq!(sent.status, 204);
    assert_eq!(shared().post(&session.at("xhr?"), "").text(), "a[\"a\"]\n");
}

#[test]
fn the_same_id_below_two_services_is_two_sessions() {
    let id = unused_id();
    let (echo, other) = (format!("/echo/0/{id}"), format!("/disabled_websocket_echo/0/{id}"));
    for url in [&echo, &other] {
        assert_eq!(shared().post(&format!("{url}/xhr"), "").text(), "o\n", "{url}");
    }
    shared().post(&format!("{echo}/xhr_send"), "[\"only for echo\"]");
    shared().post(&format!("{other}/xhr_send"), "[\"only for the other\"]");
    assert_eq!(shared().post(&format!("{other}/xhr"), "").text(), "a[\"only for the other\"]\n");
}

#[test]
fn a_service_without_websockets_has_no_websocket_endpoint() {
    for path in ["/websocket", "/0/0/websocket"] {
        let target = format!("/disabled_websocket_echo{path}");
        assert_eq!(shared().get(&target).status, 404, "{target}");
        let upgrade = crate::ws::handshake(&target);
        assert_eq!(shared().fetch(&upgrade).status, 404, "{target} with upgrade");
    }
}

#[test]
fn an_absolute_request_target_is_served_like_its_path() {
    let session = Session::fresh(shared(), "/echo");
    let target = format!("http://localhost{}", session.at("xhr"));
    assert_eq!(shared().post(&target, "").text(), "o\n");
    let greeting = shared().fetch(&Request::get("http://localhost/echo"));
    assert_eq!(greeting.text(), "Welcome to SockJS!\n");
}

#[test]
fn a_connection_that_got_404_takes_the_next_request() {
    let mut connection = shared().connect();
    for _ in 0..3 {
        assert_eq!(connection.exchange(&Request::get("/echo/a")).status, 404);
        assert_eq!(connection.exchange(&Request::post("/echo/a/a", "x")).status, 404);
    }
    assert_eq!(connection.exchange(&Request::get("/echo")).status, 200);
}
