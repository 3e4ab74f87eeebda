//! What of sessions runs on this process: handler calls, `on_close`s, and calls that wait for others.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::id::{NodeId, SessionKey};
use crate::store::SessionRef;

/// Calls under way here.
#[derive(Default)]
pub(super) struct Calls(Mutex<State>);

#[derive(Default)]
struct State {
    /// By which node.
    running: HashMap<u64, NodeId>,
    /// Ends that were handed out and are not written down as handled.
    given: HashSet<SessionRef>,
    waiting: HashMap<SessionKey, Arc<Notify>>,
}

impl Calls {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begun(&self, turn: u64, node: NodeId) {
        self.lock().running.insert(turn, node);
    }

    pub(super) fn ended(&self, turn: u64) {
        self.lock().running.remove(&turn);
    }

    pub(super) fn is_running(&self, turn: u64) -> bool {
        self.lock().running.contains_key(&turn)
    }

    /// The node that runs a call.
    pub(super) fn runner(&self, turn: u64) -> Option<NodeId> {
        self.lock().running.get(&turn).copied()
    }

    /// An end is handed out, unless it was.
    pub(super) fn given(&self, session: SessionRef) -> bool {
        self.lock().given.insert(session)
    }

    pub(super) fn handled(&self, session: SessionRef) {
        self.lock().given.remove(&session);
    }

    pub(super) fn is_given(&self, session: SessionRef) -> bool {
        self.lock().given.contains(&session)
    }

    /// Resolves when a call of the session is over, from now on.
    pub(super) fn over(&self, key: SessionKey) -> OwnedNotified {
        let mut state = self.lock();
        if state.waiting.len() > 1024 {
            // Whoever waits holds a clone.
            state.waiting.retain(|_, waiting| Arc::strong_count(waiting) > 1);
        }
        Arc::clone(state.waiting.entry(key).or_default()).notified_owned()
    }

    /// A call of the session is over.
    pub(super) fn turn_over(&self, key: SessionKey) {
        if let Some(waiting) = self.lock().waiting.remove(&key) {
            waiting.notify_waiters();
        }
    }
}
