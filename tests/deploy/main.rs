//! What lies in `deploy/`, run for real: nginx, HAProxy and Caddy with the files that are shipped, only addresses and
//! places of files exchanged, each before three nodes on one Redis; and the `cluster` command.
#![cfg(feature = "bin")]

mod command;
mod compose;
#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../wire/http.rs"]
mod http;
mod memory;
mod nodes;
mod proxies;
mod proxy;
#[path = "../support/redis.rs"]
mod redis_server;
mod relay;
mod server;
#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../wire/ws.rs"]
mod ws;
