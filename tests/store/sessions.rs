//! Sessions: attachments, fencing, repeats, handler calls, ends.

use std::time::Duration;

use sockhop::CloseReason;
use sockhop::store::{
    Attach, Attached, Begin, Begun, Due, First, Gone, Own, Position, Push, Sent, Signal, SubscribeError, Takeover,
};
use tokio::time::{Instant, timeout};

use crate::world::{World, channel, key, push, reason, sent, texts};

pub(crate) async fn the_first_attach_creates_and_the_second_is_told_who_holds(world: World) {
    let (a, b) = (world.join(), world.join());
    let hold = a.open("s", None).await;
    match b.try_attach("s", None, Takeover::Never).await {
        Attached::Busy(holder) => assert_eq!((holder.node, holder.hold), (a.id, hold)),
        other => panic!("{other:?}"),
    }
    assert!(a.is_left_alone().await, "the holder is undisturbed");
}

pub(crate) async fn without_room_nothing_is_created_but_known_sessions_are_held(world: World) {
    let store = &world.store;
    let node = world.join();
    node.opened("known").await;
    let full = || None;
    for (id, known) in [("known", true), ("new", false)] {
        let attach = Attach {
            key: key(id),
            node: node.id,
            request: None,
            takeover: Takeover::Never,
            first: First::Held,
            attempt: None,
            create: &full,
        };
        let attached = store.attach(attach).await.unwrap();
        assert!(matches!((attached, known), (Attached::Held(..), true) | (Attached::Full, false)), "{id}");
    }
}

pub(crate) async fn a_released_session_goes_on_at_another_node_with_what_waits(world: World) {
    let store = &world.store;
    let (a, b) = (world.join(), world.join());
    let session = a.opened("s").await;
    store.push(session, push(&["x", "y"])).await.unwrap();
    let (hold, pending) = b.attach("s", None).await;
    assert_eq!((pending.from, texts(&pending.messages)), (Own(1), vec!["x".to_owned(), "y".to_owned()]));
    store.release(hold, sent(2)).await.unwrap();
    let (_, pending) = a.attach("s", None).await;
    assert_eq!((pending.from, texts(&pending.messages)), (Own(2), vec!["y".to_owned()]));
}

pub(crate) async fn a_repeated_request_gets_the_same_again_and_another_one_what_follows(world: World) {
    let store = &world.store;
    let (a, b) = (world.join(), world.join());
    let hold = a.open("s", Some("r1")).await;
    store.release(hold, sent(1)).await.unwrap();
    let (hold, pending) = b.attach("s", Some("r1")).await;
    assert_eq!(pending.from, Own(0), "`o` again");
    store.release(hold, sent(1)).await.unwrap();
    store.push(hold.session, push(&["x"])).await.unwrap();
    for node in [&a, &b] {
        let (hold, pending) = node.attach("s", Some("r2")).await;
        assert_eq!((pending.from, texts(&pending.messages)), (Own(1), vec!["x".to_owned()]));
        store.release(hold, sent(2)).await.unwrap();
    }
    let (_, pending) = a.attach("s", Some("r3")).await;
    assert_eq!((pending.from, pending.messages.len()), (Own(2), 0));
}

