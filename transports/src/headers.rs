//! Headers that several endpoints share: CORS, caching, cookies. Source: SockJS 0.3 protocol, "Shared header rules".

use std::time::{Duration, SystemTime};

use headers::{Expires, HeaderMapExt};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, CACHE_CONTROL, COOKIE,
    HOST, ORIGIN, REFERER, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderValue};

use crate::options::{Options, Origins};
use crate::route::{Cache, Route};

const NO_CACHE: HeaderValue =
    HeaderValue::from_static("no-store, no-cache, no-transform, must-revalidate, max-age=0");
const ONE_YEAR: HeaderValue = HeaderValue::from_static("public, max-age=31536000");
const YEAR: Duration = Duration::from_secs(31_536_000);

/// The headers of every answer of a route: CORS, cache and cookie, whatever its status.
pub(crate) fn common(route: &Route, options: &Options, request: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(6);
    match route.cache {
        Cache::No => {
            headers.insert(CACHE_CONTROL, NO_CACHE);
        }
        Cache::Year => cache_for_a_year(&mut headers),
        Cache::Silent => {}
    }
    if route.cors {
        cors(&mut headers, options, request);
    }
    if route.cookie && options.cookie_needed {
        headers.insert(SET_COOKIE, session_cookie(request));
    }
    headers
}

/// The headers of a preflight answer.
pub(crate) fn preflight(methods: &'static str, options: &Options, request: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    cache_for_a_year(&mut headers);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("31536000"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    cors(&mut headers, options, request);
    if options.cookie_needed {
        headers.insert(SET_COOKIE, session_cookie(request));
    }
    headers
}

fn cache_for_a_year(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, ONE_YEAR);
    headers.typed_insert(Expires::from(SystemTime::now() + YEAR));
}

fn cors(headers: &mut HeaderMap, options: &Options, request: &HeaderMap) {
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    if !origin_allowed(options, request) {
        return;
    }
    match origin(request) {
        None => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        Some(origin) => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
    if let Some(asked) = request.get(ACCESS_CONTROL_REQUEST_HEADERS).filter(|asked| !asked.is_empty()) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
}

fn origin(request: &HeaderMap) -> Option<&HeaderValue> {
    request.get(ORIGIN).filter(|origin| !origin.is_empty())
}

/// Whether the page that sends the request may talk to the service. Pages of this very host may, and what is no page.
pub(crate) fn origin_allowed(options: &Options, request: &HeaderMap) -> bool {
    let Origins::Only(allowed) = &options.origins else { return true };
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned).unwrap_or_default();
    let page = match (origin(request), request.get(REFERER)) {
        (Some(origin), _) => text(origin),
        // Scripts and frames of other sites, such as jsonp's, are fetched without `Origin`.
        (None, Some(referer)) => origin_of(&text(referer)).to_owned(),
        (None, None) => {
            let cross_site = request.get("sec-fetch-site").is_some_and(|site| site.as_bytes() == b"cross-site");
            return !cross_site;
        }
    };
    // Schemes are not compared: behind a proxy that ends TLS the server does not know its own.
    let host = request.get(HOST).and_then(|host| host.to_str().ok());
    let authority = page.split_once("://").map(|(_, authority)| authority);
    let own = matches!((authority, host), (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host));
    own || allowed.contains(&page)
}

/// Scheme, host and port of a URL.
fn origin_of(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |at| authority + at);
    &url[..end]
}

/// `JSESSIONID` as the client sent it, or `dummy`.
fn session_cookie(request: &HeaderMap) -> HeaderValue {
    let sent = request.get_all(COOKIE).iter().find_map(|cookies| {
        let value =
            cookies.to_str().ok()?.split(';').find_map(|cookie| cookie.trim().strip_prefix("JSESSIONID="))?;
        is_cookie_value(value).then_some(value)
    });
    let cookie = format!("JSESSIONID={}; path=/", sent.unwrap_or("dummy"));
    HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static("JSESSIONID=dummy; path=/"))
}

