//! The nodes of a deployment: leases, and who is alive.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use redis::Value;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::reply::Reply;
use super::script::{self, arguments};
use super::subscriptions::Topic;
use super::{FORMAT, Inner};
use crate::id::NodeId;
use crate::store::{Due, Inbox, Kept, Push, SessionRef, StoreError};

/// A node of this process.
pub(super) struct Member {
    pub(super) id: NodeId,
    pub(super) inbox: Weak<dyn Inbox>,
    /// Until when the lease surely lasts.
    lease: watch::Sender<Option<Instant>>,
    lapsed: AtomicBool,
    left: Mutex<Vec<Due>>,
    has_left: Notify,
    /// Sessions in the buckets that this node looks after: at the last count, and opened since.
    pub(super) counted: AtomicUsize,
    pub(super) opened: AtomicUsize,
    /// When its buckets have to be looked at, by the server's clock.
    pub(super) looks: Mutex<HashMap<u16, u64>>,
}

/// What is known of all nodes.
#[derive(Default)]
pub(super) struct Observed {
    pub(super) alive: Vec<NodeId>,
    /// Since when this server, in this run, was seen without a break.
    since: Option<Instant>,
    run: Option<[u8; 8]>,
    /// The server's clock at some instant.
    clock: Option<(Instant, u64)>,
    /// Nodes that were alive, and when they were seen not to be.
    departed: Vec<(NodeId, Instant)>,
}

impl Member {
    pub(super) fn new(id: NodeId, inbox: Weak<dyn Inbox>) -> Self {
        Self {
            id,
            inbox,
            lease: watch::Sender::new(None),
            lapsed: AtomicBool::new(false),
            left: Mutex::default(),
            has_left: Notify::new(),
            counted: AtomicUsize::new(0),
            opened: AtomicUsize::new(0),
            looks: Mutex::default(),
        }
    }

    pub(super) fn has_lease(&self) -> bool {
        self.lease.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Leaves something to the node to do.
    pub(super) fn leave_to(&self, due: Due) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).push(due);
        self.has_left.notify_one();
    }

    /// Waits for what is left to the node.
    pub(super) async fn due(&self) -> Vec<Due> {
        loop {
            let left = std::mem::take(&mut *self.left.lock().unwrap_or_else(PoisonError::into_inner));
            if !left.is_empty() {
                return left;
            }
            self.has_left.notified().await;
        }
    }

    pub(super) fn sessions(&self) -> usize {
        self.counted.load(Ordering::Relaxed) + self.opened.load(Ordering::Relaxed)
    }

    /// Tells the node where it is out of reach of its store, as far as others know.
    fn lapse_if_due(&self) {
        let due = self.lease.borrow().is_some_and(|until| Instant::now() >= until);
        if due
            && !self.lapsed.swap(true, Ordering::Relaxed)
            && let Some(inbox) = self.inbox.upgrade()
        {
            inbox.lapsed();
        }
    }
}

impl Inner {
    pub(super) fn observed(&self) -> MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a node's lease is sure.
    pub(super) async fn is_a_member(&self, node: NodeId) -> Result<(), StoreError> {
        let error = |reason: &str| StoreError { operation: "attach", reason: reason.to_owned() };
        let Some(member) = self.member(node) else { return Err(error("node: it has left")) };
        if member.has_lease() {
            return Ok(());
        }
        let mut lease = member.lease.subscribe();
        let sure = lease.wait_for(|until| until.is_some_and(|until| Instant::now() < until));
        match tokio::time::timeout(self.runner.patience, sure).await {
            Ok(_) => Ok(()),
            Err(_) => Err(match self.runner.hopeless() {
                Some(hopeless) => hopeless,
                None => error("node: its lease could not be renewed"),
            }),
        }
    }

