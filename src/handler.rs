//! The application's code.

use std::future::Future;

use futures_util::future::BoxFuture;
use sockhop_transports::CloseReason;

use crate::Session;

/// What an application does with its sessions.
///
/// Calls for one session never overlap, and come in order: `on_open`, a call per message, `on_close`. Calls for
/// different sessions run side by side, on any thread, and on a cluster on any node: a handler keeps nothing of a
/// session in its own memory that it cannot rebuild. While a call runs, its client's next messages wait; long work
/// belongs into a task of its own, which may keep a clone of the [`Session`].
///
/// ```
/// use sockhop::{CloseReason, Handler, Session};
///
/// struct Shout;
///
/// impl Handler for Shout {
///     async fn on_message(&self, session: &Session, message: String) {
///         // An error means that the session is over; `on_close` will say why.
///         let _ = session.send(message.to_uppercase()).await;
///     }
/// }
/// ```
pub trait Handler: Send + Sync + 'static {
    /// A client has opened a session.
    fn on_open(&self, session: &Session) -> impl Future<Output = ()> + Send {
        let _ = session;
        async {}
    }

    /// A client has sent a message.
    fn on_message(&self, session: &Session, message: String) -> impl Future<Output = ()> + Send;

    /// A session is over. Nothing can be sent any more; its attributes can still be read.
    fn on_close(&self, session: &Session, reason: &CloseReason) -> impl Future<Output = ()> + Send {
        let (_, _) = (session, reason);
        async {}
    }
}

/// A [`Handler`] behind a pointer.
pub(crate) trait AnyHandler: Send + Sync + 'static {
    fn on_open<'a>(&'a self, session: &'a Session) -> BoxFuture<'a, ()>;
    fn on_message<'a>(&'a self, session: &'a Session, message: String) -> BoxFuture<'a, ()>;
    fn on_close<'a>(&'a self, session: &'a Session, reason: &'a CloseReason) -> BoxFuture<'a, ()>;
}

impl<H: Handler> AnyHandler for H {
    fn on_open<'a>(&'a self, session: &'a Session) -> BoxFuture<'a, ()> {
        Box::pin(Handler::on_open(self, session))
    }

    fn on_message<'a>(&'a self, session: &'a Session, message: String) -> BoxFuture<'a, ()> {
        Box::pin(Handler::on_message(self, session, message))
    }

    fn on_close<'a>(&'a self, session: &'a Session, reason: &'a CloseReason) -> BoxFuture<'a, ()> {
        Box::pin(Handler::on_close(self, session, reason))
    }
}
