//! One session in memory: a state machine without locks, clocks or tasks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sockhop_transports::{CloseReason, Message};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::id::{NodeId, RequestId};
use crate::store::{
    Again, Anchor, Attach, Begin, Branch, Branched, Ended, Feed, First, Gone, Hold, Holder, Kept, Known, Opening,
    Origin, Own, Pending, Position, Push, Replay, Sent, SessionRef, SubscribeError, Subscription, Takeover, Terms,
    Turn,
};

/// How often one request is taken for a repeat; how many requests before the last one are remembered, and sends done.
const MOST_REPEATS: u32 = 32;
const OLD_REQUESTS: usize = 3;
const DONE_REQUESTS: usize = 4;

fn remember(request: RequestId, known: &mut VecDeque<RequestId>, most: usize) {
    known.truncate(most - 1);
    known.push_front(request);
}

/// A session.
pub(super) struct Record {
    pub(super) session: SessionRef,
    pub(super) origin: Arc<Origin>,
    phase: Phase,
    /// The number of the newest attach.
    attachment: u64,
    slot: Slot,
    /// The newest attachment that was released.
    released: u64,
    /// The request of the newest attach: the same one again is the balancer's repeat.
    request: Option<RequestId>,
    /// How often it was repeated, and the requests before it, the newest first.
    repeats: u32,
    older: VecDeque<RequestId>,
    /// A receiver of that request has released the session: to a repeat the very same batch is given again.
    batched: bool,
    /// The client's newest attempt, of a session that can be resumed.
    attempt: Option<u64>,
    /// What comes next for the client: as is known, and as the last commit says.
    replay: Replay,
    replay_sent: Replay,
    own: OwnLog,
    subscriptions: Vec<Subscribed>,
    generations: u64,
    pub(super) attributes: BTreeMap<String, String>,
    /// What its receivers have to keep to.
    terms: Terms,
    calls: Calls,
    /// Its `on_open` has not run to its end.
    opening: bool,
    /// Handler calls begun.
    turns: u64,
    /// The requests whose handler calls were finished, the newest first.
    done: VecDeque<RequestId>,
    running: Option<RequestId>,
    rate: Rate,
    /// The session lives in the memory of the node that holds it.
    anchor: bool,
    /// Whether an entry in the shard's timers stands for this session.
    pub(super) timed: bool,
    /// How many sessions of the store are open.
    open: Arc<AtomicUsize>,
}

enum Phase {
    Open,
    /// What its client is told, and whether somebody has been handed the `on_close`.
    Closed {
        reason: CloseReason,
        on_close: OnClose,
    },
}

#[derive(PartialEq, Eq)]
enum OnClose {
    /// A handler call is under way; who finishes it gets the `on_close`.
    Owed,
    Given,
}

enum Slot {
    Attached(NodeId),
    Detached { deadline: Instant },
}

/// Handler calls of one session never overlap.
enum Calls {
    Idle,
    Running { turn: Turn, node: NodeId, waiting: Option<Arc<Notify>> },
}

struct Subscribed {
    feed: Feed,
    generation: u64,
    /// What the client is known to have.
    received: Position,
    /// What the last release says was sent; received, once the client sends another request.
    sent: Position,
}

/// The session's own frames: `o`, then messages. Indices count from `o`, which is 0.
#[derive(Default)]
struct OwnLog {
    /// Frames that the client is known to have.
    received: u64,
    /// Frames that were sent by the last release.
    sent: u64,
    /// Frames that the receiver was handed: what lies behind them is unread.
    handed: u64,
    /// The messages from `received` on (from 1, if `o` is not received).
    messages: VecDeque<Message>,
    unread: usize,
    /// All of them.
    kept: usize,
}

/// Messages in the running second.
#[derive(Default)]
struct Rate {
    since: Option<Instant>,
    count: u32,
}

/// What became of an attach.
pub(super) enum Outcome {
    /// Held; the holder that lost it, if there was one.
    Held(Hold, Pending, Option<Holder>),
    Busy(Holder),
    Superseded,
    Stale,
}

