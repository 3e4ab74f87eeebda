//! One session in memory: a state machine without locks, clocks or tasks.

mod calls;
mod feeds;
mod own_log;
mod receiver;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sockhop_transports::CloseReason;
use tokio::time::Instant;

pub(super) use self::calls::Wish;
use self::calls::{Calls, Rate};
use self::feeds::Subscribed;
use self::own_log::OwnLog;
pub(super) use self::receiver::{Lost, Outcome};
use crate::id::{NodeId, RequestId};
use crate::store::{
    Anchor, Attach, Ended, First, Gone, Hold, Holder, Kept, Known, Origin, Push, Replay, SessionRef, Takeover,
    Terms, Turn,
};

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
            self.own.drop_unread();
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

    /// When the session, left alone, is gone.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.slot {
            Slot::Detached { deadline } => Some(deadline),
            Slot::Attached(_) => None,
        }
    }
}
