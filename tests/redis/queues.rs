//! Queues that take messages once, where Redis is hurt or has forgotten them.

use std::time::Duration;

use sockhop::store::{
    Consumer, ConsumerId, IdMemory, Once, Position, PublishError, PublishOnce, Retention, SessionRef, Settle,
    Store, Which,
};
use sockhop::{ChannelName, Message, MessageId, SessionKey};

use crate::server::Redis;
use crate::trial::Member;

fn queue() -> ChannelName {
    ChannelName::new("/queue/a").unwrap()
}

fn consumer() -> Consumer {
    let session = SessionRef { key: SessionKey::of("/test", "a"), life: 7 };
    Consumer { queue: queue(), id: ConsumerId::of(session, 1) }
}

async fn enqueue(store: &dyn Store, texts: &[String]) -> Result<Vec<Once>, PublishError> {
    let messages: Vec<_> = texts.iter().map(|text| (MessageId::of(text), Message::new(text))).collect();
    let (retention, memory) = (Retention::default(), IdMemory::default());
    store.enqueue_once(PublishOnce { channel: &queue(), messages: &messages, retention, memory }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_an_id_of_unknown_outcome_is_sent_to_a_queue_again_safely() {
    let redis = Redis::start();
    let hasty = Member::with(&redis.url(), |store| {
        store.timeout(Duration::from_millis(100)).patience(Duration::from_millis(300))
    });
    hasty.ready().await;
    let store = &*hasty.store;
    let (mut seqs, mut unknown) = (Vec::new(), 0);
    for number in 1..=60 {
        if number % 20 == 10 {
            redis.stop();
        }
        let texts = ["a", "b"].map(|kind| format!("{number} {kind}"));
        loop {
            // Beside others of its batch.
            let both = futures_util::future::join(enqueue(store, &texts[..1]), enqueue(store, &texts[1..])).await;
            unknown += usize::from(matches!(both.0, Err(PublishError::Unknown(_))));
            if let (Ok(first), Ok(second)) = both {
                break seqs.extend([first[0], second[0]].map(|once| once.position().seq));
            }
            redis.cont();
        }
    }
    assert!(unknown >= 3, "{unknown} were unknown at first");
    seqs.sort_unstable();
    assert!(seqs.iter().copied().eq(1..=120), "no place is left out, and none is told twice: {seqs:?}");
    // A moment without an answer must not decide this.
    let calm = Member::with(&redis.url(), |store| store);
    calm.ready().await;
    let start = calm.store.consume(&consumer(), 1000, 1).await.unwrap();
    let given = calm.store.read(&consumer().channel(), start, 1 << 20).await.unwrap().entries;
    assert_eq!(given.len(), 120, "none is there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ids_of_a_queue_are_known_for_longer_than_the_queue_itself() {
    let redis = Redis::start();
    let member = Member::with(&redis.url(), |store| store);
    member.ready().await;
    let store = &*member.store;
    let start = store.consume(&consumer(), 10, 1).await.unwrap();
    let text = ["a".to_owned()];
    let first = enqueue(store, &text).await.unwrap()[0].position();
    let all = Settle::Handled(Position { seq: 1, ..start }, Which::UpTo);
    store.settle(&consumer(), all).await.unwrap();
    store.cancel(&consumer(), None).await.unwrap();
    let left = |kind: &str| redis.number(&["PTTL", &format!("sockhop:{{c:/queue/a}}:{kind}")]);
    assert!(left("queue") <= 600_000, "an empty queue goes soon");
    assert!(left("queue-ids") > 3_600_000, "and its ids do not");
    // As if that time were over.
    assert_eq!(redis.number(&["DEL", "sockhop:{c:/queue/a}:queue"]), 1);
    assert_eq!(enqueue(store, &text).await, Ok(vec![Once::Repeated(first)]));
}
