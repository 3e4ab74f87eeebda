//! The batches that a channel or a queue in memory has taken last, so that one that comes again is not taken again.

use crate::store::Batch;

/// The last batch of each node that named its batches, and what became of it.
pub(super) struct Batches<T>(Vec<(Batch, T)>);

impl<T> Default for Batches<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy> Batches<T> {
    /// What became of a batch, if it was taken already.
    pub(super) fn already(&self, batch: Batch) -> Option<T> {
        let (last, outcome) = self.0.iter().find(|(last, _)| last.node == batch.node)?;
        (batch.number <= last.number).then_some(*outcome)
    }

    pub(super) fn remember(&mut self, batch: Batch, outcome: T) {
        self.0.retain(|(last, _)| last.node != batch.node);
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push((batch, outcome));
    }
}

/// Nodes whose last batch is remembered.
const MOST: usize = 64;
