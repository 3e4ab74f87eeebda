//! The calls of a session's handler: one at a time, each request once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{OnClose, Phase, Record, remember};
use crate::id::NodeId;
use crate::store::{Begin, Ended, Opening, Turn};

/// What became of a wish to call the handler.
pub(in crate::store::memory) enum Wish {
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

/// Handler calls of one session never overlap.
pub(super) enum Calls {
    Idle,
    Running { turn: Turn, node: NodeId, waiting: Option<Arc<Notify>> },
}

/// Messages in the running second.
#[derive(Default)]
pub(super) struct Rate {
    since: Option<Instant>,
    count: u32,
}

impl Record {
    /// Whether this call was the last one, and is over.
    pub(in crate::store::memory) fn has_ended(&self, turn: Turn) -> bool {
        self.turns == turn.0 && matches!(self.calls, Calls::Idle)
    }

    /// Whether this call is the one under way.
    pub(in crate::store::memory) fn is_running(&self, turn: Turn) -> bool {
        matches!(self.calls, Calls::Running { turn: running, .. } if running == turn)
    }

    pub(in crate::store::memory) fn begin(&mut self, begin: Begin, now: Instant) -> Wish {
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
    pub(in crate::store::memory) fn lacks_opening(&self) -> bool {
        self.opening && self.is_open() && matches!(self.calls, Calls::Idle)
    }

    /// Begins such an `on_open` again.
    pub(in crate::store::memory) fn reopen(&mut self, node: NodeId) -> Opening {
        Opening {
            session: self.session,
            origin: Arc::clone(&self.origin),
            attributes: self.attributes.clone(),
            turn: self.call(node),
        }
    }

    pub(in crate::store::memory) fn finish(&mut self, turn: Turn) -> Option<Ended> {
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

/// Requests that were handled and are remembered.
const DONE_REQUESTS: usize = 4;
