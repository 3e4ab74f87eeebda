//! The servers of a store: which of them has which hash slot, and a connection to each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use rand::Rng;
use redis::{ConnectionInfo, RedisResult, Value};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::keys::SLOTS;
use super::link::{self, Link, Unusable};
use super::url::{Host, Kind, StoreUrl};

/// One server, connected to for as long as it has slots.
pub(super) struct Server {
    pub(super) place: Place,
    link: watch::Sender<Option<Link>>,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    At(Host),
    Socket(std::path::PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(host) => host.fmt(f),
            Self::Socket(path) => path.display().fmt(f),
        }
    }
}

/// Which server has which slots: ranges, first and last.
#[derive(Default, Clone)]
pub(super) struct Map {
    ranges: Vec<(u16, u16, Arc<Server>)>,
}

impl Map {
    pub(super) fn server(&self, slot: u16) -> Option<&Arc<Server>> {
        self.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).map(|(_, _, server)| server)
    }

    /// Each server once.
    pub(super) fn servers(&self) -> Vec<Arc<Server>> {
        let mut servers: Vec<Arc<Server>> = Vec::new();
        for (_, _, server) in &self.ranges {
            if !servers.iter().any(|known| Arc::ptr_eq(known, server)) {
                servers.push(Arc::clone(server));
            }
        }
        servers
    }

    /// Whether a server is known for each slot.
    fn is_whole(&self) -> bool {
        self.ranges.iter().map(|(first, last, _)| u32::from(last - first) + 1).sum::<u32>() == u32::from(SLOTS)
    }
}

/// All servers.
pub(super) struct Servers {
    me: Weak<Self>,
    url: StoreUrl,
    timeout: Duration,
    map: RwLock<Arc<Map>>,
    /// Rung when the map changed, or a connection came or went.
    pub(super) changed: watch::Sender<u64>,
    /// Rung when the map seems to be wrong.
    doubted: Arc<Notify>,
    /// What stands in the way, for start-up, readiness and errors.
    trouble: Mutex<HashMap<String, Unusable>>,
}

/// Pauses between attempts to connect: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How often the map of a cluster, or a sentinel's opinion, is asked for though nothing seems wrong.
const REFRESH: Duration = Duration::from_secs(10);

