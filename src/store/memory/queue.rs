//! One queue in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use sockhop_transports::Message;
use tokio::time::Instant;

use super::batches::Batches;
use super::ids::Ids;
use crate::store::queue::{KEPT, MOST_BYTES, MOST_ENDED, REMEMBERED, SPAN};
use crate::store::{
    ConsumeError, ConsumerId, Epoch, Once, Position, Publish, PublishError, PublishOnce, Published, Retention,
    Settle, Which, size_of,
};

/// A queue: what nobody has handled yet, and who consumes.
pub(super) struct Queue {
    epoch: Epoch,
    /// The number of the newest message, kept or not.
    last: u64,
    bytes: usize,
    messages: BTreeMap<u64, Stored>,
    /// Messages that nobody has.
    waiting: BTreeSet<u64>,
    consumers: HashMap<ConsumerId, Member>,
    /// Consumers that may have more, the next to be given something first.
    free: VecDeque<ConsumerId>,
    /// Consumers that have ended, the oldest first.
    ended: VecDeque<(Instant, ConsumerId)>,
    /// Of one that was refused, nothing was taken.
    batches: Batches<Option<Published>>,
    ids: Ids,
    used: Instant,
}

struct Stored {
    message: Message,
    /// How often it was given out and came back.
    times: u32,
    /// Who has returned it last.
    by: Option<ConsumerId>,
}

/// A consumer.
struct Member {
    credit: usize,
    /// What it has not settled: the place in its channel, the message.
    held: BTreeMap<u64, u64>,
    bytes: usize,
    /// The place of the newest that it was given.
    last: u64,
    /// Up to where it is known to have received.
    received: u64,
}

/// Messages for a consumer's channel, in order.
pub(super) struct Given {
    pub(super) consumer: ConsumerId,
    /// The place in the channel before the first.
    pub(super) after: u64,
    pub(super) messages: Vec<Message>,
}

impl Member {
    fn is_free(&self) -> bool {
        let span = SPAN * self.credit as u64;
        self.held.len() < self.credit && self.bytes < MOST_BYTES && self.last - self.needless() < span
    }

    /// Up to where the channel is of no use any more.
    fn needless(&self) -> u64 {
        self.held.keys().next().map_or(self.last, |first| first - 1).min(self.received)
    }
}

