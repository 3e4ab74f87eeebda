//! The SockJS 0.3 wire: every transport of the protocol over one small trait.
//!
//! This crate turns requests into answers. It knows frames, headers, paths and the ways in which each transport
//! carries frames; it does not know where sessions live. Whoever implements [`Sessions`] gets all of SockJS:
//! websocket, raw websocket, xhr-streaming, xhr-polling, eventsource, htmlfile and jsonp, the greeting, the iframe
//! page and `/info`.
//!
//! Most users want the `sockhop` crate, which brings sessions, channels and a server.
//!
//! What deliberately is not here: any store, any notion of a topic or user, any task that nobody owns (upgraded
//! connections are handed to [`Sessions::spawn`]).

mod body;
mod callback;
mod close;
mod filter;
mod frame;
mod headers;
mod heard;
mod iframe;
mod inbound;
mod info;
mod message;
mod options;
mod quote;
mod receive;
mod route;
mod send;
mod service;
mod sessions;
mod socket;
mod transport;
mod upgrade;

pub use body::{Body, BodyError, Cut, read as read_body};
pub use callback::{Callback, CallbackError};
pub use close::{CloseReason, InvalidCloseReason};
pub use frame::{Frame, Messages};
pub use inbound::{PayloadError, Texts, jsonp_messages, messages, websocket_messages};
pub use message::Message;
pub use options::{Options, Origins};
pub use quote::quote;
pub use receive::Unwritten;
pub use route::{Endpoint, Target, target};
pub use service::{RemoteAddr, SockJs};
pub use sessions::{
    Attached, ClientRequest, Fenced, MessageIn, Next, Receiver, Room, Sessions, Socket, SocketEnd, Transport,
    Unavailable,
};