pub(crate) async fn a_repeat_of_an_answered_request_is_told_what_the_answer_had_and_no_more(world: World) {
    let store = &world.store;
    let (a, b) = (world.join(), world.join());
    let session = a.opened("s").await;
    let at = |seq| Position { epoch: sockhop::store::Epoch(1), seq };
    store.subscribe(session, &channel("c").into(), at(5), 10).await.unwrap();
    store.push(session, push(&["x"])).await.unwrap();
    let (hold, pending) = a.attach("s", Some("r1")).await;
    assert_eq!(pending.again, None, "nothing was handed out yet");
    let generation = pending.subscriptions[0].generation;
    let batch = Sent { own: Own(2), channels: vec![(channel("c").into(), generation, at(7))], ..Sent::default() };
    store.release(hold, batch.clone()).await.unwrap();
    store.push(session, push(&["y"])).await.unwrap();
    // One repeat that nobody ends, as its node dies, and one that does.
    let (unheard, _) = b.attach("s", Some("r1")).await;
    let (hold, pending) = a.attach("s", Some("r1")).await;
    assert_eq!(store.release(unheard, batch.clone()).await, Err(Gone::Fenced));
    let again = pending.again.expect("a batch");
    assert_eq!((pending.from, again.own), (Own(1), Own(2)), "`x`, though `y` waits as well");
    assert_eq!((pending.subscriptions[0].cursor, pending.subscriptions[0].sent), (at(5), at(7)));
    store.release(hold, batch).await.unwrap();
    let (_, pending) = b.attach("s", Some("r2")).await;
    assert_eq!((pending.again, pending.from, texts(&pending.messages)), (None, Own(2), vec!["y".to_owned()]));
    assert_eq!(pending.subscriptions[0].cursor, at(7));
}

pub(crate) async fn a_request_before_the_last_one_comes_too_late(world: World) {
    let store = &world.store;
    let (a, b) = (world.join(), world.join());
    a.opened("s").await;
    for request in ["r1", "r2", "r3"] {
        let (hold, _) = a.attach("s", Some(request)).await;
        store.release(hold, sent(1)).await.unwrap();
    }
    for request in ["r1", "r2"] {
        assert!(matches!(b.try_attach("s", Some(request), Takeover::Never).await, Attached::Stale), "{request}");
    }
    let (hold, _) = a.attach("s", Some("r4")).await;
    assert!(matches!(b.try_attach("s", Some("r3"), Takeover::From(hold)).await, Attached::Stale));
    store.release(hold, sent(1)).await.expect("undisturbed");
    for request in ["s1", "s2", "s3"] {
        let Begun::Run { session, turn, .. } = store.begin(a.begin("s", Some(request))).await.unwrap() else {
            panic!("{request}")
        };
        a.finish(session, turn).await;
    }
    assert!(matches!(store.begin(b.begin("s", Some("s1"))).await.unwrap(), Begun::Done), "a send that comes late");
}

pub(crate) async fn an_on_open_whose_node_is_gone_is_run_again(world: World) {
    let store = &world.store;
    let (dying, other) = (world.join(), world.join());
    let mut turns = Vec::new();
    for id in ["silent", "speaking"] {
        let created = dying.try_attach(id, None, Takeover::Never).await;
        let Attached::Created(hold, _, turn) = created else { panic!("{created:?}") };
        store.release(hold, sent(1)).await.unwrap();
        turns.push(turn);
    }
    let (held, _) = other.attach("silent", None).await;
    store.leave(dying.id).await;
    drop(dying);
    let Begun::Run { session, turn, opening, .. } = store.begin(other.begin("speaking", None)).await.unwrap()
    else {
        panic!()
    };
    assert!(opening, "a message finds that nothing has run");
    store.finish(session, turns[1], push(&["late"])).await.expect_err("it was given up on");
    assert_eq!(
        other.attach("speaking", None).await.1.messages.len(),
        0,
        "of a call that is not under way nothing is kept"
    );
    other.finish(session, turn).await;
    let Begun::Run { session, turn, opening, .. } = store.begin(other.begin("speaking", None)).await.unwrap()
    else {
        panic!()
    };
    assert!(!opening, "once");
    other.finish(session, turn).await;
    let opening = async {
        loop {
            // The other session, which nobody receives for, ends meanwhile.
            let opening = |due| if let Due::Opening(opening) = due { Some(opening) } else { None };
            if let Some(opening) = store.due(other.id).await.into_iter().find_map(opening) {
                return opening;
            }
        }
    };
    let opening = timeout(Duration::from_secs(60), opening).await.expect("one that nobody asks for");
    assert_eq!(opening.session, held.session);
    other.finish(opening.session, opening.turn).await;
    assert!(matches!(store.begin(other.begin("silent", None)).await.unwrap(), Begun::Run { opening: false, .. }));
}

