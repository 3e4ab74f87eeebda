//! Sessions: attachments, commits, handler calls.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sockhop_transports::{CloseReason, Message};

use super::channel::Position;
use crate::id::{ChannelName, NodeId, RequestId, SessionKey, is_hex};
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

/// One handler call of one session, as the store counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Turn(pub u64);

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

impl Hold {
    /// The hold that the node of an anchored session has of it: its one attachment.
    #[must_use]
    pub fn of_anchor(session: SessionRef) -> Self {
        Self { session, attachment: 1 }
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

/// A place in a session's own log: how many of its frames, the first of which is `o`, were handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Own(pub u64);

/// How far the client of a session has been brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replay {
    /// It is.
    #[default]
    Over,
    /// `o` comes next: the session was resumed.
    Open,
    /// What the client has missed comes next.
    Running,
    /// Next comes an `h`, which says that all it had missed has been replayed.
    Mark,
    /// `o` comes next: the session is new.
    New,
}

impl Replay {
    const ALL: [Self; 5] = [Self::Over, Self::Open, Self::Running, Self::Mark, Self::New];

    /// The number by which a store keeps it.
    #[must_use]
    pub fn to_number(self) -> u64 {
        self as u64
    }

    /// What a store keeps by that number.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// Whether `o` comes next.
    #[must_use]
    pub fn opens(self) -> bool {
        matches!(self, Self::Open | Self::New)
    }

    /// What comes next once `o` was handed out.
    #[must_use]
    pub fn opened(self) -> Self {
        match self {
            Self::Open => Self::Running,
            Self::New => Self::Over,
            later => later,
        }
    }
}

/// What waits for a receiver.
#[derive(Debug, Clone, Default)]
pub struct Pending {
    /// What comes next, and first.
    pub replay: Replay,
    /// Where `messages` begins; 0 is `o`, which stands before the first of them.
    pub from: Own,
    /// The session's own messages.
    pub messages: Vec<Message>,
    /// The session's subscriptions.
    pub subscriptions: Vec<Subscription>,
    /// The session is closed: after the messages comes this.
    pub closed: Option<CloseReason>,
    /// What the receiver has to keep to.
    pub terms: Terms,
    /// An earlier receiver of the same request has handed out a batch: it is to be given again, as it was.
    pub again: Option<Again>,
}

/// How far a batch of a session reached, beside what its subscriptions say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Again {
    /// In the session's own log.
    pub own: Own,
    /// What came next for the client behind it.
    pub replay: Replay,
}

/// A channel as one subscription of a session sees it. A session may have several to one channel, with different tags.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Feed {
    /// The channel.
    pub channel: ChannelName,
    /// What the service needs to know of the subscription to render the channel's entries for it; `None` where they go
    /// out as they were published.
    pub tag: Option<Arc<str>>,
}

impl Feed {
    /// The channel and the tag as one text, which [`from_text`](Self::from_text) reads.
    pub(crate) fn text(&self) -> std::borrow::Cow<'_, str> {
        match &self.tag {
            None => self.channel.as_str().into(),
            // No channel's name holds a line feed.
            Some(tag) => format!("{}\n{tag}", self.channel).into(),
        }
    }

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let (channel, tag) = match text.split_once('\n') {
            None => (text, None),
            Some((channel, tag)) => (channel, Some(tag.into())),
        };
        Some(Self { channel: ChannelName::written(channel)?, tag })
    }
}

impl From<ChannelName> for Feed {
    fn from(channel: ChannelName) -> Self {
        Self { channel, tag: None }
    }
}

impl From<&ChannelName> for Feed {
    fn from(channel: &ChannelName) -> Self {
        channel.clone().into()
    }
}

/// A session's place in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The channel, and the tag.
    pub feed: Feed,
    /// Rises when the session subscribes anew: commits of an older one are void.
    pub generation: u64,
    /// The last entry that the client has.
    pub cursor: Position,
    /// The last entry that was sent to it; beyond the cursor where nobody knows whether it arrived.
    pub sent: Position,
}

/// A subscription that an entry of another one has led to.
#[derive(Debug, Clone, Copy)]
pub struct Branch<'a> {
    /// The other one, and its generation: as long as it is there.
    pub stem: (&'a Feed, u64),
    /// What is subscribed to.
    pub feed: &'a Feed,
    /// From where on.
    pub at: Position,
}

/// What became of a [`Branch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branched {
    /// It is there, or not needed any more.
    Done,
    /// The session has as many subscriptions as it may have.
    TooMany,
}

/// What a receiver handed to its transport.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// Of the session's own log.
    pub own: Own,
    /// Of channels: which subscription, its generation, position.
    pub channels: Vec<(Feed, u64, Position)>,
    /// What comes next.
    pub replay: Replay,
}

/// Frames for a session's own log.
#[derive(Debug, Clone)]
pub struct Push {
    /// In order.
    pub messages: Vec<Message>,
    /// Bytes that may wait for the client before it counts as too slow.
    pub limit: usize,
    /// Bytes that the session's log may keep, with what was sent and not confirmed.
    pub most_kept: usize,
}

/// What a handler call changes of its session's state, written down with the call's end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Attributes that get a value, or lose it. Where the call has closed its session, `on_close` sees them.
    pub attributes: Vec<(String, Option<String>)>,
    /// What holds from now on.
    pub terms: Option<Terms>,
}

/// What a receiver of a session has to keep to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Silence after which the client gets the service's own sign of life.
    pub beat: Option<Duration>,
    /// When the session ends, in seconds since 1970.
    pub until: Option<u64>,
}

impl Terms {
    /// The terms as a text, which [`from_text`](Self::from_text) reads; empty where there are none.
    pub(crate) fn text(&self) -> String {
        if *self == Self::default() {
            return String::new();
        }
        let beat = self.beat.map_or(0, |beat| beat.as_millis());
        format!("{beat} {}", self.until.unwrap_or(0))
    }

    pub(crate) fn from_text(text: &str) -> Self {
        let mut numbers = text.split(' ').map(|number| number.parse().ok().filter(|number| *number > 0));
        let (beat, until) = (numbers.next().flatten(), numbers.next().flatten());
        Self { beat: beat.map(Duration::from_millis), until }
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
    Store(#[from] super::StoreError),
}

/// A subscription was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The session is over.
    #[error("the session is over")]
    Over,
    /// It has as many subscriptions as it may have.
    #[error("the session has {0} subscriptions, as many as it may have")]
    TooMany(usize),
    /// The store cannot be reached.
    #[error(transparent)]
    Store(#[from] super::StoreError),
}

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
    /// Call it, then [`finish`](super::Store::finish).
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
/// [`finish`](super::Store::finish_keeping).
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
