//! Publishing once: batches of messages with ids.

use super::channels::{Asks, Waiting, not_published};
use super::link::Link;
use super::reply::Reply;
use super::script::{self, arguments};
use super::{Inner, entries};
use crate::id::ChannelName;
use crate::store::once::fingerprint;
use crate::store::{Epoch, IdMemory, Once, Position, PublishError, Retention, StoreError};

impl Inner {
    /// Publishes a batch of messages with ids, and answers each of its publishes.
    ///
    /// The script may run again after an answer that was lost: the ids are what makes that safe.
    pub(super) async fn publish_batch_once(&self, channel: &ChannelName, batch: Vec<Waiting>) {
        let outcomes = self.run_batch_once(channel, &batch).await;
        let mut told = outcomes.as_deref().unwrap_or_default().iter().copied();
        for waiting in batch {
            let count = waiting.messages.len();
            let Asks::Once(_, _, answer) = waiting.asks else { continue };
            let own = outcomes.as_ref().map(|_| told.by_ref().take(count).collect());
            // Whoever does not wait any more does not want to know.
            let _ = answer.send(own.map_err(Clone::clone));
        }
    }

    async fn run_batch_once(&self, channel: &ChannelName, batch: &[Waiting]) -> Result<Vec<Once>, PublishError> {
        let (channel, keys) = self.keys.channel_with_ids(channel);
        let (entries, _) = entries::encode(batch.iter().flat_map(|waiting| &waiting.messages));
        let (names, memory) = names(batch);
        let retention = batch.last().map_or_else(Retention::default, |last| last.retention);
        let (epoch, ttl) = (rand::random::<[u8; 8]>(), Self::head_ttl(&retention));
        let command = |link: &Link| {
            let arguments = arguments![
                &channel.inbox,
                &entries[..],
                &epoch,
                &link.run,
                ttl,
                retention.entries,
                retention.bytes,
                retention.age.as_millis() as u64,
                memory.ids,
                (memory.time.as_millis() as u64).max(1),
                &names[..],
            ];
            script::PUBLISH_ONCE.command(&keys, &arguments)
        };
        let answer = self.runner.run(channel.slot, &script::PUBLISH_ONCE, command).await.map_err(not_published)?;
        let mut reply = Reply::new("publish once", answer).map_err(PublishError::Unknown)?;
        let mut outcomes = Vec::with_capacity(names.len() / NAME);
        while reply.has_more() {
            outcomes.push(reply.bytes().and_then(|told| outcome(&told)).map_err(PublishError::Unknown)?);
        }
        if outcomes.len() == names.len() / NAME { Ok(outcomes) } else { Err(PublishError::Unknown(garbled())) }
    }
}

/// Bytes of a name: id, fingerprint and weight of its message.
const NAME: usize = 28;

fn names(batch: &[Waiting]) -> (Vec<u8>, IdMemory) {
    let (mut names, mut last) = (Vec::new(), IdMemory::default());
    for waiting in batch {
        let Asks::Once(ids, memory, _) = &waiting.asks else { continue };
        for (id, message) in ids.iter().zip(&waiting.messages) {
            names.extend(id.to_bytes());
            names.extend(fingerprint(message));
            names.extend((message.weight() as u32).to_be_bytes());
        }
        last = *memory;
    }
    (names, last)
}

/// What became of a message: a letter, epoch and seq.
fn outcome(told: &[u8]) -> Result<Once, StoreError> {
    let (kind, place) = told.split_first().ok_or_else(garbled)?;
    let (epoch, seq) = place.split_first_chunk::<8>().ok_or_else(garbled)?;
    let seq: [u8; 6] = seq.try_into().map_err(|_| garbled())?;
    let seq = seq.iter().fold(0, |seq, byte| seq << 8 | u64::from(*byte));
    let position = Position { epoch: Epoch(u64::from_be_bytes(*epoch)), seq };
    match kind {
        b'a' => Ok(Once::Published(position)),
        b'r' => Ok(Once::Repeated(position)),
        b'c' => Ok(Once::Conflict(position)),
        _ => Err(garbled()),
    }
}

fn garbled() -> StoreError {
    StoreError { operation: "publish once", reason: "the answer was not understood".to_owned() }
}
