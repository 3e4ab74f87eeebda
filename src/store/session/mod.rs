//! Sessions: which there are, and who holds them.

mod attach;
mod feed;
mod pending;
mod turn;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

pub use self::attach::{Anchor, Attach, Attached, Attempt, First, Intent, Takeover};
pub use self::feed::{Branch, Branched, Feed, SubscribeError, Subscription};
pub use self::pending::{Again, Kept, Own, Pending, Push, Replay, Sent, Terms};
pub use self::turn::{Begin, Begun, Due, Ended, Opening, TENDED, Tended, Turn};
use super::StoreError;
use crate::id::{NodeId, SessionKey, is_hex};
use crate::request::RequestInfo;

/// One session of one life: a client that comes back too late finds its key taken by a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionRef {
    /// The client's id, hashed.
    pub key: SessionKey,
    /// Which session under that key; of sessions under different keys, almost certainly different as well.
    pub life: u64,
}

/// What stands for a session where others read it: 20 hex digits. It leads to the session in the store, and authorises
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// The session's [bucket](SessionKey::bucket).
    pub bucket: u16,
    /// Which session there.
    pub life: u64,
}

/// A text is no session's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session's id has 20 hex digits")]
pub struct InvalidSessionId;

impl SessionRef {
    /// What stands for the session where others read it.
    #[must_use]
    pub fn id(&self) -> SessionId {
        SessionId { bucket: self.key.bucket(), life: self.life }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}{:016x}", self.bucket, self.life)
    }
}

impl serde::Serialize for SessionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 20 || !is_hex(text) {
            return Err(InvalidSessionId);
        }
        let bucket = u16::from_str_radix(&text[..4], 16).map_err(|_| InvalidSessionId)?;
        let life = u64::from_str_radix(&text[4..], 16).map_err(|_| InvalidSessionId)?;
        if bucket < SessionKey::BUCKETS { Ok(Self { bucket, life }) } else { Err(InvalidSessionId) }
    }
}

/// A receiver's hold of a session: the fencing token of all that it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hold {
    /// The session held.
    pub session: SessionRef,
    /// The number of the attach.
    pub attachment: u64,
}

/// Who holds a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The node of the receiver.
    pub node: NodeId,
    /// Its hold.
    pub hold: Hold,
}

/// How a session began, and what of its service the store has to know.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The service's name: its prefix.
    pub service: Arc<str>,
    /// The request that opened it.
    pub request: RequestInfo,
    /// How long it lives without a receiver: until its client's next request, or until it is resumed.
    pub disconnect_delay: Duration,
}

impl Hold {
    /// The hold that the node of an anchored session has of it: its one attachment.
    #[must_use]
    pub fn of_anchor(session: SessionRef) -> Self {
        Self { session, attachment: 1 }
    }
}

/// The session is closed or unknown, or another attach has taken it over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// Closed or unknown.
    #[error("the session is over")]
    Over,
    /// Held by another attachment.
    #[error("another receiver holds the session")]
    Fenced,
    /// The store cannot tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An open session, as the store knows it.
#[derive(Debug, Clone)]
pub struct Known {
    /// The session.
    pub session: SessionRef,
    /// How it began.
    pub origin: Arc<Origin>,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// The node of its receiver; `None` while it is between two requests.
    pub node: Option<NodeId>,
    /// How many subscriptions it has in the store.
    pub subscriptions: usize,
}
