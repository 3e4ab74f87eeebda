//! How the handler is called for sessions in the store.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use sockhop_transports::{CloseReason, MessageIn, Texts};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::attach::STORE_FAILED;
use super::{Inner, Outbox, Place, SendError, Session};
use crate::handler::Call;
use crate::node::NodeInner;
use crate::service::ServiceState;
use crate::store::{Begin, Begun, Ended, Opening, Origin, SessionRef, StoreError, Tended, Turn};

/// Runs the first handler call of a session in the store.
pub(crate) async fn on_open(node: Arc<NodeInner>, service: Arc<ServiceState>, opening: Opening) {
    let Opening { session, origin, attributes, turn } = opening;
    let place = Place::Store(Outbox::collecting(None));
    let session = Session::new(node, service, origin, session, place, attributes);
    run(&session, Call::Open).await;
    if let Err(error) = finish(&session, turn).await {
        tracing::warn!(%error, "could not write down what a handler call has sent");
    }
}

/// Hands a client's messages to the handler, on whatever node they came. Goes on by itself when the client goes away: a call
/// that the store takes for begun has to end.
pub(crate) fn hand_in(
    node: &Arc<NodeInner>,
    service: &Arc<ServiceState>,
    begin: Begin,
    messages: Texts,
) -> RunToEnd<MessageIn> {
    RunToEnd::new(node, begin_and_run(Arc::clone(node), Arc::clone(service), begin, messages))
}

async fn begin_and_run(
    node: Arc<NodeInner>,
    service: Arc<ServiceState>,
    begin: Begin,
    messages: Texts,
) -> MessageIn {
    let handed = match node.store.begin(begin).await {
        Ok(Begun::Run { session, origin, attributes, turn, opening }) => {
            let attempt = begin.attempt;
            let running = Running { session, origin, attributes, turn, opening, attempt };
            on_messages(node, service, running, messages).await
        }
        Ok(Begun::Done | Begun::Closed) => Ok(()),
        Ok(Begun::TooMany(ended)) => {
            // The client is told by its receiver: another status here would only read as a network failure.
            ended.into_iter().for_each(|ended| node.spawn_on_close(ended));
            Ok(())
        }
        Ok(Begun::Unknown) => return MessageIn::Unknown,
        Err(error) => Err(error),
    };
    match handed {
        Ok(()) => MessageIn::Done,
        Err(error) => {
            tracing::warn!(%error, "could not hand in a message");
            // As for an attach: what a balancer names it repeats.
            if begin.request.is_some() { MessageIn::Unwritten } else { MessageIn::Unavailable(STORE_FAILED) }
        }
    }
}

/// A handler call for messages to a session in the store, begun.
struct Running {
    session: SessionRef,
    origin: Arc<Origin>,
    attributes: BTreeMap<String, String>,
    turn: Turn,
    opening: bool,
    attempt: Option<u64>,
}

/// Runs the handler for messages to a session in the store.
///
/// # Errors
/// The store did not say that it wrote down the call's end: the call may be made again.
async fn on_messages(
    node: Arc<NodeInner>,
    service: Arc<ServiceState>,
    running: Running,
    messages: Texts,
) -> Result<(), StoreError> {
    let Running { session, origin, attributes, turn, opening, attempt } = running;
    let place = Place::Store(Outbox::collecting(attempt));
    let session = Session::new(node, service, origin, session, place, attributes);
    if opening {
        run(&session, Call::Open).await;
    }
    run(&session, Call::Messages(messages)).await;
    finish(&session, turn).await
}

/// Runs the handler. Whenever it waits, what it has sent is written down.
async fn run(session: &Session, call: Call) {
    let Place::Store(outbox) = &session.0.place else { return };
    let mut call = session.run(call);
    let mut flush: Option<BoxFuture<'_, Result<(), SendError>>> = None;
    std::future::poll_fn(|cx| {
        if call.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            match &mut flush {
                // An error is for the call's later sends, and its end, to meet.
                Some(flushing) => match flushing.as_mut().poll(cx) {
                    Poll::Ready(_) => flush = None,
                    Poll::Pending => return Poll::Pending,
                },
                None if outbox.poll_collected(cx) => flush = Some(Box::pin(outbox.flush(session))),
                None => return Poll::Pending,
            }
        }
    })
    .await;
    if let Some(flush) = flush {
        let _ = flush.await;
    }
}

async fn finish(session: &Session, turn: Turn) -> Result<(), StoreError> {
    let Inner { node, place, .. } = &*session.0;
    let Place::Store(outbox) = place else { return Ok(()) };
    let (frames, kept) = outbox.end().await;
    let push = session.push_of(frames);
    if let Some(ended) = node.store.finish_keeping(session.identity(), turn, push, kept).await? {
        // The client's request does not wait for it.
        node.spawn_on_close(ended);
    }
    Ok(())
}

/// Runs the last handler call of a session in the store.
pub(crate) async fn on_close(node: Arc<NodeInner>, service: Arc<ServiceState>, ended: Ended) {
    let Ended { session, origin, attributes, reason } = ended;
    let place = Place::Store(Outbox::default());
    let session = Session::new(node, service, origin, session, place, attributes);
    closed(&session, &reason).await;
    let Inner { node, session, .. } = &*session.0;
    if let Err(error) = node.store.closed(*session).await {
        tracing::warn!(%error, "could not write down that a session's end was handled");
    }
}

/// Has its handler see to a session in the store.
pub(crate) async fn tend(node: Arc<NodeInner>, service: Arc<ServiceState>, tended: Tended) {
    let Tended { session, origin, attributes } = tended;
    let place = Place::Store(Outbox::default());
    Session::new(node, service, origin, session, place, attributes).run(Call::Tend).await;
}

/// Tells log, counters and handler that a session is over.
pub(super) async fn closed(session: &Session, reason: &CloseReason) {
    let Inner { node, service, .. } = &*session.0;
    let (name, code, text) = (&service.name, reason.code(), reason.text());
    let identity = session.identity();
    if reason.is_limit() {
        tracing::warn!(service = %name, session = ?identity, code, reason = ?text, remote = ?session.request().remote(), "session closed");
    } else {
        tracing::debug!(service = %name, session = ?identity, code, reason = ?text, "session closed");
    }
    node.metrics.closed(reason);
    session.run(Call::Close(reason.clone())).await;
}

/// Work that goes on by itself when whoever waits for it goes away.
pub(crate) struct RunToEnd<T: Send + 'static> {
    work: Option<BoxFuture<'static, T>>,
    node: Arc<NodeInner>,
    /// A node that ends waits for it.
    _work: TaskTrackerToken,
}

impl<T: Send + 'static> RunToEnd<T> {
    pub(crate) fn new(node: &Arc<NodeInner>, work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)), node: Arc::clone(node), _work: node.work() }
    }
}

impl<T: Send + 'static> Future for RunToEnd<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Never asked again once it is done, as no future is.
        let Some(work) = &mut self.work else { return Poll::Pending };
        let polled = work.as_mut().poll(cx);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for RunToEnd<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.node.spawn(async move { drop(work.await) });
        }
    }
}
