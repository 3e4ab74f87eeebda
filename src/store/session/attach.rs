//! Attaching: a receiver takes hold of a session.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Hold, Holder, Origin, Pending, SessionRef, Turn};
use crate::id::{NodeId, RequestId, SessionKey};

/// What becomes of a session that an attach creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// The receiver holds it.
    Held,
    /// The receiver only brings `o`: the session is released at once, with that sent.
    Released,
}

/// An attempt of a client to open or to resume a session that survives lost connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// The client counts its attempts, from 1 on: a higher one takes the session over, and gets `o` and all that the
    /// client is not known to have.
    pub number: u64,
    /// What the client expects.
    pub intent: Intent,
}

/// What becomes of an attempt for a session that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// The session is created: whatever the attempt's number, the client may never have had it.
    Begin,
    /// The client has had the session, and is told that it is gone.
    Resume,
}

/// An attach.
pub struct Attach<'a> {
    /// Whose session.
    pub key: SessionKey,
    /// Which node asks.
    pub node: NodeId,
    /// The balancer's name of the request.
    pub request: Option<RequestId>,
    /// Whether an attachment that holds the session is to lose it.
    pub takeover: Takeover,
    /// What becomes of a new session.
    pub first: First,
    /// Of a session that can be resumed, which attempt of the client this is.
    pub attempt: Option<Attempt>,
    /// How the session begins if nobody knows it; `None` where there is no room for another.
    pub create: &'a (dyn Fn() -> Option<Origin> + Send + Sync),
}

impl std::fmt::Debug for Attach<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attach").field("key", &self.key).field("node", &self.node).finish_non_exhaustive()
    }
}

/// A session in memory that is to be known in the store.
#[derive(Debug)]
pub struct Anchor<'a> {
    /// The session, under a key that no client's id leads to.
    pub session: SessionRef,
    /// Where it lives.
    pub node: NodeId,
    /// How it began.
    pub origin: &'a Arc<Origin>,
    /// Its attributes.
    pub attributes: &'a BTreeMap<String, String>,
}

impl Anchor<'_> {
    /// The hold that its node has of it.
    #[must_use]
    pub fn hold(&self) -> Hold {
        Hold::of_anchor(self.session)
    }
}

/// Which holder an attach may take a session from, beside one of the same request id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    /// None.
    Never,
    /// This one, whose node did not answer or says that its socket is gone.
    From(Hold),
}

/// What became of an attach.
#[derive(Debug)]
pub enum Attached {
    /// Nobody knew the session: it is created, and its first handler call has begun.
    Created(Hold, Arc<Origin>, Turn),
    /// It is held.
    Held(Hold, Pending),
    /// Another attachment holds it.
    Busy(Holder),
    /// Nobody knew the session, and there is no room for it.
    Full,
    /// The session was resumed by a later attempt.
    Superseded,
    /// Nobody knows the session that was to be resumed.
    Gone,
    /// The attach comes too late: a later request of the same client is known.
    Stale,
}
