//! Subscriptions with wildcards: what they find, what is new, and where they end.

use futures_util::future::BoxFuture;
use serde_json::json;
use sockhop::ServiceBuilder;
use sockhop::stomp::{Admission, Connect, ConnectError, Stomp, Tokens};
use sockhop_stomp::{Command, Frame};

use crate::tokens::{SECRET, token};
use crate::world::{Client, Place, World, send, service, subscribe};

fn unsubscribe(id: &str) -> Frame {
    Frame::new(Command::Unsubscribe).with("id", id)
}

/// The next messages, by destination: within one their order counts, between two it does not.
async fn messages(client: &mut Client, count: usize) -> Vec<(String, String, String)> {
    let mut messages = Vec::new();
    for _ in 0..count {
        messages.push(client.message().await);
    }
    messages.sort_by(|one, other| one.1.cmp(&other.1));
    messages
}

fn message(id: &str, destination: &str, body: &str) -> (String, String, String) {
    (id.to_owned(), destination.to_owned(), body.to_owned())
}

pub(crate) async fn a_wildcard_finds_the_topics_that_there_are_and_begins_new_ones_at_their_beginning(
    place: Place,
) {
    let world = World::new(place, service).await;
    world.broker().send("/topic/a.old", "before").await.unwrap();
    let mut client = world.connected(&[]).await;
    client.subscribe("w", "/topic/a.*").await;
    for (destination, body) in [
        ("/topic/a.old", "1"),
        ("/topic/a.new", "2"),
        ("/topic/b.new", "not this"),
        ("/topic/a.new.er", "nor this"),
        ("/topic/a.new", "3"),
        ("/topic/a.old", "4"),
    ] {
        world.broker().send(destination, body).await.unwrap();
    }
    assert_eq!(
        messages(&mut client, 4).await,
        [
            message("w", "/topic/a.new", "2"),
            message("w", "/topic/a.new", "3"),
            message("w", "/topic/a.old", "1"),
            message("w", "/topic/a.old", "4"),
        ]
    );
    client.send("/topic/a.own", "a client's own").await;
    assert_eq!(client.message().await, message("w", "/topic/a.own", "a client's own"));
}

pub(crate) async fn wildcards_stand_for_segments_between_points_and_slashes(place: Place) {
    let world = World::new(place, service).await;
    let mut client = world.connected(&[]).await;
    for (id, pattern) in
        [("1", "/topic/*"), ("2", "/topic/**"), ("3", "/topic/*/x"), ("4", "/topic/a.*"), ("5", "/topic/a/x")]
    {
        client.subscribe(id, pattern).await;
    }
    for (destination, ids) in
        [("/topic/a", "12"), ("/topic/a/x", "235"), ("/topic/a.x", "24"), ("/topic/b/c/d", "2")]
    {
        world.broker().send(destination, "").await.unwrap();
        let mut came = Vec::new();
        for _ in 0..ids.len() {
            let (id, came_from, _) = client.message().await;
            assert_eq!(came_from, destination);
            came.push(id);
        }
        came.sort();
        assert_eq!(came.concat(), ids, "{destination}");
    }
}

pub(crate) async fn many_new_topics_between_two_looks_are_all_found(place: Place) {
    let world = World::new(place, service).await;
    let mut client = world.connected(&[]).await;
    client.subscribe("w", "/topic/room/**").await;
    let mut expected = Vec::new();
    for room in 10..60 {
        let destination = format!("/topic/room/{room}");
        for body in ["one", "two"] {
            world.broker().send(&destination, body).await.unwrap();
            expected.push(message("w", &destination, body));
        }
    }
    assert_eq!(messages(&mut client, 100).await, expected);
}

pub(crate) async fn unsubscribing_ends_all_that_a_wildcard_has_led_to(place: Place) {
    let world = World::new(place, service).await;
    world.broker().send("/topic/a", "before").await.unwrap();
    let mut client = world.connected(&[]).await;
    client.subscribe("w", "/topic/**").await;
    client.subscribe("a", "/topic/a").await;
    world.broker().send("/topic/b", "1").await.unwrap();
    assert_eq!(client.message().await, message("w", "/topic/b", "1"));
    client.receipted(unsubscribe("w")).await;
    for destination in ["/topic/b", "/topic/c", "/topic/a"] {
        world.broker().send(destination, "2").await.unwrap();
    }
    assert_eq!(client.message().await, message("a", "/topic/a", "2"), "the other subscription is left alone");
    client.send("/topic/barrier", "nothing comes before this receipt").await;
    client.subscribe("w", "/topic/b*").await;
    client.receipted(unsubscribe("w")).await;
    client.subscribe("w", "/topic/*").await;
    world.broker().send("/topic/d", "3").await.unwrap();
    assert_eq!(client.message().await, message("w", "/topic/d", "3"));
}

