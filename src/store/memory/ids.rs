//! The ids that a channel or a queue in memory remembers.

use std::collections::HashMap;

use sockhop_transports::Message;
use tokio::time::Instant;

use crate::id::MessageId;
use crate::store::once::{Fingerprint, fingerprint};
use crate::store::{IdMemory, Once, Position};

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

/// Messages whose ids are new, told from those that are known.
#[derive(Default)]
pub(super) struct Sifted {
    /// What became of each message, once the new ones are taken.
    pub(super) outcomes: Vec<Once>,
    /// The new ones.
    pub(super) fresh: Vec<Message>,
    ids: HashMap<MessageId, (Fingerprint, Position)>,
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

    /// Tells messages apart; those that are new are to stand behind a place.
    pub(super) fn sift(&self, messages: &[(MessageId, Message)], behind: Position) -> Sifted {
        let mut sifted = Sifted::default();
        for (id, message) in messages {
            let content = fingerprint(message);
            let known = [&sifted.ids, &self.young.known, &self.old.known].iter().find_map(|known| known.get(id));
            sifted.outcomes.push(match known.copied() {
                Some((known, position)) if known == content => Once::Repeated(position),
                Some((_, position)) => Once::Conflict(position),
                None => {
                    sifted.fresh.push(message.clone());
                    let position = Position { seq: behind.seq + sifted.fresh.len() as u64, ..behind };
                    sifted.ids.insert(*id, (content, position));
                    Once::Published(position)
                }
            });
        }
        sifted
    }

    /// The new ones were taken: remembers them, and says what became of all.
    pub(super) fn remember(&mut self, sifted: Sifted, now: Instant) -> Vec<Once> {
        if !sifted.ids.is_empty() {
            self.young.begun.get_or_insert(now);
            self.young.known.extend(sifted.ids);
        }
        sifted.outcomes
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
