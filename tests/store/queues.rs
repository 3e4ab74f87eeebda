//! Queues: who is given what, what comes back, what is never given twice at once.

use std::sync::Arc;

use sockhop::Message;
use sockhop::store::{
    Batch, ConsumeError, Consumer, ConsumerId, Epoch, Position, Publish, PublishError, Published, Retention,
    SessionRef, Settle, Settled, Store, Which,
};

use crate::world::{World, channel, key};

const ALL: usize = 1 << 20;

pub(crate) fn consumer(name: &str) -> Consumer {
    let session = SessionRef { key: key(name), life: 7 };
    Consumer { queue: channel("/queue/a"), id: ConsumerId::of(session, 1) }
}

pub(crate) async fn enqueue_all(
    store: &Arc<dyn Store>,
    texts: &[&str],
    retention: Retention,
    batch: Option<Batch>,
) -> Result<Published, PublishError> {
    let messages: Vec<_> = texts.iter().map(|text| Message::new(text)).collect();
    store.enqueue(Publish { channel: &channel("/queue/a"), messages: &messages, retention, batch }).await
}

async fn enqueue(store: &Arc<dyn Store>, text: &str) {
    enqueue_all(store, &[text], Retention::default(), None).await.unwrap();
}

/// What a consumer was given after a position.
pub(crate) async fn given(store: &Arc<dyn Store>, consumer: &Consumer, after: Position) -> Vec<String> {
    let read = store.read(&consumer.channel(), after, ALL).await.unwrap();
    assert!(!read.gap, "nothing is missing");
    read.entries.iter().map(|entry| entry.message.text().to_owned()).collect()
}

pub(crate) fn nth(start: Position, seq: u64) -> Position {
    Position { seq, ..start }
}

pub(crate) async fn messages_wait_for_a_consumer_and_go_to_one_each_in_turn(world: World) {
    let store = &world.store;
    let (a, b) = (consumer("a"), consumer("b"));
    enqueue(store, "1").await;
    enqueue(store, "2").await;
    let start_a = store.consume(&a, 10, 10).await.unwrap();
    assert_eq!(given(store, &a, start_a).await, ["1", "2"]);
    let start_b = store.consume(&b, 10, 10).await.unwrap();
    for text in ["3", "4", "5", "6"] {
        enqueue(store, text).await;
    }
    assert_eq!(given(store, &a, start_a).await, ["1", "2", "3", "5"]);
    assert_eq!(given(store, &b, start_b).await, ["4", "6"]);
}

pub(crate) async fn what_a_consumer_is_given_is_heard_by_those_who_follow_its_channel(world: World) {
    let (store, node, a) = (&world.store, world.join(), consumer("a"));
    store.consume(&a, 10, 10).await.unwrap();
    store.follow(node.id, &a.channel()).await.unwrap();
    enqueue(store, "1").await;
    enqueue(store, "2").await;
    assert_eq!(node.heard(2).await, [("1".to_owned(), 1), ("2".to_owned(), 2)]);
}

pub(crate) async fn a_consumer_holds_no_more_than_its_credit(world: World) {
    let (store, a) = (&world.store, consumer("a"));
    let start = store.consume(&a, 2, 10).await.unwrap();
    for text in ["1", "2", "3", "4"] {
        enqueue(store, text).await;
    }
    assert_eq!(given(store, &a, start).await, ["1", "2"]);
    let handled = Settle::Handled(nth(start, 2), Which::One);
    assert_eq!(store.settle(&a, handled).await.unwrap(), Settled::Done);
    assert_eq!(given(store, &a, start).await, ["1", "2", "3"]);
    assert_eq!(store.settle(&a, handled).await.unwrap(), Settled::Done, "again is no error, and no credit");
    assert_eq!(given(store, &a, start).await, ["1", "2", "3"]);
    store.settle(&a, Settle::Handled(nth(start, 3), Which::UpTo)).await.unwrap();
    assert_eq!(given(store, &a, nth(start, 3)).await, ["4"]);
}

pub(crate) async fn a_consumer_with_many_bytes_unsettled_waits_as_well(world: World) {
    let (store, a) = (&world.store, consumer("a"));
    let large = "x".repeat(300 * 1024);
    let start = store.consume(&a, 10, 10).await.unwrap();
    for _ in 0..3 {
        enqueue(store, &large).await;
    }
    assert_eq!(given(store, &a, start).await.len(), 2);
    store.settle(&a, Settle::Handled(nth(start, 1), Which::One)).await.unwrap();
    assert_eq!(given(store, &a, nth(start, 2)).await.len(), 1);
}

