//! Channels in memory, and what lies beside them: queues, catalogues, rosters.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::catalogue::{self, Names};
use super::lock;
use super::log::Log;
use super::nodes::Nodes;
use super::queue::{Given, Queue};
use super::roster;
use crate::id::{ChannelName, NodeId};
use crate::store::{
    ConsumeError, Consumer, Enlist, Enlisted, Entry, Excerpt, Here, Listed, Once, Place, Position, Publish,
    PublishError, PublishOnce, Published, Roster, Settle, Settled, Span, Telling,
};

/// All channels.
pub(super) struct Channels {
    nodes: Arc<Nodes>,
    logs: Mutex<HashMap<ChannelName, Arc<Mutex<Log>>>>,
    queues: Mutex<HashMap<ChannelName, Arc<Mutex<Queue>>>>,
    /// Names of channels, by the catalogue's own channel. Locked before `logs`, as are rosters.
    catalogues: Mutex<HashMap<ChannelName, Names>>,
    rosters: Mutex<HashMap<ChannelName, roster::Roster>>,
}

impl Channels {
    pub(super) fn new(nodes: Arc<Nodes>) -> Self {
        Self {
            nodes,
            logs: Mutex::default(),
            queues: Mutex::default(),
            catalogues: Mutex::default(),
            rosters: Mutex::default(),
        }
    }

    pub(super) fn publish(&self, publish: &Publish<'_>) -> Published {
        let log = self.log(publish.channel);
        let mut log = lock(&log);
        let (published, entries) = log.publish(publish, Instant::now());
        self.spread(publish.channel, &log, &entries);
        published
    }

    pub(super) fn publish_once(&self, publish: &PublishOnce<'_>) -> Vec<Once> {
        let log = self.log(publish.channel);
        let mut log = lock(&log);
        let (outcomes, entries) = log.publish_once(publish, Instant::now());
        self.spread(publish.channel, &log, &entries);
        outcomes
    }

    /// Looks at a channel's log, or changes what nobody has to be told of. It is kept for it.
    pub(super) fn with_log<T>(&self, channel: &ChannelName, look: impl FnOnce(&mut Log) -> T) -> T {
        let log = self.log(channel);
        let mut log = lock(&log);
        log.touch(Instant::now());
        look(&mut log)
    }

    /// Where a channel stands; it is not kept any longer for it.
    pub(super) fn head(&self, channel: &ChannelName) -> Position {
        lock(&self.log(channel)).head()
    }

    pub(super) fn excerpt(&self, channel: &ChannelName, span: Span, most: usize, bytes: usize) -> Excerpt {
        let log = lock(&self.logs).get(channel).map(Arc::clone);
        log.map_or_else(|| Excerpt::of_nothing(span), |log| lock(&log).excerpt(span, most, bytes))
    }

    /// The node is gone, whatever it followed.
    pub(super) fn forget(&self, node: NodeId) {
        for log in lock(&self.logs).values() {
            lock(log).forget(node);
        }
    }

    pub(super) fn enqueue(&self, enqueue: &Publish<'_>) -> Result<Published, PublishError> {
        self.with_queue(enqueue.channel, |queue| queue.enqueue(enqueue, Instant::now()))
    }

    pub(super) fn enqueue_once(&self, enqueue: &PublishOnce<'_>) -> Result<Vec<Once>, PublishError> {
        self.with_queue(enqueue.channel, |queue| queue.enqueue_once(enqueue, Instant::now()))
    }

    pub(super) fn consume(&self, consumer: &Consumer, credit: u32, most: usize) -> Result<Position, ConsumeError> {
        self.with_queue(&consumer.queue, |queue| {
            queue.consume(consumer.id, credit, most, Instant::now())?;
            let epoch = self.with_log(&consumer.channel(), |log| log.epoch());
            Ok(Position { epoch, seq: 0 })
        })
    }

    pub(super) fn settle(&self, consumer: &Consumer, settle: Settle) -> Settled {
        let (Settle::Received { at, .. } | Settle::Handled(at, _) | Settle::Returned(at, _)) = settle;
        let log = self.log(&consumer.channel());
        self.with_queue(&consumer.queue, |queue| {
            if !queue.knows(consumer.id) || !lock(&log).had(at) {
                return Settled::Unknown;
            }
            let needless = queue.settle(consumer.id, settle, Instant::now());
            lock(&log).drop_up_to(needless);
            Settled::Done
        })
    }

