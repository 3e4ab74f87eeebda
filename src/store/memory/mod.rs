//! The store of one process: everything in memory, gone with it.
//!
//! It is the reference of what a [`Store`] does, and a product: a single node needs no other. Several nodes of one
//! process may share it.

mod catalogue;
mod ids;
mod log;
mod queue;
mod record;
mod roster;

use std::cmp::Reverse;
use std::collections::hash_map::Entry as MapEntry;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use sockhop_transports::CloseReason;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::catalogue::Names;
use self::log::Log;
use self::queue::{Given, Queue};
use self::record::{Lost, Outcome, Record, Wish};
use super::{
    Anchor, Attach, Attached, Begin, Begun, Branch, Branched, ConsumeError, Consumer, Due, Ended, Enlist,
    Enlisted, Entered, Entry, Excerpt, Feed, First, Gone, Here, Hold, Holder, Inbox, Intent, Kept, Known, Left,
    Listed, Once, Own, Pending, Place, Position, Publish, PublishError, PublishOnce, Published, Push, Roster,
    Sent, SessionRef, Settle, Settled, Signal, Slice, Span, Stay, Store, StoreError, SubscribeError, Telling,
    Turn, Visitor, given_up_on, shard_of,
};
use crate::id::{ChannelName, NodeId, SessionKey};

/// A [`Store`] in the memory of this process.
///
/// ```
/// use std::sync::Arc;
/// use sockhop::{Node, store::MemoryStore};
///
/// # tokio_test::block_on(async {
/// let store = Arc::new(MemoryStore::new());
/// let node = Node::builder().store(store).build();
/// # });
/// ```
#[derive(Default)]
pub struct MemoryStore {
    shards: [Mutex<Shard>; SHARDS],
    channels: Mutex<HashMap<ChannelName, Arc<Mutex<Log>>>>,
    queues: Mutex<HashMap<ChannelName, Arc<Mutex<Queue>>>>,
    /// Names of channels, by the catalogue's own channel. Locked before `channels`.
    catalogues: Mutex<HashMap<ChannelName, Names>>,
    nodes: RwLock<HashMap<NodeId, Weak<dyn Inbox>>>,
    /// Nodes that are about to leave.
    retired: Mutex<HashSet<NodeId>>,
    lives: AtomicU64,
    rosters: Mutex<HashMap<ChannelName, roster::Roster>>,
    /// Sessions that are not over.
    open: Arc<AtomicUsize>,
    /// Sessions that wait for their deadline.
    timed: AtomicUsize,
    first_timed: Notify,
    /// Ends that a node which left has not run.
    orphaned: Mutex<Vec<Ended>>,
    /// Sessions whose `on_open` such a node has not run to its end.
    unopened: Mutex<Vec<SessionRef>>,
    /// When channels were last looked at for what is past its age.
    swept: Mutex<Option<Instant>>,
}

const SHARDS: usize = 16;
/// How finely deadlines are kept.
const TICK: Duration = Duration::from_millis(20);
/// How often channels are looked at for what is past its age.
const SWEEP: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Shard {
    /// Boxed: a map of large values wastes what it keeps free.
    records: HashMap<SessionKey, Box<Record>>,
    /// Sessions that are gone but for a handler call under way, by their life.
    ending: HashMap<u64, Box<Record>>,
    timers: BinaryHeap<Reverse<(Instant, SessionRef)>>,
    /// Anchored sessions whose node has left before them, by their life, until it hears of that.
    taken: HashSet<u64>,
}

impl Shard {
    /// The session, also when only its last handler call is left of it.
    fn find(&mut self, session: SessionRef) -> Result<&mut Record, Gone> {
        match self.records.get_mut(&session.key) {
            Some(record) if record.session == session => Ok(record),
            _ => {
                let ending = self.ending.get_mut(&session.life).map(Box::as_mut);
                ending.filter(|record| record.session == session).ok_or(Gone::Over)
            }
        }
    }

    /// Frees the key of a session that is over; its record stays while a handler call owes the `on_close`.
    fn remove(&mut self, key: SessionKey) {
        if let Some(record) = self.records.remove(&key)
            && record.owes_on_close()
        {
            self.ending.insert(record.session.life, record);
        }
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn shard(&self, key: SessionKey) -> MutexGuard<'_, Shard> {
        lock(&self.shards[shard_of(key, SHARDS)])
    }

