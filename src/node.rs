//! One server process: its store, its hub, its tasks, and how it ends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use sockhop_transports::{CloseReason, Message};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::catalogue::Catalogue;
use crate::hub::Hub;
use crate::id::{ChannelName, MessageId, NodeId};
use crate::metrics::Metrics;
use crate::registry::{Kind, Registry};
use crate::retention::{ChannelPattern, Retentions};
use crate::service::ServiceState;
use crate::session;
use crate::stomp::Queues;
use crate::store::{
    Due, Ended, Entry, Epoch, Gone, Hold, Holder, IdMemory, Inbox, MemoryStore, Once, Opening, Own, Position,
    Publish, PublishError, PublishOnce, Published, Retention, Signal, Store, StoreError, Tended,
};

/// One server process, to which services belong. Cloning is cheap; all clones are the same node.
///
/// ```
/// # tokio_test::block_on(async {
/// let node = sockhop::Node::new();
/// node.publish(&"news".parse().unwrap(), "hello").await.unwrap();
/// # });
/// ```
#[derive(Clone)]
pub struct Node {
    pub(crate) inner: Arc<NodeInner>,
}

pub(crate) struct NodeInner {
    me: Weak<Self>,
    pub(crate) id: NodeId,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) hub: Hub,
    pub(crate) registry: Registry,
    pub(crate) metrics: Metrics,
    pub(crate) max_sessions: usize,
    /// Who gets what is sent to queues.
    pub(crate) queues: Queues,
    retentions: Retentions,
    id_memory: IdMemory,
    pub(crate) catalogue: Catalogue,
    /// What every channel keeps at least.
    pub(crate) least_retention: Retention,
    /// Sessions that live here alone: those of WebSockets that are not anchored.
    sockets: AtomicUsize,
    services: RwLock<HashMap<Arc<str>, Weak<ServiceState>>>,
    tasks: TaskTracker,
    /// Cancelled when the background tasks are to end.
    stop: CancellationToken,
    /// Cancelled when the store does not count on the node any more.
    left: CancellationToken,
    /// About to end.
    leaving: AtomicBool,
    /// Ending.
    draining: AtomicBool,
}

/// Makes a [`Node`].
#[derive(Debug)]
pub struct NodeBuilder {
    store: Option<Arc<dyn Store>>,
    max_sessions: usize,
    queues: Queues,
    max_topics: usize,
    retentions: Retentions,
    id_memory: IdMemory,
}

impl NodeBuilder {
    /// Where channels and sessions live. Default: a new [`MemoryStore`].
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Sessions that the node opens at most. Default 1,000,000. Clients beyond it get 503.
    #[must_use]
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Channels below `/topic/` that can be found by wildcards. Default 10,000. Beyond that publishing goes on, but
    /// subscriptions with wildcards end, with an error that says so: they would miss messages. Nodes that share a store
    /// should have the same.
    #[must_use]
    pub fn max_topics(mut self, topics: usize) -> Self {
        self.max_topics = topics;
        self
    }

    /// Who gets what is sent to a destination of STOMP below `/queue/`. Default [`Queues::Shared`]: one of its
    /// subscribers. Nodes that share a store have to agree.
    #[must_use]
    pub fn queues(mut self, queues: Queues) -> Self {
        self.queues = queues;
        self
    }

