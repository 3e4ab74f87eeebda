//! The store on Redis 7 or later, or Valkey: one server, one behind Sentinel, or a Cluster.
//!
//! Each operation is one script on one hash slot; the scripts stand in `scripts/`. Every script knows its own
//! repetition by a token, so that an operation whose answer was lost is tried again, and fenced by the attachment number,
//! so that one which runs late changes nothing. Pub/Sub only brings news early: what it loses is read.

mod answers;
mod calls;
mod catalogue;
mod channels;
mod entries;
mod excerpts;
mod keys;
mod lean;
mod link;
mod lists;
mod members;
mod once;
mod origin;
mod post;
mod queues;
mod reply;
mod rosters;
mod run;
mod script;
mod servers;
mod sessions;
mod signals;
mod subscriptions;
mod sweep;
mod swept;
mod turns;
mod url;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use sockhop_transports::CloseReason;
use tokio::sync::{Notify, watch};

pub(crate) use self::lists::{AppendError, Appended, Taken, Waiting};
pub use self::lists::{InvalidListName, ListName, RedisLists};
pub use self::url::{InvalidAuthorities, InvalidStoreUrl};

use self::calls::Calls;
use self::channels::Lanes;
use self::keys::Keys;
use self::members::{Member, Observed};
use self::run::Runner;
use self::servers::Servers;
use self::signals::Letter;
use self::subscriptions::{Listener, Subscriptions, Topic};
use self::url::StoreUrl;
use super::{
    Anchor, Attach, Attached, Begin, Begun, Branch, Branched, ConsumeError, Consumer, Due, Ended, Enlist,
    Enlisted, Entered, Excerpt, Feed, Gone, Here, Hold, Inbox, Kept, Known, Left, Listed, Once, Own, Pending,
    Place, Position, Publish, PublishError, PublishOnce, Published, Push, Roster, Sent, SessionRef, Settle,
    Settled, Signal, Slice, Span, Stay, Store, StoreError, SubscribeError, Turn, Visitor,
};
use crate::id::{ChannelName, NodeId, SessionKey};

/// Changes with what is written under keys: nodes that write another format refuse to share a prefix.
const FORMAT: &str = "1";

/// A [`Store`] in Redis: sessions and channels outlive the nodes.
///
/// ```no_run
/// use std::sync::Arc;
/// use sockhop::{Node, store::RedisStore};
///
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::builder("redis://127.0.0.1:6379")?.prefix("chat").build();
/// store.started().await?;
/// let node = Node::builder().store(Arc::new(store)).build();
/// # Ok(())
/// # }
/// ```
pub struct RedisStore {
    inner: Arc<Inner>,
}

/// Makes a [`RedisStore`].
#[derive(Debug)]
pub struct RedisStoreBuilder {
    url: StoreUrl,
    prefix: String,
    timeout: Duration,
    patience: Option<Duration>,
    lease: Duration,
}

struct Inner {
    me: Weak<Self>,
    prefix: String,
    keys: Keys,
    runner: Runner,
    subscriptions: Arc<Subscriptions>,
    lease: Duration,
    /// This process, as batches and probes name it.
    own: NodeId,
    batches: AtomicU64,
    /// The shortest disconnect delay of a session that was begun here, in milliseconds.
    shortest_delay: AtomicU64,
    lanes: Lanes,
    queue_lanes: Lanes,
    calls: Calls,
    members: RwLock<HashMap<NodeId, Arc<Member>>>,
    observed: Mutex<Observed>,
    /// Which nodes here follow which channels, and how often.
    followers: Mutex<HashMap<ChannelName, HashMap<NodeId, u32>>>,
    /// Rung when a node has joined.
    joined: Arc<Notify>,
    /// Why this deployment must not be used.
    refused: watch::Sender<Option<StoreError>>,
}

