//! Sets of keys that change while the server runs, in a file or behind a URL.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::header::ACCEPT;
use http::{Request, StatusCode, Uri};
use http_body_util::Full;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::Jwk;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use tokio::time::Instant;

use crate::http_client::{HttpClient, Server};

/// A set of keys, and where it comes from.
#[derive(Debug)]
pub(super) struct Jwks {
    source: Source,
    /// Who vouches for the server of a URL; `None` for whom the system trusts.
    authorities: Option<RootCertStore>,
    pause: Duration,
    cached: tokio::sync::Mutex<Cached>,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Url(Uri),
}

#[derive(Debug, Default)]
struct Cached {
    keys: Vec<(Option<String>, DecodingKey)>,
    /// When it was last tried, and last done.
    tried: Option<Instant>,
    read: Option<Instant>,
}

/// A set of keys cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidJwks {
    /// It is no URL of a set.
    #[error("{0:?} is no http or https URL")]
    Url(String),
    /// It cannot be read.
    #[error("the keys at {0} cannot be read: {1}")]
    Unreadable(String, String),
    /// There is nobody to trust.
    #[error("no certificates in PEM format of authorities for a set of keys behind a URL")]
    Authorities,
    /// There are none in it that are known here.
    #[error("there is no JSON Web Key Set with usable keys at {0}")]
    NoKeys(String),
}

/// How long a set is used before it is read again.
const FRESH: Duration = Duration::from_secs(300);
/// How long it is not read again, whatever tokens say, unless configured otherwise.
const PAUSE: Duration = Duration::from_secs(10);
/// How long reading it may take, and bytes that it may have.
const TIMEOUT: Duration = Duration::from_secs(5);
const LARGEST: usize = 1024 * 1024;

impl Jwks {
    pub(super) fn file(path: PathBuf) -> Result<Self, InvalidJwks> {
        let keys = parse(&read_file(&path)?, &path.display())?;
        let now = Instant::now();
        let cached = Cached { keys, tried: Some(now), read: Some(now) };
        Ok(Self::of(Source::File(path), cached))
    }

