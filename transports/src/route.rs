//! The URL space below a service's prefix, as one table.
//!
//! 404, 405 with its `Allow`, CORS, caching and the JSESSIONID cookie all follow from a row. Paths are matched raw:
//! nothing is decoded, merged or resolved. Source: SockJS 0.3 protocol, "URL space".

use http::Method;

/// What a path below the prefix leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is named as the last segment of its path")]
pub enum Endpoint {
    Greeting,
    Iframe,
    Info,
    RawWebsocket,
    Websocket,
    Xhr,
    XhrStreaming,
    XhrSend,
    Eventsource,
    Htmlfile,
    Jsonp,
    JsonpSend,
}

/// How clients and proxies may keep an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cache {
    /// Never.
    No,
    /// For a year.
    Year,
    /// Nothing is said.
    Silent,
}

/// The methods that routes are worked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
}

impl Verb {
    pub(crate) fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    /// The method that does the work.
    pub(crate) verb: Verb,
    /// The `Allow` header of a 405; OPTIONS is answered where it stands here.
    pub(crate) allow: &'static str,
    /// `Access-Control-Allow-Methods` of a preflight; none where there is no preflight.
    pub(crate) preflight: Option<&'static str>,
    /// Whether answers carry the CORS headers.
    pub(crate) cors: bool,
    pub(crate) cache: Cache,
    /// Whether answers carry the JSESSIONID cookie, where the service wants it.
    pub(crate) cookie: bool,
}

const ROUTES: [Route; 12] = {
    use Endpoint as E;

    const fn get(endpoint: Endpoint, cache: Cache, cookie: bool) -> Route {
        Route { endpoint, verb: Verb::Get, allow: "GET", preflight: None, cors: false, cache, cookie }
    }
    const fn post(endpoint: Endpoint) -> Route {
        Route {
            endpoint,
            verb: Verb::Post,
            allow: "POST, OPTIONS",
            preflight: Some("OPTIONS, POST"),
            cors: true,
            cache: Cache::No,
            cookie: true,
        }
    }
    [
        get(E::Greeting, Cache::Silent, false),
        get(E::Iframe, Cache::Year, false),
        Route {
            allow: "OPTIONS, GET",
            preflight: Some("OPTIONS, GET"),
            cors: true,
            ..get(E::Info, Cache::No, false)
        },
        get(E::RawWebsocket, Cache::Silent, false),
        get(E::Websocket, Cache::Silent, false),
        post(E::Xhr),
        post(E::XhrStreaming),
        post(E::XhrSend),
        Route { cors: true, ..get(E::Eventsource, Cache::No, true) },
        get(E::Htmlfile, Cache::No, true),
        get(E::Jsonp, Cache::No, true),
        Route { allow: "POST", preflight: None, cors: false, ..post(E::JsonpSend) },
    ]
};

impl Endpoint {
    /// The endpoint's row.
    pub(crate) fn route(self) -> &'static Route {
        const TABLE: &[Route; 12] = &ROUTES;
        &TABLE[self as usize]
    }
}

/// A path that leads somewhere: the endpoint, and the raw session segment where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// What is asked for.
    pub endpoint: Endpoint,
    /// The `<session>` segment, undecoded; empty where the endpoint has none.
    pub session: &'a str,
}