impl RedisStoreBuilder {
    /// What stands before every key, so that several deployments can share a server. Default `sockhop`. Braces, which
    /// would be hash tags, are replaced by underscores.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.replace(['{', '}'], "_");
        self
    }

    /// Trusts the authorities of these certificates, in PEM format, where the store is reached with TLS, and no others.
    /// Default: those that the system trusts, or the file that `SSL_CERT_FILE` names.
    ///
    /// # Errors
    /// The store is reached without TLS, or these are no certificates.
    pub fn authorities(mut self, pem: &[u8]) -> Result<Self, InvalidAuthorities> {
        self.url.trust(pem)?;
        Ok(self)
    }

    /// How long one command is waited for. Default 2 s. An operation as a whole is tried several times, for
    /// [`patience`](Self::patience).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long an operation is tried before it fails. Default: the lease.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// How long a node may be silent before others count it as dead, and let go what it holds. Default 15 s.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.max(Duration::from_millis(100));
        self
    }

    /// Starts to connect. Operations wait for the connection.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn build(self) -> RedisStore {
        let Self { url, prefix, timeout, patience, lease } = self;
        // Whichever process of the tree is the first to use TLS; a provider that is there already will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let servers = Servers::start(url, timeout);
        let inner = Arc::new_cyclic(|me: &Weak<Inner>| {
            let listener: Weak<dyn Listener> = me.clone();
            Inner {
                me: me.clone(),
                keys: Keys::new(&prefix),
                prefix,
                subscriptions: Subscriptions::start(Arc::clone(&servers), listener),
                runner: Runner { servers, patience: patience.unwrap_or(lease) },
                lease,
                own: NodeId::random(),
                batches: AtomicU64::new(1),
                shortest_delay: AtomicU64::new(u64::MAX),
                lanes: Lanes::default(),
                queue_lanes: Lanes::default(),
                calls: Calls::default(),
                members: RwLock::default(),
                observed: Mutex::default(),
                followers: Mutex::default(),
                joined: Arc::default(),
                refused: watch::Sender::new(None),
            }
        });
        tokio::spawn(members::keep_leases(Arc::downgrade(&inner)));
        tokio::spawn(members::keep_watch(Arc::downgrade(&inner)));
        tokio::spawn(sweep::keep_swept(Arc::downgrade(&inner)));
        RedisStore { inner }
    }
}

impl RedisStore {
    /// A store at a URL: `redis://[user:password@]host[:port][/database]`, `rediss://…` with TLS,
    /// `redis+unix:///path[?db=&user=&pass=]`, `redis-sentinel://host:port,host:port/primary-name[/database]` or
    /// `redis-cluster://host:port,host:port`; the last two also with `rediss-`.
    ///
    /// # Errors
    /// The text is none of these.
    pub fn builder(url: &str) -> Result<RedisStoreBuilder, InvalidStoreUrl> {
        Ok(RedisStoreBuilder {
            url: StoreUrl::parse(url)?,
            prefix: "sockhop".to_owned(),
            timeout: Duration::from_secs(2),
            patience: None,
            lease: Duration::from_secs(15),
        })
    }

    /// Resolves once the store can be used, however long that takes.
    ///
    /// # Errors
    /// What makes it unusable for good: a wrong password, too old a server, keys of another version under the prefix.
    pub async fn started(&self) -> Result<(), StoreError> {
        self.inner.started().await
    }
}

