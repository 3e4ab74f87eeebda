//! Asking other servers over HTTP.

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use std::sync::Arc;
use std::time::Duration;

/// Asks the server of one URL. Its connections are kept for further requests.
#[derive(Debug, Clone)]
pub(crate) struct HttpClient {
    url: Uri,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// There is no answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// Nothing of the request has arrived.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// The request may have been handled.
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("its answer has more than {0} bytes")]
    TooLarge(usize),
}

/// Why a text is no URL of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidUrl {
    #[error("it is no http or https URL")]
    Scheme,
    #[error("it holds a user or a password, which would end up in logs")]
    Credentials,
    #[error("TLS cannot be set up")]
    Tls,
}

/// How long a connection is kept without a request: less than common servers do, so that none is closed by the other side
/// while a request is on its way.
const IDLE: Duration = Duration::from_secs(4);
/// Connections without a request that are kept.
const MOST_IDLE: usize = 64;

/// A server that can be asked.
pub(crate) struct Server {
    pub(crate) url: Uri,
    tls: rustls::ClientConfig,
}

impl Server {
    /// The server of a URL. Reads the system's authorities where it needs them.
    pub(crate) fn parse(url: &str) -> Result<Self, InvalidUrl> {
        let url: Uri = url.parse().map_err(|_| InvalidUrl::Scheme)?;
        if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none_or(str::is_empty) {
            return Err(InvalidUrl::Scheme);
        }
        if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(InvalidUrl::Credentials);
        }
        Self::trusting(url, None).map_err(|_| InvalidUrl::Tls)
    }

    /// The server of a URL, for which these authorities vouch; those of the system where there are none.
    pub(crate) fn trusting(url: Uri, authorities: Option<&RootCertStore>) -> Result<Self, rustls::Error> {
        let roots = match authorities {
            Some(roots) => roots.clone(),
            None if url.scheme_str() == Some("https") => of_the_system(),
            None => RootCertStore::empty(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(Self { url, tls: builder.with_root_certificates(roots).with_no_client_auth() })
    }
}

impl HttpClient {
    pub(crate) fn new(server: Server, connect_timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connect_timeout));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(server.tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MOST_IDLE)
            .build(connector);
        Self { url: server.url, client }
    }

    /// The URL, as it may be shown.
    pub(crate) fn shown(&self) -> String {
        shown(&self.url.to_string())
    }

    /// What the server answers to a request for the URL; at most `most` bytes of it.
    pub(crate) async fn ask(
        &self,
        mut request: Request<Full<Bytes>>,
        most: usize,
    ) -> Result<(StatusCode, Bytes), NoAnswer> {
        request.uri_mut().clone_from(&self.url);
        let response = self.client.request(request).await.map_err(|error| {
            let reason = whole(&error);
            if error.is_connect() { NoAnswer::Unreachable(reason) } else { NoAnswer::Broken(reason) }
        })?;
        let (head, body) = response.into_parts();
        match Limited::new(body, most).collect().await {
            Ok(body) => Ok((head.status, body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(NoAnswer::TooLarge(most)),
            Err(error) => Err(NoAnswer::Broken(whole(&*error))),
        }
    }
}

/// The authorities that the system trusts.
fn of_the_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// A URL without what may be secret: user, password and query.
pub(crate) fn shown(url: &str) -> String {
    let (place, query) = url.split_once('?').map_or((url, ""), |(place, _)| (place, "?…"));
    let (scheme, rest) = place.split_once("://").map_or(("", place), |(scheme, rest)| (scheme, rest));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority.to_owned(), |(_, host)| format!("…@{host}"));
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{host}{path}{query}")
}

/// An error and what led to it.
fn whole(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_secret_in_a_url_is_not_shown() {
        for (url, expected) in [
            ("https://x/hook", "https://x/hook"),
            ("https://ann:secret@x:1/hook?key=secret", "https://…@x:1/hook?…"),
            ("ann:se@cret@x", "…@x"),
            ("ftp", "ftp"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }

    #[test]
    fn only_urls_of_servers_are_taken_and_none_with_credentials() {
        for (url, error) in [
            ("ftp://x/keys", InvalidUrl::Scheme),
            ("keys.json", InvalidUrl::Scheme),
            ("http://", InvalidUrl::Scheme),
            ("http://ann:secret@x/", InvalidUrl::Credentials),
        ] {
            assert_eq!(Server::parse(url).err(), Some(error), "{url}");
        }
        assert!(Server::parse("https://[::1]:8443/x?y").is_ok());
    }
}