pub(crate) async fn a_repeat_takes_a_held_session_over_and_fences_the_first(world: World) {
    let store = &world.store;
    let (a, b) = (world.join(), world.join());
    let session = a.opened("s").await;
    let (old, _) = a.attach("s", Some("r")).await;
    store.push(session, push(&["x"])).await.unwrap();
    assert_eq!(a.signals(1).await, [Signal::Changed(old)]);
    let (new, pending) = b.attach("s", Some("r")).await;
    assert_eq!(a.signals(1).await, [Signal::Fenced(old)]);
    assert_eq!(store.release(old, sent(2)).await, Err(Gone::Fenced));
    assert_eq!(store.pending(old, Own(2)).await.unwrap_err(), Gone::Fenced);
    assert_eq!(store.lost(old).await.unwrap_err(), Gone::Fenced);
    assert_eq!(texts(&pending.messages), ["x"]);
    assert_eq!(texts(&store.pending(new, Own(1)).await.unwrap().messages), ["x"], "nothing was changed");
}

pub(crate) async fn only_the_named_holder_loses_a_session_to_a_takeover(world: World) {
    let (a, b) = (world.join(), world.join());
    a.opened("s").await;
    let (first, _) = a.attach("s", None).await;
    assert!(matches!(b.try_attach("s", None, Takeover::From(first)).await, Attached::Held(..)));
    assert!(matches!(a.try_attach("s", None, Takeover::From(first)).await, Attached::Busy(_)));
}

pub(crate) async fn a_client_that_comes_back_of_its_own_accord_is_not_told_again_that_its_session_is_open(
    world: World,
) {
    let store = &world.store;
    let (a, b) = (world.join(), world.join());
    let hold = a.open("s", Some("r1")).await;
    store.push(hold.session, push(&["x"])).await.unwrap();
    let (repeat, pending) = b.attach("s", Some("r1")).await;
    assert_eq!(pending.from, Own(0), "the balancer's repeat of what brings `o` brings it");
    let attached = a.try_attach("s", Some("r2"), Takeover::From(repeat)).await;
    let Attached::Held(_, pending) = attached else { panic!("{attached:?}") };
    assert!(!pending.replay.opens());
    assert_eq!((pending.from, texts(&pending.messages)), (Own(1), vec!["x".to_owned()]));
}

pub(crate) async fn commits_count_only_for_the_generation_they_name(world: World) {
    let store = &world.store;
    let node = world.join();
    let session = node.opened("s").await;
    let at = |seq| Position { epoch: sockhop::store::Epoch(1), seq };
    store.subscribe(session, &channel("c").into(), at(5), 10).await.unwrap();
    let (hold, pending) = node.attach("s", None).await;
    let old = pending.subscriptions[0].generation;
    store.unsubscribe(session, &channel("c").into()).await.unwrap();
    store.subscribe(session, &channel("c").into(), at(9), 10).await.unwrap();
    let committed = Sent { own: Own(1), channels: vec![(channel("c").into(), old, at(7))], ..Sent::default() };
    store.release(hold, committed).await.unwrap();
    let (hold, pending) = node.attach("s", None).await;
    let [subscription] = pending.subscriptions.as_slice() else { panic!("{pending:?}") };
    assert_eq!(subscription.cursor, at(9));
    assert_ne!(subscription.generation, old);
    let committed = Sent {
        own: Own(1),
        channels: vec![(channel("c").into(), subscription.generation, at(11))],
        ..Sent::default()
    };
    store.release(hold, committed).await.unwrap();
    let (_, pending) = node.attach("s", None).await;
    assert_eq!(pending.subscriptions[0].cursor, at(11));
}

