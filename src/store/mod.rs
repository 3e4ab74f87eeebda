//! Where channels and sessions live, behind one trait.
//!
//! A **channel** is a log of entries with positions. A **session** is a set of cursors into logs, its own log of frames
//! among them, and at most one attachment. No node owns a session: every write that a receiver makes names its
//! attachment number, and changes nothing when another attach has happened since.
//!
//! Each operation is atomic, and touches one channel or one session: on a remote store it is one script on one hash
//! slot. What Pub/Sub carries ([`Inbox`]) is only a hint: losing it makes delivery slow, never wrong.

mod catalogue;
mod channel;
pub mod memory;
mod once;
mod queue;
pub mod redis;
mod roster;
mod session;

use std::fmt;
use std::sync::Weak;

use async_trait::async_trait;

pub(crate) use self::redis::{AppendError, Appended, Taken, Waiting};
pub use self::redis::{
    InvalidAuthorities, InvalidListName, InvalidStoreUrl, ListName, RedisLists, RedisStore, RedisStoreBuilder,
};
pub use catalogue::{Enlist, Enlisted, Listed};
pub use channel::{
    Batch, Entry, Epoch, Excerpt, InvalidPosition, Position, Publish, PublishError, Published, Retention, Slice,
    Span,
};
pub use memory::MemoryStore;
pub use once::{IdMemory, Once, PublishOnce};
pub use queue::{ConsumeError, Consumer, ConsumerId, Settle, Settled, Which};
pub use roster::{Entered, Here, InvalidPlace, Left, Place, Present, Roster, Stay, Telling, Visitor};
pub use session::{
    Again, Anchor, Attach, Attached, Attempt, Begin, Begun, Branch, Branched, Due, Ended, Feed, First, Gone, Hold,
    Holder, Intent, InvalidSessionId, Kept, Known, Opening, Origin, Own, Pending, Push, Replay, Sent, SessionId,
    SessionRef, SubscribeError, Subscription, TENDED, Takeover, Tended, Terms, Turn,
};

use crate::id::{ChannelName, NodeId, SessionKey};
use sockhop_transports::{CloseReason, Message};

