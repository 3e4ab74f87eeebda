//! The frames that a session's client is sent beside those of its channels.

use std::collections::VecDeque;

use sockhop_transports::Message;

use crate::store::Own;

/// The session's own frames: `o`, then messages. Indices count from `o`, which is 0.
#[derive(Default)]
pub(super) struct OwnLog {
    /// Frames that the client is known to have.
    pub(super) received: u64,
    /// Frames that were sent by the last release.
    pub(super) sent: u64,
    /// Frames that the receiver was handed: what lies behind them is unread.
    pub(super) handed: u64,
    /// The messages from `received` on (from 1, if `o` is not received).
    messages: VecDeque<Message>,
    pub(super) unread: usize,
    /// All of them.
    pub(super) kept: usize,
}

impl OwnLog {
    pub(super) fn first(&self) -> u64 {
        self.received.max(1)
    }

    pub(super) fn end(&self) -> u64 {
        self.first() + self.messages.len() as u64
    }

    pub(super) fn from(&self, own: Own) -> impl Iterator<Item = &Message> {
        self.messages.iter().skip(own.0.saturating_sub(self.first()) as usize)
    }

    pub(super) fn push(&mut self, messages: Vec<Message>) {
        let weight = crate::store::size_of(&messages);
        self.unread += weight;
        self.kept += weight;
        self.messages.extend(messages);
    }

    /// Drops what no receiver was handed.
    pub(super) fn drop_unread(&mut self) {
        self.messages.truncate((self.handed.max(self.first()) - self.first()) as usize);
        self.kept -= self.unread;
        self.unread = 0;
    }

    /// The receiver was handed everything before `own`.
    pub(super) fn hand(&mut self, own: Own) {
        let own = own.0.min(self.end());
        while self.handed < own {
            if let Some(message) =
                self.handed.checked_sub(self.first()).and_then(|at| self.messages.get(at as usize))
            {
                self.unread -= message.weight();
            }
            self.handed += 1;
        }
    }

    /// Everything sent was received.
    pub(super) fn receive(&mut self) {
        while self.first() < self.sent
            && let Some(message) = self.messages.pop_front()
        {
            self.kept -= message.weight();
            self.received = self.first() + 1;
        }
        self.received = self.received.max(self.sent);
    }

    /// What was sent was not received: the next receiver is handed it again.
    pub(super) fn rewind(&mut self) {
        self.handed = self.received;
        self.sent = self.received;
        self.unread = self.kept;
    }
}
