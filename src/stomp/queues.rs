//! Queues: `/queue/…`, whose every message goes to one of the subscribers.
//!
//! A subscription is a consumer of the queue in the store, and follows the consumer's channel. The session's attributes
//! name its consumers, each before the store knows it: whoever runs the session's end, on whatever node, finds them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sockhop_stomp::Frame;

use super::State;
use super::refusal::{Refusal, shown};
use super::state::Subscribed;
use super::tag::{AckMode, Grant, Tag};
use super::turn::Turn;
use crate::node::NodeInner;
use crate::session::{Receipt, Track};
use crate::store::{ConsumeError, Consumer, ConsumerId, Feed, Position, SessionRef, Settle};
use crate::{ChannelName, Session};

/// Who gets what is sent to a destination below `/queue/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Queues {
    /// One of the subscribers: a message is kept until one has acknowledged it. As RabbitMQ has it.
    #[default]
    Shared,
    /// Each subscriber: such a destination is a topic. As Spring's simple broker has it.
    Each,
}

/// A consumer of one of the session's subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Consuming {
    /// Counts the session's consumers.
    pub(super) number: u64,
    queue: ChannelName,
    /// The tag of its feed.
    tag: Box<str>,
}

/// How the attributes that name consumers begin.
const ATTRIBUTE: &str = "stomp.queue.";
/// Consumers that a queue may have.
const MOST_CONSUMERS: usize = 1000;
/// Messages that a consumer may have and not have acknowledged, unless it says otherwise, and at most.
const PREFETCH: u32 = 100;
const MOST_PREFETCH: u32 = 1000;
/// How long a store that failed is left alone.
const PAUSE: Duration = Duration::from_secs(2);

impl Consuming {
    pub(super) fn attribute(&self) -> String {
        format!("{ATTRIBUTE}{}", self.number)
    }

    pub(super) fn text(&self) -> String {
        format!("{}\n{}", self.queue, self.tag)
    }

    /// Reads an attribute, if it is one that names a consumer.
    pub(super) fn read(name: &str, value: &str) -> Option<Self> {
        let number = name.strip_prefix(ATTRIBUTE)?.parse().ok()?;
        let (queue, tag) = value.split_once('\n')?;
        Some(Self { number, queue: ChannelName::new(queue).ok()?, tag: tag.into() })
    }

    /// Whether an attribute names a consumer.
    pub(super) fn is_one(name: &str) -> bool {
        name.starts_with(ATTRIBUTE)
    }

    /// Whether this is the consumer of a subscription.
    pub(super) fn is_of(&self, id: &str) -> bool {
        Tag::parse(&self.tag).is_some_and(|tag| tag.id == id)
    }

    fn is_auto(&self) -> bool {
        Tag::parse(&self.tag).is_some_and(|tag| tag.ack == AckMode::Auto)
    }

    pub(super) fn consumer(&self, session: SessionRef) -> Consumer {
        Consumer { queue: self.queue.clone(), id: ConsumerId::of(session, self.number) }
    }

    fn feed(&self, session: SessionRef) -> Feed {
        Feed { channel: self.consumer(session).channel(), tag: Some((*self.tag).into()) }
    }
}

