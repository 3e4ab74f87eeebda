//! A service: a path prefix with a handler and options.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, Response};
use sockhop_transports::{
    Attached, Body, ClientRequest, CloseReason, MessageIn, Options, Origins, Sessions, SockJs, Texts, Transport,
    Unavailable, Unwritten,
};

use crate::handler::{AnyHandler, Handler};
use crate::hub::Render;
use crate::id::{RequestId, SessionKey};
use crate::node::{Node, NodeInner};
use crate::registry::Kind;
use crate::request::{DEFAULT_HEADERS, RequestInfo};
use crate::session::{self, AnySocket, Held, KeptSocket, LocalSocket, Malformed, Named, Presence, Track, Wanted};
use crate::store::{Begin, First, Origin, SessionRef};

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

/// Makes a [`Service`]. Every option says its unit and default.
pub struct ServiceBuilder {
    prefix: String,
    handler: Arc<dyn AnyHandler>,
    render: Option<Arc<dyn Render>>,
    track: Option<Arc<dyn Track>>,
    transports: Options,
    unread_limit: usize,
    max_subscriptions: usize,
    max_messages_per_second: Option<u32>,
    disconnect_delay: Duration,
    pub(crate) resume: Option<Duration>,
    kept_headers: Vec<HeaderName>,
    kept_cookie: Option<String>,
}

impl std::fmt::Debug for ServiceBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceBuilder").field("prefix", &self.prefix).finish_non_exhaustive()
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
        let (head, ()) = http::Request::new(()).into_parts();
        let transport = sockhop_transports::Transport::Websocket;
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

impl ServiceBuilder {
    /// The longest time that a session can wait to be resumed: 30 minutes.
    // The heads of its channels must outlive it.
    pub const LONGEST_RESUME: Duration = Duration::from_secs(30 * 60);

    /// A service from a handler, and from the way in which entries of tagged feeds are rendered.
    pub(crate) fn of_parts(prefix: String, handler: Arc<dyn AnyHandler>, render: Option<Arc<dyn Render>>) -> Self {
        Self {
            prefix,
            handler,
            render,
            track: None,
            transports: Options::default(),
            unread_limit: 1024 * 1024,
            max_subscriptions: 1000,
            max_messages_per_second: None,
            disconnect_delay: Duration::from_secs(5),
            resume: None,
            kept_headers: DEFAULT_HEADERS.to_vec(),
            kept_cookie: None,
        }
    }

    /// Tells a part of the service how far clients have come in some of their feeds.
    pub(crate) fn track(mut self, track: Arc<dyn Track>) -> Self {
        self.track = Some(track);
        self
    }

    /// A cookie that is kept of the request that opens a session, among its headers.
    pub(crate) fn keep_cookie(mut self, name: Option<String>) -> Self {
        self.kept_cookie = name;
        self
    }

    /// The WebSocket subprotocols that are spoken, the preferred first. Raw WebSockets that send binary messages have
    /// them taken as text.
    pub(crate) fn subprotocols(mut self, names: impl IntoIterator<Item = HeaderValue>) -> Self {
        self.transports.subprotocols = names.into_iter().collect();
        self.transports.binary_text = true;
        self
    }

    /// Silence after which a client gets a heartbeat. Default 25 s; above 30 s jsonp clients give up.
    #[must_use]
    pub fn heartbeat(mut self, silence: Duration) -> Self {
        self.transports.heartbeat = silence;
        self
    }

    /// How long a session lives while its client is between two requests. Default 5 s. A short one loses sessions of
    /// slow networks, a long one keeps what waits for clients that are gone.
    #[must_use]
    pub fn disconnect_delay(mut self, delay: Duration) -> Self {
        self.disconnect_delay = delay;
        self
    }

    /// Lets clients resume a session whose connection they have lost, within this time. Default: `None`, they cannot.
    /// At most [`LONGEST_RESUME`](Self::LONGEST_RESUME): channels remember no longer where they stood.
    ///
    /// A client asks for it by its session id, `SECRET~N`: a secret of 22 to 128 characters of base64url (128 random
    /// bits or more), the same for as long as the session lives, and the number of the attempt to connect, from 1 on.
    /// sockjs-client does that with `sessionId: () => secret + '~' + ++n`. Each attempt takes the session over, over
    /// whatever transport and node, and gets what it is not known to have, some of it perhaps again. A client that has
    /// had the session appends `~resume`, and is then told with 4506 if the session is gone, where it would otherwise
    /// get a new one. Other ids are those of ordinary sessions.
    /// Eventsource is not offered to sessions that can be resumed: its next request says nothing about what has arrived.
    ///
    /// While the client is away its session is open, and bounded as ever: by [`unread_limit`](Self::unread_limit) and
    /// by what channels keep. `on_close` runs when the time is over, with 1001.
    #[must_use]
    pub fn resume(mut self, window: Option<Duration>) -> Self {
        self.resume = window;
        self
    }

