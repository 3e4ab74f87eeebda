//! Hooks: an application in any language, behind HTTP or lists in Redis.

mod answer;
mod event;
mod http;
mod permits;
mod publish_list;
mod signature;
mod workers;

pub use self::http::{HttpHook, HttpHookBuilder, InvalidHook};
pub use self::publish_list::PublishList;
pub use self::workers::WorkerList;
