//! One channel as this node sees it: its newest entries, and the receivers here that follow it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slab::Slab;
use smallvec::SmallVec;
use sockhop_transports::{CloseReason, Message};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::mailbox::Mailbox;
use crate::id::ChannelName;
use crate::store::{Entry, Epoch, Feed, Position};

/// A channel that this node follows.
pub(crate) struct Channel {
    name: ChannelName,
    /// Set once the store has acknowledged that it sends the channel's entries here.
    pub(super) followed: OnceCell<()>,
    state: Mutex<State>,
}

/// One receiver among a channel's followers.
pub(crate) type FollowerId = usize;

struct State {
    ring: Ring,
    followers: Slab<Follower>,
    /// Since when nobody follows.
    idle_since: Option<Instant>,
}

impl State {
    /// Tells the followers that there is news.
    fn tell(&mut self) {
        let now = Instant::now();
        for (_, follower) in &mut self.followers {
            match follower.told {
                None => {
                    follower.told = Some(now);
                    follower.mailbox.fresh(follower.slot);
                }
                Some(_) if follower.is_slow(self.ring.passed, now) => follower.mailbox.end_too_slow(),
                Some(_) => {}
            }
        }
    }
}

struct Follower {
    mailbox: Arc<Mailbox>,
    slot: u32,
    /// Since when it has been told of news and has not looked.
    told: Option<Instant>,
    /// Bytes of the channel's life that it has been handed.
    read: u64,
    limit: u64,
}

/// How a service turns a channel's entries into what a subscription's client gets.
pub(crate) trait Render: Send + Sync + 'static {
    /// What a subscription with this tag gets for an entry; `None` where it is not meant for it.
    fn render(&self, tag: &str, channel: &ChannelName, at: Position, entry: &Message) -> Option<Message>;

    /// Whether a subscription with this tag is there for what its entries lead to, and gets nothing rendered.
    fn leads(&self, _tag: &str) -> bool {
        false
    }

    /// What an entry of such a subscription leads to.
    fn lead(&self, _tag: &str, _entry: &Message) -> Option<Lead> {
        None
    }

    /// What a session gets, and how it ends, when such a subscription leads to more than the `most` that it may have.
    fn too_many(&self, _tag: &str, _most: usize) -> Option<Farewell> {
        None
    }
}

/// What an entry leads to, beside being rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lead {
    /// The session follows this, too, from there on.
    Follow(Feed, Position),
    /// The session is over.
    End(Farewell),
}

/// The last message of a session, and why it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Farewell {
    pub(crate) message: Message,
    pub(crate) reason: CloseReason,
}

/// How the entries of one follow are rendered.
pub(crate) struct Rendering<'a> {
    pub(crate) render: &'a dyn Render,
    pub(crate) tag: &'a Arc<str>,
}

/// The newest entries, so that few reads go to the store.
struct Ring {
    epoch: Option<Epoch>,
    entries: VecDeque<Kept>,
    bytes: usize,
    /// Bytes of what entries were rendered to.
    rendered: usize,
    /// The seq of the newest entry.
    head: u64,
    /// Bytes that ever went through.
    passed: u64,
}

/// An entry in a ring, and what it was rendered to: once for each tag, however many followers have it.
struct Kept {
    message: Message,
    rendered: Vec<(Arc<str>, Option<Message>)>,
}

/// Bytes of rendered entries that a ring keeps: those who keep up read an entry soon, or not from the ring.
const RENDERED_BYTES: usize = 512 * 1024;
/// Entries and bytes that a ring keeps.
const RING_ENTRIES: usize = 1024;
const RING_BYTES: usize = 256 * 1024;
/// How long a receiver that is over its limit may leave news unread.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a ring has after a cursor.
pub(crate) enum Ahead {
    /// How far the messages that were handed over reach, and whether that is all.
    Messages {
        last: Position,
        all: bool,
    },
    Nothing,
    /// The ring does not reach back: the store has to be asked.
    Unknown,
}

impl Channel {
    pub(super) fn new(name: ChannelName) -> Self {
        let ring = Ring { epoch: None, entries: VecDeque::new(), bytes: 0, rendered: 0, head: 0, passed: 0 };
        let state = State { ring, followers: Slab::new(), idle_since: Some(Instant::now()) };
        Self { name, followed: OnceCell::new(), state: Mutex::new(state) }
    }

