//! Sending to STOMP destinations from the application's own code.

use sockhop_stomp::Headers;

use super::destination::{Target, user_channel, user_destination};
use super::entry;
use super::queues::Queues;
use super::refusal::Refusal;
use crate::store::{Once, PublishError, Published, Store};
use crate::{ChannelName, Message, MessageId, Node, node};

/// Sends messages to STOMP destinations: from a handler, or from anywhere else in the process. Cloning is cheap.
///
/// Whoever is subscribed gets them, on whatever node, and over whichever STOMP service.
///
/// ```
/// use sockhop::Node;
/// use sockhop::stomp::{Broker, StompMessage};
///
/// # tokio_test::block_on(async {
/// let broker = Broker::new(&Node::new());
/// broker.send("/topic/news", "hello").await.unwrap();
/// let quote = StompMessage::new("{\"price\":7}").with("content-type", "application/json");
/// broker.send_to_user("alice", "/queue/quotes", quote).await.unwrap();
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Broker {
    node: Node,
}

/// A body, and the headers that go with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StompMessage {
    pub(super) headers: Headers,
    pub(super) body: String,
}

impl StompMessage {
    /// A message without headers of its own.
    #[must_use]
    pub fn new(body: impl Into<String>) -> Self {
        Self { headers: Headers::default(), body: body.into() }
    }

    /// A message whose body is JSON, and says so.
    ///
    /// # Errors
    /// The value cannot be written as JSON: a map has keys that are no texts, or its own code says so.
    ///
    /// ```
    /// use sockhop::stomp::StompMessage;
    ///
    /// let message = StompMessage::json(&[7, 8]).unwrap();
    /// assert_eq!(message, StompMessage::new("[7,8]").with("content-type", "application/json"));
    /// ```
    pub fn json(value: &impl serde::Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self::new(serde_json::to_string(value)?).with("content-type", "application/json"))
    }

    /// The message with another header. What a MESSAGE frame has anyway, such as `destination`, is left out.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// What a channel keeps of it, for all subscribers or for one session.
    pub(super) fn entry(&self, only: Option<&str>) -> Message {
        entry::encode(&self.headers, &self.body, only)
    }
}

impl From<&str> for StompMessage {
    fn from(body: &str) -> Self {
        Self::new(body)
    }
}

impl From<String> for StompMessage {
    fn from(body: String) -> Self {
        Self::new(body)
    }
}

/// A message was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// There is no such destination.
    #[error("no destination to send to: {0}")]
    Destination(String),
    /// It was not, or perhaps not, accepted.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl From<Refusal> for BrokerError {
    fn from(refusal: Refusal) -> Self {
        Self::Destination(refusal.detail)
    }
}

impl Broker {
    /// The destinations of a node's store.
    #[must_use]
    pub fn new(node: &Node) -> Self {
        Self { node: node.clone() }
    }

    /// Sends to a destination below `/topic/` or `/queue/`, or to a user's: `/user/NAME/queue/…`, `/user/NAME/topic/…`. Resolves when
    /// the store has accepted the message.
    ///
    /// # Errors
    /// See [`BrokerError`]. Destinations below `/app/` are the application's own.
    pub async fn send(
        &self,
        destination: &str,
        message: impl Into<StompMessage>,
    ) -> Result<Published, BrokerError> {
        self.send_all(destination, [message.into()]).await
    }

    /// Sends a message once, however often it is asked to under the same id: whoever does not know what became of it may
    /// send it again. The destination remembers ids for as long as
    /// [`NodeBuilder::id_memory`](crate::NodeBuilder::id_memory) says; a queue also those of messages that were handled.
    ///
    /// # Errors
    /// See [`BrokerError`]. Where the outcome is unknown, or a queue was full, the same may be sent again.
    pub async fn send_once(
        &self,
        destination: &str,
        id: impl Into<MessageId>,
        message: impl Into<StompMessage>,
    ) -> Result<Once, BrokerError> {
        let outcomes = self.send_all_once(destination, [(id.into(), message.into())]).await?;
        Ok(node::only(&outcomes)?)
    }

    /// Sends messages to one destination in order, with nothing between them. See [`send`](Self::send).
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub async fn send_all(
        &self,
        destination: &str,
        messages: impl IntoIterator<Item = StompMessage>,
    ) -> Result<Published, BrokerError> {
        let entries: Vec<_> = messages.into_iter().map(|message| message.entry(None)).collect();
        Ok(match Way::to(&self.node, destination)? {
            Way::Channel(channel) => self.node.publish_all(&channel, &entries).await?,
            Way::Queue(queue) => self.node.enqueue_all(&queue, &entries).await?,
        })
    }

    /// Sends messages to one destination in order, each once under its id: what became of each. A queue takes all that are
    /// new, or none. See [`send_once`](Self::send_once).
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub async fn send_all_once(
        &self,
        destination: &str,
        messages: impl IntoIterator<Item = (MessageId, StompMessage)>,
    ) -> Result<Vec<Once>, BrokerError> {
        let entries: Vec<_> = messages.into_iter().map(|(id, message)| (id, message.entry(None))).collect();
        Ok(match Way::to(&self.node, destination)? {
            Way::Channel(channel) => self.node.publish_all_once(&channel, &entries).await?,
            Way::Queue(queue) => self.node.enqueue_all_once(&queue, &entries).await?,
        })
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.node.inner.store
    }

    /// Whether [`send`](Self::send) takes a destination.
    pub(super) fn check(destination: &str) -> Result<(), BrokerError> {
        match Target::parse(destination)? {
            Target::App => Err(BrokerError::Destination(destination.to_owned())),
            Target::User { name, path } => Ok(user_channel(&name, &path).map(drop)?),
            _ => Ok(()),
        }
    }

    /// Sends to all sessions of a user that are subscribed to `/user` and `path`, such as `/queue/quotes`.
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub async fn send_to_user(
        &self,
        name: &str,
        path: &str,
        message: impl Into<StompMessage>,
    ) -> Result<Published, BrokerError> {
        self.send(&user_destination(name, path), message).await
    }
}

/// Where what is sent to a destination goes.
pub(super) enum Way {
    /// To all that follow a channel.
    Channel(ChannelName),
    /// To one consumer of a queue.
    Queue(ChannelName),
}

impl Way {
    pub(super) fn to(node: &Node, destination: &str) -> Result<Self, BrokerError> {
        match Target::parse(destination)? {
            Target::Queue(queue) if node.inner.queues == Queues::Shared => Ok(Self::Queue(queue)),
            Target::Topic(channel) | Target::Queue(channel) => Ok(Self::Channel(channel)),
            Target::User { name, path } => Ok(Self::Channel(user_channel(&name, &path)?)),
            Target::App => Err(BrokerError::Destination(destination.to_owned())),
        }
    }
}
