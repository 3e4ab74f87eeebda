//! The channels that a session follows.

use super::Record;
use crate::store::{Branch, Branched, Feed, Gone, Hold, Position, SubscribeError};

pub(super) struct Subscribed {
    pub(super) feed: Feed,
    pub(super) generation: u64,
    /// What the client is known to have.
    pub(super) received: Position,
    /// What the last release says was sent; received, once the client sends another request.
    pub(super) sent: Position,
}

impl Record {
    pub(in crate::store::memory) fn subscribe(
        &mut self,
        feed: &Feed,
        at: Position,
        most: usize,
    ) -> Result<(), SubscribeError> {
        if !self.is_open() {
            return Err(SubscribeError::Over);
        }
        if self.subscriptions.iter().any(|subscribed| subscribed.feed == *feed) {
            return Ok(());
        }
        if self.subscriptions.len() >= most {
            return Err(SubscribeError::TooMany(most));
        }
        self.generations += 1;
        let generation = self.generations;
        self.subscriptions.push(Subscribed { feed: feed.clone(), generation, received: at, sent: at });
        Ok(())
    }

    pub(in crate::store::memory) fn unsubscribe(&mut self, feed: &Feed) -> Result<(), Gone> {
        if !self.is_open() {
            return Err(Gone::Over);
        }
        self.subscriptions.retain(|subscribed| subscribed.feed != *feed);
        Ok(())
    }

    pub(in crate::store::memory) fn branch(
        &mut self,
        hold: Hold,
        branch: Branch<'_>,
        most: usize,
    ) -> Result<Branched, Gone> {
        self.check(hold)?;
        if !self.is_open() {
            return Err(Gone::Over);
        }
        let (stem, generation) = branch.stem;
        let is_stem = |known: &Subscribed| known.feed == *stem && known.generation == generation;
        if !self.subscriptions.iter().any(is_stem) {
            return Ok(Branched::Done);
        }
        match self.subscribe(branch.feed, branch.at, most) {
            Ok(()) => Ok(Branched::Done),
            Err(SubscribeError::TooMany(_)) => Ok(Branched::TooMany),
            Err(_) => Err(Gone::Over),
        }
    }

    pub(in crate::store::memory) fn unsubscribe_tag(&mut self, tag: &str) -> Result<(), Gone> {
        if !self.is_open() {
            return Err(Gone::Over);
        }
        self.subscriptions.retain(|subscribed| subscribed.feed.tag.as_deref() != Some(tag));
        Ok(())
    }
}
