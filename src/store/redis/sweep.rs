//! Sweeping: sessions whose time has come are looked at, by the one node that looks after their bucket.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use redis::Value;
use tokio::time::Instant;

use super::Inner;
use super::keys::{BUCKETS, Keys, session_of};
use super::link::Link;
use super::members::Member;
use super::signals::Letter;
use super::swept::Swept;
use crate::id::NodeId;
use crate::store::{Due, Signal};

/// What one sweep knows of nodes, as scripts are told: their ids in a row.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) alive: Vec<u8>,
    pub(super) dead: Vec<u8>,
}

/// A session, or the end of one, whose time has come: its bucket, and its name there.
type Named = (u16, Vec<u8>);

impl Inner {
    /// The buckets that a node looks after: those for which it draws the highest number among the living.
    fn buckets(&self, node: NodeId) -> Vec<u16> {
        let observed = self.observed();
        let draw = |node: NodeId, bucket: u16| {
            let mixed = (u64::from_be_bytes(node.to_bytes())
                ^ u64::from(bucket).wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .wrapping_mul(0xD6E8_FEB8_6659_FD93);
            mixed ^ mixed >> 32
        };
        (0..BUCKETS)
            .filter(|bucket| {
                let mine = draw(node, *bucket);
                observed.alive.iter().all(|other| *other == node || draw(*other, *bucket) < mine)
            })
            .collect()
    }

    /// Looks at the sessions whose time has come, in the buckets of a node; counts all, if that is asked for.
    async fn sweep_buckets(self: &Arc<Self>, member: &Member, count: bool) {
        let Some(clock) = self.observed().now() else { return };
        let known = self.known_nodes();
        let mut buckets = self.buckets(member.id);
        if !count {
            let looks = lock(&member.looks);
            buckets.retain(|bucket| looks.get(bucket).is_none_or(|at| *at <= clock));
        }
        let map = self.runner.servers.map();
        let mut sessions = 0;
        for server in map.servers() {
            let Some(link) = server.link() else { continue };
            let is_here = |bucket: &u16| {
                map.server(Keys::bucket_slot(*bucket)).is_some_and(|owner| Arc::ptr_eq(owner, &server))
            };
            let here: Vec<u16> = buckets.iter().copied().filter(is_here).collect();
            let Some((due, counted)) = self.look_at(member, &link, &here, clock, count).await else { continue };
            sessions += counted;
            let due = self.due_in(&link, &due, clock).await;
            self.sweep_sessions(member, due, &known).await;
        }
        if count {
            member.opened.store(0, Ordering::Relaxed);
            member.counted.store(sessions, Ordering::Relaxed);
        }
    }

    /// Looks at what nodes that are gone have left in memory, and at the ends that they had yet to run: no deadline tells of
    /// it soon. In all buckets, since whoever looks after one now may have come too late to miss the node that is gone.
    async fn sweep_anchors(self: &Arc<Self>, member: &Member) {
        let departed = self.observed().departed(self.lease);
        if departed.is_empty() {
            return;
        }
        let known = self.known_nodes();
        let map = self.runner.servers.map();
        for server in map.servers() {
            let Some(link) = server.link() else { continue };
            let is_here = |bucket: &u16| {
                map.server(Keys::bucket_slot(*bucket)).is_some_and(|owner| Arc::ptr_eq(owner, &server))
            };
            let here: Vec<u16> = (0..BUCKETS).filter(is_here).collect();
            let mut ask = redis::pipe();
            ask.ignore_errors();
            for node in &departed {
                for bucket in &here {
                    ask.cmd("SRANDMEMBER").arg(self.keys.anchors(*bucket, *node)).arg(MOST);
                }
            }
            let answers = link.send_all(&ask, departed.len() * here.len()).await.unwrap_or_default();
            let left = here.iter().cycle().zip(answers).flat_map(named).collect();
            self.sweep_sessions(member, left, &known).await;
        }
    }

    /// The nodes of which is known whether they live, before any was asked about.
    fn known_nodes(&self) -> Mutex<Known> {
        let alive = self.observed().alive.iter().flat_map(|node| node.to_bytes()).collect();
        Mutex::new(Known { alive, dead: Vec::new() })
    }

    async fn sweep_sessions(self: &Arc<Self>, member: &Member, sessions: Vec<Named>, known: &Mutex<Known>) {
        let sweep = |(bucket, name): Named| async move { self.sweep_session(member, bucket, &name, known).await };
        futures_util::stream::iter(sessions).for_each_concurrent(AT_ONCE, sweep).await;
    }

    /// Which buckets hold something whose time has come, and how many sessions all of them hold. Notes when each is to
    /// be looked at again: at its earliest deadline, and before a session that is let go now can be past its own.
    async fn look_at(
        &self,
        member: &Member,
        link: &Link,
        buckets: &[u16],
        clock: u64,
        count: bool,
    ) -> Option<(Vec<u16>, usize)> {
        if buckets.is_empty() {
            return None;
        }
        let mut ask = redis::pipe();
        ask.ignore_errors();
        for bucket in buckets {
            let deadlines = self.keys.deadlines(*bucket);
            ask.cmd("ZRANGE").arg(&deadlines).arg(0).arg(0).arg("WITHSCORES");
            if count {
                ask.cmd("ZCARD").arg(&deadlines);
            }
        }
        let answers = link.send_all(&ask, buckets.len() * (1 + usize::from(count))).await.ok()?;
        let mut answers = answers.into_iter();
        let (mut due, mut sessions) = (Vec::new(), 0);
        let longest = (self.lease / 3).as_millis() as u64;
        let at_the_latest = clock + longest.min(self.shortest_delay.load(Ordering::Relaxed));
        let mut looks = lock(&member.looks);
        for bucket in buckets {
            let first = answers.next().and_then(|first| first_deadline(*bucket, first));
            if count && let Some(Value::Int(many)) = answers.next() {
                sessions += usize::try_from(many).unwrap_or(0);
            }
            match first {
                Some(first) if first <= clock => {
                    looks.remove(bucket);
                    due.push(*bucket);
                }
                first => _ = looks.insert(*bucket, first.unwrap_or(u64::MAX).min(at_the_latest)),
            }
        }
        Some((due, sessions))
    }

    /// The sessions of buckets whose time has come, some of each.
    async fn due_in(&self, link: &Link, buckets: &[u16], clock: u64) -> Vec<Named> {
        if buckets.is_empty() {
            return Vec::new();
        }
        let mut ask = redis::pipe();
        ask.ignore_errors();
        for bucket in buckets {
            let deadlines = self.keys.deadlines(*bucket);
            ask.cmd("ZRANGEBYSCORE").arg(&deadlines).arg("-inf").arg(clock).arg("LIMIT").arg(0).arg(MOST);
        }
        let answers = link.send_all(&ask, buckets.len()).await.unwrap_or_default();
        buckets.iter().zip(answers).flat_map(named).collect()
    }

    async fn sweep_session(self: &Arc<Self>, member: &Member, bucket: u16, name: &[u8], known: &Mutex<Known>) {
        let slot = Keys::bucket_slot(bucket);
        let Some((key, _)) = session_of(name) else {
            tracing::error!(member = %name.escape_ascii(), "removed from among the deadlines of sessions: it names none");
            let mut command = redis::cmd("ZREM");
            command.arg(self.keys.deadlines(bucket)).arg(name);
            return self.runner.hint(slot, command).await;
        };
        let may_judge = self.may_judge(slot);
        // Holder, runner and closer may each be a node that is not known yet.
        for _ in 0..4 {
            let now_known = lock(known).clone();
            match self.sweep(key, name, member.id, may_judge, &now_known).await {
                Ok(Swept::Kept) => {}
                Ok(Swept::Ended(ended)) => member.leave_to(Due::Ended(ended)),
                Ok(Swept::Opening(opening)) => member.leave_to(Due::Opening(opening)),
                Ok(Swept::Tended(tended)) => member.leave_to(Due::Tended(tended)),
                Ok(Swept::Held(holder, hold)) => self.tell(holder, Letter::Signal(Signal::Check(hold))).await,
                // Should it be alive after all, it must not go on as if it held the session.
                Ok(Swept::Freed(holder, hold)) => self.tell(holder, Letter::Signal(Signal::Fenced(hold))).await,
                Ok(Swept::Waiting(runner, session, turn)) => {
                    self.tell(runner, Letter::CheckTurn(session, turn)).await;
                }
                Ok(Swept::Closing(closer, session)) => self.tell(closer, Letter::CheckEnd(session)).await,
                Ok(Swept::Foreign) => {
                    tracing::error!(session = ?key, "what stands in a session's place is none of sockhop: it is left alone");
                }
                Ok(Swept::Stranger(node)) => {
                    if self.meet(node, known).await {
                        continue;
                    }
                }
                Err(error) => tracing::warn!(%error, "could not look at a session whose time has come"),
            }
            return;
        }
    }

    /// Learns whether a node is alive. Asked after it was met: who has a session has a lease, or is dead.
    async fn meet(&self, node: NodeId, known: &Mutex<Known>) -> bool {
        match self.living().await {
            Ok(living) => {
                let mut known = lock(known);
                let nodes = if living.contains(&node) { &mut known.alive } else { &mut known.dead };
                nodes.extend(node.to_bytes());
                true
            }
            Err(error) => {
                tracing::warn!(%error, "could not learn which nodes are alive");
                false
            }
        }
    }
}

/// Sessions of one bucket that are looked at in one go, and of all buckets at once.
const MOST: i64 = 200;
const AT_ONCE: usize = 16;
/// How often is looked at most, and sessions are counted.
const SWEEP: Duration = Duration::from_secs(1);
const COUNT: Duration = Duration::from_secs(5);

/// Sweeps, until the store is dropped.
pub(super) async fn keep_swept(store: Weak<Inner>) {
    let mut counted: Option<Instant> = None;
    let mut missed: Option<Instant> = None;
    loop {
        let pause = {
            let Some(store) = store.upgrade() else { return };
            let count = counted.is_none_or(|at| at.elapsed() >= COUNT);
            let miss = missed.is_none_or(|at| at.elapsed() >= store.lease / 10);
            for member in store.members().into_iter().filter(|member| member.has_lease()) {
                if miss {
                    store.sweep_anchors(&member).await;
                    missed = Some(Instant::now());
                }
                store.sweep_buckets(&member, count).await;
                if count {
                    counted = Some(Instant::now());
                }
            }
            (store.lease / 15).clamp(Duration::from_millis(20), SWEEP)
        };
        tokio::time::sleep(pause).await;
    }
}

/// What a bucket's answer names.
fn named((bucket, answer): (&u16, Value)) -> impl Iterator<Item = Named> {
    let bucket = *bucket;
    let names = match answer {
        Value::Array(names) | Value::Set(names) => names,
        _ => Vec::new(),
    };
    names.into_iter().filter_map(move |name| match name {
        Value::BulkString(name) => Some((bucket, name)),
        _ => None,
    })
}

/// The earliest deadline of a bucket, as `ZRANGE … WITHSCORES` tells it.
fn first_deadline(bucket: u16, answer: Value) -> Option<u64> {
    let mut rows = match answer {
        Value::Array(rows) => rows.into_iter(),
        Value::ServerError(error) => {
            tracing::error!(bucket, ?error, "the deadlines of a bucket of sessions cannot be read");
            return None;
        }
        _ => return None,
    };
    match rows.next()? {
        Value::Array(row) => match row.get(1)? {
            Value::Double(at) => Some(*at as u64),
            _ => None,
        },
        _ => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