    pub(super) fn count_opened(&self, node: NodeId) {
        if let Some(member) = self.member(node) {
            member.opened.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Why a node cannot be used now.
    pub(super) fn unready(&self, node: NodeId) -> Option<&'static str> {
        if !self.runner.servers.is_whole() {
            return Some("the store cannot be reached");
        }
        if self.refused.borrow().is_some() {
            return Some("keys of another version are under the prefix in the store");
        }
        if self.member(node).is_none_or(|member| !member.has_lease()) {
            return Some("the lease in the store is not renewed");
        }
        let timeout = self.runner.servers.timeout();
        (!self.subscriptions.are_healthy(timeout)).then_some("subscriptions in the store are silent")
    }

    /// Whether a node is surely dead: nobody renewed its lease while this one watched without a break, for a whole lease.
    pub(super) async fn is_dead(&self, node: NodeId, slot: u16) -> bool {
        if !self.may_judge(slot) || self.observed().alive.contains(&node) {
            return false;
        }
        // What was observed may be older than the node.
        self.living().await.is_ok_and(|living| !living.contains(&node))
    }

    /// All nodes that have a lease now.
    pub(super) async fn living(&self) -> Result<Vec<NodeId>, StoreError> {
        let (keys, slot) = self.keys.nodes();
        let arguments = arguments!["", self.lease.as_millis() as u64, FORMAT];
        let answer = self.runner.run_plain(slot, &script::RENEW, &keys, &arguments).await?;
        Ok(self.read_renewal(answer)??.1)
    }

    /// Whether this process has watched long enough to know who is dead, and what is past its time.
    pub(super) fn may_judge(&self, slot: u16) -> bool {
        let watched = self.observed().since.is_some_and(|since| since.elapsed() >= self.lease);
        let map = self.runner.servers.map();
        let link = map.server(slot).and_then(|server| server.link());
        watched && link.is_some_and(|link| link.since.elapsed() >= self.lease)
    }

    /// Renews the leases of all nodes here, and learns who else is alive.
    async fn renew(&self) {
        let ([leases, format], slot) = self.keys.nodes();
        let lease = self.lease.as_millis() as u64;
        let keys = [leases, format];
        for member in self.members() {
            if member.inbox.strong_count() == 0 {
                // Dropped without a word.
                self.forget(member.id);
                continue;
            }
            let asked = Instant::now();
            let node = member.id.to_bytes();
            let run = std::sync::Mutex::new([0; 8]);
            let answer = self.runner.run(slot, &script::RENEW, |link| {
                *run.lock().unwrap_or_else(PoisonError::into_inner) = link.run;
                script::RENEW.command(&keys, &arguments![&node, lease, FORMAT])
            });
            let renewed = async { self.read_renewal(answer.await?) };
            match tokio::time::timeout(self.lease, renewed).await {
                Ok(Ok(Ok((clock, alive)))) => {
                    let run = *run.lock().unwrap_or_else(PoisonError::into_inner);
                    self.observed().see(asked, run, clock, alive, self.lease);
                    self.refused.send_replace(None);
                    // Renewed too late: others may have let go what it held, while this process was halted, say.
                    member.lapse_if_due();
                    member.lapsed.store(false, Ordering::Relaxed);
                    member.lease.send_replace(Some(asked + self.lease - self.lease / 6));
                }
                Ok(Ok(Err(refused))) => {
                    tracing::error!(problem = %refused, "the store cannot be used");
                    self.refused.send_replace(Some(refused));
                }
                Ok(Err(error)) => {
                    self.observed().since = None;
                    tracing::warn!(%error, "could not renew the lease");
                }
                Err(_) => self.observed().since = None,
            }
        }
    }

    #[allow(clippy::type_complexity, reason = "an answer, a refusal, or a failure")]
    pub(super) fn read_renewal(
        &self,
        answer: Value,
    ) -> Result<Result<(u64, Vec<NodeId>), StoreError>, StoreError> {
        let mut reply = Reply::new("renew", answer)?;
        if reply.text()? == "format" {
            let theirs = reply.text().unwrap_or_default();
            let reason = format!(
                "{}: keys of format {theirs:?} are under the prefix {:?}, this version writes {FORMAT:?}; \
                 give this deployment another prefix, or stop the other one and delete its keys",
                self.runner.servers.url(),
                self.prefix
            );
            return Ok(Err(StoreError { operation: "start", reason }));
        }
        let clock = reply.count()?;
        let mut alive = reply.list()?;
        let mut nodes = Vec::new();
        while alive.has_more() {
            nodes.push(NodeId::from_bytes(alive.id()?));
        }
        Ok(Ok((clock, nodes)))
    }

    /// Probes all connections that listen.
    async fn probe(&self) {
        let map = self.runner.servers.map();
        for (server, number) in self.subscriptions.probe(self.runner.servers.timeout()) {
            let is_there = |slot| map.server(slot).is_some_and(|owner| Arc::ptr_eq(owner, &server));
            let Some((name, slot)) = self.keys.probe(self.own, is_there) else { continue };
            let timeout = self.runner.servers.timeout();
            if self.subscriptions.add(&name, slot, Topic::Probe, timeout).await.is_ok() {
                let mut command = redis::cmd("SPUBLISH");
                command.arg(&name).arg(number);
                self.runner.hint(slot, command).await;
            }
        }
    }

    /// Compares what was heard of silent channels with where they stand.
    async fn compare_heads(&self) {
        let channel = |topic| match topic {
            Topic::Channel(channel) => Some(channel),
            Topic::Inbox(_) | Topic::Probe => None,
        };
        let silent = self.subscriptions.silent().into_iter().filter_map(channel).collect();
        self.notice_heads(silent).await;
    }

    pub(super) async fn notice_heads(&self, channels: Vec<crate::id::ChannelName>) {
        for (channel, head) in self.all_heads(channels).await {
            self.followers_of(&channel, |inbox| inbox.head(&channel, head));
        }
    }

    /// A handler call that the store takes for begun here: gives it up, if it does not run.
    pub(super) async fn check_turn(&self, node: NodeId, session: SessionRef, turn: u64) {
        if self.calls.is_running(turn) {
            return;
        }
        let nothing = Push { messages: Vec::new(), limit: usize::MAX, most_kept: usize::MAX };
        match self.finish(session, turn, &nothing, &Kept::default(), node, true).await {
            Ok(ended) => {
                if let (Some(ended), Some(member)) = (ended, self.member(node)) {
                    member.leave_to(Due::Ended(ended));
                }
            }
            Err(error) => tracing::warn!(%error, "could not give up a handler call that does not run"),
        }
    }

    /// An end that this process was given: whether it still runs it.
    pub(super) async fn check_end(self: &Arc<Self>, node: NodeId, session: SessionRef) {
        if self.calls.is_given(session) {
            return;
        }
        let Some(member) = self.member(node) else { return };
        match self.take_end(session, node).await {
            Ok(Some(ended)) => member.leave_to(Due::Ended(ended)),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "could not take up the end of a session again"),
        }
    }
}

