//! Errors as callers read them: RFC 9457.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::Body;
use crate::stomp::BrokerError;
use crate::store::{PublishError, StoreError};

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// The end of its type, and what callers tell problems by.
    kind: &'static str,
    title: &'static str,
    detail: String,
    /// What else is told: which field is wrong, and the like.
    more: Map<String, Value>,
    allow: Option<&'static str>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self { status, kind, title, detail: detail.into(), more: Map::new(), allow: None }
    }

    /// A field of the request, or a parameter, is not as it has to be.
    pub(super) fn field(name: &str, detail: impl Into<String>) -> Self {
        let title = "A part of the request is not as it has to be";
        Self::new(StatusCode::BAD_REQUEST, "invalid-request", title, detail).with("field", name)
    }

    pub(super) fn destination(detail: impl Into<String>) -> Self {
        let title = "There is no such destination";
        Self::new(StatusCode::NOT_FOUND, "unknown-destination", title, detail).with("field", "destination")
    }

    pub(super) fn not_allowed(allow: &'static str) -> Self {
        let title = "This method is not for this path";
        let mut problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", title, allow);
        problem.allow = Some(allow);
        problem
    }

    /// The problem, and something else that it tells.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// The problem as JSON.
    pub(super) fn json(&self) -> Value {
        let mut json = json!({
            "type": format!("urn:sockhop:problem:{}", self.kind),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Value::Object(members) = &mut json {
            members.extend(self.more.clone());
        }
        json
    }

    pub(super) fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.json().to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&self.status) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a call of the API could not be answered");
        let detail = "The store cannot be reached, or takes no more. Nothing was done: try again.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not now", detail)
    }
}

impl From<BrokerError> for Problem {
    fn from(error: BrokerError) -> Self {
        match error {
            BrokerError::Destination(detail) => Self::destination(detail),
            BrokerError::Publish(PublishError::Unknown(error)) => {
                tracing::warn!(%error, "what became of a message of the API is unknown");
                let detail =
                    "The message may or may not have been sent. With an id, the same call is safe to repeat.";
                Self::new(StatusCode::GATEWAY_TIMEOUT, "outcome-unknown", "The outcome is unknown", detail)
            }
            BrokerError::Publish(PublishError::Refused(error)) => error.into(),
            BrokerError::Publish(PublishError::Full) => {
                let detail =
                    "The queue holds as much as it may that nobody has handled yet. Nothing was done: try again.";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "queue-full", "The queue is full", detail)
            }
        }
    }
}
