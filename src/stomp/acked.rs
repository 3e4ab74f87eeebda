//! How far a client has acknowledged a topic's messages, so that a resumed session goes on there.

use std::collections::BTreeSet;

use crate::store::{Position, Which};

/// What a client has acknowledged of one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Acked {
    /// The client's name of the subscription.
    pub(super) id: Box<str>,
    pub(super) destination: Box<str>,
    /// All up to here.
    pub(super) up_to: Position,
    /// Of those behind, these.
    beyond: BTreeSet<u64>,
}

/// Acknowledged messages behind one that is not: of more, it is forgotten that they were.
const MOST_BEYOND: usize = 256;

impl Acked {
    pub(super) fn new(id: &str, destination: &str, up_to: Position) -> Self {
        Self { id: id.into(), destination: destination.into(), up_to, beyond: BTreeSet::new() }
    }

    /// Notes an acknowledgement; whether it changes anything.
    pub(super) fn note(&mut self, at: Position, which: Which) -> bool {
        match which {
            Which::UpTo if at.epoch != self.up_to.epoch => (self.up_to, self.beyond) = (at, BTreeSet::new()),
            Which::UpTo if at.seq > self.up_to.seq => {
                self.up_to = at;
                self.beyond = self.beyond.split_off(&(at.seq + 1));
            }
            Which::One if at.epoch == self.up_to.epoch && at.seq > self.up_to.seq => {
                if self.beyond.len() == MOST_BEYOND && at.seq != self.up_to.seq + 1 {
                    return false;
                }
                self.beyond.insert(at.seq);
            }
            _ => return false,
        }
        while self.beyond.remove(&(self.up_to.seq + 1)) {
            self.up_to.seq += 1;
        }
        true
    }

    /// What an attribute holds of it.
    pub(super) fn text(&self) -> String {
        let beyond: Vec<_> = self.beyond.iter().map(u64::to_string).collect();
        format!("{} {} {}", self.up_to, beyond.join(","), self.destination)
    }

    pub(super) fn read(id: &str, text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        let up_to = parts.next()?.parse().ok()?;
        let beyond = parts.next()?.split(',').filter(|seq| !seq.is_empty()).map(str::parse);
        let beyond = beyond.collect::<Result<_, _>>().ok()?;
        Some(Self { id: id.into(), destination: parts.next()?.into(), up_to, beyond })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Epoch;

    fn at(seq: u64) -> Position {
        Position { epoch: Epoch(7), seq }
    }

    #[test]
    fn it_stands_before_the_first_message_that_is_not_acknowledged() {
        let mut acked = Acked::new("a b", "/topic/a b", at(10));
        for (seq, which, up_to) in [
            (12, Which::One, 10),
            (14, Which::One, 10),
            (11, Which::One, 12),
            (11, Which::UpTo, 12),
            (13, Which::UpTo, 14),
            (3, Which::One, 14),
            (20, Which::UpTo, 20),
        ] {
            acked.note(at(seq), which);
            assert_eq!(acked.up_to, at(up_to), "after {seq} {which:?}");
            assert_eq!(Acked::read("a b", &acked.text()), Some(acked.clone()));
        }
        assert!(acked.note(Position { epoch: Epoch(8), seq: 2 }, Which::UpTo));
        assert_eq!(acked.up_to.epoch, Epoch(8));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut acked = Acked::new("0", "/topic/a", at(0));
        for seq in 2..10_000 {
            acked.note(at(seq), Which::One);
        }
        assert_eq!(acked.beyond.len(), MOST_BEYOND);
        acked.note(at(1), Which::One);
        assert_eq!(acked.up_to, at(MOST_BEYOND as u64 + 1));
    }
}
