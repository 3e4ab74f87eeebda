//! Channels: positions, reading, retention, following.

use std::time::Duration;

use sockhop::Message;
use sockhop::store::{Batch, Epoch, Position, Publish, Retention};

use crate::world::{Node, channel, publish, stores};

const ALL: usize = 1 << 20;

fn seqs(slice: &sockhop::store::Slice) -> Vec<u64> {
    slice.entries.iter().map(|entry| entry.seq).collect()
}

#[tokio::test(start_paused = true)]
async fn positions_rise_by_one_from_one() {
    for store in stores() {
        let first = publish(&store, "c", "a").await;
        let second = publish(&store, "c", "b").await;
        assert_eq!((first.seq, second.seq), (1, 2));
        assert_eq!(first.epoch, second.epoch);
        assert_eq!(publish(&store, "other", "x").await.seq, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn entries_after_a_position_are_read_in_order() {
    for store in stores() {
        let start = store.heads(&[channel("c")]).await.unwrap()[0];
        for text in ["a", "b", "c"] {
            publish(&store, "c", text).await;
        }
        let read = store.read(&channel("c"), start, ALL).await.unwrap();
        assert_eq!((seqs(&read), read.gap), (vec![1, 2, 3], false));
        let read = store.read(&channel("c"), Position { seq: 2, ..start }, ALL).await.unwrap();
        assert_eq!(read.entries[0].message.text(), "c");
        let read = store.read(&channel("c"), Position { seq: 3, ..start }, ALL).await.unwrap();
        assert!(read.entries.is_empty() && !read.gap);
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_is_bounded_but_gives_at_least_one_entry() {
    for store in stores() {
        let start = store.heads(&[channel("c")]).await.unwrap()[0];
        for _ in 0..3 {
            publish(&store, "c", "0123456789").await;
        }
        assert_eq!(seqs(&store.read(&channel("c"), start, 1).await.unwrap()), [1]);
        assert_eq!(seqs(&store.read(&channel("c"), start, 220).await.unwrap()), [1, 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_published_again_is_answered_but_not_appended() {
    for store in stores() {
        let node = Node::join(&store);
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
}

#[tokio::test(start_paused = true)]
async fn what_is_past_the_retention_is_told_as_a_gap() {
    let keep = Retention { entries: 2, bytes: 10_000, age: Duration::from_secs(60) };
    for (retention, text) in [
        (keep, "x"),
        (Retention { entries: 100, bytes: 250, ..keep }, "0123456789"),
        (Retention { entries: 100, ..keep }, "x"),
    ] {
        for store in stores() {
            let channel = channel("c");
            let start = store.heads(std::slice::from_ref(&channel)).await.unwrap()[0];
            let messages = [Message::new(text)];
            for round in 0..4 {
                if round == 2 && retention.entries == 100 && text == "x" {
                    tokio::time::advance(Duration::from_secs(61)).await;
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
}

#[tokio::test(start_paused = true)]
async fn a_position_of_another_life_or_of_the_future_is_a_gap() {
    for store in stores() {
        let last = publish(&store, "c", "a").await;
        for after in [Position { epoch: Epoch(last.epoch.0 ^ 1), seq: 0 }, Position { seq: 2, ..last }] {
            assert!(store.read(&channel("c"), after, ALL).await.unwrap().gap, "{after:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_follower_gets_all_entries_after_the_head_it_was_told() {
    for store in stores() {
        let (follower, other) = (Node::join(&store), Node::join(&store));
        publish(&store, "c", "before").await;
        let head = store.follow(follower.id, &channel("c")).await.unwrap();
        assert_eq!(head.seq, 1);
        publish(&store, "c", "a").await;
        publish(&store, "c", "b").await;
        publish(&store, "elsewhere", "x").await;
        assert_eq!(follower.heard(), [("a".to_owned(), 2), ("b".to_owned(), 3)]);
        assert!(other.heard().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn follows_are_counted() {
    for store in stores() {
        let follower = Node::join(&store);
        store.follow(follower.id, &channel("c")).await.unwrap();
        store.follow(follower.id, &channel("c")).await.unwrap();
        store.unfollow(follower.id, &channel("c")).await;
        publish(&store, "c", "once").await;
        assert_eq!(follower.heard().len(), 1);
        store.unfollow(follower.id, &channel("c")).await;
        publish(&store, "c", "unheard").await;
        assert!(follower.heard().is_empty());
    }
}
