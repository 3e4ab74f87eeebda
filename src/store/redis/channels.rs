//! Channels in Redis, and their group commit.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{Cmd, Value};
use smallvec::SmallVec;
use sockhop_transports::Message;
use tokio::sync::oneshot;

use super::keys::ChannelKeys;
use super::link::Link;
use super::reply::Reply;
use super::run::Failure;
use super::script::{self, arguments};
use super::{Inner, entries};
use crate::id::{ChannelName, MessageId};
use crate::store::{
    Batch, Epoch, IdMemory, Once, Position, Publish, PublishError, PublishOnce, Published, Retention, Slice,
    StoreError, size_of,
};

/// How long the head of a channel outlives its entries: longer than any session may be away.
const HEAD_TTL: Duration = Duration::from_secs(3600);

/// Messages on their way into channels.
#[derive(Default)]
pub(super) struct Lanes(Mutex<HashMap<ChannelName, Lane>>);

/// What waits to be published to one channel, while a batch is under way.
#[derive(Default)]
struct Lane {
    waiting: Vec<Waiting>,
    weight: usize,
}

/// One publish among those of a batch.
pub(super) struct Waiting {
    pub(super) messages: SmallVec<[Message; 1]>,
    pub(super) retention: Retention,
    pub(super) asks: Asks,
}

/// What a publish wants to know.
pub(super) enum Asks {
    Positions(Answer<Published>),
    /// What became of messages with ids, to be published once.
    Once(Vec<MessageId>, IdMemory, Answer<Vec<Once>>),
}

pub(super) type Answer<T> = oneshot::Sender<Result<T, PublishError>>;

/// Bytes that may wait for one channel; and that one batch takes, at least one publish.
const MOST_WAITING: usize = 16 * 1024 * 1024;
const BATCH: usize = 256 * 1024;

impl Inner {
    pub(super) fn head_ttl(retention: &Retention) -> u64 {
        (HEAD_TTL + retention.age).as_millis() as u64
    }

    pub(super) async fn publish(self: &Arc<Self>, publish: Publish<'_>) -> Result<Published, PublishError> {
        if let Some(batch) = publish.batch {
            let keys = self.keys.channel(publish.channel);
            return self.publish_batch(&keys, publish.messages.iter(), &publish.retention, batch).await;
        }
        let (waiting, published) = Waiting::of(publish.messages, publish.retention);
        self.put(publish.channel, waiting)?;
        published.await.unwrap_or_else(|_| Err(the_process_ends()))
    }

    pub(super) async fn publish_once(
        self: &Arc<Self>,
        publish: PublishOnce<'_>,
    ) -> Result<Vec<Once>, PublishError> {
        let (waiting, outcomes) = Waiting::once(&publish);
        self.put(publish.channel, waiting)?;
        outcomes.await.unwrap_or_else(|_| Err(the_process_ends()))
    }

    /// Puts a publish into its channel's lane.
    fn put(self: &Arc<Self>, channel: &ChannelName, waiting: Waiting) -> Result<(), PublishError> {
        if self.lanes.put(channel, waiting)? {
            tokio::spawn(Arc::clone(self).run_lane(channel.clone()));
        }
        Ok(())
    }

    /// Publishes what waits for a channel, a batch at a time, until nothing does.
    async fn run_lane(self: Arc<Self>, channel: ChannelName) {
        let keys = self.keys.channel(&channel);
        loop {
            // Whoever was answered a moment ago may have the next message ready: what can run, runs first.
            tokio::task::yield_now().await;
            let Some(batch) = self.lanes.take(&channel) else { return };
            if batch.first().is_some_and(Waiting::is_once) {
                self.publish_batch_once(&channel, batch).await;
                continue;
            }
            let retention = batch.last().map_or_else(Retention::default, |last| last.retention);
            let name = Batch { node: self.own, number: self.batches.fetch_add(1, Ordering::Relaxed) };
            let messages = batch.iter().flat_map(|waiting| &waiting.messages);
            let published = self.publish_batch(&keys, messages, &retention, name).await;
            let mut seq = published.as_ref().map_or(0, |published| published.last.seq - published.count);
            for waiting in batch {
                let Asks::Positions(answer) = waiting.asks else { continue };
                let count = waiting.messages.len() as u64;
                seq += count;
                // Whoever does not wait any more does not want to know.
                let _ = answer
                    .send(published.clone().map(|all| Published { last: Position { seq, ..all.last }, count }));
            }
        }
    }

