//! Random comings and goings in a roster, with repeats and commands that come late, against what must be told of them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sockhop::store::Entered;

use crate::redis::{Cluster, Redis};
use crate::rosters::{all, enter, exit, stay, told};
use crate::world::{World, channel};

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A session comes with a new stay, or says again that it is there.
    Enter(usize),
    /// It ends its stay.
    Exit(usize),
    /// A command of one of its stays before comes late, or is repeated.
    LateEnter(usize),
    LateExit(usize),
}

const SESSIONS: usize = 6;
/// Whose they are: two users, and two sessions of nobody.
const USERS: [Option<&str>; SESSIONS] = [Some("ann"), Some("ann"), Some("ann"), Some("bob"), None, None];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..SESSIONS).prop_map(Step::Enter),
        3 => (0..SESSIONS).prop_map(Step::Exit),
        1 => (0..SESSIONS).prop_map(Step::LateEnter),
        1 => (0..SESSIONS).prop_map(Step::LateExit),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Who a session counts as.
fn member(session: usize, number: u64) -> String {
    USERS[session].map_or_else(|| format!("{number:x}"), str::to_owned)
}

async fn live(world: &World, room: &str, steps: &[Step]) {
    let store = &*world.store;
    let start = store.here(&channel(room), None, 1).await.unwrap().at;
    // What each session's stay is, which of its stays are over, and who is there.
    let mut stays: [Option<u64>; SESSIONS] = [None; SESSIONS];
    let mut over: [Vec<u64>; SESSIONS] = Default::default();
    let mut numbers = 0;
    let mut expected = Vec::new();
    let mut present = BTreeSet::new();
    for step in steps {
        match *step {
            Step::Enter(session) => {
                let number = *stays[session].get_or_insert_with(|| {
                    numbers += 1;
                    numbers
                });
                enter(store, room, stay(&session.to_string(), number), USERS[session]).await;
            }
            Step::Exit(session) => {
                if let Some(number) = stays[session].take() {
                    exit(store, room, stay(&session.to_string(), number)).await;
                    over[session].push(number);
                }
            }
            Step::LateEnter(session) => {
                for number in &over[session] {
                    let entered = enter(store, room, stay(&session.to_string(), *number), USERS[session]).await;
                    assert_eq!(entered, Entered::Over);
                }
            }
            Step::LateExit(session) => {
                for number in &over[session] {
                    exit(store, room, stay(&session.to_string(), *number)).await;
                }
            }
        }
        let now: BTreeSet<_> =
            (0..SESSIONS).filter_map(|session| Some(member(session, stays[session]?))).collect();
        for joined in now.difference(&present) {
            expected.push(("join".to_owned(), joined.clone(), now.len() as u64));
        }
        for left in present.difference(&now) {
            expected.push(("leave".to_owned(), left.clone(), now.len() as u64));
        }
        present = now;
    }
    assert_eq!(told(store, room, start).await, expected);
    let (count, members) = all(store, room, 2).await;
    assert_eq!((count as usize, members.len()), (present.len(), present.len()));
    let sessions = members.iter().map(|(_, sessions)| *sessions).sum::<u64>();
    assert_eq!(sessions as usize, stays.iter().flatten().count());
    // In pairs: whoever is told to have come has not been there, and the other way round.
    let mut there = BTreeMap::<&str, bool>::new();
    for (kind, who, _) in &expected {
        let was = there.insert(who, kind == "join").unwrap_or(false);
        assert_eq!(was, kind == "leave");
    }
}

fn check(world: &World, runtime: &tokio::runtime::Runtime, cases: u32) {
    let rooms = std::cell::Cell::new(0);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in steps())| {
        rooms.set(rooms.get() + 1);
        runtime.block_on(live(world, &format!("room {}", rooms.get()), &steps));
    });
}

#[test]
fn joins_and_leaves_come_in_pairs() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    check(&World::memory(), &runtime, 256);
}

#[test]
fn joins_and_leaves_in_redis_come_in_pairs() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = Redis::start();
    let world = runtime.block_on(World::redis(&server.url(), "rosters"));
    check(&world, &runtime, 96);
}

#[test]
fn joins_and_leaves_in_a_redis_cluster_come_in_pairs() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cluster = Cluster::start(3, 0);
    let world = runtime.block_on(World::redis(&cluster.url(), "rosters"));
    check(&world, &runtime, 32);
}
