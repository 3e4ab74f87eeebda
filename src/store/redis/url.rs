//! Where a store is: `redis://…` and its kin.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo,
    TlsCertificates,
};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// A store's URL, parsed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct StoreUrl {
    pub(super) kind: Kind,
    pub(super) tls: bool,
    user: Option<String>,
    password: Option<String>,
    database: i64,
    /// The authorities that are trusted in place of the system's, as PEM.
    authorities: Option<Vec<u8>>,
}

/// How the server is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Single(Host),
    Unix(PathBuf),
    /// By asking these, for the primary of that name.
    Sentinel(Vec<Host>, String),
    /// By asking these, for the primaries of all slots.
    Cluster(Vec<Host>),
}

/// A name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: u16,
}

/// Why a text is no store's URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {FORMS}")]
pub struct InvalidStoreUrl {
    problem: String,
}

/// Why certificates cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAuthorities {
    /// The store is not reached with TLS.
    #[error("certificates only matter to a store with TLS, such as rediss://…")]
    NoTls,
    /// The text is not PEM, or holds no certificates of authorities.
    #[error("these are no certificates in PEM format: {0}")]
    Malformed(String),
}

const FORMS: &str = "a store is one of redis://[user:password@]host[:port][/database], rediss://… (TLS), \
     redis+unix:///path[?db=&user=&pass=], redis-sentinel://host:port,host:port/primary-name[/database], \
     redis-cluster://host:port,host:port";

fn invalid(problem: impl Into<String>) -> InvalidStoreUrl {
    InvalidStoreUrl { problem: problem.into() }
}

fn decode(text: &str) -> Result<String, InvalidStoreUrl> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| invalid("the URL holds percent escapes that are not UTF-8"))
}

impl StoreUrl {
    pub(super) fn parse(url: &str) -> Result<Self, InvalidStoreUrl> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| invalid(format!("{url:?} is no URL")))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let some = |text: String| if text.is_empty() { None } else { Some(text) };
        let (mut user, mut password) = (some(decode(user)?), some(decode(password)?));
        // A socket's path is no list of names.
        let names = if scheme.ends_with("+unix") { "" } else { path };
        let mut parts = names.split('/').filter(|part| !part.is_empty());
        let plain =
            scheme.replacen("rediss", "redis", 1).replacen("valkeys", "redis", 1).replacen("valkey", "redis", 1);
        let tls = scheme.starts_with("rediss") || scheme.starts_with("valkeys");
        let mut database = None;
        let kind = match plain.as_str() {
            "redis" => Kind::Single(Host::parse(hosts, 6379)?),
            "redis+unix" => {
                for pair in query.split('&').filter(|pair| !pair.is_empty()) {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    match name {
                        "db" => database = Some(value.to_owned()),
                        "user" => user = some(decode(value)?),
                        "pass" => password = some(decode(value)?),
                        _ => return Err(invalid(format!("{name:?} is none of db, user and pass"))),
                    }
                }
                if path.is_empty() {
                    return Err(invalid("the URL names no socket"));
                }
                Kind::Unix(decode(path)?.into())
            }
            "redis-sentinel" => {
                let name = parts.next().ok_or_else(|| invalid("the URL names no primary"))?;
                Kind::Sentinel(Host::parse_all(hosts, 26_379)?, decode(name)?)
            }
            "redis-cluster" => Kind::Cluster(Host::parse_all(hosts, 6379)?),
            _ => return Err(invalid(format!("the scheme {scheme:?} is not known"))),
        };
        if plain != "redis+unix" && !query.is_empty() {
            return Err(invalid(format!("the URL has a query {query:?}, which means nothing here")));
        }
        let database = database.or_else(|| parts.next().map(str::to_owned));
        let database = match database {
            Some(number) => number.parse().ok().filter(|number| *number >= 0),
            None => Some(0),
        };
        let database = database.ok_or_else(|| invalid("the database is no number"))?;
        if let Some(more) = parts.next() {
            return Err(invalid(format!("{more:?} behind the database means nothing")));
        }
        if database != 0 && matches!(kind, Kind::Cluster(_)) {
            return Err(invalid("a cluster has no databases"));
        }
        Ok(Self { kind, tls, user, password, database, authorities: None })
    }

    /// Trusts these authorities, in PEM format, and no others.
    pub(super) fn trust(&mut self, authorities: &[u8]) -> Result<(), InvalidAuthorities> {
        if !self.tls {
            return Err(InvalidAuthorities::NoTls);
        }
        let malformed = |problem: &dyn ToString| InvalidAuthorities::Malformed(problem.to_string());
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities) {
            let certificate = certificate.map_err(|error| malformed(&error))?;
            store.add(certificate).map_err(|error| malformed(&error))?;
        }
        if store.is_empty() {
            return Err(malformed(&"there is none"));
        }
        self.authorities = Some(authorities.to_vec());
        Ok(())
    }

    /// How a server of this store is connected to.
    pub(super) fn connection(&self, host: &Host) -> redis::RedisResult<ConnectionInfo> {
        let (host, port) = (host.name.clone(), host.port);
        let address = if self.tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        self.with(address, self.database)
    }

    /// How a sentinel is connected to: with TLS where the servers are, and the same credentials.
    pub(super) fn sentinel(&self, host: &Host) -> redis::RedisResult<ConnectionInfo> {
        self.connection(host).map(|info| {
            let settings = info.redis_settings().clone().set_db(0);
            info.set_redis_settings(settings)
        })
    }

    pub(super) fn has_credentials(&self) -> bool {
        self.user.is_some() || self.password.is_some()
    }

    pub(super) fn unix(&self, path: &std::path::Path) -> redis::RedisResult<ConnectionInfo> {
        self.with(ConnectionAddr::Unix(path.to_owned()), self.database)
    }

    fn with(&self, address: ConnectionAddr, database: i64) -> redis::RedisResult<ConnectionInfo> {
        let mut settings = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3).set_db(database);
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        let info = address.into_connection_info()?.set_redis_settings(settings);
        match &self.authorities {
            Some(authorities) => {
                let trusted = TlsCertificates { client_tls: None, root_cert: Some(authorities.clone()) };
                Ok(Client::build_with_tls(info, trusted)?.get_connection_info().clone())
            }
            None => Ok(info),
        }
    }
}