    pub(crate) fn name(&self) -> &ChannelName {
        &self.name
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts from the head that the store gave, unless entries came meanwhile.
    pub(super) fn start(&self, head: Position) {
        let mut state = self.lock();
        if state.ring.epoch.is_none() {
            state.ring.epoch = Some(head.epoch);
            state.ring.head = head.seq;
        }
    }

    /// The newest position known here.
    pub(super) fn head(&self) -> Option<Position> {
        let state = self.lock();
        Some(Position { epoch: state.ring.epoch?, seq: state.ring.head })
    }

    /// Adds a follower; it is told of what comes from now on.
    pub(super) fn add(&self, mailbox: Arc<Mailbox>, slot: u32, limit: usize) -> FollowerId {
        let mut state = self.lock();
        state.idle_since = None;
        let read = state.ring.passed;
        state.followers.insert(Follower { mailbox, slot, told: None, read, limit: limit as u64 })
    }

    pub(super) fn remove(&self, follower: FollowerId) {
        let mut state = self.lock();
        state.followers.try_remove(follower);
        if state.followers.is_empty() {
            state.idle_since = Some(Instant::now());
        }
    }

    /// Since when nobody here follows.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.lock().idle_since
    }

    /// Entries came from the store.
    pub(super) fn deliver(&self, epoch: Epoch, entries: &[Entry]) {
        let mut state = self.lock();
        state.ring.append(epoch, entries);
        state.tell();
    }

    /// The store says where the channel stands. If that is not what was heard, its followers have to read.
    pub(super) fn notice(&self, head: Position) {
        let mut state = self.lock();
        if state.ring.epoch != Some(head.epoch) || state.ring.head < head.seq {
            state.ring.forget(head);
            state.tell();
        }
    }

    /// Ends the receivers that are over their limit and have not looked for a while.
    pub(super) fn end_slow(&self, now: Instant) {
        let mut state = self.lock();
        let State { ring, followers, .. } = &mut *state;
        for (_, follower) in followers.iter_mut() {
            if follower.is_slow(ring.passed, now) {
                follower.mailbox.end_too_slow();
            }
        }
    }

    /// Hands over the messages after `cursor`, at least one where there is one, then up to `bytes` of them.
    pub(crate) fn after(
        &self,
        follower: FollowerId,
        cursor: Position,
        bytes: usize,
        rendering: Option<Rendering<'_>>,
        into: &mut impl Extend<Message>,
    ) -> Ahead {
        let mut state = self.lock();
        let State { ring, followers, .. } = &mut *state;
        let ahead = match rendering {
            None => ring.after(cursor, bytes, |_, message| into.extend([message])),
            Some(rendering) => ring.render(&self.name, cursor, bytes, &rendering, into),
        };
        if let Some(follower) = followers.get_mut(follower) {
            let more = matches!(ahead, Ahead::Messages { all: false, .. });
            follower.told = more.then(Instant::now);
            follower.read = match ahead {
                Ahead::Messages { last, .. } => ring.passed - ring.bytes_after(last.seq),
                Ahead::Nothing | Ahead::Unknown => ring.passed,
            };
        }
        ahead
    }
}

impl Follower {
    /// Whether it is over its limit and had time to look: a burst alone makes nobody slow.
    fn is_slow(&self, passed: u64, now: Instant) -> bool {
        passed - self.read > self.limit && self.told.is_some_and(|told| now - told > PATIENCE)
    }
}

impl Kept {
    fn weight_rendered(&self) -> usize {
        self.rendered.iter().filter_map(|(_, message)| message.as_ref()).map(Message::weight).sum()
    }
}

impl Ring {
    fn append(&mut self, epoch: Epoch, entries: &[Entry]) {
        for entry in entries {
            if self.epoch != Some(epoch) || entry.seq > self.head + 1 {
                // Something was missed, or a new life began: who lags behind asks the store.
                self.clear();
            } else if entry.seq <= self.head {
                continue;
            }
            self.epoch = Some(epoch);
            self.head = entry.seq;
            self.bytes += entry.message.weight();
            self.passed += entry.message.weight() as u64;
            self.entries.push_back(Kept { message: entry.message.clone(), rendered: Vec::new() });
            while self.entries.len() > RING_ENTRIES || self.bytes > RING_BYTES && self.entries.len() > 1 {
                if let Some(oldest) = self.entries.pop_front() {
                    self.bytes -= oldest.message.weight();
                    self.rendered -= oldest.weight_rendered();
                }
            }
        }
    }

