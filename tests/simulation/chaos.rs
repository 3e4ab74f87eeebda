//! A node's way to its store, on which commands are late, hints get lost, and which ends or stands still with its node.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use sockhop::store::{
    Anchor, Attach, Attached, Begin, Begun, Branch, Branched, ConsumeError, Consumer, Due, Ended, Enlist,
    Enlisted, Entered, Entry, Epoch, Excerpt, Feed, Gone, Here, Hold, Inbox, Kept, Known, Left, Listed, Once, Own,
    Pending, Place, Position, Publish, PublishError, PublishOnce, Published, Push, Retention, Roster, Sent,
    SessionRef, Settle, Settled, Signal, Slice, Span, Stay, Store, StoreError, SubscribeError, Telling, Turn,
    Visitor,
};
use sockhop::{ChannelName, CloseReason, Message, NodeId, SessionKey};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::ends::Ends;

/// What a node can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Running,
    /// It stands still: nothing goes out, nothing comes in.
    Stopped,
    Dead,
}

/// How bad things are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Milliseconds that a command takes each way, at most.
    pub(crate) latency: u64,
    /// Of a hundred commands, those that are much later.
    pub(crate) late: u32,
    /// Of a hundred commands whose repetition is safe, those that are given up on before they run.
    pub(crate) given_up: u32,
    /// Of a hundred hints, those that get lost.
    pub(crate) lost_hints: u32,
}

impl Weather {
    pub(crate) const CALM: Self = Self { latency: 2, late: 0, given_up: 0, lost_hints: 0 };
}

/// A store as one node reaches it.
pub(crate) struct Chaos {
    base: Arc<dyn Store>,
    random: Mutex<SmallRng>,
    weather: Mutex<Weather>,
    life: watch::Sender<Life>,
    inboxes: Mutex<Vec<Arc<Ears>>>,
    node: OnceLock<NodeId>,
    ends: Arc<Ends>,
}

/// The store, as it is handed to the node.
pub(crate) struct Way(pub(crate) Arc<Chaos>);

impl std::ops::Deref for Way {
    type Target = Chaos;

    fn deref(&self) -> &Chaos {
        &self.0
    }
}

/// The way from the store to a node.
struct Ears {
    inbox: Weak<dyn Inbox>,
    chaos: Weak<Chaos>,
    followed: Mutex<BTreeSet<ChannelName>>,
}

impl Chaos {
    pub(crate) fn new(base: &Arc<dyn Store>, ends: &Arc<Ends>, seed: u64, weather: Weather) -> Arc<Self> {
        Arc::new(Self {
            base: Arc::clone(base),
            random: Mutex::new(SmallRng::seed_from_u64(seed)),
            weather: Mutex::new(weather),
            life: watch::Sender::new(Life::Running),
            inboxes: Mutex::default(),
            node: OnceLock::new(),
            ends: Arc::clone(ends),
        })
    }

    pub(crate) fn become_(&self, life: Life) {
        self.life.send_replace(life);
    }

    pub(crate) fn life(&self) -> watch::Receiver<Life> {
        self.life.subscribe()
    }

    pub(crate) fn calm(&self) {
        *self.weather.lock().unwrap() = Weather::CALM;
    }

    /// What a node learns once per heartbeat, or when its connections are back: where its channels stand, and that it
    /// may have missed something.
    pub(crate) async fn heartbeat(&self) {
        let all = self.inboxes.lock().unwrap().clone();
        for ears in all {
            let channels: Vec<_> = ears.followed.lock().unwrap().iter().cloned().collect();
            let heads = self.base.heads(&channels).await.unwrap();
            if let Some(inbox) = ears.inbox.upgrade() {
                channels.iter().zip(heads).for_each(|(channel, head)| inbox.head(channel, head));
                inbox.missed();
            }
        }
    }

    /// The node has not renewed its lease, and knows.
    pub(crate) fn lapse(&self) {
        for ears in &*self.inboxes.lock().unwrap() {
            if let Some(inbox) = ears.inbox.upgrade() {
                inbox.lapsed();
            }
        }
    }

