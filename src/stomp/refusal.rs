//! Why a frame is refused: what the client reads in its ERROR frame.

use sockhop_stomp::{Command, DecodeError, Frame};

use super::app::AppError;
use super::broker::BrokerError;
use super::connect::{ConnectError, InvalidAdmission};
use crate::SendError;
use crate::store::{PublishError, StoreError, SubscribeError};

/// A frame is refused, and the connection with it: STOMP has no smaller answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// One line.
    pub(crate) message: String,
    /// What would be right.
    pub(crate) detail: String,
    /// Headers beside the message.
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// The ways to refuse, each with its text. docs/spring.md lists them.
impl Refusal {
    pub(crate) fn new(message: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { message: message.into(), detail: detail.into(), headers: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn missing(header: &str, command: Command) -> Self {
        Self::new(format!("missing header: {header}"), format!("A {command} frame needs the header {header}."))
    }

    pub(crate) fn invalid(header: &str, why: impl Into<String>) -> Self {
        Self::new(format!("invalid header: {header}"), why)
    }

    /// A subscription with wildcards stands for more than the session may have.
    pub(crate) fn too_many_for(pattern: &str, most: usize) -> Self {
        let detail =
            format!("A session may have {most} subscriptions, and {pattern} stands for more than are left.");
        Self::new("too many subscriptions", detail)
    }

    /// Wildcards would miss topics.
    pub(crate) fn too_many_topics() -> Self {
        let detail = "There are more topics than wildcards can find: subscribe to each by its name, or have the \
                      server's max-topics raised.";
        Self::new("too many topics", detail)
    }

    /// The ERROR frame.
    pub(crate) fn frame(&self, receipt: Option<&str>) -> Frame {
        let mut frame = Frame::new(Command::Error).with("message", self.message.as_str());
        if let Some(receipt) = receipt {
            frame = frame.with("receipt-id", receipt);
        }
        for (name, value) in &self.headers {
            frame = frame.with(*name, value.as_str());
        }
        if self.detail.is_empty() {
            return frame;
        }
        frame.with("content-type", "text/plain").with_body(self.detail.as_str())
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Self::new("malformed frame", format!("{error}."))
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a STOMP frame could not be handled");
        Self::new("unavailable", "The server's store cannot be reached. Connect again.")
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        tracing::warn!(%error, "a STOMP message could not be published");
        match error {
            PublishError::Full => Self::new(
                "queue full",
                "The queue holds as much as it may that nobody has handled yet. The message was not accepted.",
            ),
            PublishError::Refused(_) => Self::new("not accepted", "The message was not accepted."),
            PublishError::Unknown(_) => {
                Self::new("outcome unknown", "The message may or may not have been accepted.")
            }
        }
    }
}

impl From<AppError> for Refusal {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Body(_) => Self::new("invalid body", format!("{error}.")),
            AppError::Refused(why) => Self::new("refused", why),
            AppError::Unavailable => Self::new("unavailable", "The application cannot be reached now. Try again."),
            AppError::Unknown => Self::new(
                "outcome unknown",
                "The application has not answered: it may or may not have handled this.",
            ),
            AppError::Failed => Self::new("internal error", "The application could not handle this."),
            AppError::Broker(BrokerError::Publish(error)) => error.into(),
            // A fault of the application, and not of the client's.
            AppError::Broker(BrokerError::Destination(detail)) => {
                tracing::error!(detail, "an application handler sent to no destination");
                Self::new("internal error", "The application could not handle this.")
            }
            AppError::Answer(error) => {
                tracing::error!(error, "an application handler's answer cannot be written");
                Self::new("internal error", "The application could not handle this.")
            }
        }
    }
}

impl From<ConnectError> for Refusal {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Refused(why) => Self::new("authentication failed", why),
            ConnectError::Unavailable => {
                Self::new("unavailable", "The application cannot say now who you are. Try again.")
            }
        }
    }
}

impl From<InvalidAdmission> for Refusal {
    fn from(error: InvalidAdmission) -> Self {
        // A fault of the application, and not of the client's.
        tracing::error!(%error, "what the application says of a connecting client is not taken");
        Self::new("internal error", "The application could not handle this.")
    }
}

impl From<SendError> for Refusal {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Store(error) => error.into(),
            SendError::Over | SendError::TooSlow => Self::new("session over", ""),
        }
    }
}

impl From<SubscribeError> for Refusal {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::TooMany(most) => {
                Self::new("too many subscriptions", format!("A session may have {most} subscriptions."))
            }
            SubscribeError::Store(error) => error.into(),
            SubscribeError::Over => Self::new("session over", ""),
        }
    }
}

/// The beginning of a client's text, for an error.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
