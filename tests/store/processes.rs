//! What nodes of several processes do with each other's sessions.

use std::time::Duration;

use sockhop::CloseReason;
use sockhop::store::Own;
use tokio::time::timeout;

use crate::anchors::anchored;
use crate::redis::{Cluster, Redis};
use crate::world::World;

/// Long enough for what a node knows of the others to be old.
const LEASE: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_others_have_not_heard_of_yet_is_not_taken_for_dead() {
    let server = Redis::start();
    let url = server.url();
    let join = || async {
        let mut world = World::redis_with(&url, "processes", LEASE).await;
        world.delay = Duration::from_secs(1);
        world
    };
    let others = join().await;
    let judge = others.join();
    judge.opened("first").await;
    // Before that it ends nobody's session.
    assert_eq!(judge.ends().await.len(), 1);

    let comes = |number: usize| async move {
        let world = join().await;
        let node = world.join();
        let id = format!("s{number}");
        node.opened(&id).await;
        // The deadline that stood before the attach is looked at while the node is new.
        let (hold, _) = node.attach(&id, None).await;
        tokio::time::sleep(world.delay + LEASE / 6).await;
        assert!(node.is_left_alone().await, "nobody took the session");
        world.store.pending(hold, Own(1)).await.unwrap();
    };
    futures_util::future::join_all((0..8).map(comes)).await;
}

/// Nodes of a process each: one dies, and then the one that was given what it has left.
async fn an_end_is_given_on_as_often_as_nodes_die(url: &str) {
    // Well below the time after which every end that was given is looked at.
    const SOON: Duration = Duration::from_secs(17);
    let join = || World::redis_with(url, "deaths", Duration::from_secs(2));
    let worlds = [join().await, join().await, join().await];
    let [first, mut second, mut third] = worlds.each_ref().map(World::join);
    let hold = anchored(&first, "s").await;
    // It does not renew its lease any more.
    drop(first);
    let taken = tokio::select! {
        ends = second.ends() => ends,
        ends = third.ends() => {
            std::mem::swap(&mut second, &mut third);
            ends
        }
    };
    assert_eq!(taken.len(), 1);
    // It is gone in the middle of its on_close.
    drop(second);
    let ends = timeout(SOON, third.ends()).await.expect("as soon as the first time");
    let [end] = &ends[..] else { panic!("{ends:?}") };
    assert_eq!((end.session, &end.reason), (hold.session, &CloseReason::INTERRUPTED));
    assert_eq!(end.attributes["room"], "lobby");
    third.store.closed(hold.session).await.unwrap();
    assert!(timeout(third.delay + third.moment, third.store.due(third.id)).await.is_err(), "once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_whose_new_node_is_gone_too_is_given_to_the_next_as_soon() {
    let server = Redis::start();
    an_end_is_given_on_as_often_as_nodes_die(&server.url()).await;
    let keys = server.keys("deaths:{s");
    // By which its first node would learn of it, should it wake.
    assert!(matches!(&keys[..], [key] if key.contains(":taken:")), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_whose_new_node_is_gone_too_is_given_to_the_next_as_soon_in_a_cluster() {
    let cluster = Cluster::start(3, 0);
    an_end_is_given_on_as_often_as_nodes_die(&cluster.url()).await;
}
