//! Work in lists, while nodes are killed that put it there and workers are that take it out.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::backend::{Answer, Backend};
use crate::examples::block;
use crate::hooks::Client;
use crate::program::Program;
use crate::proxy::Proxy;
use crate::server::{Redis, until};

const LIST: &str = "sockhop:{orders}";
const FLAGS: [&str; 12] = [
    "--store-lease",
    "2s",
    "--store-timeout",
    "500ms",
    "--service",
    "/ws=stomp",
    "--disconnect-delay",
    "10m",
    "--request-id-header",
    "x-request-id",
    "--app-hooks",
    "/app/orders/** redis:sockhop:{orders}",
];

fn start(redis: &Redis, lists: &str) -> Program {
    Program::start(&redis.url(), &[&FLAGS[..], &["--list-store", lists]].concat())
}

/// Opens a polling session and connects; its requests 1 to 3.
fn connect(node: &Program) {
    assert_eq!(node.post("/ws/000/s/xhr", &[("x-request-id", "1")], "").1, "o\n");
    let connect = json!(["CONNECT\naccept-version:1.2\n\n\0"]).to_string();
    assert_eq!(node.post("/ws/000/s/xhr_send", &[("x-request-id", "2")], &connect).0, 204);
    assert!(node.post("/ws/000/s/xhr", &[("x-request-id", "3")], "").1.contains("CONNECTED"));
}

/// Sends in one request, under a name that stays the same when it is repeated; the status, `None` where no answer came.
fn send(node: &Program, request: &str, bodies: &[&str]) -> Option<u16> {
    let frames: Vec<_> =
        bodies.iter().map(|body| format!("SEND\ndestination:/app/orders/new\n\n{body}\0")).collect();
    let body = json!(frames).to_string();
    let head = format!(
        "POST /ws/000/s/xhr_send HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-request-id: {request}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    // Whoever was killed does not listen any more.
    let mut connection = TcpStream::connect(node.address()).ok()?;
    connection.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
    connection.write_all((head + &body).as_bytes()).ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

/// What is in the list, the oldest first.
fn waiting(redis: &Redis) -> Vec<Value> {
    let items = redis.texts(&["LRANGE", LIST, "0", "-1"]);
    items.iter().rev().map(|item| serde_json::from_str(item).expect("JSON")).collect()
}

fn bodies(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["body"].as_str().expect("a text")).collect()
}

fn ids(events: &[Value]) -> BTreeSet<&str> {
    events.iter().map(|event| event["id"].as_str().expect("an id")).collect()
}

#[test]
fn work_whose_node_is_killed_before_it_has_answered_is_in_its_list_once_and_in_order() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port());
    let [killed, other] = [start(&redis, &proxy.url()), start(&redis, &redis.url())];
    killed.wait_ready();
    other.wait_ready();
    connect(&killed);
    assert_eq!(send(&killed, "4", &["first"]), Some(204));
    proxy.hold();
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(send(&killed, "5", &["second", "third", "fourth"]), None));
        until("the second is in the list", || redis.number(&["LLEN", LIST]) == 2);
        killed.signal("KILL");
    });
    // The balancer sends it again: what is in the list already is not put there again.
    assert_eq!(send(&other, "5", &["second", "third", "fourth"]), Some(204));
    assert_eq!(send(&other, "6", &["fifth"]), Some(204));
    let events = waiting(&redis);
    assert_eq!(bodies(&events), ["first", "second", "third", "fourth", "fifth"]);
    assert_eq!(ids(&events).len(), 5);
}

#[test]
fn work_of_a_websocket_whose_node_is_killed_is_kept_and_what_its_client_repeats_is_another_message() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port());
    let [killed, other] = [start(&redis, &proxy.url()), start(&redis, &redis.url())];
    killed.wait_ready();
    other.wait_ready();
    let order = "SEND\ndestination:/app/orders/new\norder:7\nreceipt:r\n\nbread\0";
    let mut client = Client::connected(&killed, "ann");
    client.say("SEND\ndestination:/app/orders/new\nreceipt:r\n\nfirst\0");
    assert!(client.hear().starts_with("RECEIPT"));
    proxy.hold();
    client.say(order);
    until("it is in the list", || redis.number(&["LLEN", LIST]) == 2);
    killed.signal("KILL");
    let mut client = Client::connected(&other, "ann");
    client.say(order);
    assert!(client.hear().starts_with("RECEIPT"));
    let events = waiting(&redis);
    assert_eq!(bodies(&events), ["first", "bread", "bread"]);
    assert_eq!(ids(&events).len(), 3, "sockhop cannot know that it is the same");
    assert!(events[1..].iter().all(|event| event["headers"]["order"] == "7"), "the client's own name of it tells");
}

#[test]
fn what_a_client_sends_is_in_the_list_once_and_in_order_while_its_nodes_are_killed() {
    const MESSAGES: usize = 30;
    let redis = Redis::start();
    let url = redis.url();
    let mut nodes = [0, 1, 2].map(|_| start(&redis, &url));
    nodes.iter().for_each(Program::wait_ready);
    connect(&nodes[0]);
    for number in 0..MESSAGES {
        let (request, body) = (format!("send-{number}"), number.to_string());
        let asked = number % 3;
        let mut answer = if number % 7 == 3 {
            let answer = thread::scope(|scope| {
                let answer = scope.spawn(|| send(&nodes[asked], &request, &[&body]));
                nodes[asked].signal("KILL");
                answer.join().expect("an outcome")
            });
            nodes[asked] = start(&redis, &url);
            answer
        } else {
            send(&nodes[asked], &request, &[&body])
        };
        for next in 1.. {
            if answer.is_some() {
                break;
            }
            // As a balancer does it.
            answer = send(&nodes[(asked + next) % 3], &request, &[&body]);
        }
        assert_eq!(answer, Some(204), "{number}");
    }
    let events = waiting(&redis);
    assert!(
        bodies(&events).into_iter().eq((0..MESSAGES).map(|number| number.to_string())),
        "{:?}",
        bodies(&events)
    );
    assert_eq!(ids(&events).len(), MESSAGES);
}

