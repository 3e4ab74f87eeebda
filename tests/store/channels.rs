//! Channels: positions, reading, retention, following.

use std::time::Duration;

use sockhop::Message;
use sockhop::store::{Batch, Epoch, Position, Publish, Retention};

use crate::world::{World, channel, publish, publish_to};

const ALL: usize = 1 << 20;

fn seqs(slice: &sockhop::store::Slice) -> Vec<u64> {
    slice.entries.iter().map(|entry| entry.seq).collect()
}

pub(crate) async fn positions_rise_by_one_from_one(world: World) {
    let store = &world.store;
    let first = publish(store, "c", "a").await;
    let second = publish(store, "c", "b").await;
    assert_eq!((first.seq, second.seq), (1, 2));
    assert_eq!(first.epoch, second.epoch);
    assert_eq!(publish(store, "other", "x").await.seq, 1);
}

pub(crate) async fn entries_after_a_position_are_read_in_order(world: World) {
    let store = &world.store;
    let start = store.heads(&[channel("c")]).await.unwrap()[0];
    for text in ["a", "b", "c"] {
        publish(store, "c", text).await;
    }
    let read = store.read(&channel("c"), start, ALL).await.unwrap();
    assert_eq!((seqs(&read), read.gap), (vec![1, 2, 3], false));
    let read = store.read(&channel("c"), Position { seq: 2, ..start }, ALL).await.unwrap();
    assert_eq!(read.entries[0].message.text(), "c");
    let read = store.read(&channel("c"), Position { seq: 3, ..start }, ALL).await.unwrap();
    assert!(read.entries.is_empty() && !read.gap);
}

pub(crate) async fn a_read_is_bounded_but_gives_at_least_one_entry(world: World) {
    let store = &world.store;
    let start = store.heads(&[channel("c")]).await.unwrap()[0];
    for _ in 0..3 {
        publish(store, "c", "0123456789").await;
    }
    assert_eq!(seqs(&store.read(&channel("c"), start, 1).await.unwrap()), [1]);
    assert_eq!(seqs(&store.read(&channel("c"), start, 220).await.unwrap()), [1, 2]);
}

pub(crate) async fn a_batch_published_again_is_answered_but_not_appended(world: World) {
    let store = &world.store;
    let node = world.join();
    let channel = channel("c");
    let messages = [Message::new("a"), Message::new("b")];
    let batch = |number| Publish {
        channel: &channel,
        messages: &messages,
        retention: Retention::default(),
        batch: Some(Batch { node: node.id, number }),
    };
    let first = store.publish(batch(7)).await.unwrap();
    assert_eq!((first.last.seq, first.count), (2, 2));
    assert_eq!(store.publish(batch(7)).await.unwrap(), first);
    assert_eq!(store.publish(batch(8)).await.unwrap().last.seq, 4);
}

pub(crate) async fn what_is_past_the_retention_is_told_as_a_gap(world: World) {
    let store = &world.store;
    let keep = Retention { entries: 2, bytes: 10_000, age: Duration::from_secs(60) };
    let short = world.delay / 2;
    for (name, retention, text) in [
        ("entries", keep, "x"),
        ("bytes", Retention { entries: 100, bytes: 250, ..keep }, "0123456789"),
        ("age", Retention { entries: 100, age: short, ..keep }, "x"),
    ] {
        let channel = channel(name);
        let start = store.heads(std::slice::from_ref(&channel)).await.unwrap()[0];
        let messages = [Message::new(text)];
        for round in 0..4 {
            if round == 2 && name == "age" {
                tokio::time::sleep(short + world.moment).await;
            }
            let publish = Publish { channel: &channel, messages: &messages, retention, batch: None };
            store.publish(publish).await.unwrap();
        }
        for (seq, gap) in [(0, true), (1, true), (2, false), (4, false)] {
            let read = store.read(&channel, Position { seq, ..start }, ALL).await.unwrap();
            assert_eq!(read.gap, gap, "{retention:?} after {seq}");
            assert_eq!(read.entries.len(), if gap { 0 } else { 4 - seq as usize });
        }
    }
}