impl Servers {
    /// Begins to look for the servers.
    pub(super) fn start(url: StoreUrl, timeout: Duration) -> Arc<Self> {
        let servers = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            url,
            timeout,
            map: RwLock::default(),
            changed: watch::Sender::new(0),
            doubted: Arc::default(),
            trouble: Mutex::default(),
        });
        tokio::spawn(keep_map(Arc::downgrade(&servers)));
        servers
    }

    pub(super) fn url(&self) -> &StoreUrl {
        &self.url
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn map(&self) -> Arc<Map> {
        Arc::clone(&self.map.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn ring(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// The map seems to be wrong: it is asked for again.
    pub(super) fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// What stands in the way of using the store, if anything does.
    pub(super) fn trouble(&self) -> Option<Unusable> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let hopeless = trouble.values().find(|trouble| matches!(trouble, Unusable::Ever(_)));
        hopeless.or_else(|| trouble.values().next()).cloned()
    }

    pub(super) fn note(&self, who: &str, trouble: Option<Unusable>) {
        let mut all = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble {
            Some(trouble) => {
                let new = all.get(who).is_none_or(|known| known.to_string() != trouble.to_string());
                if new {
                    tracing::warn!(store = %self.url, server = who, problem = %trouble, "cannot use the store's server; trying again");
                }
                all.insert(who.to_owned(), trouble);
            }
            None => {
                if all.remove(who).is_some() {
                    tracing::info!(store = %self.url, server = who, "the store's server can be used");
                }
            }
        }
    }

    /// A server is none of the store any more: what stood in its way does not matter.
    fn forget(&self, place: &Place) {
        let mut all = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let place = place.to_string();
        all.retain(|who, _| *who != place && who.strip_suffix(" (Pub/Sub)") != Some(&place));
    }

    /// Whether every slot has a server that is connected to.
    pub(super) fn is_whole(&self) -> bool {
        let map = self.map();
        map.is_whole() && map.servers().iter().all(|server| server.link.borrow().is_some())
    }

    /// The connection for a slot, waited for until `deadline`.
    pub(super) async fn link(&self, slot: u16, deadline: Instant) -> Result<Link, Unusable> {
        let mut changes = self.changed.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(server) = self.map().server(slot)
                && let Some(link) = server.link.borrow().as_ref().filter(|link| !link.closed.is_cancelled())
            {
                return Ok(link.clone());
            }
            if let Some(trouble @ Unusable::Ever(_)) = self.trouble() {
                return Err(trouble);
            }
            if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                let none = || Unusable::Yet("no server is connected to".to_owned());
                return Err(self.trouble().unwrap_or_else(none));
            }
        }
    }

    fn connection(&self, place: &Place) -> RedisResult<ConnectionInfo> {
        match place {
            Place::At(host) => self.url.connection(host),
            Place::Socket(path) => self.url.unix(path),
        }
    }

    /// A connection of its own to a server, with a sink for what it says unasked.
    pub(super) async fn connect(
        &self,
        server: &Server,
        on_push: impl Fn(redis::PushInfo) -> Result<(), redis::aio::SendError> + Send + Sync + 'static,
    ) -> RedisResult<redis::aio::MultiplexedConnection> {
        link::connect(self.connection(&server.place)?, self.timeout, on_push).await
    }

    /// Asks who has which slot.
    async fn find(&self) -> Result<Vec<(u16, u16, Place)>, Unusable> {
        match &self.url.kind {
            Kind::Single(host) => Ok(vec![(0, SLOTS - 1, Place::At(host.clone()))]),
            Kind::Unix(path) => Ok(vec![(0, SLOTS - 1, Place::Socket(path.clone()))]),
            Kind::Sentinel(hosts, name) => {
                let mut last = Unusable::Yet("no sentinel answers".to_owned());
                for host in hosts {
                    match self.ask_sentinel(host, name).await {
                        Ok(primary) => return Ok(vec![(0, SLOTS - 1, Place::At(primary))]),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            Kind::Cluster(seeds) => {
                let map = self.map();
                let mut last = Unusable::Yet("no server of the cluster answers".to_owned());
                let known = map.servers();
                // Those that are known to be there first: seeds may be long gone.
                for server in known.iter().filter(|server| server.link.borrow().is_some()) {
                    if let Place::At(host) = &server.place
                        && let Ok(ranges) = self.ask_cluster(host).await
                    {
                        return Ok(ranges);
                    }
                }
                for host in seeds {
                    match self.ask_cluster(host).await {
                        Ok(ranges) => return Ok(ranges),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    async fn ask_sentinel(&self, host: &Host, name: &str) -> Result<Host, Unusable> {
        let mut connection = self.connect_sentinel(host).await?;
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("get-master-addr-by-name").arg(name);
        let primary: Option<(String, u16)> = ask.query_async(&mut connection).await?;
        let (name, port) = primary.ok_or_else(|| Unusable::Yet(format!("{host} knows no primary {name:?}")))?;
        Ok(Host { name, port })
    }

    /// Connects with the credentials of the servers, or without, since sentinels often know none.
    async fn connect_sentinel(&self, host: &Host) -> Result<redis::aio::MultiplexedConnection, Unusable> {
        let info = self.url.sentinel(host)?;
        let open = info
            .clone()
            .set_redis_settings(redis::RedisConnectionInfo::default().set_protocol(redis::ProtocolVersion::RESP3));
        match link::connect(info, self.timeout, |_| Ok(())).await.map_err(Unusable::from) {
            Err(Unusable::Ever(_)) if self.url.has_credentials() => {
                Ok(link::connect(open, self.timeout, |_| Ok(())).await?)
            }
            connected => connected,
        }
    }

    async fn ask_cluster(&self, host: &Host) -> Result<Vec<(u16, u16, Place)>, Unusable> {
        let mut connection = link::connect(self.url.connection(host)?, self.timeout, |_| Ok(())).await?;
        let mut ask = redis::cmd("CLUSTER");
        ask.arg("SLOTS");
        let answer = connection.send_packed_command(&ask).await?;
        let ranges =
            ranges(answer, host).ok_or_else(|| Unusable::Yet("CLUSTER SLOTS was not understood".to_owned()))?;
        if ranges.is_empty() {
            return Err(Unusable::Yet("the cluster has no slots yet".to_owned()));
        }
        Ok(ranges)
    }

    fn adopt(&self, ranges: Vec<(u16, u16, Place)>) {
        let before = self.map();
        let mut servers: HashMap<Place, Arc<Server>> =
            before.servers().into_iter().map(|server| (server.place.clone(), server)).collect();
        let ranges: Vec<_> = ranges
            .into_iter()
            .map(|(first, last, place)| {
                let server = servers.entry(place.clone()).or_insert_with(|| self.begin(place));
                (first, last, Arc::clone(server))
            })
            .collect();
        let same = ranges.len() == before.ranges.len()
            && ranges
                .iter()
                .zip(&before.ranges)
                .all(|(new, old)| (new.0, new.1) == (old.0, old.1) && Arc::ptr_eq(&new.2, &old.2));
        if !same {
            for gone in before.servers() {
                if !ranges.iter().any(|(_, _, server)| Arc::ptr_eq(server, &gone)) {
                    self.forget(&gone.place);
                }
            }
            *self.map.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Map { ranges });
            self.ring();
        }
    }

    fn begin(&self, place: Place) -> Arc<Server> {
        let server = Arc::new(Server { place, link: watch::Sender::new(None) });
        tokio::spawn(keep_link(self.me.clone(), Arc::downgrade(&server)));
        server
    }
}

impl Server {
    /// The connection for commands, if there is one now.
    pub(super) fn link(&self) -> Option<Link> {
        self.link.borrow().clone()
    }
}

/// Reads what `CLUSTER SLOTS` answers; an empty host is the one that was asked.
fn ranges(answer: Value, asked: &Host) -> Option<Vec<(u16, u16, Place)>> {
    let Value::Array(rows) = answer else { return None };
    let range = |row: Value| {
        let Value::Array(fields) = row else { return None };
        let mut fields = fields.into_iter();
        let (Value::Int(first), Value::Int(last)) = (fields.next()?, fields.next()?) else { return None };
        let Value::Array(primary) = fields.next()? else { return None };
        let mut primary = primary.into_iter();
        let name: Option<String> = redis::from_redis_value(primary.next()?).ok()?;
        let Value::Int(port) = primary.next()? else { return None };
        let name = name.filter(|name| !name.is_empty() && name != "?").unwrap_or_else(|| asked.name.clone());
        let host = Host { name, port: u16::try_from(port).ok()? };
        Some((u16::try_from(first).ok()?, u16::try_from(last).ok()?, Place::At(host)))
    };
    let mut ranges: Vec<_> = rows.into_iter().map(range).collect::<Option<_>>()?;
    ranges.sort_by_key(|(first, _, _)| *first);
    Some(ranges)
}

/// A pause before the next attempt, longer each time, and never the same for all nodes.
pub(super) fn pause(attempt: u32) -> Duration {
    let (first, most) = PAUSES;
    let longest = first.saturating_mul(2u32.saturating_pow(attempt.min(10))).min(most);
    rand::rng().random_range(longest / 2..=longest)
}

/// Keeps the map right, until the store is dropped.
async fn keep_map(servers: Weak<Servers>) {
    let mut attempt = 0;
    loop {
        let (wait, doubted) = {
            let Some(servers) = servers.upgrade() else { return };
            let wait = match servers.find().await {
                Ok(ranges) => {
                    attempt = 0;
                    servers.note("discovery", None);
                    servers.adopt(ranges);
                    // A single server has nowhere to move.
                    match servers.url.kind {
                        Kind::Single(_) | Kind::Unix(_) => return,
                        Kind::Sentinel(..) | Kind::Cluster(_) => REFRESH,
                    }
                }
                Err(trouble) => {
                    servers.note("discovery", Some(trouble));
                    servers.ring();
                    attempt += 1;
                    pause(attempt)
                }
            };
            (wait, Arc::clone(&servers.doubted))
        };
        // Doubts come in swarms: one question answers them all.
        let least = pause(0);
        tokio::time::sleep(least).await;
        let _ = tokio::time::timeout(wait.saturating_sub(least), doubted.notified()).await;
    }
}

/// Keeps a server connected to, until it has no slots any more.
async fn keep_link(servers: Weak<Servers>, server: Weak<Server>) {
    let mut attempt = 0;
    loop {
        let (Some(all), Some(this)) = (servers.upgrade(), server.upgrade()) else { return };
        let name = this.place.to_string();
        let opened = match all.connection(&this.place) {
            Ok(info) => Link::open(info, all.timeout).await,
            Err(error) => Err(Unusable::Ever(error.to_string())),
        };
        match opened {
            Ok(link) => {
                attempt = 0;
                warn_of_eviction(&link, &name).await;
                let closed = link.closed.clone();
                this.link.send_replace(Some(link));
                all.note(&name, None);
                all.ring();
                let doubted = Arc::downgrade(&this);
                drop((all, this));
                gone(&closed, &doubted).await;
                let (Some(all), Some(this)) = (servers.upgrade(), server.upgrade()) else { return };
                this.link.send_replace(None);
                all.doubt();
                all.ring();
            }
            Err(trouble) => {
                all.note(&name, Some(trouble));
                all.doubt();
                all.ring();
                attempt += 1;
                drop((all, this));
                tokio::time::sleep(pause(attempt)).await;
            }
        }
    }
}

/// Waits until a connection is of no use, or nobody needs it.
async fn gone(closed: &CancellationToken, server: &Weak<Server>) {
    while server.strong_count() > 0 {
        if tokio::time::timeout(Duration::from_secs(1), closed.cancelled()).await.is_ok() {
            return;
        }
    }
}

async fn warn_of_eviction(link: &Link, server: &str) {
    match link::eviction(link).await.as_deref() {
        Some("noeviction") | None => {}
        Some(policy) => tracing::warn!(
            server,
            policy,
            "the server's maxmemory-policy evicts keys, and sessions and messages with them: set it to noeviction"
        ),
    }
}
