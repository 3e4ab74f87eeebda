//! The opening handshake, the same for both websocket endpoints.

use crate::http::Request;
use crate::server::shared;
use crate::session::Session;
use crate::ws::{KEY, WebSocket, assert_accepted, handshake};

fn endpoints() -> [String; 2] {
    ["/echo/websocket".to_owned(), Session::fresh(shared(), "/echo").at("websocket")]
}

#[test]
fn a_handshake_is_answered_101_without_a_length() {
    for target in endpoints() {
        let mut connection = shared().connect();
        connection.send(&handshake(&target));
        let head = connection.head();
        assert_accepted(&head);
        assert_eq!(head.header("Content-Length"), None, "{target}");
        assert!(!head.is_chunked(), "{target}");
        assert_eq!(head.header("Sec-WebSocket-Protocol"), None, "{target}");
        assert_eq!(head.header("Sec-WebSocket-Extensions"), None, "{target}");
    }
}

#[test]
fn connection_may_be_a_list_and_case_does_not_matter() {
    for (upgrade, connection) in
        [("websocket", "keep-alive, Upgrade"), ("WebSocket", "keep-alive,upgrade"), ("WEBSOCKET", "UPGRADE")]
    {
        for target in endpoints() {
            let request = Request::get(&target)
                .header("Upgrade", upgrade)
                .header("Connection", connection)
                .header("Sec-WebSocket-Version", "13")
                .header("Sec-WebSocket-Key", KEY)
                .header("Origin", "http://elsewhere.example")
                .header("Cookie", "a=b");
            let mut stream = shared().connect();
            stream.send(&request);
            assert_accepted(&stream.head());
        }
    }
}

#[test]
fn a_get_without_upgrade_is_400() {
    for target in endpoints() {
        let response = shared().get(&target);
        assert_eq!(response.status, 400, "{target}");
        assert_eq!(response.text().trim_end(), "Not a valid websocket request", "{target}");
    }
}

#[test]
fn an_upgrade_that_a_proxy_ate_is_400() {
    for connection in [Some("close"), Some("keep-alive"), None] {
        for target in endpoints() {
            let mut request = Request::get(&target)
                .header("Upgrade", "WebSocket")
                .header("Sec-WebSocket-Version", "13")
                .header("Sec-WebSocket-Key", KEY);
            if let Some(connection) = connection {
                request = request.header("Connection", connection);
            }
            assert_eq!(shared().fetch(&request).status, 400, "{target}, {connection:?}");
        }
    }
}

#[test]
fn an_upgrade_to_something_else_is_400() {
    for target in endpoints() {
        let request = Request::get(&target).header("Upgrade", "h2c").header("Connection", "Upgrade");
        assert_eq!(shared().fetch(&request).status, 400, "{target}");
    }
}

#[test]
fn other_versions_of_the_protocol_are_refused() {
    for version in ["12", "99", "x"] {
        let request = Request::get("/echo/websocket")
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Version", version)
            .header("Sec-WebSocket-Key", KEY);
        let response = shared().fetch(&request);
        assert!(matches!(response.status, 400 | 426), "{version}: {response:?}");
    }
}

#[test]
fn a_handshake_without_a_usable_key_is_400() {
    for key in [None, Some(""), Some("short")] {
        for target in endpoints() {
            let mut request = Request::get(&target)
                .header("Upgrade", "websocket")
                .header("Connection", "Upgrade")
                .header("Sec-WebSocket-Version", "13");
            if let Some(key) = key {
                request = request.header("Sec-WebSocket-Key", key);
            }
            assert_eq!(shared().fetch(&request).status, 400, "{target}, {key:?}");
        }
    }
}

#[test]
fn the_old_hixie_76_handshake_is_400() {
    for target in endpoints() {
        let mut connection = shared().connect();
        connection.send(
            &Request::get(&target)
                .header("Upgrade", "WebSocket")
                .header("Connection", "Upgrade")
                .header("Origin", "http://localhost")
                .header("Sec-WebSocket-Key1", "4 @1  46546xW%0l 1 5")
                .header("Sec-WebSocket-Key2", "12998 5 Y3 1  .P00"),
        );
        assert_eq!(connection.head().status, 400, "{target}");
    }
}

#[test]
fn a_frame_sent_along_with_the_handshake_is_kept() {
    let frame = crate::ws::Frame::text("early").masked();
    let mut connection = shared().connect();
    connection.write([handshake("/echo/websocket").bytes(), frame].concat());
    assert_accepted(&connection.head());
    WebSocket { connection }.expect_text("early");
}

#[test]
fn a_handshake_may_follow_other_requests_on_its_connection() {
    for target in endpoints() {
        let mut connection = shared().connect();
        assert_eq!(connection.exchange(&Request::get("/echo")).status, 200);
        assert_eq!(connection.exchange(&Request::get(&target)).status, 400);
        connection.send(&handshake(&target));
        assert_accepted(&connection.head());
    }
}

#[test]
fn an_offered_extension_is_never_assumed() {
    let mut connection = shared().connect();
    let offer = "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame, bogus";
    connection.send(&handshake("/echo/websocket").header("Sec-WebSocket-Extensions", offer));
    let head = connection.head();
    assert_accepted(&head);
    let agreed = head.header("Sec-WebSocket-Extensions").unwrap_or_default();
    assert!(!agreed.contains("bogus") && !agreed.contains("x-webkit"), "{agreed}");
    // Uncompressed messages are legal whatever was agreed.
    WebSocket { connection }.expect_echo("plain", "plain");
}