    /// Bytes after which a streaming response ends and the client opens its next. Default 128 KiB.
    #[must_use]
    pub fn response_limit(mut self, bytes: usize) -> Self {
        self.transports.response_limit = bytes;
        self
    }

    /// Bytes that may wait for a client, in its session's own frames or in one channel, before it counts as too slow
    /// and is closed with 4501. Default 1 MiB. A message for which nothing waits is taken whatever its size.
    #[must_use]
    pub fn unread_limit(mut self, bytes: usize) -> Self {
        self.unread_limit = bytes;
        self
    }

    /// Bytes of one message from a client: its text over HTTP, the whole frame on a WebSocket. Default 1 MiB. Longer
    /// ones: 413, on a WebSocket close code 1009.
    #[must_use]
    pub fn message_limit(mut self, bytes: usize) -> Self {
        self.transports.message_limit = bytes;
        self
    }

    /// Bytes of one request body. Default 4 MiB. Longer ones: 413.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.transports.body_limit = bytes;
        self
    }

    /// Time in which a request body must have arrived. Default 30 s. Slower ones: 408.
    #[must_use]
    pub fn body_timeout(mut self, time: Duration) -> Self {
        self.transports.body_timeout = time;
        self
    }

    /// Messages that one client may send in a second; more close its session with 4502. Default: any number.
    #[must_use]
    pub fn max_messages_per_second(mut self, messages: Option<u32>) -> Self {
        self.max_messages_per_second = messages;
        self
    }

    /// Channels that one session may be subscribed to. Default 1,000.
    #[must_use]
    pub fn max_subscriptions(mut self, channels: usize) -> Self {
        self.max_subscriptions = channels;
        self
    }

    /// Whether the two websocket transports are offered. Default true.
    #[must_use]
    pub fn websocket(mut self, offered: bool) -> Self {
        self.transports.websocket = offered;
        self
    }

    /// Whether answers carry a `JSESSIONID` cookie, for balancers that are sticky by it. Default false.
    #[must_use]
    pub fn cookie_needed(mut self, needed: bool) -> Self {
        self.transports.cookie_needed = needed;
        self
    }

    /// Which pages may talk to the service. Default: all.
    #[must_use]
    pub fn origins(mut self, origins: Origins) -> Self {
        self.transports.origins = origins;
        self
    }

    /// Where the iframe page loads sockjs-client from: an absolute URL or a path on this server, of the very version
    /// that the pages use.
    #[must_use]
    pub fn iframe_client_url(mut self, url: impl Into<String>) -> Self {
        self.transports.iframe_client_url = url.into();
        self
    }

    /// Time in which a WebSocket client must answer a ping. Default 10 s.
    #[must_use]
    pub fn pong_timeout(mut self, time: Duration) -> Self {
        self.transports.pong_timeout = time;
        self
    }

    /// The header by which a balancer names a request and its repeats, such as `x-request-id`. Default `None`: set it
    /// only where the balancer sets it on every request, since a client that forges it confuses its own session.
    #[must_use]
    pub fn request_id_header(mut self, name: Option<HeaderName>) -> Self {
        self.transports.request_id_header = name;
        self
    }

    /// The headers that handlers see in [`RequestInfo`]. Default: `accept-language`, `forwarded`, `host`, `origin`,
    /// `referer`, `user-agent`, `x-forwarded-for`, `x-forwarded-proto`, `x-real-ip`.
    #[must_use]
    pub fn keep_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.kept_headers = names.into_iter().collect();
        self
    }

    /// Makes the service a part of a node.
    #[must_use]
    pub fn build(self, node: &Node) -> Service {
        let prefix = self.prefix.trim_end_matches('/').to_owned();
        let state = Arc::new(ServiceState {
            name: prefix.as_str().into(),
            handler: self.handler,
            render: self.render,
            track: self.track,
            unread_limit: self.unread_limit,
            max_subscriptions: self.max_subscriptions,
            max_messages_per_second: self.max_messages_per_second,
            response_limit: self.transports.response_limit,
            disconnect_delay: self.disconnect_delay,
            resume: self.resume.map(|window| window.min(Self::LONGEST_RESUME).max(self.disconnect_delay)),
            kept_headers: self.kept_headers,
            kept_cookie: self.kept_cookie,
        });
        node.inner.add_service(&state);
        let sessions = ServiceSessions { node: Arc::clone(&node.inner), service: state };
        Service(SockJs::new(prefix, self.transports, sessions))
    }
}

/// The session layer behind a service's transports.
struct ServiceSessions {
    node: Arc<NodeInner>,
    service: Arc<ServiceState>,
}