/// What is lost with a client's connection.
pub(super) enum Lost {
    /// All of it; who gets `Ended` runs the `on_close`.
    Session(Option<Ended>),
    Receiver,
}

/// What became of a wish to call the handler.
pub(super) enum Wish {
    Run {
        turn: Turn,
        opening: bool,
    },
    Wait(Arc<Notify>),
    Done,
    Closed,
    TooMany,
    /// Not by this attempt of the client.
    Unknown,
}

impl OwnLog {
    fn first(&self) -> u64 {
        self.received.max(1)
    }

    fn end(&self) -> u64 {
        self.first() + self.messages.len() as u64
    }

    fn from(&self, own: Own) -> impl Iterator<Item = &Message> {
        self.messages.iter().skip(own.0.saturating_sub(self.first()) as usize)
    }

    fn push(&mut self, messages: Vec<Message>) {
        let weight = crate::store::size_of(&messages);
        self.unread += weight;
        self.kept += weight;
        self.messages.extend(messages);
    }

    /// The receiver was handed everything before `own`.
    fn hand(&mut self, own: Own) {
        let own = own.0.min(self.end());
        while self.handed < own {
            if let Some(message) =
                self.handed.checked_sub(self.first()).and_then(|at| self.messages.get(at as usize))
            {
                self.unread -= message.weight();
            }
            self.handed += 1;
        }
    }

    /// Everything sent was received.
    fn receive(&mut self) {
        while self.first() < self.sent
            && let Some(message) = self.messages.pop_front()
        {
            self.kept -= message.weight();
            self.received = self.first() + 1;
        }
        self.received = self.received.max(self.sent);
    }

    /// What was sent was not received: the next receiver is handed it again.
    fn rewind(&mut self) {
        self.handed = self.received;
        self.sent = self.received;
        self.unread = self.kept;
    }
}

