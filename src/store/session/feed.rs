//! The channels that a session follows.

use std::sync::Arc;

use crate::id::ChannelName;
use crate::store::{Gone, Position, StoreError};

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
    Store(#[from] StoreError),
}

impl From<Gone> for SubscribeError {
    fn from(gone: Gone) -> Self {
        match gone {
            Gone::Over | Gone::Fenced => Self::Over,
            Gone::Store(error) => Self::Store(error),
        }
    }
}
