//! The nodes of this process, and how they are told.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use super::lock;
use crate::id::NodeId;
use crate::store::{Holder, Inbox, Signal};

/// Nodes that share the store.
#[derive(Default)]
pub(super) struct Nodes {
    inboxes: RwLock<HashMap<NodeId, Weak<dyn Inbox>>>,
    /// Nodes that are about to leave.
    retired: Mutex<HashSet<NodeId>>,
}

impl Nodes {
    pub(super) fn join(&self, node: NodeId, inbox: Weak<dyn Inbox>) {
        self.inboxes.write().unwrap_or_else(PoisonError::into_inner).insert(node, inbox);
    }

    /// The node is about to leave; whether all others are as well.
    pub(super) fn retire(&self, node: NodeId) -> bool {
        let mut retired = lock(&self.retired);
        retired.insert(node);
        let inboxes = self.inboxes.read().unwrap_or_else(PoisonError::into_inner);
        inboxes.keys().all(|known| retired.contains(known))
    }

    pub(super) fn leave(&self, node: NodeId) {
        self.inboxes.write().unwrap_or_else(PoisonError::into_inner).remove(&node);
        lock(&self.retired).remove(&node);
    }

    /// Whether a node is the one that does what one of them has to do.
    pub(super) fn is_first(&self, node: NodeId) -> bool {
        self.inboxes.read().unwrap_or_else(PoisonError::into_inner).keys().min() == Some(&node)
    }

    pub(super) fn inbox(&self, node: NodeId) -> Option<Arc<dyn Inbox>> {
        self.inboxes.read().unwrap_or_else(PoisonError::into_inner).get(&node)?.upgrade()
    }

    pub(super) fn tell(&self, node: NodeId, signal: Signal) {
        if let Some(inbox) = self.inbox(node) {
            inbox.signal(signal);
        }
    }

    /// Tells the holder of a changed session, if it has one.
    pub(super) fn changed(&self, holder: Option<Holder>) {
        if let Some(holder) = holder {
            self.tell(holder.node, Signal::Changed(holder.hold));
        }
    }
}