pub(crate) async fn subscriptions_have_a_limit_and_end_when_told(world: World) {
    let store = &world.store;
    let node = world.join();
    let session = node.opened("s").await;
    let at = Position { epoch: sockhop::store::Epoch(1), seq: 0 };
    store.subscribe(session, &channel("a").into(), at, 2).await.unwrap();
    store.subscribe(session, &channel("b").into(), at, 2).await.unwrap();
    store.subscribe(session, &channel("b").into(), at, 2).await.unwrap();
    assert_eq!(store.subscribe(session, &channel("c").into(), at, 2).await, Err(SubscribeError::TooMany(2)));
    store.unsubscribe(session, &channel("a").into()).await.unwrap();
    store.unsubscribe(session, &channel("never").into()).await.unwrap();
    let (_, pending) = node.attach("s", None).await;
    assert_eq!(pending.subscriptions.len(), 1);
}

pub(crate) async fn a_lost_receiver_ends_the_session_and_frees_its_id(world: World) {
    let store = &world.store;
    let node = world.join();
    node.opened("s").await;
    let (hold, _) = node.attach("s", None).await;
    let ended = store.lost(hold).await.unwrap().expect("the caller runs on_close");
    assert_eq!((ended.session, ended.reason), (hold.session, CloseReason::INTERRUPTED));
    assert_eq!(store.push(hold.session, push(&["x"])).await.unwrap_err(), Gone::Over);
    assert!(matches!(store.begin(node.begin("s", None)).await.unwrap(), Begun::Unknown));
    let again = node.open("s", None).await;
    assert_ne!(again.session, hold.session);
}

pub(crate) async fn a_session_that_only_gets_its_open_frame_is_free_at_once(world: World) {
    let store = &world.store;
    let (a, b) = (world.join(), world.join());
    let first = a.attach_first("s", Some("r1"), Takeover::Never, First::Released).await;
    let Attached::Created(hold, _, turn) = first else { panic!("{first:?}") };
    store.push(hold.session, push(&["x"])).await.unwrap();
    a.finish(hold.session, turn).await;
    let again = b.attach_first("s", Some("r1"), Takeover::Never, First::Released).await;
    let Attached::Held(hold, pending) = again else { panic!("{again:?}") };
    assert!(pending.replay.opens(), "the same again");
    store.release(hold, sent(1)).await.unwrap();
    let (_, pending) = b.attach("s", Some("r2")).await;
    assert_eq!(
        (pending.replay.opens(), pending.from, texts(&pending.messages)),
        (false, Own(1), vec!["x".to_owned()])
    );
}

pub(crate) async fn a_disowned_attach_has_handed_out_nothing(world: World) {
    let store = &world.store;
    let node = world.join();
    let session = node.opened("s").await;
    store.push(session, push(&["x"])).await.unwrap();
    let (hold, _) = node.attach("s", None).await;
    store.pending(hold, Own(2)).await.unwrap();
    store.disown(hold).await.unwrap();
    assert_eq!(store.release(hold, sent(2)).await, Err(Gone::Fenced));
    assert_eq!(texts(&node.attach("s", None).await.1.messages), ["x"]);
}

pub(crate) async fn what_the_client_is_known_to_have_is_not_kept(world: World) {
    let store = &world.store;
    let node = world.join();
    let session = node.opened("s").await;
    let at = |seq| Position { epoch: sockhop::store::Epoch(1), seq };
    store.subscribe(session, &channel("c").into(), at(5), 10).await.unwrap();
    store.push(session, push(&["x", "y"])).await.unwrap();
    let (hold, pending) = node.attach("s", Some("r")).await;
    let generation = pending.subscriptions[0].generation;
    let received =
        Sent { own: Own(2), channels: vec![(channel("c").into(), generation, at(7))], ..Sent::default() };
    store.commit(hold, received).await.unwrap();
    let (next, pending) = node.attach("s", Some("r")).await;
    assert_eq!((pending.from, texts(&pending.messages)), (Own(2), vec!["y".to_owned()]), "not even to a repeat");
    assert_eq!(pending.subscriptions[0].cursor, at(7));
    assert_eq!(store.commit(hold, sent(3)).await, Err(Gone::Fenced));
    store.release(next, sent(3)).await.unwrap();
}

