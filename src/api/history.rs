//! The call that reads history.

use http::StatusCode;
use serde_json::Value;

use super::problem::Problem;
use super::request::Parameters;
use crate::stomp::{Broker, Cursor, History, HistoryError, Page};

/// Messages of a page, where the caller does not say.
const PAGE: usize = 50;

/// Reads a page.
pub(super) async fn page(broker: &Broker, query: &str) -> Result<History, Problem> {
    let parameters = Parameters::read(query, &["destination", "limit", "before", "after", "from"])?;
    let destination = parameters.destination()?;
    let limit = parameters.limit(PAGE, Page::MOST, " messages")?;
    let from = match parameters.get("from") {
        None | Some("newest") => Page::newest(limit),
        Some("oldest") => Page::oldest(limit),
        Some(_) => return Err(Problem::field("from", "Use newest or oldest.")),
    };
    let cursor = |name| parameters.cursor(name, Cursor::LENGTH..=Cursor::LENGTH).map(|text| text.map(Cursor::new));
    let (before, after) = (cursor("before")?, cursor("after")?);
    let has_cursor = before.is_some() || after.is_some();
    let side = if before.is_some() { "before" } else { "after" };
    let page = match (before, after) {
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
    let page = broker.history(destination, page).await.map_err(|error| problem(error, side))?;
    // As with two cursors: one that is none is told first.
    if has_cursor && parameters.get("from").is_some() {
        return Err(Problem::field("from", "A cursor says where a page begins: leave from out."));
    }
    Ok(page)
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
