//! The ids that a channel in memory remembers.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::id::MessageId;
use crate::store::once::Fingerprint;
use crate::store::{IdMemory, Position};

/// Ids in two generations: when the younger is full or old, it takes the place of the elder.
#[derive(Default)]
pub(super) struct Ids {
    young: Generation,
    old: Generation,
    memory: IdMemory,
}

#[derive(Default)]
struct Generation {
    known: HashMap<MessageId, (Fingerprint, Position)>,
    /// When its first came.
    begun: Option<Instant>,
}

impl Ids {
    /// What is to be remembered from now on; makes room for it.
    pub(super) fn prepare(&mut self, memory: IdMemory, now: Instant) {
        self.memory = memory;
        let is_old = self.young.begun.is_some_and(|begun| now.duration_since(begun) >= memory.time);
        if is_old || self.young.known.len() >= memory.ids {
            self.old = std::mem::take(&mut self.young);
        }
        self.forget(now);
    }

    pub(super) fn find(&self, id: MessageId) -> Option<(Fingerprint, Position)> {
        self.young.known.get(&id).or_else(|| self.old.known.get(&id)).copied()
    }

    pub(super) fn insert(&mut self, id: MessageId, fingerprint: Fingerprint, position: Position, now: Instant) {
        self.young.begun.get_or_insert(now);
        self.young.known.insert(id, (fingerprint, position));
    }

    /// Forgets what is older than twice the time.
    pub(super) fn forget(&mut self, now: Instant) {
        for generation in [&mut self.young, &mut self.old] {
            if generation.begun.is_some_and(|begun| now.duration_since(begun) >= 2 * self.memory.time) {
                *generation = Generation::default();
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.young.known.is_empty() && self.old.known.is_empty()
    }
}
