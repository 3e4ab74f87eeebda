//! Serving services on a listening socket: an accept loop with limits, and an orderly end.
//!
//! hyper's own HTTP/1 connections are used, with buffers and time-outs set for many idle clients.

mod connections;
mod refuse;
mod signature;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use sockhop_transports::Unwritten;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use warp::filters::BoxedFilter;

use self::connections::{Admission, Connection, Connections};
use self::signature::Signature;
use crate::api::Api;
use crate::{Body, DrainReport, Node, Service};

/// What clients may take of a server. Each field says its unit and default; see [`Limits::default`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at once. Default 100,000. One more gets 503.
    pub connections: usize,
    /// Connections at once of one address; `None` for any number, which is the default: behind a balancer all have
    /// one address. One more gets 429.
    pub connections_per_address: Option<usize>,
    /// Time in which a request's headers must have arrived, counted from the end of the request before: so it is
    /// also how long an idle connection is kept. Default 30 s. Should exceed the balancer's keep-alive time.
    pub header_timeout: Duration,
    /// Bytes of a request's line and headers. Default 32 KiB. More: 431.
    pub header_bytes: usize,
    /// How long a peer may leave what was sent unacknowledged, or not read at all, before its connection is dropped.
    /// Default 30 s. Linux only; elsewhere the system's own time applies.
    pub stalled_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 100_000,
            connections_per_address: None,
            header_timeout: Duration::from_secs(30),
            header_bytes: 32 * 1024,
            stalled_timeout: Duration::from_secs(30),
        }
    }
}

/// How a server ends.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Drain {
    /// How long it goes on as before while its readiness is false, so that balancers see it. Default: not at all.
    pub grace: Duration,
    /// How long clients may take to be told, after that. Default 10 s.
    pub timeout: Duration,
}

impl Default for Drain {
    fn default() -> Self {
        Self { grace: Duration::ZERO, timeout: Duration::from_secs(10) }
    }
}

/// A server that is bound to its address.
///
/// ```no_run
/// use sockhop::server::{Drain, Limits, Server};
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
/// #[tokio::main]
/// async fn main() -> std::io::Result<()> {
///     let node = Node::new();
///     let echo = Service::builder("/echo", Echo).build(&node);
///     let page = warp::path::end().map(|| "hello").map(warp::Reply::into_response).boxed();
///     let server = Server::bind("127.0.0.1:0".parse().unwrap(), Limits::default())?;
///     println!("listening on http://{}", server.local_addr()?);
///     let stop = async { tokio::signal::ctrl_c().await.unwrap_or(()) };
///     server.serve(&node, vec![echo], page, stop, Drain::default()).await;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    limits: Limits,
    show_node: bool,
    api: Option<Api>,
}

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// How long a failed accept, such as one without a free file descriptor, is not repeated.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Silence after which the system asks whether a peer is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

