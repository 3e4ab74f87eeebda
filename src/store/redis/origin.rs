//! How a session began, as bytes.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::request::RequestInfo;
use crate::store::Origin;

/// What of an [`Origin`] is kept. Names are short: every session has them.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    #[serde(rename = "s", borrow)]
    service: std::borrow::Cow<'a, str>,
    #[serde(rename = "d")]
    delay: u64,
    #[serde(rename = "r")]
    request: RequestInfo,
}

pub(super) fn encode(origin: &Origin) -> Vec<u8> {
    let kept = Kept {
        service: (&*origin.service).into(),
        delay: origin.disconnect_delay.as_millis() as u64,
        request: origin.request.clone(),
    };
    serde_json::to_vec(&kept).unwrap_or_default()
}

pub(super) fn decode(bytes: &[u8]) -> Option<Arc<Origin>> {
    let kept: Kept<'_> = serde_json::from_slice(bytes).ok()?;
    Some(Arc::new(Origin {
        service: kept.service.as_ref().into(),
        request: kept.request,
        disconnect_delay: Duration::from_millis(kept.delay),
    }))
}
