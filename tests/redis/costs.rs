//! What Redis has to do: commands, connections, and keys that go by themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use sockhop::store::{
    Enlist, IdMemory, Publish, PublishOnce, RedisStore, Retention, Roster, SessionRef, Stay, Store, Telling,
    Visitor,
};
use sockhop::{ChannelName, Message, Node, Service, SessionKey};

use crate::server::{Cluster, Redis, until};
use crate::trial::{Member, channel, eventually};

/// A node whose lease, which all other background work follows, is renewed so seldom that nothing of it is counted.
async fn quiet(redis: &Redis) -> Member {
    let member = Member::with(&redis.url(), |store| {
        store.lease(Duration::from_secs(6000)).timeout(Duration::from_secs(1000))
    });
    member.ready().await;
    member
}

/// What a node does for itself: it looks for sessions whose time has come.
const SWEEP: [&str; 4] = ["zrange", "zrangebyscore", "zcard", "srandmember"];
/// What the tests ask.
const OWN: [&str; 3] = ["info", "config|resetstat", "client|list"];

/// Commands from clients since the last reset, without those of sweeps. What scripts call in turn counts with theirs, but
/// no script is a command that clients also send.
fn commands(redis: &Redis) -> HashMap<String, u64> {
    let from_clients = ["evalsha", "ssubscribe", "sunsubscribe"];
    let inside = [
        "get",
        "set",
        "rpush",
        "lpop",
        "lrange",
        "lindex",
        "llen",
        "ltrim",
        "unlink",
        "exists",
        "hset",
        "hget",
        "hmget",
        "hgetall",
        "hdel",
        "zadd",
        "zrem",
        "pexpire",
        "time",
        "spublish",
        "zscore",
        "sadd",
        "srem",
        "zremrangebyscore",
    ];
    let calls = redis.calls();
    for name in calls.keys() {
        let known = from_clients.contains(&&**name)
            || inside.contains(&&**name)
            || SWEEP.contains(&&**name)
            || OWN.contains(&&**name)
            || ["hello", "client|setinfo"].contains(&&**name);
        assert!(known, "who sends {name}? {calls:?}");
    }
    calls.into_iter().filter(|(name, _)| from_clients.contains(&&**name)).collect()
}

/// How many commands something takes, by name.
async fn cost<T>(redis: &Redis, work: impl Future<Output = T>) -> (HashMap<String, u64>, T) {
    // What was begun before is over.
    redis.command(&["CONFIG", "RESETSTAT"]);
    let mut before = commands(redis);
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = commands(redis);
        if now == before {
            break;
        }
        before = now;
    }
    redis.command(&["CONFIG", "RESETSTAT"]);
    let done = work.await;
    (commands(redis), done)
}

fn scripts(count: u64) -> HashMap<String, u64> {
    if count == 0 { HashMap::new() } else { HashMap::from([("evalsha".to_owned(), count)]) }
}

async fn poll(service: &Service, session: &str) -> String {
    let path = format!("/sub/000/{session}/xhr");
    let request = Request::post(path).body(Empty::<Bytes>::new()).unwrap();
    let response = service.respond(request).await.expect("written");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap().trim_end().to_owned()
}

/// A client that streams, until it is dropped.
struct Stream {
    got: Arc<Mutex<String>>,
    task: tokio::task::JoinHandle<()>,
}

impl Stream {
    /// A session's stream, past its `o`.
    async fn open(service: &Service, session: &str) -> Self {
        let path = format!("/sub/000/{session}/xhr_streaming");
        let request = Request::post(path).body(Empty::<Bytes>::new()).unwrap();
        let mut response = service.respond(request).await.expect("written");
        let got = Arc::<Mutex<String>>::default();
        let text = Arc::clone(&got);
        let task = tokio::spawn(async move {
            while let Some(Ok(frame)) = response.body_mut().frame().await {
                let chunk = frame.into_data().unwrap();
                text.lock().unwrap().push_str(std::str::from_utf8(&chunk).unwrap());
            }
        });
        let stream = Self { got, task };
        stream.has("o\n").await;
        stream
    }

