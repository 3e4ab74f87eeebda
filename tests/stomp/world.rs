//! Nodes with a STOMP service, and clients of it that know nothing of sockhop.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use sockhop::server::{Drain, Limits, Server};
use sockhop::stomp::{Broker, Stomp};
use sockhop::store::{MemoryStore, RedisStore, Retention, Store};
use sockhop::{Node, NodeBuilder, Service, ServiceBuilder};
use sockhop_stomp::{Command, Decoder, Frame, Incoming, Version};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Wire;
use warp::Filter;

use crate::redis::Redis;

/// Longer than anything that is meant to happen takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Nodes over one store, and how clients reach them.
pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    services: Vec<Service>,
    place: Place,
    clients: AtomicUsize,
    redis: Option<Redis>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// One node in memory; clients on plain WebSockets.
    MemorySocket,
    /// Two nodes over one memory; every request of a client at the other one.
    MemoryPolls,
    /// Three nodes over one Redis; every request of a client at the next one.
    RedisPolls,
}

impl World {
    pub(crate) async fn new(place: Place, stomp: impl Fn() -> ServiceBuilder) -> Self {
        Self::with(place, stomp, |node| node).await
    }

    /// A world whose channels keep so much.
    pub(crate) async fn keeping(place: Place, keep: Retention, stomp: impl Fn() -> ServiceBuilder) -> Self {
        Self::with(place, stomp, |node| node.retention(keep)).await
    }

    /// Nodes with other settings.
    pub(crate) async fn with(
        place: Place,
        stomp: impl Fn() -> ServiceBuilder,
        settings: impl Fn(NodeBuilder) -> NodeBuilder,
    ) -> Self {
        let mut redis = None;
        let stores: Vec<Arc<dyn Store>> = match place {
            Place::MemorySocket => vec![Arc::new(MemoryStore::new())],
            Place::MemoryPolls => {
                let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
                vec![Arc::clone(&store), store]
            }
            Place::RedisPolls => {
                let server = redis.insert(Redis::start());
                let mut stores: Vec<Arc<dyn Store>> = Vec::new();
                for _ in 0..3 {
                    let store = RedisStore::builder(&server.url()).unwrap().build();
                    store.started().await.unwrap();
                    stores.push(Arc::new(store));
                }
                stores
            }
        };
        let nodes: Vec<_> =
            stores.into_iter().map(|store| settings(Node::builder().store(store)).build()).collect();
        let services = nodes.iter().map(|node| stomp().build(node)).collect();
        Self { nodes, services, place, clients: AtomicUsize::new(0), redis }
    }

    /// The server of [`Place::RedisPolls`].
    pub(crate) fn redis(&self) -> &Redis {
        self.redis.as_ref().unwrap()
    }

    /// Sends from the application's own code, at the last node.
    pub(crate) fn broker(&self) -> Broker {
        Broker::new(self.nodes.last().unwrap())
    }

    /// Sessions that there are, over all nodes.
    pub(crate) fn sessions(&self) -> usize {
        self.nodes.iter().map(Node::sessions).sum()
    }

    /// A client that has not connected.
    pub(crate) async fn client(&self) -> Client {
        self.client_with("", "").await
    }

    /// A client whose requests have a query and a cookie.
    pub(crate) async fn client_with(&self, query: &str, cookie: &str) -> Client {
        let number = self.clients.fetch_add(1, Ordering::Relaxed);
        let line = match self.place {
            Place::MemorySocket => {
                Line::Socket(Box::new(self.socket_with("v12.stomp, v11.stomp", query, cookie).await.0))
            }
            Place::MemoryPolls | Place::RedisPolls => Line::Polls(Polls {
                services: self.services.clone(),
                session: format!("s{number}"),
                request: number,
                opened: false,
                query: query.to_owned(),
                cookie: cookie.to_owned(),
            }),
        };
        Client::new(line)
    }

    /// A client that polls for a session of this name.
    pub(crate) fn client_as(&self, session: &str) -> Client {
        Client::new(Line::Polls(Polls {
            services: self.services.clone(),
            session: session.to_owned(),
            request: self.clients.fetch_add(1, Ordering::Relaxed),
            opened: false,
            query: String::new(),
            cookie: String::new(),
        }))
    }

    /// A plain WebSocket, and the subprotocol that was agreed on.
    pub(crate) async fn socket(&self, subprotocols: &str) -> (WebSocketStream<TcpStream>, Option<String>) {
        self.socket_with(subprotocols, "", "").await
    }

