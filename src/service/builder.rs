//! What a service is made with.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use sockhop_transports::{Options, Origins, SockJs};

use super::sessions::ServiceSessions;
use super::{Service, ServiceState};
use crate::handler::AnyHandler;
use crate::hub::Render;
use crate::node::Node;
use crate::request::DEFAULT_HEADERS;
use crate::session::Track;

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

    /// The headers that handlers see in [`RequestInfo`](crate::RequestInfo). Default: `accept-language`, `forwarded`, `host`,
    /// `origin`, `referer`, `user-agent`, `x-forwarded-for`, `x-forwarded-proto`, `x-real-ip`.
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
