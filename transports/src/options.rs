//! What a service may set about its transports.

use std::time::Duration;

use http::HeaderValue;

/// Which page origins may talk to a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origins {
    /// Every origin: the protocol's default.
    #[default]
    Any,
    /// These, compared byte for byte (`https://app.example.com`), and pages of the server's own host.
    Only(Vec<String>),
}

/// Options of one service's transports. Each field says its unit and default; see [`Options::default`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Silence after which a receiver gets `h`. Default 25 s. Above 30 s, jsonp clients and many proxies give up on
    /// polls; very short ones cost traffic.
    pub heartbeat: Duration,
    /// Time that a WebSocket client has to answer a ping before it counts as gone. Default 10 s.
    pub pong_timeout: Duration,
    /// Bytes of frames after which a streaming response ends and the client opens its next. Default 128 KiB. Small
    /// ones cost requests; large ones let old browsers, which keep the whole response, grow.
    pub response_limit: usize,
    /// Bytes that one message from a client may have: its text over HTTP, the whole frame on a WebSocket. Default
    /// 1 MiB.
    pub message_limit: usize,
    /// Bytes that one request body may have. Default 4 MiB.
    pub body_limit: usize,
    /// Time in which a request body must have arrived. Default 30 s.
    pub body_timeout: Duration,
    /// Whether the two websocket transports are offered. Default true.
    pub websocket: bool,
    /// Whether answers carry a `JSESSIONID` cookie, for balancers that are sticky by it. Default false.
    pub cookie_needed: bool,
    /// Which pages may talk to the service. Default: all.
    pub origins: Origins,
    /// Where the iframe page loads sockjs-client from: an absolute URL, or a path on this server. It must be the very
    /// version that the pages use.
    pub iframe_client_url: String,
    /// Initial read buffer of a WebSocket in bytes, held while it is open. Default 4 KiB.
    pub websocket_buffer: usize,
    /// WebSocket subprotocols that are spoken here, the preferred first. A client that asks for some and offers none
    /// of these gets a connection without one, which browsers then refuse. Default: none.
    pub subprotocols: Vec<HeaderValue>,
    /// Whether a raw WebSocket's binary messages are taken as text where they are UTF-8. Default false: they end the
    /// connection.
    pub binary_text: bool,
    /// The header by which a balancer names a request, kept when it repeats the request on another node; `None`
    /// where there is none, or clients could forge it. Default `None`.
    pub request_id_header: Option<http::HeaderName>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(10),
            response_limit: 128 * 1024,
            message_limit: 1024 * 1024,
            body_limit: 4 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            websocket: true,
            cookie_needed: false,
            origins: Origins::Any,
            iframe_client_url: "https://cdn.jsdelivr.net/npm/sockjs-client@1.6.1/dist/sockjs.min.js".to_owned(),
            websocket_buffer: 4 * 1024,
            subprotocols: Vec::new(),
            binary_text: false,
            request_id_header: None,
        }
    }
}
