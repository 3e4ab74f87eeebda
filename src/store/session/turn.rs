//! Handler calls, and what a session's handler is told without a request.

use std::collections::BTreeMap;
use std::sync::Arc;

use sockhop_transports::CloseReason;

use super::{Origin, SessionRef};
use crate::id::{NodeId, RequestId, SessionKey};

/// One handler call of one session, as the store counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Turn(pub u64);

/// A client's messages are to be handed in.
#[derive(Debug, Clone, Copy)]
pub struct Begin {
    /// Whose.
    pub key: SessionKey,
    /// Which node runs the handler.
    pub node: NodeId,
    /// The balancer's name of the request.
    pub request: Option<RequestId>,
    /// Of a session that can be resumed, which attempt of the client sends: only the one that has the session may.
    pub attempt: Option<u64>,
    /// How many messages they are.
    pub count: u32,
    /// Messages that the client may send in a second.
    pub rate: Option<u32>,
}

/// Whether the handler is to be called.
#[derive(Debug)]
pub enum Begun {
    /// Call it, then [`finish`](crate::store::Store::finish).
    Run {
        /// The session.
        session: SessionRef,
        /// How it began.
        origin: Arc<Origin>,
        /// Its attributes.
        attributes: BTreeMap<String, String>,
        /// This call.
        turn: Turn,
        /// The session's `on_open` has not run to its end, since its node died: it comes first.
        opening: bool,
    },
    /// A call for the same request is done already.
    Done,
    /// The session is closing: the messages are ignored.
    Closed,
    /// They are too many: the session is closed now, and whoever gets `Ended` runs its `on_close`.
    TooMany(Option<Ended>),
    /// Nobody knows the session.
    Unknown,
}

/// What is left for a node to do for a session that no request asks for.
#[derive(Debug)]
pub enum Due {
    /// It is over.
    Ended(Ended),
    /// Its `on_open` has not run to its end.
    Opening(Opening),
    /// It has the attribute [`TENDED`], and its handler is to see to it as from time to time.
    Tended(Tended),
}

/// The attribute by which a session asks to be seen to every ten minutes or so, as long as it is open. Its value is when
/// it last was, in milliseconds since 1970 by the store's clock; 0 to begin with.
pub const TENDED: &str = "sockhop.tended";

/// An open session that its handler is to see to.
#[derive(Debug)]
pub struct Tended {
    /// The session.
    pub session: SessionRef,
    /// How it began.
    pub origin: Arc<Origin>,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
}

/// The `on_open` of a session, to be run again since its node died; then comes
/// [`finish`](crate::store::Store::finish_keeping).
#[derive(Debug)]
pub struct Opening {
    /// The session.
    pub session: SessionRef,
    /// How it began.
    pub origin: Arc<Origin>,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// The call.
    pub turn: Turn,
}

/// A session is over; whoever holds this runs its `on_close`.
#[derive(Debug)]
pub struct Ended {
    /// The session.
    pub session: SessionRef,
    /// How it began.
    pub origin: Arc<Origin>,
    /// Its attributes as they were.
    pub attributes: BTreeMap<String, String>,
    /// Why it ended.
    pub reason: CloseReason,
}
