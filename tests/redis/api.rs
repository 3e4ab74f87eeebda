//! The HTTP API of real nodes: over a Redis Cluster each tells and ends what came to the other.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::backend::{Answer, Backend};
use crate::hooks::Client;
use crate::program::Program;
use crate::server::{Cluster, Redis, until};

/// Nodes with the API, which let everybody in under the name that they say.
struct Nodes {
    programs: [Program; 2],
    _backend: Backend,
    _keys: TempDir,
}

impl Nodes {
    fn start(store: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = folder.path().join("keys").display().to_string();
        std::fs::write(&keys, format!("all publish,read,manage {KEY}\n")).expect("written");
        let backend =
            Backend::start(|event, _| Answer::Json(json!({ "user": { "name": event["headers"]["login"] } })));
        let url = backend.url();
        let own = ["--service", "/ws=stomp", "--connect-hook", &url, "--api-path", "/api", "--api-keys", &keys];
        let programs = [0, 1].map(|_| Program::start(store, &[&own[..], flags].concat()));
        programs.iter().for_each(Program::wait_ready);
        Self { programs, _backend: backend, _keys: folder }
    }
}

const KEY: &str = "backend-key-0123456789";

/// A call of the API: status and answer.
fn call(node: &Program, method: &str, path: &str, body: &Value) -> (u16, Value) {
    call_with(node, method, path, &[], body)
}

fn call_with(node: &Program, method: &str, path: &str, more: &[(&str, &str)], body: &Value) -> (u16, Value) {
    let bearer = format!("Bearer {KEY}");
    let headers = [&[("authorization", &*bearer), ("content-type", "application/json")], more].concat();
    let body = if method == "POST" { body.to_string() } else { String::new() };
    let (status, answer) = node.request(method, &format!("/api/v1/{path}"), &headers, &body).expect("an answer");
    (status, serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}")))
}