    /// How much of each channel is kept for sessions that are between two requests. See [`Retention::default`].
    #[must_use]
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retentions.others = retention;
        self
    }

    /// How much is kept of the channels that a pattern names. Of several patterns, the first that names a channel counts.
    ///
    /// ```
    /// # tokio_test::block_on(async {
    /// use sockhop::{Node, store::Retention};
    ///
    /// let node = Node::builder()
    ///     .retention_of("log/*".parse().unwrap(), Retention { entries: 100, ..Retention::default() })
    ///     .build();
    /// # });
    /// ```
    #[must_use]
    pub fn retention_of(mut self, channels: ChannelPattern, retention: Retention) -> Self {
        self.retentions.named.push((channels, retention));
        self
    }

    /// How long channels remember the ids of messages that are [published once](Node::publish_once). See
    /// [`IdMemory::default`].
    #[must_use]
    pub fn id_memory(mut self, memory: IdMemory) -> Self {
        self.id_memory = memory;
        self
    }

    /// Starts the node. Its background tasks run until [`Node::drain`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn build(self) -> Node {
        let inner = Arc::new_cyclic(|me| NodeInner {
            me: Weak::clone(me),
            id: NodeId::random(),
            store: self.store.unwrap_or_else(|| Arc::new(MemoryStore::new())),
            hub: Hub::default(),
            registry: Registry::default(),
            metrics: Metrics::new(),
            max_sessions: self.max_sessions,
            queues: self.queues,
            least_retention: self.retentions.least(),
            catalogue: Catalogue::new(self.max_topics, self.retentions.longest()),
            retentions: self.retentions,
            id_memory: self.id_memory,
            sockets: AtomicUsize::new(0),
            services: RwLock::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            left: CancellationToken::new(),
            leaving: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        });
        let inbox: Arc<dyn Inbox> = inner.clone();
        inner.store.join(inner.id, Arc::downgrade(&inbox));
        inner.spawn_background();
        Node { inner }
    }
}

/// What a drain could not finish in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DrainReport {
    /// Handler calls and connections that were still under way.
    pub cut: usize,
}

impl Node {
    /// A node with a store of its own in memory.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A node with other settings.
    #[must_use]
    pub fn builder() -> NodeBuilder {
        NodeBuilder {
            store: None,
            max_sessions: 1_000_000,
            queues: Queues::default(),
            max_topics: 10_000,
            retentions: Retentions::default(),
            id_memory: IdMemory::default(),
        }
    }

