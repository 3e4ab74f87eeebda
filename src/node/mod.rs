//! One server process: its store, its hub, its tasks, and how it ends.

mod builder;
mod inner;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sockhop_transports::{CloseReason, Message};
use tokio::time::Instant;

pub use self::builder::NodeBuilder;
pub(crate) use self::inner::NodeInner;
use crate::id::{ChannelName, MessageId, NodeId};
use crate::registry::Kind;
use crate::store::{Once, Publish, PublishError, PublishOnce, Published, StoreError};

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
        NodeBuilder::default()
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
        only(&self.publish_all_once(channel, &[(id.into(), message.into())]).await?)
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
        let retention = inner.retention(channel);
        let publish = PublishOnce { channel, messages, retention, memory: inner.id_memory };
        let outcomes = inner.store.publish_once(publish).await?;
        if let Some(last) = outcomes.iter().rfind(|outcome| outcome.is_new()) {
            inner.catalogue.published(inner, channel, known, last.position()).await;
        }
        inner.count_new(&outcomes);
        Ok(outcomes)
    }

    /// Puts messages into a queue, all or none. Resolves when the store has accepted them.
    pub(crate) async fn enqueue_all(
        &self,
        queue: &ChannelName,
        messages: &[Message],
    ) -> Result<Published, PublishError> {
        let retention = self.inner.retention(queue);
        let publish = Publish { channel: queue, messages, retention, batch: None };
        let published = self.inner.store.enqueue(publish).await?;
        self.inner.metrics.published.increment(published.count);
        Ok(published)
    }

    /// Puts messages into a queue, each once under its id; all or none of those that are new. What became of each.
    pub(crate) async fn enqueue_all_once(
        &self,
        queue: &ChannelName,
        messages: &[(MessageId, Message)],
    ) -> Result<Vec<Once>, PublishError> {
        let inner = &*self.inner;
        let retention = inner.retention(queue);
        let enqueue = PublishOnce { channel: queue, messages, retention, memory: inner.id_memory };
        let outcomes = inner.store.enqueue_once(enqueue).await?;
        inner.count_new(&outcomes);
        Ok(outcomes)
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

/// What became of the one message that was asked about.
pub(crate) fn only(outcomes: &[Once]) -> Result<Once, PublishError> {
    outcomes.first().copied().ok_or_else(|| {
        PublishError::Unknown(StoreError { operation: "publish once", reason: "no outcome was told".to_owned() })
    })
}

/// How long saying goodbye may take: a lease that is not given up ends by itself.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);
