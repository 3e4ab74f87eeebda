//! The calls that say who is there, and that list and end sessions.

use std::str::FromStr;

use http::StatusCode;
use serde_json::{Value, json};

use super::problem::Problem;
use super::request::{Parameters, number};
use crate::CloseReason;
use crate::stomp::{Broker, Presence, PresenceError};

/// Members or sessions of a page, where the caller does not say.
const PAGE: usize = 100;
/// Characters of a reason: so many fit into a close frame, whatever they are.
const LONGEST_REASON: usize = 30;

/// Who is in a destination.
pub(super) async fn here(broker: &Broker, query: &str) -> Result<Value, Problem> {
    let parameters = Parameters::read(query, &["destination", "limit", "after"])?;
    let destination = parameters.destination()?;
    let (limit, after) = (limit(&parameters)?, after(&parameters)?);
    match broker.here(destination, after.as_ref(), limit).await {
        Ok(page) => Ok(json!(page)),
        Err(PresenceError::Destination(_)) => {
            Err(Problem::destination("Presence is of destinations like /topic/rooms/lobby."))
        }
        Err(PresenceError::Store(error)) => Err(error.into()),
    }
}

/// The sessions that there are, or those of a user.
pub(super) async fn sessions(broker: &Broker, query: &str) -> Result<Value, Problem> {
    let parameters = Parameters::read(query, &["user", "limit", "after"])?;
    let limit = limit(&parameters)?;
    Ok(match parameters.get("user") {
        Some(user) => json!(broker.sessions_of(user, after(&parameters)?.as_ref(), limit).await?),
        None => json!(broker.sessions(after(&parameters)?, limit).await?),
    })
}

/// Ends one session.
pub(super) async fn end_session(broker: &Broker, id: &str, query: &str) -> Result<Value, Problem> {
    let reason = reason(query)?;
    let ended = match id.parse() {
        Ok(session) => broker.disconnect(session, reason).await?,
        Err(_) => false,
    };
    if ended {
        return Ok(json!({ "ended": 1 }));
    }
    let title = "There is no such session";
    Err(Problem::new(StatusCode::NOT_FOUND, "unknown-session", title, "It has ended, or never was."))
}

/// Ends all sessions of a user.
pub(super) async fn end_user(broker: &Broker, user: &str, query: &str) -> Result<Value, Problem> {
    Ok(json!({ "ended": broker.disconnect_user(user, reason(query)?).await? }))
}

/// What the clients are told.
fn reason(query: &str) -> Result<CloseReason, Problem> {
    let parameters = Parameters::read(query, &["code", "reason"])?;
    let usual = CloseReason::DISCONNECTED;
    let code = match parameters.get("code") {
        None => usual.code(),
        Some(code) => number(code)
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| (3000..=4999).contains(code))
            .ok_or_else(|| Problem::field("code", "A code is 3000 to 4999."))?,
    };
    let told = parameters.get("reason");
    let is_long = told.is_some_and(|text| text.chars().count() > LONGEST_REASON);
    let reason = CloseReason::new(code, told.unwrap_or_else(|| usual.text()).to_owned());
    reason
        .ok()
        .filter(|_| !is_long)
        .ok_or_else(|| Problem::field("reason", format!("A reason has at most {LONGEST_REASON} characters.")))
}

fn limit(parameters: &Parameters) -> Result<usize, Problem> {
    parameters.limit(PAGE, Presence::MOST, "")
}

/// Where the page before has ended.
fn after<T: FromStr>(parameters: &Parameters) -> Result<Option<T>, Problem> {
    let Some(text) = parameters.cursor("after", 1..)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| {
        let (title, detail) = ("There is no such cursor", "The cursor is none of these pages.");
        Problem::new(StatusCode::NOT_FOUND, "unknown-cursor", title, detail).with("field", "after")
    })
}