impl Turn<'_> {
    /// Whether a queue is one, and no topic.
    pub(super) fn has_queues(&self) -> bool {
        self.session.node().inner.queues == Queues::Shared
    }

    /// Makes a subscription to a queue.
    pub(super) async fn consume(
        &mut self,
        frame: &Frame,
        queue: ChannelName,
        id: &str,
        ack: AckMode,
    ) -> Result<(), Refusal> {
        for header in ["after", "history"] {
            if frame.headers.get(header).is_some() {
                return Err(Refusal::invalid(header, "A queue has no history: what was acknowledged is gone."));
            }
        }
        let grant = Grant { credit: credit(frame)?, attempt: self.session.attempt() };
        self.cancel_orphans().await?;
        let tag = Tag { version: self.conversation.version(), ack, session: None, queue: Some(grant), id };
        let number = self.conversation.next_consumer();
        let consuming = Consuming { number, queue, tag: tag.text().into() };
        let session = self.session.identity();
        self.session.anchor().await?;
        // Before the store knows it: whoever ends the session finds it.
        self.session.write_attribute(&consuming.attribute(), Some(consuming.text())).await?;
        self.conversation.consumes(consuming.clone());
        let store = &self.session.node().inner.store;
        let from = store.consume(&consuming.consumer(session), grant.credit, MOST_CONSUMERS).await?;
        Ok(self.session.subscribe_to(&consuming.feed(session), Some(from)).await?)
    }

    /// Ends the consumers of a subscription.
    pub(super) async fn cancel(&mut self, id: &str) -> Result<(), Refusal> {
        self.cancel_those(|_, consuming| consuming.is_of(id)).await
    }

    /// Ends what a call has left whose node died before its end.
    async fn cancel_orphans(&mut self) -> Result<(), Refusal> {
        self.cancel_those(|subscriptions, consuming| {
            !subscriptions.iter().any(|subscribed| consuming.is_of(subscribed.id()))
        })
        .await
    }

    /// Ends all consumers of the session.
    pub(super) async fn cancel_all(&mut self) -> Result<(), Refusal> {
        self.cancel_those(|_, _| true).await
    }

    async fn cancel_those(&mut self, which: impl Fn(&[Subscribed], &Consuming) -> bool) -> Result<(), Refusal> {
        while let Some(consuming) = self.conversation.find_consumer(&which) {
            let session = self.session.identity();
            let feed = consuming.feed(session);
            let handed = self.session.unsubscribe_from(&feed).await?;
            let known = self.state.receipts.handled(&feed.channel);
            let handled = [handed, known].into_iter().flatten().max_by_key(|at| at.seq);
            let handled = handled.filter(|_| consuming.is_auto());
            self.session.node().inner.store.cancel(&consuming.consumer(session), handled).await?;
            if self.session.is_local() {
                self.session.write_attribute(&consuming.attribute(), None).await?;
            }
            self.conversation.forget_consumer(consuming.number);
        }
        Ok(())
    }
}

/// Has the queues of a session's consumers know that these are there.
pub(super) async fn renew(session: &Session) {
    for (name, value) in session.all_attributes() {
        let Some(consuming) = Consuming::read(&name, &value) else { continue };
        let credit = Tag::parse(&consuming.tag).and_then(|tag| tag.queue).map_or(PREFETCH, |grant| grant.credit);
        let consumer = consuming.consumer(session.identity());
        match session.node().inner.store.consume(&consumer, credit, MOST_CONSUMERS).await {
            Ok(_) | Err(ConsumeError::Cancelled) => {}
            Err(error) => {
                tracing::warn!(%error, queue = %consumer.queue, "could not say that a consumer is there")
            }
        }
    }
}

