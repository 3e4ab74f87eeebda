//! Calls that publish: their JSON is read and answered as sockhop's API answers it, and nothing is kept.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use warp::http::StatusCode;
use warp::http::header::{CONTENT_TYPE, HeaderValue};
use warp::path::FullPath;
use warp::reply::{Reply, Response};
use warp::{Filter, Rejection};

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "only read")]
struct Message<'a> {
    destination: &'a str,
    body: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    message_id: String,
    repeated: bool,
}

#[derive(Serialize)]
struct Outcomes {
    results: Vec<Sent>,
}

/// `POST …/publish` and `POST …/publish/batch`.
pub(crate) fn filter() -> impl Filter<Extract = (Response,), Error = Rejection> + Clone + Send + Sync {
    warp::path::full().and(warp::body::bytes()).map(|path: FullPath, body: Bytes| {
        let is_batch = path.as_str().ends_with("/batch");
        answer(&body, is_batch).unwrap_or_else(|_| StatusCode::BAD_REQUEST.into_response())
    })
}

fn answer(body: &[u8], is_batch: bool) -> serde_json::Result<Response> {
    let sent = |_: &Message<'_>| Sent { message_id: "0123456789abcdef-1".to_owned(), repeated: false };
    let text = if is_batch {
        let Batch { messages } = serde_json::from_slice(body)?;
        serde_json::to_vec(&Outcomes { results: messages.iter().map(sent).collect() })?
    } else {
        serde_json::to_vec(&sent(&serde_json::from_slice(body)?))?
    };
    let mut response = Response::new(text.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