    async fn publish_batch(
        &self,
        keys: &ChannelKeys,
        messages: impl Iterator<Item = &Message> + Clone,
        retention: &Retention,
        batch: Batch,
    ) -> Result<Published, PublishError> {
        let count = messages.clone().count() as u64;
        let (entries, weight) = entries::encode(messages);
        let (epoch, node) = (rand::random::<[u8; 8]>(), batch.node.to_bytes());
        let ttl = Self::head_ttl(retention);
        let command = |link: &Link| {
            let arguments = arguments![
                &keys.inbox,
                &entries[..],
                count,
                &epoch,
                &link.run,
                ttl,
                &node,
                batch.number,
                retention.entries,
                retention.bytes,
                retention.age.as_millis() as u64,
                weight,
            ];
            script::PUBLISH.command(&keys.keys, &arguments)
        };
        let answer = self.runner.run(keys.slot, &script::PUBLISH, command).await.map_err(not_published)?;
        let last = read_position("publish", answer).map_err(PublishError::Unknown)?;
        Ok(Published { last, count })
    }

    pub(super) async fn read(
        &self,
        channel: &ChannelName,
        after: Position,
        bytes: usize,
    ) -> Result<Slice, StoreError> {
        let keys = self.keys.channel(channel);
        let epoch = after.epoch.0.to_be_bytes();
        let answer = self
            .runner
            .run_plain(keys.slot, &script::READ, &keys.keys, &arguments![&epoch, after.seq, bytes])
            .await?;
        let mut reply = Reply::new("read", answer)?;
        let epoch = Epoch(reply.some_id()?.map_or(0, u64::from_be_bytes));
        let gone = || Ok(Slice { epoch, entries: Vec::new(), gap: true });
        match reply.text()?.as_str() {
            "gap" => return gone(),
            "foreign" => {
                tracing::error!(%channel, "what stands in the channel's log is none of sockhop: entries are missing");
                return gone();
            }
            _ => {}
        }
        let mut elements = reply.list()?;
        let (mut slice, mut left) = (Vec::new(), bytes);
        while elements.has_more() {
            let Some(entries) = entries::decode(elements.bytes()?) else {
                tracing::error!(%channel, "an element of the channel's log is none of sockhop: entries are missing");
                return gone();
            };
            for entry in entries.into_iter().filter(|entry| entry.seq > after.seq) {
                let weight = entry.message.weight();
                let follows = slice.last().is_none_or(|last: &crate::store::Entry| entry.seq == last.seq + 1);
                if !follows || slice.is_empty() && entry.seq != after.seq + 1 {
                    return gone();
                }
                if !slice.is_empty() && weight > left {
                    return Ok(Slice { epoch, entries: slice, gap: false });
                }
                left = left.saturating_sub(weight);
                slice.push(entry);
            }
        }
        Ok(Slice { epoch, entries: slice, gap: false })
    }

    fn head_command(keys: &ChannelKeys, link: &Link) -> Cmd {
        let epoch = rand::random::<[u8; 8]>();
        let ttl = Self::head_ttl(&Retention::default());
        script::HEAD.command(&keys.keys, &arguments![&epoch, &link.run, ttl])
    }

    pub(super) async fn head(&self, channel: &ChannelName) -> Result<Position, StoreError> {
        let keys = self.keys.channel(channel);
        let command = |link: &Link| Self::head_command(&keys, link);
        read_position("head", self.runner.run(keys.slot, &script::HEAD, command).await?)
    }

    /// Where a channel stands whose entries are heard from now on. Where something foreign stands in its place, no cursor
    /// can be served: it is given a place that none has, so that each is told of a gap.
    pub(super) async fn head_to_follow(&self, channel: &ChannelName) -> Result<Position, StoreError> {
        let keys = self.keys.channel(channel);
        let command = |link: &Link| Self::head_command(&keys, link);
        match self.runner.run(keys.slot, &script::HEAD, command).await {
            Err(Failure::Denied(error))
                if error.reason.contains("FOREIGN") || error.reason.contains("WRONGTYPE") =>
            {
                tracing::error!(%channel, %error, "what stands in a channel's place is none of sockhop: it is left alone");
                Ok(Position { epoch: Epoch::random(), seq: 0 })
            }
            answer => read_position("head", answer?),
        }
    }