    /// A node that was taken for dead renews its lease, and follows again what it followed.
    pub(crate) async fn rejoin(&self, node: NodeId) {
        let all = self.inboxes.lock().unwrap().clone();
        for ears in all {
            let listening: Arc<dyn Inbox> = ears.clone();
            self.base.join(node, Arc::downgrade(&listening));
            let channels: Vec<_> = ears.followed.lock().unwrap().iter().cloned().collect();
            for channel in channels {
                self.base.follow(node, &channel).await.unwrap();
            }
        }
    }

    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap()
    }

    fn chance(&self, percent: u32) -> bool {
        self.random.lock().unwrap().random_range(0..100) < percent
    }

    fn delay(&self) -> Duration {
        let weather = self.weather();
        let mut random = self.random.lock().unwrap();
        let late = if random.random_range(0..100) < weather.late { 40 } else { 1 };
        Duration::from_micros(random.random_range(0..=weather.latency * 1000 * late))
    }

    /// A command that may give the node an end.
    async fn run_ending<E: Send + 'static>(
        &self,
        command: impl Future<Output = Result<Option<Ended>, E>> + Send + 'static,
    ) -> Result<Option<Ended>, E> {
        let (node, ends) = (*self.node.get().expect("it has joined"), Arc::clone(&self.ends));
        let noted = async move {
            let answer = command.await;
            if let Ok(Some(ended)) = &answer {
                ends.give(node, ended);
            }
            answer
        };
        self.run(noted).await
    }

    /// Resolves while the node runs; never once it is dead.
    async fn running(&self) {
        let mut life = self.life.subscribe();
        let running = life.wait_for(|life| *life == Life::Running).await.is_ok();
        if !running {
            std::future::pending::<()>().await;
        }
    }

    /// A command: late in both directions, and under way whether or not anybody waits for it still.
    async fn run<T: Send + 'static>(&self, command: impl Future<Output = T> + Send + 'static) -> T {
        self.running().await;
        let there = self.delay();
        let under_way = tokio::spawn(async move {
            tokio::time::sleep(there).await;
            command.await
        });
        let answer = under_way.await.expect("commands do not panic");
        tokio::time::sleep(self.delay()).await;
        self.running().await;
        answer
    }

    /// Whether a command is given up on, though it runs, later.
    async fn give_up<T: Send + 'static>(
        &self,
        operation: &'static str,
        command: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StoreError> {
        if !self.chance(self.weather().given_up) {
            return Ok(self.run(command).await);
        }
        self.running().await;
        let late = self.delay() * 20;
        tokio::spawn(async move {
            tokio::time::sleep(late).await;
            drop(command.await);
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        Err(StoreError { operation, reason: "no answer in time".to_owned() })
    }
}

impl Ears {
    /// Whether a hint arrives.
    fn hears(&self) -> Option<Arc<dyn Inbox>> {
        let chaos = self.chaos.upgrade()?;
        let lost = chaos.chance(chaos.weather().lost_hints) || *chaos.life.borrow() != Life::Running;
        if lost { None } else { self.inbox.upgrade() }
    }
}

impl Inbox for Ears {
    fn entries(&self, channel: &ChannelName, epoch: Epoch, entries: &[Entry]) {
        if let Some(inbox) = self.hears() {
            inbox.entries(channel, epoch, entries);
        }
    }

    fn head(&self, channel: &ChannelName, head: Position) {
        if let Some(inbox) = self.hears() {
            inbox.head(channel, head);
        }
    }

    fn frames(&self, hold: Hold, from: Own, frames: &[Message]) {
        if let Some(inbox) = self.hears() {
            inbox.frames(hold, from, frames);
        }
    }

    fn missed(&self) {}

    fn lapsed(&self) {}

    fn signal(&self, signal: Signal) {
        if let Some(inbox) = self.hears() {
            inbox.signal(signal);
        }
    }
}

macro_rules! base {
    ($self:ident, |$base:ident| $command:expr) => {{
        let $base = Arc::clone(&$self.base);
        $self.run(async move { $command.await }).await
    }};
}

macro_rules! ending {
    ($self:ident, |$base:ident| $command:expr) => {{
        let $base = Arc::clone(&$self.base);
        $self.run_ending(async move { $command.await }).await
    }};
}

#[async_trait]
impl Store for Way {
    fn join(&self, node: NodeId, inbox: Weak<dyn Inbox>) {
        let ears = Arc::new(Ears { inbox, chaos: Arc::downgrade(&self.0), followed: Mutex::default() });
        let listening: Arc<dyn Inbox> = ears.clone();
        self.inboxes.lock().unwrap().push(ears);
        self.node.get_or_init(|| node);
        self.base.join(node, Arc::downgrade(&listening));
    }

    async fn retire(&self, _node: NodeId, _reason: CloseReason) -> Vec<Ended> {
        // As in Redis: sessions go on elsewhere, or with the next node that comes.
        Vec::new()
    }

    async fn leave(&self, node: NodeId) {
        base!(self, |base| base.leave(node));
    }

    async fn publish(&self, publish: Publish<'_>) -> Result<Published, PublishError> {
        let (channel, messages, retention) =
            (publish.channel.clone(), publish.messages.to_vec(), publish.retention);
        let base = Arc::clone(&self.base);
        let command = async move {
            let publish = Publish { channel: &channel, messages: &messages, retention, batch: None };
            base.publish(publish).await
        };
        self.give_up("publish", command).await.unwrap_or_else(|error| Err(PublishError::Unknown(error)))
    }

    async fn publish_once(&self, publish: PublishOnce<'_>) -> Result<Vec<Once>, PublishError> {
        let PublishOnce { channel, messages, retention, memory } = publish;
        let (base, channel, messages) = (Arc::clone(&self.base), channel.clone(), messages.to_vec());
        let command = async move {
            base.publish_once(PublishOnce { channel: &channel, messages: &messages, retention, memory }).await
        };
        self.give_up("publish once", command).await.unwrap_or_else(|error| Err(PublishError::Unknown(error)))
    }

    async fn enqueue(&self, enqueue: Publish<'_>) -> Result<Published, PublishError> {
        self.base.enqueue(enqueue).await
    }

    async fn enqueue_once(&self, enqueue: PublishOnce<'_>) -> Result<Vec<Once>, PublishError> {
        self.base.enqueue_once(enqueue).await
    }

    async fn consume(&self, consumer: &Consumer, credit: u32, most: usize) -> Result<Position, ConsumeError> {
        self.base.consume(consumer, credit, most).await
    }

    async fn settle(&self, consumer: &Consumer, settle: Settle) -> Result<Settled, StoreError> {
        self.base.settle(consumer, settle).await
    }

    async fn cancel(&self, consumer: &Consumer, handled: Option<Position>) -> Result<(), StoreError> {
        self.base.cancel(consumer, handled).await
    }

    async fn read(&self, channel: &ChannelName, after: Position, bytes: usize) -> Result<Slice, StoreError> {
        let (base, channel) = (Arc::clone(&self.base), channel.clone());
        self.give_up("read", async move { base.read(&channel, after, bytes).await }).await?
    }

    async fn excerpt(
        &self,
        channel: &ChannelName,
        span: Span,
        most: usize,
        bytes: usize,
    ) -> Result<Excerpt, StoreError> {
        let (base, channel) = (Arc::clone(&self.base), channel.clone());
        self.give_up("look up", async move { base.excerpt(&channel, span, most, bytes).await }).await?
    }

    async fn heads(&self, channels: &[ChannelName]) -> Result<Vec<Position>, StoreError> {
        let channels = channels.to_vec();
        base!(self, |base| base.heads(&channels))
    }

    async fn follow(&self, node: NodeId, channel: &ChannelName) -> Result<Position, StoreError> {
        for ears in &*self.inboxes.lock().unwrap() {
            ears.followed.lock().unwrap().insert(channel.clone());
        }
        let channel = channel.clone();
        base!(self, |base| base.follow(node, &channel))
    }

    async fn unfollow(&self, node: NodeId, channel: &ChannelName) {
        let channel = channel.clone();
        base!(self, |base| base.unfollow(node, &channel));
    }

    async fn attach(&self, attach: Attach<'_>) -> Result<Attached, StoreError> {
        let Attach { key, node, request, takeover, first, attempt, create } = attach;
        let origin = Mutex::new(create());
        let base = Arc::clone(&self.base);
        let command = async move {
            let create = || origin.lock().unwrap().take();
            base.attach(Attach { key, node, request, takeover, first, attempt, create: &create }).await
        };
        self.running().await;
        let (there, back) = (self.delay(), self.delay());
        let (sender, answer) = tokio::sync::oneshot::channel();
        let (base, life) = (Arc::clone(&self.base), self.life());
        let given_up = self.chance(self.weather().given_up);
        tokio::spawn(async move {
            tokio::time::sleep(there).await;
            let attached = command.await;
            tokio::time::sleep(back).await;
            let unheard = match &attached {
                Ok(Attached::Held(hold, _)) if given_up => {
                    let error = StoreError { operation: "attach", reason: "no answer in time".to_owned() };
                    let _ = sender.send(Err(error));
                    tokio::time::sleep(20 * there).await;
                    Some(*hold)
                }
                Ok(Attached::Held(hold, _)) => {
                    let hold = *hold;
                    sender.send(attached).is_err().then_some(hold)
                }
                _ => sender.send(attached).err().and(None),
            };
            // Nobody waits for it, unless its node is dead and cannot say so.
            if let Some(hold) = unheard
                && *life.borrow() != Life::Dead
            {
                let _ = base.disown(hold).await;
            }
        });
        let attached = answer.await.expect("commands do not panic");
        self.running().await;
        attached
    }

    async fn anchor(&self, anchor: Anchor<'_>) -> Result<(), Gone> {
        let Anchor { session, node, origin, attributes } = anchor;
        let (base, origin, attributes) = (Arc::clone(&self.base), Arc::clone(origin), attributes.clone());
        let command =
            async move { base.anchor(Anchor { session, node, origin: &origin, attributes: &attributes }).await };
        self.give_up("anchor", command).await?
    }

    async fn pending(&self, hold: Hold, own: Own) -> Result<Pending, Gone> {
        base!(self, |base| base.pending(hold, own))
    }

    async fn commit(&self, hold: Hold, received: Sent) -> Result<(), Gone> {
        let base = Arc::clone(&self.base);
        self.give_up("commit", async move { base.commit(hold, received).await }).await?
    }

    async fn release(&self, hold: Hold, sent: Sent) -> Result<(), Gone> {
        let base = Arc::clone(&self.base);
        self.give_up("release", async move { base.release(hold, sent).await }).await?
    }

    async fn disown(&self, hold: Hold) -> Result<(), Gone> {
        base!(self, |base| base.disown(hold))
    }

    async fn lost(&self, hold: Hold) -> Result<Option<Ended>, Gone> {
        ending!(self, |base| base.lost(hold))
    }

    async fn quit(&self, hold: Hold, reason: CloseReason) -> Result<Option<Ended>, Gone> {
        ending!(self, |base| base.quit(hold, reason))
    }

    async fn push(&self, session: SessionRef, push: Push) -> Result<Option<Ended>, Gone> {
        ending!(self, |base| base.push(session, push))
    }

    async fn close(&self, session: SessionRef, reason: CloseReason) -> Result<Option<Ended>, Gone> {
        ending!(self, |base| base.close(session, reason))
    }

    async fn subscribe(
        &self,
        session: SessionRef,
        feed: &Feed,
        at: Position,
        most: usize,
    ) -> Result<(), SubscribeError> {
        let feed = feed.clone();
        base!(self, |base| base.subscribe(session, &feed, at, most))
    }

    async fn unsubscribe(&self, session: SessionRef, feed: &Feed) -> Result<(), Gone> {
        let feed = feed.clone();
        base!(self, |base| base.unsubscribe(session, &feed))
    }

    async fn branch(&self, hold: Hold, branch: Branch<'_>, most: usize) -> Result<Branched, Gone> {
        let ((stem, generation), feed, at) =
            ((branch.stem.0.clone(), branch.stem.1), branch.feed.clone(), branch.at);
        base!(self, |base| base.branch(hold, Branch { stem: (&stem, generation), feed: &feed, at }, most))
    }

    async fn unsubscribe_tag(&self, session: SessionRef, tag: &str) -> Result<(), Gone> {
        let tag = tag.to_owned();
        base!(self, |base| base.unsubscribe_tag(session, &tag))
    }

    async fn enlist(&self, enlist: Enlist<'_>) -> Result<Enlisted, StoreError> {
        let Enlist { most, life, incomplete, retention, .. } = enlist;
        let (catalogue, name) = (enlist.catalogue.clone(), enlist.name.clone());
        let (news, full) = (enlist.news.clone(), enlist.full.clone());
        base!(self, |base| base.enlist(Enlist {
            catalogue: &catalogue,
            name: &name,
            news: &news,
            full: &full,
            most,
            life,
            incomplete,
            retention,
        }))
    }

    async fn listed(&self, catalogue: &ChannelName) -> Result<Listed, StoreError> {
        let catalogue = catalogue.clone();
        base!(self, |base| base.listed(&catalogue))
    }

    async fn set_attribute(&self, session: SessionRef, name: &str, value: Option<String>) -> Result<(), Gone> {
        let name = name.to_owned();
        base!(self, |base| base.set_attribute(session, &name, value))
    }

    async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        base!(self, |base| base.begin(begin))
    }

    async fn finish_keeping(
        &self,
        session: SessionRef,
        turn: Turn,
        push: Push,
        kept: Kept,
    ) -> Result<Option<Ended>, StoreError> {
        ending!(self, |base| base.finish_keeping(session, turn, push, kept))
    }

    async fn tail(&self, channel: &ChannelName, most: u64) -> Result<Position, StoreError> {
        let channel = channel.clone();
        base!(self, |base| base.tail(&channel, most))
    }

    async fn closed(&self, session: SessionRef) -> Result<(), StoreError> {
        let ends = Arc::clone(&self.ends);
        base!(self, |base| async move {
            ends.handled(session);
            base.closed(session).await
        })
    }

    async fn due(&self, node: NodeId) -> Vec<Due> {
        loop {
            self.running().await;
            let left = self.ends.take_left();
            let mut life = self.life();
            let due: Vec<_> = match left.is_empty() {
                true => tokio::select! {
                    biased;
                    // Who stands still takes nothing.
                    _ = life.wait_for(|life| *life != Life::Running) => continue,
                    due = timeout(LOOK, self.base.due(node)) => due.unwrap_or_default(),
                },
                false => left.into_iter().map(Due::Ended).collect(),
            };
            for due in &due {
                if let Due::Ended(ended) = due {
                    self.ends.give(node, ended);
                }
            }
            if !due.is_empty() {
                return due;
            }
        }
    }

    fn sessions(&self, node: NodeId) -> usize {
        self.base.sessions(node)
    }

    fn unready(&self, node: NodeId) -> Option<&'static str> {
        self.base.unready(node)
    }

    async fn enter(&self, roster: Roster<'_>, stay: Stay, visitor: Visitor<'_>) -> Result<Entered, StoreError> {
        let (base, roster) = (Arc::clone(&self.base), Owned::of(&roster));
        let (user, about) = (visitor.user.map(str::to_owned), visitor.about.to_owned());
        let command = async move {
            let visitor = Visitor { user: user.as_deref(), about: &about };
            base.enter(roster.lent(), stay, visitor).await
        };
        self.give_up("enter", command).await?
    }

    async fn exit(&self, roster: Roster<'_>, stay: Stay) -> Result<Left, StoreError> {
        let (base, roster) = (Arc::clone(&self.base), Owned::of(&roster));
        self.give_up("exit", async move { base.exit(roster.lent(), stay).await }).await?
    }

    async fn here(&self, channel: &ChannelName, after: Option<&Place>, most: usize) -> Result<Here, StoreError> {
        self.base.here(channel, after, most).await
    }

    async fn keys(&self, bucket: u16) -> Result<Vec<SessionKey>, StoreError> {
        self.base.keys(bucket).await
    }

    async fn known(&self, key: SessionKey, attributes: &[&str]) -> Result<Option<Known>, StoreError> {
        self.base.known(key, attributes).await
    }

    async fn signal(&self, node: NodeId, signal: Signal) -> Result<(), StoreError> {
        base!(self, |base| base.signal(node, signal))
    }
}

/// How often a node looks for what the dead have left.
const LOOK: Duration = Duration::from_millis(200);

/// A roster that a command under way has for itself.
struct Owned {
    channel: ChannelName,
    telling: Option<(String, Retention)>,
}

impl Owned {
    fn of(roster: &Roster<'_>) -> Self {
        let telling = roster.telling.as_ref().map(|telling| (telling.lead.to_owned(), telling.retention));
        Self { channel: roster.channel.clone(), telling }
    }

    fn lent(&self) -> Roster<'_> {
        let telling = self.telling.as_ref().map(|(lead, retention)| Telling { lead, retention: *retention });
        Roster { channel: &self.channel, telling }
    }
}