pub(crate) async fn a_read_finds_its_place_in_a_long_log_of_batches(world: World) {
    let store = &world.store;
    let channel = channel("c");
    let start = store.heads(std::slice::from_ref(&channel)).await.unwrap()[0];
    let mut last = 0;
    for size in (1..=40).chain([1; 20]) {
        let messages: Vec<_> = (last + 1..=last + size).map(|seq| Message::new(&seq.to_string())).collect();
        let retention = Retention::default();
        let publish = Publish { channel: &channel, messages: &messages, retention, batch: None };
        last = store.publish(publish).await.unwrap().last.seq;
    }
    for seq in 0..=last {
        let read = store.read(&channel, Position { seq, ..start }, 400).await.unwrap();
        assert!(!read.gap, "after {seq}");
        assert_eq!(read.entries.is_empty(), seq == last, "after {seq}");
        for (entry, expected) in read.entries.iter().zip(seq + 1..) {
            assert_eq!((entry.seq, entry.message.text()), (expected, expected.to_string().as_str()));
        }
    }
}

pub(crate) async fn a_position_of_another_life_or_of_the_future_is_a_gap(world: World) {
    let store = &world.store;
    let last = publish(store, "c", "a").await;
    for after in [Position { epoch: Epoch(last.epoch.0 ^ 1), seq: 0 }, Position { seq: 2, ..last }] {
        assert!(store.read(&channel("c"), after, ALL).await.unwrap().gap, "{after:?}");
    }
}

pub(crate) async fn a_follower_gets_all_entries_after_the_head_it_was_told(world: World) {
    let store = &world.store;
    let (follower, other) = (world.join(), world.join());
    publish(store, "c", "before").await;
    let head = store.follow(follower.id, &channel("c")).await.unwrap();
    assert_eq!(head.seq, 1);
    publish(store, "c", "a").await;
    publish(store, "c", "b").await;
    publish(store, "elsewhere", "x").await;
    assert_eq!(follower.heard(2).await, [("a".to_owned(), 2), ("b".to_owned(), 3)]);
    assert!(other.is_left_alone().await);
}

pub(crate) async fn nothing_is_missed_between_the_head_that_was_told_and_what_is_heard(world: World) {
    let store = &world.store;
    let channels: Vec<_> = (0..30).map(|number| channel(&number.to_string())).collect();
    for channel in &channels {
        let follower = world.join();
        let publisher = tokio::spawn({
            let (store, channel) = (store.clone(), channel.clone());
            async move {
                for number in 0..40 {
                    publish_to(&store, &channel, &number.to_string()).await;
                }
            }
        });
        tokio::task::yield_now().await;
        let head = store.follow(follower.id, channel).await.unwrap();
        publisher.await.unwrap();
        let last = publish_to(store, channel, "last").await.seq;
        let mut heard = Vec::new();
        while heard.last().is_none_or(|(_, seq)| *seq != last) {
            heard.extend(follower.heard(1).await);
        }
        let seqs = heard.iter().map(|(_, seq)| *seq).filter(|seq| *seq > head.seq);
        assert!(seqs.eq(head.seq + 1..=last), "after {} heard {heard:?}", head.seq);
    }
}

pub(crate) async fn follows_are_counted(world: World) {
    let store = &world.store;
    let follower = world.join();
    store.follow(follower.id, &channel("c")).await.unwrap();
    store.follow(follower.id, &channel("c")).await.unwrap();
    store.unfollow(follower.id, &channel("c")).await;
    publish(store, "c", "once").await;
    assert_eq!(follower.heard(1).await.len(), 1);
    store.unfollow(follower.id, &channel("c")).await;
    publish(store, "c", "unheard").await;
    assert!(follower.is_left_alone().await);
}

pub(crate) async fn what_is_published_at_once_is_in_one_order_for_all(world: World) {
    let store = &world.store;
    let (follower, channel) = (world.join(), channel("c"));
    let head = store.follow(follower.id, &channel).await.unwrap();
    let publishers = (0..8).map(|publisher| {
        let (store, channel) = (store.clone(), channel.clone());
        async move {
            for number in 0..25 {
                let position = publish_to(&store, &channel, &format!("{publisher} {number}")).await;
                assert_eq!(position.epoch, head.epoch);
            }
        }
    });
    futures_util::future::join_all(publishers).await;
    let heard = follower.heard(200).await;
    assert!(heard.iter().map(|(_, seq)| *seq).eq(1..=200), "{heard:?}");
    for publisher in 0..8 {
        let own = heard.iter().filter_map(|(text, _)| text.strip_prefix(&format!("{publisher} ")));
        assert!(own.map(|number| number.parse::<u32>().unwrap()).eq(0..25), "{heard:?}");
    }
    let read = store.read(&channel, head, ALL).await.unwrap();
    assert!(read.entries.iter().map(|entry| entry.message.text()).eq(heard.iter().map(|(text, _)| text.as_str())));
}
