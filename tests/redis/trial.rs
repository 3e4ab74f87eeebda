//! A small deployment under load: what happened to clients, publishers and readiness while Redis was hurt.
//!
//! Two nodes of this process, each with a store of its own, a publisher that numbers its messages, and clients that poll
//! or stream, each request at the other node, or hold a WebSocket. A balancer stands in between: it repeats what was closed without a byte.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use sockhop::server::{Drain, Limits, Server};
use sockhop::store::{
    Batch, Position, Publish, PublishError, Published, RedisStore, RedisStoreBuilder, Retention, Store,
    SubscribeError,
};
use sockhop::{ChannelName, Handler, Message, Node, NodeId, Service, Session};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use warp::{Filter, Reply};

/// One node with its own store.
pub(crate) struct Member {
    pub(crate) store: Arc<RedisStore>,
    pub(crate) node: Node,
    pub(crate) service: Service,
    /// Where it also listens, for WebSockets.
    address: SocketAddr,
}

/// Subscribes each session to [`channel`], and echoes.
pub(crate) struct Subscriber;

impl Handler for Subscriber {
    async fn on_open(&self, session: &Session) {
        while let Err(SubscribeError::Store(_)) = session.subscribe(&channel()).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn on_message(&self, session: &Session, message: String) {
        let _ = session.send(message).await;
    }
}

pub(crate) fn channel() -> ChannelName {
    ChannelName::new("news").expect("a name")
}

impl Member {
    pub(crate) fn new(url: &str) -> Self {
        Self::with(url, |store| store)
    }

    pub(crate) fn with(url: &str, set: impl Fn(RedisStoreBuilder) -> RedisStoreBuilder) -> Self {
        let store = Arc::new(set(RedisStore::builder(url).expect("a URL")).build());
        let node = Node::builder().store(store.clone()).build();
        let service = Service::builder("/sub", Subscriber)
            .request_id_header(Some(HeaderName::from_static("x-request-id")))
            .disconnect_delay(Duration::from_secs(20))
            .build(&node);
        let resumed = Service::builder("/resumed", Subscriber)
            .resume(Some(Duration::from_secs(60)))
            // What a client has is known by its pongs.
            .heartbeat(Duration::from_millis(200))
            .build(&node);
        let server = Server::bind(([127, 0, 0, 1], 0).into(), Limits::default()).expect("a port");
        let address = server.local_addr().expect("an address");
        let (served, services) = (node.clone(), vec![service.clone(), resumed]);
        tokio::spawn(async move {
            let rest = warp::any().map(|| warp::reply().into_response()).boxed();
            server.serve(&served, services, rest, std::future::pending(), Drain::default()).await
        });
        Self { store, node, service, address }
    }

    /// Waits until the node is ready.
    pub(crate) async fn ready(&self) {
        eventually("the node is ready", || self.node.is_ready()).await;
    }
}

/// Waits for what is going to be so.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

const PATIENCE: Duration = Duration::from_secs(100);

/// How a client receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Poll,
    Stream,
    WebSocket,
    /// A WebSocket that is cut again and again, and resumed at the other node.
    Resumed,
}

const MODES: [Mode; 4] = [Mode::Poll, Mode::Stream, Mode::WebSocket, Mode::Resumed];

/// What one session got, and why it ended, if it did.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    pub(crate) got: Vec<u64>,
    pub(crate) end: Option<String>,
}

/// What happened.
#[derive(Default)]
pub(crate) struct Account {
    /// Numbers that were accepted, in order, with the position of each.
    pub(crate) accepted: Vec<(u64, Position)>,
    pub(crate) refused: BTreeSet<u64>,
    /// Numbers of whose publishing nobody knew, at first.
    pub(crate) unknown: BTreeSet<u64>,
    /// All sessions of each client.
    pub(crate) clients: BTreeMap<usize, Vec<Conversation>>,
    /// Why nodes were not ready, and for how long.
    pub(crate) unready: BTreeMap<&'static str, Duration>,
    /// What of the accepted is in the log at the end.
    pub(crate) kept: BTreeSet<u64>,
}

