//! What the transports ask of the layer that keeps sessions, and nothing else.

use std::future::Future;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;

use crate::{CloseReason, Frame, Texts};

/// How frames travel to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "named as in the protocol")]
pub enum Transport {
    Websocket,
    RawWebsocket,
    XhrStreaming,
    Xhr,
    Eventsource,
    Htmlfile,
    Jsonp,
}

impl Transport {
    /// The name as the protocol writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Websocket => "websocket",
            Self::RawWebsocket => "raw_websocket",
            Self::XhrStreaming => "xhr_streaming",
            Self::Xhr => "xhr",
            Self::Eventsource => "eventsource",
            Self::Htmlfile => "htmlfile",
            Self::Jsonp => "jsonp",
        }
    }
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One request of a client, as the session layer sees it.
#[derive(Debug, Clone, Copy)]
pub struct ClientRequest<'a> {
    /// How frames travel; for a send, how this kind of client receives.
    pub transport: Transport,
    /// The raw session segment of the path: the secret that authorises. Empty for a raw WebSocket.
    pub session: &'a str,
    /// The balancer's name of the request, where there is one and the service trusts it.
    pub request_id: Option<&'a str>,
    /// The client's address, where the server told it.
    pub remote: Option<SocketAddr>,
    /// Method, URI and headers.
    pub head: &'a http::request::Parts,
}

/// The layer that keeps a service's sessions.
///
/// An HTTP request *attaches*, waits for what comes next, and *releases* before its answer ends, so that the
/// client's next request finds the session free wherever it arrives.
pub trait Sessions: Send + Sync + 'static {
    /// Holds a session for one HTTP response. Dropped without [`Receiver::release`], it says that the client's
    /// connection was lost.
    type Receiver: Receiver;
    /// One WebSocket's session.
    type Socket: Socket;

    /// Takes hold of the session that the request names, which is created if nobody knows it.
    fn attach(&self, request: ClientRequest<'_>) -> impl Future<Output = Attached<Self::Receiver>> + Send;

    /// Hands messages to the session's handler; resolves when it has taken them.
    fn message_in(&self, request: ClientRequest<'_>, messages: Texts) -> impl Future<Output = MessageIn> + Send;

    /// Opens the session of a WebSocket, or takes hold of one.
    ///
    /// # Errors
    /// The reason to refuse it with, when there is no room or the server ends.
    fn connect(&self, request: ClientRequest<'_>) -> Result<Self::Socket, Unavailable>;

    /// Runs an upgraded connection, and waits for it when the server ends.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);
}

/// What became of an attach.
#[derive(Debug)]
pub enum Attached<R> {
    /// The session is held.
    Held(R),
    /// It is not, and the client is told so with a close frame.
    Refused(CloseReason),
    /// This transport is not for this session: 404, so that the client tries another.
    NotOffered,
    /// The answer must stay unwritten, so that the balancer repeats the request elsewhere.
    Unwritten,
    /// There is no room, or the store cannot be reached.
    Unavailable(Unavailable),
}

/// What became of a client's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageIn {
    /// The handler has taken them, or the session is closing and they are ignored.
    Done,
    /// Nobody knows the session: 404.
    Unknown,
    /// The answer must stay unwritten, so that the balancer repeats the request elsewhere.
    Unwritten,
    /// The store cannot be reached.
    Unavailable(Unavailable),
}

/// Why nothing can be done for a client now: the text of a 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable(pub &'static str);

/// What goes to the client next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// This frame. After [`Frame::Close`] nothing follows.
    Frame(Frame),
    /// Nothing more from this receiver: it ends properly, and its client's next one goes on, here or elsewhere.
    End,
    /// Another receiver has taken over: this one ends unwritten.
    Fenced,
}

/// A receiver was fenced off: another attach holds its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fenced;

/// A session held by one HTTP response.
pub trait Receiver: Send + Unpin + 'static {
    /// What goes to the client next; pending while there is nothing. May be given up on and asked again.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next>;

    /// Whether the client of a resumed session is still being handed what it had missed: the next heartbeat it sees is
    /// to be the one that says the end of that.
    fn is_replaying(&self) -> bool {
        false
    }

    /// Commits what was handed out and lets the session go. Resolves when any node can see it; only then may the
    /// answer's end be written.
    fn release(self) -> impl Future<Output = Result<(), Fenced>> + Send;
}

/// Whether a WebSocket can take another frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It can.
    Free,
    /// Its client does not read: only the news that the session is over is wanted.
    Blocked,
}

/// How a WebSocket came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketEnd {
    /// The session said so, or the client broke the rules: this is what the client was told.
    Closed(CloseReason),
    /// The client closed it on purpose.
    ByClient,
    /// The client's page went away, or a proxy did, and said so.
    Left,
    /// The connection was lost.
    Lost,
}

impl SocketEnd {
    /// What a handler is told of the end of a session that ends with it.
    #[must_use]
    pub fn reason(&self) -> CloseReason {
        match self {
            Self::Closed(reason) => reason.clone(),
            Self::ByClient | Self::Left => CloseReason::CLIENT_GONE,
            Self::Lost => CloseReason::INTERRUPTED,
        }
    }
}

/// What one WebSocket carries. Dropped without [`Socket::opened`], it was never a session.
pub trait Socket: Send + Unpin + 'static {
    /// What goes to the client next, [`Frame::Open`] at first.
    fn poll_next(&mut self, cx: &mut Context<'_>, room: Room) -> Poll<Next>;

    /// The number of a ping that is to go out now, behind all that was handed out.
    fn poll_ping(&mut self, _cx: &mut Context<'_>) -> Poll<u64> {
        Poll::Pending
    }

    /// A number for the heartbeat's ping, which goes out now; `None` where nobody waits for its pong.
    fn beat(&mut self) -> Option<u64> {
        None
    }

    /// The pong of a numbered ping came: the client has all that went out before that ping.
    fn pong(&mut self, _number: u64) {}

    /// Tells the handler that the session is open. Run before any message is handed in.
    fn opened(&self) -> BoxFuture<'static, ()>;

    /// Hands messages to the handler; one call at a time.
    fn message_in(&self, messages: Texts) -> BoxFuture<'static, ()>;

    /// The connection is over. Ends the session with it, or lets go one that outlives it.
    fn ended(self, end: SocketEnd) -> impl Future<Output = ()> + Send;
}
