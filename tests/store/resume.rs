//! Sessions that outlive their connections: attempts, replays, commits, ends.

use sockhop::CloseReason;
use sockhop::store::{
    Attached, Begin, Begun, Epoch, Gone, Hold, Intent, Own, Pending, Position, Replay, Sent, Signal,
};
use tokio::time::{Instant, timeout};

use crate::world::{Node, World, channel, push, sent, texts};

/// Opens a session by its client's first attempt.
async fn opened(node: &Node) -> Hold {
    match node.attempt("s", 1, Intent::Begin, None).await {
        Attached::Created(hold, _, turn) => {
            assert!(node.finish(hold.session, turn).await.is_none());
            hold
        }
        other => panic!("not created: {other:?}"),
    }
}

/// Resumes it.
async fn resumed(node: &Node, number: u64) -> (Hold, Pending) {
    held(node.attempt("s", number, Intent::Resume, None).await)
}

fn held(attached: Attached) -> (Hold, Pending) {
    match attached {
        Attached::Held(hold, pending) => (hold, pending),
        other => panic!("not held: {other:?}"),
    }
}

pub(crate) async fn a_later_attempt_takes_over_and_gets_all_that_is_not_confirmed(world: World) {
    let store = &world.store;
    let (a, b) = (world.join(), world.join());
    let first = opened(&a).await;
    store.push(first.session, push(&["a", "b", "c"])).await.unwrap();
    store.pending(first, Own(4)).await.unwrap();
    store.commit(first, sent(2)).await.unwrap();
    a.signals(1).await;
    let (second, pending) = resumed(&b, 2).await;
    assert_eq!(a.signals(1).await, [Signal::Fenced(first)]);
    assert_eq!(
        (pending.replay.opens(), pending.from, texts(&pending.messages)),
        (true, Own(2), vec!["b".into(), "c".into()])
    );
    assert_eq!(store.commit(first, sent(4)).await, Err(Gone::Fenced));
    assert_eq!(store.lost(first).await.unwrap_err(), Gone::Fenced);
    store.lost(second).await.unwrap();
    let (_, pending) = resumed(&a, 7).await;
    assert_eq!(texts(&pending.messages), ["b", "c"], "numbers may be left out");
}

pub(crate) async fn what_was_handed_after_a_ping_is_not_confirmed_by_its_pong(world: World) {
    let store = &world.store;
    let node = world.join();
    let hold = opened(&node).await;
    store.push(hold.session, push(&["a", "b"])).await.unwrap();
    store.pending(hold, Own(3)).await.unwrap();
    for own in [2, 1] {
        store.commit(hold, sent(own)).await.unwrap();
        assert_eq!(texts(&store.pending(hold, Own(2)).await.unwrap().messages), ["b"]);
    }
}

pub(crate) async fn an_attempt_before_the_newest_is_refused(world: World) {
    let store = &world.store;
    let node = world.join();
    opened(&node).await;
    let (hold, _) = resumed(&node, 3).await;
    for intent in [Intent::Begin, Intent::Resume] {
        assert!(matches!(node.attempt("s", 2, intent, None).await, Attached::Superseded));
    }
    store.lost(hold).await.unwrap();
    assert!(matches!(node.attempt("s", 2, Intent::Begin, None).await, Attached::Superseded));
    let plain = node.try_attach("s", None, sockhop::store::Takeover::Never).await;
    assert!(matches!(plain, Attached::Superseded), "nor does the bare id lead to it");
}

pub(crate) async fn an_equal_attempt_is_an_ordinary_receiver(world: World) {
    let store = &world.store;
    let node = world.join();
    let hold = opened(&node).await;
    assert!(matches!(node.attempt("s", 1, Intent::Begin, None).await, Attached::Busy(_)));
    store.push(hold.session, push(&["a", "b"])).await.unwrap();
    store.release(hold, sent(2)).await.unwrap();
    let (hold, pending) = held(node.attempt("s", 1, Intent::Begin, None).await);
    assert_eq!(
        (pending.replay.opens(), texts(&pending.messages)),
        (false, vec!["b".into()]),
        "it confirms what was sent"
    );
    store.lost(hold).await.unwrap();
    let (_, pending) = held(node.attempt("s", 1, Intent::Resume, None).await);
    assert_eq!((pending.replay.opens(), texts(&pending.messages)), (false, vec!["b".into()]));
}

pub(crate) async fn an_attempt_creates_a_session_unless_it_means_to_resume_one(world: World) {
    let node = world.join();
    for number in [1, 2, 999_999_999] {
        assert!(matches!(node.attempt("gone", number, Intent::Resume, None).await, Attached::Gone));
    }
    // The first attempt of a client may have been lost on its way.
    assert!(matches!(node.attempt("s", 2, Intent::Begin, None).await, Attached::Created(..)));
    assert!(matches!(node.attempt("s", 1, Intent::Begin, None).await, Attached::Superseded));
}

pub(crate) async fn a_lost_connection_leaves_the_session_open_for_its_time(world: World) {
    let store = &world.store;
    let node = world.join();
    let hold = opened(&node).await;
    assert!(store.lost(hold).await.unwrap().is_none());
    store.push(hold.session, push(&["meanwhile"])).await.unwrap();
    tokio::time::sleep(world.delay / 2).await;
    let (hold, pending) = resumed(&node, 2).await;
    assert_eq!(texts(&pending.messages), ["meanwhile"]);
    store.lost(hold).await.unwrap();
    let lost = Instant::now();
    let ended = node.ends().await;
    assert_eq!(ended.iter().map(|ended| ended.session).collect::<Vec<_>>(), [hold.session]);
    assert_eq!(ended[0].reason, CloseReason::CLIENT_GONE);
    assert!(lost.elapsed() + world.moment > world.delay, "not before its time");
    store.closed(hold.session).await.unwrap();
    assert!(timeout(2 * world.moment, store.due(node.id)).await.is_err(), "once");
    assert!(matches!(node.attempt("s", 3, Intent::Resume, None).await, Attached::Gone));
}