impl Inner {
    async fn started(&self) -> Result<(), StoreError> {
        let ([leases, format], slot) = self.keys.nodes();
        let keys = [leases, format];
        let lease = self.lease.as_millis() as u64;
        let mut changes = self.runner.servers.changed.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(hopeless) = self.runner.hopeless() {
                return Err(hopeless);
            }
            if self.runner.servers.is_whole() {
                let arguments = script::arguments!["", lease, FORMAT];
                let answer = self.runner.run_plain(slot, &script::RENEW, &keys, &arguments).await;
                match answer {
                    Ok(answer) => {
                        self.read_renewal(answer)??;
                        return self.may_publish(slot).await;
                    }
                    Err(run::Failure::Denied(error)) => return Err(error),
                    Err(run::Failure::Refused(_) | run::Failure::Unknown(_)) => continue,
                }
            }
            let _ = changes.changed().await;
        }
    }

    /// Scripts go on without Pub/Sub, so a lack of rights there would only show as slowness.
    async fn may_publish(&self, slot: u16) -> Result<(), StoreError> {
        let mut command = redis::cmd("SPUBLISH");
        command.arg(self.keys.nobody()).arg("");
        match self.runner.once(slot, command).await {
            Some(reason) if reason.starts_with("NOPERM") => {
                Err(StoreError { operation: "start", reason: format!("Pub/Sub: {reason}") })
            }
            _ => Ok(()),
        }
    }

    fn member(&self, node: NodeId) -> Option<Arc<Member>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner).get(&node).map(Arc::clone)
    }

    fn members(&self) -> Vec<Arc<Member>> {
        self.members.read().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect()
    }

    fn forget(&self, node: NodeId) {
        self.members.write().unwrap_or_else(PoisonError::into_inner).remove(&node);
        self.subscriptions.remove(&self.keys.inbox(node).0);
    }

    fn is_local(&self, node: NodeId) -> bool {
        self.members.read().unwrap_or_else(PoisonError::into_inner).contains_key(&node)
    }

    /// A node of this process, for what one of them has to do.
    fn some_node(&self) -> NodeId {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        members.keys().min().copied().unwrap_or(self.own)
    }

    /// Puts a letter into a node's inbox.
    async fn tell(&self, node: NodeId, letter: Letter) {
        if let Some(member) = self.member(node) {
            return self.deliver(&member, letter);
        }
        let (name, slot) = self.keys.inbox(node);
        let mut command = redis::cmd("SPUBLISH");
        command.arg(name).arg(letter.encode());
        self.runner.hint(slot, command).await;
    }

    fn deliver(&self, member: &Arc<Member>, letter: Letter) {
        let Some(inbox) = member.inbox.upgrade() else { return };
        match letter {
            Letter::Signal(signal) => inbox.signal(signal),
            Letter::Frames(hold, from, frames) => inbox.frames(hold, from, &frames),
            Letter::TurnOver(key) => self.calls.turn_over(key),
            Letter::CheckTurn(session, turn) => {
                if let Some(me) = self.me.upgrade() {
                    let node = member.id;
                    tokio::spawn(async move { me.check_turn(node, session, turn).await });
                }
            }
            Letter::CheckEnd(session) => {
                if let Some(me) = self.me.upgrade() {
                    let node = member.id;
                    tokio::spawn(async move { me.check_end(node, session).await });
                }
            }
        }
    }

    /// Calls all nodes here that follow a channel.
    fn followers_of(&self, channel: &ChannelName, call: impl Fn(&dyn Inbox)) {
        let nodes: smallvec::SmallVec<[NodeId; 2]> = {
            let followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
            followers.get(channel).into_iter().flat_map(|nodes| nodes.keys().copied()).collect()
        };
        for node in nodes {
            if let Some(inbox) = self.member(node).and_then(|member| member.inbox.upgrade()) {
                call(&*inbox);
            }
        }
    }
}

impl Listener for Inner {
    fn heard(&self, topic: &Topic, payload: Vec<u8>) {
        match topic {
            Topic::Channel(channel) => match entries::heard(payload) {
                Some((epoch, entries)) => {
                    self.followers_of(channel, |inbox| inbox.entries(channel, epoch, &entries));
                }
                None => tracing::warn!(%channel, "what came for a channel is none of sockhop"),
            },
            Topic::Inbox(node) => match (Letter::decode(payload), self.member(*node)) {
                (Some(letter), Some(member)) => self.deliver(&member, letter),
                (None, _) => tracing::warn!(%node, "what came into a node's inbox is none of sockhop"),
                (Some(_), None) => {}
            },
            Topic::Probe => {
                let number = std::str::from_utf8(&payload).ok().and_then(|number| number.parse().ok());
                if let Some(number) = number {
                    self.subscriptions.probed(number);
                }
            }
        }
    }

    fn resumed(&self, topics: Vec<Topic>) {
        let mut channels = Vec::new();
        for topic in topics {
            match topic {
                Topic::Channel(channel) => channels.push(channel),
                Topic::Inbox(node) => {
                    if let Some(inbox) = self.member(node).and_then(|member| member.inbox.upgrade()) {
                        inbox.missed();
                    }
                }
                Topic::Probe => {}
            }
        }
        if let Some(me) = self.me.upgrade()
            && !channels.is_empty()
        {
            tokio::spawn(async move { me.notice_heads(channels).await });
        }
    }
}

