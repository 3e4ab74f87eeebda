//! Clients on WebSockets of a STOMP service: their sessions are anchored, and they are in a room whose members are kept.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use sockhop::stomp::{Admission, Broker, Connect, ConnectError, Disconnect, Stomp};
use sockhop::store::{Span, Store};
use sockhop::{ChannelName, Node, Service, ServiceBuilder};
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::chaos::{Chaos, Life};
use crate::cluster::Cluster;
use crate::oracle::Oracle;

/// Where all of them are.
const ROOM: &str = "/topic/room";

/// The service of a node for guests: whoever connects is who it says.
pub(crate) fn service(node: &Node, oracle: &Arc<Oracle>) -> ServiceBuilder {
    let (oracle, node) = (Arc::clone(oracle), node.id());
    let admit =
        async |connect: Connect| Ok::<_, ConnectError>(Admission::user(connect.login().unwrap_or_default()));
    let gone = move |gone: Disconnect| {
        let oracle = Arc::clone(&oracle);
        async move { oracle.left(gone.user().expect("all have a user").name(), node) }
    };
    Stomp::new().on_connect(admit).on_disconnect(gone).presence([ROOM.parse().unwrap()]).service("/guests")
}

/// A client that comes and goes, each time under another name.
pub(crate) struct Guest {
    name: String,
    cluster: Rc<Cluster>,
    oracle: Arc<Oracle>,
    random: RefCell<SmallRng>,
    visits: RefCell<Vec<Visit>>,
}

/// What a guest knows of one visit.
struct Visit {
    name: String,
    /// It was told that it is in the room.
    entered: bool,
    over: bool,
}

impl Guest {
    pub(crate) fn new(name: String, cluster: &Rc<Cluster>, oracle: &Arc<Oracle>, seed: u64) -> Rc<Self> {
        Rc::new(Self {
            name,
            cluster: Rc::clone(cluster),
            oracle: Arc::clone(oracle),
            random: RefCell::new(SmallRng::seed_from_u64(seed)),
            visits: RefCell::default(),
        })
    }

    /// Comes and goes until an instant; after that it stays as long as it can.
    pub(crate) async fn live(self: Rc<Self>, end: Instant) {
        loop {
            let longest = (Instant::now() < end).then(|| self.random(0..8000));
            self.visit(longest).await;
            sleep(self.random(0..500)).await;
        }
    }

    fn random(&self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.random.borrow_mut().random_range(range))
    }

    async fn visit(&self, longest: Option<Duration>) {
        let number = self.visits.borrow().len();
        let name = format!("{}-{number}", self.name);
        let (service, chaos) = self.cluster.guests().await;
        self.visits.borrow_mut().push(Visit { name: name.clone(), entered: false, over: false });
        let entered = || self.visits.borrow_mut()[number].entered = true;
        let mut life = chaos.life();
        tokio::select! {
            biased;
            _ = life.wait_for(|life| *life == Life::Dead) => {}
            _ = self.converse(service, &chaos, &name, longest, entered) => {}
        }
        self.visits.borrow_mut()[number].over = true;
    }

    /// Enters the room, and leaves it in some way; `None` where the connection ends before.
    async fn converse(
        &self,
        service: Service,
        chaos: &Chaos,
        name: &str,
        longest: Option<Duration>,
        entered: impl Fn(),
    ) -> Option<()> {
        let mut socket = open(service).await?;
        let connect = format!("CONNECT\naccept-version:1.2\nheart-beat:0,0\nlogin:{name}\n\n\0");
        let subscribe = format!("SUBSCRIBE\nid:0\ndestination:{ROOM}\nreceipt:r\n\n\0");
        for frame in [connect, subscribe] {
            socket.send(Message::text(frame)).await.ok()?;
        }
        while !matches!(socket.next().await?.ok()?, Message::Text(frame) if frame.starts_with("RECEIPT")) {}
        // A node that stands still writes nothing.
        chaos.life().wait_for(|life| *life == Life::Running).await.ok()?;
        entered();
        let until_it_ends = async { while let Some(Ok(_)) = socket.next().await {} };
        match longest {
            None => until_it_ends.await,
            Some(time) => _ = timeout(time, until_it_ends).await,
        }
        if self.random.borrow_mut().random_bool(0.5) {
            socket.send(Message::text("DISCONNECT\n\n\0")).await.ok()?;
            while let Some(Ok(_)) = socket.next().await {}
        }
        Some(())
    }

    /// What is not yet as it has to be in the end, if anything: ends told once, and who is in the room.
    pub(crate) async fn lacks(guests: &[Rc<Self>], store: &Arc<dyn Store>, node: &Node) -> Option<String> {
        let mut expected = BTreeSet::new();
        for guest in guests {
            let visits = guest.visits.borrow();
            if !visits.last().is_some_and(|visit| visit.entered && !visit.over) {
                return Some(format!("{} has not come back", guest.name));
            }
            for Visit { name, entered, over } in &*visits {
                let (told, by_the_living) = guest.oracle.ends(name);
                assert!(by_the_living <= 1, "{name}: its end was told {by_the_living} times by nodes that lived");
                if *entered && *over != (told > 0) {
                    return Some(format!("{name}: over is {over}, and its end was told {told} times"));
                }
                if !over {
                    expected.insert(name.clone());
                }
            }
        }
        let here = Broker::new(node).here(ROOM, None, 1000).await.unwrap();
        let here: BTreeSet<_> = here.members.into_iter().filter_map(|member| member.user).collect();
        if here != expected {
            return Some(format!("{here:?} are in the room, {expected:?} should be"));
        }
        let told = told(store).await;
        (told != expected).then(|| format!("{told:?} are in the room as was told, {expected:?} should be"))
    }
}

/// Who is in the room as its events tell it, in which each join and leave is one of a pair.
async fn told(store: &Arc<dyn Store>) -> BTreeSet<String> {
    let channel = ChannelName::new(&format!("/presence{ROOM}")).unwrap();
    let excerpt = store.excerpt(&channel, Span::Oldest, 10_000, usize::MAX).await.unwrap();
    let (mut there, mut joins) = (BTreeSet::new(), BTreeMap::<String, u32>::new());
    for entry in excerpt.entries {
        let text = entry.message.text();
        let (_, body) = text.split_once("\n\n").expect("headers and a body");
        let event: serde_json::Value = serde_json::from_str(body).unwrap();
        let user = event["user"].as_str().unwrap().to_owned();
        match event["type"].as_str().unwrap() {
            "join" => {
                *joins.entry(user.clone()).or_default() += 1;
                assert_eq!(joins[&user], 1, "{user} came twice");
                there.insert(user);
            }
            "leave" => assert!(there.remove(&user), "{user} has left without having come, or twice"),
            other => panic!("{other}"),
        }
        assert_eq!(event["count"], there.len(), "{event}");
    }
    there
}

/// A WebSocket of a service.
async fn open(service: Service) -> Option<WebSocketStream<DuplexStream>> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::task::spawn_local(async move {
        let respond = service_fn(move |request| {
            let service = service.clone();
            async move { service.respond(request).await }
        });
        let _ = http1::Builder::new().serve_connection(TokioIo::new(far), respond).with_upgrades().await;
    });
    let (socket, _) = tokio_tungstenite::client_async("ws://node/guests/websocket", near).await.ok()?;
    Some(socket)
}