    fn log(&self, channel: &ChannelName) -> Arc<Mutex<Log>> {
        let mut channels = lock(&self.channels);
        match channels.get(channel) {
            Some(log) => Arc::clone(log),
            None => {
                let log = Arc::new(Mutex::new(Log::new(Instant::now())));
                channels.insert(channel.clone(), Arc::clone(&log));
                log
            }
        }
    }

    fn queue(&self, name: &ChannelName) -> Arc<Mutex<Queue>> {
        let mut queues = lock(&self.queues);
        match queues.get(name) {
            Some(queue) => Arc::clone(queue),
            None => {
                let queue = Arc::new(Mutex::new(Queue::new(Instant::now())));
                queues.insert(name.clone(), Arc::clone(&queue));
                queue
            }
        }
    }

    /// Appends what consumers of a queue are given to their channels. Under the queue's lock: they get it in order.
    fn give(&self, queue: &ChannelName, given: Vec<Given>) {
        for Given { consumer, after, messages } in given {
            let channel = Consumer { queue: queue.clone(), id: consumer }.channel();
            let log = self.log(&channel);
            let mut log = lock(&log);
            let entries = log.give(after, &messages, Instant::now());
            self.spread(&channel, &log, &entries);
        }
    }

    fn inbox(&self, node: NodeId) -> Option<Arc<dyn Inbox>> {
        self.nodes.read().unwrap_or_else(PoisonError::into_inner).get(&node)?.upgrade()
    }

    /// Hands new entries to those who follow. Under the log's lock: inboxes get a channel's entries in order.
    fn spread(&self, channel: &ChannelName, log: &Log, entries: &[Entry]) {
        if entries.is_empty() {
            return;
        }
        for node in log.followers() {
            if let Some(inbox) = self.inbox(node) {
                inbox.entries(channel, log.epoch(), entries);
            }
        }
    }

    fn tell(&self, node: NodeId, signal: Signal) {
        if let Some(inbox) = self.inbox(node) {
            inbox.signal(signal);
        }
    }

    /// Tells the holder of a changed session, if it has one.
    fn changed(&self, holder: Option<Holder>) {
        if let Some(holder) = holder {
            self.tell(holder.node, Signal::Changed(holder.hold));
        }
    }

    /// Lets a detached session's time run.
    fn start_timer(&self, shard: &mut Shard, key: SessionKey) {
        let Some(record) = shard.records.get_mut(&key) else { return };
        let Some(deadline) = record.deadline() else { return };
        if !record.timed {
            record.timed = true;
            let session = record.session;
            shard.timers.push(Reverse((deadline, session)));
            if self.timed.fetch_add(1, Ordering::Relaxed) == 0 {
                self.first_timed.notify_one();
            }
        }
    }

    /// What follows from a lost connection; who gets `Ended` runs the `on_close`.
    fn settle(&self, shard: &mut Shard, key: SessionKey, lost: Lost) -> Option<Ended> {
        match lost {
            Lost::Session(ended) => {
                shard.remove(key);
                ended
            }
            Lost::Receiver => {
                self.start_timer(shard, key);
                None
            }
        }
    }

    /// Takes the sessions whose time is up.
    fn take_expired(&self, now: Instant) -> Vec<Ended> {
        let mut expired = Vec::new();
        for shard in &self.shards {
            let shard = &mut *lock(shard);
            while let Some(Reverse((due, session))) = shard.timers.peek().copied() {
                if due > now {
                    break;
                }
                shard.timers.pop();
                self.timed.fetch_sub(1, Ordering::Relaxed);
                let Some(record) = shard.records.get_mut(&session.key) else { continue };
                if record.session != session {
                    continue;
                }
                record.timed = false;
                match record.deadline() {
                    None => {}
                    Some(deadline) if deadline > now => self.start_timer(shard, session.key),
                    Some(_) => {
                        expired.extend(record.end(CloseReason::CLIENT_GONE));
                        shard.remove(session.key);
                    }
                }
            }
        }
        expired
    }

