//! Publishing once: what a channel knows of messages with ids.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use sockhop::store::{IdMemory, Once, Position, Publish, PublishOnce, Retention, Span, Store};
use sockhop::{Message, MessageId};

use crate::lives;
use crate::world::{World, channel, publish};

const ALL: usize = 1 << 24;

async fn once_within(
    store: &Arc<dyn Store>,
    name: &str,
    messages: &[(&str, &str)],
    memory: IdMemory,
) -> Vec<Once> {
    let messages: Vec<_> = messages.iter().map(|(id, text)| (MessageId::of(id), Message::new(text))).collect();
    let retention = Retention { entries: 200_000, bytes: 1 << 30, ..Retention::default() };
    let publish = PublishOnce { channel: &channel(name), messages: &messages, retention, memory };
    store.publish_once(publish).await.unwrap()
}

async fn once(store: &Arc<dyn Store>, name: &str, messages: &[(&str, &str)]) -> Vec<Once> {
    once_within(store, name, messages, IdMemory::default()).await
}

/// All that the channel keeps.
async fn kept(store: &Arc<dyn Store>, name: &str) -> Vec<String> {
    let excerpt = store.excerpt(&channel(name), Span::Oldest, 100_000, ALL).await.unwrap();
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
    let first = once(store, "c", &[("1", "a")]).await[0].position();
    assert_eq!(once(store, "c", &[("1", "b")]).await, [Once::Conflict(first)]);
    assert_eq!(once(store, "c", &[("1", "a")]).await, [Once::Repeated(first)]);
    let both = once(store, "c", &[("2", "x"), ("2", "y")]).await;
    assert_eq!(both[1], Once::Conflict(both[0].position()));
    assert_eq!(kept(store, "c").await, ["a", "x"]);
}

pub(crate) async fn ids_belong_to_their_channel(world: World) {
    let store = &world.store;
    for name in ["c", "d"] {
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
    let mut first = Vec::new();
    for id in 0..101 {
        first.extend(once_within(store, "c", &[(&number(id), "x")], memory).await);
    }
    // So many newer ones have come, and not yet too many.
    assert_eq!(once_within(store, "c", &[("0", "x")], memory).await, [Once::Repeated(first[0].position())]);
    for id in 101..202 {
        once_within(store, "c", &[(&number(id), "x")], memory).await;
    }
    let again = once_within(store, "c", &[("0", "x"), ("150", "x")], memory).await;
    assert!(matches!(again[..], [Once::Published(_), Once::Repeated(_)]), "{again:?}");
}

pub(crate) async fn ids_are_forgotten_after_their_time(world: World) {
    let store = &world.store;
    let memory = IdMemory { ids: 100, time: world.delay };
    once_within(store, "c", &[("1", "a")], memory).await;
    let early = once_within(store, "c", &[("1", "a")], memory).await;
    tokio::time::sleep(2 * world.delay + world.moment).await;
    let late = once_within(store, "c", &[("1", "a")], memory).await;
    assert!(matches!((early[0], late[0]), (Once::Repeated(_), Once::Published(_))), "{early:?} {late:?}");
}

pub(crate) async fn a_memory_of_nothing_keeps_nobody_from_publishing(world: World) {
    for memory in [IdMemory { ids: 100, time: Duration::ZERO }, IdMemory { ids: 0, time: Duration::ZERO }] {
        for id in ["1", "2", "2", "1"] {
            let outcome = once_within(&world.store, "c", &[(id, "x")], memory).await[0];
            assert!(!matches!(outcome, Once::Conflict(_)), "{outcome:?}");
        }
    }
}

pub(crate) async fn what_many_publish_at_once_under_the_same_ids_is_there_once(world: World) {
    let store = &world.store;
    let ids: Vec<_> = (0..40).map(|id| id.to_string()).collect();
    let publishers = (0..6).map(|publisher| {
        let ids = &ids;
        async move {
            let mut told = Vec::new();
            for at in 0..ids.len() {
                let id = &ids[(at + publisher * 7) % ids.len()];
                told.push((id.clone(), once(store, "c", &[(id, id)]).await[0]));
                publish(store, "c", "without").await;
            }
            told
        }
    });
    let told: Vec<_> = futures_util::future::join_all(publishers).await.into_iter().flatten().collect();
    let texts = kept(store, "c").await;
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

/// What a channel that is told these things must hold and answer.
async fn run(world: World, steps: &[Step]) {
    let store = &world.store;
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
                publish(store, "c", "plain").await;
                plain += 1;
            }
            Step::Once(messages) => {
                let named: Vec<_> =
                    messages.iter().map(|message| (message.0.to_string(), text(message))).collect();
                let named: Vec<_> = named.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect();
                let outcomes = once(store, "c", &named).await;
                messages.iter().zip(outcomes).for_each(|(message, outcome)| check(message, outcome));
            }
            Step::AtOnce(messages) => {
                let one = |message: &(u8, bool)| {
                    let (id, text) = (message.0.to_string(), text(message));
                    async move { once(store, "c", &[(&id, &text)]).await[0] }
                };
                // What is asked for first is done first, also at once.
                let outcomes = futures_util::future::join_all(messages.iter().map(one)).await;
                messages.iter().zip(outcomes).for_each(|(message, outcome)| check(message, outcome));
            }
        }
    }
    let texts = kept(store, "c").await;
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