    /// The node's random name.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.inner.id
    }

    /// Sessions that are not over: of WebSockets, those here that are not anchored; of others, those that this node looks after. Over all
    /// nodes of a cluster this sums up to the sessions that there are.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.inner.sessions()
    }

    /// Whether balancers should send clients here: neither is the node about to end, nor its store out of reach.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.unready().is_none()
    }

    /// Why balancers should not send clients here now; `None` where nothing speaks against it.
    #[must_use]
    pub fn unready(&self) -> Option<&'static str> {
        if self.inner.leaving.load(Ordering::Acquire) {
            return Some("draining");
        }
        self.inner.store.unready(self.inner.id)
    }

    /// Says that the node is about to end. It serves as before, until [`drain`](Self::drain).
    pub fn leave(&self) {
        self.inner.leaving.store(true, Ordering::Release);
    }

    /// Publishes a message to everybody who is subscribed to the channel.
    ///
    /// Needs no session. Resolves when the store has accepted the message; every session that is subscribed then gets
    /// it, in the channel's order.
    ///
    /// # Errors
    /// See [`PublishError`]: the message was refused, or nobody knows.
    pub async fn publish(
        &self,
        channel: &ChannelName,
        message: impl Into<Message>,
    ) -> Result<Published, PublishError> {
        self.publish_all(channel, &[message.into()]).await
    }

    /// Publishes messages in order, with nothing between them.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn publish_all(
        &self,
        channel: &ChannelName,
        messages: &[Message],
    ) -> Result<Published, PublishError> {
        let inner = &*self.inner;
        let known = inner.catalogue.enter(inner, channel).await.map_err(PublishError::Refused)?;
        let retention = inner.retention(channel);
        let publish = Publish { channel, messages, retention, batch: None };
        let published = inner.store.publish(publish).await?;
        inner.catalogue.published(inner, channel, known, published.last).await;
        inner.metrics.published.increment(published.count);
        Ok(published)
    }

    /// Publishes a message once, however often it is asked to under the same id: a backend that does not know what became of
    /// a message sends it again. The channel remembers ids for as long as [`NodeBuilder::id_memory`] says.
    ///
    /// ```
    /// use sockhop::store::Once;
    ///
    /// # tokio_test::block_on(async {
    /// let (node, channel) = (sockhop::Node::new(), "news".parse().unwrap());
    /// let first = node.publish_once(&channel, "order-17", "sold").await.unwrap();
    /// let again = node.publish_once(&channel, "order-17", "sold").await.unwrap();
    /// assert_eq!(again, Once::Repeated(first.position()));
    /// # });
    /// ```
    ///
    /// # Errors
    /// As [`publish`](Self::publish). Where the outcome is unknown, the same may be asked again.
    pub async fn publish_once(
        &self,
        channel: &ChannelName,
        id: impl Into<MessageId>,
        message: impl Into<Message>,
    ) -> Result<Once, PublishError> {
        let outcomes = self.publish_all_once(channel, &[(id.into(), message.into())]).await?;
        outcomes.first().copied().ok_or_else(|| {
            PublishError::Unknown(StoreError {
                operation: "publish once",
                reason: "no outcome was told".to_owned(),
            })
        })
    }

    /// Publishes messages in order, each once under its id. What became of each.
    ///
    /// # Errors
    /// As [`publish_once`](Self::publish_once).
    pub async fn publish_all_once(
        &self,
        channel: &ChannelName,
        messages: &[(MessageId, Message)],
    ) -> Result<Vec<Once>, PublishError> {
        let inner = &*self.inner;
        let known = inner.catalogue.enter(inner, channel).await.map_err(PublishError::Refused)?;
        let retention = inner.retentions.of(channel);
        let publish = PublishOnce { channel, messages, retention, memory: inner.id_memory };
        let outcomes = inner.store.publish_once(publish).await?;
        let fresh = |outcome: &&Once| matches!(outcome, Once::Published(_));
        if let Some(last) = outcomes.iter().rfind(fresh) {
            inner.catalogue.published(inner, channel, known, last.position()).await;
        }
        inner.metrics.published.increment(outcomes.iter().filter(fresh).count() as u64);
        Ok(outcomes)
    }

    /// Puts messages into a queue, all or none. Resolves when the store has accepted them.
    pub(crate) async fn enqueue_all(
        &self,
        queue: &ChannelName,
        messages: &[Message],
    ) -> Result<Published, PublishError> {
        let retention = self.inner.retentions.of(queue);
        let publish = Publish { channel: queue, messages, retention, batch: None };
        let published = self.inner.store.enqueue(publish).await?;
        self.inner.metrics.published.increment(published.count);
        Ok(published)
    }

    /// Ends the node: no session is opened any more, HTTP receivers get what waits for them and end properly,
    /// WebSockets are closed in small batches over the first half of `timeout`, each with its close handshake. Sessions that cannot
    /// go on elsewhere are closed with 4505. Resolves when all is done, or after `timeout`, saying what was cut.
    pub async fn drain(&self, timeout: Duration) -> DrainReport {
        let inner = &self.inner;
        let deadline = Instant::now() + timeout;
        self.leave();
        inner.draining.store(true, Ordering::Release);
        for ended in inner.store.retire(inner.id, CloseReason::GOING_AWAY).await {
            inner.spawn_on_close(ended);
        }
        inner.registry.mailboxes(Kind::Response).iter().for_each(|receiver| receiver.drain());
        inner.close_sockets(timeout / 2).await;
        inner.stop.cancel();
        inner.tasks.close();
        let ended = async {
            inner.registry.all_left().await;
            inner.tasks.wait().await;
        };
        let finished = tokio::time::timeout_at(deadline, ended).await.is_ok();
        // Not before: who has left is taken for dead, and what it holds is taken over.
        let _ = tokio::time::timeout(LEAVE_TIMEOUT, inner.store.leave(inner.id)).await;
        inner.left.cancel();
        DrainReport { cut: if finished { 0 } else { inner.tasks.len() + inner.registry.receivers() } }
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.inner.id)
            .field("sessions", &self.sessions())
            .finish_non_exhaustive()
    }
}

/// Sockets closed at once while draining, and how often.
const DRAIN_BATCHES: usize = 20;
/// How often idle channels and receivers that do not keep up are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How long saying goodbye may take: a lease that is not given up ends by itself.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long another node may take to say whether a receiver is there.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(250);

