//! Hooks while nodes are killed: the application is called again under the same id, and told of each end once.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use crate::backend::{Answer, Backend};
use crate::program::Program;
use crate::proxy::Proxy;
use crate::server::{Redis, until};
use crate::tls::{Certificates, behind_tls};

/// A STOMP client on a plain WebSocket.
pub(crate) struct Client(WebSocket<TcpStream>);

impl Client {
    pub(crate) fn connected(program: &Program, login: &str) -> Self {
        let mut client = Self::open(program, login);
        assert!(client.hear().starts_with("CONNECTED"));
        client
    }

    fn open(program: &Program, login: &str) -> Self {
        let mut client = Self(program.socket("/ws"));
        client.say(&format!("CONNECT\naccept-version:1.2\nheart-beat:0,0\nlogin:{login}\n\n\0"));
        client
    }

    /// What a client gets that is not let in.
    pub(crate) fn refused(program: &Program, login: &str) -> String {
        let mut client = Self::open(program, login);
        client.hear()
    }

    pub(crate) fn say(&mut self, frame: &str) {
        self.0.send(Message::text(frame)).expect("sent");
    }

    pub(crate) fn hear(&mut self) -> String {
        loop {
            if let Message::Text(text) = self.0.read().expect("a message") {
                return text.to_string();
            }
        }
    }

    pub(crate) fn subscribed(program: &Program, destination: &str) -> Self {
        let mut client = Self::connected(program, "witness");
        client.subscribe(destination);
        client
    }

    /// Subscribes, before anything else has come.
    pub(crate) fn subscribe(&mut self, destination: &str) {
        self.say(&format!("SUBSCRIBE\nid:{destination}\ndestination:{destination}\nreceipt:r\n\n\0"));
        let receipt = self.hear();
        assert!(receipt.starts_with("RECEIPT"), "{receipt}");
    }

    /// The code with which the session is closed, whatever came before.
    pub(crate) fn closed(&mut self) -> u16 {
        loop {
            match self.0.read().expect("a message") {
                Message::Close(Some(frame)) => {
                    self.0.flush().expect("its answer is sent");
                    return frame.code.into();
                }
                Message::Close(None) => panic!("closed without a code"),
                _ => {}
            }
        }
    }

    /// The body of the next MESSAGE.
    pub(crate) fn body(&mut self) -> String {
        let frame = self.hear();
        assert!(frame.starts_with("MESSAGE"), "{frame}");
        let (_, body) = frame.split_once("\n\n").expect("a body");
        body.trim_end_matches('\0').to_owned()
    }
}

/// Opens a session over HTTP that has connected.
fn connect_by_polls(program: &Program) {
    assert_eq!(program.post("/ws/000/s/xhr", &[("x-request-id", "1")], "").1, "o\n");
    let connect = r#"["CONNECT\naccept-version:1.2\n\n\u0000"]"#;
    assert_eq!(program.post("/ws/000/s/xhr_send", &[("x-request-id", "2")], connect).0, 204);
    assert!(program.post("/ws/000/s/xhr", &[("x-request-id", "3")], "").1.contains("CONNECTED"));
}

/// What such a session sends to the application.
const SEND: &str = r#"["SEND\ndestination:/app/x\n\nbody\u0000"]"#;
const FLAGS: [&str; 6] = ["--store-lease", "2s", "--store-timeout", "500ms", "--service", "/ws=stomp"];

#[test]
fn a_message_whose_node_is_killed_is_handled_again_under_the_same_id() {
    let backend = Backend::start(|_, before| match before {
        0 => Answer::Never,
        _ => Answer::Json(json!({ "send": [{ "destination": "/topic/done", "body": "done" }] })),
    });
    let redis = Redis::start();
    let hook = format!("/app/** {}", backend.url());
    let flags =
        [&FLAGS[..], &["--app-hooks", &hook, "--hook-timeout", "60s", "--request-id-header", "x-request-id"]];
    let [killed, other] = [0, 1].map(|_| Program::start(&redis.url(), &flags.concat()));
    killed.wait_ready();
    other.wait_ready();
    let mut witness = Client::subscribed(&other, "/topic/done");
    connect_by_polls(&killed);
    std::thread::scope(|scope| {
        scope.spawn(|| killed.request("POST", "/ws/000/s/xhr_send", &[("x-request-id", "4")], SEND));
        backend.wait_for(1);
        killed.signal("KILL");
    });
    // The balancer sends it again.
    assert_eq!(other.post("/ws/000/s/xhr_send", &[("x-request-id", "4")], SEND).0, 204);
    assert_eq!(witness.body(), "done");
    let calls = backend.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].event, calls[1].event, "all of it, the id too");
}

