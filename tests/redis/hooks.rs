//! Hooks while nodes are killed: the application is called again under the same id, and told of each end once.

use std::net::TcpStream;

use serde_json::json;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use crate::backend::{Answer, Backend};
use crate::program::Program;
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
        client.say(&format!("SUBSCRIBE\nid:0\ndestination:{destination}\nreceipt:r\n\n\0"));
        assert!(client.hear().starts_with("RECEIPT"));
        client
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
    let [killed, other] = [0, 1].map(|_| Program::start(&redis.url(), &flags));
    killed.wait_ready();
    other.wait_ready();
    let mut witnesses = ["/topic/done", "/queue/done"].map(|to| Client::subscribed(&other, to));
    connect_by_polls(&killed);
    std::thread::scope(|scope| {
        scope.spawn(|| killed.request("POST", "/ws/000/s/xhr_send", &[("x-request-id", "4")], SEND));
        // The first has come: the others are on their way.
        assert_eq!(witnesses[1].body(), "0");
        killed.signal("KILL");
    });
    // The balancer sends it again.
    assert_eq!(other.post("/ws/000/s/xhr_send", &[("x-request-id", "4")], SEND).0, 204);
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
