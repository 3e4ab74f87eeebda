//! Publishing once: what a channel, or a queue, knows of messages with ids.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use sockhop::store::{IdMemory, Once, Position, Publish, PublishOnce, Retention, Span, Store};
use sockhop::{Message, MessageId};

use crate::lives;
use crate::queues::consumer;
use crate::world::{World, channel, publish};

const ALL: usize = 1 << 24;
/// What takes messages once: a channel, and a queue.
const BOTH: [&str; 2] = ["c", QUEUE];
const QUEUE: &str = "/queue/a";

async fn once_within(
    store: &Arc<dyn Store>,
    name: &str,
    messages: &[(&str, &str)],
    memory: IdMemory,
) -> Vec<Once> {
    let messages: Vec<_> = messages.iter().map(|(id, text)| (MessageId::of(id), Message::new(text))).collect();
    let retention = Retention { entries: 200_000, bytes: 1 << 30, ..Retention::default() };
    let publish = PublishOnce { channel: &channel(name), messages: &messages, retention, memory };
    if name == QUEUE {
        store.enqueue_once(publish).await.unwrap()
    } else {
        store.publish_once(publish).await.unwrap()
    }
}

async fn once(store: &Arc<dyn Store>, name: &str, messages: &[(&str, &str)]) -> Vec<Once> {
    once_within(store, name, messages, IdMemory::default()).await
}

/// Publishes a message without an id.
async fn publish_without(store: &Arc<dyn Store>, name: &str, text: &str) {
    if name != QUEUE {
        publish(store, name, text).await;
        return;
    }
    let (messages, retention) = (&[Message::new(text)], Retention::default());
    store.enqueue(Publish { channel: &channel(name), messages, retention, batch: None }).await.unwrap();
}

/// All that the channel keeps, or that the queue has had for its one consumer.
async fn kept(store: &Arc<dyn Store>, name: &str) -> Vec<String> {
    let mut channel = channel(name);
    if name == QUEUE {
        let consumer = consumer("a");
        store.consume(&consumer, 1000, 1).await.unwrap();
        channel = consumer.channel();
    }
    let excerpt = store.excerpt(&channel, Span::Oldest, 100_000, ALL).await.unwrap();
    excerpt.entries.iter().map(|entry| entry.message.text().to_owned()).collect()
}

pub(crate) async fn a_message_with_an_id_is_appended_once_and_answered_alike(world: World) {
    let store = &world.store;
    let first = once(store, "c", &[("1", "a")]).await;
    let Once::Published(at) = first[0] else { panic!("{first:?}") };
    assert_eq!(at.seq, 1);
    assert_eq!(once(store, "c", &[("1", "a")]).await, [Once::Repeated(at)]);
    publish(store, "c", "between").await;
    let later = once(store, "c", &[("2", "b"), ("1", "a"), ("2", "b"), ("3", "c")]).await;
    let place = |seq| Position { seq, ..at };
    let expected =
        [Once::Published(place(3)), Once::Repeated(at), Once::Repeated(place(3)), Once::Published(place(4))];
    assert_eq!(later, expected);
    assert_eq!(kept(store, "c").await, ["a", "between", "b", "c"]);
    assert!(once(store, "c", &[]).await.is_empty());
}

pub(crate) async fn the_same_id_with_another_content_is_told_and_not_appended(world: World) {
    let store = &world.store;
    for name in BOTH {
        let first = once(store, name, &[("1", "a")]).await[0].position();
        assert_eq!(once(store, name, &[("1", "b")]).await, [Once::Conflict(first)]);
        assert_eq!(once(store, name, &[("1", "a")]).await, [Once::Repeated(first)]);
        let both = once(store, name, &[("2", "x"), ("2", "y")]).await;
        assert_eq!(both[1], Once::Conflict(both[0].position()));
        assert_eq!(kept(store, name).await, ["a", "x"]);
    }
}

