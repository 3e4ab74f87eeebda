//! Attempts to smuggle lines into answers through what the server repeats: cookies, callbacks, origins.

use super::status_before_end;
use crate::http::{Request, Response};
use crate::server::shared;
use crate::session::Session;

/// The reader of heads refuses bare CRs and LFs by itself; what is left to look for is a header of the attacker's.
fn assert_not_injected(response: &Response, attempt: &str) {
    for (name, value) in &response.headers {
        assert!(!name.eq_ignore_ascii_case("X-Injected"), "{attempt:?}: {response:?}");
        assert!(!value.contains(['\r', '\n', '\0']), "{attempt:?}: {response:?}");
    }
}

#[test]
fn a_cookie_cannot_bring_attributes_or_lines_of_its_own() {
    for value in [
        "x; Domain=evil.example; Secure",
        "x%0d%0aX-Injected:%201",
        "\"x\\r\\nX-Injected: 1\"",
        "x, JSESSIONID=y",
        "x\tX-Injected: 1",
    ] {
        let session = Session::fresh(shared(), "/cookie_needed_echo");
        let cookie = format!("JSESSIONID={value}");
        let response = shared().fetch(&Request::post(&session.at("xhr"), "").header("Cookie", &cookie));
        if response.status == 400 {
            continue;
        }
        assert_not_injected(&response, value);
        let set = response.header("Set-Cookie").expect("a cookie");
        let (pair, attributes) = set.split_once(';').expect("a path");
        assert!(pair.starts_with("JSESSIONID="), "{set}");
        assert_eq!(attributes.trim(), "path=/", "{value:?} gave {set}");
    }
}

/// Raw control characters inside header values: refused, or answered without repeating them.
#[test]
fn bare_control_characters_in_repeated_headers_are_refused_or_dropped() {
    for control in ["\r", "\n", "\0", "\u{7f}", "\u{1}"] {
        for name in ["Cookie", "Origin", "Access-Control-Request-Headers"] {
            let value = format!("JSESSIONID=a{control}X-Injected: 1");
            let session = Session::fresh(shared(), "/cookie_needed_echo");
            let mut connection = shared().connect();
            let request = Request::post(&session.at("xhr"), "").header("Connection", "close").header(name, &value);
            connection.send(&request);
            let head = connection.head();
            // A bare LF may be taken for a line's end, which makes the rest a header of the request and nothing worse.
            assert!(matches!(head.status, 200 | 400), "{name}, {control:?}: {head:?}");
            assert_not_injected(&head, &value);
        }
    }
    shared().expect_still_serving();
}

#[test]
fn bytes_beyond_ascii_in_repeated_headers_harm_nobody() {
    for name in ["Cookie", "Origin", "Access-Control-Request-Headers"] {
        let session = Session::fresh(shared(), "/cookie_needed_echo");
        let value = b"JSESSIONID=\xff\xfe\xc3\xbc";
        let mut connection = shared().connect();
        let request = Request::post(&session.at("xhr"), "").header("Connection", "close").header(name, value);
        connection.send(&request);
        let status = status_before_end(&mut connection);
        assert!(matches!(status, Some(200 | 400)), "{name}: {status:?}");
    }
    shared().expect_still_serving();
}

#[test]
fn a_callback_cannot_bring_lines_or_script_of_its_own() {
    for callback in [
        "a%0d%0aX-Injected:%201",
        "a%0aX-Injected:1",
        "alert(1)//",
        "%3Cscript%3E",
        "a%22",
        "a%27",
        "%E2%80%A8",
        "%",
        "%zz",
        "%ff",
        "a%00",
    ] {
        for endpoint in ["jsonp", "htmlfile"] {
            let session = Session::fresh(shared(), "/echo");
            let response = shared().get(&session.at(&format!("{endpoint}?c={callback}")));
            assert_eq!(response.status, 500, "{endpoint}, {callback}");
            assert_eq!(response.text().trim_end(), "invalid \"callback\" parameter", "{endpoint}, {callback}");
            assert_not_injected(&response, callback);
        }
    }
}

#[test]
fn an_error_does_not_repeat_the_callback() {
    for endpoint in ["jsonp", "htmlfile"] {
        let session = Session::fresh(shared(), "/echo");
        let response = shared().get(&session.at(&format!("{endpoint}?c=%3Cimg%20src=x%3E")));
        assert!(!response.text().contains("<img"), "{response:?}");
    }
}

#[test]
fn an_unknown_path_is_not_repeated_as_html() {
    let response = shared().get("/echo/%3Cscript%3Ealert(1)%3C/script%3E<b>");
    assert!(matches!(response.status, 400 | 404), "{response:?}");
    let is_html = response.header("Content-Type").is_some_and(|content_type| content_type.contains("html"));
    assert!(!(is_html && response.text().contains("<b>")), "{response:?}");
}