    /// The channel stands at `head`, and what was heard does not reach there.
    fn forget(&mut self, head: Position) {
        self.clear();
        self.epoch = Some(head.epoch);
        self.head = head.seq;
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
        self.rendered = 0;
    }

    /// As [`after`](Self::after), with the entries rendered.
    fn render(
        &mut self,
        name: &ChannelName,
        cursor: Position,
        bytes: usize,
        Rendering { render, tag }: &Rendering<'_>,
        into: &mut impl Extend<Message>,
    ) -> Ahead {
        let mut wanted: SmallVec<[usize; 4]> = SmallVec::new();
        let ahead = self.after(cursor, bytes, |index, _| wanted.push(index));
        let first = self.head - self.entries.len() as u64 + 1;
        for index in wanted {
            let at = Position { epoch: cursor.epoch, seq: first + index as u64 };
            let kept = &mut self.entries[index];
            let known = kept.rendered.iter().find(|(known, _)| known == *tag);
            let message = match known {
                Some((_, message)) => message.clone(),
                None => {
                    let message = render.render(tag, name, at, &kept.message);
                    kept.rendered.push((Arc::clone(tag), message.clone()));
                    self.rendered += message.as_ref().map_or(0, Message::weight);
                    if self.rendered > RENDERED_BYTES {
                        self.forget_rendered();
                    }
                    message
                }
            };
            into.extend(message);
        }
        ahead
    }

    fn forget_rendered(&mut self) {
        self.entries.iter_mut().for_each(|kept| kept.rendered = Vec::new());
        self.rendered = 0;
    }

    /// Hands over entries, with their places in the ring.
    fn after(&self, cursor: Position, bytes: usize, mut into: impl FnMut(usize, Message)) -> Ahead {
        if self.epoch != Some(cursor.epoch) {
            return Ahead::Unknown;
        }
        if cursor.seq >= self.head {
            // Ahead of what was heard: read from the store meanwhile.
            return Ahead::Nothing;
        }
        let first = self.head - self.entries.len() as u64 + 1;
        if cursor.seq + 1 < first {
            return Ahead::Unknown;
        }
        let mut last = cursor;
        let mut taken = 0;
        for (index, Kept { message, .. }) in
            self.entries.iter().enumerate().skip((cursor.seq + 1 - first) as usize)
        {
            if taken > 0 && taken + message.weight() > bytes {
                break;
            }
            taken += message.weight();
            last.seq += 1;
            into(index, message.clone());
        }
        Ahead::Messages { last, all: last.seq == self.head }
    }

