//! Judges the running server from outside, over raw TCP sockets.
//!
//! `conformance` holds the SockJS 0.3.x protocol, `autobahn` the websocket protocol in the manner of Autobahn's fuzzing
//! client, `bad_input` what hostile or broken clients get, `drain` how the server goes, and `show_node` what it says of
//! itself, `api` the HTTP API for backends. The rest is the harness. Each test's name is its claim.

mod http;
mod server;
mod session;
mod ws;

mod api;
mod autobahn;
mod bad_input;
mod conformance;
mod drain;
mod resume;
mod show_node;
