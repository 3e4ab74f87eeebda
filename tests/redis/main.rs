//! The store on Redis against real servers: what it does when they misbehave, and what it costs them.

mod harness;
mod program;
#[path = "../support/redis.rs"]
mod server;
mod start;
