//! Queues in Redis.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Inner;
use super::channels::{Asks, Waiting, not_published, the_process_ends};
use super::keys::QueueKeys;
use super::link::Link;
use super::reply::Reply;
use super::script::{self, Argument, arguments};
use crate::id::ChannelName;
use crate::store::{
    Batch, ConsumeError, Consumer, Epoch, Once, Position, Publish, PublishError, PublishOnce, Published,
    Retention, Settle, Settled, StoreError, Which,
};

/// A place beyond all that there are.
const END: u64 = (1 << 48) - 1;

impl Inner {
    pub(super) async fn enqueue(self: &Arc<Self>, publish: Publish<'_>) -> Result<Published, PublishError> {
        if let Some(batch) = publish.batch {
            let groups = [Waiting::of(publish.messages, publish.retention).0];
            let keys = self.keys.queue(publish.channel);
            let (last, accepted) = self.enqueue_batch(&keys, &groups, &publish.retention, batch).await?;
            let count = publish.messages.len() as u64;
            return if accepted == 0 { Err(PublishError::Full) } else { Ok(Published { last, count }) };
        }
        let (waiting, published) = Waiting::of(publish.messages, publish.retention);
        self.put_in_queue(publish.channel, waiting)?;
        published.await.unwrap_or_else(|_| Err(the_process_ends()))
    }

    pub(super) async fn enqueue_once(
        self: &Arc<Self>,
        enqueue: PublishOnce<'_>,
    ) -> Result<Vec<Once>, PublishError> {
        let (waiting, outcomes) = Waiting::once(&enqueue);
        self.put_in_queue(enqueue.channel, waiting)?;
        outcomes.await.unwrap_or_else(|_| Err(the_process_ends()))
    }

    /// Puts messages into their queue's lane.
    fn put_in_queue(self: &Arc<Self>, queue: &ChannelName, waiting: Waiting) -> Result<(), PublishError> {
        if self.queue_lanes.put(queue, waiting)? {
            tokio::spawn(Arc::clone(self).run_queue_lane(queue.clone()));
        }
        Ok(())
    }

    /// Enqueues what waits for a queue, a batch at a time, until nothing does.
    async fn run_queue_lane(self: Arc<Self>, queue: ChannelName) {
        let keys = self.keys.queue(&queue);
        loop {
            tokio::task::yield_now().await;
            let Some(groups) = self.queue_lanes.take(&queue) else { return };
            if groups.first().is_some_and(Waiting::is_once) {
                self.enqueue_batch_once(&queue, groups).await;
                continue;
            }
            let retention = groups.last().map_or_else(Retention::default, |last| last.retention);
            let name = Batch { node: self.own, number: self.batches.fetch_add(1, Ordering::Relaxed) };
            let done = self.enqueue_batch(&keys, &groups, &retention, name).await;
            let accepted = done.as_ref().map_or(0, |(_, accepted)| *accepted);
            let taken: u64 = groups.iter().take(accepted).map(|group| group.messages.len() as u64).sum();
            let mut seq = done.as_ref().map_or(0, |(last, _)| last.seq - taken);
            for (index, Waiting { messages, asks, .. }) in groups.into_iter().enumerate() {
                let Asks::Positions(answer) = asks else { continue };
                let count = messages.len() as u64;
                let answered = match &done {
                    Ok((last, accepted)) if index < *accepted => {
                        seq += count;
                        Ok(Published { last: Position { seq, ..*last }, count })
                    }
                    Ok(_) => Err(PublishError::Full),
                    Err(error) => Err(error.clone()),
                };
                // Whoever does not wait any more does not want to know.
                let _ = answer.send(answered);
            }
        }
    }