impl Account {
    /// The sessions that ended, by why.
    pub(crate) fn ends(&self) -> BTreeMap<&str, usize> {
        let mut ends = BTreeMap::new();
        for end in self.clients.values().flatten().filter_map(|conversation| conversation.end.as_deref()) {
            *ends.entry(end).or_default() += 1;
        }
        ends
    }

    pub(crate) fn lost(&self) -> BTreeSet<u64> {
        self.accepted.iter().map(|(number, _)| *number).filter(|number| !self.kept.contains(number)).collect()
    }

    /// Each session got everything from its first message on, once and in order, up to its end: what is missing is what
    /// Redis has lost.
    pub(crate) fn check(&self) {
        let lost = self.lost();
        let numbers: Vec<u64> = self.accepted.iter().map(|(number, _)| *number).collect();
        let last = *numbers.last().expect("something was published");
        for (client, conversations) in &self.clients {
            for Conversation { got, end } in conversations {
                let Some(first) = got.first() else { continue };
                let upto = if end.is_some() { *got.last().expect("not empty") } else { last };
                let expected: Vec<u64> = numbers
                    .iter()
                    .copied()
                    .filter(|number| {
                        (*first..=upto).contains(number) && (!lost.contains(number) || got.contains(number))
                    })
                    .collect();
                assert_eq!(*got, expected, "client {client}, ended: {end:?}, lost: {lost:?}");
            }
        }
    }

    /// A failover that loses a tail may lose with it that some polls were answered: what they carried comes again.
    pub(crate) fn forgive_repeats(&mut self) {
        for conversation in self.clients.values_mut().flatten() {
            let mut seen = BTreeSet::new();
            conversation.got.retain(|number| seen.insert(*number));
        }
    }

    /// Nobody noticed but by waiting.
    pub(crate) fn check_only_late(&self) {
        self.check();
        assert_eq!(self.ends(), BTreeMap::new(), "no session ended");
        assert_eq!(self.lost(), BTreeSet::new(), "nothing was lost");
        assert_eq!(self.refused, BTreeSet::new(), "nothing was refused");
        let clients: Vec<_> = self.clients.values().map(Vec::len).collect();
        assert!(clients.iter().all(|sessions| *sessions == 1), "{clients:?}");
    }

    /// Which clients wait for a number, for tests that fail.
    fn tell_where_clients_are(&self, now: u64) {
        for (client, sessions) in &self.clients {
            let last = sessions.last().and_then(|session| session.got.last());
            let mode = MODES[client % MODES.len()];
            let _ = writeln!(io::stderr(), "client {client}, {mode:?}: has {last:?} and waits for {now}");
        }
    }

    /// One line for the table of faults.
    pub(crate) fn tell(&self, fault: &str) {
        let _ = writeln!(
            std::io::stderr(),
            "fault: {fault} | sessions ended {:?} | lost {} | accepted {} refused {} unknown {} | unready {:?}",
            self.ends(),
            self.lost().len(),
            self.accepted.len(),
            self.refused.len(),
            self.unknown.len(),
            self.unready,
        );
    }
}

/// Everything that runs.
pub(crate) struct Trial {
    pub(crate) members: Arc<Vec<Member>>,
    account: Arc<Mutex<Account>>,
    publisher: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    publishing: Arc<AtomicBool>,
    receiving: Arc<AtomicBool>,
    pace: Arc<AtomicU64>,
}

/// Clients of each kind.
const CLIENTS: usize = 3;

