//! Who may read answers from another origin.

use crate::http::{Request, Response};
use crate::server::{Server, shared};
use crate::session::{Session, Transport};

const ORIGIN: &str = "Access-Control-Allow-Origin";
const CREDENTIALS: &str = "Access-Control-Allow-Credentials";
const HEADERS: &str = "Access-Control-Allow-Headers";

fn head_of(request: &Request) -> Response {
    let mut connection = shared().connect();
    connection.send(request);
    connection.head()
}

/// One request to each endpoint that XHR may call across origins; eventsource stands apart.
fn cross_origin_requests() -> Vec<Request> {
    let open = Session::open(shared(), "/echo");
    let fresh = || Session::fresh(shared(), "/echo").url;
    let mut requests = vec![
        Request::get("/echo/info"),
        Transport::Xhr.request(&fresh()),
        Transport::XhrStreaming.request(&fresh()),
        Request::post(&open.at("xhr_send"), "[\"x\"]"),
        Request::post(&open.at("xhr_send"), "broken"),
        Request::post(&format!("{}/xhr_send", fresh()), "[\"x\"]"),
    ];
    for path in ["info", "0/0/xhr", "0/0/xhr_send", "0/0/xhr_streaming"] {
        requests.push(Request::options(&format!("/echo/{path}")));
    }
    requests
}

#[test]
fn without_an_origin_everyone_may_read_but_without_credentials() {
    for request in cross_origin_requests() {
        let head = head_of(&request);
        assert_eq!(head.header(ORIGIN), Some("*"), "{request:?}");
        assert_eq!(head.header(CREDENTIALS), None, "{request:?}");
    }
}

#[test]
fn an_empty_origin_counts_as_none() {
    for request in cross_origin_requests() {
        let head = head_of(&request.clone().header("Origin", ""));
        assert_eq!(head.header(ORIGIN), Some("*"), "{request:?}");
        assert_eq!(head.header(CREDENTIALS), None, "{request:?}");
    }
}

#[test]
fn an_origin_is_echoed_byte_for_byte_with_credentials() {
    for origin in ["http://a.b:81", "https://Example.ORG/", "test", "null"] {
        for request in cross_origin_requests() {
            let head = head_of(&request.clone().header("Origin", origin));
            assert_eq!(head.header(ORIGIN), Some(origin), "{request:?}");
            assert_eq!(head.header(CREDENTIALS), Some("true"), "{request:?}");
        }
    }
}

#[test]
fn eventsource_echoes_the_origin_too() {
    let request = || Transport::EventSource.request(&Session::fresh(shared(), "/echo").url);
    let head = head_of(&request());
    assert_eq!(head.header(ORIGIN), Some("*"));
    assert_eq!(head.header(CREDENTIALS), None);
    let head = head_of(&request().header("Origin", "http://a.b"));
    assert_eq!(head.header(ORIGIN), Some("http://a.b"));
    assert_eq!(head.header(CREDENTIALS), Some("true"));
}

#[test]
fn eventsource_lets_the_null_origin_read() {
    let url = Session::fresh(shared(), "/echo").url;
    let head = head_of(&Transport::EventSource.request(&url).header("Origin", "null"));
    match head.header(ORIGIN) {
        Some("*") => assert_eq!(head.header(CREDENTIALS), None),
        Some("null") => assert_eq!(head.header(CREDENTIALS), Some("true")),
        other => panic!("a null origin got {other:?}"),
    }
}

#[test]
fn requested_headers_are_echoed_unchanged() {
    for wanted in ["a, b, c", "X-Custom", "a,b ,  C"] {
        for request in cross_origin_requests() {
            let asking = request.clone().header("Access-Control-Request-Headers", wanted);
            assert_eq!(head_of(&asking).header(HEADERS), Some(wanted), "{request:?}");
        }
    }
}

#[test]
fn no_headers_requested_none_allowed() {
    for request in cross_origin_requests() {
        assert_eq!(head_of(&request).header(HEADERS), None, "{request:?}");
    }
    for request in cross_origin_requests() {
        let empty = request.header("Access-Control-Request-Headers", "");
        assert_eq!(head_of(&empty).header(HEADERS), None, "{empty:?}");
    }
}

#[test]
fn answers_that_name_an_origin_vary_by_it() {
    for request in cross_origin_requests() {
        let head = head_of(&request.clone().header("Origin", "http://a.b"));
        assert!(head.list("Vary").contains(&"origin".to_owned()), "{request:?}: {head:?}");
    }
}

#[test]
fn the_other_endpoints_have_no_cors_headers() {
    let open = Session::open(shared(), "/echo");
    let fresh = || Session::fresh(shared(), "/echo").url;
    let requests = [
        Request::get("/echo"),
        Request::get("/echo/iframe.html"),
        Request::get("/echo/websocket"),
        Request::get(&format!("{}/websocket", fresh())),
        crate::ws::handshake(&format!("{}/websocket", fresh())),
        Transport::HtmlFile.request(&fresh()),
        Transport::Jsonp.request(&fresh()),
        Request::post(&open.at("jsonp_send"), "[\"x\"]"),
    ];
    for request in requests {
        let head = head_of(&request.clone().header("Origin", "http://a.b"));
        assert_eq!(head.header(ORIGIN), None, "{request:?}");
        assert_eq!(head.header(CREDENTIALS), None, "{request:?}");
    }
}

#[test]
fn preflights_allow_post_for_more_than_a_million_seconds() {
    for endpoint in ["xhr", "xhr_send", "xhr_streaming"] {
        let session = Session::fresh(shared(), "/echo");
        let response = shared().fetch(&Request::options(&session.at(endpoint)));
        assert_eq!((response.status, response.text()), (204, ""), "{endpoint}");
        let methods = response.list("Access-Control-Allow-Methods");
        for wanted in ["options", "post"] {
            assert!(methods.contains(&wanted.to_owned()), "{endpoint}: {methods:?}");
        }
        let max_age = response.header("Access-Control-Max-Age").expect("a max age");
        assert!(max_age.parse::<u64>().is_ok_and(|age| age > 1_000_000), "{max_age}");
        let created = session.try_send("[\"x\"]").status != 404;
        assert!(!created, "OPTIONS of {endpoint} created a session");
    }
}

#[test]
fn an_origin_off_the_allow_list_gets_no_cors_headers() {
    let server = Server::start(&["--origins", "https://good.example,https://also.example"]);
    for origin in ["https://good.example", "https://also.example"] {
        let response = server.fetch(&Request::get("/echo/info").header("Origin", origin));
        assert_eq!(response.header(ORIGIN), Some(origin));
        assert_eq!(response.header(CREDENTIALS), Some("true"));
    }
    for origin in ["https://evil.example", "https://good.example.evil.example", "null"] {
        let response = server.fetch(&Request::get("/echo/info").header("Origin", origin));
        assert_eq!(response.header(ORIGIN), None, "{origin}");
        assert_eq!(response.header(CREDENTIALS), None, "{origin}");
    }
}
