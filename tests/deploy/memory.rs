//! What sessions and channels take in Redis: the figures of `docs/deploy.md`. To see them:
//! `cargo test --test deploy memory -- --nocapture`

use crate::http::{Connection, Request};
use crate::nodes::Nodes;
use crate::redis_server::Redis;
use crate::server::Server;
use crate::ws::WebSocket;

/// So many of each are measured: enough to share the costs of what is there once.
const MANY: usize = 300;

#[test]
fn sessions_and_channels_take_what_the_documentation_says() {
    let session = "s[0-9]*";
    for (what, limit, keys, make) in [
        ("session between two polls", 1200, session, (|server| opened(server)) as fn(&Server) -> Vec<Connection>),
        ("session with a held poll", 1200, session, |server| held(server, "/echo")),
        ("session with a held poll that follows one channel", 1700, session, |server| held(server, "/broadcast")),
        ("session with ten unread frames of 100 bytes", 2800, session, unread),
        ("session over WebSocket", 1, session, sockets),
        ("session over WebSocket that can be resumed", 1400, session, resumable_sockets),
        ("message of 100 bytes in a channel", 250, "c:*", publish),
    ] {
        let nodes = Nodes::start(&["--resume", "2m"]);
        let made = make(&nodes.nodes[0].direct());
        let bytes = usage(&nodes.redis, keys) / i64::try_from(MANY).expect("a small number");
        drop(made);
        say(&format!("{what}: {bytes} bytes"));
        assert!(bytes < limit, "{what}: {bytes} bytes, {limit} at most");
    }
}

/// What all keys of a kind take together, by `MEMORY USAGE` and with what each costs in the table of expiries.
fn usage(redis: &Redis, kind: &str) -> i64 {
    let keys = redis.keys(&format!("sockhop:{{{kind}"));
    keys.iter().map(|key| redis.number(&["MEMORY", "USAGE", key, "SAMPLES", "0"]) + EXPIRY).sum()
}

/// An entry and its share of the table.
const EXPIRY: i64 = 32;

fn post(server: &Server, connection: &mut Connection, target: &str, body: &str) -> String {
    let answer = connection.exchange(&Request::post(target, body));
    assert!(matches!(answer.status, 200 | 204), "{answer:?} of {server:?}", server = server.address);
    answer.text().to_owned()
}

fn opened(server: &Server) -> Vec<Connection> {
    let mut connection = server.connect();
    for number in 0..MANY {
        assert_eq!(post(server, &mut connection, &format!("/echo/000/o{number}/xhr"), ""), "o\n");
    }
    Vec::new()
}

fn held(server: &Server, service: &str) -> Vec<Connection> {
    let hold = |number| {
        let target = format!("{service}/000/h{number}/xhr");
        let mut connection = server.connect();
        assert_eq!(post(server, &mut connection, &target, ""), "o\n");
        connection.send(&Request::post(&target, ""));
        connection
    };
    let mut made: Vec<Connection> = (0..MANY).map(hold).collect();
    // None of them is told anything: then all are held.
    made.iter_mut().for_each(|connection| connection.expect_silence(std::time::Duration::from_millis(1)));
    made
}

fn unread(server: &Server) -> Vec<Connection> {
    let mut connection = server.connect();
    let messages = serde_json::to_string(&vec!["x".repeat(100); 10]).expect("JSON");
    for number in 0..MANY {
        let url = format!("/echo/000/u{number}");
        assert_eq!(post(server, &mut connection, &format!("{url}/xhr"), ""), "o\n");
        post(server, &mut connection, &format!("{url}/xhr_send"), &messages);
    }
    Vec::new()
}

fn publish(server: &Server) -> Vec<Connection> {
    let mut connection = server.connect();
    assert_eq!(post(server, &mut connection, "/broadcast/000/p/xhr", ""), "o\n");
    let message = format!("[\"{}\"]", "x".repeat(100));
    for _ in 0..MANY {
        post(server, &mut connection, "/broadcast/000/p/xhr_send", &message);
    }
    Vec::new()
}

fn sockets(server: &Server) -> Vec<Connection> {
    let socket = |number| WebSocket::open(server, &format!("/echo/000/w{number}/websocket")).connection;
    (0..MANY).map(socket).collect()
}

fn resumable_sockets(server: &Server) -> Vec<Connection> {
    let socket = |number| {
        let url = format!("/echo/000/{number:032x}~1/websocket");
        let mut socket = WebSocket::open(server, &url);
        socket.expect_text("o");
        socket.connection
    };
    (0..MANY).map(socket).collect()
}

#[allow(clippy::print_stdout, reason = "figures for people")]
fn say(line: &str) {
    println!("{line}");
}
