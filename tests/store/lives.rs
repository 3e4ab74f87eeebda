//! Random lives: a property, tried with steps that are made up, on a new store for each.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::redis::Redis;
use crate::world::World;

/// Lives in memory, on a clock that jumps.
pub(crate) fn in_memory<S: Strategy>(cases: u32, steps: &S, run: &impl AsyncFn(World, &S::Value)) {
    lives(cases, steps, |_, steps| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(World::memory(), steps));
    });
}

/// Lives in a Redis of their own.
pub(crate) fn in_redis<S: Strategy>(cases: u32, steps: &S, run: &impl AsyncFn(World, &S::Value)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = Redis::start();
    lives(cases, steps, |number, steps| {
        let prefix = format!("life-{number}");
        runtime.block_on(async { run(World::redis(&server.url(), &prefix).await, steps).await });
    });
}

fn lives<S: Strategy>(cases: u32, steps: &S, live: impl Fn(u32, &S::Value)) {
    let begun = Cell::new(0);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(steps, |steps| {
            begun.set(begun.get() + 1);
            live(begun.get(), &steps);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("life {} of {cases}: {error}", begun.get()));
}