    pub(super) fn url(url: &str) -> Result<Self, InvalidJwks> {
        let invalid = || InvalidJwks::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(invalid());
        }
        Ok(Self::of(Source::Url(uri), Cached::default()))
    }

    fn of(source: Source, cached: Cached) -> Self {
        Self { source, authorities: None, pause: PAUSE, cached: tokio::sync::Mutex::new(cached) }
    }

    /// Trusts these authorities alone.
    pub(super) fn trust(&mut self, pem: &[u8]) -> Result<(), InvalidJwks> {
        let mut authorities = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let added = certificate.ok().and_then(|certificate| authorities.add(certificate).ok());
            added.ok_or(InvalidJwks::Authorities)?;
        }
        if authorities.is_empty() || !matches!(self.source, Source::Url(_)) {
            return Err(InvalidJwks::Authorities);
        }
        self.authorities = Some(authorities);
        Ok(())
    }

    pub(super) fn pause(&mut self, pause: Duration) {
        self.pause = pause;
    }

    /// The keys of a name, or all where a token names none.
    pub(super) async fn keys(&self, id: Option<&str>) -> Result<Vec<DecodingKey>, InvalidJwks> {
        let mut cached = self.cached.lock().await;
        let since = |at: Option<Instant>| at.map(|at| at.elapsed());
        let stale = since(cached.read).is_none_or(|age| age > FRESH);
        let unknown = id.is_some_and(|id| !cached.keys.iter().any(|(known, _)| known.as_deref() == Some(id)));
        let paused = since(cached.tried).is_some_and(|age| age < self.pause);
        if (stale || unknown) && !paused {
            cached.tried = Some(Instant::now());
            match self.read().await {
                Ok(keys) => (cached.keys, cached.read) = (keys, Some(Instant::now())),
                Err(error) if cached.keys.is_empty() => return Err(error),
                // Those that are known are good until it can be read again.
                Err(error) => tracing::warn!(%error, "keys could not be read again"),
            }
        }
        if cached.keys.is_empty() {
            return Err(InvalidJwks::NoKeys(self.source.to_string()));
        }
        let wanted = |(known, _): &&(Option<String>, DecodingKey)| {
            id.is_none() || known.is_none() || known.as_deref() == id
        };
        Ok(cached.keys.iter().filter(wanted).map(|(_, key)| key.clone()).collect())
    }

    async fn read(&self) -> Result<Vec<(Option<String>, DecodingKey)>, InvalidJwks> {
        let text = match &self.source {
            Source::File(path) => {
                let path = path.clone();
                let reading = tokio::task::spawn_blocking(move || read_file(&path)).await;
                reading.map_err(|error| self.unreadable(&error))??
            }
            Source::Url(uri) => match tokio::time::timeout(TIMEOUT, fetch(uri, self.authorities.as_ref())).await {
                Ok(Ok(text)) => text,
                Ok(Err(error)) => return Err(self.unreadable(&error)),
                Err(_) => return Err(self.unreadable(&"no answer in time")),
            },
        };
        parse(&text, &self.source)
    }

    fn unreadable(&self, error: &dyn std::fmt::Display) -> InvalidJwks {
        InvalidJwks::Unreadable(self.source.to_string(), error.to_string())
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(uri) => write!(f, "{uri}"),
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, InvalidJwks> {
    std::fs::read(path).map_err(|error| InvalidJwks::Unreadable(path.display().to_string(), error.to_string()))
}

/// The keys that are known here: a set may hold others.
fn parse(text: &[u8], place: &dyn std::fmt::Display) -> Result<Vec<(Option<String>, DecodingKey)>, InvalidJwks> {
    let set: Value = serde_json::from_slice(text).unwrap_or_default();
    let keys = set["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    let key = |key: &Value| {
        let jwk: Jwk = serde_json::from_value(key.clone()).ok()?;
        let is_for_signatures = key["use"].as_str().is_none_or(|purpose| purpose == "sig");
        Some((jwk.common.key_id.clone(), DecodingKey::from_jwk(&jwk).ok().filter(|_| is_for_signatures)?))
    };
    let keys: Vec<_> = keys.iter().filter_map(key).collect();
    if keys.is_empty() { Err(InvalidJwks::NoKeys(place.to_string())) } else { Ok(keys) }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a GET answers.
async fn fetch(uri: &Uri, authorities: Option<&RootCertStore>) -> Result<Vec<u8>, Failure> {
    let server = Server::trusting(uri.clone(), authorities)?;
    let request = Request::get(uri).header(ACCEPT, "application/json").body(Full::default())?;
    let (status, body) = HttpClient::new(server, TIMEOUT).ask(request, LARGEST).await?;
    if status != StatusCode::OK {
        return Err(format!("status {status}").into());
    }
    Ok(body.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(id: &str) -> String {
        serde_json::json!({ "keys": [{ "kty": "oct", "kid": id, "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA" }] })
            .to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_is_read_again_for_a_new_key_and_never_twice_within_its_pause() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys.json");
        std::fs::write(&file, set("one")).unwrap();
        let jwks = Jwks::file(file.clone()).unwrap();
        let known = async |id| jwks.keys(Some(id)).await.unwrap().len();
        std::fs::write(&file, set("two")).unwrap();
        assert_eq!((known("one").await, known("two").await), (1, 0), "within the pause");
        tokio::time::advance(PAUSE).await;
        assert_eq!((known("two").await, known("one").await), (1, 0), "rotated");
        std::fs::write(&file, set("three")).unwrap();
        tokio::time::advance(PAUSE - Duration::from_millis(1)).await;
        assert_eq!(known("three").await, 0, "a pause after the last");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(known("three").await, 1);
        std::fs::write(&file, set("four")).unwrap();
        tokio::time::advance(FRESH + Duration::from_secs(1)).await;
        assert_eq!(known("three").await, 0, "a key that is taken out is trusted for so long at most");
        std::fs::remove_file(&file).unwrap();
        tokio::time::advance(FRESH + Duration::from_secs(1)).await;
        assert_eq!(known("four").await, 1, "what is known stays, while it cannot be read again");
    }
}
