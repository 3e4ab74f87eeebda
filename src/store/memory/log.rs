//! One channel's log in memory.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use sockhop_transports::Message;
use tokio::time::Instant;

use super::batches::Batches;
use super::ids::Ids;
use crate::id::NodeId;
use crate::store::{
    Entry, Epoch, Excerpt, Once, Position, Publish, PublishOnce, Published, Retention, Slice, Span,
};

/// A channel: its newest entries, and who follows it.
pub(super) struct Log {
    epoch: Epoch,
    /// The seq of the newest entry, kept or not.
    head: u64,
    entries: VecDeque<Kept>,
    bytes: usize,
    retention: Retention,
    batches: Batches<Published>,
    ids: Ids,
    /// Who follows, and how often; few, and in the order in which they came, so that a run can be repeated.
    followers: Vec<(NodeId, u32)>,
    used: Instant,
}

struct Kept {
    message: Message,
    /// By which its age is told.
    since: Instant,
    /// What the clock on the wall said: milliseconds since 1970.
    at: u64,
}

impl Kept {
    fn entry(&self, seq: u64) -> Entry {
        Entry { seq, at: self.at, message: self.message.clone() }
    }
}

/// How long the head of a log outlives its entries: a cursor that waits longer is told that its epoch is gone.
const HEAD_TTL: std::time::Duration = std::time::Duration::from_secs(3600);

impl Log {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            epoch: Epoch::random(),
            head: 0,
            entries: VecDeque::new(),
            bytes: 0,
            retention: Retention::default(),
            batches: Batches::default(),
            ids: Ids::default(),
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
        if let Some(published) = publish.batch.and_then(|batch| self.batches.already(batch)) {
            return (published, Vec::new());
        }
        let at = wall_clock();
        let append = |message: &Message| self.append(message.clone(), now, at);
        let appended: Vec<_> = publish.messages.iter().map(append).collect();
        self.trim(now);
        let published = Published { last: self.head(), count: appended.len() as u64 };
        if let Some(batch) = publish.batch {
            self.batches.remember(batch, published);
        }
        (published, appended)
    }

    /// Appends what a queue's consumer is given, behind what it was given before; all of it is kept.
    pub(super) fn give(&mut self, after: u64, messages: &[Message], now: Instant) -> Vec<Entry> {
        self.used = now;
        self.retention = Retention { entries: usize::MAX, bytes: usize::MAX, age: std::time::Duration::MAX };
        if self.head != after {
            // The log was abandoned meanwhile: what it held cannot be read any more.
            self.epoch = Epoch::random();
            self.head = after;
            self.entries.clear();
            self.bytes = 0;
        }
        let at = wall_clock();
        messages.iter().map(|message| self.append(message.clone(), now, at)).collect()
    }

    /// Drops all entries up to a place.
    pub(super) fn drop_up_to(&mut self, seq: u64) {
        while !self.entries.is_empty() && self.oldest() <= seq {
            self.bytes -= self.entries.pop_front().map_or(0, |kept| kept.message.weight());
        }
    }

    /// What is left ages as in any other channel.
    pub(super) fn let_age(&mut self) {
        self.retention = Retention::default();
    }

    /// Whether an entry of this position is known to have been.
    pub(super) fn had(&self, position: Position) -> bool {
        position.epoch == self.epoch && position.seq <= self.head
    }

    fn append(&mut self, message: Message, now: Instant, at: u64) -> Entry {
        self.head += 1;
        self.bytes += message.weight();
        let kept = Kept { message, since: now, at };
        let entry = kept.entry(self.head);
        self.entries.push_back(kept);
        entry
    }

    /// Appends what was not appended before under the same id. What became of each, and the entries appended.
    pub(super) fn publish_once(&mut self, publish: &PublishOnce<'_>, now: Instant) -> (Vec<Once>, Vec<Entry>) {
        self.used = now;
        self.retention = publish.retention;
        self.ids.prepare(publish.memory, now);
        let sifted = self.ids.sift(publish.messages, self.head());
        let at = wall_clock();
        let appended = sifted.fresh.iter().map(|message| self.append(message.clone(), now, at)).collect();
        let outcomes = self.ids.remember(sifted, now);
        self.trim(now);
        (outcomes, appended)
    }

    pub(super) fn read(&self, after: Position, bytes: usize) -> Slice {
        let first = self.oldest();
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
                entries.push(kept.entry(first + index as u64));
            }
        }
        Slice { epoch: self.epoch, entries, gap }
    }

    /// The seq of the oldest entry that is kept; one more than the head where none is.
    fn oldest(&self) -> u64 {
        self.head - self.entries.len() as u64 + 1
    }

    pub(super) fn excerpt(&self, span: Span, most: usize, bytes: usize) -> Excerpt {
        let (oldest, newest) = (self.oldest(), self.head);
        let is_foreign = |position: Position| position.epoch != self.epoch;
        let gap = match span {
            Span::Newest | Span::Oldest => false,
            Span::After(after) => is_foreign(after) || after.seq > newest || after.seq + 1 < oldest,
            Span::Before(before) => {
                is_foreign(before) || before.seq > newest + 1 || before.seq > 1 && before.seq <= oldest
            }
        };
        let kept = |seq: u64| self.entries.get((seq - oldest) as usize).map(|kept| kept.entry(seq));
        let entries = match span {
            _ if gap => Vec::new(),
            Span::Oldest => within((oldest..=newest).filter_map(kept), most, bytes),
            Span::After(after) => within((after.seq + 1..=newest).filter_map(kept), most, bytes),
            Span::Newest | Span::Before(_) => {
                let end = if let Span::Before(before) = span { before.seq } else { newest + 1 };
                let mut entries = within((oldest..end).rev().filter_map(kept), most, bytes);
                entries.reverse();
                entries
            }
        };
        Excerpt { epoch: self.epoch, entries, oldest, newest, gap }
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
                || now.duration_since(oldest.since) > self.retention.age;
            if !over {
                break;
            }
            self.bytes -= oldest.message.weight();
            self.entries.pop_front();
        }
        self.ids.forget(now);
    }

    /// Whether nobody can miss the log.
    pub(super) fn is_abandoned(&self, now: Instant) -> bool {
        let is_empty = self.entries.is_empty() && self.followers.is_empty() && self.ids.is_empty();
        is_empty && now.duration_since(self.used) > HEAD_TTL
    }

    /// Somebody needs the positions to stay what they are.
    pub(super) fn touch(&mut self, now: Instant) {
        self.used = now;
    }
}

/// As many entries as are wanted, of so many bytes unless the first has more.
fn within(entries: impl Iterator<Item = Entry>, most: usize, bytes: usize) -> Vec<Entry> {
    let mut taken = 0;
    let fits = move |entry: &Entry| {
        let first = taken == 0;
        taken += entry.message.weight();
        first || taken <= bytes
    };
    entries.take(most).take_while(fits).collect()
}

/// Milliseconds since 1970.
pub(super) fn wall_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
