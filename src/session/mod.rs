//! Sessions as the application sees them, and how its handler is called for them.

mod again;
mod anchor;
mod any;
mod attach;
mod attributes;
mod calls;
mod clock;
mod held;
mod kept;
mod lead;
mod named;
mod outbox;
mod reader;
mod socket;
mod track;
mod unconfirmed;

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sockhop_transports::{CloseReason, Message};

pub(crate) use any::AnySocket;
pub(crate) use attach::{FULL, Wanted, attach};
pub use attributes::AttributeError;
pub(crate) use calls::{hand_in, on_close, on_open, tend};
pub(crate) use held::{Held, Presence};
pub(crate) use kept::KeptSocket;
pub(crate) use named::{Malformed, Named};
pub(crate) use socket::LocalSocket;
pub(crate) use track::{Receipt, Track};

use self::calls::closed;
use self::outbox::Outbox;
use self::socket::Local;
use crate::handler::Call;
use crate::id::ChannelName;
use crate::node::{Node, NodeInner};
use crate::request::RequestInfo;
use crate::service::ServiceState;
use crate::store::{Feed, Gone, Origin, Position, Push, SessionRef, StoreError, SubscribeError, Terms};

/// One conversation with one client, as its handler sees it. Cloning is cheap, and a clone may be kept: once the
/// session is over, its methods say so.
///
/// ```
/// use sockhop::{Handler, Session};
///
/// struct Greeter;
///
/// impl Handler for Greeter {
///     async fn on_open(&self, session: &Session) {
///         let _ = session.subscribe(&"news".parse().unwrap()).await;
///         let _ = session.send("welcome").await;
///     }
///
///     async fn on_message(&self, session: &Session, name: String) {
///         if session.set_attribute("name", name).await.is_err() {
///             return; // over
///         }
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    node: Arc<NodeInner>,
    service: Arc<ServiceState>,
    origin: Arc<Origin>,
    session: SessionRef,
    place: Place,
    attributes: Mutex<BTreeMap<String, String>>,
    /// What the service's own code keeps of the session between calls, where the session is in memory.
    memory: Mutex<Option<Box<dyn Any + Send>>>,
    /// Ended through this handle: the handler call under way hands in nothing more.
    over: AtomicBool,
}

/// Where the session's state is.
enum Place {
    /// In the store: any node can go on with it. What a handler call sends waits for the call's end, or for its first
    /// pause.
    Store(Outbox),
    /// Here: it is a WebSocket, and ends with its connection.
    Here(Local),
}