    fn append(&self, publish: &Publish<'_>) -> Published {
        let log = self.log(publish.channel);
        let mut log = lock(&log);
        let (published, entries) = log.publish(publish, Instant::now());
        self.spread(publish.channel, &log, &entries);
        published
    }

    /// Changes a roster, and publishes what there is to tell of it before anything else happens to it.
    fn change_roster<T>(
        &self,
        roster: Roster<'_>,
        change: impl FnOnce(&mut roster::Roster, &mut Vec<roster::News>) -> T,
    ) -> T {
        let mut rosters = lock(&self.rosters);
        let mut news = Vec::new();
        let changed = change(rosters.entry(roster.channel.clone()).or_default(), &mut news);
        if let Some(Telling { lead, retention }) = roster.telling
            && !news.is_empty()
        {
            let messages: Vec<_> = news.iter().map(|news| news.message(lead)).collect();
            self.append(&Publish { channel: roster.channel, messages: &messages, retention, batch: None });
        }
        changed
    }

    /// Drops what channels need not keep, from time to time.
    fn sweep_if_due(&self, now: Instant) {
        {
            let mut swept = lock(&self.swept);
            if now.duration_since(*swept.get_or_insert(now)) < SWEEP {
                return;
            }
            *swept = Some(now);
        }
        lock(&self.queues).retain(|_, queue| {
            let mut kept = lock(queue);
            kept.forget(now);
            let shared = Arc::strong_count(queue) > 1;
            shared || !kept.is_abandoned(now)
        });
        lock(&self.rosters).retain(|_, roster| !roster.is_abandoned(now));
        lock(&self.channels).retain(|_, log| {
            let mut kept = lock(log);
            kept.trim(now);
            let shared = Arc::strong_count(log) > 1;
            shared || !kept.is_abandoned(now)
        });
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn join(&self, node: NodeId, inbox: Weak<dyn Inbox>) {
        self.nodes.write().unwrap_or_else(PoisonError::into_inner).insert(node, inbox);
    }

    async fn retire(&self, node: NodeId, reason: CloseReason) -> Vec<Ended> {
        let last = {
            let mut retired = lock(&self.retired);
            retired.insert(node);
            let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
            nodes.keys().all(|known| retired.contains(known))
        };
        let mut ended = Vec::new();
        if last {
            for shard in &self.shards {
                let holders: Vec<_> = lock(shard)
                    .records
                    .values_mut()
                    // Sockets are closed one after the other.
                    .filter(|record| !record.is_anchor())
                    .map(|record| {
                        ended.extend(record.end(reason.clone()));
                        record.holder()
                    })
                    .collect();
                holders.into_iter().for_each(|holder| self.changed(holder));
            }
        }
        ended
    }

    async fn leave(&self, node: NodeId) {
        self.nodes.write().unwrap_or_else(PoisonError::into_inner).remove(&node);
        lock(&self.retired).remove(&node);
        for log in lock(&self.channels).values() {
            lock(log).forget(node);
        }
        let now = Instant::now();
        for shard in &self.shards {
            let shard = &mut *lock(shard);
            let mut sessions = Vec::new();
            for record in shard.records.values_mut().chain(shard.ending.values_mut()) {
                let ended = record.orphan(node, now);
                if record.is_anchor() && ended.is_some() {
                    shard.taken.insert(record.session.life);
                }
                lock(&self.orphaned).extend(ended);
                if record.lacks_opening() {
                    lock(&self.unopened).push(record.session);
                }
                sessions.push(record.session.key);
            }
            shard.ending.retain(|_, record| record.owes_on_close());
            sessions.into_iter().for_each(|key| self.start_timer(shard, key));
        }
    }

    async fn publish(&self, publish: Publish<'_>) -> Result<Published, PublishError> {
        Ok(self.append(&publish))
    }

    async fn publish_once(&self, publish: PublishOnce<'_>) -> Result<Vec<Once>, PublishError> {
        let log = self.log(publish.channel);
        let mut log = lock(&log);
        let (outcomes, entries) = log.publish_once(&publish, Instant::now());
        self.spread(publish.channel, &log, &entries);
        Ok(outcomes)
    }

    async fn enlist(&self, enlist: Enlist<'_>) -> Result<Enlisted, StoreError> {
        let mut catalogues = lock(&self.catalogues);
        let names = catalogues.entry(enlist.catalogue.clone()).or_default();
        let outcome = names.enlist(&enlist, Instant::now());
        let news = match outcome {
            catalogue::Outcome::New => Some(enlist.news),
            catalogue::Outcome::Full { news: true } => Some(enlist.full),
            catalogue::Outcome::Known | catalogue::Outcome::Full { news: false } => None,
        };
        let at = match news {
            None => lock(&self.log(enlist.catalogue)).head(),
            Some(news) => {
                let (channel, messages) = (enlist.catalogue, std::slice::from_ref(news));
                self.append(&Publish { channel, messages, retention: enlist.retention, batch: None }).last
            }
        };
        Ok(Enlisted { entered: !matches!(outcome, catalogue::Outcome::Full { .. }), at })
    }

    async fn listed(&self, catalogue: &ChannelName) -> Result<Listed, StoreError> {
        let mut catalogues = lock(&self.catalogues);
        let (names, complete) =
            catalogues.get_mut(catalogue).map_or((Vec::new(), true), |names| names.listed(Instant::now()));
        let log = self.log(catalogue);
        let mut log = lock(&log);
        log.touch(Instant::now());
        Ok(Listed { names, at: log.head(), complete })
    }

    async fn read(&self, channel: &ChannelName, after: Position, bytes: usize) -> Result<Slice, StoreError> {
        let log = self.log(channel);
        let mut log = lock(&log);
        log.touch(Instant::now());
        Ok(log.read(after, bytes))
    }

    async fn excerpt(
        &self,
        channel: &ChannelName,
        span: Span,
        most: usize,
        bytes: usize,
    ) -> Result<Excerpt, StoreError> {
        let log = lock(&self.channels).get(channel).map(Arc::clone);
        Ok(log.map_or_else(|| Excerpt::of_nothing(span), |log| lock(&log).excerpt(span, most, bytes)))
    }

    async fn heads(&self, channels: &[ChannelName]) -> Result<Vec<Position>, StoreError> {
        Ok(channels.iter().map(|channel| lock(&self.log(channel)).head()).collect())
    }

    async fn tail(&self, channel: &ChannelName, most: u64) -> Result<Position, StoreError> {
        let log = self.log(channel);
        let mut log = lock(&log);
        log.touch(Instant::now());
        Ok(log.tail(most))
    }

    async fn follow(&self, node: NodeId, channel: &ChannelName) -> Result<Position, StoreError> {
        let log = self.log(channel);
        let mut log = lock(&log);
        log.touch(Instant::now());
        log.follow(node);
        Ok(log.head())
    }

    async fn unfollow(&self, node: NodeId, channel: &ChannelName) {
        let log = self.log(channel);
        let mut log = lock(&log);
        log.touch(Instant::now());
        log.unfollow(node);
    }

    async fn enqueue(&self, enqueue: Publish<'_>) -> Result<Published, PublishError> {
        let queue = self.queue(enqueue.channel);
        let mut queue = lock(&queue);
        let published = queue.enqueue(&enqueue, Instant::now())?;
        self.give(enqueue.channel, queue.assign());
        Ok(published)
    }

    async fn enqueue_once(&self, enqueue: PublishOnce<'_>) -> Result<Vec<Once>, PublishError> {
        let queue = self.queue(enqueue.channel);
        let mut queue = lock(&queue);
        let outcomes = queue.enqueue_once(&enqueue, Instant::now())?;
        self.give(enqueue.channel, queue.assign());
        Ok(outcomes)
    }

    async fn consume(&self, consumer: &Consumer, credit: u32, most: usize) -> Result<Position, ConsumeError> {
        let queue = self.queue(&consumer.queue);
        let mut queue = lock(&queue);
        queue.consume(consumer.id, credit, most, Instant::now())?;
        let log = self.log(&consumer.channel());
        let epoch = {
            let mut log = lock(&log);
            log.touch(Instant::now());
            log.epoch()
        };
        self.give(&consumer.queue, queue.assign());
        Ok(Position { epoch, seq: 0 })
    }

    async fn settle(&self, consumer: &Consumer, settle: Settle) -> Result<Settled, StoreError> {
        let queue = self.queue(&consumer.queue);
        let mut queue = lock(&queue);
        let (Settle::Received { at, .. } | Settle::Handled(at, _) | Settle::Returned(at, _)) = settle;
        let log = self.log(&consumer.channel());
        if !queue.knows(consumer.id) || !lock(&log).had(at) {
            return Ok(Settled::Unknown);
        }
        let needless = queue.settle(consumer.id, settle, Instant::now());
        lock(&log).drop_up_to(needless);
        self.give(&consumer.queue, queue.assign());
        Ok(Settled::Done)
    }

    async fn cancel(&self, consumer: &Consumer, handled: Option<Position>) -> Result<(), StoreError> {
        let queue = self.queue(&consumer.queue);
        let mut queue = lock(&queue);
        let log = self.log(&consumer.channel());
        let handled = {
            let mut log = lock(&log);
            log.let_age();
            handled.filter(|at| log.had(*at))
        };
        queue.cancel(consumer.id, handled, Instant::now());
        self.give(&consumer.queue, queue.assign());
        Ok(())
    }

    async fn attach(&self, attach: Attach<'_>) -> Result<Attached, StoreError> {
        let mut shard = self.shard(attach.key);
        match shard.records.entry(attach.key) {
            MapEntry::Vacant(_) if attach.attempt.is_some_and(|attempt| attempt.intent == Intent::Resume) => {
                Ok(Attached::Gone)
            }
            MapEntry::Vacant(vacant) => {
                let Some(origin) = (attach.create)() else { return Ok(Attached::Full) };
                let life = self.lives.fetch_add(1, Ordering::Relaxed);
                let origin = Arc::new(origin);
                let session = SessionRef { key: attach.key, life };
                let record =
                    vacant.insert(Box::new(Record::new(session, Arc::clone(&origin), &attach, &self.open)));
                let hold = record.hold();
                if attach.first == First::Released {
                    let sent = Sent { own: Own(1), ..Sent::default() };
                    // A session that is being made is held by nobody else.
                    let _ = record.release(hold, sent, Instant::now());
                    self.start_timer(&mut shard, attach.key);
                }
                Ok(Attached::Created(hold, origin, Turn(1)))
            }
            MapEntry::Occupied(mut known) => match known.get_mut().attach(&attach) {
                Outcome::Busy(holder) => Ok(Attached::Busy(holder)),
                Outcome::Superseded => Ok(Attached::Superseded),
                Outcome::Stale => Ok(Attached::Stale),
                Outcome::Held(hold, pending, fenced) => {
                    drop(shard);
                    if let Some(fenced) = fenced {
                        self.tell(fenced.node, Signal::Fenced(fenced.hold));
                    }
                    Ok(Attached::Held(hold, pending))
                }
            },
        }
    }

    async fn anchor(&self, anchor: Anchor<'_>) -> Result<(), Gone> {
        let mut shard = self.shard(anchor.session.key);
        if shard.taken.contains(&anchor.session.life) {
            return Err(Gone::Over);
        }
        match shard.records.entry(anchor.session.key) {
            MapEntry::Vacant(vacant) => _ = vacant.insert(Box::new(Record::anchor(&anchor, &self.open))),
            MapEntry::Occupied(mut known) => known.get_mut().anchor_again(&anchor)?,
        }
        Ok(())
    }

    async fn pending(&self, hold: Hold, own: Own) -> Result<Pending, Gone> {
        self.shard(hold.session.key).find(hold.session)?.pending(hold, own)
    }

    async fn commit(&self, hold: Hold, received: Sent) -> Result<(), Gone> {
        self.shard(hold.session.key).find(hold.session)?.commit(hold, received)
    }

    async fn release(&self, hold: Hold, sent: Sent) -> Result<(), Gone> {
        let mut shard = self.shard(hold.session.key);
        shard.find(hold.session)?.release(hold, sent, Instant::now())?;
        self.start_timer(&mut shard, hold.session.key);
        Ok(())
    }

    async fn disown(&self, hold: Hold) -> Result<(), Gone> {
        let mut shard = self.shard(hold.session.key);
        let record = shard.find(hold.session)?;
        record.disown(hold, Instant::now())?;
        if record.is_anchor() {
            shard.remove(hold.session.key);
            return Ok(());
        }
        self.start_timer(&mut shard, hold.session.key);
        Ok(())
    }

    async fn lost(&self, hold: Hold) -> Result<Option<Ended>, Gone> {
        let mut shard = self.shard(hold.session.key);
        let lost = shard.find(hold.session)?.lost(hold, Instant::now())?;
        Ok(self.settle(&mut shard, hold.session.key, lost))
    }

    async fn quit(&self, hold: Hold, reason: CloseReason) -> Result<Option<Ended>, Gone> {
        let mut shard = self.shard(hold.session.key);
        if shard.taken.remove(&hold.session.life) {
            return Err(Gone::Fenced);
        }
        let lost = shard.find(hold.session)?.quit(hold, Instant::now(), reason)?;
        Ok(self.settle(&mut shard, hold.session.key, lost))
    }

    async fn push(&self, session: SessionRef, push: Push) -> Result<Option<Ended>, Gone> {
        let mut shard = self.shard(session.key);
        let record = shard.find(session)?;
        let ended = record.push(push)?;
        let holder = record.holder();
        drop(shard);
        self.changed(holder);
        Ok(ended)
    }

    async fn close(&self, session: SessionRef, reason: CloseReason) -> Result<Option<Ended>, Gone> {
        let mut shard = self.shard(session.key);
        let record = shard.find(session)?;
        if !record.is_open() {
            return Err(Gone::Over);
        }
        let ended = record.end(reason);
        let holder = record.holder();
        drop(shard);
        self.changed(holder);
        Ok(ended)
    }

    async fn subscribe(
        &self,
        session: SessionRef,
        feed: &Feed,
        at: Position,
        most: usize,
    ) -> Result<(), SubscribeError> {
        let mut shard = self.shard(session.key);
        let record = shard.find(session).map_err(|_| SubscribeError::Over)?;
        record.subscribe(feed, at, most)?;
        let holder = record.holder();
        drop(shard);
        self.changed(holder);
        Ok(())
    }

    async fn unsubscribe(&self, session: SessionRef, feed: &Feed) -> Result<(), Gone> {
        let mut shard = self.shard(session.key);
        let record = shard.find(session)?;
        record.unsubscribe(feed)?;
        let holder = record.holder();
        drop(shard);
        self.changed(holder);
        Ok(())
    }

    async fn branch(&self, hold: Hold, branch: Branch<'_>, most: usize) -> Result<Branched, Gone> {
        self.shard(hold.session.key).find(hold.session)?.branch(hold, branch, most)
    }

    async fn unsubscribe_tag(&self, session: SessionRef, tag: &str) -> Result<(), Gone> {
        let mut shard = self.shard(session.key);
        let record = shard.find(session)?;
        record.unsubscribe_tag(tag)?;
        let holder = record.holder();
        drop(shard);
        self.changed(holder);
        Ok(())
    }

    async fn set_attribute(&self, session: SessionRef, name: &str, value: Option<String>) -> Result<(), Gone> {
        let mut shard = self.shard(session.key);
        let record = shard.find(session)?;
        if !record.is_open() {
            return Err(Gone::Over);
        }
        match value {
            Some(value) => record.attributes.insert(name.to_owned(), value),
            None => record.attributes.remove(name),
        };
        Ok(())
    }

    async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        loop {
            let busy = {
                let mut shard = self.shard(begin.key);
                let Some(record) = shard.records.get_mut(&begin.key) else { return Ok(Begun::Unknown) };
                match record.begin(begin, Instant::now()) {
                    Wish::Run { turn, opening } => {
                        return Ok(Begun::Run {
                            session: record.session,
                            origin: Arc::clone(&record.origin),
                            attributes: record.attributes.clone(),
                            turn,
                            opening,
                        });
                    }
                    Wish::Done => return Ok(Begun::Done),
                    Wish::Closed => return Ok(Begun::Closed),
                    Wish::Unknown => return Ok(Begun::Unknown),
                    Wish::TooMany => {
                        let ended = record.end(CloseReason::TOO_MANY_MESSAGES);
                        let holder = record.holder();
                        drop(shard);
                        self.changed(holder);
                        return Ok(Begun::TooMany(ended));
                    }
                    // Made under the lock, so that no end of the running call is missed.
                    Wish::Wait(busy) => busy.notified_owned(),
                }
            };
            busy.await;
        }
    }

