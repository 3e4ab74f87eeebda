//! One channel's log in memory.

use std::collections::VecDeque;

use sockhop_transports::Message;
use tokio::time::Instant;

use crate::id::NodeId;
use crate::store::{Batch, Entry, Epoch, Position, Publish, Published, Retention, Slice};

/// A channel: its newest entries, and who follows it.
pub(super) struct Log {
    epoch: Epoch,
    /// The seq of the newest entry, kept or not.
    head: u64,
    entries: VecDeque<Kept>,
    bytes: usize,
    retention: Retention,
    /// The last batch of each node that named its batches.
    batches: Vec<(Batch, Published)>,
    /// Who follows, and how often; few, and in the order in which they came, so that a run can be repeated.
    followers: Vec<(NodeId, u32)>,
    used: Instant,
}

struct Kept {
    message: Message,
    at: Instant,
}

/// How long the head of a log outlives its entries: a cursor that waits longer is told that its epoch is gone.
const HEAD_TTL: std::time::Duration = std::time::Duration::from_secs(3600);
/// Nodes whose last batch is remembered.
const BATCHES: usize = 64;

impl Log {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            epoch: Epoch::random(),
            head: 0,
            entries: VecDeque::new(),
            bytes: 0,
            retention: Retention::default(),
            batches: Vec::new(),
            followers: Vec::new(),
            used: now,
        }
    }

    pub(super) fn followers(&self) -> impl Iterator<Item = NodeId> {
        self.followers.iter().map(|(node, _)| *node)
    }

    pub(super) fn follow(&mut self, node: NodeId) {
        match self.followers.iter_mut().find(|(known, _)| *known == node) {
            Some((_, count)) => *count += 1,
            None => self.followers.push((node, 1)),
        }
    }

    pub(super) fn unfollow(&mut self, node: NodeId) {
        self.followers.iter_mut().filter(|(known, _)| *known == node).for_each(|(_, count)| *count -= 1);
        self.followers.retain(|(_, count)| *count > 0);
    }

    /// The node is gone, however often it followed.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.followers.retain(|(known, _)| *known != node);
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn head(&self) -> Position {
        Position { epoch: self.epoch, seq: self.head }
    }

    /// Appends, unless this very batch was appended before. The entries appended, and where.
    pub(super) fn publish(&mut self, publish: &Publish<'_>, now: Instant) -> (Published, Vec<Entry>) {
        self.used = now;
        self.retention = publish.retention;
        if let Some(published) = publish.batch.and_then(|batch| self.already(batch)) {
            return (published, Vec::new());
        }
        let mut appended = Vec::with_capacity(publish.messages.len());
        for message in publish.messages {
            self.head += 1;
            self.bytes += message.weight();
            self.entries.push_back(Kept { message: message.clone(), at: now });
            appended.push(Entry { seq: self.head, message: message.clone() });
        }
        self.trim(now);
        let published = Published { last: self.head(), count: appended.len() as u64 };
        if let Some(batch) = publish.batch {
            self.remember(batch, published);
        }
        (published, appended)
    }

    fn already(&self, batch: Batch) -> Option<Published> {
        let (last, published) = self.batches.iter().find(|(last, _)| last.node == batch.node)?;
        (batch.number <= last.number).then_some(*published)
    }

    fn remember(&mut self, batch: Batch, published: Published) {
        self.batches.retain(|(last, _)| last.node != batch.node);
        if self.batches.len() == BATCHES {
            self.batches.remove(0);
        }
        self.batches.push((batch, published));
    }

    pub(super) fn read(&self, after: Position, bytes: usize) -> Slice {
        let first = self.head - self.entries.len() as u64 + 1;
        let gap = after.epoch != self.epoch || after.seq + 1 < first || after.seq > self.head;
        let mut entries = Vec::new();
        if !gap {
            let skip = (after.seq + 1 - first) as usize;
            let mut left = bytes;
            for (index, kept) in self.entries.iter().enumerate().skip(skip) {
                if !entries.is_empty() && kept.message.weight() > left {
                    break;
                }
                left = left.saturating_sub(kept.message.weight());
                entries.push(Entry { seq: first + index as u64, message: kept.message.clone() });
            }
        }
        Slice { epoch: self.epoch, entries, gap }
    }

    /// The place behind which the newest entries are, `most` of them or all that are kept.
    pub(super) fn tail(&self, most: u64) -> Position {
        Position { epoch: self.epoch, seq: self.head - most.min(self.entries.len() as u64) }
    }

    /// Drops what is past the retention.
    pub(super) fn trim(&mut self, now: Instant) {
        while let Some(oldest) = self.entries.front() {
            let over = self.entries.len() > self.retention.entries
                || self.bytes > self.retention.bytes && self.entries.len() > 1
                || now.duration_since(oldest.at) > self.retention.age;
            if !over {
                break;
            }
            self.bytes -= oldest.message.weight();
            self.entries.pop_front();
        }
    }

    /// Whether nobody can miss the log.
    pub(super) fn is_abandoned(&self, now: Instant) -> bool {
        self.entries.is_empty() && self.followers.is_empty() && now.duration_since(self.used) > HEAD_TTL
    }

    /// Somebody needs the positions to stay what they are.
    pub(super) fn touch(&mut self, now: Instant) {
        self.used = now;
    }
}
