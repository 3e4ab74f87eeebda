//! The store on Redis against real servers: what it does when they misbehave, and what it costs them.

mod harness;
#[path = "../support/redis.rs"]
mod server;