/// Gives back what the consumers of a session that is over have not acknowledged. Its end is not handled before: should
/// this node end first, another one goes on.
pub(super) async fn give_back(state: &State, session: &Session) {
    for (name, value) in session.all_attributes() {
        let Some(consuming) = Consuming::read(&name, &value) else { continue };
        let consumer = consuming.consumer(session.identity());
        let handled = state.receipts.handled(&consumer.channel()).filter(|_| consuming.is_auto());
        while let Err(error) = session.node().inner.store.cancel(&consumer, handled).await {
            tracing::warn!(%error, queue = %consumer.queue, "what a client has left is not given back yet");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// How many messages a consumer may have and not have acknowledged.
fn credit(frame: &Frame) -> Result<u32, Refusal> {
    let Some(count) = frame.headers.get("prefetch-count") else { return Ok(PREFETCH) };
    match count.parse() {
        Ok(count @ 1..) => Ok(std::cmp::min(count, MOST_PREFETCH)),
        _ => Err(Refusal::invalid(
            "prefetch-count",
            format!("{:?}: a number of messages, from 1 to {MOST_PREFETCH}.", shown(count)),
        )),
    }
}

/// What clients are known to have of what they consume, on its way into the store: for each consumer one settlement at a
/// time, with the newest that is known.
#[derive(Debug, Default)]
pub(super) struct Receipts(Mutex<HashMap<ChannelName, Heard>>);

#[derive(Debug, Clone, Copy)]
struct Heard {
    received: Position,
    handled: Option<Position>,
    /// It has not been written down yet.
    is_new: bool,
}

impl Receipts {
    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelName, Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to where a consumer has handled what it was given, as far as that may not have been written down.
    fn handled(&self, channel: &ChannelName) -> Option<Position> {
        self.lock().get(channel)?.handled
    }

    /// Notes what a client has; whether the caller has to [`write`](Self::write).
    fn note(&self, channel: &ChannelName, received: Position, is_handled: bool) -> bool {
        let mut all = self.lock();
        let begins = !all.contains_key(channel);
        let heard = all.entry(channel.clone()).or_insert(Heard { received, handled: None, is_new: true });
        if received.epoch != heard.received.epoch || received.seq >= heard.received.seq {
            *heard =
                Heard { received, handled: if is_handled { Some(received) } else { heard.handled }, is_new: true };
        }
        begins
    }

    /// The newest that is to be written down; if there is none, the consumer is forgotten.
    fn next(&self, channel: &ChannelName) -> Option<Heard> {
        let mut all = self.lock();
        let heard = all.get_mut(channel)?;
        if !std::mem::take(&mut heard.is_new) {
            all.remove(channel);
            return None;
        }
        Some(*heard)
    }

    /// What was to be written down still is.
    fn again(&self, channel: &ChannelName) {
        if let Some(heard) = self.lock().get_mut(channel) {
            heard.is_new = true;
        }
    }

    /// Writes down what is known of a consumer, for as long as it takes: without it the consumer may get nothing more.
    async fn write(&self, node: &NodeInner, consumer: &Consumer) {
        let channel = consumer.channel();
        while let Some(Heard { received, handled, .. }) = self.next(&channel) {
            let handled = handled.map(|at| Settle::Received { at, handled: true });
            let settle = handled.unwrap_or(Settle::Received { at: received, handled: false });
            if let Err(error) = node.store.settle(consumer, settle).await {
                tracing::warn!(%error, queue = %consumer.queue, "could not write down yet what a consumer has");
                self.again(&channel);
                if node.has_left_within(PAUSE).await {
                    return;
                }
            }
        }
    }
}

impl Track for State {
    fn window(&self, tag: &str) -> Option<usize> {
        let tag = Tag::parse(tag)?;
        let credit = tag.queue?.credit as usize;
        // By what is received a client that acknowledges is given more only when it is far behind.
        Some(if tag.ack == AckMode::Auto { credit } else { credit * 5 })
    }

    fn received(&self, node: &Arc<NodeInner>, receipt: Receipt<'_>) {
        let Some(consumer) = Consumer::of_channel(&receipt.feed.channel) else { return };
        let Some(tag) = receipt.feed.tag.as_deref().and_then(Tag::parse) else { return };
        // What an attempt brings before the client has subscribed anew is nobody's.
        let is_handled =
            tag.ack == AckMode::Auto && tag.queue.is_some_and(|grant| grant.attempt == receipt.attempt);
        if receipt.at.seq > 0 && self.receipts.note(&receipt.feed.channel, receipt.at, is_handled) {
            let (receipts, writing) = (Arc::clone(&self.receipts), Arc::clone(node));
            node.spawn(async move { receipts.write(&writing, &consumer).await });
        }
    }
}

impl From<ConsumeError> for Refusal {
    fn from(error: ConsumeError) -> Self {
        match error {
            ConsumeError::TooMany(most) => {
                Self::new("too many consumers", format!("A queue may have {most} subscriptions."))
            }
            ConsumeError::Cancelled => Self::new("session over", ""),
            ConsumeError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Epoch;

    fn at(seq: u64) -> Position {
        Position { epoch: Epoch(7), seq }
    }

    #[test]
    fn receipts_are_written_down_one_after_the_other_with_the_newest_and_again_if_that_fails() {
        let (receipts, channel) = (Receipts::default(), ChannelName::new("c").unwrap());
        assert!(receipts.note(&channel, at(1), true), "somebody has to write it down");
        assert!(!receipts.note(&channel, at(3), true), "somebody does");
        assert!(!receipts.note(&channel, at(2), true));
        assert_eq!(receipts.next(&channel).and_then(|heard| heard.handled), Some(at(3)));
        receipts.again(&channel);
        assert_eq!(receipts.handled(&channel), Some(at(3)), "an end meanwhile knows of it");
        assert_eq!(receipts.next(&channel).and_then(|heard| heard.handled), Some(at(3)));
        assert!(receipts.next(&channel).is_none());
        assert!(receipts.note(&channel, at(4), false), "it was forgotten");
        assert_eq!(receipts.next(&channel).and_then(|heard| heard.handled), None);
    }

    #[test]
    fn a_consumer_comes_back_from_its_attribute() {
        let queue = ChannelName::new("/queue/a b").unwrap();
        let grant = Grant { credit: 7, attempt: Some(2) };
        let id = "with space\nand line";
        let tag = Tag {
            version: sockhop_stomp::Version::V1_2,
            ack: AckMode::Auto,
            session: None,
            queue: Some(grant),
            id,
        };
        let consuming = Consuming { number: 3, queue, tag: tag.text().into() };
        assert!(Consuming::is_one(&consuming.attribute()) && consuming.is_of(id) && consuming.is_auto());
        assert_eq!(Consuming::read(&consuming.attribute(), &consuming.text()), Some(consuming));
        assert_eq!(Consuming::read("stomp.sub.3", "/queue/a\nx"), None);
    }
}
