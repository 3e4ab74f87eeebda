//! Sessions that live in the memory of a node, and of which the store only knows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sockhop::CloseReason;
use sockhop::store::{Anchor, Gone, Hold, Own, SessionRef, Signal};
use tokio::time::timeout;

use crate::world::{Node, World, key, origin, reason};

fn session(id: &str) -> SessionRef {
    SessionRef { key: key(id), life: 7 }
}

/// Anchors a session of a node, with an attribute.
async fn try_anchor(node: &Node, session: SessionRef) -> Result<Hold, Gone> {
    let attributes = BTreeMap::from([("room".to_owned(), "lobby".to_owned())]);
    let origin = Arc::new(origin(node.delay));
    let anchor = Anchor { session, node: node.id, origin: &origin, attributes: &attributes };
    let hold = anchor.hold();
    node.store.anchor(anchor).await.map(|()| hold)
}

pub(crate) async fn anchored(node: &Node, id: &str) -> Hold {
    try_anchor(node, session(id)).await.unwrap()
}

pub(crate) async fn the_end_of_an_anchored_session_is_given_to_its_own_node(world: World) {
    let store = &world.store;
    let node = world.join();
    let hold = anchored(&node, "s").await;
    store.set_attribute(hold.session, "user", Some("ann".to_owned())).await.unwrap();
    assert_eq!(try_anchor(&node, hold.session).await, Ok(hold), "an answer was lost");
    let ended = store.quit(hold, CloseReason::CLIENT_GONE).await.unwrap().expect("an end");
    assert_eq!((ended.session, &ended.reason), (hold.session, &CloseReason::CLIENT_GONE));
    let attribute = |name| ended.attributes.get(name).map(String::as_str);
    assert_eq!((attribute("room"), attribute("user")), (Some("lobby"), Some("ann")));
    assert_eq!(&*ended.origin.service, "/test");
    store.closed(hold.session).await.unwrap();
    assert_eq!(store.set_attribute(hold.session, "a", None).await, Err(Gone::Over));
    assert!(matches!(store.quit(hold, reason()).await, Err(Gone::Over)), "once");
    assert!(timeout(node.delay + node.moment, store.due(node.id)).await.is_err(), "nothing is left to anybody");
}

pub(crate) async fn who_closes_an_anchored_session_leaves_its_end_to_its_node(world: World) {
    let store = &world.store;
    let (node, other) = (world.join(), world.join());
    let hold = anchored(&node, "s").await;
    let closed = store.close(hold.session, reason()).await.unwrap();
    assert!(closed.is_none(), "its handler may be at work there: {closed:?}");
    assert_eq!(node.signals(1).await, [Signal::Changed(hold)]);
    assert_eq!(store.pending(hold, Own(1)).await.unwrap().closed, Some(reason()));
    assert!(matches!(store.close(hold.session, reason()).await, Err(Gone::Over)), "once");
    assert!(matches!(try_anchor(&node, hold.session).await, Err(Gone::Over)));
    let ended = store.quit(hold, CloseReason::CLIENT_GONE).await.unwrap().expect("an end");
    assert_eq!(ended.reason, reason(), "as it was closed");
    store.closed(hold.session).await.unwrap();
    assert!(other.is_left_alone().await);
}

pub(crate) async fn the_end_of_an_anchored_session_whose_node_is_gone_is_given_once_to_another(world: World) {
    let store = &world.store;
    let (node, other) = (world.join(), world.join());
    let holds = [anchored(&node, "open").await, anchored(&node, "closed").await];
    assert!(store.close(holds[1].session, reason()).await.unwrap().is_none());
    store.leave(node.id).await;
    let mut ends = Vec::new();
    while ends.len() < 2 {
        ends.extend(other.ends().await);
    }
    for (hold, reason) in holds.into_iter().zip([CloseReason::INTERRUPTED, reason()]) {
        let ended = ends.iter().find(|ended| ended.session == hold.session).expect("an end");
        assert_eq!((&ended.reason, ended.attributes["room"].as_str()), (&reason, "lobby"));
        store.closed(hold.session).await.unwrap();
        assert!(matches!(try_anchor(&other, hold.session).await, Err(Gone::Over)));
        assert!(matches!(store.quit(hold, CloseReason::CLIENT_GONE).await, Err(Gone::Fenced)), "not twice");
    }
    assert_eq!(ends.len(), 2);
    assert!(timeout(other.delay + other.moment, store.due(other.id)).await.is_err(), "once");
}

pub(crate) async fn an_anchor_that_comes_after_the_end_of_its_session_is_none(world: World) {
    let store = &world.store;
    let (node, other) = (world.join(), world.join());
    let known = anchored(&node, "known").await;
    let unknown = Hold::of_anchor(session("unknown"));
    assert!(store.quit(known, reason()).await.unwrap().is_some());
    store.closed(known.session).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(store.quit(unknown, reason()).await, Err(Gone::Over)), "nobody else was told of its end");
    }
    // By commands that were given up on.
    for hold in [known, unknown] {
        assert_eq!(try_anchor(&node, hold.session).await, Err(Gone::Over));
    }
    store.leave(node.id).await;
    assert!(timeout(other.delay + other.moment, store.due(other.id)).await.is_err(), "there is no end to run");
}

pub(crate) async fn an_anchor_whose_session_is_nowhere_goes_without_an_end(world: World) {
    let store = &world.store;
    let node = world.join();
    let hold = anchored(&node, "s").await;
    store.disown(hold).await.unwrap();
    assert!(matches!(store.close(hold.session, reason()).await, Err(Gone::Over)));
    assert!(timeout(node.delay + Duration::from_secs(2), store.due(node.id)).await.is_err());
}

pub(crate) async fn anchored_sessions_are_counted(world: World) {
    let node = world.join();
    let hold = anchored(&node, "s").await;
    assert_eq!(world.store.sessions(node.id), 1);
    let ended = world.store.quit(hold, reason()).await.unwrap();
    assert!(ended.is_some());
    world.store.closed(hold.session).await.unwrap();
    let none = async {
        while world.store.sessions(node.id) > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(30), none).await.expect("none");
}
