//! Channels: logs, positions, publishing.

use std::fmt;
use std::time::Duration;

use sockhop_transports::Message;

use super::StoreError;
use crate::id::{ChannelName, NodeId};

/// One life of a channel's log. Positions of different epochs cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// A fresh epoch.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }
}

/// The place of an entry in its channel; as a cursor, the last entry that was received.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The log's life.
    pub epoch: Epoch,
    /// Counts the entries of that life, from 1; 0 is before the first.
    pub seq: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch.0, self.seq)
    }
}

/// A text is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no position")]
pub struct InvalidPosition(String);

impl std::str::FromStr for Position {
    type Err = InvalidPosition;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPosition(text.chars().take(40).collect());
        let (epoch, seq) = text.split_once('-').ok_or_else(invalid)?;
        let hex = epoch.len() <= 16 && epoch.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digits = seq.bytes().all(|byte| byte.is_ascii_digit());
        match (u64::from_str_radix(epoch, 16), seq.parse()) {
            // Seqs have six bytes in stores.
            (Ok(epoch), Ok(seq)) if hex && digits && seq < 1 << 48 => Ok(Self { epoch: Epoch(epoch), seq }),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Position({self})")
    }
}

/// One message in a channel.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its place in the log's life.
    pub seq: u64,
    /// When the store accepted it, by the store's clock: milliseconds since 1970, UTC. Order is that of `seq`: a clock
    /// may be set back.
    pub at: u64,
    /// The message, encoded once.
    pub message: Message,
}

/// Entries read from a channel.
#[derive(Debug, Clone)]
pub struct Slice {
    /// The life they belong to.
    pub epoch: Epoch,
    /// In order, without a hole.
    pub entries: Vec<Entry>,
    /// Whether entries after the position asked for are gone, or may be.
    pub gap: bool,
}

/// Which entries of a channel to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// The newest.
    Newest,
    /// The oldest that are kept.
    Oldest,
    /// The newest of those before a position.
    Before(Position),
    /// The oldest of those after a position.
    After(Position),
}

/// Entries looked up in a channel, and where they stand in it.
#[derive(Debug, Clone)]
pub struct Excerpt {
    /// The log's life; all zeros where the channel has never been.
    pub epoch: Epoch,
    /// In order, without a hole.
    pub entries: Vec<Entry>,
    /// The seq of the oldest entry that is kept; one more than `newest` where none is.
    pub oldest: u64,
    /// The seq of the newest entry, kept or not.
    pub newest: u64,
    /// Whether entries next to the position asked for are gone, or may be. Then none are told.
    pub gap: bool,
}

impl Excerpt {
    /// Of a channel that has never been, as far as the store knows.
    pub(super) fn of_nothing(span: Span) -> Self {
        let gap = matches!(span, Span::Before(_) | Span::After(_));
        Self { epoch: Epoch(0), entries: Vec::new(), oldest: 1, newest: 0, gap }
    }
}

/// How much of a channel is kept: what is older than any of the three limits goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Entries.
    pub entries: usize,
    /// Bytes that they cost. The newest entry is kept however large it is.
    pub bytes: usize,
    /// Time since they were published.
    pub age: Duration,
}

impl Default for Retention {
    /// 16,384 entries, 4 MiB, five minutes.
    fn default() -> Self {
        Self { entries: 16_384, bytes: 4 * 1024 * 1024, age: Duration::from_secs(300) }
    }
}

/// Names a set of messages that one node publishes to one channel, so that publishing them again is safe. A node's
/// numbers for a channel rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Who publishes.
    pub node: NodeId,
    /// Which of its batches.
    pub number: u64,
}

/// What to publish.
#[derive(Debug)]
pub struct Publish<'a> {
    /// Where.
    pub channel: &'a ChannelName,
    /// What, in order.
    pub messages: &'a [Message],
    /// How much of the channel is kept.
    pub retention: Retention,
    /// The name under which a retry is safe; without one, a retry may publish twice.
    pub batch: Option<Batch>,
}

/// Messages were accepted, at these positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The position of the last of them.
    pub last: Position,
    /// How many they were.
    pub count: u64,
}

/// Messages were not, or perhaps not, accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// They were not.
    #[error("refused: {0}")]
    Refused(StoreError),
    /// Nobody knows: only a retry of the same batch is safe.
    #[error("outcome unknown: {0}")]
    Unknown(StoreError),
    /// They were not: the queue holds as much as it may that nobody has handled yet.
    #[error("the queue is full")]
    Full,
}
