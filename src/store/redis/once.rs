//! Taking messages once: batches of messages with ids, for channels and for queues.
//!
//! The scripts may run again after an answer that was lost: the ids are what makes that safe.

use bytes::Bytes;
use redis::Value;

use super::Inner;
use super::channels::{Asks, Waiting, not_published};
use super::link::Link;
use super::reply::Reply;
use super::run::Failure;
use super::script::{self, Argument, arguments};
use crate::id::ChannelName;
use crate::store::once::fingerprint;
use crate::store::{Epoch, IdMemory, Once, Position, PublishError, Retention, StoreError};

/// What became of a message; nothing where the queue had no room for it.
type Told = Option<Once>;

impl Inner {
    /// Publishes a batch of messages with ids, and answers each of its publishes.
    pub(super) async fn publish_batch_once(&self, channel: &ChannelName, batch: Vec<Waiting>) {
        let keys = self.keys.channel(channel);
        let [young, old] = keys.ids();
        let [head, log] = keys.keys;
        let (all, limits) = ([head, log, young, old], Limits::of(&batch));
        let (names, frames) = encode(&batch);
        let (epoch, ttl) = (rand::random::<[u8; 8]>(), Self::head_ttl(&limits.retention));
        let command = |link: &Link| {
            let mut arguments = arguments![
                &keys.inbox,
                &epoch,
                &link.run,
                ttl,
                limits.retention.entries,
                limits.retention.bytes,
                limits.retention.age.as_millis() as u64,
                limits.memory.ids,
                limits.time(),
                &names[..],
            ]
            .to_vec();
            arguments.extend(frames.iter().map(|frame| Argument::from(&frame[..])));
            script::PUBLISH_ONCE.command(&all, &arguments)
        };
        let answer = self.runner.run(keys.slot, &script::PUBLISH_ONCE, command).await;
        tell(batch, script::PUBLISH_ONCE.operation, answer);
    }

    /// Enqueues groups of messages with ids, and answers each.
    pub(super) async fn enqueue_batch_once(&self, queue: &ChannelName, groups: Vec<Waiting>) {
        let keys = self.keys.queue(queue);
        let [young, old] = keys.ids();
        let [head] = keys.keys;
        let (all, limits) = ([head, young, old], Limits::of(&groups));
        let encoded: Vec<_> = groups.iter().map(|group| encode(std::slice::from_ref(group))).collect();
        let epoch = rand::random::<[u8; 8]>();
        let command = |link: &Link| {
            let mut arguments = arguments![
                &epoch,
                &link.run,
                limits.retention.entries,
                limits.retention.bytes,
                limits.memory.ids,
                limits.time(),
            ]
            .to_vec();
            for (names, frames) in &encoded {
                arguments.push(Argument::from(&names[..]));
                arguments.extend(frames.iter().map(|frame| Argument::from(&frame[..])));
            }
            script::ENQUEUE_ONCE.command(&all, &arguments)
        };
        let answer = self.runner.run(keys.slot, &script::ENQUEUE_ONCE, command).await;
        tell(groups, script::ENQUEUE_ONCE.operation, answer);
    }
}

/// What a batch is told to keep: what its last says.
struct Limits {
    retention: Retention,
    memory: IdMemory,
}

impl Limits {
    fn of(batch: &[Waiting]) -> Self {
        let retention = batch.last().map_or_else(Retention::default, |last| last.retention);
        let memory = match batch.last() {
            Some(Waiting { asks: Asks::Once(_, memory, _), .. }) => *memory,
            _ => IdMemory::default(),
        };
        Self { retention, memory }
    }

    /// Milliseconds that ids are remembered.
    fn time(&self) -> u64 {
        (self.memory.time.as_millis() as u64).max(1)
    }
}

/// The names of messages, each its id and fingerprint, and their frames.
fn encode(batch: &[Waiting]) -> (Vec<u8>, Vec<Bytes>) {
    let (mut names, mut frames) = (Vec::new(), Vec::new());
    for waiting in batch {
        let Asks::Once(ids, ..) = &waiting.asks else { continue };
        for (id, message) in ids.iter().zip(&waiting.messages) {
            names.extend(id.to_bytes());
            names.extend(fingerprint(message));
            frames.push(message.frame());
        }
    }
    (names, frames)
}

/// Tells everybody in a batch what became of their messages.
fn tell(batch: Vec<Waiting>, operation: &'static str, answer: Result<Value, Failure>) {
    let count = batch.iter().map(|waiting| waiting.messages.len()).sum();
    let told = answer
        .map_err(not_published)
        .and_then(|answer| read(answer, operation, count).map_err(PublishError::Unknown));
    let mut at = 0;
    for waiting in batch {
        let own = at..at + waiting.messages.len();
        at = own.end;
        let Asks::Once(_, _, answer) = waiting.asks else { continue };
        let outcomes =
            |told: &Vec<Told>| told[own].iter().copied().collect::<Option<Vec<_>>>().ok_or(PublishError::Full);
        // Whoever does not wait any more does not want to know.
        let _ = answer.send(told.as_ref().map_err(Clone::clone).and_then(outcomes));
    }
}

/// What became of so many messages.
fn read(answer: Value, operation: &'static str, count: usize) -> Result<Vec<Told>, StoreError> {
    let garbled = || StoreError { operation, reason: "the answer was not understood".to_owned() };
    let mut reply = Reply::new(operation, answer)?;
    let mut told = Vec::with_capacity(count);
    while reply.has_more() {
        told.push(outcome(&reply.bytes()?).ok_or_else(garbled)?);
    }
    if told.len() == count { Ok(told) } else { Err(garbled()) }
}

/// What became of a message: a letter, and where it is: epoch and seq.
fn outcome(told: &[u8]) -> Option<Told> {
    if told == b"f" {
        return Some(None);
    }
    let (kind, place) = told.split_first()?;
    let (epoch, seq) = place.split_first_chunk::<8>()?;
    let seq: [u8; 6] = seq.try_into().ok()?;
    let seq = seq.iter().fold(0, |seq, byte| seq << 8 | u64::from(*byte));
    let position = Position { epoch: Epoch(u64::from_be_bytes(*epoch)), seq };
    match kind {
        b'a' => Some(Some(Once::Published(position))),
        b'r' => Some(Some(Once::Repeated(position))),
        b'c' => Some(Some(Once::Conflict(position))),
        _ => None,
    }
}
