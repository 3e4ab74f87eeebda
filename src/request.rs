//! The request that opened a session, as its handler may see it.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use sockhop_transports::Transport;

/// What is known of the request that opened a session. The session id, which authorises, is not in it.
///
/// ```no_run
/// # fn greet(request: &sockhop::RequestInfo) -> String {
/// format!("{} from {:?}, {:?}", request.transport(), request.remote(), request.header("user-agent"))
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestInfo {
    #[serde(rename = "t")]
    transport: Transport,
    #[serde(rename = "p")]
    path: Box<str>,
    #[serde(rename = "q")]
    query: Box<str>,
    #[serde(rename = "h", with = "headers")]
    headers: Box<[(HeaderName, HeaderValue)]>,
    #[serde(rename = "a")]
    remote: Option<SocketAddr>,
    /// In milliseconds since 1970.
    #[serde(rename = "i", default)]
    at: u64,
}

/// Headers as a store keeps them: names and values as text, each byte of a value one character.
mod headers {
    use http::{HeaderName, HeaderValue};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        headers: &[(HeaderName, HeaderValue)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = |value: &HeaderValue| value.as_bytes().iter().map(|byte| char::from(*byte)).collect::<String>();
        serializer.collect_seq(headers.iter().map(|(name, value)| (name.as_str(), text(value))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Box<[(HeaderName, HeaderValue)]>, D::Error> {
        let pairs = Vec::<(String, String)>::deserialize(deserializer)?;
        let header = |(name, value): (String, String)| {
            let bytes: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            let value = HeaderValue::from_bytes(&bytes.ok_or_else(|| D::Error::custom("no header value"))?);
            Ok((name.parse().map_err(D::Error::custom)?, value.map_err(D::Error::custom)?))
        };
        pairs.into_iter().map(header).collect()
    }
}

/// Headers that are kept unless the service says otherwise: those by which applications tell clients apart.
pub(crate) const DEFAULT_HEADERS: [HeaderName; 9] = [
    http::header::ACCEPT_LANGUAGE,
    http::header::FORWARDED,
    http::header::HOST,
    http::header::ORIGIN,
    http::header::REFERER,
    http::header::USER_AGENT,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];

/// Bytes of one header value that are kept at most; longer ones are left out.
const HEADER_LIMIT: usize = 1024;
/// Bytes of a query string that are kept at most; a longer one is left out.
const QUERY_LIMIT: usize = 4096;
/// Bytes of a cookie.
const COOKIE_LIMIT: usize = 8192;

/// A cookie of a request, as `NAME=VALUE`.
fn cookie(head: &Parts, name: &str) -> Option<String> {
    let cookies = head.headers.get_all(http::header::COOKIE);
    let mut pairs = cookies.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let pair = pairs.find_map(|pair| pair.trim().split_once('=').filter(|(known, _)| *known == name))?;
    (pair.1.len() <= COOKIE_LIMIT).then(|| format!("{name}={}", pair.1))
}

impl RequestInfo {
    /// What would be kept of a request; for those who write stores and their tests.
    #[must_use]
    pub fn from_parts(transport: Transport, prefix: &str, head: &Parts, remote: Option<SocketAddr>) -> Self {
        Self::new(transport, prefix, head, remote, &DEFAULT_HEADERS)
    }

    pub(crate) fn new(
        transport: Transport,
        prefix: &str,
        head: &Parts,
        remote: Option<SocketAddr>,
        kept: &[HeaderName],
    ) -> Self {
        let keep = |name: &HeaderName| {
            let value = head.headers.get(name).filter(|value| value.len() <= HEADER_LIMIT)?;
            // Copied: the original shares the connection's whole read buffer.
            Some((name.clone(), HeaderValue::from_bytes(value.as_bytes()).ok()?))
        };
        Self {
            transport,
            path: prefix.into(),
            query: head.uri.query().filter(|query| query.len() <= QUERY_LIMIT).unwrap_or_default().into(),
            headers: kept.iter().filter_map(keep).collect(),
            remote,
            at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64,
        }
    }

    /// The same with one of the request's cookies, the others left out.
    pub(crate) fn with_cookie(mut self, head: &Parts, name: Option<&str>) -> Self {
        let Some(pair) = name.and_then(|name| cookie(head, name)) else { return self };
        if let Ok(pair) = HeaderValue::from_str(&pair) {
            let mut headers = self.headers.into_vec();
            headers.retain(|(name, _)| name != http::header::COOKIE);
            headers.push((http::header::COOKIE, pair));
            self.headers = headers.into();
        }
        self
    }

    /// The transport with which the session began. An HTTP session may go on over another.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The service's prefix: the part of the path that is not secret.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The raw query string, without `?`; empty where there is none, or more than 4 KiB of it.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    /// One of the headers that the service keeps, as text; `None` where it was not sent or is not text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(kept, _)| kept.as_str().eq_ignore_ascii_case(name))?.1.to_str().ok()
    }

    /// All headers that the service keeps.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        self.headers.iter().cloned().collect()
    }

    /// When it came, by the clock of the node that it came to.
    #[must_use]
    pub fn at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.at)
    }

    /// The address of the client, or of the proxy before the server.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }
}
