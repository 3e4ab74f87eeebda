//! The application's code.

use std::future::{Future, ready};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use sockhop_transports::{CloseReason, Texts};

use crate::Session;

/// What an application does with its sessions.
///
/// Calls for one session never overlap, and come in order: `on_open`, a call per message, `on_close`. Calls for
/// different sessions run side by side, on any thread, and on a cluster on any node: a handler keeps nothing of a
/// session in its own memory that it cannot rebuild. While a call runs, its client's next messages wait; long work
/// belongs into a task of its own, which may keep a clone of the [`Session`].
///
/// A call whose node dies before its end is made again, on another node: what it sent to its session and what it kept
/// there was not written down, but what it did elsewhere, such as publishing, it may do twice.
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

/// What a handler is called for.
pub(crate) enum Call {
    Open,
    /// One call a message, until the session is over.
    Messages(Texts),
    Close(CloseReason),
    /// The session lives on: what is kept of it elsewhere is to be renewed. Not one of its calls: it may come while one
    /// runs.
    Tend,
}

/// A [`Handler`] behind a pointer.
pub(crate) trait AnyHandler: Send + Sync + 'static {
    /// The calls, as one future: one allocation, however many they are.
    fn run(self: Arc<Self>, session: Session, call: Call) -> BoxFuture<'static, ()>;
}

impl<H: Handler> AnyHandler for H {
    fn run(self: Arc<Self>, session: Session, call: Call) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            match call {
                Call::Open => guard(&session, async { self.on_open(&session).await }).await,
                Call::Messages(messages) => {
                    for (index, message) in messages.into_iter().enumerate() {
                        if index > 0 && session.is_over_here() {
                            break;
                        }
                        guard(&session, async { self.on_message(&session, message).await }).await;
                        // Many messages in one request must not keep a thread from everybody else.
                        tokio::task::consume_budget().await;
                    }
                }
                Call::Tend => {}
                Call::Close(reason) => guard(&session, async { self.on_close(&session, &reason).await }).await,
            }
        })
    }
}

/// One call, whose panic ends the session and not the server. `call` makes the call: making it may panic, too.
pub(crate) fn guard<'a>(
    session: &'a Session,
    call: impl Future<Output = ()> + Send + 'a,
) -> impl Future<Output = ()> + Send + 'a {
    // Not by `async`, which would keep room for the call twice.
    AssertUnwindSafe(call).catch_unwind().then(|ended| match ended {
        Ok(()) => Either::Left(ready(())),
        Err(_) => Either::Right(Box::pin(session.end_after_panic())),
    })
}