pub(crate) async fn a_wildcard_with_a_history_gets_the_newest_of_each_first(place: Place) {
    let world = World::new(place, service).await;
    for body in ["1", "2", "3"] {
        for destination in ["/topic/a", "/topic/b"] {
            world.broker().send(destination, body).await.unwrap();
        }
    }
    let mut client = world.connected(&[]).await;
    client.receipted(subscribe("w", "/topic/*").with("history", "2")).await;
    let expected = [("/topic/a", "2"), ("/topic/a", "3"), ("/topic/b", "2"), ("/topic/b", "3")];
    assert_eq!(
        messages(&mut client, 4).await,
        expected.map(|(destination, body)| message("w", destination, body))
    );
}

pub(crate) async fn wildcards_where_they_do_not_belong_are_refused(place: Place) {
    let world = World::new(place, service).await;
    for destination in ["/**", "/user/**", "/user/queue/*", "/user/*/queue/x", "/session/**", "/app/*", "/*/a"] {
        let mut client = world.connected(&[]).await;
        let (message, body) = client.refused(subscribe("0", destination)).await;
        assert_eq!(message, "invalid header: destination", "{destination}");
        assert!(body.contains("wildcards stand for topics only"), "{body}");
    }
    let mut client = world.connected(&[]).await;
    let (message, body) = client.refused(subscribe("0", &format!("/topic/{}", "*.".repeat(9)))).await;
    assert_eq!(message, "invalid header: destination");
    assert!(body.contains("8 wildcards"), "{body}");
    let mut client = world.connected(&[]).await;
    let (message, body) = client.refused(subscribe("0", "/topic/*").with("after", "ab-1")).await;
    assert_eq!(message, "invalid header: after");
    assert!(body.contains("use history"), "{body}");
    let mut client = world.connected(&[]).await;
    assert_eq!(client.refused(send("/topic/*", "x")).await.0, "invalid header: destination");
}

fn ruled() -> ServiceBuilder {
    let rules =
        ["subscribe /topic/public/* anyone", "subscribe /topic/{user}/** authenticated", "send /topic/** anyone"];
    let tokens = Tokens::new().secret(SECRET).unwrap();
    let rules = rules.map(|rule| rule.parse().unwrap());
    Stomp::new().tokens(tokens).anonymous(true).rules(rules).service("/ws")
}

pub(crate) async fn a_wildcard_needs_one_rule_for_all_that_it_stands_for(place: Place) {
    let world = World::new(place, ruled).await;
    let bob = token("bob", &json!({}));
    for (user, destination) in
        [(None, "/topic/public/*"), (Some(&bob), "/topic/bob/**"), (Some(&bob), "/topic/bob/a.*")]
    {
        let headers: Vec<_> = user.map(|token| ("passcode", token.as_str())).into_iter().collect();
        let mut client = world.connected(&headers).await;
        client.subscribe("0", destination).await;
    }
    for (user, destination, who) in [
        (None, "/topic/public/**", "clients without a user"),
        (None, "/topic/**", "clients without a user"),
        (None, "/topic/bob/*", "clients without a user"),
        (Some(&bob), "/topic/*/x", "user bob"),
        (Some(&bob), "/topic/ann/*", "user bob"),
    ] {
        let headers: Vec<_> = user.map(|token| ("passcode", token.as_str())).into_iter().collect();
        let mut client = world.connected(&headers).await;
        let (message, body) = client.refused(subscribe("0", destination)).await;
        assert_eq!(message, "forbidden", "{destination}");
        assert!(body.contains(who) && body.contains(destination), "{body}");
    }
}

/// Of services with and without rules of their own.
pub(crate) async fn rules_of_the_session_alone_hold_for_wildcards_too(place: Place) {
    for rules in [None, Some("subscribe /topic/all anyone")] {
        let admit = async |_: Connect| -> Result<Admission, ConnectError> {
            Ok(Admission::anonymous().rule("subscribe /topic/news/** anyone".parse().unwrap()))
        };
        let stomp = || {
            let admit = move |connect| Box::pin(admit(connect)) as BoxFuture<'static, _>;
            let rules = rules.into_iter().map(|rule| rule.parse().unwrap());
            Stomp::new().on_connect(admit).rules(rules).service("/ws")
        };
        let world = World::new(place, stomp).await;
        world.connected(&[]).await.subscribe("0", "/topic/news/**").await;
        for destination in ["/topic/**", "/topic/news*", "/topic/other/*"] {
            let mut client = world.connected(&[]).await;
            assert_eq!(client.refused(subscribe("0", destination)).await.0, "forbidden", "{destination}");
        }
    }
}

