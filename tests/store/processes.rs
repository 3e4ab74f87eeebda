//! What nodes of several processes do with each other's sessions.

use std::time::Duration;

use sockhop::store::Own;

use crate::redis::Redis;
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
