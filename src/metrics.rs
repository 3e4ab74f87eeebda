//! What a node counts, through the `metrics` facade: install a recorder before the node is built to see it.

use metrics::{Counter, counter, describe_counter};
use sockhop_transports::CloseReason;

/// Handles of the node's counters.
pub(crate) struct Metrics {
    pub(crate) opened: Counter,
    pub(crate) published: Counter,
    pub(crate) messages_in: Counter,
    pub(crate) handler_panics: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        describe_counter!("sockhop_sessions_opened_total", "sessions opened");
        describe_counter!("sockhop_sessions_closed_total", "sessions closed, by close code");
        describe_counter!("sockhop_messages_published_total", "messages accepted by channels");
        describe_counter!("sockhop_messages_in_total", "messages from clients handed to handlers");
        describe_counter!("sockhop_handler_panics_total", "handler calls that panicked");
        Self {
            opened: counter!("sockhop_sessions_opened_total"),
            published: counter!("sockhop_messages_published_total"),
            messages_in: counter!("sockhop_messages_in_total"),
            handler_panics: counter!("sockhop_handler_panics_total"),
        }
    }

    /// A session is over. Codes are the application's and the server's, never a client's.
    pub(crate) fn closed(&self, reason: &CloseReason) {
        counter!("sockhop_sessions_closed_total", "code" => reason.code().to_string()).increment(1);
    }
}