#[test]
fn what_a_hook_answers_is_sent_once_though_its_node_is_killed_while_it_sends() {
    const EACH: usize = 50;
    let backend = Backend::start(|_, _| {
        let to = |number| ["/topic/done", "/queue/done"].map(|to| json!({ "destination": to, "body": number }));
        Answer::Json(json!({ "send": (0..EACH).flat_map(to).collect::<Vec<_>>() }))
    });
    let redis = Redis::start();
    let hook = format!("/app/** {}", backend.url());
    let flags = [&FLAGS[..], &["--app-hooks", &hook, "--request-id-header", "x-request-id"]].concat();
    let proxy = Proxy::to(redis.port());
    let [killed, other] = [proxy.url(), redis.url()].map(|url| Program::start(&url, &flags));
    killed.wait_ready();
    other.wait_ready();
    let mut witnesses = ["/topic/done", "/queue/done"].map(|to| Client::subscribed(&other, to));
    connect_by_polls(&killed);
    std::thread::scope(|scope| {
        scope.spawn(|| killed.request("POST", "/ws/000/s/xhr_send", &[("x-request-id", "4")], SEND));
        // The first has come: the others are on their way, and their sender does not hear of all of them.
        assert_eq!(witnesses[1].body(), "0");
        proxy.hold();
        killed.signal("KILL");
    });
    // The balancer sends it again.
    assert_eq!(other.post("/ws/000/s/xhr_send", &[("x-request-id", "4")], SEND).0, 204);
    assert_eq!(backend.calls().len(), 2, "its first call was not done");
    let mut sender = Client::connected(&other, "sender");
    for to in ["/topic/done", "/queue/done"] {
        sender.say(&format!("SEND\ndestination:{to}\n\nlast\0"));
    }
    let [topic, queue] = &mut witnesses;
    assert_eq!(topic.body(), "0");
    for number in 1..EACH {
        assert_eq!([topic.body(), queue.body()], [number.to_string(), number.to_string()]);
    }
    assert_eq!([topic.body(), queue.body()], ["last", "last"]);
}

#[test]
fn the_end_of_each_websocket_of_a_killed_node_is_told_once() {
    let backend = Backend::start(|event, _| match event["event"].as_str() {
        Some("connect") => Answer::Json(json!({ "user": { "name": event["headers"]["login"] } })),
        _ => Answer::Json(json!({})),
    });
    let redis = Redis::start();
    let url = backend.url();
    let flags = [&FLAGS[..], &["--connect-hook", &url, "--disconnect-hook", &url]].concat();
    let [killed, other] = [0, 1].map(|_| Program::start(&redis.url(), &flags));
    killed.wait_ready();
    other.wait_ready();
    let clients: Vec<_> = (0..20).map(|number| Client::connected(&killed, &format!("guest{number}"))).collect();
    killed.signal("KILL");
    backend.wait_for(40);
    drop(clients);
    // One that comes behind them all.
    drop(Client::connected(&other, "last"));
    backend.wait_for(42);
    let calls = backend.calls();
    let ends = calls.iter().filter(|call| call.event["event"] == "disconnect");
    let mut ended: Vec<_> =
        ends.map(|call| call.event["user"]["name"].as_str().expect("a name").to_owned()).collect();
    assert_eq!(ended.pop().as_deref(), Some("last"));
    ended.sort();
    let mut expected: Vec<_> = (0..20).map(|number| format!("guest{number}")).collect();
    expected.sort();
    assert_eq!(ended, expected);
    until("nothing is left of them", || redis.keys("sockhop:{s").iter().all(|key| !key.contains("anchors")));
}

/// Lets everybody in under the name of their login.
fn admit(event: &Value) -> Answer {
    Answer::Json(json!({ "user": { "name": event["headers"]["login"] } }))
}

/// Whose ends a backend was told, in order.
fn ends(backend: &Backend) -> Vec<String> {
    let calls = backend.calls().into_iter().filter(|call| call.event["event"] == "disconnect");
    calls.map(|call| call.event["user"]["name"].as_str().expect("a name").to_owned()).collect()
}

fn guests(program: &Program, count: usize) -> Vec<Client> {
    (0..count).map(|number| Client::connected(program, &format!("guest{number}"))).collect()
}

