//! What the programs of this folder share: reading a process's CPU time and memory, placing a process on one
//! core, talking to Redis, and the one-line records in which a program hands its figures to the runner.
#![forbid(unsafe_code)]

use std::time::Duration;

use anyhow::Context;

pub mod clock;
pub mod delays;
pub mod limits;
pub mod process;
pub mod record;
pub mod redis;

/// What a run gives, if it is over within `limit`.
///
/// # Errors
/// It is not, or fails by itself.
pub async fn in_time<T>(limit: Duration, run: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::time::timeout(limit, run).await.with_context(|| format!("the run was not over after {limit:?}"))?
}
