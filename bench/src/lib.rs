//! What the programs of this folder share: reading a process's CPU time and memory, placing a process on one
//! core, talking to Redis, and the one-line records in which a program hands its figures to the runner.
#![forbid(unsafe_code)]

pub mod clock;
pub mod delays;
pub mod limits;
pub mod process;
pub mod record;
pub mod redis;