impl Server {
    /// Binds to an address; port 0 is any free one.
    ///
    /// # Errors
    /// The address is taken, or is not this machine's.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        // Set once here: accepted sockets inherit them.
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(limits.stalled_timeout))?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self { listener: TcpListener::from_std(socket.into())?, limits, show_node: false, api: None })
    }

    /// Whether each answer says which node gave it: its [id](Node::id) as `x-sockhop-node`, which pages of other
    /// origins may read where they may read the answer, and as `Server-Timing: node;desc="…"`, which a browser's
    /// resource timings hold. Default: no.
    #[must_use]
    pub fn show_node(mut self, shown: bool) -> Self {
        self.show_node = shown;
        self
    }

    /// Serves the HTTP API as well, at its prefix. Default: none.
    #[must_use]
    pub fn api(mut self, api: Api) -> Self {
        self.api = Some(api);
        self
    }

    /// Where the server listens.
    ///
    /// # Errors
    /// The system cannot tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` resolves, then drains: readiness false, `drain.grace`, the listener closed, the node
    /// [drained](Node::drain), connections closed. Requests outside the services' prefixes go to `rest`.
    pub async fn serve(
        mut self,
        node: &Node,
        mut services: Vec<Service>,
        rest: BoxedFilter<(warp::reply::Response,)>,
        stop: impl Future<Output = ()>,
        drain: Drain,
    ) -> DrainReport {
        // The longest prefix wins.
        services.sort_by_key(|service| std::cmp::Reverse(service.prefix().len()));
        let signature = self.show_node.then(|| Signature::of(node.id()));
        let app = Arc::new(App { services, api: self.api.take(), rest: Some(rest), signature });
        let connections = Connections::new(&self.limits);
        let http = self.http();
        tokio::select! {
            never = self.accept(&http, &app, &connections) => match never {},
            () = stop => {}
        }
        node.leave();
        if !drain.grace.is_zero() {
            tokio::select! {
                never = self.accept(&http, &app, &connections) => match never {},
                () = tokio::time::sleep(drain.grace) => {}
            }
        }
        drop(self.listener);
        let deadline = Instant::now() + drain.timeout;
        // From now on each connection ends with the answer it is writing.
        connections.end();
        let report = node.drain(drain.timeout).await;
        let open = connections.wait(deadline).await;
        DrainReport { cut: report.cut.max(open) }
    }

    /// Serves the [API](Self::api) alone until `stop` resolves, beside a server that [drains](Self::serve) the node:
    /// then closes the listener, and lets connections end for so long at most. How many did not.
    pub async fn serve_api(mut self, stop: impl Future<Output = ()>, timeout: Duration) -> usize {
        let app = Arc::new(App { services: Vec::new(), api: self.api.take(), rest: None, signature: None });
        let connections = Connections::new(&self.limits);
        let http = self.http();
        tokio::select! {
            never = self.accept(&http, &app, &connections) => match never {},
            () = stop => {}
        }
        drop(self.listener);
        connections.end();
        connections.wait(Instant::now() + timeout).await
    }

    fn http(&self) -> http1::Builder {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout)
            .max_buf_size(self.limits.header_bytes.max(8 * 1024));
        http
    }

    async fn accept(
        &self,
        http: &http1::Builder,
        app: &Arc<App>,
        connections: &Arc<Connections>,
    ) -> std::convert::Infallible {
        loop {
            match self.listener.accept().await {
                Ok((stream, remote)) => match connections.admit(remote.ip()) {
                    Admission::Admitted(connection) => {
                        connections.spawn(serve(http, app, connection, stream, remote));
                    }
                    Admission::Refused(refusal) => {
                        connections.refuse(stream, refusal, remote);
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// All that is served.
struct App {
    services: Vec<Service>,
    api: Option<Api>,
    /// What is neither a service nor the API; `None` for nothing.
    rest: Option<BoxedFilter<(warp::reply::Response,)>>,
    signature: Option<Signature>,
}

async fn respond(
    app: Arc<App>,
    remote: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Either<Body, impl http_body::Body<Data = bytes::Bytes, Error = warp::Error>>>, Unwritten> {
    let path = request.uri().path();
    let api = app.api.as_ref().filter(|api| api.serves(path) || app.rest.is_none());
    let service = app.services.iter().find(|service| service.serves(path));
    let mut response = match (service, api, &app.rest) {
        (Some(service), ..) => service.respond_to(remote, request).await?.map(Either::Left),
        // Boxed: it shall not make every other request larger.
        (None, Some(api), _) => Box::pin(api.respond(request)).await.map(Either::Left),
        (None, None, Some(rest)) => {
            let mut rest = warp::service(rest.clone());
            let Ok(response) = tower_service::Service::call(&mut rest, request).await;
            response.map(Either::Right)
        }
        (None, None, None) => {
            let mut response = Response::new(Body::from(""));
            *response.status_mut() = http::StatusCode::NOT_FOUND;
            response.map(Either::Left)
        }
    };
    if let Some(signature) = &app.signature {
        signature.sign(response.headers_mut());
    }
    Ok(response)
}

/// A connection, from its first request to its end. What makes it is no part of it: each idle one would be larger.
fn serve(
    http: &http1::Builder,
    app: &Arc<App>,
    connection: Connection,
    stream: TcpStream,
    remote: SocketAddr,
) -> impl Future<Output = ()> + Send + use<> {
    let (control, app) = (connection.control(), Arc::clone(app));
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        // Boxed: hyper keeps room for the whole future as long as the connection lives.
        Box::pin(respond(Arc::clone(&app), remote, request))
    });
    let serving = Box::pin(http.serve_connection(connection.over(stream), service).with_upgrades());
    async move {
        if let Err(error) = control.run(serving, |serving| serving.graceful_shutdown()).await {
            tracing::debug!(%remote, %error, "connection ended");
        }
    }
}
