//! Who receives what a session sends: one receiver at a time, each told from the next by its attachment.

use sockhop_transports::CloseReason;
use tokio::time::Instant;

use super::feeds::Subscribed;
use super::{Phase, Record, Slot, remember};
use crate::store::{Again, Attach, Ended, Gone, Hold, Holder, Own, Pending, Replay, Sent, Subscription, Takeover};

/// What became of an attach.
pub(in crate::store::memory) enum Outcome {
    /// Held; the holder that lost it, if there was one.
    Held(Hold, Pending, Option<Holder>),
    Busy(Holder),
    Superseded,
    Stale,
}

/// What is lost with a client's connection.
pub(in crate::store::memory) enum Lost {
    /// All of it; who gets `Ended` runs the `on_close`.
    Session(Option<Ended>),
    Receiver,
}

impl Record {
    pub(super) fn check(&self, hold: Hold) -> Result<(), Gone> {
        match self.slot {
            Slot::Attached(_) if self.attachment == hold.attachment => Ok(()),
            _ => Err(Gone::Fenced),
        }
    }

    pub(in crate::store::memory) fn attach(&mut self, attach: &Attach<'_>) -> Outcome {
        let attempt = attach.attempt.map(|attempt| attempt.number);
        if attempt < self.attempt {
            return Outcome::Superseded;
        }
        let resumed = attempt > self.attempt;
        // A balancer repeats a request a few times; whoever names all requests alike is not to get the same for ever.
        let repeated = attach.request.is_some() && attach.request == self.request && self.repeats < MOST_REPEATS;
        if !repeated && attach.request.is_some_and(|request| self.older.contains(&request)) {
            return Outcome::Stale;
        }
        let holder = self.holder();
        if let Some(holder) = holder
            && !repeated
            && !resumed
            && attach.takeover != Takeover::From(holder.hold)
        {
            return Outcome::Busy(holder);
        }
        if resumed {
            self.attempt = attempt;
            self.replay_sent = Replay::Open;
            // What was sent is not known to have been received, nor will a later request say so.
            self.subscriptions.iter_mut().for_each(|subscription| subscription.sent = subscription.received);
        } else if !repeated {
            self.receive();
            // The client asks again of its own accord, so it knows that its session is open: a second `o` would end it.
            self.own.received = self.own.first();
            self.replay_sent = self.replay_sent.opened();
        }
        if resumed || !repeated {
            self.replay = self.replay_sent;
            self.batched = false;
            self.repeats = 0;
            if let Some(older) = self.request.filter(|_| self.request != attach.request) {
                remember(older, &mut self.older, OLD_REQUESTS);
            }
        } else {
            self.repeats += 1;
        }
        self.rewind();
        self.attachment += 1;
        self.request = attach.request;
        self.slot = Slot::Attached(attach.node);
        Outcome::Held(self.hold(), self.snapshot(Own(self.own.received)), holder)
    }

    /// What was handed out may not have been received. A batch that was released stays as it is.
    pub(super) fn rewind(&mut self) {
        if !self.batched {
            self.own.rewind();
        }
    }

    /// The client has all that was sent.
    pub(super) fn receive(&mut self) {
        self.own.receive();
        self.subscriptions.iter_mut().for_each(|subscription| subscription.received = subscription.sent);
    }

    fn snapshot(&self, own: Own) -> Pending {
        let subscription = |subscribed: &Subscribed| Subscription {
            feed: subscribed.feed.clone(),
            generation: subscribed.generation,
            cursor: subscribed.received,
            sent: subscribed.sent,
        };
        Pending {
            replay: if own == Own(0) && self.replay == Replay::Over { Replay::New } else { self.replay },
            from: own,
            messages: self.own.from(own).cloned().collect(),
            subscriptions: self.subscriptions.iter().map(subscription).collect(),
            closed: match &self.phase {
                Phase::Open => None,
                Phase::Closed { reason, .. } => Some(reason.clone()),
            },
            terms: self.terms,
            again: self.batched.then_some(Again { own: Own(self.own.sent), replay: self.replay_sent }),
        }
    }

    pub(in crate::store::memory) fn pending(&mut self, hold: Hold, own: Own) -> Result<Pending, Gone> {
        self.check(hold)?;
        self.own.hand(own);
        Ok(self.snapshot(own))
    }

    /// The client has received all this.
    pub(in crate::store::memory) fn commit(&mut self, hold: Hold, received: Sent) -> Result<(), Gone> {
        self.check(hold)?;
        self.hand_out(received);
        self.replay = self.replay_sent;
        self.receive();
        Ok(())
    }

    fn hand_out(&mut self, sent: Sent) {
        self.own.hand(sent.own);
        // Not all that the receiver was handed: a look may have handed it more since this was sent.
        self.own.sent = self.own.sent.max(sent.own.0.min(self.own.end()));
        self.replay_sent = sent.replay;
        for (feed, generation, position) in sent.channels {
            let subscribed = self.subscriptions.iter_mut().find(|subscribed| subscribed.feed == feed);
            if let Some(subscribed) = subscribed.filter(|subscribed| subscribed.generation == generation) {
                subscribed.sent = position;
            }
        }
    }

    pub(in crate::store::memory) fn release(&mut self, hold: Hold, sent: Sent, now: Instant) -> Result<(), Gone> {
        let again =
            self.holder().is_none() && self.released == hold.attachment && self.attachment == self.released;
        if again {
            return Ok(());
        }
        self.check(hold)?;
        self.hand_out(sent);
        if !self.is_open() {
            // What its channels had before the close was handed out: nothing more comes.
            self.subscriptions.clear();
        }
        self.released = hold.attachment;
        self.batched = true;
        self.detach(now);
        Ok(())
    }

    pub(super) fn detach(&mut self, now: Instant) {
        self.slot = Slot::Detached { deadline: now + self.origin.disconnect_delay };
    }

    pub(in crate::store::memory) fn disown(&mut self, hold: Hold, now: Instant) -> Result<(), Gone> {
        self.check(hold)?;
        if self.anchor {
            let _ = self.end_anchor(CloseReason::INTERRUPTED, now);
            return Ok(());
        }
        self.rewind();
        self.detach(now);
        Ok(())
    }

    /// The client's connection was lost. A session that can be resumed is only let go, as is a closing one: its client
    /// may yet be told why it closed.
    pub(in crate::store::memory) fn lost(&mut self, hold: Hold, now: Instant) -> Result<Lost, Gone> {
        let resumable = self.attempt.is_some();
        self.gone(hold, now, (!resumable).then_some(CloseReason::INTERRUPTED))
    }

    /// The client has closed the connection, or broken the rules.
    pub(in crate::store::memory) fn quit(
        &mut self,
        hold: Hold,
        now: Instant,
        reason: CloseReason,
    ) -> Result<Lost, Gone> {
        self.gone(hold, now, Some(reason))
    }

    fn gone(&mut self, hold: Hold, now: Instant, end: Option<CloseReason>) -> Result<Lost, Gone> {
        self.check(hold)?;
        if self.anchor {
            return Ok(Lost::Session(self.end_anchor(end.unwrap_or(CloseReason::INTERRUPTED), now)));
        }
        self.detach(now);
        Ok(match end {
            Some(reason) if self.is_open() => Lost::Session(self.end(reason)),
            _ => Lost::Receiver,
        })
    }
}

/// How often one request is taken for a repeat.
const MOST_REPEATS: u32 = 32;
/// Requests before the last one that are remembered.
const OLD_REQUESTS: usize = 3;
