//! The calls that say who is there, and that list and end sessions.

use http::StatusCode;
use serde_json::{Value, json};

use super::problem::Problem;
use super::request;
use crate::CloseReason;
use crate::stomp::{Broker, Presence, PresenceError};

/// Members or sessions of a page, where the caller does not say.
const PAGE: usize = 100;
/// Characters of a reason: so many fit into a close frame, whatever they are.
const LONGEST_REASON: usize = 30;

/// Who is in a destination.
pub(super) async fn here(broker: &Broker, query: &str) -> Result<Value, Problem> {
    let parameters = Parameters(request::query(query, &["destination", "limit", "after"])?);
    let destination =
        parameters.get("destination").ok_or_else(|| Problem::field("destination", "Say which destination."))?;
    let (limit, after) = (parameters.limit()?, parameters.parsed("after")?);
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
    let parameters = Parameters(request::query(query, &["user", "limit", "after"])?);
    let limit = parameters.limit()?;
    Ok(match parameters.get("user") {
        Some(user) => json!(broker.sessions_of(user, parameters.parsed("after")?.as_ref(), limit).await?),
        None => json!(broker.sessions(parameters.parsed("after")?, limit).await?),
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
    let parameters = Parameters(request::query(query, &["code", "reason"])?);
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

/// The parameters of a query.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn limit(&self) -> Result<usize, Problem> {
        let Some(text) = self.get("limit") else { return Ok(PAGE) };
        let limit = number(text).filter(|limit| (1..=Presence::MOST).contains(limit));
        limit.ok_or_else(|| Problem::field("limit", format!("A page has 1 to {}.", Presence::MOST)))
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.is_empty() || !text.bytes().all(plain) {
            return Err(Problem::field(name, "This is no cursor: use one that a page has given."));
        }
        text.parse().map(Some).map_err(|_| {
            let (title, detail) = ("There is no such cursor", "The cursor is none of these pages.");
            Problem::new(StatusCode::NOT_FOUND, "unknown-cursor", title, detail).with("field", name)
        })
    }
}

fn number(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}
