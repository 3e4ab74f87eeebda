//! Several subscriptions of one session to one channel, what handler calls keep, and the newest entries of a channel.

use std::time::Duration;

use sockhop::store::{Attached, Begun, Epoch, Feed, Kept, Own, Position, Sent, Takeover, Terms};

use crate::world::{World, channel, publish, push, reason};

fn feed(tag: &str) -> Feed {
    Feed { channel: channel("c"), tag: Some(tag.into()) }
}

pub(crate) async fn subscriptions_to_one_channel_with_different_tags_have_a_cursor_each(world: World) {
    let store = &world.store;
    let node = world.join();
    let session = node.opened("s").await;
    let at = |seq| Position { epoch: Epoch(1), seq };
    for (feed, seq) in [(feed("a"), 1), (feed("b\nwith a line"), 2), (channel("c").into(), 3)] {
        store.subscribe(session, &feed, at(seq), 10).await.unwrap();
    }
    let (hold, pending) = node.attach("s", None).await;
    let found = |pending: &sockhop::store::Pending, feed: &Feed| {
        pending.subscriptions.iter().find(|subscription| subscription.feed == *feed).cloned()
    };
    let b = found(&pending, &feed("b\nwith a line")).unwrap();
    let sent = Sent { own: Own(1), channels: vec![(b.feed, b.generation, at(9))], ..Sent::default() };
    store.release(hold, sent).await.unwrap();
    store.unsubscribe(session, &feed("a")).await.unwrap();
    let (_, pending) = node.attach("s", None).await;
    assert_eq!(found(&pending, &feed("a")), None);
    assert_eq!(found(&pending, &feed("b\nwith a line")).unwrap().cursor, at(9));
    assert_eq!(found(&pending, &channel("c").into()).unwrap().cursor, at(3));
}

pub(crate) async fn what_a_call_keeps_is_there_for_the_next_call_and_for_receivers(world: World) {
    let store = &world.store;
    let node = world.join();
    let session = node.opened("s").await;
    let Begun::Run { turn, .. } = store.begin(node.begin("s", None)).await.unwrap() else { panic!("runs") };
    let terms = Terms { beat: Some(Duration::from_secs(10)), until: Some(1234) };
    let kept = Kept {
        attributes: vec![("a".into(), Some(String::new())), ("b".into(), Some("2".into()))],
        terms: Some(terms),
    };
    assert!(store.finish_keeping(session, turn, push(&[]), kept).await.unwrap().is_none());
    let (_, pending) = node.attach("s", None).await;
    assert_eq!(pending.terms, terms);
    let Begun::Run { turn, attributes, .. } = store.begin(node.begin("s", None)).await.unwrap() else {
        panic!("runs")
    };
    assert_eq!((attributes["a"].as_str(), attributes["b"].as_str()), ("", "2"));
    let kept = Kept { attributes: vec![("a".into(), None)], terms: Some(Terms::default()) };
    assert!(store.finish_keeping(session, turn, push(&[]), kept).await.unwrap().is_none());
    let Begun::Run { turn: _, attributes, .. } = store.begin(node.begin("s", None)).await.unwrap() else {
        panic!("runs")
    };
    assert!(!attributes.contains_key("a") && attributes.contains_key("b"));
}

pub(crate) async fn what_the_last_call_keeps_is_there_at_the_sessions_end(world: World) {
    let store = &world.store;
    let node = world.join();
    let kept = |name: &str, value: Option<&str>| Kept {
        attributes: vec![(name.to_owned(), value.map(str::to_owned))],
        terms: None,
    };
    for id in ["closed", "lost"] {
        let hold = node.open(id, None).await;
        let session = hold.session;
        for name in ["a", "b"] {
            let Begun::Run { turn, .. } = store.begin(node.begin(id, None)).await.unwrap() else { panic!("runs") };
            assert!(
                store.finish_keeping(session, turn, push(&[]), kept(name, Some("1"))).await.unwrap().is_none()
            );
        }
        let Begun::Run { turn, .. } = store.begin(node.begin(id, None)).await.unwrap() else { panic!("runs") };
        // One that is lost frees its key at once.
        let ended = if id == "lost" { store.lost(hold).await } else { store.close(session, reason()).await };
        assert!(ended.unwrap().is_none(), "the call runs");
        let mut last = kept("b", Some("2"));
        last.attributes.push(("a".to_owned(), None));
        let ended = store.finish_keeping(session, turn, push(&[]), last).await.unwrap().expect("its end is due");
        let attributes: Vec<_> = ended.attributes.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(attributes, [("b", "2")]);
        store.closed(session).await.unwrap();
    }
}

pub(crate) async fn a_call_that_is_over_keeps_nothing(world: World) {
    let store = &world.store;
    let node = world.join();
    let Attached::Created(hold, _, turn) = node.try_attach("s", None, Takeover::Never).await else {
        panic!("created")
    };
    node.finish(hold.session, turn).await;
    let late = Kept { attributes: vec![("late".into(), Some("x".into()))], terms: None };
    store.finish_keeping(hold.session, turn, push(&[]), late).await.unwrap();
    let Begun::Run { attributes, .. } = store.begin(node.begin("s", None)).await.unwrap() else { panic!("runs") };
    assert!(attributes.is_empty());
}

pub(crate) async fn a_tail_lies_before_the_newest_entries_that_there_are(world: World) {
    let store = &world.store;
    let empty = store.tail(&channel("c"), 3).await.unwrap();
    assert!(store.read(&channel("c"), empty, 1000).await.unwrap().entries.is_empty());
    for message in ["1", "2", "3"] {
        publish(store, "c", message).await;
    }
    for (most, expected) in [(0, 0), (2, 2), (3, 3), (100, 3)] {
        let tail = store.tail(&channel("c"), most).await.unwrap();
        let slice = store.read(&channel("c"), tail, 1_000_000).await.unwrap();
        assert!(!slice.gap);
        assert_eq!(slice.entries.len(), expected, "{most}");
    }
}
