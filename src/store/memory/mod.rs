//! The store of one process: everything in memory, gone with it.
//!
//! It is the reference of what a [`Store`] does, and a product: a single node needs no other. Several nodes of one
//! process may share it.

mod batches;
mod catalogue;
mod channels;
mod ids;
mod log;
mod nodes;
mod queue;
mod record;
mod roster;
mod sessions;
mod shard;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use sockhop_transports::CloseReason;
use tokio::time::Instant;

use self::channels::Channels;
use self::nodes::Nodes;
use self::sessions::Sessions;
use super::{
    Anchor, Attach, Attached, Begin, Begun, Branch, Branched, ConsumeError, Consumer, Due, Ended, Enlist,
    Enlisted, Entered, Excerpt, Feed, Gone, Here, Hold, Inbox, Kept, Known, Left, Listed, Once, Own, Pending,
    Place, Position, Publish, PublishError, PublishOnce, Published, Push, Roster, Sent, SessionRef, Settle,
    Settled, Signal, Slice, Span, Stay, Store, StoreError, SubscribeError, Turn, Visitor,
};
use crate::id::{ChannelName, NodeId, SessionKey};

/// A [`Store`] in the memory of this process.
///
/// ```
/// use std::sync::Arc;
/// use sockhop::{Node, store::MemoryStore};
///
/// # tokio_test::block_on(async {
/// let store = Arc::new(MemoryStore::new());
/// let node = Node::builder().store(store).build();
/// # });
/// ```
pub struct MemoryStore {
    nodes: Arc<Nodes>,
    channels: Channels,
    sessions: Sessions,
    /// When channels were last looked at for what is past its age.
    swept: Mutex<Option<Instant>>,
}

/// How often channels are looked at for what is past its age.
const SWEEP: Duration = Duration::from_secs(5);

