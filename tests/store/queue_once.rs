//! Queues that take messages once: what they know of messages with ids, also of those that were handled.

use std::sync::Arc;
use std::time::Duration;

use sockhop::store::{
    Consumer, IdMemory, Once, Position, PublishError, PublishOnce, Retention, Settle, Settled, Store, Which,
};
use sockhop::{Message, MessageId};

use crate::queues::{consumer, enqueue_all, given, nth};
use crate::world::{World, channel};

pub(crate) async fn enqueue_once(
    store: &Arc<dyn Store>,
    messages: &[(&str, &str)],
    retention: Retention,
    memory: IdMemory,
) -> Result<Vec<Once>, PublishError> {
    let messages: Vec<_> = messages.iter().map(|(id, text)| (MessageId::of(id), Message::new(text))).collect();
    let enqueue = PublishOnce { channel: &channel("/queue/a"), messages: &messages, retention, memory };
    store.enqueue_once(enqueue).await
}

async fn once(store: &Arc<dyn Store>, messages: &[(&str, &str)]) -> Vec<Once> {
    enqueue_once(store, messages, Retention::default(), IdMemory::default()).await.unwrap()
}

async fn handle(store: &Arc<dyn Store>, consumer: &Consumer, up_to: Position) {
    let handled = Settle::Handled(up_to, Which::UpTo);
    assert_eq!(store.settle(consumer, handled).await.unwrap(), Settled::Done);
}

pub(crate) async fn a_message_with_an_id_is_enqueued_once_and_answered_alike(world: World) {
    let (store, a) = (&world.store, consumer("a"));
    let first = once(store, &[("1", "a")]).await;
    let Once::Published(at) = first[0] else { panic!("{first:?}") };
    assert_eq!(at.seq, 1);
    assert_eq!(once(store, &[("1", "a")]).await, [Once::Repeated(at)], "while it waits");
    enqueue_all(store, &["between"], Retention::default(), None).await.unwrap();
    let start = store.consume(&a, 10, 10).await.unwrap();
    assert_eq!(once(store, &[("1", "a")]).await, [Once::Repeated(at)], "while it is with somebody");
    let later = once(store, &[("2", "b"), ("1", "a"), ("2", "b"), ("3", "c")]).await;
    let expected =
        [Once::Published(nth(at, 3)), Once::Repeated(at), Once::Repeated(nth(at, 3)), Once::Published(nth(at, 4))];
    assert_eq!(later, expected);
    assert_eq!(given(store, &a, start).await, ["a", "between", "b", "c"]);
    handle(store, &a, nth(start, 4)).await;
    let handled = once(store, &[("3", "c"), ("1", "a"), ("2", "x")]).await;
    assert_eq!(handled, [Once::Repeated(nth(at, 4)), Once::Repeated(at), Once::Conflict(nth(at, 3))]);
    store.cancel(&a, None).await.unwrap();
    assert_eq!(once(store, &[("1", "a")]).await, [Once::Repeated(at)], "when the queue is empty");
    assert!(once(store, &[]).await.is_empty());
}

pub(crate) async fn a_group_that_does_not_fit_is_not_taken_and_may_be_sent_again(world: World) {
    let (store, a) = (&world.store, consumer("a"));
    let few = Retention { entries: 2, ..Retention::default() };
    let try_once = async |messages: &[(&str, &str)]| enqueue_once(store, messages, few, IdMemory::default()).await;
    let first = try_once(&[("1", "a")]).await.unwrap()[0].position();
    let group = [("1", "a"), ("2", "b"), ("3", "c")];
    assert_eq!(try_once(&group).await, Err(PublishError::Full));
    try_once(&[("4", "d")]).await.unwrap();
    assert_eq!(try_once(&[("1", "a")]).await.unwrap(), [Once::Repeated(first)], "what is there needs no room");
    assert_eq!(try_once(&[("1", "b")]).await.unwrap(), [Once::Conflict(first)]);
    let start = store.consume(&a, 10, 10).await.unwrap();
    assert_eq!(try_once(&[("5", "e")]).await, Err(PublishError::Full), "what is unsettled counts");
    handle(store, &a, nth(start, 2)).await;
    let again = try_once(&group).await.unwrap();
    let expected = [Once::Repeated(first), Once::Published(nth(first, 3)), Once::Published(nth(first, 4))];
    assert_eq!(again, expected, "none of them was remembered, and no number was used");
    assert_eq!(given(store, &a, start).await, ["a", "d", "b", "c"]);
    handle(store, &a, nth(start, 4)).await;
    let small = Retention { bytes: 1, ..few };
    let large = enqueue_once(store, &[("6", "f")], small, IdMemory::default()).await.unwrap();
    assert!(matches!(large[..], [Once::Published(_)]), "the first is taken whatever its size");
}

#[tokio::test(start_paused = true)]
async fn a_queue_in_memory_that_is_empty_and_idle_remembers_ids_for_their_time() {
    let world = World::memory();
    let (store, node, a) = (&world.store, world.join(), consumer("a"));
    let memory = IdMemory { ids: 100, time: Duration::from_secs(7200) };
    let send = async || enqueue_once(store, &[("1", "a")], Retention::default(), memory).await.unwrap()[0];
    let start = store.consume(&a, 10, 10).await.unwrap();
    let first = send().await.position();
    handle(store, &a, nth(start, 1)).await;
    store.cancel(&a, None).await.unwrap();
    // Sweeps go on meanwhile.
    let _ = tokio::time::timeout(Duration::from_secs(7000), store.due(node.id)).await;
    assert_eq!(send().await, Once::Repeated(first));
    let _ = tokio::time::timeout(Duration::from_secs(2 * 7200), store.due(node.id)).await;
    assert!(matches!(send().await, Once::Published(_)));
}
