//! What waits for a session's client, and what it has got.

use std::time::Duration;

use sockhop_transports::{CloseReason, Message};

use super::{Feed, Subscription};
use crate::store::Position;

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