pub(crate) async fn on_close_waits_for_the_handler_call_under_way_and_is_given_once(world: World) {
    let store = &world.store;
    let node = world.join();
    node.opened("s").await;
    let Begun::Run { session, turn, .. } = store.begin(node.begin("s", None)).await.unwrap() else { panic!() };
    let (hold, _) = node.attach("s", None).await;
    assert!(store.lost(hold).await.unwrap().is_none());
    let ended = node.finish(session, turn).await.expect("whoever ends the call runs on_close");
    assert_eq!(ended.reason, CloseReason::INTERRUPTED);
    assert!(node.finish(session, turn).await.is_none());

    let session = node.opened("t").await;
    assert!(store.close(session, reason()).await.unwrap().is_some());
    assert_eq!(store.close(session, reason()).await.unwrap_err(), Gone::Over);
}

pub(crate) async fn a_closed_session_tells_what_waits_and_then_why_again_and_again(world: World) {
    let store = &world.store;
    let node = world.join();
    let session = node.opened("s").await;
    store.push(session, push(&["last words"])).await.unwrap();
    store.close(session, reason()).await.unwrap();
    assert_eq!(store.push(session, push(&["late"])).await.unwrap_err(), Gone::Over);
    assert!(matches!(store.begin(node.begin("s", None)).await.unwrap(), Begun::Closed));
    let (hold, pending) = node.attach("s", None).await;
    assert_eq!((texts(&pending.messages), pending.closed), (vec!["last words".to_owned()], Some(reason())));
    store.release(hold, sent(2)).await.unwrap();
    for _ in 0..3 {
        tokio::time::sleep(world.delay / 2).await;
        let (hold, pending) = node.attach("s", None).await;
        assert_eq!((pending.messages.len(), pending.closed), (0, Some(reason())));
        store.release(hold, sent(2)).await.unwrap();
    }
}

pub(crate) async fn a_session_that_is_told_too_much_is_closed_and_grows_no_further(world: World) {
    let store = &world.store;
    let node = world.join();
    let session = node.opened("s").await;
    let much = || Push { messages: vec!["0123456789".into(); 3], limit: 500, most_kept: 10_000 };
    assert!(store.push(session, much()).await.unwrap().is_none());
    let ended = store.push(session, much()).await.unwrap().expect("too much");
    assert_eq!(ended.reason, CloseReason::TOO_SLOW);
    let (_, pending) = node.attach("s", None).await;
    assert_eq!((pending.messages.len(), pending.closed), (0, Some(CloseReason::TOO_SLOW)));
}

pub(crate) async fn what_a_receiver_was_handed_is_not_unread(world: World) {
    let store = &world.store;
    let node = world.join();
    let session = node.opened("s").await;
    let (hold, _) = node.attach("s", None).await;
    for round in 1..=10 {
        let push = Push { messages: vec!["0123456789".into(); 3], limit: 500, most_kept: 10_000 };
        assert!(store.push(session, push).await.unwrap().is_none());
        assert!(store.pending(hold, Own(1 + 3 * round)).await.unwrap().messages.is_empty());
    }
}

pub(crate) async fn requests_that_are_repeated_for_ever_do_not_let_a_session_grow(world: World) {
    let store = &world.store;
    let node = world.join();
    let session = node.opened("s").await;
    let mut own = 1;
    let mut ended = None;
    for _ in 0..100 {
        let (hold, _) = node.attach("s", Some("always the same")).await;
        let push = Push { messages: vec!["0123456789".into(); 3], limit: 500, most_kept: 1000 };
        own += 3;
        ended = store.push(session, push).await.unwrap();
        store.release(hold, sent(own)).await.unwrap();
        if ended.is_some() {
            break;
        }
    }
    assert_eq!(ended.expect("at last").reason, CloseReason::TOO_SLOW);
}

