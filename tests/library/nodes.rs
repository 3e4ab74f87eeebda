//! Several nodes over one store, and nodes that end.

use std::sync::Arc;
use std::time::Duration;

use sockhop::services::Echo;
use sockhop::store::MemoryStore;
use sockhop::{ChannelName, CloseReason, Handler, Node, Service, Session};
use tokio::sync::mpsc;

use crate::client::{Poller, answered, chunk};

struct Subscriber(mpsc::UnboundedSender<u16>);

impl Handler for Subscriber {
    async fn on_open(&self, session: &Session) {
        session.subscribe(&ChannelName::new("news").unwrap()).await.unwrap();
    }

    async fn on_message(&self, session: &Session, message: String) {
        session.send(message).await.unwrap();
    }

    async fn on_close(&self, _session: &Session, reason: &CloseReason) {
        self.0.send(reason.code()).unwrap();
    }
}

struct Pair {
    nodes: [Node; 2],
    services: [Service; 2],
    closed: mpsc::UnboundedReceiver<u16>,
}

fn pair() -> Pair {
    let store = Arc::new(MemoryStore::new());
    let nodes = [0, 1].map(|_| Node::builder().store(store.clone()).build());
    let (closes, closed) = mpsc::unbounded_channel();
    let services = [0, 1].map(|node: usize| {
        let trusted = http::HeaderName::from_static("x-request-id");
        Service::builder("/sub", Subscriber(closes.clone())).request_id_header(Some(trusted)).build(&nodes[node])
    });
    Pair { nodes, services, closed }
}

#[tokio::test(start_paused = true)]
async fn a_session_hops_between_nodes_and_misses_nothing() {
    let pair = pair();
    let clients = [0, 1].map(|node: usize| Poller::new(&pair.services[node], "s"));
    assert_eq!(clients[0].poll().await, "o");
    for round in 0..20 {
        let (here, there) = (round % 2, (round + 1) % 2);
        assert_eq!(clients[there].send(&[&format!("own {round}")]).await, 204);
        assert_eq!(clients[here].poll().await, format!("a[\"own {round}\"]"));
        pair.nodes[here].publish(&ChannelName::new("news").unwrap(), format!("news {round}")).await.unwrap();
        assert_eq!(clients[there].poll().await, format!("a[\"news {round}\"]"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_at_one_node_gets_what_others_send() {
    let pair = pair();
    let clients = [0, 1].map(|node: usize| Poller::new(&pair.services[node], "s"));
    clients[0].poll().await;
    let waiting = clients[0].at(&pair.services[0]);
    let waiting = tokio::spawn(async move { waiting.poll().await });
    tokio::task::yield_now().await;
    assert_eq!(clients[1].poll().await, r#"c[2010,"Another connection still open"]"#, "on its holder's word");
    clients[1].send(&["hello"]).await;
    assert_eq!(waiting.await.unwrap(), r#"a["hello"]"#);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_poll_takes_over_and_leaves_the_first_unwritten() {
    let pair = pair();
    let clients = [0, 1].map(|node: usize| Poller::new(&pair.services[node], "s"));
    clients[0].poll_as(Some("1")).await;
    let request = http::Request::post("/sub/0/s/xhr")
        .header("x-request-id", "2")
        .body(http_body_util::Empty::<bytes::Bytes>::new())
        .unwrap();
    let service = pair.services[0].clone();
    let first = tokio::spawn(async move {
        match service.respond(request).await {
            Ok(response) => Some(crate::client::text(response).await),
            Err(_unwritten) => None,
        }
    });
    tokio::task::yield_now().await;
    let client = clients[1].at(&pair.services[1]);
    let second = tokio::spawn(async move { client.poll_as(Some("2")).await });
    let first = answered(first).await.unwrap();
    assert_eq!(first, None, "nothing is written");
    clients[0].send(&["once"]).await;
    assert_eq!(second.await.unwrap(), r#"a["once"]"#);
    assert_eq!(clients[0].poll_as(Some("2")).await, r#"a["once"]"#, "the very same again");
    clients[0].send_as(&["twice?"], Some("3")).await;
    clients[1].send_as(&["twice?"], Some("3")).await;
    assert_eq!(clients[0].poll_as(Some("4")).await, r#"a["twice?"]"#);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_drains_hands_its_sessions_over() {
    let mut pair = pair();
    let clients = [0, 1].map(|node: usize| Poller::new(&pair.services[node], "s"));
    clients[0].poll().await;
    let waiting = clients[0].at(&pair.services[0]);
    let waiting = tokio::spawn(async move { waiting.poll().await });
    let other = Poller::new(&pair.services[0], "stream");
    let mut stream = other.stream().await;
    chunk(&mut stream).await;
    assert_eq!(chunk(&mut stream).await.unwrap(), "o\n");
    tokio::task::yield_now().await;
    assert!(pair.nodes[0].is_ready());
    let draining = pair.nodes[0].clone();
    let draining = tokio::spawn(async move { draining.drain(Duration::from_secs(5)).await });
    assert_eq!(waiting.await.unwrap(), "h");
    assert_eq!(chunk(&mut stream).await, None, "a proper end");
    assert_eq!(draining.await.unwrap().cut, 0);
    assert!(!pair.nodes[0].is_ready());
    for client in [&clients[1], &other.at(&pair.services[1])] {
        assert_eq!(client.send(&["on"]).await, 204);
        assert_eq!(client.poll().await, r#"a["on"]"#);
    }
    assert!(pair.closed.try_recv().is_err(), "no session has ended");
    assert_eq!(Poller::new(&pair.services[0], "new").poll().await, r#"c[4505,"Server is going away"]"#);
}

#[tokio::test(start_paused = true)]
async fn the_last_node_tells_its_sessions_that_they_end() {
    let (closes, mut closed) = mpsc::unbounded_channel();
    let node = Node::new();
    let service = Service::builder("/sub", Subscriber(closes)).build(&node);
    let (waiting, detached) = (Poller::new(&service, "a"), Poller::new(&service, "b"));
    waiting.poll().await;
    detached.poll().await;
    let waiting = tokio::spawn(async move { waiting.poll().await });
    tokio::task::yield_now().await;
    assert_eq!(node.drain(Duration::from_secs(5)).await.cut, 0);
    assert_eq!(waiting.await.unwrap(), r#"c[4505,"Server is going away"]"#);
    assert_eq!(detached.poll().await, r#"c[4505,"Server is going away"]"#);
    assert_eq!((closed.recv().await, closed.recv().await), (Some(4505), Some(4505)));
    assert_eq!(node.sessions(), 0);
}

/// Holds up the end.
struct Stuck;

impl Handler for Stuck {
    async fn on_message(&self, _session: &Session, _message: String) {
        std::future::pending::<()>().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_says_what_it_had_to_cut() {
    let node = Node::new();
    let service = Service::builder("/stuck", Stuck).build(&node);
    let client = Poller::new(&service, "s");
    client.poll().await;
    let sending = tokio::spawn(async move { client.send(&["x"]).await });
    tokio::task::yield_now().await;
    sending.abort();
    assert!(node.drain(Duration::from_secs(1)).await.cut > 0);
}

#[tokio::test(start_paused = true)]
async fn sessions_of_two_services_with_one_id_are_two() {
    let node = Node::new();
    let services = ["/a", "/b"].map(|prefix| Service::builder(prefix, Echo).build(&node));
    for service in &services {
        assert_eq!(Poller::new(service, "same").poll().await, "o");
    }
    assert_eq!(node.sessions(), 2);
}