pub(crate) async fn what_is_returned_goes_first_and_to_another_and_says_how_often_it_was_given(world: World) {
    let store = &world.store;
    let (a, b) = (consumer("a"), consumer("b"));
    let start_a = store.consume(&a, 3, 10).await.unwrap();
    for text in ["1", "2", "3", "4"] {
        enqueue(store, text).await;
    }
    store.settle(&a, Settle::Returned(nth(start_a, 2), Which::One)).await.unwrap();
    assert_eq!(given(store, &a, nth(start_a, 3)).await, ["\\!2\n2"], "there is nobody else");
    let start_b = store.consume(&b, 1, 10).await.unwrap();
    assert_eq!(given(store, &b, start_b).await, ["4"]);
    store.settle(&b, Settle::Handled(nth(start_b, 1), Which::One)).await.unwrap();
    store.settle(&a, Settle::Returned(nth(start_a, 4), Which::One)).await.unwrap();
    assert_eq!(given(store, &b, nth(start_b, 1)).await, ["\\!3\n2"]);
    let again = Settle::Returned(nth(start_a, 4), Which::One);
    assert_eq!(store.settle(&a, again).await.unwrap(), Settled::Done);
    assert_eq!(given(store, &a, nth(start_a, 4)).await.len(), 0);
}

pub(crate) async fn what_a_consumer_leaves_goes_to_others_in_the_order_it_had(world: World) {
    let store = &world.store;
    let (a, b) = (consumer("a"), consumer("b"));
    let start_a = store.consume(&a, 10, 10).await.unwrap();
    for text in ["1", "2", "3", "4"] {
        enqueue(store, text).await;
    }
    store.settle(&a, Settle::Handled(nth(start_a, 2), Which::One)).await.unwrap();
    store.cancel(&a, Some(nth(start_a, 1))).await.unwrap();
    store.cancel(&a, None).await.unwrap();
    enqueue(store, "5").await;
    let start_b = store.consume(&b, 10, 10).await.unwrap();
    assert_eq!(given(store, &b, start_b).await, ["\\!2\n3", "\\!2\n4", "5"]);
    assert_eq!(given(store, &a, start_a).await, ["1", "2", "3", "4"], "its channel can be read on for a while");
}

pub(crate) async fn a_consumer_that_was_cancelled_does_not_come_back(world: World) {
    let (store, a) = (&world.store, consumer("a"));
    store.cancel(&a, None).await.unwrap();
    assert_eq!(store.consume(&a, 10, 10).await, Err(ConsumeError::Cancelled));
    enqueue(store, "1").await;
    let b = consumer("b");
    let start = store.consume(&b, 10, 10).await.unwrap();
    assert_eq!(given(store, &b, start).await, ["1"]);
    assert_eq!(store.consume(&b, 10, 10).await, Ok(start), "again is no error");
    assert_eq!(given(store, &b, start).await, ["1"]);
}

pub(crate) async fn a_queue_has_so_many_consumers_and_no_more(world: World) {
    let store = &world.store;
    store.consume(&consumer("a"), 10, 1).await.unwrap();
    assert_eq!(store.consume(&consumer("b"), 10, 1).await, Err(ConsumeError::TooMany(1)));
    store.consume(&consumer("a"), 10, 1).await.unwrap();
}

pub(crate) async fn a_full_queue_refuses_and_drops_nothing(world: World) {
    let (store, a) = (&world.store, consumer("a"));
    let few = Retention { entries: 2, ..Retention::default() };
    enqueue_all(store, &["1"], few, None).await.unwrap();
    assert_eq!(enqueue_all(store, &["2", "3"], few, None).await, Err(PublishError::Full));
    enqueue_all(store, &["2"], few, None).await.unwrap();
    let small = Retention { bytes: 250, ..Retention::default() };
    assert_eq!(enqueue_all(store, &["3"], small, None).await, Err(PublishError::Full));
    let start = store.consume(&a, 10, 10).await.unwrap();
    assert_eq!(given(store, &a, start).await, ["1", "2"]);
    assert_eq!(enqueue_all(store, &["3"], few, None).await, Err(PublishError::Full), "what is unsettled counts");
    store.settle(&a, Settle::Handled(nth(start, 2), Which::UpTo)).await.unwrap();
    enqueue_all(store, &["3"], Retention { bytes: 1, ..few }, None).await.unwrap();
    assert_eq!(given(store, &a, nth(start, 2)).await, ["3"], "the first is taken whatever its size");
}

