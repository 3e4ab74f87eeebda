//! `POST …/jsonp_send`: the form post of a hidden iframe; 200 with a body, since some browsers mishandle a 204 there.

use bytes::Bytes;
use http::StatusCode;

use crate::inbound::jsonp_messages;
use crate::send::Sending;

pub(crate) const JSONP_SEND: Sending =
    Sending { status: StatusCode::OK, body: Bytes::from_static(b"ok"), parse: jsonp_messages };
