//! Application destinations: `/app/…`, which the application's own code handles.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use sockhop_stomp::{Frame, Version};

use super::broker::{Broker, BrokerError, StompMessage};
use super::destination::{session_channel, session_text, user_channel};
use super::users::Principal;
use crate::id::hex;
use crate::store::{Once, Published, SessionRef};
use crate::{ChannelName, Message, Session};

/// What an application does with messages to one of its destinations. Functions are handlers; see
/// [`Stomp::app`](super::Stomp::app).
///
/// What one client sends is handled in its order, and its next frame waits for the handler's end: long work belongs into
/// a task of its own, which may keep the [`AppMessage`]. A message is handled again if the node that handled it died
/// before its end was written down.
pub trait AppHandler: Send + Sync + 'static {
    /// Handles a message. Its receipt, if the client asked for one, comes when this is done; an error ends the client's
    /// connection with an ERROR frame.
    fn handle(&self, message: AppMessage) -> BoxFuture<'static, Result<(), AppError>>;
}

impl<F, R> AppHandler for F
where
    F: Fn(AppMessage) -> R + Send + Sync + 'static,
    R: Future<Output = Result<(), AppError>> + Send + 'static,
{
    fn handle(&self, message: AppMessage) -> BoxFuture<'static, Result<(), AppError>> {
        Box::pin(self(message))
    }
}

/// What an application answers to those who subscribe to one of its destinations. Functions are handlers; see
/// [`Stomp::app_subscribe`](super::Stomp::app_subscribe).
pub trait AppSubscribeHandler: Send + Sync + 'static {
    /// The answer to a SUBSCRIBE, whose headers the message holds: the one MESSAGE that the subscription ever gets. An
    /// error ends the client's connection with an ERROR frame.
    fn answer(&self, message: AppMessage) -> BoxFuture<'static, Result<StompMessage, AppError>>;
}

impl<F, R, M> AppSubscribeHandler for F
where
    F: Fn(AppMessage) -> R + Send + Sync + 'static,
    R: Future<Output = Result<M, AppError>> + Send + 'static,
    M: Into<StompMessage>,
{
    fn answer(&self, message: AppMessage) -> BoxFuture<'static, Result<StompMessage, AppError>> {
        let answer = self(message);
        Box::pin(async move { Ok(answer.await?.into()) })
    }
}

/// A message to the application, and the ways to answer it. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct AppMessage(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    frame: Frame,
    /// Counts the session's messages to the application.
    number: u64,
    /// Told only to those who ask for it.
    id: OnceLock<String>,
    variables: Variables,
    user: Option<Principal>,
    session: SessionRef,
    broker: Broker,
}

/// Names and values of a pattern's variables.
type Variables = Vec<(String, String)>;

/// A message cannot be handled: the client's connection ends with an ERROR frame, and the session with 4510.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The body is not what the handler needs.
    #[error("the body is not as expected: {0}")]
    Body(String),
    /// The application says no; the client reads why.
    #[error("{0}")]
    Refused(String),
    /// The application cannot be asked now; nothing was done.
    #[error("the application cannot be reached")]
    Unavailable,
    /// The application has not said whether it has handled the message.
    #[error("the application has not answered")]
    Unknown,
    /// The application is at fault.
    #[error("the application failed")]
    Failed,
    /// A message could not be sent.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// An answer could not be written down.
    #[error("the answer cannot be written: {0}")]
    Answer(String),
}

/// An answer cannot be written: a fault of the application.
impl From<serde_json::Error> for AppError {
    fn from(error: serde_json::Error) -> Self {
        Self::Answer(error.to_string())
    }
}

impl AppError {
    /// The application says no.
    #[must_use]
    pub fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }
}

impl AppMessage {
    /// `number` counts the session's messages to the application.
    pub(super) fn new(
        session: &Session,
        user: Option<&Principal>,
        variables: Variables,
        frame: Frame,
        number: u64,
    ) -> Self {
        Self(Arc::new(Inner {
            frame,
            number,
            id: OnceLock::new(),
            variables,
            user: user.cloned(),
            session: session.identity(),
            broker: Broker::new(&session.node()),
        }))
    }

    /// Names the message, as 32 hex digits: when it is handled again since the node that handled it died, it has the same
    /// id. What must not be sent twice for it is sent by [`Broker::send_once`] under an id made of it.
    #[must_use]
    pub fn id(&self) -> &str {
        let Inner { id, session, number, frame, .. } = &*self.0;
        id.get_or_init(|| id_of(*session, *number, frame))
    }

    /// The destination that the client named.
    #[must_use]
    pub fn destination(&self) -> &str {
        self.0.frame.headers.get("destination").unwrap_or_default()
    }

