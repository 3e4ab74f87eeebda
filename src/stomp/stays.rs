//! Where a session is: in the rosters of destinations, and in that of its user's sessions.
//!
//! An attribute names each stay before the session enters, so whoever runs the session's end knows what it has to leave.

use std::time::Duration;

use super::destination;
use super::refusal::Refusal;
use super::state;
use super::users::Principal;
use crate::node::NodeInner;
use crate::store::{Entered, Roster, SessionRef, Stay, StoreError, TENDED, Telling, Visitor};
use crate::{AnchorError, AttributeError, ChannelName, Session};

/// How the attributes begin that name a session's stays: the channel of a roster follows. The value is the stay's number.
const STAY: &str = "stomp.in.";
/// What stands before the JSON of what rosters tell: it is a STOMP message.
const LEAD: &str = "content-type:application/json\n\n";
/// How often, and how long apart, a session that has ended tries to leave.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(500);

/// The roster of a user's sessions.
pub(super) fn of_user(name: &str) -> Result<ChannelName, Refusal> {
    let channel = ChannelName::new(&format!("{SESSIONS}{}", destination::escape(name)));
    channel.map_err(|error| {
        Refusal::new("authentication failed", format!("The user's name cannot be kept: {error}."))
    })
}

/// How the channels of such rosters begin. No client can subscribe to them.
const SESSIONS: &str = "/sessions/";

/// Enters a roster, as this user or for the session itself.
pub(super) async fn enter(
    session: &Session,
    user: Option<&Principal>,
    channel: &ChannelName,
) -> Result<(), Refusal> {
    session.anchor().await?;
    if session.attribute(TENDED).is_none() {
        session.write_attribute(TENDED, Some("0".to_owned())).await?;
    }
    let attribute = format!("{STAY}{channel}");
    loop {
        let number = match session.attribute(&attribute).as_deref().and_then(number_of) {
            Some(number) => number,
            None => {
                let number = rand::random();
                session.write_attribute(&attribute, Some(text_of(number))).await?;
                number
            }
        };
        let node = &session.node().inner;
        match enter_with(node, session.identity(), user.map(Principal::name), channel, number).await? {
            Entered::Joined | Entered::Present => return Ok(()),
            // A call that died had left already, and could not write that down.
            Entered::Over => session.write_attribute(&attribute, None).await?,
        }
    }
}

async fn enter_with(
    node: &NodeInner,
    session: SessionRef,
    user: Option<&str>,
    channel: &ChannelName,
    number: u64,
) -> Result<Entered, StoreError> {
    let listed = channel.as_str().starts_with(SESSIONS);
    let about = match user {
        Some(user) if !listed => format!("\"user\":{}", serde_json::Value::from(user)),
        _ => format!("\"session\":\"{}\"", session.id()),
    };
    // Each session of a user is a member of the user's sessions.
    let visitor = Visitor { user: user.filter(|_| !listed), about: &about };
    node.store.enter(roster(node, channel), Stay { session, number }, visitor).await
}

fn roster<'a>(node: &NodeInner, channel: &'a ChannelName) -> Roster<'a> {
    let is_told = !channel.as_str().starts_with(SESSIONS);
    let telling = Telling { lead: LEAD, retention: node.retention(channel) };
    Roster { channel, telling: is_told.then_some(telling) }
}

/// Leaves a roster, if the session is in it.
pub(super) async fn leave(session: &Session, channel: &ChannelName) -> Result<(), Refusal> {
    let attribute = format!("{STAY}{channel}");
    let Some(number) = session.attribute(&attribute).as_deref().and_then(number_of) else { return Ok(()) };
    let node = &session.node().inner;
    node.store.exit(roster(node, channel), Stay { session: session.identity(), number }).await?;
    Ok(session.write_attribute(&attribute, None).await?)
}

/// Leaves all rosters.
pub(super) async fn leave_all(session: &Session) -> Result<(), Refusal> {
    for (channel, _) in of(session) {
        leave(session, &channel).await?;
    }
    Ok(())
}

/// The session is over: leaves all rosters, however often that takes.
pub(super) async fn end(session: &Session) {
    let node = &session.node().inner;
    for (channel, number) in of(session) {
        let stay = Stay { session: session.identity(), number };
        for attempt in 1..=ATTEMPTS {
            match node.store.exit(roster(node, &channel), stay).await {
                Ok(_) => break,
                Err(error) if attempt == ATTEMPTS => {
                    tracing::warn!(%error, %channel, "a session that is over stays in a roster for a while");
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

/// The session lives on: says again that it is where it is.
pub(super) async fn renew(session: &Session) {
    let node = &session.node().inner;
    let user = state::user_in(&session.all_attributes());
    for (channel, number) in of(session) {
        if let Err(error) = enter_with(node, session.identity(), user.as_deref(), &channel, number).await {
            tracing::warn!(%error, %channel, "could not say again that a session is in a roster");
        }
    }
}

/// A session's stays: the channel of the roster, and the number.
fn of(session: &Session) -> Vec<(ChannelName, u64)> {
    let stay = |(name, value): (String, String)| {
        Some((ChannelName::new(name.strip_prefix(STAY)?).ok()?, number_of(&value)?))
    };
    session.all_attributes().into_iter().filter_map(stay).collect()
}

fn text_of(number: u64) -> String {
    format!("{number:x}")
}

fn number_of(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

impl From<AnchorError> for Refusal {
    fn from(error: AnchorError) -> Self {
        match error {
            AnchorError::Store(error) => error.into(),
            AnchorError::Over => Self::new("session over", ""),
        }
    }
}

impl From<AttributeError> for Refusal {
    fn from(error: AttributeError) -> Self {
        match error {
            AttributeError::Store(error) => error.into(),
            AttributeError::Over => Self::new("session over", ""),
            AttributeError::TooLarge(_) => Self::new("too much", "The session's attributes are too large."),
        }
    }
}