    pub(super) fn cancel(&self, consumer: &Consumer, handled: Option<Position>) {
        let log = self.log(&consumer.channel());
        self.with_queue(&consumer.queue, |queue| {
            let handled = {
                let mut log = lock(&log);
                log.let_age();
                handled.filter(|at| log.had(*at))
            };
            queue.cancel(consumer.id, handled, Instant::now());
        });
    }

    pub(super) fn enlist(&self, enlist: &Enlist<'_>) -> Enlisted {
        let mut catalogues = lock(&self.catalogues);
        let names = catalogues.entry(enlist.catalogue.clone()).or_default();
        let outcome = names.enlist(enlist, Instant::now());
        let news = match outcome {
            catalogue::Outcome::New => Some(enlist.news),
            catalogue::Outcome::Full { news: true } => Some(enlist.full),
            catalogue::Outcome::Known | catalogue::Outcome::Full { news: false } => None,
        };
        let at = match news {
            None => self.head(enlist.catalogue),
            Some(news) => {
                let (channel, messages) = (enlist.catalogue, std::slice::from_ref(news));
                self.publish(&Publish { channel, messages, retention: enlist.retention, batch: None }).last
            }
        };
        Enlisted { entered: !matches!(outcome, catalogue::Outcome::Full { .. }), at }
    }

    pub(super) fn listed(&self, catalogue: &ChannelName) -> Listed {
        let mut catalogues = lock(&self.catalogues);
        let (names, complete) =
            catalogues.get_mut(catalogue).map_or((Vec::new(), true), |names| names.listed(Instant::now()));
        Listed { names, at: self.with_log(catalogue, |log| log.head()), complete }
    }

    /// Changes a roster, and publishes what there is to tell of it before anything else happens to it.
    pub(super) fn change_roster<T>(
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
            self.publish(&Publish { channel: roster.channel, messages: &messages, retention, batch: None });
        }
        changed
    }

    pub(super) fn here(&self, channel: &ChannelName, after: Option<&Place>, most: usize) -> Here {
        let rosters = lock(&self.rosters);
        let at = self.with_log(channel, |log| log.head());
        match rosters.get(channel) {
            Some(roster) => roster.here(after, most, at),
            None => Here { count: 0, members: Vec::new(), next: None, at },
        }
    }

    /// Drops what need not be kept.
    pub(super) fn sweep(&self, now: Instant) {
        lock(&self.queues).retain(|_, queue| {
            let mut kept = lock(queue);
            kept.forget(now);
            let shared = Arc::strong_count(queue) > 1;
            shared || !kept.is_abandoned(now)
        });
        lock(&self.rosters).retain(|_, roster| !roster.is_abandoned(now));
        lock(&self.logs).retain(|_, log| {
            let mut kept = lock(log);
            kept.trim(now);
            let shared = Arc::strong_count(log) > 1;
            shared || !kept.is_abandoned(now)
        });
    }

    fn log(&self, channel: &ChannelName) -> Arc<Mutex<Log>> {
        entry(&self.logs, channel, Log::new)
    }

    /// Changes a queue, and gives what waits in it to whoever may have more.
    fn with_queue<T>(&self, name: &ChannelName, change: impl FnOnce(&mut Queue) -> T) -> T {
        let queue = entry(&self.queues, name, Queue::new);
        let mut queue = lock(&queue);
        let changed = change(&mut queue);
        self.give(name, queue.assign());
        changed
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

    /// Hands new entries to those who follow. Under the log's lock: inboxes get a channel's entries in order.
    fn spread(&self, channel: &ChannelName, log: &Log, entries: &[Entry]) {
        if entries.is_empty() {
            return;
        }
        for node in log.followers() {
            if let Some(inbox) = self.nodes.inbox(node) {
                inbox.entries(channel, log.epoch(), entries);
            }
        }
    }
}

/// What stands under a name, which begins where there is nothing.
fn entry<T>(
    all: &Mutex<HashMap<ChannelName, Arc<Mutex<T>>>>,
    name: &ChannelName,
    new: impl FnOnce(Instant) -> T,
) -> Arc<Mutex<T>> {
    let mut all = lock(all);
    if let Some(known) = all.get(name) {
        return Arc::clone(known);
    }
    let begun = Arc::new(Mutex::new(new(Instant::now())));
    all.insert(name.clone(), Arc::clone(&begun));
    begun
}
