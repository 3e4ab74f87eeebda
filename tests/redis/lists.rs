//! Lists that programs of an application share with nodes: messages to publish, and messages for workers.

use serde_json::{Value, json};

use crate::hooks::Client;
use crate::program::Program;
use crate::server::{Cluster, Redis, until};

const FLAGS: [&str; 6] = ["--store-lease", "2s", "--store-timeout", "500ms", "--service", "/ws=stomp"];
const LIST: &str = "sockhop:{publish}";

fn push(redis: &Redis, item: &Value) {
    redis.number(&["LPUSH", LIST, &item.to_string()]);
}

/// Where messages of the list are for, each in its turn.
const TOPIC: &str = "/topic/prices";
const QUEUE: &str = "/queue/prices";

/// Pushes messages for both destinations, some of them twice.
fn push_prices(redis: &Redis, from: usize, to: usize) {
    for first in (from..to).step_by(50) {
        for destination in [TOPIC, QUEUE] {
            for number in first..to.min(first + 50) {
                let item = json!({ "destination": destination, "id": format!("price-{number}"), "body": number });
                push(redis, &item);
                if number % 3 == 0 {
                    push(redis, &item);
                }
            }
        }
    }
}

/// Nodes drain the list while they are killed, and each message for a topic and for a queue arrives once and in order,
/// though a backend that did not know whether it had pushed one has pushed it again.
fn drains_with_kills(store: &str, owner: &Redis) {
    const MESSAGES: usize = 900;
    let witnessed = Program::start(store, &FLAGS);
    witnessed.wait_ready();
    let mut witnesses = [TOPIC, QUEUE].map(|destination| Client::subscribed(&witnessed, destination));
    let mut see = |body: &str| witnesses.iter_mut().for_each(|witness| assert_eq!(witness.body(), body));
    let flags = [&FLAGS[..], &["--publish-list", LIST]].concat();
    let drainer = || Program::start(store, &flags);
    let mut nodes = [drainer(), drainer(), drainer()];
    nodes.iter().for_each(Program::wait_ready);
    let mut next = 0;
    for round in 0..3 {
        push_prices(owner, next, next + MESSAGES / 3);
        // In the middle of it: whoever drains the list is among those that are killed.
        let under_way = next + MESSAGES / 6;
        (next..under_way).for_each(|number| see(&number.to_string()));
        next += MESSAGES / 3;
        nodes[round].signal("KILL");
        nodes[(round + 1) % 3].signal("KILL");
        nodes[round] = drainer();
        nodes[(round + 1) % 3] = drainer();
        (under_way..next).for_each(|number| see(&number.to_string()));
    }
    for destination in [TOPIC, QUEUE] {
        push(owner, &json!({ "destination": destination, "body": "the last" }));
    }
    see("the last");
    until("the list is empty", || owner.number(&["LLEN", LIST]) == 0);
    assert_eq!(owner.number(&["LLEN", "sockhop:{publish}:refused"]), 0);
}

#[test]
fn a_list_is_drained_in_order_and_once_while_its_nodes_are_killed() {
    let redis = Redis::start();
    drains_with_kills(&redis.url(), &redis);
}

#[test]
fn a_list_in_a_cluster_is_drained_in_order_and_once_while_its_nodes_are_killed() {
    let cluster = Cluster::start(3, 0);
    let slot = cluster.slot(LIST);
    drains_with_kills(&cluster.url(), cluster.owner(slot));
}