    async fn socket_with(
        &self,
        subprotocols: &str,
        query: &str,
        cookie: &str,
    ) -> (WebSocketStream<TcpStream>, Option<String>) {
        let address = serve(&self.nodes[0], &self.services[0]);
        let stream = TcpStream::connect(address).await.unwrap();
        let request = http::Request::builder()
            .uri(format!("ws://{address}/ws/websocket?{query}"))
            .header("cookie", cookie)
            .header("host", "localhost")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "x3JJHMbDL1EzLkh9GBhXDw==")
            .header("sec-websocket-protocol", subprotocols)
            .body(())
            .unwrap();
        let (socket, response) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        let agreed = response.headers().get("sec-websocket-protocol");
        (socket, agreed.map(|name| name.to_str().unwrap().to_owned()))
    }

    /// A client that has connected, with 1.2 unless its headers say otherwise.
    pub(crate) async fn connected(&self, headers: &[(&str, &str)]) -> Client {
        let mut client = self.client().await;
        client.connect(headers).await;
        client
    }
}

/// Serves one service on a free port until the test ends.
fn serve(node: &Node, service: &Service) -> SocketAddr {
    let server = Server::bind(([127, 0, 0, 1], 0).into(), Limits::default()).unwrap();
    let address = server.local_addr().unwrap();
    let (node, services) = (node.clone(), vec![service.clone()]);
    let nothing = warp::any().and_then(async || Err::<&str, _>(warp::reject::not_found())).boxed();
    let rest = nothing.map(|text: &str| warp::reply::Reply::into_response(text.to_owned())).boxed();
    tokio::spawn(
        async move { server.serve(&node, services, rest, std::future::pending(), Drain::default()).await },
    );
    address
}

pub(crate) fn service() -> ServiceBuilder {
    Stomp::new().service("/ws")
}

/// A STOMP client.
pub(crate) struct Client {
    line: Line,
    decoder: Decoder,
    texts: VecDeque<String>,
    /// Messages that came while a receipt was waited for.
    early: VecDeque<Frame>,
    closed: Option<u16>,
}

enum Line {
    Socket(Box<WebSocketStream<TcpStream>>),
    Polls(Polls),
}

/// A SockJS session over polls, each request of which goes to another node.
struct Polls {
    services: Vec<Service>,
    session: String,
    request: usize,
    opened: bool,
    query: String,
    cookie: String,
}

impl Polls {
    async fn ask(&mut self, endpoint: &str, body: String) -> (u16, String) {
        self.request += 1;
        let service = &self.services[self.request % self.services.len()];
        let path = format!("/ws/000/{}/{endpoint}?{}", self.session, self.query);
        let request = http::Request::post(path)
            .header("cookie", &self.cookie)
            .body(Full::new(bytes::Bytes::from(body)))
            .unwrap();
        let response = service.respond(request).await.expect("written");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

impl Client {
    fn new(line: Line) -> Self {
        let decoder = Decoder::new(sockhop_stomp::Limits::default());
        Self { line, decoder, texts: VecDeque::new(), early: VecDeque::new(), closed: None }
    }

    /// Sends one text, which may hold any part of frames.
    pub(crate) async fn text(&mut self, text: &str) {
        match &mut self.line {
            Line::Socket(socket) => socket.send(Wire::text(text)).await.unwrap(),
            Line::Polls(polls) => {
                if !std::mem::replace(&mut polls.opened, true) {
                    // The session begins with a poll.
                    self.poll().await;
                }
                let Line::Polls(polls) = &mut self.line else { unreachable!() };
                let body = serde_json::to_string(&[text]).unwrap();
                let (status, _) = polls.ask("xhr_send", body).await;
                assert!(status == 204 || self.closed.is_some(), "{status}");
            }
        }
    }

    pub(crate) async fn frame(&mut self, frame: Frame) {
        self.text(&frame.encode(Version::V1_2)).await;
    }

    async fn poll(&mut self) {
        let Line::Polls(polls) = &mut self.line else { return };
        let (status, frame) =
            tokio::time::timeout(PATIENCE, polls.ask("xhr", String::new())).await.expect("a frame");
        assert_eq!(status, 200);
        let frame = frame.trim_end_matches('\n');
        if let Some(messages) = frame.strip_prefix('a') {
            self.texts.extend(serde_json::from_str::<Vec<String>>(messages).unwrap());
        } else if let Some(reason) = frame.strip_prefix('c') {
            self.closed = Some(serde_json::from_str::<(u16, String)>(reason).unwrap().0);
        }
    }

    /// What the server sent next, heart-beats too; `None` once the session is closed.
    pub(crate) async fn incoming(&mut self) -> Option<Incoming> {
        loop {
            if let Some(incoming) = self.decoder.next().expect("frames from the server") {
                return Some(incoming);
            }
            if let Some(text) = self.texts.pop_front() {
                self.decoder.feed(text.as_bytes());
                continue;
            }
            if self.closed.is_some() {
                return None;
            }
            match &mut self.line {
                Line::Polls(_) => self.poll().await,
                Line::Socket(socket) => {
                    match tokio::time::timeout(PATIENCE, socket.next()).await.expect("a message") {
                        Some(Ok(Wire::Text(text))) => self.texts.push_back(text.to_string()),
                        Some(Ok(Wire::Close(frame))) => {
                            self.closed = Some(frame.map_or(1005, |frame| frame.code.into()))
                        }
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => self.closed = Some(1006),
                    }
                }
            }
        }
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> Frame {
        if let Some(frame) = self.early.pop_front() {
            return frame;
        }
        self.next_to_come().await
    }

    async fn next_to_come(&mut self) -> Frame {
        loop {
            match self.incoming().await {
                Some(Incoming::Frame(frame)) => return frame,
                Some(Incoming::HeartBeat) => {}
                None => panic!("closed with {:?}", self.closed),
            }
        }
    }

    /// The next frame, of this kind.
    pub(crate) async fn expect(&mut self, command: Command) -> Frame {
        let frame = self.next().await;
        assert_eq!(frame.command, command, "{frame:?}");
        frame
    }

    /// The code with which the session was closed.
    pub(crate) fn close_code(&self) -> Option<u16> {
        self.closed
    }

    /// The code with which the session is closed, after nothing else.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            match self.incoming().await {
                Some(Incoming::HeartBeat) => {}
                Some(Incoming::Frame(frame)) => panic!("{frame:?}"),
                None => return self.closed.unwrap(),
            }
        }
    }