pub(crate) async fn a_batch_enqueued_again_is_answered_but_not_taken(world: World) {
    let (store, a, node) = (&world.store, consumer("a"), world.join());
    let start = store.consume(&a, 10, 10).await.unwrap();
    let batch = |number| Some(Batch { node: node.id, number });
    let few = Retention { entries: 2, ..Retention::default() };
    let first = enqueue_all(store, &["1", "2"], few, batch(7)).await.unwrap();
    assert_eq!((first.last.seq, first.count), (2, 2));
    assert_eq!(enqueue_all(store, &["1", "2"], few, batch(7)).await, Ok(first));
    assert_eq!(enqueue_all(store, &["3"], few, batch(8)).await, Err(PublishError::Full));
    store.settle(&a, Settle::Handled(nth(start, 2), Which::UpTo)).await.unwrap();
    assert_eq!(enqueue_all(store, &["3"], few, batch(8)).await, Err(PublishError::Full), "as it was answered");
    assert_eq!(given(store, &a, start).await, ["1", "2"]);
}

pub(crate) async fn what_is_settled_and_received_is_not_kept_for_the_consumer(world: World) {
    let (store, a) = (&world.store, consumer("a"));
    let start = store.consume(&a, 10, 10).await.unwrap();
    for text in ["1", "2", "3"] {
        enqueue(store, text).await;
    }
    store.settle(&a, Settle::Handled(nth(start, 2), Which::UpTo)).await.unwrap();
    assert_eq!(given(store, &a, start).await, ["1", "2", "3"], "its client may not have it");
    store.settle(&a, Settle::Received { at: nth(start, 1), handled: false }).await.unwrap();
    assert!(store.read(&a.channel(), start, ALL).await.unwrap().gap);
    assert_eq!(given(store, &a, nth(start, 1)).await, ["2", "3"]);
    store.settle(&a, Settle::Received { at: nth(start, 3), handled: true }).await.unwrap();
    assert_eq!(given(store, &a, nth(start, 3)).await.len(), 0);
    enqueue(store, "4").await;
    assert_eq!(given(store, &a, nth(start, 3)).await, ["4"]);
    store.cancel(&a, None).await.unwrap();
    let b = consumer("b");
    let start = store.consume(&b, 10, 10).await.unwrap();
    assert_eq!(given(store, &b, start).await, ["\\!2\n4"], "what was received and handled does not come back");
}

pub(crate) async fn positions_that_a_consumer_never_had_are_unknown(world: World) {
    let (store, a) = (&world.store, consumer("a"));
    let start = store.consume(&a, 10, 10).await.unwrap();
    enqueue(store, "1").await;
    let other = Position { epoch: Epoch(start.epoch.0 ^ 1), seq: 1 };
    for (consumer, at) in [(&a, nth(start, 2)), (&a, other), (&consumer("b"), nth(start, 1))] {
        for settle in [Settle::Handled(at, Which::One), Settle::Returned(at, Which::UpTo)] {
            assert_eq!(store.settle(consumer, settle).await.unwrap(), Settled::Unknown, "{settle:?}");
        }
    }
    let reads = store.read(&a.channel(), start, ALL).await.unwrap();
    assert_eq!(reads.entries.len(), 1);
}

pub(crate) async fn enqueued_at_once_is_in_one_order_and_nothing_is_lost(world: World) {
    let (store, a) = (&world.store, consumer("a"));
    let publishers = (0..8).map(|publisher| async move {
        for number in 0..10 {
            enqueue(store, &format!("{publisher} {number}")).await;
        }
    });
    let (start, _) = tokio::join!(store.consume(&a, 1000, 10), futures_util::future::join_all(publishers));
    let given = given(store, &a, start.unwrap()).await;
    assert_eq!(given.len(), 80);
    for publisher in 0..8 {
        let own = given.iter().filter_map(|text| text.strip_prefix(&format!("{publisher} ")));
        assert!(own.map(|number| number.parse::<u32>().unwrap()).eq(0..10), "{given:?}");
    }
}