fn get(node: &Program, path: &str) -> Value {
    let (status, answer) = call(node, "GET", path, &Value::Null);
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

fn publish(node: &Program, message: &Value) -> Value {
    let (status, answer) = call(node, "POST", "publish", message);
    assert_eq!(status, 200, "{message}: {answer}");
    answer
}

/// Topics of which each server of a cluster has one.
fn topics(cluster: &Cluster) -> [String; 3] {
    [0, 1, 2].map(|server| {
        let mut names = (0..).map(|number| format!("/topic/t{number}"));
        let is_there =
            |topic: &String| usize::from(cluster.slot(&format!("{{c:{topic}}}"))) * 3 / 16_384 == server;
        names.find(is_there).expect("one of them")
    })
}

fn bodies(page: &Value) -> Vec<String> {
    let messages = page["messages"].as_array().unwrap_or_else(|| panic!("{page}"));
    messages.iter().map(|message| message["body"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn what_a_backend_sends_at_one_node_of_a_cluster_is_read_at_the_other_and_reaches_the_clients_of_both() {
    let cluster = Cluster::start(3, 0);
    let nodes = Nodes::start(&cluster.url(), &[]);
    let [here, there] = &nodes.programs;
    let topics = topics(&cluster);
    let mut clients = [here, there].map(|node| Client::connected(node, "ann"));
    for client in &mut clients {
        topics.iter().for_each(|topic| client.subscribe(topic));
        client.subscribe("/user/queue/orders");
    }
    let mut each_hears = |expected: &[&str]| {
        for client in &mut clients {
            let heard: BTreeSet<_> = expected.iter().map(|_| client.body()).collect();
            assert_eq!(heard, expected.iter().map(|body| (*body).to_owned()).collect());
        }
    };
    for (topic, node) in topics.iter().zip([here, there, here]) {
        publish(node, &json!({ "destination": topic, "body": "single" }));
        each_hears(&["single"]);
    }

    // Under an id: once, whichever node is asked again.
    for (topic, (first, again)) in topics.iter().zip([(here, there), (there, here), (here, there)]) {
        let message = json!({ "destination": topic, "body": "once", "id": "id-1" });
        let sent = publish(first, &message);
        let repeated = publish(again, &message);
        assert_eq!((&sent["repeated"], &repeated["repeated"]), (&json!(false), &json!(true)));
        assert_eq!(sent["messageId"], repeated["messageId"]);
        let other = json!({ "destination": topic, "body": "other", "id": "id-1" });
        let (status, conflict) = call(again, "POST", "publish", &other);
        assert_eq!((status, &conflict["messageId"]), (409, &sent["messageId"]));
        each_hears(&["once"]);
    }

    // A batch to all servers, twice.
    let batch: Vec<_> =
        (0..9).map(|number| json!({ "destination": topics[number % 3], "body": number.to_string() })).collect();
    let batch = json!({ "messages": batch });
    for (node, repeated) in [(there, false), (here, true)] {
        let key = [("idempotency-key", "batch-1")];
        let (status, answer) = call_with(node, "POST", "publish/batch", &key, &batch);
        let results = answer["results"].as_array().unwrap_or_else(|| panic!("{status}: {answer}"));
        assert_eq!(results.len(), 9);
        assert!(results.iter().all(|result| result["repeated"] == repeated), "{answer}");
    }
    each_hears(&["0", "1", "2", "3", "4", "5", "6", "7", "8"]);

    // To a user, in all sessions.
    let sold = json!({ "destination": "/queue/orders", "body": "sold", "id": "order-17" });
    for (node, repeated) in [(here, false), (there, true)] {
        let (status, answer) = call(node, "POST", "users/ann/publish", &sold);
        assert_eq!((status, &answer["repeated"]), (200, &json!(repeated)), "{answer}");
    }
    each_hears(&["sold"]);
    assert_eq!(bodies(&get(there, "history?destination=/user/ann/queue/orders")), ["sold"]);

    // History, both ways, page by page at one node and the other.
    for (server, topic) in topics.iter().enumerate() {
        let mut all: Vec<_> = ["single", "once"].map(str::to_owned).into();
        all.extend((0..3).map(|number| (server + 3 * number).to_string()));
        let first = get(here, &format!("history?destination={topic}&limit=2"));
        let (mut page, mut back, mut turn) = (first.clone(), bodies(&first), 0);
        while let Some(before) = page["previous"].as_str().map(str::to_owned) {
            turn += 1;
            page = get(&nodes.programs[turn % 2], &format!("history?destination={topic}&limit=2&before={before}"));
            back.splice(0..0, bodies(&page));
        }
        assert_eq!(back, all, "{topic}");
        let mut page = get(there, &format!("history?destination={topic}&limit=2&from=oldest"));
        let mut forth = bodies(&page);
        while page["more"] == true {
            turn += 1;
            let after = page["next"].as_str().expect("a cursor").to_owned();
            page = get(&nodes.programs[turn % 2], &format!("history?destination={topic}&limit=2&after={after}"));
            forth.extend(bodies(&page));
        }
        assert_eq!(forth, all, "{topic}");
    }
    for server in &cluster.servers {
        assert!(!server.keys("sockhop:{c:/topic/").is_empty(), "each server has a part of it");
    }
}

#[test]
fn who_is_here_and_which_sessions_there_are_is_told_by_each_node_of_a_cluster_and_ended_from_it() {
    let cluster = Cluster::start(3, 0);
    let nodes = Nodes::start(&cluster.url(), &["--presence", "/topic/rooms/*"]);
    let [here, there] = &nodes.programs;
    let mut watcher = Client::connected(here, "watcher");
    watcher.say("SUBSCRIBE\nid:0\ndestination:/presence/topic/rooms/a\n\n\0");
    assert!(watcher.body().contains("\"count\":0"));
    let mut ann = [here, there].map(|node| Client::connected(node, "ann"));
    let mut bob = Client::connected(there, "bob");
    for client in ann.iter_mut().chain([&mut bob]) {
        client.subscribe("/topic/rooms/a");
    }
    for name in ["ann", "bob"] {
        let joined = watcher.body();
        assert!(joined.contains("\"join\"") && joined.contains(name), "{joined}");
    }
    let room = "presence?destination=/topic/rooms/a";
    let first = get(there, &format!("{room}&limit=1"));
    assert_eq!((&first["count"], &first["members"][0]["user"]), (&json!(2), &json!("ann")));
    assert_eq!(first["members"][0]["sessions"], 2);
    let after = first["next"].as_str().expect("another page");
    let second = get(here, &format!("{room}&limit=1&after={after}"));
    assert_eq!((&second["members"][0]["user"], &second["next"]), (&json!("bob"), &Value::Null));

    for node in [here, there] {
        let all = get(node, "sessions");
        let users: BTreeSet<_> =
            all["sessions"].as_array().expect("a list").iter().map(|it| it["user"].as_str()).collect();
        assert_eq!(users, BTreeSet::from([Some("ann"), Some("bob"), Some("watcher")]));
        assert_eq!(all["sessions"].as_array().map(Vec::len), Some(4));
        assert_eq!(get(node, "sessions?user=ann")["sessions"].as_array().map(Vec::len), Some(2));
    }
    // Its session is at the other node.
    let bobs = get(here, "sessions?user=bob")["sessions"][0]["id"].as_str().expect("an id").to_owned();
    let end = format!("sessions/{bobs}?code=4001&reason=Kicked");
    assert_eq!(call(here, "DELETE", &end, &Value::Null), (200, json!({ "ended": 1 })));
    assert_eq!(bob.closed(), 4001);
    until("it is gone", || call(there, "DELETE", &end, &Value::Null).0 == 404);
    assert_eq!(call(there, "DELETE", "users/ann/sessions", &Value::Null), (200, json!({ "ended": 2 })));
    assert!(ann.iter_mut().all(|client| client.closed() == 4513));
    for name in ["bob", "ann"] {
        let left = watcher.body();
        assert!(left.contains("\"leave\"") && left.contains(name), "{left}");
    }
    for node in [here, there] {
        assert_eq!(get(node, room)["count"], 0);
        until("only the watcher is left", || {
            get(node, "sessions")["sessions"].as_array().map(Vec::len) == Some(1)
        });
    }
}

#[test]
fn lists_in_a_cluster_are_published_to_the_clients_of_each_node_and_filled_by_them() {
    let cluster = Cluster::start(3, 0);
    let (to_publish, work) = ("sockhop:{publish}", "sockhop:{orders}");
    let hook = format!("/app/orders/** redis:{work}");
    let nodes = Nodes::start(&cluster.url(), &["--publish-list", to_publish, "--app-hooks", &hook]);
    let mut clients = [0, 1].map(|number| Client::connected(&nodes.programs[number], "ann"));
    for client in &mut clients {
        client.subscribe("/topic/prices");
        client.subscribe("/user/queue/orders");
    }
    let list = cluster.owner(cluster.slot(to_publish));
    for number in 0..20 {
        let destination = if number % 2 == 0 { "/topic/prices" } else { "/user/ann/queue/orders" };
        let item =
            json!({ "destination": destination, "id": format!("item-{number}"), "body": number }).to_string();
        list.number(&["LPUSH", to_publish, &item]);
        list.number(&["LPUSH", to_publish, &item]);
    }
    for client in &mut clients {
        let heard: Vec<usize> = (0..20).map(|_| client.body().parse().expect("a number")).collect();
        // In order within each destination.
        for parity in 0..2 {
            let of_one = heard.iter().copied().filter(|number| number % 2 == parity);
            assert!(of_one.eq((parity..20).step_by(2)), "{heard:?}");
        }
    }
    until("the list is empty", || list.number(&["LLEN", to_publish]) == 0);

    for number in 0..5 {
        for (index, client) in clients.iter_mut().enumerate() {
            client.say(&format!("SEND\ndestination:/app/orders/{index}\nreceipt:r\n\n{number}\0"));
            assert!(client.hear().starts_with("RECEIPT"));
        }
    }
    let owner = cluster.owner(cluster.slot(work));
    let items = owner.texts(&["LRANGE", work, "0", "-1"]);
    let events: Vec<Value> = items.iter().rev().map(|item| serde_json::from_str(item).expect("JSON")).collect();
    for index in 0..2 {
        let of_one = events.iter().filter(|event| event["destination"] == format!("/app/orders/{index}"));
        let bodies: Vec<_> = of_one.map(|event| event["body"].as_str().expect("a text")).collect();
        assert_eq!(bodies, ["0", "1", "2", "3", "4"]);
    }
    let ids: BTreeSet<_> = events.iter().map(|event| event["id"].as_str()).collect();
    assert_eq!((events.len(), ids.len()), (10, 10));
}

#[test]
fn ids_are_remembered_by_number_and_time_as_the_options_say() {
    let redis = Redis::start();
    let nodes = Nodes::start(&redis.url(), &["--id-memory", "2", "--id-memory-time", "1h"]);
    let [here, there] = &nodes.programs;
    let send = |node: &Program, id: &str| {
        publish(node, &json!({ "destination": "/topic/a", "body": "", "id": id }))["repeated"] == true
    };
    for id in ["a", "b", "c", "d", "e"] {
        assert!(!send(here, id));
    }
    assert!(send(there, "d") && send(there, "e"), "the newest two at least");
    assert!(!send(there, "a"), "and not more than twice as many");

    let nodes = Nodes::start(&redis.url(), &["--store-prefix", "short", "--id-memory-time", "300ms"]);
    let [here, there] = &nodes.programs;
    assert!(!send(here, "a"));
    until("it is forgotten", || !send(there, "a"));
}