#[test]
fn items_that_cannot_be_published_are_kept_aside_and_the_others_go_on() {
    let redis = Redis::start();
    let program = Program::start(&redis.url(), &[&FLAGS[..], &["--publish-list", LIST, "--metrics"]].concat());
    program.wait_ready();
    let mut witness = Client::subscribed(&program, "/topic/a");
    redis.number(&["LPUSH", LIST, "<script>\u{1b}[31m"]);
    push(&redis, &json!({ "destination": "/app/x", "body": "x" }));
    for number in 0..1100 {
        push(&redis, &json!({ "destinatoin": number }));
    }
    push(&redis, &json!({ "destination": "/topic/a", "body": "goes on" }));
    assert_eq!(witness.body(), "goes on");
    let refused = "sockhop:{publish}:refused";
    until("all are dealt with", || redis.number(&["LLEN", LIST]) == 0);
    assert_eq!(redis.number(&["LLEN", refused]), 1000, "the newest");
    let newest: Value = serde_json::from_str(&redis.texts(&["LRANGE", refused, "0", "0"])[0]).expect("JSON");
    assert!(newest["reason"].as_str().is_some_and(|reason| reason.contains("destinatoin")), "{newest}");
    assert!(newest["item"].as_str().is_some_and(|item| item.contains("1099")), "{newest}");
    assert!(!program.log().contains('\u{1b}'), "what is logged is escaped");
    assert!(program.get("/metrics").1.contains("sockhop_list_messages_total{outcome=\"refused\"} 1102"));
    // A key of another type is told, and drained once it is a list.
    redis.number(&["DEL", LIST]);
    redis.text(&["SET", LIST, "no list"]);
    program.wait_log("cannot be drained");
    redis.number(&["DEL", LIST]);
    push(&redis, &json!({ "destination": "/topic/a", "body": "again" }));
    assert_eq!(witness.body(), "again");
}

#[test]
fn workers_get_each_message_once_and_in_order_and_clients_are_told_when_there_are_too_many() {
    let redis = Redis::start();
    let flags = ["--app-hooks", "/app/orders/** redis:sockhop:orders", "--app-list-limit", "5"];
    let program = Program::start(&redis.url(), &[&FLAGS[..], &flags].concat());
    program.wait_ready();
    let mut client = Client::connected(&program, "ann");
    for number in 0..5 {
        client.say(&format!("SEND\ndestination:/app/orders/new\nreceipt:{number}\n\nord{number}\0"));
        assert!(client.hear().starts_with("RECEIPT"));
    }
    client.say("SEND\ndestination:/app/orders/new\n\ntoo many\0");
    let error = client.hear();
    assert!(error.starts_with("ERROR") && error.contains("message:unavailable"), "{error}");
    // A worker takes the oldest into a list of its own, and removes it there when it is done.
    let mut seen = Vec::new();
    while redis.number(&["LLEN", "sockhop:orders"]) > 0 {
        let item = redis.text(&["LMOVE", "sockhop:orders", "sockhop:orders:worker1", "RIGHT", "LEFT"]);
        let event: Value = serde_json::from_str(&item).expect("JSON");
        assert_eq!(
            (event["event"].as_str(), event["destination"].as_str()),
            (Some("message"), Some("/app/orders/new"))
        );
        seen.push(event["body"].as_str().expect("a body").to_owned());
        assert_eq!(redis.number(&["LREM", "sockhop:orders:worker1", "1", &item]), 1);
    }
    assert_eq!(seen, ["ord0", "ord1", "ord2", "ord3", "ord4"]);
    let mut client = Client::connected(&program, "ann");
    client.say("SEND\ndestination:/app/orders/new\nreceipt:r\n\nroom again\0");
    assert!(client.hear().starts_with("RECEIPT"));
}

#[test]
fn a_removal_that_comes_late_or_again_takes_nothing_away() {
    const TAKE: &str = include_str!("../../src/store/redis/scripts/list_take.lua");
    const DONE: &str = include_str!("../../src/store/redis/scripts/list_done.lua");
    let redis = Redis::start();
    for item in ["1", "2", "3", "4"] {
        redis.number(&["LPUSH", "l", item]);
    }
    let take = |node: &str, token: &str| {
        redis.command(&["EVAL", TAKE, "2", "l", "drainer", node, token, "60000", "10", "1000"]);
    };
    let done = |node: &str, token: &str| {
        redis.number(&["EVAL", DONE, "3", "l", "drainer", "refused", node, token, "1", "10"])
    };
    take("n", "a");
    assert_eq!((done("n", "a"), done("n", "a")), (1, 1), "again, since the answer was lost");
    assert_eq!(redis.number(&["LLEN", "l"]), 3);
    take("n", "b");
    done("n", "a");
    assert_eq!(redis.number(&["LLEN", "l"]), 3, "late, after the next take");
    assert_eq!((done("n", "b"), done("n", "a"), done("m", "b")), (1, 0, 0));
    assert_eq!(redis.texts(&["LRANGE", "l", "0", "-1"]), ["4", "3"]);
    take("m", "c");
    assert_eq!(done("m", "c"), 0, "another node drains the list");
}