/// Finds where `path` leads, given without the service's prefix; `None` is a 404.
///
/// ```
/// use sockhop_transports::{Endpoint, target};
///
/// let found = target("/000/abc%20d/xhr").unwrap();
/// assert_eq!((found.endpoint, found.session), (Endpoint::Xhr, "abc%20d"));
/// assert!(target("/././xhr").is_none());
/// ```
#[must_use]
pub fn target(path: &str) -> Option<Target<'_>> {
    let without_session = |endpoint| Some(Target { endpoint, session: "" });
    if matches!(path, "" | "/") {
        return without_session(Endpoint::Greeting);
    }
    let mut segments = path.strip_prefix('/')?.split('/');
    match (segments.next()?, segments.next(), segments.next(), segments.next()) {
        ("info", None, ..) => without_session(Endpoint::Info),
        ("websocket", None, ..) => without_session(Endpoint::RawWebsocket),
        (page, None, ..) if is_iframe_page(page) => without_session(Endpoint::Iframe),
        (server, Some(session), Some(transport), None) if is_id(server) && is_id(session) => {
            let endpoint = match transport {
                "websocket" => Endpoint::Websocket,
                "xhr" => Endpoint::Xhr,
                "xhr_streaming" => Endpoint::XhrStreaming,
                "xhr_send" => Endpoint::XhrSend,
                "eventsource" => Endpoint::Eventsource,
                "htmlfile" => Endpoint::Htmlfile,
                "jsonp" => Endpoint::Jsonp,
                "jsonp_send" => Endpoint::JsonpSend,
                _ => return None,
            };
            Some(Target { endpoint, session })
        }
        _ => None,
    }
}

fn is_id(segment: &str) -> bool {
    !segment.is_empty() && !segment.contains('.')
}

fn is_iframe_page(name: &str) -> bool {
    let version = name.strip_prefix("iframe").and_then(|rest| rest.strip_suffix(".html"));
    version.is_some_and(|version| {
        version.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'-' | b'.' | b'_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_stands_at_its_endpoint() {
        for (index, route) in ROUTES.iter().enumerate() {
            assert_eq!(route.endpoint as usize, index);
            assert!(route.allow.contains(route.verb.method().as_str()));
            assert_eq!(route.allow.contains("OPTIONS"), route.preflight.is_some());
        }
    }

    #[test]
    fn paths_lead_where_the_protocol_says() {
        for (path, endpoint) in [
            ("", Endpoint::Greeting),
            ("/", Endpoint::Greeting),
            ("/info", Endpoint::Info),
            ("/websocket", Endpoint::RawWebsocket),
            ("/iframe.html", Endpoint::Iframe),
            ("/iframe-.html", Endpoint::Iframe),
            ("/iframe-a.html", Endpoint::Iframe),
            ("/iframe-0.1.2abc-dirty.2144.html", Endpoint::Iframe),
            ("/a/b/websocket", Endpoint::Websocket),
            ("/a/b/xhr", Endpoint::Xhr),
            ("/a/b/xhr_streaming", Endpoint::XhrStreaming),
            ("/a/b/xhr_send", Endpoint::XhrSend),
            ("/a/b/eventsource", Endpoint::Eventsource),
            ("/a/b/htmlfile", Endpoint::Htmlfile),
            ("/a/b/jsonp", Endpoint::Jsonp),
            ("/a/b/jsonp_send", Endpoint::JsonpSend),
            ("/_/%2E%2f/xhr", Endpoint::Xhr),
        ] {
            assert_eq!(target(path).map(|target| target.endpoint), Some(endpoint), "{path}");
        }
    }

    #[test]
    fn all_else_is_not_found() {
        for path in [
            "/a",
            "/a/",
            "/a.html",
            "/a/a",
            "/a/a/",
            "//",
            "///",
            "///xhr",
            "//xhr",
            "/xhr",
            "////xhr",
            "/a./a/xhr",
            "/a/a./xhr",
            "/././xhr",
            "/../x/xhr",
            "/iframe.htm",
            "/iframe",
            "/IFRAME.HTML",
            "/iframe.HTML",
            "/iframe.xml",
            "/iframe-/.html",
            "/a/a/XHR",
            "/a/a/xhr/",
            "/a/a/a/xhr",
            "/websocket/",
            "/info/",
            "info",
        ] {
            assert_eq!(target(path), None, "{path}");
        }
    }

    #[test]
    fn the_session_is_the_raw_segment() {
        assert_eq!(target("/srv/a%20b/xhr").unwrap().session, "a%20b");
        assert_eq!(target("/srv/ä b/xhr").unwrap().session, "ä b");
    }
}