pub(crate) async fn a_wildcard_that_leads_to_too_many_topics_for_its_session_ends_it(place: Place) {
    let world = World::new(place, || service().max_subscriptions(4)).await;
    let mut client = world.connected(&[]).await;
    client.subscribe("w", "/topic/*").await;
    for destination in ["/topic/1", "/topic/2", "/topic/3"] {
        world.broker().send(destination, "").await.unwrap();
    }
    assert_eq!(messages(&mut client, 3).await.len(), 3);
    world.broker().send("/topic/4", "").await.unwrap();
    let (message, body) = client.error().await;
    assert_eq!(message, "too many subscriptions");
    assert!(body.contains("4 subscriptions") && body.contains("/topic/*"), "{body}");
    let mut client = world.connected(&[]).await;
    let (message, body) = client.refused(subscribe("w", "/topic/**")).await;
    assert_eq!(message, "too many subscriptions");
    assert!(body.contains("4 subscriptions") && body.contains("/topic/**"), "{body}");
}

pub(crate) async fn more_topics_than_can_be_found_are_told_to_wildcards_and_to_nobody_else(place: Place) {
    let world = World::with(place, service, |node| node.max_topics(2)).await;
    let (mut wild, mut plain) = (world.connected(&[]).await, world.connected(&[]).await);
    wild.subscribe("w", "/topic/**").await;
    plain.subscribe("p", "/topic/3").await;
    for topic in 1..=3 {
        world.broker().send(&format!("/topic/{topic}"), "x").await.unwrap();
    }
    assert_eq!(plain.message().await, message("p", "/topic/3", "x"));
    let mut came = 0;
    let error = loop {
        let frame = wild.next().await;
        match frame.command {
            Command::Message => came += 1,
            _ => break frame,
        }
    };
    assert!(came <= 2);
    assert_eq!(error.headers.get("message"), Some("too many topics"));
    assert!(error.body.contains("max-topics"), "{}", error.body);
    // What had come before the end may come beside it.
    while wild.incoming().await.is_some() {}
    assert_eq!(wild.close_code(), Some(4510));
    let mut late = world.connected(&[]).await;
    assert_eq!(late.refused(subscribe("w", "/topic/1*")).await.0, "too many topics");
    plain.send("/topic/3", "goes on").await;
    assert_eq!(plain.message().await.2, "goes on");
}

/// Whoever publishes has long known that the topic is in the catalogue, which is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_has_lost_its_data_hides_no_topic_from_wildcards() {
    let world = World::new(Place::RedisPolls, service).await;
    for topic in ["/topic/a", "/topic/b"] {
        world.broker().send(topic, "before").await.unwrap();
    }
    world.redis().command(&["FLUSHALL"]);
    let mut client = world.connected(&[]).await;
    client.subscribe("w", "/topic/*").await;
    for topic in ["/topic/a", "/topic/b"] {
        world.broker().send(topic, "after").await.unwrap();
    }
    let expected = ["/topic/a", "/topic/b"].map(|topic| message("w", topic, "after"));
    assert_eq!(messages(&mut client, 2).await, expected);
}

/// A Redis Cluster loses a part of its data: the catalogue, and not the topics in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_before_a_lost_catalogue_is_missed_reaches_wildcards_too() {
    let world = World::new(Place::RedisPolls, service).await;
    world.broker().send("/topic/a", "before").await.unwrap();
    let lose =
        "for _, key in ipairs(redis.call('KEYS', 'sockhop:{c:catalogue:topics}*')) do redis.call('DEL', key) end";
    world.redis().command(&["EVAL", lose, "0"]);
    let mut client = world.connected(&[]).await;
    client.subscribe("w", "/topic/*").await;
    for (topic, body) in [("/topic/a", "not noticed"), ("/topic/new", "x"), ("/topic/a", "noticed")] {
        world.broker().send(topic, body).await.unwrap();
    }
    let mut bodies = Vec::new();
    while bodies.last().is_none_or(|last| last != "noticed") {
        let (_, topic, body) = client.message().await;
        bodies.extend((topic == "/topic/a").then_some(body));
    }
    assert!(bodies.ends_with(&["not noticed".to_owned(), "noticed".to_owned()]), "{bodies:?}");
}
