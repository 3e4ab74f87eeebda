//! The application as workers that pop from a list in Redis.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use metrics::counter;

use super::event::Event;
use crate::stomp::{AppError, AppHandler, AppMessage};
use crate::store::{AppendError, Appended, ListName, RedisLists};

/// Puts what clients send into a list, in their order, as the JSON of a hook: programs of the application pop it from the
/// other end. `docs/backend.md` shows how.
///
/// A message is in the list once, also when a node dies in the middle or an answer of Redis is lost: ids are remembered for
/// ten minutes.
///
/// ```no_run
/// use sockhop::stomp::{Stomp, WorkerList};
/// use sockhop::store::RedisStore;
///
/// # fn start(store: &RedisStore) {
/// let orders = WorkerList::new(store.lists(), "sockhop:{orders}".parse().unwrap());
/// let stomp = Stomp::new().app("/app/orders/**", orders);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct WorkerList(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lists: RedisLists,
    name: ListName,
    most: usize,
}

impl WorkerList {
    /// A list that holds 100,000 messages at most.
    #[must_use]
    pub fn new(lists: RedisLists, name: ListName) -> Self {
        Self::bounded(lists, name, 100_000)
    }

    /// A list that holds so many messages at most; more are refused as unavailable.
    #[must_use]
    pub fn bounded(lists: RedisLists, name: ListName, most: usize) -> Self {
        Self(Arc::new(Inner { lists, name, most: most.max(1) }))
    }
}

impl AppHandler for WorkerList {
    fn handle(&self, message: AppMessage) -> BoxFuture<'static, Result<(), AppError>> {
        let Self(inner) = self.clone();
        Box::pin(async move {
            let Inner { lists, name, most } = &*inner;
            let event = Event::message(&message).json();
            let (outcome, result) = match lists.append(name, message.id(), &event, *most).await {
                Ok(Appended::There) => ("answered", Ok(())),
                Ok(Appended::Full) => {
                    tracing::warn!(list = %name, most, "a list of workers is full: messages are refused");
                    ("unavailable", Err(AppError::Unavailable))
                }
                Err(AppendError::Refused(error)) => {
                    tracing::warn!(list = %name, %error, "a message for workers was not accepted");
                    ("unavailable", Err(AppError::Unavailable))
                }
                Err(AppendError::Unknown(error)) => {
                    tracing::warn!(list = %name, %error, "nobody knows whether a message for workers was accepted");
                    ("unknown", Err(AppError::Unknown))
                }
            };
            counter!("sockhop_hook_calls_total", "hook" => "list", "outcome" => outcome).increment(1);
            result
        })
    }
}