pub(crate) async fn ids_belong_to_their_channel(world: World) {
    let store = &world.store;
    for name in ["c", "d", QUEUE] {
        assert!(matches!(once(store, name, &[("1", name)]).await[..], [Once::Published(_)]));
    }
}

pub(crate) async fn a_follower_hears_once_what_is_published_twice(world: World) {
    let store = &world.store;
    let follower = world.join();
    store.follow(follower.id, &channel("c")).await.unwrap();
    for _ in 0..3 {
        once(store, "c", &[("1", "a"), ("2", "b")]).await;
    }
    publish(store, "c", "last").await;
    let heard = follower.heard(3).await;
    assert_eq!(heard, [("a".to_owned(), 1), ("b".to_owned(), 2), ("last".to_owned(), 3)]);
}

pub(crate) async fn an_id_is_known_for_longer_than_its_message_is_kept(world: World) {
    let store = &world.store;
    let first = once(store, "c", &[("1", "a")]).await[0].position();
    let keep = Retention { entries: 2, ..Retention::default() };
    for text in ["x", "y", "z"] {
        let messages = [Message::new(text)];
        let publish = Publish { channel: &channel("c"), messages: &messages, retention: keep, batch: None };
        store.publish(publish).await.unwrap();
    }
    assert_eq!(kept(store, "c").await, ["y", "z"]);
    assert_eq!(once(store, "c", &[("1", "a")]).await, [Once::Repeated(first)]);
}

pub(crate) async fn ids_are_forgotten_after_so_many_newer_ones(world: World) {
    let store = &world.store;
    let memory = IdMemory { ids: 100, time: Duration::from_secs(3600) };
    let number = |number: usize| number.to_string();
    for name in BOTH {
        let mut first = Vec::new();
        for id in 0..101 {
            first.extend(once_within(store, name, &[(&number(id), "x")], memory).await);
        }
        // So many newer ones have come, and not yet too many.
        let known = once_within(store, name, &[("0", "x")], memory).await;
        assert_eq!(known, [Once::Repeated(first[0].position())]);
        for id in 101..202 {
            once_within(store, name, &[(&number(id), "x")], memory).await;
        }
        let again = once_within(store, name, &[("0", "x"), ("150", "x")], memory).await;
        assert!(matches!(again[..], [Once::Published(_), Once::Repeated(_)]), "{again:?}");
    }
}

pub(crate) async fn ids_are_forgotten_after_their_time(world: World) {
    let store = &world.store;
    let memory = IdMemory { ids: 100, time: world.delay };
    let send = async || {
        let sent = BOTH.map(|name| once_within(store, name, &[("1", "a")], memory));
        futures_util::future::join_all(sent).await.concat()
    };
    send().await;
    let early = send().await;
    assert!(matches!(early[..], [Once::Repeated(_), Once::Repeated(_)]), "{early:?}");
    tokio::time::sleep(2 * world.delay + world.moment).await;
    let late = send().await;
    assert!(matches!(late[..], [Once::Published(_), Once::Published(_)]), "{late:?}");
}

pub(crate) async fn a_memory_of_nothing_keeps_nobody_from_publishing(world: World) {
    for name in BOTH {
        for memory in [IdMemory { ids: 100, time: Duration::ZERO }, IdMemory { ids: 0, time: Duration::ZERO }] {
            for id in ["1", "2", "2", "1"] {
                let outcome = once_within(&world.store, name, &[(id, "x")], memory).await[0];
                assert!(!matches!(outcome, Once::Conflict(_)), "{outcome:?}");
            }
        }
    }
}

pub(crate) async fn what_many_publish_at_once_under_the_same_ids_is_there_once(world: World) {
    for name in BOTH {
        many_publish_at_once(&world.store, name).await;
    }
}

