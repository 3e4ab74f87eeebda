//! What every store must do, run against each of them.

mod channels;
mod property;
mod sessions;
mod world;