pub(crate) async fn a_session_that_its_client_quits_is_over_at_once(world: World) {
    let store = &world.store;
    let node = world.join();
    let old = opened(&node).await;
    let (hold, _) = resumed(&node, 2).await;
    assert_eq!(store.quit(old, CloseReason::CLIENT_GONE).await.unwrap_err(), Gone::Fenced);
    let ended = store.quit(hold, CloseReason::CLIENT_GONE).await.unwrap().expect("the caller runs on_close");
    assert_eq!((ended.session, ended.reason), (hold.session, CloseReason::CLIENT_GONE));
    assert!(matches!(node.attempt("s", 3, Intent::Resume, None).await, Attached::Gone));
}

pub(crate) async fn a_session_that_was_closed_meanwhile_says_so_to_a_later_attempt(world: World) {
    let store = &world.store;
    let node = world.join();
    let hold = opened(&node).await;
    store.push(hold.session, push(&["last words"])).await.unwrap();
    store.lost(hold).await.unwrap();
    store.close(hold.session, CloseReason::NORMAL).await.unwrap();
    let (_, pending) = resumed(&node, 2).await;
    assert!(pending.replay.opens(), "a close frame before `o` would mean something else");
    assert_eq!((texts(&pending.messages), pending.closed), (vec!["last words".into()], Some(CloseReason::NORMAL)));
}

pub(crate) async fn a_replay_goes_on_with_the_next_receiver_and_again_for_a_repeat(world: World) {
    let store = &world.store;
    let node = world.join();
    let hold = opened(&node).await;
    store.commit(hold, sent(1)).await.unwrap();
    let attach = async |number, request| {
        let (hold, pending) = held(node.attempt("s", number, Intent::Resume, Some(request)).await);
        (hold, pending.replay.opens(), pending.replay)
    };
    let release = async |hold, replay| store.release(hold, Sent { own: Own(1), replay, ..Sent::default() }).await;
    let (hold, open, replay) = attach(2, "a").await;
    assert_eq!((open, replay), (true, Replay::Open));
    release(hold, Replay::Running).await.unwrap();
    let (hold, open, replay) = attach(2, "a").await;
    assert_eq!((open, replay), (true, Replay::Open), "the repeated request's answer was lost");
    release(hold, Replay::Running).await.unwrap();
    let (hold, open, replay) = attach(2, "b").await;
    assert_eq!((open, replay), (false, Replay::Running));
    release(hold, Replay::Mark).await.unwrap();
    let (hold, _, replay) = attach(2, "b").await;
    assert_eq!(replay, Replay::Running);
    store.lost(hold).await.unwrap();
    let (hold, _, replay) = attach(2, "c").await;
    assert_eq!(replay, Replay::Mark);
    release(hold, Replay::Over).await.unwrap();
    let (_, _, replay) = attach(2, "d").await;
    assert_eq!(replay, Replay::Over);
    let (hold, open, _) = attach(3, "e").await;
    assert!(open);
    store.lost(hold).await.unwrap();
    let (_, open, replay) = attach(3, "f").await;
    assert_eq!((open, replay), (false, Replay::Running), "who asks again of its own accord has got `o`");
}

pub(crate) async fn only_the_attempt_that_has_the_session_may_send(world: World) {
    let store = &world.store;
    let node = world.join();
    opened(&node).await;
    resumed(&node, 2).await;
    let begin = |attempt| Begin { attempt, ..node.begin("s", None) };
    for attempt in [None, Some(1), Some(3)] {
        assert!(matches!(store.begin(begin(attempt)).await.unwrap(), Begun::Unknown), "{attempt:?}");
    }
    assert!(matches!(store.begin(begin(Some(2))).await.unwrap(), Begun::Run { .. }));
}

pub(crate) async fn a_place_in_a_channel_counts_once_it_is_confirmed(world: World) {
    let store = &world.store;
    let node = world.join();
    let hold = opened(&node).await;
    let at = |seq| Position { epoch: Epoch(1), seq };
    store.subscribe(hold.session, &channel("c").into(), at(5), 10).await.unwrap();
    let generation = store.pending(hold, Own(1)).await.unwrap().subscriptions[0].generation;
    let came_to =
        |seq| Sent { own: Own(1), channels: vec![(channel("c").into(), generation, at(seq))], ..Sent::default() };
    store.commit(hold, came_to(7)).await.unwrap();
    store.lost(hold).await.unwrap();
    let (hold, pending) = resumed(&node, 2).await;
    assert_eq!(pending.subscriptions[0].cursor, at(7));
    store.release(hold, came_to(9)).await.unwrap();
    let (hold, pending) = resumed(&node, 3).await;
    assert_eq!(pending.subscriptions[0].cursor, at(7), "nobody said that the answer had come");
    store.lost(hold).await.unwrap();
    let (_, pending) = held(node.attempt("s", 3, Intent::Resume, None).await);
    assert_eq!(pending.subscriptions[0].cursor, at(7), "nor does a later request");
}