pub(crate) async fn handler_calls_of_a_session_never_overlap(world: World) {
    let store = &world.store;
    let node = world.join();
    let Attached::Created(hold, _, turn) = node.try_attach("s", None, Takeover::Never).await else { panic!() };
    let mut waiting = Box::pin(store.begin(node.begin("s", None)));
    assert!(timeout(world.moment, &mut waiting).await.is_err(), "on_open is under way");
    assert!(node.finish(hold.session, turn).await.is_none());
    let Begun::Run { session, turn, .. } = waiting.await.unwrap() else { panic!() };
    assert!(timeout(world.moment, store.begin(node.begin("s", None))).await.is_err());
    assert!(node.finish(session, turn).await.is_none());
    assert!(matches!(store.begin(node.begin("s", None)).await.unwrap(), Begun::Run { .. }));
}

pub(crate) async fn what_a_handler_call_sends_is_told_to_the_holder(world: World) {
    let store = &world.store;
    let (a, b) = (world.join(), world.join());
    a.opened("s").await;
    let (hold, _) = a.attach("s", None).await;
    let Begun::Run { session, turn, .. } = store.begin(b.begin("s", Some("r"))).await.unwrap() else { panic!() };
    assert!(store.finish(session, turn, push(&["x"])).await.unwrap().is_none());
    assert_eq!(a.signals(1).await, [Signal::Changed(hold)]);
    assert_eq!(texts(&store.pending(hold, Own(1)).await.unwrap().messages), ["x"]);
}

pub(crate) async fn a_send_that_the_balancer_repeats_is_done_once(world: World) {
    let store = &world.store;
    let node = world.join();
    node.opened("s").await;
    let Begun::Run { session, turn, .. } = store.begin(node.begin("s", Some("r1"))).await.unwrap() else {
        panic!()
    };
    let mut repeat = Box::pin(store.begin(node.begin("s", Some("r1"))));
    assert!(timeout(world.moment, &mut repeat).await.is_err(), "the first is under way");
    node.finish(session, turn).await;
    assert!(matches!(repeat.await.unwrap(), Begun::Done));
    assert!(matches!(store.begin(node.begin("s", Some("r2"))).await.unwrap(), Begun::Run { .. }));
    assert!(matches!(store.begin(node.begin("nobody", None)).await.unwrap(), Begun::Unknown));
}