#[test]
fn ends_that_a_killed_node_had_taken_over_are_told_by_the_next_as_soon() {
    const GUESTS: usize = 20;
    let redis = Redis::start();
    // Whoever is told of an end first does not say that it has heard it: those on_closes do not come to their end.
    let told = Arc::new(AtomicUsize::new(0));
    let backends = [0, 1].map(|_| {
        let told = Arc::clone(&told);
        Backend::start(move |event, _| match event["event"].as_str() {
            Some("connect") => admit(event),
            _ if told.fetch_add(1, Ordering::SeqCst) < GUESTS => Answer::Never,
            _ => Answer::Json(json!({})),
        })
    });
    let start = |backend: &Backend| {
        let url = backend.url();
        let hooks = ["--connect-hook", &url, "--disconnect-hook", &url, "--hook-timeout", "60s"];
        Program::start(&redis.url(), &[&FLAGS[..], &hooks].concat())
    };
    let first = start(&backends[0]);
    let others = [start(&backends[0]), start(&backends[1])];
    first.wait_ready();
    others.iter().for_each(Program::wait_ready);
    let _clients = guests(&first, GUESTS);
    first.signal("KILL");
    until("all ends are being told", || {
        backends.iter().map(|backend| ends(backend).len()).sum::<usize>() == GUESTS
    });
    let second = usize::from(ends(&backends[1]).len() > ends(&backends[0]).len());
    let survivor = &backends[1 - second];
    others[second].signal("KILL");
    let at = Instant::now();
    let all: BTreeSet<_> = (0..GUESTS).map(|number| format!("guest{number}")).collect();
    until("they are told again", || ends(survivor).into_iter().collect::<BTreeSet<_>>() == all);
    // The lease, and what seeing that it is over takes: far from what every end is looked at after.
    assert!(at.elapsed() < Duration::from_secs(17), "{:?}", at.elapsed());
    assert_eq!(ends(survivor).len(), GUESTS, "each once: {:?}", ends(survivor));
}

#[test]
fn ends_are_told_once_though_the_store_is_away_while_their_node_drains() {
    const GUESTS: usize = 20;
    let backend = Backend::start(|event, _| match event["event"].as_str() {
        Some("connect") => admit(event),
        _ => Answer::Json(json!({})),
    });
    let redis = Redis::start();
    let url = backend.url();
    let flags =
        ["--store-lease", "4s", "--store-timeout", "500ms", "--drain-timeout", "60s", "--service", "/ws=stomp"];
    let flags = [&flags[..], &["--connect-hook", &url, "--disconnect-hook", &url]].concat();
    let [drained, other] = [0, 1].map(|_| Program::start(&redis.url(), &flags));
    drained.wait_ready();
    other.wait_ready();
    let mut clients = guests(&drained, GUESTS);
    redis.stop();
    drained.signal("TERM");
    assert!(clients.iter_mut().all(|client| client.closed() == 4505));
    drained.wait_log("could not write down the end of an anchored session");
    assert_eq!(ends(&backend), Vec::<String>::new(), "nobody knows yet whose they are");
    redis.cont();
    let (status, log) = drained.ended();
    assert!(status.success() && !log.contains("not all connections ended"), "{log}");
    let left = || redis.keys("sockhop:{s").into_iter().filter(|key| !key.contains(":taken:")).count();
    until("nothing but that they are over is left of them", || left() == 0);
    other.wait_ready();
    drop(Client::connected(&other, "last"));
    until("the last is told", || ends(&backend).iter().any(|name| name == "last"));
    let mut told = ends(&backend);
    assert_eq!(told.pop().as_deref(), Some("last"));
    told.sort();
    let mut all: Vec<_> = (0..GUESTS).map(|number| format!("guest{number}")).collect();
    all.sort();
    assert_eq!(told, all);
    let codes = backend.calls().into_iter().filter(|call| call.event["event"] == "disconnect");
    assert_eq!(codes.filter(|call| call.event["code"] == 4505).count(), GUESTS);
}

#[test]
fn a_hook_behind_https_is_asked_where_its_authority_is_trusted_and_else_nobody_is_let_in() {
    let backend = Backend::start(|_, _| Answer::Json(json!({ "user": { "name": "ann" } })));
    let certificates = Certificates::make();
    let url = format!("https://localhost:{}/hook", behind_tls(backend.address(), &certificates));
    let redis = Redis::start();
    let flags = [&FLAGS[..], &["--connect-hook", &url]].concat();
    let trusting = certificates.path("ca.pem");
    let trusts = Program::start_with(&redis.url(), &flags, &[("SSL_CERT_FILE", &trusting)]);
    trusts.wait_ready();
    drop(Client::connected(&trusts, "ann"));
    assert_eq!(backend.calls().len(), 1);
    let others = Certificates::make();
    let distrusts = Program::start_with(&redis.url(), &flags, &[("SSL_CERT_FILE", &others.path("ca.pem"))]);
    distrusts.wait_ready();
    let refused = Client::refused(&distrusts, "ann");
    assert!(refused.contains("message:unavailable"), "{refused}");
    assert_eq!(backend.calls().len(), 1, "it has seen nothing of it");
}