    async fn has(&self, text: &str) {
        eventually(text, || self.got.lock().unwrap().contains(text)).await;
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Opens a session, and waits until it is subscribed, as what is published shows.
async fn subscribed(member: &Member, session: &str) {
    assert_eq!(poll(&member.service, session).await, "o");
    let node = member.node.clone();
    let publisher = tokio::spawn(async move {
        loop {
            node.publish(&channel(), "hello").await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(poll(&member.service, session).await.contains("hello"));
    publisher.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_is_one_command_whatever_the_number_of_sessions() {
    let redis = Redis::start();
    let (here, there) = (quiet(&redis).await, quiet(&redis).await);
    let mut streams = Vec::new();
    for number in 0..20 {
        streams.push(Stream::open(&there.service, &format!("s{number}")).await);
        assert_eq!(poll(&here.service, &format!("p{number}")).await, "o");
    }
    let followed = || redis.texts(&["PUBSUB", "SHARDNUMSUB", "sockhop:{c:news}:live"])[1] == "1";
    eventually("the streams follow", followed).await;
    let (commands, ()) = cost(&redis, async {
        for number in 0..50 {
            here.node.publish(&channel(), number.to_string()).await.unwrap();
        }
        for stream in &streams {
            stream.has("\"49\"").await;
        }
    })
    .await;
    assert_eq!(commands, scripts(50));
}

#[tokio::test(flavor = "multi_thread")]
async fn publishes_under_load_share_commands() {
    let redis = Redis::start();
    let member = quiet(&redis).await;
    let (commands, ()) = cost(&redis, async {
        let mut publishers = Vec::new();
        for publisher in 0..64 {
            let node = member.node.clone();
            publishers.push(tokio::spawn(async move {
                for number in 0..20 {
                    node.publish(&channel(), format!("{publisher} {number}")).await.unwrap();
                }
            }));
        }
        for publisher in publishers {
            publisher.await.unwrap();
        }
    })
    .await;
    assert!(commands["evalsha"] <= 64 * 20 / 4, "{commands:?} for {} messages", 64 * 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_is_two_commands_and_the_first_one() {
    let redis = Redis::start();
    let member = quiet(&redis).await;
    // The end of the first handler call is another, and what that call does: here it asks where the channel stands, and
    // subscribes.
    let (commands, frame) = cost(&redis, async {
        let frame = poll(&member.service, "a").await;
        eventually("the handler call is over", || redis.calls().get("evalsha").is_some_and(|calls| *calls >= 4))
            .await;
        frame
    })
    .await;
    assert_eq!((&*frame, commands), ("o", scripts(1 + 1 + 2)));
    member.node.publish(&channel(), "one").await.unwrap();
    let (commands, frame) = cost(&redis, poll(&member.service, "a")).await;
    let cold = HashMap::from([("evalsha".to_owned(), 2 + 2), ("ssubscribe".to_owned(), 1)]);
    assert_eq!((&*frame, commands), ("a[\"one\"]", cold), "a subscribe, where it stands, and a read");
    for text in ["two", "three"] {
        let (commands, frame) = cost(&redis, async {
            let news = channel();
            let publish = member.node.publish(&news, Message::new(text));
            let (frame, published) = tokio::join!(poll(&member.service, "a"), publish);
            published.unwrap();
            frame
        })
        .await;
        assert_eq!((frame, commands), (format!("a[{text:?}]"), scripts(2 + 1)), "a warm poll, and a publish");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_is_two_commands() {
    let redis = Redis::start();
    let member = quiet(&redis).await;
    assert_eq!(poll(&member.service, "a").await, "o");
    let (commands, status) = cost(&redis, async {
        let request =
            Request::post("/sub/000/a/xhr_send").body(http_body_util::Full::new(Bytes::from(r#"["x","y"]"#)));
        member.service.respond(request.unwrap()).await.unwrap().status()
    })
    .await;
    assert_eq!((status, commands), (http::StatusCode::NO_CONTENT, scripts(2)), "begun, and done with its echoes");
    let cold = HashMap::from([("evalsha".to_owned(), 2 + 1), ("ssubscribe".to_owned(), 1)]);
    let (commands, frame) = cost(&redis, poll(&member.service, "a")).await;
    assert_eq!((&*frame, commands), (r#"a["x","y"]"#, cold), "its channel is followed from here on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_costs_nothing_and_its_node_little() {
    let redis = Redis::start();
    let member = Member::new(&redis.url());
    member.ready().await;
    let mut streams = Vec::new();
    for number in 0..30 {
        streams.push(Stream::open(&member.service, &format!("s{number}")).await);
    }
    let service = member.service.clone();
    assert_eq!(poll(&service, "p").await, "o");
    let held = tokio::spawn(async move { poll(&service, "p").await });
    let probes = || redis.texts(&["PUBSUB", "SHARDCHANNELS"]).iter().any(|name| name.ends_with(":probe"));
    eventually("the subscriptions are probed", probes).await;
    let (commands, ()) = cost(&redis, tokio::time::sleep(Duration::from_secs(10))).await;
    // The lease, every 5 s.
    assert!(commands["evalsha"] <= 3 && commands.len() == 1, "{commands:?}");
    let calls = redis.calls();
    // The probe of the subscriptions, every 2 s.
    assert!(calls["spublish"] <= 6, "{calls:?}");
    // Two looks at all buckets, and none at most in between.
    let looks: u64 = SWEEP.iter().filter_map(|name| calls.get(*name)).sum();
    assert!(looks <= 3 * 2 * 1024 + 500, "{calls:?}");
    held.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_has_two_connections_to_each_server() {
    let redis = Redis::start();
    let member = quiet(&redis).await;
    for number in 0..50 {
        assert_eq!(poll(&member.service, &number.to_string()).await, "o");
        member.node.publish(&channel(), "x").await.unwrap();
    }
    let clients = redis.text(&["CLIENT", "LIST"]);
    // And the one that asks.
    assert_eq!(clients.lines().count(), 2 + 1, "{clients}");
    let cluster = Cluster::start(3, 0);
    let member = Member::new(&cluster.url());
    member.ready().await;
    for server in &cluster.servers {
        // One that asks for the map may be there for a moment.
        until("two connections", || server.text(&["CLIENT", "LIST"]).lines().count() == 2 + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_goes_by_itself() {
    let redis = Redis::start();
    let member = Member::new(&redis.url());
    member.ready().await;
    let mut streams = Vec::new();
    for number in 0..10 {
        streams.push(Stream::open(&member.service, &format!("s{number}")).await);
        subscribed(&member, &format!("p{number}")).await;
        let request = Request::post(format!("/sub/000/p{number}/xhr_send"))
            .body(http_body_util::Full::new(Bytes::from(r#"["x"]"#)));
        member.service.respond(request.unwrap()).await.unwrap();
        member.node.publish(&channel(), "x").await.unwrap();
    }
    member.node.publish(&"/topic/catalogued".parse().unwrap(), "x").await.unwrap();
    // Some clients go, some are lost while they wait.
    drop(streams.split_off(5));
    let service = member.service.clone();
    let given_up = tokio::spawn(async move {
        (poll(&service, "p0").await, poll(&service, "p0").await, poll(&service, "p0").await)
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    given_up.abort();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let longest = Duration::from_secs(2 * 3600).as_millis() as i64;
    let keys = redis.keys("");
    assert!(keys.len() > 30, "{keys:?}");
    for key in keys {
        assert!(key.starts_with("sockhop:"), "{key} is under the prefix");
        let left = redis.number(&["PTTL", &key]);
        // A key that has gone meanwhile has -2.
        assert!(left == -2 || (1..=longest).contains(&left), "{key} has {left} ms left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_client_never_came_back_leaves_nothing_behind() {
    let redis = Redis::start();
    let store = RedisStore::builder(&redis.url())
        .unwrap()
        .lease(Duration::from_secs(2))
        .timeout(Duration::from_millis(500))
        .build();
    let store: Arc<dyn Store> = Arc::new(store);
    let node = Node::builder().store(store).build();
    let service = Service::builder("/sub", crate::trial::Subscriber)
        .disconnect_delay(Duration::from_millis(500))
        .build(&node);
    eventually("ready", || node.is_ready()).await;
    assert_eq!(poll(&service, "a").await, "o");
    assert!(!redis.keys("sockhop:{s").is_empty());
    eventually("all of it is gone", || redis.keys("sockhop:{s").is_empty()).await;
    drop(node);
}

/// Whatever has appended to a channel last, and whatever before.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_channel_goes_by_itself_an_age_after_its_last_entry() {
    let redis = Redis::start();
    let member = Member::with(&redis.url(), |store| store);
    member.ready().await;
    let mut number = 0;
    for before in APPENDS {
        for after in APPENDS {
            number += 1;
            let channel: ChannelName = format!("mix-{number}").parse().unwrap();
            append(&member, &channel, before, "1").await;
            let log = format!("sockhop:{{c:mix-{number}}}:log");
            let age = Retention::default().age.as_millis() as i64;
            assert!((1..=age).contains(&redis.number(&["PTTL", &log])), "{before:?}");
            redis.command(&["PEXPIRE", &log, "5000"]);
            append(&member, &channel, after, "2").await;
            assert!((5001..=age).contains(&redis.number(&["PTTL", &log])), "{before:?}, then {after:?}");
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Append {
    Publish,
    PublishOnce,
    Enlist,
    Enter,
}

const APPENDS: [Append; 4] = [Append::Publish, Append::PublishOnce, Append::Enlist, Append::Enter];

async fn append(member: &Member, channel: &ChannelName, how: Append, name: &str) {
    let (store, retention, message) = (&*member.store, Retention::default(), Message::new(name));
    match how {
        Append::Publish => {
            let publish = Publish { channel, messages: &[message], retention, batch: None };
            store.publish(publish).await.unwrap();
        }
        Append::PublishOnce => {
            let messages = &[(name.into(), message)];
            store
                .publish_once(PublishOnce { channel, messages, retention, memory: IdMemory::default() })
                .await
                .unwrap();
        }
        Append::Enlist => {
            let (long, name) = (Duration::from_secs(60), name.parse().unwrap());
            let (news, full) = (&message, &message);
            let enlist = Enlist {
                catalogue: channel,
                name: &name,
                news,
                full,
                most: 9,
                life: long,
                incomplete: long,
                retention,
            };
            assert!(store.enlist(enlist).await.unwrap().entered);
        }
        Append::Enter => {
            let session = SessionRef { key: SessionKey::of("/s", name), life: 1 };
            let roster = Roster { channel, telling: Some(Telling { lead: "x", retention }) };
            let visitor = Visitor { user: Some(name), about: "\"user\":\"x\"" };
            store.enter(roster, Stay { session, number: 1 }, visitor).await.unwrap();
        }
    }
}
