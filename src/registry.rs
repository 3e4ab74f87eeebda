//! The receivers that are attached on this node: where signals for them go.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slab::Slab;
use smallvec::SmallVec;
use sockhop_transports::Message;
use tokio::sync::{Notify, oneshot};

use crate::hub::Mailbox;
use crate::id::SessionKey;
use crate::store::{Hold, Own, shard_of};

/// All receivers and sockets of a node.
#[derive(Default)]
pub(crate) struct Registry {
    shards: [Mutex<HashMap<SessionKey, SmallVec<[Present; 1]>>>; SHARDS],
    sockets: Mutex<Slab<Arc<Mailbox>>>,
    tickets: AtomicU64,
    /// Rung whenever a receiver leaves.
    left: Notify,
    /// Questions to other nodes that wait for their answer.
    asked: Mutex<HashMap<u64, oneshot::Sender<bool>>>,
}

const SHARDS: usize = 16;
/// How long a receiver that seems to be there may take to turn out gone: its client's FIN may still be under way.
const GRACE: Duration = Duration::from_millis(100);

/// What carries a session's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Response,
    /// A WebSocket, whose session outlives it.
    Socket,
    /// A WebSocket, whose session is in memory and anchored in the store.
    Anchored,
}

/// One receiver of a session in the store.
struct Present {
    ticket: u64,
    kind: Kind,
    /// Known once the store has answered its attach.
    hold: Option<Hold>,
    mailbox: Arc<Mailbox>,
}

impl Registry {
    fn shard(&self, key: SessionKey) -> MutexGuard<'_, HashMap<SessionKey, SmallVec<[Present; 1]>>> {
        lock(&self.shards[shard_of(key, SHARDS)])
    }

    /// A receiver is about to attach: signals for the session reach it from now on.
    pub(crate) fn enter(&self, key: SessionKey, mailbox: &Arc<Mailbox>, kind: Kind) -> u64 {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let present = Present { ticket, kind, hold: None, mailbox: Arc::clone(mailbox) };
        self.shard(key).entry(key).or_default().push(present);
        ticket
    }

    /// The receiver holds its session.
    pub(crate) fn attached(&self, ticket: u64, hold: Hold) {
        if let Some(receivers) = self.shard(hold.session.key).get_mut(&hold.session.key)
            && let Some(present) = receivers.iter_mut().find(|present| present.ticket == ticket)
        {
            present.hold = Some(hold);
        }
        // Whoever waited to learn what this one holds knows now.
        self.left.notify_waiters();
    }

    /// The receiver is gone, and the store knows.
    pub(crate) fn leave(&self, key: SessionKey, ticket: u64) {
        {
            let mut shard = self.shard(key);
            if let Some(receivers) = shard.get_mut(&key) {
                receivers.retain(|present| present.ticket != ticket);
                if receivers.is_empty() {
                    shard.remove(&key);
                }
            }
        }
        self.left.notify_waiters();
    }

    /// The session has news for whoever holds it here.
    pub(crate) fn changed(&self, hold: Hold) {
        if let Some(receivers) = self.shard(hold.session.key).get(&hold.session.key) {
            receivers.iter().for_each(|present| present.mailbox.changed());
        }
    }

    /// Frames were appended to the log of a session that is held here.
    pub(crate) fn frames(&self, hold: Hold, from: Own, frames: &[Message]) {
        for present in self.shard(hold.session.key).get(&hold.session.key).into_iter().flatten() {
            match present.hold {
                Some(held) if held == hold => present.mailbox.frames(from, frames),
                Some(_) => {}
                None => present.mailbox.changed(),
            }
        }
    }

    /// All sessions that are held here may have news.
    pub(crate) fn changed_all(&self) {
        for shard in &self.shards {
            lock(shard).values().flatten().for_each(|present| present.mailbox.changed());
        }
    }

    /// Ends all receivers of sessions in the store unwritten.
    pub(crate) fn fence_all(&self) {
        for shard in &self.shards {
            lock(shard).values().flatten().for_each(|present| present.mailbox.fence());
        }
    }

    /// Another attach has taken the session over.
    pub(crate) fn fence(&self, hold: Hold) {
        for present in self.shard(hold.session.key).get(&hold.session.key).into_iter().flatten() {
            match present.hold {
                Some(held) if held == hold => present.mailbox.fence(),
                Some(_) => {}
                // It may hold just this, and learns so from the store.
                None => present.mailbox.changed(),
            }
        }
    }

    /// Whether the receiver is here, or one is that came before `asker` and does not know yet what it holds.
    fn is_present(&self, hold: Hold, asker: u64) -> bool {
        let shard = self.shard(hold.session.key);
        let is_it = |present: &Present| match present.hold {
            Some(held) => held == hold,
            None => present.ticket < asker,
        };
        shard.get(&hold.session.key).is_some_and(|receivers| receivers.iter().any(is_it))
    }

    /// Whether a receiver is here and stays so for a moment. `asker` is the ticket of a receiver here that asks.
    pub(crate) async fn stays(&self, hold: Hold, asker: Option<u64>) -> bool {
        let asker = asker.unwrap_or(u64::MAX);
        let gone = async {
            loop {
                let left = self.left.notified();
                if !self.is_present(hold, asker) {
                    break;
                }
                left.await;
            }
        };
        tokio::time::timeout(GRACE, gone).await.is_err()
    }

    /// HTTP receivers that are here.
    pub(crate) fn receivers(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).values().map(SmallVec::len).sum::<usize>()).sum()
    }

    /// Resolves once no HTTP receiver is here.
    pub(crate) async fn all_left(&self) {
        loop {
            let left = self.left.notified();
            if self.receivers() == 0 {
                return;
            }
            left.await;
        }
    }

    /// A question for another node: its ticket, and where the answer arrives.
    pub(crate) fn ask(&self) -> Question<'_> {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        lock(&self.asked).insert(ticket, sender);
        Question { registry: self, ticket, answer }
    }

    /// A question is answered.
    pub(crate) fn answered(&self, ticket: u64, stays: bool) {
        if let Some(sender) = lock(&self.asked).remove(&ticket) {
            // Whoever asked may have gone away: then nobody wants to know.
            let _ = sender.send(stays);
        }
    }

    /// A WebSocket is there.
    pub(crate) fn enter_socket(&self, mailbox: &Arc<Mailbox>) -> usize {
        lock(&self.sockets).insert(Arc::clone(mailbox))
    }

    /// A WebSocket is gone.
    pub(crate) fn leave_socket(&self, socket: usize) {
        lock(&self.sockets).try_remove(socket);
    }

    /// The mailboxes of all WebSockets whose sessions are nowhere else.
    pub(crate) fn sockets(&self) -> Vec<Arc<Mailbox>> {
        lock(&self.sockets).iter().map(|(_, mailbox)| Arc::clone(mailbox)).collect()
    }

    /// The mailboxes of all receivers of a kind.
    pub(crate) fn mailboxes(&self, kind: Kind) -> Vec<Arc<Mailbox>> {
        let of_kind = |present: &Present| (present.kind == kind).then(|| Arc::clone(&present.mailbox));
        let mut receivers = Vec::new();
        for shard in &self.shards {
            receivers.extend(lock(shard).values().flatten().filter_map(of_kind));
        }
        receivers
    }
}

/// A question under way; forgotten when dropped.
pub(crate) struct Question<'a> {
    registry: &'a Registry,
    pub(crate) ticket: u64,
    pub(crate) answer: oneshot::Receiver<bool>,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        lock(&self.registry.asked).remove(&self.ticket);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
