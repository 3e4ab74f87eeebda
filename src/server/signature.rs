//! Saying with each answer which node gave it.

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::id::NodeId;

const NODE: &str = "x-sockhop-node";
/// Browsers hand this one to pages where they hand over no headers: for scripts, frames and event sources.
const TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What a node signs its answers with.
pub(super) struct Signature {
    node: HeaderValue,
    timing: HeaderValue,
}

impl Signature {
    pub(super) fn of(node: NodeId) -> Self {
        let value = |text: String| HeaderValue::try_from(text).expect("a node's id is made of hex digits");
        Self { node: value(node.to_string()), timing: value(format!("node;desc=\"{node}\"")) }
    }

    pub(super) fn sign(&self, headers: &mut HeaderMap) {
        // A page of another origin may read the headers that its server names, and no others.
        if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            headers.append(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(NODE));
        }
        headers.insert(HeaderName::from_static(NODE), self.node.clone());
        headers.append(TIMING, self.timing.clone());
    }
}