impl Trial {
    /// Starts nodes, clients and the publisher, and waits until everybody has got something.
    pub(crate) async fn start(urls: [&str; 2]) -> Self {
        let log = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(io::stderr);
        let _ = log.try_init();
        let members = Arc::new(urls.map(Member::new).into_iter().collect::<Vec<_>>());
        for member in members.iter() {
            member.ready().await;
        }
        let (account, publishing, receiving) =
            (Arc::<Mutex<Account>>::default(), Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
        let pace = Arc::new(AtomicU64::new(10));
        let mut tasks =
            vec![tokio::spawn(watch(Arc::clone(&members), Arc::clone(&account), Arc::clone(&receiving)))];
        for number in 0..MODES.len() * CLIENTS {
            let mode = MODES[number % MODES.len()];
            let client = Client { number, mode, members: Arc::clone(&members), account: Arc::clone(&account) };
            tasks.push(tokio::spawn(client.run(Arc::clone(&receiving))));
        }
        let publisher = tokio::spawn(publish(
            Arc::clone(&members),
            Arc::clone(&account),
            Arc::clone(&publishing),
            Arc::clone(&pace),
        ));
        let trial = Self { members, account, publisher, tasks, publishing, receiving, pace };
        trial.everybody_gets_something_new().await;
        trial.some_are_published().await;
        trial
    }

    pub(crate) fn account(&self) -> MutexGuard<'_, Account> {
        lock(&self.account)
    }

