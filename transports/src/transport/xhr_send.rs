//! `POST …/xhr_send`: a JSON array of strings, whatever its content type says; 204.

use bytes::Bytes;
use http::StatusCode;

use crate::inbound::messages;
use crate::send::Sending;

pub(crate) const XHR_SEND: Sending =
    Sending { status: StatusCode::NO_CONTENT, body: Bytes::new(), parse: |_content_type, body| messages(body) };
