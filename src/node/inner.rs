//! What the parts of a node share: its state and its tasks, and what its store tells it.

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
use crate::id::{ChannelName, NodeId};
use crate::metrics::Metrics;
use crate::registry::{Kind, Registry};
use crate::retention::Retentions;
use crate::service::ServiceState;
use crate::session;
use crate::stomp::Queues;
use crate::store::{
    Due, Ended, Entry, Epoch, Gone, Hold, Holder, IdMemory, Inbox, Once, Opening, Own, Position, Retention,
    Signal, Store, StoreError, Tended,
};

/// What the parts of a process share.
pub(crate) struct NodeInner {
    pub(super) me: Weak<Self>,
    pub(crate) id: NodeId,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) hub: Hub,
    pub(crate) registry: Registry,
    pub(crate) metrics: Metrics,
    pub(crate) max_sessions: usize,
    /// Who gets what is sent to queues.
    pub(crate) queues: Queues,
    pub(super) retentions: Retentions,
    pub(super) id_memory: IdMemory,
    pub(crate) catalogue: Catalogue,
    /// What every channel keeps at least.
    pub(crate) least_retention: Retention,
    /// Sessions that live here alone: those of WebSockets that are not anchored.
    pub(super) sockets: AtomicUsize,
    pub(super) services: RwLock<HashMap<Arc<str>, Weak<ServiceState>>>,
    pub(super) tasks: TaskTracker,
    /// Cancelled when the background tasks are to end.
    pub(super) stop: CancellationToken,
    /// Cancelled when the store does not count on the node any more.
    pub(super) left: CancellationToken,
    /// About to end.
    pub(super) leaving: AtomicBool,
    /// Ending.
    pub(super) draining: AtomicBool,
}

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

    /// Counts those messages that were published now, and not before.
    pub(super) fn count_new(&self, outcomes: &[Once]) {
        self.metrics.published.increment(outcomes.iter().filter(|outcome| outcome.is_new()).count() as u64);
    }

    /// Has the node wait, when it ends, until this is dropped.
    pub(crate) fn work(&self) -> TaskTrackerToken {
        self.tasks.token()
    }

    pub(super) fn spawn_background(self: &Arc<Self>) {
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

    pub(super) fn sessions(&self) -> usize {
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
    pub(super) async fn close_sockets(&self, within: Duration) {
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

/// Sockets closed at once while draining, and how often.
const DRAIN_BATCHES: usize = 20;
/// How often idle channels and receivers that do not keep up are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How long another node may take to say whether a receiver is there.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(250);
