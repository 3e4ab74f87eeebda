//! `BASE` and `BASE/`.

use crate::server::shared;

const SERVICES: [&str; 7] =
    ["/echo", "/disabled_websocket_echo", "/cookie_needed_echo", "/close", "/ticker", "/amplify", "/broadcast"];

#[test]
fn every_base_url_greets_with_and_without_a_trailing_slash() {
    for service in SERVICES {
        for target in [service.to_owned(), format!("{service}/")] {
            let response = shared().get(&target);
            assert_eq!(response.status, 200, "{target}");
            assert_eq!(response.text(), "Welcome to SockJS!\n", "{target}");
            assert_eq!(response.header("Content-Type"), Some("text/plain; charset=UTF-8"), "{target}");
        }
    }
}

#[test]
fn the_greeting_ignores_its_query() {
    assert_eq!(shared().get("/echo?t=1&u=%2F").text(), "Welcome to SockJS!\n");
    assert_eq!(shared().get("/echo/?a//b").text(), "Welcome to SockJS!\n");
}

#[test]
fn the_greeting_has_no_cookie_no_caching_and_no_cors() {
    for service in SERVICES {
        let response = shared().get(service);
        for absent in ["Set-Cookie", "Cache-Control", "Expires", "Access-Control-Allow-Origin"] {
            assert_eq!(response.header(absent), None, "{absent} on {service}");
        }
    }
}