/// Where channels and sessions live.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Makes a node known. Its inbox gets the entries of the channels that it follows, and the signals meant for it.
    fn join(&self, node: NodeId, inbox: Weak<dyn Inbox>);

    /// The node ends: closes the sessions that cannot go on without it, with `reason`, and hands back those whose
    /// `on_close` the caller has to run. A store that outlives its nodes hands back nothing.
    async fn retire(&self, node: NodeId, reason: CloseReason) -> Vec<Ended>;

    /// The node has ended: what it still holds is anybody's.
    async fn leave(&self, node: NodeId);

    /// Appends messages to a channel.
    ///
    /// A [`Batch`] that the channel has already taken is not appended again; its positions are answered.
    async fn publish(&self, publish: Publish<'_>) -> Result<Published, PublishError>;

    /// Appends those messages whose ids the channel does not remember, in order, and answers what became of each.
    ///
    /// # Errors
    /// Where the outcome is unknown, the same messages may be published again, together or one by one.
    async fn publish_once(&self, publish: PublishOnce<'_>) -> Result<Vec<Once>, PublishError>;

    /// Entries after a position, at least one where there is one, then at most `bytes` of them.
    async fn read(&self, channel: &ChannelName, after: Position, bytes: usize) -> Result<Slice, StoreError>;

    /// Entries of a channel, at most `most` of them; of those at least the one next to where `span` begins, then at most
    /// `bytes`. Costs the same wherever that is. The channel is left as it is, and not kept any longer for it.
    async fn excerpt(
        &self,
        channel: &ChannelName,
        span: Span,
        most: usize,
        bytes: usize,
    ) -> Result<Excerpt, StoreError>;

    /// The positions of the newest entries, in the order asked.
    async fn heads(&self, channels: &[ChannelName]) -> Result<Vec<Position>, StoreError>;

    /// Sends the channel's entries to the node's inbox from now on. Resolves when that is certain, with the position
    /// of the newest entry then. Follows are counted: each is undone by one [`unfollow`](Self::unfollow).
    async fn follow(&self, node: NodeId, channel: &ChannelName) -> Result<Position, StoreError>;

    /// Undoes [`follow`](Self::follow).
    async fn unfollow(&self, node: NodeId, channel: &ChannelName);

    /// Appends messages to a queue, all or none: each is given to one of its consumers, in the order in which they were
    /// accepted, and kept until one has handled it. Of the retention, entries and bytes count: past these nothing is
    /// dropped, but [`PublishError::Full`] answered: also for what was enqueued together with something that is refused. A
    /// [`Batch`] works as for [`publish`](Self::publish).
    async fn enqueue(&self, enqueue: Publish<'_>) -> Result<Published, PublishError>;

    /// Appends those messages to a queue whose ids it does not remember, all or none of these, and answers what became of
    /// each. A message that was handled since, and is not kept any more, is remembered as well.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue) and [`publish_once`](Self::publish_once). Where the queue was full, nothing of it is
    /// remembered.
    async fn enqueue_once(&self, enqueue: PublishOnce<'_>) -> Result<Vec<Once>, PublishError>;

    /// Makes a consumer known to its queue, of which there may be `most`. What it is given, of which `credit` messages at
    /// most are not settled at any time, is appended to its [channel](Consumer::channel); the position before the first
    /// is answered. Repeating it changes nothing.
    async fn consume(&self, consumer: &Consumer, credit: u32, most: usize) -> Result<Position, ConsumeError>;

    /// Says what became of messages that a consumer was given. Repeating it, or settling what is settled, changes nothing.
    async fn settle(&self, consumer: &Consumer, settle: Settle) -> Result<Settled, StoreError>;

    /// Ends a consumer: what it has not settled goes back to the queue, before all that came later, and to others. With
    /// `handled`, what it was given up to there counts as handled. A [`consume`](Self::consume) that comes later is
    /// refused. What is in the consumer's channel can be read for a few minutes more.
    async fn cancel(&self, consumer: &Consumer, handled: Option<Position>) -> Result<(), StoreError>;

    /// Takes hold of a session, or says who holds it.
    async fn attach(&self, attach: Attach<'_>) -> Result<Attached, StoreError>;

    /// Writes down a session that lives in the memory of its node, so that others learn of it: they can close it, and
    /// run its `on_close` should the node die. The record is held by that node; the end of its connection is told by
    /// [`quit`](Self::quit), which hands the `on_close` to the node. Again, if the answer was lost.
    ///
    /// # Errors
    /// Over, if it was closed, or its node taken for dead, since it was written down first; or if its end was told before.
    async fn anchor(&self, anchor: Anchor<'_>) -> Result<(), Gone>;

    /// What a session's own log, subscriptions and state hold for its receiver, after what `own` says it was handed.
    async fn pending(&self, hold: Hold, own: Own) -> Result<Pending, Gone>;

    /// The client is known to have received all this: it is not kept any longer. The session stays held.
    async fn commit(&self, hold: Hold, received: Sent) -> Result<(), Gone>;

    /// Commits what was handed to the transport and lets the session go. Releasing twice is no error.
    async fn release(&self, hold: Hold, sent: Sent) -> Result<(), Gone>;

    /// Lets a session go as if nothing had been handed to its receiver, of which its client may know nothing. An
    /// [`anchor`](Self::anchor), whose session is not there, is forgotten.
    async fn disown(&self, hold: Hold) -> Result<(), Gone>;

    /// The client's connection was lost while it was attached: the session is over, unless it can be resumed. One that
    /// can is let go, and waits for its client.
    async fn lost(&self, hold: Hold) -> Result<Option<Ended>, Gone>;

    /// Ends a session on behalf of its receiver, whose client has closed the connection or broken the rules. May be
    /// repeated until it is answered.
    ///
    /// # Errors
    /// Of an [`anchor`](Self::anchor): over, if there is none, or none any more since the store has lost it; fenced, if its
    /// node was taken for dead and others were handed its `on_close`.
    async fn quit(&self, hold: Hold, reason: CloseReason) -> Result<Option<Ended>, Gone>;

    /// Appends frames to a session's own log. Past the limit the session is closed as too slow.
    async fn push(&self, session: SessionRef, push: Push) -> Result<Option<Ended>, Gone>;

    /// Closes a session.
    async fn close(&self, session: SessionRef, reason: CloseReason) -> Result<Option<Ended>, Gone>;

    /// Adds a subscription whose cursor is `at`, as a new generation. One that exists stays where it is: a handler call
    /// that is made again must not skip what came since.
    async fn subscribe(
        &self,
        session: SessionRef,
        feed: &Feed,
        at: Position,
        most: usize,
    ) -> Result<(), SubscribeError>;

    /// Adds a subscription that an entry of another one has led to, on behalf of the receiver that met it. Nothing
    /// happens where it is there already, or the other one has ended. At most `most` there may be.
    async fn branch(&self, hold: Hold, branch: Branch<'_>, most: usize) -> Result<Branched, Gone>;

    /// Ends a subscription; that it did not exist is no error.
    async fn unsubscribe(&self, session: SessionRef, feed: &Feed) -> Result<(), Gone>;

    /// Ends all subscriptions with a tag, in one step.
    async fn unsubscribe_tag(&self, session: SessionRef, tag: &str) -> Result<(), Gone>;

    /// Sets an attribute, or removes it.
    async fn set_attribute(&self, session: SessionRef, name: &str, value: Option<String>) -> Result<(), Gone>;

    /// Waits until no other handler call of the session is under way, and begins one for a client's messages.
    async fn begin(&self, begin: Begin) -> Result<Begun, StoreError>;

    /// Ends the handler call that [`begin`](Self::begin), or the attach that created the session, began, and appends
    /// what it has sent: both or neither. When the session was closed meanwhile, or is now since too much waits for its
    /// client, the caller has to run its `on_close`. Of a call that another node has taken over, nothing is appended.
    async fn finish(&self, session: SessionRef, turn: Turn, push: Push) -> Result<Option<Ended>, StoreError> {
        self.finish_keeping(session, turn, push, Kept::default()).await
    }

    /// [`finish`](Self::finish), and what the call changes of its session's state: all or nothing.
    ///
    /// # Errors
    /// The store cannot tell, or the call was given up on, since its node was taken for dead: it is made again, or was.
    async fn finish_keeping(
        &self,
        session: SessionRef,
        turn: Turn,
        push: Push,
        kept: Kept,
    ) -> Result<Option<Ended>, StoreError>;

    /// The place behind which a channel keeps its newest entries, `most` of them or as many as there are.
    async fn tail(&self, channel: &ChannelName, most: u64) -> Result<Position, StoreError>;

    /// Has a channel's name in a catalogue, and tells the catalogue's followers if it is new, in one step.
    async fn enlist(&self, enlist: Enlist<'_>) -> Result<Enlisted, StoreError>;

    /// The names in a catalogue, and where its channel stood when they were these.
    async fn listed(&self, catalogue: &ChannelName) -> Result<Listed, StoreError>;

    /// The `on_close` of an [`Ended`] has run: nobody has to run it again.
    async fn closed(&self, session: SessionRef) -> Result<(), StoreError>;

    /// Waits for what is left for `node` to do: to run the `on_close` of sessions whose clients did not come back in time,
    /// or whatever a node that is gone has not run to its end.
    async fn due(&self, node: NodeId) -> Vec<Due>;

    /// How many sessions `node` looks after. Over all nodes this sums up to the sessions that there are.
    fn sessions(&self, node: NodeId) -> usize;

    /// Why clients should not be sent to this node now; `None` where nothing speaks against it.
    fn unready(&self, node: NodeId) -> Option<&'static str>;

    /// Writes a session into a roster. That it is there is said again from time to time: otherwise a store that outlives
    /// nodes takes it for gone, some half an hour later. One whose nodes end with it need not.
    async fn enter(&self, roster: Roster<'_>, stay: Stay, visitor: Visitor<'_>) -> Result<Entered, StoreError>;

    /// Ends a session's stay in a roster. An [`enter`](Self::enter) of the same stay that comes late changes nothing.
    async fn exit(&self, roster: Roster<'_>, stay: Stay) -> Result<Left, StoreError>;

    /// Who is in the roster of a channel: `most` members at most, from the first on or behind a place.
    async fn here(&self, channel: &ChannelName, after: Option<&Place>, most: usize) -> Result<Here, StoreError>;

    /// The keys of the sessions that the store knows in a [bucket](SessionKey::bucket).
    async fn keys(&self, bucket: u16) -> Result<Vec<SessionKey>, StoreError>;

    /// What the store knows of a session that is open, with those of its attributes.
    async fn known(&self, key: SessionKey, attributes: &[&str]) -> Result<Option<Known>, StoreError>;

    /// Sends a signal to a node.
    async fn signal(&self, node: NodeId, signal: Signal) -> Result<(), StoreError>;
}

/// The side of a node that a store talks to. Called under the store's locks: it must not block, nor call back.
pub trait Inbox: Send + Sync + 'static {
    /// Entries of a channel that the node follows, in order.
    fn entries(&self, channel: &ChannelName, epoch: Epoch, entries: &[Entry]);

    /// Where a channel that the node follows stands: some of its entries may never have been told.
    fn head(&self, channel: &ChannelName, head: Position);

    /// Frames that were appended to the log of a session which the node holds, from index `from` on.
    fn frames(&self, hold: Hold, from: Own, frames: &[Message]);

    /// Signals and frames may have been lost: receivers have to look.
    fn missed(&self);

    /// The node could not renew its lease: other nodes may count it as dead, and its receivers have to end.
    fn lapsed(&self);

    /// Something happened to a session, or another node asks.
    fn signal(&self, signal: Signal);
}

/// What one node tells another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// A session that this attachment holds has news: frames, subscriptions, or its end.
    Changed(Hold),
    /// Another attach has taken the session over.
    Fenced(Hold),
    /// Is the socket of this attachment still open? The answer goes to node and ticket.
    Ask(Hold, NodeId, u64),
    /// The answer to an `Ask`: whether it is.
    Answer(u64, bool),
    /// The store says that this attachment is held here. If it is not, it was lost.
    Check(Hold),
}

/// A store cannot be reached, or answered nonsense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} on the store failed: {reason}")]
pub struct StoreError {
    /// What was tried.
    pub operation: &'static str,
    /// Why it failed.
    pub reason: String,
}

impl fmt::Debug for dyn Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

/// The end of a handler call that was given up on.
pub(crate) fn given_up_on() -> StoreError {
    StoreError { operation: "finish a call", reason: "session: the call was given up on".to_owned() }
}

/// Bytes of a set of messages, as limits count them.
pub(crate) fn size_of(messages: &[Message]) -> usize {
    messages.iter().map(Message::weight).sum()
}

/// Which of `count` shards a session belongs to.
pub(crate) fn shard_of(key: SessionKey, count: usize) -> usize {
    usize::from(key.bucket()) % count
}