    /// Halts the publisher, once what it is at is done.
    pub(crate) async fn pause(&self) {
        self.pace.store(u64::MAX, Ordering::Release);
        let mut before = usize::MAX;
        loop {
            let now = self.account().accepted.len();
            if now == before {
                return;
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub(crate) fn go_on(&self) {
        self.pace.store(10, Ordering::Release);
    }

    /// Waits until some more were accepted.
    pub(crate) async fn some_are_published(&self) {
        let before = self.account().accepted.len();
        eventually("messages are accepted", || self.account().accepted.len() >= before + 25).await;
    }

    /// Waits until each client has got something that was published from now on.
    pub(crate) async fn everybody_gets_something_new(&self) {
        let now = self.account().accepted.last().map_or(0, |(number, _)| number + 1);
        let began = Instant::now();
        let mut told = false;
        eventually("everybody gets something new", || {
            if !told && began.elapsed() > Duration::from_secs(60) {
                told = true;
                self.account().tell_where_clients_are(now);
            }
            let account = self.account();
            let has = |sessions: &Vec<Conversation>| {
                sessions.last().is_some_and(|session| session.got.last().is_some_and(|number| *number >= now))
            };
            account.clients.len() == MODES.len() * CLIENTS && account.clients.values().all(has)
        })
        .await;
    }

    /// Ends everything: waits until all clients have caught up and all nodes are ready.
    pub(crate) async fn end(self) -> Account {
        self.some_are_published().await;
        self.everybody_gets_something_new().await;
        for member in self.members.iter() {
            member.ready().await;
        }
        self.publishing.store(false, Ordering::Release);
        self.publisher.await.expect("the publisher ends");
        let last = lock(&self.account).accepted.last().map_or(0, |(number, _)| *number);
        eventually("all clients have caught up", || {
            let has = |sessions: &Vec<Conversation>| {
                sessions.last().is_some_and(|session| session.got.last() == Some(&last))
            };
            lock(&self.account).clients.values().all(has)
        })
        .await;
        self.receiving.store(false, Ordering::Release);
        for task in self.tasks {
            task.abort();
        }
        let accepted = lock(&self.account).accepted.clone();
        let kept = self.members[0].everything_in_the_log(&accepted).await;
        let mut account = std::mem::take(&mut *lock(&self.account));
        account.kept = kept;
        account
    }
}

impl Member {
    async fn everything_in_the_log(&self, accepted: &[(u64, Position)]) -> BTreeSet<u64> {
        let mut kept = BTreeSet::new();
        let epochs: BTreeSet<u64> = accepted.iter().map(|(_, position)| position.epoch.0).collect();
        for epoch in epochs {
            let mut at = Position { epoch: sockhop::store::Epoch(epoch), seq: 0 };
            loop {
                let slice = self.store.read(&channel(), at, 1 << 20).await.expect("a slice");
                let Some(last) = slice.entries.last() else { break };
                at = Position { epoch: slice.epoch, seq: last.seq };
                kept.extend(
                    slice.entries.iter().map(|entry| entry.message.text().parse::<u64>().expect("a number")),
                );
            }
        }
        kept
    }
}

/// Publishes numbers, one after the other; what is unknown is published again under its batch's number.
async fn publish(
    members: Arc<Vec<Member>>,
    account: Arc<Mutex<Account>>,
    goes_on: Arc<AtomicBool>,
    pace: Arc<AtomicU64>,
) {
    let (me, channel) = (NodeId::random(), channel());
    let mut number = 0;
    while goes_on.load(Ordering::Acquire) {
        let pause = pace.load(Ordering::Acquire);
        if pause == u64::MAX {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        }
        number += 1;
        let messages = [Message::new(&number.to_string())];
        loop {
            let publish = Publish {
                channel: &channel,
                messages: &messages,
                retention: Retention::default(),
                batch: Some(Batch { node: me, number }),
            };
            match members[number as usize % members.len()].store.publish(publish).await {
                Ok(Published { last, .. }) => lock(&account).accepted.push((number, last)),
                Err(PublishError::Refused(_)) => _ = lock(&account).refused.insert(number),
                Err(_) => {
                    lock(&account).unknown.insert(number);
                    continue;
                }
            }
            break;
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// Notes why nodes are not ready.
async fn watch(members: Arc<Vec<Member>>, account: Arc<Mutex<Account>>, goes_on: Arc<AtomicBool>) {
    let mut before = Instant::now();
    while goes_on.load(Ordering::Acquire) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let passed = before.elapsed();
        before = Instant::now();
        if let Some(why) = members.iter().find_map(|member| member.node.unready()) {
            *lock(&account).unready.entry(why).or_default() += passed;
        }
    }
}

struct Client {
    number: usize,
    mode: Mode,
    members: Arc<Vec<Member>>,
    account: Arc<Mutex<Account>>,
}

/// Why a session is over, as its client sees it.
struct Over(String);

impl Client {
    async fn run(self, goes_on: Arc<AtomicBool>) {
        while goes_on.load(Ordering::Acquire) {
            lock(&self.account).clients.entry(self.number).or_default().push(Conversation::default());
            let session = format!("{}-{:x}", self.number, rand::random::<u64>());
            let Over(end) = match self.mode {
                Mode::Poll => self.converse(&session, "xhr").await,
                Mode::Stream => self.converse(&session, "xhr_streaming").await,
                Mode::WebSocket => match self.hold_a_socket(&format!("/sub/000/{session}"), self.number).await {
                    Ok(over) => over,
                    Err(error) => Over(format!("cut: {}", error.kind())),
                },
                Mode::Resumed => self.resume().await,
            };
            self.note(|conversation| conversation.end = Some(end));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn note(&self, note: impl FnOnce(&mut Conversation)) {
        let mut account = lock(&self.account);
        let sessions = account.clients.entry(self.number).or_default();
        note(sessions.last_mut().expect("a session"));
    }

    /// Receives, at one node after the other, until the session is over.
    async fn converse(&self, session: &str, endpoint: &str) -> Over {
        let mut opened = false;
        for turn in self.number.. {
            let request = rand::random::<u64>().to_string();
            let mut response = match self.request(session, endpoint, turn, &request).await {
                Ok(response) => response,
                Err(over) => return over,
            };
            let mut text = String::new();
            loop {
                let frame = match response.body_mut().frame().await {
                    Some(Ok(frame)) => frame,
                    // A stock client ends on a stream that is cut.
                    Some(Err(_)) => return Over("cut".to_owned()),
                    None => break,
                };
                let Ok(chunk) = frame.into_data() else { break };
                text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
                while let Some(end) = text.find('\n') {
                    let line: String = text.drain(..=end).collect();
                    if let Err(over) = self.frame(line.trim_end(), &mut opened) {
                        return over;
                    }
                }
            }
        }
        unreachable!("turns do not run out")
    }

    /// WebSockets of one session, each cut after a moment, until the session is over.
    async fn resume(&self) -> Over {
        let secret = format!("{:032x}", rand::random::<u128>());
        for attempt in 1.. {
            let had = attempt > 1 && self.has_got();
            let path = format!("/resumed/000/{secret}~{attempt}{}", if had { "~resume" } else { "" });
            let socket = self.hold_a_socket(&path, self.number + attempt);
            match tokio::time::timeout(Duration::from_millis(700), socket).await {
                Ok(Ok(over)) => return over,
                Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(_cut) => {}
            }
        }
        unreachable!("attempts do not run out")
    }

    fn has_got(&self) -> bool {
        lock(&self.account).clients[&self.number].last().is_some_and(|session| !session.got.is_empty())
    }

    /// A WebSocket to one node, until it closes.
    async fn hold_a_socket(&self, path: &str, turn: usize) -> io::Result<Over> {
        let address = self.members[turn % self.members.len()].address;
        let mut socket = BufStream::new(TcpStream::connect(address).await?);
        let request = format!(
            "GET {path}/websocket HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await?;
        socket.flush().await?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if socket.read_line(&mut head).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if !head.starts_with("HTTP/1.1 101") {
            return Err(io::Error::other(head));
        }
        let mut opened = false;
        loop {
            let (kind, length) = (socket.read_u8().await? & 15, socket.read_u8().await?);
            let length = match length {
                126 => u64::from(socket.read_u16().await?),
                127 => socket.read_u64().await?,
                length => u64::from(length),
            };
            let mut payload = vec![0; usize::try_from(length).expect("a length")];
            socket.read_exact(&mut payload).await?;
            match kind {
                1 => {
                    if let Err(over) = self.frame(std::str::from_utf8(&payload).expect("UTF-8"), &mut opened) {
                        return Ok(over);
                    }
                }
                8 => return Ok(Over("closed".to_owned())),
                9 => {
                    // A pong, masked with zeros.
                    let length = u8::try_from(payload.len()).expect("a short ping");
                    socket.write_all(&[0x8a, 0x80 | length, 0, 0, 0, 0]).await?;
                    socket.write_all(&payload).await?;
                    socket.flush().await?;
                }
                _ => {}
            }
        }
    }

    fn frame(&self, frame: &str, opened: &mut bool) -> Result<(), Over> {
        match frame.as_bytes().first() {
            None => {}
            Some(b'h') => {}
            Some(b'o') if *opened => return Err(Over("server lost session".to_owned())),
            Some(b'o') => *opened = true,
            Some(b'a') => {
                let messages: Vec<String> = serde_json::from_str(&frame[1..]).expect("messages");
                let numbers = messages.iter().map(|message| message.parse::<u64>().expect("a number"));
                self.note(|conversation| match self.mode {
                    // What may have been lost with a connection comes again.
                    Mode::Resumed => {
                        let last = conversation.got.last().copied().unwrap_or(0);
                        conversation.got.extend(numbers.filter(|number| *number > last));
                    }
                    _ => conversation.got.extend(numbers),
                });
            }
            Some(b'c') => return Err(Over(frame.to_owned())),
            Some(_) => assert!(frame.chars().all(|c| c == 'h'), "a prelude: {frame}"),
        }
        Ok(())
    }

    /// One request, as the balancer brings it: again elsewhere, under the same name, if it was closed without a byte.
    async fn request(
        &self,
        session: &str,
        endpoint: &str,
        turn: usize,
        id: &str,
    ) -> Result<http::Response<sockhop::Body>, Over> {
        for attempt in 0..3 {
            let member = &self.members[(turn + attempt) % self.members.len()];
            let request = Request::post(format!("/sub/000/{session}/{endpoint}"))
                .header("x-request-id", id)
                .body(Empty::<Bytes>::new())
                .expect("a request");
            match member.service.respond(request).await {
                Ok(response) if response.status() == StatusCode::OK => return Ok(response),
                Ok(response) => return Err(Over(response.status().as_str().to_owned())),
                Err(_unwritten) => {}
            }
        }
        Err(Over("502".to_owned()))
    }
}

fn lock(account: &Mutex<Account>) -> MutexGuard<'_, Account> {
    account.lock().unwrap_or_else(PoisonError::into_inner)
}
