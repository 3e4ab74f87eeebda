//! `/info`, what clients ask before anything else.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::http::Request;
use crate::server::shared;

fn info(service: &str) -> Value {
    let response = shared().get(&format!("{service}/info"));
    assert_eq!(response.status, 200);
    serde_json::from_slice(&response.body).expect("info is JSON")
}

#[test]
fn info_has_the_fields_that_clients_read() {
    let info = info("/echo");
    assert_eq!(info["websocket"], json!(true));
    assert_eq!(info["cookie_needed"], json!(false));
    assert_eq!(info["origins"], json!(["*:*"]));
    let entropy = info["entropy"].as_u64().expect("entropy is an integer");
    assert!(u32::try_from(entropy).is_ok(), "entropy {entropy}");
}

#[test]
fn info_base_url_when_given_is_absolute_without_a_trailing_slash() {
    if let Some(base_url) = info("/echo").get("base_url") {
        let url = base_url.as_str().expect("base_url is a string");
        assert!(url.starts_with("http://") || url.starts_with("https://"));
        assert!(!url.ends_with('/'), "{url}");
    }
}

#[test]
fn info_is_json_that_must_not_be_cached() {
    let response = shared().get("/echo/info");
    assert_eq!(response.header("Content-Type"), Some("application/json; charset=UTF-8"));
    assert_eq!(
        response.header("Cache-Control"),
        Some("no-store, no-cache, no-transform, must-revalidate, max-age=0")
    );
    assert_eq!(response.header("Set-Cookie"), None);
}

#[test]
fn entropy_differs_between_requests_and_is_a_plain_integer() {
    let mut seen = HashSet::new();
    for _ in 0..12 {
        let response = shared().get("/echo/info?t=1");
        let (_, after) = response.text().split_once("\"entropy\":").expect("entropy in the text");
        let digits = after.trim_start().split([',', '}']).next().expect("a value").trim_end();
        assert!(digits.bytes().all(|byte| byte.is_ascii_digit()), "entropy {digits}");
        assert!(seen.insert(digits.to_owned()), "{digits} came twice");
    }
}

#[test]
fn a_service_without_websockets_says_so() {
    assert_eq!(info("/disabled_websocket_echo")["websocket"], json!(false));
}

#[test]
fn a_service_that_needs_cookies_says_so() {
    assert_eq!(info("/cookie_needed_echo")["cookie_needed"], json!(true));
}

#[test]
fn options_of_info_allows_get_for_a_year() {
    let response = shared().fetch(&Request::options("/echo/info").header("Origin", "http://a.b"));
    assert_eq!((response.status, response.text()), (204, ""));
    let methods = response.list("Access-Control-Allow-Methods");
    for wanted in ["options", "get"] {
        assert!(methods.contains(&wanted.to_owned()), "{methods:?}");
    }
    let max_age = response.header("Access-Control-Max-Age").expect("a max age").parse::<u64>();
    assert!(max_age.is_ok_and(|age| age > 1_000_000));
}