/// The documented worker, with a `redis-cli` before the real one that hangs where it is told to.
struct Worker<'a> {
    redis: &'a Redis,
    folder: TempDir,
}

impl<'a> Worker<'a> {
    fn of(redis: &'a Redis) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let worker = Self { redis, folder };
        std::fs::write(worker.path("worker.py"), block("python", "BLMOVE")).expect("written");
        let script = "#!/bin/sh\n\
            real() { PATH=${PATH#*:} redis-cli \"$@\"; }\n\
            case \"$HANG $*\" in\n\
            popped*BLMOVE*) real \"$@\" >/dev/null; touch \"$HUNG\"; exec sleep 100;;\n\
            worked*LREM*) touch \"$HUNG\"; exec sleep 100;;\n\
            esac\n\
            real \"$@\"\n";
        std::fs::write(worker.path("redis-cli"), script).expect("written");
        std::fs::set_permissions(worker.path("redis-cli"), Permissions::from_mode(0o700)).expect("made to run");
        worker
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, hang: &str) -> (Group, impl Iterator<Item = String>) {
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap_or_default());
        let port = self.redis.port().to_string();
        let mut command = Command::new("python3");
        command.arg(self.path("worker.py")).env("HUNG", self.path("hung"));
        command.envs([("WORKER", "w1"), ("REDIS_PORT", &*port), ("PATH", &*path), ("HANG", hang)]);
        let mut group = Group(command.stdout(Stdio::piped()).process_group(0).spawn().expect("python3 runs"));
        let said = BufReader::new(group.0.stdout.take().expect("piped")).lines().map_while(Result::ok);
        (group, said)
    }

    /// Lets it work until it hangs there, and kills it; what it has said.
    fn killed(&self, hang: &str) -> Vec<String> {
        let _ = std::fs::remove_file(self.path("hung"));
        let (group, said) = self.start(hang);
        until("it hangs", || self.path("hung").exists());
        drop(group);
        said.collect()
    }
}

/// A process and its children, killed when it is dropped.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).status();
        let _ = self.0.wait();
    }
}

#[test]
fn a_worker_that_dies_with_work_in_its_hands_loses_nothing_and_it_is_done_again_under_the_same_id() {
    let redis = Redis::start();
    let node = start(&redis, &redis.url());
    node.wait_ready();
    let mut client = Client::connected(&node, "ann");
    for number in 1..=6 {
        client.say(&format!("SEND\ndestination:/app/orders/new\nreceipt:r\n\n{number}\0"));
        assert!(client.hear().starts_with("RECEIPT"));
    }
    let told = |event: &Value| {
        let text = |name: &str| event[name].as_str().expect("a text").to_owned();
        format!("{} None {} {}", text("id"), text("destination"), text("body"))
    };
    let told: Vec<_> = waiting(&redis).iter().map(told).collect();
    let [one, two, rest @ ..] = &told[..] else { panic!("there are six") };
    let worker = Worker::of(&redis);
    assert_eq!(worker.killed("popped"), [] as [&str; 0]);
    assert_eq!(worker.killed("worked"), [one.as_str()]);
    assert_eq!(worker.killed("popped"), [one.as_str()], "nobody had said that it was done");
    assert_eq!(worker.killed("worked"), [two.as_str()]);
    let (_group, said) = worker.start("");
    let said: Vec<_> = said.take(1 + rest.len()).collect();
    assert_eq!(said[0], *two);
    assert_eq!(said[1..], *rest, "in order");
    until("all is done", || redis.number(&["EXISTS", LIST, "sockhop:{orders}:worker:w1"]) == 0);
}

#[test]
fn subscriptions_to_what_workers_handle_go_to_a_url_that_fits_and_are_else_told_the_way() {
    let redis = Redis::start();
    let node = start(&redis, &redis.url());
    node.wait_ready();
    let subscribe = "SUBSCRIBE\nid:0\ndestination:/app/orders/new\n\n\0";
    let mut client = Client::connected(&node, "ann");
    client.say(subscribe);
    let error = client.hear();
    assert!(error.starts_with("ERROR") && error.contains("message:unknown destination"), "{error}");
    assert!(error.contains("/app/orders/new") && error.contains("subscribe to /user/queue/"), "{error}");

    let backend = Backend::start(|event, _| Answer::Json(json!({ "body": event["event"] })));
    let url = format!("/app/** {}", backend.url());
    let node = Program::start(&redis.url(), &[&FLAGS[..], &["--app-hooks", &url]].concat());
    node.wait_ready();
    let mut client = Client::connected(&node, "ann");
    client.say(subscribe);
    assert_eq!(client.body(), "subscribe");
    client.say("SEND\ndestination:/app/orders/new\nreceipt:r\n\nbread\0");
    assert!(client.hear().starts_with("RECEIPT"));
    assert_eq!(bodies(&waiting(&redis)), ["bread"]);
    assert_eq!(backend.calls().len(), 1, "the message went to the list alone");
}