impl Record {
    /// A session that its first receiver holds, and whose first handler call runs.
    pub(super) fn new(
        session: SessionRef,
        origin: Arc<Origin>,
        attach: &Attach<'_>,
        open: &Arc<AtomicUsize>,
    ) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self {
            open: Arc::clone(open),
            session,
            origin,
            phase: Phase::Open,
            attachment: 1,
            slot: Slot::Attached(attach.node),
            released: 0,
            request: attach.request,
            repeats: 0,
            older: VecDeque::new(),
            batched: false,
            attempt: attach.attempt.map(|attempt| attempt.number),
            replay: Replay::Over,
            replay_sent: Replay::Over,
            own: OwnLog::default(),
            subscriptions: Vec::new(),
            generations: 0,
            attributes: BTreeMap::new(),
            terms: Terms::default(),
            calls: Calls::Running { turn: Turn(1), node: attach.node, waiting: None },
            opening: true,
            turns: 1,
            done: VecDeque::new(),
            running: None,
            rate: Rate::default(),
            anchor: false,
            timed: false,
        }
    }

    /// A session that lives in the memory of its node.
    pub(super) fn anchor(anchor: &Anchor<'_>, open: &Arc<AtomicUsize>) -> Self {
        let attach = Attach {
            key: anchor.session.key,
            node: anchor.node,
            request: None,
            takeover: Takeover::Never,
            first: First::Held,
            attempt: None,
            create: &|| None,
        };
        Self {
            anchor: true,
            attributes: anchor.attributes.clone(),
            calls: Calls::Idle,
            opening: false,
            ..Self::new(anchor.session, Arc::clone(anchor.origin), &attach, open)
        }
    }

    /// The same again, whose answer was lost.
    pub(super) fn anchor_again(&mut self, anchor: &Anchor<'_>) -> Result<(), Gone> {
        if self.session != anchor.session || !self.is_open() {
            return Err(Gone::Over);
        }
        self.check(anchor.hold())?;
        self.attributes.extend(anchor.attributes.clone());
        Ok(())
    }

    pub(super) fn known(&self, attributes: &[&str]) -> Option<Known> {
        let attribute = |name: &&str| Some(((*name).to_owned(), self.attributes.get(*name)?.clone()));
        self.is_open().then(|| Known {
            session: self.session,
            origin: Arc::clone(&self.origin),
            attributes: attributes.iter().filter_map(attribute).collect(),
            node: self.holder().map(|holder| holder.node),
            subscriptions: self.subscriptions.len(),
        })
    }

    pub(super) fn is_anchor(&self) -> bool {
        self.anchor
    }

    pub(super) fn hold(&self) -> Hold {
        Hold { session: self.session, attachment: self.attachment }
    }

    pub(super) fn holder(&self) -> Option<Holder> {
        match self.slot {
            Slot::Attached(node) => Some(Holder { node, hold: self.hold() }),
            Slot::Detached { .. } => None,
        }
    }

    fn check(&self, hold: Hold) -> Result<(), Gone> {
        match self.slot {
            Slot::Attached(_) if self.attachment == hold.attachment => Ok(()),
            _ => Err(Gone::Fenced),
        }
    }

    pub(super) fn attach(&mut self, attach: &Attach<'_>) -> Outcome {
        let attempt = attach.attempt.map(|attempt| attempt.number);
        if attempt < self.attempt {
            return Outcome::Superseded;
        }
        let resumed = attempt > self.attempt;
        // A balancer repeats a request a few times; whoever names all requests alike is not to get the same for ever.
        let repeated = attach.request.is_some() && attach.request == self.request && self.repeats < MOST_REPEATS;
        if !repeated && attach.request.is_some_and(|request| self.older.contains(&request)) {
            return Outcome::Stale;
        }
        let holder = self.holder();
        if let Some(holder) = holder
            && !repeated
            && !resumed
            && attach.takeover != Takeover::From(holder.hold)
        {
            return Outcome::Busy(holder);
        }
        if resumed {
            self.attempt = attempt;
            self.replay_sent = Replay::Open;
            // What was sent is not known to have been received, nor will a later request say so.
            self.subscriptions.iter_mut().for_each(|subscription| subscription.sent = subscription.received);
        } else if !repeated {
            self.receive();
            // The client asks again of its own accord, so it knows that its session is open: a second `o` would end it.
            self.own.received = self.own.first();
            self.replay_sent = self.replay_sent.opened();
        }
        if resumed || !repeated {
            self.replay = self.replay_sent;
            self.batched = false;
            self.repeats = 0;
            if let Some(older) = self.request.filter(|_| self.request != attach.request) {
                remember(older, &mut self.older, OLD_REQUESTS);
            }
        } else {
            self.repeats += 1;
        }
        self.rewind();
        self.attachment += 1;
        self.request = attach.request;
        self.slot = Slot::Attached(attach.node);
        Outcome::Held(self.hold(), self.snapshot(Own(self.own.received)), holder)
    }

    /// What was handed out may not have been received. A batch that was released stays as it is.
    fn rewind(&mut self) {
        if !self.batched {
            self.own.rewind();
        }
    }

    /// The client has all that was sent.
    fn receive(&mut self) {
        self.own.receive();
        self.subscriptions.iter_mut().for_each(|subscription| subscription.received = subscription.sent);
    }

    fn snapshot(&self, own: Own) -> Pending {
        let subscription = |subscribed: &Subscribed| Subscription {
            feed: subscribed.feed.clone(),
            generation: subscribed.generation,
            cursor: subscribed.received,
            sent: subscribed.sent,
        };
        Pending {
            replay: if own == Own(0) && self.replay == Replay::Over { Replay::New } else { self.replay },
            from: own,
            messages: self.own.from(own).cloned().collect(),
            subscriptions: self.subscriptions.iter().map(subscription).collect(),
            closed: match &self.phase {
                Phase::Open => None,
                Phase::Closed { reason, .. } => Some(reason.clone()),
            },
            terms: self.terms,
            again: self.batched.then_some(Again { own: Own(self.own.sent), replay: self.replay_sent }),
        }
    }

    /// What a handler call changes of the session's state. If that is over, its `on_close` sees the attributes.
    pub(super) fn keep(&mut self, kept: Kept) {
        for (name, value) in kept.attributes {
            match value {
                Some(value) => self.attributes.insert(name, value),
                None => self.attributes.remove(&name),
            };
        }
        if let Some(terms) = kept.terms.filter(|_| self.is_open()) {
            self.terms = terms;
        }
    }

    /// Whether this call was the last one, and is over.
    pub(super) fn has_ended(&self, turn: Turn) -> bool {
        self.turns == turn.0 && matches!(self.calls, Calls::Idle)
    }

    /// Whether this call is the one under way.
    pub(super) fn is_running(&self, turn: Turn) -> bool {
        matches!(self.calls, Calls::Running { turn: running, .. } if running == turn)
    }

    pub(super) fn pending(&mut self, hold: Hold, own: Own) -> Result<Pending, Gone> {
        self.check(hold)?;
        self.own.hand(own);
        Ok(self.snapshot(own))
    }

    /// The client has received all this.
    pub(super) fn commit(&mut self, hold: Hold, received: Sent) -> Result<(), Gone> {
        self.check(hold)?;
        self.hand_out(received);
        self.replay = self.replay_sent;
        self.receive();
        Ok(())
    }

    fn hand_out(&mut self, sent: Sent) {
        self.own.hand(sent.own);
        // Not all that the receiver was handed: a look may have handed it more since this was sent.
        self.own.sent = self.own.sent.max(sent.own.0.min(self.own.end()));
        self.replay_sent = sent.replay;
        for (feed, generation, position) in sent.channels {
            let subscribed = self.subscriptions.iter_mut().find(|subscribed| subscribed.feed == feed);
            if let Some(subscribed) = subscribed.filter(|subscribed| subscribed.generation == generation) {
                subscribed.sent = position;
            }
        }
    }

    pub(super) fn release(&mut self, hold: Hold, sent: Sent, now: Instant) -> Result<(), Gone> {
        let again =
            self.holder().is_none() && self.released == hold.attachment && self.attachment == self.released;
        if again {
            return Ok(());
        }
        self.check(hold)?;
        self.hand_out(sent);
        if !self.is_open() {
            // What its channels had before the close was handed out: nothing more comes.
            self.subscriptions.clear();
        }
        self.released = hold.attachment;
        self.batched = true;
        self.detach(now);
        Ok(())
    }

    fn detach(&mut self, now: Instant) {
        self.slot = Slot::Detached { deadline: now + self.origin.disconnect_delay };
    }

    pub(super) fn disown(&mut self, hold: Hold, now: Instant) -> Result<(), Gone> {
        self.check(hold)?;
        if self.anchor {
            let _ = self.end_anchor(CloseReason::INTERRUPTED, now);
            return Ok(());
        }
        self.rewind();
        self.detach(now);
        Ok(())
    }

    /// An anchored session has ended where it was; who gets `Ended` runs the `on_close`.
    fn end_anchor(&mut self, reason: CloseReason, now: Instant) -> Option<Ended> {
        self.slot = Slot::Detached { deadline: now };
        let ended = self.end(reason);
        if let Phase::Closed { on_close, .. } = &mut self.phase
            && *on_close == OnClose::Owed
        {
            *on_close = OnClose::Given;
            return self.ended();
        }
        ended
    }

    /// The node is gone: lets go what it held, and gives up the handler call that it ran. Who gets `Ended` runs the
    /// `on_close`.
    pub(super) fn orphan(&mut self, node: NodeId, now: Instant) -> Option<Ended> {
        if self.holder().is_some_and(|holder| holder.node == node) {
            if self.anchor {
                return self.end_anchor(CloseReason::INTERRUPTED, now);
            }
            self.rewind();
            self.detach(now);
        }
        match self.calls {
            Calls::Running { turn, node: runner, .. } if runner == node => {
                // It is not done: its client's request is repeated, or was never answered.
                let opening = self.opening;
                self.running = None;
                let ended = self.finish(turn);
                // Its own end, should it come, is that of a call which was given up on.
                self.turns += 1;
                self.opening = opening;
                ended
            }
            _ => None,
        }
    }

    /// The client's connection was lost. A session that can be resumed is only let go, as is a closing one: its client
    /// may yet be told why it closed.
    pub(super) fn lost(&mut self, hold: Hold, now: Instant) -> Result<Lost, Gone> {
        let resumable = self.attempt.is_some();
        self.gone(hold, now, (!resumable).then_some(CloseReason::INTERRUPTED))
    }

    /// The client has closed the connection, or broken the rules.
    pub(super) fn quit(&mut self, hold: Hold, now: Instant, reason: CloseReason) -> Result<Lost, Gone> {
        self.gone(hold, now, Some(reason))
    }

    fn gone(&mut self, hold: Hold, now: Instant, end: Option<CloseReason>) -> Result<Lost, Gone> {
        self.check(hold)?;
        if self.anchor {
            return Ok(Lost::Session(self.end_anchor(end.unwrap_or(CloseReason::INTERRUPTED), now)));
        }
        self.detach(now);
        Ok(match end {
            Some(reason) if self.is_open() => Lost::Session(self.end(reason)),
            _ => Lost::Receiver,
        })
    }

    /// Appends to the session's own log, which ends the session where it is too much.
    pub(super) fn push(&mut self, push: Push) -> Result<Option<Ended>, Gone> {
        if !self.is_open() {
            return Err(Gone::Over);
        }
        // A message for which nothing waits is taken whatever its size.
        let waits = self.own.unread > 0 || push.messages.len() > 1;
        self.own.push(push.messages);
        let too_much = waits && self.own.unread > push.limit || self.own.kept > push.most_kept;
        Ok(if too_much { self.end(CloseReason::TOO_SLOW) } else { None })
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Ends the session, once. Who gets `Ended` runs the `on_close`.
    pub(super) fn end(&mut self, reason: CloseReason) -> Option<Ended> {
        if !self.is_open() {
            return None;
        }
        if reason == CloseReason::TOO_SLOW {
            // Its client will not read them, and the limit is a promise about memory.
            self.own.messages.truncate((self.own.handed.max(self.own.first()) - self.own.first()) as usize);
            self.own.kept -= self.own.unread;
            self.own.unread = 0;
            self.subscriptions.clear();
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
        // An anchored session ends where it is, behind its handler's running call.
        let idle = matches!(self.calls, Calls::Idle) && !(self.anchor && self.holder().is_some());
        let on_close = if idle { OnClose::Given } else { OnClose::Owed };
        self.phase = Phase::Closed { reason, on_close };
        idle.then(|| self.ended()).flatten()
    }

    fn ended(&self) -> Option<Ended> {
        let Phase::Closed { reason, .. } = &self.phase else { return None };
        Some(Ended {
            session: self.session,
            origin: Arc::clone(&self.origin),
            attributes: self.attributes.clone(),
            reason: reason.clone(),
        })
    }

    /// Whether somebody is still to be handed the `on_close`.
    pub(super) fn owes_on_close(&self) -> bool {
        matches!(self.phase, Phase::Closed { on_close: OnClose::Owed, .. })
    }

    pub(super) fn subscribe(&mut self, feed: &Feed, at: Position, most: usize) -> Result<(), SubscribeError> {
        if !self.is_open() {
            return Err(SubscribeError::Over);
        }
        if self.subscriptions.iter().any(|subscribed| subscribed.feed == *feed) {
            return Ok(());
        }
        if self.subscriptions.len() >= most {
            return Err(SubscribeError::TooMany(most));
        }
        self.generations += 1;
        let generation = self.generations;
        self.subscriptions.push(Subscribed { feed: feed.clone(), generation, received: at, sent: at });
        Ok(())
    }

    pub(super) fn unsubscribe(&mut self, feed: &Feed) -> Result<(), Gone> {
        if !self.is_open() {
            return Err(Gone::Over);
        }
        self.subscriptions.retain(|subscribed| subscribed.feed != *feed);
        Ok(())
    }

    pub(super) fn branch(&mut self, hold: Hold, branch: Branch<'_>, most: usize) -> Result<Branched, Gone> {
        self.check(hold)?;
        if !self.is_open() {
            return Err(Gone::Over);
        }
        let (stem, generation) = branch.stem;
        let is_stem = |known: &Subscribed| known.feed == *stem && known.generation == generation;
        if !self.subscriptions.iter().any(is_stem) {
            return Ok(Branched::Done);
        }
        match self.subscribe(branch.feed, branch.at, most) {
            Ok(()) => Ok(Branched::Done),
            Err(SubscribeError::TooMany(_)) => Ok(Branched::TooMany),
            Err(_) => Err(Gone::Over),
        }
    }

    pub(super) fn unsubscribe_tag(&mut self, tag: &str) -> Result<(), Gone> {
        if !self.is_open() {
            return Err(Gone::Over);
        }
        self.subscriptions.retain(|subscribed| subscribed.feed.tag.as_deref() != Some(tag));
        Ok(())
    }

    pub(super) fn begin(&mut self, begin: Begin, now: Instant) -> Wish {
        let Begin { node, request, attempt, count, rate, .. } = begin;
        if attempt != self.attempt {
            return Wish::Unknown;
        }
        if !self.is_open() {
            return Wish::Closed;
        }
        if request.is_some_and(|request| self.done.contains(&request)) {
            return Wish::Done;
        }
        if let Calls::Running { waiting, .. } = &mut self.calls {
            return Wish::Wait(Arc::clone(waiting.get_or_insert_default()));
        }
        if rate.is_some_and(|rate| !self.rate.admit(count, rate, now)) {
            return Wish::TooMany;
        }
        self.running = request;
        Wish::Run { turn: self.call(node), opening: self.opening }
    }

    /// Begins the next handler call.
    fn call(&mut self, node: NodeId) -> Turn {
        self.turns += 1;
        let turn = Turn(self.turns);
        self.calls = Calls::Running { turn, node, waiting: None };
        turn
    }

    /// Whether an `on_open` that has not run to its end was given up.
    pub(super) fn lacks_opening(&self) -> bool {
        self.opening && self.is_open() && matches!(self.calls, Calls::Idle)
    }

    /// Begins such an `on_open` again.
    pub(super) fn reopen(&mut self, node: NodeId) -> Opening {
        Opening {
            session: self.session,
            origin: Arc::clone(&self.origin),
            attributes: self.attributes.clone(),
            turn: self.call(node),
        }
    }

    pub(super) fn finish(&mut self, turn: Turn) -> Option<Ended> {
        if !matches!(self.calls, Calls::Running { turn: running, .. } if running == turn) {
            return None;
        }
        if let Calls::Running { waiting: Some(waiting), .. } = std::mem::replace(&mut self.calls, Calls::Idle) {
            waiting.notify_waiters();
        }
        self.opening = false;
        if let Some(request) = self.running.take() {
            remember(request, &mut self.done, DONE_REQUESTS);
        }
        match &mut self.phase {
            Phase::Closed { on_close, .. } if *on_close == OnClose::Owed => *on_close = OnClose::Given,
            _ => return None,
        }
        self.ended()
    }

    /// When the session, left alone, is gone.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.slot {
            Slot::Detached { deadline } => Some(deadline),
            Slot::Attached(_) => None,
        }
    }
}

impl Rate {
    fn admit(&mut self, count: u32, most: u32, now: Instant) -> bool {
        const SECOND: Duration = Duration::from_secs(1);
        if self.since.is_none_or(|since| now.duration_since(since) >= SECOND) {
            *self = Self { since: Some(now), count: 0 };
        }
        self.count = self.count.saturating_add(count);
        self.count <= most
    }
}