impl Observed {
    /// A renewal was answered.
    fn see(&mut self, asked: Instant, run: [u8; 8], clock: u64, alive: Vec<NodeId>, lease: Duration) {
        let jumped = self.clock.is_some_and(|(at, then)| {
            let passed = (then + at.elapsed().as_millis() as u64).abs_diff(clock);
            Duration::from_millis(passed) > lease / 3
        });
        // Another server's leases, or another clock's, are judged by nobody who has not watched them for a while.
        let broken = self.run != Some(run) || jumped || asked.elapsed() > lease / 3;
        if broken || self.since.is_none() {
            self.since = Some(Instant::now());
        }
        let gone = self.alive.iter().filter(|node| !alive.contains(node)).map(|node| (*node, Instant::now()));
        self.departed.extend(gone);
        (self.run, self.clock, self.alive) = (Some(run), Some((Instant::now(), clock)), alive);
    }

    /// Nodes that were alive a moment ago: what they have left in memory is looked for until others have missed them, too.
    pub(super) fn departed(&mut self, lease: Duration) -> Vec<NodeId> {
        self.departed.retain(|(_, at)| at.elapsed() < lease * 2);
        self.departed.iter().map(|(node, _)| *node).collect()
    }

    /// What the server's clock says now, in milliseconds.
    pub(super) fn now(&self) -> Option<u64> {
        let (at, then) = self.clock?;
        Some(then + at.elapsed().as_millis() as u64)
    }
}

/// How often silent channels are compared: every heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(25);

/// Keeps leases, until the store is dropped.
pub(super) async fn keep_leases(store: Weak<Inner>) {
    loop {
        let (pause, joined) = {
            let Some(store) = store.upgrade() else { return };
            store.renew().await;
            let pause = if store.observed().since.is_some() { store.lease / 3 } else { store.lease / 20 };
            (pause, Arc::clone(&store.joined))
        };
        let _ = tokio::time::timeout(pause, joined.notified()).await;
    }
}

/// Sees to it that a node which lost its lease knows, and that listening connections live.
pub(super) async fn keep_watch(store: Weak<Inner>) {
    let mut compared = Instant::now();
    loop {
        let pause = {
            let Some(store) = store.upgrade() else { return };
            for member in store.members() {
                member.lapse_if_due();
            }
            store.probe().await;
            if compared.elapsed() >= HEARTBEAT {
                compared = Instant::now();
                store.compare_heads().await;
            }
            (store.lease / 6).min(store.runner.servers.timeout())
        };
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);
    const RUN: [u8; 8] = [1; 8];

    /// Watches a server for as many renewals, 5 s apart; what its clock then says.
    async fn watch(observed: &mut Observed, run: [u8; 8], mut clock: u64, renewals: u32) -> u64 {
        for _ in 0..renewals {
            tokio::time::advance(Duration::from_secs(5)).await;
            clock += 5000;
            observed.see(Instant::now(), run, clock, Vec::new(), LEASE);
        }
        clock
    }

    fn watched(observed: &Observed) -> Duration {
        observed.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_watched_a_server_without_a_break_may_judge() {
        let mut observed = Observed::default();
        let clock = watch(&mut observed, RUN, 1_000_000, 5).await;
        assert_eq!(watched(&observed), Duration::from_secs(20));
        assert_eq!(observed.now(), Some(clock));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(observed.now(), Some(clock + 2000), "between renewals too");
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_steps_another_run_and_a_late_answer_begin_the_watch_anew() {
        let mut observed = Observed::default();
        let clock = watch(&mut observed, RUN, 1_000_000_000, 5).await;
        let clock = watch(&mut observed, RUN, clock + 90_000, 1).await;
        assert_eq!(watched(&observed), Duration::ZERO, "ahead");
        let clock = watch(&mut observed, RUN, clock, 5).await;
        let clock = watch(&mut observed, RUN, clock - 90_000, 1).await;
        assert_eq!(watched(&observed), Duration::ZERO, "back");
        let clock = watch(&mut observed, RUN, clock, 5).await;
        assert_eq!(watched(&observed), Duration::from_secs(25));
        let clock = watch(&mut observed, [2; 8], clock, 1).await;
        assert_eq!(watched(&observed), Duration::ZERO, "another server, or another run of it");
        let clock = watch(&mut observed, [2; 8], clock, 5).await;
        let asked = Instant::now();
        tokio::time::advance(Duration::from_secs(6)).await;
        observed.see(asked, [2; 8], clock + 6000, Vec::new(), LEASE);
        assert_eq!(watched(&observed), Duration::ZERO, "it hung");
    }
}