/// Without the credentials.
impl std::fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreUrl").field("kind", &self.kind).field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// Without the credentials.
impl std::fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |hosts: &[Host]| hosts.iter().map(Host::to_string).collect::<Vec<_>>().join(", ");
        match &self.kind {
            Kind::Single(host) => write!(f, "Redis at {host}"),
            Kind::Unix(path) => write!(f, "Redis at {}", path.display()),
            Kind::Sentinel(hosts, name) => write!(f, "Redis {name:?} by the sentinels {}", list(hosts)),
            Kind::Cluster(hosts) => write!(f, "Redis Cluster by {}", list(hosts)),
        }
    }
}

impl Host {
    fn parse(text: &str, default: u16) -> Result<Self, InvalidStoreUrl> {
        let (name, port) = match text.rsplit_once(':') {
            // The colons of a bare IPv6 address in brackets are not a port's.
            Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
            _ => (text, None),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        if name.is_empty() {
            return Err(invalid("the URL names no host"));
        }
        let port = match port {
            Some(port) => port.parse().map_err(|_| invalid(format!("{port:?} is no port")))?,
            None => default,
        };
        Ok(Self { name: name.to_owned(), port })
    }

    fn parse_all(text: &str, default: u16) -> Result<Vec<Self>, InvalidStoreUrl> {
        text.split(',').map(|host| Self::parse(host, default)).collect()
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, port: u16) -> Host {
        Host { name: name.to_owned(), port }
    }

    #[test]
    fn all_forms_are_read() {
        let url = StoreUrl::parse("redis://me:p%40ss@example.com/3").unwrap();
        assert_eq!(url.kind, Kind::Single(host("example.com", 6379)));
        assert_eq!((url.user.as_deref(), url.password.as_deref(), url.database), (Some("me"), Some("p@ss"), 3));
        assert_eq!(StoreUrl::parse("redis://[::1]:7000").unwrap().kind, Kind::Single(host("::1", 7000)));
        assert!(StoreUrl::parse("rediss://:secret@h").unwrap().tls);
        let url = StoreUrl::parse("redis+unix:///run/redis.sock?db=2&pass=x").unwrap();
        assert_eq!((url.kind, url.database), (Kind::Unix("/run/redis.sock".into()), 2));
        let url = StoreUrl::parse("redis-sentinel://a,b:1/main/1").unwrap();
        assert_eq!(url.kind, Kind::Sentinel(vec![host("a", 26_379), host("b", 1)], "main".to_owned()));
        let url = StoreUrl::parse("rediss-cluster://a:1,b:2").unwrap();
        assert_eq!((url.kind, url.tls), (Kind::Cluster(vec![host("a", 1), host("b", 2)]), true));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (url, problem) in [
            ("nonsense", "is no URL"),
            ("http://x", "scheme \"http\""),
            ("redis://", "no host"),
            ("redis://h:x", "\"x\" is no port"),
            ("redis://h/x", "no number"),
            ("redis://h/1/2", "\"2\" behind"),
            ("redis://h?db=1", "query"),
            ("redis+unix://", "no socket"),
            ("redis+unix:///s?x=1", "\"x\" is none of"),
            ("redis-sentinel://h", "names no primary"),
            ("redis-cluster://h/1", "no databases"),
        ] {
            let error = StoreUrl::parse(url).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("redis-cluster://"), "{url}: {error}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let mut plain = StoreUrl::parse("redis://h").unwrap();
        assert_eq!(plain.trust(b""), Err(InvalidAuthorities::NoTls));
        let mut url = StoreUrl::parse("rediss://h").unwrap();
        for text in [&b""[..], b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(url.trust(text), Err(InvalidAuthorities::Malformed(_))), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let url = StoreUrl::parse("redis://me:secret@h").unwrap();
        assert!(!format!("{url:?} {url}").contains("secret"));
    }
}
