//! A SockJS server whose sessions live in a store, not in a node.
//!
//! A [`Service`] is a path prefix with a [`Handler`]; a [`Node`] is the process that services belong to. A service is
//! mounted as a warp filter, or as a tower service in axum or hyper, or served by a [`Server`](server::Server).
//!
//! ```no_run
//! use sockhop::{CloseReason, Handler, Node, Service, Session};
//!
//! struct Room;
//!
//! impl Handler for Room {
//!     async fn on_open(&self, session: &Session) {
//!         let _ = session.subscribe(&"room".parse().unwrap()).await;
//!     }
//!
//!     async fn on_message(&self, session: &Session, message: String) {
//!         // Everybody in the room gets it, over whatever transport.
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() {
//!     let node = Node::new();
//!     let room = Service::builder("/room", Room).build(&node);
//!     warp::serve(room.filter()).run(([127, 0, 0, 1], 8081)).await;
//! }
//! ```
//!
//! # What is promised
//! Every session gets the messages of each channel that it is subscribed to exactly once and in the channel's order,
//! however many requests carry them, or is told that it missed some (4504) or was too slow (4501). What one client
//! sends is handled in its order. `on_close` runs once.
//!
//! # Close codes of sockhop itself
//! | code | reason |
//! | --- | --- |
//! | 4500 | the handler panicked |
//! | 4501 | more was unread than [`ServiceBuilder::unread_limit`] allows |
//! | 4502 | more messages came than [`ServiceBuilder::max_messages_per_second`] allows |
//! | 4504 | messages of a channel were missed: the session's place is older than what the channel keeps |
//! | 4505 | the server ends, and the session cannot go on elsewhere |
//! | 4506 | the session that was to be resumed is gone: see [`ServiceBuilder::resume`] |
//! | 4507 | a later attempt of the same client has resumed the session |
//! | 4508 | the session id is neither an ordinary one nor one that can be resumed |
//! | 4510 | a STOMP client got an ERROR frame that says why |
//! | 4511 | what the client showed as its right to be here, such as a token, has expired |
//! | 4512 | a STOMP client promised heart-beats and was silent |

pub mod api;
mod catalogue;
mod handler;
mod http_client;
mod hub;
mod id;
mod metrics;
mod node;
mod registry;
mod request;
mod retention;
pub mod server;
mod service;
pub mod services;
mod session;
pub mod stomp;
pub mod store;

pub use handler::Handler;
pub use id::{ChannelName, InvalidChannelName, MessageId, NodeId, RequestId, SessionKey};
pub use node::{DrainReport, Node, NodeBuilder};
pub use request::RequestInfo;
pub use retention::{ChannelPattern, InvalidChannelPattern};
pub use service::{Service, ServiceBuilder};
pub use session::{AnchorError, AttributeError, SendError, Session};
pub use sockhop_transports::{
    Body, CloseReason, InvalidCloseReason, Message, Origins, RemoteAddr, Transport, Unwritten,
};

/// The README's code, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