    /// The position of the last message taken, and how many groups were.
    async fn enqueue_batch(
        &self,
        keys: &QueueKeys,
        groups: &[Waiting],
        retention: &Retention,
        batch: Batch,
    ) -> Result<(Position, usize), PublishError> {
        let (epoch, node) = (rand::random::<[u8; 8]>(), batch.node.to_bytes());
        let frames: Vec<Vec<_>> =
            groups.iter().map(|group| group.messages.iter().map(|message| message.frame()).collect()).collect();
        let command = |link: &Link| {
            let mut arguments =
                arguments![&epoch, &link.run, &node, batch.number, retention.entries, retention.bytes].to_vec();
            for group in &frames {
                arguments.push(Argument::from(group.len()));
                arguments.extend(group.iter().map(|frame| Argument::from(&frame[..])));
            }
            script::ENQUEUE.command(&keys.keys, &arguments)
        };
        let answer = self.runner.run(keys.slot, &script::ENQUEUE, command).await.map_err(not_published)?;
        let read = || {
            let mut reply = Reply::new("enqueue", answer)?;
            let last = reply.position()?;
            Ok((last, reply.count()? as usize))
        };
        read().map_err(PublishError::Unknown)
    }

    pub(super) async fn consume(
        &self,
        consumer: &Consumer,
        credit: u32,
        most: usize,
    ) -> Result<Position, ConsumeError> {
        let keys = self.keys.queue(&consumer.queue);
        let (id, epoch) = (consumer.id.text(), rand::random::<[u8; 8]>());
        let command = |link: &Link| {
            let arguments = arguments![&id, u64::from(credit.max(1)), most, &epoch, &link.run];
            script::CONSUME.command(&keys.keys, &arguments)
        };
        let answer = self.runner.run(keys.slot, &script::CONSUME, command).await.map_err(StoreError::from)?;
        let mut reply = Reply::new("consume", answer)?;
        match reply.text()?.as_str() {
            "consumes" => Ok(Position { epoch: Epoch(u64::from_be_bytes(reply.id()?)), seq: 0 }),
            "cancelled" => Err(ConsumeError::Cancelled),
            "full" => Err(ConsumeError::TooMany(most)),
            _ => Ok(reply.error()?),
        }
    }

    pub(super) async fn settle(&self, consumer: &Consumer, settle: Settle) -> Result<Settled, StoreError> {
        let keys = self.keys.queue(&consumer.queue);
        let (id, epoch) = (consumer.id.text(), rand::random::<[u8; 8]>());
        let (at, from, received, fate) = match settle {
            Settle::Received { at, handled } => (at, 0, at.seq, if handled { "handled" } else { "" }),
            Settle::Handled(at, which) => (at, first(at, which), 0, "handled"),
            Settle::Returned(at, which) => (at, first(at, which), 0, "returned"),
        };
        let at_epoch = at.epoch.0.to_be_bytes();
        let command = |link: &Link| {
            let arguments = arguments![&id, &at_epoch, from, at.seq, received, fate, &epoch, &link.run];
            script::SETTLE.command(&keys.keys, &arguments)
        };
        let answer = self.runner.run(keys.slot, &script::SETTLE, command).await?;
        let mut reply = Reply::new("settle", answer)?;
        match reply.text()?.as_str() {
            "done" => Ok(Settled::Done),
            "unknown" => Ok(Settled::Unknown),
            _ => reply.error(),
        }
    }

    pub(super) async fn cancel(&self, consumer: &Consumer, handled: Option<Position>) -> Result<(), StoreError> {
        let keys = self.keys.queue(&consumer.queue);
        let (id, epoch) = (consumer.id.text(), rand::random::<[u8; 8]>());
        let at_epoch = handled.map_or([0; 8], |at| at.epoch.0.to_be_bytes());
        let handled = handled.map_or(0, |at| at.seq.min(END));
        let command = |link: &Link| {
            let arguments = arguments![&id, &at_epoch, handled, &epoch, &link.run];
            script::CANCEL.command(&keys.keys, &arguments)
        };
        self.runner.run(keys.slot, &script::CANCEL, command).await?;
        Ok(())
    }
}

/// The first place that a position names.
fn first(at: Position, which: Which) -> u64 {
    match which {
        Which::One => at.seq,
        Which::UpTo => 0,
    }
}