    pub(crate) async fn connect(&mut self, headers: &[(&str, &str)]) -> Frame {
        let mut frame = Frame::new(Command::Connect);
        for (name, value) in headers {
            frame = frame.with(*name, *value);
        }
        if frame.headers.get("accept-version").is_none() {
            frame = frame.with("accept-version", "1.2");
        }
        self.frame(frame).await;
        let connected = self.expect(Command::Connected).await;
        let version = connected.headers.get("version").and_then(Version::from_number).unwrap();
        self.decoder.set_version(version);
        connected
    }

    /// Does something and waits for its receipt.
    pub(crate) async fn receipted(&mut self, frame: Frame) {
        self.frame(frame.with("receipt", "r!")).await;
        let receipt = self.expect(Command::Receipt).await;
        assert_eq!(receipt.headers.get("receipt-id"), Some("r!"));
    }

    /// Does something and waits for its receipt, whatever messages come before.
    pub(crate) async fn receipted_among(&mut self, frame: Frame) {
        self.frame(frame.with("receipt", "r!")).await;
        loop {
            let frame = self.next_to_come().await;
            match frame.command {
                Command::Receipt => return,
                Command::Message => self.early.push_back(frame),
                _ => panic!("{frame:?}"),
            }
        }
    }

    pub(crate) async fn subscribe(&mut self, id: &str, destination: &str) {
        self.receipted(subscribe(id, destination)).await;
    }

    pub(crate) async fn send(&mut self, destination: &str, body: &str) {
        self.receipted(send(destination, body)).await;
    }

    /// The next MESSAGE: subscription, destination and body.
    pub(crate) async fn message(&mut self) -> (String, String, String) {
        let frame = self.expect(Command::Message).await;
        let header = |name: &str| frame.headers.get(name).unwrap_or_default().to_owned();
        (header("subscription"), header("destination"), frame.body.clone())
    }

    /// Sends a frame that is refused: the ERROR's message and body.
    pub(crate) async fn refused(&mut self, frame: Frame) -> (String, String) {
        self.frame(frame).await;
        self.error().await
    }

    /// The ERROR frame that comes next, and ends the session: its message and body.
    pub(crate) async fn error(&mut self) -> (String, String) {
        let error = self.expect(Command::Error).await;
        assert_eq!(self.closed().await, 4510);
        (error.headers.get("message").unwrap().to_owned(), error.body)
    }
}

pub(crate) fn subscribe(id: &str, destination: &str) -> Frame {
    Frame::new(Command::Subscribe).with("id", id).with("destination", destination)
}

pub(crate) fn send(destination: &str, body: &str) -> Frame {
    Frame::new(Command::Send).with("destination", destination).with_body(body)
}