impl Queue {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            epoch: Epoch::random(),
            last: 0,
            bytes: 0,
            messages: BTreeMap::new(),
            waiting: BTreeSet::new(),
            consumers: HashMap::new(),
            free: VecDeque::new(),
            ended: VecDeque::new(),
            batches: Batches::default(),
            ids: Ids::default(),
            used: now,
        }
    }

    /// Takes messages, all or none, unless this very batch was taken before.
    pub(super) fn enqueue(&mut self, publish: &Publish<'_>, now: Instant) -> Result<Published, PublishError> {
        self.used = now;
        if let Some(published) = publish.batch.and_then(|batch| self.batches.already(batch)) {
            return published.ok_or(PublishError::Full);
        }
        let published = self.has_room(publish.messages, &publish.retention).then(|| self.take(publish.messages));
        if let Some(batch) = publish.batch {
            self.batches.remember(batch, published);
        }
        published.ok_or(PublishError::Full)
    }

    /// Takes those messages whose ids are new, all or none.
    pub(super) fn enqueue_once(
        &mut self,
        publish: &PublishOnce<'_>,
        now: Instant,
    ) -> Result<Vec<Once>, PublishError> {
        self.used = now;
        self.ids.prepare(publish.memory, now);
        let behind = Position { epoch: self.epoch, seq: self.last };
        let sifted = self.ids.sift(publish.messages, behind);
        if !self.has_room(&sifted.fresh, &publish.retention) {
            return Err(PublishError::Full);
        }
        self.take(&sifted.fresh);
        Ok(self.ids.remember(sifted, now))
    }

    /// Whether the queue takes messages: all that are there count, and the first are taken whatever their size.
    fn has_room(&self, messages: &[Message], retention: &Retention) -> bool {
        messages.is_empty()
            || self.messages.is_empty()
            || self.messages.len() + messages.len() <= retention.entries
                && self.bytes + size_of(messages) <= retention.bytes
    }

    fn take(&mut self, messages: &[Message]) -> Published {
        for message in messages {
            self.last += 1;
            self.bytes += message.weight();
            self.messages.insert(self.last, Stored { message: message.clone(), times: 0, by: None });
            self.waiting.insert(self.last);
        }
        Published { last: Position { epoch: self.epoch, seq: self.last }, count: messages.len() as u64 }
    }

    /// Makes a consumer known, unless it is, or was.
    pub(super) fn consume(
        &mut self,
        consumer: ConsumerId,
        credit: u32,
        most: usize,
        now: Instant,
    ) -> Result<(), ConsumeError> {
        self.used = now;
        self.forget(now);
        if self.ended.iter().any(|(_, ended)| *ended == consumer) {
            return Err(ConsumeError::Cancelled);
        }
        if self.consumers.contains_key(&consumer) {
            return Ok(());
        }
        if self.consumers.len() >= most {
            return Err(ConsumeError::TooMany(most));
        }
        let credit = credit.max(1) as usize;
        self.consumers.insert(consumer, Member { credit, held: BTreeMap::new(), bytes: 0, last: 0, received: 0 });
        self.free.push_back(consumer);
        Ok(())
    }

    pub(super) fn knows(&self, consumer: ConsumerId) -> bool {
        self.consumers.contains_key(&consumer)
    }

    /// Settles what a consumer was given; up to where its channel is of no use any more.
    pub(super) fn settle(&mut self, consumer: ConsumerId, settle: Settle, now: Instant) -> u64 {
        self.used = now;
        let (at, which, fate) = match settle {
            Settle::Received { at, handled } => {
                if let Some(member) = self.consumers.get_mut(&consumer) {
                    member.received = member.received.max(at.seq);
                }
                (at, Which::UpTo, handled.then_some(Fate::Handled))
            }
            Settle::Handled(at, which) => (at, which, Some(Fate::Handled)),
            Settle::Returned(at, which) => (at, which, Some(Fate::Returned)),
        };
        if let Some(fate) = fate {
            self.release(consumer, at.seq, which, fate);
        }
        self.free_if_it_is(consumer);
        self.consumers.get(&consumer).map_or(0, Member::needless)
    }

    fn release(&mut self, consumer: ConsumerId, seq: u64, which: Which, fate: Fate) {
        let Some(member) = self.consumers.get_mut(&consumer) else { return };
        let first = match which {
            Which::One => seq,
            Which::UpTo => 0,
        };
        let places: Vec<_> = member.held.range(first..=seq).map(|(place, number)| (*place, *number)).collect();
        for (place, number) in places {
            member.held.remove(&place);
            let Some(stored) = self.messages.get_mut(&number) else { continue };
            member.bytes -= stored.message.weight();
            match fate {
                Fate::Handled => {
                    self.bytes -= stored.message.weight();
                    self.messages.remove(&number);
                }
                Fate::Returned => {
                    stored.times += 1;
                    stored.by = Some(consumer);
                    self.waiting.insert(number);
                }
            }
        }
    }

    fn free_if_it_is(&mut self, consumer: ConsumerId) {
        let is_free = self.consumers.get(&consumer).is_some_and(Member::is_free);
        if is_free && !self.free.contains(&consumer) {
            self.free.push_back(consumer);
        }
    }

    /// Ends a consumer.
    pub(super) fn cancel(&mut self, consumer: ConsumerId, handled: Option<Position>, now: Instant) {
        self.used = now;
        if let Some(handled) = handled {
            self.release(consumer, handled.seq, Which::UpTo, Fate::Handled);
        }
        self.release(consumer, u64::MAX, Which::UpTo, Fate::Returned);
        self.consumers.remove(&consumer);
        self.free.retain(|free| *free != consumer);
        self.forget(now);
        self.ended.retain(|(_, ended)| *ended != consumer);
        self.ended.push_back((now, consumer));
    }

    /// Drops what need not be remembered any more.
    pub(super) fn forget(&mut self, now: Instant) {
        self.ids.forget(now);
        while let Some((since, _)) = self.ended.front()
            && (now.duration_since(*since) > Duration::from_millis(REMEMBERED) || self.ended.len() >= MOST_ENDED)
        {
            self.ended.pop_front();
        }
    }

    /// Gives what waits to consumers that may have more.
    pub(super) fn assign(&mut self) -> Vec<Given> {
        let mut all: Vec<Given> = Vec::new();
        while let Some(number) = self.waiting.first().copied()
            && let Some(first) = self.free.front()
        {
            let Some(stored) = self.messages.get(&number) else { break };
            // Not to whoever has returned it, where there is somebody else.
            let at = usize::from(stored.by == Some(*first) && self.free.len() > 1);
            let Some(consumer) = self.free.remove(at) else { break };
            let Some(member) = self.consumers.get_mut(&consumer) else { continue };
            self.waiting.remove(&number);
            let after = member.last;
            member.last += 1;
            member.held.insert(member.last, number);
            member.bytes += stored.message.weight();
            let message = match stored.times {
                0 => stored.message.clone(),
                times => Message::new(&format!("\\!{}\n{}", times + 1, stored.message.text())),
            };
            match all.iter_mut().find(|given| given.consumer == consumer) {
                Some(given) => given.messages.push(message),
                None => all.push(Given { consumer, after, messages: vec![message] }),
            }
            self.free_if_it_is(consumer);
        }
        all
    }

    /// Whether nobody can miss the queue.
    pub(super) fn is_abandoned(&self, now: Instant) -> bool {
        let kept = if self.messages.is_empty() { REMEMBERED } else { KEPT };
        self.consumers.is_empty()
            && self.ids.is_empty()
            && now.duration_since(self.used) > Duration::from_millis(kept)
    }
}

/// What becomes of a message that a consumer does not hold any longer.
#[derive(Clone, Copy)]
enum Fate {
    Handled,
    Returned,
}