    fn bytes_after(&self, seq: u64) -> u64 {
        let newer = self.head.saturating_sub(seq) as usize;
        self.entries.iter().rev().take(newer).map(|kept| kept.message.weight() as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch(7);

    fn entries(seqs: impl IntoIterator<Item = u64>) -> Vec<Entry> {
        seqs.into_iter().map(|seq| Entry { seq, at: 0, message: Message::new(&seq.to_string()) }).collect()
    }

    fn after(channel: &Channel, epoch: Epoch, seq: u64, bytes: usize) -> (Ahead, Vec<String>) {
        let mut messages = Vec::new();
        let ahead = channel.after(0, Position { epoch, seq }, bytes, None, &mut messages);
        (ahead, messages.iter().map(|message| message.text().to_owned()).collect())
    }

    fn channel() -> Channel {
        let channel = Channel::new(ChannelName::new("c").unwrap());
        channel.start(Position { epoch: EPOCH, seq: 3 });
        channel
    }

    #[tokio::test]
    async fn what_is_in_the_ring_is_read_from_it() {
        let channel = channel();
        assert!(matches!(after(&channel, EPOCH, 3, 1000).0, Ahead::Nothing));
        channel.deliver(EPOCH, &entries(4..=6));
        let (ahead, messages) = after(&channel, EPOCH, 4, 1000);
        assert!(matches!(ahead, Ahead::Messages { last: Position { seq: 6, .. }, all: true }));
        assert_eq!(messages, ["5", "6"]);
        let (ahead, messages) = after(&channel, EPOCH, 3, 1);
        assert!(matches!(ahead, Ahead::Messages { last: Position { seq: 4, .. }, all: false }));
        assert_eq!(messages, ["4"]);
    }

    #[tokio::test]
    async fn a_hole_or_a_new_life_sends_laggards_to_the_store() {
        let channel = channel();
        channel.deliver(EPOCH, &entries([4, 6]));
        assert!(matches!(after(&channel, EPOCH, 4, 1000).0, Ahead::Unknown));
        assert_eq!(after(&channel, EPOCH, 5, 1000).1, ["6"]);
        channel.deliver(EPOCH, &entries([5, 6]));
        assert_eq!(after(&channel, EPOCH, 5, 1000).1, ["6"], "late copies change nothing");
        channel.deliver(Epoch(8), &entries([1]));
        assert!(matches!(after(&channel, EPOCH, 6, 1000).0, Ahead::Unknown));
        assert_eq!(after(&channel, Epoch(8), 0, 1000).1, ["1"]);
    }

    #[tokio::test]
    async fn a_ring_stays_within_its_bounds() {
        let channel = channel();
        channel.deliver(EPOCH, &entries(4..=4 + RING_ENTRIES as u64));
        assert!(matches!(after(&channel, EPOCH, 3, 1000).0, Ahead::Unknown));
        assert!(matches!(after(&channel, EPOCH, 4, 1000).0, Ahead::Messages { .. }));
    }

    /// Renders to the tag, the channel, the position and the text; entries that begin with `not` are for nobody.
    struct Spelled;

    impl Render for Spelled {
        fn render(&self, tag: &str, channel: &ChannelName, at: Position, entry: &Message) -> Option<Message> {
            let text = entry.text();
            (!text.starts_with("not")).then(|| Message::new(&format!("{tag} {channel} {} {text}", at.seq)))
        }
    }

    fn rendered(channel: &Channel, tag: &str, seq: u64) -> Vec<Message> {
        let tag: Arc<str> = tag.into();
        let rendering = Rendering { render: &Spelled, tag: &tag };
        let mut messages = Vec::new();
        channel.after(0, Position { epoch: EPOCH, seq }, 1_000_000, Some(rendering), &mut messages);
        messages
    }

    #[tokio::test]
    async fn an_entry_is_rendered_once_for_each_tag() {
        let channel = channel();
        channel.deliver(EPOCH, &entries(4..=5));
        let (first, again) = (rendered(&channel, "a", 3), rendered(&channel, "a", 4));
        assert_eq!(first[0].text(), "a c 4 4");
        assert_eq!(first[1].frame().as_ptr(), again[0].frame().as_ptr(), "the very bytes that were encoded");
        assert_eq!(rendered(&channel, "b", 4)[0].text(), "b c 5 5");
        assert_eq!(after(&channel, EPOCH, 4, 1000).1, ["5"], "without a tag as it was published");
    }

    #[tokio::test]
    async fn an_entry_that_is_not_for_a_subscription_is_passed_over() {
        let channel = channel();
        let texts = ["one", "not two", "three"];
        let entries: Vec<_> =
            (4..).zip(texts).map(|(seq, text)| Entry { seq, at: 0, message: Message::new(text) }).collect();
        channel.deliver(EPOCH, &entries);
        let messages = rendered(&channel, "a", 3);
        assert_eq!(messages.iter().map(Message::text).collect::<Vec<_>>(), ["a c 4 one", "a c 6 three"]);
    }

    #[tokio::test]
    async fn what_entries_were_rendered_to_stays_within_its_bounds() {
        let channel = channel();
        let message = Message::new(&"x".repeat(10_000));
        channel.deliver(EPOCH, &[Entry { seq: 4, at: 0, message }]);
        for tag in 0..200 {
            assert_eq!(rendered(&channel, &tag.to_string(), 3).len(), 1);
            assert!(channel.lock().ring.rendered <= RENDERED_BYTES);
        }
        channel.deliver(EPOCH, &entries(5..=5 + RING_ENTRIES as u64));
        assert_eq!(channel.lock().ring.rendered, 0);
    }
}
