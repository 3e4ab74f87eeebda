//! The call that reads history.

use http::StatusCode;
use serde_json::Value;

use super::problem::Problem;
use super::request;
use crate::stomp::{Broker, Cursor, HistoryError, Page};

/// Messages of a page, where the caller does not say.
const PAGE: usize = 50;

/// Reads a page.
pub(super) async fn page(broker: &Broker, query: &str) -> Result<Vec<u8>, Problem> {
    let parameters = request::query(query, &["destination", "limit", "before", "after", "from"])?;
    let get = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let destination = get("destination").ok_or_else(|| Problem::field("destination", "Say which destination."))?;
    let limit = get("limit").map_or(Ok(PAGE), limit)?;
    let from = match get("from") {
        None | Some("newest") => Page::newest(limit),
        Some("oldest") => Page::oldest(limit),
        Some(_) => return Err(Problem::field("from", "Use newest or oldest.")),
    };
    let (before, after) = (get("before").map(cursor("before")), get("after").map(cursor("after")));
    let page = match (before.transpose()?, after.transpose()?) {
        (None, None) => from,
        (Some(before), None) => Page::before(before, limit),
        (None, Some(after)) => Page::after(after, limit),
        (Some(before), Some(after)) => {
            // One that is none is told before what is wrong with two.
            for (name, page) in [("before", Page::before(before, 1)), ("after", Page::after(after, 1))] {
                broker.history(destination, page).await.map_err(|error| problem(error, name))?;
            }
            return Err(Problem::field("after", "Use one of before and after."));
        }
    };
    let side = if get("before").is_some() { "before" } else { "after" };
    let page = broker.history(destination, page).await.map_err(|error| problem(error, side))?;
    // As with two cursors: one that is none is told first.
    if get("from").is_some() && (get("before").is_some() || get("after").is_some()) {
        return Err(Problem::field("from", "A cursor says where a page begins: leave from out."));
    }
    serde_json::to_vec(&page).map_err(|error| {
        tracing::error!(%error, "a page of history could not be written");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something is wrong here",
            "See the server's log.",
        )
    })
}

fn limit(text: &str) -> Result<usize, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = text.parse().ok().filter(|limit| digits && (1..=Page::MOST).contains(limit));
    limit.ok_or_else(|| Problem::field("limit", format!("A page has 1 to {} messages.", Page::MOST)))
}

/// What looks like a cursor.
fn cursor(name: &'static str) -> impl Fn(&str) -> Result<Cursor, Problem> {
    move |text| {
        let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.len() == Cursor::LENGTH && text.bytes().all(plain) {
            true => Ok(Cursor::new(text)),
            false => Err(Problem::field(name, "This is no cursor: use one that a page has given.")),
        }
    }
}

fn problem(error: HistoryError, side: &'static str) -> Problem {
    match error {
        HistoryError::Destination(detail) => Problem::destination(detail),
        HistoryError::Cursor => {
            let detail = "The cursor is none of this destination.";
            let title = "There is no such cursor";
            Problem::new(StatusCode::NOT_FOUND, "unknown-cursor", title, detail).with("field", side)
        }
        HistoryError::Gone { oldest } => {
            let detail = "The messages next to this cursor are not kept any more. Begin anew with from=oldest or from=newest.";
            Problem::new(StatusCode::GONE, "gone", "These messages are gone", detail)
                .with("field", side)
                .with("oldest", oldest.map_or(Value::Null, Value::from))
        }
        HistoryError::Store(error) => error.into(),
    }
}
