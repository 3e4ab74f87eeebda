//! JSESSIONID, for balancers that are sticky by it.

use crate::http::{Request, Response};
use crate::server::shared;
use crate::session::{Session, Transport};

fn head_of(request: &Request) -> Response {
    let mut connection = shared().connect();
    connection.send(request);
    connection.head()
}

/// One request to each endpoint that sets the cookie when the service wants it.
fn requests(service: &str) -> Vec<Request> {
    let open = Session::open(shared(), service);
    let mut requests = vec![
        Request::post(&open.at("xhr_send"), "[\"x\"]"),
        Request::post(&open.at("jsonp_send"), "[\"x\"]"),
        Request::options(&format!("{service}/info")),
    ];
    for endpoint in ["xhr", "xhr_send", "xhr_streaming"] {
        requests.push(Request::options(&open.at(endpoint)));
    }
    for transport in Transport::ALL {
        requests.push(transport.request(&Session::fresh(shared(), service).url));
    }
    requests
}

/// The value of the JSESSIONID cookie that an answer sets; its path must come first.
fn cookie(head: &Response) -> &str {
    let set = head.header("Set-Cookie").expect("a cookie");
    let mut parts = set.split(';').map(str::trim);
    let value = parts.next().and_then(|pair| pair.strip_prefix("JSESSIONID="));
    assert_eq!(parts.next(), Some("path=/"), "{set}");
    value.unwrap_or_else(|| panic!("not a JSESSIONID: {set}"))
}

#[test]
fn a_request_without_a_cookie_gets_a_dummy() {
    for request in requests("/cookie_needed_echo") {
        assert_eq!(cookie(&head_of(&request)), "dummy", "{request:?}");
    }
}

#[test]
fn a_cookie_that_the_client_has_is_set_again_on_every_answer() {
    for request in requests("/cookie_needed_echo") {
        let head = head_of(&request.clone().header("Cookie", "JSESSIONID=abcdef"));
        assert_eq!(cookie(&head), "abcdef", "{request:?}");
    }
}

#[test]
fn the_cookie_is_found_among_others() {
    for (sent, wanted) in [
        ("a=b; JSESSIONID=xyz; c=d", "xyz"),
        ("a=b;JSESSIONID=xyz", "xyz"),
        ("NOTJSESSIONID=abc; b=JSESSIONID", "dummy"),
        ("XJSESSIONID=1; JSESSIONIDX=2", "dummy"),
        ("garbage", "dummy"),
        (";;;", "dummy"),
    ] {
        let session = Session::fresh(shared(), "/cookie_needed_echo");
        let head = head_of(&Transport::Xhr.request(&session.url).header("Cookie", sent));
        assert_eq!(cookie(&head), wanted, "{sent}");
    }
}

#[test]
fn the_cookie_is_set_on_errors_of_the_sending_endpoints_too() {
    let session = Session::open(shared(), "/cookie_needed_echo");
    for endpoint in ["xhr_send", "jsonp_send"] {
        let request = Request::post(&session.at(endpoint), "").header("Cookie", "JSESSIONID=err");
        let head = head_of(&request);
        assert_eq!((head.status, cookie(&head)), (500, "err"), "{endpoint}");
    }
}

#[test]
fn greeting_iframe_and_info_never_set_a_cookie() {
    for path in ["", "/iframe.html", "/info"] {
        let request = Request::get(&format!("/cookie_needed_echo{path}"));
        let head = head_of(&request.header("Cookie", "JSESSIONID=abcdef"));
        assert_eq!(head.header("Set-Cookie"), None, "{path}");
    }
}

#[test]
fn a_service_that_needs_no_cookies_sets_none() {
    for request in requests("/echo") {
        let head = head_of(&request.clone().header("Cookie", "JSESSIONID=abcdef"));
        assert_eq!(head.header("Set-Cookie"), None, "{request:?}");
    }
}
