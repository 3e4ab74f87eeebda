//! `/iframe<version>.html`.

use crate::http::{Request, Response};
use crate::server::{Server, shared};

const VALID: [&str; 8] = [
    "/echo/iframe.html",
    "/echo/iframe-.html",
    "/echo/iframe-a.html",
    "/echo/iframe-0.1.2.html",
    "/echo/iframe-0.1.2abc-dirty.2144.html",
    "/echo/iframe_x.html",
    "/echo/iframe-a.html?t=1234",
    "/echo/iframe-0.1.2.html?t=123414&x=/y",
];

const INVALID: [&str; 10] = [
    "/echo/iframe.htm",
    "/echo/iframe",
    "/echo/IFRAME.HTML",
    "/echo/IFRAME",
    "/echo/iframe.HTML",
    "/echo/iframe.xml",
    "/echo/iframe-/.html",
    "/echo/iframe-A.html",
    "/echo/iframe-%61.html",
    "/echo/x/iframe.html",
];

fn page_around(script_url: &str) -> String {
    format!(
        "<!DOCTYPE html>
<html>
<head>
  <meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\" />
  <meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\" />
  <script src=\"{script_url}\"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>"
    )
}

fn etag(response: &Response) -> String {
    response.header("ETag").expect("an ETag").to_owned()
}

#[test]
fn every_version_gives_exactly_the_page() {
    for target in VALID {
        let response = shared().get(target);
        assert_eq!(response.status, 200, "{target}");
        assert_eq!(response.header("Content-Type"), Some("text/html; charset=UTF-8"));
        let page = response.text();
        let (_, rest) = page.split_once("<script src=\"").expect("a script");
        let (url, _) = rest.split_once('"').expect("a quoted script URL");
        assert!(url.starts_with('/') || url.starts_with("http"), "the client's URL is {url}");
        assert_eq!(page.trim_end(), page_around(url), "{target}");
    }
}

#[test]
fn every_version_gives_the_same_bytes_and_etag() {
    let first = shared().get(VALID[0]);
    for target in VALID {
        let other = shared().get(target);
        assert_eq!(other.body, first.body, "{target}");
        assert_eq!(etag(&other), etag(&first), "{target}");
    }
}

#[test]
fn the_etag_is_strong_and_quoted() {
    let etag = etag(&shared().get(VALID[0]));
    let inner = etag.strip_prefix('"').and_then(|e| e.strip_suffix('"'));
    assert!(inner.is_some_and(|inner| !inner.is_empty() && !inner.contains('"')), "{etag}");
}

#[test]
fn the_etag_is_the_same_on_another_node() {
    let (one, other) = (Server::start(&[]), Server::start(&[]));
    assert_eq!(etag(&one.get(VALID[0])), etag(&other.get(VALID[0])));
}

#[test]
fn a_known_etag_is_answered_304_without_body_or_content_type() {
    let etag = etag(&shared().get(VALID[0]));
    for target in VALID {
        let response = shared().fetch(&Request::get(target).header("If-None-Match", &etag));
        assert_eq!((response.status, response.text()), (304, ""), "{target}");
        assert_eq!(response.header("Content-Type"), None, "{target}");
    }
}

#[test]
fn another_or_an_unquoted_etag_gets_the_page() {
    let unquoted = etag(&shared().get(VALID[0])).replace('"', "");
    for known in ["\"something-else\"", unquoted.as_str(), ""] {
        let response = shared().fetch(&Request::get(VALID[0]).header("If-None-Match", known));
        assert_eq!(response.status, 200, "{known}");
        assert!(!response.body.is_empty(), "{known}");
    }
}

#[test]
fn a_connection_that_got_304_takes_the_next_request() {
    let mut connection = shared().connect();
    let etag = etag(&connection.exchange(&Request::get(VALID[0])));
    let known = Request::get(VALID[0]).header("If-None-Match", etag);
    assert_eq!(connection.exchange(&known).status, 304);
    assert_eq!(connection.exchange(&Request::get("/echo")).status, 200);
}

#[test]
fn the_page_has_no_cookie_and_no_last_modified() {
    for service in ["/echo", "/cookie_needed_echo"] {
        let response = shared().get(&format!("{service}/iframe.html"));
        assert_eq!(response.status, 200);
        assert_eq!(response.header("Set-Cookie"), None, "{service}");
        assert_eq!(response.header("Last-Modified"), None, "{service}");
    }
}

#[test]
fn other_names_are_not_found() {
    for target in INVALID {
        assert_eq!(shared().get(target).status, 404, "{target}");
    }
}