impl Default for MemoryStore {
    fn default() -> Self {
        let nodes = Arc::<Nodes>::default();
        let (channels, sessions) = (Channels::new(Arc::clone(&nodes)), Sessions::new(Arc::clone(&nodes)));
        Self { nodes, channels, sessions, swept: Mutex::default() }
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Drops what channels need not keep, from time to time.
    fn sweep_if_due(&self, now: Instant) {
        {
            let mut swept = lock(&self.swept);
            if now.duration_since(*swept.get_or_insert(now)) < SWEEP {
                return;
            }
            *swept = Some(now);
        }
        self.channels.sweep(now);
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn join(&self, node: NodeId, inbox: Weak<dyn Inbox>) {
        self.nodes.join(node, inbox);
    }

    async fn retire(&self, node: NodeId, reason: CloseReason) -> Vec<Ended> {
        if self.nodes.retire(node) { self.sessions.end_all(&reason) } else { Vec::new() }
    }

    async fn leave(&self, node: NodeId) {
        self.nodes.leave(node);
        self.channels.forget(node);
        self.sessions.orphan(node);
    }

    async fn publish(&self, publish: Publish<'_>) -> Result<Published, PublishError> {
        Ok(self.channels.publish(&publish))
    }

    async fn publish_once(&self, publish: PublishOnce<'_>) -> Result<Vec<Once>, PublishError> {
        Ok(self.channels.publish_once(&publish))
    }

    async fn enlist(&self, enlist: Enlist<'_>) -> Result<Enlisted, StoreError> {
        Ok(self.channels.enlist(&enlist))
    }

    async fn listed(&self, catalogue: &ChannelName) -> Result<Listed, StoreError> {
        Ok(self.channels.listed(catalogue))
    }

    async fn read(&self, channel: &ChannelName, after: Position, bytes: usize) -> Result<Slice, StoreError> {
        Ok(self.channels.with_log(channel, |log| log.read(after, bytes)))
    }

    async fn excerpt(
        &self,
        channel: &ChannelName,
        span: Span,
        most: usize,
        bytes: usize,
    ) -> Result<Excerpt, StoreError> {
        Ok(self.channels.excerpt(channel, span, most, bytes))
    }

    async fn heads(&self, channels: &[ChannelName]) -> Result<Vec<Position>, StoreError> {
        Ok(channels.iter().map(|channel| self.channels.head(channel)).collect())
    }

    async fn tail(&self, channel: &ChannelName, most: u64) -> Result<Position, StoreError> {
        Ok(self.channels.with_log(channel, |log| log.tail(most)))
    }

    async fn follow(&self, node: NodeId, channel: &ChannelName) -> Result<Position, StoreError> {
        Ok(self.channels.with_log(channel, |log| {
            log.follow(node);
            log.head()
        }))
    }

    async fn unfollow(&self, node: NodeId, channel: &ChannelName) {
        self.channels.with_log(channel, |log| log.unfollow(node));
    }

    async fn enqueue(&self, enqueue: Publish<'_>) -> Result<Published, PublishError> {
        self.channels.enqueue(&enqueue)
    }

    async fn enqueue_once(&self, enqueue: PublishOnce<'_>) -> Result<Vec<Once>, PublishError> {
        self.channels.enqueue_once(&enqueue)
    }

    async fn consume(&self, consumer: &Consumer, credit: u32, most: usize) -> Result<Position, ConsumeError> {
        self.channels.consume(consumer, credit, most)
    }

    async fn settle(&self, consumer: &Consumer, settle: Settle) -> Result<Settled, StoreError> {
        Ok(self.channels.settle(consumer, settle))
    }

    async fn cancel(&self, consumer: &Consumer, handled: Option<Position>) -> Result<(), StoreError> {
        self.channels.cancel(consumer, handled);
        Ok(())
    }

    async fn attach(&self, attach: Attach<'_>) -> Result<Attached, StoreError> {
        Ok(self.sessions.attach(&attach))
    }

    async fn anchor(&self, anchor: Anchor<'_>) -> Result<(), Gone> {
        self.sessions.anchor(&anchor)
    }

    async fn pending(&self, hold: Hold, own: Own) -> Result<Pending, Gone> {
        self.sessions.pending(hold, own)
    }

    async fn commit(&self, hold: Hold, received: Sent) -> Result<(), Gone> {
        self.sessions.commit(hold, received)
    }

    async fn release(&self, hold: Hold, sent: Sent) -> Result<(), Gone> {
        self.sessions.release(hold, sent)
    }

    async fn disown(&self, hold: Hold) -> Result<(), Gone> {
        self.sessions.disown(hold)
    }

    async fn lost(&self, hold: Hold) -> Result<Option<Ended>, Gone> {
        self.sessions.lost(hold)
    }

    async fn quit(&self, hold: Hold, reason: CloseReason) -> Result<Option<Ended>, Gone> {
        self.sessions.quit(hold, reason)
    }

    async fn push(&self, session: SessionRef, push: Push) -> Result<Option<Ended>, Gone> {
        self.sessions.push(session, push)
    }

    async fn close(&self, session: SessionRef, reason: CloseReason) -> Result<Option<Ended>, Gone> {
        self.sessions.close(session, reason)
    }

    async fn subscribe(
        &self,
        session: SessionRef,
        feed: &Feed,
        at: Position,
        most: usize,
    ) -> Result<(), SubscribeError> {
        self.sessions.subscribe(session, feed, at, most)
    }

    async fn unsubscribe(&self, session: SessionRef, feed: &Feed) -> Result<(), Gone> {
        self.sessions.unsubscribe(session, feed)
    }

    async fn branch(&self, hold: Hold, branch: Branch<'_>, most: usize) -> Result<Branched, Gone> {
        self.sessions.branch(hold, branch, most)
    }

    async fn unsubscribe_tag(&self, session: SessionRef, tag: &str) -> Result<(), Gone> {
        self.sessions.unsubscribe_tag(session, tag)
    }

    async fn set_attribute(&self, session: SessionRef, name: &str, value: Option<String>) -> Result<(), Gone> {
        self.sessions.set_attribute(session, name, value)
    }

    async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        self.sessions.begin(begin).await
    }

    async fn finish_keeping(
        &self,
        session: SessionRef,
        turn: Turn,
        push: Push,
        kept: Kept,
    ) -> Result<Option<Ended>, StoreError> {
        self.sessions.finish_keeping(session, turn, push, kept)
    }

    async fn closed(&self, _session: SessionRef) -> Result<(), StoreError> {
        // Who runs an `on_close` dies with this store.
        Ok(())
    }

    async fn due(&self, node: NodeId) -> Vec<Due> {
        loop {
            // Where nobody is waited for: until somebody is, or a sweep is due.
            self.sessions.tick(SWEEP).await;
            let now = Instant::now();
            self.sweep_if_due(now);
            let due = self.sessions.due(node, now);
            if !due.is_empty() {
                return due;
            }
        }
    }

    fn sessions(&self, node: NodeId) -> usize {
        // Several nodes of one process: one of them looks after all.
        if self.nodes.is_first(node) { self.sessions.open() } else { 0 }
    }

    fn unready(&self, _node: NodeId) -> Option<&'static str> {
        None
    }

    async fn enter(&self, roster: Roster<'_>, stay: Stay, visitor: Visitor<'_>) -> Result<Entered, StoreError> {
        self.channels.change_roster(roster, |roster, news| roster.enter(stay, visitor, news))
    }

    async fn exit(&self, roster: Roster<'_>, stay: Stay) -> Result<Left, StoreError> {
        Ok(self.channels.change_roster(roster, |roster, news| roster.exit(stay, news)))
    }

    async fn here(&self, channel: &ChannelName, after: Option<&Place>, most: usize) -> Result<Here, StoreError> {
        Ok(self.channels.here(channel, after, most))
    }

    async fn keys(&self, bucket: u16) -> Result<Vec<SessionKey>, StoreError> {
        Ok(self.sessions.keys(bucket))
    }

    async fn known(&self, key: SessionKey, attributes: &[&str]) -> Result<Option<Known>, StoreError> {
        Ok(self.sessions.known(key, attributes))
    }

    async fn signal(&self, node: NodeId, signal: Signal) -> Result<(), StoreError> {
        self.nodes.tell(node, signal);
        Ok(())
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").field("open", &self.sessions.open()).finish_non_exhaustive()
    }
}

/// A panic while a lock was held left state that is still whole: each operation changes it in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