impl NodeInner {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Runs a task that the node waits for when it ends.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Without a runtime the process is ending, and nobody is left to tell.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.tasks.spawn_on(task, &runtime);
        }
    }

    /// Has the node wait, when it ends, until this is dropped.
    pub(crate) fn work(&self) -> TaskTrackerToken {
        self.tasks.token()
    }

    fn spawn_background(self: &Arc<Self>) {
        let node = Arc::downgrade(self);
        let (store, id) = (Arc::clone(&self.store), self.id);
        let stop = self.stop.clone();
        self.spawn(async move {
            while let Some(due) = stop.run_until_cancelled(store.due(id)).await {
                let Some(node) = node.upgrade() else { break };
                due.into_iter().for_each(|due| match due {
                    Due::Ended(ended) => node.spawn_on_close(ended),
                    Due::Opening(opening) => node.spawn_on_open(opening),
                    Due::Tended(tended) => node.spawn_tend(tended),
                });
            }
        });
        let node = Arc::downgrade(self);
        let stop = self.stop.clone();
        self.spawn(async move {
            while stop.run_until_cancelled(tokio::time::sleep(HOUSEKEEPING)).await.is_some() {
                let Some(node) = node.upgrade() else { break };
                node.hub.end_slow(Instant::now());
                for channel in node.hub.take_idle(Instant::now()) {
                    node.store.unfollow(node.id, &channel).await;
                }
            }
        });
    }

    /// Where a channel stands.
    pub(crate) async fn head(&self, channel: &ChannelName) -> Result<Position, StoreError> {
        self.heads([channel]).await.map(|[head]| head)
    }

    /// Where channels stand.
    pub(crate) async fn heads<const N: usize>(
        &self,
        channels: [&ChannelName; N],
    ) -> Result<[Position; N], StoreError> {
        let heads = self.store.heads(&channels.map(ChannelName::clone)).await?;
        let none = |_| StoreError { operation: "heads", reason: "not all heads were answered".to_owned() };
        heads.try_into().map_err(none)
    }

    fn sessions(&self) -> usize {
        self.sockets.load(Ordering::Relaxed) + self.store.sessions(self.id)
    }

    /// Whether there is room for another session.
    pub(crate) fn has_room(&self) -> bool {
        self.sessions() < self.max_sessions
    }

    /// Counts a WebSocket's session that opens.
    pub(crate) fn socket_opened(&self) {
        self.sockets.fetch_add(1, Ordering::Relaxed);
        self.metrics.opened.increment(1);
    }

    /// Counts a WebSocket's session that is gone.
    pub(crate) fn socket_gone(&self) {
        self.sockets.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether the node has left its store, within some time.
    pub(crate) async fn has_left_within(&self, time: Duration) -> bool {
        self.left.is_cancelled() || tokio::time::timeout(time, self.left.cancelled()).await.is_ok()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// What work comes to, unless the node's work is to end before.
    pub(crate) async fn until_stopping<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.stop.run_until_cancelled(work).await
    }

    pub(crate) fn add_service(&self, service: &Arc<ServiceState>) {
        let mut services = self.services.write().unwrap_or_else(PoisonError::into_inner);
        services.insert(Arc::clone(&service.name), Arc::downgrade(service));
    }

    fn service(&self, name: &str) -> Option<Arc<ServiceState>> {
        self.services.read().unwrap_or_else(PoisonError::into_inner).get(name)?.upgrade()
    }

    /// Runs the `on_close` of a session in a task.
    pub(crate) fn spawn_on_close(self: &Arc<Self>, ended: Ended) {
        match self.service(&ended.origin.service) {
            Some(service) => {
                let node = Arc::clone(self);
                self.spawn(session::on_close(node, service, ended));
            }
            None => {
                tracing::warn!(service = %ended.origin.service, "a session of a service that is gone has ended")
            }
        }
    }

    /// Runs the `on_open` of a session again, whose node died before its end.
    fn spawn_on_open(self: &Arc<Self>, opening: Opening) {
        match self.service(&opening.origin.service) {
            Some(service) => self.spawn(session::on_open(Arc::clone(self), service, opening)),
            // Nobody here could run it: whoever serves it will be asked when this node has given it up.
            None => {
                tracing::warn!(service = %opening.origin.service, "a session of a service that is gone has not been opened")
            }
        }
    }

    /// Has its handler see to a session.
    fn spawn_tend(self: &Arc<Self>, tended: Tended) {
        if let Some(service) = self.service(&tended.origin.service) {
            self.spawn(session::tend(Arc::clone(self), service, tended));
        }
    }

    /// How much of a channel is kept.
    pub(crate) fn retention(&self, channel: &ChannelName) -> Retention {
        self.retentions.of(channel)
    }

    /// Whether the receiver of an attachment is still there, as its node says.
    pub(crate) async fn is_held(&self, holder: Holder, asker: u64) -> bool {
        if holder.node == self.id {
            return self.registry.stays(holder.hold, Some(asker)).await;
        }
        let mut question = self.registry.ask();
        if self.store.signal(holder.node, Signal::Ask(holder.hold, self.id, question.ticket)).await.is_err() {
            return false;
        }
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, &mut question.answer).await;
        matches!(answer, Ok(Ok(true)))
    }

    fn answer(self: &Arc<Self>, hold: Hold, asker: NodeId, ticket: u64) {
        let node = Arc::clone(self);
        self.spawn(async move {
            let stays = node.registry.stays(hold, None).await;
            if let Err(error) = node.store.signal(asker, Signal::Answer(ticket, stays)).await {
                tracing::warn!(%error, "could not answer another node");
            }
        });
    }

    /// The store says that an attachment is held here: lets it go, if it is not.
    fn check(self: &Arc<Self>, hold: Hold) {
        let node = Arc::clone(self);
        self.spawn(async move {
            if node.registry.stays(hold, None).await {
                // As good a moment as any to see what was never told.
                node.registry.changed(hold);
            } else if let Err(Gone::Store(error)) = node.store.disown(hold).await {
                tracing::warn!(%error, "could not let go a session whose receiver is gone");
            }
        });
    }

    /// Closes all WebSockets, a few at a time.
    async fn close_sockets(&self, within: Duration) {
        let local = self.registry.sockets().into_iter().map(|socket| (socket, true));
        let kept = self.registry.mailboxes(Kind::Socket).into_iter().map(|socket| (socket, false));
        let sockets: Vec<_> = local.chain(kept).collect();
        if sockets.is_empty() {
            return;
        }
        let batch = sockets.len().div_ceil(DRAIN_BATCHES).max(50);
        let pause = within / (sockets.len().div_ceil(batch) as u32);
        for (index, sockets) in sockets.chunks(batch).enumerate() {
            if index > 0 {
                tokio::time::sleep(pause).await;
            }
            for (socket, is_local) in sockets {
                if *is_local {
                    socket.close(CloseReason::GOING_AWAY);
                } else {
                    // Its session goes on without it.
                    socket.drain();
                }
            }
        }
    }
}

