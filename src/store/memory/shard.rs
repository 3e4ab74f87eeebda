//! A part of the sessions in memory.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};

use tokio::time::Instant;

use super::record::Record;
use crate::id::SessionKey;
use crate::store::{Gone, SessionRef};

/// Some of the sessions, behind one lock.
#[derive(Default)]
pub(super) struct Shard {
    /// Boxed: a map of large values wastes what it keeps free.
    pub(super) records: HashMap<SessionKey, Box<Record>>,
    /// Sessions that are gone but for a handler call under way, by their life.
    pub(super) ending: HashMap<u64, Box<Record>>,
    pub(super) timers: BinaryHeap<Reverse<(Instant, SessionRef)>>,
    /// Anchored sessions whose node has left before them, by their life, until it hears of that.
    pub(super) taken: HashSet<u64>,
    /// Sessions whose ends were told last: an anchor that comes yet comes too late.
    quit: VecDeque<SessionRef>,
}

/// How many of those are remembered.
const MOST_QUIT: usize = 64;

impl Shard {
    /// The end of a session is told.
    pub(super) fn note_quit(&mut self, session: SessionRef) {
        self.quit.truncate(MOST_QUIT - 1);
        self.quit.push_front(session);
    }

    /// Whether an anchored session has ended before.
    pub(super) fn has_ended(&self, session: SessionRef) -> bool {
        self.taken.contains(&session.life) || self.quit.contains(&session)
    }

    /// The session, also when only its last handler call is left of it.
    pub(super) fn find(&mut self, session: SessionRef) -> Result<&mut Record, Gone> {
        match self.records.get_mut(&session.key) {
            Some(record) if record.session == session => Ok(record),
            _ => {
                let ending = self.ending.get_mut(&session.life).map(Box::as_mut);
                ending.filter(|record| record.session == session).ok_or(Gone::Over)
            }
        }
    }

    /// Frees the key of a session that is over; its record stays while a handler call owes the `on_close`.
    pub(super) fn remove(&mut self, key: SessionKey) {
        if let Some(record) = self.records.remove(&key)
            && record.owes_on_close()
        {
            self.ending.insert(record.session.life, record);
        }
    }
}
