//! Sessions in memory: their records, by key, and the deadlines of those that wait for their clients.

use std::cmp::Reverse;
use std::collections::hash_map::Entry as MapEntry;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sockhop_transports::CloseReason;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::lock;
use super::nodes::Nodes;
use super::record::{Lost, Outcome, Record, Wish};
use super::shard::Shard;
use crate::id::{NodeId, SessionKey};
use crate::store::{
    Anchor, Attach, Attached, Begin, Begun, Branch, Branched, Due, Ended, Feed, First, Gone, Hold, Intent, Kept,
    Known, Own, Pending, Position, Push, Sent, SessionRef, Signal, StoreError, SubscribeError, Turn, given_up_on,
    shard_of,
};

/// All sessions.
pub(super) struct Sessions {
    nodes: Arc<Nodes>,
    shards: [Mutex<Shard>; SHARDS],
    lives: AtomicU64,
    /// Sessions that are not over.
    open: Arc<AtomicUsize>,
    /// Sessions that wait for their deadline.
    timed: AtomicUsize,
    first_timed: Notify,
    /// Ends that a node which left has not run.
    orphaned: Mutex<Vec<Ended>>,
    /// Sessions whose `on_open` such a node has not run to its end.
    unopened: Mutex<Vec<SessionRef>>,
}

const SHARDS: usize = 16;
/// How finely deadlines are kept.
const TICK: Duration = Duration::from_millis(20);

impl Sessions {
    pub(super) fn new(nodes: Arc<Nodes>) -> Self {
        Self {
            nodes,
            shards: Default::default(),
            lives: AtomicU64::default(),
            open: Arc::default(),
            timed: AtomicUsize::default(),
            first_timed: Notify::default(),
            orphaned: Mutex::default(),
            unopened: Mutex::default(),
        }
    }

    /// Sessions that are not over.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Ends all sessions but those of sockets, which are closed one after the other.
    pub(super) fn end_all(&self, reason: &CloseReason) -> Vec<Ended> {
        let mut ended = Vec::new();
        for shard in &self.shards {
            let holders: Vec<_> = lock(shard)
                .records
                .values_mut()
                .filter(|record| !record.is_anchor())
                .map(|record| {
                    ended.extend(record.end(reason.clone()));
                    record.holder()
                })
                .collect();
            holders.into_iter().for_each(|holder| self.nodes.changed(holder));
        }
        ended
    }

    /// A node is gone: what it held is free, and what it has not run to its end is left for others.
    pub(super) fn orphan(&self, node: NodeId) {
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

    /// Waits until deadlines have to be looked at, for so long where there are none.
    pub(super) async fn tick(&self, longest: Duration) {
        if self.timed.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(TICK).await;
        } else {
            let _ = tokio::time::timeout(longest, self.first_timed.notified()).await;
        }
    }

    /// What there is to do for a node.
    pub(super) fn due(&self, node: NodeId, now: Instant) -> Vec<Due> {
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
        due
    }

    pub(super) fn attach(&self, attach: &Attach<'_>) -> Attached {
        let mut shard = self.shard(attach.key);
        match shard.records.entry(attach.key) {
            MapEntry::Vacant(_) if attach.attempt.is_some_and(|attempt| attempt.intent == Intent::Resume) => {
                Attached::Gone
            }
            MapEntry::Vacant(vacant) => {
                let Some(origin) = (attach.create)() else { return Attached::Full };
                let life = self.lives.fetch_add(1, Ordering::Relaxed);
                let origin = Arc::new(origin);
                let session = SessionRef { key: attach.key, life };
                let record =
                    vacant.insert(Box::new(Record::new(session, Arc::clone(&origin), attach, &self.open)));
                let hold = record.hold();
                if attach.first == First::Released {
                    let sent = Sent { own: Own(1), ..Sent::default() };
                    // A session that is being made is held by nobody else.
                    let _ = record.release(hold, sent, Instant::now());
                    self.start_timer(&mut shard, attach.key);
                }
                Attached::Created(hold, origin, Turn(1))
            }
            MapEntry::Occupied(mut known) => match known.get_mut().attach(attach) {
                Outcome::Busy(holder) => Attached::Busy(holder),
                Outcome::Superseded => Attached::Superseded,
                Outcome::Stale => Attached::Stale,
                Outcome::Held(hold, pending, fenced) => {
                    drop(shard);
                    if let Some(fenced) = fenced {
                        self.nodes.tell(fenced.node, Signal::Fenced(fenced.hold));
                    }
                    Attached::Held(hold, pending)
                }
            },
        }
    }

