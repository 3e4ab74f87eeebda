//! One module a transport: what is particular about it, and nothing else.

pub(crate) mod eventsource;
pub(crate) mod htmlfile;
pub(crate) mod jsonp;
pub(crate) mod jsonp_send;
pub(crate) mod raw_websocket;
pub(crate) mod websocket;
pub(crate) mod xhr;
pub(crate) mod xhr_send;
pub(crate) mod xhr_streaming;
