//! Rosters: who is somewhere, each told of in the channel that it belongs to.

use std::fmt;
use std::str::FromStr;

use sockhop_transports::Message;

use super::StoreError;
use super::channel::{Position, Retention};
use super::session::SessionRef;
use crate::id::{ChannelName, is_hex};

/// One stay of a session in a roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// Whose.
    pub session: SessionRef,
    /// Which of its stays there: random.
    pub number: u64,
}

/// A roster, and how it is told of.
#[derive(Debug, Clone, Copy)]
pub struct Roster<'a> {
    /// The channel that it belongs to. Joins and leaves are published there in one step with what they tell of.
    pub channel: &'a ChannelName,
    /// How they are; `None` where nobody is told.
    pub telling: Option<Telling<'a>>,
}

/// How joins and leaves are published: as `{"type":"join",…,"count":N,"at":"…"}`, with what is told of the member, the
/// number of members then, and the instant (RFC 3339).
#[derive(Debug, Clone, Copy)]
pub struct Telling<'a> {
    /// What stands before that.
    pub lead: &'a str,
    /// How much of the channel is kept.
    pub retention: Retention,
}

/// As what a session is in a roster.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// Whose session it is: all those of a user are one member. A session without a user is a member of its own.
    pub user: Option<&'a str>,
    /// What is told of it: fields of a JSON object, such as `"user":"ann"`.
    pub about: &'a str,
}

/// What became of an entering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// The member is new.
    Joined,
    /// The session is in the roster; its member was.
    Present,
    /// Nothing: this stay is over.
    Over,
}

/// What became of a leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The member is gone.
    Gone,
    /// Another session of its user is there.
    Present,
    /// The session was not there with this stay, or the stay was over already.
    Absent,
}

/// Some of who is in a roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// Members in all.
    pub count: u64,
    /// Some of them: users in the order of their names, then sessions without one.
    pub members: Vec<Present>,
    /// Where the next members are; `None` where there are none.
    pub next: Option<Place>,
    /// Where the channel stood: what it tells from there on is not in this.
    pub at: Position,
}

/// One member of a roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// One of its sessions.
    pub session: SessionRef,
    /// How many it has there.
    pub sessions: u64,
    /// Since when that one is there, in milliseconds since 1970.
    pub since: u64,
    /// What is told of it.
    pub about: String,
}

/// A place in the order of a roster's members. It names a user, or a session by its life, and authorises nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(pub Vec<u8>);

/// A text is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no place in a roster")]
pub struct InvalidPlace;

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl serde::Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Place {
    type Err = InvalidPlace;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > 2 * LONGEST_PLACE || !text.len().is_multiple_of(2) || !is_hex(text) {
            return Err(InvalidPlace);
        }
        let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16);
        let bytes: Vec<_> =
            (0..text.len()).step_by(2).map(byte).collect::<Result<_, _>>().map_err(|_| InvalidPlace)?;
        match bytes.first() {
            Some(b'0' | b'1') => Ok(Self(bytes)),
            _ => Err(InvalidPlace),
        }
    }
}

/// Bytes that a user's name may have in a roster.
pub(super) const LONGEST_USER: usize = 4096;
/// And a place: what a name becomes may be three times as long.
const LONGEST_PLACE: usize = 3 * LONGEST_USER + 8;

impl Stay {
    /// A new stay of a session.
    #[must_use]
    pub fn new(session: SessionRef) -> Self {
        Self { session, number: rand::random() }
    }
}

/// A session as rosters name it: its life before its key, so that what is shown of it is not of the key.
pub(super) fn reference(session: SessionRef) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&session.life.to_be_bytes());
    bytes[8..].copy_from_slice(&session.key.to_bytes());
    bytes
}

/// The session of a name.
pub(super) fn referred(bytes: &[u8]) -> Option<SessionRef> {
    let (life, key) = bytes.split_at_checked(8)?;
    let key = crate::id::SessionKey::from_bytes(key.try_into().ok()?);
    Some(SessionRef { key, life: u64::from_be_bytes(life.try_into().ok()?) })
}

/// A user as rosters name it; nothing stands for a session without one.
pub(super) fn folded(user: Option<&str>) -> Result<String, StoreError> {
    let Some(user) = user else { return Ok(String::new()) };
    if user.len() > LONGEST_USER {
        let reason = format!("user: the name has more than {LONGEST_USER} bytes");
        return Err(StoreError { operation: "enter", reason });
    }
    let mut folded = String::with_capacity(user.len() + 1);
    // One that is empty is not nothing.
    folded.push('=');
    for c in user.chars() {
        match c {
            '%' => folded.push_str("%25"),
            c if c < ' ' => folded.push_str(&format!("%{:02X}", u32::from(c))),
            c => folded.push(c),
        }
    }
    Ok(folded)
}

/// A text as it stands inside another that is quoted.
pub(super) fn quoted(text: &str) -> Vec<u8> {
    let message = Message::new(text);
    let quoted = message.quoted();
    quoted[1..quoted.len() - 1].to_vec()
}
