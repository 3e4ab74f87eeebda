//! Queues: logs whose every message goes to one of the consumers.
//!
//! What a consumer is given is appended to a channel of its own, so a session follows it with a cursor as it does any
//! channel. A message that was given to somebody before begins with a line of its own: `\!`, how often it has been
//! given out with this time, and a line feed.

use std::fmt;

use super::StoreError;
use super::channel::Position;
use super::session::SessionRef;
use crate::id::{ChannelName, digest, hex};

/// Who consumes: one subscription of one session, of one life.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsumerId([u8; 16]);

impl ConsumerId {
    /// The consumer that a session numbers so.
    #[must_use]
    pub fn of(session: SessionRef, number: u64) -> Self {
        let key = hex(&session.key.to_bytes());
        Self(digest(&["consumer", &key, &session.life.to_string(), &number.to_string()]))
    }

    pub(crate) fn text(self) -> String {
        hex(&self.0)
    }
}

impl fmt::Debug for ConsumerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConsumerId({})", self.text())
    }
}

/// A consumer of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Consumer {
    /// The queue.
    pub queue: ChannelName,
    /// Who.
    pub id: ConsumerId,
}

impl Consumer {
    /// The channel of what the consumer is given. Nobody can publish to it.
    #[must_use]
    pub fn channel(&self) -> ChannelName {
        ChannelName::of_consumer(&self.queue, &self.id.text())
    }

    /// Whose channel this is, if it is that of a consumer.
    #[must_use]
    pub fn of_channel(channel: &ChannelName) -> Option<Self> {
        let (queue, id) = channel.consumer()?;
        let id = u128::from_str_radix(id, 16).ok()?;
        Some(Self { queue: ChannelName::new(queue).ok()?, id: ConsumerId(id.to_be_bytes()) })
    }
}

/// What became of messages that a consumer was given, by their positions in its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// The client has got all up to here: they need not be read again. Whether that says that they are handled as well.
    Received {
        /// The last of them.
        at: Position,
        /// They need not be settled any more.
        handled: bool,
    },
    /// They are handled: the queue forgets them.
    Handled(Position, Which),
    /// They are not, and will not be: they go back to the queue, before all that came later, and to another consumer if
    /// there is one that may have more.
    Returned(Position, Which),
}

/// Which messages a position names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one that stands there.
    One,
    /// That one, and all before.
    UpTo,
}

/// Whether a settlement meant anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// What it says holds, by it or by an earlier one.
    Done,
    /// The consumer is none, or was never given a message at that position.
    Unknown,
}

/// A consumer was not made known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumeError {
    /// It was cancelled.
    #[error("the consumer was cancelled")]
    Cancelled,
    /// The queue has as many as it may have.
    #[error("the queue has {0} consumers, as many as it may have")]
    TooMany(usize),
    /// The store cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Bytes that a consumer may hold unsettled before it is given another message.
pub(super) const MOST_BYTES: usize = 512 * 1024;
/// How many times its credit a consumer's channel may hold of what is settled, but not known to be received, or stands
/// behind what is not settled.
pub(super) const SPAN: u64 = 10;
/// Milliseconds that a queue with messages is kept after it was last used; and that what ended is remembered, so that
/// commands which come late change nothing.
pub(super) const KEPT: u64 = 7 * 24 * 3600 * 1000;
/// See [`KEPT`].
pub(super) const REMEMBERED: u64 = 600 * 1000;
/// Consumers that have ended and are remembered.
pub(super) const MOST_ENDED: usize = 10_000;
