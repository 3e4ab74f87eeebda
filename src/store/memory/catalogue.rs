//! One catalogue's names in memory.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::id::ChannelName;
use crate::store::Enlist;

/// The names of a catalogue, each until when.
#[derive(Default)]
pub(super) struct Names {
    until: HashMap<ChannelName, Instant>,
    /// There was no room for a name of late.
    incomplete: Option<Instant>,
}

/// What becomes of a name.
pub(super) enum Outcome {
    Known,
    New,
    /// There is no room; whether that is to be told.
    Full {
        news: bool,
    },
}

impl Names {
    pub(super) fn enlist(&mut self, enlist: &Enlist<'_>, now: Instant) -> Outcome {
        self.forget(now);
        let known = self.until.contains_key(enlist.name);
        if !known && self.until.len() >= enlist.most {
            let news = self.incomplete.is_none();
            self.incomplete = Some(now + enlist.incomplete);
            return Outcome::Full { news };
        }
        let until = self.until.entry(enlist.name.clone()).or_insert(now);
        *until = (*until).max(now + enlist.life);
        if known { Outcome::Known } else { Outcome::New }
    }

    /// The names, and whether they are all.
    pub(super) fn listed(&mut self, now: Instant) -> (Vec<ChannelName>, bool) {
        self.forget(now);
        (self.until.keys().cloned().collect(), self.incomplete.is_none())
    }

    fn forget(&mut self, now: Instant) {
        self.until.retain(|_, until| *until > now);
        self.incomplete = self.incomplete.filter(|until| *until > now);
    }
}
