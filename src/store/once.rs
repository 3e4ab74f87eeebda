//! Publishing once: messages with ids, which a channel or a queue remembers for a while.

use std::time::Duration;

use sha2::{Digest, Sha256};
use sockhop_transports::Message;

use super::channel::{Position, Retention};
use crate::id::{ChannelName, MessageId};

/// Messages to publish once each, whatever is repeated.
#[derive(Debug)]
pub struct PublishOnce<'a> {
    /// Where.
    pub channel: &'a ChannelName,
    /// What, in order, each under its id.
    pub messages: &'a [(MessageId, Message)],
    /// How much of the channel is kept, or how much the queue takes.
    pub retention: Retention,
    /// How many ids are remembered, for how long.
    pub memory: IdMemory,
}

/// How long a channel or a queue remembers the ids of messages.
///
/// An id is forgotten only after so many newer ones, or so much time, and at the latest after twice as many or twice the
/// time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMemory {
    /// Ids.
    pub ids: usize,
    /// Time since the message was published; a millisecond at least.
    pub time: Duration,
}

impl Default for IdMemory {
    /// 50,000 ids, one hour.
    fn default() -> Self {
        Self { ids: 50_000, time: Duration::from_secs(3600) }
    }
}

/// What became of a message with an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Once {
    /// It was appended, here.
    Published(Position),
    /// It is here already, or was: it was sent before, perhaps by an earlier try of this very call. Nothing was appended.
    Repeated(Position),
    /// A message with this id and another content is here already, or was. Nothing was appended.
    Conflict(Position),
}

impl Once {
    /// Whether the message was appended by this call.
    pub(crate) fn is_new(&self) -> bool {
        matches!(self, Self::Published(_))
    }

    /// Where the message of that id is.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            Self::Published(position) | Self::Repeated(position) | Self::Conflict(position) => *position,
        }
    }
}

/// By which the same content is known again.
pub(super) type Fingerprint = [u8; 8];

pub(super) fn fingerprint(message: &Message) -> Fingerprint {
    let digest = Sha256::digest(message.quoted());
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(&digest[..8]);
    fingerprint
}
