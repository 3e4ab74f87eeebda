//! Presence: who is in a destination, as clients and the application read it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value};
use sockhop_stomp::Headers;

use super::broker::Broker;
use super::destination::Source;
use super::entry;
use super::history::rfc3339;
use super::refusal::Refusal;
use super::rules;
use crate::store::{Here, Place, Position, Present, StoreError};
use crate::{ChannelName, Message};

/// Where presence is kept: patterns of destinations below `/topic/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresencePattern(String);

/// A text is no pattern of destinations where presence can be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no pattern of destinations below /topic/")]
pub struct InvalidPresencePattern(String);

impl std::str::FromStr for PresencePattern {
    type Err = InvalidPresencePattern;

    /// In a pattern `*` stands for what is between two of `/` and `.`, `**` for anything.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.len() > TOPIC.len() && text.starts_with(TOPIC) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidPresencePattern(text.chars().take(80).collect())) }
    }
}

impl PresencePattern {
    fn covers(&self, destination: &str) -> bool {
        rules::matches(&self.0, destination, None)
    }
}

const TOPIC: &str = "/topic/";
/// What stands before a destination whose presence is meant.
const PRESENCE: &str = "/presence";
/// Members that the first message of a subscription names.
const MOST_TOLD: usize = 200;

/// Who is in a destination. As JSON, its fields are named as here, and times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Presence {
    /// Members in all: users, whatever the number of their sessions, and sessions without a user.
    pub count: u64,
    /// Some of them: users in the order of their names, then sessions without one.
    pub members: Vec<PresentMember>,
    /// Leads to the next members; `None` where there are none.
    pub next: Option<Place>,
}

/// A member of a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PresentMember {
    /// The user's name; `None` for a session without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Of a session without a user, its [id](crate::store::SessionId).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// How many of the user's sessions are there.
    pub sessions: u64,
    /// Since when one of them is.
    #[serde(serialize_with = "rfc3339")]
    pub since: SystemTime,
}

/// Who is in a destination could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PresenceError {
    /// There is no such destination, or presence is kept nowhere there.
    #[error("no destination with presence: {0}")]
    Destination(String),
    /// The store cannot tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Presence {
    /// Members that a page may have.
    pub const MOST: usize = 1000;

    fn of(here: Here) -> Self {
        Self { count: here.count, members: here.members.iter().map(PresentMember::of).collect(), next: here.next }
    }
}

impl PresentMember {
    fn of(present: &Present) -> Self {
        let about: Map<String, Value> =
            serde_json::from_str(&format!("{{{}}}", present.about)).unwrap_or_default();
        let text = |name: &str| about.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            user: text("user"),
            session: text("session"),
            sessions: present.sessions,
            since: UNIX_EPOCH + Duration::from_millis(present.since),
        }
    }
}

impl Broker {
    /// Who is in a destination below `/topic/`, where [`Stomp::presence`](super::Stomp::presence) keeps that: `most`
    /// members at most, 1,000 at the utmost, the first or those behind a page. The count costs the same however many there
    /// are.
    ///
    /// ```
    /// use sockhop::Node;
    /// use sockhop::stomp::Broker;
    ///
    /// # tokio_test::block_on(async {
    /// let broker = Broker::new(&Node::new());
    /// let here = broker.here("/topic/rooms/lobby", None, 100).await.unwrap();
    /// assert_eq!(here.count, 0);
    /// # });
    /// ```
    ///
    /// # Errors
    /// See [`PresenceError`].
    pub async fn here(
        &self,
        destination: &str,
        after: Option<&Place>,
        most: usize,
    ) -> Result<Presence, PresenceError> {
        let unknown = || PresenceError::Destination(destination.chars().take(80).collect());
        if !matches!(Source::parse(destination), Ok(Source::Topic(_))) {
            return Err(unknown());
        }
        let channel = roster_of(destination).map_err(|_| unknown())?;
        let here = self.store().here(&channel, after, most.clamp(1, Presence::MOST)).await?;
        Ok(Presence::of(here))
    }

    /// What the first message of a subscription to a destination's presence says, and from where on its events follow.
    pub(super) async fn snapshot(&self, channel: &ChannelName) -> Result<(Message, Position), StoreError> {
        #[derive(Serialize)]
        struct Told<'a> {
            #[serde(rename = "type")]
            kind: &'a str,
            count: u64,
            members: &'a [PresentMember],
            more: bool,
            #[serde(serialize_with = "rfc3339")]
            at: SystemTime,
        }
        let here = self.store().here(channel, None, MOST_TOLD).await?;
        let at = here.at;
        let Presence { count, members, next } = Presence::of(here);
        let told = Told { kind: "here", count, members: &members, more: next.is_some(), at: SystemTime::now() };
        let body = serde_json::to_string(&told).unwrap_or_default();
        let mut headers = Headers::default();
        headers.push("content-type", "application/json");
        Ok((entry::encode(&headers, &body, None), at))
    }
}

/// The channel of a destination's presence.
pub(super) fn roster_of(destination: &str) -> Result<ChannelName, Refusal> {
    ChannelName::new(&format!("{PRESENCE}{destination}"))
        .map_err(|error| Refusal::invalid("destination", format!("{error}.")))
}

/// The destination whose presence a destination is.
pub(super) fn presence_of(destination: &str) -> Option<&str> {
    destination.strip_prefix(PRESENCE).filter(|of| of.starts_with('/'))
}

/// Whether presence is kept of a destination.
pub(super) fn is_kept(patterns: &[PresencePattern], destination: &str) -> bool {
    patterns.iter().any(|pattern| pattern.covers(destination))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_is_kept_below_topics_alone() {
        let patterns: Vec<PresencePattern> =
            ["/topic/rooms/**", "/topic/lobby"].iter().map(|text| text.parse().unwrap()).collect();
        for (destination, kept) in [
            ("/topic/rooms/a/b", true),
            ("/topic/lobby", true),
            ("/topic/lobbyist", false),
            ("/topic/other", false),
            ("/presence/topic/lobby", false),
        ] {
            assert_eq!(is_kept(&patterns, destination), kept, "{destination}");
        }
        for wrong in ["", "/topic", "/topic/", "topic/a", "/queue/a", "/topic/\n", "**"] {
            assert!(wrong.parse::<PresencePattern>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_page_is_written_as_the_api_tells_it() {
        let session = crate::store::SessionRef { key: crate::SessionKey::of("/s", "x"), life: 7 };
        let member = |about: &str, sessions| Present { session, sessions, since: 0, about: about.to_owned() };
        let here = Here {
            count: 2,
            members: vec![member("\"user\":\"<b>&\\\"\"", 2), member("\"session\":\"00\"", 1)],
            next: Some(Place(b"0=z".to_vec())),
            at: Position { epoch: crate::store::Epoch(1), seq: 0 },
        };
        let json = serde_json::to_value(Presence::of(here)).unwrap();
        let since = "1970-01-01T00:00:00.000Z";
        let expected = serde_json::json!({
            "count": 2,
            "members": [
                {"user": "<b>&\"", "sessions": 2, "since": since},
                {"session": "00", "sessions": 1, "since": since},
            ],
            "next": "303d7a",
        });
        assert_eq!(json, expected);
    }
}