    pub(super) fn anchor(&self, anchor: &Anchor<'_>) -> Result<(), Gone> {
        let mut shard = self.shard(anchor.session.key);
        if shard.has_ended(anchor.session) {
            return Err(Gone::Over);
        }
        match shard.records.entry(anchor.session.key) {
            MapEntry::Vacant(vacant) => _ = vacant.insert(Box::new(Record::anchor(anchor, &self.open))),
            MapEntry::Occupied(mut known) => known.get_mut().anchor_again(anchor)?,
        }
        Ok(())
    }

    pub(super) fn pending(&self, hold: Hold, own: Own) -> Result<Pending, Gone> {
        self.shard(hold.session.key).find(hold.session)?.pending(hold, own)
    }

    pub(super) fn commit(&self, hold: Hold, received: Sent) -> Result<(), Gone> {
        self.shard(hold.session.key).find(hold.session)?.commit(hold, received)
    }

    pub(super) fn release(&self, hold: Hold, sent: Sent) -> Result<(), Gone> {
        let mut shard = self.shard(hold.session.key);
        shard.find(hold.session)?.release(hold, sent, Instant::now())?;
        self.start_timer(&mut shard, hold.session.key);
        Ok(())
    }

    pub(super) fn disown(&self, hold: Hold) -> Result<(), Gone> {
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

    pub(super) fn lost(&self, hold: Hold) -> Result<Option<Ended>, Gone> {
        let mut shard = self.shard(hold.session.key);
        let lost = shard.find(hold.session)?.lost(hold, Instant::now())?;
        Ok(self.settle(&mut shard, hold.session.key, lost))
    }

    pub(super) fn quit(&self, hold: Hold, reason: CloseReason) -> Result<Option<Ended>, Gone> {
        let mut shard = self.shard(hold.session.key);
        if shard.taken.remove(&hold.session.life) {
            return Err(Gone::Fenced);
        }
        shard.note_quit(hold.session);
        let lost = shard.find(hold.session)?.quit(hold, Instant::now(), reason)?;
        Ok(self.settle(&mut shard, hold.session.key, lost))
    }

    pub(super) fn push(&self, session: SessionRef, push: Push) -> Result<Option<Ended>, Gone> {
        self.change(session, |record| record.push(push))
    }

    pub(super) fn close(&self, session: SessionRef, reason: CloseReason) -> Result<Option<Ended>, Gone> {
        self.change(session, |record| if record.is_open() { Ok(record.end(reason)) } else { Err(Gone::Over) })
    }

    pub(super) fn subscribe(
        &self,
        session: SessionRef,
        feed: &Feed,
        at: Position,
        most: usize,
    ) -> Result<(), SubscribeError> {
        self.change(session, |record| record.subscribe(feed, at, most))
    }

    pub(super) fn unsubscribe(&self, session: SessionRef, feed: &Feed) -> Result<(), Gone> {
        self.change(session, |record| record.unsubscribe(feed))
    }

    pub(super) fn unsubscribe_tag(&self, session: SessionRef, tag: &str) -> Result<(), Gone> {
        self.change(session, |record| record.unsubscribe_tag(tag))
    }

    pub(super) fn branch(&self, hold: Hold, branch: Branch<'_>, most: usize) -> Result<Branched, Gone> {
        self.shard(hold.session.key).find(hold.session)?.branch(hold, branch, most)
    }

    pub(super) fn set_attribute(
        &self,
        session: SessionRef,
        name: &str,
        value: Option<String>,
    ) -> Result<(), Gone> {
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

    pub(super) async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
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
                        self.nodes.changed(holder);
                        return Ok(Begun::TooMany(ended));
                    }
                    // Made under the lock, so that no end of the running call is missed.
                    Wish::Wait(busy) => busy.notified_owned(),
                }
            };
            busy.await;
        }
    }

    pub(super) fn finish_keeping(
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
        self.nodes.changed(holder);
        Ok(ended)
    }

    pub(super) fn keys(&self, bucket: u16) -> Vec<SessionKey> {
        let shard = lock(&self.shards[usize::from(bucket) % SHARDS]);
        shard.records.keys().filter(|key| key.bucket() == bucket).copied().collect()
    }

    pub(super) fn known(&self, key: SessionKey, attributes: &[&str]) -> Option<Known> {
        self.shard(key).records.get(&key).and_then(|record| record.known(attributes))
    }

    fn shard(&self, key: SessionKey) -> MutexGuard<'_, Shard> {
        lock(&self.shards[shard_of(key, SHARDS)])
    }

    /// Changes a session, and tells its holder.
    fn change<T, E: From<Gone>>(
        &self,
        session: SessionRef,
        change: impl FnOnce(&mut Record) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut shard = self.shard(session.key);
        let record = shard.find(session)?;
        let changed = change(record)?;
        let holder = record.holder();
        drop(shard);
        self.nodes.changed(holder);
        Ok(changed)
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
}
