//! The library from outside: services mounted, handlers called, messages delivered, nodes that end.

mod client;
mod delivery;
mod examples;
mod handlers;
mod limits;
mod mounting;
mod nodes;
mod resume;
