//! A service: a path prefix with a handler and options.

mod builder;
mod sessions;

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderName, Request, Response};
use sockhop_transports::{Body, SockJs, Unwritten};

pub use self::builder::ServiceBuilder;
use self::sessions::ServiceSessions;
use crate::handler::{AnyHandler, Handler};
use crate::hub::Render;
#[cfg(test)]
use crate::session::AnySocket;
use crate::session::Track;

/// A SockJS service, ready to be mounted. Cloning is cheap.
///
/// As a warp filter:
///
/// ```
/// use sockhop::{Handler, Node, Service, Session};
/// use warp::Filter;
///
/// struct Echo;
///
/// impl Handler for Echo {
///     async fn on_message(&self, session: &Session, message: String) {
///         let _ = session.send(message).await;
///     }
/// }
///
/// # tokio_test::block_on(async {
/// let node = Node::new();
/// let echo = Service::builder("/echo", Echo).build(&node);
/// let routes = echo.filter().or(warp::path("hello").map(|| "hello"));
/// # let _ = routes;
/// # });
/// ```
///
/// It is a [`tower_service::Service`] as well, for axum and plain hyper: see `examples/axum.rs`.
#[derive(Clone)]
pub struct Service(SockJs<ServiceSessions>);

/// What all sessions of a service share.
pub(crate) struct ServiceState {
    pub(crate) name: Arc<str>,
    pub(crate) handler: Arc<dyn AnyHandler>,
    /// How entries of tagged feeds are rendered.
    pub(crate) render: Option<Arc<dyn Render>>,
    /// Who wants to know how far clients have come.
    pub(crate) track: Option<Arc<dyn Track>>,
    pub(crate) unread_limit: usize,
    pub(crate) max_subscriptions: usize,
    pub(crate) max_messages_per_second: Option<u32>,
    response_limit: usize,
    disconnect_delay: Duration,
    /// How long sessions wait to be resumed, where they can be.
    pub(crate) resume: Option<Duration>,
    kept_headers: Vec<HeaderName>,
    kept_cookie: Option<String>,
}

impl ServiceState {
    /// Bytes of its own frames that a session may keep: what may be unread, and what a response or a repeated one
    /// may have carried.
    pub(crate) fn most_kept(&self) -> usize {
        self.unread_limit.saturating_mul(2).saturating_add(self.response_limit)
    }
}

impl Service {
    /// A service below `prefix` (`/echo`; empty for the root), whose sessions `handler` handles.
    pub fn builder(prefix: impl Into<String>, handler: impl Handler) -> ServiceBuilder {
        ServiceBuilder::of_parts(prefix.into(), Arc::new(handler), None)
    }

    /// The prefix, without a slash at its end.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.0.prefix()
    }

    /// Whether a path belongs to this service.
    #[must_use]
    pub fn serves(&self, path: &str) -> bool {
        self.0.serves(path)
    }

    /// A WebSocket's session without a WebSocket.
    #[cfg(test)]
    pub(crate) fn open_socket(&self) -> AnySocket {
        self.open_socket_as("")
    }

    /// The same with an id.
    #[cfg(test)]
    pub(crate) fn open_socket_as(&self, session: &str) -> AnySocket {
        use sockhop_transports::{ClientRequest, Sessions, Transport};

        let (head, ()) = http::Request::new(()).into_parts();
        let transport = Transport::Websocket;
        let request = ClientRequest { transport, session, request_id: None, remote: None, head: &head };
        self.0.sessions().connect(request).expect("there is room")
    }

    /// The service as a warp filter; requests for other paths are rejected, so that other filters can follow.
    #[must_use]
    pub fn filter(&self) -> warp::filters::BoxedFilter<(warp::reply::Response,)> {
        self.0.filter()
    }

    /// Answers a request whose path belongs to the service; for those who accept connections themselves.
    ///
    /// # Errors
    /// The connection is to be closed without a byte, so that the balancer repeats the request elsewhere.
    pub async fn respond<B>(&self, request: Request<B>) -> Result<Response<Body>, Unwritten>
    where
        B: http_body::Body<Data: bytes::Buf>,
    {
        self.0.respond(request).await
    }

    /// Answers a client whose address is known.
    pub(crate) fn respond_to<B>(
        &self,
        remote: SocketAddr,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<Body>, Unwritten>>
    where
        B: http_body::Body<Data: bytes::Buf>,
    {
        self.0.respond_to(Some(remote), request)
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("prefix", &self.prefix()).finish_non_exhaustive()
    }
}

impl<B> tower_service::Service<Request<B>> for Service
where
    B: http_body::Body<Data: bytes::Buf + Send> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        tower_service::Service::<Request<B>>::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        tower_service::Service::call(&mut self.0, request)
    }
}