/// A message was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The session is over.
    #[error("the session is over")]
    Over,
    /// More waits for the client than the service allows; the session is over now.
    #[error("the client is too slow, the session is over")]
    TooSlow,
    /// The store cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A session could not be anchored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// The session is over.
    #[error("the session is over")]
    Over,
    /// The store cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Session {
    fn new(
        node: Arc<NodeInner>,
        service: Arc<ServiceState>,
        origin: Arc<Origin>,
        session: SessionRef,
        place: Place,
        attributes: BTreeMap<String, String>,
    ) -> Self {
        Self(Arc::new(Inner {
            node,
            service,
            origin,
            session,
            place,
            attributes: Mutex::new(attributes),
            memory: Mutex::new(None),
            over: AtomicBool::new(false),
        }))
    }

    /// What stands for the session in maps and logs. It is not the client's id, and authorises nothing.
    #[must_use]
    pub fn identity(&self) -> SessionRef {
        self.0.session
    }

    /// The request that opened the session.
    #[must_use]
    pub fn request(&self) -> &RequestInfo {
        &self.0.origin.request
    }

    /// Sends a message to this client. Resolves once it is sure to be delivered before any later one, unless the
    /// session ends first. Within a handler call that is at once: what a call sends, and that it was made, is written
    /// down in one step when it ends or waits for something, so a call that is repeated since its node died sends
    /// nothing twice.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(&self, message: impl Into<Message> + Send) -> Result<(), SendError> {
        let message = message.into();
        match &self.0.place {
            Place::Here(local) => local.send([message], self.0.service.unread_limit),
            Place::Store(outbox) => outbox.send(self, vec![message]).await,
        }
    }

    /// Sends messages in order, with nothing between them.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send_all(&self, messages: Vec<Message>) -> Result<(), SendError> {
        match &self.0.place {
            Place::Here(local) => local.send(messages, self.0.service.unread_limit),
            Place::Store(outbox) => outbox.send(self, messages).await,
        }
    }

    /// Sends messages that are on their way, or written down, before this resolves: before whatever the call does next.
    pub(crate) async fn send_now(&self, messages: Vec<Message>) -> Result<(), SendError> {
        self.send_all(messages).await?;
        match &self.0.place {
            Place::Here(_) => Ok(()),
            Place::Store(outbox) => outbox.flush(self).await,
        }
    }

    /// A push of these messages, within the limits of the service.
    fn push_of(&self, messages: Vec<Message>) -> Push {
        let service = &self.0.service;
        Push { messages, limit: service.unread_limit, most_kept: service.most_kept() }
    }

    async fn push(&self, messages: Vec<Message>) -> Result<(), SendError> {
        match self.0.node.store.push(self.0.session, self.push_of(messages)).await {
            Ok(None) => Ok(()),
            Ok(Some(ended)) => {
                self.0.over.store(true, Ordering::Relaxed);
                self.0.node.spawn_on_close(ended);
                Err(SendError::TooSlow)
            }
            Err(Gone::Store(error)) => Err(error.into()),
            Err(Gone::Over | Gone::Fenced) => {
                self.0.over.store(true, Ordering::Relaxed);
                Err(SendError::Over)
            }
        }
    }

    /// Closes the session after what was sent. Closing one that is over does nothing.
    ///
    /// # Errors
    /// The store cannot be reached.
    ///
    /// ```
    /// # use sockhop::{CloseReason, Session};
    /// # async fn refuse(session: &Session) {
    /// let reason = CloseReason::new(3000, "Go away!").unwrap();
    /// let _ = session.close(reason).await;
    /// # }
    /// ```
    pub async fn close(&self, reason: CloseReason) -> Result<(), StoreError> {
        self.0.over.store(true, Ordering::Relaxed);
        match &self.0.place {
            Place::Here(local) => {
                local.mailbox().close(reason);
                Ok(())
            }
            Place::Store(outbox) => {
                match outbox.flush(self).await {
                    Ok(()) | Err(SendError::Over | SendError::TooSlow) => {}
                    Err(SendError::Store(error)) => return Err(error),
                }
                match self.0.node.store.close(self.0.session, reason).await {
                    Ok(ended) => {
                        ended.into_iter().for_each(|ended| self.0.node.spawn_on_close(ended));
                        Ok(())
                    }
                    Err(Gone::Over | Gone::Fenced) => Ok(()),
                    Err(Gone::Store(error)) => Err(error),
                }
            }
        }
    }

    /// Subscribes to a channel: the client gets every message published from now on, in the channel's order, also
    /// while it is between two requests. Subscribing to what it is subscribed to changes nothing.
    ///
    /// # Errors
    /// See [`SubscribeError`].
    pub async fn subscribe(&self, channel: &ChannelName) -> Result<(), SubscribeError> {
        self.subscribe_to(&channel.into(), None).await
    }

    /// Subscribes to a feed from a position on, or from now on.
    pub(crate) async fn subscribe_to(&self, feed: &Feed, from: Option<Position>) -> Result<(), SubscribeError> {
        let Inner { node, service, .. } = &*self.0;
        let most = service.max_subscriptions;
        match &self.0.place {
            Place::Here(local) => local.subscribe(node, feed, from, service.unread_limit, most).await,
            Place::Store(_) => {
                let from = match from {
                    Some(from) => from,
                    None => node.head(&feed.channel).await?,
                };
                node.store.subscribe(self.0.session, feed, from, most).await
            }
        }
    }

    /// Ends a subscription. Ending one that does not exist does nothing.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn unsubscribe(&self, channel: &ChannelName) -> Result<(), StoreError> {
        self.unsubscribe_from(&channel.into()).await.map(drop)
    }

    /// Ends a subscription; up to where the client was handed what it brought, where that is known here.
    pub(crate) async fn unsubscribe_from(&self, feed: &Feed) -> Result<Option<Position>, StoreError> {
        match &self.0.place {
            Place::Here(local) => Ok(local.unsubscribe(feed)),
            Place::Store(_) => match self.0.node.store.unsubscribe(self.0.session, feed).await {
                Ok(()) | Err(Gone::Over | Gone::Fenced) => Ok(None),
                Err(Gone::Store(error)) => Err(error),
            },
        }
    }

    /// Ends all subscriptions to feeds with a tag.
    pub(crate) async fn unsubscribe_tag(&self, tag: &str) -> Result<(), StoreError> {
        match &self.0.place {
            Place::Here(local) => {
                local.unsubscribe_tag(tag);
                Ok(())
            }
            Place::Store(_) => match self.0.node.store.unsubscribe_tag(self.0.session, tag).await {
                Ok(()) | Err(Gone::Over | Gone::Fenced) => Ok(()),
                Err(Gone::Store(error)) => Err(error),
            },
        }
    }

    /// Subscriptions that the session may have.
    pub(crate) fn max_subscriptions(&self) -> usize {
        self.0.service.max_subscriptions
    }

    /// Has the store know of the session, if it does not yet: that of a WebSocket lives in the memory of its node alone.
    /// From then on its `on_close` is run elsewhere should its node die, with the attributes that it had; its attributes
    /// are in the store before [`set_attribute`](Self::set_attribute) resolves; and other nodes can close it. What it
    /// sends and gets goes its way as before. Anchoring a session again, or one that is in the store, does nothing.
    ///
    /// # Errors
    /// See [`AnchorError`].
    ///
    /// ```
    /// # async fn join(session: &sockhop::Session) -> Result<(), Box<dyn std::error::Error>> {
    /// // Whoever runs `on_close`, on whatever node, finds the room.
    /// session.anchor().await?;
    /// session.set_attribute("room", "lobby").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn anchor(&self) -> Result<(), AnchorError> {
        match &self.0.place {
            Place::Here(local) => local.anchor(self).await,
            Place::Store(_) => Ok(()),
        }
    }

    /// The node that the call runs on.
    pub(crate) fn node(&self) -> Node {
        Node { inner: Arc::clone(&self.0.node) }
    }

    /// Whether its client may come back to it after its connection was lost.
    pub(crate) fn can_resume(&self) -> bool {
        self.0.service.resume.is_some()
    }

    /// Of a session that can be resumed: which attempt of its client the call is for.
    pub(crate) fn attempt(&self) -> Option<u64> {
        match &self.0.place {
            Place::Store(outbox) => outbox.attempt,
            Place::Here(_) => None,
        }
    }

    /// Whether the session lives in this process's memory alone.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.0.place, Place::Here(_))
    }

    /// Whether the session lives in memory and the store knows of it.
    pub(crate) fn is_anchored(&self) -> bool {
        matches!(&self.0.place, Place::Here(local) if local.is_anchored())
    }

    /// Where a service's own code keeps what it knows of a session in memory.
    pub(crate) fn memory(&self) -> MutexGuard<'_, Option<Box<dyn Any + Send>>> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What holds from the end of the call under way on: for receivers, and for how long the client may be silent.
    pub(crate) fn keep_terms(&self, terms: Terms, patience: Option<Duration>) {
        match &self.0.place {
            Place::Here(local) => local.set_terms(terms, patience),
            Place::Store(outbox) => outbox.keep(|kept| kept.terms = Some(terms)),
        }
    }

    /// The handler, at work.
    pub(crate) fn run(&self, call: Call) -> BoxFuture<'static, ()> {
        if let Call::Messages(messages) = &call {
            self.0.node.metrics.messages_in.increment(messages.len() as u64);
        }
        Arc::clone(&self.0.service.handler).run(self.clone(), call)
    }

    /// Whether the session is known to be over without asking the store.
    pub(crate) fn is_over_here(&self) -> bool {
        self.0.over.load(Ordering::Relaxed)
            || matches!(&self.0.place, Place::Here(local) if local.mailbox().is_closed())
    }

    /// The handler panicked: that ends the session, not the server.
    pub(crate) async fn end_after_panic(&self) {
        let Inner { node, service, .. } = &*self.0;
        node.metrics.handler_panics.increment(1);
        tracing::error!(service = %service.name, session = ?self.identity(), "the handler panicked");
        if let Err(error) = self.close(CloseReason::INTERNAL_ERROR).await {
            tracing::error!(%error, "could not close the session whose handler panicked");
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("identity", &self.0.session)
            .field("service", &self.0.origin.service)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        self.0.session == other.0.session
    }
}

impl Eq for Session {}