    /// The place behind which the newest entries are kept, `most` of them or all that there are.
    pub(super) async fn tail(&self, channel: &ChannelName, most: u64) -> Result<Position, StoreError> {
        let keys = self.keys.channel(channel);
        let command = |link: &Link| {
            let epoch = rand::random::<[u8; 8]>();
            let ttl = Self::head_ttl(&Retention::default());
            script::TAIL.command(&keys.keys, &arguments![&epoch, &link.run, ttl, most])
        };
        read_position("tail", self.runner.run(keys.slot, &script::TAIL, command).await?)
    }

    /// The heads of many channels, in one go for each server. What could not be learnt is left out.
    pub(super) async fn all_heads(&self, channels: Vec<ChannelName>) -> Vec<(ChannelName, Position)> {
        /// Commands that go out at once.
        const MOST: usize = 500;
        let map = self.runner.servers.map();
        let mut heads = Vec::with_capacity(channels.len());
        for server in map.servers() {
            let Some(link) = server.link() else { continue };
            let here: Vec<_> = channels
                .iter()
                .map(|channel| (channel, self.keys.channel(channel)))
                .filter(|(_, keys)| map.server(keys.slot).is_some_and(|owner| Arc::ptr_eq(owner, &server)))
                .collect();
            for some in here.chunks(MOST) {
                let mut ask = redis::pipe();
                ask.ignore_errors();
                for (_, keys) in some {
                    ask.add_command(Self::head_command(keys, &link));
                }
                let Ok(answers) = link.send_all(&ask, some.len()).await else { break };
                for ((channel, _), answer) in some.iter().zip(answers) {
                    if let Ok(position) = read_position("head", answer) {
                        heads.push(((*channel).clone(), position));
                    }
                }
            }
        }
        heads
    }
}

impl Lanes {
    /// Puts a publish into a lane; whether the caller has to run it.
    pub(super) fn put(&self, channel: &ChannelName, waiting: Waiting) -> Result<bool, PublishError> {
        let weight = size_of(&waiting.messages);
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = !lanes.contains_key(channel);
        let lane = lanes.entry(channel.clone()).or_default();
        if lane.weight > 0 && lane.weight + weight > MOST_WAITING {
            let reason = "channel: too much waits to be published".to_owned();
            return Err(PublishError::Refused(StoreError { operation: "publish", reason }));
        }
        lane.weight += weight;
        lane.waiting.push(waiting);
        Ok(begins)
    }

    /// The next batch for a channel, of one kind; if there is none, the lane is given up.
    pub(super) fn take(&self, channel: &ChannelName) -> Option<Vec<Waiting>> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = lanes.get_mut(channel)?;
        if lane.waiting.is_empty() {
            lanes.remove(channel);
            return None;
        }
        let mut weight = 0;
        let mut count = 0;
        for waiting in &lane.waiting {
            let more = size_of(&waiting.messages);
            let fits = weight + more <= BATCH && waiting.is_once() == lane.waiting[0].is_once();
            if count > 0 && !fits {
                break;
            }
            weight += more;
            count += 1;
        }
        lane.weight -= weight;
        Some(if count == lane.waiting.len() {
            std::mem::take(&mut lane.waiting)
        } else {
            lane.waiting.drain(..count).collect()
        })
    }
}

impl Waiting {
    /// Messages whose positions are asked for, and where they will be told.
    pub(super) fn of(
        messages: &[Message],
        retention: Retention,
    ) -> (Self, oneshot::Receiver<Result<Published, PublishError>>) {
        let (answer, published) = oneshot::channel();
        (Self { messages: messages.into(), retention, asks: Asks::Positions(answer) }, published)
    }

    /// Messages with ids, and where it will be told what became of them.
    pub(super) fn once(publish: &PublishOnce<'_>) -> (Self, oneshot::Receiver<Result<Vec<Once>, PublishError>>) {
        let (ids, messages) = publish.messages.iter().cloned().unzip();
        let (answer, outcomes) = oneshot::channel();
        let asks = Asks::Once(ids, publish.memory, answer);
        (Self { messages, retention: publish.retention, asks }, outcomes)
    }

    pub(super) fn is_once(&self) -> bool {
        matches!(self.asks, Asks::Once(..))
    }
}

pub(super) fn not_published(failure: Failure) -> PublishError {
    match failure {
        Failure::Refused(error) | Failure::Denied(error) => PublishError::Refused(error),
        Failure::Unknown(error) => PublishError::Unknown(error),
    }
}

pub(super) fn the_process_ends() -> PublishError {
    PublishError::Unknown(StoreError { operation: "publish", reason: "channel: the process ends".to_owned() })
}

fn read_position(operation: &'static str, answer: Value) -> Result<Position, StoreError> {
    Reply::new(operation, answer)?.position()
}