#[async_trait]
impl Store for RedisStore {
    fn join(&self, node: NodeId, inbox: Weak<dyn Inbox>) {
        let member = Arc::new(Member::new(node, inbox));
        self.inner.members.write().unwrap_or_else(PoisonError::into_inner).insert(node, member);
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move {
            let (name, slot) = inner.keys.inbox(node);
            // Wanted from now on, whether or not it is acknowledged in time.
            let _ = inner.subscriptions.add(&name, slot, Topic::Inbox(node), inner.runner.patience).await;
        });
        self.inner.joined.notify_one();
    }

    async fn retire(&self, _node: NodeId, _reason: CloseReason) -> Vec<Ended> {
        // Sessions go on elsewhere, or with the next node that comes.
        Vec::new()
    }

    async fn leave(&self, node: NodeId) {
        let inner = &self.inner;
        let ([leases, _], slot) = inner.keys.nodes();
        inner.forget(node);
        let id = node.to_bytes();
        if let Err(failure) =
            inner.runner.run_plain(slot, &script::LEAVE, &[leases], &script::arguments![&id]).await
        {
            tracing::warn!(error = %StoreError::from(failure), "could not give up the lease: it ends by itself");
        }
    }

    async fn publish(&self, publish: Publish<'_>) -> Result<Published, PublishError> {
        self.inner.publish(publish).await
    }

    async fn publish_once(&self, publish: PublishOnce<'_>) -> Result<Vec<Once>, PublishError> {
        self.inner.publish_once(publish).await
    }

    async fn read(&self, channel: &ChannelName, after: Position, bytes: usize) -> Result<Slice, StoreError> {
        self.inner.read(channel, after, bytes).await
    }

    async fn excerpt(
        &self,
        channel: &ChannelName,
        span: Span,
        most: usize,
        bytes: usize,
    ) -> Result<Excerpt, StoreError> {
        self.inner.excerpt(channel, span, most, bytes).await
    }

    async fn heads(&self, channels: &[ChannelName]) -> Result<Vec<Position>, StoreError> {
        futures_util::future::try_join_all(channels.iter().map(|channel| self.inner.head(channel))).await
    }

    async fn tail(&self, channel: &ChannelName, most: u64) -> Result<Position, StoreError> {
        self.inner.tail(channel, most).await
    }

    async fn enlist(&self, enlist: Enlist<'_>) -> Result<Enlisted, StoreError> {
        self.inner.enlist(enlist).await
    }

    async fn listed(&self, catalogue: &ChannelName) -> Result<Listed, StoreError> {
        self.inner.listed(catalogue).await
    }

    async fn follow(&self, node: NodeId, channel: &ChannelName) -> Result<Position, StoreError> {
        let inner = &self.inner;
        {
            let mut followers = inner.followers.lock().unwrap_or_else(PoisonError::into_inner);
            *followers.entry(channel.clone()).or_default().entry(node).or_default() += 1;
        }
        let follow = async {
            let keys = inner.keys.channel(channel);
            let topic = Topic::Channel(channel.clone());
            inner.subscriptions.add(&keys.inbox, keys.slot, topic, inner.runner.patience).await?;
            // Only now: what is published from here on is heard.
            inner.head_to_follow(channel).await
        };
        let followed = follow.await;
        if followed.is_err() {
            self.unfollow(node, channel).await;
        }
        followed
    }

    async fn unfollow(&self, node: NodeId, channel: &ChannelName) {
        let inner = &self.inner;
        let mut followers = inner.followers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(nodes) = followers.get_mut(channel) else { return };
        if let Some(count) = nodes.get_mut(&node) {
            *count -= 1;
            if *count == 0 {
                nodes.remove(&node);
            }
        }
        if nodes.is_empty() {
            followers.remove(channel);
            // Under the lock: nobody begins to follow meanwhile.
            inner.subscriptions.remove(&inner.keys.channel(channel).inbox);
        }
    }

    async fn enqueue(&self, enqueue: Publish<'_>) -> Result<Published, PublishError> {
        self.inner.enqueue(enqueue).await
    }

    async fn enqueue_once(&self, enqueue: PublishOnce<'_>) -> Result<Vec<Once>, PublishError> {
        self.inner.enqueue_once(enqueue).await
    }

    async fn consume(&self, consumer: &Consumer, credit: u32, most: usize) -> Result<Position, ConsumeError> {
        self.inner.consume(consumer, credit, most).await
    }

    async fn settle(&self, consumer: &Consumer, settle: Settle) -> Result<Settled, StoreError> {
        self.inner.settle(consumer, settle).await
    }

    async fn cancel(&self, consumer: &Consumer, handled: Option<Position>) -> Result<(), StoreError> {
        self.inner.cancel(consumer, handled).await
    }

    async fn attach(&self, attach: Attach<'_>) -> Result<Attached, StoreError> {
        self.inner.attach(attach).await
    }

    async fn anchor(&self, anchor: Anchor<'_>) -> Result<(), Gone> {
        self.inner.anchor(anchor).await
    }

    async fn pending(&self, hold: Hold, own: Own) -> Result<Pending, Gone> {
        self.inner.pending(hold, own).await
    }

    async fn commit(&self, hold: Hold, received: Sent) -> Result<(), Gone> {
        self.inner.commit(hold, &received).await
    }

    async fn release(&self, hold: Hold, sent: Sent) -> Result<(), Gone> {
        self.inner.release(hold, &sent).await
    }

    async fn disown(&self, hold: Hold) -> Result<(), Gone> {
        self.inner.disown(hold).await
    }

    async fn lost(&self, hold: Hold) -> Result<Option<Ended>, Gone> {
        self.inner.lost(hold, self.inner.some_node(), None).await
    }

    async fn quit(&self, hold: Hold, reason: CloseReason) -> Result<Option<Ended>, Gone> {
        self.inner.lost(hold, self.inner.some_node(), Some(&reason)).await
    }

    async fn push(&self, session: SessionRef, push: Push) -> Result<Option<Ended>, Gone> {
        self.inner.push(session, &push, self.inner.some_node()).await
    }

    async fn close(&self, session: SessionRef, reason: CloseReason) -> Result<Option<Ended>, Gone> {
        self.inner.close(session, &reason, self.inner.some_node()).await
    }

    async fn subscribe(
        &self,
        session: SessionRef,
        feed: &Feed,
        at: Position,
        most: usize,
    ) -> Result<(), SubscribeError> {
        self.inner.subscribe(session, feed, at, most).await
    }

    async fn unsubscribe(&self, session: SessionRef, feed: &Feed) -> Result<(), Gone> {
        self.inner.unsubscribe(session, feed).await
    }

    async fn branch(&self, hold: Hold, branch: Branch<'_>, most: usize) -> Result<Branched, Gone> {
        self.inner.branch(hold, branch, most).await
    }

    async fn unsubscribe_tag(&self, session: SessionRef, tag: &str) -> Result<(), Gone> {
        self.inner.unsubscribe_tag(session, tag).await
    }

    async fn set_attribute(&self, session: SessionRef, name: &str, value: Option<String>) -> Result<(), Gone> {
        self.inner.set_attribute(session, name, value.as_deref()).await
    }

    async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        self.inner.begin(begin).await
    }

    async fn finish_keeping(
        &self,
        session: SessionRef,
        turn: Turn,
        push: Push,
        kept: Kept,
    ) -> Result<Option<Ended>, StoreError> {
        // Of a call that does not run any more, nothing is written down.
        let Some(node) = self.inner.calls.runner(turn.0) else { return Ok(None) };
        self.inner.finish(session, turn.0, &push, &kept, node, false).await
    }

    async fn closed(&self, session: SessionRef) -> Result<(), StoreError> {
        self.inner.closed(session).await
    }

    async fn due(&self, node: NodeId) -> Vec<Due> {
        match self.inner.member(node) {
            Some(member) => member.due().await,
            None => std::future::pending().await,
        }
    }

    fn sessions(&self, node: NodeId) -> usize {
        self.inner.member(node).map_or(0, |member| member.sessions())
    }

    fn unready(&self, node: NodeId) -> Option<&'static str> {
        self.inner.unready(node)
    }

    async fn enter(&self, roster: Roster<'_>, stay: Stay, visitor: Visitor<'_>) -> Result<Entered, StoreError> {
        self.inner.enter(roster, stay, visitor).await
    }

    async fn exit(&self, roster: Roster<'_>, stay: Stay) -> Result<Left, StoreError> {
        self.inner.exit(roster, stay).await
    }

    async fn here(&self, channel: &ChannelName, after: Option<&Place>, most: usize) -> Result<Here, StoreError> {
        self.inner.here(channel, after, most).await
    }

    async fn keys(&self, bucket: u16) -> Result<Vec<SessionKey>, StoreError> {
        self.inner.session_keys(bucket).await
    }

    async fn known(&self, key: SessionKey, attributes: &[&str]) -> Result<Option<Known>, StoreError> {
        self.inner.known(key, attributes).await
    }

    async fn signal(&self, node: NodeId, signal: Signal) -> Result<(), StoreError> {
        self.inner.tell(node, Letter::Signal(signal)).await;
        Ok(())
    }
}

/// Where it is, without credentials.
impl std::fmt::Display for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, keys {}:*", self.inner.runner.servers.url(), self.inner.prefix)
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore")
            .field("url", self.inner.runner.servers.url())
            .field("prefix", &self.inner.prefix)
            .field("batches", &self.inner.batches.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}