/// RFC 6265 `cookie-octet`s, of a sane length: nothing that could end the cookie or the header.
fn is_cookie_value(value: &str) -> bool {
    let octet = |byte: u8| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
    value.len() <= 256 && value.bytes().all(octet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Endpoint;

    fn request(headers: &[(&'static str, &str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn origins_are_echoed_with_credentials_and_a_missing_one_is_a_star() {
        for (origin, allowed, credentials) in [
            (None, "*", None),
            (Some(""), "*", None),
            (Some("test"), "test", Some("true")),
            (Some("null"), "null", Some("true")),
            (Some("https://a.b:81"), "https://a.b:81", Some("true")),
        ] {
            let sent = request(&origin.map(|origin| ("origin", origin)).into_iter().collect::<Vec<_>>());
            let headers = common(Endpoint::Xhr.route(), &Options::default(), &sent);
            assert_eq!(text(&headers, "access-control-allow-origin"), Some(allowed));
            assert_eq!(text(&headers, "access-control-allow-credentials"), credentials);
            assert_eq!(text(&headers, "vary"), Some("Origin"));
        }
    }

    #[test]
    fn asked_headers_are_echoed_unless_empty() {
        for (asked, echoed) in [("a, b, c", Some("a, b, c")), ("", None)] {
            let sent = request(&[("access-control-request-headers", asked)]);
            let headers = preflight("OPTIONS, POST", &Options::default(), &sent);
            assert_eq!(text(&headers, "access-control-allow-headers"), echoed);
        }
    }

    #[test]
    fn every_route_has_its_cache_class() {
        for (endpoint, cache) in [
            (Endpoint::Greeting, None),
            (Endpoint::Iframe, Some("public, max-age=31536000")),
            (Endpoint::Info, Some("no-store, no-cache, no-transform, must-revalidate, max-age=0")),
            (Endpoint::JsonpSend, Some("no-store, no-cache, no-transform, must-revalidate, max-age=0")),
        ] {
            let headers = common(endpoint.route(), &Options::default(), &HeaderMap::new());
            assert_eq!(text(&headers, "cache-control"), cache, "{endpoint:?}");
            assert_eq!(headers.contains_key("expires"), endpoint == Endpoint::Iframe);
            assert!(!headers.contains_key("last-modified"));
        }
    }

    #[test]
    fn the_cookie_is_the_clients_or_dummy_and_never_more() {
        let options = Options { cookie_needed: true, ..Options::default() };
        for (sent, cookie) in [
            (&[][..], "JSESSIONID=dummy; path=/"),
            (&[("cookie", "a=b; JSESSIONID=abc.1!x")], "JSESSIONID=abc.1!x; path=/"),
            (&[("cookie", "XJSESSIONID=1")], "JSESSIONID=dummy; path=/"),
            (&[("cookie", "JSESSIONID=a b")], "JSESSIONID=dummy; path=/"),
            (&[("cookie", "JSESSIONID=\"a\"")], "JSESSIONID=dummy; path=/"),
            (&[("cookie", "JSESSIONID=a,b")], "JSESSIONID=dummy; path=/"),
        ] {
            let headers = common(Endpoint::Xhr.route(), &options, &request(sent));
            assert_eq!(text(&headers, "set-cookie"), Some(cookie));
        }
        let info = common(Endpoint::Info.route(), &options, &HeaderMap::new());
        assert!(!info.contains_key("set-cookie"));
    }

    #[test]
    fn a_request_without_origin_is_judged_by_the_page_that_made_it() {
        let options = Options { origins: Origins::Only(vec!["https://ok".into()]), ..Options::default() };
        for (sent, allowed) in [
            (&[][..], true),
            (&[("referer", "https://ok/page?x#y")], true),
            (&[("referer", "https://ok")], true),
            (&[("referer", "https://own:1/page")], true),
            (&[("referer", "https://evil/https://ok")], false),
            (&[("referer", "https://ok.evil/")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("referer", "nonsense")], false),
        ] {
            let mut headers = request(sent);
            headers.insert(HOST, "own:1".parse().unwrap());
            assert_eq!(origin_allowed(&options, &headers), allowed, "{sent:?}");
        }
    }

    #[test]
    fn a_refused_origin_gets_no_cors_headers() {
        let options = Options { origins: Origins::Only(vec!["https://ok".into()]), ..Options::default() };
        for (origin, allowed) in [
            (Some("https://ok"), true),
            (Some("https://own:1"), true),
            (Some("https://ok.evil"), false),
            (Some("null"), false),
            (None, true),
        ] {
            let mut sent = request(&[("host", "own:1")]);
            if let Some(origin) = origin {
                sent.insert(ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(origin_allowed(&options, &sent), allowed, "{origin:?}");
            let headers = common(Endpoint::Info.route(), &options, &sent);
            assert_eq!(headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), allowed);
        }
    }
}
