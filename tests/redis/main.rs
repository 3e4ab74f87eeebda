//! The store on Redis against real servers: what it does when they misbehave, and what it costs them.

mod anchors;
mod api;
#[path = "../support/backend.rs"]
mod backend;
mod costs;
mod examples;
mod faults;
mod foreign;
mod frozen;
mod harness;
mod hooks;
mod ids;
mod lists;
mod places;
mod program;
mod proxy;
mod queues;
mod rosters;
#[path = "../support/redis.rs"]
mod server;
mod start;
#[path = "../support/tls.rs"]
mod tls;
mod trial;
mod workers;
