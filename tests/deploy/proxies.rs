//! What holds behind each proxy.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{Connection, Request};
use crate::nodes::Nodes;
use crate::proxy::{Kind, Proxy};
use crate::redis_server::until;
use crate::server::{PATIENCE, Server};
use crate::ws::WebSocket;

macro_rules! each_proxy {
    ($($claim:ident),* $(,)?) => {
        claims!(nginx Kind::Nginx, $($claim)*);
        claims!(haproxy Kind::HaProxy, $($claim)*);
        claims!(caddy Kind::Caddy, $($claim)*);
    };
}

macro_rules! claims {
    ($proxy:ident $kind:expr, $($claim:ident)*) => {
        mod $proxy {
            use super::Kind;
            $(#[test] fn $claim() { super::$claim($kind); })*
        }
    };
}

each_proxy!(
    requests_hop_over_all_nodes,
    websockets_work,
    frames_of_streams_come_as_they_are_sent,
    a_held_poll_whose_node_is_killed_is_answered_by_another,
    an_id_of_the_clients_own_is_not_passed_on,
    draining_every_node_loses_nothing,
    a_client_that_goes_away_is_noticed,
    a_pause_of_redis_makes_things_late_and_no_more,
);

// HAProxy repeats what fits into a buffer, Caddy nothing that has a body.
mod sends {
    use super::*;

    claims!(nginx Kind::Nginx, sends_pass_over_a_node_that_is_gone a_send_whose_node_is_killed_is_done_once a_send_that_takes_longer_than_the_proxy_waits_is_done_once);
    claims!(haproxy Kind::HaProxy, sends_pass_over_a_node_that_is_gone a_send_whose_node_is_killed_is_done_once
        a_send_that_takes_longer_than_the_proxy_waits_is_done_once a_send_that_cannot_be_repeated_gets_502_and_is_not_done);
    claims!(caddy Kind::Caddy, a_send_that_cannot_be_repeated_gets_502_and_is_not_done);
}

fn requests_hop_over_all_nodes(kind: Kind) {
    let place = Place::start(kind);
    let session = place.open();
    let mut seen = BTreeSet::new();
    for number in 0..6 {
        let sent = session.post("xhr_send", &format!("[\"{number}\"]"));
        assert_eq!(sent.status, 204, "{sent:?}");
        seen.extend(sent.header("x-sockhop-node").map(str::to_owned));
        let polled = session.post("xhr", "");
        assert_eq!(polled.text(), format!("a[\"{number}\"]\n"));
        seen.extend(polled.header("x-sockhop-node").map(str::to_owned));
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

fn websockets_work(kind: Kind) {
    let place = Place::start(kind);
    for number in 0..3 {
        let mut socket = WebSocket::open(&place.proxy.server(), &format!("/echo/000/ws{number}/websocket"));
        socket.expect_text("o");
        for text in ["a", "é 😀"] {
            socket.send_text(format!("[\"{text}\"]"));
            let frame = socket.text();
            assert_eq!(messages(&frame), [text]);
        }
        socket.finish();
    }
}

fn frames_of_streams_come_as_they_are_sent(kind: Kind) {
    let place = Place::start(kind);
    for (method, receiver) in [("POST", "xhr_streaming"), ("GET", "eventsource"), ("GET", "htmlfile?c=x")] {
        let session = place.session();
        let mut stream = place.proxy.server().connect();
        stream.send(&Request::new(method, &session.target(receiver)).header("Content-Length", "0"));
        assert_eq!(stream.head().status, 200);
        wait_for(&mut stream, "o");
        for word in ["first", "second", "third"] {
            assert_eq!(session.post("xhr_send", &format!("[\"{word}\"]")).status, 204);
            wait_for(&mut stream, word);
        }
    }
}

fn a_held_poll_whose_node_is_killed_is_answered_by_another(kind: Kind) {
    let mut place = Place::start(kind);
    let session = place.open();
    let target = session.target("xhr");
    let before: Vec<usize> = place.nodes.nodes.iter().map(|node| node.ids(&target).len()).collect();
    let mut poll = session.held();
    let mut holder = 0;
    until("the poll reaches a node", || {
        holder = (0..3).find(|&index| place.nodes.nodes[index].ids(&target).len() > before[index]).unwrap_or(9);
        holder < 3
    });
    poll.expect_silence(Duration::from_millis(300));
    let id = place.nodes.nodes[holder].ids(&target).pop().expect("its id");

    place.nodes.nodes[holder].kill();
    let others: Vec<usize> = (0..3).filter(|&index| index != holder).collect();
    until("the poll is repeated under its id", || {
        others.iter().any(|&index| place.nodes.nodes[index].ids(&target).contains(&id))
    });
    assert_eq!(session.post("xhr_send", "[\"hello\"]").status, 204);
    assert_eq!(poll.response().text(), "a[\"hello\"]\n");
    session.held().expect_silence(Duration::from_millis(300));
}

fn a_send_whose_node_is_killed_is_done_once(kind: Kind) {
    let long = if kind == Kind::HaProxy { 14_000 } else { 300_000 };
    for length in [1, long] {
        let mut place = Place::start(kind);
        let session = place.open();
        place.nodes.nodes[0].process().signal("STOP");
        let (mut kept, sent) = send_until_one_is_kept(&place, &session, length);
        let id = place.nodes.nodes[0].ids(&session.target("xhr_send")).pop().expect("its id");
        place.nodes.nodes[0].kill();
        let answer = kept.response();
        assert_eq!(answer.status, 204, "{answer:?}");
        let again =
            (1..3).filter(|&index| place.nodes.nodes[index].ids(&session.target("xhr_send")).contains(&id));
        assert_eq!(again.count(), 1, "one other node got it under its id");
        session.expect_exactly(&sent);
    }
}

fn a_send_that_cannot_be_repeated_gets_502_and_is_not_done(kind: Kind) {
    let length = if kind == Kind::HaProxy { 17_000 } else { 1 };
    let mut place = Place::start(kind);
    let session = place.open();
    place.nodes.nodes[0].process().signal("STOP");
    let (mut kept, mut sent) = send_until_one_is_kept(&place, &session, length);
    place.nodes.nodes[0].kill();
    assert_eq!(kept.response().status, 502);
    sent.pop();
    session.expect_exactly(&sent);
}

fn a_send_that_takes_longer_than_the_proxy_waits_is_done_once(kind: Kind) {
    let impatient = |text: String| match kind {
        Kind::Nginx => crate::proxy::exchange(&text, "proxy_read_timeout 60s", "proxy_read_timeout 2s"),
        Kind::HaProxy => crate::proxy::exchange(&text, "timeout server 60s", "timeout server 2s"),
        Kind::Caddy => crate::proxy::exchange(&text, "response_header_timeout 60s", "response_header_timeout 2s"),
    };
    let place = Place::edited(kind, impatient);
    let session = place.open_at("/ledger");
    let target = session.target("xhr_send");
    assert_eq!(session.post("xhr_send", "[\"wait 3000 once\"]").status, 204);
    let ids: Vec<String> = place.nodes.nodes.iter().flat_map(|node| node.ids(&target)).collect();
    assert!(ids.len() > 1, "it was repeated");
    assert!(ids.iter().all(|id| *id == ids[0]), "under one id: {ids:?}");
    assert_eq!(session.post("xhr_send", "[\"end\"]").status, 204);
    let told = session.poll_until(|text| text.contains(" end "));
    let kinds: Vec<_> = told.iter().map(|text| text.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(kinds, ["begun", "told", "told"], "{told:?}");
}

fn sends_pass_over_a_node_that_is_gone(kind: Kind) {
    let mut place = Place::start(kind);
    let session = place.open();
    place.nodes.nodes[0].kill();
    let sent: Vec<String> = (0..6).map(|number| number.to_string()).collect();
    for text in &sent {
        let answer = session.post("xhr_send", &format!("[\"{text}\"]"));

        assert_eq!(answer.status, 204, "{answer:?}");
    }
    session.expect_exactly(&sent);
}

fn an_id_of_the_clients_own_is_not_passed_on(kind: Kind) {
    let place = Place::start(kind);
    let session = place.session();
    for _ in 0..3 {
        let request = Request::post(&session.target("xhr"), "").header("X-Request-Id", "mine");
        let request = request.header("x-request-id", "mine too");
        // The id is what makes an answer the repetition of another.
        let answer = place.proxy.server().fetch(&request);
        assert_eq!(answer.status, 200);
        session.post("xhr_send", "[\"x\"]");
    }
    let ids: Vec<String> = place.nodes.nodes.iter().flat_map(|node| node.ids(&session.target("xhr"))).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| !id.contains("mine") && id.len() >= 32), "{ids:?}");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 3, "each request has its own: {ids:?}");
}

fn draining_every_node_loses_nothing(kind: Kind) {
    let mut place = Place::start(kind);
    let session = place.open();
    let (done, count) = (AtomicBool::new(false), AtomicU32::new(0));
    let (sent, received) = thread::scope(|scope| {
        let polls = scope.spawn(|| session.poll_until(|text| text == "end"));
        let sends = scope.spawn(|| {
            let mut sent = Vec::new();
            while !done.load(Ordering::SeqCst) {
                let text = format!("m{}", sent.len());

                let answer = session.post("xhr_send", &format!("[\"{text}\"]"));

                assert_eq!(answer.status, 204, "{answer:?}");
                sent.push(text);
                count.fetch_add(1, Ordering::SeqCst);
            }
            sent
        });
        for node in &mut place.nodes.nodes {
            node.drain();
            node.start();
            let before = count.load(Ordering::SeqCst);
            until("the sends go on", || count.load(Ordering::SeqCst) > before + 10);
        }
        done.store(true, Ordering::SeqCst);
        let mut sent = sends.join().expect("the sends went well");
        assert_eq!(session.post("xhr_send", "[\"end\"]").status, 204);
        sent.push("end".to_owned());
        (sent, polls.join().expect("the polls went well"))
    });
    assert_eq!(received, sent);
}

fn a_client_that_goes_away_is_noticed(kind: Kind) {
    let place = Place::start(kind);
    let session = place.open();
    let poll = session.held();
    place.nodes.reached(&session.target("xhr"), &[]);
    drop(poll);
    let gone = Instant::now();
    // Its session ends with it, so that the next poll opens another.
    until("the session is over", || {
        let mut next = session.held();
        let silent = |connection: &mut Connection| {
            connection.read_some(Instant::now() + Duration::from_millis(200)).is_err()
        };
        if silent(&mut next) {
            return false;
        }
        let text = next.response().text().to_owned();
        assert!(text == "o\n" || text.starts_with("c["), "{text}");
        text == "o\n"
    });
    assert!(gone.elapsed() < Duration::from_secs(15), "only with the next heartbeat: {:?}", gone.elapsed());
}

fn a_pause_of_redis_makes_things_late_and_no_more(kind: Kind) {
    let place = Place::start(kind);
    let session = place.open();
    place.nodes.redis.stop();
    let mut poll = session.held();
    let mut send = place.proxy.server().connect();
    send.send(&Request::post(&session.target("xhr_send"), "[\"late\"]"));
    send.expect_silence(Duration::from_secs(4));
    place.nodes.redis.cont();
    assert_eq!(send.response().status, 204);
    let mut text = poll.response().text().to_owned();
    if text == "h\n" {
        text = session.post("xhr", "").text().to_owned();
    }
    assert_eq!(text, "a[\"late\"]\n");
}

/// Three nodes and a proxy before them.
struct Place {
    proxy: Proxy,
    nodes: Nodes,
}

impl Place {
    fn start(kind: Kind) -> Self {
        Self::edited(kind, |text| text)
    }

    fn edited(kind: Kind, edit: impl Fn(String) -> String) -> Self {
        // Caddy repeats no sends: it has to see in time that a node drains.
        let nodes = Nodes::start(if kind == Kind::Caddy { &["--drain-grace", "3s"] } else { &[] });
        let proxy = Proxy::start(kind, nodes.ports(), edit);
        Self { proxy, nodes }
    }

    fn session(&self) -> Session {
        self.session_of("/echo")
    }

    fn session_of(&self, service: &str) -> Session {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Session { server: self.proxy.server(), url: format!("{service}/000/s{number}-{}", std::process::id()) }
    }

    /// A session whose opening is over: what a test does to nodes then does not meet an `on_open` under way.
    fn open(&self) -> Session {
        let session = self.open_at("/echo");
        let sent = session.post("xhr_send", r#"["opened"]"#);
        assert_eq!(sent.status, 204, "{sent:?}");
        assert_eq!(session.post("xhr", "").text(), "a[\"opened\"]\n");
        session
    }

    fn open_at(&self, service: &str) -> Session {
        let session = self.session_of(service);
        let opened = session.post("xhr", "");
        assert_eq!(opened.text(), "o\n", "{opened:?}\n{}", self.proxy.log());
        session
    }
}

/// A session behind the proxy.
struct Session {
    server: Server,
    url: String,
}

impl Session {
    fn target(&self, endpoint: &str) -> String {
        format!("{}/{endpoint}", self.url)
    }

    fn post(&self, endpoint: &str, body: &str) -> crate::http::Response {
        self.server.post(&self.target(endpoint), body)
    }

    /// A poll whose answer is not awaited.
    fn held(&self) -> Connection {
        let mut connection = self.server.connect();
        connection.send(&Request::post(&self.target("xhr"), ""));
        connection
    }

    /// All messages up to one, as the polls bring them.
    fn poll_until(&self, is_last: impl Fn(&str) -> bool) -> Vec<String> {
        let mut received: Vec<String> = Vec::new();
        let began = Instant::now();
        while !received.last().is_some_and(|text| is_last(text)) {
            assert!(began.elapsed() < PATIENCE, "the last never came after {received:?}");
            let answer = self.post("xhr", "");
            assert_eq!(answer.status, 200, "{answer:?}");
            match answer.text().trim_end() {
                "h" => {}
                frame => received.extend(messages(frame)),
            }
        }
        received
    }

    /// These messages have come, and no other.
    fn expect_exactly(&self, sent: &[String]) {
        assert_eq!(self.post("xhr_send", "[\"end\"]").status, 204);
        let mut received = self.poll_until(|text| text == "end");
        received.pop();
        assert_eq!(received, sent);
    }
}

/// What a frame of messages holds.
fn messages(frame: &str) -> Vec<String> {
    let array = frame.strip_prefix('a').unwrap_or_else(|| panic!("no messages: {frame}"));
    serde_json::from_str(array).expect("an array of strings")
}

/// Sends messages of that length until the first node, which is stopped, has one: that one's connection, and all
/// messages in order.
fn send_until_one_is_kept(place: &Place, session: &Session, length: usize) -> (Connection, Vec<String>) {
    let target = session.target("xhr_send");
    let mut sent = Vec::new();
    for number in 0..4 {
        let text = format!("{number}{}", "x".repeat(length));
        let mut connection = session.server.connect();
        connection.send(&Request::post(&target, format!("[\"{text}\"]")));
        sent.push(text);
        let mut is_kept = false;
        until("the send is answered or kept", || {
            is_kept = !place.nodes.nodes[0].ids(&target).is_empty();
            is_kept || connection.read_some(Instant::now() + Duration::from_millis(20)).is_ok()
        });
        if is_kept {
            return (connection, sent);
        }
        assert_eq!(connection.response().status, 204);
    }
    panic!("no send came to the first node");
}

/// Reads on in a stream until a chunk holds this.
fn wait_for(stream: &mut Connection, word: &str) {
    loop {
        let chunk = stream.chunk().unwrap_or_else(|| panic!("the stream ended before {word}"));
        if String::from_utf8_lossy(&chunk).contains(word) {
            return;
        }
    }
}
