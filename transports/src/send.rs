//! The one way of both sending endpoints: read, parse, hand in, answer.

use bytes::{Buf, Bytes};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::body::{self, Body};
use crate::inbound::PayloadError;
use crate::receive::Unwritten;
use crate::service::{failure, unavailable};
use crate::sessions::{ClientRequest, MessageIn, Sessions};
use crate::{Options, Texts};

/// What is particular about a sending endpoint.
pub(crate) struct Sending {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    /// Reads the messages of a body, given its content type.
    pub(crate) parse: fn(&str, &[u8]) -> Result<Texts, PayloadError>,
}

/// Answers a send request. A request that is wrong twice is told of its body.
pub(crate) async fn respond<S: Sessions, B: http_body::Body<Data: Buf>>(
    sending: &Sending,
    sessions: &S,
    request: ClientRequest<'_>,
    body: B,
    mut headers: HeaderMap,
    options: &Options,
) -> Result<Response<Body>, Unwritten> {
    let payload = match body::read(body, options.body_limit, options.body_timeout).await {
        Ok(payload) => payload,
        Err(error) => return Ok(failure(error.status(), error.text(), headers)),
    };
    let content_type = request.head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let messages = match (sending.parse)(content_type.unwrap_or_default(), &payload) {
        Ok(messages) => messages,
        Err(error) => return Ok(failure(StatusCode::INTERNAL_SERVER_ERROR, error.text(), headers)),
    };
    if messages.iter().any(|message| message.len() > options.message_limit) {
        return Ok(failure(StatusCode::PAYLOAD_TOO_LARGE, "Message too large.", headers));
    }
    match sessions.message_in(request, messages).await {
        MessageIn::Done => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
            let mut response = Response::new(Body::from(sending.body.clone()));
            *response.status_mut() = sending.status;
            *response.headers_mut() = headers;
            Ok(response)
        }
        MessageIn::Unknown => Ok(failure(StatusCode::NOT_FOUND, "Session is not opened.", headers)),
        MessageIn::Unwritten => Err(Unwritten),
        MessageIn::Unavailable(reason) => Ok(unavailable(reason, headers)),
    }
}