pub(crate) async fn too_many_messages_in_a_second_close_the_session(world: World) {
    let store = &world.store;
    let node = world.join();
    node.opened("s").await;
    let begin = |count| Begin { count, rate: Some(5), ..node.begin("s", None) };
    for _ in 0..2 {
        let Begun::Run { session, turn, .. } = store.begin(begin(5)).await.unwrap() else { panic!() };
        node.finish(session, turn).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let Begun::Run { session, turn, .. } = store.begin(begin(4)).await.unwrap() else { panic!() };
    node.finish(session, turn).await;
    let Begun::TooMany(Some(ended)) = store.begin(begin(2)).await.unwrap() else { panic!() };
    assert_eq!(ended.reason, CloseReason::TOO_MANY_MESSAGES);
}

pub(crate) async fn attributes_are_seen_by_the_next_call(world: World) {
    let store = &world.store;
    let node = world.join();
    let session = node.opened("s").await;
    store.set_attribute(session, "name", Some("Ann".to_owned())).await.unwrap();
    store.set_attribute(session, "gone", Some("x".to_owned())).await.unwrap();
    store.set_attribute(session, "gone", None).await.unwrap();
    let Begun::Run { attributes, .. } = store.begin(node.begin("s", None)).await.unwrap() else { panic!() };
    assert_eq!(attributes.into_iter().collect::<Vec<_>>(), [("name".to_owned(), "Ann".to_owned())]);
}

pub(crate) async fn a_client_that_does_not_come_back_ends_its_session_once(world: World) {
    let store = &world.store;
    let node = world.join();
    let session = node.opened("s").await;
    let released = Instant::now();
    tokio::time::sleep(world.delay / 2).await;
    let Begun::Run { turn, .. } = store.begin(node.begin("s", None)).await.unwrap() else { panic!() };
    node.finish(session, turn).await;
    let ended = node.ends().await;
    let lived = released.elapsed();
    assert!(lived + world.moment > world.delay, "{lived:?}");
    assert_eq!((ended[0].session, &ended[0].reason), (session, &CloseReason::CLIENT_GONE));
    assert_eq!(ended.len(), 1);
    store.closed(session).await.unwrap();
    assert!(timeout(2 * world.delay, store.due(node.id)).await.is_err(), "once");
    node.open("s", None).await;
}

pub(crate) async fn an_attached_session_does_not_expire_and_a_released_one_starts_anew(world: World) {
    let store = &world.store;
    let node = world.join();
    node.opened("s").await;
    let (hold, _) = node.attach("s", None).await;
    assert!(timeout(2 * world.delay, store.due(node.id)).await.is_err());
    let released = Instant::now();
    store.release(hold, sent(1)).await.unwrap();
    assert_eq!(node.ends().await.len(), 1);
    assert!(released.elapsed() + world.moment > world.delay);
}

pub(crate) async fn a_closing_session_is_forgotten_without_another_on_close(world: World) {
    let store = &world.store;
    let node = world.join();
    let session = node.opened("s").await;
    store.close(session, reason()).await.unwrap();
    assert!(timeout(2 * world.delay, store.due(node.id)).await.is_err());
    node.open("s", None).await;
}

pub(crate) async fn sessions_of_the_last_node_end_with_it(world: World) {
    let store = &world.store;
    let (a, b) = (world.join(), world.join());
    let session = a.opened("s").await;
    assert!(store.retire(a.id, CloseReason::GOING_AWAY).await.is_empty(), "they go on at the other node");
    let ended = store.retire(b.id, CloseReason::GOING_AWAY).await;
    assert_eq!(ended.iter().map(|ended| ended.session).collect::<Vec<_>>(), [session]);
    let (_, pending) = b.attach("s", None).await;
    assert_eq!(pending.closed, Some(CloseReason::GOING_AWAY));
}

pub(crate) async fn sessions_are_counted_by_whoever_looks_after_them(world: World) {
    let store = &world.store;
    let nodes = [world.join(), world.join()];
    let total = || nodes.iter().map(|node| store.sessions(node.id)).sum::<usize>();
    let becomes = async |expected| {
        let reached = async {
            while total() != expected {
                tokio::time::sleep(world.moment / 10).await;
            }
        };
        timeout(Duration::from_secs(60), reached).await.unwrap_or_else(|_| panic!("{} not {expected}", total()));
    };
    // Held: none of them ends by itself, however long this takes.
    let holds = [nodes[0].open("a", None).await, nodes[0].open("b", None).await, nodes[1].open("c", None).await];
    becomes(3).await;
    store.close(holds[0].session, reason()).await.unwrap().expect("the caller runs on_close");
    store.closed(holds[0].session).await.unwrap();
    for hold in holds {
        if let Some(ended) = store.lost(hold).await.unwrap() {
            store.closed(ended.session).await.unwrap();
        }
    }
    for node in &nodes {
        let store = store.clone();
        let id = node.id;
        tokio::spawn(async move {
            loop {
                for due in store.due(id).await {
                    let Due::Ended(ended) = due else { panic!("{due:?}") };
                    store.closed(ended.session).await.unwrap();
                }
            }
        });
    }
    becomes(0).await;
}

pub(crate) async fn signals_reach_the_node_they_are_for(world: World) {
    let store = &world.store;
    let (a, b) = (world.join(), world.join());
    store.signal(b.id, Signal::Answer(7, true)).await.unwrap();
    assert!(a.is_left_alone().await);
    assert_eq!(b.signals(1).await, [Signal::Answer(7, true)]);
}