impl Inbox for NodeInner {
    fn entries(&self, channel: &ChannelName, epoch: Epoch, entries: &[Entry]) {
        if channel == self.catalogue.channel() {
            self.catalogue.stands_in(epoch);
        }
        self.hub.deliver(channel, epoch, entries);
    }

    fn head(&self, channel: &ChannelName, head: Position) {
        if channel == self.catalogue.channel() {
            self.catalogue.stands_in(head.epoch);
        }
        self.hub.notice(channel, head);
    }

    fn frames(&self, hold: Hold, from: Own, frames: &[Message]) {
        self.registry.frames(hold, from, frames);
    }

    fn missed(&self) {
        self.registry.changed_all();
    }

    fn lapsed(&self) {
        tracing::warn!(node = %self.id, "the lease in the store could not be renewed: receivers end");
        self.registry.fence_all();
    }

    fn signal(&self, signal: Signal) {
        match signal {
            Signal::Check(hold) => {
                if let Some(me) = self.me.upgrade() {
                    me.check(hold);
                }
            }
            Signal::Changed(hold) => self.registry.changed(hold),
            Signal::Fenced(hold) => self.registry.fence(hold),
            Signal::Answer(ticket, stays) => self.registry.answered(ticket, stays),
            Signal::Ask(hold, asker, ticket) => {
                if let Some(me) = self.me.upgrade() {
                    me.answer(hold, asker, ticket);
                }
            }
        }
    }
}
