//! The end of sessions that have connected, told to the application.

use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sockhop_transports::CloseReason;

use super::State;
use super::broker::Broker;
use super::state::{Connected, Conversation};
use super::users::Principal;
use crate::store::SessionRef;
use crate::{RequestInfo, Session};

/// Is told of the end of sessions. Functions are handlers; see [`Stomp::on_disconnect`](super::Stomp::on_disconnect).
pub trait DisconnectHandler: Send + Sync + 'static {
    /// A session that has connected is over.
    fn handle(&self, disconnect: Disconnect) -> BoxFuture<'static, ()>;
}

impl<F, R> DisconnectHandler for F
where
    F: Fn(Disconnect) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    fn handle(&self, disconnect: Disconnect) -> BoxFuture<'static, ()> {
        Box::pin(self(disconnect))
    }
}

/// The end of a session. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Disconnect {
    session: Session,
    user: Option<Arc<Principal>>,
    reason: CloseReason,
}

impl Disconnect {
    /// What stood for the session in maps and logs.
    #[must_use]
    pub fn session(&self) -> SessionRef {
        self.session.identity()
    }

    /// Whose session it was; `None` for a client without a user.
    #[must_use]
    pub fn user(&self) -> Option<&Principal> {
        self.user.as_deref()
    }

    /// Why it is over.
    #[must_use]
    pub fn reason(&self) -> &CloseReason {
        &self.reason
    }

    /// The request that opened the session.
    #[must_use]
    pub fn request(&self) -> &RequestInfo {
        self.session.request()
    }

    /// The way to all destinations.
    #[must_use]
    pub fn broker(&self) -> Broker {
        Broker::new(&self.session.node())
    }
}

/// Tells the application that a session is over, if it had connected.
pub(super) async fn tell(state: &State, session: &Session, reason: CloseReason) {
    let Some(handler) = &state.disconnect else { return };
    let connected = match Conversation::load(session, state.limits) {
        Ok(conversation) => conversation.last_connected(),
        Err(error) => {
            tracing::error!(%error, "the end of a STOMP session cannot be told");
            None
        }
    };
    if let Some(Connected { user, .. }) = connected {
        let user = user.map(Arc::new);
        handler.0.handle(Disconnect { session: session.clone(), user, reason }).await;
    }
}

/// The handler of a service.
pub(super) struct Handler(pub(super) Arc<dyn DisconnectHandler>);

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DisconnectHandler")
    }
}