async fn many_publish_at_once(store: &Arc<dyn Store>, name: &str) {
    let ids: Vec<_> = (0..40).map(|id| id.to_string()).collect();
    let publishers = (0..6).map(|publisher| {
        let ids = &ids;
        async move {
            let mut told = Vec::new();
            for at in 0..ids.len() {
                let id = &ids[(at + publisher * 7) % ids.len()];
                told.push((id.clone(), once(store, name, &[(id, id)]).await[0]));
                publish_without(store, name, "without").await;
            }
            told
        }
    });
    let told: Vec<_> = futures_util::future::join_all(publishers).await.into_iter().flatten().collect();
    let texts = kept(store, name).await;
    for id in &ids {
        assert_eq!(texts.iter().filter(|text| *text == id).count(), 1, "{id}");
        let all: Vec<_> = told.iter().filter(|(of, _)| of == id).map(|(_, outcome)| *outcome).collect();
        let at = all[0].position();
        assert_eq!(texts[at.seq as usize - 1], *id);
        assert!(all.iter().all(|outcome| outcome.position() == at), "{all:?}");
        assert_eq!(all.iter().filter(|outcome| matches!(outcome, Once::Published(_))).count(), 1);
    }
    assert_eq!(texts.len(), 40 + 6 * 40);
}

/// One thing that is published.
#[derive(Debug, Clone)]
enum Step {
    Plain,
    /// Ids and contents, together.
    Once(Vec<(u8, bool)>),
    /// The same at once, by as many callers.
    AtOnce(Vec<(u8, bool)>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let messages = || proptest::collection::vec((0..8u8, proptest::bool::weighted(0.2)), 1..6);
    let step = prop_oneof![
        1 => Just(Step::Plain),
        2 => messages().prop_map(Step::Once),
        2 => messages().prop_map(Step::AtOnce),
    ];
    proptest::collection::vec(step, 1..30)
}

/// What a channel, and a queue, that is told these things must hold and answer.
async fn run(world: World, steps: &[Step]) {
    for name in BOTH {
        tell(&world.store, name, steps).await;
    }
}

async fn tell(store: &Arc<dyn Store>, name: &str, steps: &[Step]) {
    let text = |(id, other): &(u8, bool)| format!("{id}{}", if *other { " other" } else { "" });
    let mut first: HashMap<u8, (bool, Position)> = HashMap::new();
    let mut plain = 0;
    let mut check = |message: &(u8, bool), outcome: Once| match first.get(&message.0) {
        None => {
            assert!(matches!(outcome, Once::Published(_)), "{message:?} {outcome:?}");
            first.insert(message.0, (message.1, outcome.position()));
        }
        Some((other, at)) if *other == message.1 => assert_eq!(outcome, Once::Repeated(*at)),
        Some((_, at)) => assert_eq!(outcome, Once::Conflict(*at)),
    };
    for step in steps {
        match step {
            Step::Plain => {
                publish_without(store, name, "plain").await;
                plain += 1;
            }
            Step::Once(messages) => {
                let named: Vec<_> =
                    messages.iter().map(|message| (message.0.to_string(), text(message))).collect();
                let named: Vec<_> = named.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect();
                let outcomes = once(store, name, &named).await;
                messages.iter().zip(outcomes).for_each(|(message, outcome)| check(message, outcome));
            }
            Step::AtOnce(messages) => {
                let one = |message: &(u8, bool)| {
                    let (id, text) = (message.0.to_string(), text(message));
                    async move { once(store, name, &[(&id, &text)]).await[0] }
                };
                // What is asked for first is done first, also at once.
                let outcomes = futures_util::future::join_all(messages.iter().map(one)).await;
                messages.iter().zip(outcomes).for_each(|(message, outcome)| check(message, outcome));
            }
        }
    }
    let texts = kept(store, name).await;
    assert_eq!(texts.len(), first.len() + plain);
    for (id, (other, at)) in first {
        assert_eq!(texts[at.seq as usize - 1], text(&(id, other)));
    }
}

#[test]
fn each_id_is_there_once_with_its_first_content() {
    lives::in_memory(300, &steps(), &async |world, steps: &Vec<Step>| run(world, steps).await);
}

#[test]
fn each_id_in_redis_is_there_once_with_its_first_content() {
    lives::in_redis(40, &steps(), &async |world, steps: &Vec<Step>| run(world, steps).await);
}