    /// What stands in the destination for `{name}` of the handler's pattern.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.0.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A header of the client's frame.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.frame.headers.get(name)
    }

    /// All headers of the client's frame, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.frame.headers.iter()
    }

    /// The body as it was sent.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.0.frame.body
    }

    /// The body, read from JSON.
    ///
    /// # Errors
    /// It is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, AppError> {
        serde_json::from_str(self.body()).map_err(|error| AppError::Body(error.to_string()))
    }

    /// Who sent it; `None` for a client without a user.
    #[must_use]
    pub fn user(&self) -> Option<&Principal> {
        self.0.user.as_ref()
    }

    /// What stands for the client's session in maps and logs.
    #[must_use]
    pub fn session(&self) -> SessionRef {
        self.0.session
    }

    /// The way to all destinations.
    #[must_use]
    pub fn broker(&self) -> &Broker {
        &self.0.broker
    }

    /// Sends to a destination; see [`Broker::send`].
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub async fn send(
        &self,
        destination: &str,
        message: impl Into<StompMessage>,
    ) -> Result<Published, BrokerError> {
        self.0.broker.send(destination, message).await
    }

    /// Sends to all sessions of a user; see [`Broker::send_to_user`].
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub async fn send_to_user(
        &self,
        name: &str,
        path: &str,
        message: impl Into<StompMessage>,
    ) -> Result<Published, BrokerError> {
        self.0.broker.send_to_user(name, path, message).await
    }

    /// Answers the session that sent this, and no other of its user: it gets the answer if it is subscribed to `/user` and
    /// `path`, such as `/queue/answers`.
    ///
    /// # Errors
    /// See [`BrokerError`].
    pub async fn reply(&self, path: &str, message: impl Into<StompMessage>) -> Result<Published, BrokerError> {
        let (channel, entry) = self.reply_entry(path, &message.into())?;
        Ok(self.0.broker.node().publish(&channel, entry).await?)
    }

    /// [`reply`](Self::reply), once under an id.
    pub(super) async fn reply_once(
        &self,
        path: &str,
        id: String,
        message: StompMessage,
    ) -> Result<Once, BrokerError> {
        let (channel, entry) = self.reply_entry(path, &message)?;
        Ok(self.0.broker.node().publish_once(&channel, id.as_str(), entry).await?)
    }

    fn reply_entry(&self, path: &str, message: &StompMessage) -> Result<(ChannelName, Message), BrokerError> {
        let (channel, only) = match self.user() {
            Some(user) => (user_channel(user.name(), path)?, Some(session_text(self.0.session))),
            None => (session_channel(self.0.session, path)?, None),
        };
        Ok((channel, message.entry(only.as_deref())))
    }
}

/// The id of a session's message: of its place, since clients repeat themselves, and of its content, since a message whose
/// call was lost with its node is followed by another in its place.
fn id_of(session: SessionRef, number: u64, frame: &Frame) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    hash.update(session.key.to_bytes());
    hash.update(session.life.to_be_bytes());
    hash.update(number.to_be_bytes());
    hash.update(frame.encode(Version::V1_2));
    hex(&hash.finalize()[..16])
}

/// The handlers of a service, by the patterns of their destinations.
pub(super) struct Apps<H: ?Sized = dyn AppHandler>(Vec<(String, Arc<H>)>);

impl<H: ?Sized> Default for Apps<H> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<H: ?Sized> Apps<H> {
    pub(super) fn add(&mut self, pattern: &str, handler: Arc<H>) {
        self.0.push((pattern.to_owned(), handler));
    }

    /// The first handler whose pattern fits, and what stands for its variables.
    pub(super) fn find(&self, destination: &str) -> Option<(Arc<H>, Variables)> {
        self.0.iter().find_map(|(pattern, handler)| {
            let mut variables = Vec::new();
            capture(pattern, destination, &mut variables).then(|| (Arc::clone(handler), variables))
        })
    }
}

impl<H: ?Sized> std::fmt::Debug for Apps<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(pattern, _)| pattern)).finish()
    }
}

/// Whether a destination fits a pattern: `{name}` and `*` stand for what is between two slashes, `**` at the end for
/// anything.
fn capture(pattern: &str, destination: &str, variables: &mut Variables) -> bool {
    let (mut pattern, mut rest) = (pattern.split('/'), destination.split('/'));
    loop {
        match (pattern.next(), rest.next()) {
            (None, None) => return true,
            (Some("**"), Some(_)) => return true,
            (Some(segment), Some(text)) => {
                let name = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
                match name {
                    Some(name) if !text.is_empty() => variables.push((name.to_owned(), text.to_owned())),
                    None if segment == "*" && !text.is_empty() || segment == text => {}
                    _ => return false,
                }
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_find_what_stands_between_slashes() {
        for (pattern, destination, found) in [
            ("/app/hello", "/app/hello", Some(vec![])),
            ("/app/hello", "/app/hello/x", None),
            ("/app/hello", "/app/hell", None),
            ("/app/rooms/{room}/say", "/app/rooms/7.b/say", Some(vec![("room", "7.b")])),
            ("/app/rooms/{room}/say", "/app/rooms//say", None),
            ("/app/{a}/{b}", "/app/1/2", Some(vec![("a", "1"), ("b", "2")])),
            ("/app/*", "/app/x", Some(vec![])),
            ("/app/*", "/app/x/y", None),
            ("/app/**", "/app/x/y", Some(vec![])),
            ("/app/**", "/app", None),
        ] {
            let mut variables = Vec::new();
            let fits = capture(pattern, destination, &mut variables);
            let variables: Vec<_> =
                variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(fits.then_some(variables), found, "{pattern} {destination}");
        }
    }
}
