//! What the application is told, as JSON.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::RequestInfo;
use crate::stomp::{AppMessage, Connect, Disconnect, Principal};

/// One event.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(super) enum Event<'a> {
    Message(Message<'a>),
    Subscribe(Message<'a>),
    Connect(Connecting<'a>),
    Disconnect(Disconnected<'a>),
}

/// A client has sent a message to the application, or has subscribed there, without a body then.
#[derive(Serialize)]
pub(super) struct Message<'a> {
    id: &'a str,
    session: String,
    user: Option<User<'a>>,
    destination: &'a str,
    headers: BTreeMap<&'a str, &'a str>,
    body: &'a str,
}

/// A client wants to connect.
#[derive(Serialize)]
pub(super) struct Connecting<'a> {
    session: String,
    /// Of the client's token.
    user: Option<User<'a>>,
    headers: BTreeMap<&'a str, &'a str>,
    request: Request<'a>,
}

/// A session that had connected is over.
#[derive(Serialize)]
pub(super) struct Disconnected<'a> {
    session: String,
    user: Option<User<'a>>,
    code: u16,
    reason: &'a str,
}

#[derive(Serialize)]
struct User<'a> {
    name: &'a str,
    claims: &'a Map<String, Value>,
}

/// The request that opened the session.
#[derive(Serialize)]
struct Request<'a> {
    transport: String,
    path: &'a str,
    query: &'a str,
    headers: BTreeMap<String, String>,
    remote: Option<SocketAddr>,
}

impl<'a> Event<'a> {
    pub(super) fn message(message: &'a AppMessage) -> Self {
        Self::Message(Message::of(message))
    }

    pub(super) fn subscribe(message: &'a AppMessage) -> Self {
        Self::Subscribe(Message::of(message))
    }

    pub(super) fn connect(connect: &'a Connect) -> Self {
        Self::Connect(Connecting {
            session: connect.session().id().to_string(),
            user: connect.user().map(user),
            headers: firsts(connect.headers()),
            request: request(connect.request()),
        })
    }

    pub(super) fn disconnect(disconnect: &'a Disconnect) -> Self {
        Self::Disconnect(Disconnected {
            session: disconnect.session().id().to_string(),
            user: disconnect.user().map(user),
            code: disconnect.reason().code(),
            reason: disconnect.reason().text(),
        })
    }

    pub(super) fn json(&self) -> Vec<u8> {
        // Names are text, and nothing else can fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl<'a> Message<'a> {
    fn of(message: &'a AppMessage) -> Self {
        Self {
            id: message.id(),
            session: message.session().id().to_string(),
            user: message.user().map(user),
            destination: message.destination(),
            headers: firsts(message.headers()),
            body: message.body(),
        }
    }
}

fn user(user: &Principal) -> User<'_> {
    User { name: user.name(), claims: user.claims() }
}

/// Of several headers with one name the first counts.
fn firsts<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<&'a str, &'a str> {
    let mut firsts = BTreeMap::new();
    for (name, value) in headers {
        firsts.entry(name).or_insert(value);
    }
    firsts
}

fn request(request: &RequestInfo) -> Request<'_> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Request {
        transport: request.transport().to_string(),
        path: request.path(),
        query: request.query(),
        headers: request.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        remote: request.remote(),
    }
}