    async fn finish_keeping(
        &self,
        session: SessionRef,
        turn: Turn,
        push: Push,
        kept: Kept,
    ) -> Result<Option<Ended>, StoreError> {
        let mut shard = self.shard(session.key);
        let Ok(record) = shard.find(session) else { return Ok(None) };
        if !record.is_running(turn) {
            return if record.has_ended(turn) { Ok(None) } else { Err(given_up_on()) };
        }
        let news = !push.messages.is_empty() || kept.terms.is_some();
        let holder = if news && record.is_open() { record.holder() } else { None };
        record.keep(kept);
        // The call still runs: an end by this push is given to whoever ends the call, which is now.
        let too_slow = if record.is_open() { record.push(push).ok().flatten() } else { None };
        let ended = too_slow.or(record.finish(turn));
        shard.ending.remove(&session.life);
        drop(shard);
        self.changed(holder);
        Ok(ended)
    }

    async fn closed(&self, _session: SessionRef) -> Result<(), StoreError> {
        // Who runs an `on_close` dies with this store.
        Ok(())
    }

    async fn due(&self, node: NodeId) -> Vec<Due> {
        loop {
            if self.timed.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(TICK).await;
            } else {
                // Nobody to wait for: until somebody is, or a sweep is due.
                let _ = tokio::time::timeout(SWEEP, self.first_timed.notified()).await;
            }
            let now = Instant::now();
            self.sweep_if_due(now);
            let mut ended = self.take_expired(now);
            ended.append(&mut lock(&self.orphaned));
            let mut due: Vec<_> = ended.into_iter().map(Due::Ended).collect();
            for session in std::mem::take(&mut *lock(&self.unopened)) {
                if let Ok(record) = self.shard(session.key).find(session)
                    && record.lacks_opening()
                {
                    due.push(Due::Opening(record.reopen(node)));
                }
            }
            if !due.is_empty() {
                return due;
            }
        }
    }

    fn sessions(&self, node: NodeId) -> usize {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        // Several nodes of one process: one of them looks after all.
        if nodes.keys().min() == Some(&node) { self.open.load(Ordering::Relaxed) } else { 0 }
    }

    fn unready(&self, _node: NodeId) -> Option<&'static str> {
        None
    }

    async fn enter(&self, roster: Roster<'_>, stay: Stay, visitor: Visitor<'_>) -> Result<Entered, StoreError> {
        self.change_roster(roster, |roster, news| roster.enter(stay, visitor, news))
    }

    async fn exit(&self, roster: Roster<'_>, stay: Stay) -> Result<Left, StoreError> {
        Ok(self.change_roster(roster, |roster, news| roster.exit(stay, news)))
    }

    async fn here(&self, channel: &ChannelName, after: Option<&Place>, most: usize) -> Result<Here, StoreError> {
        let rosters = lock(&self.rosters);
        let at = {
            let log = self.log(channel);
            let mut log = lock(&log);
            log.touch(Instant::now());
            log.head()
        };
        Ok(match rosters.get(channel) {
            Some(roster) => roster.here(after, most, at),
            None => Here { count: 0, members: Vec::new(), next: None, at },
        })
    }

    async fn keys(&self, bucket: u16) -> Result<Vec<SessionKey>, StoreError> {
        let shard = lock(&self.shards[usize::from(bucket) % SHARDS]);
        Ok(shard.records.keys().filter(|key| key.bucket() == bucket).copied().collect())
    }

    async fn known(&self, key: SessionKey, attributes: &[&str]) -> Result<Option<Known>, StoreError> {
        Ok(self.shard(key).records.get(&key).and_then(|record| record.known(attributes)))
    }

    async fn signal(&self, node: NodeId, signal: Signal) -> Result<(), StoreError> {
        self.tell(node, signal);
        Ok(())
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").field("open", &self.open).finish_non_exhaustive()
    }
}

/// A panic while a lock was held left state that is still whole: each operation changes it in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