impl ServiceSessions {
    fn origin(&self, request: &ClientRequest<'_>, can_resume: bool) -> Origin {
        let service = &self.service;
        let window = service.resume.filter(|_| can_resume);
        Origin {
            service: Arc::clone(&service.name),
            request: RequestInfo::new(
                request.transport,
                &service.name,
                request.head,
                request.remote,
                &service.kept_headers,
            )
            .with_cookie(request.head, service.kept_cookie.as_deref()),
            disconnect_delay: window.unwrap_or(service.disconnect_delay),
        }
    }

    /// The session that a request is about.
    fn named(&self, request: &ClientRequest<'_>) -> Result<Named, Malformed> {
        match self.service.resume {
            Some(_) => Named::parse(&self.service.name, request.session),
            None => Ok(Named::plain(&self.service.name, request.session)),
        }
    }
}

/// By what a request and its repeats are known.
///
/// Where sessions can be resumed, that is first what the stock client itself puts into each URL: browsers repeat requests
/// whose connection broke before an answer, and a balancer takes these for new ones.
fn request_id(request: &ClientRequest<'_>, named: &Named) -> Option<RequestId> {
    let by_client = || request.head.uri.query().and_then(of_client).map(RequestId::of);
    let by_balancer = || request.request_id.map(RequestId::of);
    if named.attempt.is_some() { by_client().or_else(by_balancer) } else { by_balancer() }
}

/// The parameter by which sockjs-client makes each URL another: the time, or the random name of a callback.
fn of_client(query: &str) -> Option<&str> {
    let is_time = |value: &str| value.len() >= 10 && value.bytes().all(|byte| byte.is_ascii_digit());
    query.split('&').find(|parameter| match parameter.split_once('=') {
        Some(("t", value)) => is_time(value),
        Some(("c", value)) => value.starts_with("_jp."),
        Some(("i", value)) => value.len() == 9 && value.starts_with('a'),
        _ => false,
    })
}

/// Whether a transport carries one frame a response: its first is `o`, and nothing else.
fn is_poll(transport: Transport) -> bool {
    matches!(transport, Transport::Xhr | Transport::Jsonp)
}

impl Sessions for ServiceSessions {
    type Receiver = Held;
    type Socket = AnySocket;

    async fn attach(&self, request: ClientRequest<'_>) -> Attached<Held> {
        let Ok(named) = self.named(&request) else { return Attached::Refused(CloseReason::MALFORMED) };
        if named.attempt.is_some() && request.transport == Transport::Eventsource {
            // It opens its next receiver after a cut as after a proper end, so nothing says what has arrived.
            return Attached::NotOffered;
        }
        let presence = Presence::enter(&self.node, named.key, Kind::Response);
        let wanted = Wanted {
            named,
            request: request_id(&request, &named),
            first: if is_poll(request.transport) { First::Released } else { First::Held },
            origin: &|| self.origin(&request, named.attempt.is_some()),
        };
        session::attach(&self.node, &self.service, presence, wanted).await
    }

    async fn message_in(&self, request: ClientRequest<'_>, messages: Texts) -> MessageIn {
        let Ok(named) = self.named(&request) else { return MessageIn::Unknown };
        let begin = Begin {
            key: named.key,
            node: self.node.id,
            request: request_id(&request, &named),
            attempt: named.number(),
            count: u32::try_from(messages.len()).unwrap_or(u32::MAX),
            rate: self.service.max_messages_per_second,
        };
        session::hand_in(&self.node, &self.service, begin, messages).await
    }

    fn connect(&self, request: ClientRequest<'_>) -> Result<AnySocket, Unavailable> {
        let (node, service) = (&self.node, &self.service);
        if service.resume.is_some() {
            let named = self.named(&request);
            // An ordinary id is no identity of a WebSocket: two may have the same.
            if !matches!(named, Ok(Named { attempt: None, .. })) {
                let origin = self.origin(&request, true);
                return Ok(AnySocket::Kept(Box::new(KeptSocket::open(node, service, named, origin))));
            }
        }
        if !node.has_room() {
            return Err(session::FULL);
        }
        node.socket_opened();
        let origin = self.origin(&request, false);
        let session = SessionRef { key: SessionKey::random(), life: rand::random() };
        Ok(AnySocket::Local(LocalSocket::open(Arc::clone(node), Arc::clone(service), origin, session)))
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.node.spawn(task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_stock_client_puts_into_each_url_names_the_request() {
        for (query, name) in [
            ("t=1766780000000", "t=1766780000000"),
            ("a=b&t=1766780000000", "t=1766780000000"),
            ("c=_jp.abcdefg", "c=_jp.abcdefg"),
            ("i=abcdefghi", "i=abcdefghi"),
        ] {
            assert_eq!(of_client(query), Some(name));
        }
        for query in ["", "t", "t=", "t=1", "t=1766780000000x", "c=callback", "i=0", "x=1766780000000"] {
            assert_eq!(of_client(query), None, "{query}");
        }
    }
}
